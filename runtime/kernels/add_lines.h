/* Add, int8, of tensors of one shape, where one input's scale is the larger, so that its factor is 1/2: the body of
 * add_s8 for small processors. Each gives it its own multiplication, high(x, m) = the high half of 2 x m, rounded, for
 * |x| < 2^29. Bit for bit add_s8__generic:
 *
 *   s = (larger - zero) << 19        o = shift(high((other - zero) << 20, mult))        y = code(high(s + o, out_mult))
 */
#ifndef MF_ADD_LINES_H
#define MF_ADD_LINES_H

#include "runtime/kernels/requantize.h"

typedef int32_t mf_high_fn(int32_t x, int32_t m);

MF_INLINE void mf_add_line(const mf_add_s8 *p, const int8_t *a, const int8_t *b, int8_t *y, int32_t n,
                           mf_high_fn *high) {
  const int32_t swap = p->a_mult != 1 << 30 || p->a_shift != 0; /* whether b's scale is the larger */
  const int8_t *const s = swap ? b : a, *const o = swap ? a : b;
  const int32_t s_zero = mf_shift_left(swap ? p->b_zero : p->a_zero, 19);
  const int32_t o_zero = mf_shift_left(swap ? p->a_zero : p->b_zero, 20);
  const int32_t o_mult = swap ? p->a_mult : p->b_mult, o_shift = -(swap ? p->a_shift : p->b_shift);
  const int32_t o_round = o_shift ? 1 << (o_shift - 1) : 0, o_sign = o_shift ? -1 : 0;
  const int32_t out_mult = p->out_mult, shift = -p->out_shift;
  const int32_t round = (1 << (shift - 1)) + p->out_zero * (1 << shift), lo = p->lo, hi = p->hi;
  int32_t i;
  for (i = 0; i < n; i++) {
    int32_t v = high(mf_shift_left(o[i], 20) - o_zero, o_mult);
    v = (v + ((v >> 31) & o_sign) + o_round) >> o_shift;
    v = high(v + mf_shift_left(s[i], 19) - s_zero, out_mult);
    v = (v + (v >> 31) + round) >> shift;
    y[i] = (int8_t)mf_clamp(v, lo, hi);
  }
}

MF_INLINE void mf_add_rows(const void *params, const mf_view *in, const mf_view *out, int32_t y0, int32_t y1,
                           mf_high_fn *high) {
  const mf_add_s8 *p = (const mf_add_s8 *)params;
  int32_t n = 1, i, y;
  for (i = 1; i < p->rank; i++) n *= p->dims[i];
  for (y = y0; y < y1; y++)
    mf_add_line(p, (const int8_t *)mf_row(&in[0], y), (const int8_t *)mf_row(&in[1], y),
                (int8_t *)mf_row(out, y), n, high);
}

#endif
