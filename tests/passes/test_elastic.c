/* Members of one set of weights: where their elements stand in the wide graph's, on every construct by which channels are
 * coupled; gradients; training that is train_run's to the byte where there is one member, at any number of threads, killed
 * or not; that members learn; the steps.
 */
#include <cblas.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ir/base/file.h"
#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "passes/elastic.h"
#include "passes/tailor/kinds.h"
#include "passes/tailor/measure.h"
#include "tests/engine/nets.h"
#include "tests/engine/stripes.h"
#include "tests/passes/prune_nets.h"
#include "tests/passes/pruned.h"
#include "tests/support.h"

Suite *suite_elastic(void);

/* ---- where elements stand */

/* Every float constant that a node reads is a slice, its elements are equal to those that it names. */
static int check_member(const Graph *base, const ElasticMember *m) {
  const Graph *g = m->graph;
  uint8_t *done = mem_array(g->n_vals, 1);
  int elements = 0;
  for (int k = 0; k < m->n_slices; k++) {
    const ElasticSlice *s = &m->slices[k];
    const float *a = val_data(g, s->member), *b = val_data(base, s->wide);
    const int64_t n = shape_count(&graph_val(g, s->member)->shape);
    for (int64_t i = 0; i < n; i++)
      ck_assert_msg(memcmp(&a[i], &b[s->index[i]], sizeof *a) == 0, "\"%s\"[%lld]",
                    graph_val(g, s->member)->name, (long long)i);
    done[s->member] = 1;
    elements += (int)n;
  }
  for (NodeId i = 0; i < g->n_nodes; i++)
    for (uint32_t k = 0; k < g->nodes[i].n_in; k++) {
      const ValId v = g->nodes[i].in[k];
      const bool norms = g->nodes[i].op == OP_batch_normalization;
      if (v == NO_VAL || !val_is_const(g, v) || graph_val(g, v)->dtype != DT_F32 || norms) continue;
      ck_assert_msg(done[v] || shape_count(&graph_val(g, v)->shape) == 0, "node %u, input %u has no slice", i,
                    k);
    }
  mem_free(done);
  return elements;
}

/* A constant of distinct elements in place of each: what an element is tells where it comes from. */
static Graph *distinct(const Graph *g) {
  Graph *out = graph_clone(g);
  float next = 1;
  for (ValId v = 1; v < out->n_vals; v++) {
    if (!val_is_const(out, v) || graph_val(out, v)->dtype != DT_F32) continue;
    const int64_t n = shape_count(&graph_val(out, v)->shape);
    float *x = mem_array((size_t)n + 1, sizeof *x);
    for (int64_t i = 0; i < n; i++) x[i] = next++;
    blob_unref(out->vals[v].blob);
    out->vals[v].blob = blob_new(x, (size_t)n * sizeof *x);
    mem_free(x);
  }
  ck_assert(next < 16777216);
  return out;
}

START_TEST(elements_stand_where_slices_say)
{
  int elements = 0;
  for (uint64_t seed = 0; seed < 3 * CONSTRUCTS; seed++) {
    Graph *raw = prune_net(seed), *g = distinct(raw);
    Channels c;
    Diag *d = diag_new();
    ElasticFamily f;
    ck_assert_msg(channels_find(g, NULL, &c, d), "%s", diag_text(d));
    PrunePlan p[2] = {pruned_plan(&c, seed, 0.6f, NULL), pruned_plan(&c, seed + 7777, 0.4f, NULL)};
    ck_assert_msg(elastic_family(&c, p, 2, seed % 2, &f, d), "net %d: %s", (int)seed, diag_text(d));
    for (int i = 0; i < 2; i++) elements += check_member(g, &f.members[i]), prune_plan_free(&p[i]);
    elastic_family_free(&f);
    channels_free(&c);
    diag_free(d);
    graph_free(raw);
    graph_free(g);
  }
  printf("%d elements of members stand where their slices say\n", elements);
}
END_TEST

/* ---- a small net: residual, depthwise, concat, BatchNormalization */

