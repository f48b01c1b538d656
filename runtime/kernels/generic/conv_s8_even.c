/* Conv, DepthwiseConv and FullyConnected, int8, with ONNX's rounding, or without any: the int32 sums.
 *
 *   acc  = bias[o] + sum (x - in_zero) * (w - w_zero[o])          (32 bits, wrapping; padding adds nothing)
 *   even: y = clamp(out_zero + round(acc * scale[o]), lo, hi)     round: to nearest, halves to even; product in float
 *   sums: y = acc
 *
 * Semantics: ONNX QLinearConv-10, QLinearMatMul-10, -21, ConvInteger-10, MatMulInteger-10; the float product and where it
 * is rounded as ONNX Runtime does it (onnxruntime/core/mlas/lib/quantize.cpp, MlasRequantizeOutput). Weights may have
 * a zero point. A depthwise convolution has w_out 1 and one channel per group; a FullyConnected is a window of one
 * over an image of one column. A row is a line of the image.
 */
#include "runtime/kernels/round_even.h"

MF_KERNEL mf_kernel_fn conv_s8_even__generic;
MF_KERNEL mf_kernel_fn conv_s8_sums__generic;

/* The sum of output channel o whose window's corner is (top, left). */
MF_INLINE int32_t conv_s8_even_sum(const mf_conv_s8_even *p, const mf_view *in, int32_t o, int32_t top,
                                   int32_t left) {
  const mf_window *g = &p->g;
  const int32_t group_in = g->in_c / p->groups, first = o / (g->out_c / p->groups) * group_in;
  const int32_t ky0 = mf_tap_begin(top, g->dil_h), ky1 = mf_tap_end(top, g->dil_h, g->k_h, g->in_h);
  const int32_t kx0 = mf_tap_begin(left, g->dil_w), kx1 = mf_tap_end(left, g->dil_w, g->k_w, g->in_w);
  const int32_t w_zero = p->w_zero ? p->w_zero[o] : 0;
  uint32_t acc = p->bias ? (uint32_t)p->bias[o] : 0;
  int32_t ky, kx, i;
  for (ky = ky0; ky < ky1; ky++) {
    const int8_t *line = (const int8_t *)mf_row(in, top + ky * g->dil_h) + first;
    for (kx = kx0; kx < kx1; kx++) {
      const int8_t *x = line + (left + kx * g->dil_w) * g->in_c;
      const int8_t *w = p->w + o * p->w_out + (ky * g->k_w + kx) * p->w_tap;
      for (i = 0; i < group_in; i++) acc += (uint32_t)((x[i] - p->in_zero) * (w[i] - w_zero));
    }
  }
  return (int32_t)acc;
}

MF_KERNEL void conv_s8_even__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                     int32_t y1, void *scratch) {
  const mf_conv_s8_even *p = (const mf_conv_s8_even *)params;
  const mf_window *g = &p->g;
  int32_t y, x, o;
  (void)scratch;
  for (y = y0; y < y1; y++) {
    int8_t *to = (int8_t *)mf_row(out, y);
    for (x = 0; x < g->out_w; x++)
      for (o = 0; o < g->out_c; o++) {
        const int32_t acc =
            conv_s8_even_sum(p, in, o, y * g->stride_h - g->pad_top, x * g->stride_w - g->pad_left);
        *to++ = (int8_t)(p->out_zero +
                         mf_round_even((float)acc * p->scale[o], p->lo - p->out_zero, p->hi - p->out_zero));
      }
  }
}

MF_KERNEL void conv_s8_sums__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                     int32_t y1, void *scratch) {
  const mf_conv_s8_even *p = (const mf_conv_s8_even *)params;
  const mf_window *g = &p->g;
  int32_t y, x, o;
  (void)scratch;
  for (y = y0; y < y1; y++) {
    int32_t *to = (int32_t *)mf_row(out, y);
    for (x = 0; x < g->out_w; x++)
      for (o = 0; o < g->out_c; o++)
        *to++ = conv_s8_even_sum(p, in, o, y * g->stride_h - g->pad_top, x * g->stride_w - g->pad_left);
  }
}
