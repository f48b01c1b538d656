/* Sessions: the forward pass against the generic kernels, threads, memory reuse, SGD, BatchNormalization's statistics,
 * what is refused.
 */
#include <cblas.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "ir/base/mem.h"
#include "ir/eval.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/train/optimizer.h"
#include "runtime/engine/session.h"
#include "tests/engine/nets.h"
#include "tests/support.h"

/* A residual net with every kind of block: strided and padded shortcuts, depthwise, pools, broadcast, flattening. */
#define NET(batch)                                                                                           \
  "%1 = input : f32[" batch ",8,8,3]\n%2 = const : f32[8,3,3,3] {?}\n%3 = Conv(%1, %2) {pads=[1,1,1,1]}\n"   \
  "%g = const : f32[8] {?}\n%b = const : f32[8] {?}\n%m = const : f32[8] {?}\n%v = const : f32[8] {?}\n"     \
  "%4 = BatchNormalization(%3, %g, %b, %m, %v)\n%5 = Relu(%4)\n"                                             \
  "%6 = const : f32[1,3,3,8] {?}\n%7 = DepthwiseConv(%5, %6, %b) {pads=[1,1,1,1], act=relu6}\n"              \
  "%8 = const : f32[12,1,1,8] {?}\n%9 = Conv(%7, %8) {strides=[2,2]}\n"                                      \
  "%10 = Slice(%5) {starts=[0,0,0,0], counts=[-1,4,4,8], steps=[1,2,2,1]}\n"                                 \
  "%11 = Pad(%10) {pads=[0,0,0,2,0,0,0,2]}\n%12 = Add(%9, %11)\n%13 = Relu(%12)\n"                           \
  "%14 = MaxPool(%13) {kernel=[2,2], strides=[2,2]}\n%15 = AveragePool(%14) {kernel=[2,2], strides=[2,2]}\n" \
  "%16 = ReduceMean(%13) {axes=[1,2]}\n%17 = Sub(%15, %16)\n%18 = Reshape(%17) {shape=[-1,12]}\n"            \
  "%19 = const : f32[5,12] {?}\n%20 = const : f32[5] {?}\n%21 = FullyConnected(%18, %19, %20)\n"             \
  "%22 = Softmax(%21)\noutput %22\n"

static void scaled_grid(float *x, int64_t n, uint64_t seed) {
  net_grid(x, n, seed);
  for (int64_t i = 0; i < n; i++) x[i] /= (float)n * 0.03f; /* -1 to 1 */
}

static void near(const float *got, const float *want, int64_t n, double tol, const char *what) {
  double top = 0;
  for (int64_t i = 0; i < n; i++) top = fmax(top, fabs((double)want[i]));
  for (int64_t i = 0; i < n; i++)
    ck_assert_msg(fabs((double)got[i] - (double)want[i]) <= tol * fmax(1, top),
                  "%s: element %lld: got %g, want %g", what, (long long)i, (double)got[i], (double)want[i]);
}

/* Every value of the session (all kept) against the evaluator's, for `n` examples. */
static void compare_all(const Graph *g, int n, bool portable) {
  Diag *d = diag_new();
  Graph *b = graph_with_batch(g, n, d);
  Evaluator *e = b ? evaluator_new(b, d) : NULL;
  if (!e) ck_abort_msg("%s", diag_text(d));
  int64_t count = shape_count(&b->vals[b->inputs[0]].shape);
  float *x = mem_array((size_t)count, sizeof *x);
  scaled_grid(x, count, 4);
  evaluator_run(e, (const void *const[]){x});
  Session *s =
      net_session(g, (SessionOptions){.batch = n + 3, .threads = 2, .keep = true, .portable = portable});
  session_forward(s, x, n, false);
  ck_assert_uint_eq(g->n_nodes, b->n_nodes);
  for (uint32_t i = 0; i < g->n_nodes; i++) {
    ValId v = g->nodes[i].out[0], w = b->nodes[i].out[0];
    ck_assert_ptr_nonnull(session_activation(s, v));
    near(session_activation(s, v), evaluator_value(e, w), shape_count(&b->vals[w].shape), 1e-5,
         op_info(g->nodes[i].op)->name);
  }
  session_free(s);
  evaluator_free(e);
  graph_free(b);
  mem_free(x);
  diag_free(d);
}

