/* Conv, int8, one group, for AVX2: four pixels by 16 channels at a time, or eight by the last eight channels.
 *
 *   lines of the image -> scratch, as int16, borders as in_zero: a ring that moves on with the output's rows
 *   weights, int16, a unit of eight channels:   [pair 0: c0 c0 c1 c1 .. c7 c7] [pair 1: ...] ...
 *
 * A pair of neighbouring inputs goes to all lanes; VPMADDWD with eight channels' pairs gives eight sums of two products.
 * Two loads of weights serve four pixels: 22 instructions for 128 products, in 11 registers.
 *
 * in_zero is folded into the biases. Same results as conv_s8__generic. A row is a line of the image.
 */
#include "runtime/kernels/avx2/avx2.h"

MF_AVX2 MF_KERNEL mf_kernel_fn conv_s8__avx2;

typedef struct conv_avx2 {
  mf_pairs t;
  const int16_t *w;
  const int32_t *q;
  mf_limits l;
  int32_t unit, left, out_c; /* unit: weights of eight channels; left: channels from this block on */
} conv_avx2;

#define CONV_AVX2_PIXEL(i)                                   \
  v = mf_pair16(x + i * t->step);                            \
  lo##i = _mm256_add_epi32(lo##i, _mm256_madd_epi16(v, w0)); \
  hi##i = _mm256_add_epi32(hi##i, _mm256_madd_epi16(v, w1));

/* Sums of 16 channels for n <= 4 pixels, the first at element `at` of its lines. */
MF_AVX2_INLINE void conv_avx2_sums16(const conv_avx2 *b, int32_t at, int32_t n, __m256i *sum) {
  const mf_pairs *t = &b->t;
  const int16_t *w = b->w, *second = b->w + b->unit;
  __m256i lo0 = mf_load8i(b->q), hi0 = mf_load8i(b->q + MF_Q8);
  __m256i lo1 = lo0, hi1 = hi0, lo2 = lo0, hi2 = hi0, lo3 = lo0, hi3 = hi0;
  int32_t ky, run, i, slot = t->slot;
  for (ky = 0; ky < t->rows; ky++) {
    const int16_t *line = t->room + (ptrdiff_t)slot * t->size + at;
    for (run = 0; run < t->runs; run++, line += t->apart) {
      const int16_t *x = line;
      for (i = 0; i < t->pairs; i++, x += 2, w += 16, second += 16) {
        const __m256i w0 = mf_load8i(w), w1 = mf_load8i(second);
        __m256i v;
        CONV_AVX2_PIXEL(0)
        if (n > 1) {
          CONV_AVX2_PIXEL(1)
        }
        if (n > 2) {
          CONV_AVX2_PIXEL(2)
          CONV_AVX2_PIXEL(3)
        }
      }
    }
    slot += t->dil;
    if (slot >= t->span) slot -= t->span;
  }
  sum[0] = lo0, sum[1] = hi0, sum[2] = lo1, sum[3] = hi1;
  sum[4] = lo2, sum[5] = hi2, sum[6] = lo3, sum[7] = hi3;
}

#define CONV_AVX2_PIXEL8(i) s##i = _mm256_add_epi32(s##i, _mm256_madd_epi16(mf_pair16(x + i * t->step), w0));

