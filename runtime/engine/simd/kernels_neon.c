/* The engine's hot loops for AArch64 (NEON): the results of kernels_v3.c to the byte, four floats at a time.
 *
 * Each output is the same chain of FMAs in the same order whatever the vector's width. A block of 16 output channels is
 * four registers. Convolution: 6 pixels by a block (24 accumulators); weight gradient: 6 taps by a block. Depthwise and
 * the plain loops are loops.h's, compiled here with FMA.
 */
#include <stddef.h>

#include "runtime/engine/simd/kernels.h"

#if defined(__aarch64__)

#include <arm_neon.h>

#define MULADD(a, b, c) __builtin_fmaf(a, b, c)
#include "runtime/engine/simd/loops.h"

enum { LANES = 4 };
typedef float32x4_t V;
#define VLOAD(p)      vld1q_f32(p)
#define VSTORE(p, v)  vst1q_f32(p, v)
#define VSET(x)       vdupq_n_f32(x)
#define VFMA(a, b, c) vfmaq_f32(c, a, b)
#define VMIN(a, b)    vminq_f32(a, b)
#define VMAX(a, b)    vmaxq_f32(a, b)
#define VINSIDE(v, lo, hi, g) \
  vreinterpretq_f32_u32(vandq_u32(vandq_u32(vcgtq_f32(v, lo), vcltq_f32(v, hi)), vreinterpretq_u32_f32(g)))
#include "runtime/engine/simd/winograd.h"
#include "runtime/engine/simd/rows.h"

enum { BLOCK = 6, STRIP_FLOATS = 3072 };

#define EACH_1(X) X(0)
#define EACH_2(X) EACH_1(X) X(1)
#define EACH_3(X) EACH_2(X) X(2)
#define EACH_4(X) EACH_3(X) X(3)
#define EACH_5(X) EACH_4(X) X(4)
#define EACH_6(X) EACH_5(X) X(5)

typedef struct Block {
  int64_t row, kh, run, cols, o;
  const float *w;
  V bias[4], lo, hi;
  bool add;
} Block;

/* One pixel's 16 results to the first `cols` places at y. */
static inline void finish(const Block *b, V v0, V v1, V v2, V v3, float *y) {
  V v[4] = {v0, v1, v2, v3};
  float tmp[CONV_COLS];
  for (int i = 0; i < 4; i++) {
    v[i] = VMIN(VMAX(v[i], b->lo), b->hi);
    if (b->cols == CONV_COLS)
      VSTORE(y + 4 * i, b->add ? VLOAD(y + 4 * i) + v[i] : v[i]);
    else
      VSTORE(tmp + 4 * i, v[i]);
  }
  for (int64_t i = 0; b->cols < CONV_COLS && i < b->cols; i++) y[i] = b->add ? y[i] + tmp[i] : tmp[i];
}

#define PIXEL_START(i)      \
  const float *x##i = x[i]; \
  V a##i = b->bias[0], b##i = b->bias[1], c##i = b->bias[2], d##i = b->bias[3];
#define PIXEL_TAP(i)               \
  v = x##i[t];                     \
  a##i = vfmaq_n_f32(a##i, w0, v); \
  b##i = vfmaq_n_f32(b##i, w1, v); \
  c##i = vfmaq_n_f32(c##i, w2, v); \
  d##i = vfmaq_n_f32(d##i, w3, v);
#define PIXEL_END(i) finish(b, a##i, b##i, c##i, d##i, y + i * b->o);

