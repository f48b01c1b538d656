/* GatherElements: each output element is the one that its index names along one axis, at its own place along the others.
 *
 * A row is one index of the first axis (an index past the axis takes the nearest element, as in Gather). Elements of 1, 2,
 * 4 or 8 bytes are moved without looking at them. Source: ONNX GatherElements-13.
 */
#include "runtime/kernels/index.h"

MF_KERNEL mf_kernel_fn gather_elements__generic;

MF_KERNEL void gather_elements__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                        int32_t y1, void *scratch) {
  const mf_gather_elements *p = (const mf_gather_elements *)params;
  int32_t at[MF_MAX_DIMS] = {0}, r, i;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const void *index = mf_row(&in[1], r);
    char *y = (char *)mf_row(out, r);
    i = 0;
    at[0] = r;
    do {
      const int32_t k = mf_index_inside(index, i, p->index_bytes, p->axis_len);
      const int32_t from = mf_offset(at, p->src, 0, p->rank - 1) + (k - at[p->axis]) * p->src[p->axis];
      mf_move(y + (ptrdiff_t)i * p->elem, (const char *)in[0].base + from, p->elem);
      i++;
    } while (mf_next(at, p->dims, 1, p->rank - 1));
  }
}
