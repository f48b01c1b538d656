/* FullyConnected, int16 with int8 weights: one multiplier for the tensor or one per output.
 *
 *   fc_s16          acc = bias[o] + sum x * (w - w_zero) in 64 bits; y = clamp(acc * mult * 2^(shift - 15), lo, hi), one rounding
 *   fc_s16_narrow   acc in 32 bits, wrapping; y = clamp(requantize(acc, mult, shift), lo, hi), two roundings
 *
 * Bit for bit TensorFlow Lite's reference, FullyConnected and FullyConnectedPerChannel of int16 data in
 * reference/integer_ops/fully_connected.h (zero points of x and y are 0): with an int64 bias the first form, with an
 * int32 one or none the second, as micro/kernels/fully_connected.cc chooses. A row is one input vector.
 */
#include "runtime/kernels/dot16.h"

MF_KERNEL mf_kernel_fn fc_s16__generic;
MF_KERNEL mf_kernel_fn fc_s16_narrow__generic;

MF_KERNEL void fc_s16__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                               int32_t y1, void *scratch) {
  const mf_fc_s16 *p = (const mf_fc_s16 *)params;
  int32_t r, o;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const int16_t *x = (const int16_t *)mf_row(in, r);
    int16_t *y = (int16_t *)mf_row(out, r);
    for (o = 0; o < p->n; o++) {
      const int32_t q = p->per_channel ? o : 0;
      const int64_t acc = (p->bias ? p->bias[o] : 0) + mf_dot16_zero(x, p->w + o * p->w_out, p->k, p->w_zero);
      y[o] = (int16_t)mf_clamp(mf_requantize_wide(acc, p->mult[q], p->shift[q]), p->lo, p->hi);
    }
  }
}

MF_KERNEL void fc_s16_narrow__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                      int32_t y1, void *scratch) {
  const mf_fc_s8 *p = (const mf_fc_s8 *)params;
  int32_t r, o;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const int16_t *x = (const int16_t *)mf_row(in, r);
    int16_t *y = (int16_t *)mf_row(out, r);
    for (o = 0; o < p->n; o++) {
      const int32_t q = p->per_channel ? o : 0;
      const int64_t acc = (p->bias ? p->bias[o] : 0) + mf_dot16_zero(x, p->w + o * p->w_out, p->k, p->w_zero);
      y[o] = (int16_t)mf_clamp(mf_requantize((int32_t)(uint32_t)(uint64_t)acc, p->mult[q], p->shift[q]),
                               p->lo, p->hi);
    }
  }
}
