/* Tailoring on a small residual net and made data, with a device of the test's own: limits are met, targets share, a
 * second run repeats nothing, and an edit of anything repeats exactly the kinds of steps that depend on it. More than 800
 * lines, since all tests share the device and the job.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/base/fingerprint.h"
#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "passes/channels.h"
#include "passes/pass.h"
#include "passes/tailor/measure.h"
#include "passes/tailor/tailor.h"
#include "tests/passes/nets.h"
#include "tests/support.h"

Suite *suite_tailor(void);

enum { TARGETS = 2, MOST = 4, SIDE = 8, CLASSES = 5 }; /* MOST: with those that come later */

/* ---- Data: a coloured quarter tells the class */

static void write_split(const char *dir, const char *name, int n, uint64_t seed, SplitSpec *out, Arena *a) {
  Diag *d = diag_new();
  Shape xs = shape_of(4, (int64_t)n, (int64_t)SIDE, (int64_t)SIDE, (int64_t)3), ys = shape_of(1, (int64_t)n);
  Tensor x = tensor_new(DT_U8, &xs), y = tensor_new(DT_I64, &ys);
  Rng rng;
  rng_seed(&rng, seed, 0);
  uint8_t *p = x.data;
  for (int i = 0; i < n; i++) {
    int64_t label = rng_below(&rng, CLASSES);
    ((int64_t *)y.data)[i] = label;
    for (int k = 0; k < SIDE * SIDE * 3; k++, p++) {
      int row = k / (SIDE * 3), channel = k % 3;
      bool lit = label < 3 ? channel == label : (row < SIDE / 2) == (label == 3);
      *p = (uint8_t)((lit ? 150 : 50) + (int)rng_below(&rng, 60));
    }
  }
  *out = (SplitSpec){.kind = "npy",
                     .x = arena_printf(a, "%s/%s_x.npy", dir, name),
                     .y = arena_printf(a, "%s/%s_y.npy", dir, name)};
  ck_assert_msg(npy_write(out->x, &x, d) && npy_write(out->y, &y, d), "%s", diag_text(d));
  tensor_free(&x);
  tensor_free(&y);
  diag_free(d);
}

/* ---- A device: sizes are counted, nothing is compiled */

/* A byte a parameter, half of one for those of 4 bits. */
static int64_t fake_flash(const Graph *g) {
  int64_t halves = 0;
  for (ValId v = 1; v < g->n_vals; v++)
    if (graph_val(g, v)->dtype == DT_I4) halves += shape_count(&graph_val(g, v)->shape);
  return graph_params(g) - halves / 2;
}

static bool fake_cost(const void *ctx, const Graph *g, DType precision, Cost *out, Diag *d) {
  (void)ctx, (void)precision, (void)d;
  *out = (Cost){.macs = graph_macs(g), .params = graph_params(g), .ram = 1000};
  out->flash = out->flash_weights = fake_flash(g);
  out->cycles = 2 * out->macs;
  return true;
}

static bool fake_deploy(const StepCall *c, Artifact *out, int *n_out, Diag *d) {
  Graph *g = artifact_graph(&c->in[0], d);
  TRY(g);
  StrBuf b = {0};
  measure_put_int(&b, "flash", fake_flash(g));
  measure_put_int(&b, "ram", 1000);
  out[0] = artifact_from_bytes(ART_FILES, "files", 5);
  out[1] = measure_artifact(&b);
  *n_out = 2;
  graph_free(g);
  return true;
}

static bool fake_proof(const StepCall *c, Artifact *out, int *n_out, Diag *d) {
  const Split *test = NULL;
  TRY(tailor_test_data(c->env, &test, d));
  StrBuf b = {0};
  measure_put_int(&b, "n", test->n);
  measure_put_int(&b, "correct", test->n);
  out[(*n_out)++] = measure_artifact(&b);
  return true;
}

static const char *const backend_src[] = {"backend/", NULL};
static const StepKind deploy = {.name = "deploy", .sources = backend_src, .names = true, .run = fake_deploy};
static const StepKind proof = {.name = "proof", .sources = backend_src, .run = fake_proof};

/* ---- A run */

typedef struct Fixture {
  Arena *a;
  Diag *d;
  Graph *model;
  DataSpec spec;
  Cache *cache;
  SourcePrint *prints;
  CostModel cost[MOST];
  TailorTarget target[MOST];
  int n; /* targets */
  Hash data_identity, test_identity;
  uint64_t seed;
  const char *keep;
  StrBuf ran; /* " slot:kind" of each step that was not in the cache */
  int steps;
  const Graph *teacher;          /* beside the original; NULL: none */
  int views;                     /* of a teacher's bank; 0: none */
  const TailorVariant *variants; /* n_variants of them */
  int n_variants;
  double close;
  StrBuf said;              /* the log */
  const char *prune;        /* options; NULL: by Taylor */
  bool int4;                /* weights of 4 bits are allowed */
  const char *int8, *other; /* ways to int8; NULL: the usual one; none */
  TailorSharing sharing;
  const char *plan; /* of an earlier run; NULL: none */
  StrBuf lock;      /* this run's */
  bool graphs;
} Fixture;

