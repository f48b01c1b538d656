/* Allocation by an error table: costs of removed columns against least squares done directly, order, text form; on a
 * residual net the whole pass, its limits, and the same bytes with any number of threads.
 */
#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "passes/allocate/allocate.h"
#include "passes/allocate/obs.h"
#include "runtime/engine/divergence.h"
#include "runtime/engine/linear.h"
#include "runtime/engine/engine.h"
#include "tests/passes/images.h"
#include "tests/passes/nets.h"
#include "tests/support.h"

Suite *suite_allocate(void);

/* -- linear algebra, orders -- */

enum { N = 9, M = 3, ROWS = 40, UNITS = 4, TAPS = 2 };

typedef struct Problem {
  double x[ROWS * N], w[N * M], h[N * N];
} Problem;

/* Columns 2u, 2u+1 belong to unit u, column 8 stays. */
static Problem make_problem(uint64_t seed) {
  Problem p;
  Rng r;
  rng_seed(&r, seed, 1);
  for (int i = 0; i < ROWS * N; i++) p.x[i] = (double)rng_normal(&r);
  for (int i = 0; i < N * M; i++) p.w[i] = (double)rng_normal(&r);
  return p;
}

static void square(Problem *p) {
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++) {
      p->h[i * N + j] = 0;
      for (int k = 0; k < ROWS; k++) p->h[i * N + j] += p->x[k * N + i] * p->x[k * N + j] / ROWS;
    }
}

/* Mean square error, summed over outputs, of the best weights on the columns that are not gone. */
static double direct_error(const Problem *p, const bool *gone) {
  double x[ROWS * N], y[ROWS * M], w[N * M];
  Normal s;
  normal_init(&s, N, M);
  for (int k = 0; k < ROWS; k++) {
    for (int m = 0; m < M; m++) {
      y[k * M + m] = 0;
      for (int i = 0; i < N; i++) y[k * M + m] += p->x[k * N + i] * p->w[i * M + m];
    }
    for (int i = 0; i < N; i++) x[k * N + i] = i / TAPS < UNITS && gone[i / TAPS] ? 0 : p->x[k * N + i];
  }
  normal_add(&s, x, y, ROWS);
  normal_solve(&s, 0, 0, w);
  double e = normal_error(&s, w) / ROWS;
  normal_free(&s);
  return e;
}

static void run_obs(const Problem *p, uint32_t *order, double *error) {
  double h[N * N], w[N * M];
  static const double own[UNITS];
  uint32_t unit[N];
  memcpy(h, p->h, sizeof h);
  memcpy(w, p->w, sizeof w);
  for (uint32_t i = 0; i < N; i++) unit[i] = i / TAPS < UNITS ? i / TAPS : OBS_NONE;
  spd_invert(h, N);
  ObsSystem s = {.n = N, .m = M, .h = h, .w = w, .unit = unit};
  obs_order(&s, 1, UNITS, own, NULL, 0, order, error);
}

START_TEST(inverse)
{
  enum { K = 130 };
  double *a = mem_array(K * K, sizeof *a), *b = mem_array(K * K, sizeof *b), *c = mem_array(K * K, sizeof *c);
  Rng r;
  rng_seed(&r, 3, 3);
  for (int i = 0; i < K * K; i++) c[i] = (double)rng_normal(&r);
  cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, K, K, 1, c, K, 0, a, K);
  for (int i = 0; i < K; i++)
    for (int j = 0; j <= i; j++) b[i * K + j] = b[j * K + i] = a[i * K + j] += i == j ? 5 : 0;
  spd_invert(a, K);
  cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, K, K, K, 1, a, K, b, K, 0, c, K);
  for (int i = 0; i < K * K; i++) ck_assert(fabs(c[i] - (i % (K + 1) == 0 ? 1 : 0)) < 1e-9);
  mem_free(a);
  mem_free(b);
  mem_free(c);
}
END_TEST

