/* Cast among float32, int8, uint8, int16, int32, int64 and bool, as C converts, except that a float outside the range
 * of an integer type becomes its nearest value (C leaves it undefined), NaN becomes 0, and to bool all but 0 is 1.
 *
 * A row is n elements.
 */
#include "runtime/kernels/kernel.h"

MF_KERNEL mf_kernel_fn cast__generic;

static int64_t cast_load(const void *x, int32_t i, int32_t from) {
  switch (from) {
  case MF_I8: return ((const int8_t *)x)[i];
  case MF_I16: return ((const int16_t *)x)[i];
  case MF_I32: return ((const int32_t *)x)[i];
  case MF_I64: return ((const int64_t *)x)[i];
  default: return ((const uint8_t *)x)[i]; /* uint8, bool */
  }
}

static void cast_store(void *y, int32_t i, int32_t to, int64_t v) {
  switch (to) {
  case MF_F32: ((float *)y)[i] = (float)v; break;
  case MF_I8: ((int8_t *)y)[i] = (int8_t)v; break;
  case MF_U8: ((uint8_t *)y)[i] = (uint8_t)v; break;
  case MF_I16: ((int16_t *)y)[i] = (int16_t)v; break;
  case MF_I32: ((int32_t *)y)[i] = (int32_t)v; break;
  case MF_I64: ((int64_t *)y)[i] = v; break;
  default: ((uint8_t *)y)[i] = v != 0; break;
  }
}

/* A float truncated into the range of type `to`. */
static int64_t cast_float(float v, int32_t to) {
  const int32_t bits = to == MF_I64 ? 63 : to == MF_I32 ? 31 : to == MF_I16 ? 15 : to == MF_U8 ? 8 : 7;
  const int64_t hi = (int64_t)(((uint64_t)1 << bits) - 1), lo = to == MF_U8 ? 0 : -hi - 1;
  if (to == MF_BOOL) return v != 0;
  if (v != v) return 0;
  return v >= (float)hi ? hi : v <= (float)lo ? lo : (int64_t)v;
}

MF_KERNEL void cast__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                             int32_t y1, void *scratch) {
  const mf_cast *p = (const mf_cast *)params;
  int32_t r, i;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const void *x = mf_row(in, r);
    void *y = mf_row(out, r);
    for (i = 0; i < p->n; i++) {
      if (p->from != MF_F32)
        cast_store(y, i, p->to, cast_load(x, i, p->from));
      else if (p->to == MF_F32)
        ((float *)y)[i] = ((const float *)x)[i];
      else
        cast_store(y, i, p->to, cast_float(((const float *)x)[i], p->to));
    }
  }
}
