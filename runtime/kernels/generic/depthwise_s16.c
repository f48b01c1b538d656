/* DepthwiseConv, int16 with int8 weights: output channel o reads input channel o / (out_c / in_c); one multiplier per
 * output channel.
 *
 *   acc = bias[o] + sum x * w in 64 bits;  y = clamp(acc * mult[o] * 2^(shift[o] - 15), lo, hi), one rounding
 *
 * Bit for bit TensorFlow Lite's reference, DepthwiseConvPerChannel of reference/integer_ops/depthwise_conv.h (zero points
 * are 0; its bias is int64 or none). Channels are taken in blocks of up to 16. A row is a line of the image.
 */
#include "runtime/kernels/requantize.h"

MF_KERNEL mf_kernel_fn depthwise_s16__generic;

static void depthwise_s16_pixel(const mf_conv_s16 *p, const mf_view *in, int16_t *y, int32_t top,
                                int32_t left) {
  enum { BLOCK = 16 };
  const mf_window *g = &p->g;
  const int32_t ky0 = mf_tap_begin(top, g->dil_h), ky1 = mf_tap_end(top, g->dil_h, g->k_h, g->in_h);
  const int32_t kx0 = mf_tap_begin(left, g->dil_w), kx1 = mf_tap_end(left, g->dil_w, g->k_w, g->in_w);
  const int32_t times = g->out_c / g->in_c;
  int32_t o, ky, kx, i;
  for (o = 0; o < g->out_c; o += BLOCK) {
    const int32_t n = g->out_c - o < BLOCK ? g->out_c - o : BLOCK;
    int64_t acc[BLOCK];
    for (i = 0; i < n; i++) acc[i] = p->bias ? p->bias[o + i] : 0;
    for (ky = ky0; ky < ky1; ky++) {
      const int16_t *line = (const int16_t *)mf_row(in, top + ky * g->dil_h) + left * g->in_c;
      for (kx = kx0; kx < kx1; kx++) {
        const int16_t *x = line + kx * g->dil_w * g->in_c;
        const int8_t *w = p->w + (ky * g->k_w + kx) * p->w_tap + o;
        for (i = 0; i < n; i++) acc[i] += x[(o + i) / times] * w[i];
      }
    }
    for (i = 0; i < n; i++)
      y[o + i] = (int16_t)mf_clamp(mf_requantize_wide(acc[i], p->mult[o + i], p->shift[o + i]), p->lo, p->hi);
  }
}

MF_KERNEL void depthwise_s16__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                      int32_t y1, void *scratch) {
  const mf_conv_s16 *p = (const mf_conv_s16 *)params;
  int32_t y, x;
  (void)scratch;
  for (y = y0; y < y1; y++) {
    int16_t *line = (int16_t *)mf_row(out, y);
    for (x = 0; x < p->g.out_w; x++)
      depthwise_s16_pixel(p, in, line + x * p->g.out_c, y * p->g.stride_h - p->g.pad_top,
                          x * p->g.stride_w - p->g.pad_left);
  }
}
