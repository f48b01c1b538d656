/* Conv, int8, one group, for Armv7E-M, whose weights are the first channels of a wider variant's: conv_s8.c with the taps of
 * a window in another order, by groups of four input channels, so that fewer channels of input are a shorter run of each
 * block, and fewer of output fewer blocks:
 *
 *   weights, a block of four output channels:   [i 0-3: tap 0, tap 1, ...] [i 4-7: tap 0, tap 1, ...] ...   16 bytes a tap
 *   blocks lie w_out bytes apart, as many as the widest variant's have; this one reads the first of each
 *
 * Where in_c is no multiple of 4 the last group's other inputs are 0, whatever the weights; padding counts as in_zero in
 * channels that there are. Outputs behind the last are computed with the wider variant's weights, and dropped. q as in
 * conv_s8.c, each variant's own. Same results as conv_s8__generic. A row is a line of the image.
 */
#include "runtime/kernels/armv7em/conv_em_run.h"

MF_KERNEL mf_kernel_fn conv_s8__armv7em_family;

/* n input channels from x on, less than 4; the others are 0. */
MF_INLINE uint32_t conv_em_few(const int8_t *x, int32_t n) {
  uint32_t v = (uint8_t)x[0];
  if (n > 1) v |= (uint32_t)(uint8_t)x[1] << 8;
  if (n > 2) v |= (uint32_t)(uint8_t)x[2] << 16;
  return v;
}

/* A tap's input pixel to its place in each group; groups lie `step` words apart. */
MF_INLINE void conv_em_spread(uint32_t *col, int32_t step, const int8_t *x, int32_t in_c) {
  int32_t n;
  for (n = in_c >> 2; n > 0; n--, x += 4, col += step) {
    const uint32_t v = mf_load4(x);
    col[0] = mf_even_bytes(v);
    col[2] = mf_odd_bytes(v);
  }
  if (in_c & 3) {
    const uint32_t v = conv_em_few(x, in_c & 3);
    col[0] = mf_even_bytes(v);
    col[2] = mf_odd_bytes(v);
  }
}

/* A tap outside the image. */
static void conv_em_outside(uint32_t *col, int32_t step, int32_t zero, int32_t in_c) {
  const int32_t rest = in_c & 3;
  const uint32_t zeros = mf_pair(zero, zero);
  int32_t n;
  for (n = in_c >> 2; n > 0; n--, col += step) col[0] = col[2] = zeros;
  if (rest) {
    col[0] = mf_pair(zero, rest > 2 ? zero : 0);
    col[2] = mf_pair(rest > 1 ? zero : 0, 0);
  }
}

static void conv_em_window_family(const mf_conv_s8 *p, const mf_view *in, int32_t y, int32_t x, uint32_t *col,
                                  int8_t *room) {
  const mf_window *g = &p->g;
  const int32_t top = y * g->stride_h - g->pad_top, left = x * g->stride_w - g->pad_left;
  const int32_t step = 4 * g->k_h * g->k_w;
  int32_t ky, kx;
  (void)room;
  for (ky = 0; ky < g->k_h; ky++) {
    const int32_t iy = top + ky * g->dil_h, inside = iy >= 0 && iy < g->in_h;
    const int8_t *const line = inside ? (const int8_t *)mf_row(in, iy) : NULL;
    for (kx = 0; kx < g->k_w; kx++, col += 4) {
      const int32_t ix = left + kx * g->dil_w;
      if (inside && ix >= 0 && ix < g->in_w)
        conv_em_spread(col, step, line + ix * g->in_c, g->in_c);
      else
        conv_em_outside(col, step, p->in_zero, g->in_c);
    }
  }
}

static void conv_em_pixels_family(const mf_conv_s8 *p, conv_em_block *b) {
  b->more[0] = (uint32_t)p->w_out - (uint32_t)(b->x1 - b->x) * 4;
  conv_em_channels(p, b, p->w_out, p->out_zero <= p->lo ? conv_em_run_apart_zero : conv_em_run_apart);
}

MF_KERNEL void conv_s8__armv7em_family(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                       int32_t y1, void *scratch) {
  const mf_conv_s8 *p = (const mf_conv_s8 *)params;
  const int32_t pairs = p->g.k_h * p->g.k_w * ((p->g.in_c + 3) >> 2) * 2;
  conv_em_lines(p, in, out, y0, y1, (uint32_t *)scratch, pairs, conv_em_window_family, conv_em_pixels_family);
}
