/* Pow, Mod, bits, and what differs for uint64, on integers with broadcasting: one body, a row with the C expression for each.
 *
 * Overflow wraps. Pow: negative exponents give what truncation of the real power does (0, or 1 and -1 of these bases; of
 * base 0: 0). Mod by 0 gives 0, else the remainder with the divisor's sign (mod, as NumPy's mod) or the dividend's (rem,
 * C's %). Bits: names by the width alone, for signed and unsigned; shifts of 64 bits and more give 0.
 * A row is one index of the first axis. The output may be exactly the memory of an input that is not broadcast.
 */
#include "runtime/kernels/elementwise.h"

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

MF_BINARY(pow_i32, mf_binary, int32_t, int32_t, (int32_t)binary_int_pow(a, b))
MF_BINARY(mod_i32, mf_binary, int32_t, int32_t, (int32_t)binary_int_mod(a, b))
MF_BINARY(rem_i32, mf_binary, int32_t, int32_t, (int32_t)binary_int_rem(a, b))
MF_BINARY(pow_i64, mf_binary, int64_t, int64_t, (int64_t)binary_int_pow(a, b))
MF_BINARY(mod_i64, mf_binary, int64_t, int64_t, (int64_t)binary_int_mod(a, b))
MF_BINARY(rem_i64, mf_binary, int64_t, int64_t, (int64_t)binary_int_rem(a, b))
MF_BINARY(mod_u64, mf_binary, uint64_t, uint64_t, b == 0 ? 0 : a % b)
MF_BINARY(div_u64, mf_binary, uint64_t, uint64_t, b == 0 ? 0 : a / b)
MF_BINARY(max_u64, mf_binary, uint64_t, uint64_t, a > b ? a : b)
MF_BINARY(min_u64, mf_binary, uint64_t, uint64_t, a < b ? a : b)
MF_BINARY(shl_u64, mf_binary, uint64_t, uint64_t, b < 64 ? a << b : 0)
MF_BINARY(shr_u64, mf_binary, uint64_t, uint64_t, b < 64 ? a >> b : 0)
MF_BINARY(and_i8, mf_binary, uint8_t, uint8_t, (uint8_t)(a &b))
MF_BINARY(and_i16, mf_binary, uint16_t, uint16_t, (uint16_t)(a &b))
MF_BINARY(and_i32, mf_binary, uint32_t, uint32_t, a &b)
MF_BINARY(and_i64, mf_binary, uint64_t, uint64_t, a &b)
MF_BINARY(or_i8, mf_binary, uint8_t, uint8_t, (uint8_t)(a | b))
MF_BINARY(or_i16, mf_binary, uint16_t, uint16_t, (uint16_t)(a | b))
MF_BINARY(or_i32, mf_binary, uint32_t, uint32_t, a | b)
MF_BINARY(or_i64, mf_binary, uint64_t, uint64_t, a | b)
MF_BINARY(xor_i8, mf_binary, uint8_t, uint8_t, (uint8_t)(a ^ b))
MF_BINARY(xor_i16, mf_binary, uint16_t, uint16_t, (uint16_t)(a ^ b))
MF_BINARY(xor_i32, mf_binary, uint32_t, uint32_t, a ^ b)
MF_BINARY(xor_i64, mf_binary, uint64_t, uint64_t, a ^ b)
