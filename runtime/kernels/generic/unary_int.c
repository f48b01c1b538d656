/* Abs and Sign of integers: one body, a row with the C expression for each.
 *
 * The least integer's absolute value wraps to itself. A row is `n` elements. The output may be exactly the input's memory.
 */
#include "runtime/kernels/kernel.h"

#define UNARY(name, type, value)                                                                        \
  MF_KERNEL mf_kernel_fn name##__generic;                                                               \
  MF_KERNEL void name##__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0, \
                                 int32_t y1, void *scratch) {                                           \
    const int32_t n = ((const mf_unary_f32 *)params)->n;                                                \
    int32_t r, i;                                                                                       \
    (void)scratch;                                                                                      \
    for (r = y0; r < y1; r++) {                                                                         \
      const type *from = (const type *)mf_row(in, r);                                                   \
      type *to = (type *)mf_row(out, r);                                                                \
      for (i = 0; i < n; i++) {                                                                         \
        const type x = from[i];                                                                         \
        to[i] = (type)(value);                                                                          \
      }                                                                                                 \
    }                                                                                                   \
  }

UNARY(abs_i32, int32_t, x < 0 ? 0 - (uint32_t)x : (uint32_t)x)
UNARY(abs_i64, int64_t, x < 0 ? 0 - (uint64_t)x : (uint64_t)x)
UNARY(sign_i32, int32_t, (x > 0) - (x < 0))
UNARY(sign_i64, int64_t, (x > 0) - (x < 0))
UNARY(sign_u64, uint64_t, x > 0)
UNARY(relu_i32, int32_t, x < 0 ? 0 : x)
UNARY(relu_i64, int64_t, x < 0 ? 0 : x)
