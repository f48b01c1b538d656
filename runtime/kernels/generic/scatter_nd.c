/* ScatterND: a copy of the input in which each block of updates replaces, or is joined with, the block that a tuple of
 * indices names; in the order of the updates.
 *
 * A tuple that leaves the input is passed over. The whole output is one row. Source: ONNX ScatterND-18.
 */
#include "runtime/kernels/scatter.h"

MF_KERNEL mf_kernel_fn scatter_nd__generic;

MF_KERNEL void scatter_nd__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                   int32_t y1, void *scratch) {
  const mf_scatter_nd *p = (const mf_scatter_nd *)params;
  const ptrdiff_t bytes = (ptrdiff_t)p->block * p->elem;
  char *y = (char *)mf_row(out, y0);
  int32_t i, j;
  (void)scratch;
  if (y1 <= y0) return;
  mf_move(y, in[0].base, p->total);
  for (i = 0; i < p->count; i++) {
    int32_t inside = 1;
    ptrdiff_t to = 0;
    for (j = 0; j < p->depth; j++) {
      const int64_t k = mf_index(in[1].base, i * p->depth + j, p->index_bytes, p->dims[j]);
      inside = inside && k >= 0 && k < p->dims[j];
      if (inside) to += (ptrdiff_t)k * p->stride[j];
    }
    if (inside)
      mf_scatter(y + to, (const char *)in[2].base + i * bytes, p->block, p->elem, p->type, p->reduce);
  }
}
