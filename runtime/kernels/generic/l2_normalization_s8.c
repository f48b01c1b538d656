/* L2Normalization, int8, over the n elements of a row: x over the root of the sum of squares; output scale 1/128, zero
 * point 0.
 *
 * Bit for bit TensorFlow Lite's reference (reference_integer_ops::L2Normalization of
 * reference/integer_ops/l2normalization.h). The output may be exactly the input's memory.
 */
#include "runtime/kernels/inv_sqrt.h"

MF_KERNEL mf_kernel_fn l2_normalization_s8__generic;

MF_KERNEL void l2_normalization_s8__generic(const void *params, const mf_view *in, const mf_view *out,
                                            int32_t y0, int32_t y1, void *scratch) {
  const mf_l2_normalization_s8 *p = (const mf_l2_normalization_s8 *)params;
  int32_t r, i;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const int8_t *x = (const int8_t *)mf_row(in, r);
    int8_t *y = (int8_t *)mf_row(out, r);
    int32_t sum = 0, mult, right;
    for (i = 0; i < p->n; i++) sum += (x[i] - p->in_zero) * (x[i] - p->in_zero);
    mf_inv_sqrt(sum, &mult, &right);
    for (i = 0; i < p->n; i++)
      y[i] = (int8_t)mf_clamp(mf_requantize(x[i] - p->in_zero, mult, 7 - right), -128, 127);
  }
}