static void keep_plan(void *ctx, const char *plan) {
  Fixture *f = ctx;
  sb_clear(&f->lock);
  sb_puts(&f->lock, plan);
}

static void say(void *ctx, const char *line) {
  Fixture *f = ctx;
  sb_printf(&f->said, "%s\n", line);
}

static void record(void *ctx, const StepLog *log) {
  Fixture *f = ctx;
  f->steps++;
  if (!log->hit) sb_printf(&f->ran, " %s:%s", log->slot, log->kind);
}

static void open_fixture(Fixture *f) {
  *f = (Fixture){.a = arena_new(), .d = diag_new(), .seed = 1, .sharing = SHARE_TREE};
  const char *dir = test_tmp_dir();
  write_split(dir, "train", 256, 1, &f->spec.train, f->a);
  write_split(dir, "val", 128, 2, &f->spec.val, f->a);
  write_split(dir, "test", 128, 3, &f->spec.test, f->a);
  f->spec.normalize = (Normalize){.n = 1, .scale = {1 / 128.0f}, .offset = {-1}};
  f->spec.classes = CLASSES;
  f->model = net_residual(1, 7);
  f->cache = cache_open(arena_printf(f->a, "%s/cache", dir), NULL, f->d);
  ck_assert_msg(f->cache != NULL, "%s", diag_text(f->d));
  f->prints = arena_dup(f->a, source_prints, source_prints_count * sizeof *source_prints);
  f->data_identity = hash_bytes("data", 4);
  f->test_identity = hash_bytes("test", 4);
  int64_t macs = graph_macs(f->model);
  const char *names[MOST] = {"loose", "tight", "later", "least"};
  const int tenths[MOST] = {6, 3, 5, 2};
  f->n = TARGETS;
  for (int i = 0; i < MOST; i++) {
    f->cost[i] = (CostModel){.cost = fake_cost, .key = hash_bytes(names[i], 5)};
    f->target[i] = (TailorTarget){.name = names[i], .precision = DT_I8, .cost = &f->cost[i], .params = "p"};
    f->target[i].limits.macs = macs * tenths[i] / 10;
    f->target[i].limits.flash = graph_params(f->model);        /* never binding, but the linker is asked */
    f->target[i].limits.cycles = 2 * f->target[i].limits.macs; /* as tight: what is planned is measured */
  }
}

static void close_fixture(Fixture *f) {
  cache_close(f->cache);
  graph_free(f->model);
  diag_free(f->d);
  sb_free(&f->ran);
  sb_free(&f->said);
  sb_free(&f->lock);
  arena_free(f->a);
}

static void run(Fixture *f, TailorResult *res) {
  TailorData data = {.spec = &f->spec};
  StepEnv env = {.cache = f->cache,
                 .prints = f->prints,
                 .n_prints = source_prints_count,
                 .abi = "test",
                 .record = record,
                 .record_ctx = f};
  Host host = {.threads = 2, .ctx = f, .log = say};
  TailorJob job = {.model = f->model,
                   .data = &data,
                   .data_identity = f->data_identity,
                   .test_identity = f->test_identity,
                   .may_prune = true,
                   .may_retrain = true,
                   .prune_params = f->prune ? f->prune : "by=taylor,least=2,images=64",
                   .keep = f->keep ? f->keep : "",
                   .finish_int8 = f->int8 ? f->int8 : "bnfuse,fuse,fold,quantize{images=64}",
                   .finish_int4 = f->int4 ? "bnfuse,fuse,fold,quantize{images=64,weights=int4}" : NULL,
                   .other_int8 = f->other,
                   .finish_float = "bnfuse,fuse,fold",
                   .seed = f->seed,
                   .sharing = f->sharing,
                   .per_halving = 1,
                   .least = 0.1,
                   .family = 2,
                   .plan = f->plan,
                   .planned = keep_plan,
                   .planned_ctx = f,
                   .graphs = f->graphs,
                   .image = 1e-5,
                   .mac = 1e-11,
                   .variants = f->variants,
                   .n_variants = f->n_variants,
                   .trial = 0.25,
                   .close = f->close,
                   .teachers = &f->teacher,
                   .n_teachers = f->teacher != NULL,
                   .targets = f->target,
                   .n_targets = f->n,
                   .deploy = &deploy,
                   .proof = &proof,
                   .env = &data,
                   .steps = &env,
                   .host = &host};
  train_options_default(&job.retrain);
  job.retrain.epochs = 0;
  job.retrain.images = 512;
  job.retrain.batch = 32;
  job.retrain.lr = 0.05f;
  job.retrain.mix = f->views ? 0.7f : 0;
  job.retrain.views = f->views;
  sb_clear(&f->ran);
  sb_clear(&f->said);
  f->steps = 0;
  bool ok = tailor_run(&job, res, f->d);
  tailor_data_close(&data);
  ck_assert_msg(ok, "%s", diag_text(f->d));
}

