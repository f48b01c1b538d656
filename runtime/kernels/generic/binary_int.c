/* Pow, Mod, bits, and what differs for uint64, on integers with broadcasting: one body, a row with the C expression for each.
 *
 * Overflow wraps. Pow: negative exponents give what truncation of the real power does (0, or 1 and -1 of these bases; of
 * base 0: 0). Mod by 0 gives 0, else the remainder with the divisor's sign (mod, as NumPy's mod) or the dividend's (rem,
 * C's %). Bits: names by the width alone, for signed and unsigned; shifts of 64 bits and more give 0.
 * A row is one index of the first axis. The output may be exactly the memory of an input that is not broadcast.
 */
#include "runtime/kernels/kernel.h"

static int64_t binary_int_pow(int64_t a, int64_t b) {
  uint64_t y = 1, square = (uint64_t)a;
  if (b < 0) return a == 1 ? 1 : a == -1 ? 1 - 2 * (b & 1) : 0;
  for (; b > 0; b >>= 1, square *= square)
    if (b & 1) y *= square;
  return (int64_t)y;
}

static int64_t binary_int_rem(int64_t a, int64_t b) { return b == 0 || b == -1 ? 0 : a % b; }

static int64_t binary_int_mod(int64_t a, int64_t b) {
  const int64_t m = binary_int_rem(a, b);
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

BINARY(pow_i32, int32_t, (int32_t)binary_int_pow(a, b))
BINARY(mod_i32, int32_t, (int32_t)binary_int_mod(a, b))
BINARY(rem_i32, int32_t, (int32_t)binary_int_rem(a, b))
BINARY(pow_i64, int64_t, (int64_t)binary_int_pow(a, b))
BINARY(mod_i64, int64_t, (int64_t)binary_int_mod(a, b))
BINARY(rem_i64, int64_t, (int64_t)binary_int_rem(a, b))
BINARY(mod_u64, uint64_t, b == 0 ? 0 : a % b)
BINARY(div_u64, uint64_t, b == 0 ? 0 : a / b)
BINARY(max_u64, uint64_t, a > b ? a : b)
BINARY(min_u64, uint64_t, a < b ? a : b)
BINARY(shl_u64, uint64_t, b < 64 ? a << b : 0)
BINARY(shr_u64, uint64_t, b < 64 ? a >> b : 0)
BINARY(and_i8, uint8_t, (uint8_t)(a &b))
BINARY(and_i16, uint16_t, (uint16_t)(a &b))
BINARY(and_i32, uint32_t, a &b)
BINARY(and_i64, uint64_t, a &b)
BINARY(or_i8, uint8_t, (uint8_t)(a | b))
BINARY(or_i16, uint16_t, (uint16_t)(a | b))
BINARY(or_i32, uint32_t, a | b)
BINARY(or_i64, uint64_t, a | b)
BINARY(xor_i8, uint8_t, (uint8_t)(a ^ b))
BINARY(xor_i16, uint16_t, (uint16_t)(a ^ b))
BINARY(xor_i32, uint32_t, a ^ b)
BINARY(xor_i64, uint64_t, a ^ b)
