/* Kernels of int16 against independent formulas: products and pools element by element in 64-bit integers, roundings by
 * floor of long doubles (exact here); curves against the C library.
 */
#include "tests/kernels/kernel_cases.h"
#include "tests/support.h"

#include <math.h>
#include <string.h>

#include "runtime/kernels/requantize.h"

Suite *suite_kernel_s16(void);

enum { CASES = 150 };

static int64_t limited(int64_t v, int64_t lo, int64_t hi) { return v < lo ? lo : v > hi ? hi : v; }

/* x * mult * 2^(shift - 15), rounded once, halves up. */
static int64_t once(int64_t x, int32_t mult, int32_t shift) {
  return (int64_t)floorl(ldexpl((long double)x * mult, shift - 15) + 0.5L);
}

/* x * mult * 2^(shift - 31) rounded to an integer 2^31 times too fine (halves up), then to the result, halves away
 * from 0. */
static int64_t twice(int32_t x, int32_t mult, int32_t shift) {
  const int32_t left = shift > 0 ? shift : 0;
  const int64_t high =
      (int64_t)floorl(ldexpl((long double)(int32_t)((uint32_t)x << left) * mult, -31) + 0.5L);
  const long double v = ldexpl((long double)high, shift - left);
  return (int64_t)(v < 0 ? -floorl(-v + 0.5L) : floorl(v + 0.5L));
}

static int32_t wrapped(int64_t v) { return (int32_t)(uint32_t)(uint64_t)v; }

static int16_t *run_whole(const KernelCase *c, Arena *a) {
  mf_view in[CALL_MAX_IN] = {{0}}, out = {arena_alloc(a, (size_t)(c->out_rows * c->out_row)), c->out_row, 0};
  for (int i = 0; i < c->n_in; i++) in[i] = (mf_view){c->in[i].data, c->in[i].row, 0};
  c->kernel->fn(c->params, in, &out, 0, c->out_rows, NULL);
  return out.base;
}

static const int16_t *codes(const KernelCase *c, int i) {
  return (const int16_t *)(const void *)c->in[i].data;
}

static void same(const KernelCase *c, int32_t i, int64_t got, int64_t want) {
  WANT(got == want, "%s (%s): element %d is %lld, want %lld", c->kernel->name, c->text, (int)i,
       (long long)got, (long long)want);
}

START_TEST(wide_requantization)
{
  Rng r;
  rng_seed(&r, 3, 0);
  for (int i = 0; i < 20000; i++) {
    const int64_t x = (int64_t)(rng_u64(&r) << 17) >> (17 + rng_below(&r, 30));
    const int32_t mult = (int32_t)rng_below(&r, 0x8000), shift = (int32_t)rng_below(&r, 39) - 31;
    const int64_t want = once(x, mult, shift);
    if (want == (int32_t)want)
      WANT(mf_requantize_wide(x, mult, shift) == want, "%lld * %d >> %d is %d, want %lld", (long long)x,
           (int)mult, (int)(15 - shift), (int)mf_requantize_wide(x, mult, shift), (long long)want);
  }
}
END_TEST

/* -- windows -- */

typedef struct Tap {
  int32_t y, x, ky, kx;
  bool inside;
} Tap;

static Tap tap(const mf_window *g, int32_t y, int32_t x, int32_t k) {
  Tap t = {.ky = k / g->k_w, .kx = k % g->k_w};
  t.y = y * g->stride_h - g->pad_top + t.ky * g->dil_h;
  t.x = x * g->stride_w - g->pad_left + t.kx * g->dil_w;
  t.inside = t.y >= 0 && t.y < g->in_h && t.x >= 0 && t.x < g->in_w;
  return t;
}

/* Sum of x * w for output element i; w_out 0: depthwise. */
static int64_t conv_sum(const KernelCase *c, int32_t i, const mf_window *g, int32_t groups, const int8_t *w,
                        const int32_t strides[2]) {
  const int32_t o = i % g->out_c, n = g->in_c / groups, first = o / (g->out_c / groups) * n;
  int64_t acc = 0;
  for (int32_t k = 0; k < g->k_h * g->k_w; k++) {
    const Tap t = tap(g, i / (g->out_w * g->out_c), i / g->out_c % g->out_w, k);
    for (int32_t ch = 0; t.inside && ch < n; ch++)
      acc += (int64_t)codes(c, 0)[(t.y * g->in_w + t.x) * g->in_c + first + ch] *
             w[strides[1] ? o * strides[1] + k * strides[0] + ch : k * strides[0] + o];
  }
  return acc;
}