static void run_and_drop(Fixture *f) {
  TailorResult res;
  run(f, &res);
  tailor_result_free(&res);
}

static void edit_source(Fixture *f, const char *path) {
  for (size_t i = 0; i < source_prints_count; i++) {
    if (strcmp(f->prints[i].path, path) != 0) continue;
    f->prints[i].hash = "edited";
    return;
  }
  ck_abort_msg("no source %s", path);
}

/* Is every step that ran of a kind in `want` (" plan finish "), and did each kind of it run? */
static void expect(const Fixture *f, const char *edit, const char *want) {
  const char *ran = sb_str(&f->ran);
  for (const char *p = ran; (p = strchr(p, ':')) != NULL;) {
    size_t n = strcspn(++p, " ");
    char kind[40];
    snprintf(kind, sizeof kind, " %.*s ", (int)n, p);
    ck_assert_msg(strstr(want, kind) != NULL, "%s edited: ran%s; want only%s", edit, ran, want);
  }
  for (const char *p = want + strspn(want, " "); *p; p += strspn(p, " ")) {
    size_t n = strcspn(p, " ");
    char kind[40];
    snprintf(kind, sizeof kind, ":%.*s", (int)n, p);
    ck_assert_msg(strstr(ran, kind) != NULL, "%s edited: ran%s; want%s", edit, ran, want);
    p += n;
  }
}

START_TEST(test_limits_and_sharing)
{
  Fixture f;
  TailorResult res;
  open_fixture(&f);
  run(&f, &res);
  for (int i = 0; i < TARGETS; i++) {
    const TailorOutcome *o = &res.v[i];
    ck_assert_msg(o->met && o->delivered, "%s: %s", o->target->name, o->why);
    ck_assert_msg(o->cost.macs <= o->target->limits.macs, "%s: %lld MACs", o->target->name,
                  (long long)o->cost.macs);
    ck_assert_uint_eq(o->proof.tailored.n, 128);
    ck_assert_msg(o->val_final > 0.5, "%s: accuracy %g on a task that is easy", o->target->name,
                  o->val_final);
  }
  ck_assert_str_eq(res.v[0].start, "");
  ck_assert_str_eq(res.v[1].start, "loose");
  tailor_result_free(&res);
  run_and_drop(&f);
  ck_assert_msg(f.ran.len == 0 && f.steps > 10, "a second run repeated%s", sb_str(&f.ran));
  close_fixture(&f);
}
END_TEST

/* Weights of 4 bits where they are allowed and 8 do not fit: nothing is pruned. */
START_TEST(test_int4)
{
  Fixture f;
  TailorResult res;
  open_fixture(&f);
  f.int4 = true;
  for (int i = 0; i < TARGETS; i++) f.target[i].limits.macs = f.target[i].limits.cycles = 0;
  f.target[1].limits.flash = f.target[1].limits.flash * 7 / 10;
  run(&f, &res);
  for (int i = 0; i < TARGETS; i++) {
    const TailorOutcome *o = &res.v[i];
    ck_assert_msg(o->met && o->delivered, "%s: %s", o->target->name, o->why);
    ck_assert_int_eq(o->int4, i == 1);
    ck_assert_int_eq(o->cost.macs, graph_macs(f.model));
    ck_assert_ptr_null(o->start);
  }
  tailor_result_free(&res);
  close_fixture(&f);
}
END_TEST

/* The model with Softmax behind it; int8: by its kernels. */
static Graph *as_form(const Fixture *f, const Graph *g, bool softmax, bool int8, TailorData *data) {
  Diag *d = diag_new();
  Graph *out = graph_clone(g);
  if (softmax) {
    const ValId last = out->outputs[0], y = graph_node1(out, OP_softmax, NULL, last, "shares", NULL, d);
    out->outputs[0] = y;
  }
  const Dataset *ds = NULL;
  ck_assert_msg(tailor_data(data, &ds, d), "%s", diag_text(d));
  PassCtx ctx = {.params = "", .data = ds, .seed = f->seed};
  Graph *done = pipeline_run(out, int8 ? "bnfuse,fuse,fold,quantize{images=64}" : "fold", &ctx, NULL, d);
  ck_assert_msg(done != NULL, "%s", diag_text(d));
  graph_free(out);
  diag_free(d);
  return done;
}

