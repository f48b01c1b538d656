/* Losses: their gradients against central differences in double, values by hand, several teachers, taps. */
#include <cblas.h>
#include <math.h>
#include <string.h>

#include "ir/base/rng.h"
#include "runtime/engine/loss.h"
#include "runtime/engine/session.h"
#include "tests/engine/nets.h"
#include "tests/support.h"

Suite *suite_loss(void);

enum { N = 3, CLASSES = 4, COUNT = N * CLASSES };

/* Logits that are multiples of 1/64, so that steps of powers of two are exact in float. */
static void fill(float *z, uint64_t seed) {
  Rng r;
  rng_seed(&r, seed, 0);
  for (int i = 0; i < COUNT; i++) z[i] = (float)rng_below(&r, 256) / 64 - 2;
}

typedef double LossFn(const void *ctx, const float *z, float *dz);

/* Central differences with steps h and h / 2, extrapolated: error O(h^4). All of a loss's arithmetic is in double. */
static void check_gradient(LossFn *loss, const void *ctx, float *z, const char *what) {
  float dz[COUNT], tmp[COUNT];
  loss(ctx, z, dz);
  for (int i = 0; i < COUNT; i++) {
    double d[2], keep = (double)z[i];
    for (int k = 0; k < 2; k++) {
      double h = k ? 0x1p-9 : 0x1p-8;
      z[i] = (float)(keep + h);
      double up = loss(ctx, z, tmp);
      z[i] = (float)(keep - h);
      d[k] = (up - loss(ctx, z, tmp)) / (2 * h);
    }
    z[i] = (float)keep;
    double want = (4 * d[1] - d[0]) / 3;
    ck_assert_msg(fabs(want - (double)dz[i]) < 1e-7 * fmax(1, fabs(want)),
                  "%s, element %d: differences %.10g, gradient %.10g", what, i, want, (double)dz[i]);
  }
}

static double targets(const void *ctx, const float *z, float *dz) {
  return loss_targets(z, ctx, N, CLASSES, dz);
}

START_TEST(gradients_of_targets)
{
  const int32_t y[N] = {1, 0, 3}, other[N] = {2, 0, 1};
  const float share[N] = {0.3f, 0.9f, 0.5f};
  float z[COUNT], teacher[COUNT];
  fill(z, 1);
  fill(teacher, 2);
  const struct {
    const char *name;
    Targets t;
  } cases[] = {
      {"labels", {.labels = y}},
      {"smoothed", {.labels = y, .smoothing = 0.1f}},
      {"mixed", {.labels = y, .others = other, .share = share}},
      {"mixed and smoothed", {.labels = y, .others = other, .share = share, .smoothing = 0.2f}},
      {"teacher", {.teacher = teacher, .temperature = 3, .mix = 1}},
      {"both", {.labels = y, .teacher = teacher, .temperature = 2, .mix = 0.7f, .smoothing = 0.1f}},
  };
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++)
    check_gradient(targets, &cases[k].t, z, cases[k].name);
}
END_TEST

typedef struct Squares {
  const float *want;
  float weight;
} Squares;

static double squares(const void *ctx, const float *z, float *dz) {
  const Squares *s = ctx;
  return loss_squares(z, s->want, N, CLASSES, s->weight, dz, 0);
}

START_TEST(gradients_of_squares)
{
  float z[COUNT], want[COUNT], dz[COUNT], sum[COUNT];
  fill(z, 3);
  fill(want, 4);
  check_gradient(squares, &(Squares){want, 2.5f}, z, "squares");
  double total = 0;
  for (int i = 0; i < COUNT; i++) total += pow((double)z[i] - (double)want[i], 2) / COUNT;
  double got = loss_squares(z, want, N, CLASSES, 1, dz, 0);
  ck_assert_msg(fabs(got - total) < 1e-12, "mean of squares %g, want %g", got, total);
  for (int i = 0; i < COUNT; i++) sum[i] = 1;
  loss_squares(z, want, N, CLASSES, 1, sum, 1);
  for (int i = 0; i < COUNT; i++) ck_assert(fabsf(sum[i] - 1 - dz[i]) < 1e-6f);
}
END_TEST

START_TEST(values_by_hand)
{
  const float z[4] = {1, 2, 0.5f, -1}, t[4] = {0, 1, 2, 2};
  const int32_t y = 1;
  float dz[4];
  double sum = exp(1) + exp(2) + exp(0.5) + exp(-1), want = log(sum) - 2, smooth = 0;
  double got = loss_cross_entropy(z, &y, 1, 4, 0, dz);
  ck_assert_msg(fabs(got - want) < 1e-12, "cross-entropy %.12g, want %.12g", got, want);
  for (int c = 0; c < 4; c++) smooth -= ((c == 1 ? 0.9 : 0) + 0.025) * ((double)z[c] - log(sum));
  got = loss_cross_entropy(z, &y, 1, 4, 0.1f, dz);
  ck_assert_msg(fabs(got - smooth) < 1e-7, "smoothed %.12g, want %.12g", got, smooth);
  ck_assert(fabs(loss_distill(t, t, NULL, 1, 4, 2, 1, dz)) < 1e-12); /* equal logits */
}
END_TEST

