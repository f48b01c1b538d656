/* Functions of one float64: as unary_f32.c, unary_math_f32.c and unary_funcs_f32.c, which say what they mean; Clip's
 * limits are float32. A row is `n` elements. The output may be exactly the input's memory.
 */
#include <math.h>

#include "runtime/kernels/elementwise.h"

MF_UNARY(abs_f64, double, fabs(x))
MF_UNARY(sign_f64, double, (double)((x > 0) - (x < 0)))
MF_UNARY(sqrt_f64, double, sqrt(x))
MF_UNARY(exp_f64, double, exp(x))
MF_UNARY(log_f64, double, log(x))
MF_UNARY(floor_f64, double, floor(x))
MF_UNARY(ceil_f64, double, ceil(x))
MF_UNARY(round_f64, double, rint(x))
MF_UNARY(sin_f64, double, sin(x))
MF_UNARY(cos_f64, double, cos(x))
MF_UNARY(tan_f64, double, tan(x))
MF_UNARY(asin_f64, double, asin(x))
MF_UNARY(acos_f64, double, acos(x))
MF_UNARY(atan_f64, double, atan(x))
MF_UNARY(sinh_f64, double, sinh(x))
MF_UNARY(cosh_f64, double, cosh(x))
MF_UNARY(asinh_f64, double, asinh(x))
MF_UNARY(acosh_f64, double, acosh(x))
MF_UNARY(atanh_f64, double, atanh(x))
MF_UNARY(erf_f64, double, erf(x))
MF_UNARY(softplus_f64, double, (x > 0 ? x : 0) + log1p(exp(-fabs(x))))
MF_UNARY(elu_f64, double, x < 0 ? (double)p * expm1(x) : x)
MF_UNARY(relu_f64, double, x < 0 ? 0 : x)
MF_UNARY(sigmoid_f64, double, 1 / (1 + exp(-x)))
MF_UNARY(tanh_f64, double, tanh(x))
MF_UNARY(leaky_relu_f64, double, x < 0 ? x * (double)p : x)
MF_UNARY(clip_f64, double, x<(double)p ? (double)p : x>(double) u->q ? (double)u->q : x)
