/* ReduceMean, int8: the mean over any axes.
 *
 *   y = clamp(out_zero + requantize(sum - count * in_zero, mult, shift), -128, 127)
 *
 * where mult and shift hold in_scale / (out_scale * count), made as TensorFlow Lite Micro does
 * (reference_ops::QuantizedMeanOrSum, double rounding). A row is one index of the first axis of the output. The input
 * is read as a whole tensor (no ring).
 */
#include "runtime/kernels/requantize.h"

MF_KERNEL mf_kernel_fn mean_s8__generic;

static int8_t mean_s8_one(const mf_mean *p, const int8_t *x) {
  int32_t index[MF_MAX_DIMS] = {0};
  int32_t sum = 0;
  do sum += x[mf_offset(index, p->rsrc, 0, p->rrank - 1)];
  while (mf_next(index, p->rdims, 0, p->rrank - 1));
  sum = p->out_zero + mf_requantize(sum - p->count * p->in_zero, p->mult, p->shift);
  return (int8_t)mf_clamp(sum, -128, 127);
}

MF_KERNEL void mean_s8__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                int32_t y1, void *scratch) {
  const mf_mean *p = (const mf_mean *)params;
  const int8_t *x = (const int8_t *)in->base;
  int32_t index[MF_MAX_DIMS] = {0};
  (void)scratch;
  for (index[0] = y0; index[0] < y1; index[0]++) {
    int8_t *y = (int8_t *)mf_row(out, index[0]);
    do *y++ = mean_s8_one(p, x + mf_offset(index, p->src, 0, p->rank - 1));
    while (mf_next(index, p->dims, 1, p->rank - 1));
  }
}
