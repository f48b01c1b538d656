/* Conv, int8, one group, for x86-64: four pixels by 16 channels at a time, or eight by the last eight channels; half as many
 * with SSE4.1.
 *
 *   lines of the image -> scratch, as int16, borders as in_zero: a ring that moves on with the output's rows
 *   weights, int16, a unit of eight channels:   [pair 0: c0 c0 c1 c1 .. c7 c7] [pair 1: ...] ...
 *
 * A pair of neighbouring inputs goes to all lanes; PMADDWD with eight channels' pairs gives eight sums of two products.
 * AVX2: two loads of weights serve four pixels, 22 instructions for 128 products, in 11 registers. SSE4.1 writes over an
 * operand, so that a load and two instructions are the least for eight products: 107 for 256, four pairs in a row, whose
 * inputs are loaded at once.
 *
 * in_zero is folded into the biases. Same results as conv_s8__generic. A row is a line of the image.
 */
#ifndef MF_X86_CONV_S8_H
#define MF_X86_CONV_S8_H

#include "runtime/kernels/x86/x86.h"

typedef struct conv_x86 {
  mf_pairs t;
  const int16_t *w;
  const int32_t *q;
  mf_limits l;
  int32_t unit, left, out_c; /* unit: weights of eight channels; left: channels from this block on */
} conv_x86;

/* Pixel i's products with the weights w0, w1 of a pair of inputs v; all pixels', the pair of pixel i being PAIR(i). */
#define CONV_X86_PIXEL(i, PAIR)       \
  v = PAIR(i);                        \
  lo##i = mf_madd_pair(lo##i, v, w0); \
  hi##i = mf_madd_pair(hi##i, v, w1);
#define CONV_X86_STEP(k, PAIR)                                                  \
  {                                                                             \
    const mf_v w0 = mf_load8i(w + 16 * (k)), w1 = mf_load8i(second + 16 * (k)); \
    mf_pair v;                                                                  \
    CONV_X86_PIXEL(0, PAIR)                                                     \
    if (n > 1) {                                                                \
      CONV_X86_PIXEL(1, PAIR)                                                   \
    }                                                                           \
    if (n > 2) {                                                                \
      CONV_X86_PIXEL(2, PAIR)                                                   \
      CONV_X86_PIXEL(3, PAIR)                                                   \
    }                                                                           \
  }
#define CONV_X86_NEXT(i)   mf_pair16(x + i * t->step)
#define CONV_X86_FIRST(i)  mf_pair_of(x##i, 0)
#define CONV_X86_SECOND(i) mf_pair_of(x##i, 1)
#define CONV_X86_THIRD(i)  mf_pair_of(x##i, 2)
#define CONV_X86_FOURTH(i) mf_pair_of(x##i, 3)

/* Sums of 16 channels for n <= 4 pixels, the first at element `at` of its lines. */
MF_X86_INLINE void conv_x86_sums16(const conv_x86 *b, int32_t at, int32_t n, mf_v *sum) {
  const mf_pairs *t = &b->t;
  const int16_t *w = b->w, *second = b->w + b->unit;
  mf_v lo0 = mf_load8i(b->q), hi0 = mf_load8i(b->q + MF_Q8);
  mf_v lo1 = lo0, hi1 = hi0, lo2 = lo0, hi2 = hi0, lo3 = lo0, hi3 = hi0;
  int32_t ky, run, i, slot = t->slot;
  for (ky = 0; ky < t->rows; ky++) {
    const int16_t *line = t->room + (ptrdiff_t)slot * t->size + at;
    for (run = 0; run < t->runs; run++, line += t->apart) {
      const int16_t *x = line;
      i = 0;
      for (; MF_FOURS && i + 4 <= t->pairs; i += 4, x += 8, w += 64, second += 64) {
        const mf_four x0 = mf_load_four(x), x1 = mf_load_four(x + (n > 1 ? t->step : 0)), x2 = x0, x3 = x0;
        CONV_X86_STEP(0, CONV_X86_FIRST)
        CONV_X86_STEP(1, CONV_X86_SECOND)
        CONV_X86_STEP(2, CONV_X86_THIRD)
        CONV_X86_STEP(3, CONV_X86_FOURTH)
      }
      for (; i < t->pairs; i++, x += 2, w += 16, second += 16) CONV_X86_STEP(0, CONV_X86_NEXT)
    }
    slot += t->dil;
    if (slot >= t->span) slot -= t->span;
  }
  sum[0] = lo0, sum[1] = hi0, sum[2] = lo1, sum[3] = hi1;
  sum[4] = lo2, sum[5] = hi2, sum[6] = lo3, sum[7] = hi3;
}

#define CONV_X86_STEP8(k, PAIR)                                                        \
  {                                                                                    \
    const mf_v w0 = mf_load8i(w + 16 * (k));                                           \
    s0 = mf_madd_pair(s0, PAIR(0), w0);                                                \
    if (n > 1) s1 = mf_madd_pair(s1, PAIR(1), w0);                                     \
    if (n > 2) s2 = mf_madd_pair(s2, PAIR(2), w0), s3 = mf_madd_pair(s3, PAIR(3), w0); \
    if (n > 4) {                                                                       \
      s4 = mf_madd_pair(s4, PAIR(4), w0), s5 = mf_madd_pair(s5, PAIR(5), w0);          \
      s6 = mf_madd_pair(s6, PAIR(6), w0), s7 = mf_madd_pair(s7, PAIR(7), w0);          \
    }                                                                                  \
  }

