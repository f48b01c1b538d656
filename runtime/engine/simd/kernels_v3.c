/* The engine's hot loops for x86-64-v3 (AVX2, FMA): the plain loops recompiled, and convolutions without im2col.
 *
 * Convolution: 6 pixels by 16 output channels in 12 registers; each tap costs 2 loads of packed weights, 6 broadcasts
 * of x and 12 FMAs. Pixels have a pointer each, so that blocks run on over row ends.
 * Weight gradient: 6 taps by 16 output channels in 12 registers, over the pixels of a strip of rows that stays in the
 * first-level cache (the same instructions with the roles of pixels and taps exchanged).
 * Source of the scheme: Georganas et al. 2018 (arXiv:1808.05567), direct convolutions by register blocking.
 */
#include <stddef.h>

#if defined(__AVX2__) && defined(__FMA__)

#include <immintrin.h>

#define MULADD(a, b, c) __builtin_fmaf(a, b, c)
#include "runtime/engine/simd/loops.h"

enum { LANES = 8 };
typedef __m256 V;
#define VLOAD(p)      _mm256_loadu_ps(p)
#define VSTORE(p, v)  _mm256_storeu_ps(p, v)
#define VSET(x)       _mm256_set1_ps(x)
#define VFMA(a, b, c) _mm256_fmadd_ps(a, b, c)
#define VMIN(a, b)    _mm256_min_ps(a, b)
#define VMAX(a, b)    _mm256_max_ps(a, b)
#define VINSIDE(v, lo, hi, g) \
  _mm256_and_ps(_mm256_and_ps(_mm256_cmp_ps(v, lo, _CMP_GT_OQ), _mm256_cmp_ps(v, hi, _CMP_LT_OQ)), g)
#include "runtime/engine/simd/winograd.h"
#include "runtime/engine/simd/rows.h"

enum { BLOCK = 6, STRIP_FLOATS = 3072 };

#define INLINE static inline __attribute__((always_inline))

/* Accumulators are named variables, lo0 hi0 .. lo5 hi5: compilers keep an array of them in memory. */
#define EACH_1(X) X(0)
#define EACH_2(X) EACH_1(X) X(1)
#define EACH_3(X) EACH_2(X) X(2)
#define EACH_4(X) EACH_3(X) X(3)
#define EACH_5(X) EACH_4(X) X(4)
#define EACH_6(X) EACH_5(X) X(5)

/* One pixel's 16 results to the first `cols` places at y. */
INLINE void store(__m256 lo8, __m256 hi8, int64_t cols, bool add, float *y) {
  if (cols == CONV_COLS) {
    if (add) {
      lo8 = _mm256_add_ps(lo8, _mm256_loadu_ps(y));
      hi8 = _mm256_add_ps(hi8, _mm256_loadu_ps(y + 8));
    }
    _mm256_storeu_ps(y, lo8);
    _mm256_storeu_ps(y + 8, hi8);
    return;
  }
  float tmp[CONV_COLS];
  _mm256_storeu_ps(tmp, lo8);
  _mm256_storeu_ps(tmp + 8, hi8);
  for (int64_t i = 0; i < cols; i++) y[i] = add ? y[i] + tmp[i] : tmp[i];
}

typedef struct Block {
  int64_t row, kh, run, cols, o;
  const float *w;
  __m256 bias[2], lo, hi;
  bool add, limited;
} Block;

INLINE void finish(const Block *b, __m256 lo8, __m256 hi8, float *y) {
  if (b->limited) {
    lo8 = _mm256_min_ps(_mm256_max_ps(lo8, b->lo), b->hi);
    hi8 = _mm256_min_ps(_mm256_max_ps(hi8, b->lo), b->hi);
  }
  store(lo8, hi8, b->cols, b->add, y);
}

#define PIXEL_START(i)      \
  const float *x##i = x[i]; \
  __m256 lo##i = b->bias[0], hi##i = b->bias[1];
#define PIXEL_TAP(i)                     \
  v = _mm256_broadcast_ss(x##i + t);     \
  lo##i = _mm256_fmadd_ps(v, w0, lo##i); \
  hi##i = _mm256_fmadd_ps(v, w1, hi##i);
#define PIXEL_END(i) finish(b, lo##i, hi##i, y + i * b->o);

/* n pixels: the taps at x[i], weights in order, results to y. */
#define PIXELS(n)                                                                     \
  static void pixels_##n(const Block *b, const float *const *x, float *y) {           \
    EACH_##n(PIXEL_START) const float *w = b->w;                                      \
    for (int64_t ky = 0; ky < b->kh; ky++)                                            \
      for (int64_t t = ky * b->row, end = t + b->run; t < end; t++, w += CONV_COLS) { \
        __m256 w0 = _mm256_loadu_ps(w), w1 = _mm256_loadu_ps(w + 8), v;               \
        EACH_##n(PIXEL_TAP)                                                           \
      }                                                                               \
    EACH_##n(PIXEL_END)                                                               \
  }
