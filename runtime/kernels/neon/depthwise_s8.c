/* DepthwiseConv, int8, one output channel for each input channel, for NEON: eight channels of a pixel.
 *
 * The taps of a pixel are a list of addresses; those outside the image point at a line of in_zero. While a window touches
 * no border, one list serves the pixels of a line: an offset moves on. Two taps' products add up in 16 bits (no weight is
 * -128), then widen to 32. Weights, packed, a block of eight channels: [tap 0: c0 .. c7] [tap 1: ..] ... Per block q
 * holds eight each of biases with in_zero folded in, multipliers and negative shifts. Same results as
 * depthwise_s8__generic. A row is a line of the image.
 */
#include "runtime/kernels/neon/neon.h"
#include "runtime/kernels/window.h"

MF_KERNEL mf_kernel_fn depthwise_s8__neon;

enum { DEPTHWISE_NEON_TAPS = 25 };

/* Eight channels: the codes of a pixel whose taps are given, at `offset`. */
MF_INLINE void depthwise_neon_eight(const mf_conv_s8 *p, const int8_t *const *tap, int32_t taps,
                                    int32_t offset, const int8_t *w, const int32_t *q, int8_t *y) {
  int32x4_t low = vld1q_s32(q), high = vld1q_s32(q + 4);
  int16x8_t v;
  int32_t t;
  for (t = 0; t + 2 <= taps; t += 2, w += 16) {
    const int8x16_t both = vld1q_s8(w);
    v = vmull_s8(vld1_s8(tap[t] + offset), vget_low_s8(both));
    v = vmlal_s8(v, vld1_s8(tap[t + 1] + offset), vget_high_s8(both));
    low = vaddw_s16(low, vget_low_s16(v));
    high = vaddw_high_s16(high, v);
  }
  if (t < taps) {
    v = vmull_s8(vld1_s8(tap[t] + offset), vld1_s8(w));
    low = vaddw_s16(low, vget_low_s16(v));
    high = vaddw_high_s16(high, v);
  }
  low = mf_neon_scale(low, vld1q_s32(q + 8), vld1q_s32(q + 16));
  high = mf_neon_scale(high, vld1q_s32(q + 12), vld1q_s32(q + 20));
  v = vqaddq_s16(vqmovn_high_s32(vqmovn_s32(low), high), vdupq_n_s16((int16_t)p->out_zero));
  vst1_s8(y, vmin_s8(vmax_s8(vqmovn_s16(v), vdup_n_s8((int8_t)p->lo)), vdup_n_s8((int8_t)p->hi)));
}

MF_INLINE void depthwise_neon_pixel(const mf_conv_s8 *p, const int8_t *const *tap, int32_t taps,
                                    int32_t offset, int8_t *y) {
  const int32_t channels = p->g.out_c;
  const int8_t *w = p->w;
  const int32_t *q = p->bias;
  int32_t o;
  for (o = 0; o < channels; o += 8, w += 8 * taps, q += 24)
    depthwise_neon_eight(p, tap, taps, offset + o, w, q, y + o);
}

static void depthwise_neon_line(const mf_conv_s8 *p, const mf_view *in, const int8_t *zeros, int8_t *line,
                                int32_t top) {
  const mf_window *g = &p->g;
  const int8_t *tap[DEPTHWISE_NEON_TAPS];
  const int32_t rows_inside = top >= 0 && top + (g->k_h - 1) * g->dil_h < g->in_h;
  const int32_t span = (g->k_w - 1) * g->dil_w, taps = g->k_h * g->k_w;
  int32_t x, offset = 0, moving = 0; /* moving: the addresses serve for this pixel too */
  for (x = 0; x < g->out_w; x++, line += g->out_c) {
    const int32_t left = x * g->stride_w - g->pad_left;
    const int32_t inside = rows_inside && left >= 0 && left + span < g->in_w;
    if (inside && moving) {
      offset += g->stride_w * g->in_c;
    } else {
      mf_window_taps(g, in, zeros, top, left, tap);
      offset = 0;
      moving = inside;
    }
    if (taps == 9)
      depthwise_neon_pixel(p, tap, 9, offset, line);
    else
      depthwise_neon_pixel(p, tap, taps, offset, line);
  }
}

MF_KERNEL void depthwise_s8__neon(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                  int32_t y1, void *scratch) {
  const mf_conv_s8 *p = (const mf_conv_s8 *)params;
  int32_t y;
  mf_fill_bytes((int8_t *)scratch, p->in_zero, p->g.in_c);
  for (y = y0; y < y1; y++)
    depthwise_neon_line(p, in, (const int8_t *)scratch, (int8_t *)mf_row(out, y),
                        y * p->g.stride_h - p->g.pad_top);
}
