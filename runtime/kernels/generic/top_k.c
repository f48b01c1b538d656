/* TopK: indices of the k largest (smallest) elements along an axis, best first, of equals the lower index first.
 *
 * Each one is found by a search for the best of those that come after the one before, so that no memory is needed: k
 * passes over the axis. NaN is larger than every number. A row holds [n][inner] elements. Source: ONNX TopK-24.
 */
#include "runtime/kernels/kernel.h"

MF_KERNEL mf_kernel_fn top_k__generic;

/* < 0: element i stands before element j; elements i and j of a column. */
static int32_t top_k_order(const mf_top_k *p, const void *x, int32_t i, int32_t j) {
  int32_t less = 0, more = 0;
  if (p->type == MF_F32) {
    const float a = ((const float *)x)[i], b = ((const float *)x)[j];
    less = a < b || (a == a && b != b);
    more = a > b || (a != a && b == b);
  } else if (p->type == MF_I32) {
    const int32_t a = ((const int32_t *)x)[i], b = ((const int32_t *)x)[j];
    less = a < b;
    more = a > b;
  } else {
    const int64_t a = ((const int64_t *)x)[i], b = ((const int64_t *)x)[j];
    less = a < b;
    more = a > b;
  }
  if (less == more) return i < j ? -1 : i > j;
  return less == (p->largest == 0) ? -1 : 1;
}

MF_KERNEL void top_k__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                              int32_t y1, void *scratch) {
  const mf_top_k *p = (const mf_top_k *)params;
  int32_t r, c, m, i;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const void *x = mf_row(in, r);
    int64_t *y = (int64_t *)mf_row(out, r);
    for (c = 0; c < p->inner; c++) {
      int32_t last = -1;
      for (m = 0; m < p->k; m++) {
        int32_t best = -1;
        for (i = c; i < p->n * p->inner; i += p->inner) {
          if (last >= 0 && top_k_order(p, x, last, i) >= 0) continue;
          if (best < 0 || top_k_order(p, x, i, best) < 0) best = i;
        }
        y[m * p->inner + c] = best / p->inner;
        last = best;
      }
    }
  }
}
