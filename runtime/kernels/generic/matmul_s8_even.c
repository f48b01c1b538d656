/* MatMul of two computed int8 matrices, with ONNX's rounding, or without any: the int32 sums.
 *
 *   acc  = sum over k of (a - a_zero) * (b - b_zero)                               (32 bits, wrapping)
 *   even: y = clamp(out_zero + round(acc * scale), lo, hi)        round: to nearest, halves to even; product in float
 *   sums: y = acc
 *
 * Semantics: ONNX QLinearMatMul-10, -21, MatMulInteger-10. A row is one line of the left factor and of the product;
 * of the right factor, too.
 */
#include "runtime/kernels/round_even.h"

MF_KERNEL mf_kernel_fn matmul_s8_even__generic;
MF_KERNEL mf_kernel_fn matmul_s8_sums__generic;

MF_INLINE int32_t matmul_s8_sum(const mf_matmul_s8_even *p, const int8_t *a, const mf_view *b,
                                int32_t column) {
  uint32_t acc = 0;
  int32_t i;
  for (i = 0; i < p->k; i++)
    acc += (uint32_t)((a[i] - p->a_zero) * (((const int8_t *)mf_row(b, i))[column] - p->b_zero));
  return (int32_t)acc;
}

MF_KERNEL void matmul_s8_even__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                       int32_t y1, void *scratch) {
  const mf_matmul_s8_even *p = (const mf_matmul_s8_even *)params;
  int32_t r, c;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const int8_t *a = (const int8_t *)mf_row(&in[0], r);
    int8_t *y = (int8_t *)mf_row(out, r);
    for (c = 0; c < p->n; c++)
      y[c] = (int8_t)(p->out_zero + mf_round_even((float)matmul_s8_sum(p, a, &in[1], c) * p->scale,
                                                  p->lo - p->out_zero, p->hi - p->out_zero));
  }
}

MF_KERNEL void matmul_s8_sums__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                       int32_t y1, void *scratch) {
  const mf_matmul_s8_even *p = (const mf_matmul_s8_even *)params;
  int32_t r, c;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const int8_t *a = (const int8_t *)mf_row(&in[0], r);
    int32_t *y = (int32_t *)mf_row(out, r);
    for (c = 0; c < p->n; c++) y[c] = matmul_s8_sum(p, a, &in[1], c);
  }
}
