/* Functions of one float32: one body, a row with the C expression for each; p is the operator's attribute.
 *
 * By the C library, whose last bits may differ between machines. Round: halves to even (the default rounding of the
 * machine); Softplus: log(1 + exp(x)) without overflow; Sign of NaN is 0. A row is `n` elements. The output may be
 * exactly the input's memory. Source: ONNX operator schemas.
 */
#include <math.h>

#include "runtime/kernels/elementwise.h"

MF_UNARY(abs_f32, float, fabsf(x))
MF_UNARY(sign_f32, float, (float)((x > 0) - (x < 0)))
MF_UNARY(sqrt_f32, float, sqrtf(x))
MF_UNARY(exp_f32, float, expf(x))
MF_UNARY(log_f32, float, logf(x))
MF_UNARY(floor_f32, float, floorf(x))
MF_UNARY(ceil_f32, float, ceilf(x))
MF_UNARY(round_f32, float, rintf(x))
MF_UNARY(sin_f32, float, sinf(x))
MF_UNARY(cos_f32, float, cosf(x))
MF_UNARY(tan_f32, float, tanf(x))
MF_UNARY(asin_f32, float, asinf(x))
MF_UNARY(acos_f32, float, acosf(x))
MF_UNARY(atan_f32, float, atanf(x))
MF_UNARY(sinh_f32, float, sinhf(x))
MF_UNARY(cosh_f32, float, coshf(x))
MF_UNARY(asinh_f32, float, asinhf(x))
MF_UNARY(acosh_f32, float, acoshf(x))
MF_UNARY(atanh_f32, float, atanhf(x))
MF_UNARY(erf_f32, float, erff(x))
MF_UNARY(softplus_f32, float, (x > 0 ? x : 0) + log1pf(expf(-fabsf(x))))
MF_UNARY(elu_f32, float, x < 0 ? p * expm1f(x) : x)
