/* Conv, int8, any kernel, stride, padding, dilation and groups, one multiplier per output channel.
 *
 *   acc = bias[o] + sum (x - in_zero) * w      (32 bits, wrapping; padding adds nothing)
 *   y   = clamp(out_zero + requantize(acc, mult[o], shift[o]), lo, hi)
 *
 * Bit for bit TensorFlow Lite Micro's reference (reference_integer_ops::ConvPerChannel, double rounding).
 * Integer sums do not depend on order, so taps whose inputs and weights are contiguous are taken as one run.
 * A row is a line of the image.
 */
#include "runtime/kernels/requantize.h"

MF_KERNEL mf_kernel_fn conv_s8__generic;

MF_INLINE int32_t conv_s8_dot(const int8_t *x, const int8_t *w, int32_t n, int32_t zero) {
  const int16_t z = (int16_t)zero;
  uint32_t acc = 0;
  int32_t i;
  for (i = 0; i < n; i++) acc += (uint32_t)((int16_t)(x[i] - z) * w[i]);
  return (int32_t)acc;
}

/* The channels out_c of one output pixel whose window's corner is (top, left). */
static void conv_s8_pixel(const mf_conv_s8 *p, const mf_view *in, int8_t *y, int32_t top, int32_t left) {
  const mf_window *g = &p->g;
  const int32_t group_in = g->in_c / p->groups, group_out = g->out_c / p->groups;
  const int32_t ky0 = mf_tap_begin(top, g->dil_h), ky1 = mf_tap_end(top, g->dil_h, g->k_h, g->in_h);
  const int32_t kx0 = mf_tap_begin(left, g->dil_w), kx1 = mf_tap_end(left, g->dil_w, g->k_w, g->in_w);
  const int32_t run =
      g->dil_w == 1 && p->w_tap == g->in_c && p->groups == 1 ? kx1 - kx0 : 1; /* taps at once */
  int32_t o, ky, kx;
  for (o = 0; o < g->out_c; o++) {
    uint32_t acc = p->bias ? (uint32_t)p->bias[o] : 0;
    int32_t v;
    for (ky = ky0; ky < ky1; ky++) {
      const int8_t *x = (const int8_t *)mf_row(in, top + ky * g->dil_h) + o / group_out * group_in;
      const int8_t *w = p->w + o * p->w_out + ky * g->k_w * p->w_tap;
      for (kx = kx0; kx < kx1; kx += run)
        acc += (uint32_t)conv_s8_dot(x + (left + kx * g->dil_w) * g->in_c, w + kx * p->w_tap, run * group_in,
                                     p->in_zero);
    }
    v = p->out_zero + mf_requantize((int32_t)acc, p->mult[o], p->shift[o]);
    y[o] = (int8_t)mf_clamp(v, p->lo, p->hi);
  }
}

MF_KERNEL void conv_s8__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                int32_t y1, void *scratch) {
  const mf_conv_s8 *p = (const mf_conv_s8 *)params;
  int32_t y, x;
  (void)scratch;
  for (y = y0; y < y1; y++) {
    int8_t *line = (int8_t *)mf_row(out, y);
    for (x = 0; x < p->g.out_w; x++)
      conv_s8_pixel(p, in, line + x * p->g.out_c, y * p->g.stride_h - p->g.pad_top,
                    x * p->g.stride_w - p->g.pad_left);
  }
}
