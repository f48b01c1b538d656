/* Conv, int8, 3x3, stride 1, one group, by Winograd's method F(4x4, 3x3) in integers, for x86-64: exact.
 *
 *   6x6 inputs of 16 channels -> B' d B, int16 -> V [36][tiles][channels]
 *   for each of the 36 places: V [tiles][channels] times weights [channels][16] -> M [36][tiles][16], int32
 *   M -> A' m A = 576 times 4x4 sums -> the sums, biases, codes
 *
 * Weights are S g S' with S = 24 G for all rows but the last, which is 12 G: integers of no more than 144 * 127. What comes
 * out is 576 = 9 * 64 times the sum, modulo 2^32: sums within +-2^25 are found by the inverse of 9 and a shift, whatever
 * overflowed on the way. B' d B is within +-100 * 128.
 *
 *   weights, int16   [block of 16 channels][place 0 .. 35][pair of inputs][unit 0: c c c' c' ..][unit 1: ..]
 *
 * Units as x86.h has them, q as avx2.h and sse41.h; in_zero is folded into the biases. Same results as conv_s8__generic. A row is a line of
 * the image; ranges of four rows and more pay. Source of the method: Lavin and Gray 2016 (arXiv:1509.09308), section 4.3.
 */
#ifndef MF_X86_CONV_S8_WINOGRAD_H
#define MF_X86_CONV_S8_WINOGRAD_H

#include "runtime/kernels/x86/x86.h"

enum { WINOGRAD8_TILES = 12 }; /* at a time */

typedef struct winograd8 {
  const mf_window *g;
  mf_lines l;
  mf_limits limits;
  int32_t across, step, pairs; /* tiles of a line; elements from tile to tile of V; pairs of inputs */
  int16_t *v;
  int32_t *m;
} winograd8;

typedef struct winograd8_tile {
  int32_t y, x; /* its first output row and column */
} winograd8_tile;

/* One dimension of B'. */
MF_X86_INLINE void winograd8_in(const mf_v *d, int16_t *to, ptrdiff_t step) {
  const mf_v d0 = d[0], d1 = d[1], d2 = d[2], d3 = d[3], d4 = d[4], d5 = d[5];
  const mf_v four1 = mf_sll16(d1, 2), four2 = mf_sll16(d2, 2);
  const mf_v a = mf_sub16(d4, four2), b = mf_sub16(d3, four1), c = mf_sub16(d4, d2);
  const mf_v e = mf_sll16(mf_sub16(d3, d1), 1);
  mf_store8i(to, mf_add16(c, mf_sub16(mf_sll16(d0, 2), four2)));
  mf_store8i(to + step, mf_add16(a, b));
  mf_store8i(to + 2 * step, mf_sub16(a, b));
  mf_store8i(to + 3 * step, mf_add16(c, e));
  mf_store8i(to + 4 * step, mf_sub16(c, e));
  mf_store8i(to + 5 * step, mf_add16(mf_sub16(d5, d3), mf_sub16(four1, mf_sll16(d3, 2))));
}

/* 16 channels of a tile: lines of the image to v, whose places lie `place` elements apart. */
MF_X86_INLINE void winograd8_in16(const int16_t *const line[6], ptrdiff_t at, ptrdiff_t next, int16_t *v,
                                  ptrdiff_t place) {
  mf_v t[36];
  int32_t i;
  for (i = 0; i < 6; i++, at += next) {
    const mf_v d[6] = {mf_load8i(line[0] + at), mf_load8i(line[1] + at), mf_load8i(line[2] + at),
                       mf_load8i(line[3] + at), mf_load8i(line[4] + at), mf_load8i(line[5] + at)};
    winograd8_in(d, (int16_t *)(t + i), 96);
  }
  for (i = 0; i < 6; i++) winograd8_in(t + 6 * i, v + 6 * i * place, place);
}

MF_X86_INLINE void winograd8_input(const winograd8 *w, const winograd8_tile *tile, int32_t n) {
  const mf_window *g = w->g;
  int32_t i, k, c;
  for (i = 0; i < n; i++) {
    const int16_t *line[6];
    int32_t slot = mf_ring_slot(tile[i].y - g->pad_top, w->l.span);
    for (k = 0; k < 6; k++, slot = slot + 1 < w->l.span ? slot + 1 : 0)
      line[k] = w->l.room + (ptrdiff_t)slot * w->l.size;
    for (c = 0; c < g->in_c; c += 16)
      winograd8_in16(line, tile[i].x * g->in_c + c, g->in_c, w->v + i * w->step + c,
                     (ptrdiff_t)WINOGRAD8_TILES * w->step);
  }
}

#define WINOGRAD8_TAP(i, PAIR)        \
  x = PAIR(i);                        \
  lo##i = mf_madd_pair(lo##i, x, w0); \
  hi##i = mf_madd_pair(hi##i, x, w1);
