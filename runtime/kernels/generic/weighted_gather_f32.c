/* WeightedGather, float32: each output block is a sum of a few weighted input blocks: one axis of a resizing.
 *
 * Tap 0 first; taps of weight 0 are passed over, so that a place outside is never looked at. A row holds [in_len][inner]
 * elements.
 */
#include "runtime/kernels/kernel.h"

MF_KERNEL mf_kernel_fn weighted_gather_f32__generic;

MF_KERNEL void weighted_gather_f32__generic(const void *params, const mf_view *in, const mf_view *out,
                                            int32_t y0, int32_t y1, void *scratch) {
  const mf_weighted_gather *p = (const mf_weighted_gather *)params;
  int32_t r, o, t, i;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const float *x = (const float *)mf_row(in, r);
    float *y = (float *)mf_row(out, r);
    for (o = 0; o < p->out_len; o++, y += p->inner) {
      for (i = 0; i < p->inner; i++) y[i] = p->bias ? p->bias[o] : 0;
      for (t = 0; t < p->taps; t++) {
        const float w = p->weight[o * p->taps + t];
        const float *from = x + (ptrdiff_t)p->index[o * p->taps + t] * p->inner;
        if (w == 0) continue;
        for (i = 0; i < p->inner; i++) y[i] += w * from[i];
      }
    }
  }
}
