/* 1 / sqrt(x) of an integer in fixed point, bit for bit TensorFlow Lite's GetInvSqrtQuantizedMultiplierExp
 * (tensorflow/lite/kernels/internal/common.h): five Newton-Raphson steps in Q3.28 from the guess 1.
 */
#ifndef MF_INV_SQRT_H
#define MF_INV_SQRT_H

#include "runtime/kernels/requantize.h"

/* 1 / sqrt(x) = *mult * 2^(-31 - *right): x >= 0; 0 counts as 1. */
MF_HELPER void mf_inv_sqrt(int32_t x, int32_t *mult, int32_t *right) {
  int32_t shift = 11, left = 0, half, r = (int32_t)1 << 28, i;
  if (x <= 1) {
    *mult = INT32_MAX;
    *right = 0;
    return;
  }
  for (; x >= (int32_t)1 << 29; shift++) x /= 4;
  while (left < 30 && !((uint32_t)x >> (30 - left))) left++; /* leading zeros without the sign's */
  left = left / 2 - 1;
  shift -= left;
  x = mf_shift_left(x, 2 * left) >> 1;
  half = mf_shift_round(x, 1);
  for (i = 0; i < 5; i++) {
    const int32_t cube = mf_shift_left_sat(mf_mul_high(mf_mul_high(r, r), r), 6);
    r = mf_shift_left_sat(mf_mul_high(402653184, r) - mf_mul_high(half, cube), 3);
  }
  r = mf_mul_high(r, 1518500250); /* sqrt(1/2) */
  if (shift < 0) {
    r = mf_shift_left(r, -shift);
    shift = 0;
  }
  *mult = r;
  *right = shift;
}

#endif