START_TEST(convolutions)
{
  static const char *const names[] = {"conv_s16", "depthwise_s16", "conv_s16_narrow"};
  for (uint64_t n = 0; n < CASES; n++) {
    Arena *a = arena_new();
    Rng r;
    rng_seed(&r, 11 + (uint64_t)_i, n);
    const KernelCase c = kernel_case(kernel_find_generic(names[_i]), &r, a);
    const mf_window *g = c.params;
    const int16_t *y = run_whole(&c, a);
    for (int32_t i = 0; i < g->out_h * g->out_w * g->out_c; i++) {
      const int32_t o = i % g->out_c;
      if (_i < 2) {
        const mf_conv_s16 *p = c.params;
        const int64_t acc = conv_sum(&c, i, g, p->groups, p->w, (const int32_t[]){p->w_tap, p->w_out});
        const int64_t v = once(acc + (p->bias ? p->bias[o] : 0), p->mult[o], p->shift[o]);
        same(&c, i, y[i], limited(v == (int32_t)v ? v : wrapped(v), p->lo, p->hi));
      } else {
        const mf_conv_s8 *p = c.params;
        const int64_t acc = conv_sum(&c, i, g, p->groups, p->w, (const int32_t[]){p->w_tap, p->w_out});
        const int64_t v = twice(wrapped(acc + (p->bias ? p->bias[o] : 0)), p->mult[o], p->shift[o]);
        same(&c, i, y[i], limited(v, p->lo, p->hi));
      }
    }
    arena_free(a);
  }
}
END_TEST

START_TEST(pools)
{
  for (uint64_t n = 0; n < CASES; n++) {
    Arena *a = arena_new();
    Rng r;
    rng_seed(&r, 21, n);
    const KernelCase c = kernel_case(kernel_find_generic(_i ? "avg_pool_s16" : "max_pool_s16"), &r, a);
    const mf_pool_s8 *p = c.params;
    const mf_window *g = &p->g;
    const int16_t *y = run_whole(&c, a);
    for (int32_t i = 0; i < g->out_h * g->out_w * g->out_c; i++) {
      double sum = 0, most = INT16_MIN, count = 0;
      for (int32_t k = 0; k < g->k_h * g->k_w; k++) {
        const Tap t = tap(g, i / (g->out_w * g->out_c), i / g->out_c % g->out_w, k);
        if (!t.inside) continue;
        const double v = codes(&c, 0)[(t.y * g->in_w + t.x) * g->in_c + i % g->out_c];
        sum += v;
        most = fmax(most, v);
        count++;
      }
      const double want = _i ? round(sum / (count > 0 ? count : 1)) : most;
      same(&c, i, y[i], limited((int64_t)want, p->lo, p->hi));
    }
    arena_free(a);
  }
}
END_TEST

/* -- products -- */

START_TEST(products)
{
  for (uint64_t n = 0; n < CASES; n++) {
    Arena *a = arena_new();
    Rng r;
    rng_seed(&r, 31, n);
    KernelCase c = kernel_case(kernel_find_generic("fc_s16"), &r, a);
    const mf_fc_s16 *p = c.params;
    const int16_t *y = run_whole(&c, a);
    for (int32_t i = 0; i < c.out_rows * p->n; i++) {
      const int32_t o = i % p->n, q = p->per_channel ? o : 0;
      int64_t acc = p->bias ? p->bias[o] : 0;
      for (int32_t k = 0; k < p->k; k++)
        acc += (int64_t)codes(&c, 0)[i / p->n * p->k + k] * (p->w[o * p->w_out + k] - p->w_zero);
      const int64_t v = once(acc, p->mult[q], p->shift[q]);
      same(&c, i, y[i], limited(v == (int32_t)v ? v : wrapped(v), p->lo, p->hi));
    }
    c = kernel_case(kernel_find_generic("fc_s16_narrow"), &r, a);
    const mf_fc_s8 *s = c.params;
    y = run_whole(&c, a);
    for (int32_t i = 0; i < c.out_rows * s->n; i++) {
      const int32_t o = i % s->n, q = s->per_channel ? o : 0;
      int64_t acc = s->bias ? s->bias[o] : 0;
      for (int32_t k = 0; k < s->k; k++)
        acc += (int64_t)codes(&c, 0)[i / s->n * s->k + k] * (s->w[o * s->w_out + k] - s->w_zero);
      same(&c, i, y[i], limited(twice(wrapped(acc), s->mult[q], s->shift[q]), s->lo, s->hi));
    }
    c = kernel_case(kernel_find_generic("matmul_s16"), &r, a);
    const mf_matmul_s16 *m = c.params;
    y = run_whole(&c, a);
    for (int32_t i = 0; i < c.out_rows * m->n; i++) {
      int64_t acc = 0;
      for (int32_t k = 0; k < m->k; k++)
        acc += (int64_t)codes(&c, 0)[i / m->n * m->k + k] * codes(&c, 1)[k * m->n + i % m->n];
      same(&c, i, y[i], limited(once(acc, m->mult, m->shift), INT16_MIN, INT16_MAX));
    }
    arena_free(a);
  }
}
END_TEST

