/* Kernels against independent formulas: convolutions, products and pools element by element in 64-bit integers or
 * double; the fixed-point helpers against their definitions by division and against the C library.
 */
#include "tests/kernels/kernel_cases.h"
#include "tests/support.h"

#include <math.h>
#include <string.h>

#include "runtime/kernels/requantize.h"

enum { CASES = 150 };

/* -- fixed point -- */

/* gemmlowp's definition: round(a * b / 2^31) by a truncating division. */
static int32_t mul_high_by_division(int32_t a, int32_t b) {
  if (a == INT32_MIN && b == INT32_MIN) return INT32_MAX;
  int64_t ab = (int64_t)a * b, nudge = ab >= 0 ? (int64_t)1 << 30 : 1 - ((int64_t)1 << 30);
  return (int32_t)((ab + nudge) / ((int64_t)1 << 31));
}

static int32_t shift_by_rounding(int32_t x, int32_t e) {
  double v = (double)x / pow(2, e);
  return (int32_t)(v < 0 ? -floor(-v + 0.5) : floor(v + 0.5));
}

static int32_t any_int32(Rng *r) {
  static const int32_t corner[] = {INT32_MIN, INT32_MIN + 1, -(1 << 30),    -1,       0,
                                   1,         1 << 30,       INT32_MAX - 1, INT32_MAX};
  if (rng_below(r, 3) == 0) return corner[rng_below(r, 9)];
  return (int32_t)(uint32_t)rng_u64(r) >> rng_below(r, 31);
}

START_TEST(fixed_point_helpers)
{
  Rng r;
  rng_seed(&r, 7, 0);
  for (int i = 0; i < 20000; i++) {
    int32_t a = any_int32(&r), b = any_int32(&r), e = (int32_t)rng_below(&r, 32);
    WANT(mf_mul_high(a, b) == mul_high_by_division(a, b), "mul_high(%d, %d) is %d, want %d", (int)a, (int)b,
         (int)mf_mul_high(a, b), (int)mul_high_by_division(a, b));
    WANT(mf_shift_round(a, e) == shift_by_rounding(a, e), "shift_round(%d, %d) is %d, want %d", (int)a,
         (int)e, (int)mf_shift_round(a, e), (int)shift_by_rounding(a, e));
  }
  ck_assert_int_eq(mf_shift_left_sat(3, 30), INT32_MAX);
  ck_assert_int_eq(mf_shift_left_sat(-3, 30), INT32_MIN);
  ck_assert_int_eq(mf_shift_left_sat(-2, 30), INT32_MIN);
  ck_assert_int_eq(mf_shift_left_sat(-5, 2), -20);
}
END_TEST

/* exp and 1 / (1 + x) to about 2^-21 (the polynomial has degree 4), over their whole ranges. */
START_TEST(fixed_point_functions)
{
  for (int64_t x = INT32_MIN; x <= 0; x += 99991) {
    double got = mf_exp_negative((int32_t)x, 5) / 2147483648.0, want = exp((double)x / 67108864.0);
    WANT(fabs(got - want) < 3e-7, "exp(%g) is %.12g, want %.12g", (double)x / 67108864.0, got, want);
    got = mf_exp_negative((int32_t)x, 4) / 2147483648.0;
    want = exp((double)x / 134217728.0);
    WANT(fabs(got - want) < 3e-7, "exp(%g) is %.12g, want %.12g", (double)x / 134217728.0, got, want);
  }
  for (int64_t x = 0; x <= INT32_MAX; x += 99991) {
    double got = mf_reciprocal_q0((int32_t)x) / 2147483648.0, want = 1 / (1 + (double)x / 2147483648.0);
    WANT(fabs(got - want) < 2e-8, "1 / (1 + %g) is %.12g, want %.12g", (double)x / 2147483648.0, got, want);
  }
}
END_TEST

/* x * mult * 2^(shift - 31) rounded twice, by division and by rounding of a double. */
static int32_t requantize_by_definition(int64_t x, int32_t mult, int32_t shift) {
  int32_t wide = (int32_t)(uint32_t)(uint64_t)(shift > 0 ? x * ((int64_t)1 << shift) : x);
  int32_t high = mul_high_by_division(wide, mult);
  return shift < 0 ? shift_by_rounding(high, -shift) : high;
}

