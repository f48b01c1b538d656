/* DepthwiseConv, float32: output channel o reads input channel o / (out_c / in_c).
 *
 * Channels are taken in blocks of up to 16, taps in the order of rows and columns: each sum has one fixed order.
 * A row is a line of the image.
 */
#include "runtime/kernels/kernel.h"

MF_KERNEL mf_kernel_fn depthwise_f32__generic;

/* Add one tap to a block of n output channels from o0 on. x: the tap's pixel, w: the tap's weights. */
MF_INLINE void depthwise_f32_tap(float *acc, const float *x, const float *w, int32_t o0, int32_t n,
                                 int32_t times) {
  int32_t i;
  if (times == 1)
    for (i = 0; i < n; i++) acc[i] += x[o0 + i] * w[o0 + i];
  else
    for (i = 0; i < n; i++) acc[i] += x[(o0 + i) / times] * w[o0 + i];
}

static void depthwise_f32_pixel(const mf_conv_f32 *p, const mf_view *in, float *y, int32_t top,
                                int32_t left) {
  enum { BLOCK = 16 };
  const mf_window *g = &p->g;
  const int32_t ky0 = mf_tap_begin(top, g->dil_h), ky1 = mf_tap_end(top, g->dil_h, g->k_h, g->in_h);
  const int32_t kx0 = mf_tap_begin(left, g->dil_w), kx1 = mf_tap_end(left, g->dil_w, g->k_w, g->in_w);
  int32_t o, ky, kx, i;
  for (o = 0; o < g->out_c; o += BLOCK) {
    const int32_t n = g->out_c - o < BLOCK ? g->out_c - o : BLOCK;
    float acc[BLOCK];
    for (i = 0; i < n; i++) acc[i] = 0;
    for (ky = ky0; ky < ky1; ky++) {
      const float *x = (const float *)mf_row(in, top + ky * g->dil_h) + left * g->in_c;
      for (kx = kx0; kx < kx1; kx++)
        depthwise_f32_tap(acc, x + kx * g->dil_w * g->in_c, p->w + (ky * g->k_w + kx) * p->w_tap, o, n,
                          g->out_c / g->in_c);
    }
    for (i = 0; i < n; i++) {
      const float v = p->bias ? acc[i] + p->bias[o + i] : acc[i];
      y[o + i] = v < p->lo ? p->lo : v > p->hi ? p->hi : v;
    }
  }
}

MF_KERNEL void depthwise_f32__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                      int32_t y1, void *scratch) {
  const mf_conv_f32 *p = (const mf_conv_f32 *)params;
  int32_t y, x;
  (void)scratch;
  for (y = y0; y < y1; y++) {
    float *line = (float *)mf_row(out, y);
    for (x = 0; x < p->g.out_w; x++)
      depthwise_f32_pixel(p, in, line + x * p->g.out_c, y * p->g.stride_h - p->g.pad_top,
                          x * p->g.stride_w - p->g.pad_left);
  }
}
