/* ReduceMean over the lines and columns of an image, float32, as its rows come: the mean of each channel.
 *
 * Here y0 .. y1-1 are rows of the input [rows][columns][channels], given once each and in order, with the view's row as
 * their length; the output (row 0) holds the sums from the first row on, and the means with the last one. Of the
 * params' axes: the channels are dims[1], the pixels rdims[0]. The same sums in the same order as mean_f32.
 */
#include "runtime/kernels/kernel.h"

MF_KERNEL mf_kernel_fn mean_rows_f32__generic;

MF_KERNEL void mean_rows_f32__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                      int32_t y1, void *scratch) {
  const mf_mean *p = (const mf_mean *)params;
  const int32_t n = p->dims[1], columns = in->row / (n * (int32_t)sizeof(float));
  float *sum = (float *)mf_row(out, 0);
  int32_t y, x, c;
  (void)scratch;
  if (y0 == 0)
    for (c = 0; c < n; c++) sum[c] = 0;
  for (y = y0; y < y1; y++) {
    const float *pixel = (const float *)mf_row(in, y);
    for (x = 0; x < columns; x++, pixel += n)
      for (c = 0; c < n; c++) sum[c] += pixel[c];
  }
  if (y1 * columns < p->count) return;
  for (c = 0; c < n; c++) sum[c] /= (float)p->count;
}