/* Divergence is one of outputs' shares, whether Softmax is in the graphs or not, and whether they are computed on codes. */
START_TEST(test_divergence_of_shares)
{
  Fixture f;
  open_fixture(&f);
  TailorData data = {.spec = &f.spec};
  TailorStepEnv env = {.data = &data};
  Graph *other = net_residual(1, 8);
  double got[2][2] = {{0}};
  for (int k = 0; k < 4; k++) {
    Graph *g = as_form(&f, other, k & 1, k & 2, &data),
          *reference = as_form(&f, f.model, k & 1, false, &data);
    Artifact in[3] = {artifact_from_graph(g), artifact_from_graph(reference),
                      artifact_from_hash(ART_DATA, f.data_identity)};
    Artifact m[STEP_MAX_OUT] = {0};
    int n = 0;
    const StepCall call = {.in = in, .n_in = 3, .params = "", .env = &env};
    ck_assert_msg(step_diverge.run(&call, m, &n, f.d), "%s", diag_text(f.d));
    got[k >> 1][k & 1] = measure_get(&m[0], "divergence", 0);
    artifact_unref(&m[0]);
    for (int i = 0; i < 2; i++) artifact_unref(&in[i]);
    graph_free(g);
    graph_free(reference);
  }
  ck_assert_msg(got[0][0] > 0.1, "%g: too alike to tell", got[0][0]);
  ck_assert_msg(fabs(got[0][1] - got[0][0]) < 1e-4 * got[0][0], "float: %g, with Softmax %g", got[0][0],
                got[0][1]);
  for (int s = 0; s < 2; s++)
    ck_assert_msg(fabs(got[1][s] - got[0][0]) < 0.1 * got[0][0], "int8, Softmax %d: %g, float %g", s,
                  got[1][s], got[0][0]);
  tailor_data_close(&data);
  graph_free(other);
  close_fixture(&f);
}
END_TEST

/* Of two ways to int8 the one that is nearer to float is delivered, whichever it is. */
START_TEST(test_other_way)
{
  static const char good[] = "bnfuse,fuse,fold,quantize{images=64}",
                    bad[] = "bnfuse,fuse,fold,quantize{images=1,method=percentile,percentile=51}";
  static const char *const ways[][2] = {{good, NULL}, {good, bad}, {bad, good}};
  Hash final[TARGETS];
  Fixture f;
  open_fixture(&f);
  for (int k = 0; k < 3; k++) {
    TailorResult res;
    f.int8 = ways[k][0], f.other = ways[k][1];
    run(&f, &res);
    if (k == 1) expect(&f, "another way", " finish diverge ");
    for (int i = 0; i < TARGETS; i++) {
      if (k == 0) final[i] = res.v[i].final.hash;
      ck_assert_str_eq(res.v[i].finish, good);
      ck_assert(hash_equal(res.v[i].final.hash, final[i]));
    }
    tailor_result_free(&res);
  }
  run_and_drop(&f);
  ck_assert_msg(f.ran.len == 0, "a second run repeated%s", sb_str(&f.ran));
  close_fixture(&f);
}
END_TEST

/* By an error table: one for both targets, layers solved anew where training begins with the original. */
START_TEST(test_by_table)
{
  Fixture f;
  TailorResult res;
  open_fixture(&f);
  f.prune = "by=reconstruction,least=2,images=128";
  run(&f, &res);
  for (int i = 0; i < TARGETS; i++) {
    const TailorOutcome *o = &res.v[i];
    ck_assert_msg(o->met && o->delivered, "%s: %s", o->target->name, o->why);
    ck_assert(o->val_final > 0.5);
  }
  ck_assert_str_eq(res.v[1].start, "loose");
  ck_assert_msg(strstr(sb_str(&f.ran), " shared:table") && strstr(sb_str(&f.ran), " loose:rebuild"), "ran:%s",
                sb_str(&f.ran));
  ck_assert_msg(!strstr(sb_str(&f.ran), " tight:rebuild"), "ran:%s", sb_str(&f.ran));
  tailor_result_free(&res);
  run_and_drop(&f);
  ck_assert_msg(f.ran.len == 0 && f.steps > 10, "a second run repeated%s", sb_str(&f.ran));
  close_fixture(&f);
}
END_TEST

