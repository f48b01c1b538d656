/* MatMul of two computed int16 matrices: y = clamp(sum of a * b in 64 bits, times mult * 2^(shift - 15), rounded once).
 *
 * Bit for bit TensorFlow Lite's reference, BatchMatMul<int16_t, int64_t> of reference/batch_matmul.h (zero points are 0).
 * A row is one line of the left factor and of the product; of the right factor, too.
 */
#include "runtime/kernels/requantize.h"

MF_KERNEL mf_kernel_fn matmul_s16__generic;

MF_KERNEL void matmul_s16__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                   int32_t y1, void *scratch) {
  const mf_matmul_s16 *p = (const mf_matmul_s16 *)params;
  int32_t r, c, i;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const int16_t *a = (const int16_t *)mf_row(&in[0], r);
    int16_t *y = (int16_t *)mf_row(out, r);
    for (c = 0; c < p->n; c++) {
      int64_t acc = 0;
      for (i = 0; i < p->k; i++) acc += (int64_t)a[i] * ((const int16_t *)mf_row(&in[1], i))[c];
      y[c] = (int16_t)mf_clamp(mf_requantize_wide(acc, p->mult, p->shift), INT16_MIN, INT16_MAX);
    }
  }
}
