/* Windows of images as kernels for small processors read them: gathered into one run of bytes, or as a list of the
 * addresses of their taps. Positions outside the image count as the input's zero point.
 */
#ifndef MF_WINDOW_H
#define MF_WINDOW_H

#include "runtime/kernels/requantize.h"

/* Assembly functions are naked: arguments in r0 .. r3 by the procedure call standard. noipa keeps gcc from guessing which
 * registers they leave alone. */
#if defined(__GNUC__) && !defined(__clang__)
#define MF_ASM __attribute__((naked, noinline, noipa, unused)) static
#else
#define MF_ASM __attribute__((naked, noinline, unused)) static
#endif

MF_INLINE void mf_copy_bytes(int8_t *to, const int8_t *from, int32_t n) {
#ifdef __ARM_FEATURE_MVE
  __asm__ volatile(
      "wlstp.8 lr, %2, 2f\n1:\n\tvldrb.u8 q0, [%1], #16\n\tvstrb.8 q0, [%0], #16\n\tletp lr, 1b\n2:"
      : "+r"(to), "+r"(from)
      : "r"(n)
      : "lr", "q0", "memory", "cc");
#else
  int32_t i;
#ifdef __aarch64__
  if (n >= 16) { /* the last sixteen bytes may be partly among those before */
    for (i = 0; i + 16 <= n; i += 16) __builtin_memcpy(to + i, from + i, 16);
    if (i < n) __builtin_memcpy(to + n - 16, from + n - 16, 16);
    return;
  }
#endif
#ifdef __ARM_FEATURE_UNALIGNED
  for (; n >= 8; n -= 8, to += 8, from += 8) __builtin_memcpy(to, from, 8);
  if (n & 4) {
    __builtin_memcpy(to, from, 4);
    to += 4;
    from += 4;
  }
  n &= 3;
#endif
  for (i = 0; i < n; i++) to[i] = from[i];
#endif
}

MF_INLINE void mf_fill_bytes(int8_t *to, int32_t value, int32_t n) {
#ifdef __ARM_FEATURE_MVE
  __asm__ volatile("vdup.8 q0, %1\n\twlstp.8 lr, %2, 2f\n1:\n\tvstrb.8 q0, [%0], #16\n\tletp lr, 1b\n2:"
                   : "+r"(to)
                   : "r"(value), "r"(n)
                   : "lr", "q0", "memory", "cc");
#else
  int32_t i;
  for (i = 0; i < n; i++) to[i] = (int8_t)value;
#endif
}

/* The window whose corner is (top, left): where its k_h * k_w * in_c bytes lie. In `room`, or in the image itself when
 * they follow one another there. */
MF_HELPER const int8_t *mf_window_bytes(const mf_window *g, const mf_view *in, int32_t zero, int32_t top,
                                        int32_t left, int8_t *room) {
  const int32_t whole =
      (g->dil_w == 1 || g->k_w == 1) && left >= 0 && left + g->k_w <= g->in_w; /* no border left or right */
  const int32_t run = g->k_w * g->in_c;
  const int32_t kx0 = mf_tap_begin(left, g->dil_w), kx1 = mf_tap_end(left, g->dil_w, g->k_w, g->in_w);
  int8_t *to = room;
  int32_t ky, kx;
  if (whole && g->k_h == 1 && top >= 0 && top < g->in_h)
    return (const int8_t *)mf_row(in, top) + left * g->in_c;
  for (ky = 0; ky < g->k_h; ky++, to += run) {
    const int32_t iy = top + ky * g->dil_h;
    const int8_t *line;
    if (iy < 0 || iy >= g->in_h) {
      mf_fill_bytes(to, zero, run);
      continue;
    }
    line = (const int8_t *)mf_row(in, iy) + left * g->in_c;
    if (whole) {
      mf_copy_bytes(to, line, run);
      continue;
    }
    mf_fill_bytes(to, zero, run);
    if (g->dil_w == 1) {
      if (kx1 > kx0) mf_copy_bytes(to + kx0 * g->in_c, line + kx0 * g->in_c, (kx1 - kx0) * g->in_c);
      continue;
    }
    for (kx = kx0; kx < kx1; kx++) mf_copy_bytes(to + kx * g->in_c, line + kx * g->dil_w * g->in_c, g->in_c);
  }
  return room;
}