/* Layers that stay whole do, through plans, pruning, warm starts. */
START_TEST(test_keep)
{
  Fixture f;
  TailorResult res;
  open_fixture(&f);
  NodeId first = net_find(f.model, OP_conv, 0);
  f.keep = node_label(f.model, &f.model->nodes[first]);
  run(&f, &res);
  for (int i = 0; i < TARGETS; i++) {
    ck_assert_msg(res.v[i].met, "%s: %s", res.v[i].target->name, res.v[i].why);
    Graph *g = artifact_graph(&res.v[i].final, f.d);
    ck_assert_msg(g != NULL, "%s", diag_text(f.d));
    const Node *conv = &g->nodes[net_find(g, OP_conv, 0)];
    ck_assert_int_eq(graph_val(g, conv->in[1])->shape.d[0], 8);
    graph_free(g);
  }
  tailor_result_free(&res);
  close_fixture(&f);
}
END_TEST

/* All students share the teacher's bank, which is made once. */
START_TEST(test_bank)
{
  Fixture f;
  open_fixture(&f);
  f.views = 2;
  run_and_drop(&f);
  const char *made = strstr(sb_str(&f.ran), " teacher:bank");
  ck_assert_msg(made && !strstr(made + strlen(" teacher:bank"), ":bank"), "ran%s", sb_str(&f.ran));
  ck_assert_msg(strstr(made, " loose:retrain") && strstr(made, " tight:retrain"), "ran%s", sb_str(&f.ran));
  f.target[1].limits.macs -= 1; /* another student, later */
  run_and_drop(&f);
  ck_assert_msg(!strstr(sb_str(&f.ran), ":bank"), "ran again%s", sb_str(&f.ran));
  f.views = 3;
  run_and_drop(&f);
  ck_assert_msg(strstr(sb_str(&f.ran), " teacher:bank loose:retrain"), "ran%s", sb_str(&f.ran));
  close_fixture(&f);
}
END_TEST

/* A larger teacher beside the original: prepared once, with a bank of its own. */
START_TEST(test_teachers)
{
  Fixture f;
  TailorResult alone, both;
  open_fixture(&f);
  f.views = 2;
  run(&f, &alone);
  Graph *larger = net_residual(2, 9);
  f.teacher = larger;
  run(&f, &both);
  expect(&f, "another teacher", " prepare bank retrain finish score deploy test proof ");
  ck_assert_msg(strstr(sb_str(&f.ran), " teacher:prepare teacher:bank loose:retrain"), "ran%s",
                sb_str(&f.ran));
  for (int i = 0; i < TARGETS; i++) {
    ck_assert_msg(both.v[i].met && both.v[i].val_final > 0.5, "%s", both.v[i].why);
    ck_assert(!hash_equal(alone.v[i].final.hash, both.v[i].final.hash));
  }
  tailor_result_free(&both);
  f.views = 0; /* nobody is followed without a share of the loss */
  run_and_drop(&f);
  ck_assert_msg(!strstr(sb_str(&f.ran), ":bank"), "ran%s", sb_str(&f.ran));
  tailor_result_free(&alone);
  graph_free(larger);
  close_fixture(&f);
}
END_TEST

/* A model that was folded before it came here is pruned and retrained with BatchNormalization; what is delivered has none,
 * and the original is measured as it is. */
START_TEST(test_folded_model)
{
  Fixture f;
  TailorResult res;
  open_fixture(&f);
  PassCtx ctx = {.params = ""};
  Graph *folded = pipeline_run(f.model, "bnfuse,fuse", &ctx, NULL, f.d);
  graph_free(f.model);
  f.model = folded;
  run(&f, &res);
  ck_assert_msg(strstr(sb_str(&f.ran), " shared:insert shared:importance"), "ran%s", sb_str(&f.ran));
  ck_assert_int_eq(res.params, graph_params(folded));
  for (int i = 0; i < TARGETS; i++) {
    ck_assert_msg(res.v[i].met, "%s", res.v[i].why ? res.v[i].why : "");
    Graph *g = artifact_graph(&res.v[i].final, f.d);
    ck_assert(g && net_find(g, OP_batch_normalization, 0) == NO_NODE);
    ck_assert_int_le(graph_macs(g), f.target[i].limits.macs);
    graph_free(g);
  }
  tailor_result_free(&res);
  f.target[0].limits = f.target[1].limits = (TailorLimits){0};
  run_and_drop(&f); /* nothing to prune, nothing put in */
  ck_assert_msg(!strstr(sb_str(&f.ran), ":insert"), "ran%s", sb_str(&f.ran));
  close_fixture(&f);
}
END_TEST

