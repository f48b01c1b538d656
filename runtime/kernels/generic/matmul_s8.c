/* MatMul of two computed int8 matrices.
 *
 *   y = clamp(out_zero + requantize(sum over k of (a - a_zero) * (b - b_zero), mult, shift), lo, hi)
 *
 * Bit for bit TensorFlow Lite Micro's reference (reference_ops::BatchMatMul of reference/batch_matmul.h, double
 * rounding). A row is one line of the left factor and of the product; of the right factor, too.
 */
#include "runtime/kernels/requantize.h"

MF_KERNEL mf_kernel_fn matmul_s8__generic;

MF_KERNEL void matmul_s8__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                  int32_t y1, void *scratch) {
  const mf_matmul_s8 *p = (const mf_matmul_s8 *)params;
  int32_t r, c, i;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const int8_t *a = (const int8_t *)mf_row(&in[0], r);
    int8_t *y = (int8_t *)mf_row(out, r);
    for (c = 0; c < p->n; c++) {
      uint32_t acc = 0; /* wraps */
      for (i = 0; i < p->k; i++)
        acc += (uint32_t)((a[i] - p->a_zero) * (((const int8_t *)mf_row(&in[1], i))[c] - p->b_zero));
      y[c] = (int8_t)mf_clamp(p->out_zero + mf_requantize((int32_t)acc, p->mult, p->shift), p->lo, p->hi);
    }
  }
}