/* The caller's input is there after a training step: clipping takes it in rounds. */
START_TEST(input_is_kept_in_training)
{
  Graph *g = net_parse("%1 = input : f32[N,8,8,3]\n%a = const : f32[3] {?}\n%2 = Sub(%1, %a)\n"
                       "%3 = const : f32[16,3,3,3] {?}\n%4 = Conv(%2, %3) {pads=[1,1,1,1]}\n"
                       "%g = const : f32[16] {?}\n%b = const : f32[16] {?}\n%m = const : f32[16] {?}\n%v = "
                       "const : f32[16] {?}\n"
                       "%5 = BatchNormalization(%4, %g, %b, %m, %v)\n%6 = Relu(%5)\n"
                       "%7 = Slice(%6) {starts=[0,0,0,0], counts=[-1,4,4,16], steps=[1,2,2,1]}\n"
                       "%8 = Pad(%7) {pads=[0,0,0,2,0,0,0,2]}\n%9 = ReduceMean(%8) {axes=[1,2], keepdims=0}\n"
                       "%10 = const : f32[5,20] {?}\n%11 = FullyConnected(%9, %10)\noutput %11\n",
                       3);
  enum { IMAGES = 16, ALL = IMAGES * 8 * 8 * 3 };
  static float x[ALL], dz[IMAGES * 5];
  scaled_grid(x, ALL, 4);
  Session *s = net_session(g, (SessionOptions){.batch = IMAGES, .threads = 2, .training = true});
  memcpy(session_input(s), x, sizeof x);
  session_forward(s, session_input(s), IMAGES, true);
  session_backward(s, dz, IMAGES);
  ck_assert_mem_eq(session_input(s), x, sizeof x);
  session_free(s);
  graph_free(g);
}
END_TEST

START_TEST(equals_the_kernels)
{
  Graph *g = net_parse(NET("N"), 3);
  for (int portable = 0; portable < 2; portable++) {
    compare_all(g, 1, portable);
    compare_all(g, 9, portable);
  }
  graph_free(g);
}
END_TEST

START_TEST(fixed_batch_is_freed)
{
  Graph *g =
      net_parse("%1 = input : f32[1,4,4,2]\n%2 = const : f32[3,3,3,2] {?}\n%3 = Conv(%1, %2)\n"
                "%4 = Reshape(%3) {shape=[1,12]}\n%5 = const : f32[4,12] {?}\n%6 = FullyConnected(%4, %5)\n"
                "output %6",
                3);
  Session *s = net_session(g, (SessionOptions){.batch = 6, .threads = 1, .training = true});
  float x[6 * 32], one[4];
  scaled_grid(x, 6 * 32, 4);
  const float *z = session_forward(s, x, 6, false);
  memcpy(one, z + 3 * 4, sizeof one);
  z = session_forward(s, x + 3 * 32, 1, false);
  near(z, one, 4, 1e-6, "example 3 alone");
  ck_assert_ptr_nonnull(session_param(s, g->nodes[0].in[1]));
  ck_assert_ptr_null(session_param(s, g->inputs[0]));
  Graph *back = session_graph(s);
  Hash a = graph_hash(g), b = graph_hash(back);
  ck_assert_msg(hash_equal(a, b), "an untrained session's graph differs from its source");
  session_free(s);
  graph_free(back);
  graph_free(g);
}
END_TEST

