/* Comparisons with broadcasting, to bool: one body, a row with the C expression for each.
 *
 * NaN compares as in C: it equals nothing and is not less. A row is one index of the first axis; its output is dense,
 * one byte an element.
 */
#include "runtime/kernels/kernel.h"

#define COMPARE(name, type, value)                                                                      \
  MF_INLINE uint8_t name##_value(type a, type b) { return (uint8_t)(value); }                           \
  MF_KERNEL mf_kernel_fn name##__generic;                                                               \
  MF_KERNEL void name##__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0, \
                                 int32_t y1, void *scratch) {                                           \
    const mf_compare *p = (const mf_compare *)params;                                                   \
    const int32_t last = p->rank - 1, n = p->dims[last], sa = p->a[last], sb = p->b[last];              \
    int32_t index[MF_MAX_DIMS] = {0}, r, i;                                                             \
    (void)scratch;                                                                                      \
    for (r = y0; r < y1; r++) {                                                                         \
      const type *row_a = (const type *)mf_row(&in[0], p->a[0] ? r : 0);                                \
      const type *row_b = (const type *)mf_row(&in[1], p->b[0] ? r : 0);                                \
      uint8_t *y = (uint8_t *)mf_row(out, r);                                                           \
      do {                                                                                              \
        const type *a = row_a + mf_offset(index, p->a, 1, last - 1);                                    \
        const type *b = row_b + mf_offset(index, p->b, 1, last - 1);                                    \
        for (i = 0; i < n; i++) *y++ = name##_value(a[i * sa], b[i * sb]);                              \
      } while (mf_next(index, p->dims, 1, last - 1));                                                   \
    }                                                                                                   \
  }

COMPARE(equal_f32, float, a == b)
COMPARE(equal_f64, double, a == b)
COMPARE(equal_i32, int32_t, a == b)
COMPARE(equal_i64, int64_t, a == b)
COMPARE(equal_u8, uint8_t, a == b)
COMPARE(less_f32, float, a < b)
COMPARE(less_f64, double, a < b)
COMPARE(less_i32, int32_t, a < b)
COMPARE(less_i64, int64_t, a < b)
COMPARE(less_u64, uint64_t, a < b)
COMPARE(less_equal_f32, float, a <= b)
COMPARE(less_equal_f64, double, a <= b)
COMPARE(less_equal_i32, int32_t, a <= b)
COMPARE(less_equal_i64, int64_t, a <= b)
COMPARE(less_equal_u64, uint64_t, a <= b)
