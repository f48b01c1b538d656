/* Gather: output row r is the block of `block` bytes that index[r] names. in[0]: the data, in[1]: the indices.
 *
 * A row is one index. `outer` > 1 repeats: data and output then hold `outer` such tables, one after the other.
 * Negative indices count from the end; an index outside the axis takes the nearest block inside, so that no input can
 * make the kernel read elsewhere (constant indices are checked when the model is lowered).
 */
#include "runtime/kernels/kernel.h"

MF_KERNEL mf_kernel_fn gather__generic;

MF_KERNEL void gather__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                               int32_t y1, void *scratch) {
  const mf_gather *p = (const mf_gather *)params;
  int32_t o, r, i;
  (void)scratch;
  for (o = 0; o < p->outer; o++)
    for (r = y0; r < y1; r++) {
      const int64_t given =
          p->index_bytes == 8 ? ((const int64_t *)in[1].base)[r] : ((const int32_t *)in[1].base)[r];
      const int64_t index = given < 0 ? given + p->axis_len : given;
      const int32_t k = index < 0 ? 0 : index < p->axis_len ? (int32_t)index : p->axis_len - 1;
      const char *x = (const char *)in[0].base + ((ptrdiff_t)o * p->axis_len + k) * p->block;
      char *y = (char *)mf_row(out, r) + (ptrdiff_t)o * p->count * p->block;
      for (i = 0; i < p->block; i++) y[i] = x[i];
    }
}
