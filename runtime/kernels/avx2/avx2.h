/* What the kernels for x86-64 with AVX2 and FMA share: lines of an image widened to int16, sums of 16 channels for up to
 * four pixels, output codes of eight sums at once.
 *
 * The functions carry their instruction set as an attribute, so that the file compiles for any x86-64 processor.
 */
#ifndef MF_AVX2_H
#define MF_AVX2_H

#include <immintrin.h>

#include "runtime/kernels/requantize.h"

#define MF_AVX2        __attribute__((target("avx2,fma")))
#define MF_AVX2_INLINE static inline __attribute__((always_inline, unused, target("avx2,fma")))

enum { MF_LINE_SLACK = 32 }; /* elements behind a line that may be read */

/* The lines of a window over an image, widened: a ring of `span` lines of `size` elements, columns -pad_left and on,
 * everything outside the image as the input's zero point. */
typedef struct mf_lines {
  int16_t *room;
  int32_t size, span, next; /* next: lines before it are there */
} mf_lines;

MF_AVX2_INLINE __m256i mf_load8i(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
MF_AVX2_INLINE __m256i mf_widen16(const int8_t *p) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)p));
}

/* n elements or up to 15 more. */
MF_AVX2_INLINE void mf_fill16(int16_t *to, int32_t n, __m256i value) {
  int32_t i;
  for (i = 0; i < n; i += 16) _mm256_storeu_si256((__m256i *)(void *)(to + i), value);
}

MF_AVX2_INLINE void mf_widen(int16_t *to, const int8_t *x, int32_t n) {
  int32_t i = 0;
  for (; i + 16 <= n; i += 16) _mm256_storeu_si256((__m256i *)(void *)(to + i), mf_widen16(x + i));
  if (i < n && n >= 16)
    _mm256_storeu_si256((__m256i *)(void *)(to + n - 16), mf_widen16(x + n - 16));
  else
    for (; i < n; i++) to[i] = x[i];
}

MF_HELPER int32_t mf_ring_slot(int32_t line, int32_t span) {
  const int32_t rest = line % span;
  return rest < 0 ? rest + span : rest;
}

MF_HELPER mf_lines mf_lines_of(const mf_window *g, void *scratch) {
  mf_lines l;
  l.room = (int16_t *)scratch;
  l.size = ((g->out_w - 1) * g->stride_w + (g->k_w - 1) * g->dil_w + 1) * g->in_c + MF_LINE_SLACK;
  l.span = (g->k_h - 1) * g->dil_h + 1;
  l.next = INT32_MIN;
  return l;
}

/* Make the lines of output row y be there. */
MF_AVX2_INLINE void mf_lines_load(mf_lines *l, const mf_window *g, const mf_view *in, int32_t zero,
                                  int32_t y) {
  const int32_t top = y * g->stride_h - g->pad_top, end = top + l->span;
  const int32_t left = g->pad_left * g->in_c, all = l->size - MF_LINE_SLACK;
  const int32_t n = all - left < g->in_w * g->in_c ? all - left : g->in_w * g->in_c;
  const __m256i zeros = _mm256_set1_epi16((short)zero);
  int32_t iy;
  for (iy = l->next > top ? l->next : top; iy < end; iy++) {
    int16_t *line = l->room + (ptrdiff_t)mf_ring_slot(iy, l->span) * l->size;
    if (iy < 0 || iy >= g->in_h || n <= 0) {
      mf_fill16(line, l->size - 15, zeros);
      _mm256_storeu_si256((__m256i *)(void *)(line + l->size - 16), zeros);
      continue;
    }
    mf_fill16(line, left, zeros);
    mf_widen(line + left, (const int8_t *)mf_row(in, iy), n);
    mf_fill16(line + left + n, l->size - left - n - 15, zeros);
    _mm256_storeu_si256((__m256i *)(void *)(line + l->size - 16), zeros);
  }
  l->next = end;
}

/* How many rows of a convolution of single pixels may be taken as one line, as many as stay in the first-level cache:
 * narrow images so fill the registers. 1: each is its own. */
