/* Vectors of 256 bits as the kernels of runtime/kernels/x86 use them, for AVX2 and FMA; sse41/sse41.h has the same names
 * for SSE4.1. Integers are int16 or int32; the two halves of a vector are lanes that mixing and packing stay within.
 *
 * The functions carry their instruction set as an attribute, so that the file compiles for any x86-64 processor.
 */
#ifndef MF_AVX2_H
#define MF_AVX2_H

#include <immintrin.h>

#include "runtime/kernels/requantize.h"

#define MF_X86        __attribute__((target("avx2,fma")))
#define MF_X86_INLINE static inline __attribute__((always_inline, unused, target("avx2,fma")))

typedef __m256i mf_v; /* 16 int16 or eight int32 */
typedef __m256 mf_vf; /* eight floats */
typedef mf_v mf_pair; /* two int16 over and over */
typedef mf_vf mf_one; /* a float over and over */

/* Sums of eight that stay in registers. */
enum { MF_SUMS = 8 };

/* -- int16, int32 -- */

MF_X86_INLINE mf_v mf_load8i(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
MF_X86_INLINE void mf_store8i(void *p, mf_v v) { _mm256_storeu_si256((__m256i *)p, v); }
MF_X86_INLINE mf_v mf_set16(int32_t x) { return _mm256_set1_epi16((short)x); }
MF_X86_INLINE mf_v mf_set32(int32_t x) { return _mm256_set1_epi32(x); }

/* 16 int8 as int16, eight as int32. */
MF_X86_INLINE mf_v mf_widen16(const int8_t *p) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)p));
}
MF_X86_INLINE mf_v mf_widen32(const int8_t *p) {
  return _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p));
}

MF_X86_INLINE mf_v mf_add32(mf_v a, mf_v b) { return _mm256_add_epi32(a, b); }
MF_X86_INLINE mf_v mf_sub32(mf_v a, mf_v b) { return _mm256_sub_epi32(a, b); }
MF_X86_INLINE mf_v mf_and(mf_v a, mf_v b) { return _mm256_and_si256(a, b); }
MF_X86_INLINE mf_v mf_sll32(mf_v v, int n) { return _mm256_slli_epi32(v, n); }
MF_X86_INLINE mf_v mf_sra32(mf_v v, __m128i n) { return _mm256_sra_epi32(v, n); }
MF_X86_INLINE mf_v mf_sra32i(mf_v v, int n) { return _mm256_srai_epi32(v, n); }
MF_X86_INLINE mf_v mf_mul32(mf_v a, mf_v b) { return _mm256_mullo_epi32(a, b); }
MF_X86_INLINE mf_v mf_add16(mf_v a, mf_v b) { return _mm256_add_epi16(a, b); }
MF_X86_INLINE mf_v mf_sub16(mf_v a, mf_v b) { return _mm256_sub_epi16(a, b); }
MF_X86_INLINE mf_v mf_sll16(mf_v v, int n) { return _mm256_slli_epi16(v, n); }
MF_X86_INLINE mf_v mf_sign32(mf_v v) { return _mm256_srai_epi32(v, 31); }

MF_X86_INLINE mf_pair mf_pair16(const int16_t *x) {
  int32_t v;
  __builtin_memcpy(&v, x, 4);
  return _mm256_set1_epi32(v);
}

/* Four pairs, or floats, loaded at once, of which mf_pair_of and mf_one_of take one: not used here (MF_FOURS), where a load
 * spreads its value over the vector. */
enum { MF_FOURS = 0 };
typedef mf_v mf_four;
MF_X86_INLINE mf_four mf_load_four(const void *p) {
  return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)p));
}
#define mf_pair_of(x, k) _mm256_shuffle_epi32(x, (k)*0x55)
#define mf_one_of(x, k)  _mm256_castsi256_ps(mf_pair_of(x, k))

/* sum and the products of pairs. */
MF_X86_INLINE mf_v mf_madd(mf_v sum, mf_v a, mf_v b) { return mf_add32(sum, _mm256_madd_epi16(a, b)); }
MF_X86_INLINE mf_v mf_madd_pair(mf_v sum, mf_pair x, mf_v w) { return mf_madd(sum, x, w); }

/* The high half of 2 x m, rounded. */
MF_X86_INLINE mf_v mf_high32(mf_v x, mf_v m) {
  const __m256i half = _mm256_set1_epi64x((int64_t)1 << 30);
  const __m256i even = _mm256_add_epi64(_mm256_mul_epi32(x, m), half);
  const __m256i odd = _mm256_add_epi64(_mm256_mul_epi32(_mm256_srli_epi64(x, 32), m), half);
  return _mm256_blend_epi32(_mm256_srli_epi64(even, 31), _mm256_slli_epi64(odd, 1), 0xaa);
}

/* -- float32 -- */

