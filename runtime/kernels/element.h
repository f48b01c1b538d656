/* Elements of every type as integers or floats, for the kernels that convert them. C99, freestanding.
 *
 *   type       mf_cast's names (MF_I8, ...); integers and floats below a byte take one byte each
 *   integers   int64_t, uint64_t as its two's complement; stores keep the low bits (they wrap)
 *   floats     IEEE's binary16, bfloat16, and the OCP formats of 8 and 4 bits: all by one rounding to nearest, ties to
 *              even, from float32; bits | mantissa | bias | what the highest codes mean
 *
 *     f16 16|10|15|IEEE   bf16 16|7|127|IEEE   E5M2 8|2|15|IEEE   E4M3FN 8|3|7|all ones is NaN, no infinity
 *     E4M3FNUZ 8|3|8, E5M2FNUZ 8|2|16: the code of -0 is NaN, no infinity   E2M1 4|1|1: finite alone   E8M0: 2^(code-127)
 *
 * Sources: ONNX, docs/docsgen/source/technical/float8.md and float4.md, onnx/numpy_helper.py (E8M0); OCP Microscaling
 * Formats 1.0, section 5.3; ml_dtypes' conversions, which the conformance tests of ONNX are made with.
 */
#ifndef MF_ELEMENT_H
#define MF_ELEMENT_H

#include "runtime/kernels/kernel.h"

MF_HELPER int64_t mf_load_int(const void *x, int32_t i, int32_t type) {
  switch (type) {
  case MF_I8:
  case MF_I4:
  case MF_I2: return ((const int8_t *)x)[i];
  case MF_I16: return ((const int16_t *)x)[i];
  case MF_U16: return ((const uint16_t *)x)[i];
  case MF_I32: return ((const int32_t *)x)[i];
  case MF_U32: return ((const uint32_t *)x)[i];
  case MF_I64:
  case MF_U64: return ((const int64_t *)x)[i];
  default: return ((const uint8_t *)x)[i];
  }
}

MF_HELPER void mf_store_int(void *y, int32_t i, int32_t type, int64_t v) {
  switch (type) {
  case MF_I16:
  case MF_U16: ((uint16_t *)y)[i] = (uint16_t)v; break;
  case MF_I32:
  case MF_U32: ((uint32_t *)y)[i] = (uint32_t)v; break;
  case MF_I64:
  case MF_U64: ((int64_t *)y)[i] = v; break;
  case MF_I4: ((int8_t *)y)[i] = (int8_t)(((v & 15) ^ 8) - 8); break;
  case MF_U4: ((uint8_t *)y)[i] = (uint8_t)(v & 15); break;
  case MF_I2: ((int8_t *)y)[i] = (int8_t)(((v & 3) ^ 2) - 2); break;
  case MF_U2: ((uint8_t *)y)[i] = (uint8_t)(v & 3); break;
  case MF_BOOL: ((uint8_t *)y)[i] = v != 0; break;
  default: ((uint8_t *)y)[i] = (uint8_t)v; break;
  }
}

/* Bits of an integer type in which a float saturates; the others wrap, from 64 bits. */
MF_HELPER int32_t mf_int_bits(int32_t type) {
  switch (type) {
  case MF_I8:
  case MF_U8: return 8;
  case MF_I16:
  case MF_U16: return 16;
  case MF_I32:
  case MF_U32: return 32;
  default: return 64;
  }
}
MF_HELPER int32_t mf_int_signed(int32_t type) {
  return type == MF_I8 || type == MF_I16 || type == MF_I32 || type == MF_I64 || type == MF_I4 ||
         type == MF_I2 || type == MF_U4 || type == MF_U2; /* what wraps is converted as int64 */
}

/* -- small floats -- */

enum { MF_IEEE, MF_ONE_NAN, MF_UZ, MF_FINITE };

typedef struct mf_format {
  int32_t bits, mant, bias, kind;
} mf_format;

MF_HELPER mf_format mf_format_of(int32_t type) {
  static const mf_format formats[] = {{16, 10, 15, MF_IEEE}, {16, 7, 127, MF_IEEE}, {8, 3, 7, MF_ONE_NAN},
                                      {8, 3, 8, MF_UZ},      {8, 2, 15, MF_IEEE},   {8, 2, 16, MF_UZ},
                                      {8, 0, 127, MF_IEEE},  {4, 1, 1, MF_FINITE}};
  return formats[type - MF_F16];
}

MF_HELPER float mf_float_of_bits(uint32_t bits) {
  union {
    uint32_t u;
    float f;
  } v;
  v.u = bits;
  return v.f;
}
MF_HELPER uint32_t mf_bits_of_float(float x) {
  union {
    float f;
    uint32_t u;
  } v;
  v.f = x;
  return v.u;
}

