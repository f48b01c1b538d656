/* DepthwiseConv, int8, one output channel for each input channel, for x86-64: 16 channels of a pixel at a time, or eight
 * with SSE4.1.
 *
 *   lines of the image -> scratch, as conv_s8.h has them
 *   two taps: their channels interleaved, so that PMADDWD adds the two products of each channel
 *
 * Interleaving works on halves of registers: the low vector holds channels 0 .. 3 and 8 .. 11, the high one 4 .. 7 and
 * 12 .. 15, the order of units. An odd last tap has a partner of weight 0. Taps of 3x3 windows pair the first line with the
 * second, so that an interleaved column serves three pixels; the others go in order:
 *
 *   0 1 2     (0,3) (1,4) (2,5)
 *   3 4 5     (6,7) (8,-)
 *   6 7 8
 *
 * AVX2: of an image of eight channels two neighbouring pixels are taken as one of 16.
 * Same results as depthwise_s8__generic. A row is a line of the image.
 */
#ifndef MF_X86_DEPTHWISE_S8_H
#define MF_X86_DEPTHWISE_S8_H

#include "runtime/kernels/x86/x86.h"

enum { DEPTHWISE_X86_TAPS = 26 };

typedef struct depthwise_x86 {
  const mf_window *g;
  mf_limits l;
  const int16_t *w;
  const int32_t *q;
  int32_t taps, left; /* left: channels from this block on */
} depthwise_x86;

/* Where the taps of a row's first pixel lie, in elements of the lines; an even number of them, in the order of weights. */
MF_HELPER int32_t depthwise_x86_taps(const mf_window *g, const mf_lines *l, int32_t y, int32_t *tap) {
  static const int8_t square[9] = {0, 3, 1, 4, 2, 5, 6, 7, 8};
  int32_t n = g->k_h * g->k_w, t;
  for (t = 0; t < n; t++) {
    const int32_t at = g->k_h == 3 && g->k_w == 3 ? square[t] : t, ky = at / g->k_w, kx = at % g->k_w;
    const int32_t slot = mf_ring_slot(y * g->stride_h - g->pad_top + ky * g->dil_h, l->span);
    tap[t] = slot * l->size + kx * g->dil_w * g->in_c;
  }
  if (n & 1) {
    tap[n] = tap[n - 1];
    n++;
  }
  return n;
}

#define DEPTHWISE_X86_PAIR(a, b, i)                            \
  lo = mf_maddw(lo, mf_mixw_lo(a, b), mf_loadw(w + 32 * (i))); \
  hi = mf_maddw(hi, mf_mixw_hi(a, b), mf_loadw(w + 32 * (i) + 16));

MF_X86_INLINE void depthwise_x86_put(const depthwise_x86 *b, int8_t *y, mf_wide lo, mf_wide hi) {
  const __m128i codes =
      b->l.positive ? mf_codes_wide(lo, hi, b->q, &b->l, 1) : mf_codes_wide(lo, hi, b->q, &b->l, 0);
  if (MF_WIDE == 8 && b->left >= 8)
    _mm_storel_epi64((__m128i *)(void *)y, codes);
  else
    mf_store_some(y, b->left, codes);
}

/* A block's channels of one line. */
MF_X86_INLINE void depthwise_x86_line(const depthwise_x86 *b, const int16_t *x, const int32_t *tap,
                                      int8_t *y) {
  const int32_t step = b->g->stride_w * b->g->in_c;
  int32_t i, t;
  for (i = 0; i < b->g->out_w; i++, x += step, y += b->g->out_c) {
    const int16_t *w = b->w;
    mf_wide lo = mf_loadw(b->q), hi = mf_loadw(b->q + MF_Q8);
    for (t = 0; t < b->taps; t += 2, w += 32) {
      const mf_wide first = mf_loadw(x + tap[t]), second = mf_loadw(x + tap[t + 1]);
      DEPTHWISE_X86_PAIR(first, second, 0)
    }
    depthwise_x86_put(b, y, lo, hi);
  }
}

/* A column of a 3x3 window: the first two lines interleaved, and the third. */
typedef struct depthwise_column {
  mf_wide lo, hi, third;
} depthwise_column;

MF_X86_INLINE depthwise_column depthwise_x86_column(const int16_t *const line[3], ptrdiff_t at) {
  const mf_wide a = mf_loadw(line[0] + at), b = mf_loadw(line[1] + at);
  depthwise_column c;
  c.lo = mf_mixw_lo(a, b);
  c.hi = mf_mixw_hi(a, b);
  c.third = mf_loadw(line[2] + at);
  return c;
}

MF_X86_INLINE void depthwise_x86_pixel3(const depthwise_x86 *b, const depthwise_column *c0,
                                        const depthwise_column *c1, const depthwise_column *c2, int8_t *y) {
  const int16_t *w = b->w;
  mf_wide lo = mf_maddw(mf_loadw(b->q), c0->lo, mf_loadw(w));
  mf_wide hi = mf_maddw(mf_loadw(b->q + MF_Q8), c0->hi, mf_loadw(w + 16));
  lo = mf_maddw(lo, c1->lo, mf_loadw(w + 32));
  hi = mf_maddw(hi, c1->hi, mf_loadw(w + 48));
  lo = mf_maddw(lo, c2->lo, mf_loadw(w + 64));
  hi = mf_maddw(hi, c2->hi, mf_loadw(w + 80));
  DEPTHWISE_X86_PAIR(c0->third, c1->third, 3)
  DEPTHWISE_X86_PAIR(c2->third, c2->third, 4)
  depthwise_x86_put(b, y, lo, hi);
}

