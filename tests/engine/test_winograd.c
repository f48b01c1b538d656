/* Winograd's convolutions and folded BatchNormalization against the plain forms, within a tolerance: 1e-4 of the
 * largest value of what is compared (F(4x4, 3x3) rounds to some 1e-6 of the largest product). Edges cut tiles, paddings
 * are uneven, channels differ; the net's own activation and bias are in one convolution.
 */
#include <math.h>

#include "ir/base/mem.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/ops/conv_table.h"
#include "runtime/engine/session.h"
#include "tests/engine/nets.h"
#include "tests/support.h"

/* Shards of two or three images, a tile of two; images of more than one chunk of Winograd's tiles. */
enum { BATCH = 21, ITEM = 33 * 31 * 16, CLASSES = 7 };

#define NET                                                                                                  \
  "%1 = input : f32[N,33,31,16]\n%2 = const : f32[32,3,3,16] {~}\n%3 = const : f32[32] {?}\n"                \
  "%4 = Conv(%1, %2, %3) {pads=[1,1,1,1], act=relu}\n"                                                       \
  "%5 = const : f32[32,3,3,32] {~}\n%6 = Conv(%4, %5) {pads=[0,2,1,0]}\n"                                    \
  "%g = const : f32[32] {?}\n%b = const : f32[32] {?}\n%m = const : f32[32] {?}\n%v = const : f32[32] {?}\n" \
  "%7 = BatchNormalization(%6, %g, %b, %m, %v)\n%8 = Relu(%7)\n"                                             \
  "%9 = const : f32[16,3,3,32] {~}\n%10 = Conv(%8, %9)\n"                                                    \
  "%n = const : f32[16] {?}\n%k = const : f32[16] {?}\n%u = const : f32[16] {?}\n%s = const : f32[16] {?}\n" \
  "%11 = BatchNormalization(%10, %n, %k, %u, %s)\n"                                                          \
  "%12 = ReduceMean(%11) {axes=[1,2]}\n%13 = Reshape(%12) {shape=[-1,16]}\n"                                 \
  "%14 = const : f32[7,16] {~}\n%15 = FullyConnected(%13, %14)\noutput %15\n"

static void near(const float *got, const float *want, int64_t n, const char *what, ValId v) {
  float top = 0;
  for (int64_t i = 0; i < n; i++) top = fmaxf(top, fabsf(want[i]));
  for (int64_t i = 0; i < n; i++)
    ck_assert_msg(fabsf(got[i] - want[i]) <= 1e-4f * top,
                  "%s %%%u: element %lld: got %g, want %g (largest %g)", what, v, (long long)i,
                  (double)got[i], (double)want[i], (double)top);
}

static void input(float *x, int64_t n, uint64_t seed) {
  net_grid(x, n, seed);
  for (int64_t i = 0; i < n; i++) x[i] /= (float)n * 0.03f;
}

static bool have_winograd(void) {
  if (engine_kernels(false)->winograd_input) return true;
  test_skip("Winograd's convolutions: no kernels for this processor");
  return false;
}

START_TEST(equals_direct_convolutions)
{
  if (!have_winograd()) return;
  Graph *g = net_parse(NET, 5);
  static float x[BATCH * ITEM], dz[BATCH * CLASSES];
  input(x, BATCH * ITEM, 1);
  input(dz, BATCH * CLASSES, 2);
  SessionOptions so = {.batch = BATCH, .threads = 2, .training = true, .input_gradient = true, .plain = true};
  Session *a = net_session(g, so);
  so.plain = false, so.way = CONV_WINOGRAD;
  Session *b = net_session(g, so);
  ck_assert_int_eq(b->nodes[0].way, CONV_WINOGRAD);
  for (int train = 0; train < 2; train++) {
    const float *want = session_forward(a, x, BATCH, train), *got = session_forward(b, x, BATCH, train);
    near(got, want, BATCH * CLASSES, "logits", 0);
    session_backward(a, dz, BATCH);
    session_backward(b, dz, BATCH);
    for (ValId v = 1; v < g->n_vals; v++) {
      const float *da = session_gradient(a, v), *db = session_gradient(b, v);
      ck_assert((da == NULL) == (db == NULL));
      if (da) near(db, da, v == g->inputs[0] ? BATCH * ITEM : shape_count(&g->vals[v].shape), "gradient", v);
    }
  }
  session_free(a);
  session_free(b);
  graph_free(g);
}
END_TEST