START_TEST(test_unreachable)
{
  Fixture f;
  TailorResult res;
  open_fixture(&f);
  f.target[1].limits = (TailorLimits){.flash = 10};
  run(&f, &res);
  ck_assert(res.v[0].met && res.v[0].delivered);
  ck_assert(!res.v[1].met && !res.v[1].delivered);
  ck_assert_msg(strstr(res.v[1].why, "flash") && strstr(res.v[1].why, "smallest that can be had"), "%s",
                res.v[1].why);
  tailor_result_free(&res);

  f.target[1].limits = (TailorLimits){.min_accuracy = 1.01};
  run(&f, &res);
  ck_assert(!res.v[1].met && res.v[1].delivered);
  ck_assert_msg(strstr(res.v[1].why, "floor 101.00 %") != NULL, "%s", res.v[1].why);
  tailor_result_free(&res);
  close_fixture(&f);
}
END_TEST

static void expect_said(const Fixture *f, const char *what) {
  const char *said = sb_str(&f->said);
  ck_assert_msg(strstr(said, what) != NULL, "want \"%s\" in the log, which ends\n%s", what,
                said + (f->said.len > 3000 ? f->said.len - 3000 : 0));
}

/* A target that widths alone do not serve gets another structure; what the model does not allow is said. */
START_TEST(test_structures)
{
  static const TailorVariant v[] = {{"half", "resolution{share=0.5}"},
                                    {"whole", "resolution{size=8}"},
                                    {"twice half", "resolution{size=4}"},
                                    {"shallow", "depth{blocks=9}"}};
  Fixture f;
  TailorResult res;
  open_fixture(&f);
  f.variants = v, f.n_variants = 4;
  f.prune = "by=reconstruction,least=2,min=0.8,images=128";
  f.target[0].limits.macs = graph_macs(f.model) * 8 / 10;
  run(&f, &res);
  ck_assert_msg(res.v[0].met && res.v[1].met, "%s; %s", res.v[0].why, res.v[1].why);
  ck_assert_str_eq(res.v[1].variant, "half");
  ck_assert_msg(res.v[1].val_final > 0.5, "accuracy %g", res.v[1].val_final);
  ck_assert_int_le(res.v[1].cost.macs, f.target[1].limits.macs);
  Graph *g = artifact_graph(&res.v[1].final, f.d);
  ck_assert_int_eq(graph_val(g, g->inputs[0])->shape.d[1], SIDE / 2);
  graph_free(g);
  expect_said(&f, "whole: as the original");
  expect_said(&f, "twice half: as half");
  expect_said(&f, "shallow: not for this model: depth: 9 blocks to drop, but there are");
  expect_said(&f, "half: retrained for 128 images (25 % of a retraining) before widths are found");
  expect_said(&f, "tight: half: taken, the nearest to the original of 1");
  tailor_result_free(&res);
  run_and_drop(&f);
  ck_assert_msg(f.ran.len == 0, "a second run repeated%s", sb_str(&f.ran));
  edit_source(&f, "passes/resolution.c");
  run_and_drop(&f);
  expect(&f, "passes/resolution.c", " vary ");
  close_fixture(&f);
}
END_TEST

/* Candidates that are close are retrained shortly; of two targets the second finds the variants made. */
START_TEST(test_close_candidates)
{
  static const TailorVariant v[] = {{"half", "resolution{share=0.5}"}, {"thin", "lowrank{energy=0.9}"}};
  Fixture f;
  TailorResult res;
  open_fixture(&f);
  f.variants = v, f.n_variants = 2, f.close = 1e9;
  run(&f, &res);
  for (int i = 0; i < TARGETS; i++)
    ck_assert_msg(res.v[i].met && res.v[i].val_final > 0.5, "%g %s", res.v[i].val_final, res.v[i].why);
  expect_said(&f, "tight: 3 candidates are close: each is retrained for 128 images (25 % of a retraining)");
  expect_said(&f, "tight: widths alone: accuracy on validation");
  expect_said(&f, "tight: thin: accuracy on validation");
  const char *once = strstr(sb_str(&f.ran), " half:vary");
  ck_assert_msg(once && !strstr(strstr(once + 1, " tight:"), " half:vary"), "ran%s", sb_str(&f.ran));
  tailor_result_free(&res);
  f.close = 0;
  f.prune = "by=reconstruction,least=2,images=128";
  f.target[0].limits.macs = graph_macs(f.model) * 99 / 100;
  run_and_drop(&f);
  expect_said(&f, "loose: widths alone lose little: no other structure is tried");
  close_fixture(&f);
}
END_TEST