static int32_t limited(int64_t v, int32_t lo, int32_t hi) { return v < lo ? lo : v > hi ? hi : (int32_t)v; }

/* -- windows, one output element at a time -- */

/* Input position of a tap, or -1 in the padding. */
static int32_t at(int32_t out, int32_t stride, int32_t pad, int32_t tap, int32_t dil, int32_t size) {
  int32_t i = out * stride - pad + tap * dil;
  return i >= 0 && i < size ? i : -1;
}

typedef double TapFn(const KernelCase *c, int32_t x_index, int32_t ky, int32_t kx, int32_t i, int32_t o);

/* Sum over the window of output (y, x, o), where o reads input channels first .. first+n-1; counts the taps. */
static double window_sum(const KernelCase *c, const int32_t pos[3], int32_t first, int32_t n, TapFn *f,
                         int32_t *taps) {
  const mf_window *g = c->params;
  double sum = 0;
  *taps = 0;
  for (int32_t ky = 0; ky < g->k_h; ky++) {
    for (int32_t kx = 0; kx < g->k_w; kx++) {
      int32_t iy = at(pos[0], g->stride_h, g->pad_top, ky, g->dil_h, g->in_h);
      int32_t ix = at(pos[1], g->stride_w, g->pad_left, kx, g->dil_w, g->in_w);
      if (iy < 0 || ix < 0) continue;
      ++*taps;
      for (int32_t i = 0; i < n; i++)
        sum += f(c, (iy * g->in_w + ix) * g->in_c + first + i, ky, kx, i, pos[2]);
    }
  }
  return sum;
}

static double tap_conv_s8(const KernelCase *c, int32_t x, int32_t ky, int32_t kx, int32_t i, int32_t o) {
  const mf_conv_s8 *p = c->params;
  int32_t w =
      p->w_out ? o * p->w_out + (ky * p->g.k_w + kx) * p->w_tap + i : (ky * p->g.k_w + kx) * p->w_tap + o;
  return (double)(((const int8_t *)c->in[0].data)[x] - p->in_zero) * p->w[w];
}

static double tap_conv_f32(const KernelCase *c, int32_t x, int32_t ky, int32_t kx, int32_t i, int32_t o) {
  const mf_conv_f32 *p = c->params;
  int32_t w =
      p->w_out ? o * p->w_out + (ky * p->g.k_w + kx) * p->w_tap + i : (ky * p->g.k_w + kx) * p->w_tap + o;
  return (double)((const float *)(const void *)c->in[0].data)[x] * (double)p->w[w];
}

static double tap_s8(const KernelCase *c, int32_t x, int32_t ky, int32_t kx, int32_t i, int32_t o) {
  (void)ky, (void)kx, (void)i, (void)o;
  return ((const int8_t *)c->in[0].data)[x];
}

static double tap_f32(const KernelCase *c, int32_t x, int32_t ky, int32_t kx, int32_t i, int32_t o) {
  (void)ky, (void)kx, (void)i, (void)o;
  return (double)((const float *)(const void *)c->in[0].data)[x];
}

/* Largest element of the window of output (y, x, o); -inf when no tap lies in the image. */
static double window_max(const KernelCase *c, const int32_t pos[3], TapFn *f) {
  const mf_window *g = c->params;
  double most = -INFINITY;
  for (int32_t ky = 0; ky < g->k_h; ky++) {
    for (int32_t kx = 0; kx < g->k_w; kx++) {
      int32_t iy = at(pos[0], g->stride_h, g->pad_top, ky, g->dil_h, g->in_h);
      int32_t ix = at(pos[1], g->stride_w, g->pad_left, kx, g->dil_w, g->in_w);
      if (iy < 0 || ix < 0) continue;
      most = fmax(most, f(c, (iy * g->in_w + ix) * g->in_c + pos[2], ky, kx, 0, pos[2]));
    }
  }
  return most;
}