/* n pixels: the taps at x[i], weights in order, results to y. */
#define PIXELS(n)                                                                     \
  static void pixels_##n(const Block *b, const float *const *x, float *y) {           \
    EACH_##n(PIXEL_START) const float *w = b->w;                                      \
    for (int64_t ky = 0; ky < b->kh; ky++)                                            \
      for (int64_t t = ky * b->row, end = t + b->run; t < end; t++, w += CONV_COLS) { \
        V w0 = VLOAD(w), w1 = VLOAD(w + 4), w2 = VLOAD(w + 8), w3 = VLOAD(w + 12);    \
        float v;                                                                      \
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

static void conv_neon(const ConvShape *q, const float *x, const float *w, const float *bias, float lo,
                      float hi, bool add, float *y) {
  Block b = {.row = q->dh * q->wp * q->c, .kh = q->kh, .run = q->run, .o = q->o, .add = add};
  b.lo = VSET(lo), b.hi = VSET(hi);
  for (int64_t o = 0; o < q->o; o += CONV_COLS, w += q->kh * q->run * CONV_COLS) {
    b.w = w;
    b.cols = q->o - o < CONV_COLS ? q->o - o : CONV_COLS;
    for (int i = 0; i < 4; i++) b.bias[i] = bias ? VLOAD(bias + o + 4 * i) : VSET(0);
    conv_block(q, &b, x, y + o);
  }
}

/* -- weight gradient -- */

typedef void WeightsFn(const ConvShape *q, const float *x, const float *dy, int64_t rows, int64_t ldy,
                       float *out);

#define TAP_START(i)                                                          \
  V a##i = VLOAD(out + i * CONV_COLS), b##i = VLOAD(out + i * CONV_COLS + 4), \
    c##i = VLOAD(out + i * CONV_COLS + 8), d##i = VLOAD(out + i * CONV_COLS + 12);
#define TAP_PIXEL(i)               \
  v = p[i];                        \
  a##i = vfmaq_n_f32(a##i, e0, v); \
  b##i = vfmaq_n_f32(b##i, e1, v); \
  c##i = vfmaq_n_f32(c##i, e2, v); \
  d##i = vfmaq_n_f32(d##i, e3, v);
#define TAP_END(i)                       \
  VSTORE(out + i * CONV_COLS, a##i);     \
  VSTORE(out + i * CONV_COLS + 4, b##i); \
  VSTORE(out + i * CONV_COLS + 8, c##i); \
  VSTORE(out + i * CONV_COLS + 12, d##i);

/* n taps: out[i][16] += sum over the strip's pixels of x[pixel][i] * dy[pixel]. */
#define WEIGHTS(n)                                                                                        \
  static void weights_##n(const ConvShape *q, const float *x, const float *dy, int64_t rows, int64_t ldy, \
                          float *out) {                                                                   \
    EACH_##n(TAP_START) int64_t step = q->sw * q->c, line = q->sh * q->wp * q->c;                         \
    for (int64_t r = 0; r < rows; r++, x += line) {                                                       \
      const float *p = x;                                                                                 \
      for (int64_t ox = 0; ox < q->ow; ox++, p += step, dy += ldy) {                                      \
        V e0 = VLOAD(dy), e1 = VLOAD(dy + 4), e2 = VLOAD(dy + 8), e3 = VLOAD(dy + 12);                    \
        float v;                                                                                          \
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

static void conv_weights_neon(const ConvShape *q, const float *x, const float *dy, float *acc) {
  static WeightsFn *const by_count[] = {NULL,      weights_1, weights_2, weights_3,
                                        weights_4, weights_5, weights_6};
  int64_t blocks = conv_blocks(q->o), ldy = blocks * CONV_COLS, wide = q->sw * q->c + CONV_COLS;
  int64_t strip = STRIP_FLOATS / (q->ow * wide) > 1 ? STRIP_FLOATS / (q->ow * wide) : 1;
  for (int64_t y = 0; y < q->oh; y += strip) {
    int64_t rows = q->oh - y < strip ? q->oh - y : strip;
    for (int64_t b = 0; b < blocks; b++)
      for (int64_t ky = 0; ky < q->kh; ky++)
        for (int64_t t = 0; t < q->run; t += BLOCK)
          by_count[q->run - t < BLOCK ? q->run - t : BLOCK](
              q, x + (y * q->sh + ky * q->dh) * q->wp * q->c + t, dy + y * q->ow * ldy + b * CONV_COLS, rows,
              ldy, acc + ((b * q->kh + ky) * q->run + t) * CONV_COLS);
  }
}

static void depthwise_neon(const ConvShape *q, const float *x, const float *w, const float *bias, float lo,
                           float hi, bool add, float *y) {
  for (int64_t c = 0; c < q->c; c += RUN)
    depthwise_range(q, x, w, bias, lo, hi, add, y, c, c + RUN < q->c ? c + RUN : q->c);
}

static void depthwise_weights_neon(const ConvShape *q, const float *x, const float *dy, float *acc) {
  depthwise_weights_range(q, x, dy, acc, 0, q->c);
}

static const EngineKernels neon = {
    .name = "aarch64",
    .conv = conv_neon,
    .conv_weights = conv_weights_neon,
    .winograd_input = wino_input,
    .winograd_gradient = wino_gradients,
    .winograd_output = wino_output,
    .winograd_weights = wino_weights,
    .winograd_weights_back = wino_weights_back,
    .depthwise = depthwise_neon,
    .depthwise_weights = depthwise_weights_neon,
    .column_sums = rows_sums,
    .column_squares = rows_squares,
    .affine = rows_affine,
    .affine_sums = rows_affine_sums,
    .affine_back = rows_affine_back,
    .add = rows_plus,
    .mask = rows_mask,
};

const EngineKernels *engine_kernels_neon(void) { return &neon; }

#else

const EngineKernels *engine_kernels_neon(void) { return NULL; }

#endif
