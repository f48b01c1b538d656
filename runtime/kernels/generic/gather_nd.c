/* GatherND: output row r is the block that a tuple of indices names in its table.
 *
 * An index past its axis takes the nearest place inside, as in Gather. Source: ONNX GatherND-13.
 */
#include "runtime/kernels/index.h"

MF_KERNEL mf_kernel_fn gather_nd__generic;

MF_KERNEL void gather_nd__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                                  int32_t y1, void *scratch) {
  const mf_gather_nd *p = (const mf_gather_nd *)params;
  int32_t r, j;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const char *x = (const char *)in[0].base + (ptrdiff_t)(r / p->count) * p->table;
    for (j = 0; j < p->depth; j++)
      x +=
          (ptrdiff_t)mf_index_inside(in[1].base, r * p->depth + j, p->index_bytes, p->dims[j]) * p->stride[j];
    mf_move(mf_row(out, r), x, p->block);
  }
}
