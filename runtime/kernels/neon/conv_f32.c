/* Conv, float32, one group, for NEON: eight output pixels by eight channels (neon_f32.h). Each pixel's window is a run of
 * floats, gathered in scratch, padding as 0, unless it is one in the image already. A row is a line of the image.
 */
#include "runtime/kernels/neon/neon_f32.h"
#include "runtime/kernels/window.h"

MF_KERNEL mf_kernel_fn conv_f32__neon;

MF_KERNEL void conv_f32__neon(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                              int32_t y1, void *scratch) {
  const mf_conv_f32 *p = (const mf_conv_f32 *)params;
  mf_window g = p->g; /* in bytes */
  const int32_t pointwise = g.k_h == 1 && g.k_w == 1 && g.pad_top == 0 && g.pad_left == 0 &&
                            (g.out_h - 1) * g.stride_h < g.in_h && (g.out_w - 1) * g.stride_w < g.in_w;
  int32_t y, x, held = 0; /* held: pixels that wait */
  mf_neon_f32_run b;
  b.w = p->w;
  b.bias = p->bias;
  b.taps = g.k_h * g.k_w * g.in_c;
  b.outs = g.out_c;
  b.lo = p->lo;
  b.hi = p->hi;
  g.in_c *= (int32_t)sizeof(float);
  for (y = y0; y < y1; y++) {
    float *line = (float *)mf_row(out, y);
    const char *from = pointwise ? (const char *)mf_row(in, y * g.stride_h) : NULL;
    for (x = 0; x < g.out_w; x++, line += g.out_c) {
      const void *window =
          pointwise ? (const void *)(from + x * g.stride_w * g.in_c)
                    : mf_window_bytes(&g, in, 0, y * g.stride_h - g.pad_top, x * g.stride_w - g.pad_left,
                                      (int8_t *)((float *)scratch + held * b.taps));
      b.x[held] = (const float *)window;
      b.out[held] = line;
      if (++held < MF_NEON_F32_PIXELS) continue;
      mf_neon_f32_pixels(&b, held);
      held = 0;
    }
  }
  if (held) mf_neon_f32_pixels(&b, held);
}
