/* FullyConnected, int8, for x86-64: 32 outputs at a time, then 16, then eight; a vector's pairs of inputs go to all lanes, as
 * in conv_s8.h. Weights are bytes, widened as they are read: what comes from memory is half as much.
 *
 *   weights, a unit of eight outputs:   [pair 0: c0 c0 c1 c1 .. c7 c7] [pair 1: ...] ...
 *
 * in_zero is folded into the biases. Same results as fc_s8__generic. A row is one vector.
 */
#ifndef MF_X86_FC_S8_H
#define MF_X86_FC_S8_H

#include "runtime/kernels/x86/x86.h"

#define FC_X86_UNIT(i, x) s##i = mf_madd_pair(s##i, x, mf_widen16(w + (ptrdiff_t)i * unit));
#define FC_X86_PAIR               \
  const mf_pair v = mf_pair16(x); \
  FC_X86_UNIT(0, v)               \
  if (n > 1) {                    \
    FC_X86_UNIT(1, v)             \
  }                               \
  if (n > 2) {                    \
    FC_X86_UNIT(2, v)             \
    FC_X86_UNIT(3, v)             \
  }

/* Sums of n units, 1, 2 or 4, from w on. */
MF_X86_INLINE void fc_x86_sums(const int16_t *x, int32_t pairs, int32_t n, const int8_t *w, const int32_t *q,
                               mf_v *sum) {
  const ptrdiff_t unit = 16 * pairs;
  mf_v s0 = mf_load8i(q), s1 = s0, s2 = s0, s3 = s0;
  int32_t i = 0;
  if (n > 1) s1 = mf_load8i(q + MF_Q8);
  if (n > 2) s2 = mf_load8i(q + 2 * MF_Q8), s3 = mf_load8i(q + 3 * MF_Q8);
  for (; i + 2 <= pairs; i += 2) {
    {FC_X86_PAIR} x += 2, w += 16;
    {FC_X86_PAIR} x += 2, w += 16;
  }
  if (i < pairs) {
    FC_X86_PAIR
  }
  sum[0] = s0, sum[1] = s1, sum[2] = s2, sum[3] = s3;
}

MF_X86_INLINE void fc_s8_x86_rows(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                  int32_t y1, void *scratch) {
  const mf_fc_s8 *p = (const mf_fc_s8 *)params;
  const mf_limits l = mf_limits_of(p->lo, p->hi, p->out_zero);
  const int32_t pairs = (p->k + 1) / 2, unit = 16 * pairs;
  int16_t *x = (int16_t *)scratch;
  int32_t y, o;
  x[p->k] = 0;
  for (y = y0; y < y1; y++) {
    int8_t *to = (int8_t *)mf_row(out, y);
    const int8_t *w = p->w;
    const int32_t *q = p->bias;
    mf_v sum[4];
    mf_widen(x, (const int8_t *)mf_row(in, y), p->k);
    for (o = 0; o + 32 <= p->n; o += 32, w += 4 * (ptrdiff_t)unit, q += 4 * MF_Q8) {
      fc_x86_sums(x, pairs, 4, w, q, sum);
      mf_put_pixel(to + o, 16, sum, q, &l, 0);
      mf_put_pixel(to + o + 16, 16, sum + 2, q + 2 * MF_Q8, &l, 0);
    }
    for (; o + 8 < p->n; o += 16, w += 2 * (ptrdiff_t)unit, q += 2 * MF_Q8) {
      fc_x86_sums(x, pairs, 2, w, q, sum);
      mf_put_pixel(to + o, p->n - o, sum, q, &l, 0);
    }
    if (o < p->n) {
      fc_x86_sums(x, pairs, 1, w, q, sum);
      mf_put_two8(to + o, 0, 1, p->n - o, sum, q, &l, 0);
    }
  }
}

#endif
