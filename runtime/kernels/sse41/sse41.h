/* Vectors of 256 bits as the kernels of runtime/kernels/x86 use them, for SSE4.1: two of 128 bits; avx2/avx2.h has the same
 * names for AVX2. What avx2.h does within the lanes of a vector is done here with each of the two.
 *
 * The functions carry their instruction set as an attribute, so that the file compiles for any x86-64 processor.
 */
#ifndef MF_SSE41_H
#define MF_SSE41_H

#include <immintrin.h>

#include "runtime/kernels/requantize.h"

#define MF_X86        __attribute__((target("sse4.1")))
#define MF_X86_INLINE static inline __attribute__((always_inline, unused, target("sse4.1")))

typedef struct mf_v { /* 16 int16 or eight int32 */
  __m128i a, b;
} mf_v;
typedef struct mf_vf { /* eight floats */
  __m128 a, b;
} mf_vf;
typedef __m128i mf_pair; /* two int16 over and over */
typedef __m128 mf_one;   /* a float over and over */

/* Sums of eight that stay in registers. */
enum { MF_SUMS = 4 };

/* name(a, b) = op(a, b) */
#define MF_LANES(name, type, op)                 \
  MF_X86_INLINE type name(type x, type y) {      \
    const type v = {op(x.a, y.a), op(x.b, y.b)}; \
    return v;                                    \
  }

/* -- int16, int32 -- */

MF_X86_INLINE mf_v mf_both(__m128i a, __m128i b) {
  const mf_v v = {a, b};
  return v;
}
MF_X86_INLINE __m128i mf_load4i(const void *p) { return _mm_loadu_si128((const __m128i *)p); }
MF_X86_INLINE mf_v mf_load8i(const void *p) { return mf_both(mf_load4i(p), mf_load4i((const char *)p + 16)); }
MF_X86_INLINE void mf_store8i(void *p, mf_v v) {
  _mm_storeu_si128((__m128i *)p, v.a);
  _mm_storeu_si128((__m128i *)(void *)((char *)p + 16), v.b);
}
MF_X86_INLINE mf_v mf_set16(int32_t x) { return mf_both(_mm_set1_epi16((short)x), _mm_set1_epi16((short)x)); }
MF_X86_INLINE mf_v mf_set32(int32_t x) { return mf_both(_mm_set1_epi32(x), _mm_set1_epi32(x)); }

MF_X86_INLINE __m128i mf_load_codes8(const int8_t *p) {
  return _mm_loadl_epi64((const __m128i *)(const void *)p);
}
MF_X86_INLINE __m128i mf_load_codes4(const int8_t *p) {
  int32_t v;
  __builtin_memcpy(&v, p, 4);
  return _mm_cvtsi32_si128(v);
}

/* 16 int8 as int16, eight as int32. */
MF_X86_INLINE mf_v mf_widen16(const int8_t *p) {
  return mf_both(_mm_cvtepi8_epi16(mf_load_codes8(p)), _mm_cvtepi8_epi16(mf_load_codes8(p + 8)));
}
MF_X86_INLINE mf_v mf_widen32(const int8_t *p) {
  return mf_both(_mm_cvtepi8_epi32(mf_load_codes4(p)), _mm_cvtepi8_epi32(mf_load_codes4(p + 4)));
}

MF_LANES(mf_add32, mf_v, _mm_add_epi32)
MF_LANES(mf_sub32, mf_v, _mm_sub_epi32)
MF_LANES(mf_mul32, mf_v, _mm_mullo_epi32)
MF_LANES(mf_add16, mf_v, _mm_add_epi16)
MF_LANES(mf_sub16, mf_v, _mm_sub_epi16)
MF_LANES(mf_and, mf_v, _mm_and_si128)
MF_X86_INLINE mf_v mf_sll32(mf_v v, int n) { return mf_both(_mm_slli_epi32(v.a, n), _mm_slli_epi32(v.b, n)); }
MF_X86_INLINE mf_v mf_sll16(mf_v v, int n) { return mf_both(_mm_slli_epi16(v.a, n), _mm_slli_epi16(v.b, n)); }
MF_X86_INLINE mf_v mf_sra32i(mf_v v, int n) {
  return mf_both(_mm_srai_epi32(v.a, n), _mm_srai_epi32(v.b, n));
}
MF_X86_INLINE mf_v mf_sra32(mf_v v, __m128i n) {
  return mf_both(_mm_sra_epi32(v.a, n), _mm_sra_epi32(v.b, n));
}
MF_X86_INLINE mf_v mf_sign32(mf_v v) { return mf_both(_mm_srai_epi32(v.a, 31), _mm_srai_epi32(v.b, 31)); }

