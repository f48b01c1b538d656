/* Div, int8, with broadcasting: a times the reciprocal of b, both less their zero points, in fixed point.
 *
 *   y = clamp(out_zero + (a - a_zero) / (b - b_zero) * out_mult * 2^(out_shift - 31), lo, hi)
 *
 * Bit for bit TensorFlow Lite Micro's reference (reference_ops::DivElementwise of reference/div.h; GetReciprocal of
 * internal/common.h: Newton's method). The reference stops at a divisor of zero; here the quotient is then the limit of
 * the dividend's sign, and zero for 0 / 0. A row is one index of the first axis.
 */
#include "runtime/kernels/requantize.h"

MF_KERNEL mf_kernel_fn div_s8__generic;

/* How far x can be shifted left without loss; x is not 0. */
static int32_t div_s8_headroom(int32_t x) {
  uint32_t v = x < 0 ? ~(uint32_t)x : (uint32_t)x;
  int32_t n = 0;
  while (n < 31 && !(v >> (30 - n) & 1)) n++;
  return n;
}

/* q / 2^right, rounded; beyond 32 bits of shift nothing is left. */
static int32_t div_s8_shift(int32_t q, int32_t right) {
  if (right < 0) return mf_shift_left_sat(q, right < -30 ? 30 : -right);
  return right > 31 ? 0 : mf_shift_round(q, right);
}

static int32_t div_s8_one(const mf_mul_s8 *p, int32_t a, int32_t b) {
  int32_t up_a, up_b, inverse, q;
  if (a == 0) return p->out_zero;
  if (b == 0) return a < 0 ? -128 : 127;
  if (b < 0) {
    a = -a;
    b = -b;
  }
  up_a = div_s8_headroom(a);
  up_b = div_s8_headroom(b) + 1;
  inverse = mf_reciprocal_q0((int32_t)(((uint32_t)b << up_b) - ((uint32_t)1 << 31)));
  q = mf_mul_high(mf_mul_high(mf_shift_left(a, up_a), inverse), p->out_mult);
  q = div_s8_shift(q, 31 - up_b + up_a - p->out_shift);
  if (q > 255 || q < -255) q = q < 0 ? -255 : 255; /* beyond all codes, and the sum fits */
  return p->out_zero + q;
}

MF_KERNEL void div_s8__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                               int32_t y1, void *scratch) {
  const mf_mul_s8 *p = (const mf_mul_s8 *)params;
  const int32_t last = p->rank - 1, n = p->dims[last], sa = p->a[last], sb = p->b[last];
  int32_t index[MF_MAX_DIMS] = {0}, r, i;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const int8_t *row_a = (const int8_t *)mf_row(&in[0], p->a[0] ? r : 0);
    const int8_t *row_b = (const int8_t *)mf_row(&in[1], p->b[0] ? r : 0);
    int8_t *y = (int8_t *)mf_row(out, r);
    do {
      const int8_t *a = row_a + mf_offset(index, p->a, 1, last - 1);
      const int8_t *b = row_b + mf_offset(index, p->b, 1, last - 1);
      for (i = 0; i < n; i++)
        *y++ = (int8_t)mf_clamp(div_s8_one(p, a[i * sa] - p->a_zero, b[i * sb] - p->b_zero), p->lo, p->hi);
    } while (mf_next(index, p->dims, 1, last - 1));
  }
}
