/* SvdfState and Svdf, float32: a filter's answer to the input is kept for `memory` steps, weighted, and summed over
 * `rank` filters.
 *
 *   state'[f] = state[f][1 ..], x w[f]          y[u] = act(bias[u] + sum over the filters of u of state'[f] . time[f])
 *
 * As TensorFlow Lite Micro's reference (svdf_common.cc). A row is one batch item.
 */
#include "runtime/kernels/kernel.h"

MF_KERNEL mf_kernel_fn svdf_state_f32__generic;
MF_KERNEL mf_kernel_fn svdf_f32__generic;

MF_KERNEL void svdf_state_f32__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                       int32_t y1, void *scratch) {
  const mf_svdf_f32 *p = (const mf_svdf_f32 *)params;
  int32_t r, f, k;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const float *state = (const float *)mf_row(&in[0], r), *x = (const float *)mf_row(&in[1], r);
    const float *w = (const float *)in[2].base;
    float *y = (float *)mf_row(out, r);
    for (f = 0; f < p->filters; f++, state += p->memory, y += p->memory) {
      float sum = 0;
      for (k = 0; k < p->inputs; k++) sum += *w++ * x[k];
      for (k = 0; k + 1 < p->memory; k++) y[k] = state[k + 1];
      y[p->memory - 1] = sum;
    }
  }
}

MF_KERNEL void svdf_f32__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                 int32_t y1, void *scratch) {
  const mf_svdf_f32 *p = (const mf_svdf_f32 *)params;
  const int32_t units = p->filters / p->rank, taps = p->rank * p->memory;
  int32_t r, u, k;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const float *state = (const float *)mf_row(&in[0], r), *time = (const float *)in[1].base;
    float *y = (float *)mf_row(out, r);
    for (u = 0; u < units; u++) {
      float sum = p->bias ? p->bias[u] : 0;
      for (k = 0; k < taps; k++) sum += *time++ * *state++;
      y[u] = sum < p->lo ? p->lo : sum > p->hi ? p->hi : sum;
    }
  }
}
