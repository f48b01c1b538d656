/* FullyConnected, int8, for NEON, whose weights are the first ones of a wider variant's: up to four rows by four outputs,
 * sixteen inputs at a time, blocks of weights w_out bytes apart. Rows are copied and filled up with zeros to whole vectors,
 * whatever the weights there; outputs behind the last are computed with the wider variant's weights, and dropped. q as in
 * fc_s8.c, each variant's own. Same results as fc_s8__generic. A row is one input vector.
 */
#include "runtime/kernels/neon/neon_family.h"

MF_KERNEL mf_kernel_fn fc_s8__neon_family;

MF_KERNEL void fc_s8__neon_family(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                  int32_t y1, void *scratch) {
  const mf_fc_s8 *p = (const mf_fc_s8 *)params;
  const int32_t taps = (p->k + 15) & ~15;
  int32_t y, i, k;
  mf_neon_run b;
  b.w = p->w;
  b.q = p->bias;
  b.taps = taps;
  b.out_zero = p->out_zero;
  b.lo = p->lo;
  b.hi = p->hi;
  for (y = y0; y < y1; y += i) {
    for (i = 0; i < MF_NEON_PIXELS && y + i < y1; i++) {
      const int8_t *x = (const int8_t *)mf_row(in, y + i);
      int8_t *to = (int8_t *)scratch + i * taps;
      for (k = 0; k < p->k; k++) to[k] = x[k];
      for (; k < taps; k++) to[k] = 0;
      b.x[i] = to;
      b.out[i] = (int8_t *)mf_row(out, y + i);
    }
    mf_neon_blocks(b, p->n, p->w_out, i);
  }
}
