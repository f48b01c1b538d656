/* SvdfState and Svdf, int8 with the state in int8 or int16: bit for bit TensorFlow Lite Micro's reference
 * (svdf_common.cc, EvalIntegerSvdfReference, double rounding).
 *
 *   state'[f] = state[f][1 ..], sat(state_zero + requantize(sum (x - in_zero) w[f]))
 *   y[u]      = sat8(out_zero + requantize(bias[u] + sum over the filters of u of (state'[f] - state_zero) time[f]))
 *
 * A row is one batch item.
 */
#include "runtime/kernels/requantize.h"

MF_KERNEL mf_kernel_fn svdf_state_s8__generic;
MF_KERNEL mf_kernel_fn svdf_s8__generic;

static int32_t svdf_s8_get(const void *p, int32_t i, int32_t wide) {
  return wide == 2 ? ((const int16_t *)p)[i] : ((const int8_t *)p)[i];
}

static void svdf_s8_set(void *p, int32_t i, int32_t wide, int32_t v) {
  if (wide == 2)
    ((int16_t *)p)[i] = (int16_t)v;
  else
    ((int8_t *)p)[i] = (int8_t)v;
}

MF_KERNEL void svdf_state_s8__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                      int32_t y1, void *scratch) {
  const mf_svdf_s8 *p = (const mf_svdf_s8 *)params;
  const int32_t most = p->wide == 2 ? INT16_MAX : 127;
  int32_t r, f, k;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const void *state = mf_row(&in[0], r);
    const int8_t *x = (const int8_t *)mf_row(&in[1], r), *w = (const int8_t *)in[2].base;
    void *y = mf_row(out, r);
    for (f = 0; f < p->filters; f++) {
      const int32_t at = f * p->memory;
      int32_t sum = 0;
      for (k = 0; k < p->inputs; k++) sum += *w++ * (x[k] - p->in_zero);
      for (k = 0; k + 1 < p->memory; k++)
        svdf_s8_set(y, at + k, p->wide, svdf_s8_get(state, at + k + 1, p->wide));
      sum = p->state_zero + mf_requantize(sum, p->mult, p->shift);
      svdf_s8_set(y, at + p->memory - 1, p->wide, mf_clamp(sum, -most - 1, most));
    }
  }
}

MF_KERNEL void svdf_s8__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                int32_t y1, void *scratch) {
  const mf_svdf_s8 *p = (const mf_svdf_s8 *)params;
  const int32_t units = p->filters / p->rank, taps = p->rank * p->memory;
  int32_t r, u, k;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const void *state = mf_row(&in[0], r), *time = in[1].base;
    int8_t *y = (int8_t *)mf_row(out, r);
    for (u = 0; u < units; u++) {
      uint32_t sum = p->bias ? (uint32_t)p->bias[u] : 0; /* wraps round, as the reference's does */
      for (k = u * taps; k < (u + 1) * taps; k++)
        sum += (uint32_t)svdf_s8_get(time, k, p->wide) *
               (uint32_t)(svdf_s8_get(state, k, p->wide) - p->state_zero);
      y[u] = (int8_t)mf_clamp(p->out_zero + mf_requantize((int32_t)sum, p->mult, p->shift), -128, 127);
    }
  }
}
