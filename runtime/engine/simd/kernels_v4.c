/* The engine's hot loops for x86-64-v4 (AVX-512): the results of kernels_v3.c to the byte, in half the instructions.
 *
 * Each output is the same chain of FMAs in the same order whatever the vector's width. (The table of ways, though, may
 * choose another way for a shape by the set's name: a session's bytes can differ.) A block of 16 output channels is one register.
 * Convolution: 8 pixels by two blocks (16 registers) where there are two, else 16 pixels, else 8, by one block.
 * Weight gradient: 12 taps by two blocks, or 24 taps by one, over the pixels of a strip of rows that stays in the
 * first-level cache.
 */
#include <stddef.h>

#include "runtime/engine/simd/kernels.h"

#if defined(__AVX512F__) && defined(__AVX512VL__)

#include <immintrin.h>

#define MULADD(a, b, c) __builtin_fmaf(a, b, c)
#include "runtime/engine/simd/loops.h"

enum { LANES = 16 };
typedef __m512 V;
#define VLOAD(p)      _mm512_loadu_ps(p)
#define VSTORE(p, v)  _mm512_storeu_ps(p, v)
#define VSET(x)       _mm512_set1_ps(x)
#define VFMA(a, b, c) _mm512_fmadd_ps(a, b, c)
#define VMIN(a, b)    _mm512_min_ps(a, b)
#define VMAX(a, b)    _mm512_max_ps(a, b)
#define VINSIDE(v, lo, hi, g) \
  _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(v, lo, _CMP_GT_OQ) & _mm512_cmp_ps_mask(v, hi, _CMP_LT_OQ), g)
#include "runtime/engine/simd/winograd.h"
#include "runtime/engine/simd/rows.h"
#include "runtime/engine/simd/depthwise.h"

enum { PIXELS = 8, TAPS_1 = 24, TAPS_2 = 12, STRIP_FLOATS = 3072 };

#define INLINE static inline __attribute__((always_inline))

#define EACH_1(X)  X(0)
#define EACH_2(X)  EACH_1(X) X(1)
#define EACH_4(X)  EACH_2(X) X(2) X(3)
#define EACH_8(X)  EACH_4(X) X(4) X(5) X(6) X(7)
#define EACH_12(X) EACH_8(X) X(8) X(9) X(10) X(11)
#define EACH_24(X) EACH_12(X) X(12) X(13) X(14) X(15) X(16) X(17) X(18) X(19) X(20) X(21) X(22) X(23)

typedef struct Block {
  int64_t row, kh, run, o, step; /* step: floats from a pixel to the next of its row */
  const float *w[2];
  __m512 bias[2], lo, hi;
  __mmask16 cols[2]; /* channels that there are */
  bool add, limited;
} Block;

INLINE void finish(const Block *b, int k, __m512 v, float *y) {
  if (b->limited) v = _mm512_min_ps(_mm512_max_ps(v, b->lo), b->hi);
  if (b->add) v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(b->cols[k], y));
  _mm512_mask_storeu_ps(y, b->cols[k], v);
}

#define START(i)            \
  const float *x##i = x[i]; \
  __m512 p##i = b->bias[0], q##i = b->bias[1];
