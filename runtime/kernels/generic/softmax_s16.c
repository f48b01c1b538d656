/* Softmax, int16, over the n elements of a row, by two tables; output scale 2^-15, zero point 0.
 *
 *   e[i] = exp table at the difference from the largest element, scaled so that 0 .. -65535 stands for 0 .. -10    Q0.15
 *   y[i] = e[i] / sum e, whose reciprocal is the second table's at the sum shifted to 1 .. 2
 *
 * Bit for bit TensorFlow Lite's reference (SoftmaxInt16 of reference/softmax.h, LUTLookup of common.h; double rounding).
 * Sums wrap after 2^16 equal elements. The output may be exactly the input's memory.
 */
#include "runtime/kernels/requantize.h"

MF_KERNEL mf_kernel_fn softmax_s16__generic;

/* Between entries of the table: 512 steps of 128. v in -32768 .. 32767. */
static int32_t softmax_s16_look(const int16_t *table, int32_t v) {
  const int32_t at = 256 + (v >> 7), slope = (int16_t)(table[at + 1] - table[at]);
  return (int16_t)(table[at] + ((slope * (v & 127) + 64) >> 7));
}

static int32_t softmax_s16_exp(const mf_softmax_s16 *p, int32_t diff) {
  const int32_t scaled = mf_requantize(diff, p->mult, p->shift);
  return softmax_s16_look(p->exp, mf_clamp((int32_t)((uint32_t)scaled + 32767), INT16_MIN, INT16_MAX));
}

/* The reciprocal of sum > 0 (Q16.15) in Q0.15, without its leading zeros. */
static int32_t softmax_s16_inverse(const mf_softmax_s16 *p, int32_t sum, int32_t zeros) {
  const int32_t shifted = (int32_t)((((int64_t)sum << (zeros - 1)) + (1 << 13)) >> 14);
  return softmax_s16_look(p->inverse, mf_clamp(shifted - (3 << 15), INT16_MIN, INT16_MAX));
}

MF_KERNEL void softmax_s16__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                    int32_t y1, void *scratch) {
  const mf_softmax_s16 *p = (const mf_softmax_s16 *)params;
  int32_t r, i;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const int16_t *x = (const int16_t *)mf_row(in, r);
    int16_t *y = (int16_t *)mf_row(out, r);
    int32_t max = INT16_MIN, zeros = 1, inverse, shift;
    uint32_t sum = 0;
    for (i = 0; i < p->n; i++) max = x[i] > max ? x[i] : max;
    for (i = 0; i < p->n; i++) {
      const int32_t e = softmax_s16_exp(p, x[i] - max);
      y[i] = (int16_t)e;
      sum += (uint32_t)e;
    }
    sum &= INT32_MAX;
    while (zeros < 31 && !(sum >> (31 - zeros))) zeros++;
    inverse = softmax_s16_inverse(p, (int32_t)sum, zeros);
    shift = 31 - zeros;
    for (i = 0; i < p->n; i++) {
      const int64_t v = (int64_t)y[i] * inverse + (shift > 0 ? (int64_t)1 << (shift - 1) : 0);
      y[i] = (int16_t)mf_clamp((int32_t)(v >> shift), 0, INT16_MAX);
    }
  }
}
