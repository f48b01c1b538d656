/* Conv, float32, one group, for x86-64. AVX2: up to six pixels by 16 channels in 12 registers, or eight by the last eight
 * channels; SSE4.1: two pixels, or four, in eight registers.
 *
 * A tap costs two loads of packed weights, a broadcast of each pixel's input and two multiply-adds for each pixel.
 *
 *   weights, packed, a block of 16 channels:   [input 0: c0 .. c15] [input 1: c0 .. c15] ...    biases: c0 .. c15
 *
 * Lines of the image go through scratch only where windows leave the image. Within a rounding of conv_f32__generic: the
 * order of summation is that of taps, AVX2 does not round products. A row is a line of the image.
 * Source of the scheme: Georganas et al. 2018 (arXiv:1808.05567), direct convolutions by register blocking.
 */
#ifndef MF_X86_CONV_F32_H
#define MF_X86_CONV_F32_H

#include "runtime/kernels/x86/f32.h"

typedef struct conv_f32_x86 {
  mf_fwalk at;                                /* the first line of the windows */
  int32_t k_h, dil_h, runs, apart, run, step; /* runs of `run` inputs, `apart` elements apart */
  const float *w, *bias;
  mf_vf lo, hi;
  int32_t left, out_c; /* left: channels from this block on */
} conv_f32_x86;

/* Pixel i's products with the weights w0, w1 of an input v; those of all pixels, the input of pixel i being ONE(i). */
#define CONV_F32_TAP(i, ONE)          \
  v = ONE(i);                         \
  lo##i = mf_fmadd_one(v, w0, lo##i); \
  hi##i = mf_fmadd_one(v, w1, hi##i);
/* For each of the n pixels: n is a constant of the call. */
#define CONV_F32_SIX(X) \
  X(0)                  \
  if (n > 1) {          \
    X(1)                \
  }                     \
  if (n > 2) {          \
    X(2)                \
  }                     \
  if (n > 3) {          \
    X(3)                \
  }                     \
  if (n > 4) {          \
    X(4)                \
  }                     \
  if (n > 5) {          \
    X(5)                \
  }
#define CONV_F32_EIGHT(X) \
  X(0)                    \
  if (n > 1) {            \
    X(1)                  \
  }                       \
  if (n > 2) {            \
    X(2) X(3)             \
  }                       \
  if (n > 4) {            \
    X(4) X(5) X(6) X(7)   \
  }
#define CONV_F32_ONE(i)    CONV_F32_TAP(i, CONV_F32_NEXT)
#define CONV_F32_NEXT(i)   mf_onef(x + i * step)
#define CONV_F32_FIRST(i)  mf_one_of(x##i, 0)
#define CONV_F32_SECOND(i) mf_one_of(x##i, 1)
#define CONV_F32_THIRD(i)  mf_one_of(x##i, 2)
#define CONV_F32_FOURTH(i) mf_one_of(x##i, 3)
#define CONV_F32_TWO(k, ONE)                                                  \
  {                                                                           \
    const mf_vf w0 = mf_loadf(w + 16 * (k)), w1 = mf_loadf(w + 16 * (k) + 8); \
    mf_one v;                                                                 \
    CONV_F32_TAP(0, ONE)                                                      \
    if (n > 1) {                                                              \
      CONV_F32_TAP(1, ONE)                                                    \
    }                                                                         \
  }