/* Each step takes the unit whose removal leaves the least error, and the error is that of least squares. */
START_TEST(costs_are_least_squares)
{
  for (uint64_t seed = 0; seed < 20; seed++) {
    Problem p = make_problem(seed);
    uint32_t order[UNITS];
    double error[UNITS];
    bool gone[UNITS] = {false};
    square(&p);
    run_obs(&p, order, error);
    for (int k = 0; k < UNITS; k++) {
      double least = INFINITY, got;
      for (int u = 0; u < UNITS; u++) {
        if (gone[u]) continue;
        gone[u] = true;
        least = fmin(least, direct_error(&p, gone));
        gone[u] = false;
      }
      gone[order[k]] = true;
      got = direct_error(&p, gone);
      ck_assert_msg(fabs(got - least) < 1e-9 * (1 + least), "step %d takes %g, want %g", k, got, least);
      ck_assert_msg(fabs(error[k] - got) < 1e-8 * (1 + got), "step %d: %g, want %g", k, error[k], got);
    }
  }
}
END_TEST

START_TEST(combination_costs_nothing)
{
  Problem p = make_problem(77);
  for (int k = 0; k < ROWS; k++) /* unit 2 is what units 0 and 1 give together */
    for (int t = 0; t < TAPS; t++) p.x[k * N + 4 + t] = 2 * p.x[k * N + t] - p.x[k * N + 2 + t];
  uint32_t order[UNITS];
  double error[UNITS];
  square(&p);
  for (int i = 0; i < N; i++) p.h[i * (N + 1)] += 1e-9;
  run_obs(&p, order, error);
  ck_assert(order[0] != 3 && error[0] < 1e-6 && error[1] > 1e-2);
}
END_TEST

/* -- nets -- */

typedef struct Fixture {
  Graph *g;
  Dataset ds;
  PassCtx ctx;
  Diag *d;
} Fixture;

enum { IMAGES = 300 };

static Fixture open_net(void) {
  Fixture f = {.g = net_residual(2, 5), .d = diag_new()};
  f.ds = (Dataset){
      .train = {.n = IMAGES, .dtype = DT_F32, .item = shape_of(3, (int64_t)8, (int64_t)8, (int64_t)3)}};
  size_t n = IMAGES * 192;
  float *x = mem_array(n, sizeof *x);
  int32_t *y = mem_array(IMAGES, sizeof *y);
  Rng r;
  rng_seed(&r, 8, 8);
  for (size_t i = 0; i < n; i++) x[i] = rng_normal(&r);
  f.ds.train.xb = blob_adopt(x, n * sizeof *x);
  f.ds.train.yb = blob_adopt(y, IMAGES * sizeof *y);
  f.ds.train.x = x, f.ds.train.y = y;
  Graph *raw = f.g; /* random statistics are nobody's */
  f.g = reestimate_bn(raw, &f.ds, IMAGES, NULL, f.d);
  ck_assert_msg(f.g != NULL, "%s", diag_text(f.d));
  graph_free(raw);
  return f;
}

static void close_net(Fixture *f) {
  blob_unref(f->ds.train.xb);
  blob_unref(f->ds.train.yb);
  graph_free(f->g);
  diag_free(f->d);
}

static Graph *run(Fixture *f, const char *params, int threads) {
  const Host host = {.threads = threads};
  const Pass *pass = pass_find("allocate");
  ck_assert(pass != NULL);
  PassCtx ctx = {.params = params, .data = &f->ds, .host = &host, .seed = 1};
  Graph *g = pass->run(f->g, &ctx, f->d);
  ck_assert_msg(g != NULL && graph_verify(g, f->d), "%s: %s", params, diag_text(f->d));
  return g;
}

static double divergence(Fixture *f, const Graph *g) {
  Divergence v;
  ck_assert_msg(graph_divergence(f->g, g, &f->ds, 0, IMAGES, NULL, &v, f->d), "%s", diag_text(f->d));
  return v.value;
}