/* Inference sessions let activations share memory, fuse and cut off the softmax: same logits. */
START_TEST(memory_reuse_changes_nothing)
{
  Graph *g = net_parse(NET("N"), 3);
  float x[7 * 192];
  scaled_grid(x, 7 * 192, 4);
  Session *a = net_session(g, (SessionOptions){.batch = 7, .threads = 2, .plain = true});
  Session *b = net_session(g, (SessionOptions){.batch = 7, .threads = 2, .keep = true, .plain = true});
  const float *za = session_forward(a, x, 7, false), *zb = session_forward(b, x, 7, false);
  near(za, zb, 35, 0, "logits");
  ck_assert_ptr_null(session_activation(a, g->nodes[0].out[0]));
  session_free(a);
  session_free(b);
  graph_free(g);
}
END_TEST

START_TEST(same_bytes_at_any_thread_count)
{
  Graph *g = net_parse(NET("N"), 3);
  float x[21 * 192], dz[21 * 5];
  scaled_grid(x, 21 * 192, 4);
  scaled_grid(dz, 21 * 5, 8);
  Session *s[3];
  for (int i = 0; i < 3; i++) {
    s[i] = net_session(g, (SessionOptions){.batch = 21, .threads = i + 1, .training = true});
    const OptimizerOptions sgd = {.momentum = 0.9f, .weight_decay = 1e-3f, .nesterov = true};
    Optimizer o;
    optimizer_new(&o, s[i], &sgd);
    for (int step = 0; step < 3; step++) {
      session_forward(s[i], x, step == 1 ? 6 : 21, true);
      session_backward(s[i], dz, step == 1 ? 6 : 21);
      optimizer_step(&o, s[i], 0.01f);
    }
    optimizer_free(&o);
  }
  Graph *first = session_graph(s[0]);
  for (int i = 1; i < 3; i++) {
    Graph *other = session_graph(s[i]);
    Hash a = graph_hash(first), b = graph_hash(other);
    ck_assert_msg(hash_equal(a, b), "%d threads give other parameters than 1", i + 1);
    graph_free(other);
  }
  Hash before = graph_hash(g), after = graph_hash(first);
  ck_assert(!hash_equal(before, after));
  for (int i = 0; i < 3; i++) session_free(s[i]);
  graph_free(first);
  graph_free(g);
}
END_TEST

/* A softmax behind a Reshape is cut off too; one over a part of the outputs is not. */
START_TEST(softmax_is_cut_off)
{
  const float x[6] = {1, 2, 3, 4, 5, 6};
  Graph *g =
      net_parse("%1 = input : f32[N,1,3]\n%2 = Softmax(%1)\n%3 = Reshape(%2) {shape=[-1,3]}\noutput %3", 1);
  Session *s = net_session(g, (SessionOptions){.batch = 2, .threads = 1});
  near(session_forward(s, x, 2, false), x, 6, 0, "logits");
  session_free(s);
  graph_free(g);
  g = net_parse("%1 = input : f32[N,3,2]\n%2 = Softmax(%1)\noutput %2", 1);
  s = net_session(g, (SessionOptions){.batch = 2, .threads = 1});
  near(session_forward(s, x, 1, false), (float[]){0.26894143f, 0.73105857f}, 2, 1e-6, "shares");
  session_free(s);
  graph_free(g);
}
END_TEST

START_TEST(batch_statistics_by_hand)
{
  Graph *g = net_parse("%1 = input : f32[N,2]\n%2 = const : f32[2] {1, 2}\n%3 = const : f32[2] {0, 1}\n"
                       "%5 = const : f32[2] {0.5, -1}\n%6 = const : f32[2] {2, 3}\n"
                       "%4 = BatchNormalization(%1, %2, %3, %5, %6) {axis=1, epsilon=0.5}\noutput %4",
                       1);
  Session *s = net_session(g, (SessionOptions){.batch = 3, .threads = 2, .training = true});
  const float x[6] = {1, 4, 2, 8,
                      6, 0}; /* channel 0: 1 2 6, mean 3, squares 14; channel 1: 4 8 0, mean 4, squares 32 */
  const float *z = session_forward(s, x, 3, true);
  float want[6];
  for (int i = 0; i < 3; i++) {
    want[2 * i] = (x[2 * i] - 3) / sqrtf(14.0f / 3 + 0.5f);
    want[2 * i + 1] = 2 * (x[2 * i + 1] - 4) / sqrtf(32.0f / 3 + 0.5f) + 1;
  }
  near(z, want, 6, 1e-6, "outputs");
  Graph *out = session_graph(s);
  const float *mean = val_data(out, out->nodes[0].in[3]), *var = val_data(out, out->nodes[0].in[4]);
  near(mean, (float[]){0.9f * 0.5f + 0.1f * 3, -0.9f + 0.1f * 4}, 2, 1e-6, "running mean");
  near(var, (float[]){0.9f * 2 + 0.1f * 7, 0.9f * 3 + 0.1f * 16}, 2, 1e-6, "running variance (unbiased)");
  graph_free(out);
  session_free(s);
  graph_free(g);
}
END_TEST