static const char net_text[] =
    "%1 = input : f32[N,8,8,2]\n%2 = const : f32[12,3,3,2] {~}\n%3 = Conv(%1, %2) {pads=[1,1,1,1]}\n"
    "%g = const : f32[12] {?}\n%b = const : f32[12] {?}\n%m = const : f32[12] {?}\n%v = const : f32[12] {?}\n"
    "%4 = BatchNormalization(%3, %g, %b, %m, %v)\n%5 = Relu(%4)\n"
    "%6 = const : f32[12,3,3,12] {~}\n%7 = Conv(%5, %6) {pads=[1,1,1,1], act=relu}\n%8 = Add(%7, %5)\n"
    "%d = const : f32[1,3,3,12] {~}\n%9 = DepthwiseConv(%8, %d) {pads=[1,1,1,1], act=relu}\n"
    "%w = const : f32[8,1,1,12] {~}\n%q = Conv(%9, %w)\n"
    "%h = const : f32[8] {?}\n%i = const : f32[8] {?}\n%j = const : f32[8] {?}\n%k = const : f32[8] {?}\n"
    "%r = BatchNormalization(%q, %h, %i, %j, %k)\n%s = Relu(%r)\n%t = Concat(%s, %9) {axis=3}\n"
    "%u = ReduceMean(%t) {axes=[1,2], keepdims=0}\n%x = const : f32[3,20] {~}\n%y = const : f32[3] {?}\n"
    "%z = FullyConnected(%u, %x, %y)\noutput %z\n";

enum { MEMBERS = 5 };

typedef struct Run {
  Dataset ds;
  Graph *g, *teacher;
  Channels c;
  PrunePlan plans[MEMBERS];
  int n, drawn;
  bool own_norms;
  TrainOptions o;
  Host host;
} Run;

static void run_open_net(Run *r, const char *text) {
  Diag *d = diag_new();
  *r = (Run){.ds = stripes_data(),
             .g = net_parse(text, 5),
             .teacher = net_parse(stripes_net, 3),
             .drawn = 1,
             .own_norms = true,
             .n = MEMBERS};
  ck_assert_msg(channels_find(r->g, NULL, &r->c, d), "%s", diag_text(d));
  prune_plan_all(&r->c, &r->plans[0]);
  for (int i = 1; i < MEMBERS; i++) r->plans[i] = pruned_plan(&r->c, (uint64_t)i, i < 3 ? 0.7f : 0.4f, NULL);
  train_options_default(&r->o);
  r->o.batch = 32;
  r->o.images = 512 + 100;
  r->o.lr = 0.02f;
  r->o.bn_images = 64;
  r->host.threads = 1;
  diag_free(d);
}

static void run_open(Run *r) {
  run_open_net(r, net_text);
  ck_assert_uint_ge(r->c.n_groups, 2);
}

static void run_close(Run *r) {
  for (int i = 0; i < MEMBERS; i++) prune_plan_free(&r->plans[i]);
  channels_free(&r->c);
  graph_free(r->g);
  graph_free(r->teacher);
  dataset_close(&r->ds);
}

static bool run_try(Run *r, ElasticResult *res, Diag *d) {
  ElasticFamily f;
  bool ok = elastic_family(&r->c, r->plans, r->n, r->own_norms, &f, d);
  const Graph *teachers[] = {r->teacher};
  const ElasticJob job = {.train = {.graph = r->g,
                                    .teachers = teachers,
                                    .n_teachers = r->o.mix > 0,
                                    .data = &r->ds,
                                    .options = &r->o,
                                    .host = &r->host},
                          .members = f.members,
                          .n_members = f.n,
                          .drawn = r->drawn};
  ok = ok && elastic_run(&job, res, d);
  elastic_family_free(&f);
  return ok;
}

static ElasticResult run(Run *r) {
  Diag *d = diag_new();
  ElasticResult res;
  if (!run_try(r, &res, d)) ck_abort_msg("%s", diag_text(d));
  diag_free(d);
  return res;
}

static Hash run_hash(Run *r) {
  ElasticResult res = run(r);
  Hasher *h = hasher_new();
  hasher_hash(h, graph_hash(res.wide));
  for (int i = 0; i < res.n_members; i++) hasher_hash(h, graph_hash(res.members[i]));
  elastic_result_free(&res);
  return hasher_done(h);
}

/* ---- gradients: one step of lr 1 from which they can be read, against members' own, placed by hand */

static float *floats_of(const Graph *g, ValId v) { return (float *)(uintptr_t)val_data(g, v); }

