/* DepthwiseConv, int8, one output channel for each input channel, for NEON: eight channels of a pixel.
 *
 * The taps of a pixel are a list of addresses; those outside the image point at a line of in_zero. While a window touches
 * no border, one list serves the pixels of a line: an offset moves on; windows of 3x3 that touch none go another way, a
 * block of channels along the line, whose weights stay in registers. Two taps' products add up in 16 bits (no weight is
 * -128), then widen to 32. Weights, packed, a block of eight channels: [tap 0: c0 .. c7] [tap 1: ..] ... Per block q
 * holds eight each of biases with in_zero folded in, multipliers and negative shifts. Same results as
 * depthwise_s8__generic. A row is a line of the image.
 */
#include "runtime/kernels/neon/neon.h"
#include "runtime/kernels/window.h"

MF_KERNEL mf_kernel_fn depthwise_s8__neon;

enum { DEPTHWISE_NEON_TAPS = 25, DEPTHWISE_NEON_LINE = 4 /* pixels for which registers are loaded */ };

/* How sums of eight channels become codes. */
typedef struct depthwise_neon_scales {
  int32x4_t bias0, bias1, mult0, mult1, shift0, shift1;
  int16x8_t zero;
  int8x8_t lo, hi;
} depthwise_neon_scales;

MF_INLINE depthwise_neon_scales depthwise_neon_load(const mf_conv_s8 *p, const int32_t *q) {
  depthwise_neon_scales c;
  c.bias0 = vld1q_s32(q);
  c.bias1 = vld1q_s32(q + 4);
  c.mult0 = vld1q_s32(q + 8);
  c.mult1 = vld1q_s32(q + 12);
  c.shift0 = vld1q_s32(q + 16);
  c.shift1 = vld1q_s32(q + 20);
  c.zero = vdupq_n_s16((int16_t)p->out_zero);
  c.lo = vdup_n_s8((int8_t)p->lo);
  c.hi = vdup_n_s8((int8_t)p->hi);
  return c;
}

MF_INLINE int8x8_t depthwise_neon_codes(const depthwise_neon_scales *c, int32x4_t low, int32x4_t high) {
  low = mf_neon_scale(low, c->mult0, c->shift0);
  high = mf_neon_scale(high, c->mult1, c->shift1);
  return vmin_s8(vmax_s8(vqmovn_s16(vqaddq_s16(vqmovn_high_s32(vqmovn_s32(low), high), c->zero)), c->lo),
                 c->hi);
}

/* Eight channels: the codes of a pixel whose taps are given, at `offset`. */
MF_INLINE void depthwise_neon_eight(const mf_conv_s8 *p, const int8_t *const *tap, int32_t taps,
                                    int32_t offset, const int8_t *w, const int32_t *q, int8_t *y) {
  const depthwise_neon_scales c = depthwise_neon_load(p, q);
  int32x4_t low = c.bias0, high = c.bias1;
  int16x8_t v;
  int32_t t;
  for (t = 0; t + 2 <= taps; t += 2, w += 16) {
    v = vmull_s8(vld1_s8(tap[t] + offset), vld1_s8(w));
    v = vmlal_s8(v, vld1_s8(tap[t + 1] + offset), vld1_s8(w + 8));
    low = vaddw_s16(low, vget_low_s16(v));
    high = vaddw_high_s16(high, v);
  }
  if (t < taps) {
    v = vmull_s8(vld1_s8(tap[t] + offset), vld1_s8(w));
    low = vaddw_s16(low, vget_low_s16(v));
    high = vaddw_high_s16(high, v);
  }
  vst1_s8(y, depthwise_neon_codes(&c, low, high));
}

/* All channels of a pixel. */
MF_INLINE void depthwise_neon_pixel(const mf_conv_s8 *p, const int8_t *const *tap, int32_t taps,
                                    int32_t offset, int8_t *y) {
  const int32_t channels = p->g.out_c;
  const int8_t *w = p->w;
  const int32_t *q = p->bias;
  int32_t o;
  for (o = 0; o < channels; o += 8, w += 8 * taps, q += 24)
    depthwise_neon_eight(p, tap, taps, offset + o, w, q, y + o);
}

/* Pixels x0 .. x1-1 of a line. */
static void depthwise_neon_listed(const mf_conv_s8 *p, const mf_view *in, const int8_t *zeros, int8_t *line,
                                  int32_t top, int32_t x0, int32_t x1) {
  const mf_window *g = &p->g;
  const int8_t *tap[DEPTHWISE_NEON_TAPS];
  const int32_t rows_inside = top >= 0 && top + (g->k_h - 1) * g->dil_h < g->in_h;
  const int32_t span = (g->k_w - 1) * g->dil_w, taps = g->k_h * g->k_w, channels = g->out_c;
  int32_t x, offset = 0, moving = 0; /* moving: the addresses serve for this pixel too */
  for (x = x0; x < x1; x++) {
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
      depthwise_neon_pixel(p, tap, 9, offset, line + x * channels);
    else
      depthwise_neon_pixel(p, tap, taps, offset, line + x * channels);
  }
}

