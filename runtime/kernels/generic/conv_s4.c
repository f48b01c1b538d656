/* Conv, int8 with weights of 4 bits (nibbles.h), any kernel, stride, padding, dilation and groups.
 *
 * Params are mf_conv_s8's, with strides in weights: element (o, tap, i) is nibble o * w_out + tap * w_tap + i, w_out even.
 * The same sums and the same rounding as conv_s8 on weights of a byte each. A channel's weights are unpacked once for all
 * rows of the call, into scratch; then its outputs are computed, so channels are the outermost loop. A row is a line.
 */
#include "runtime/kernels/nibbles.h"

MF_KERNEL mf_kernel_fn conv_s4__generic;
MF_KERNEL size_t conv_s4_scratch(const void *params);

/* Weights of a channel from its first to its last. */
MF_HELPER int32_t conv_s4_span(const mf_conv_s8 *p) {
  return (p->g.k_h * p->g.k_w - 1) * p->w_tap + p->g.in_c / p->groups;
}

MF_KERNEL size_t conv_s4_scratch(const void *params) {
  return (size_t)conv_s4_span((const mf_conv_s8 *)params) + 1;
}

MF_INLINE int32_t conv_s4_dot(const int8_t *x, const int8_t *w, int32_t n, int32_t zero) {
  const int16_t z = (int16_t)zero;
  uint32_t acc = 0;
  int32_t i;
  for (i = 0; i < n; i++) acc += (uint32_t)((int16_t)(x[i] - z) * w[i]);
  return (int32_t)acc;
}

/* The sum of one output, whose window's corner is (top, left); from: its group's first channel; run: taps at once. */
static int32_t conv_s4_sum(const mf_conv_s8 *p, const mf_view *in, const int8_t *w, int32_t from, int32_t top,
                           int32_t left, int32_t run) {
  const mf_window *g = &p->g;
  const int32_t n = g->in_c / p->groups;
  const int32_t ky0 = mf_tap_begin(top, g->dil_h), ky1 = mf_tap_end(top, g->dil_h, g->k_h, g->in_h);
  const int32_t kx0 = mf_tap_begin(left, g->dil_w), kx1 = mf_tap_end(left, g->dil_w, g->k_w, g->in_w);
  const int32_t step = run ? kx1 - kx0 : 1;
  uint32_t acc = 0;
  int32_t ky, kx;
  for (ky = ky0; ky < ky1; ky++) {
    const int8_t *x = (const int8_t *)mf_row(in, top + ky * g->dil_h) + from;
    for (kx = kx0; kx < kx1; kx += step)
      acc += (uint32_t)conv_s4_dot(x + (left + kx * g->dil_w) * g->in_c, w + (ky * g->k_w + kx) * p->w_tap,
                                   step * n, p->in_zero);
  }
  return (int32_t)acc;
}

MF_KERNEL void conv_s4__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                int32_t y1, void *scratch) {
  const mf_conv_s8 *p = (const mf_conv_s8 *)params;
  const mf_window *g = &p->g;
  const int32_t group_in = g->in_c / p->groups, group_out = g->out_c / p->groups;
  const int32_t run = g->dil_w == 1 && p->w_tap == g->in_c && p->groups == 1;
  int8_t *w = (int8_t *)scratch;
  int32_t o, y, x;
  for (o = 0; o < g->out_c; o++) {
    const uint32_t bias = p->bias ? (uint32_t)p->bias[o] : 0;
    mf_unpack_nibbles(w, p->w + o * (p->w_out / 2), conv_s4_span(p));
    for (y = y0; y < y1; y++) {
      int8_t *line = (int8_t *)mf_row(out, y) + o;
      for (x = 0; x < g->out_w; x++) {
        const int32_t sum = conv_s4_sum(p, in, w, o / group_out * group_in, y * g->stride_h - g->pad_top,
                                        x * g->stride_w - g->pad_left, run);
        const int32_t v =
            p->out_zero + mf_requantize((int32_t)(bias + (uint32_t)sum), p->mult[o], p->shift[o]);
        line[x * g->out_c] = (int8_t)mf_clamp(v, p->lo, p->hi);
      }
    }
  }
}
