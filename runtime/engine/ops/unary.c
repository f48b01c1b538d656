/* Elementwise operators of one input, training. One body; each operator is a row: its value from x, and its
 * derivative from x and y.
 */
#include "runtime/engine/op_call.h"

#include <math.h>

static bool plan_unary(OpPlan *p, Diag *d) {
  (void)p, (void)d;
  return true;
}

static int64_t elements(const OpCall *c) { return items(c) * out_val(c)->item; }

/* ident, value from X, slope from X and Y; P: the operator's attributes */
#define UNARY_ROWS(R)                                                                   \
  R(relu, X > 0 ? X : 0, Y > 0 ? 1.0f : 0.0f)                                           \
  R(clip, X<P->lo ? P->lo : X> P->hi ? P->hi : X, X > P->lo && X < P->hi ? 1.0f : 0.0f) \
  R(leaky_relu, X < 0 ? P->alpha * X : X, X < 0 ? P->alpha : 1.0f)                      \
  R(sigmoid, 1 / (1 + expf(-X)), Y * (1 - Y))                                           \
  R(tanh, tanhf(X), 1 - Y * Y)                                                          \
  R(abs, fabsf(X), X > 0 ? 1.0f : X < 0 ? -1.0f : 0.0f)                                 \
  R(sqrt, sqrtf(X), 0.5f / Y)                                                           \
  R(exp, expf(X), Y)                                                                    \
  R(log, logf(X), 1 / X)                                                                \
  R(sin, sinf(X), cosf(X))                                                              \
  R(cos, cosf(X), -sinf(X))                                                             \
  R(atan, atanf(X), 1 / (1 + X * X))                                                    \
  R(sinh, sinhf(X), coshf(X))                                                           \
  R(cosh, coshf(X), sinhf(X))                                                           \
  R(asinh, asinhf(X), 1 / sqrtf(1 + X * X))                                             \
  R(erf, erff(X), 1.12837917f * expf(-X * X))                                           \
  R(softplus, X > 0 ? X + log1pf(expf(-X)) : log1pf(expf(X)), 1 / (1 + expf(-X)))       \
  R(elu, X < 0 ? P->alpha * expm1f(X) : X, X < 0 ? Y + P->alpha : 1.0f)

#define X x[i]
#define Y y[i]
#define P attrs

#define DEFINE(ident, value, slope)                                                         \
  bool plan_##ident(OpPlan *p, Diag *d) { return plan_unary(p, d); }                        \
  void fwd_##ident(const OpCall *c) {                                                       \
    const ident##_attrs *attrs = CATTRS(c->n, ident);                                       \
    (void)attrs;                                                                            \
    const float *restrict x = in_x(c, 0);                                                   \
    float *restrict y = out_x(c);                                                           \
    int64_t n = elements(c);                                                                \
    for (int64_t i = 0; i < n; i++) y[i] = value;                                           \
  }                                                                                         \
  void bwd_##ident(const OpCall *c) {                                                       \
    const ident##_attrs *attrs = CATTRS(c->n, ident);                                       \
    (void)attrs;                                                                            \
    const float *restrict x = in_x(c, 0), *restrict y = out_x(c), *restrict dy = out_dx(c); \
    (void)x, (void)y;                                                                       \
    float *restrict dx = in_dx(c, 0);                                                       \
    if (!dx) return;                                                                        \
    bool add = in_add(c, 0);                                                                \
    int64_t n = elements(c);                                                                \
    for (int64_t i = 0; i < n; i++) dx[i] = (add ? dx[i] : 0) + dy[i] * (slope);            \
  }

UNARY_ROWS(DEFINE)