/* The float that a code stands for. type: MF_F16 .. MF_E2M1. */
MF_HELPER float mf_small_decode(uint32_t code, int32_t type) {
  const mf_format f = mf_format_of(type);
  const uint32_t top = (uint32_t)1 << (f.bits - 1), size = code & (top - 1), sign = code & top ? 1u : 0u;
  const uint32_t m = size & (((uint32_t)1 << f.mant) - 1), e = size >> f.mant, ones = (top - 1) >> f.mant;
  float v;
  if (type == MF_BF16) return mf_float_of_bits(code << 16);
  if (type == MF_E8M0)
    return mf_float_of_bits(code == 255 ? 0x7fc00000u : code == 0 ? 0x400000u : code << 23);
  if ((f.kind == MF_UZ && code == top) || (f.kind == MF_ONE_NAN && size == top - 1))
    return mf_float_of_bits(sign << 31 | 0x7fc00000u);
  if (f.kind == MF_IEEE && e == ones) return mf_float_of_bits(sign << 31 | 0x7f800000u | m << (23 - f.mant));
  if (e == 0)
    v = (float)m * mf_float_of_bits((uint32_t)(128 - f.bias - f.mant) << 23);
  else
    v = mf_float_of_bits((e + 127 - (uint32_t)f.bias) << 23 | m << (23 - f.mant));
  return sign ? -v : v;
}

/* The exponent of |x| rounded up (0), down (1) or to nearest, ties up (2); infinities and NaN give NaN. */
MF_HELPER uint32_t mf_e8m0_encode(uint32_t size, int32_t saturate, int32_t round) {
  const uint32_t e = size >> 23, m = size & 0x7fffffu;
  const uint32_t up = round == 1 ? 0 : round == 0 ? m != 0 : m > 0x400000u || (m == 0x400000u && e > 0);
  if (e == 255) return 255;
  return up && e == 254 && saturate ? 254 : e + up;
}

/* The code nearest to x. saturate: float8 that overflows takes the largest value, infinities too; else infinity, or
 * NaN where there is none. round: E8M0's. */
MF_HELPER uint32_t mf_small_encode(float x, int32_t type, int32_t saturate, int32_t round) {
  const mf_format f = mf_format_of(type);
  const uint32_t b = mf_bits_of_float(x), a = b & 0x7fffffffu, top = (uint32_t)1 << (f.bits - 1);
  const uint32_t sign = b >> 31 ? top : 0, one = (uint32_t)1 << f.mant;
  const uint32_t inf = top - one; /* IEEE: all ones in the exponent */
  const uint32_t most = f.kind == MF_IEEE ? inf - 1 : f.kind == MF_ONE_NAN ? top - 2 : top - 1;
  const int32_t e = (int32_t)(a >> 23) - 127, least = 1 - f.bias;
  uint32_t code = 0;
  if (type == MF_E8M0) return mf_e8m0_encode(a, saturate, round);
  if (a > 0x7f800000u)
    return f.kind == MF_IEEE      ? sign | inf | one >> 1
           : f.kind == MF_ONE_NAN ? sign | (top - 1)
                                  : top; /* FNUZ: its NaN; E2M1: -0, as it has none */
  if (type == MF_BF16) return sign | ((a + 0x7fffu + (a >> 16 & 1)) >> 16);
  if (a >= 0x800000u) { /* float32's subnormals are below half of all others */
    const uint32_t full = (a & 0x7fffffu) | 0x800000u;
    const int32_t under = e < least ? least - e : 0;
    const int32_t shift = 23 - f.mant + (under < 25 ? under : 25);
    if (shift < 26) {
      const uint32_t rest = full & (((uint32_t)1 << shift) - 1), half = (uint32_t)1 << (shift - 1);
      code = full >> shift;
      code += rest > half || (rest == half && (code & 1));
      if (!under) code += ((uint32_t)(e - least)) << f.mant;
    }
  }
  if (a == 0x7f800000u || code > most) {
    if (f.kind == MF_FINITE || (saturate && f.bits == 8)) return sign | most;
    return f.kind == MF_IEEE ? sign | inf : f.kind == MF_UZ ? top : sign | (top - 1);
  }
  return f.kind == MF_UZ && code == 0 ? 0 : sign | code;
}

MF_HELPER float mf_small_load(const void *x, int32_t i, int32_t type) {
  const uint32_t code =
      type == MF_F16 || type == MF_BF16 ? ((const uint16_t *)x)[i] : ((const uint8_t *)x)[i];
  return mf_small_decode(code, type);
}

MF_HELPER void mf_small_store(void *y, int32_t i, int32_t type, uint32_t code) {
  if (type == MF_F16 || type == MF_BF16)
    ((uint16_t *)y)[i] = (uint16_t)code;
  else
    ((uint8_t *)y)[i] = (uint8_t)code;
}

MF_HELPER int32_t mf_is_small(int32_t type) { return type >= MF_F16 && type <= MF_E2M1; }

/* A float truncated to an integer type: the nearest value where it is out of range, NaN 0. */
MF_HELPER int64_t mf_truncate(float v, int32_t type) {
  const int32_t bits = mf_int_bits(type), is_signed = mf_int_signed(type);
  const uint64_t most = ~(uint64_t)0 >> (64 - bits + is_signed);
  if (type == MF_BOOL) return v != 0;
  if (v != v) return 0;
  if (!is_signed) return v >= (float)most ? (int64_t)most : v <= 0 ? 0 : (int64_t)(uint64_t)v;
  return v >= (float)most ? (int64_t)most : v <= -(float)most - 1 ? -(int64_t)most - 1 : (int64_t)v;
}

#endif
