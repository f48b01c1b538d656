/* Accuracy: float graphs by the engine, int8 graphs and others by the kernels, against counting by hand. */
#include <cblas.h>
#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/eval.h"
#include "runtime/engine/engine.h"
#include "tests/engine/nets.h"
#include "tests/support.h"

enum { N = 150, ITEM = 12, CLASSES = 4 };

/* Examples of 12 bytes; label: which of four thirds of the item is brightest, wrong for every seventh. */
static Split make_split(void) {
  uint8_t *x = mem_alloc(N * ITEM);
  int32_t *y = mem_array(N, sizeof *y);
  float grid[N * ITEM];
  net_grid(grid, N * ITEM, 2);
  for (int i = 0; i < N; i++) {
    for (int k = 0; k < ITEM; k++) x[i * ITEM + k] = (uint8_t)(fabsf(grid[i * ITEM + k]) * 2);
    y[i] = i % CLASSES;
    for (int k = 0; k < 3; k++) x[i * ITEM + y[i] * 3 + k] = (uint8_t)(x[i * ITEM + y[i] * 3 + k] / 2 + 128);
    if (i % 7 == 0) y[i] = (y[i] + 1) % CLASSES;
  }
  Split s = {.n = N,
             .item = {1, {ITEM}},
             .dtype = DT_U8,
             .xb = blob_adopt(x, N * ITEM),
             .yb = blob_adopt(y, N * sizeof *y)};
  s.x = blob_data(s.xb);
  s.y = blob_data(s.yb);
  return s;
}

/* Sums of the four groups. */
#define SUMS \
  "{1,1,1,0,0,0,0,0,0,0,0,0, 0,0,0,1,1,1,0,0,0,0,0,0, 0,0,0,0,0,0,1,1,1,0,0,0, 0,0,0,0,0,0,0,0,0,1,1,1}"
#define FLOAT "%1 = input : f32[N,12]\n%2 = const : f32[4,12] " SUMS "\n%3 = FullyConnected(%1, %2)\n"

static Accuracy measure(const Graph *g, const Split *s, const Normalize *nz, int threads, float *logits) {
  Diag *d = diag_new();
  Accuracy a;
  if (!graph_accuracy(g, s, nz, threads, NULL, &a, logits, d)) ck_abort_msg("%s", diag_text(d));
  diag_free(d);
  return a;
}

static void check(const Graph *g, float tolerance) {
  Split s = make_split();
  Normalize nz = {.n = 1, .scale = {1.0f / 128}, .offset = {-1}};
  float z[2][N * CLASSES];
  for (int threads = 1; threads <= 2; threads++) {
    Accuracy a = measure(g, &s, &nz, threads, z[threads - 1]);
    ck_assert_uint_eq(a.n, N);
    ck_assert_uint_eq(a.correct, N - (N + 6) / 7);
    ck_assert(fabs(a.top1 - (double)a.correct / N) < 1e-12);
    ck_assert(fabs(a.stderr_ - sqrt(a.top1 * (1 - a.top1) / N)) < 1e-12);
  }
  ck_assert_mem_eq(z[0], z[1], sizeof z[0]);
  const uint8_t *x = s.x;
  for (int i = 0; i < N * CLASSES; i++) {
    float want = 0;
    for (int k = 0; k < 3; k++) want += (float)x[i / CLASSES * ITEM + i % CLASSES * 3 + k] / 128 - 1;
    ck_assert_msg(fabsf(z[0][i] - want) <= tolerance, "logit %d: got %g, want %g", i, (double)z[0][i],
                  (double)want);
  }
  split_close(&s);
}

START_TEST(float_by_the_engine)
{
  Graph *g = net_parse(FLOAT "%4 = Softmax(%3)\noutput %4\n", 1);
  check(g, 1e-5f);
  graph_free(g);
}
END_TEST

START_TEST(other_operators_by_the_kernels)
{
  Graph *g = net_parse(FLOAT "%4 = Cast(%3)\noutput %4\n", 1);
  check(g, 1e-5f);
  graph_free(g);
}
END_TEST

#define INT8(input)                                                              \
  input "%2 = const : i8[4,12] q(0.0078125, 0) {127,127,127,0,0,0,0,0,0,0,0,0, " \
        "0,0,0,127,127,127,0,0,0,0,0,0, "                                        \
        "0,0,0,0,0,0,127,127,127,0,0,0, 0,0,0,0,0,0,0,0,0,127,127,127}\n"        \
        "%3 = FullyConnected(%1, %2) : i8[N,4] q(0.025, 0)\n"

START_TEST(int8_input_is_quantized)
{
  Graph *g = net_parse(INT8("%1 = input : i8[N,12] q(0.01, -20)\n") "output %3\n", 1);
  check(g, 0.055f);
  graph_free(g);
}
END_TEST

START_TEST(int16_input_is_quantized)
{
  Graph *g = net_parse("%1 = input : i16[N,12] q(0.0001, 0)\n"
                       "%2 = const : i8[4,12] q(0.0078125, 0) {127,127,127,0,0,0,0,0,0,0,0,0, "
                       "0,0,0,127,127,127,0,0,0,0,0,0, 0,0,0,0,0,0,127,127,127,0,0,0, "
                       "0,0,0,0,0,0,0,0,0,127,127,127}\n%b = const : i64[4] {0, 0, 0, 0}\n"
                       "%3 = FullyConnected(%1, %2, %b) : i16[N,4] q(0.0002, 0)\noutput %3\n",
                       1);
  check(g, 0.03f);
  graph_free(g);
}
END_TEST

