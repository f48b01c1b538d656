/* int8 kernels of two inputs that are brought to one scale first, as mf_add_s8 says: a row for each.
 *
 *   MF_RESCALED(name, result, value)    value: of a and b, both int32 after scaling; p: the params
 *
 *   a = requantize((a - a_zero) << left_shift, a_mult, a_shift), b likewise
 *
 * A row is one index of the first axis; its output is dense, one byte an element, and may be exactly the memory of an
 * input that is not broadcast.
 */
#ifndef MF_RESCALED_H
#define MF_RESCALED_H

#include "runtime/kernels/requantize.h"

MF_HELPER int32_t mf_rescaled(int32_t x, int32_t left, int32_t mult, int32_t shift) {
  return mf_requantize(mf_shift_left(x, left), mult, shift);
}

#define MF_RESCALED(name, result, value)                                                                   \
  MF_INLINE result name##_value(const mf_add_s8 *p, int32_t a, int32_t b) {                                \
    (void)p;                                                                                               \
    return (result)(value);                                                                                \
  }                                                                                                        \
  MF_KERNEL mf_kernel_fn name##__generic;                                                                  \
  MF_KERNEL void name##__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0,    \
                                 int32_t y1, void *scratch) {                                              \
    const mf_add_s8 *p = (const mf_add_s8 *)params;                                                        \
    const int32_t last = p->rank - 1, n = p->dims[last], sa = p->a[last], sb = p->b[last];                 \
    int32_t index[MF_MAX_DIMS] = {0}, r, i;                                                                \
    (void)scratch;                                                                                         \
    for (r = y0; r < y1; r++) {                                                                            \
      const int8_t *row_a = (const int8_t *)mf_row(&in[0], p->a[0] ? r : 0);                               \
      const int8_t *row_b = (const int8_t *)mf_row(&in[1], p->b[0] ? r : 0);                               \
      result *y = (result *)mf_row(out, r);                                                                \
      do {                                                                                                 \
        const int8_t *a = row_a + mf_offset(index, p->a, 1, last - 1);                                     \
        const int8_t *b = row_b + mf_offset(index, p->b, 1, last - 1);                                     \
        for (i = 0; i < n; i++)                                                                            \
          *y++ = name##_value(p, mf_rescaled(a[i * sa] - p->a_zero, p->left_shift, p->a_mult, p->a_shift), \
                              mf_rescaled(b[i * sb] - p->b_zero, p->left_shift, p->b_mult, p->b_shift));   \
      } while (mf_next(index, p->dims, 1, last - 1));                                                      \
    }                                                                                                      \
  }

#endif