/* Sums of eight channels for n <= 8 pixels, a power of two. */
MF_AVX2_INLINE void conv_avx2_sums8(const conv_avx2 *b, int32_t at, int32_t n, __m256i *sum) {
  const mf_pairs *t = &b->t;
  const int16_t *w = b->w;
  __m256i s0 = mf_load8i(b->q), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;
  int32_t ky, run, i, slot = t->slot;
  for (ky = 0; ky < t->rows; ky++) {
    const int16_t *line = t->room + (ptrdiff_t)slot * t->size + at;
    for (run = 0; run < t->runs; run++, line += t->apart) {
      const int16_t *x = line;
      for (i = 0; i < t->pairs; i++, x += 2, w += 16) {
        const __m256i w0 = mf_load8i(w);
        CONV_AVX2_PIXEL8(0)
        if (n > 1) {
          CONV_AVX2_PIXEL8(1)
        }
        if (n > 2) {
          CONV_AVX2_PIXEL8(2)
          CONV_AVX2_PIXEL8(3)
        }
        if (n > 4) {
          CONV_AVX2_PIXEL8(4)
          CONV_AVX2_PIXEL8(5)
          CONV_AVX2_PIXEL8(6)
          CONV_AVX2_PIXEL8(7)
        }
      }
    }
    slot += t->dil;
    if (slot >= t->span) slot -= t->span;
  }
  sum[0] = s0, sum[1] = s1, sum[2] = s2, sum[3] = s3, sum[4] = s4, sum[5] = s5, sum[6] = s6, sum[7] = s7;
}

MF_AVX2_INLINE void conv_avx2_pixels16(const conv_avx2 *b, int32_t at, int32_t n, int8_t *y) {
  __m256i sum[8];
  conv_avx2_sums16(b, at, n, sum);
  if (b->l.positive)
    mf_put_pixels(y, b->out_c, n, b->left, sum, b->q, &b->l, 1);
  else
    mf_put_pixels(y, b->out_c, n, b->left, sum, b->q, &b->l, 0);
}

MF_AVX2_INLINE void conv_avx2_pixels8(const conv_avx2 *b, int32_t at, int32_t n, int8_t *y) {
  __m256i sum[8];
  int32_t i;
  conv_avx2_sums8(b, at, n, sum);
  for (i = 0; i < n; i += 2, y += 2 * b->out_c)
    mf_put_two8(y, b->out_c, n > 1 ? 2 : 1, b->left, sum + i, b->q, &b->l, 0);
}

/* A block's channels of one line. */
MF_AVX2_INLINE void conv_avx2_line16(const conv_avx2 *b, int8_t *y, int32_t out_w) {
  int32_t x = 0, at = 0;
  for (; x + 4 <= out_w; x += 4, at += 4 * b->t.step, y += 4 * b->out_c) conv_avx2_pixels16(b, at, 4, y);
  if ((out_w - x) & 2) {
    conv_avx2_pixels16(b, at, 2, y);
    at += 2 * b->t.step;
    y += 2 * b->out_c;
  }
  if ((out_w - x) & 1) conv_avx2_pixels16(b, at, 1, y);
}

MF_AVX2_INLINE void conv_avx2_line8(const conv_avx2 *b, int8_t *y, int32_t out_w) {
  int32_t x = 0, at = 0;
  for (; x + 8 <= out_w; x += 8, at += 8 * b->t.step, y += 8 * b->out_c) conv_avx2_pixels8(b, at, 8, y);
  if ((out_w - x) & 4) {
    conv_avx2_pixels8(b, at, 4, y);
    at += 4 * b->t.step;
    y += 4 * b->out_c;
  }
  if ((out_w - x) & 2) {
    conv_avx2_pixels8(b, at, 2, y);
    at += 2 * b->t.step;
    y += 2 * b->out_c;
  }
  if ((out_w - x) & 1) conv_avx2_pixels8(b, at, 1, y);
}

MF_AVX2 MF_KERNEL void conv_s8__avx2(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                     int32_t y1, void *scratch) {
  const mf_conv_s8 *p = (const mf_conv_s8 *)params;
  const mf_window *g = &p->g;
  const int32_t one = g->dil_w == 1; /* whether a line's taps are one run */
  const int32_t pairs = ((one ? g->k_w : 1) * g->in_c + 1) / 2, runs = one ? 1 : g->k_w;
  mf_lines l = mf_lines_of(g, scratch);
  const int32_t at_once = mf_rows_at_once(g, in, out, 1);
  conv_avx2 b;
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
        conv_avx2_line16(&b, line + o, rows * g->out_w);
      else
        conv_avx2_line8(&b, line + o, rows * g->out_w);
    }
  }
}