START_TEST(test_early_test_split)
{
  Fixture f;
  open_fixture(&f);
  TailorData data = {.spec = &f.spec};
  const Split *test = NULL;
  ck_assert(!tailor_test_data(&data, &test, f.d));
  ck_assert_msg(strstr(diag_text(f.d), "before searching was over") != NULL, "%s", diag_text(f.d));
  close_fixture(&f);
}
END_TEST

/* ---- What an edit repeats */

START_TEST(test_source_edits)
{
  /* An edit that leaves results as they are stops there: what follows is found by content. */
  static const struct {
    const char *path, *want;
  } cases[] = {{"passes/layout.c", " prepare "},
               {"passes/prune_score.c", " importance "},
               {"passes/prune_plan.c", " plan "},
               {"passes/prune_apply.c", " plan prune retrain "},
               {"passes/bnfuse.c", " plan finish "},
               {"passes/calibrate.c", " finish "},
               {"passes/fold.c", " prepare plan finish "},
               {"backend/cost.c", " plan deploy proof "},
               {"runtime/engine/train/train.c", " importance retrain finish score test "},
               {"ir/graph.c", " prepare importance plan prune retrain finish score test "}};
  Fixture f;
  open_fixture(&f);
  run_and_drop(&f);
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    memcpy(f.prints, source_prints, source_prints_count * sizeof *source_prints);
    edit_source(&f, cases[i].path);
    run_and_drop(&f);
    expect(&f, cases[i].path, cases[i].want);
  }
  close_fixture(&f);
}
END_TEST

START_TEST(test_other_edits)
{
  Fixture f;
  open_fixture(&f);
  run_and_drop(&f);

  f.data_identity = hash_bytes("other", 5);
  run_and_drop(&f);
  expect(&f, "training data", " importance retrain finish score ");

  f.test_identity = hash_bytes("other", 5);
  run_and_drop(&f);
  expect(&f, "test data", " test proof ");

  f.cost[1].key = hash_bytes("board", 5);
  run_and_drop(&f);
  expect(&f, "board", " plan deploy proof ");
  ck_assert_msg(strstr(sb_str(&f.ran), "loose:") == NULL, "another target's board: ran%s", sb_str(&f.ran));

  f.target[1].limits.macs = f.target[1].limits.macs * 9 / 10;
  run_and_drop(&f);
  expect(&f, "limit", " plan prune retrain finish score deploy test proof ");
  ck_assert_msg(strstr(sb_str(&f.ran), "loose:") == NULL, "another target's limit: ran%s", sb_str(&f.ran));

  graph_free(f.model);
  f.model = net_residual(1, 8);
  run_and_drop(&f);
  expect(&f, "model", " prepare importance plan prune retrain finish score deploy test proof ");
  close_fixture(&f);
}
END_TEST

/* Does every step that ran belong to one of `slots` (" later shared ")? */
static void expect_slots(const Fixture *f, const char *slots) {
  for (const char *p = sb_str(&f->ran); *p;) {
    const size_t n = strcspn(++p, ":");
    char slot[80];
    snprintf(slot, sizeof slot, " %.*s ", (int)n, p);
    ck_assert_msg(strstr(slots, slot) != NULL, "ran%s; want only those of%s", sb_str(&f->ran), slots);
    p += strcspn(p, " ");
  }
}

/* Everything that is delivered, as hashes. */
static void finals(Fixture *f, Hash *out) {
  TailorResult res;
  run(f, &res);
  for (int i = 0; i < f->n; i++) {
    ck_assert_msg(res.v[i].met, "%s: %s", f->target[i].name, res.v[i].why);
    out[i] = res.v[i].final.hash;
  }
  tailor_result_free(&res);
}

/* Requests that come later join the plan and pay for themselves alone; without it, all is planned anew. */
static void later_requests(const char *prune) {
  Fixture f;
  Hash before[MOST], after[MOST];
  open_fixture(&f);
  f.prune = prune;
  finals(&f, before);
  char *plan = arena_strdup(f.a, sb_str(&f.lock));
  f.plan = plan;
  run_and_drop(&f);
  ck_assert_msg(f.ran.len == 0, "by its own plan it repeated%s", sb_str(&f.ran));
  ck_assert_str_eq(sb_str(&f.lock), plan);
  f.n = MOST;
  finals(&f, after);
  expect_slots(&f, " later least ");
  ck_assert_msg(strstr(sb_str(&f.ran), " later:retrain") && strstr(sb_str(&f.ran), " least:retrain"),
                "ran:%s", sb_str(&f.ran));
  for (int i = 0; i < TARGETS; i++) ck_assert(hash_equal(before[i], after[i]));
  /* One of them tightened, then gone: its own branch alone. */
  f.plan = arena_strdup(f.a, sb_str(&f.lock));
  f.target[2].limits.macs = f.target[2].limits.macs * 9 / 10;
  f.target[2].limits.cycles = 2 * f.target[2].limits.macs;
  finals(&f, before);
  expect_slots(&f, " later ");
  for (int i = 0; i < MOST; i++) ck_assert(i == 2 || hash_equal(before[i], after[i]));
  f.plan = arena_strdup(f.a, sb_str(&f.lock));
  f.target[2] = f.target[3];
  f.n = 3;
  finals(&f, before);
  ck_assert_msg(f.ran.len == 0, "ran%s", sb_str(&f.ran));
  ck_assert_ptr_null(strstr(sb_str(&f.lock), "\"later\""));
  close_fixture(&f);
}

