/* MaxPoolIndex, float32: where each window's largest element lies, the first of equals (rows, then columns).
 *
 * The place is iy * row_step + ix * col_step, int64. 0 for a window whose taps are all beside the image. A row is a line of the image.
 * Source: ONNX MaxPool-22, output Indices, within one channel of one item.
 */
#include "runtime/kernels/kernel.h"

MF_KERNEL mf_kernel_fn max_pool_index_f32__generic;

static int64_t max_pool_index_at(const mf_pool_index *p, const mf_view *in, int32_t top, int32_t left,
                                 int32_t c) {
  const mf_window *g = &p->g;
  const int32_t ky0 = mf_tap_begin(top, g->dil_h), ky1 = mf_tap_end(top, g->dil_h, g->k_h, g->in_h);
  const int32_t kx0 = mf_tap_begin(left, g->dil_w), kx1 = mf_tap_end(left, g->dil_w, g->k_w, g->in_w);
  int32_t ky, kx, first = 1;
  float best = 0;
  int64_t at = 0;
  for (ky = ky0; ky < ky1; ky++) {
    const int32_t iy = top + ky * g->dil_h;
    const float *line = (const float *)mf_row(in, iy);
    for (kx = kx0; kx < kx1; kx++) {
      const int32_t ix = left + kx * g->dil_w;
      const float x = line[ix * g->in_c + c];
      if (!first && !(x > best)) continue;
      first = 0;
      best = x;
      at = (int64_t)iy * p->row_step + (int64_t)ix * p->col_step;
    }
  }
  return at;
}

MF_KERNEL void max_pool_index_f32__generic(const void *params, const mf_view *in, const mf_view *out,
                                           int32_t y0, int32_t y1, void *scratch) {
  const mf_pool_index *p = (const mf_pool_index *)params;
  const mf_window *g = &p->g;
  int32_t r, x, c;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    int64_t *y = (int64_t *)mf_row(out, r);
    for (x = 0; x < g->out_w; x++)
      for (c = 0; c < g->out_c; c++)
        y[x * g->out_c + c] =
            max_pool_index_at(p, in, r * g->stride_h - g->pad_top, x * g->stride_w - g->pad_left, c);
  }
}
