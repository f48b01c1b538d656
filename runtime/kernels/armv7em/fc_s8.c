/* FullyConnected, int8, for Armv7E-M: four outputs at a time, inputs widened on the way.
 *
 *   weights, packed, a block of four outputs, for four inputs:
 *   [o0+o1 k0 k2][o2+o3 k0 k2][o0+o1 k1 k3][o2+o3 k1 k3]
 *
 * A half of a word is 256 * w[o1] + w[o0]; see conv_s8.c for how both sums come from it, and for what q holds. in_zero is
 * folded into the biases. Same results as fc_s8__generic. A row is one input vector.
 */
#include "runtime/kernels/armv7em/fc_em_run.h"

MF_KERNEL mf_kernel_fn fc_s8__armv7em;

/* One vector. */
static void fc_em_vector(const mf_fc_s8 *p, const int8_t *x, int8_t *y) {
  fc_em_outputs(p, fc_em_begin(p, x), ((p->k + 3) >> 2) * 16, fc_em_run, y);
}

MF_KERNEL void fc_s8__armv7em(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                              int32_t y1, void *scratch) {
  int32_t y;
  (void)scratch;
  for (y = y0; y < y1; y++)
    fc_em_vector((const mf_fc_s8 *)params, (const int8_t *)mf_row(in, y), (int8_t *)mf_row(out, y));
}
