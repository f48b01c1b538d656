/* Arithmetic on float64 with broadcasting: one body, a row with the C expression for each.
 *
 * Max and Min: NaN if an input is. Mod: the remainder with the divisor's sign (mod) or the dividend's (rem, C's fmod).
 * A row is one index of the first axis. The output may be exactly the memory of an input that is not broadcast.
 */
#include <math.h>

#include "runtime/kernels/kernel.h"

static double binary_f64_mod(double a, double b) {
  const double m = fmod(a, b);
  return m != 0 && (m < 0) != (b < 0) ? m + b : m;
}

#define BINARY(name, type, value)                                                                       \
  MF_INLINE type name##_value(type a, type b) { return value; }                                         \
  MF_KERNEL mf_kernel_fn name##__generic;                                                               \
  MF_KERNEL void name##__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0, \
                                 int32_t y1, void *scratch) {                                           \
    const mf_binary *p = (const mf_binary *)params;                                                     \
    const int32_t last = p->rank - 1, n = p->dims[last], sa = p->a[last], sb = p->b[last];              \
    int32_t index[MF_MAX_DIMS] = {0}, r, i;                                                             \
    (void)scratch;                                                                                      \
    for (r = y0; r < y1; r++) {                                                                         \
      const type *row_a = (const type *)mf_row(&in[0], p->a[0] ? r : 0);                                \
      const type *row_b = (const type *)mf_row(&in[1], p->b[0] ? r : 0);                                \
      type *y = (type *)mf_row(out, r);                                                                 \
      do {                                                                                              \
        const type *a = row_a + mf_offset(index, p->a, 1, last - 1);                                    \
        const type *b = row_b + mf_offset(index, p->b, 1, last - 1);                                    \
        for (i = 0; i < n; i++) *y++ = name##_value(a[i * sa], b[i * sb]);                              \
      } while (mf_next(index, p->dims, 1, last - 1));                                                   \
    }                                                                                                   \
  }

BINARY(add_f64, double, a + b)
BINARY(sub_f64, double, a - b)
BINARY(mul_f64, double, a *b)
BINARY(div_f64, double, a / b)
BINARY(max_f64, double, a > b || a != a ? a : b)
BINARY(min_f64, double, a < b || a != a ? a : b)
BINARY(pow_f64, double, pow(a, b))
BINARY(mod_f64, double, binary_f64_mod(a, b))
BINARY(rem_f64, double, fmod(a, b))
