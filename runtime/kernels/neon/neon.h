/* What the int8 kernels for NEON (AArch64) share: sums of runs of bytes, and their way to output codes.
 *
 *   windows, runs of bytes:   x[0] .. x[3], one for each pixel (of a fully connected layer: for each row)
 *   weights, packed, a block of four channels:   [c0: k0 .. k15] [c1: ..] [c2: ..] [c3: ..] [c0: k16 .. k31] ...
 *   per block q holds four each of biases, multipliers and negative shifts
 *
 * A sum has four lanes, of which each takes every fourth product (with dot product) or pairs of products that were added
 * in 16 bits (no weight is -128); pairwise additions transpose a block of them to a vector of channels for each pixel.
 * Inputs behind the last whole vector are taken from the vector that ends with the last of them, the weights of those
 * that were taken before being 0: nothing beside a window is read. Windows of less than one vector are copied.
 */
#ifndef MF_NEON_H
#define MF_NEON_H

#include <arm_neon.h>

#include "runtime/kernels/requantize.h"

enum { MF_NEON_PIXELS = 4 };

/* Four sums plus sixteen products each, of x and of w0 .. w3. In assembly, since gcc 12 would begin all of a step's
 * products before it adds the first, and spill. */
MF_INLINE void mf_neon_dots(int32x4_t acc[4], int8x16_t x, int8x16_t w0, int8x16_t w1, int8x16_t w2,
                            int8x16_t w3) {
#ifdef __ARM_FEATURE_DOTPROD
  acc[0] = vdotq_s32(acc[0], x, w0);
  acc[1] = vdotq_s32(acc[1], x, w1);
  acc[2] = vdotq_s32(acc[2], x, w2);
  acc[3] = vdotq_s32(acc[3], x, w3);
#else
  int16x8_t v0, v1, v2, v3;
  __asm__("smull %4.8h, %8.8b, %9.8b\n\t"
          "smull %5.8h, %8.8b, %10.8b\n\t"
          "smull %6.8h, %8.8b, %11.8b\n\t"
          "smull %7.8h, %8.8b, %12.8b\n\t"
          "smlal2 %4.8h, %8.16b, %9.16b\n\t"
          "smlal2 %5.8h, %8.16b, %10.16b\n\t"
          "smlal2 %6.8h, %8.16b, %11.16b\n\t"
          "smlal2 %7.8h, %8.16b, %12.16b\n\t"
          "sadalp %0.4s, %4.8h\n\t"
          "sadalp %1.4s, %5.8h\n\t"
          "sadalp %2.4s, %6.8h\n\t"
          "sadalp %3.4s, %7.8h"
          : "+w"(acc[0]), "+w"(acc[1]), "+w"(acc[2]), "+w"(acc[3]), "=&w"(v0), "=&w"(v1), "=&w"(v2), "=&w"(v3)
          : "w"(x), "w"(w0), "w"(w1), "w"(w2), "w"(w3));
#endif
}

/* TFLite's double rounding: the high half of the doubled product, halves up; then a right shift, halves away from zero. */
MF_INLINE int32x4_t mf_neon_scale(int32x4_t v, int32x4_t mult, int32x4_t shift) {
  v = vqrdmulhq_s32(v, mult);
  return vrshlq_s32(vsraq_n_s32(v, v, 31), shift);
}

/* Four int8 of which one word is lane i of v. */
#define MF_NEON_STORE4(to, v, i)                                     \
  do {                                                               \
    const int32_t word = vgetq_lane_s32(vreinterpretq_s32_s8(v), i); \
    __builtin_memcpy((to), &word, 4);                                \
  } while (0)

typedef struct mf_neon_run {
  const int8_t *x[MF_NEON_PIXELS]; /* windows of `taps` bytes */
  int8_t *out[MF_NEON_PIXELS];     /* the first channel of each pixel */
  const int8_t *w;
  const int32_t *q;
  int32_t taps, outs, out_zero, lo, hi;
} mf_neon_run;

/* Sums of four channels of `pixels` windows, the vectors x0 .. x3 at k of each with the weights at w. */
MF_INLINE void mf_neon_step(int32x4_t acc[MF_NEON_PIXELS][4], const int8_t *const *x, int32_t k,
                            const int8_t *w, int32_t pixels) {
  const int8x16_t w0 = vld1q_s8(w), w1 = vld1q_s8(w + 16), w2 = vld1q_s8(w + 32), w3 = vld1q_s8(w + 48);
  int32_t p;
#pragma GCC unroll 4
  for (p = 0; p < pixels; p++) mf_neon_dots(acc[p], vld1q_s8(x[p] + k), w0, w1, w2, w3);
}

