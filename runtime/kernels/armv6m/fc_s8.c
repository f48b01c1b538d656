/* FullyConnected, int8, for Armv6-M (Cortex-M0, M0+): eight outputs at a time; see dot8.h. in_zero is folded into the
 * biases. Same results as fc_s8__generic. A row is one input vector.
 */
#include "runtime/kernels/armv6m/dot8.h"

MF_KERNEL mf_kernel_fn fc_s8__armv6m;

MF_KERNEL void fc_s8__armv6m(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                             int32_t y1, void *scratch) {
  const mf_fc_s8 *p = (const mf_fc_s8 *)params;
  mf_run run[2];
  int32_t y, o;
  mf_dot8 d;
  (void)scratch;
  run[0].end = p->k;
  run[0].count = -p->k;
  run[1].count = 0;
  d.run = run;
  d.zeros = NULL;
  d.codes.lo = p->lo;
  d.codes.hi = p->hi;
  for (y = y0; y < y1; y++) {
    int8_t *to = (int8_t *)mf_row(out, y);
    d.base = (const int8_t *)mf_row(in, y);
    d.w = p->w;
    d.q = p->bias;
    d.known = 0;
    for (o = 0; o < p->n; o += 8, d.w += 8 * p->k, d.q += 32)
      mf_dot8_codes(&d, to + o, p->n - o < 8 ? p->n - o : 8, mf_cuts_off(p->out_zero, p->lo));
  }
}