MF_HELPER int32_t mf_flat_rows(const mf_window *g) {
  const int32_t rows = 4096 / (g->in_w * g->in_c);
  if (g->k_h != 1 || g->k_w != 1 || g->stride_h != 1 || g->stride_w != 1 || g->pad_top || g->pad_left)
    return 1;
  if (g->in_w != g->out_w || g->out_h > g->in_h) return 1;
  return rows < 1 ? 1 : rows < g->out_h ? rows : g->out_h;
}

/* The same, where the rows of these views follow one another in memory; elem: bytes of an element. */
MF_HELPER int32_t mf_rows_at_once(const mf_window *g, const mf_view *in, const mf_view *out, int32_t elem) {
  if (in->ring || out->ring || in->row != g->in_w * g->in_c * elem || out->row != g->out_w * g->out_c * elem)
    return 1;
  return mf_flat_rows(g);
}

/* The taps of a window as runs of pairs of inputs: `rows` lines `dil` slots apart, in each `runs` runs `apart` elements
 * apart. A run of odd length ends with a pair whose second weight is 0. */
typedef struct mf_pairs {
  const int16_t *room;
  int32_t size, span, slot;                    /* slot: of the first line */
  int32_t rows, dil, runs, apart, pairs, step; /* step: elements from pixel to pixel */
} mf_pairs;

MF_AVX2_INLINE __m256i mf_pair16(const int16_t *x) {
  int32_t v;
  __builtin_memcpy(&v, x, 4);
  return _mm256_set1_epi32(v);
}

/* Channels come in units of eight. Of two units that make a block of 16 channels, the first holds 0 .. 3 and 8 .. 11, the
 * second 4 .. 7 and 12 .. 15: the order that packing undoes. A unit of q: biases, multipliers, terms of the products (of
 * even channels, then of odd ones, 64 bits each), right shifts, masks. A term holds both roundings and the output's zero
 * point; the mask is 0 for a channel that rounds once, in the product (its shift is 0). */
enum { MF_Q8 = 48 };

/* Codes of eight sums x, not limited yet: (x * mult + term) >> 31, less 1 where x is negative, >> shift. That is
 * TFLite's double rounding: a negative x whose product rounds to 0 gives the same either way. positive: negative codes
 * will be cut off, and their rounding does not matter. */
MF_AVX2_INLINE __m256i mf_codes8(__m256i x, const int32_t *q, int32_t positive) {
  const __m256i even = _mm256_add_epi64(_mm256_mul_epi32(x, mf_load8i(q + 8)), mf_load8i(q + 16));
  const __m256i odd =
      _mm256_add_epi64(_mm256_mul_epi32(_mm256_srli_epi64(x, 32), mf_load8i(q + 9)), mf_load8i(q + 24));
  __m256i high = _mm256_blend_epi32(_mm256_srli_epi64(even, 31), _mm256_slli_epi64(odd, 1), 0xaa);
  if (!positive) high = _mm256_add_epi32(high, _mm256_and_si256(_mm256_srai_epi32(x, 31), mf_load8i(q + 40)));
  return _mm256_srav_epi32(high, mf_load8i(q + 32));
}

/* The first n of 16 codes to y. */
MF_AVX2_INLINE void mf_store_some(int8_t *y, int32_t n, __m128i c) {
  if (n >= 16) {
    _mm_storeu_si128((__m128i *)(void *)y, c);
  } else {
    int8_t last[16];
    int32_t i;
    _mm_storeu_si128((__m128i *)(void *)last, c);
    if (n >= 8) { /* the second half may begin within the first */
      __builtin_memcpy(y, last, 8);
      __builtin_memcpy(y + n - 8, last + n - 8, 8);
    } else if (n >= 4) {
      __builtin_memcpy(y, last, 4);
      __builtin_memcpy(y + n - 4, last + n - 4, 4);
    } else {
      for (i = 0; i < n; i++) y[i] = last[i];
    }
  }
}