static void add_by_hand(const Run *r, const ElasticMember *m, const float *x, double **sum, int *clipped) {
  Session *s = net_session(m->graph, (SessionOptions){.batch = r->o.batch, .threads = 1, .training = true});
  float dlogits[64 * STRIPES_CLASSES];
  const float *z = session_forward(s, x, r->o.batch, true);
  int32_t labels[64];
  for (int i = 0; i < r->o.batch; i++) labels[i] = r->ds.train.y[i];
  loss_targets(z, &(Targets){.labels = labels}, r->o.batch, STRIPES_CLASSES, dlogits);
  session_backward(s, dlogits, r->o.batch);
  double squares = 0;
  for (int k = 0; k < m->n_slices; k++) {
    const float *dx = session_gradient(s, m->slices[k].member);
    for (int64_t i = 0; dx && i < shape_count(&graph_val(m->graph, m->slices[k].member)->shape); i++)
      squares += (double)dx[i] * (double)dx[i];
  }
  const double factor = r->o.clip > 0 ? fmin(1, (double)r->o.clip / sqrt(squares)) : 1;
  *clipped += factor < 1;
  for (int k = 0; k < m->n_slices; k++) {
    const ElasticSlice *l = &m->slices[k];
    const float *dx = session_gradient(s, l->member);
    for (int64_t i = 0; dx && i < shape_count(&graph_val(m->graph, l->member)->shape); i++)
      sum[l->wide][l->index[i]] += factor * (double)dx[i];
  }
  session_free(s);
}

/* Clipped each by itself. */
static int compare_sums(float clip) {
  Run r;
  int clipped = 0;
  run_open(&r);
  r.o.clip = clip;
  r.own_norms = false;
  r.drawn = MEMBERS;
  r.o.images = r.o.batch = 64;
  r.ds.train.n = 64; /* the step's examples, in some order: their mean is the same */
  r.o.lr = 1, r.o.momentum = 0, r.o.weight_decay = 0, r.o.nesterov = false, r.o.schedule = RATE_CONSTANT;
  r.o.bn_images = 0;
  ElasticFamily f;
  Diag *d = diag_new();
  ck_assert(elastic_family(&r.c, r.plans, r.n, false, &f, d));
  double **sum = mem_array(r.g->n_vals, sizeof *sum);
  for (ValId v = 1; v < r.g->n_vals; v++)
    sum[v] = mem_array((size_t)(val_is_const(r.g, v) ? shape_count(&graph_val(r.g, v)->shape) : 0) + 1,
                       sizeof **sum);
  float *x = mem_array(64, STRIPES_ITEM * sizeof *x);
  for (int i = 0; i < 64 * STRIPES_ITEM; i++) x[i] = (float)((const uint8_t *)r.ds.train.x)[i] / 64 - 2;
  for (int i = 0; i < f.n; i++) add_by_hand(&r, &f.members[i], x, sum, &clipped);
  ElasticResult res = run(&r);
  int compared = 0;
  for (NodeId i = 0; i < r.g->n_nodes; i++)
    for (uint32_t k = 1; k < r.g->nodes[i].n_in; k++) {
      const ValId v = r.g->nodes[i].in[k], w = res.wide->nodes[i].in[k];
      if (!val_is_const(r.g, v) || (r.g->nodes[i].op == OP_batch_normalization && k > 2)) continue;
      for (int64_t e = 0; e < shape_count(&graph_val(r.g, v)->shape); e++, compared++) {
        const double got = (double)floats_of(r.g, v)[e] - (double)floats_of(res.wide, w)[e], want = sum[v][e];
        ck_assert_msg(fabs(got - want) < 2e-5 * (1 + fabs(want)),
                      "node %u, input %u, element %lld: %g, want %g", i, k, (long long)e, got, want);
      }
    }
  printf("%d gradients of the wide weights are sums of %d members'\n", compared, r.n);
  ck_assert_int_gt(compared, 1000);
  for (ValId v = 1; v < r.g->n_vals; v++) mem_free(sum[v]);
  mem_free(sum);
  mem_free(x);
  elastic_result_free(&res);
  elastic_family_free(&f);
  diag_free(d);
  run_close(&r);
  return clipped;
}

START_TEST(wide_gradients_are_sums_of_members)
{
  ck_assert_int_eq(compare_sums(0), 0);
  const int clipped = compare_sums(1.0f);
  ck_assert_msg(clipped > 0 && clipped < MEMBERS, "%d of %d gradients are clipped: want some", clipped,
                MEMBERS);
}
END_TEST

/* ---- one member that is the whole graph is train_run */

