/* DepthwiseConv, float32, one output channel for each input channel, for AVX2 and FMA: eight channels of a pixel at a time.
 *
 * Lines of the image go through scratch, zeros around them. Weights are packed in blocks of eight channels, in each one
 * vector for each tap; those of 3x3 windows stay in registers along a line. Within a rounding of depthwise_f32__generic.
 * A row is a line of the image.
 */
#include "runtime/kernels/avx2/f32.h"

MF_AVX2 MF_KERNEL mf_kernel_fn depthwise_f32__avx2;

typedef struct depthwise_f32_avx2 {
  const mf_window *g;
  const mf_flines *l;
  int32_t top, left; /* left: channels from this block on */
  const float *w, *bias;
  __m256 lo, hi;
} depthwise_f32_avx2;

/* Eight channels of one line; o: the first. */
MF_AVX2_INLINE void depthwise_f32_avx2_line(const depthwise_f32_avx2 *b, int32_t o, float *y) {
  const mf_window *g = b->g;
  const __m256 bias = _mm256_loadu_ps(b->bias);
  int32_t i, ky, kx;
  for (i = 0; i < g->out_w; i++, y += g->out_c) {
    const float *w = b->w;
    __m256 sum = bias;
    for (ky = 0; ky < g->k_h; ky++) {
      const float *x = mf_fline(b->l, b->top + ky * g->dil_h) + i * g->stride_w * g->in_c + o;
      for (kx = 0; kx < g->k_w; kx++, w += 8, x += g->dil_w * g->in_c)
        sum = _mm256_fmadd_ps(_mm256_loadu_ps(x), _mm256_loadu_ps(w), sum);
    }
    mf_store_f32(y, b->left, sum, b->lo, b->hi);
  }
}

#define DEPTHWISE_F32_ROW(x, a, b, c)                       \
  sum = _mm256_fmadd_ps(_mm256_loadu_ps(x), a, sum);        \
  sum = _mm256_fmadd_ps(_mm256_loadu_ps(x + next), b, sum); \
  sum = _mm256_fmadd_ps(_mm256_loadu_ps(x + 2 * next), c, sum);

/* The same for windows of 3x3. */
MF_AVX2_INLINE void depthwise_f32_avx2_line3(const depthwise_f32_avx2 *b, int32_t o, float *y) {
  const mf_window *g = b->g;
  const __m256 bias = _mm256_loadu_ps(b->bias);
  const __m256 w0 = _mm256_loadu_ps(b->w), w1 = _mm256_loadu_ps(b->w + 8), w2 = _mm256_loadu_ps(b->w + 16);
  const __m256 w3 = _mm256_loadu_ps(b->w + 24), w4 = _mm256_loadu_ps(b->w + 32),
               w5 = _mm256_loadu_ps(b->w + 40);
  const __m256 w6 = _mm256_loadu_ps(b->w + 48), w7 = _mm256_loadu_ps(b->w + 56),
               w8 = _mm256_loadu_ps(b->w + 64);
  const float *x0 = mf_fline(b->l, b->top) + o, *x1 = mf_fline(b->l, b->top + g->dil_h) + o;
  const float *x2 = mf_fline(b->l, b->top + 2 * g->dil_h) + o;
  const ptrdiff_t next = g->dil_w * g->in_c, step = g->stride_w * g->in_c;
  int32_t i;
  for (i = 0; i < g->out_w; i++, y += g->out_c, x0 += step, x1 += step, x2 += step) {
    __m256 sum = bias;
    DEPTHWISE_F32_ROW(x0, w0, w1, w2)
    DEPTHWISE_F32_ROW(x1, w3, w4, w5)
    DEPTHWISE_F32_ROW(x2, w6, w7, w8)
    mf_store_f32(y, b->left, sum, b->lo, b->hi);
  }
}

MF_AVX2 MF_KERNEL void depthwise_f32__avx2(const void *params, const mf_view *in, const mf_view *out,
                                           int32_t y0, int32_t y1, void *scratch) {
  const mf_conv_f32 *p = (const mf_conv_f32 *)params;
  const mf_window *g = &p->g;
  mf_flines l = mf_flines_of(g, in, scratch, 0);
  depthwise_f32_avx2 b;
  int32_t y, o;
  b.g = g;
  b.l = &l;
  b.lo = _mm256_set1_ps(p->lo);
  b.hi = _mm256_set1_ps(p->hi);
  for (y = y0; y < y1; y++) {
    float *line = (float *)mf_row(out, y);
    mf_flines_load(&l, g, y);
    b.top = y * g->stride_h - g->pad_top;
    b.w = p->w;
    b.bias = p->bias;
    for (o = 0; o < g->out_c; o += 8, b.w += g->k_h * g->k_w * 8, b.bias += 8) {
      b.left = g->out_c - o;
      if (g->k_h == 3 && g->k_w == 3)
        depthwise_f32_avx2_line3(&b, o, line + o);
      else
        depthwise_f32_avx2_line(&b, o, line + o);
    }
  }
}
