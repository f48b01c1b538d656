/* Conv, int8, one group, for NEON, whose weights are the first channels of a wider variant's: conv_s8.c with the taps of a
 * window in another order, by groups of four input channels, so that fewer channels of input are a shorter run of each
 * block, and fewer of output fewer blocks:
 *
 *   a window, and each channel's weights:   [i 0-3 of tap 0][i 0-3 of tap 1] ... [i 4-7 of tap 0] ...   four bytes each
 *   blocks of four channels lie w_out bytes apart, as many as the widest variant's have
 *
 * Windows are filled up with zeros to whole vectors, and where in_c is no multiple of 4: whatever the weights there.
 * Outputs behind the last are computed with the wider variant's weights, and dropped. q as in conv_s8.c, each variant's
 * own. Same results as conv_s8__generic. A row is a line of the image.
 */
#include "runtime/kernels/neon/neon_family.h"

MF_KERNEL mf_kernel_fn conv_s8__neon_family;

/* A tap's input pixel to its place in each group; groups lie `step` bytes apart. */
MF_INLINE void conv_family_spread(int8_t *to, int32_t step, const int8_t *x, int32_t in_c) {
  int32_t n, i;
  for (n = in_c >> 2; n > 0; n--, x += 4, to += step) __builtin_memcpy(to, x, 4);
  for (i = 0; i < (in_c & 3); i++) to[i] = x[i];
}

MF_INLINE void conv_family_outside(int8_t *to, int32_t step, int32_t zero, int32_t in_c) {
  const uint32_t zeros = (uint8_t)zero * 0x01010101u;
  int32_t n, i;
  for (n = in_c >> 2; n > 0; n--, to += step) __builtin_memcpy(to, &zeros, 4);
  for (i = 0; i < (in_c & 3); i++) to[i] = (int8_t)zero;
}

/* The window of pixel (y, x); what no tap is written to stays as it is. */
static void conv_family_window(const mf_conv_s8 *p, const mf_view *in, int32_t y, int32_t x, int8_t *to) {
  const mf_window *g = &p->g;
  const int32_t top = y * g->stride_h - g->pad_top, left = x * g->stride_w - g->pad_left;
  const int32_t step = 4 * g->k_h * g->k_w;
  int32_t ky, kx;
  for (ky = 0; ky < g->k_h; ky++) {
    const int32_t iy = top + ky * g->dil_h, inside = iy >= 0 && iy < g->in_h;
    const int8_t *const line = inside ? (const int8_t *)mf_row(in, iy) : NULL;
    for (kx = 0; kx < g->k_w; kx++, to += 4) {
      const int32_t ix = left + kx * g->dil_w;
      if (inside && ix >= 0 && ix < g->in_w)
        conv_family_spread(to, step, line + ix * g->in_c, g->in_c);
      else
        conv_family_outside(to, step, p->in_zero, g->in_c);
    }
  }
}

/* Whether every window is a pixel of the image, whole vectors of it. */
MF_INLINE int32_t conv_family_in_image(const mf_window *g) {
  return g->k_h == 1 && g->k_w == 1 && g->pad_top == 0 && g->pad_left == 0 && (g->in_c & 15) == 0 &&
         (g->out_h - 1) * g->stride_h < g->in_h && (g->out_w - 1) * g->stride_w < g->in_w;
}

MF_KERNEL void conv_s8__neon_family(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                    int32_t y1, void *scratch) {
  const mf_conv_s8 *p = (const mf_conv_s8 *)params;
  const mf_window *g = &p->g;
  const int32_t taps = ((g->k_h * g->k_w * ((g->in_c + 3) >> 2) + 3) >> 2) * 16;
  const int32_t in_image = conv_family_in_image(g);
  int32_t y, x, held = 0; /* held: pixels that wait */
  mf_neon_run b;
  b.w = p->w;
  b.q = p->bias;
  b.taps = taps;
  b.outs = g->out_c;
  b.out_zero = p->out_zero;
  b.lo = p->lo;
  b.hi = p->hi;
  for (x = 0; x < taps * MF_NEON_PIXELS; x++) ((int8_t *)scratch)[x] = 0;
  for (x = 0; x < MF_NEON_PIXELS; x++) b.x[x] = (int8_t *)scratch + x * taps;
  for (y = y0; y < y1; y++) {
    int8_t *line = (int8_t *)mf_row(out, y);
    for (x = 0; x < g->out_w; x++, line += g->out_c) {
      b.out[held] = line;
      if (in_image)
        b.x[held] = (const int8_t *)mf_row(in, y * g->stride_h) + x * g->stride_w * g->in_c;
      else
        conv_family_window(p, in, y, x, (int8_t *)scratch + held * taps);
      if (++held < MF_NEON_PIXELS) continue;
      mf_neon_channels(&b, b.x, MF_NEON_PIXELS, p->w_out - 4 * taps);
      held = 0;
    }
  }
  if (held) mf_neon_blocks(b, g->out_c, p->w_out, held);
}
