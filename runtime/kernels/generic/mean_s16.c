/* ReduceMean, int16: the mean over any axes.
 *
 *   y = clamp(requantize(sum, mult, shift), -32768, 32767)
 *
 * where mult and shift hold in_scale / (out_scale * count), made as TensorFlow Lite Micro does (QuantizedMeanOrSum of
 * reference/reduce.h with 32-bit sums, which wrap; double rounding; zero points are 0). A row is one index of the first
 * axis of the output. The input is read as a whole tensor (no ring).
 */
#include "runtime/kernels/requantize.h"

MF_KERNEL mf_kernel_fn mean_s16__generic;

static int16_t mean_s16_one(const mf_mean *p, const int16_t *x) {
  int32_t index[MF_MAX_DIMS] = {0};
  uint32_t sum = 0;
  do {
    const int32_t v = x[mf_offset(index, p->rsrc, 0, p->rrank - 1)];
    sum += (uint32_t)v;
  } while (mf_next(index, p->rdims, 0, p->rrank - 1));
  return (int16_t)mf_clamp(mf_requantize((int32_t)sum, p->mult, p->shift), INT16_MIN, INT16_MAX);
}

MF_KERNEL void mean_s16__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                 int32_t y1, void *scratch) {
  const mf_mean *p = (const mf_mean *)params;
  const int16_t *x = (const int16_t *)in->base;
  int32_t index[MF_MAX_DIMS] = {0};
  (void)scratch;
  for (index[0] = y0; index[0] < y1; index[0]++) {
    int16_t *y = (int16_t *)mf_row(out, index[0]);
    do *y++ = mean_s16_one(p, x + mf_offset(index, p->src, 0, p->rank - 1));
    while (mf_next(index, p->dims, 1, p->rank - 1));
  }
}
