/* FullyConnected, int8: one multiplier for the tensor or one per output.
 *
 *   acc = bias[o] + sum (x - in_zero) * (w - w_zero);  y = clamp(out_zero + requantize(acc, mult, shift), lo, hi)
 *
 * Bit for bit TensorFlow Lite Micro's reference (reference_integer_ops::FullyConnected and
 * FullyConnectedPerChannel, double rounding). The sum wraps where 32 bits don't hold it,
 * as on the machines that the reference runs on. A row is one input vector.
 */
#include "runtime/kernels/requantize.h"

MF_KERNEL mf_kernel_fn fc_s8__generic;

static int32_t fc_s8_dot(const int8_t *x, const int8_t *w, int32_t n, int32_t x_zero, int32_t w_zero) {
  const int16_t xz = (int16_t)x_zero, wz = (int16_t)w_zero;
  uint32_t acc = 0;
  int32_t i;
  if (wz == 0)
    for (i = 0; i < n; i++) acc += (uint32_t)((int16_t)(x[i] - xz) * w[i]);
  else
    for (i = 0; i < n; i++) acc += (uint32_t)((int16_t)(x[i] - xz) * (int16_t)(w[i] - wz));
  return (int32_t)acc;
}

MF_KERNEL void fc_s8__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                              int32_t y1, void *scratch) {
  const mf_fc_s8 *p = (const mf_fc_s8 *)params;
  int32_t r, o;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const int8_t *x = (const int8_t *)mf_row(in, r);
    int8_t *y = (int8_t *)mf_row(out, r);
    for (o = 0; o < p->n; o++) {
      const int32_t q = p->per_channel ? o : 0;
      const uint32_t bias = p->bias ? (uint32_t)p->bias[o] : 0;
      int32_t acc =
          (int32_t)(bias + (uint32_t)fc_s8_dot(x, p->w + o * p->w_out, p->k, p->in_zero, p->w_zero));
      acc = p->out_zero + mf_requantize(acc, p->mult[q], p->shift[q]);
      y[o] = (int8_t)mf_clamp(acc, p->lo, p->hi);
    }
  }
}
