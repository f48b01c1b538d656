/* Pow and Mod on float32 with broadcasting: one body, a row with the C expression for each.
 *
 * By the C library. Mod: the remainder with the divisor's sign (mod, as NumPy's mod) or the dividend's (rem, C's fmod).
 * A row is one index of the first axis. The output may be exactly the memory of an input that is not broadcast.
 */
#include <math.h>

#include "runtime/kernels/elementwise.h"

static float binary_funcs_f32_mod(float a, float b) {
  const float m = fmodf(a, b);
  return m != 0 && (m < 0) != (b < 0) ? m + b : m;
}

MF_BINARY(pow_f32, mf_binary, float, float, powf(a, b))
MF_BINARY(mod_f32, mf_binary, float, float, binary_funcs_f32_mod(a, b))
MF_BINARY(rem_f32, mf_binary, float, float, fmodf(a, b))
