/* y = x * scale[c] + offset[c], float32: BatchNormalization that was not fused into its neighbour.
 *
 * Element i of a row has channel (i / inner) % c. The output may be the input's memory.
 */
#include "runtime/kernels/kernel.h"

MF_KERNEL mf_kernel_fn affine_f32__generic;

MF_KERNEL void affine_f32__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                   int32_t y1, void *scratch) {
  const mf_affine_f32 *p = (const mf_affine_f32 *)params;
  int32_t r, i, j, c;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const float *x = (const float *)mf_row(in, r);
    float *y = (float *)mf_row(out, r);
    for (i = 0, c = 0; i < p->n; i += p->inner, c = c + 1 < p->c ? c + 1 : 0)
      for (j = 0; j < p->inner; j++) y[i + j] = x[i + j] * p->scale[c] + p->offset[c];
  }
}
