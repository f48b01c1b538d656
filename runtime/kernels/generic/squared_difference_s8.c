/* SquaredDifference, int8, with broadcasting.
 *
 *   y = clamp(out_zero + requantize((a - b)^2, out_mult, out_shift), lo, hi)     a, b: scaled to twice the larger scale
 *
 * Bit for bit TensorFlow Lite Micro's reference (squared_difference.cc, left shift 7: the square fits in 32 bits).
 */
#include "runtime/kernels/rescaled.h"

MF_INLINE int32_t squared_difference_s8_code(const mf_add_s8 *p, int32_t d) {
  const int32_t square = (int32_t)((uint32_t)d * (uint32_t)d);
  return mf_clamp(p->out_zero + mf_requantize(square, p->out_mult, p->out_shift), p->lo, p->hi);
}

MF_RESCALED(squared_difference_s8, int8_t, squared_difference_s8_code(p, a - b))
