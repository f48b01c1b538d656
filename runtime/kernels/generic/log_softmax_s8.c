/* LogSoftmax, int8, over the n elements of a row, in integers alone; output scale 1/16, zero point 127.
 *
 * Bit for bit TensorFlow Lite's reference (reference_ops::LogSoftmaxQuantized of reference/log_softmax.h;
 * log_x_for_x_greater_than_or_equal_to_1_impl of internal/common.h): differences from the largest element are scaled to
 * Q5.26, their exponentials summed in Q12.19, and the sum's logarithm, in Q5.26, is taken off each.
 *
 *   log(x) = e log 2 + num / (1 + den)     x = 2^e r, r within a factor of sqrt(sqrt(2)) of sqrt(sqrt(1/2))
 *
 * The output may be exactly the input's memory.
 */
#include "runtime/kernels/requantize.h"

MF_KERNEL mf_kernel_fn log_softmax_s8__generic;

/* Leading zeros of x > 0. */
static int32_t log_softmax_s8_zeros(int32_t x) {
  int32_t n = 0;
  while (!((uint32_t)x >> (31 - n))) n++;
  return n;
}

/* log(x) in Q5.26 of x in Q12.19, x >= 1. Numbers without a letter of their own are Q0.31. */
static int32_t log_softmax_s8_log(int32_t x) {
  const int32_t quarter = (int32_t)1 << 23; /* 1/4 in Q6.25 */
  const int32_t root = 1805811301;          /* sqrt(sqrt(1/2)) */
  const int32_t up_a = log_softmax_s8_zeros(x), up_b = log_softmax_s8_zeros(mf_mul_high(x, 1518500250)) - 1;
  const int32_t r_a = mf_shift_left_sat(mf_mul_high(mf_shift_left_sat(x, up_a - 1), 1518500250), 1);
  const int32_t r_b = mf_shift_left_sat(x, up_b);
  const int32_t e_a = (12 - up_a) * ((int32_t)1 << 25) + quarter,
                e_b = (12 - up_b) * ((int32_t)1 << 25) - quarter;
  const int32_t r = r_a < r_b ? r_a : r_b, e = e_a > e_b ? e_a : e_b;
  const int64_t sum = (int64_t)r + root;
  const int32_t p = (int32_t)((sum + (sum >= 0 ? 1 : -1)) / 2), q = 2 * (r - root),
                square = mf_mul_high(q, q);
  const int32_t num = mf_mul_high(q, r) + mf_mul_high(mf_mul_high(q, square), 117049297);
  const int32_t den =
      mf_mul_high(p, 1057819769 + q + mf_mul_high(127690142, square)) + mf_mul_high(638450708, q);
  const int32_t part = mf_mul_high(mf_shift_round(num, 6), mf_reciprocal_q0(den));
  return mf_shift_left_sat(mf_mul_high(e, 1488522236) + part, 1);
}

MF_KERNEL void log_softmax_s8__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                       int32_t y1, void *scratch) {
  const mf_log_softmax_s8 *p = (const mf_log_softmax_s8 *)params;
  int32_t r, i;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const int8_t *x = (const int8_t *)mf_row(in, r);
    int8_t *y = (int8_t *)mf_row(out, r);
    int32_t max = -128, sum = 0, log, least;
    for (i = 0; i < p->n; i++) max = x[i] > max ? x[i] : max;
    for (i = 0; i < p->n; i++)
      if (x[i] - max >= p->diff_min)
        sum += mf_shift_round(mf_exp_negative(mf_requantize(x[i] - max, p->mult, p->shift), 5), 12);
    log = log_softmax_s8_log(sum);
    least = mf_requantize((int32_t)((uint32_t)log + 0x80000000u), p->back_mult, p->back_shift);
    if (least < p->diff_min - 1) least = p->diff_min - 1;
    for (i = 0; i < p->n; i++) {
      int32_t v = -128;
      if (x[i] - max > least) {
        const uint32_t scaled = (uint32_t)mf_requantize(x[i] - max, p->mult, p->shift);
        v = mf_shift_round((int32_t)(scaled - (uint32_t)log), 22) + 127;
      }
      y[i] = (int8_t)mf_clamp(v, -128, 127);
    }
  }
}
