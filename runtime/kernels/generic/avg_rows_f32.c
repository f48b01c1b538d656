/* AveragePool of a single window, float32, as its rows come: the mean of each channel, by the rows of the input.
 *
 * Here y0 .. y1-1 are rows of the input, given once each and in order; the output (row 0) holds the sums from the first
 * row on, and the means with the last one. The window begins at the first pixel: the same sums in the same
 * order as avg_pool_f32.
 */
#include "runtime/kernels/kernel.h"

MF_KERNEL mf_kernel_fn avg_rows_f32__generic;

MF_KERNEL void avg_rows_f32__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                     int32_t y1, void *scratch) {
  const mf_pool_f32 *p = (const mf_pool_f32 *)params;
  float *sum = (float *)mf_row(out, 0);
  int32_t y, x, c;
  (void)scratch;
  if (y0 == 0)
    for (c = 0; c < p->g.in_c; c++) sum[c] = 0;
  for (y = y0; y < y1; y++) {
    const float *pixel = (const float *)mf_row(in, y);
    for (x = 0; x < p->g.k_w; x++, pixel += p->g.in_c)
      for (c = 0; c < p->g.in_c; c++) sum[c] += pixel[c];
  }
  if (y1 < p->g.k_h) return;
  for (c = 0; c < p->g.in_c; c++) {
    const float v = sum[c] / (float)(p->g.k_h * p->g.k_w);
    sum[c] = v < p->lo ? p->lo : v > p->hi ? p->hi : v;
  }
}
