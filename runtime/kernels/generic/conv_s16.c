/* Conv, int16 with int8 weights, any kernel, stride, padding, dilation and groups, one multiplier per output channel.
 *
 *   conv_s16          acc = bias[o] + sum x * w in 64 bits; y = clamp(acc * mult[o] * 2^(shift[o] - 15), lo, hi), one rounding
 *   conv_s16_narrow   acc in 32 bits, wrapping; y = clamp(requantize(acc, mult[o], shift[o]), lo, hi), two roundings
 *
 * Bit for bit TensorFlow Lite's reference, ConvPerChannel of reference/integer_ops/conv.h (zero points are 0): with an
 * int64 bias the first form, with an int32 one or none the second, as micro/kernels/conv.cc chooses. Products are
 * summed in 32 bits as long as they fit. A row is a line of the image.
 */
#include "runtime/kernels/dot16.h"

MF_KERNEL mf_kernel_fn conv_s16__generic;
MF_KERNEL mf_kernel_fn conv_s16_narrow__generic;

/* The taps of one pixel's window, and how many of them are one run of x and w. */
typedef struct conv_s16_taps {
  int32_t top, left, ky0, ky1, kx0, kx1, run;
} conv_s16_taps;

MF_INLINE conv_s16_taps conv_s16_find(const mf_window *g, int32_t groups, int32_t w_tap, int32_t y,
                                      int32_t x) {
  conv_s16_taps t;
  t.top = y * g->stride_h - g->pad_top;
  t.left = x * g->stride_w - g->pad_left;
  t.ky0 = mf_tap_begin(t.top, g->dil_h);
  t.ky1 = mf_tap_end(t.top, g->dil_h, g->k_h, g->in_h);
  t.kx0 = mf_tap_begin(t.left, g->dil_w);
  t.kx1 = mf_tap_end(t.left, g->dil_w, g->k_w, g->in_w);
  t.run = g->dil_w == 1 && w_tap == g->in_c && groups == 1 ? t.kx1 - t.kx0 : 1;
  return t;
}

/* Sum over the window; w: of the output channel, x_channel: where its group begins. */
MF_INLINE int64_t conv_s16_sum(const mf_window *g, const conv_s16_taps *t, const mf_view *in,
                               int32_t x_channel, int32_t group_in, const int8_t *w, int32_t w_tap) {
  int64_t acc = 0;
  int32_t ky, kx;
  for (ky = t->ky0; ky < t->ky1; ky++) {
    const int16_t *x = (const int16_t *)mf_row(in, t->top + ky * g->dil_h) + x_channel;
    for (kx = t->kx0; kx < t->kx1; kx += t->run)
      acc += mf_dot16(x + (t->left + kx * g->dil_w) * g->in_c, w + (ky * g->k_w + kx) * w_tap,
                      t->run * group_in);
  }
  return acc;
}

MF_KERNEL void conv_s16__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                 int32_t y1, void *scratch) {
  const mf_conv_s16 *p = (const mf_conv_s16 *)params;
  const mf_window *g = &p->g;
  const int32_t group_in = g->in_c / p->groups, group_out = g->out_c / p->groups;
  int32_t y, x, o;
  (void)scratch;
  for (y = y0; y < y1; y++) {
    int16_t *to = (int16_t *)mf_row(out, y);
    for (x = 0; x < g->out_w; x++) {
      const conv_s16_taps t = conv_s16_find(g, p->groups, p->w_tap, y, x);
      for (o = 0; o < g->out_c; o++) {
        const int64_t acc =
            (p->bias ? p->bias[o] : 0) +
            conv_s16_sum(g, &t, in, o / group_out * group_in, group_in, p->w + o * p->w_out, p->w_tap);
        *to++ = (int16_t)mf_clamp(mf_requantize_wide(acc, p->mult[o], p->shift[o]), p->lo, p->hi);
      }
    }
  }
}

MF_KERNEL void conv_s16_narrow__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                        int32_t y1, void *scratch) {
  const mf_conv_s8 *p = (const mf_conv_s8 *)params;
  const mf_window *g = &p->g;
  const int32_t group_in = g->in_c / p->groups, group_out = g->out_c / p->groups;
  int32_t y, x, o;
  (void)scratch;
  for (y = y0; y < y1; y++) {
    int16_t *to = (int16_t *)mf_row(out, y);
    for (x = 0; x < g->out_w; x++) {
      const conv_s16_taps t = conv_s16_find(g, p->groups, p->w_tap, y, x);
      for (o = 0; o < g->out_c; o++) {
        const int64_t acc =
            (p->bias ? p->bias[o] : 0) +
            conv_s16_sum(g, &t, in, o / group_out * group_in, group_in, p->w + o * p->w_out, p->w_tap);
        *to++ = (int16_t)mf_clamp(mf_requantize((int32_t)(uint32_t)(uint64_t)acc, p->mult[o], p->shift[o]),
                                  p->lo, p->hi);
      }
    }
  }
}
