/* Relu, Clip, LeakyRelu, float32: one body, one expression each; p and q are the operator's attributes.
 *
 * A NaN stays a NaN. A row is `n` elements. The output may be exactly the input's memory.
 */
#include "runtime/kernels/kernel.h"

MF_KERNEL mf_kernel_fn relu_f32__generic;
MF_KERNEL mf_kernel_fn clip_f32__generic;
MF_KERNEL mf_kernel_fn leaky_relu_f32__generic;

MF_INLINE float unary_f32_relu(float x, float p, float q) { return (void)p, (void)q, x < 0 ? 0 : x; }
MF_INLINE float unary_f32_clip(float x, float lo, float hi) { return x < lo ? lo : x > hi ? hi : x; }
MF_INLINE float unary_f32_leaky_relu(float x, float p, float q) { return (void)q, x < 0 ? x * p : x; }

MF_INLINE void unary_f32_rows(float (*f)(float, float, float), const void *params, const mf_view *in,
                              const mf_view *out, int32_t y0, int32_t y1) {
  const mf_unary_f32 *u = (const mf_unary_f32 *)params;
  const float p = u->p, q = u->q;
  const int32_t n = u->n;
  int32_t r, i;
  for (r = y0; r < y1; r++) {
    const float *x = (const float *)mf_row(in, r);
    float *y = (float *)mf_row(out, r);
    for (i = 0; i < n; i++) y[i] = f(x[i], p, q);
  }
}

MF_KERNEL void relu_f32__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                 int32_t y1, void *scratch) {
  (void)scratch;
  unary_f32_rows(unary_f32_relu, params, in, out, y0, y1);
}

MF_KERNEL void clip_f32__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                 int32_t y1, void *scratch) {
  (void)scratch;
  unary_f32_rows(unary_f32_clip, params, in, out, y0, y1);
}

MF_KERNEL void leaky_relu_f32__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                       int32_t y1, void *scratch) {
  (void)scratch;
  unary_f32_rows(unary_f32_leaky_relu, params, in, out, y0, y1);
}
