/* Unsigned arithmetic of 32 bits that stops at the largest value. Products are made of 16-bit halves: no 64-bit arithmetic,
 * for which a Cortex-M0 would call a library.
 */
#ifndef MF_SATURATE_H
#define MF_SATURATE_H

#include "runtime/kernels/kernel.h"

#define MF_MOST 0xffffffffu

MF_HELPER uint32_t mf_least(uint32_t a, uint32_t b) { return a < b ? a : b; }

/* a + b, at most 2^32 - 1. */
MF_HELPER uint32_t mf_add_most(uint32_t a, uint32_t b) { return a + b < a ? MF_MOST : a + b; }

/* a * b, at most 2^32 - 1. */
MF_HELPER uint32_t mf_mul_most(uint32_t a, uint32_t b) {
  const uint32_t ah = a >> 16, bh = b >> 16, al = a & 0xffff, bl = b & 0xffff;
  const uint32_t cross = ah ? ah * bl : al * bh; /* one of the high halves is 0, or it is too much */
  if ((ah && bh) || cross >> 16) return MF_MOST;
  return mf_add_most(cross << 16, al * bl);
}

#endif