static double soft(const float *z, int c, double t) {
  double sum = 0;
  for (int k = 0; k < CLASSES; k++) sum += exp((double)z[k] / t);
  return exp((double)z[c] / t) / sum;
}

START_TEST(several_teachers_are_averaged)
{
  float a[COUNT], b[COUNT], out[COUNT];
  fill(a, 5);
  fill(b, 6);
  const float *both[2] = {a, b}, weights[2] = {3, 1};
  for (int weighted = 0; weighted < 2; weighted++) {
    loss_mean_teacher(both, weighted ? weights : NULL, 2, N, CLASSES, 4, out);
    double share = weighted ? 0.75 : 0.5;
    for (int i = 0; i < N; i++)
      for (int c = 0; c < CLASSES; c++) {
        const float *za = a + i * CLASSES, *zb = b + i * CLASSES;
        double want = share * soft(za, c, 4) + (1 - share) * soft(zb, c, 4),
               got = soft(out + i * CLASSES, c, 4);
        ck_assert_msg(fabs(got - want) < 1e-6, "example %d, class %d: %g, want %g", i, c, got, want);
      }
  }
}
END_TEST

/* The gradient begun at a tap reaches the parameters before it: that of the sum of both losses. */
static void check_tap(const char *net, int at, int last_at) {
  const float x[4] = {1, 2, 3, -1}, dz[4] = {0.5f, -1, 0.25f, 2}, seed[6] = {1, -2, 3, 0.5f, 0, -1};
  Graph *g = net_parse(net, 3);
  ValId tap = g->nodes[at].out[0], w = g->nodes[0].in[1];
  double grad[2][6];
  Diag *d = diag_new();
  for (int with = 0; with < 2; with++) {
    SessionOptions so = {.batch = 2, .threads = 1, .training = true, .taps = &tap, .n_taps = with};
    Session *s = session_new(g, &so, d);
    if (!s) ck_abort_msg("%s", diag_text(d));
    session_forward(s, x, 2, true);
    if (with) memcpy(session_tap(s, tap), seed, sizeof seed);
    session_backward(s, dz, 2);
    for (int i = 0; i < 6; i++) grad[with][i] = (double)session_gradient(s, w)[i];
    session_free(s);
  }
  for (int o = 0; o < 3; o++)
    for (int i = 0; i < 2; i++) {
      double add = (double)(seed[o] * x[i] + seed[3 + o] * x[2 + i]),
             got = grad[1][o * 2 + i] - grad[0][o * 2 + i];
      ck_assert_msg(fabs(got - add) < 1e-5, "weight [%d,%d]: the tap adds %g, want %g", o, i, got, add);
    }
  Session *only = session_new(g, &(SessionOptions){.batch = 2, .threads = 1, .taps = &tap, .n_taps = 1}, d);
  ck_assert_ptr_nonnull(only);
  session_forward(only, x, 2, false);
  const float *got = session_activation(only, tap);
  ck_assert_ptr_nonnull(got);
  const float *weight = val_data(g, w);
  for (int i = 0; i < 6; i++)
    ck_assert_float_eq_tol(
        got[i], weight[i % 3 * 2] * x[i / 3 * 2] + weight[i % 3 * 2 + 1] * x[i / 3 * 2 + 1], 1e-5f);
  session_free(only);
  ValId last = g->nodes[last_at].out[0];
  ck_assert_ptr_null(
      session_new(g, &(SessionOptions){.batch = 2, .threads = 1, .taps = &last, .n_taps = 1}, d));
  ck_assert_ptr_nonnull(strstr(diag_text(d), "cannot be compared"));
  diag_free(d);
  graph_free(g);
}

START_TEST(taps_begin_gradients)
{
  check_tap("%1 = input : f32[N,2]\n%2 = const : f32[3,2] {?}\n%3 = FullyConnected(%1, %2)\n%4 = Relu(%3)\n"
            "%5 = const : f32[2,3] {?}\n%6 = FullyConnected(%4, %5)\n%7 = Add(%6, %6)\noutput %7\n",
            0, 3);
  /* A value that has no memory of its own. */
  check_tap("%1 = input : f32[N,2]\n%2 = const : f32[3,2] {?}\n%3 = FullyConnected(%1, %2)\n"
            "%8 = Reshape(%3) {shape=[-1,3,1]}\n%9 = Reshape(%8) {shape=[-1,3]}\n%4 = Relu(%9)\n"
            "%5 = const : f32[2,3] {?}\n%6 = FullyConnected(%4, %5)\n%7 = Add(%6, %6)\noutput %7\n",
            1, 5);
}
END_TEST

Suite *suite_loss(void) {
  openblas_set_num_threads(1);
  Suite *s = suite_create("loss");
  TCase *t = tcase_create("loss");
  tcase_add_test(t, gradients_of_targets);
  tcase_add_test(t, gradients_of_squares);
  tcase_add_test(t, values_by_hand);
  tcase_add_test(t, several_teachers_are_averaged);
  tcase_add_test(t, taps_begin_gradients);
  suite_add_tcase(s, t);
  return s;
}