static void want_train_run(Run *r, const char *what) {
  const Graph *teacher = r->o.mix > 0 ? r->teacher : NULL;
  Diag *d = diag_new();
  TrainResult one;
  Graph *want = train_graph(r->g, teacher, &r->ds, &r->o, &r->host, &one, d);
  ck_assert_msg(want != NULL, "%s", diag_text(d));
  r->n = 1;
  r->o.threads = 2;
  ElasticResult res = run(r);
  ck_assert_msg(hash_equal(graph_hash(want), graph_hash(res.members[0])), "%s: other bytes", what);
  ck_assert(res.train.loss == one.loss && res.train.train_accuracy == one.train_accuracy);
  r->o.threads = 1;
  graph_free(want);
  elastic_result_free(&res);
  diag_free(d);
}

START_TEST(one_whole_member_is_train_run)
{
  Run r;
  run_open(&r);
  r.own_norms = false;
  r.o.bn_images = 0;
  r.o.clip = 0.5f;
  want_train_run(&r, "SGD, clipped");
  r.o.clip = 0;
  r.own_norms = true;
  r.o.optimizer = OPTIMIZER_ADAMW;
  r.o.lr = 0.01f;
  r.o.mix = 0.5f;
  r.o.augment = (Augment){.flip = true, .crop = 1, .mixup = 0.3f};
  want_train_run(&r, "AdamW, a teacher, mixed examples, norms of its own");
  r.o.average = 0.9f;
  r.o.bn_images = 64;
  r.o.augment.mixup = 0;
  r.o.views = 2;
  want_train_run(&r, "an average, a bank");
  run_close(&r);
}
END_TEST

static const char autoencoder_text[] =
    "%1 = input : f32[N,8,8,2]\n%2 = const : f32[6,3,3,2] {~}\n%3 = Conv(%1, %2) {pads=[1,1,1,1], act=relu}\n"
    "%4 = const : f32[2,3,3,6] {~}\n%5 = Conv(%3, %4) {pads=[1,1,1,1]}\noutput %5\n";

START_TEST(autoencoders_have_members_too)
{
  Run r;
  run_open_net(&r, autoencoder_text);
  r.o.loss = LOSS_INPUT;
  r.o.lr = 1e-3f;
  r.o.clip = 1;
  r.o.augment.noise = 0.1f;
  ElasticResult res = run(&r);
  ck_assert(isfinite(res.train.loss) && res.train.train_accuracy == 0);
  ck_assert_int_eq(res.n_members, MEMBERS);
  elastic_result_free(&res);
  want_train_run(&r, "an autoencoder");
  run_close(&r);
}
END_TEST

/* ---- threads, kills */

static void everything(Run *r) {
  r->o.optimizer = OPTIMIZER_ADAMW;
  r->o.lr = 0.01f;
  r->o.average = 0.9f;
  r->o.clip = 1;
  r->o.mix = 0.5f;
  r->o.augment = (Augment){.flip = true, .crop = 1, .noise = 0.1f};
}

static bool kill_at(void *ctx) {
  int *left = ctx;
  if ((*left)-- == 0) raise(SIGKILL);
  return false;
}

static void run_killed(Run *r, int steps) {
  pid_t child = fork();
  ck_assert_int_ge(child, 0);
  if (child == 0) {
    r->host = (Host){.ctx = &steps, .cancelled = kill_at, .threads = 1};
    run_hash(r);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "the child ended by itself (%d)", status);
}

START_TEST(threads_and_kills_do_not_change_bytes)
{
  Run r;
  char path[512];
  run_open(&r);
  everything(&r);
  Hash want = run_hash(&r);
  r.o.threads = 3;
  ck_assert_msg(hash_equal(run_hash(&r), want), "three threads give other bytes");
  snprintf(path, sizeof path, "%s/elastic.ckpt", test_tmp_dir());
  r.o.checkpoint_path = path;
  r.o.checkpoint_seconds = 0;
  const int kills[] = {2, 7, 1};
  for (int i = 0; i < 3; i++) {
    r.o.threads = 1 + i % 2;
    run_killed(&r, kills[i]);
  }
  ck_assert_msg(hash_equal(run_hash(&r), want), "a run killed three times gives other bytes");
  run_killed(&r, 0); /* done, but for statistics */
  ck_assert_msg(hash_equal(run_hash(&r), want), "a finished run's checkpoint gives other bytes");
  Diag *d = diag_new();
  ElasticResult res;
  r.n--;
  ck_assert(!run_try(&r, &res, d) && strstr(diag_text(d), "is of another run"));
  diag_free(d);
  run_close(&r);
}
END_TEST

