/* Lowering of int16 Sigmoid, Tanh, LeakyRelu and Softmax: integer parameters as TensorFlow Lite Micro makes them.
 *
 * Sigmoid, Tanh (logistic_common.cc, tanh.cc): an input scale of a power of two that needs a left shift of 0 alone (Tanh: 0
 * or 1) is multiplied exactly by 3; any other one by a multiplier of 15 bits, cut off. The output's scale is 2^-15.
 * LeakyRelu (leaky_relu_common.cc): factors in float. Softmax (softmax_common.cc, LUTPopulateInt16 of common.h): tables of
 * 513 entries, each moved by half of what the interpolation misses in the middle of its step; in float but for exp, which
 * is computed in double and rounded.
 */
#include <math.h>

#include "ir/lower/lower_util.h"

/* Whether the scale is a power of two, near enough (CheckedLog2 of kernel_util). */
static bool power_of_two(float scale, int *log2) {
  const float real = log2f(scale), nearest = roundf(real);
  *log2 = (int)nearest;
  return fabsf(real - nearest) < 1e-3f;
}

static bool want_unit_output(const Graph *g, const Node *n, Diag *d) {
  int log2;
  const float scale = scale_of(op_out(g, n, 0));
  if (power_of_two(scale, &log2) && log2 == -15) return true;
  return op_fail(n, d, "int16 output has scale %g, want 2^-15", (double)scale);
}

bool lower_curve_s16(const Graph *g, const Node *n, const char *kernel, int most_left, Calls *out, Diag *d) {
  const float scale = scale_of(op_in(g, n, 0));
  int log2;
  TRY(want_codes(g, n, 1, d) && want_unit_output(g, n, d));
  if (shape_count(&op_out(g, n, 0)->shape) == 0) return true;
  const Rows r = rows_of(&op_out(g, n, 0)->shape);
  KernelCall *k = call_rows(g, n, out, kernel, r);
  mf_curve_s16 *p = k->params;
  p->n = r.n;
  const bool exact = power_of_two(scale, &log2);
  if (exact && log2 + 12 >= 0 && log2 + 12 <= most_left) {
    p->mult = 3 << (log2 + 12);
    return true;
  }
  double mult = (double)scale * 4096.0 * 3.0;
  while (mult <= 32767.0 / 2.0 && p->shift <= 30) {
    p->shift++;
    mult *= 2;
  }
  if (mult > 32767) return op_fail(n, d, "int16 input has scale %g, want less than 2.6", (double)scale);
  p->mult = (int32_t)mult;
  return true;
}

bool lower_leaky_relu_s16(const Graph *g, const Node *n, Calls *out, Diag *d) {
  TRY(want_codes(g, n, 1, d));
  const float sx = scale_of(op_in(g, n, 0)), sy = scale_of(op_out(g, n, 0)),
              alpha = CATTRS(n, leaky_relu)->alpha;
  const float up = sx / sy, down = sx * alpha / sy;
  if (shape_count(&op_out(g, n, 0)->shape) == 0) return true;
  const Rows r = rows_of(&op_out(g, n, 0)->shape);
  KernelCall *k = call_rows(g, n, out, "leaky_relu_s16", r);
  mf_leaky_s16 *p = k->params;
  p->n = r.n;
  quantize_multiplier((double)up, &p->mult, &p->shift);
  quantize_multiplier(fabs((double)down), &p->neg_mult, &p->neg_shift);
  if (down < 0) p->neg_mult = -p->neg_mult;
  return true;
}

/* -- Softmax -- */

enum { STEPS = 512 };

static float exp_of(float x) { return (float)exp((double)x); }
static float inverse_of(float x) { return 1.0f / (1.0f + x); }

/* A function from input_scale * (code - input_zero) to codes of output_scale, for all codes of int16. */
static int16_t *curve_table(float (*f)(float), float input_scale, int32_t input_zero, float output_scale,
                            Arena *a) {
  const float input_min = input_scale * (float)(INT16_MIN - input_zero),
              input_max = input_scale * (float)(INT16_MAX - input_zero),
              output_min = output_scale * (float)INT16_MIN, output_max = output_scale * (float)INT16_MAX;
  const float step = (input_max - input_min) / STEPS, half = step / 2,
              factor = 65536.0f / (output_max - output_min);
  int16_t *table = arena_array(a, STEPS + 1, sizeof *table);
  for (int i = 0; i < STEPS; i++) {
    const float at = input_min + (float)i * step;
    const float here = roundf(f(at) * factor), next = f(input_min + (float)(i + 1) * step) * factor;
    const float missed = roundf((next + here) / 2) - roundf(f(at + half) * factor);
    table[i] = (int16_t)fminf(fmaxf(here - roundf(missed / 2), INT16_MIN), INT16_MAX);
  }
  table[STEPS] = (int16_t)fminf(fmaxf(roundf(f(input_max) * factor), INT16_MIN), INT16_MAX);
  return table;
}

bool lower_softmax_s16(const Graph *g, const Node *n, Rows r, int32_t extent, Calls *out, Diag *d) {
  const float beta = CATTRS(n, softmax)->beta, range = 65535.0f, unit = 1.0f / 32768;
  TRY(want_codes(g, n, 1, d));
  if (fabsf(scale_of(op_out(g, n, 0)) - unit) > 0.001f * unit)
    return op_fail(n, d, "int16 output has scale %g, want 2^-15", (double)scale_of(op_out(g, n, 0)));
  if (r.n != extent) return op_fail(n, d, "int16 wants the innermost axis; put a Transpose around it");
  if (!(beta > 0)) return op_fail(n, d, "int16 wants beta > 0, not %g", (double)beta);
  KernelCall *k = call_rows(g, n, out, "softmax_s16", r);
  mf_softmax_s16 *p = k->params;
  p->n = r.n;
  quantize_multiplier((double)scale_of(op_in(g, n, 0)) * (double)beta / (10.0 / 65535.0), &p->mult,
                      &p->shift);
  call_const(k, "exp", curve_table(exp_of, 10.0f / range, INT16_MAX, 2.0f / range, out->arena), STEPS + 1,
             NO_VAL);
  call_const(k, "inverse", curve_table(inverse_of, 1.0f / range, INT16_MIN, 2.0f / range, out->arena),
             STEPS + 1, NO_VAL);
  return true;
}
