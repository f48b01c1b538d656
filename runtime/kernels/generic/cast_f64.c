/* Cast from or to float64: the one of these kernels with double arithmetic. Conversions as in cast and cast_small.
 *
 * A small float takes one rounding: the double goes to float32 first, by rounding to odd, which cannot hide a tie (Boldo
 * and Melquiond 2008, "Emulation of FMA and correctly rounded sums: proved algorithms using rounding to odd").
 * A row is n elements.
 */
#include "runtime/kernels/element.h"

MF_KERNEL mf_kernel_fn cast_f64__generic;

static double cast_f64_load(const void *x, int32_t i, int32_t from) {
  if (from == MF_F64) return ((const double *)x)[i];
  if (from == MF_F32) return (double)((const float *)x)[i];
  if (from == MF_U64) return (double)((const uint64_t *)x)[i];
  return mf_is_small(from) ? (double)mf_small_load(x, i, from) : (double)mf_load_int(x, i, from);
}

/* v as float32, inexact results made odd. */
static float cast_f64_odd(double v) {
  const float f = (float)v;
  const double back = (double)f;
  uint32_t bits = mf_bits_of_float(f);
  if (back == v || v != v || (bits & 1)) return f;
  if (bits << 1 == 0) return mf_float_of_bits(bits | 1);
  return mf_float_of_bits((back > v) == (back > 0) ? bits - 1 : bits + 1);
}

static int64_t cast_f64_truncate(double v, int32_t type) {
  const int32_t bits = mf_int_bits(type), is_signed = mf_int_signed(type);
  const uint64_t most = ~(uint64_t)0 >> (64 - bits + is_signed);
  if (type == MF_BOOL) return v != 0;
  if (v != v) return 0;
  if (!is_signed) return v >= (double)most ? (int64_t)most : v <= 0 ? 0 : (int64_t)(uint64_t)v;
  return v >= (double)most ? (int64_t)most : v <= -(double)most - 1 ? -(int64_t)most - 1 : (int64_t)v;
}

MF_KERNEL void cast_f64__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                 int32_t y1, void *scratch) {
  const mf_cast *p = (const mf_cast *)params;
  int32_t r, i;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const void *x = mf_row(in, r);
    void *y = mf_row(out, r);
    for (i = 0; i < p->n; i++) {
      const double v = cast_f64_load(x, i, p->from);
      if (p->to == MF_F64)
        ((double *)y)[i] = v;
      else if (p->to == MF_F32)
        ((float *)y)[i] = (float)v;
      else if (mf_is_small(p->to))
        mf_small_store(y, i, p->to, mf_small_encode(cast_f64_odd(v), p->to, p->saturate, p->round));
      else
        mf_store_int(y, i, p->to, cast_f64_truncate(v, p->to));
    }
  }
}
