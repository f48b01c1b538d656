/* Any function of one int8 value by table: y = table[x + 128]. Sigmoid, Tanh, LeakyRelu.
 *
 * The table is made when the model is lowered. A row is `n` elements. The output may be exactly the input's memory.
 */
#include "runtime/kernels/kernel.h"

MF_KERNEL mf_kernel_fn lut_s8__generic;

MF_KERNEL void lut_s8__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                               int32_t y1, void *scratch) {
  const mf_lut_s8 *p = (const mf_lut_s8 *)params;
  int32_t r, i;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const int8_t *x = (const int8_t *)mf_row(in, r);
    int8_t *y = (int8_t *)mf_row(out, r);
    for (i = 0; i < p->n; i++) y[i] = p->table[x[i] + 128];
  }
}
