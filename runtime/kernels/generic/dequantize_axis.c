/* Dequantize with a scale and a zero point per slice, from int8, uint8, int16 or int32: weights and biases of imported models
 * that are folded to float32.
 *
 *   real = scale[c] * (code - zero[c]), c = (i / inner) % channels for element i of a row
 */
#include "runtime/kernels/kernel.h"

MF_KERNEL mf_kernel_fn dequantize_axis__generic;

MF_KERNEL void dequantize_axis__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                        int32_t y1, void *scratch) {
  const mf_dequant_axis *p = (const mf_dequant_axis *)params;
  int32_t r, i;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const void *x = mf_row(in, r);
    float *y = (float *)mf_row(out, r);
    for (i = 0; i < p->n; i++) {
      const int32_t c = i / p->inner % p->c;
      const int32_t q = p->from == MF_I8    ? ((const int8_t *)x)[i]
                        : p->from == MF_U8  ? ((const uint8_t *)x)[i]
                        : p->from == MF_I16 ? ((const int16_t *)x)[i]
                                            : ((const int32_t *)x)[i];
      y[i] = p->scale[c] * (float)(q - p->zero[c]);
    }
  }
}