PIXELS(6)
PIXELS(4)
PIXELS(2)
PIXELS(1)

/* n pixels, n <= 6. */
static void some_pixels(const Block *b, const float *const *x, int n, float *y) {
  if (n == BLOCK) {
    pixels_6(b, x, y);
    return;
  }
  if (n >= 4) pixels_4(b, x, y), x += 4, y += 4 * b->o, n -= 4;
  if (n >= 2) pixels_2(b, x, y), x += 2, y += 2 * b->o, n -= 2;
  if (n >= 1) pixels_1(b, x, y);
}

static void conv_block(const ConvShape *q, const Block *b, const float *x, float *y) {
  const float *at[BLOCK];
  int n = 0;
  for (int64_t oy = 0; oy < q->oh; oy++)
    for (int64_t ox = 0; ox < q->ow; ox++) {
      at[n++] = x + (oy * q->sh * q->wp + ox * q->sw) * q->c;
      if (n < BLOCK) continue;
      pixels_6(b, at, y);
      y += BLOCK * q->o;
      n = 0;
    }
  some_pixels(b, at, n, y);
}

static void conv_v3(const ConvShape *q, const float *x, const float *w, const float *bias, float lo, float hi,
                    bool add, float *y) {
  Block b = {.row = q->dh * q->wp * q->c, .kh = q->kh, .run = q->run, .o = q->o, .add = add};
  b.lo = _mm256_set1_ps(lo), b.hi = _mm256_set1_ps(hi);
  b.limited = lo > -__builtin_inff() || hi < __builtin_inff();
  b.bias[0] = b.bias[1] = _mm256_setzero_ps();
  for (int64_t o = 0; o < q->o; o += CONV_COLS, w += q->kh * q->run * CONV_COLS) {
    b.w = w;
    b.cols = q->o - o < CONV_COLS ? q->o - o : CONV_COLS;
    if (bias) b.bias[0] = _mm256_loadu_ps(bias + o), b.bias[1] = _mm256_loadu_ps(bias + o + 8);
    conv_block(q, &b, x, y + o);
  }
}

typedef void WeightsFn(const ConvShape *q, const float *x, const float *dy, int64_t rows, int64_t ldy,
                       float *out);

#define TAP_START(i) \
  __m256 lo##i = _mm256_loadu_ps(out + i * CONV_COLS), hi##i = _mm256_loadu_ps(out + i * CONV_COLS + 8);
#define TAP_PIXEL(i)                     \
  v = _mm256_broadcast_ss(p + i);        \
  lo##i = _mm256_fmadd_ps(v, d0, lo##i); \
  hi##i = _mm256_fmadd_ps(v, d1, hi##i);