/* What output element (y, x, o) must be. */
typedef double WantFn(const KernelCase *c, const int32_t pos[3]);

static double want_conv_s8(const KernelCase *c, const int32_t pos[3]) {
  const mf_conv_s8 *p = c->params;
  const int32_t o = pos[2], n = p->g.in_c / p->groups, per = p->g.out_c / p->groups;
  int32_t taps;
  int64_t acc = (int64_t)window_sum(c, pos, o / per * n, n, tap_conv_s8, &taps) + (p->bias ? p->bias[o] : 0);
  return limited((int64_t)p->out_zero + requantize_by_definition(acc, p->mult[o], p->shift[o]), p->lo, p->hi);
}

static double want_conv_f32(const KernelCase *c, const int32_t pos[3]) {
  const mf_conv_f32 *p = c->params;
  const int32_t o = pos[2], n = p->g.in_c / p->groups, per = p->g.out_c / p->groups;
  int32_t taps;
  double sum = window_sum(c, pos, o / per * n, n, tap_conv_f32, &taps) + (p->bias ? (double)p->bias[o] : 0);
  return fmin(fmax(sum, (double)p->lo), (double)p->hi);
}

static double want_avg_pool_s8(const KernelCase *c, const int32_t pos[3]) {
  const mf_pool_s8 *p = c->params;
  int32_t taps;
  double sum = window_sum(c, pos, pos[2], 1, tap_s8, &taps);
  return limited((int64_t)round(sum / (taps ? taps : 1)), p->lo, p->hi);
}

static double want_avg_pool_f32(const KernelCase *c, const int32_t pos[3]) {
  const mf_pool_f32 *p = c->params;
  int32_t taps;
  double sum = window_sum(c, pos, pos[2], 1, tap_f32, &taps);
  int32_t count = p->count_include_pad ? p->g.k_h * p->g.k_w : taps ? taps : 1;
  return fmin(fmax(sum / count, (double)p->lo), (double)p->hi);
}

static double want_max_pool_s8(const KernelCase *c, const int32_t pos[3]) {
  const mf_pool_s8 *p = c->params;
  return fmin(fmax(window_max(c, pos, tap_s8), p->lo), p->hi);
}

static double want_max_pool_f32(const KernelCase *c, const int32_t pos[3]) {
  const mf_pool_f32 *p = c->params;
  return fmin(fmax(window_max(c, pos, tap_f32), (double)p->lo), (double)p->hi);
}

static const struct {
  const char *kernel;
  WantFn *want;
  bool f32;
} windows[] = {
    {"conv_s8", want_conv_s8, false},         {"depthwise_s8", want_conv_s8, false},
    {"conv_f32", want_conv_f32, true},        {"depthwise_f32", want_conv_f32, true},
    {"avg_pool_s8", want_avg_pool_s8, false}, {"avg_pool_f32", want_avg_pool_f32, true},
    {"max_pool_s8", want_max_pool_s8, false}, {"max_pool_f32", want_max_pool_f32, true},
};

static char *run_whole(const KernelCase *c, Arena *a) {
  mf_view in[CALL_MAX_IN] = {{0}}, out = {arena_alloc(a, (size_t)(c->out_rows * c->out_row)), c->out_row, 0};
  for (int i = 0; i < c->n_in; i++) in[i] = (mf_view){c->in[i].data, c->in[i].row, 0};
  c->kernel->fn(c->params, in, &out, 0, c->out_rows, NULL);
  return out.base;
}

static void assert_near(const KernelCase *c, int32_t i, bool f32, const char *out, double want) {
  double got = f32 ? (double)((const float *)(const void *)out)[i] : (double)((const int8_t *)out)[i];
  double slack = f32 ? 2e-5 * (1 + fabs(want)) : 0;
  WANT(fabs(got - want) <= slack, "%s (%s): element %d is %.9g, want %.9g", c->kernel->name, c->text, (int)i,
       got, want);
}

