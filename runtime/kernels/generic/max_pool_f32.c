/* MaxPool, float32: largest element of the window's part inside the image, limited to lo .. hi.
 *
 * A NaN is passed over unless it comes first (as comparisons have it). A window wholly in the padding gives lo.
 * A row is a line of the image.
 */
#include "runtime/kernels/kernel.h"

MF_KERNEL mf_kernel_fn max_pool_f32__generic;

static void max_pool_f32_pixel(const mf_pool_f32 *p, const mf_view *in, float *y, int32_t top, int32_t left) {
  const mf_window *g = &p->g;
  const int32_t ky0 = mf_tap_begin(top, g->dil_h), ky1 = mf_tap_end(top, g->dil_h, g->k_h, g->in_h);
  const int32_t kx0 = mf_tap_begin(left, g->dil_w), kx1 = mf_tap_end(left, g->dil_w, g->k_w, g->in_w);
  int32_t c, ky, kx;
  for (c = 0; c < g->out_c; c++) y[c] = p->lo;
  for (ky = ky0; ky < ky1; ky++) {
    const float *line = (const float *)mf_row(in, top + ky * g->dil_h);
    for (kx = kx0; kx < kx1; kx++) {
      const float *x = line + (left + kx * g->dil_w) * g->in_c;
      if (ky == ky0 && kx == kx0)
        for (c = 0; c < g->out_c; c++) y[c] = x[c];
      else
        for (c = 0; c < g->out_c; c++) y[c] = x[c] > y[c] ? x[c] : y[c];
    }
  }
  for (c = 0; c < g->out_c; c++) y[c] = y[c] < p->lo ? p->lo : y[c] > p->hi ? p->hi : y[c];
}

MF_KERNEL void max_pool_f32__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                     int32_t y1, void *scratch) {
  const mf_pool_f32 *p = (const mf_pool_f32 *)params;
  int32_t y, x;
  (void)scratch;
  for (y = y0; y < y1; y++) {
    float *line = (float *)mf_row(out, y);
    for (x = 0; x < p->g.out_w; x++)
      max_pool_f32_pixel(p, in, line + x * p->g.out_c, y * p->g.stride_h - p->g.pad_top,
                         x * p->g.stride_w - p->g.pad_left);
  }
}
