/* ArgMax and ArgMin along one axis: a row holds [n][inner] elements, its output [inner] indices, int64.
 *
 * Of equal elements the first, or the last where `last` is 1. NaN, as in NumPy, is the most of all: the first NaN.
 * Source: ONNX ArgMax, ArgMin, opset 13; TFLite ARG_MAX.
 */
#include "runtime/kernels/kernel.h"

#define ARG(name, type, better)                                                                         \
  MF_INLINE int32_t name##_better(type x, type y) { return better; }                                    \
  MF_KERNEL mf_kernel_fn name##__generic;                                                               \
  MF_KERNEL void name##__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0, \
                                 int32_t y1, void *scratch) {                                           \
    const mf_arg *p = (const mf_arg *)params;                                                           \
    int32_t r, i, j;                                                                                    \
    (void)scratch;                                                                                      \
    for (r = y0; r < y1; r++) {                                                                         \
      const type *x = (const type *)mf_row(in, r);                                                      \
      int64_t *y = (int64_t *)mf_row(out, r);                                                           \
      for (j = 0; j < p->inner; j++) {                                                                  \
        int32_t at = 0;                                                                                 \
        for (i = 1; i < p->n; i++) {                                                                    \
          const type v = x[i * p->inner + j], best = x[at * p->inner + j];                              \
          if (name##_better(v, best) || (p->last && v == best)) at = i;                                 \
        }                                                                                               \
        y[j] = at;                                                                                      \
      }                                                                                                 \
    }                                                                                                   \
  }

ARG(arg_max_f32, float, (x > y || x != x) && y == y)
ARG(arg_min_f32, float, (x < y || x != x) && y == y)
ARG(arg_max_f64, double, (x > y || x != x) && y == y)
ARG(arg_min_f64, double, (x < y || x != x) && y == y)
ARG(arg_max_i32, int32_t, x > y)
ARG(arg_min_i32, int32_t, x < y)
ARG(arg_max_i64, int64_t, x > y)
ARG(arg_min_i64, int64_t, x < y)
ARG(arg_max_u64, uint64_t, x > y)
ARG(arg_min_u64, uint64_t, x < y)
ARG(arg_max_s8, int8_t, x > y)
ARG(arg_min_s8, int8_t, x < y)