/* The same for 3x3 windows of stride 1 without dilation: a column serves three pixels. */
MF_X86_INLINE void depthwise_x86_line3(const depthwise_x86 *b, const int16_t *const line[3], int8_t *y) {
  const int32_t c = b->g->in_c, n = b->g->out_w;
  depthwise_column c0 = depthwise_x86_column(line, 0), c1 = depthwise_x86_column(line, c), c2;
  ptrdiff_t at = 2 * c;
  int32_t i = 0;
  for (; i + 3 <= n; i += 3, at += 3 * c, y += 3 * c) {
    c2 = depthwise_x86_column(line, at);
    depthwise_x86_pixel3(b, &c0, &c1, &c2, y);
    c0 = depthwise_x86_column(line, at + c);
    depthwise_x86_pixel3(b, &c1, &c2, &c0, y + c);
    c1 = depthwise_x86_column(line, at + 2 * c);
    depthwise_x86_pixel3(b, &c2, &c0, &c1, y + 2 * c);
  }
  if (i == n) return;
  c2 = depthwise_x86_column(line, at);
  depthwise_x86_pixel3(b, &c0, &c1, &c2, y);
  if (i + 1 == n) return;
  c0 = depthwise_x86_column(line, at + c);
  depthwise_x86_pixel3(b, &c1, &c2, &c0, y + c);
}

/* The same for stride 2: every second column serves two pixels. */
MF_X86_INLINE void depthwise_x86_line3_2(const depthwise_x86 *b, const int16_t *const line[3], int8_t *y) {
  const int32_t c = b->g->in_c;
  depthwise_column c0 = depthwise_x86_column(line, 0), c1, c2;
  ptrdiff_t at = 2 * c;
  int32_t i;
  for (i = 0; i < b->g->out_w; i++, at += 2 * c, y += c, c0 = c2) {
    c1 = depthwise_x86_column(line, at - c);
    c2 = depthwise_x86_column(line, at);
    depthwise_x86_pixel3(b, &c0, &c1, &c2, y);
  }
}

/* Two pixels of eight channels at a time: their columns overlap as those of windows of stride 2. */
MF_X86_INLINE void depthwise_x86_twins(depthwise_x86 *b, const int16_t *const line[3], int8_t *y) {
  depthwise_column c0 = depthwise_x86_column(line, 0), c1, c2;
  ptrdiff_t at = 16;
  int32_t i;
  for (i = 0; i < b->g->out_w; i += 2, at += 16, y += 16, c0 = c2) {
    b->left = i + 2 <= b->g->out_w ? 16 : 8;
    c1 = depthwise_x86_column(line, at - 8);
    c2 = depthwise_x86_column(line, at);
    depthwise_x86_pixel3(b, &c0, &c1, &c2, y);
  }
}

/* From channel o on by MF_WIDE: to the second half of the block, or to the next block. */
MF_X86_INLINE void depthwise_x86_next(depthwise_x86 *b, int32_t o) {
  if (MF_WIDE == 8 && o % 16 == 0)
    b->w += 8, b->q += 4;
  else
    b->w += b->taps * 16 + MF_WIDE - 16, b->q += 2 * MF_Q8 + (MF_WIDE - 16) / 2;
}

MF_X86_INLINE void depthwise_s8_x86_rows(const void *params, const mf_view *in, const mf_view *out,
                                         int32_t y0, int32_t y1, void *scratch) {
  const mf_conv_s8 *p = (const mf_conv_s8 *)params;
  const mf_window *g = &p->g;
  const int32_t square = g->k_h == 3 && g->k_w == 3 && g->dil_w == 1 ? g->stride_w : 0;
  mf_lines l = mf_lines_of(g, scratch);
  int32_t tap[DEPTHWISE_X86_TAPS], y, o;
  depthwise_x86 b;
  b.g = g;
  b.l = mf_limits_of(p->lo, p->hi, p->out_zero);
  for (y = y0; y < y1; y++) {
    int8_t *line = (int8_t *)mf_row(out, y);
    b.taps = depthwise_x86_taps(g, &l, y, tap);
    b.w = (const int16_t *)(const void *)p->w;
    b.q = p->bias;
    mf_lines_load(&l, g, in, p->in_zero, y);
    for (o = 0; o < g->out_c; depthwise_x86_next(&b, o), o += MF_WIDE) {
      const int16_t *x = l.room + o, *const lines[3] = {x + tap[0], x + tap[1], x + tap[b.taps > 6 ? 6 : 0]};
      b.left = g->out_c - o;
      if (MF_WIDE == 16 && square == 1 && g->out_c == 8)
        depthwise_x86_twins(&b, lines, line);
      else if (square == 1)
        depthwise_x86_line3(&b, lines, line + o);
      else if (square == 2)
        depthwise_x86_line3_2(&b, lines, line + o);
      else
        depthwise_x86_line(&b, x, tap, line + o);
    }
  }
}

#endif
