/* Quantize between int8 and uint8 quantizations: y = clamp(out_zero + requantize(x - in_zero, mult, shift), lo, hi).
 * Relu and Clip of int8, too: lo and hi are their limits, and with equal scales the factor is exactly 1.
 *
 * Bit for bit TensorFlow Lite Micro's reference (reference_ops::Requantize, ReluX, double rounding). A row is n
 * elements. The output may be exactly the input's memory.
 */
#include "runtime/kernels/requantize.h"

MF_KERNEL mf_kernel_fn requantize_s8__generic;
MF_KERNEL mf_kernel_fn requantize_u8_s8__generic;
MF_KERNEL mf_kernel_fn requantize_s8_u8__generic;

MF_INLINE int32_t requantize_code(const mf_requant *p, int32_t x) {
  return mf_clamp(p->out_zero + mf_requantize(x - p->in_zero, p->mult, p->shift), p->lo, p->hi);
}

MF_KERNEL void requantize_s8__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                      int32_t y1, void *scratch) {
  const mf_requant *p = (const mf_requant *)params;
  int32_t r, i;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const int8_t *x = (const int8_t *)mf_row(in, r);
    int8_t *y = (int8_t *)mf_row(out, r);
    for (i = 0; i < p->n; i++) y[i] = (int8_t)requantize_code(p, x[i]);
  }
}

MF_KERNEL void requantize_u8_s8__generic(const void *params, const mf_view *in, const mf_view *out,
                                         int32_t y0, int32_t y1, void *scratch) {
  const mf_requant *p = (const mf_requant *)params;
  int32_t r, i;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const uint8_t *x = (const uint8_t *)mf_row(in, r);
    int8_t *y = (int8_t *)mf_row(out, r);
    for (i = 0; i < p->n; i++) y[i] = (int8_t)requantize_code(p, x[i]);
  }
}

MF_KERNEL void requantize_s8_u8__generic(const void *params, const mf_view *in, const mf_view *out,
                                         int32_t y0, int32_t y1, void *scratch) {
  const mf_requant *p = (const mf_requant *)params;
  int32_t r, i;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const int8_t *x = (const int8_t *)mf_row(in, r);
    uint8_t *y = (uint8_t *)mf_row(out, r);
    for (i = 0; i < p->n; i++) y[i] = (uint8_t)requantize_code(p, x[i]);
  }
}
