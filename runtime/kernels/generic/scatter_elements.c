/* ScatterElements: a copy of the input in which each update replaces, or is joined with, the element that its index names
 * along one axis, at the update's own place along the others; in the order of the updates.
 *
 * An update whose index lies past the axis is passed over. The whole output is one row. Source: ONNX ScatterElements-18.
 */
#include "runtime/kernels/scatter.h"

MF_KERNEL mf_kernel_fn scatter_elements__generic;

MF_KERNEL void scatter_elements__generic(const void *params, const mf_view *in, const mf_view *out,
                                         int32_t y0, int32_t y1, void *scratch) {
  const mf_scatter_elements *p = (const mf_scatter_elements *)params;
  char *y = (char *)mf_row(out, y0);
  int32_t at[MF_MAX_DIMS] = {0}, i = 0;
  (void)scratch;
  if (y1 <= y0) return;
  mf_move(y, in[0].base, p->total);
  for (i = 0; i < p->rank; i++)
    if (p->dims[i] == 0) return;
  i = 0;
  do {
    const int64_t k = mf_index(in[1].base, i, p->index_bytes, p->axis_len);
    if (k >= 0 && k < p->axis_len) {
      const int32_t to = mf_offset(at, p->dst, 0, p->rank - 1) + ((int32_t)k - at[p->axis]) * p->dst[p->axis];
      mf_scatter(y + to, (const char *)in[2].base + (ptrdiff_t)i * p->elem, 1, p->elem, p->type, p->reduce);
    }
    i++;
  } while (mf_next(at, p->dims, 0, p->rank - 1));
}
