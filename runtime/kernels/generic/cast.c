/* Cast among float32, bool and integers of 2 to 64 bits, as C converts, except that a float outside the range of an
 * integer type of 8 bits or more becomes its nearest value (C leaves it undefined), NaN becomes 0, and to bool all but 0
 * is 1. Integers wrap.
 *
 * A row is n elements.
 */
#include "runtime/kernels/element.h"

MF_KERNEL mf_kernel_fn cast__generic;

MF_KERNEL void cast__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                             int32_t y1, void *scratch) {
  const mf_cast *p = (const mf_cast *)params;
  int32_t r, i;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const void *x = mf_row(in, r);
    void *y = mf_row(out, r);
    for (i = 0; i < p->n; i++) {
      if (p->from == MF_F32 && p->to == MF_F32) {
        ((float *)y)[i] = ((const float *)x)[i];
      } else if (p->from == MF_F32) {
        mf_store_int(y, i, p->to, mf_truncate(((const float *)x)[i], p->to));
      } else {
        const int64_t v = mf_load_int(x, i, p->from);
        if (p->to != MF_F32)
          mf_store_int(y, i, p->to, v);
        else
          ((float *)y)[i] = p->from == MF_U64 ? (float)(uint64_t)v : (float)v;
      }
    }
  }
}
