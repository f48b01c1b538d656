/* Conv, int8, one group, for NEON: four output pixels by four channels, sixteen inputs at a time, with dot product where
 * the compiler may use it (neon.h). in_zero is folded into the biases, padding counts as in_zero. Each pixel's window
 * is a run of bytes, gathered in scratch unless it is one in the image already. Same results as conv_s8__generic. A row is
 * a line of the image.
 */
#include "runtime/kernels/neon/neon.h"
#include "runtime/kernels/window.h"

MF_KERNEL mf_kernel_fn conv_s8__neon;

/* Whether a window is one pixel of the image, everywhere. */
MF_INLINE int32_t conv_neon_pointwise(const mf_window *g) {
  return g->k_h == 1 && g->k_w == 1 && g->pad_top == 0 && g->pad_left == 0 &&
         (g->out_h - 1) * g->stride_h < g->in_h && (g->out_w - 1) * g->stride_w < g->in_w;
}

MF_KERNEL void conv_s8__neon(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                             int32_t y1, void *scratch) {
  const mf_conv_s8 *p = (const mf_conv_s8 *)params;
  const mf_window *g = &p->g;
  const int32_t pointwise = conv_neon_pointwise(g);
  int32_t y, x, held = 0; /* held: pixels that wait */
  mf_neon_run b;
  b.w = p->w;
  b.q = p->bias;
  b.taps = g->k_h * g->k_w * g->in_c;
  b.outs = g->out_c;
  b.out_zero = p->out_zero;
  b.lo = p->lo;
  b.hi = p->hi;
  for (y = y0; y < y1; y++) {
    int8_t *line = (int8_t *)mf_row(out, y);
    const int8_t *from = pointwise ? (const int8_t *)mf_row(in, y * g->stride_h) : NULL;
    for (x = 0; x < g->out_w; x++, line += g->out_c) {
      b.out[held] = line;
      b.x[held] = pointwise
                      ? from + x * g->stride_w * g->in_c
                      : mf_window_bytes(g, in, p->in_zero, y * g->stride_h - g->pad_top,
                                        x * g->stride_w - g->pad_left, (int8_t *)scratch + held * b.taps);
      if (++held < MF_NEON_PIXELS) continue;
      mf_neon_pixels(&b, held);
      held = 0;
    }
  }
  if (held) mf_neon_pixels(&b, held);
}
