/* Conv, float32, 3x3, stride 1, one group, by Winograd's method F(4x4, 3x3), for x86-64.
 *
 *   6x6 inputs of 8 channels -> B' d B -> V [36][tiles][channels]
 *   for each of the 36 places: V [tiles][channels] times weights [channels][16] -> M [36][tiles][16]
 *   M -> A' m A -> 4x4 outputs of 8 channels, bias and limits
 *
 * 36 multiplications do the work of 144. Tiles begin at the first row asked for; what reaches beyond the last row or column
 * is computed and not stored, so ranges of four rows and more pay. Weights are G g G', made where the code is emitted:
 *
 *   [block of 16 channels][place 0 .. 35][input channel][c0 .. c15]      biases: c0 .. c15 of each block
 *
 * Sums are those of conv_f32__generic within about 1e-5 of their terms' magnitude: the method rounds otherwise. A row is a
 * line of the image. Source: Lavin and Gray 2016 (arXiv:1509.09308), section 4.3, points 0, 1, -1, 2, -2.
 */
#ifndef MF_X86_CONV_F32_WINOGRAD_H
#define MF_X86_CONV_F32_WINOGRAD_H

#include "runtime/kernels/x86/f32.h"

enum { WINOGRAD_TILES = 12 }; /* at a time */

typedef struct winograd {
  const mf_window *g;
  mf_flines l;
  int32_t across, step; /* tiles of a line; elements from tile to tile of V */
  float *v, *m;
  mf_vf lo, hi;
} winograd;

typedef struct winograd_tile {
  int32_t y, x; /* its first output row and column */
} winograd_tile;

/* One dimension of B'. */
MF_X86_INLINE void winograd_in(const mf_vf *d, ptrdiff_t from, float *to, ptrdiff_t step) {
  const mf_vf four = mf_setf(4), five = mf_setf(5), two = mf_setf(2);
  const mf_vf d0 = d[0], d1 = d[from], d2 = d[2 * from], d3 = d[3 * from], d4 = d[4 * from], d5 = d[5 * from];
  const mf_vf a = mf_fnmadd(four, d2, d4), b = mf_fnmadd(four, d1, d3);
  const mf_vf c = mf_subf(d4, d2), e = mf_subf(d3, d1);
  mf_storef(to, mf_fmadd(four, d0, mf_fnmadd(five, d2, d4)));
  mf_storef(to + step, mf_addf(a, b));
  mf_storef(to + 2 * step, mf_subf(a, b));
  mf_storef(to + 3 * step, mf_fmadd(two, e, c));
  mf_storef(to + 4 * step, mf_fnmadd(two, e, c));
  mf_storef(to + 5 * step, mf_fmadd(four, d1, mf_fnmadd(five, d3, d5)));
}

/* Eight channels of a tile: lines of the image to v, whose places lie `place` elements apart. */
MF_X86_INLINE void winograd_in8(const float *const line[6], ptrdiff_t at, ptrdiff_t next, float *v,
                                ptrdiff_t place) {
  mf_vf t[36];
  int32_t i;
  for (i = 0; i < 6; i++, at += next) {
    const mf_vf d[6] = {mf_loadf(line[0] + at), mf_loadf(line[1] + at), mf_loadf(line[2] + at),
                        mf_loadf(line[3] + at), mf_loadf(line[4] + at), mf_loadf(line[5] + at)};
    winograd_in(d, 1, (float *)(t + i), 48);
  }
  for (i = 0; i < 6; i++) winograd_in(t + 6 * i, 1, v + 6 * i * place, place);
}

MF_X86_INLINE void winograd_input(const winograd *w, const winograd_tile *tile, int32_t n) {
  const mf_window *g = w->g;
  const ptrdiff_t place = (ptrdiff_t)WINOGRAD_TILES * w->step;
  int32_t i, k, c;
  for (i = 0; i < n; i++) {
    mf_fwalk walk = mf_fwalk_from(&w->l, tile[i].y - g->pad_top);
    const float *line[6];
    for (k = 0; k < 6; k++) line[k] = mf_fwalk_next(&walk, 1);
    for (c = 0; c < g->in_c; c += 8)
      winograd_in8(line, tile[i].x * g->in_c + c, g->in_c, w->v + i * w->step + c, place);
  }
}

#define WINOGRAD_TAP(i, ONE)          \
  v = ONE(i);                         \
  lo##i = mf_fmadd_one(v, w0, lo##i); \
  hi##i = mf_fmadd_one(v, w1, hi##i);
#define WINOGRAD_NEXT(i)   mf_onef(x + i * step)
#define WINOGRAD_FIRST(i)  mf_one_of(x##i, 0)
#define WINOGRAD_SECOND(i) mf_one_of(x##i, 1)
#define WINOGRAD_THIRD(i)  mf_one_of(x##i, 2)
#define WINOGRAD_FOURTH(i) mf_one_of(x##i, 3)
#define WINOGRAD_TWO(k, ONE)                                                  \
  {                                                                           \
    const mf_vf w0 = mf_loadf(w + 16 * (k)), w1 = mf_loadf(w + 16 * (k) + 8); \
    mf_one v;                                                                 \
    WINOGRAD_TAP(0, ONE)                                                      \
    if (n > 1) {                                                              \
      WINOGRAD_TAP(1, ONE)                                                    \
    }                                                                         \
  }