START_TEST(windows_by_definition)
{
  for (uint64_t n = 0; n < CASES; n++) {
    Arena *a = arena_new();
    Rng r;
    rng_seed(&r, 99, n);
    KernelCase c = kernel_case(kernel_find_generic(windows[_i].kernel), &r, a);
    const mf_window *g = c.params;
    const char *out = run_whole(&c, a);
    for (int32_t i = 0; i < g->out_h * g->out_w * g->out_c; i++) {
      const int32_t pos[3] = {i / (g->out_w * g->out_c), i / g->out_c % g->out_w, i % g->out_c};
      assert_near(&c, i, windows[_i].f32, out, windows[_i].want(&c, pos));
    }
    arena_free(a);
  }
}
END_TEST

START_TEST(products_by_definition)
{
  for (uint64_t n = 0; n < CASES; n++) {
    Arena *a = arena_new();
    Rng r;
    rng_seed(&r, 98, n);
    KernelCase c = kernel_case(kernel_find_generic("fc_s8"), &r, a);
    const mf_fc_s8 *p = c.params;
    const int8_t *x = (const int8_t *)c.in[0].data;
    const char *out = run_whole(&c, a);
    for (int32_t i = 0; i < c.out_rows * p->n; i++) {
      int32_t o = i % p->n, q = p->per_channel ? o : 0;
      int64_t acc = p->bias ? p->bias[o] : 0;
      for (int32_t k = 0; k < p->k; k++) {
        acc += (int64_t)(x[i / p->n * p->k + k] - p->in_zero) * (p->w[o * p->w_out + k] - p->w_zero);
      }
      acc = (int64_t)p->out_zero + requantize_by_definition(acc, p->mult[q], p->shift[q]);
      assert_near(&c, i, false, out, limited(acc, p->lo, p->hi));
    }
    c = kernel_case(kernel_find_generic("fc_f32"), &r, a);
    const mf_fc_f32 *f = c.params;
    const float *xf = (const void *)c.in[0].data;
    out = run_whole(&c, a);
    for (int32_t i = 0; i < c.out_rows * f->n; i++) {
      double sum = f->bias ? (double)f->bias[i % f->n] : 0;
      for (int32_t k = 0; k < f->k; k++) {
        sum += (double)xf[i / f->n * f->k + k] * (double)f->w[i % f->n * f->w_out + k];
      }
      assert_near(&c, i, true, out, fmin(fmax(sum, (double)f->lo), (double)f->hi));
    }
    arena_free(a);
  }
}
END_TEST

/* 70,000 products of 255 * 128 are more than 32 bits hold: the sum is theirs modulo 2^32. */
START_TEST(long_sums_wrap)
{
  enum { K = 70000 };
  static int8_t x[K], w[K];
  int32_t y = 0;
  memset(x, 127, sizeof x);
  memset(w, -128, sizeof w);
  const int32_t want = (int32_t)(uint32_t)((int64_t)255 * -128 * K);
  const mf_matmul_s8_even m = {.k = K, .n = 1, .a_zero = -128, .scale = 1};
  const mf_view in[2] = {{x, K, 0}, {w, 1, 0}}, out = {(char *)&y, 4, 0};
  kernel_find_generic("matmul_s8_sums")->fn(&m, in, &out, 0, 1, NULL);
  ck_assert_int_eq(y, want);
  const mf_conv_s8_even c = {.g = {.in_h = 1,
                                   .in_w = 1,
                                   .in_c = K,
                                   .out_h = 1,
                                   .out_w = 1,
                                   .out_c = 1,
                                   .k_h = 1,
                                   .k_w = 1,
                                   .stride_h = 1,
                                   .stride_w = 1,
                                   .dil_h = 1,
                                   .dil_w = 1},
                             .in_zero = -128,
                             .groups = 1,
                             .w = w,
                             .w_out = K,
                             .w_tap = K};
  y = 0;
  kernel_find_generic("conv_s8_sums")->fn(&c, in, &out, 0, 1, NULL);
  ck_assert_int_eq(y, want);
}
END_TEST

