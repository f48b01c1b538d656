/* FullyConnected, float32, for NEON: up to eight rows by eight outputs (neon_f32.h). A row is one input vector. */
#include "runtime/kernels/neon/neon_f32.h"

MF_KERNEL mf_kernel_fn fc_f32__neon;

MF_KERNEL void fc_f32__neon(const void *params, const mf_view *in, const mf_view *out, int32_t y0, int32_t y1,
                            void *scratch) {
  const mf_fc_f32 *p = (const mf_fc_f32 *)params;
  int32_t y, i;
  mf_neon_f32_run b;
  (void)scratch;
  b.w = p->w;
  b.bias = p->bias;
  b.taps = p->k;
  b.outs = p->n;
  b.lo = p->lo;
  b.hi = p->hi;
  for (y = y0; y < y1; y += i) {
    for (i = 0; i < MF_NEON_F32_PIXELS && y + i < y1; i++) {
      b.x[i] = (const float *)mf_row(in, y + i);
      b.out[i] = (float *)mf_row(out, y + i);
    }
    mf_neon_f32_pixels(&b, i);
  }
}