MF_X86_INLINE mf_pair mf_pair16(const int16_t *x) {
  int32_t v;
  __builtin_memcpy(&v, x, 4);
  return _mm_set1_epi32(v);
}

/* Four pairs, or floats, loaded at once, of which mf_pair_of and mf_one_of take one. */
enum { MF_FOURS = 1 };
typedef __m128i mf_four;
MF_X86_INLINE mf_four mf_load_four(const void *p) { return mf_load4i(p); }
#define mf_pair_of(x, k) _mm_shuffle_epi32(x, (k)*0x55)
#define mf_one_of(x, k)  _mm_castsi128_ps(mf_pair_of(x, k))

/* sum and the products of pairs. The empty statement keeps the compiler from adding several products first, for which there
 * are too few registers. */
MF_X86_INLINE __m128i mf_madd4(__m128i sum, __m128i x, __m128i y) {
  sum = _mm_add_epi32(sum, _mm_madd_epi16(x, y));
  __asm__("" : "+x"(sum));
  return sum;
}
MF_X86_INLINE mf_v mf_madd_pair(mf_v sum, mf_pair x, mf_v w) {
  return mf_both(mf_madd4(sum.a, x, w.a), mf_madd4(sum.b, x, w.b));
}

/* The high half of 2 x m, rounded. */
MF_X86_INLINE __m128i mf_high4(__m128i x, __m128i m) {
  const __m128i half = _mm_set1_epi64x((int64_t)1 << 30);
  const __m128i even = _mm_add_epi64(_mm_mul_epi32(x, m), half);
  const __m128i odd = _mm_add_epi64(_mm_mul_epi32(_mm_srli_epi64(x, 32), m), half);
  return _mm_blend_epi16(_mm_srli_epi64(even, 31), _mm_add_epi64(odd, odd), 0xcc);
}
MF_LANES(mf_high32, mf_v, mf_high4)

/* -- float32 -- */

MF_X86_INLINE mf_vf mf_loadf(const float *p) {
  const mf_vf v = {_mm_loadu_ps(p), _mm_loadu_ps(p + 4)};
  return v;
}
MF_X86_INLINE void mf_storef(float *p, mf_vf v) {
  _mm_storeu_ps(p, v.a);
  _mm_storeu_ps(p + 4, v.b);
}
MF_X86_INLINE mf_vf mf_setf(float x) {
  const mf_vf v = {_mm_set1_ps(x), _mm_set1_ps(x)};
  return v;
}
MF_X86_INLINE mf_one mf_onef(const float *x) { return _mm_set1_ps(*x); }
MF_LANES(mf_addf, mf_vf, _mm_add_ps)
MF_LANES(mf_subf, mf_vf, _mm_sub_ps)
MF_LANES(mf_mulf, mf_vf, _mm_mul_ps)
MF_LANES(mf_maxf, mf_vf, _mm_max_ps)
MF_LANES(mf_minf, mf_vf, _mm_min_ps)
MF_X86_INLINE mf_vf mf_fmadd(mf_vf x, mf_vf y, mf_vf sum) { return mf_addf(sum, mf_mulf(x, y)); }
MF_X86_INLINE mf_vf mf_fnmadd(mf_vf x, mf_vf y, mf_vf sum) { return mf_subf(sum, mf_mulf(x, y)); }
MF_X86_INLINE mf_vf mf_fmadd_one(mf_one x, mf_vf w, mf_vf sum) {
  const mf_vf v = {x, x};
  return mf_fmadd(v, w, sum);
}

/* max(lo, v) and min(hi, v) pass NaN on as the generic kernels do. */
MF_X86_INLINE mf_vf mf_limitf(mf_vf v, mf_vf lo, mf_vf hi) { return mf_minf(hi, mf_maxf(lo, v)); }

/* -- output codes -- */

/* A unit of q, four channels and four in each of these: biases, limits of the sums, the same below 0, factors, multipliers
 * (64 bits, the upper halves unused: of the four's first two channels and of the four's last two), terms of the products
 * (64 bits, in the same places), signs. There is no shift of its own for each channel in SSE4.1, so sums are brought to one scale
 * first: a factor of 2^(21 - shift), and beyond 2^(9 + shift) a sum is at the end of the codes anyway. A term holds both
 * roundings and the output's zero point, less half of the 1 that negative sums lose between the roundings; the sign is
 * that half, 0 for a channel that rounds once (its shift is 0) and where all negative codes are cut off. At multiples of 16
 * bytes. */
enum { MF_Q8 = 72 };