START_TEST(float_input_of_an_int8_model)
{
  Graph *g =
      net_parse(INT8("%0 = input : f32[N,12]\n%1 = Quantize(%0) : i8[N,12] q(0.01, -20)\n") "%4 = "
                                                                                            "Dequantize(%3)"
                                                                                            "\noutput %4\n",
                1);
  check(g, 0.055f);
  graph_free(g);
}
END_TEST

START_TEST(what_is_refused)
{
  Graph *g = net_parse(FLOAT "output %3\n", 1);
  Split s = make_split();
  Diag *d = diag_new();
  Accuracy a;
  s.y = NULL;
  ck_assert(!graph_accuracy(g, &s, NULL, 1, NULL, &a, NULL, d));
  ck_assert_ptr_nonnull(strstr(diag_text(d), "labelled"));
  split_close(&s);
  diag_free(d);
  graph_free(g);
}
END_TEST

/* -- statistics -- */

static Dataset make_data(void) {
  Dataset ds = {0};
  ds.train = make_split();
  ds.spec.normalize = (Normalize){.n = 1, .scale = {1.0f / 128}, .offset = {-1}};
  return ds;
}

START_TEST(ranges)
{
  Dataset ds = make_data();
  Graph *g = net_parse(FLOAT "%4 = Relu(%3)\n%5 = Softmax(%4)\noutput %5\n", 1);
  float *lo = mem_array(g->n_vals, sizeof *lo), *hi = mem_array(g->n_vals, sizeof *hi);
  Diag *d = diag_new();
  if (!collect_ranges(g, &ds, 100, NULL, lo, hi, d)) ck_abort_msg("%s", diag_text(d));
  const uint8_t *x = ds.train.x;
  float want_lo = 9, want_hi = -9;
  for (int i = 0; i < 100 * ITEM; i++) {
    float v = (float)x[i] / 128 - 1;
    want_lo = v < want_lo ? v : want_lo;
    want_hi = v > want_hi ? v : want_hi;
  }
  ck_assert(lo[g->inputs[0]] == want_lo && hi[g->inputs[0]] == want_hi);
  ValId sums = g->nodes[0].out[0], relu = g->nodes[1].out[0], soft = g->nodes[2].out[0],
        w = g->nodes[0].in[1];
  ck_assert(lo[sums] < 0 && lo[relu] == 0 && hi[relu] == hi[sums] && hi[sums] > 0);
  ck_assert(lo[soft] > 0 && hi[soft] < 1);
  ck_assert(lo[w] == 0 && hi[w] == 1);
  mem_free(lo);
  mem_free(hi);
  graph_free(g);
  diag_free(d);
  dataset_close(&ds);
}
END_TEST

/* One example at a time by a session, against the batched sum. */
START_TEST(taylor_importance)
{
  Dataset ds = make_data();
  Graph *g =
      net_parse("%1 = input : f32[N,12]\n%2 = Reshape(%1) {shape=[-1,2,2,3]}\n%3 = const : f32[5,1,1,3] {~}\n"
                "%4 = Conv(%2, %3) {act=relu}\n%5 = ReduceMean(%4) {axes=[1,2], keepdims=0}\n"
                "%6 = const : f32[4,5] {~}\n%7 = FullyConnected(%5, %6)\n%8 = Softmax(%7)\noutput %8\n",
                5);
  ValId v = g->nodes[1].out[0];
  double got[5] = {0}, want[5] = {0}, **out = mem_array(g->n_vals, sizeof *out);
  out[v] = got;
  Diag *d = diag_new();
  if (!collect_taylor(g, &ds, 70, NULL, out, d)) ck_abort_msg("%s", diag_text(d));
  SessionOptions so = {.batch = 1, .threads = 1, .training = true, .keep = true};
  Session *s = session_new(g, &so, d);
  for (uint32_t i = 0; i < 70; i++) {
    float x[ITEM], dz[CLASSES];
    split_item(&ds.train, &ds.spec.normalize, NULL, i, x);
    const float *z = session_forward(s, x, 1, false);
    loss_cross_entropy(z, ds.train.y + i, 1, CLASSES, 0, dz);
    session_backward(s, dz, 1);
    const float *a = session_activation(s, v), *da = session_gradient(s, v);
    for (int c = 0; c < 5; c++) {
      double sum = 0;
      for (int p = 0; p < 4; p++) sum += (double)a[p * 5 + c] * (double)da[p * 5 + c];
      want[c] += sum * sum;
    }
  }
  for (int c = 0; c < 5; c++)
    ck_assert_msg(fabs(got[c] - want[c]) <= 1e-4 * (want[c] + 1e-6), "channel %d: got %g, want %g", c, got[c],
                  want[c]);
  ck_assert(want[0] > 0 || want[1] > 0);
  session_free(s);
  mem_free(out);
  graph_free(g);
  diag_free(d);
  dataset_close(&ds);
}
END_TEST

Suite *suite_accuracy(void) {
  openblas_set_num_threads(1);
  Suite *s = suite_create("accuracy");
  TCase *t = tcase_create("accuracy");
  tcase_add_test(t, float_by_the_engine);
  tcase_add_test(t, other_operators_by_the_kernels);
  tcase_add_test(t, int8_input_is_quantized);
  tcase_add_test(t, int16_input_is_quantized);
  tcase_add_test(t, float_input_of_an_int8_model);
  tcase_add_test(t, what_is_refused);
  tcase_add_test(t, ranges);
  tcase_add_test(t, taylor_importance);
  suite_add_tcase(s, t);
  return s;
}
