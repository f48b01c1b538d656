/* Kernels that differ in one C expression: a row each, from which these macros make the kernel.
 *
 *   MF_UNARY(name, type, value)                         value: of x, a `type`; u: the params, p: their float p
 *   MF_BINARY(name, params_type, type, result, value)   value: of a and b, each a `type`, with broadcasting; params
 *                                                       that begin as mf_binary does
 *
 * A row of the first is `n` elements, of the second one index of the first axis; its output is dense. The output may be
 * exactly the memory of an input that is not broadcast, where the sizes of elements are alike.
 */
#ifndef MF_ELEMENTWISE_H
#define MF_ELEMENTWISE_H

#include "runtime/kernels/kernel.h"

#define MF_UNARY(name, type, value)                                                                     \
  MF_KERNEL mf_kernel_fn name##__generic;                                                               \
  MF_KERNEL void name##__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0, \
                                 int32_t y1, void *scratch) {                                           \
    const mf_unary_f32 *u = (const mf_unary_f32 *)params;                                               \
    const float p = u->p;                                                                               \
    int32_t r, i;                                                                                       \
    (void)scratch;                                                                                      \
    (void)p;                                                                                            \
    for (r = y0; r < y1; r++) {                                                                         \
      const type *from = (const type *)mf_row(in, r);                                                   \
      type *to = (type *)mf_row(out, r);                                                                \
      for (i = 0; i < u->n; i++) {                                                                      \
        const type x = from[i];                                                                         \
        to[i] = (type)(value);                                                                          \
      }                                                                                                 \
    }                                                                                                   \
  }

#define MF_BINARY(name, params_type, type, result, value)                                               \
  MF_INLINE result name##_value(type a, type b) { return (result)(value); }                             \
  MF_KERNEL mf_kernel_fn name##__generic;                                                               \
  MF_KERNEL void name##__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0, \
                                 int32_t y1, void *scratch) {                                           \
    const params_type *p = (const params_type *)params;                                                 \
    const int32_t last = p->rank - 1, n = p->dims[last], sa = p->a[last], sb = p->b[last];              \
    int32_t index[MF_MAX_DIMS] = {0}, r, i;                                                             \
    (void)scratch;                                                                                      \
    for (r = y0; r < y1; r++) {                                                                         \
      const type *row_a = (const type *)mf_row(&in[0], p->a[0] ? r : 0);                                \
      const type *row_b = (const type *)mf_row(&in[1], p->b[0] ? r : 0);                                \
      result *y = (result *)mf_row(out, r);                                                             \
      do {                                                                                              \
        const type *a = row_a + mf_offset(index, p->a, 1, last - 1);                                    \
        const type *b = row_b + mf_offset(index, p->b, 1, last - 1);                                    \
        for (i = 0; i < n; i++) *y++ = name##_value(a[i * sa], b[i * sb]);                              \
      } while (mf_next(index, p->dims, 1, last - 1));                                                   \
    }                                                                                                   \
  }

#endif
