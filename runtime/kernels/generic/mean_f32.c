/* ReduceMean, float32: the mean over any axes.
 *
 * Each sum runs over the reduced axes in their order (the last fastest) and is divided by the count. A row is one
 * index of the first axis of the output. The input is read as a whole tensor (no ring).
 */
#include "runtime/kernels/kernel.h"

MF_KERNEL mf_kernel_fn mean_f32__generic;

static float mean_f32_one(const mf_mean *p, const float *x) {
  int32_t index[MF_MAX_DIMS] = {0};
  float sum = 0;
  do sum += x[mf_offset(index, p->rsrc, 0, p->rrank - 1)];
  while (mf_next(index, p->rdims, 0, p->rrank - 1));
  return sum / (float)p->count;
}

MF_KERNEL void mean_f32__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                 int32_t y1, void *scratch) {
  const mf_mean *p = (const mf_mean *)params;
  const float *x = (const float *)in->base;
  int32_t index[MF_MAX_DIMS] = {0};
  (void)scratch;
  for (index[0] = y0; index[0] < y1; index[0]++) {
    float *y = (float *)mf_row(out, index[0]);
    do *y++ = mean_f32_one(p, x + mf_offset(index, p->src, 0, p->rank - 1));
    while (mf_next(index, p->dims, 1, p->rank - 1));
  }
}
