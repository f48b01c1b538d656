/* FullyConnected, int8, for AVX2: 16 outputs at a time, the layout and the sums of conv_s8.c with a vector of inputs for
 * its pixel. in_zero is folded into the biases. Same results as fc_s8__generic. A row is one vector.
 */
#include "runtime/kernels/avx2/avx2.h"

MF_AVX2 MF_KERNEL mf_kernel_fn fc_s8__avx2;

MF_AVX2 MF_KERNEL void fc_s8__avx2(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                   int32_t y1, void *scratch) {
  const mf_fc_s8 *p = (const mf_fc_s8 *)params;
  const __m128i lo = _mm_set1_epi8((char)p->lo), hi = _mm_set1_epi8((char)p->hi);
  int16_t *x = (int16_t *)scratch;
  const mf_pairs t = {x, 0, 1, 0, 1, 1, 1, 0, (p->k + 1) / 2, 0};
  int32_t y, o;
  x[p->k] = 0;
  for (y = y0; y < y1; y++) {
    int8_t *to = (int8_t *)mf_row(out, y);
    const int8_t *w = p->w;
    const int32_t *q = p->bias;
    mf_widen(x, (const int8_t *)mf_row(in, y), p->k);
    for (o = 0; o < p->n; o += 16, w += t.pairs * 32, q += MF_Q16) {
      __m256i sum[8];
      mf_sums16(&t, 0, 1, w, q, sum);
      mf_pixel_codes(to + o, p->n - o, sum, q, lo, hi);
    }
  }
}
