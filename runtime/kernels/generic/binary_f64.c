/* Arithmetic on float64 with broadcasting: one body, a row with the C expression for each.
 *
 * Max and Min: NaN if an input is. Mod: the remainder with the divisor's sign (mod) or the dividend's (rem, C's fmod).
 * A row is one index of the first axis. The output may be exactly the memory of an input that is not broadcast.
 */
#include <math.h>

#include "runtime/kernels/elementwise.h"

static double binary_f64_mod(double a, double b) {
  const double m = fmod(a, b);
  return m != 0 && (m < 0) != (b < 0) ? m + b : m;
}

MF_BINARY(add_f64, mf_binary, double, double, a + b)
MF_BINARY(sub_f64, mf_binary, double, double, a - b)
MF_BINARY(mul_f64, mf_binary, double, double, a *b)
MF_BINARY(div_f64, mf_binary, double, double, a / b)
MF_BINARY(max_f64, mf_binary, double, double, a > b || a != a ? a : b)
MF_BINARY(min_f64, mf_binary, double, double, a < b || a != a ? a : b)
MF_BINARY(pow_f64, mf_binary, double, double, pow(a, b))
MF_BINARY(mod_f64, mf_binary, double, double, binary_f64_mod(a, b))
MF_BINARY(rem_f64, mf_binary, double, double, fmod(a, b))
