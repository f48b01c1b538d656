/* MaxPool and AveragePool, int16: over the window's part inside the image, limited to lo .. hi. The mean rounds halves
 * away from zero.
 *
 * Bit for bit TensorFlow Lite's reference (MaxPool and AveragePool of int16 data in reference/integer_ops/pooling.h): input
 * and output have one quantization. A window wholly in the padding gives lo, or 0 as mean (the reference refuses it).
 * Sums wrap after 2^16 taps of one sign. A row is a line of the image.
 */
#include "runtime/kernels/requantize.h"

MF_KERNEL mf_kernel_fn max_pool_s16__generic;
MF_KERNEL mf_kernel_fn avg_pool_s16__generic;

/* Channel c of the window at (top, left): the largest element, or the mean. */
MF_INLINE int32_t pool_s16_one(const mf_window *g, const mf_view *in, int32_t top, int32_t left, int32_t c,
                               int32_t mean) {
  const int32_t ky0 = mf_tap_begin(top, g->dil_h), ky1 = mf_tap_end(top, g->dil_h, g->k_h, g->in_h);
  const int32_t kx0 = mf_tap_begin(left, g->dil_w), kx1 = mf_tap_end(left, g->dil_w, g->k_w, g->in_w);
  const int32_t count = ky1 > ky0 && kx1 > kx0 ? (ky1 - ky0) * (kx1 - kx0) : 1;
  int32_t most = INT16_MIN, ky, kx, sum;
  uint32_t total = 0;
  for (ky = ky0; ky < ky1; ky++) {
    const int16_t *x = (const int16_t *)mf_row(in, top + ky * g->dil_h) + left * g->in_c + c;
    for (kx = kx0; kx < kx1; kx++) {
      const int32_t v = x[kx * g->dil_w * g->in_c];
      total += (uint32_t)v;
      if (v > most) most = v;
    }
  }
  if (!mean) return most;
  sum = (int32_t)total;
  return (sum > 0 ? sum + count / 2 : sum - count / 2) / count;
}

MF_INLINE void pool_s16_rows(const mf_pool_s8 *p, const mf_view *in, const mf_view *out, int32_t y0,
                             int32_t y1, int32_t mean) {
  const mf_window *g = &p->g;
  int32_t y, x, c;
  for (y = y0; y < y1; y++) {
    int16_t *to = (int16_t *)mf_row(out, y);
    for (x = 0; x < g->out_w; x++)
      for (c = 0; c < g->out_c; c++)
        *to++ = (int16_t)mf_clamp(
            pool_s16_one(g, in, y * g->stride_h - g->pad_top, x * g->stride_w - g->pad_left, c, mean), p->lo,
            p->hi);
  }
}

MF_KERNEL void max_pool_s16__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                     int32_t y1, void *scratch) {
  (void)scratch;
  pool_s16_rows((const mf_pool_s8 *)params, in, out, y0, y1, 0);
}

MF_KERNEL void avg_pool_s16__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                     int32_t y1, void *scratch) {
  (void)scratch;
  pool_s16_rows((const mf_pool_s8 *)params, in, out, y0, y1, 1);
}
