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
  const int32_t rest = p->n & 3;
  int8_t last[4];
  int32_t i;
  fc_em_block b;
  b.x = x;
  b.x4 = x + (p->k & ~3);
  b.w = p->w;
  b.q = p->bias;
  b.out = y;
  b.blocks = p->n >> 2;
  b.rest = p->k & 3;
  b.last = 0;
  for (i = 0; i < b.rest; i++) b.last |= (uint32_t)(uint8_t)b.x4[i] << (8 * i);
  if (b.blocks) fc_em_run(&b);
  if (rest) {
    b.w += (p->n >> 2) * ((p->k + 3) >> 2) * 16;
    b.q += (p->n >> 2) * 16;
    b.out = last;
    b.blocks = 1;
    fc_em_run(&b);
    for (i = 0; i < rest; i++) y[p->n - rest + i] = last[i];
  }
  if (p->lo > -128 || p->hi < 127)
    for (i = 0; i < p->n; i++) y[i] = (int8_t)mf_clamp(y[i], p->lo, p->hi);
}

MF_KERNEL void fc_s8__armv7em(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                              int32_t y1, void *scratch) {
  int32_t y;
  (void)scratch;
  for (y = y0; y < y1; y++)
    fc_em_vector((const mf_fc_s8 *)params, (const int8_t *)mf_row(in, y), (int8_t *)mf_row(out, y));
}