/* Sums of eight channels for n <= 8 pixels, a power of two. */
MF_X86_INLINE void conv_x86_sums8(const conv_x86 *b, int32_t at, int32_t n, mf_v *sum) {
  const mf_pairs *t = &b->t;
  const int16_t *w = b->w;
  mf_v s0 = mf_load8i(b->q), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;
  int32_t ky, run, i, slot = t->slot;
  for (ky = 0; ky < t->rows; ky++) {
    const int16_t *line = t->room + (ptrdiff_t)slot * t->size + at;
    for (run = 0; run < t->runs; run++, line += t->apart) {
      const int16_t *x = line;
      for (i = 0; i < t->pairs; i++, x += 2, w += 16) CONV_X86_STEP8(0, CONV_X86_NEXT)
    }
    slot += t->dil;
    if (slot >= t->span) slot -= t->span;
  }
  sum[0] = s0, sum[1] = s1, sum[2] = s2, sum[3] = s3, sum[4] = s4, sum[5] = s5, sum[6] = s6, sum[7] = s7;
}

MF_X86_INLINE void conv_x86_pixels16(const conv_x86 *b, int32_t at, int32_t n, int8_t *y) {
  mf_v sum[8];
  conv_x86_sums16(b, at, n, sum);
  if (b->l.positive)
    mf_put_pixels(y, b->out_c, n, b->left, sum, b->q, &b->l, 1);
  else
    mf_put_pixels(y, b->out_c, n, b->left, sum, b->q, &b->l, 0);
}

MF_X86_INLINE void conv_x86_pixels8(const conv_x86 *b, int32_t at, int32_t n, int8_t *y) {
  mf_v sum[8];
  int32_t i;
  conv_x86_sums8(b, at, n, sum);
  for (i = 0; i < n; i += 2, y += 2 * b->out_c)
    mf_put_two8(y, b->out_c, n > 1 ? 2 : 1, b->left, sum + i, b->q, &b->l, 0);
}

/* A block's channels of one line. */
MF_X86_INLINE void conv_x86_line16(const conv_x86 *b, int8_t *y, int32_t out_w) {
  int32_t x = 0, at = 0;
  for (; x + MF_SUMS / 2 <= out_w;
       x += MF_SUMS / 2, at += MF_SUMS / 2 * b->t.step, y += MF_SUMS / 2 * b->out_c)
    conv_x86_pixels16(b, at, MF_SUMS / 2, y);
  if (MF_SUMS / 2 > 2 && ((out_w - x) & 2)) {
    conv_x86_pixels16(b, at, 2, y);
    at += 2 * b->t.step;
    y += 2 * b->out_c;
  }
  if ((out_w - x) & 1) conv_x86_pixels16(b, at, 1, y);
}

MF_X86_INLINE void conv_x86_line8(const conv_x86 *b, int8_t *y, int32_t out_w) {
  int32_t x = 0, at = 0;
  for (; x + MF_SUMS <= out_w; x += MF_SUMS, at += MF_SUMS * b->t.step, y += MF_SUMS * b->out_c)
    conv_x86_pixels8(b, at, MF_SUMS, y);
  if (MF_SUMS > 4 && ((out_w - x) & 4)) {
    conv_x86_pixels8(b, at, 4, y);
    at += 4 * b->t.step;
    y += 4 * b->out_c;
  }
  if ((out_w - x) & 2) {
    conv_x86_pixels8(b, at, 2, y);
    at += 2 * b->t.step;
    y += 2 * b->out_c;
  }
  if ((out_w - x) & 1) conv_x86_pixels8(b, at, 1, y);
}

MF_X86_INLINE void conv_s8_x86_rows(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                    int32_t y1, void *scratch) {
  const mf_conv_s8 *p = (const mf_conv_s8 *)params;
  const mf_window *g = &p->g;
  const int32_t one = g->dil_w == 1; /* whether a line's taps are one run */
  const int32_t pairs = ((one ? g->k_w : 1) * g->in_c + 1) / 2, runs = one ? 1 : g->k_w;
  mf_lines l = mf_lines_of(g, scratch);
  const int32_t at_once = mf_rows_at_once(g, in, out, 1);
  conv_x86 b;
  int32_t y, o, rows;
  b.t = (mf_pairs){
      l.room, l.size, l.span, 0, g->k_h, g->dil_h, runs, g->dil_w * g->in_c, pairs, g->stride_w * g->in_c};
  b.l = mf_limits_of(p->lo, p->hi, p->out_zero);
  b.unit = g->k_h * runs * pairs * 16;
  b.out_c = g->out_c;
  for (y = y0; y < y1; y += rows) {
    int8_t *line = (int8_t *)mf_row(out, y);
    rows = y1 - y < at_once ? y1 - y : at_once;
    if (at_once > 1) {
      mf_widen(l.room, (const int8_t *)mf_row(in, y), rows * g->in_w * g->in_c);
      l.room[rows * g->in_w * g->in_c] = 0; /* partner of an odd last input */
    } else {
      mf_lines_load(&l, g, in, p->in_zero, y);
    }
    b.t.slot = at_once > 1 ? 0 : mf_ring_slot(y * g->stride_h - g->pad_top, l.span);
    b.w = (const int16_t *)(const void *)p->w;
    b.q = p->bias;
    for (o = 0; o < g->out_c; o += 16, b.w += 2 * b.unit, b.q += 2 * MF_Q8) {
      b.left = g->out_c - o;
      if (b.left > 8)
        conv_x86_line16(&b, line + o, rows * g->out_w);
      else
        conv_x86_line8(&b, line + o, rows * g->out_w);
    }
  }
}

#endif
