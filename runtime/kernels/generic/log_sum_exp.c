/* ReduceLogSumExp: log(sum(exp(x))) over any axes, computed as max + log(sum(exp(x - max))), so that nothing overflows.
 *
 * An empty set gives -infinity. A row is one index of the first axis of the output. The input is read as a whole tensor
 * (no ring). By the C library.
 */
#include <math.h>

#include "runtime/kernels/kernel.h"

#define LOG_SUM_EXP(name, type, exp_of, log_of)                                                         \
  MF_INLINE type name##_one(const mf_mean *p, const type *x) {                                          \
    int32_t index[MF_MAX_DIMS] = {0};                                                                   \
    type most = -(type)INFINITY, sum = 0;                                                               \
    if (p->count == 0) return most;                                                                     \
    do {                                                                                                \
      const type v = x[mf_offset(index, p->rsrc, 0, p->rrank - 1)];                                     \
      most = v > most || v != v ? v : most;                                                             \
    } while (mf_next(index, p->rdims, 0, p->rrank - 1));                                                \
    if (most - most != 0) return most; /* infinite, or NaN */                                           \
    do sum += exp_of(x[mf_offset(index, p->rsrc, 0, p->rrank - 1)] - most);                             \
    while (mf_next(index, p->rdims, 0, p->rrank - 1));                                                  \
    return most + log_of(sum);                                                                          \
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

LOG_SUM_EXP(log_sum_exp_f32, float, expf, logf)
LOG_SUM_EXP(log_sum_exp_f64, double, exp, log)
