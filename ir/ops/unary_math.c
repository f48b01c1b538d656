/* Abs to Elu: functions of one number, element by element.
 *
 *   Abs          f32, f64, i32, i64
 *   Sign         f32, f64, i32, i64, u64
 *   the others   f32, f64
 */
#include <math.h>

#include "ir/ops/ops.h"

static bool is_float(DType t) { return t == DT_F32 || t == DT_F64; }

static bool infer_function(Graph *g, const Node *n, Diag *d) {
  const Value *x = op_in(g, n, 0);
  if (!is_float(x->dtype)) return op_fail(n, d, "input 0 is %s, want f32 or f64", dtype_name(x->dtype));
  return op_set(g, n, x->dtype, &x->shape, d);
}

bool infer_abs(Graph *g, Node *n, Diag *d) {
  const Value *x = op_in(g, n, 0);
  if (!is_float(x->dtype) && x->dtype != DT_I32 && x->dtype != DT_I64)
    return op_fail(n, d, "input 0 is %s, want f32, f64, i32 or i64", dtype_name(x->dtype));
  return op_set(g, n, x->dtype, &x->shape, d);
}

bool infer_sign(Graph *g, Node *n, Diag *d) {
  const Value *x = op_in(g, n, 0);
  if (!is_float(x->dtype) && x->dtype != DT_I32 && x->dtype != DT_I64 && x->dtype != DT_U64)
    return op_fail(n, d, "input 0 is %s, want f32, f64, i32, i64 or u64", dtype_name(x->dtype));
  return op_set(g, n, x->dtype, &x->shape, d);
}

bool infer_elu(Graph *g, Node *n, Diag *d) {
  const float alpha = CATTRS(n, elu)->alpha;
  if (!isfinite(alpha)) return op_fail(n, d, "alpha is %g, want a finite number", (double)alpha);
  return infer_function(g, n, d);
}

bool infer_sqrt(Graph *g, Node *n, Diag *d) { return infer_function(g, n, d); }
bool infer_exp(Graph *g, Node *n, Diag *d) { return infer_function(g, n, d); }
bool infer_log(Graph *g, Node *n, Diag *d) { return infer_function(g, n, d); }
bool infer_floor(Graph *g, Node *n, Diag *d) { return infer_function(g, n, d); }
bool infer_ceil(Graph *g, Node *n, Diag *d) { return infer_function(g, n, d); }
bool infer_round(Graph *g, Node *n, Diag *d) { return infer_function(g, n, d); }
bool infer_sin(Graph *g, Node *n, Diag *d) { return infer_function(g, n, d); }
bool infer_cos(Graph *g, Node *n, Diag *d) { return infer_function(g, n, d); }
bool infer_tan(Graph *g, Node *n, Diag *d) { return infer_function(g, n, d); }
bool infer_asin(Graph *g, Node *n, Diag *d) { return infer_function(g, n, d); }
bool infer_acos(Graph *g, Node *n, Diag *d) { return infer_function(g, n, d); }
bool infer_atan(Graph *g, Node *n, Diag *d) { return infer_function(g, n, d); }
bool infer_sinh(Graph *g, Node *n, Diag *d) { return infer_function(g, n, d); }
bool infer_cosh(Graph *g, Node *n, Diag *d) { return infer_function(g, n, d); }
bool infer_asinh(Graph *g, Node *n, Diag *d) { return infer_function(g, n, d); }
bool infer_acosh(Graph *g, Node *n, Diag *d) { return infer_function(g, n, d); }
bool infer_atanh(Graph *g, Node *n, Diag *d) { return infer_function(g, n, d); }
bool infer_erf(Graph *g, Node *n, Diag *d) { return infer_function(g, n, d); }
bool infer_softplus(Graph *g, Node *n, Diag *d) { return infer_function(g, n, d); }
