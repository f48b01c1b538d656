/* DepthwiseConv, float32, one output channel for each input channel, for x86-64: eight channels of a pixel at a time.
 *
 * Lines of the image go through scratch, zeros around them, unless channels come in eights and no window leaves the image
 * or windows are 3x3 on a wide one.
 * Weights are packed in blocks of eight channels, in each one vector for each tap; those of 3x3 windows stay in registers
 * along a line, those of others serve four pixels. An image of one column is taken as one line. Within a rounding of
 * depthwise_f32__generic. A row is a line of the image.
 */
#ifndef MF_X86_DEPTHWISE_F32_H
#define MF_X86_DEPTHWISE_F32_H

#include "runtime/kernels/x86/f32.h"

/* Lines of a window, at most; columns of an image whose borders cost less than a copy. */
enum { DEPTHWISE_F32_LINES = 16, DEPTHWISE_F32_WIDE = 20 };

typedef struct depthwise_f32_x86 {
  const mf_window *g;
  const float *line[DEPTHWISE_F32_LINES]; /* of the output line's windows */
  int32_t left;                           /* channels from this block on */
  const float *w, *bias;
  mf_vf lo, hi;
} depthwise_f32_x86;

#define DEPTHWISE_F32_TAP(i) s##i = mf_fmadd(mf_loadf(x + i * step), weight, s##i);

/* Eight channels, the first o, of n pixels from pixel i on, n four or one. */
MF_X86_INLINE void depthwise_f32_x86_pixels(const depthwise_f32_x86 *b, int32_t o, int32_t i, int32_t n,
                                            float *y) {
  const mf_window *g = b->g;
  const ptrdiff_t step = g->stride_w * g->in_c, next = g->dil_w * g->in_c;
  const float *w = b->w;
  mf_vf s0 = mf_loadf(b->bias), s1 = s0, s2 = s0, s3 = s0;
  int32_t ky, kx;
  for (ky = 0; ky < g->k_h; ky++) {
    const float *x = b->line[ky] + i * step + o;
    for (kx = 0; kx < g->k_w; kx++, w += 8, x += next) {
      const mf_vf weight = mf_loadf(w);
      DEPTHWISE_F32_TAP(0)
      if (n > 1) {
        DEPTHWISE_F32_TAP(1)
        DEPTHWISE_F32_TAP(2)
        DEPTHWISE_F32_TAP(3)
      }
    }
  }
  mf_store_f32(y, b->left, s0, b->lo, b->hi);
  if (n > 1) {
    mf_store_f32(y + g->out_c, b->left, s1, b->lo, b->hi);
    mf_store_f32(y + 2 * g->out_c, b->left, s2, b->lo, b->hi);
    mf_store_f32(y + 3 * g->out_c, b->left, s3, b->lo, b->hi);
  }
}

MF_X86_INLINE void depthwise_f32_x86_line(const depthwise_f32_x86 *b, int32_t o, float *y) {
  const int32_t n = b->g->out_w, next = b->g->out_c;
  int32_t i = 0;
  for (; i + 4 <= n; i += 4, y += 4 * next) depthwise_f32_x86_pixels(b, o, i, 4, y);
  for (; i < n; i++, y += next) depthwise_f32_x86_pixels(b, o, i, 1, y);
}

#define DEPTHWISE_F32_ROW(x, a, b, c)         \
  sum = mf_fmadd(mf_loadf(x), a, sum);        \
  sum = mf_fmadd(mf_loadf(x + next), b, sum); \
  sum = mf_fmadd(mf_loadf(x + 2 * next), c, sum);

/* The same for windows of 3x3, of n pixels. full: all eight channels are there. */
MF_X86_INLINE void depthwise_f32_x86_line3(const depthwise_f32_x86 *b, int32_t o, int32_t n, float *y,
                                           int32_t full) {
  const float *w = b->w, *x0 = b->line[0] + o, *x1 = b->line[1] + o, *x2 = b->line[2] + o;
  const mf_vf bias = mf_loadf(b->bias), lo = b->lo, hi = b->hi;
  const mf_vf w0 = mf_loadf(w), w1 = mf_loadf(w + 8), w2 = mf_loadf(w + 16);
  const mf_vf w3 = mf_loadf(w + 24), w4 = mf_loadf(w + 32), w5 = mf_loadf(w + 40);
  const mf_vf w6 = mf_loadf(w + 48), w7 = mf_loadf(w + 56), w8 = mf_loadf(w + 64);
  const ptrdiff_t channels = b->g->in_c, next = b->g->dil_w * channels, step = b->g->stride_w * channels;
  const int32_t left = b->left;
  for (; n > 0; n--, y += channels, x0 += step, x1 += step, x2 += step) {
    mf_vf sum = bias;
    DEPTHWISE_F32_ROW(x0, w0, w1, w2)
    DEPTHWISE_F32_ROW(x1, w3, w4, w5)
    DEPTHWISE_F32_ROW(x2, w6, w7, w8)
    mf_store_f32(y, full ? 8 : left, sum, lo, hi);
  }
}

/* Eight channels of pixel i by a 3x3 window that leaves the image at its sides. */
MF_X86_INLINE void depthwise_f32_x86_border(const depthwise_f32_x86 *b, int32_t o, int32_t i, float *y) {
  const mf_window *g = b->g;
  const int32_t left = i * g->stride_w - g->pad_left, end = mf_tap_end(left, g->dil_w, 3, g->in_w);
  mf_vf sum = mf_loadf(b->bias);
  int32_t ky, kx;
  for (ky = 0; ky < 3; ky++)
    for (kx = mf_tap_begin(left, g->dil_w); kx < end; kx++)
      sum = mf_fmadd(mf_loadf(b->line[ky] + (left + kx * g->dil_w) * g->in_c + o),
                     mf_loadf(b->w + (3 * ky + kx) * 8), sum);
  mf_store_f32(y, 8, sum, b->lo, b->hi);
}

