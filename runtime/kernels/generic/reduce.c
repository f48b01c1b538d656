/* Reductions over any axes: one body, a row with the start value and the step for each.
 *
 * Every output element runs over the reduced axes in their order (the last fastest), from a start value that is also the
 * result of an empty set. Integers wrap; Max and Min of floats: NaN if an element is. A row is one index of the first
 * axis of the output. The input is read as a whole tensor (no ring). Source: ONNX ReduceSum, -Max, -Min, -Prod,
 * -SumSquare, opset 18 and later.
 */
#include <math.h>

#include "runtime/kernels/kernel.h"

#define REDUCE(name, type, sum, start, next)                                                            \
  MF_INLINE sum name##_step(sum y, type x) { return next; }                                             \
  MF_INLINE type name##_one(const mf_mean *p, const type *x) {                                          \
    const int32_t last = p->rrank - 1, n = last < 0 ? 1 : p->rdims[last],                               \
                  step = last < 0 ? 0 : p->rsrc[last];                                                  \
    int32_t index[MF_MAX_DIMS] = {0}, i;                                                                \
    sum y = start;                                                                                      \
    if (p->count == 0) return (type)y;                                                                  \
    do {                                                                                                \
      const type *line = x + mf_offset(index, p->rsrc, 0, last - 1);                                    \
      for (i = 0; i < n; i++) y = name##_step(y, line[i * step]);                                       \
    } while (mf_next(index, p->rdims, 0, last - 1));                                                    \
    return (type)y;                                                                                     \
  }                                                                                                     \
  MF_KERNEL mf_kernel_fn name##__generic;                                                               \
  MF_KERNEL void name##__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0, \
                                 int32_t y1, void *scratch) {                                           \
    const mf_mean *p = (const mf_mean *)params;                                                         \
    const type *x = (const type *)in->base;                                                             \
    int32_t index[MF_MAX_DIMS] = {0};                                                                   \
    (void)scratch;                                                                                      \
    for (index[0] = y0; index[0] < y1; index[0]++) {                                                    \
      type *y = (type *)mf_row(out, index[0]);                                                          \
      do *y++ = name##_one(p, x + mf_offset(index, p->src, 0, p->rank - 1));                            \
      while (mf_next(index, p->dims, 1, p->rank - 1));                                                  \
    }                                                                                                   \
  }

REDUCE(sum_f32, float, float, 0, y + x)
REDUCE(prod_f32, float, float, 1, y *x)
REDUCE(sum_square_f32, float, float, 0, y + x * x)
REDUCE(sum_f64, double, double, 0, y + x)
REDUCE(prod_f64, double, double, 1, y *x)
REDUCE(sum_square_f64, double, double, 0, y + x * x)
REDUCE(sum_i32, int32_t, uint32_t, 0, y + (uint32_t)x)
REDUCE(prod_i32, int32_t, uint32_t, 1, y *(uint32_t)x)
REDUCE(sum_square_i32, int32_t, uint32_t, 0, y + (uint32_t)x * (uint32_t)x)
REDUCE(sum_i64, int64_t, uint64_t, 0, y + (uint64_t)x)
REDUCE(prod_i64, int64_t, uint64_t, 1, y *(uint64_t)x)
REDUCE(sum_square_i64, int64_t, uint64_t, 0, y + (uint64_t)x * (uint64_t)x)
REDUCE(reduce_max_f32, float, float, -INFINITY, x > y || x != x ? x : y)
REDUCE(reduce_min_f32, float, float, INFINITY, x < y || x != x ? x : y)
REDUCE(reduce_max_f64, double, double, -(double)INFINITY, x > y || x != x ? x : y)
REDUCE(reduce_min_f64, double, double, (double)INFINITY, x < y || x != x ? x : y)
REDUCE(reduce_max_i32, int32_t, int32_t, INT32_MIN, x > y ? x : y)
REDUCE(reduce_min_i32, int32_t, int32_t, INT32_MAX, x < y ? x : y)
REDUCE(reduce_max_i64, int64_t, int64_t, INT64_MIN, x > y ? x : y)
REDUCE(reduce_min_i64, int64_t, int64_t, INT64_MAX, x < y ? x : y)
REDUCE(reduce_max_s8, int8_t, int8_t, INT8_MIN, x > y ? x : y)
REDUCE(reduce_min_s8, int8_t, int8_t, INT8_MAX, x < y ? x : y)
REDUCE(reduce_max_u64, uint64_t, uint64_t, 0, x > y ? x : y)
REDUCE(reduce_min_u64, uint64_t, uint64_t, UINT64_MAX, x < y ? x : y)
