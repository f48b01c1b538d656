/* What the float kernels for NEON (AArch64) share: sums over runs of floats, up to eight pixels (or rows) by eight
 * channels.
 *
 *   windows, runs of floats:   x[0] .. x[7]
 *   weights, packed, a block of eight channels:   [k0: c0 .. c7] [k1: c0 .. c7] ...; biases likewise
 *
 * Each sum takes its products in order of k, each rounded once with the sum (fused): it depends neither on the rows asked
 * for nor on how many pixels are taken at a time.
 */
#ifndef MF_NEON_F32_H
#define MF_NEON_F32_H

#include <arm_neon.h>

#include "runtime/kernels/kernel.h"

enum { MF_NEON_F32_PIXELS = 8 };

typedef struct mf_neon_f32_run {
  const float *x[MF_NEON_F32_PIXELS]; /* windows of `taps` floats */
  float *out[MF_NEON_F32_PIXELS];     /* the first channel of each pixel */
  const float *w, *bias;
  int32_t taps, outs;
  float lo, hi;
} mf_neon_f32_run;

MF_INLINE float32x4_t mf_neon_f32_limit(float32x4_t v, float lo, float hi) {
  return vminq_f32(vmaxq_f32(v, vdupq_n_f32(lo)), vdupq_n_f32(hi));
}

/* Products with four inputs of a window; w: their four pairs of vectors. */
MF_INLINE void mf_neon_f32_four(float32x4_t acc[2], float32x4_t x, const float32x4_t w[8]) {
  acc[0] = vfmaq_laneq_f32(acc[0], w[0], x, 0);
  acc[1] = vfmaq_laneq_f32(acc[1], w[1], x, 0);
  acc[0] = vfmaq_laneq_f32(acc[0], w[2], x, 1);
  acc[1] = vfmaq_laneq_f32(acc[1], w[3], x, 1);
  acc[0] = vfmaq_laneq_f32(acc[0], w[4], x, 2);
  acc[1] = vfmaq_laneq_f32(acc[1], w[5], x, 2);
  acc[0] = vfmaq_laneq_f32(acc[0], w[6], x, 3);
  acc[1] = vfmaq_laneq_f32(acc[1], w[7], x, 3);
}

/* n of a block's eight channels, n at least 1. */
MF_INLINE void mf_neon_f32_store(float *y, const float32x4_t v[2], int32_t n) {
  float all[8];
  int32_t i;
  if (n >= 8) {
    vst1q_f32(y, v[0]);
    vst1q_f32(y + 4, v[1]);
    return;
  }
  vst1q_f32(all, v[0]);
  vst1q_f32(all + 4, v[1]);
  for (i = 0; i < n; i++) y[i] = all[i];
}

/* All channels of pixels first .. first + pixels - 1; `pixels` a constant where this is called. */
MF_INLINE void mf_neon_f32_channels(const mf_neon_f32_run *b, int32_t first, int32_t pixels) {
  const int32_t taps = b->taps;
  const float *w = b->w;
  int32_t o, p, k, i;
  for (o = 0; o < b->outs; o += 8) {
    float32x4_t acc[MF_NEON_F32_PIXELS][2];
#pragma GCC unroll 8
    for (p = 0; p < pixels; p++) {
      acc[p][0] = vld1q_f32(b->bias + o);
      acc[p][1] = vld1q_f32(b->bias + o + 4);
    }
    for (k = 0; k + 4 <= taps; k += 4, w += 32) {
      float32x4_t v[8];
#pragma GCC unroll 8
      for (i = 0; i < 8; i++) v[i] = vld1q_f32(w + 4 * i);
#pragma GCC unroll 8
      for (p = 0; p < pixels; p++) mf_neon_f32_four(acc[p], vld1q_f32(b->x[first + p] + k), v);
    }
    for (; k < taps; k++, w += 8) {
      const float32x4_t v0 = vld1q_f32(w), v1 = vld1q_f32(w + 4);
#pragma GCC unroll 8
      for (p = 0; p < pixels; p++) {
        const float x = b->x[first + p][k];
        acc[p][0] = vfmaq_n_f32(acc[p][0], v0, x);
        acc[p][1] = vfmaq_n_f32(acc[p][1], v1, x);
      }
    }
#pragma GCC unroll 8
    for (p = 0; p < pixels; p++) {
      acc[p][0] = mf_neon_f32_limit(acc[p][0], b->lo, b->hi);
      acc[p][1] = mf_neon_f32_limit(acc[p][1], b->lo, b->hi);
      mf_neon_f32_store(b->out[first + p] + o, acc[p], b->outs - o);
    }
  }
}

/* All channels of 1 .. 8 pixels. */
static MF_UNUSED void mf_neon_f32_pixels(const mf_neon_f32_run *b, int32_t pixels) {
  int32_t at = 0;
  if (pixels == MF_NEON_F32_PIXELS) {
    mf_neon_f32_channels(b, 0, MF_NEON_F32_PIXELS);
    return;
  }
  if (pixels & 4) {
    mf_neon_f32_channels(b, 0, 4);
    at = 4;
  }
  for (; at < pixels; at++) mf_neon_f32_channels(b, at, 1);
}

#endif