#define TAP_2(i)                       \
  v = _mm512_set1_ps(x##i[t]);         \
  p##i = _mm512_fmadd_ps(v, w0, p##i); \
  q##i = _mm512_fmadd_ps(v, w1, q##i);
#define TAP_PAIR(i)                                          \
  p##i = _mm512_fmadd_ps(_mm512_set1_ps(x##i[t]), w0, p##i); \
  q##i = _mm512_fmadd_ps(_mm512_set1_ps(x##i[t + next]), w0, q##i);
#define TAP_1(i) p##i = _mm512_fmadd_ps(_mm512_set1_ps(x##i[t]), w0, p##i);
#define END_2(i)                    \
  finish(b, 0, p##i, y + i * b->o); \
  finish(b, 1, q##i, y + i * b->o + CONV_COLS);
#define START_PAIR(i)       \
  const float *x##i = x[i]; \
  __m512 p##i = b->bias[0], q##i = b->bias[0];
#define END_PAIR(i)                     \
  finish(b, 0, p##i, y + 2 * i * b->o); \
  finish(b, 0, q##i, y + (2 * i + 1) * b->o);
#define START_1(i)          \
  const float *x##i = x[i]; \
  __m512 p##i = b->bias[0];
#define END_1(i) finish(b, 0, p##i, y + i * b->o);

/* n pixels (two_n), n pairs of neighbours (pair_n), n pixels of one block (one_n): the taps at x[i], weights in order. */
#define CONV(n)                                                                       \
  static void two_##n(const Block *b, const float *const *x, float *y) {              \
    EACH_##n(START) const float *w = b->w[0];                                         \
    int64_t second = b->w[1] - b->w[0];                                               \
    for (int64_t ky = 0; ky < b->kh; ky++)                                            \
      for (int64_t t = ky * b->row, end = t + b->run; t < end; t++, w += CONV_COLS) { \
        __m512 w0 = _mm512_loadu_ps(w), w1 = _mm512_loadu_ps(w + second), v;          \
        EACH_##n(TAP_2)                                                               \
      }                                                                               \
    EACH_##n(END_2)                                                                   \
  }                                                                                   \
  static void pair_##n(const Block *b, const float *const *x, float *y) {             \
    EACH_##n(START_PAIR) const float *w = b->w[0];                                    \
    int64_t next = b->step;                                                           \
    for (int64_t ky = 0; ky < b->kh; ky++)                                            \
      for (int64_t t = ky * b->row, end = t + b->run; t < end; t++, w += CONV_COLS) { \
        __m512 w0 = _mm512_loadu_ps(w);                                               \
        EACH_##n(TAP_PAIR)                                                            \
      }                                                                               \
    EACH_##n(END_PAIR)                                                                \
  }                                                                                   \
  static void one_##n(const Block *b, const float *const *x, float *y) {              \
    EACH_##n(START_1) const float *w = b->w[0];                                       \
    for (int64_t ky = 0; ky < b->kh; ky++)                                            \
      for (int64_t t = ky * b->row, end = t + b->run; t < end; t++, w += CONV_COLS) { \
        __m512 w0 = _mm512_loadu_ps(w);                                               \
        EACH_##n(TAP_1)                                                               \
      }                                                                               \
    EACH_##n(END_1)                                                                   \
  }
CONV(8)
CONV(4)
CONV(2)
CONV(1)

typedef void PixelsFn(const Block *b, const float *const *x, float *y);
typedef struct Forms {
  PixelsFn *by_8, *by_4, *by_2, *by_1;
} Forms;
static const Forms two = {two_8, two_4, two_2, two_1}, pair = {pair_8, pair_4, pair_2, pair_1},
                   one = {one_8, one_4, one_2, one_1};

static void some_pixels(const Forms *f, const Block *b, const float *const *x, int n, int64_t size,
                        float *y) {
  if (n & 4) f->by_4(b, x, y), x += 4, y += 4 * size;
  if (n & 2) f->by_2(b, x, y), x += 2, y += 2 * size;
  if (n & 1) f->by_1(b, x, y);
}

/* All pixels, `wide` neighbours at a pointer. */
static void conv_block(const ConvShape *q, const Forms *f, const Block *b, int64_t wide, const float *x,
                       float *y) {
  const float *at[PIXELS];
  int n = 0;
  for (int64_t oy = 0; oy < q->oh; oy++)
    for (int64_t ox = 0; ox < q->ow; ox += wide) {
      at[n++] = x + (oy * q->sh * q->wp + ox * q->sw) * q->c;
      if (n < PIXELS) continue;
      f->by_8(b, at, y);
      y += PIXELS * wide * q->o;
      n = 0;
    }
  some_pixels(f, b, at, n, wide * q->o, y);
}

static __mmask16 columns(int64_t left) {
  return (__mmask16)(left >= CONV_COLS ? 0xffff : left <= 0 ? 0 : (1 << left) - 1);
}

static void conv_v4(const ConvShape *shape, const float *x, const float *w, const float *bias, float lo,
                    float hi, bool add, float *y) {
  ConvShape s = *shape, *q = &s;
  if (q->kh == 1 && q->sh == 1 && q->sw == 1 && q->wp == q->ow) q->ow *= q->oh, q->oh = 1; /* one long row */
  Block b = {.row = q->dh * q->wp * q->c, .kh = q->kh, .run = q->run, .o = q->o, .add = add};
  int64_t block = q->kh * q->run * CONV_COLS, wide = q->ow % 2 == 0 ? 2 : 1;
  b.step = q->sw * q->c;
  b.lo = _mm512_set1_ps(lo), b.hi = _mm512_set1_ps(hi);
  b.limited = lo > -__builtin_inff() || hi < __builtin_inff();
  for (int64_t o = 0; o < q->o; o += 2 * CONV_COLS, w += 2 * block) {
    bool both = o + CONV_COLS < q->o;
    for (int k = 0; k < 2; k++) {
      b.w[k] = w + k * block;
      b.cols[k] = columns(q->o - o - k * CONV_COLS);
      b.bias[k] = bias && (k == 0 || both) ? _mm512_loadu_ps(bias + o + k * CONV_COLS) : _mm512_setzero_ps();
    }
    if (both)
      conv_block(q, &two, &b, 1, x, y + o);
    else
      conv_block(q, wide == 2 ? &pair : &one, &b, wide, x, y + o);
  }
}

/* -- weight gradient -- */

typedef struct Strip {
  int64_t rows, ow, step, line, ldy, second; /* second: floats from a block's sums to the next one's */
} Strip;

#define SUM_1(i) __m512 p##i = _mm512_loadu_ps(out + i * CONV_COLS);
#define SUM_2(i) SUM_1(i) __m512 q##i = _mm512_loadu_ps(out + s->second + i * CONV_COLS);
#define ADD_1(i) p##i = _mm512_fmadd_ps(_mm512_set1_ps(v[i]), d0, p##i);
#define ADD_2(i)                       \
  f = _mm512_set1_ps(v[i]);            \
  p##i = _mm512_fmadd_ps(f, d0, p##i); \
  q##i = _mm512_fmadd_ps(f, d1, q##i);
#define KEEP_1(i) _mm512_storeu_ps(out + i * CONV_COLS, p##i);
#define KEEP_2(i) KEEP_1(i) _mm512_storeu_ps(out + s->second + i * CONV_COLS, q##i);

/* n taps: out[i][16] += sum over the strip's pixels of x[pixel][i] * dy[pixel], for one block or two. */
#define WEIGHTS_1(n)                                                                       \
  static void weights_1_##n(const Strip *s, const float *x, const float *dy, float *out) { \
    EACH_##n(SUM_1) for (int64_t r = 0; r < s->rows; r++, x += s->line) {                  \
      const float *v = x;                                                                  \
      for (int64_t ox = 0; ox < s->ow; ox++, v += s->step, dy += s->ldy) {                 \
        __m512 d0 = _mm512_loadu_ps(dy);                                                   \
        EACH_##n(ADD_1)                                                                    \
      }                                                                                    \
    }                                                                                      \
    EACH_##n(KEEP_1)                                                                       \
  }
