/* Trilu: the upper or lower triangle of a matrix, zeros elsewhere. A row is a line of it. Source: ONNX Trilu-14.
 *
 * Elements of any size are moved without looking at them. The output may be exactly the input's memory.
 */
#include "runtime/kernels/kernel.h"

MF_KERNEL mf_kernel_fn trilu__generic;

MF_KERNEL void trilu__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                              int32_t y1, void *scratch) {
  const mf_trilu *p = (const mf_trilu *)params;
  int32_t r, i, b;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const char *x = (const char *)mf_row(in, r);
    char *y = (char *)mf_row(out, r);
    for (i = 0; i < p->n; i++) {
      const int32_t keep = p->upper ? i - r >= p->k : i - r <= p->k;
      for (b = i * p->elem; b < (i + 1) * p->elem; b++) y[b] = keep ? x[b] : 0;
    }
  }
}