/* A bias near the end of 32 bits: what is beyond comes round. */
START_TEST(biased_sums_wrap)
{
  static const char *const kernels[] = {"conv_s8", "depthwise_s8", "conv_transpose_s8"};
  static const int32_t bias = INT32_MAX, mult = 1 << 30;
  static const int8_t x = 1, w = 1, shift = -23;
  static const mf_window g = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1};
  const mf_conv_s8 conv = {.g = g,
                           .groups = 1,
                           .w_tap = 1,
                           .w_out = 1,
                           .lo = -128,
                           .hi = 127,
                           .w = &w,
                           .bias = &bias,
                           .mult = &mult,
                           .shift = &shift};
  const mf_conv_transpose_s8 transposed = {
      .g = g, .groups = 1, .lo = -128, .hi = 127, .w = &w, .bias = &bias, .mult = &mult, .shift = &shift};
  const mf_view in = {(char *)(intptr_t)(const void *)&x, 1, 0};
  for (int i = 0; i < 3; i++) {
    int8_t y = 0;
    int32_t room = 0;
    const mf_view out = {(char *)&y, 1, 0};
    kernel_find_generic(kernels[i])
        ->fn(i < 2 ? (const void *)&conv : (const void *)&transposed, &in, &out, 0, 1, &room);
    ck_assert_msg(y == -128, "%s gives %d, want -128", kernels[i], y);
  }
}
END_TEST

/* The fixed-point softmax is within one code of the real one (its sum has 19 fractional bits). */
START_TEST(softmax_s8_near_real)
{
  for (uint64_t n = 0; n < CASES; n++) {
    Arena *a = arena_new();
    Rng r;
    rng_seed(&r, 97, n);
    KernelCase c = kernel_case(kernel_find_generic("softmax_s8"), &r, a);
    const mf_softmax_s8 *p = c.params;
    const double step = p->mult / 2147483648.0 * pow(2, p->shift) / 67108864.0; /* scale times beta */
    const int8_t *x = (const int8_t *)c.in[0].data, *out = (const int8_t *)run_whole(&c, a);
    for (int32_t i = 0; i < c.out_rows * p->n; i++) {
      double sum = 0;
      for (int32_t k = 0; k < p->n; k++) sum += exp((x[i / p->n * p->n + k] - x[i]) * step);
      double want = fmin(256 / sum - 128, 127);
      WANT(fabs(out[i] - want) <= 1.01, "softmax_s8 (%s): element %d is %d, want about %g", c.text, (int)i,
           out[i], want);
    }
    arena_free(a);
  }
}
END_TEST

START_TEST(quantize_rounds_as_roundf)
{
  float x[] = {0.5f,   -0.5f,  1.5f,  -1.5f,  0.49999997f, -0.49999997f, 2.5f,
               126.5f, 127.5f, 1e30f, -1e30f, NAN,         -0.0f};
  enum { N = sizeof x / sizeof x[0] };
  mf_quant p = {N, 1, 0, -128, 127};
  int8_t y[N];
  mf_view in = {x, sizeof x, 0}, out = {y, sizeof y, 0};
  for (p.zero = -128; p.zero < 128; p.zero += 51) {
    kernel_find_generic("quantize_f32_s8")->fn(&p, &in, &out, 0, 1, NULL);
    for (int i = 0; i < N; i++) {
      float want = isnan(x[i]) ? -128 : fminf(fmaxf(roundf(x[i]) + (float)p.zero, -128), 127);
      WANT(y[i] == (int)want, "%.9g with zero %d: got %d, want %d", (double)x[i], (int)p.zero, y[i],
           (int)want);
    }
  }
}
END_TEST

Suite *suite_kernel_values(void) {
  Suite *s = suite_create("kernel_values");
  TCase *t = tcase_create("values");
  tcase_set_timeout(t, 60);
  tcase_add_test(t, fixed_point_helpers);
  tcase_add_test(t, fixed_point_functions);
  tcase_add_loop_test(t, windows_by_definition, 0, (int)(sizeof windows / sizeof windows[0]));
  tcase_add_test(t, products_by_definition);
  tcase_add_test(t, long_sums_wrap);
  tcase_add_test(t, biased_sums_wrap);
  tcase_add_test(t, softmax_s8_near_real);
  tcase_add_test(t, quantize_rounds_as_roundf);
  suite_add_tcase(s, t);
  return s;
}
