/* FullyConnected, float32, for AVX2 and FMA: 16 outputs at a time, four inputs a step into sums of their own, so that
 * multiply-adds do not wait for one another. Weights and biases as conv_f32.c has them. Within a rounding of
 * fc_f32__generic. A row is one vector.
 */
#include "runtime/kernels/avx2/f32.h"

MF_AVX2 MF_KERNEL mf_kernel_fn fc_f32__avx2;

#define FC_F32_TAP(i)                                             \
  v = _mm256_broadcast_ss(x + k + i);                             \
  lo##i = _mm256_fmadd_ps(v, _mm256_loadu_ps(w + 16 * i), lo##i); \
  hi##i = _mm256_fmadd_ps(v, _mm256_loadu_ps(w + 16 * i + 8), hi##i);

MF_AVX2_INLINE void fc_f32_avx2_16(const float *x, const float *w, int32_t n, __m256 *lo, __m256 *hi) {
  __m256 lo0 = *lo, hi0 = *hi, lo1 = _mm256_setzero_ps(), hi1 = lo1, lo2 = lo1, hi2 = lo1, lo3 = lo1,
         hi3 = lo1, v;
  int32_t k = 0;
  for (; k + 4 <= n; k += 4, w += 64) {
    FC_F32_TAP(0)
    FC_F32_TAP(1)
    FC_F32_TAP(2)
    FC_F32_TAP(3)
  }
  for (; k < n; k++, w += 16) {
    FC_F32_TAP(0)
  }
  *lo = _mm256_add_ps(_mm256_add_ps(lo0, lo1), _mm256_add_ps(lo2, lo3));
  *hi = _mm256_add_ps(_mm256_add_ps(hi0, hi1), _mm256_add_ps(hi2, hi3));
}

MF_AVX2 MF_KERNEL void fc_f32__avx2(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                    int32_t y1, void *scratch) {
  const mf_fc_f32 *p = (const mf_fc_f32 *)params;
  const __m256 least = _mm256_set1_ps(p->lo), most = _mm256_set1_ps(p->hi);
  int32_t y, o;
  (void)scratch;
  for (y = y0; y < y1; y++) {
    const float *x = (const float *)mf_row(in, y);
    float *to = (float *)mf_row(out, y);
    for (o = 0; o < p->n; o += 16) {
      __m256 lo = _mm256_loadu_ps(p->bias + o), hi = _mm256_loadu_ps(p->bias + o + 8);
      fc_f32_avx2_16(x, p->w + (ptrdiff_t)o * p->k, p->k, &lo, &hi);
      mf_store_f32(to + o, p->n - o, lo, least, most);
      if (p->n - o > 8) mf_store_f32(to + o + 8, p->n - o - 8, hi, least, most);
    }
  }
}
