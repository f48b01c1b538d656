/* Windows of two pixels as int16 pairs in scratch, sums to codes, lines and pixels: what the convolutions of Armv7E-M share.
 *
 *   [p0 k0 k1][p1 k0 k1] [p0 k2 k3][p1 k2 k3] ...     padding as in_zero; within a group of four taps the order is 0 2 1 3
 */
#ifndef MF_ARMV7EM_CONV_EM_H
#define MF_ARMV7EM_CONV_EM_H

#include "runtime/kernels/armv7em/dsp.h"

#ifdef MF_DSP

/* clang-format off */
/* A channel's sums in a and b, of both pixels, to their codes; where the lowest code stands for 0, signs do not matter. */
#define CONV_EM_CODE(a, b)               \
  "ldm r0!, {r10, r11, r12}\n\t"         \
  "smmulr " a ", " a ", r10\n\t"         \
  "add " a ", " a ", " a ", asr #31\n\t" \
  "add " a ", " a ", r11\n\t"            \
  "add r11, r11, " b ", asr #31\n\t"     \
  "smmlar " b ", " b ", r10, r11\n\t"    \
  CONV_EM_STORE(a, b)
#define CONV_EM_CODE_ZERO(a, b)          \
  "ldm r0!, {r10, r11, r12}\n\t"         \
  "smmlar " a ", " a ", r10, r11\n\t"    \
  "smmlar " b ", " b ", r10, r11\n\t"    \
  CONV_EM_STORE(a, b)
#define CONV_EM_STORE(a, b)   \
  "asr " a ", " a ", r12\n\t" \
  "asr " b ", " b ", r12\n\t" \
  "ssat " a ", #8, " a "\n\t" \
  "ssat " b ", #8, " b "\n\t" \
  "strb " b ", [lr], #1\n\t"  \
  "strb " a ", [r1], #1\n\t"

/* clang-format on */

#endif

/* -- windows -- */

/* n pairs of the padding's value; pairs of one pixel lie two words apart. */
MF_INLINE uint32_t *conv_em_pad(uint32_t *col, int32_t n, uint32_t zeros) {
  for (; n > 0; n--, col += 2) *col = zeros;
  return col;
}

/* n bytes, a multiple of 4, as pairs in the order 0 2 1 3. */
MF_INLINE uint32_t *conv_em_widen(uint32_t *col, const int8_t *x, int32_t n) {
  if (n & 4) {
    const uint32_t v = mf_load4(x);
    col[0] = mf_even_bytes(v);
    col[2] = mf_odd_bytes(v);
    col += 4;
    x += 4;
  }
  for (n >>= 3; n > 0; n--, x += 8, col += 8) {
    const uint32_t v = mf_load4(x), u = mf_load4(x + 4);
    col[0] = mf_even_bytes(v);
    col[2] = mf_odd_bytes(v);
    col[4] = mf_even_bytes(u);
    col[6] = mf_odd_bytes(u);
  }
  return col;
}

/* The window of pixel (y, x), in_c a multiple of 4. */
static MF_UNUSED void conv_em_window4(const mf_conv_s8 *p, const mf_view *in, int32_t y, int32_t x,
                                      uint32_t *col) {
  const mf_window *g = &p->g;
  const uint32_t zeros = mf_pair(p->in_zero, p->in_zero);
  const int32_t top = y * g->stride_h - g->pad_top, left = x * g->stride_w - g->pad_left;
  const int32_t whole = g->dil_w == 1 && left >= 0 && left + g->k_w <= g->in_w; /* no border on either side */
  int32_t ky, kx;
  if (g->k_h == 1 && whole && top >= 0 && top < g->in_h) { /* above all: convolutions of one pixel */
    conv_em_widen(col, (const int8_t *)mf_row(in, top) + left * g->in_c, g->k_w * g->in_c);
    return;
  }
  for (ky = 0; ky < g->k_h; ky++) {
    const int32_t iy = top + ky * g->dil_h;
    const int8_t *line;
    if (iy < 0 || iy >= g->in_h) {
      col = conv_em_pad(col, g->k_w * g->in_c / 2, zeros);
      continue;
    }
    line = (const int8_t *)mf_row(in, iy) + left * g->in_c;
    if (whole) {
      col = conv_em_widen(col, line, g->k_w * g->in_c);
      continue;
    }
    for (kx = 0; kx < g->k_w; kx++) {
      const int32_t ix = left + kx * g->dil_w;
      if (ix < 0 || ix >= g->in_w)
        col = conv_em_pad(col, g->in_c / 2, zeros);
      else
        col = conv_em_widen(col, line + kx * g->dil_w * g->in_c, g->in_c);
    }
  }
}

