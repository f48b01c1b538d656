/* AveragePool, int8: sum over the window's part inside the image divided by the number of its taps there, halves away
 * from zero, limited to lo .. hi.
 *
 * Bit for bit TensorFlow Lite Micro's reference (reference_integer_ops::AveragePool): input and output have one
 * quantization. A window wholly in the padding gives 0 (the reference refuses it). A row is a line of the image.
 */
#include "runtime/kernels/requantize.h"

MF_KERNEL mf_kernel_fn avg_pool_s8__generic;

static void avg_pool_s8_pixel(const mf_pool_s8 *p, const mf_view *in, int8_t *y, int32_t top, int32_t left) {
  enum { BLOCK = 16 };
  const mf_window *g = &p->g;
  const int32_t ky0 = mf_tap_begin(top, g->dil_h), ky1 = mf_tap_end(top, g->dil_h, g->k_h, g->in_h);
  const int32_t kx0 = mf_tap_begin(left, g->dil_w), kx1 = mf_tap_end(left, g->dil_w, g->k_w, g->in_w);
  const int32_t count = ky1 > ky0 && kx1 > kx0 ? (ky1 - ky0) * (kx1 - kx0) : 1;
  int32_t c, ky, kx, i;
  for (c = 0; c < g->out_c; c += BLOCK) {
    const int32_t n = g->out_c - c < BLOCK ? g->out_c - c : BLOCK;
    int32_t acc[BLOCK];
    for (i = 0; i < n; i++) acc[i] = 0;
    for (ky = ky0; ky < ky1; ky++) {
      const int8_t *x = (const int8_t *)mf_row(in, top + ky * g->dil_h) + left * g->in_c + c;
      for (kx = kx0; kx < kx1; kx++)
        for (i = 0; i < n; i++) acc[i] += x[kx * g->dil_w * g->in_c + i];
    }
    for (i = 0; i < n; i++) {
      const int32_t v = (acc[i] > 0 ? acc[i] + count / 2 : acc[i] - count / 2) / count;
      y[c + i] = (int8_t)mf_clamp(v, p->lo, p->hi);
    }
  }
}

MF_KERNEL void avg_pool_s8__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                    int32_t y1, void *scratch) {
  const mf_pool_s8 *p = (const mf_pool_s8 *)params;
  int32_t y, x;
  (void)scratch;
  for (y = y0; y < y1; y++) {
    int8_t *line = (int8_t *)mf_row(out, y);
    for (x = 0; x < p->g.out_w; x++)
      avg_pool_s8_pixel(p, in, line + x * p->g.out_c, y * p->g.stride_h - p->g.pad_top,
                        x * p->g.stride_w - p->g.pad_left);
  }
}
