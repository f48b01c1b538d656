/* Where: x where the condition is not 0, else y, with broadcasting; moves elements of 1, 2, 4 or 8 bytes.
 *
 * in[0]: the condition, one byte an element; in[1]: x; in[2]: y. A row is one index of the first axis; its output is dense.
 */
#include "runtime/kernels/kernel.h"

MF_KERNEL mf_kernel_fn where__generic;

typedef uint16_t MF_ALIAS where_u16;
typedef uint32_t MF_ALIAS where_u32;
typedef uint64_t MF_ALIAS where_u64;

/* n elements; strides in elements. */
static void where_line(const mf_where *p, const uint8_t *c, const void *a, const void *b, void *y) {
  const int32_t last = p->rank - 1, n = p->dims[last], sc = p->c[last], sa = p->a[last], sb = p->b[last];
  int32_t i;
  switch (p->elem) {
  case 1:
    for (i = 0; i < n; i++) {
      const uint8_t *from = c[i * sc] ? (const uint8_t *)a + i * sa : (const uint8_t *)b + i * sb;
      ((uint8_t *)y)[i] = *from;
    }
    break;
  case 2:
    for (i = 0; i < n; i++) {
      const where_u16 *from = c[i * sc] ? (const where_u16 *)a + i * sa : (const where_u16 *)b + i * sb;
      ((where_u16 *)y)[i] = *from;
    }
    break;
  case 4:
    for (i = 0; i < n; i++) {
      const where_u32 *from = c[i * sc] ? (const where_u32 *)a + i * sa : (const where_u32 *)b + i * sb;
      ((where_u32 *)y)[i] = *from;
    }
    break;
  default:
    for (i = 0; i < n; i++) {
      const where_u64 *from = c[i * sc] ? (const where_u64 *)a + i * sa : (const where_u64 *)b + i * sb;
      ((where_u64 *)y)[i] = *from;
    }
    break;
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
    const char *a = (const char *)mf_row(&in[1], p->a[0] ? r : 0);
    const char *b = (const char *)mf_row(&in[2], p->b[0] ? r : 0);
    char *y = (char *)mf_row(out, r);
    do {
      where_line(p, c + mf_offset(index, p->c, 1, last - 1),
                 a + mf_offset(index, p->a, 1, last - 1) * p->elem,
                 b + mf_offset(index, p->b, 1, last - 1) * p->elem, y);
      y += p->dims[last] * p->elem;
    } while (mf_next(index, p->dims, 1, last - 1));
  }
}
