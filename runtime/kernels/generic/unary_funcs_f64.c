/* Functions of one float64: as unary_f32.c, unary_math_f32.c and unary_funcs_f32.c, which say what they mean; Clip's
 * limits are float32. A row is `n` elements. The output may be exactly the input's memory.
 */
#include <math.h>

#include "runtime/kernels/kernel.h"

#define UNARY(name, value)                                                                              \
  MF_KERNEL mf_kernel_fn name##__generic;                                                               \
  MF_KERNEL void name##__generic(const void *params, const mf_view *in, const mf_view *out, int32_t y0, \
                                 int32_t y1, void *scratch) {                                           \
    const mf_unary_f32 *u = (const mf_unary_f32 *)params;                                               \
    const double p = u->p;                                                                              \
    int32_t r, i;                                                                                       \
    (void)scratch;                                                                                      \
    (void)p;                                                                                            \
    for (r = y0; r < y1; r++) {                                                                         \
      const double *from = (const double *)mf_row(in, r);                                               \
      double *to = (double *)mf_row(out, r);                                                            \
      for (i = 0; i < u->n; i++) {                                                                      \
        const double x = from[i];                                                                       \
        to[i] = value;                                                                                  \
      }                                                                                                 \
    }                                                                                                   \
  }

UNARY(abs_f64, fabs(x))
UNARY(sign_f64, (double)((x > 0) - (x < 0)))
UNARY(sqrt_f64, sqrt(x))
UNARY(exp_f64, exp(x))
UNARY(log_f64, log(x))
UNARY(floor_f64, floor(x))
UNARY(ceil_f64, ceil(x))
UNARY(round_f64, rint(x))
UNARY(sin_f64, sin(x))
UNARY(cos_f64, cos(x))
UNARY(tan_f64, tan(x))
UNARY(asin_f64, asin(x))
UNARY(acos_f64, acos(x))
UNARY(atan_f64, atan(x))
UNARY(sinh_f64, sinh(x))
UNARY(cosh_f64, cosh(x))
UNARY(asinh_f64, asinh(x))
UNARY(acosh_f64, acosh(x))
UNARY(atanh_f64, atanh(x))
UNARY(erf_f64, erf(x))
UNARY(softplus_f64, (x > 0 ? x : 0) + log1p(exp(-fabs(x))))
UNARY(elu_f64, x < 0 ? p * expm1(x) : x)
UNARY(relu_f64, x < 0 ? 0 : x)
UNARY(sigmoid_f64, 1 / (1 + exp(-x)))
UNARY(tanh_f64, tanh(x))
UNARY(leaky_relu_f64, x < 0 ? x * p : x)
UNARY(clip_f64, x<p ? p : x>(double) u->q ? (double)u->q : x)
