/* DepthwiseConv, int8, one output channel for each input channel, for AVX2: 16 channels of a pixel at a time.
 *
 *   lines of the image -> scratch, as conv_s8.c has them
 *   two taps: their channels interleaved, so that VPMADDWD adds the two products of each channel
 *
 * Interleaving works on halves of registers: the low vector holds channels 0 .. 3 and 8 .. 11, the high one 4 .. 7 and
 * 12 .. 15; weights and q lie in that order, and packing the codes restores the channels' own. An odd last tap has a
 * partner of weight 0. Same results as depthwise_s8__generic. A row is a line of the image.
 */
#include "runtime/kernels/avx2/avx2.h"

MF_AVX2 MF_KERNEL mf_kernel_fn depthwise_s8__avx2;

enum { DEPTHWISE_AVX2_TAPS = 26 };

/* Where the taps of a row's first pixel lie, in elements of the lines; an even number of them. */
MF_HELPER int32_t depthwise_avx2_taps(const mf_window *g, const mf_lines *l, int32_t y, int32_t *tap) {
  int32_t ky, kx, n = 0;
  for (ky = 0; ky < g->k_h; ky++) {
    const int32_t slot = mf_ring_slot(y * g->stride_h - g->pad_top + ky * g->dil_h, l->span);
    for (kx = 0; kx < g->k_w; kx++) tap[n++] = slot * l->size + kx * g->dil_w * g->in_c;
  }
  if (n & 1) {
    tap[n] = tap[n - 1];
    n++;
  }
  return n;
}

MF_AVX2_INLINE void depthwise_avx2_pixel(const int16_t *x, const int32_t *tap, int32_t taps, const int16_t *w,
                                         const int32_t *q, __m256i sum[2]) {
  __m256i lo = mf_load8i(q), hi = mf_load8i(q + 8);
  int32_t t;
  for (t = 0; t < taps; t += 2, w += 32) {
    const __m256i a = mf_load8i(x + tap[t]), b = mf_load8i(x + tap[t + 1]);
    lo = _mm256_add_epi32(lo, _mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), mf_load8i(w)));
    hi = _mm256_add_epi32(hi, _mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), mf_load8i(w + 16)));
  }
  sum[0] = lo;
  sum[1] = hi;
}

MF_AVX2_INLINE void depthwise_avx2_line(const mf_conv_s8 *p, const int16_t *x, const int32_t *tap,
                                        int32_t taps, int8_t *line) {
  const mf_window *g = &p->g;
  const __m128i lo = _mm_set1_epi8((char)p->lo), hi = _mm_set1_epi8((char)p->hi);
  const int16_t *w = (const int16_t *)(const void *)p->w;
  const int32_t *q = p->bias;
  int32_t o, i;
  for (o = 0; o < g->out_c; o += 16, x += 16, w += taps * 16, q += MF_Q16)
    for (i = 0; i < g->out_w; i++) {
      __m256i sum[2];
      depthwise_avx2_pixel(x + i * g->stride_w * g->in_c, tap, taps, w, q, sum);
      sum[0] = _mm256_packs_epi32(mf_codes8(sum[0], q + 16), mf_codes8(sum[1], q + 24));
      mf_store_codes(line + i * g->out_c + o, g->out_c - o, sum[0], lo, hi);
    }
}

MF_AVX2 MF_KERNEL void depthwise_s8__avx2(const void *params, const mf_view *in, const mf_view *out,
                                          int32_t y0, int32_t y1, void *scratch) {
  const mf_conv_s8 *p = (const mf_conv_s8 *)params;
  mf_lines l = mf_lines_of(&p->g, scratch);
  int32_t tap[DEPTHWISE_AVX2_TAPS], y;
  for (y = y0; y < y1; y++) {
    const int32_t taps = depthwise_avx2_taps(&p->g, &l, y, tap);
    int8_t *line = (int8_t *)mf_row(out, y);
    mf_lines_load(&l, &p->g, in, p->in_zero, y);
    if (taps == 10) /* 3x3 */
      depthwise_avx2_line(p, l.room, tap, 10, line);
    else
      depthwise_avx2_line(p, l.room, tap, taps, line);
  }
}
