/* Conv, int8, one group, for AVX2: four pixels by 16 channels at a time.
 *
 *   lines of the image -> scratch, as int16, borders as in_zero: a ring that moves on with the output's rows
 *   weights, packed, a block of 16 channels:   [pair 0: c0 c0 c1 c1 .. c7 c7][c8 c8 .. c15 c15] [pair 1 ...] ...
 *
 * A pair of neighbouring inputs goes to all lanes; VPMADDWD with eight channels' pairs gives eight sums of two products.
 * Two loads of weights serve four pixels: 22 instructions for 128 products, in 12 registers.
 *
 * in_zero is folded into the biases. Same results as conv_s8__generic. A row is a line of the image.
 */
#include "runtime/kernels/avx2/avx2.h"

MF_AVX2 MF_KERNEL mf_kernel_fn conv_s8__avx2;

typedef struct conv_avx2 {
  mf_pairs t;
  const int8_t *w;
  const int32_t *q;
  __m128i lo, hi;
  int32_t left; /* channels from this block on */
} conv_avx2;

/* n pixels from element `at` of the lines on, to y. */
MF_AVX2_INLINE void conv_avx2_pixels(const conv_avx2 *b, int32_t at, int32_t n, int8_t *y, int32_t out_c) {
  __m256i sum[8];
  mf_sums16(&b->t, at, n, b->w, b->q, sum);
  mf_pixel_codes(y, b->left, sum, b->q, b->lo, b->hi);
  if (n > 1) mf_pixel_codes(y + out_c, b->left, sum + 2, b->q, b->lo, b->hi);
  if (n > 2) mf_pixel_codes(y + 2 * out_c, b->left, sum + 4, b->q, b->lo, b->hi);
  if (n > 3) mf_pixel_codes(y + 3 * out_c, b->left, sum + 6, b->q, b->lo, b->hi);
}

/* A block's channels of one line. */
MF_AVX2_INLINE void conv_avx2_line(const conv_avx2 *b, int8_t *y, int32_t out_w, int32_t out_c) {
  int32_t x = 0, at = 0;
  for (; x + 4 <= out_w; x += 4, at += 4 * b->t.step, y += 4 * out_c) conv_avx2_pixels(b, at, 4, y, out_c);
  if (out_w - x == 3) conv_avx2_pixels(b, at, 3, y, out_c);
  if (out_w - x == 2) conv_avx2_pixels(b, at, 2, y, out_c);
  if (out_w - x == 1) conv_avx2_pixels(b, at, 1, y, out_c);
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
  b.lo = _mm_set1_epi8((char)p->lo);
  b.hi = _mm_set1_epi8((char)p->hi);
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
    b.w = p->w;
    b.q = p->bias;
    for (o = 0; o < g->out_c; o += 16, b.w += g->k_h * runs * pairs * 32, b.q += MF_Q16) {
      b.left = g->out_c - o;
      conv_avx2_line(&b, line + o, rows * g->out_w, g->out_c);
    }
  }
}