START_TEST(better_than_l1)
{
  Fixture f = open_net();
  Graph *ours = run(&f, "macs=0.5,images=256,bn_images=256,least=1", 2),
        *l1 = run(&f, "macs=0.5,by=l1,uniform=1,images=256,bn_images=256,least=1", 2);
  ck_assert(graph_macs(ours) <= graph_macs(f.g) / 2);
  ck_assert(graph_macs(l1) <= graph_macs(f.g) / 2);
  double a = divergence(&f, ours), b = divergence(&f, l1);
  ck_assert_msg(a < b, "divergence %g, by l1 %g", a, b);
  graph_free(ours);
  graph_free(l1);
  close_net(&f);
}
END_TEST

START_TEST(same_bytes_on_any_threads)
{
  Fixture f = open_net();
  Graph *one = run(&f, "macs=0.6,images=100,bn_images=100", 1),
        *three = run(&f, "macs=0.6,images=100,bn_images=100", 3);
  Hash a = graph_hash(one), b = graph_hash(three);
  ck_assert(memcmp(&a, &b, sizeof a) == 0);
  graph_free(one);
  graph_free(three);
  close_net(&f);
}
END_TEST

/* Reconstruction helps: the same channels gone, layers as they were. */
START_TEST(rebuilt_is_nearer)
{
  Fixture f = open_net();
  const Host host = {.threads = 2};
  PassCtx ctx = {.params = "macs=0.6,by=l2", .data = &f.ds, .host = &host};
  Graph *cut = pass_find("prune")->run(f.g, &ctx, f.d),
        *rebuilt = run(&f, "macs=0.6,by=l2,images=256,bn_images=0", 2);
  ck_assert_msg(cut != NULL, "%s", diag_text(f.d));
  double a = divergence(&f, rebuilt), b = divergence(&f, cut);
  ck_assert_msg(a < b / 2, "divergence %g, without reconstruction %g", a, b);
  graph_free(cut);
  graph_free(rebuilt);
  close_net(&f);
}
END_TEST

/* The net cut by l2 and rebuilt with these options. */
static Graph *rebuild(Fixture *f, uint32_t images, int64_t kept, int rounds, RebuildResult *res) {
  Arena *a = arena_new();
  AllocateOptions o;
  Channels c;
  PrunePlan plan;
  ck_assert(allocate_options_parse("macs=0.6,by=l2", a, &o, f->d) && channels_find(f->g, NULL, &c, f->d));
  PassCtx ctx = {.data = &f->ds};
  Blob *scores = prune_importance(&c, &o.prune, &ctx, f->d);
  ck_assert_msg(scores && prune_plan(&c, scores, &o.prune, &ctx, NULL, &plan, f->d), "%s", diag_text(f->d));
  Graph *small = prune_apply(&c, &plan, f->d);
  o.rebuild.images = images, o.rebuild.rounds = rounds;
  if (kept) o.rebuild.kept = kept;
  Graph *g = allocate_rebuild(&c, &plan, small, &o, &ctx, res, f->d);
  ck_assert_msg(g != NULL, "%s", diag_text(f->d));
  graph_free(small);
  prune_plan_free(&plan);
  blob_unref(scores);
  channels_free(&c);
  arena_free(a);
  return g;
}

/* Values that are larger than what may be kept are not: the same weights. An input that is larger: fewer images. */
START_TEST(what_is_kept_is_bounded)
{
  Fixture f = open_net();
  RebuildResult r;
  const int64_t item = 192;
  Graph *all = rebuild(&f, 128, 0, 2, &r), *input = rebuild(&f, 128, 128 * item, 2, &r),
        *half = rebuild(&f, 128, 64 * item, 2, &r), *few = rebuild(&f, 64, 0, 2, &r);
  Hash a = graph_hash(all), b = graph_hash(input), c = graph_hash(half), e = graph_hash(few);
  ck_assert(hash_equal(a, b));
  ck_assert(hash_equal(c, e) && !hash_equal(a, c));
  graph_free(all);
  graph_free(input);
  graph_free(half);
  graph_free(few);
  close_net(&f);
}
END_TEST