START_TEST(a_step_allocates_nothing)
{
  Run r;
  AllocationWatch w = {0};
  run_open(&r);
  r.o.bn_images = 0;
  r.o.mix = 0.5f;
  r.host = (Host){.ctx = &w, .cancelled = watch_allocations, .threads = 1};
  run_hash(&r);
  ck_assert_int_gt(w.steps, 8);
  ck_assert_msg(w.allocating == 0, "%d of %d steps allocate", w.allocating, w.steps);
  run_close(&r);
}
END_TEST

/* ---- draws, refusals */

START_TEST(draws_are_fair_and_distinct)
{
  int count[10] = {0}, out[10];
  for (int64_t step = 0; step < 4000; step++) {
    bool seen[10] = {false};
    ck_assert_int_eq(elastic_draw(10, 4, 9, 2, 1, step, out), 4);
    ck_assert(out[0] == 4 && out[1] == 9);
    for (int i = 0; i < 4; i++) {
      ck_assert(out[i] >= 0 && out[i] < 10 && !seen[out[i]]);
      seen[out[i]] = true;
      count[out[i]]++;
    }
  }
  for (int i = 0; i < 10; i++)
    if (i != 4 && i != 9) ck_assert_msg(abs(count[i] - 1000) < 150, "member %d: %d of 4000", i, count[i]);
  ck_assert_int_eq(elastic_draw(1, 0, 0, 2, 1, 0, out), 1);
  ck_assert_int_eq(elastic_draw(3, 0, 2, 9, 1, 0, out), 3);
}
END_TEST

static void want_refused(Run *r, const char *why) {
  Diag *d = diag_new();
  ElasticResult res;
  ck_assert(!run_try(r, &res, d));
  ck_assert_msg(strstr(diag_text(d), why) != NULL, "want \"%s\" in: %s", why, diag_text(d));
  diag_free(d);
}

static bool at_once(void *ctx) {
  (void)ctx;
  return true;
}

START_TEST(what_is_refused)
{
  Run r;
  run_open(&r);
  r.o.grow = 0.5f;
  want_refused(&r, "neither growing images");
  r.o.grow = 0;
  r.host.cancelled = at_once;
  want_refused(&r, "cancelled");
  r.host.cancelled = NULL;
  memset(r.plans[2].keep, 0, r.plans[2].n_units);
  want_refused(&r, "keeps 0 units");
  run_close(&r);
}
END_TEST

/* ---- learning */

/* The same slices of the weights before training, with statistics of their own. */
static double untrained(const Run *r, int i) {
  Diag *d = diag_new();
  Graph *cut = prune_apply(&r->c, &r->plans[i], d),
        *g = cut ? trained_bn(cut, &r->ds, &r->o, r->o.bn_images, &r->host, d) : NULL;
  ck_assert_msg(g != NULL, "%s", diag_text(d));
  const double accuracy = stripes_accuracy(g, &r->ds);
  graph_free(cut);
  graph_free(g);
  diag_free(d);
  return accuracy;
}

START_TEST(members_learn_together)
{
  Run r;
  run_open(&r);
  r.o.images = 0;
  r.o.epochs = 6;
  r.o.lr = 0.01f;
  r.o.bn_images = 512;
  ElasticResult res = run(&r);
  printf("stripes, %d members (untrained -> trained):", r.n);
  for (int i = 0; i < r.n; i++) {
    const double before = untrained(&r, i), after = stripes_accuracy(res.members[i], &r.ds);
    printf(" %lldk MACs %.2f -> %.2f;", (long long)graph_macs(res.members[i]) / 1000, before, after);
    ck_assert_msg(after > 0.85 && after > before + 0.2, "member %d: %g, untrained %g", i, after, before);
  }
  printf(" room %lld KB, own %lld KB\n", (long long)res.room / 1024, (long long)res.own / 1024);
  elastic_result_free(&res);
  run_close(&r);
}
END_TEST

/* ---- steps */

typedef struct Steps {
  Artifact in[4], plans[MEMBERS];
  StrBuf params;
} Steps;

static void steps_open(Steps *s, const Run *r) {
  *s = (Steps){0};
  for (int i = 0; i < r->n; i++) {
    StrBuf text = {0};
    prune_plan_print(&r->c, &r->plans[i], &text);
    s->plans[i] = artifact_from_bytes(ART_PLAN, sb_str(&text), text.len);
    sb_free(&text);
  }
  s->in[0] = artifact_from_graph(r->g);
  s->in[1] = artifact_from_hash(ART_DATA, split_hash(&r->ds.train));
  s->in[2] = tailor_plans(s->plans, r->n);
  s->in[3] = artifact_from_graph(r->teacher);
  sb_printf(&s->params, "drawn=%d,own_norms=%d,", r->drawn, r->own_norms);
  train_options_print(&r->o, &s->params);
}

