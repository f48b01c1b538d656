/* AveragePool of a single window, int8, as its rows come: the mean of each channel, by the rows of the input.
 *
 * Here y0 .. y1-1 are rows of the input, given once each and in order; scratch holds the sums from the first row to the
 * last one, with which the output (row 0) is written. The window begins at the first pixel: the same bytes as
 * avg_pool_s8 gives (reference_integer_ops::AveragePool of TensorFlow Lite Micro).
 */
#include "runtime/kernels/requantize.h"

MF_KERNEL mf_kernel_fn avg_rows_s8__generic;
MF_KERNEL size_t avg_rows_s8_scratch(const void *params);

MF_KERNEL size_t avg_rows_s8_scratch(const void *params) {
  return (size_t)((const mf_pool_s8 *)params)->g.in_c * sizeof(int32_t);
}

static void avg_rows_s8_write(const mf_pool_s8 *p, const int32_t *sum, int8_t *y) {
  const int32_t count = p->g.k_h * p->g.k_w;
  int32_t c;
  for (c = 0; c < p->g.in_c; c++) {
    const int32_t v = (sum[c] > 0 ? sum[c] + count / 2 : sum[c] - count / 2) / count;
    y[c] = (int8_t)mf_clamp(v, p->lo, p->hi);
  }
}

MF_KERNEL void avg_rows_s8__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                    int32_t y1, void *scratch) {
  const mf_pool_s8 *p = (const mf_pool_s8 *)params;
  int32_t *sum = (int32_t *)scratch;
  int32_t y, x, c;
  if (y0 == 0)
    for (c = 0; c < p->g.in_c; c++) sum[c] = 0;
  for (y = y0; y < y1; y++) {
    const int8_t *pixel = (const int8_t *)mf_row(in, y);
    for (x = 0; x < p->g.k_w; x++, pixel += p->g.in_c)
      for (c = 0; c < p->g.in_c; c++) sum[c] += pixel[c];
  }
  if (y1 == p->g.k_h) avg_rows_s8_write(p, sum, (int8_t *)mf_row(out, 0));
}
