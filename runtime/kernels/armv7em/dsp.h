/* Armv7E-M's packed arithmetic (Cortex-M4, M7, M33 with DSP) for int8 kernels, each instruction with its C twin.
 *
 * A word holds two int16, low half first. Kernels written with these run anywhere; where __ARM_FEATURE_DSP is defined
 * they become the instructions.
 */
#ifndef MF_ARMV7EM_DSP_H
#define MF_ARMV7EM_DSP_H

#include "runtime/kernels/window.h"

#if defined(__ARM_FEATURE_DSP) && defined(__GNUC__)
#define MF_DSP 1
#endif
/* Four bytes at any address. */
MF_INLINE uint32_t mf_load4(const void *p) {
  uint32_t v;
#ifdef __GNUC__
  __builtin_memcpy(&v, p, 4);
#else
  const uint8_t *b = (const uint8_t *)p;
  v = b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
#endif
  return v;
}

MF_INLINE int32_t mf_low(uint32_t x) { return (int16_t)x; }
MF_INLINE int32_t mf_high(uint32_t x) { return (int16_t)(x >> 16); }
MF_INLINE uint32_t mf_pair(int32_t low, int32_t high) { return (uint16_t)low | (uint32_t)high << 16; }

/* Bytes 0 and 2 as int16. */
MF_INLINE uint32_t mf_even_bytes(uint32_t x) {
#ifdef MF_DSP
  uint32_t r;
  __asm__("sxtb16 %0, %1" : "=r"(r) : "r"(x));
  return r;
#else
  return mf_pair((int8_t)x, (int8_t)(x >> 16));
#endif
}

/* Bytes 1 and 3 as int16. */
MF_INLINE uint32_t mf_odd_bytes(uint32_t x) {
#ifdef MF_DSP
  uint32_t r;
  __asm__("sxtb16 %0, %1, ror #8" : "=r"(r) : "r"(x));
  return r;
#else
  return mf_pair((int8_t)(x >> 8), (int8_t)(x >> 24));
#endif
}

/* acc + low * low + high * high, wrapping. */
MF_INLINE int32_t mf_smlad(uint32_t x, uint32_t w, int32_t acc) {
#ifdef MF_DSP
  int32_t r;
  __asm__("smlad %0, %1, %2, %3" : "=r"(r) : "r"(x), "r"(w), "r"(acc));
  return r;
#else
  return (int32_t)((uint32_t)acc + (uint32_t)(mf_low(x) * mf_low(w)) + (uint32_t)(mf_high(x) * mf_high(w)));
#endif
}

/* High word of a * b, rounded to nearest, halves up. */
MF_INLINE int32_t mf_smmulr(int32_t a, int32_t b) {
#ifdef MF_DSP
  int32_t r;
  __asm__("smmulr %0, %1, %2" : "=r"(r) : "r"(a), "r"(b));
  return r;
#else
  return (int32_t)(((int64_t)a * b + ((int64_t)1 << 31)) >> 32);
#endif
}

/* Limited to -128 .. 127. */
MF_INLINE int8_t mf_ssat8(int32_t x) {
#ifdef MF_DSP
  int32_t r;
  __asm__("ssat %0, #8, %1" : "=r"(r) : "r"(x));
  return (int8_t)r;
#else
  return (int8_t)mf_clamp(x, -128, 127);
#endif
}

/* The output code of twice an accumulator: q holds { mult, round, shift }, shift >= 1,
 * round = (1 << (shift - 1)) + (out_zero << shift). Equal to out_zero + mf_requantize(x, mult, -shift), limited to int8,
 * for |twice| < 2^31: the sign taken off makes halves go away from zero. Without it (sign 0) negative halves go up, at
 * most to out_zero: the same where no code is below that. */
MF_INLINE int8_t mf_code_signed(int32_t twice, const int32_t *q, int32_t sign) {
  const int32_t high = mf_smmulr(twice, q[0]);
  return mf_ssat8((high + (sign ? twice >> 31 : 0) + q[1]) >> q[2]);
}
MF_INLINE int8_t mf_code(int32_t twice, const int32_t *q) { return mf_code_signed(twice, q, 1); }

#endif