#define WEIGHTS_2(n)                                                                       \
  static void weights_2_##n(const Strip *s, const float *x, const float *dy, float *out) { \
    EACH_##n(SUM_2) for (int64_t r = 0; r < s->rows; r++, x += s->line) {                  \
      const float *v = x;                                                                  \
      for (int64_t ox = 0; ox < s->ow; ox++, v += s->step, dy += s->ldy) {                 \
        __m512 d0 = _mm512_loadu_ps(dy), d1 = _mm512_loadu_ps(dy + CONV_COLS), f;          \
        EACH_##n(ADD_2)                                                                    \
      }                                                                                    \
    }                                                                                      \
    EACH_##n(KEEP_2)                                                                       \
  }
WEIGHTS_1(24)
WEIGHTS_1(12)
WEIGHTS_1(8)
WEIGHTS_1(4)
WEIGHTS_1(2)
WEIGHTS_1(1)
WEIGHTS_2(12)
WEIGHTS_2(8)
WEIGHTS_2(4)
WEIGHTS_2(2)
WEIGHTS_2(1)

typedef void WeightsFn(const Strip *s, const float *x, const float *dy, float *out);
typedef struct TapForm {
  int taps;
  WeightsFn *by[2]; /* one block, two */
} TapForm;
static const TapForm tap_forms[] = {{TAPS_1, {weights_1_24, NULL}},  {TAPS_2, {weights_1_12, weights_2_12}},
                                    {8, {weights_1_8, weights_2_8}}, {4, {weights_1_4, weights_2_4}},
                                    {2, {weights_1_2, weights_2_2}}, {1, {weights_1_1, weights_2_1}}};

