/* Strided copy of a block: Transpose, Slice, Concat (a call for each input), Pad (after fill), views that must move.
 *
 * Moves elements of 1, 2, 4 or 8 bytes without looking at them. A row is one index of the first axis; it lies at
 * y * src[0] and y * dst[0] from the views' bases (ring views: slot y % ring).
 */
#include "runtime/kernels/kernel.h"

MF_KERNEL mf_kernel_fn copy__generic;

typedef uint16_t MF_ALIAS copy_u16;
typedef uint32_t MF_ALIAS copy_u32;
typedef uint64_t MF_ALIAS copy_u64;

/* n elements, strides in bytes. */
static void copy_line(const char *x, char *y, int32_t n, int32_t src, int32_t dst, int32_t elem) {
  int32_t i;
  switch (elem) {
  case 1:
    for (i = 0; i < n; i++) y[i * dst] = x[i * src];
    break;
  case 2:
    for (i = 0; i < n; i++)
      *(copy_u16 *)(void *)(y + i * dst) = *(const copy_u16 *)(const void *)(x + i * src);
    break;
  case 4:
    for (i = 0; i < n; i++)
      *(copy_u32 *)(void *)(y + i * dst) = *(const copy_u32 *)(const void *)(x + i * src);
    break;
  default:
    for (i = 0; i < n; i++)
      *(copy_u64 *)(void *)(y + i * dst) = *(const copy_u64 *)(const void *)(x + i * src);
    break;
  }
}

MF_KERNEL void copy__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                             int32_t y1, void *scratch) {
  const mf_copy *p = (const mf_copy *)params;
  const int32_t last = p->rank - 1;
  int32_t index[MF_MAX_DIMS] = {0}, r;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const char *x = (const char *)in->base + (ptrdiff_t)(in->ring ? r % in->ring : r) * p->src[0];
    char *y = (char *)out->base + (ptrdiff_t)(out->ring ? r % out->ring : r) * p->dst[0];
    do
      copy_line(x + mf_offset(index, p->src, 1, last - 1), y + mf_offset(index, p->dst, 1, last - 1),
                p->dims[last], p->src[last], p->dst[last], p->elem);
    while (mf_next(index, p->dims, 1, last - 1));
  }
}