/* Codes of four channels of four pixels, pixel by pixel. */
MF_INLINE int8x16_t mf_neon_codes(const mf_neon_run *b, int32x4_t acc[MF_NEON_PIXELS][4], const int32_t *q,
                                  int32_t pixels) {
  const int32x4_t bias = vld1q_s32(q), mult = vld1q_s32(q + 4), shift = vld1q_s32(q + 8);
  const int16x8_t zero = vdupq_n_s16((int16_t)b->out_zero);
  int32x4_t v[MF_NEON_PIXELS];
  int16x8_t low, high;
  int32_t p;
#pragma GCC unroll 4
  for (p = 0; p < MF_NEON_PIXELS; p++) {
    if (p >= pixels) {
      v[p] = v[0];
      continue;
    }
    v[p] = vpaddq_s32(vpaddq_s32(acc[p][0], acc[p][1]), vpaddq_s32(acc[p][2], acc[p][3]));
    v[p] = mf_neon_scale(vaddq_s32(v[p], bias), mult, shift);
  }
  low = vqaddq_s16(vqmovn_high_s32(vqmovn_s32(v[0]), v[1]), zero);
  high = pixels > 2 ? vqaddq_s16(vqmovn_high_s32(vqmovn_s32(v[2]), v[3]), zero) : low;
  return vminq_s8(vmaxq_s8(vqmovn_high_s16(vqmovn_s16(low), high), vdupq_n_s8((int8_t)b->lo)),
                  vdupq_n_s8((int8_t)b->hi));
}

MF_INLINE void mf_neon_store(int8x16_t codes, int8_t *const *out, int32_t o, int32_t n, int32_t pixels) {
  int8_t all[16];
  int32_t p, i;
  if (n == 4) {
    MF_NEON_STORE4(out[0] + o, codes, 0);
    if (pixels > 1) MF_NEON_STORE4(out[1] + o, codes, 1);
    if (pixels > 2) MF_NEON_STORE4(out[2] + o, codes, 2);
    if (pixels > 3) MF_NEON_STORE4(out[3] + o, codes, 3);
    return;
  }
  vst1q_s8(all, codes);
  for (p = 0; p < pixels; p++)
    for (i = 0; i < n; i++) out[p][o + i] = all[4 * p + i];
}

/* All channels of `pixels` pixels, a constant where this is called; taps at least 16. skip: bytes from the end of a block's
 * weights to the next one's. */
MF_INLINE void mf_neon_channels(const mf_neon_run *b, const int8_t *const *windows, int32_t pixels,
                                int32_t skip) {
  const int32_t taps = b->taps, outs = b->outs;
  const int8_t *w = b->w, *x[MF_NEON_PIXELS];
  const int32_t *q = b->q;
  int8_t *out[MF_NEON_PIXELS];
  int32_t o, p, k, j;
  for (p = 0; p < pixels; p++) {
    x[p] = windows[p];
    out[p] = b->out[p];
  }
  for (o = 0; o < outs; o += 4, q += 12, w += skip) {
    int32x4_t acc[MF_NEON_PIXELS][4];
#pragma GCC unroll 4
    for (p = 0; p < pixels; p++)
#pragma GCC unroll 4
      for (j = 0; j < 4; j++) acc[p][j] = vdupq_n_s32(0);
    for (k = 0; k + 16 <= taps; k += 16, w += 64) mf_neon_step(acc, x, k, w, pixels);
    if (k < taps) {
      mf_neon_step(acc, x, taps - 16, w, pixels);
      w += 64;
    }
    mf_neon_store(mf_neon_codes(b, acc, q, pixels), out, o, outs - o < 4 ? outs - o : 4, pixels);
  }
}

/* All channels of 1 .. 4 pixels. */
static MF_UNUSED void mf_neon_pixels(const mf_neon_run *b, int32_t pixels) {
  int8_t room[MF_NEON_PIXELS][16];
  const int8_t *copies[MF_NEON_PIXELS], *const *x = b->x;
  int32_t p, i;
  mf_neon_run padded;
  if (b->taps < 16) {
    padded = *b;
    padded.taps = 16;
    for (p = 0; p < pixels; p++) {
      vst1q_s8(room[p], vdupq_n_s8(0));
      for (i = 0; i < b->taps; i++) room[p][i] = b->x[p][i];
      copies[p] = room[p];
    }
    x = copies;
    b = &padded;
  }
  if (pixels == 4) {
    mf_neon_channels(b, x, 4, 0);
    return;
  }
  if (pixels >= 2) {
    mf_neon_channels(b, x, 2, 0);
    if (pixels == 2) return;
    padded = *b;
    padded.out[0] = b->out[2];
    mf_neon_channels(&padded, x + 2, 1, 0);
    return;
  }
  mf_neon_channels(b, x, 1, 0);
}

#endif