/* 16 values of int16 to the first n places at y, limited. */
MF_AVX2_INLINE void mf_store_codes(int8_t *y, int32_t n, __m256i v, __m128i lo, __m128i hi) {
  const __m128i c = _mm_packs_epi16(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  mf_store_some(y, n, _mm_min_epi8(_mm_max_epi8(c, lo), hi));
}

/* Limits of the codes; positive: lo is no less than the zero point. */
typedef struct mf_limits {
  __m256i lo, hi;
  int32_t positive;
} mf_limits;

MF_AVX2_INLINE mf_limits mf_limits_of(int32_t lo, int32_t hi, int32_t zero) {
  mf_limits l;
  l.lo = _mm256_set1_epi8((char)lo);
  l.hi = _mm256_set1_epi8((char)hi);
  l.positive = lo >= zero;
  return l;
}

/* 16 channels of a pixel as int16. */
MF_AVX2_INLINE __m256i mf_codes16(__m256i first, __m256i second, const int32_t *q, int32_t positive) {
  return _mm256_packs_epi32(mf_codes8(first, q, positive), mf_codes8(second, q + MF_Q8, positive));
}

/* A block's channels, the first n of them there, of one pixel and of two. */
MF_AVX2_INLINE void mf_put_pixel(int8_t *y, int32_t n, const __m256i *sum, const int32_t *q,
                                 const mf_limits *l, int32_t positive) {
  mf_store_codes(y, n, mf_codes16(sum[0], sum[1], q, positive), _mm256_castsi256_si128(l->lo),
                 _mm256_castsi256_si128(l->hi));
}

MF_AVX2_INLINE void mf_put_two(int8_t *y, int32_t next, int32_t n, const __m256i *sum, const int32_t *q,
                               const mf_limits *l, int32_t positive) {
  __m256i c =
      _mm256_packs_epi16(mf_codes16(sum[0], sum[1], q, positive), mf_codes16(sum[2], sum[3], q, positive));
  c = _mm256_permute4x64_epi64(_mm256_min_epi8(_mm256_max_epi8(c, l->lo), l->hi), 0xd8);
  mf_store_some(y, n, _mm256_castsi256_si128(c));
  mf_store_some(y + next, n, _mm256_extracti128_si256(c, 1));
}

/* The same for n pixels, an even number of them or one. */
MF_AVX2_INLINE void mf_put_pixels(int8_t *y, int32_t next, int32_t n, int32_t left, const __m256i *sum,
                                  const int32_t *q, const mf_limits *l, int32_t positive) {
  if (n == 1) mf_put_pixel(y, left, sum, q, l, positive);
  if (n > 1) mf_put_two(y, next, left, sum, q, l, positive);
  if (n > 2) mf_put_two(y + 2 * next, next, left, sum + 4, q, l, positive);
}

/* A lone unit's eight channels, the first `left` of them there, of two pixels. */
MF_AVX2_INLINE void mf_put_two8(int8_t *y, int32_t next, int32_t n, int32_t left, const __m256i *sum,
                                const int32_t *q, const mf_limits *l, int32_t positive) {
  __m256i c = _mm256_packs_epi32(mf_codes8(sum[0], q, positive), mf_codes8(sum[n - 1], q, positive));
  __m128i codes;
  c = _mm256_permute4x64_epi64(c, 0xd8);
  codes = _mm_packs_epi16(_mm256_castsi256_si128(c), _mm256_extracti128_si256(c, 1));
  codes = _mm_max_epi8(codes, _mm256_castsi256_si128(l->lo));
  codes = _mm_min_epi8(codes, _mm256_castsi256_si128(l->hi));
  if (left == 8) {
    _mm_storel_epi64((__m128i *)(void *)y, codes);
    if (n > 1) _mm_storel_epi64((__m128i *)(void *)(y + next), _mm_unpackhi_epi64(codes, codes));
  } else {
    mf_store_some(y, left, codes);
    if (n > 1) mf_store_some(y + next, left, _mm_unpackhi_epi64(codes, codes));
  }
}

#endif
