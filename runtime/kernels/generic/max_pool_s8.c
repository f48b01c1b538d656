/* MaxPool, int8: largest element of the window's part inside the image, limited to lo .. hi.
 *
 * Bit for bit TensorFlow Lite Micro's reference (reference_integer_ops::MaxPool): input and output have one
 * quantization. A row is a line of the image.
 */
#include "runtime/kernels/requantize.h"

MF_KERNEL mf_kernel_fn max_pool_s8__generic;

static void max_pool_s8_pixel(const mf_pool_s8 *p, const mf_view *in, int8_t *y, int32_t top, int32_t left) {
  const mf_window *g = &p->g;
  const int32_t ky0 = mf_tap_begin(top, g->dil_h), ky1 = mf_tap_end(top, g->dil_h, g->k_h, g->in_h);
  const int32_t kx0 = mf_tap_begin(left, g->dil_w), kx1 = mf_tap_end(left, g->dil_w, g->k_w, g->in_w);
  int32_t c, ky, kx;
  for (c = 0; c < g->out_c; c++) y[c] = (int8_t)p->lo;
  for (ky = ky0; ky < ky1; ky++) {
    const int8_t *line = (const int8_t *)mf_row(in, top + ky * g->dil_h);
    for (kx = kx0; kx < kx1; kx++) {
      const int8_t *x = line + (left + kx * g->dil_w) * g->in_c;
      for (c = 0; c < g->out_c; c++) y[c] = x[c] > y[c] ? x[c] : y[c];
    }
  }
  for (c = 0; c < g->out_c; c++)
    if (y[c] > p->hi) y[c] = (int8_t)p->hi;
}

MF_KERNEL void max_pool_s8__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                    int32_t y1, void *scratch) {
  const mf_pool_s8 *p = (const mf_pool_s8 *)params;
  int32_t y, x;
  (void)scratch;
  for (y = y0; y < y1; y++) {
    int8_t *line = (int8_t *)mf_row(out, y);
    for (x = 0; x < p->g.out_w; x++)
      max_pool_s8_pixel(p, in, line + x * p->g.out_c, y * p->g.stride_h - p->g.pad_top,
                        x * p->g.stride_w - p->g.pad_left);
  }
}
