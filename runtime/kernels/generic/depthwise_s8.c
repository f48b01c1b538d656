/* DepthwiseConv, int8: output channel o reads input channel o / (out_c / in_c); one multiplier per output channel.
 *
 *   acc = bias[o] + sum (x - in_zero) * w;  y = clamp(out_zero + requantize(acc, mult[o], shift[o]), lo, hi)
 *
 * Bit for bit TensorFlow Lite Micro's reference (reference_integer_ops::DepthwiseConvPerChannel, double rounding).
 * Sums wrap beyond 32 bits. Channels are taken in blocks of up to 16. A row is a line of the image.
 */
#include "runtime/kernels/requantize.h"

MF_KERNEL mf_kernel_fn depthwise_s8__generic;

/* Add one tap to a block of n output channels from o0 on. x: the tap's pixel, w: the tap's weights. */
MF_INLINE void depthwise_s8_tap(uint32_t *acc, const int8_t *x, const int8_t *w, int32_t o0, int32_t n,
                                int32_t times, int32_t zero) {
  int32_t i;
  if (times == 1)
    for (i = 0; i < n; i++) acc[i] += (uint32_t)((int16_t)(x[o0 + i] - zero) * w[o0 + i]);
  else
    for (i = 0; i < n; i++) acc[i] += (uint32_t)((int16_t)(x[(o0 + i) / times] - zero) * w[o0 + i]);
}

static void depthwise_s8_pixel(const mf_conv_s8 *p, const mf_view *in, int8_t *y, int32_t top, int32_t left) {
  enum { BLOCK = 16 };
  const mf_window *g = &p->g;
  const int32_t ky0 = mf_tap_begin(top, g->dil_h), ky1 = mf_tap_end(top, g->dil_h, g->k_h, g->in_h);
  const int32_t kx0 = mf_tap_begin(left, g->dil_w), kx1 = mf_tap_end(left, g->dil_w, g->k_w, g->in_w);
  int32_t o, ky, kx, i;
  for (o = 0; o < g->out_c; o += BLOCK) {
    const int32_t n = g->out_c - o < BLOCK ? g->out_c - o : BLOCK;
    uint32_t acc[BLOCK];
    for (i = 0; i < n; i++) acc[i] = p->bias ? (uint32_t)p->bias[o + i] : 0;
    for (ky = ky0; ky < ky1; ky++) {
      const int8_t *x = (const int8_t *)mf_row(in, top + ky * g->dil_h) + left * g->in_c;
      for (kx = kx0; kx < kx1; kx++)
        depthwise_s8_tap(acc, x + kx * g->dil_w * g->in_c, p->w + (ky * g->k_w + kx) * p->w_tap, o, n,
                         g->out_c / g->in_c, p->in_zero);
    }
    for (i = 0; i < n; i++) {
      const int32_t v = p->out_zero + mf_requantize((int32_t)acc[i], p->mult[o + i], p->shift[o + i]);
      y[o + i] = (int8_t)mf_clamp(v, p->lo, p->hi);
    }
  }
}

MF_KERNEL void depthwise_s8__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                     int32_t y1, void *scratch) {
  const mf_conv_s8 *p = (const mf_conv_s8 *)params;
  int32_t y, x;
  (void)scratch;
  for (y = y0; y < y1; y++) {
    int8_t *line = (int8_t *)mf_row(out, y);
    for (x = 0; x < p->g.out_w; x++)
      depthwise_s8_pixel(p, in, line + x * p->g.out_c, y * p->g.stride_h - p->g.pad_top,
                         x * p->g.stride_w - p->g.pad_left);
  }
}
