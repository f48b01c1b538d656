/* Softmax, int8, over the n elements of a row, in integers alone; output scale 1/256, zero point -128.
 *
 * Bit for bit TensorFlow Lite Micro's reference (reference_ops::Softmax): differences from the largest element are
 * scaled to Q5.26, their exponentials (Q0.31) summed in Q12.19, the sum's reciprocal found by Newton's method.
 * Differences below diff_min count as nothing. The output may be exactly the input's memory.
 */
#include "runtime/kernels/requantize.h"

MF_KERNEL mf_kernel_fn softmax_s8__generic;

static int32_t softmax_s8_exp(const mf_softmax_s8 *p, int32_t diff) {
  return mf_exp_negative(mf_mul_high(mf_shift_left(diff, p->shift), p->mult), 5);
}

/* Leading zeros of x > 0. */
static int32_t softmax_s8_headroom(int32_t x) {
  int32_t n = 0;
  while (!((uint32_t)x >> (31 - n))) n++;
  return n;
}

MF_KERNEL void softmax_s8__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                   int32_t y1, void *scratch) {
  const mf_softmax_s8 *p = (const mf_softmax_s8 *)params;
  int32_t r, i;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const int8_t *x = (const int8_t *)mf_row(in, r);
    int8_t *y = (int8_t *)mf_row(out, r);
    int32_t max = -128, sum = 0, headroom, scale;
    for (i = 0; i < p->n; i++) max = x[i] > max ? x[i] : max;
    for (i = 0; i < p->n; i++)
      if (x[i] - max >= p->diff_min) sum += mf_shift_round(softmax_s8_exp(p, x[i] - max), 12);
    headroom = softmax_s8_headroom(sum);
    scale = mf_reciprocal_q0((int32_t)(((uint32_t)sum << headroom) - ((uint32_t)1 << 31)));
    for (i = 0; i < p->n; i++) {
      int32_t v = -128;
      if (x[i] - max >= p->diff_min)
        v += mf_shift_round(mf_mul_high(scale, softmax_s8_exp(p, x[i] - max)), 12 - headroom + 31 - 8);
      y[i] = (int8_t)mf_clamp(v, -128, 127);
    }
  }
}
