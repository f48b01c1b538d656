/* Mul, int8, with broadcasting.
 *
 *   y = clamp(out_zero + requantize((a - a_zero) * (b - b_zero), out_mult, out_shift), lo, hi)
 *
 * Bit for bit TensorFlow Lite Micro's reference (reference_integer_ops::Mul, double rounding). A row is one index of
 * the first axis. The output may be exactly the memory of an input that is not broadcast.
 */
#include "runtime/kernels/requantize.h"

MF_KERNEL mf_kernel_fn mul_s8__generic;

static void mul_s8_line(const mf_mul_s8 *p, const int8_t *a, const int8_t *b, int8_t *y) {
  const int32_t n = p->dims[p->rank - 1], sa = p->a[p->rank - 1], sb = p->b[p->rank - 1];
  int32_t i;
  for (i = 0; i < n; i++) {
    const int32_t v = (a[i * sa] - p->a_zero) * (b[i * sb] - p->b_zero);
    y[i] = (int8_t)mf_clamp(p->out_zero + mf_requantize(v, p->out_mult, p->out_shift), p->lo, p->hi);
  }
}

MF_KERNEL void mul_s8__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                               int32_t y1, void *scratch) {
  const mf_mul_s8 *p = (const mf_mul_s8 *)params;
  const int32_t last = p->rank - 2;
  int32_t index[MF_MAX_DIMS] = {0}, r;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const int8_t *a = (const int8_t *)mf_row(&in[0], p->a[0] ? r : 0);
    const int8_t *b = (const int8_t *)mf_row(&in[1], p->b[0] ? r : 0);
    int8_t *y = (int8_t *)mf_row(out, r);
    do {
      mul_s8_line(p, a + mf_offset(index, p->a, 1, last), b + mf_offset(index, p->b, 1, last), y);
      y += p->dims[p->rank - 1];
    } while (mf_next(index, p->dims, 1, last));
  }
}