/* A line by 3x3 windows on the image itself; its channels are whole blocks. Lines above and below it are zeros. */
MF_X86_INLINE void depthwise_f32_x86_bare(depthwise_f32_x86 *b, const mf_conv_f32 *p, float *line) {
  const mf_window *g = b->g;
  const int32_t most = g->in_w - 1 - 2 * g->dil_w + g->pad_left; /* of i * stride, inside */
  int32_t first = (g->pad_left + g->stride_w - 1) / g->stride_w, end = most < 0 ? 0 : most / g->stride_w + 1;
  int32_t o, i;
  if (end > g->out_w) end = g->out_w;
  if (end <= first) first = end = g->out_w;
  b->w = p->w;
  b->bias = p->bias;
  for (o = 0; o < g->out_c; o += 8, b->w += 72, b->bias += 8) {
    for (i = 0; i < first; i++) depthwise_f32_x86_border(b, o, i, line + i * g->out_c + o);
    depthwise_f32_x86_line3(b, o + (first * g->stride_w - g->pad_left) * g->in_c, end - first,
                            line + first * g->out_c + o, 1);
    for (i = end; i < g->out_w; i++) depthwise_f32_x86_border(b, o, i, line + i * g->out_c + o);
  }
}

/* All blocks of one line. */
MF_X86_INLINE void depthwise_f32_x86_blocks(depthwise_f32_x86 *b, const mf_conv_f32 *p, float *line) {
  const mf_window *g = b->g;
  int32_t o;
  b->w = p->w;
  b->bias = p->bias;
  for (o = 0; o < g->out_c; o += 8, b->w += g->k_h * g->k_w * 8, b->bias += 8) {
    b->left = g->out_c - o;
    if (g->k_h == 3 && g->k_w == 3 && b->left >= 8)
      depthwise_f32_x86_line3(b, o, g->out_w, line + o, 1);
    else if (g->k_h == 3 && g->k_w == 3)
      depthwise_f32_x86_line3(b, o, g->out_w, line + o, 0);
    else
      depthwise_f32_x86_line(b, o, line + o);
  }
}

/* 3x3 windows of whole blocks. */
MF_X86_INLINE void depthwise_f32_x86_square(depthwise_f32_x86 *b, const mf_conv_f32 *p, const mf_view *in,
                                            const mf_view *out, int32_t y0, int32_t y1, float *zeros) {
  const mf_window *g = b->g;
  int32_t y, k;
  for (k = 0; k < g->in_w * g->in_c; k += 8) mf_storef(zeros + k, mf_setf(0));
  for (y = y0; y < y1; y++) {
    for (k = 0; k < 3; k++) {
      const int32_t iy = y * g->stride_h - g->pad_top + k * g->dil_h;
      b->line[k] = iy < 0 || iy >= g->in_h ? zeros : (const float *)mf_row(in, iy);
    }
    depthwise_f32_x86_bare(b, p, (float *)mf_row(out, y));
  }
}

/* A window over an image of one column, as one over a line. */
MF_HELPER mf_window depthwise_f32_turned(const mf_window *g) {
  mf_window t = *g;
  t.in_h = t.out_h = t.k_h = t.stride_h = t.dil_h = 1;
  t.pad_top = 0;
  t.in_w = g->in_h;
  t.out_w = g->out_h;
  t.k_w = g->k_h;
  t.stride_w = g->stride_h;
  t.dil_w = g->dil_h;
  t.pad_left = g->pad_top;
  return t;
}

MF_X86_INLINE void depthwise_f32_x86_rows(const void *params, const mf_view *in, const mf_view *out,
                                          int32_t y0, int32_t y1, void *scratch) {
  const mf_conv_f32 *p = (const mf_conv_f32 *)params;
  mf_window g = p->g;
  mf_flines l;
  mf_fwalk walk;
  depthwise_f32_x86 b;
  int32_t y, k;
  if (g.in_w == 1 && g.out_w == 1 && g.k_w == 1 && y0 == 0 && y1 == g.out_h && !in->ring && !out->ring &&
      in->row == g.in_c * 4 && out->row == g.out_c * 4) {
    g = depthwise_f32_turned(&g);
    y1 = 1;
  }
  b.g = &g;
  b.lo = mf_setf(p->lo);
  b.hi = mf_setf(p->hi);
  if (g.k_h == 3 && g.k_w == 3 && g.in_c % 8 == 0 && g.in_w >= DEPTHWISE_F32_WIDE) {
    depthwise_f32_x86_square(&b, p, in, out, y0, y1, (float *)scratch);
    return;
  }
  l = mf_flines_of(&g, in, scratch, g.in_c % 8 == 0 && mf_window_inside(&g));
  for (y = y0; y < y1; y++) {
    mf_flines_load(&l, &g, y);
    walk = mf_fwalk_from(&l, y * g.stride_h - g.pad_top);
    for (k = 0; k < g.k_h; k++) b.line[k] = mf_fwalk_next(&walk, g.dil_h);
    depthwise_f32_x86_blocks(&b, p, (float *)mf_row(out, y));
  }
}

#endif
