/* FullyConnected, int8, for NEON: up to four rows by four outputs, sixteen inputs at a time (neon.h). in_zero is folded
 * into the biases. Same results as fc_s8__generic. A row is one input vector.
 */
#include "runtime/kernels/neon/neon.h"

MF_KERNEL mf_kernel_fn fc_s8__neon;

MF_KERNEL void fc_s8__neon(const void *params, const mf_view *in, const mf_view *out, int32_t y0, int32_t y1,
                           void *scratch) {
  const mf_fc_s8 *p = (const mf_fc_s8 *)params;
  int32_t y, i;
  mf_neon_run b;
  (void)scratch;
  b.w = p->w;
  b.q = p->bias;
  b.taps = p->k;
  b.outs = p->n;
  b.out_zero = p->out_zero;
  b.lo = p->lo;
  b.hi = p->hi;
  for (y = y0; y < y1; y += i) {
    for (i = 0; i < MF_NEON_PIXELS && y + i < y1; i++) {
      b.x[i] = (const int8_t *)mf_row(in, y + i);
      b.out[i] = (int8_t *)mf_row(out, y + i);
    }
    mf_neon_pixels(&b, i);
  }
}