/* Codes of four sums x, not limited yet: (factor * x * mult + term) >> 52, where halves that are lost are exact: TFLite's
 * double rounding. positive: negative codes will be cut off, and their rounding does not matter. */
MF_X86_INLINE __m128i mf_word4(const int32_t *q) { return _mm_load_si128((const __m128i *)(const void *)q); }

MF_X86_INLINE __m128i mf_codes4(__m128i x, const int32_t *q, int32_t positive) {
  const __m128i limited = _mm_max_epi32(_mm_min_epi32(x, mf_word4(q + 8)), mf_word4(q + 16));
  const __m128i scaled = _mm_mullo_epi32(limited, mf_word4(q + 24));
  const __m128i first =
      _mm_add_epi64(_mm_mul_epi32(_mm_shuffle_epi32(scaled, 0x50), mf_word4(q + 32)), mf_word4(q + 48));
  const __m128i last =
      _mm_add_epi64(_mm_mul_epi32(_mm_shuffle_epi32(scaled, 0xfa), mf_word4(q + 40)), mf_word4(q + 56));
  __m128i high = _mm_castps_si128(_mm_shuffle_ps(_mm_castsi128_ps(first), _mm_castsi128_ps(last), 0xdd));
  if (!positive) high = _mm_add_epi32(high, _mm_sign_epi32(mf_word4(q + 64), x));
  return _mm_srai_epi32(high, 20);
}

MF_X86_INLINE mf_v mf_codes8(mf_v x, const int32_t *q, int32_t positive) {
  return mf_both(mf_codes4(x.a, q, positive), mf_codes4(x.b, q + 4, positive));
}

/* Limits of the codes; positive: lo is no less than the zero point. */
typedef struct mf_limits {
  __m128i lo, hi;
  int32_t positive;
} mf_limits;

MF_X86_INLINE mf_limits mf_limits_of(int32_t lo, int32_t hi, int32_t zero) {
  mf_limits l;
  l.lo = _mm_set1_epi8((char)lo);
  l.hi = _mm_set1_epi8((char)hi);
  l.positive = lo >= zero;
  return l;
}

/* Eight and eight int32 as 16 int16, lane by lane; 16 int16 as int8. */
MF_LANES(mf_pack32, mf_v, _mm_packs_epi32)
MF_X86_INLINE __m128i mf_pack16(mf_v v) { return _mm_packs_epi16(v.a, v.b); }
/* mf_pack32's result in the order of a, b. */
MF_X86_INLINE mf_v mf_straighten(mf_v v) {
  return mf_both(_mm_unpacklo_epi64(v.a, v.b), _mm_unpackhi_epi64(v.a, v.b));
}

MF_X86_INLINE __m128i mf_limit16(__m128i c, const mf_limits *l) {
  return _mm_min_epi8(_mm_max_epi8(c, l->lo), l->hi);
}

/* Two times 16 int16 as codes, limited: the first 16 and the second. */
MF_X86_INLINE mf_v mf_limit_two(mf_v x, mf_v y, const mf_limits *l) {
  return mf_both(mf_limit16(mf_pack16(x), l), mf_limit16(mf_pack16(y), l));
}
MF_X86_INLINE __m128i mf_first(mf_v v) { return v.a; }
MF_X86_INLINE __m128i mf_second(mf_v v) { return v.b; }

/* -- channels of a depthwise convolution, as many as the sums of a pixel leave room for: half a block -- */

enum { MF_WIDE = 8 };
typedef __m128i mf_wide;
MF_X86_INLINE mf_wide mf_loadw(const void *p) { return mf_load4i(p); }
/* Low and high halves of int16, mixed: x0 y0 x1 y1 .. */
MF_X86_INLINE mf_wide mf_mixw_lo(mf_wide x, mf_wide y) { return _mm_unpacklo_epi16(x, y); }
MF_X86_INLINE mf_wide mf_mixw_hi(mf_wide x, mf_wide y) { return _mm_unpackhi_epi16(x, y); }
MF_X86_INLINE mf_wide mf_maddw(mf_wide sum, mf_wide x, mf_wide y) { return mf_madd4(sum, x, y); }
MF_X86_INLINE __m128i mf_codes_wide(mf_wide lo, mf_wide hi, const int32_t *q, const mf_limits *l,
                                    int32_t positive) {
  __m128i c;
  __asm__("" : "+r"(q), "+x"(lo), "+x"(hi)); /* keeps the words of q in memory until they are used */
  c = _mm_packs_epi32(mf_codes4(lo, q, positive), mf_codes4(hi, q + MF_Q8, positive));
  return mf_limit16(_mm_packs_epi16(c, c), l);
}

#endif
