/* Sums of products of int16 activations and int8 weights: each product is below 2^22, so that 256 of them fit in 32 bits.
 * What they are summed to is exact in 64 bits, whatever the order.
 */
#ifndef MF_DOT16_H
#define MF_DOT16_H

#include "runtime/kernels/requantize.h"

enum { MF_DOT16_BLOCK = 256 };

MF_INLINE int64_t mf_dot16(const int16_t *x, const int8_t *w, int32_t n) {
  int64_t acc = 0;
  int32_t at, i;
  for (at = 0; at < n; at += MF_DOT16_BLOCK) {
    const int32_t m = n - at < MF_DOT16_BLOCK ? n - at : MF_DOT16_BLOCK;
    int32_t part = 0;
    for (i = 0; i < m; i++) part += x[at + i] * w[at + i];
    acc += part;
  }
  return acc;
}

/* The same of weights with a zero point. */
MF_HELPER int64_t mf_dot16_zero(const int16_t *x, const int8_t *w, int32_t n, int32_t w_zero) {
  int64_t acc = mf_dot16(x, w, n);
  int32_t i;
  if (w_zero)
    for (i = 0; i < n; i++) acc -= (int64_t)x[i] * w_zero;
  return acc;
}

#endif