#define WINOGRAD8_NEXT(i)   mf_pair16(v + i * step)
#define WINOGRAD8_FIRST(i)  mf_pair_of(v##i, 0)
#define WINOGRAD8_SECOND(i) mf_pair_of(v##i, 1)
#define WINOGRAD8_THIRD(i)  mf_pair_of(v##i, 2)
#define WINOGRAD8_FOURTH(i) mf_pair_of(v##i, 3)
#define WINOGRAD8_TWO(k, PAIR)                                                  \
  {                                                                             \
    const mf_v w0 = mf_load8i(w + 32 * (k)), w1 = mf_load8i(w + 32 * (k) + 16); \
    mf_pair x;                                                                  \
    WINOGRAD8_TAP(0, PAIR)                                                      \
    if (n > 1) {                                                                \
      WINOGRAD8_TAP(1, PAIR)                                                    \
    }                                                                           \
  }
#define WINOGRAD8_END(i)         \
  mf_store8i(m + 16 * i, lo##i); \
  mf_store8i(m + 16 * i + 8, hi##i);

/* Sums of n <= 4 tiles by 16 channels at one place. */
MF_X86_INLINE void winograd8_sums(const int16_t *v, ptrdiff_t step, int32_t n, const int16_t *w,
                                  int32_t pairs, int32_t *m) {
  mf_v lo0 = mf_set32(0), hi0 = lo0, lo1 = lo0, hi1 = lo0, lo2 = lo0, hi2 = lo0, lo3 = lo0, hi3 = lo0;
  int32_t i = 0;
  for (; MF_FOURS && n <= 2 && i + 4 <= pairs; i += 4, v += 8, w += 128) {
    const mf_four v0 = mf_load_four(v), v1 = mf_load_four(v + (n > 1 ? step : 0));
    WINOGRAD8_TWO(0, WINOGRAD8_FIRST)
    WINOGRAD8_TWO(1, WINOGRAD8_SECOND)
    WINOGRAD8_TWO(2, WINOGRAD8_THIRD)
    WINOGRAD8_TWO(3, WINOGRAD8_FOURTH)
  }
  for (; i < pairs; i++, v += 2, w += 32) {
    const mf_v w0 = mf_load8i(w), w1 = mf_load8i(w + 16);
    mf_pair x;
    WINOGRAD8_TAP(0, WINOGRAD8_NEXT)
    if (n > 1) {
      WINOGRAD8_TAP(1, WINOGRAD8_NEXT)
    }
    if (n > 2) {
      WINOGRAD8_TAP(2, WINOGRAD8_NEXT)
    }
    if (n > 3) {
      WINOGRAD8_TAP(3, WINOGRAD8_NEXT)
    }
  }
  WINOGRAD8_END(0)
  if (n > 1) {
    WINOGRAD8_END(1)
  }
  if (n > 2) {
    WINOGRAD8_END(2)
  }
  if (n > 3) {
    WINOGRAD8_END(3)
  }
}

/* All places of n tiles by the block of weights u. */
MF_X86_INLINE void winograd8_block(const winograd8 *w, int32_t n, const int16_t *u) {
  const ptrdiff_t step = w->step;
  const int16_t *v = w->v;
  int32_t *m = w->m, i, at;
  for (i = 0; i < 36;
       i++, v += WINOGRAD8_TILES * step, m += WINOGRAD8_TILES * 16, u += (ptrdiff_t)w->pairs * 32) {
    for (at = 0; at + MF_SUMS / 2 <= n; at += MF_SUMS / 2)
      winograd8_sums(v + at * step, step, MF_SUMS / 2, u, w->pairs, m + 16 * at);
    switch (n - at) {
    case 3: winograd8_sums(v + at * step, step, 3, u, w->pairs, m + 16 * at); break;
    case 2: winograd8_sums(v + at * step, step, 2, u, w->pairs, m + 16 * at); break;
    case 1: winograd8_sums(v + at * step, step, 1, u, w->pairs, m + 16 * at); break;
    default: break;
    }
  }
}

/* One dimension of A', its last input doubled. */
MF_X86_INLINE void winograd8_out(const int32_t *m, ptrdiff_t step, mf_v *to, ptrdiff_t next) {
  const mf_v m1 = mf_load8i(m + step), m2 = mf_load8i(m + 2 * step), m3 = mf_load8i(m + 3 * step);
  const mf_v m4 = mf_load8i(m + 4 * step), m5 = mf_load8i(m + 5 * step);
  const mf_v s1 = mf_add32(m1, m2), d1 = mf_sub32(m1, m2), s2 = mf_add32(m3, m4);
  const mf_v d2 = mf_sll32(mf_sub32(m3, m4), 1);
  to[0] = mf_add32(mf_add32(mf_load8i(m), s1), s2);
  to[next] = mf_add32(d1, d2);
  to[2 * next] = mf_add32(s1, mf_sll32(s2, 2));
  to[3 * next] = mf_add32(mf_add32(d1, mf_sll32(d2, 2)), mf_sll32(m5, 1));
}

/* Eight channels' sums of a tile, with their biases: sum[32 columns of pairs of units], this unit's at every second. */
MF_X86_INLINE void winograd8_out8(const int32_t *m, const int32_t *bias, mf_v *sum) {
  const ptrdiff_t place = WINOGRAD8_TILES * 16;
  const mf_v b = mf_load8i(bias), ninth = mf_set32(0x38e38e39); /* 9 * ninth is 1 modulo 2^32 */
  mf_v t[24], y[4];
  int32_t i, j;
  for (i = 0; i < 6; i++) winograd8_out(m + i * place, 6 * place, t + i, 6);
  for (i = 0; i < 4; i++) {
    winograd8_out((const int32_t *)(t + 6 * i), 8, y, 1);
    for (j = 0; j < 4; j++) sum[2 * (4 * i + j)] = mf_add32(b, mf_sra32i(mf_mul32(y[j], ninth), 6));
  }
}

MF_X86_INLINE int32_t winograd8_least(int32_t a, int32_t b) { return a < b ? a : b; }

/* A tile's codes, in its rows and columns that are. */
MF_X86_INLINE void winograd8_put(const winograd8 *w, const mf_v *sum, const int32_t *q, int8_t *to,
                                 int32_t columns, int32_t left, int32_t positive) {
  const int32_t next = w->g->out_c;
  if (columns > 1) mf_put_two(to, next, left, sum, q, &w->limits, positive);
  if (columns > 3) mf_put_two(to + 2 * next, next, left, sum + 4, q, &w->limits, positive);
  if (columns & 1)
    mf_put_pixel(to + (columns - 1) * next, left, sum + 2 * (columns - 1), q, &w->limits, positive);
}

MF_X86_INLINE void winograd8_output(const winograd8 *w, const mf_view *out, const winograd8_tile *tile,
                                    int32_t n, int32_t y1, int32_t o, const int32_t *q) {
  const mf_window *g = w->g;
  int32_t i, k;
  for (i = 0; i < n; i++) {
    const int32_t rows = winograd8_least(4, y1 - tile[i].y),
                  columns = winograd8_least(4, g->out_w - tile[i].x);
    mf_v sum[32];
    winograd8_out8(w->m + 16 * i, q, sum);
    winograd8_out8(w->m + 16 * i + 8, q + MF_Q8, sum + 1);
    for (k = 0; k < rows; k++) {
      int8_t *to = (int8_t *)mf_row(out, tile[i].y + k) + tile[i].x * g->out_c + o;
      if (w->limits.positive)
        winograd8_put(w, sum + 8 * k, q, to, columns, g->out_c - o, 1);
      else
        winograd8_put(w, sum + 8 * k, q, to, columns, g->out_c - o, 0);
    }
  }
}

/* The next tiles: whole strips of four lines as many as there is room for, or a part of one. */
MF_X86_INLINE int32_t winograd8_take(const winograd8 *w, winograd8_tile *at, int32_t y1,
                                     winograd8_tile *tile) {
  int32_t n = 0;
  while (n < WINOGRAD8_TILES && at->y < y1) {
    tile[n++] = *at;
    at->x += 4;
    if (at->x < w->g->out_w) continue;
    at->x = 0;
    at->y += 4;
    if (n + w->across > WINOGRAD8_TILES) break;
  }
  return n;
}

/* Rows that no row below y1 reads are not read. */
MF_X86_INLINE void conv_s8_winograd_x86_rows(const void *params, const mf_view *in, const mf_view *out,
                                             int32_t y0, int32_t y1, void *scratch) {
  const mf_conv_s8 *p = (const mf_conv_s8 *)params;
  const mf_window *g = &p->g;
  mf_window there = *g;
  winograd8_tile tile[WINOGRAD8_TILES], at = {y0, 0};
  winograd8 w;
  int32_t o;
  there.in_h = winograd8_least(g->in_h, y1 - g->pad_top + 2);
  w.g = g;
  w.across = (g->out_w + 3) / 4;
  w.step = (g->in_c + 15) & ~15;
  w.pairs = (g->in_c + 1) / 2;
  w.limits = mf_limits_of(p->lo, p->hi, p->out_zero);
  w.l = mf_lines_of(g, (int32_t *)scratch + 36 * WINOGRAD8_TILES * 16);
  w.l.span = w.across >= WINOGRAD8_TILES ? 6 : 2 + 4 * (WINOGRAD8_TILES / w.across);
  w.l.size = (4 * w.across + 2) * g->in_c + MF_LINE_SLACK;
  w.m = (int32_t *)scratch;
  w.v = w.l.room + (ptrdiff_t)w.l.span * w.l.size;
  while (at.y < y1) {
    const int16_t *u = (const int16_t *)(const void *)p->w;
    const int32_t *q = p->bias;
    int32_t n;
    mf_lines_load(&w.l, &there, in, p->in_zero, at.y);
    n = winograd8_take(&w, &at, y1, tile);
    winograd8_input(&w, tile, n);
    for (o = 0; o < g->out_c; o += 16, u += (ptrdiff_t)36 * w.pairs * 32, q += 2 * MF_Q8) {
      winograd8_block(&w, n, u);
      winograd8_output(&w, out, tile, n, y1, o, q);
    }
  }
}

#endif