/* The lines of the windows whose first is `top`; NULL: outside the image. */
MF_HELPER void mf_window_lines(const mf_window *g, const mf_view *in, int32_t top, const int8_t **line) {
  int32_t ky;
  for (ky = 0; ky < g->k_h; ky++) {
    const int32_t iy = top + ky * g->dil_h;
    line[ky] = iy >= 0 && iy < g->in_h ? (const int8_t *)mf_row(in, iy) : NULL;
  }
}

/* The addresses of the taps of the window of these lines from column `left` on; those outside point at `zeros`. */
MF_HELPER void mf_line_taps(const mf_window *g, const int8_t *const *line, const int8_t *zeros, int32_t left,
                            const int8_t **tap) {
  int32_t ky, kx;
  for (kx = 0; kx < g->k_w; kx++, tap++) {
    const int32_t ix = left + kx * g->dil_w;
    if (ix < 0 || ix >= g->in_w)
      for (ky = 0; ky < g->k_h; ky++) tap[ky * g->k_w] = zeros;
    else
      for (ky = 0; ky < g->k_h; ky++) tap[ky * g->k_w] = line[ky] ? line[ky] + ix * g->in_c : zeros;
  }
}

/* The addresses of the taps of the window whose corner is (top, left); those outside the image point at `zeros`. */
MF_HELPER void mf_window_taps(const mf_window *g, const mf_view *in, const int8_t *zeros, int32_t top,
                              int32_t left, const int8_t **tap) {
  int32_t ky, kx;
  for (ky = 0; ky < g->k_h; ky++) {
    const int32_t iy = top + ky * g->dil_h, inside = iy >= 0 && iy < g->in_h;
    const int8_t *line = inside ? (const int8_t *)mf_row(in, iy) : zeros;
    for (kx = 0; kx < g->k_w; kx++) {
      const int32_t ix = left + kx * g->dil_w;
      *tap++ = inside && ix >= 0 && ix < g->in_w ? line + ix * g->in_c : zeros;
    }
  }
}

/* Columns of a window's lines, left to right, in scratch: the windows of neighbouring pixels overlap there, and each is one
 * run of bytes [k_w][k_h][in_c], so that an input is fetched once for a line of output and not once for each pixel.
 * Where windows are several lines of neighbouring columns. */
MF_HELPER int32_t mf_by_columns(const mf_window *g) { return g->k_h > 1 && (g->dil_w == 1 || g->k_w == 1); }

/* How many pixels of a line take their turn at once: an even number, unless it is all of them, for about 512 bytes. */
MF_HELPER int32_t mf_columns_pixels(const mf_window *g) {
  const int32_t columns = 512 / (g->k_h * g->in_c) - g->k_w;
  const int32_t n = columns > g->stride_w ? (columns / g->stride_w + 1) & ~1 : 2;
  return n < g->out_w ? n : g->out_w;
}

/* Codes of a line limited to lo .. hi, where that is narrower than int8. */
MF_INLINE void mf_limit(int8_t *y, int32_t n, int32_t lo, int32_t hi) {
  int32_t i;
  if (lo > -128 || hi < 127)
    for (i = 0; i < n; i++) y[i] = (int8_t)mf_clamp(y[i], lo, hi);
}

/* The output code of an accumulator: q holds { mult, round, shift }, shift >= 1,
 * round = (1 << (shift - 1)) + (out_zero << shift). Equal to out_zero + mf_requantize(x, mult, -shift), limited to int8,
 * for |x| < 2^30: the sign taken off makes halves go away from zero. */
MF_HELPER int8_t mf_code_of(int32_t x, const int32_t *q) {
  const int32_t high = (int32_t)(((int64_t)x * q[0] + ((int64_t)1 << 30)) >> 31);
  return (int8_t)mf_clamp((high + (high >> 31) + q[1]) >> q[2], -128, 127);
}

#endif
