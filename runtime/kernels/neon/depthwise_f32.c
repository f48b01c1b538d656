/* DepthwiseConv, float32, one output channel for each input channel, for NEON: eight channels of a pixel.
 *
 * The taps of a pixel are a list of addresses; those outside the image point at a line of zeros. While a window touches no
 * border, one list serves the pixels of a line: an offset moves on. Weights, packed, a block of eight channels:
 * [tap 0: c0 .. c7] [tap 1: ..] ...; biases likewise. Products are added in order of taps, each rounded once with the sum
 * (fused). A row is a line of the image.
 */
#include "runtime/kernels/neon/neon_f32.h"
#include "runtime/kernels/window.h"

MF_KERNEL mf_kernel_fn depthwise_f32__neon;

enum { DEPTHWISE_F32_NEON_TAPS = 25 };

/* All channels of a pixel whose taps are given, `offset` bytes further on. */
MF_INLINE void depthwise_f32_neon_pixel(const mf_conv_f32 *p, const int8_t *const *tap, int32_t taps,
                                        int32_t offset, float *y) {
  const float *w = p->w;
  int32_t o, t;
  for (o = 0; o < p->g.out_c; o += 8, offset += 8 * (int32_t)sizeof(float)) {
    float32x4_t acc[2];
    acc[0] = vld1q_f32(p->bias + o);
    acc[1] = vld1q_f32(p->bias + o + 4);
    for (t = 0; t < taps; t++, w += 8) {
      const float *x = (const float *)(const void *)(tap[t] + offset);
      acc[0] = vfmaq_f32(acc[0], vld1q_f32(x), vld1q_f32(w));
      acc[1] = vfmaq_f32(acc[1], vld1q_f32(x + 4), vld1q_f32(w + 4));
    }
    vst1q_f32(y + o, mf_neon_f32_limit(acc[0], p->lo, p->hi));
    vst1q_f32(y + o + 4, mf_neon_f32_limit(acc[1], p->lo, p->hi));
  }
}

static void depthwise_f32_neon_line(const mf_conv_f32 *p, const mf_view *in, const int8_t *zeros, float *line,
                                    int32_t top) {
  mf_window g = p->g; /* in bytes */
  const int8_t *tap[DEPTHWISE_F32_NEON_TAPS];
  const int32_t rows_inside = top >= 0 && top + (g.k_h - 1) * g.dil_h < g.in_h;
  const int32_t span = (g.k_w - 1) * g.dil_w, taps = g.k_h * g.k_w;
  int32_t x, offset = 0, moving = 0; /* moving: the addresses serve for this pixel too */
  g.in_c *= (int32_t)sizeof(float);
  for (x = 0; x < g.out_w; x++, line += g.out_c) {
    const int32_t left = x * g.stride_w - g.pad_left;
    const int32_t inside = rows_inside && left >= 0 && left + span < g.in_w;
    if (inside && moving) {
      offset += g.stride_w * g.in_c;
    } else {
      mf_window_taps(&g, in, zeros, top, left, tap);
      offset = 0;
      moving = inside;
    }
    if (taps == 9)
      depthwise_f32_neon_pixel(p, tap, 9, offset, line);
    else
      depthwise_f32_neon_pixel(p, tap, taps, offset, line);
  }
}

MF_KERNEL void depthwise_f32__neon(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                   int32_t y1, void *scratch) {
  const mf_conv_f32 *p = (const mf_conv_f32 *)params;
  int32_t y;
  mf_fill_bytes((int8_t *)scratch, 0, p->g.in_c * (int32_t)sizeof(float));
  for (y = y0; y < y1; y++)
    depthwise_f32_neon_line(p, in, (const int8_t *)scratch, (float *)mf_row(out, y),
                            y * p->g.stride_h - p->g.pad_top);
}
