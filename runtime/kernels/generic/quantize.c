/* Quantize float32 to int8 or uint8, Dequantize them, FakeQuant.
 *
 *   code = clamp(round(x / scale) + zero, lo, hi)      round: to nearest, halves away from zero; NaN gives lo
 *   real = scale * (code - zero)
 *
 * Bit for bit TensorFlow Lite Micro's reference (reference_ops::AffineQuantize and Dequantize; its product in double,
 * rounded to float, is the correctly rounded float product). A row is n elements. FakeQuant's output may be exactly its
 * input's memory.
 */
#include "runtime/kernels/kernel.h"

MF_KERNEL mf_kernel_fn quantize_f32_s8__generic;
MF_KERNEL mf_kernel_fn quantize_f32_u8__generic;
MF_KERNEL mf_kernel_fn dequantize_s8__generic;
MF_KERNEL mf_kernel_fn dequantize_u8__generic;
MF_KERNEL mf_kernel_fn fake_quant_f32__generic;

MF_INLINE int32_t quantize_code(const mf_quant *p, float x) {
  const float limit = 1048576.0f; /* beyond all codes, exact */
  float v = x / p->scale, rest;
  int32_t q;
  if (!(v > -limit)) v = -limit;
  if (v > limit) v = limit;
  q = (int32_t)v;
  rest = v - (float)q;
  q += (rest >= 0.5f) - (rest <= -0.5f) + p->zero;
  return q < p->lo ? p->lo : q > p->hi ? p->hi : q;
}

MF_KERNEL void quantize_f32_s8__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                        int32_t y1, void *scratch) {
  const mf_quant *p = (const mf_quant *)params;
  int32_t r, i;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const float *x = (const float *)mf_row(in, r);
    int8_t *y = (int8_t *)mf_row(out, r);
    for (i = 0; i < p->n; i++) y[i] = (int8_t)quantize_code(p, x[i]);
  }
}

MF_KERNEL void quantize_f32_u8__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                        int32_t y1, void *scratch) {
  const mf_quant *p = (const mf_quant *)params;
  int32_t r, i;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const float *x = (const float *)mf_row(in, r);
    uint8_t *y = (uint8_t *)mf_row(out, r);
    for (i = 0; i < p->n; i++) y[i] = (uint8_t)quantize_code(p, x[i]);
  }
}

MF_KERNEL void dequantize_s8__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                      int32_t y1, void *scratch) {
  const mf_quant *p = (const mf_quant *)params;
  int32_t r, i;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const int8_t *x = (const int8_t *)mf_row(in, r);
    float *y = (float *)mf_row(out, r);
    for (i = 0; i < p->n; i++) y[i] = p->scale * (float)(x[i] - p->zero);
  }
}

MF_KERNEL void dequantize_u8__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                      int32_t y1, void *scratch) {
  const mf_quant *p = (const mf_quant *)params;
  int32_t r, i;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const uint8_t *x = (const uint8_t *)mf_row(in, r);
    float *y = (float *)mf_row(out, r);
    for (i = 0; i < p->n; i++) y[i] = p->scale * (float)(x[i] - p->zero);
  }
}

MF_KERNEL void fake_quant_f32__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                       int32_t y1, void *scratch) {
  const mf_quant *p = (const mf_quant *)params;
  int32_t r, i;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const float *x = (const float *)mf_row(in, r);
    float *y = (float *)mf_row(out, r);
    for (i = 0; i < p->n; i++) y[i] = p->scale * (float)(quantize_code(p, x[i]) - p->zero);
  }
}
