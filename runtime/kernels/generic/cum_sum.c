/* CumSum along one axis: a row holds [n][inner] elements; the output alike.
 *
 * y[i] = the sum of the elements up to x[i], without it where `exclusive` is 1; from the end where `reverse` is 1. Integers
 * wrap. The output may be exactly the input's memory. Source: ONNX CumSum, opset 11.
 */
#include "runtime/kernels/kernel.h"

#define CUM_SUM(name, type, total)                                                                      \
  MF_KERNEL mf_kernel_fn name##__generic;                                                               \
  MF_KERNEL void name##__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0, \
                                 int32_t y1, void *scratch) {                                           \
    const mf_cum *p = (const mf_cum *)params;                                                           \
    int32_t r, i, j;                                                                                    \
    (void)scratch;                                                                                      \
    for (r = y0; r < y1; r++) {                                                                         \
      const type *x = (const type *)mf_row(in, r);                                                      \
      type *y = (type *)mf_row(out, r);                                                                 \
      for (j = 0; j < p->inner; j++) {                                                                  \
        total sum = 0;                                                                                  \
        for (i = 0; i < p->n; i++) {                                                                    \
          const int32_t k = (p->reverse ? p->n - 1 - i : i) * p->inner + j;                             \
          const total before = sum;                                                                     \
          sum += (total)x[k];                                                                           \
          y[k] = (type)(p->exclusive ? before : sum);                                                   \
        }                                                                                               \
      }                                                                                                 \
    }                                                                                                   \
  }

CUM_SUM(cum_sum_f32, float, float)
CUM_SUM(cum_sum_f64, double, double)
CUM_SUM(cum_sum_i32, int32_t, uint32_t)
CUM_SUM(cum_sum_i64, int64_t, uint64_t)