START_TEST(steps_give_the_same_members)
{
  Run r;
  Steps s;
  run_open(&r);
  r.o.mix = 0.5f;
  r.o.images = 320;
  r.own_norms = _i;
  ElasticResult res = run(&r);
  TailorData data = {.spec = &r.ds.spec, .ds = r.ds, .open = true};
  TailorStepEnv env = {.data = &data};
  Diag *d = diag_new();
  Artifact out[STEP_MAX_OUT] = {0}, cut[STEP_MAX_OUT] = {0};
  int n = 0;
  steps_open(&s, &r);
  Arena *a = arena_new();
  const StepEnv steps = step_env(a, NULL);
  StepRequest req = {.kind = &step_elastic,
                     .slot = "all",
                     .in = s.in,
                     .n_in = 4,
                     .params = sb_str(&s.params),
                     .seed = r.o.seed,
                     .host = &r.host,
                     .env = &env};
  ck_assert_msg(step_run(&steps, &req, out, &n, NULL, d), "%s", diag_text(d));
  ck_assert_int_eq(n, 3);
  ck_assert(hash_equal(out[0].hash, graph_hash(res.wide)));
  ck_assert_int_eq(measure_get_int(&out[2], "images", 0), 320);
  for (int i = 0; i <= r.n; i++) {
    char params[32];
    snprintf(params, sizeof params, "member=%d", i);
    const Artifact in[] = {out[0], out[1], s.in[2]};
    req = (StepRequest){.kind = &step_cut, .slot = "one", .in = in, .n_in = 3, .params = params, .env = &env};
    const bool ok = step_run(&steps, &req, cut, &n, NULL, d);
    ck_assert_msg(ok == (i < r.n), "%s", diag_text(d));
    if (!ok) break;
    ck_assert_msg(hash_equal(cut[0].hash, graph_hash(res.members[i])), "member %d has other bytes", i);
    artifact_unref(&cut[0]);
  }
  ck_assert(strstr(diag_text(d), "want member=0 to 4"));
  const Artifact in[] = {out[0], s.in[1],
                         s.plans[2]}; /* statistics anew are those of a member that shares the norms */
  req = (StepRequest){.kind = &step_slice,
                      .slot = "new",
                      .in = in,
                      .n_in = 3,
                      .params = sb_str(&s.params),
                      .seed = r.o.seed,
                      .host = &r.host,
                      .env = &env};
  const bool sliced = step_run(&steps, &req, cut, &n, NULL, d);
  ck_assert_msg(sliced == !_i, "%s", diag_text(d)); /* norms of members' own are nobody else's */
  ck_assert(sliced || strstr(diag_text(d), "train with own_norms=0"));
  if (sliced) {
    Graph *slice = artifact_graph(&cut[0], d);
    ck_assert(pruned_difference(slice, res.members[2], 1) < 1e-4);
    graph_free(slice);
    artifact_unref(&cut[0]);
  }
  printf("%d members: wide %zu bytes, their own %zu bytes\n", r.n, blob_size(out[0].bytes),
         blob_size(out[1].bytes));
  arena_free(a);
  sb_free(&s.params);
  for (int i = 0; i < 3; i++) artifact_unref(&out[i]);
  for (int i = 0; i < 4; i++) artifact_unref(&s.in[i]);
  for (int i = 0; i < r.n; i++) artifact_unref(&s.plans[i]);
  elastic_result_free(&res);
  diag_free(d);
  run_close(&r);
}
END_TEST

Suite *suite_elastic(void) {
  openblas_set_num_threads(1);
  Suite *s = suite_create("elastic");
  TCase *t = tcase_create("elastic");
  tcase_set_timeout(t, 120);
  tcase_add_test(t, elements_stand_where_slices_say);
  tcase_add_test(t, wide_gradients_are_sums_of_members);
  tcase_add_test(t, one_whole_member_is_train_run);
  tcase_add_test(t, autoencoders_have_members_too);
  tcase_add_test(t, threads_and_kills_do_not_change_bytes);
  tcase_add_test(t, a_step_allocates_nothing);
  tcase_add_test(t, draws_are_fair_and_distinct);
  tcase_add_test(t, what_is_refused);
  tcase_add_test(t, members_learn_together);
  tcase_add_loop_test(t, steps_give_the_same_members, 0, 2);
  suite_add_tcase(s, t);
  return s;
}
