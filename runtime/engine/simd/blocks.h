/* Convolutions without im2col in blocks of 6 by 16, for sets whose 16 channels are several vectors. Compiled once per
 * version, over winograd.h's macros and EACH_VEC(X, i): X(i, k) for each of the vectors k of a block.
 *
 * Convolution: 6 pixels by 16 output channels; each tap costs loads of packed weights, 6 broadcasts of x and the FMAs.
 * Pixels have a pointer each, so that blocks run on over row ends.
 * Weight gradient: 6 taps by 16 output channels, over the pixels of a strip of rows that stays in the first-level cache
 * (the same instructions with the roles of pixels and taps exchanged).
 * Source of the scheme: Georganas et al. 2018 (arXiv:1808.05567), direct convolutions by register blocking.
 */
#ifndef RUNTIME_ENGINE_SIMD_BLOCKS_H
#define RUNTIME_ENGINE_SIMD_BLOCKS_H

#include <stddef.h>

#include "runtime/engine/simd/loops.h"
#include "runtime/engine/simd/winograd.h"

#ifndef EACH_VEC
#define EACH_VEC(X, i) X(i, 0) X(i, 1)
#endif

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
  V bias[CONV_COLS / LANES], lo, hi;
  bool add, limited;
} Block;

static void put_some(const float *v, const Block *b, float *y) {
  for (int64_t i = 0; i < b->cols; i++) y[i] = b->add ? y[i] + v[i] : v[i];
}

/* Accumulators are named variables, s0_0 s0_1 .. s5_0 s5_1: compilers keep an array of them in memory. */
#define VEC_START(i, k)  V s##i##_##k = b->bias[k];
#define VEC_WEIGHT(i, k) V w##k = VLOAD(w + k * LANES);
#define VEC_TAP(i, k)    s##i##_##k = VFMA(v, w##k, s##i##_##k);
#define VEC_LIMIT(i, k)  s##i##_##k = VMIN(VMAX(s##i##_##k, b->lo), b->hi);
#define VEC_PUT(i, k)                                                    \
  if (b->add) s##i##_##k = VLOAD(y + i * b->o + k * LANES) + s##i##_##k; \
  VSTORE(y + i * b->o + k * LANES, s##i##_##k);
#define VEC_KEEP(i, k) VSTORE(some + k * LANES, s##i##_##k);

#define PIXEL_START(i)      \
  const float *x##i = x[i]; \
  EACH_VEC(VEC_START, i)
#define PIXEL_TAP(i) \
  v = VSET(x##i[t]); \
  EACH_VEC(VEC_TAP, i)
/* A pixel's 16 results, or the first b->cols of them, to their place. */
#define PIXEL_END(i)                 \
  if (b->limited) {                  \
    EACH_VEC(VEC_LIMIT, i)           \
  }                                  \
  if (b->cols == CONV_COLS) {        \
    EACH_VEC(VEC_PUT, i)             \
  } else {                           \
    float some[CONV_COLS];           \
    EACH_VEC(VEC_KEEP, i)            \
    put_some(some, b, y + i * b->o); \
  }

/* n pixels: the taps at x[i], weights in order, results to y. */
#define PIXELS(n)                                                                     \
  static void pixels_##n(const Block *b, const float *const *x, float *y) {           \
    EACH_##n(PIXEL_START) const float *w = b->w;                                      \
    for (int64_t ky = 0; ky < b->kh; ky++)                                            \
      for (int64_t t = ky * b->row, end = t + b->run; t < end; t++, w += CONV_COLS) { \
        EACH_VEC(VEC_WEIGHT, 0)                                                       \
        V v;                                                                          \
        EACH_##n(PIXEL_TAP)                                                           \
      }                                                                               \
    EACH_##n(PIXEL_END)                                                               \
  }
PIXELS(6)
PIXELS(4)
PIXELS(2)
PIXELS(1)

/* n pixels, n < 6. */
static void some_pixels(const Block *b, const float *const *x, int n, float *y) {
  if (n >= 4) pixels_4(b, x, y), x += 4, y += 4 * b->o, n -= 4;
  if (n >= 2) pixels_2(b, x, y), x += 2, y += 2 * b->o, n -= 2;
  if (n >= 1) pixels_1(b, x, y);
}

static void block_conv(const ConvShape *q, const Block *b, const float *x, float *y) {
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

static void blocks_conv(const ConvShape *q, const float *x, const float *w, const float *bias, float lo,
                        float hi, bool add, float *y) {
  Block b = {.row = q->dh * q->wp * q->c, .kh = q->kh, .run = q->run, .o = q->o, .add = add};
  b.lo = VSET(lo), b.hi = VSET(hi);
  b.limited = lo > -__builtin_inff() || hi < __builtin_inff();
  for (int64_t o = 0; o < q->o; o += CONV_COLS, w += q->kh * q->run * CONV_COLS) {
    b.w = w;
    b.cols = q->o - o < CONV_COLS ? q->o - o : CONV_COLS;
    for (int k = 0; k < CONV_COLS / LANES; k++) b.bias[k] = bias ? VLOAD(bias + o + k * LANES) : VSET(0);
    block_conv(q, &b, x, y + o);
  }
}

/* -- weight gradient -- */

typedef void WeightsFn(const ConvShape *q, const float *x, const float *dy, int64_t rows, int64_t ldy,
                       float *out);

#define VEC_SUM(i, k)   V s##i##_##k = VLOAD(out + i * CONV_COLS + k * LANES);
#define VEC_GRAD(i, k)  V w##k = VLOAD(dy + k * LANES);
#define VEC_STORE(i, k) VSTORE(out + i * CONV_COLS + k * LANES, s##i##_##k);
#define TAP_START(i)    EACH_VEC(VEC_SUM, i)
#define TAP_PIXEL(i) \
  v = VSET(p[i]);    \
  EACH_VEC(VEC_TAP, i)
#define TAP_END(i) EACH_VEC(VEC_STORE, i)

/* n taps: out[i][16] += sum over the strip's pixels of x[pixel][i] * dy[pixel]. */
#define WEIGHTS(n)                                                                                        \
  static void weights_##n(const ConvShape *q, const float *x, const float *dy, int64_t rows, int64_t ldy, \
                          float *out) {                                                                   \
    EACH_##n(TAP_START) int64_t step = q->sw * q->c, line = q->sh * q->wp * q->c;                         \
    for (int64_t r = 0; r < rows; r++, x += line) {                                                       \
      const float *p = x;                                                                                 \
      for (int64_t ox = 0; ox < q->ow; ox++, p += step, dy += ldy) {                                      \
        EACH_VEC(VEC_GRAD, 0)                                                                             \
        V v;                                                                                              \
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

static void blocks_conv_weights(const ConvShape *q, const float *x, const float *dy, float *acc) {
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

#endif
