/* Where: x where the condition is not 0, else y, with broadcasting; moves elements of 1, 2, 4 or 8 bytes.
 *
 * in[0]: the condition, one byte an element; in[1]: x; in[2]: y. A row is one index of the first axis; its output is dense.
 */
#include "runtime/kernels/kernel.h"

MF_KERNEL mf_kernel_fn where__generic;

typedef uint16_t MF_ALIAS where_u16;
typedef uint32_t MF_ALIAS where_u32;
typedef uint64_t MF_ALIAS where_u64;

static void where_move(void *y, const void *x, int32_t i, int32_t elem) {
  switch (elem) {
  case 1: ((uint8_t *)y)[0] = ((const uint8_t *)x)[i]; break;
  case 2: ((where_u16 *)y)[0] = ((const where_u16 *)x)[i]; break;
  case 4: ((where_u32 *)y)[0] = ((const where_u32 *)x)[i]; break;
  default: ((where_u64 *)y)[0] = ((const where_u64 *)x)[i]; break;
  }
}

MF_KERNEL void where__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,
                              int32_t y1, void *scratch) {
  const mf_where *p = (const mf_where *)params;
  const int32_t last = p->rank - 1;
  int32_t index[MF_MAX_DIMS] = {0}, r;
  (void)scratch;
  for (r = y0; r < y1; r++) {
    const uint8_t *c = (const uint8_t *)mf_row(&in[0], p->c[0] ? r : 0);
    const void *a = mf_row(&in[1], p->a[0] ? r : 0), *b = mf_row(&in[2], p->b[0] ? r : 0);
    char *y = (char *)mf_row(out, r);
    do {
      if (c[mf_offset(index, p->c, 1, last)])
        where_move(y, a, mf_offset(index, p->a, 1, last), p->elem);
      else
        where_move(y, b, mf_offset(index, p->b, 1, last), p->elem);
      y += p->elem;
    } while (mf_next(index, p->dims, 1, last));
  }
}