#define TAP_END(i)                              \
  _mm256_storeu_ps(out + i * CONV_COLS, lo##i); \
  _mm256_storeu_ps(out + i * CONV_COLS + 8, hi##i);

/* n taps: out[i][16] += sum over the strip's pixels of x[pixel][i] * dy[pixel]. */
#define WEIGHTS(n)                                                                                        \
  static void weights_##n(const ConvShape *q, const float *x, const float *dy, int64_t rows, int64_t ldy, \
                          float *out) {                                                                   \
    EACH_##n(TAP_START) int64_t step = q->sw * q->c, line = q->sh * q->wp * q->c;                         \
    for (int64_t r = 0; r < rows; r++, x += line) {                                                       \
      const float *p = x;                                                                                 \
      for (int64_t ox = 0; ox < q->ow; ox++, p += step, dy += ldy) {                                      \
        __m256 d0 = _mm256_loadu_ps(dy), d1 = _mm256_loadu_ps(dy + 8), v;                                 \
        EACH_##n(TAP_PIXEL)                                                                               \
      }                                                                                                   \
    }                                                                                                     \
    EACH_##n(TAP_END)                                                                                     \
  }
WEIGHTS(1)
WEIGHTS(2)
WEIGHTS(3)
WEIGHTS(4)
WEIGHTS(5)
WEIGHTS(6)

static void conv_weights_v3(const ConvShape *q, const float *x, const float *dy, float *acc) {
  static WeightsFn *const by_count[] = {NULL,      weights_1, weights_2, weights_3,
                                        weights_4, weights_5, weights_6};
  int64_t blocks = conv_blocks(q->o), ldy = blocks * CONV_COLS, wide = q->sw * q->c + CONV_COLS;
  int64_t strip = STRIP_FLOATS / (q->ow * wide) > 1 ? STRIP_FLOATS / (q->ow * wide) : 1;
  for (int64_t y = 0; y < q->oh; y += strip) {
    int64_t rows = q->oh - y < strip ? q->oh - y : strip;
    for (int64_t b = 0; b < blocks; b++)
      for (int64_t ky = 0; ky < q->kh; ky++)
        for (int64_t t = 0; t < q->run; t += BLOCK) {
          int64_t n = q->run - t < BLOCK ? q->run - t : BLOCK;
          by_count[n](q, x + (y * q->sh + ky * q->dh) * q->wp * q->c + t,
                      dy + y * q->ow * ldy + b * CONV_COLS, rows, ldy,
                      acc + ((b * q->kh + ky) * q->run + t) * CONV_COLS);
        }
  }
}

/* -- depthwise 3x3: 8 channels at a time, their nine weights (or sums) in registers -- */

#define EACH_TAP(X) X(0, 0) X(0, 1) X(0, 2) X(1, 0) X(1, 1) X(1, 2) X(2, 0) X(2, 1) X(2, 2)

static bool is_3x3(const ConvShape *q) { return q->kh == 3 && q->run == 3 * q->c && q->dh == 1; }

#define DW_LOAD(a, b) __m256 w##a##b = _mm256_loadu_ps(w + (3 * a + b) * q->c);
#define DW_TAP(a, b)  s = _mm256_fmadd_ps(_mm256_loadu_ps(p + a * line + b * q->c), w##a##b, s);

static void depthwise_8(const ConvShape *q, const float *x, const float *w, const float *bias, float lo,
                        float hi, bool add, float *y) {
  __m256 start = bias ? _mm256_loadu_ps(bias) : _mm256_setzero_ps(), low = _mm256_set1_ps(lo),
         high = _mm256_set1_ps(hi);
  int64_t line = q->wp * q->c;
  EACH_TAP(DW_LOAD)
  for (int64_t oy = 0; oy < q->oh; oy++) {
    const float *p = x + oy * q->sh * line;
    for (int64_t ox = 0; ox < q->ow; ox++, p += q->sw * q->c, y += q->c) {
      __m256 s = start;
      EACH_TAP(DW_TAP)
      s = _mm256_min_ps(_mm256_max_ps(s, low), high);
      _mm256_storeu_ps(y, add ? _mm256_add_ps(_mm256_loadu_ps(y), s) : s);
    }
  }
}

static void depthwise_v3(const ConvShape *q, const float *x, const float *w, const float *bias, float lo,
                         float hi, bool add, float *y) {
  int64_t c = 0;
  for (; is_3x3(q) && c + 8 <= q->c; c += 8)
    depthwise_8(q, x + c, w + c, bias ? bias + c : NULL, lo, hi, add, y + c);
  for (; c < q->c; c += RUN)
    depthwise_range(q, x, w, bias, lo, hi, add, y, c, c + RUN < q->c ? c + RUN : q->c);
}

#define DW_SUM(a, b)  __m256 s##a##b = _mm256_loadu_ps(acc + (3 * a + b) * q->c);
#define DW_ADD(a, b)  s##a##b = _mm256_fmadd_ps(_mm256_loadu_ps(p + a * line + b * q->c), g, s##a##b);
#define DW_KEEP(a, b) _mm256_storeu_ps(acc + (3 * a + b) * q->c, s##a##b);

static void depthwise_weights_8(const ConvShape *q, const float *x, const float *dy, float *acc) {
  int64_t line = q->wp * q->c;
  EACH_TAP(DW_SUM)
  for (int64_t oy = 0; oy < q->oh; oy++) {
    const float *p = x + oy * q->sh * line;
    for (int64_t ox = 0; ox < q->ow; ox++, p += q->sw * q->c, dy += q->c) {
      __m256 g = _mm256_loadu_ps(dy);
      EACH_TAP(DW_ADD)
    }
  }
  EACH_TAP(DW_KEEP)
}

static void depthwise_weights_v3(const ConvShape *q, const float *x, const float *dy, float *acc) {
  int64_t c = 0;
  for (; is_3x3(q) && c + 8 <= q->c; c += 8) depthwise_weights_8(q, x + c, dy + c, acc + c);
  if (c < q->c) depthwise_weights_range(q, x, dy, acc, c, q->c);
}

static const EngineKernels v3 = {
    .name = "x86-64-v3",
    .conv = conv_v3,
    .conv_weights = conv_weights_v3,
    .winograd_input = wino_input,
    .winograd_gradient = wino_gradients,
    .winograd_output = wino_output,
    .winograd_weights = wino_weights,
    .winograd_weights_back = wino_weights_back,
    .depthwise = depthwise_v3,
    .depthwise_weights = depthwise_weights_v3,
    .column_sums = rows_sums,
    .column_squares = rows_squares,
    .affine = rows_affine,
    .affine_sums = rows_affine_sums,
    .affine_back = rows_affine_back,
    .add = rows_plus,
    .mask = rows_mask,
};

const EngineKernels *engine_kernels_v3(void) { return &v3; }

#else

#include "runtime/engine/simd/kernels.h"

const EngineKernels *engine_kernels_v3(void) { return NULL; }

#endif
