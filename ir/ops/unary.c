/* Relu, Clip, LeakyRelu, Sigmoid, Tanh: elementwise functions of one f32, f64, i8 or i16 tensor; Relu of i32
 * and i64 too.
 *
 * Relu and Clip hand the input's quantization on where the output has none of its own (their range is a part of the
 * input's); the others have their own (TFLite: Sigmoid 1/256 and -128, Tanh 1/128 and 0; of i16 both 2^-15 and 0).
 */
#include <math.h>

#include "ir/ops/ops.h"

static bool infer_unary(Graph *g, const Node *n, Diag *d) {
  const Value *x = op_in(g, n, 0);
  if (x->dtype != DT_F64) TRY(op_want_real(g, n, 0, d));
  if (x->quant.n > 1) return op_fail(n, d, "input is quantized per axis, want one scale");
  return op_set(g, n, x->dtype, &x->shape, d);
}

bool infer_relu(Graph *g, Node *n, Diag *d) {
  const Value *x = op_in(g, n, 0);
  if (x->dtype == DT_I32 || x->dtype == DT_I64) return op_set(g, n, x->dtype, &x->shape, d);
  return infer_unary(g, n, d) && op_hand_on_quant(g, n, -1, d);
}

bool infer_clip(Graph *g, Node *n, Diag *d) {
  const clip_attrs *a = CATTRS(n, clip);
  if (!(a->lo <= a->hi))
    return op_fail(n, d, "limits are %g .. %g, want lo <= hi", (double)a->lo, (double)a->hi);
  return infer_unary(g, n, d) && op_hand_on_quant(g, n, -1, d);
}

bool infer_leaky_relu(Graph *g, Node *n, Diag *d) {
  float alpha = CATTRS(n, leaky_relu)->alpha;
  if (!isfinite(alpha)) return op_fail(n, d, "alpha is %g, want a finite number", (double)alpha);
  return infer_unary(g, n, d);
}

bool infer_sigmoid(Graph *g, Node *n, Diag *d) { return infer_unary(g, n, d); }
bool infer_tanh(Graph *g, Node *n, Diag *d) { return infer_unary(g, n, d); }
