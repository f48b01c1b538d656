/* Conv, float32, any kernel, stride, padding, dilation and groups.
 *
 * For each output element the products of a tap's channels go into eight partial sums (channel i into sum i % 8),
 * which live on from tap to tap and are added up at the end, so that the order of summation depends on the shapes
 * alone (not on strides of the weights, rows asked for, or the compiler) and compilers can use vectors.
 * A row is a line of the image.
 */
#include "runtime/kernels/kernel.h"

MF_KERNEL mf_kernel_fn conv_f32__generic;

MF_INLINE void conv_f32_dot(float acc[8], const float *x, const float *w, int32_t n) {
  int32_t i = 0, j;
  for (; i + 8 <= n; i += 8)
    for (j = 0; j < 8; j++) acc[j] += x[i + j] * w[i + j];
  for (j = 0; i < n; i++, j++) acc[j] += x[i] * w[i];
}

/* The channels out_c of one output pixel, taps ky0 .. ky1-1 and kx0 .. kx1-1 of which lie in the image. */
static void conv_f32_pixel(const mf_conv_f32 *p, const mf_view *in, float *y, int32_t top, int32_t left) {
  const mf_window *g = &p->g;
  const int32_t group_in = g->in_c / p->groups, group_out = g->out_c / p->groups;
  const int32_t ky0 = mf_tap_begin(top, g->dil_h), ky1 = mf_tap_end(top, g->dil_h, g->k_h, g->in_h);
  const int32_t kx0 = mf_tap_begin(left, g->dil_w), kx1 = mf_tap_end(left, g->dil_w, g->k_w, g->in_w);
  int32_t o, ky, kx;
  for (o = 0; o < g->out_c; o++) {
    float acc[8] = {0, 0, 0, 0, 0, 0, 0, 0}, sum;
    for (ky = ky0; ky < ky1; ky++) {
      const float *x = (const float *)mf_row(in, top + ky * g->dil_h) + o / group_out * group_in;
      const float *w = p->w + o * p->w_out + ky * g->k_w * p->w_tap;
      for (kx = kx0; kx < kx1; kx++)
        conv_f32_dot(acc, x + (left + kx * g->dil_w) * g->in_c, w + kx * p->w_tap, group_in);
    }
    sum = ((acc[0] + acc[4]) + (acc[2] + acc[6])) + ((acc[1] + acc[5]) + (acc[3] + acc[7]));
    if (p->bias) sum += p->bias[o];
    y[o] = sum < p->lo ? p->lo : sum > p->hi ? p->hi : sum;
  }
}

MF_KERNEL void conv_f32__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                 int32_t y1, void *scratch) {
  const mf_conv_f32 *p = (const mf_conv_f32 *)params;
  int32_t y, x;
  (void)scratch;
  for (y = y0; y < y1; y++) {
    float *line = (float *)mf_row(out, y);
    for (x = 0; x < p->g.out_w; x++)
      conv_f32_pixel(p, in, line + x * p->g.out_c, y * p->g.stride_h - p->g.pad_top,
                     x * p->g.stride_w - p->g.pad_left);
  }
}