MF_X86_INLINE mf_vf mf_loadf(const float *p) { return _mm256_loadu_ps(p); }
MF_X86_INLINE void mf_storef(float *p, mf_vf v) { _mm256_storeu_ps(p, v); }
MF_X86_INLINE mf_vf mf_setf(float x) { return _mm256_set1_ps(x); }
MF_X86_INLINE mf_one mf_onef(const float *x) { return _mm256_broadcast_ss(x); }
MF_X86_INLINE mf_vf mf_addf(mf_vf a, mf_vf b) { return _mm256_add_ps(a, b); }
MF_X86_INLINE mf_vf mf_subf(mf_vf a, mf_vf b) { return _mm256_sub_ps(a, b); }
MF_X86_INLINE mf_vf mf_fmadd(mf_vf a, mf_vf b, mf_vf sum) { return _mm256_fmadd_ps(a, b, sum); }
MF_X86_INLINE mf_vf mf_fnmadd(mf_vf a, mf_vf b, mf_vf sum) { return _mm256_fnmadd_ps(a, b, sum); }
MF_X86_INLINE mf_vf mf_fmadd_one(mf_one x, mf_vf w, mf_vf sum) { return _mm256_fmadd_ps(x, w, sum); }

/* max(lo, v) and min(hi, v) pass NaN on as the generic kernels do. */
MF_X86_INLINE mf_vf mf_limitf(mf_vf v, mf_vf lo, mf_vf hi) { return _mm256_min_ps(hi, _mm256_max_ps(lo, v)); }

/* -- output codes -- */

/* A unit of q: biases, multipliers, terms of the products (of even channels, then of odd ones, 64 bits each), right shifts,
 * masks. A term holds both roundings and the output's zero point; the mask is 0 for a channel that rounds once, in the
 * product (its shift is 0). */
enum { MF_Q8 = 48 };

/* Codes of eight sums x, not limited yet: (x * mult + term) >> 31, less 1 where x is negative, >> shift. That is
 * TFLite's double rounding: a negative x whose product rounds to 0 gives the same either way. positive: negative codes
 * will be cut off, and their rounding does not matter. */
MF_X86_INLINE mf_v mf_codes8(mf_v x, const int32_t *q, int32_t positive) {
  const __m256i even = _mm256_add_epi64(_mm256_mul_epi32(x, mf_load8i(q + 8)), mf_load8i(q + 16));
  const __m256i odd =
      _mm256_add_epi64(_mm256_mul_epi32(_mm256_srli_epi64(x, 32), mf_load8i(q + 9)), mf_load8i(q + 24));
  __m256i high = _mm256_blend_epi32(_mm256_srli_epi64(even, 31), _mm256_slli_epi64(odd, 1), 0xaa);
  if (!positive) high = _mm256_add_epi32(high, _mm256_and_si256(_mm256_srai_epi32(x, 31), mf_load8i(q + 40)));
  return _mm256_srav_epi32(high, mf_load8i(q + 32));
}

/* Limits of the codes; positive: lo is no less than the zero point. */
typedef struct mf_limits {
  __m256i lo, hi;
  int32_t positive;
} mf_limits;

MF_X86_INLINE mf_limits mf_limits_of(int32_t lo, int32_t hi, int32_t zero) {
  mf_limits l;
  l.lo = _mm256_set1_epi8((char)lo);
  l.hi = _mm256_set1_epi8((char)hi);
  l.positive = lo >= zero;
  return l;
}

/* Eight and eight int32 as 16 int16, lane by lane; 16 int16 as int8. */
MF_X86_INLINE mf_v mf_pack32(mf_v a, mf_v b) { return _mm256_packs_epi32(a, b); }
MF_X86_INLINE __m128i mf_pack16(mf_v v) {
  return _mm_packs_epi16(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
}
/* mf_pack32's result in the order of a, b. */
MF_X86_INLINE mf_v mf_straighten(mf_v v) { return _mm256_permute4x64_epi64(v, 0xd8); }

MF_X86_INLINE __m128i mf_limit16(__m128i c, const mf_limits *l) {
  return _mm_min_epi8(_mm_max_epi8(c, _mm256_castsi256_si128(l->lo)), _mm256_castsi256_si128(l->hi));
}

/* Two times 16 int16 as codes, limited: the first 16 and the second. */
MF_X86_INLINE mf_v mf_limit_two(mf_v a, mf_v b, const mf_limits *l) {
  const __m256i c = _mm256_packs_epi16(a, b);
  return _mm256_permute4x64_epi64(_mm256_min_epi8(_mm256_max_epi8(c, l->lo), l->hi), 0xd8);
}
MF_X86_INLINE __m128i mf_first(mf_v v) { return _mm256_castsi256_si128(v); }
MF_X86_INLINE __m128i mf_second(mf_v v) { return _mm256_extracti128_si256(v, 1); }

/* -- channels of a depthwise convolution, as many as the sums of a pixel leave room for: all of a block -- */

enum { MF_WIDE = 16 };
typedef mf_v mf_wide;
MF_X86_INLINE mf_wide mf_loadw(const void *p) { return mf_load8i(p); }
/* Low and high halves of lanes of int16, mixed: a0 b0 a1 b1 .. */
MF_X86_INLINE mf_wide mf_mixw_lo(mf_wide a, mf_wide b) { return _mm256_unpacklo_epi16(a, b); }
MF_X86_INLINE mf_wide mf_mixw_hi(mf_wide a, mf_wide b) { return _mm256_unpackhi_epi16(a, b); }
MF_X86_INLINE mf_wide mf_maddw(mf_wide sum, mf_wide a, mf_wide b) { return mf_madd(sum, a, b); }
MF_X86_INLINE __m128i mf_codes_wide(mf_wide lo, mf_wide hi, const int32_t *q, const mf_limits *l,
                                    int32_t positive) {
  return mf_limit16(mf_pack16(mf_pack32(mf_codes8(lo, q, positive), mf_codes8(hi, q + MF_Q8, positive))), l);
}

#endif
