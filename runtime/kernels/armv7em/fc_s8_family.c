/* FullyConnected, int8, for Armv7E-M, whose weights are the first ones of a wider variant's: fc_s8.c with blocks that lie
 * w_out bytes apart, as many inputs as the widest variant has; this one reads the first of each. Inputs that fill up the
 * last four are 0, whatever the weights; outputs behind the last are computed with the wider variant's weights, and dropped.
 * q as in fc_s8.c, each variant's own. Same results as fc_s8__generic. A row is one input vector.
 */
#include "runtime/kernels/armv7em/fc_em_run.h"

MF_KERNEL mf_kernel_fn fc_s8__armv7em_family;

static void fc_em_vector_family(const mf_fc_s8 *p, const int8_t *x, int8_t *y) {
  const int32_t rest = p->n & 3;
  int8_t last[4];
  int32_t i;
  fc_em_apart a;
  a.b.x = x;
  a.b.x4 = x + (p->k & ~3);
  a.b.w = p->w;
  a.b.q = p->bias;
  a.b.out = y;
  a.b.blocks = p->n >> 2;
  a.b.rest = p->k & 3;
  a.b.last = 0;
  a.skip = p->w_out - ((p->k + 3) >> 2) * 16;
  for (i = 0; i < a.b.rest; i++) a.b.last |= (uint32_t)(uint8_t)a.b.x4[i] << (8 * i);
  if (a.b.blocks) fc_em_run_apart(&a);
  if (rest) {
    a.b.w += (p->n >> 2) * p->w_out;
    a.b.q += (p->n >> 2) * 16;
    a.b.out = last;
    a.b.blocks = 1;
    fc_em_run_apart(&a);
    for (i = 0; i < rest; i++) y[p->n - rest + i] = last[i];
  }
  if (p->lo > -128 || p->hi < 127)
    for (i = 0; i < p->n; i++) y[i] = (int8_t)mf_clamp(y[i], p->lo, p->hi);
}

MF_KERNEL void fc_s8__armv7em_family(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                     int32_t y1, void *scratch) {
  int32_t y;
  (void)scratch;
  for (y = y0; y < y1; y++)
    fc_em_vector_family((const mf_fc_s8 *)params, (const int8_t *)mf_row(in, y), (int8_t *)mf_row(out, y));
}