START_TEST(test_later_requests)
{ later_requests(NULL); }
END_TEST
START_TEST(test_later_requests_by_table)
{ later_requests("by=reconstruction,least=2,images=128"); }
END_TEST

/* A plan of another seed, or that is damaged, is not gone on with. */
START_TEST(test_other_plan)
{
  Fixture f;
  open_fixture(&f);
  run_and_drop(&f);
  char *plan = arena_strdup(f.a, sb_str(&f.lock));
  f.plan = arena_strndup(f.a, plan, strlen(plan) / 2);
  run_and_drop(&f);
  ck_assert_msg(strstr(sb_str(&f.said), "cannot be read") != NULL, "%s", sb_str(&f.said));
  ck_assert_str_eq(sb_str(&f.lock), plan);
  f.plan = plan;
  f.seed = 2;
  run_and_drop(&f);
  ck_assert_msg(strstr(sb_str(&f.said), "planned anew") != NULL, "%s", sb_str(&f.said));
  ck_assert_str_ne(sb_str(&f.lock), plan);
  close_fixture(&f);
}
END_TEST

/* All are cut from one elastic model. */
START_TEST(test_elastic_sharing)
{
  Fixture f;
  Hash got[MOST];
  open_fixture(&f);
  f.sharing = SHARE_ELASTIC;
  f.n = 3;
  finals(&f, got);
  ck_assert_msg(strstr(sb_str(&f.ran), " shared:elastic") && strstr(sb_str(&f.ran), " tight:cut"), "ran:%s",
                sb_str(&f.ran));
  ck_assert_msg(!strstr(sb_str(&f.ran), ":retrain"), "ran:%s", sb_str(&f.ran));
  close_fixture(&f);
}
END_TEST

/* Alone, each is retrained from the original; finished graphs need no device. */
START_TEST(test_no_sharing)
{
  Fixture f;
  TailorResult res;
  open_fixture(&f);
  f.sharing = SHARE_NOTHING;
  f.graphs = true;
  run(&f, &res);
  for (int i = 0; i < f.n; i++) {
    ck_assert_msg(res.v[i].met && res.v[i].delivered, "%s", res.v[i].why);
    ck_assert_str_eq(res.v[i].start, "");
    ck_assert_ptr_null(res.v[i].files.bytes);
    ck_assert_int_eq(res.models[i].images, 512);
    ck_assert_uint_eq(res.v[i].proof.emitted.n, 128);
  }
  ck_assert_msg(!strstr(sb_str(&f.ran), ":deploy") && !strstr(sb_str(&f.ran), ":proof"), "ran:%s",
                sb_str(&f.ran));
  ck_assert_double_gt(res.ways[SHARE_NOTHING].seconds, res.ways[SHARE_TREE].seconds);
  tailor_result_free(&res);
  close_fixture(&f);
}
END_TEST

Suite *suite_tailor(void) {
  Suite *s = suite_create("tailor");
  TCase *t = tcase_create("tailor");
  tcase_add_test(t, test_limits_and_sharing);
  tcase_add_test(t, test_by_table);
  tcase_add_test(t, test_int4);
  tcase_add_test(t, test_divergence_of_shares);
  tcase_add_test(t, test_other_way);
  tcase_add_test(t, test_keep);
  tcase_add_test(t, test_bank);
  tcase_add_test(t, test_teachers);
  tcase_add_test(t, test_folded_model);
  tcase_add_test(t, test_unreachable);
  tcase_add_test(t, test_structures);
  tcase_add_test(t, test_close_candidates);
  tcase_add_test(t, test_early_test_split);
  tcase_add_test(t, test_source_edits);
  tcase_add_test(t, test_other_edits);
  tcase_add_test(t, test_later_requests);
  tcase_add_test(t, test_later_requests_by_table);
  tcase_add_test(t, test_other_plan);
  tcase_add_test(t, test_elastic_sharing);
  tcase_add_test(t, test_no_sharing);
  suite_add_tcase(s, t);
  return s;
}