/* -- elements -- */

/* The real sum is met to within 2 codes: three roundings, the inputs' 2^-15 finer than a code of the larger scale. */
START_TEST(sums_near_real)
{
  for (uint64_t n = 0; n < CASES; n++) {
    Rng r;
    rng_seed(&r, 41, n);
    const double sa = 0.0001 + (double)rng_uniform(&r) * 0.001, sb = 0.0001 + (double)rng_uniform(&r) * 0.001,
                 sy = 0.0002 + (double)rng_uniform(&r) * 0.002, more = 2 * fmax(sa, sb);
    const bool sub = rng_below(&r, 2);
    mf_add_s8 p = {.rank = 2, .dims = {1, 1}, .left_shift = 15, .lo = INT16_MIN, .hi = INT16_MAX};
    quantize_multiplier(sa / more, &p.a_mult, &p.a_shift);
    quantize_multiplier(sb / more, &p.b_mult, &p.b_shift);
    quantize_multiplier(more / (32768 * sy), &p.out_mult, &p.out_shift);
    if (sub) p.b_mult = -p.b_mult;
    for (int k = 0; k < 50; k++) {
      int16_t a = (int16_t)rng_u64(&r), b = (int16_t)rng_u64(&r), y;
      const mf_view in[2] = {{&a, 2, 0}, {&b, 2, 0}}, out = {&y, 2, 0};
      kernel_find_generic("add_s16")->fn(&p, in, &out, 0, 1, NULL);
      const double want = fmin(fmax((a * sa + (sub ? -1 : 1) * b * sb) / sy, INT16_MIN), INT16_MAX);
      WANT(fabs(y - want) <= 2, "%d and %d: %d, want about %g", a, b, y, want);
    }
  }
}
END_TEST

START_TEST(curves_near_real)
{
  static const float scales[] = {1.0f / 4096, 1.0f / 2048, 0.0003f, 0.0001f, 1.0f / 32768};
  for (size_t s = 0; s < sizeof scales / sizeof *scales; s++) {
    mf_curve_s16 p = {.n = 1};
    double mult = (double)scales[s] * 4096 * 3;
    while (mult <= 16383.5) mult *= 2, p.shift++;
    p.mult = (int32_t)mult;
    for (int32_t v = INT16_MIN; v <= INT16_MAX; v += 37) {
      int16_t x = (int16_t)v, y;
      const mf_view in = {&x, 2, 0}, out = {&y, 2, 0};
      const double real = (double)scales[s] * x;
      kernel_find_generic("sigmoid_s16")->fn(&p, &in, &out, 0, 1, NULL);
      WANT(fabs(y - 32768 / (1 + exp(-real))) <= 12, "sigmoid(%g) is %d", real, y);
      kernel_find_generic("tanh_s16")->fn(&p, &in, &out, 0, 1, NULL);
      WANT(fabs(y - 32768 * tanh(real)) <= 24, "tanh(%g) is %d", real, y);
    }
  }
}
END_TEST

START_TEST(leaky_relu_and_requantize)
{
  for (uint64_t n = 0; n < CASES; n++) {
    Arena *a = arena_new();
    Rng r;
    rng_seed(&r, 51, n);
    KernelCase c = kernel_case(kernel_find_generic("leaky_relu_s16"), &r, a);
    const mf_leaky_s16 *p = c.params;
    const int16_t *y = run_whole(&c, a);
    for (int32_t i = 0; i < c.out_rows * p->n; i++) {
      const int32_t x = codes(&c, 0)[i];
      const int64_t v = x >= 0 ? twice(x, p->mult, p->shift) : twice(x, p->neg_mult, p->neg_shift);
      same(&c, i, y[i], limited(v, INT16_MIN, INT16_MAX));
    }
    c = kernel_case(kernel_find_generic("requantize_s16_s16"), &r, a);
    const mf_requant *q = c.params;
    y = run_whole(&c, a);
    for (int32_t i = 0; i < c.out_rows * q->n; i++)
      same(&c, i, y[i], limited(twice(codes(&c, 0)[i], q->mult, q->shift), q->lo, q->hi));
    arena_free(a);
  }
}
END_TEST

Suite *suite_kernel_s16(void) {
  Suite *s = suite_create("kernel_s16");
  TCase *t = tcase_create("values");
  tcase_set_timeout(t, 60);
  tcase_add_test(t, wide_requantization);
  tcase_add_loop_test(t, convolutions, 0, 3);
  tcase_add_loop_test(t, pools, 0, 2);
  tcase_add_test(t, products);
  tcase_add_test(t, sums_near_real);
  tcase_add_test(t, curves_near_real);
  tcase_add_test(t, leaky_relu_and_requantize);
  suite_add_tcase(s, t);
  return s;
}