/* The error that is reported is of the weights that are given: rounds, which look away from what a Relu hides, add to it. */
START_TEST(reported_error_is_of_what_is_given)
{
  Fixture f = open_net();
  RebuildResult plain, rounds;
  Graph *a = rebuild(&f, 128, 0, 0, &plain), *b = rebuild(&f, 128, 0, 8, &rounds);
  ck_assert(plain.layers == rounds.layers && plain.after < plain.before);
  ck_assert_msg(rounds.after > 1.05 * plain.after, "%g, with rounds %g", plain.after, rounds.after);
  graph_free(a);
  graph_free(b);
  close_net(&f);
}
END_TEST

START_TEST(judges_have_images_of_their_own)
{
  static const char *const params[] = {"", "images=4096", "images=100000,trials=50000", "bn_images=3000"};
  for (size_t i = 0; i < sizeof params / sizeof *params; i++)
    for (uint32_t n = 2; n < 70000; n = n * 3 / 2 + 1) {
      Arena *a = arena_new();
      Diag *d = diag_new();
      AllocateOptions o;
      ck_assert(allocate_options_parse(params[i], a, &o, d));
      Judged j = allocate_judged(&o, n);
      ck_assert(j.n > 0 && j.n <= 512 && j.first > 0 && j.first + j.n <= n);
      bool behind = j.first >= o.grams.images && j.first >= o.prune.images && j.first >= o.trial_images &&
                    j.first >= o.bn_images;
      ck_assert(behind || j.first + j.n == n);
      diag_free(d);
      arena_free(a);
    }
}
END_TEST

/* by=reconstruction is a parameter, not a text somewhere in one. */
START_TEST(by_is_read_by_its_key)
{
  Arena *a = arena_new();
  Diag *d = diag_new();
  AllocateOptions o;
  ck_assert(allocate_options_parse("keep=by=reconstruction;b,by=reconstruction,least=3", a, &o, d) &&
            o.table);
  ck_assert_str_eq(o.prune.keep, "by=reconstruction;b");
  ck_assert_uint_eq(o.prune.least, 3);
  ck_assert(!allocate_by_table("by=l2,keep=by=reconstruction"));
  diag_free(d);
  arena_free(a);
}
END_TEST

START_TEST(table_text)
{
  Fixture f = open_net();
  Channels c;
  Grams grams;
  ErrorTable t, back;
  GramOptions o;
  StrBuf text = {0}, again = {0};
  gram_options_default(&o);
  o.images = 64;
  ck_assert_msg(channels_find(f.g, NULL, &c, f.d), "%s", diag_text(f.d));
  ck_assert_msg(grams_collect(f.g, &f.ds, &o, 1, NULL, &grams, f.d), "%s", diag_text(f.d));
  PassCtx ctx = {.data = &f.ds};
  const TableOptions to = {.ridge = 1e-3, .fisher = true, .trial_images = 64};
  ck_assert_msg(error_table_build(&c, &grams, &to, &ctx, &t, f.d), "%s", diag_text(f.d));
  error_table_print(&c, &t, &text);
  ck_assert_msg(error_table_parse(sb_str(&text), &c, &back, f.d), "%s", diag_text(f.d));
  error_table_print(&c, &back, &again);
  ck_assert_str_eq(sb_str(&text), sb_str(&again));
  for (uint32_t g = 0; g < t.n_groups; g++) { /* errors rise, units are a permutation */
    uint32_t first = c.groups[g].first, sum = 0;
    for (uint32_t k = 0; k < t.size[g]; k++) {
      sum += t.order[first + k];
      ck_assert(t.error[first + k] >= (k ? t.error[first + k - 1] : 0));
    }
    ck_assert_uint_eq(sum, t.size[g] * (t.size[g] - 1) / 2);
  }
  error_table_free(&back);
  text.s[text.len - 2] = 'x';
  ck_assert(!error_table_parse(sb_str(&text), &c, &back, f.d));
  error_table_free(&t);
  grams_free(&grams);
  channels_free(&c);
  sb_free(&text);
  sb_free(&again);
  close_net(&f);
}
END_TEST

