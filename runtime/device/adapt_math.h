/* Float functions of training: +, -, *, / alone, so that every machine has the same bytes. Ships in generated code. */
#ifndef MF_ADAPT_MATH_H
#define MF_ADAPT_MATH_H

#include "runtime/kernels/kernel.h"

typedef union mf_float_bits {
  float f;
  uint32_t u;
} mf_float_bits;

/* e^x for x <= 0, to 2 units in the last place: 2^k e^r, |r| <= ln 2 / 2, by a Taylor polynomial. */
MF_HELPER float mf_adapt_exp(float x) {
  mf_float_bits two;
  int32_t k;
  float r;
  if (!(x > -87.0f)) return 0.0f;
  k = (int32_t)(x * 1.44269504f - 0.5f);
  r = x - (float)k * 0.693359375f + (float)k * 2.12194440e-4f; /* ln 2 in two parts: Cody and Waite */
  two.u = (uint32_t)(127 + k) << 23;
  return two.f *
         (1.0f +
          r * (1.0f + r * (0.5f + r * (1.0f / 6 + r * (1.0f / 24 + r * (1.0f / 120 + r * (1.0f / 720)))))));
}

/* ln x for normal x >= 1: exponent, and the series of artanh of the mantissa around 1. */
MF_HELPER float mf_adapt_log(float x) {
  mf_float_bits b;
  int32_t k;
  float z, z2;
  b.f = x;
  k = (int32_t)(b.u >> 23) - 127;
  b.u = (b.u & 0x7fffffu) | 0x3f800000u;
  if (b.f > 1.41421356f) {
    b.f *= 0.5f;
    k++;
  }
  z = (b.f - 1.0f) / (b.f + 1.0f);
  z2 = z * z;
  return (float)k * 0.693147181f +
         2.0f * z * (1.0f + z2 * (1.0f / 3 + z2 * (1.0f / 5 + z2 * (1.0f / 7 + z2 * (1.0f / 9)))));
}

/* What a gradient of this squared norm is multiplied with, so that it is no longer than clip: 1, or clip / its norm by
 * Newton's method. */
MF_HELPER float mf_adapt_clip(float squares, float clip) {
  mf_float_bits root;
  int i;
  if (!(clip > 0.0f) || !(squares > clip * clip)) return 1.0f;
  root.f = squares;
  root.u = (root.u >> 1) + 0x1fbd1df5u; /* half the exponent: within 4 % */
  for (i = 0; i < 3; i++) root.f = 0.5f * (root.f + squares / root.f);
  return clip / root.f;
}

/* 2^e, of e < -126 0, of e > 127 2^127; and e of normal x > 0: 2^e <= x < 2^(e + 1). */
MF_HELPER float mf_adapt_power(int32_t e) {
  mf_float_bits b;
  if (e < -126) return 0.0f;
  b.u = (uint32_t)(127 + (e < 127 ? e : 127)) << 23;
  return b.f;
}
MF_HELPER int32_t mf_adapt_exponent(float x) {
  mf_float_bits b;
  b.f = x;
  return (int32_t)(b.u >> 23) - 127;
}

/* word - x, rounded to nearest, within lo .. hi; what is no number changes nothing. */
MF_HELPER int32_t mf_adapt_less(int32_t word, float x, int32_t lo, int32_t hi) {
  int64_t moved = word;
  if (x > 2e9f) x = 2e9f;
  if (x < -2e9f) x = -2e9f;
  if (x == x) moved -= (int64_t)(x < 0.0f ? x - 0.5f : x + 0.5f);
  return moved < lo ? lo : moved > hi ? hi : (int32_t)moved;
}

#endif