/* Products of two taps, added. */
MF_INLINE int16x8_t depthwise_neon_two(const int8_t *a, int8x8_t wa, const int8_t *b, int8x8_t wb) {
  return vmlal_s8(vmull_s8(vld1_s8(a), wa), vld1_s8(b), wb);
}

/* Eight channels of n pixels, windows of 3x3 inside the image; x: the first one's rows. */
MF_INLINE void depthwise_neon_3x3(const mf_conv_s8 *p, const int8_t *x0, const int8_t *x1, const int8_t *x2,
                                  int32_t n, const int8_t *w, const int32_t *q, int8_t *y) {
  const depthwise_neon_scales c = depthwise_neon_load(p, q);
  const int8x8_t w0 = vld1_s8(w), w1 = vld1_s8(w + 8), w2 = vld1_s8(w + 16), w3 = vld1_s8(w + 24);
  const int8x8_t w4 = vld1_s8(w + 32), w5 = vld1_s8(w + 40), w6 = vld1_s8(w + 48), w7 = vld1_s8(w + 56);
  const int8x8_t w8 = vld1_s8(w + 64);
  const ptrdiff_t one = p->g.dil_w * p->g.in_c, two = 2 * one, next = p->g.stride_w * p->g.in_c;
  const ptrdiff_t channels = p->g.out_c;
  for (; n > 0; n--, x0 += next, x1 += next, x2 += next, y += channels) {
    int16x8_t v = depthwise_neon_two(x0, w0, x0 + one, w1);
    int32x4_t low = vaddw_s16(c.bias0, vget_low_s16(v)), high = vaddw_high_s16(c.bias1, v);
    v = depthwise_neon_two(x0 + two, w2, x1, w3);
    low = vaddw_s16(low, vget_low_s16(v));
    high = vaddw_high_s16(high, v);
    v = depthwise_neon_two(x1 + one, w4, x1 + two, w5);
    low = vaddw_s16(low, vget_low_s16(v));
    high = vaddw_high_s16(high, v);
    v = depthwise_neon_two(x2, w6, x2 + one, w7);
    low = vaddw_s16(low, vget_low_s16(v));
    high = vaddw_high_s16(high, v);
    v = vmull_s8(vld1_s8(x2 + two), w8);
    low = vaddw_s16(low, vget_low_s16(v));
    high = vaddw_high_s16(high, v);
    vst1_s8(y, depthwise_neon_codes(&c, low, high));
  }
}

/* Pixels x0 .. x1-1 of a line, no window of which touches a border. */
static void depthwise_neon_inside(const mf_conv_s8 *p, const mf_view *in, int8_t *line, int32_t top,
                                  int32_t x0, int32_t x1) {
  const mf_window *g = &p->g;
  const int32_t left = (x0 * g->stride_w - g->pad_left) * g->in_c;
  const int8_t *const r0 = (const int8_t *)mf_row(in, top) + left;
  const int8_t *const r1 = (const int8_t *)mf_row(in, top + g->dil_h) + left;
  const int8_t *const r2 = (const int8_t *)mf_row(in, top + 2 * g->dil_h) + left;
  int32_t o;
  for (o = 0; o < g->out_c; o += 8)
    depthwise_neon_3x3(p, r0 + o, r1 + o, r2 + o, x1 - x0, p->w + 9 * o, p->bias + 3 * o,
                       line + x0 * g->out_c + o);
}

static void depthwise_neon_line(const mf_conv_s8 *p, const mf_view *in, const int8_t *zeros, int8_t *line,
                                int32_t top) {
  const mf_window *g = &p->g;
  const int32_t x0 = g->pad_left > 0 ? (g->pad_left + g->stride_w - 1) / g->stride_w : 0;
  const int32_t room =
      g->in_w - 1 - (g->k_w - 1) * g->dil_w + g->pad_left; /* of a window's left, from x = 0 on */
  int32_t x1 = room < 0 ? 0 : room / g->stride_w + 1;
  if (x1 > g->out_w) x1 = g->out_w;
  if (g->k_h != 3 || g->k_w != 3 || top < 0 || top + 2 * g->dil_h >= g->in_h ||
      x1 - x0 < DEPTHWISE_NEON_LINE) {
    depthwise_neon_listed(p, in, zeros, line, top, 0, g->out_w);
    return;
  }
  depthwise_neon_listed(p, in, zeros, line, top, 0, x0);
  depthwise_neon_inside(p, in, line, top, x0, x1);
  depthwise_neon_listed(p, in, zeros, line, top, x1, g->out_w);
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
