/* FullyConnected, int8 with weights of 4 bits (nibbles.h): one multiplier for the tensor or one per output.
 *
 * Params are mf_fc_s8's: weight (o, i) is nibble o * w_out + i, w_out even; w_zero is 0. The same sums and the same
 * rounding as fc_s8 on weights of a byte each. A row is one input vector.
 */
#include "runtime/kernels/nibbles.h"

MF_KERNEL mf_kernel_fn fc_s4__generic;

static int32_t fc_s4_dot(const int8_t *x, const int8_t *w, int32_t n, int32_t zero) {
  uint32_t acc = 0;
  int32_t i;
  for (i = 0; i + 1 < n; i += 2, w++)
    acc += (uint32_t)((x[i] - zero) * mf_nibble_low(*w) + (x[i + 1] - zero) * mf_nibble_high(*w));
  if (i < n) acc += (uint32_t)((x[i] - zero) * mf_nibble_low(*w));
  return (int32_t)acc;
}

MF_KERNEL void fc_s4__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
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
      int32_t acc = (int32_t)(bias + (uint32_t)fc_s4_dot(x, p->w + o * (p->w_out / 2), p->k, p->in_zero));
      acc = p->out_zero + mf_requantize(acc, p->mult[q], p->shift[q]);
      y[o] = (int8_t)mf_clamp(acc, p->lo, p->hi);
    }
  }
}
