/* Gradients on the way back: block floating point, a block for each pixel of a value (all of its innermost axis).
 *
 *   arena  | mantissas [pixels][c], int8 | exponents [pixels], int8 |      gradient = mantissa * 2^exponent
 *
 * Sums are 32-bit integers with an exponent of their own, and rounded to nearest, halves away from zero, when they become a
 * block: once for each reader of a value, whose share mf_grad_add adds. mf_grad_add_one (pools, means, copies) rounds each element
 * that it adds, and the whole block once more each time that it becomes coarser. The same bytes on every machine, and no float in
 * the inner loops. Ships in generated code.
 */
#ifndef MF_ADAPT_GRAD_H
#define MF_ADAPT_GRAD_H

#include "runtime/device/adapt.h"
#include "runtime/device/adapt_math.h"

/* Exponents: of a block of zeros; the largest, and by its sign the smallest. Bits of a mantissa without its sign. */
enum { MF_GRAD_ZERO = -128, MF_GRAD_MOST = 120, MF_GRAD_BITS = 7, MF_GRAD_LARGEST = 127 };

struct mf_grad {
  int8_t *m, *e; /* mantissas, exponents */
  int32_t pixels, c;
};

MF_HELPER void mf_grad_clear(const mf_grad *g) {
  int32_t i;
  for (i = 0; i < g->pixels * g->c; i++) g->m[i] = 0;
  for (i = 0; i < g->pixels; i++) g->e[i] = MF_GRAD_ZERO;
}

/* Bits of x >= 0 up to its highest one. */
MF_HELPER int32_t mf_bits(int32_t x) {
  int32_t n = 0, half;
  for (half = 16; half; half >>= 1)
    if (x >> half) {
      x >>= half;
      n += half;
    }
  return n + x;
}

MF_HELPER int32_t mf_abs(int32_t x) { return x < 0 ? -x : x; }

/* x * 2^-by; what is shifted to the left fits, by the caller's word. */
MF_HELPER int32_t mf_scaled(int32_t x, int32_t by) {
  return by <= 0 ? mf_shift_left(x, -by) : mf_shift_round(x, by < 31 ? by : 31);
}

MF_HELPER int32_t mf_bits_of_all(const int32_t *v, int32_t n) {
  int32_t i, all = 0;
  for (i = 0; i < n; i++) all |= mf_abs(v[i]);
  return mf_bits(all);
}

/* Block p becomes acc [c] * 2^e, |acc| < 2^30. */
MF_HELPER void mf_grad_put(const mf_grad *g, int32_t p, const int32_t *acc, int32_t e) {
  const int32_t top = mf_bits_of_all(acc, g->c), by = top > MF_GRAD_BITS ? top - MF_GRAD_BITS : 0;
  const int32_t none = top == 0 || e + by < -MF_GRAD_MOST;
  int32_t i;
  for (i = 0; i < g->c; i++)
    g->m[p * g->c + i] =
        (int8_t)(none ? 0 : mf_clamp(mf_shift_round(acc[i], by), -MF_GRAD_LARGEST, MF_GRAD_LARGEST));
  g->e[p] = (int8_t)(none ? MF_GRAD_ZERO : e + by < MF_GRAD_MOST ? e + by : MF_GRAD_MOST);
}

/* acc [c] * 2^e, |acc| < 2^30, is added to block p; acc is lost. */
MF_HELPER void mf_grad_add(const mf_grad *g, int32_t p, int32_t *acc, int32_t e) {
  const int32_t was = g->e[p], top = mf_bits_of_all(acc, g->c);
  int32_t i, sum;
  if (top == 0) return;
  if (was == MF_GRAD_ZERO) {
    mf_grad_put(g, p, acc, e);
    return;
  }
  /* an exponent in which the larger of the two has 29 bits */
  sum = (e + top > was + MF_GRAD_BITS ? e + top : was + MF_GRAD_BITS) - 29;
  for (i = 0; i < g->c; i++) acc[i] = mf_scaled(acc[i], sum - e) + mf_scaled(g->m[p * g->c + i], sum - was);
  mf_grad_put(g, p, acc, sum);
}

/* Block p by `by` bits coarser. */
MF_HELPER void mf_grad_coarsen(const mf_grad *g, int32_t p, int32_t by) {
  int32_t i;
  for (i = p * g->c; i < (p + 1) * g->c; i++) g->m[i] = (int8_t)mf_scaled(g->m[i], by);
  g->e[p] = (int8_t)(g->e[p] + by < MF_GRAD_MOST ? g->e[p] + by : MF_GRAD_MOST);
}

/* v * 2^e, |v| < 2^30, is added to element i: of values that are put together one by one. */
MF_HELPER void mf_grad_add_one(const mf_grad *g, int32_t i, int32_t v, int32_t e) {
  const int32_t p = i / g->c, most = MF_GRAD_LARGEST, over = mf_bits(mf_abs(v)) - MF_GRAD_BITS;
  int32_t sum;
  if (v == 0 || e + over < -MF_GRAD_MOST) return;
  if (g->e[p] == MF_GRAD_ZERO) g->e[p] = (int8_t)(e + over < MF_GRAD_MOST ? e + over : MF_GRAD_MOST);
  if (e + over > g->e[p]) mf_grad_coarsen(g, p, e + over - g->e[p]);
  sum = g->m[i] + mf_scaled(v, g->e[p] - e);
  if (sum > most || sum < -most) {
    mf_grad_coarsen(g, p, 1);
    sum = g->m[i] + mf_scaled(v, g->e[p] - e);
  }
  g->m[i] = (int8_t)mf_clamp(sum, -most, most);
}

#endif
