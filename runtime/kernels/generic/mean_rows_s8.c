/* ReduceMean over the lines and columns of an image, int8, as its rows come: the mean of each channel.
 *
 * Here y0 .. y1-1 are rows of the input [rows][columns][channels], given once each and in order, with the view's row as
 * their length; scratch holds the sums from the first row to the last one, with which the output (row 0) is written. Of
 * the params' axes: the channels are dims[1], the pixels rdims[0]. The same bytes as mean_s8 gives.
 */
#include "runtime/kernels/requantize.h"

MF_KERNEL mf_kernel_fn mean_rows_s8__generic;
MF_KERNEL size_t mean_rows_s8_scratch(const void *params);

MF_KERNEL size_t mean_rows_s8_scratch(const void *params) {
  return (size_t)((const mf_mean *)params)->dims[1] * sizeof(int32_t);
}

MF_KERNEL void mean_rows_s8__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                     int32_t y1, void *scratch) {
  const mf_mean *p = (const mf_mean *)params;
  const int32_t n = p->dims[1], columns = in->row / n;
  int32_t *sum = (int32_t *)scratch;
  int32_t y, x, c;
  if (y0 == 0)
    for (c = 0; c < n; c++) sum[c] = 0;
  for (y = y0; y < y1; y++) {
    const int8_t *pixel = (const int8_t *)mf_row(in, y);
    for (x = 0; x < columns; x++, pixel += n)
      for (c = 0; c < n; c++) sum[c] += pixel[c];
  }
  if (y1 * columns < p->count) return;
  for (c = 0; c < n; c++) {
    const int32_t v = p->out_zero + mf_requantize(sum[c] - p->count * p->in_zero, p->mult, p->shift);
    ((int8_t *)mf_row(out, 0))[c] = (int8_t)mf_clamp(v, -128, 127);
  }
}
