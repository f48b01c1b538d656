/* Quantize to, from and between int16 and int32 (and int8) quantizations; Dequantize of int16.
 *
 *   code = clamp(round(x / scale) + zero, lo, hi)                                  of float32; as quantize.c
 *   y    = clamp(out_zero + requantize(x - in_zero, mult, shift), lo, hi)          between codes; Relu and Clip of int16, too
 *   real = scale * (code - zero)
 *
 * Bit for bit TensorFlow Lite Micro's reference (AffineQuantize of reference/quantize.h, Requantize of
 * reference/requantize.h with double rounding, Dequantize). Sums of zero points and codes wrap. A row is n elements. The
 * output may be exactly the input's memory where the sizes of elements are alike.
 */
#include "runtime/kernels/requantize.h"

MF_KERNEL mf_kernel_fn quantize_f32_s16__generic;
MF_KERNEL mf_kernel_fn dequantize_s16__generic;

MF_INLINE int32_t requant_s16_code(const mf_requant *p, int32_t x) {
  const int32_t v = mf_requantize((int32_t)((uint32_t)x - (uint32_t)p->in_zero), p->mult, p->shift);
  return mf_clamp((int32_t)((uint32_t)p->out_zero + (uint32_t)v), p->lo, p->hi);
}

#define REQUANTIZE(name, from_type, to_type)                                                            \
  MF_KERNEL mf_kernel_fn name##__generic;                                                               \
  MF_KERNEL void name##__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0, \
                                 int32_t y1, void *scratch) {                                           \
    const mf_requant *p = (const mf_requant *)params;                                                   \
    int32_t r, i;                                                                                       \
    (void)scratch;                                                                                      \
    for (r = y0; r < y1; r++) {                                                                         \
      const from_type *x = (const from_type *)mf_row(in, r);                                            \
      to_type *y = (to_type *)mf_row(out, r);                                                           \
      for (i = 0; i < p->n; i++) y[i] = (to_type)requant_s16_code(p, x[i]);                             \
    }                                                                                                   \
  }

REQUANTIZE(requantize_s16_s16, int16_t, int16_t)
REQUANTIZE(requantize_s8_s16, int8_t, int16_t)
REQUANTIZE(requantize_s16_s8, int16_t, int8_t)
REQUANTIZE(requantize_s8_s32, int8_t, int32_t)
REQUANTIZE(requantize_s16_s32, int16_t, int32_t)
REQUANTIZE(requantize_s32_s8, int32_t, int8_t)
REQUANTIZE(requantize_s32_s16, int32_t, int16_t)

MF_INLINE int32_t quant_s16_code(const mf_quant *p, float x) {
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

MF_KERNEL void quantize_f32_s16__generic(const void *params, const mf_view *in, const mf_view *out,
                                         int32_t y0, int32_t y1, void *scratch) {
  const mf_quant *p = (const mf_quant *)params;
  int32_t r, i;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const float *x = (const float *)mf_row(in, r);
    int16_t *y = (int16_t *)mf_row(out, r);
    for (i = 0; i < p->n; i++) y[i] = (int16_t)quant_s16_code(p, x[i]);
  }
}

MF_KERNEL void dequantize_s16__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                       int32_t y1, void *scratch) {
  const mf_quant *p = (const mf_quant *)params;
  int32_t r, i;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const int16_t *x = (const int16_t *)mf_row(in, r);
    float *y = (float *)mf_row(out, r);
    for (i = 0; i < p->n; i++) y[i] = p->scale * (float)(x[i] - p->zero);
  }
}