/* Statistics follow what is read, and scale and bias make up for it: nothing that the graph computes changes. */
START_TEST(statistics_follow)
{
  Graph *g = net_residual(3, 6);
  Dataset ds = images_random(g, 96, 4, 5);
  Diag *d = diag_new();
  Graph *f = follow_bn(g, &ds, 96, NULL, d);
  ck_assert_msg(f != NULL && graph_verify(f, d), "%s", diag_text(d));
  Split s = ds.train;
  Accuracy acc;
  const int64_t out = shape_count(&graph_val(g, g->outputs[0])->shape);
  const size_t n = (size_t)(96 * (out < 0 ? -out : out));
  float *a = mem_array(n, sizeof *a), *b = mem_array(n, sizeof *b);
  ck_assert(graph_accuracy(g, &s, &ds.spec.normalize, 1, NULL, &acc, a, d) &&
            graph_accuracy(f, &s, &ds.spec.normalize, 1, NULL, &acc, b, d));
  double most = 0;
  for (size_t i = 0; i < n; i++) most = fmax(most, fabs((double)a[i]));
  for (size_t i = 0; i < n; i++) ck_assert(fabs((double)a[i] - (double)b[i]) <= 1e-4 * most);
  int norms = 0;
  for (NodeId k = 0; k < f->n_nodes; k++) {
    const Node *bn = &f->nodes[k];
    if (bn->op != OP_batch_normalization) continue;
    double mean[64], variance[64];
    const int64_t c = shape_count(&graph_val(f, bn->in[1])->shape);
    ck_assert(c <= 64);
    const Moments m = {c, mean, variance};
    ck_assert(collect_moments(f, &ds, 96, NULL, &bn->in[0], 1, &m, d));
    const float *rm = val_data(f, bn->in[3]), *rv = val_data(f, bn->in[4]),
                *was = val_data(g, g->nodes[k].in[4]);
    bool moved = false;
    for (int64_t i = 0; i < c; i++) {
      ck_assert(fabs(mean[i] - (double)rm[i]) <= 1e-3 * sqrt(variance[i]) + 1e-6);
      ck_assert(fabs(variance[i] - (double)rv[i]) <= 1e-3 * variance[i] + 1e-9);
      moved |= fabs((double)was[i] - (double)rv[i]) > 1e-2 * variance[i];
    }
    norms += moved;
  }
  ck_assert_int_gt(norms, 0);
  mem_free(a), mem_free(b);
  graph_free(f), graph_free(g);
  images_free(&ds);
  diag_free(d);
}
END_TEST

Suite *suite_allocate(void) {
  Suite *s = suite_create("allocate");
  TCase *t = tcase_create("allocate");
  openblas_set_num_threads(1);
  tcase_set_timeout(t, 120);
  tcase_add_test(t, inverse);
  tcase_add_test(t, costs_are_least_squares);
  tcase_add_test(t, combination_costs_nothing);
  tcase_add_test(t, better_than_l1);
  tcase_add_test(t, same_bytes_on_any_threads);
  tcase_add_test(t, rebuilt_is_nearer);
  tcase_add_test(t, statistics_follow);
  tcase_add_test(t, what_is_kept_is_bounded);
  tcase_add_test(t, reported_error_is_of_what_is_given);
  tcase_add_test(t, judges_have_images_of_their_own);
  tcase_add_test(t, by_is_read_by_its_key);
  tcase_add_test(t, table_text);
  suite_add_tcase(s, t);
  return s;
}
