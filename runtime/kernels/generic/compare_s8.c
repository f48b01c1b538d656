/* Comparisons of int8 codes, each with its own quantization, to bool: both become integers of one scale, 2^-8.
 *
 * Bit for bit TensorFlow Lite Micro's reference (reference_ops::EqualWithScaling, LessWithScaling and
 * LessEqualWithScaling of reference/comparisons.h; comparisons.cc: the multiplier is the scale itself, 8 bits of left
 * shift): numbers less than about 2^-8 apart are equal.
 */
#include "runtime/kernels/rescaled.h"

MF_RESCALED(equal_s8, uint8_t, a == b)
MF_RESCALED(less_s8, uint8_t, a < b)
MF_RESCALED(less_equal_s8, uint8_t, a <= b)