/* The window of pixel (y, x), any in_c: gathered as bytes behind the pairs, then widened; the last group is filled up. */
static MF_UNUSED void conv_em_window1(const mf_conv_s8 *p, const mf_view *in, int32_t y, int32_t x,
                                      uint32_t *col, int8_t *room) {
  const mf_window *g = &p->g;
  const int32_t n = g->k_h * g->k_w * g->in_c, rest = n & 3;
  const int8_t *from =
      mf_window_bytes(g, in, p->in_zero, y * g->stride_h - g->pad_top, x * g->stride_w - g->pad_left, room);
  uint32_t v = 0;
  int32_t i;
  col = conv_em_widen(col, from, n & ~3);
  if (!rest) return;
  for (i = 0; i < rest; i++) v |= (uint32_t)(uint8_t)from[(n & ~3) + i] << (8 * i);
  col[0] = mf_even_bytes(v);
  col[2] = mf_odd_bytes(v);
}

static void conv_em_limit(int8_t *y, int32_t n, int32_t lo, int32_t hi) {
  int32_t i;
  for (i = 0; i < n; i++) y[i] = (int8_t)mf_clamp(y[i], lo, hi);
}

/* -- pixels -- */

typedef struct conv_em_block {
  const uint32_t *x, *x4, *x1; /* both windows; the end of groups of four pairs; the end */
  const int8_t *w;
  const int32_t *q;
  int8_t *out0, *out1; /* the first channel of each pixel */
  int32_t blocks;      /* of four channels, at least 1 */
  uint32_t more[2];    /* bytes between two blocks of weights, where they lie apart; conv_s4: 8 times each
                          window's sum */
} conv_em_block;

typedef void conv_em_run_blocks(const conv_em_block *b);
typedef void conv_em_two_pixels(const mf_conv_s8 *p, conv_em_block *b);
typedef void conv_em_gather(const mf_conv_s8 *p, const mf_view *in, int32_t y, int32_t x, uint32_t *col,
                            int8_t *room);

/* All channels of the two pixels whose windows lie in scratch; blocks of weights begin `step` bytes apart. One pixel: out1
 * is out0, which is written last. */
MF_INLINE void conv_em_channels(const mf_conv_s8 *p, conv_em_block *b, int32_t step,
                                conv_em_run_blocks *run) {
  const int32_t n = p->g.out_c, rest = n & 3;
  b->blocks = n >> 2;
  if (b->blocks) run(b);
  if (rest) {
    int8_t last[8];
    conv_em_block r = *b;
    int32_t i;
    r.w += (n >> 2) * step;
    r.q += (n >> 2) * 16;
    r.out0 = last;
    r.out1 = last + 4;
    r.blocks = 1;
    run(&r);
    for (i = 0; i < rest; i++) {
      b->out1[n - rest + i] = last[4 + i];
      b->out0[n - rest + i] = last[i];
    }
  }
  if (p->lo > -128 || p->hi < 127) {
    conv_em_limit(b->out0, n, p->lo, p->hi);
    conv_em_limit(b->out1, n, p->lo, p->hi);
  }
}

/* Lines y0 .. y1-1: windows of `pairs` pairs by twos, the rest of scratch behind them. */
MF_INLINE void conv_em_lines(const mf_conv_s8 *p, const mf_view *in, const mf_view *out, int32_t y0,
                             int32_t y1, uint32_t *col, int32_t pairs, conv_em_gather *window,
                             conv_em_two_pixels *pixels) {
  conv_em_block b;
  int32_t y, x, held = 0; /* held: windows in scratch */
  b.x = col;
  b.x4 = col + (pairs & ~3) * 2;
  b.x1 = col + pairs * 2;
  b.w = p->w;
  b.q = p->bias;
  b.out0 = b.out1 = NULL;
  b.blocks = 0;
  b.more[0] = b.more[1] = 0;
  for (y = y0; y < y1; y++) {
    int8_t *line = (int8_t *)mf_row(out, y);
    for (x = 0; x < p->g.out_w; x++, line += p->g.out_c) {
      window(p, in, y, x, col + held, (int8_t *)(col + 2 * pairs));
      b.out1 = line;
      if (!held) b.out0 = line;
      held ^= 1;
      if (!held) pixels(p, &b);
    }
  }
  if (held) pixels(p, &b);
}

/* The window of pixel (y, x), taps one after another. */
MF_INLINE void conv_em_window(const mf_conv_s8 *p, const mf_view *in, int32_t y, int32_t x, uint32_t *col,
                              int8_t *room) {
  if (p->g.in_c & 3)
    conv_em_window1(p, in, y, x, col, room);
  else
    conv_em_window4(p, in, y, x, col);
}
MF_INLINE int32_t conv_em_pairs(const mf_window *g) { return (g->k_h * g->k_w * g->in_c + 3) / 4 * 2; }

#endif
