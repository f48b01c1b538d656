/* Any functions of one int8 value by tables, one per channel: y = table[channel][x + 128]. PRelu of int8.
 *
 * The channel is the innermost index, i % c in a row of `n` elements. The output may be exactly the input's memory.
 */
#include "runtime/kernels/kernel.h"

MF_KERNEL mf_kernel_fn lut_axis_s8__generic;

MF_KERNEL void lut_axis_s8__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                    int32_t y1, void *scratch) {
  const mf_lut_axis_s8 *p = (const mf_lut_axis_s8 *)params;
  int32_t r, i, c;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const int8_t *x = (const int8_t *)mf_row(in, r);
    int8_t *y = (int8_t *)mf_row(out, r);
    for (i = 0; i < p->n; i += p->c)
      for (c = 0; c < p->c; c++) y[i + c] = p->table[c * 256 + x[i + c] + 128];
  }
}
