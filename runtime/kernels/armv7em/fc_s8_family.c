/* FullyConnected, int8, for Armv7E-M, whose weights are the first ones of a wider variant's: fc_s8.c with blocks that lie
 * w_out bytes apart, as many inputs as the widest variant has; this one reads the first of each. Inputs that fill up the
 * last four are 0, whatever the weights; outputs behind the last are computed with the wider variant's weights, and dropped.
 * q as in fc_s8.c, each variant's own. Same results as fc_s8__generic. A row is one input vector.
 */
#include "runtime/kernels/armv7em/fc_em_run.h"

MF_KERNEL mf_kernel_fn fc_s8__armv7em_family;

static void fc_em_vector_family(const mf_fc_s8 *p, const int8_t *x, int8_t *y) {
  fc_em_block b = fc_em_begin(p, x);
  b.more = (uint32_t)(p->w_out - ((p->k + 3) >> 2) * 16);
  fc_em_outputs(p, b, p->w_out, fc_em_run_apart, y);
}

MF_KERNEL void fc_s8__armv7em_family(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                     int32_t y1, void *scratch) {
  int32_t y;
  (void)scratch;
  for (y = y0; y < y1; y++)
    fc_em_vector_family((const mf_fc_s8 *)params, (const int8_t *)mf_row(in, y), (int8_t *)mf_row(out, y));
}
