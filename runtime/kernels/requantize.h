/* Fixed-point helpers of the int8 kernels, bit for bit those of TensorFlow Lite Micro with double rounding
 * (gemmlowp's fixedpoint.h; TFLite's MultiplyByQuantizedMultiplier without TFLITE_SINGLE_ROUNDING).
 *
 *   real factor = mult * 2^(shift - 31), mult in 2^30 .. 2^31-1, or 0
 *
 * The first rounding (high half of the doubled product) is to nearest, halves up; the second (right shift) is to
 * nearest, halves away from zero. Right shifts of negative numbers are arithmetic, which C99 leaves to the
 * compiler: gcc, clang, armcc, IAR and MSVC all do so. Left shifts go through unsigned and wrap as TFLM's do.
 */
#ifndef MF_REQUANTIZE_H
#define MF_REQUANTIZE_H

#include "runtime/kernels/kernel.h"

/* High 32 bits of 2ab, rounded; the one product that does not fit saturates. */
MF_HELPER int32_t mf_mul_high(int32_t a, int32_t b) {
  if (a == INT32_MIN && b == INT32_MIN) return INT32_MAX;
  return (int32_t)(((int64_t)a * b + ((int64_t)1 << 30)) >> 31);
}

/* x / 2^e rounded to nearest, halves away from zero; e in 0 .. 31. */
MF_HELPER int32_t mf_shift_round(int32_t x, int32_t e) {
  const int32_t mask = (int32_t)(((uint32_t)1 << e) - 1);
  const int32_t rest = x & mask;
  return (x >> e) + (rest > (mask >> 1) + (x < 0));
}

/* x * 2^e, wrapping; e in 0 .. 31. */
MF_HELPER int32_t mf_shift_left(int32_t x, int32_t e) { return (int32_t)((uint32_t)x << e); }

/* x * mult * 2^(shift - 31); shift in -31 .. 31. */
MF_HELPER int32_t mf_requantize(int32_t x, int32_t mult, int32_t shift) {
  const int32_t left = shift > 0 ? shift : 0;
  return mf_shift_round(mf_mul_high(mf_shift_left(x, left), mult), left - shift);
}

/* x * mult * 2^(shift - 15), rounded once, halves up: TFLite's MultiplyByQuantizedMultiplier of 64 bits, whose mult is
 * reduced to 0 .. 2^15-1; |x| < 2^47, shift in -31 .. 7. */
MF_HELPER int32_t mf_requantize_wide(int64_t x, int32_t mult, int32_t shift) {
  return (int32_t)((x * mult + ((int64_t)1 << (14 - shift))) >> (15 - shift));
}

MF_HELPER int32_t mf_clamp(int32_t x, int32_t lo, int32_t hi) { return x < lo ? lo : x > hi ? hi : x; }

/* exp(x) for x <= 0, x with `bits` integer bits (Q5.26: 5); result in Q0.31. The argument is split into a part in
 * [-1/4, 0), whose exponential is a Taylor polynomial around -1/8, and powers of two, each a multiplication by a
 * constant. Source: gemmlowp, exp_on_negative_values. */
MF_INLINE int32_t mf_exp_negative(int32_t x, int32_t bits) {
  static const int32_t factor[7] = {1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242};
  const int32_t quarter = (int32_t)1 << (29 - bits);
  int32_t a, x2, x4, poly, result, rest, i;
  if (x == 0) return INT32_MAX;
  a = (x & (quarter - 1)) - quarter;
  rest = a - x;
  a = mf_shift_left(a, bits) + ((int32_t)1 << 28); /* to Q0.31, and 1/8 added */
  x2 = mf_mul_high(a, a);
  x4 = mf_mul_high(x2, x2);
  poly = mf_mul_high(mf_shift_round(x4, 2) + mf_mul_high(x2, a), 715827883); /* (x^4/4 + x^3) / 3 */
  poly = mf_shift_round(poly + x2, 1);
  result = 1895147668 + mf_mul_high(1895147668, a + poly); /* exp(-1/8) */
  for (i = 0; i < bits + 2; i++)
    if (rest & (quarter << i)) result = mf_mul_high(result, factor[i]);
  return result;
}

/* x * 2^e, saturating; e in 1 .. 30. */
MF_HELPER int32_t mf_shift_left_sat(int32_t x, int32_t e) {
  const int32_t top = INT32_MAX >> e;
  return x > top ? INT32_MAX : x < -top - 1 ? INT32_MIN : mf_shift_left(x, e);
}

/* 2 / (1 + x) in Q2.29 for x in Q0.31, 0 <= x < 1, by three Newton-Raphson steps.
 * Source: gemmlowp, one_over_one_plus_x_for_x_in_0_1. */
MF_HELPER int32_t mf_reciprocal_q2(int32_t x) {
  const int32_t half = (int32_t)(((int64_t)x + INT32_MAX + 1) / 2); /* (1 + x) / 2, where 1 is 2^31 - 1 */
  int32_t r = 1515870810 + mf_mul_high(half, -1010580540);          /* 48/17 - 32/17 half */
  int32_t i;
  for (i = 0; i < 3; i++) {
    const int32_t error = ((int32_t)1 << 29) - mf_mul_high(half, r);
    r += mf_shift_left_sat(mf_mul_high(r, error), 2);
  }
  return r;
}

/* 1 / (1 + x) in Q0.31. */
MF_HELPER int32_t mf_reciprocal_q0(int32_t x) { return mf_shift_left_sat(mf_reciprocal_q2(x), 1); }

#endif
