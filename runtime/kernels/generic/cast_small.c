/* Cast from or to a float of 16, 8 or 4 bits; the other type is any but float64 (cast_f64 has those).
 *
 * Through float32, which holds every value of these types: rounded once, to nearest, ties to even. Integers are
 * first rounded to float32. A row is n elements.
 */
#include "runtime/kernels/element.h"

MF_KERNEL mf_kernel_fn cast_small__generic;

static float cast_small_load(const void *x, int32_t i, int32_t from) {
  if (mf_is_small(from)) return mf_small_load(x, i, from);
  if (from == MF_F32) return ((const float *)x)[i];
  return from == MF_U64 ? (float)((const uint64_t *)x)[i] : (float)mf_load_int(x, i, from);
}

MF_KERNEL void cast_small__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                   int32_t y1, void *scratch) {
  const mf_cast *p = (const mf_cast *)params;
  int32_t r, i;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const void *x = mf_row(in, r);
    void *y = mf_row(out, r);
    for (i = 0; i < p->n; i++) {
      const float v = cast_small_load(x, i, p->from);
      if (mf_is_small(p->to))
        mf_small_store(y, i, p->to, mf_small_encode(v, p->to, p->saturate, p->round));
      else if (p->to == MF_F32)
        ((float *)y)[i] = v;
      else
        mf_store_int(y, i, p->to, mf_truncate(v, p->to));
    }
  }
}
