/* Cast from or to float64, which only constant folding meets: the one kernel with double arithmetic.
 *
 * One of the two types is float64; the other float32, int32, int64, bool or float64. Conversions as in cast.
 * A row is n elements.
 */
#include "runtime/kernels/kernel.h"

MF_KERNEL mf_kernel_fn cast_f64__generic;

static double cast_f64_load(const void *x, int32_t i, int32_t from) {
  switch (from) {
  case MF_F64: return ((const double *)x)[i];
  case MF_F32: return (double)((const float *)x)[i];
  case MF_I32: return ((const int32_t *)x)[i];
  case MF_I64: return (double)((const int64_t *)x)[i];
  default: return ((const uint8_t *)x)[i]; /* bool */
  }
}

static int64_t cast_f64_whole(double v, int64_t lo, int64_t hi) {
  if (v != v) return 0;
  return v >= (double)hi ? hi : v <= (double)lo ? lo : (int64_t)v;
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
      switch (p->to) {
      case MF_F64: ((double *)y)[i] = v; break;
      case MF_F32: ((float *)y)[i] = (float)v; break;
      case MF_I32: ((int32_t *)y)[i] = (int32_t)cast_f64_whole(v, INT32_MIN, INT32_MAX); break;
      case MF_I64: ((int64_t *)y)[i] = cast_f64_whole(v, INT64_MIN, INT64_MAX); break;
      default: ((uint8_t *)y)[i] = v != 0; break;
      }
    }
  }
}