static void refused(const char *text, const char *want) {
  Graph *g = net_parse(text, 1);
  Diag *d = diag_new();
  SessionOptions so = {.batch = 2, .threads = 1};
  ck_assert_ptr_null(session_new(g, &so, d));
  ck_assert_msg(strstr(diag_text(d), want), "got \"%s\", want \"%s\"", diag_text(d), want);
  diag_free(d);
  graph_free(g);
}

START_TEST(what_is_refused)
{
  refused("%1 = input : f32[N,2]\n%2 = Floor(%1)\noutput %2",
          "Floor: the tensor engine computes differentiable");
  refused("%1 = input : f32[N,2]\n%3 = input : f32[N,2]\n%2 = Add(%1, %3)\noutput %2", "models of one input");
  refused("%1 = input : i8[N,2] q(0.5, 1)\noutput %1", "input is i8");
}
END_TEST

START_TEST(placement_by_lifetime)
{
  Interval v[] = {{100, 0, 1, 0}, {60, 1, 2, 0}, {100, 2, 3, 0}, {30, 0, 3, 0}};
  int64_t total = place_intervals(v, 4);
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < i; j++) {
      bool together = v[i].first <= v[j].last && v[j].first <= v[i].last;
      bool apart = v[i].offset + v[i].size <= v[j].offset || v[j].offset + v[j].size <= v[i].offset;
      ck_assert_msg(apart || !together, "intervals %d and %d share memory while both are live", i, j);
    }
  ck_assert_int_eq(total, 112 + 64 + 32); /* rounded to cache lines: the live set at its largest */
}
END_TEST

/* Each unit runs once, whatever the threads; jobs follow each other at once and after the workers have gone to sleep. */
static void count_unit(void *ctx, int unit, int thread) {
  int *counts = ctx;
  ck_assert_int_lt(thread, 4);
  counts[unit]++;
}

START_TEST(threads_run_each_unit_once)
{
  for (int threads = 1; threads <= 4; threads++) {
    Threads *p = threads_new(threads);
    int counts[40] = {0};
    for (int job = 0; job < 300; job++) {
      threads_run(p, count_unit, counts, job % 40);
      if (job % 100 == 0) nanosleep(&(struct timespec){0, 3000000}, NULL);
    }
    int want[40] = {0};
    for (int job = 0; job < 300; job++)
      for (int i = 0; i < job % 40; i++) want[i]++;
    ck_assert_mem_eq(counts, want, sizeof counts);
    threads_free(p);
  }
}
END_TEST

Suite *suite_session(void) {
  openblas_set_num_threads(1);
  Suite *s = suite_create("session");
  TCase *t = tcase_create("session");
  tcase_set_timeout(t, 60);
  tcase_add_test(t, equals_the_kernels);
  tcase_add_test(t, input_is_kept_in_training);
  tcase_add_test(t, fixed_batch_is_freed);
  tcase_add_test(t, memory_reuse_changes_nothing);
  tcase_add_test(t, same_bytes_at_any_thread_count);
  tcase_add_test(t, softmax_is_cut_off);
  tcase_add_test(t, batch_statistics_by_hand);
  tcase_add_test(t, what_is_refused);
  tcase_add_test(t, placement_by_lifetime);
  tcase_add_test(t, threads_run_each_unit_once);
  suite_add_tcase(s, t);
  return s;
}
