/* Add, int8, of tensors of one shape, for AVX2: eight elements at a time of what add_lines.h does with one. A row is one
 * index of the first axis. The output may be exactly the memory of an input. Same results as add_s8__generic.
 */
#include "runtime/kernels/avx2/avx2.h"

MF_AVX2 MF_KERNEL mf_kernel_fn add_s8__avx2;

typedef struct add_avx2 {
  __m256i s_zero, o_zero, o_mult, o_round, o_sign, out_mult, round;
  __m128i o_shift, shift;
} add_avx2;

/* The high half of 2 x m, rounded; m in every lane. */
MF_AVX2_INLINE __m256i add_avx2_high(__m256i x, __m256i m) {
  const __m256i half = _mm256_set1_epi64x((int64_t)1 << 30);
  const __m256i even = _mm256_add_epi64(_mm256_mul_epi32(x, m), half);
  const __m256i odd = _mm256_add_epi64(_mm256_mul_epi32(_mm256_srli_epi64(x, 32), m), half);
  return _mm256_blend_epi32(_mm256_srli_epi64(even, 31), _mm256_slli_epi64(odd, 1), 0xaa);
}

MF_AVX2_INLINE __m256i add_avx2_codes(const add_avx2 *c, const int8_t *s, const int8_t *o) {
  const __m256i a = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)s));
  const __m256i b = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)o));
  __m256i v = add_avx2_high(_mm256_sub_epi32(_mm256_slli_epi32(b, 20), c->o_zero), c->o_mult);
  v = _mm256_add_epi32(_mm256_add_epi32(v, _mm256_and_si256(_mm256_srai_epi32(v, 31), c->o_sign)),
                       c->o_round);
  v = _mm256_add_epi32(_mm256_sra_epi32(v, c->o_shift),
                       _mm256_sub_epi32(_mm256_slli_epi32(a, 19), c->s_zero));
  v = add_avx2_high(v, c->out_mult);
  v = _mm256_add_epi32(_mm256_add_epi32(v, _mm256_srai_epi32(v, 31)), c->round);
  return _mm256_sra_epi32(v, c->shift);
}

MF_AVX2_INLINE void add_avx2_16(const add_avx2 *c, const int8_t *s, const int8_t *o, int8_t *y, __m128i lo,
                                __m128i hi) {
  const __m256i v = _mm256_packs_epi32(add_avx2_codes(c, s, o), add_avx2_codes(c, s + 8, o + 8));
  mf_store_codes(y, 16, _mm256_permute4x64_epi64(v, 0xd8), lo, hi);
}

MF_AVX2_INLINE add_avx2 add_avx2_of(const mf_add_s8 *p, int32_t swap) {
  const int32_t o_shift = -(swap ? p->a_shift : p->b_shift), shift = -p->out_shift;
  add_avx2 c;
  c.s_zero = _mm256_set1_epi32(mf_shift_left(swap ? p->b_zero : p->a_zero, 19));
  c.o_zero = _mm256_set1_epi32(mf_shift_left(swap ? p->a_zero : p->b_zero, 20));
  c.o_mult = _mm256_set1_epi32(swap ? p->a_mult : p->b_mult);
  c.o_round = _mm256_set1_epi32(o_shift ? 1 << (o_shift - 1) : 0);
  c.o_sign = _mm256_set1_epi32(o_shift ? -1 : 0);
  c.out_mult = _mm256_set1_epi32(p->out_mult);
  c.round = _mm256_set1_epi32((1 << (shift - 1)) + p->out_zero * (1 << shift));
  c.o_shift = _mm_cvtsi32_si128(o_shift);
  c.shift = _mm_cvtsi32_si128(shift);
  return c;
}

MF_AVX2 MF_KERNEL void add_s8__avx2(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                    int32_t y1, void *scratch) {
  const mf_add_s8 *p = (const mf_add_s8 *)params;
  const int32_t swap = p->a_mult != 1 << 30 || p->a_shift != 0; /* whether b's scale is the larger */
  const __m128i lo = _mm_set1_epi8((char)p->lo), hi = _mm_set1_epi8((char)p->hi);
  const add_avx2 c = add_avx2_of(p, swap);
  int32_t n = 1, i, y;
  (void)scratch;
  for (i = 1; i < p->rank; i++) n *= p->dims[i];
  for (y = y0; y < y1; y++) {
    const int8_t *s = (const int8_t *)mf_row(&in[swap], y), *o = (const int8_t *)mf_row(&in[1 - swap], y);
    int8_t *to = (int8_t *)mf_row(out, y);
    for (i = 0; i + 16 <= n; i += 16) add_avx2_16(&c, s + i, o + i, to + i, lo, hi);
    if (i < n) {
      int8_t last[3][16] = {{0}};
      __builtin_memcpy(last[0], s + i, (size_t)(n - i));
      __builtin_memcpy(last[1], o + i, (size_t)(n - i));
      add_avx2_16(&c, last[0], last[1], last[2], lo, hi);
      __builtin_memcpy(to + i, last[2], (size_t)(n - i));
    }
  }
}
