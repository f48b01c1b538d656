/* FullyConnected, float32: y[o] = sum_i x[i] * w[o * w_out + i] + bias[o], limited to lo .. hi.
 *
 * Products go into eight partial sums (i into sum i % 8) that are added up at the end: one fixed order, and vectors
 * where the compiler has them. A row is one input vector.
 */
#include "runtime/kernels/kernel.h"

MF_KERNEL mf_kernel_fn fc_f32__generic;

static float fc_f32_dot(const float *x, const float *w, int32_t n) {
  float acc[8] = {0, 0, 0, 0, 0, 0, 0, 0};
  int32_t i = 0, j;
  for (; i + 8 <= n; i += 8)
    for (j = 0; j < 8; j++) acc[j] += x[i + j] * w[i + j];
  for (j = 0; i < n; i++, j++) acc[j] += x[i] * w[i];
  return ((acc[0] + acc[4]) + (acc[2] + acc[6])) + ((acc[1] + acc[5]) + (acc[3] + acc[7]));
}

MF_KERNEL void fc_f32__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                               int32_t y1, void *scratch) {
  const mf_fc_f32 *p = (const mf_fc_f32 *)params;
  int32_t r, o;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const float *x = (const float *)mf_row(in, r);
    float *y = (float *)mf_row(out, r);
    for (o = 0; o < p->n; o++) {
      float v = fc_f32_dot(x, p->w + o * p->w_out, p->k);
      if (p->bias) v += p->bias[o];
      y[o] = v < p->lo ? p->lo : v > p->hi ? p->hi : v;
    }
  }
}
