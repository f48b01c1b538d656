/* Rounding to nearest, halves to even, as IEEE 754's default and ONNX's quantized operators round; without math.h. */
#ifndef MF_ROUND_EVEN_H
#define MF_ROUND_EVEN_H

#include "runtime/kernels/kernel.h"

/* round(v) limited to lo .. hi, both of at most 2^24; NaN gives lo. */
MF_HELPER int32_t mf_round_even(float v, int32_t lo, int32_t hi) {
  int32_t q;
  float rest;
  if (!(v > (float)lo)) return lo;
  if (v >= (float)hi) return hi;
  q = (int32_t)v;
  rest = v - (float)q; /* exact, with the sign of v */
  if (rest > 0.5f || (rest == 0.5f && (q & 1))) return q + 1;
  if (rest < -0.5f || (rest == -0.5f && (q & 1))) return q - 1;
  return q;
}

#endif
