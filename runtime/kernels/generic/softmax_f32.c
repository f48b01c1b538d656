/* Softmax, float32: exp(beta (x - max)) divided by its sum, over n elements that lie `inner` apart.
 *
 * A row is [n][inner]: `inner` independent sums, each over n in ascending order. The output may be exactly the
 * input's memory. The C library's expf decides the last bits.
 */
#include <math.h>

#include "runtime/kernels/kernel.h"

MF_KERNEL mf_kernel_fn softmax_f32__generic;

MF_KERNEL void softmax_f32__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                    int32_t y1, void *scratch) {
  const mf_softmax_f32 *p = (const mf_softmax_f32 *)params;
  const int32_t end = p->n * p->inner;
  int32_t r, i, j;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const float *x = (const float *)mf_row(in, r);
    float *y = (float *)mf_row(out, r);
    for (j = 0; j < p->inner; j++) {
      float max = x[j], sum = 0;
      for (i = j; i < end; i += p->inner) max = x[i] > max ? x[i] : max;
      for (i = j; i < end; i += p->inner) {
        y[i] = expf((x[i] - max) * p->beta);
        sum += y[i];
      }
      for (i = j; i < end; i += p->inner) y[i] /= sum;
    }
  }
}