/* Inference folds scale and statistics into weights; a pass with the batch's statistics in between does not. */
START_TEST(equals_unfolded_normalization)
{
  if (!have_winograd()) return;
  Graph *g = net_parse(NET, 6);
  static float x[BATCH * ITEM];
  input(x, BATCH * ITEM, 3);
  SessionOptions so = {.batch = BATCH, .threads = 2, .plain = true};
  Session *a = net_session(g, so);
  so.plain = false, so.way = CONV_WINOGRAD;
  Session *b = net_session(g, so);
  for (int pass = 0; pass < 5; pass++) {
    bool train = pass == 1 || pass == 3;
    const float *want = session_forward(a, x, BATCH, train), *got = session_forward(b, x, BATCH, train);
    near(got, want, BATCH * CLASSES, train ? "logits, batch statistics" : "logits", 0);
  }
  session_free(a);
  session_free(b);
  graph_free(g);
}
END_TEST

/* Batches smaller than the threads, and of every remainder. */
START_TEST(same_bytes_at_any_thread_count)
{
  Graph *g = net_parse(NET, 7);
  static float x[BATCH * ITEM], dz[BATCH * CLASSES];
  input(x, BATCH * ITEM, 1);
  input(dz, BATCH * CLASSES, 2);
  Session *s[3];
  for (int i = 0; i < 3; i++)
    s[i] = net_session(
        g, (SessionOptions){.batch = BATCH, .threads = i + 1, .training = true, .way = CONV_WINOGRAD});
  static const int counts[] = {21, 5, 1, 13, 2};
  for (int k = 0; k < 5; k++) {
    int n = counts[k];
    const float *z[3];
    for (int i = 0; i < 3; i++) {
      z[i] = session_forward(s[i], x, n, true);
      session_backward(s[i], dz, n);
      ck_assert_mem_eq(z[i], z[0], (size_t)(n * CLASSES) * sizeof(float));
      for (ValId v = 1; v < g->n_vals; v++)
        if (session_param(s[i], v))
          ck_assert_mem_eq(session_gradient(s[i], v), session_gradient(s[0], v),
                           (size_t)shape_count(&g->vals[v].shape) * sizeof(float));
    }
  }
  for (int i = 0; i < 3; i++) session_free(s[i]);
  graph_free(g);
}
END_TEST

/* The table of ways: a shape of its own, a neighbour's, and ways that are not possible. */
START_TEST(table_of_ways)
{
  const unsigned all = 1u << CONV_GEMM | 1u << CONV_DIRECT | 1u << CONV_WINOGRAD,
                 no_winograd = all ^ 1u << CONV_WINOGRAD;
  ConvGeometry q = {.c = 64, .o = 64, .oh = 8, .ow = 8, .kh = 3, .kw = 3, .sh = 1, .sw = 1};
  ck_assert_int_eq(conv_table_way("x86-64-v4", &q, true, all), CONV_WINOGRAD);
  ck_assert_int_eq(conv_table_way("x86-64-v3", &q, false, all), CONV_WINOGRAD);
  ck_assert_int_eq(conv_table_way("x86-64-v4", &q, true, no_winograd), CONV_DIRECT);
  ck_assert_int_eq(conv_table_way("x86-64-v4", &q, true, 1u << CONV_GEMM), CONV_GEMM);
  q.c = 80, q.oh = q.ow = 9; /* not listed: as the shape above */
  ck_assert_int_eq(conv_table_way("x86-64-v4", &q, true, all), CONV_WINOGRAD);
  q.kh = 11;
  ck_assert_int_eq(conv_table_way("x86-64-v4", &q, true, all), CONV_DIRECT);
  ck_assert_int_eq(conv_table_way("portable", &q, true, 1u << CONV_GEMM), CONV_GEMM);
}
END_TEST

Suite *suite_winograd(void) {
  Suite *s = suite_create("winograd");
  TCase *t = tcase_create("winograd");
  tcase_set_timeout(t, 60);
  tcase_add_test(t, equals_direct_convolutions);
  tcase_add_test(t, equals_unfolded_normalization);
  tcase_add_test(t, same_bytes_at_any_thread_count);
  tcase_add_test(t, table_of_ways);
  suite_add_tcase(s, t);
  return s;
}