#define CONV_F32_END(i)                                         \
  mf_store_f32(y + i * b->out_c, b->left, lo##i, b->lo, b->hi); \
  if (b->left > 8) mf_store_f32(y + i * b->out_c + 8, b->left - 8, hi##i, b->lo, b->hi);

/* n pixels, the first at element `at` of its lines, to y. */
MF_X86_INLINE void conv_f32_x86_pixels(const conv_f32_x86 *b, int32_t at, int32_t n, float *y) {
  mf_vf lo0 = mf_loadf(b->bias), hi0 = mf_loadf(b->bias + 8);
  mf_vf lo1 = lo0, hi1 = hi0, lo2 = lo0, hi2 = hi0, lo3 = lo0, hi3 = hi0, lo4 = lo0, hi4 = hi0, lo5 = lo0,
        hi5 = hi0;
  mf_fwalk walk = b->at;
  const float *w = b->w;
  const ptrdiff_t step = b->step;
  int32_t ky, run, i;
  for (ky = 0; ky < b->k_h; ky++) {
    const float *line = mf_fwalk_next(&walk, b->dil_h) + at;
    for (run = 0; run < b->runs; run++, line += b->apart) {
      const float *x = line;
      i = 0;
      for (; MF_FOURS && n <= 2 && i + 4 <= b->run; i += 4, x += 4, w += 64) {
        const mf_four x0 = mf_load_four(x), x1 = mf_load_four(x + (n > 1 ? step : 0));
        CONV_F32_TWO(0, CONV_F32_FIRST)
        CONV_F32_TWO(1, CONV_F32_SECOND)
        CONV_F32_TWO(2, CONV_F32_THIRD)
        CONV_F32_TWO(3, CONV_F32_FOURTH)
      }
      for (; i < b->run; i++, x++, w += 16) {
        const mf_vf w0 = mf_loadf(w), w1 = mf_loadf(w + 8);
        mf_one v;
        CONV_F32_SIX(CONV_F32_ONE)
      }
    }
  }
  CONV_F32_SIX(CONV_F32_END)
}

#define CONV_F32_TAP8(i) s##i = mf_fmadd_one(mf_onef(x + i * step), w0, s##i);
#define CONV_F32_END8(i) mf_store_f32(y + i * b->out_c, b->left, s##i, b->lo, b->hi);

/* The same for the last eight channels: n pixels, eight and less, a power of two. */
MF_X86_INLINE void conv_f32_x86_pixels8(const conv_f32_x86 *b, int32_t at, int32_t n, float *y) {
  mf_vf s0 = mf_loadf(b->bias), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;
  mf_fwalk walk = b->at;
  const float *w = b->w;
  const ptrdiff_t step = b->step;
  int32_t ky, run, i;
  for (ky = 0; ky < b->k_h; ky++) {
    const float *line = mf_fwalk_next(&walk, b->dil_h) + at;
    for (run = 0; run < b->runs; run++, line += b->apart) {
      const float *x = line;
      for (i = 0; i < b->run; i++, x++, w += 16) {
        const mf_vf w0 = mf_loadf(w);
        CONV_F32_EIGHT(CONV_F32_TAP8)
      }
    }
  }
  CONV_F32_EIGHT(CONV_F32_END8)
}

MF_X86_INLINE void conv_f32_x86_line8(const conv_f32_x86 *b, float *y, int32_t out_w) {
  int32_t at = 0, x = 0;
  for (; x + MF_SUMS <= out_w; x += MF_SUMS, at += MF_SUMS * b->step, y += MF_SUMS * b->out_c)
    conv_f32_x86_pixels8(b, at, MF_SUMS, y);
  if (MF_SUMS > 4 && ((out_w - x) & 4)) {
    conv_f32_x86_pixels8(b, at, 4, y);
    at += 4 * b->step;
    y += 4 * b->out_c;
  }
  if ((out_w - x) & 2) {
    conv_f32_x86_pixels8(b, at, 2, y);
    at += 2 * b->step;
    y += 2 * b->out_c;
  }
  if ((out_w - x) & 1) conv_f32_x86_pixels8(b, at, 1, y);
}

/* A block's channels of one line, two pixels at a time. */
MF_X86_INLINE void conv_f32_x86_twos(const conv_f32_x86 *b, float *y, int32_t out_w) {
  int32_t at = 0, x = 0;
  for (; x + 2 <= out_w; x += 2, at += 2 * b->step, y += 2 * b->out_c) conv_f32_x86_pixels(b, at, 2, y);
  if (x < out_w) conv_f32_x86_pixels(b, at, 1, y);
}

/* The same: six pixels while that leaves no rest of one to three, which would wait for sums. */
MF_X86_INLINE void conv_f32_x86_sixes(const conv_f32_x86 *b, float *y, int32_t out_w) {
  int32_t at = 0, x = 0;
  for (; out_w - x >= 10 || out_w - x == 6; x += 6, at += 6 * b->step, y += 6 * b->out_c)
    conv_f32_x86_pixels(b, at, 6, y);
  if (out_w - x >= 7 || out_w - x == 4) {
    conv_f32_x86_pixels(b, at, 4, y);
    x += 4;
    at += 4 * b->step;
    y += 4 * b->out_c;
  }
  switch (out_w - x) {
  case 5: conv_f32_x86_pixels(b, at, 5, y); break;
  case 4: conv_f32_x86_pixels(b, at, 4, y); break;
  case 3: conv_f32_x86_pixels(b, at, 3, y); break;
  case 2: conv_f32_x86_pixels(b, at, 2, y); break;
  case 1: conv_f32_x86_pixels(b, at, 1, y); break;
  default: break;
  }
}

MF_X86_INLINE void conv_f32_x86_rows(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                     int32_t y1, void *scratch) {
  const mf_conv_f32 *p = (const mf_conv_f32 *)params;
  const mf_window *g = &p->g;
  mf_flines l = mf_flines_of(g, in, scratch, mf_window_inside(g));
  conv_f32_x86 b;
  const int32_t at_once = mf_rows_at_once(g, in, out, 4);
  int32_t y, o, rows;
  b.k_h = g->k_h;
  b.dil_h = g->dil_h;
  b.runs = g->dil_w == 1 ? 1 : g->k_w;
  b.apart = g->dil_w * g->in_c;
  b.run = g->dil_w == 1 ? g->k_w * g->in_c : g->in_c;
  b.step = g->stride_w * g->in_c;
  b.lo = mf_setf(p->lo);
  b.hi = mf_setf(p->hi);
  b.out_c = g->out_c;
  for (y = y0; y < y1; y += rows) {
    float *line = (float *)mf_row(out, y);
    rows = y1 - y < at_once ? y1 - y : at_once;
    mf_flines_load(&l, g, y);
    b.at = mf_fwalk_from(&l, y * g->stride_h - g->pad_top);
    b.w = p->w;
    b.bias = p->bias;
    for (o = 0; o < g->out_c; o += 16, b.w += g->k_h * g->k_w * g->in_c * 16, b.bias += 16) {
      b.left = g->out_c - o;
      if (b.left > 8 && MF_SUMS == 4)
        conv_f32_x86_twos(&b, line + o, rows * g->out_w);
      else if (b.left > 8)
        conv_f32_x86_sixes(&b, line + o, rows * g->out_w);
      else
        conv_f32_x86_line8(&b, line + o, rows * g->out_w);
    }
  }
}

#endif