#define WINOGRAD_END(i)         \
  mf_storef(m + 16 * i, lo##i); \
  mf_storef(m + 16 * i + 8, hi##i);

/* Products of n <= 6 tiles by 16 channels at one place. */
MF_X86_INLINE void winograd_products(const float *x, ptrdiff_t step, int32_t n, const float *w,
                                     int32_t channels, float *m) {
  mf_vf lo0 = mf_setf(0), hi0 = lo0, lo1 = lo0, hi1 = lo0, lo2 = lo0, hi2 = lo0, lo3 = lo0, hi3 = lo0,
        lo4 = lo0, hi4 = lo0, lo5 = lo0, hi5 = lo0;
  int32_t c = 0;
  for (; MF_FOURS && n <= 2 && c + 4 <= channels; c += 4, x += 4, w += 64) {
    const mf_four x0 = mf_load_four(x), x1 = mf_load_four(x + (n > 1 ? step : 0));
    WINOGRAD_TWO(0, WINOGRAD_FIRST)
    WINOGRAD_TWO(1, WINOGRAD_SECOND)
    WINOGRAD_TWO(2, WINOGRAD_THIRD)
    WINOGRAD_TWO(3, WINOGRAD_FOURTH)
  }
  for (; c < channels; c++, x++, w += 16) {
    const mf_vf w0 = mf_loadf(w), w1 = mf_loadf(w + 8);
    mf_one v;
    WINOGRAD_TAP(0, WINOGRAD_NEXT)
    if (n > 1) {
      WINOGRAD_TAP(1, WINOGRAD_NEXT)
    }
    if (n > 2) {
      WINOGRAD_TAP(2, WINOGRAD_NEXT)
    }
    if (n > 3) {
      WINOGRAD_TAP(3, WINOGRAD_NEXT)
    }
    if (n > 4) {
      WINOGRAD_TAP(4, WINOGRAD_NEXT)
    }
    if (n > 5) {
      WINOGRAD_TAP(5, WINOGRAD_NEXT)
    }
  }
  WINOGRAD_END(0)
  if (n > 1) {
    WINOGRAD_END(1)
  }
  if (n > 2) {
    WINOGRAD_END(2)
  }
  if (n > 3) {
    WINOGRAD_END(3)
  }
  if (n > 4) {
    WINOGRAD_END(4)
  }
  if (n > 5) {
    WINOGRAD_END(5)
  }
}

/* All places of n <= 6 tiles, from tile `first` on, by the block of weights u. */
MF_X86_INLINE void winograd_places(const winograd *w, int32_t first, int32_t n, const float *u) {
  const int32_t channels = w->g->in_c;
  const float *v = w->v + (ptrdiff_t)first * w->step;
  float *m = w->m + first * 16;
  int32_t i;
  for (i = 0; i < 36;
       i++, v += (ptrdiff_t)WINOGRAD_TILES * w->step, m += WINOGRAD_TILES * 16, u += (ptrdiff_t)channels * 16)
    winograd_products(v, w->step, n, u, channels, m);
}

/* The same two tiles at a time. */
MF_X86_INLINE void winograd_block2(const winograd *w, int32_t n, const float *u) {
  const int32_t channels = w->g->in_c;
  const float *v = w->v;
  float *m = w->m;
  int32_t i, at;
  for (i = 0; i < 36; i++, v += (ptrdiff_t)WINOGRAD_TILES * w->step, m += WINOGRAD_TILES * 16,
      u += (ptrdiff_t)channels * 16) {
    for (at = 0; at + 2 <= n; at += 2)
      winograd_products(v + (ptrdiff_t)at * w->step, w->step, 2, u, channels, m + 16 * at);
    if (at < n) winograd_products(v + (ptrdiff_t)at * w->step, w->step, 1, u, channels, m + 16 * at);
  }
}

/* Twelve tiles and less: six at a time, or four, while that leaves no rest of one to three. */
MF_X86_INLINE void winograd_block(const winograd *w, int32_t n, const float *u) {
  int32_t first = 0;
  if (n >= 10) {
    winograd_places(w, 0, 6, u);
    first = 6;
  } else if (n >= 7) {
    winograd_places(w, 0, 4, u);
    first = 4;
  }
  switch (n - first) {
  case 6: winograd_places(w, first, 6, u); break;
  case 5: winograd_places(w, first, 5, u); break;
  case 4: winograd_places(w, first, 4, u); break;
  case 3: winograd_places(w, first, 3, u); break;
  case 2: winograd_places(w, first, 2, u); break;
  default: winograd_places(w, first, 1, u); break;
  }
}

/* One dimension of A'. */
MF_X86_INLINE void winograd_out(const float *m, ptrdiff_t step, mf_vf *to, ptrdiff_t next) {
  const mf_vf m0 = mf_loadf(m), m1 = mf_loadf(m + step), m2 = mf_loadf(m + 2 * step);
  const mf_vf m3 = mf_loadf(m + 3 * step), m4 = mf_loadf(m + 4 * step);
  const mf_vf s1 = mf_addf(m1, m2), d1 = mf_subf(m1, m2), s2 = mf_addf(m3, m4);
  const mf_vf d2 = mf_subf(m3, m4);
  to[0] = mf_addf(mf_addf(m0, s1), s2);
  to[next] = mf_fmadd(mf_setf(2), d2, d1);
  to[2 * next] = mf_fmadd(mf_setf(4), s2, s1);
  to[3 * next] = mf_addf(mf_fmadd(mf_setf(8), d2, d1), mf_loadf(m + 5 * step));
}

/* Eight channels of a tile, the first n of them there, to its rows and columns that are. */
MF_X86_INLINE void winograd_out8(const winograd *w, const float *m, const float *bias, float *const row[4],
                                 int32_t rows, int32_t columns, int32_t n) {
  const ptrdiff_t place = WINOGRAD_TILES * 16, next = w->g->out_c;
  const mf_vf b = mf_loadf(bias);
  mf_vf t[24], y[4];
  int32_t i, j;
  for (i = 0; i < 6; i++) winograd_out(m + i * place, 6 * place, t + i, 6);
  for (i = 0; i < rows; i++) {
    winograd_out((const float *)(t + 6 * i), 8, y, 1);
    for (j = 0; j < 4; j++)
      if (j < columns) mf_store_f32(row[i] + j * next, n, mf_addf(y[j], b), w->lo, w->hi);
  }
}

MF_X86_INLINE int32_t winograd_least(int32_t a, int32_t b) { return a < b ? a : b; }

MF_X86_INLINE void winograd_output(const winograd *w, const mf_view *out, const winograd_tile *tile,
                                   int32_t n, int32_t y1, int32_t o, const float *bias) {
  const mf_window *g = w->g;
  int32_t i, k;
  for (i = 0; i < n; i++) {
    const int32_t rows = winograd_least(4, y1 - tile[i].y), columns = winograd_least(4, g->out_w - tile[i].x);
    const float *m = w->m + 16 * i;
    float *row[4];
    for (k = 0; k < 4; k++)
      row[k] = (float *)mf_row(out, tile[i].y + winograd_least(k, rows - 1)) + tile[i].x * g->out_c + o;
    winograd_out8(w, m, bias, row, rows, columns, winograd_least(8, g->out_c - o));
    if (g->out_c - o <= 8) continue;
    for (k = 0; k < 4; k++) row[k] += 8;
    winograd_out8(w, m + 8, bias + 8, row, rows, columns, winograd_least(8, g->out_c - o - 8));
  }
}

/* The next tiles: whole strips of four lines as many as there is room for, or a part of one. */
MF_X86_INLINE int32_t winograd_take(const winograd *w, winograd_tile *at, int32_t y1, winograd_tile *tile) {
  int32_t n = 0;
  while (n < WINOGRAD_TILES && at->y < y1) {
    tile[n++] = *at;
    at->x += 4;
    if (at->x < w->g->out_w) continue;
    at->x = 0;
    at->y += 4;
    if (n + w->across > WINOGRAD_TILES) break;
  }
  return n;
}

/* Rows that no row below y1 reads count as zeros: a ring may not hold them. */
MF_X86_INLINE void conv_f32_winograd_x86_rows(const void *params, const mf_view *in, const mf_view *out,
                                              int32_t y0, int32_t y1, void *scratch) {
  const mf_conv_f32 *p = (const mf_conv_f32 *)params;
  const mf_window *g = &p->g;
  mf_window there = *g;
  winograd_tile tile[WINOGRAD_TILES], at = {y0, 0};
  winograd w;
  int32_t o;
  there.in_h = winograd_least(g->in_h, y1 - g->pad_top + 2);
  w.g = g;
  w.across = (g->out_w + 3) / 4;
  w.step = (g->in_c + 7) & ~7;
  w.l = mf_flines_of(g, in, scratch, 0);
  w.l.span = w.across >= WINOGRAD_TILES ? 6 : 2 + 4 * (WINOGRAD_TILES / w.across);
  w.l.size = (4 * w.across + 2) * g->in_c + MF_LINE_SLACK;
  w.v = (float *)scratch + (ptrdiff_t)w.l.span * w.l.size;
  w.m = w.v + (ptrdiff_t)36 * WINOGRAD_TILES * w.step;
  w.lo = mf_setf(p->lo);
  w.hi = mf_setf(p->hi);
  while (at.y < y1) {
    const float *u = p->w;
    int32_t n;
    mf_flines_load(&w.l, &there, at.y);
    n = winograd_take(&w, &at, y1, tile);
    winograd_input(&w, tile, n);
    for (o = 0; o < g->out_c; o += 16, u += (ptrdiff_t)36 * g->in_c * 16) {
      if (MF_SUMS == 4)
        winograd_block2(&w, n, u);
      else
        winograd_block(&w, n, u);
      winograd_output(&w, out, tile, n, y1, o, p->bias + o);
    }
  }
}

#endif
