/* Add, Sub, Mul, Div, Max, Min, SquaredDifference: elementwise with NumPy broadcasting.
 *
 *   x, y of one element type: f32, f64, i32, i64, u64, i8 and i16 (quantized; Div: i8 alone). The symbolic batch broadcasts with itself and
 *   with 1. int8 and int16 Add, Sub, Mul and Div rescale, so that each tensor has its own quantization; Max and Min compare codes,
 *   so that all three share one (TFLite MAXIMUM, MINIMUM).
 *
 * SquaredDifference: of i8 alone, of any quantizations; other types are Sub and Mul.
 */
#include "ir/ops/ops.h"

static bool infer_binary(Graph *g, const Node *n, int32_t act, Diag *d) {
  const Value *x = op_in(g, n, 0), *y = op_in(g, n, 1);
  DType t = x->dtype;
  if (t != DT_F32 && t != DT_F64 && t != DT_I32 && t != DT_I64 && t != DT_U64 && !dtype_is_code(t)) {
    return op_fail(n, d, "input 0 is %s, want f32, i8, i16, f64, i32, i64 or u64", dtype_name(t));
  }
  TRY(op_want_dtype(g, n, 1, t, d));
  TRY(op_want_act(n, act, t, d));
  if (x->quant.n > 1 || y->quant.n > 1)
    return op_fail(n, d, "an input is quantized per axis, want one scale");
  Shape out = {0};
  TRY(op_broadcast(n, &x->shape, &y->shape, &out, d));
  return op_set(g, n, t, &out, d);
}

static bool infer_choice(Graph *g, const Node *n, Diag *d) {
  TRY(infer_binary(g, n, ACT_NONE, d));
  const Quant *x = &op_in(g, n, 0)->quant, *y = &op_in(g, n, 1)->quant;
  if (!quant_equal(x, y)) return op_fail(n, d, "inputs are quantized differently, but it compares codes");
  return op_same_quant(g, n, -1, d);
}

bool infer_add(Graph *g, Node *n, Diag *d) { return infer_binary(g, n, CATTRS(n, add)->act, d); }
bool infer_sub(Graph *g, Node *n, Diag *d) { return infer_binary(g, n, CATTRS(n, sub)->act, d); }
bool infer_mul(Graph *g, Node *n, Diag *d) { return infer_binary(g, n, CATTRS(n, mul)->act, d); }
bool infer_div(Graph *g, Node *n, Diag *d) { return infer_binary(g, n, ACT_NONE, d); }

bool infer_squared_difference(Graph *g, Node *n, Diag *d) {
  TRY(op_want_dtype(g, n, 0, DT_I8, d));
  return infer_binary(g, n, ACT_NONE, d);
}

bool infer_max(Graph *g, Node *n, Diag *d) { return infer_choice(g, n, d); }
bool infer_min(Graph *g, Node *n, Diag *d) { return infer_choice(g, n, d); }
