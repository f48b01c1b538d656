/* ConvTranspose, int8: each output pixel gathers the input pixels whose window covers it, no zeros between them.
 *
 *   y = clamp(out_zero + requantize(bias + sum (x - in_zero) w, mult[o], shift[o]), lo, hi)
 *
 * Bit for bit TensorFlow Lite's reference (reference_integer_ops::TransposeConv of
 * reference/integer_ops/transpose_conv.h, which scatters into int32 sums; double rounding), wrapping. Scratch: the int32 sums of
 * one pixel. A row is a line of the image.
 */
#include "runtime/kernels/requantize.h"

MF_KERNEL mf_kernel_fn conv_transpose_s8__generic;

MF_KERNEL size_t mf_conv_transpose_s8_scratch(const void *params) {
  return 4 * (size_t)((const mf_conv_transpose_s8 *)params)->g.out_c;
}

/* The input position whose tap k reaches output position y; -1: none. */
static int32_t conv_transpose_s8_from(int32_t y, int32_t pad, int32_t k, int32_t dil, int32_t stride,
                                      int32_t size) {
  const int32_t at = y + pad - k * dil;
  return at >= 0 && at % stride == 0 && at / stride < size ? at / stride : -1;
}

/* One tap of all output channels. */
static void conv_transpose_s8_tap(const mf_conv_transpose_s8 *p, const int8_t *x, const int8_t *w,
                                  int32_t *sum) {
  const mf_window *g = &p->g;
  const int32_t ins = g->in_c / p->groups, outs = g->out_c / p->groups, step = g->k_h * g->k_w * ins;
  int32_t o, i;
  for (o = 0; o < g->out_c; o++, w += step) {
    const int8_t *from = x + o / outs * ins;
    uint32_t acc = (uint32_t)sum[o];
    for (i = 0; i < ins; i++) acc += (uint32_t)((from[i] - p->in_zero) * w[i]);
    sum[o] = (int32_t)acc;
  }
}

static void conv_transpose_s8_pixel(const mf_conv_transpose_s8 *p, const mf_view *in, int32_t oy, int32_t ox,
                                    int32_t *sum) {
  const mf_window *g = &p->g;
  const int32_t ins = g->in_c / p->groups;
  int32_t ky, kx, o;
  for (o = 0; o < g->out_c; o++) sum[o] = p->bias ? p->bias[o] : 0;
  for (ky = 0; ky < g->k_h; ky++) {
    const int32_t iy = conv_transpose_s8_from(oy, g->pad_top, ky, g->dil_h, g->stride_h, g->in_h);
    if (iy < 0) continue;
    for (kx = 0; kx < g->k_w; kx++) {
      const int32_t ix = conv_transpose_s8_from(ox, g->pad_left, kx, g->dil_w, g->stride_w, g->in_w);
      if (ix < 0) continue;
      conv_transpose_s8_tap(p, (const int8_t *)mf_row(in, iy) + ix * g->in_c, p->w + (ky * g->k_w + kx) * ins,
                            sum);
    }
  }
}

MF_KERNEL void conv_transpose_s8__generic(const void *params, const mf_view *in, const mf_view *out,
                                          int32_t y0, int32_t y1, void *scratch) {
  const mf_conv_transpose_s8 *p = (const mf_conv_transpose_s8 *)params;
  int32_t *sum = (int32_t *)scratch;
  int32_t r, x, o;
  for (r = y0; r < y1; r++) {
    int8_t *y = (int8_t *)mf_row(out, r);
    for (x = 0; x < p->g.out_w; x++) {
      conv_transpose_s8_pixel(p, in, r, x, sum);
      for (o = 0; o < p->g.out_c; o++)
        *y++ = (int8_t)mf_clamp(p->out_zero + mf_requantize(sum[o], p->mult[o], p->shift[o]), p->lo, p->hi);
    }
  }
}