/* One row of taps of a block or two. */
static void weights_row(const Strip *s, const ConvShape *q, int both, const float *x, const float *dy,
                        float *out) {
  const TapForm *f = tap_forms;
  for (int64_t t = 0; t < q->run; t += f->taps) {
    while (f->taps > q->run - t || !f->by[both]) f++;
    f->by[both](s, x + t, dy, out + t * CONV_COLS);
  }
}

static void conv_weights_v4(const ConvShape *q, const float *x, const float *dy, float *acc) {
  int64_t blocks = conv_blocks(q->o), wide = q->sw * q->c + CONV_COLS;
  int64_t strip = STRIP_FLOATS / (q->ow * wide) > 1 ? STRIP_FLOATS / (q->ow * wide) : 1;
  Strip s = {.ow = q->ow, .step = q->sw * q->c, .line = q->sh * q->wp * q->c};
  s.ldy = blocks * CONV_COLS;
  s.second = q->kh * q->run * CONV_COLS;
  for (int64_t y = 0; y < q->oh; y += strip) {
    s.rows = q->oh - y < strip ? q->oh - y : strip;
    for (int64_t b = 0; b < blocks; b += 2)
      for (int64_t ky = 0; ky < q->kh; ky++)
        weights_row(&s, q, b + 1 < blocks, x + (y * q->sh + ky * q->dh) * q->wp * q->c,
                    dy + y * q->ow * s.ldy + b * CONV_COLS, acc + (b * q->kh + ky) * q->run * CONV_COLS);
  }
}

/* -- depthwise: channels that are not whole vectors of 16 go to kernels_v3.c, whose are shorter -- */

static void depthwise_v4(const ConvShape *q, const float *x, const float *w, const float *bias, float lo,
                         float hi, bool add, float *y) {
  (q->c % LANES == 0 ? depthwise_all : engine_kernels_v3()->depthwise)(q, x, w, bias, lo, hi, add, y);
}

static void depthwise_weights_v4(const ConvShape *q, const float *x, const float *dy, float *acc) {
  (q->c % LANES == 0 ? depthwise_weights_all : engine_kernels_v3()->depthwise_weights)(q, x, dy, acc);
}

static const EngineKernels v4 = {
    .name = "x86-64-v4",
    .conv = conv_v4,
    .conv_weights = conv_weights_v4,
    .depthwise = depthwise_v4,
    .depthwise_weights = depthwise_weights_v4,
    SIMD_SHARED,
};

const EngineKernels *engine_kernels_v4(void) { return &v4; }

#else

const EngineKernels *engine_kernels_v4(void) { return NULL; }

#endif
