/* The engine's hot loops, in versions: portable C everywhere, AVX2 and FMA or AVX-512 where the processor has them.
 *
 *   runtime/engine/kernels.c           portable loops (compiled for the baseline), and the choice
 *   runtime/engine/simd/kernels_v3.c   AVX2: the headers below over vectors of 8
 *   runtime/engine/simd/kernels_neon.c AArch64: the same over vectors of 4, to the byte
 *   runtime/engine/simd/kernels_v4.c   AVX-512: the same over vectors of 16, to the byte, and convolutions of its own
 *
 *   loops.h  plain loops     rows.h  normalisation and sums     depthwise.h     winograd.h  its transforms
 *   blocks.h  convolutions without im2col, 6 pixels by 16 channels
 *
 * A session chooses once; SessionOptions.portable forces the portable ones, so that tests compare the two. Results of
 * the versions differ in rounding (FMA), so the version is part of what DESIGN.md calls the numeric ABI.
 */
#ifndef RUNTIME_ENGINE_SIMD_KERNELS_H
#define RUNTIME_ENGINE_SIMD_KERNELS_H

#include <stdbool.h>
#include <stdint.h>

enum { CONV_COLS = 16 }; /* output channels of a packed block */

/* A convolution over a padded image [hp][wp][c], taps of a row side by side (no dilation along rows).
 *
 *   pixel (oy, ox) reads, for each ky, `run` floats at x[((oy * sh + ky * dh) * wp + ox * sw) * c]
 */
typedef struct ConvShape {
  int64_t wp, c, oh, ow, o, kh, run; /* run = kw * c */
  int64_t sh, sw, dh;
} ConvShape;

/* Tiles of Winograd's F(4x4, 3x3) over images [h][w][c], c a multiple of 16: tile (ty, tx) of th x tw begins at row
 * 4 ty - top, column 4 tx - left; pixels outside are 0 or not written. Transformed tiles: [36][tile][c], `plane` floats
 * from one of the 36 to the next. */
typedef struct WinogradShape {
  int64_t h, w, c, top, left, th, tw;
} WinogradShape;

/* Rows of `n` pixels with `c` channels each; per-channel parameters are [c]. */
typedef struct EngineKernels {
  const char *name;

  /* y (+)= conv, then bias and limits. w: packed [o blocks][kh * run][16]; bias: packed [o blocks][16] or NULL. */
  void (*conv)(const ConvShape *q, const float *x, const float *w, const float *bias, float lo, float hi,
               bool add, float *y);
  /* acc [o blocks][kh * run][16] += sum over pixels of x tap * dy. dy: [oh * ow][16 * o blocks]. */
  void (*conv_weights)(const ConvShape *q, const float *x, const float *dy, float *acc);
  /* Both NULL where matrix products of im2col are to be used. */

  /* -- Winograd (simd/winograd.h): tiles [t, t + n) of consecutive images; NULL where there is none -- */
  /* 6x6 patches of x; 4x4 pixels of dy. */
  void (*winograd_input)(const WinogradShape *q, const float *x, int64_t t, int64_t n, int64_t plane,
                         float *v);
  void (*winograd_gradient)(const WinogradShape *q, const float *dy, int64_t t, int64_t n, int64_t plane,
                            float *v);
  /* Transformed outputs m to y: 4x4 pixels each, with bias (or NULL) and limits. */
  void (*winograd_output)(const WinogradShape *q, const float *m, int64_t t, int64_t n, int64_t plane,
                          const float *bias, float lo, float hi, bool add, float *y);
  /* 16 channels of a filter, taps `tap` floats apart (turned: in falling order), and its gradient. */
  void (*winograd_weights)(const float *w, int64_t tap, bool turned, int64_t plane, float *u);
  void (*winograd_weights_back)(const float *m, int64_t plane, bool add, int64_t tap, float *dw);

  /* y (+)= depthwise convolution, then limits: c == o, run = kw * c. w: [kh][kw][c]; bias: [c] or NULL. */
  void (*depthwise)(const ConvShape *q, const float *x, const float *w, const float *bias, float lo, float hi,
                    bool add, float *y);
  /* acc [kh][kw][c] += sum over pixels of x tap * dy [oh * ow][c]. */
  void (*depthwise_weights)(const ConvShape *q, const float *x, const float *dy, float *acc);

  /* sum[c] = column sums; m2[c] = sums of (x - mean)^2. */
  void (*column_sums)(const float *x, int64_t n, int64_t c, float *sum);
  void (*column_squares)(const float *x, const float *mean, int64_t n, int64_t c, float *m2);
  /* y = x * a + b, limited to lo .. hi. */
  void (*affine)(const float *x, const float *a, const float *b, float lo, float hi, int64_t n, int64_t c,
                 float *y);
  /* With g = dy where x * a + b lies inside lo .. hi and else 0: s1 = sum g, s2 = sum g (x - mean). */
  void (*affine_sums)(const float *dy, const float *x, const float *a, const float *b, const float *mean,
                      float lo, float hi, int64_t n, int64_t c, float *s1, float *s2);
  /* dx (+)= g * a + x * p + q. */
  void (*affine_back)(const float *dy, const float *x, const float *a, const float *b, const float *p,
                      const float *q, float lo, float hi, int64_t n, int64_t c, bool add, float *dx);

  /* y = a + b limited to lo .. hi, n floats. */
  void (*add)(const float *a, const float *b, float lo, float hi, int64_t n, float *y);
  /* dx (+)= dy where lo < y < hi, else 0. */
  void (*mask)(const float *y, const float *dy, float lo, float hi, int64_t n, bool add, float *dx);
} EngineKernels;

extern const EngineKernels engine_kernels_portable;
/* The best for this processor; the portable ones when asked. */
const EngineKernels *engine_kernels(bool portable);
/* simd/kernels_v3.c: NULL when it was compiled for a processor without AVX2 and FMA. */
const EngineKernels *engine_kernels_v3(void);
/* simd/kernels_v4.c: NULL when it was compiled for a processor without AVX-512. */
const EngineKernels *engine_kernels_v4(void);
/* simd/kernels_neon.c: NULL when it was compiled for another machine than AArch64. */
const EngineKernels *engine_kernels_neon(void);

/* Floats of packed weights: blocks of 16 output channels. */
static inline int64_t conv_blocks(int64_t o) { return (o + CONV_COLS - 1) / CONV_COLS; }

#endif
