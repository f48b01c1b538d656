/* Functions of one float32: one body, a row with the C expression for each; p is the operator's attribute.
 *
 * By the C library, whose last bits may differ between machines. Round: halves to even (the default rounding of the
 * machine); Softplus: log(1 + exp(x)) without overflow; Sign of NaN is 0. A row is `n` elements. The output may be
 * exactly the input's memory. Source: ONNX operator schemas.
 */
#include <math.h>

#include "runtime/kernels/kernel.h"

#define UNARY(name, value)                                                                              \
  MF_KERNEL mf_kernel_fn name##__generic;                                                               \
  MF_KERNEL void name##__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0, \
                                 int32_t y1, void *scratch) {                                           \
    const mf_unary_f32 *u = (const mf_unary_f32 *)params;                                               \
    const float p = u->p;                                                                               \
    int32_t r, i;                                                                                       \
    (void)scratch;                                                                                      \
    (void)p;                                                                                            \
    for (r = y0; r < y1; r++) {                                                                         \
      const float *from = (const float *)mf_row(in, r);                                                 \
      float *to = (float *)mf_row(out, r);                                                              \
      for (i = 0; i < u->n; i++) {                                                                      \
        const float x = from[i];                                                                        \
        to[i] = value;                                                                                  \
      }                                                                                                 \
    }                                                                                                   \
  }

UNARY(abs_f32, fabsf(x))
UNARY(sign_f32, (float)((x > 0) - (x < 0)))
UNARY(sqrt_f32, sqrtf(x))
UNARY(exp_f32, expf(x))
UNARY(log_f32, logf(x))
UNARY(floor_f32, floorf(x))
UNARY(ceil_f32, ceilf(x))
UNARY(round_f32, rintf(x))
UNARY(sin_f32, sinf(x))
UNARY(cos_f32, cosf(x))
UNARY(tan_f32, tanf(x))
UNARY(asin_f32, asinf(x))
UNARY(acos_f32, acosf(x))
UNARY(atan_f32, atanf(x))
UNARY(sinh_f32, sinhf(x))
UNARY(cosh_f32, coshf(x))
UNARY(asinh_f32, asinhf(x))
UNARY(acosh_f32, acoshf(x))
UNARY(atanh_f32, atanhf(x))
UNARY(erf_f32, erff(x))
UNARY(softplus_f32, (x > 0 ? x : 0) + log1pf(expf(-fabsf(x))))
UNARY(elu_f32, x < 0 ? p * expm1f(x) : x)
