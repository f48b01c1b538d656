/* MatMul, float32: y [rows][n] = x [rows][k] times b [k][n], both computed at run time.
 *
 * in[0] is x, in[1] is b; a row of the output is one line of y. Each sum runs over k in ascending order.
 */
#include "runtime/kernels/kernel.h"

MF_KERNEL mf_kernel_fn matmul_f32__generic;

MF_KERNEL void matmul_f32__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                   int32_t y1, void *scratch) {
  const mf_matmul_f32 *p = (const mf_matmul_f32 *)params;
  int32_t r, i, j;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const float *x = (const float *)mf_row(&in[0], r);
    float *y = (float *)mf_row(out, r);
    for (j = 0; j < p->n; j++) y[j] = 0;
    for (i = 0; i < p->k; i++) {
      const float *b = (const float *)mf_row(&in[1], i);
      const float v = x[i];
      for (j = 0; j < p->n; j++) y[j] += v * b[j];
    }
  }
}
