/* Quantize float32 to int8 or uint8 as ONNX does: y = clamp(round(x / scale) + zero, lo, hi), halves to even; NaN gives
 * lo. Semantics: ONNX QuantizeLinear-10 to -25. A row is n elements.
 */
#include "runtime/kernels/round_even.h"

MF_KERNEL mf_kernel_fn quantize_even_f32_s8__generic;
MF_KERNEL mf_kernel_fn quantize_even_f32_u8__generic;

MF_INLINE int32_t quantize_even_code(const mf_quant *p, float x) {
  return p->zero + mf_round_even(x / p->scale, p->lo - p->zero, p->hi - p->zero);
}

MF_KERNEL void quantize_even_f32_s8__generic(const void *params, const mf_view *in, const mf_view *out,
                                             int32_t y0, int32_t y1, void *scratch) {
  const mf_quant *p = (const mf_quant *)params;
  int32_t r, i;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const float *x = (const float *)mf_row(in, r);
    int8_t *y = (int8_t *)mf_row(out, r);
    for (i = 0; i < p->n; i++) y[i] = (int8_t)quantize_even_code(p, x[i]);
  }
}

MF_KERNEL void quantize_even_f32_u8__generic(const void *params, const mf_view *in, const mf_view *out,
                                             int32_t y0, int32_t y1, void *scratch) {
  const mf_quant *p = (const mf_quant *)params;
  int32_t r, i;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const float *x = (const float *)mf_row(in, r);
    uint8_t *y = (uint8_t *)mf_row(out, r);
    for (i = 0; i < p->n; i++) y[i] = (uint8_t)quantize_even_code(p, x[i]);
  }
}
