/* MatMul, float64: y [rows][n] = x [rows][k] times b [k][n]. in[0] is x, in[1] is b; a row is one line of y.
 */
#include "runtime/kernels/kernel.h"

MF_KERNEL mf_kernel_fn matmul_f64__generic;

MF_KERNEL void matmul_f64__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                   int32_t y1, void *scratch) {
  const mf_matmul_f32 *p = (const mf_matmul_f32 *)params;
  int32_t r, i, j;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const double *x = (const double *)mf_row(&in[0], r);
    double *y = (double *)mf_row(out, r);
    for (j = 0; j < p->n; j++) y[j] = 0;
    for (i = 0; i < p->k; i++) {
      const double *b = (const double *)mf_row(&in[1], i);
      for (j = 0; j < p->n; j++) y[j] += x[i] * b[j];
    }
  }
}
