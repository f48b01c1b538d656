/* Sigmoid and Tanh, float32, by the C library's expf and tanhf.
 *
 * Their last bits are those of the C library, so outputs may differ between machines by a few units in the last place.
 * A row is `n` elements. The output may be exactly the input's memory.
 */
#include <math.h>

#include "runtime/kernels/kernel.h"

MF_KERNEL mf_kernel_fn sigmoid_f32__generic;
MF_KERNEL mf_kernel_fn tanh_f32__generic;

MF_KERNEL void sigmoid_f32__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                    int32_t y1, void *scratch) {
  const int32_t n = ((const mf_unary_f32 *)params)->n;
  int32_t r, i;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const float *x = (const float *)mf_row(in, r);
    float *y = (float *)mf_row(out, r);
    for (i = 0; i < n; i++) y[i] = 1.0f / (1.0f + expf(-x[i]));
  }
}

MF_KERNEL void tanh_f32__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                 int32_t y1, void *scratch) {
  const int32_t n = ((const mf_unary_f32 *)params)->n;
  int32_t r, i;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const float *x = (const float *)mf_row(in, r);
    float *y = (float *)mf_row(out, r);
    for (i = 0; i < n; i++) y[i] = tanhf(x[i]);
  }
}
