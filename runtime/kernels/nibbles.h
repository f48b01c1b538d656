/* Weights of 4 bits, two to a byte, the lower half first, each -8 .. 7: as TFLite stores kTfLiteInt4 (portable_tensor_utils.cc,
 * UnpackDenseInt4IntoInt8), but that each output channel begins with a byte.
 */
#ifndef MF_NIBBLES_H
#define MF_NIBBLES_H

#include "runtime/kernels/requantize.h"

/* The lower and the upper half of a byte. */
MF_INLINE int32_t mf_nibble_low(int32_t byte) { return ((byte & 15) ^ 8) - 8; }
MF_INLINE int32_t mf_nibble_high(int32_t byte) { return (int8_t)byte >> 4; }

/* n weights as bytes, an even number of them: `to` has room for one more where n is odd. */
MF_HELPER void mf_unpack_nibbles(int8_t *to, const int8_t *from, int32_t n) {
  int32_t i;
  for (i = 0; i < n; i += 2, from++) {
    to[i] = (int8_t)mf_nibble_low(*from);
    to[i + 1] = (int8_t)mf_nibble_high(*from);
  }
}

#endif
