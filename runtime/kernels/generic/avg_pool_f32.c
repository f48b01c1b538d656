/* AveragePool, float32: sum over the window's part inside the image, divided by the number of its taps there, or by
 * the whole window's (count_include_pad), limited to lo .. hi.
 *
 * Sums run over rows, then columns. A window wholly in the padding gives 0. With count_include_pad the divisor is
 * kernel height times width, also where the window hangs over the padding (ONNX counts so since opset 19 unless
 * ceil_mode is set, which importers resolve into pads). A row is a line of the image.
 */
#include "runtime/kernels/kernel.h"

MF_KERNEL mf_kernel_fn avg_pool_f32__generic;

static void avg_pool_f32_pixel(const mf_pool_f32 *p, const mf_view *in, float *y, int32_t top, int32_t left) {
  const mf_window *g = &p->g;
  const int32_t ky0 = mf_tap_begin(top, g->dil_h), ky1 = mf_tap_end(top, g->dil_h, g->k_h, g->in_h);
  const int32_t kx0 = mf_tap_begin(left, g->dil_w), kx1 = mf_tap_end(left, g->dil_w, g->k_w, g->in_w);
  const int32_t inside = ky1 > ky0 && kx1 > kx0 ? (ky1 - ky0) * (kx1 - kx0) : 1;
  const float count = (float)(p->count_include_pad ? g->k_h * g->k_w : inside);
  int32_t c, ky, kx;
  for (c = 0; c < g->out_c; c++) y[c] = 0;
  for (ky = ky0; ky < ky1; ky++) {
    const float *line = (const float *)mf_row(in, top + ky * g->dil_h);
    for (kx = kx0; kx < kx1; kx++) {
      const float *x = line + (left + kx * g->dil_w) * g->in_c;
      for (c = 0; c < g->out_c; c++) y[c] += x[c];
    }
  }
  for (c = 0; c < g->out_c; c++) {
    const float v = y[c] / count;
    y[c] = v < p->lo ? p->lo : v > p->hi ? p->hi : v;
  }
}

MF_KERNEL void avg_pool_f32__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                     int32_t y1, void *scratch) {
  const mf_pool_f32 *p = (const mf_pool_f32 *)params;
  int32_t y, x;
  (void)scratch;
  for (y = y0; y < y1; y++) {
    float *line = (float *)mf_row(out, y);
    for (x = 0; x < p->g.out_w; x++)
      avg_pool_f32_pixel(p, in, line + x * p->g.out_c, y * p->g.stride_h - p->g.pad_top,
                         x * p->g.stride_w - p->g.pad_left);
  }
}
