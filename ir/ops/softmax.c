/* Softmax: y = exp(beta * x) / sum of exp(beta * x) along one axis, f32, i8 or i16 (computed from x - max).
 *
 * Source: ONNX Softmax of opset 13 (importers bring older, flattening forms to this one by Reshape); TFLite SOFTMAX,
 * whose int8 output has scale 1/256 and zero point -128, int16 2^-15 and 0.
 */
#include <math.h>

#include "ir/ops/ops.h"

bool infer_softmax(Graph *g, Node *n, Diag *d) {
  const softmax_attrs *a = CATTRS(n, softmax);
  const Value *x = op_in(g, n, 0);
  int rank = x->shape.rank;
  TRY(op_want_real(g, n, 0, d));
  if (a->axis < -rank || a->axis >= rank) {
    return op_fail(n, d, "axis is %d, want %d .. %d", (int)a->axis, -rank, rank - 1);
  }
  if (x->shape.d[a->axis < 0 ? a->axis + rank : a->axis] == DIM_BATCH)
    return op_fail_batch(n, d, "a sum over axis 0");
  if (!isfinite(a->beta)) return op_fail(n, d, "beta is %g, want a finite number", (double)a->beta);
  if (x->quant.n > 1) return op_fail(n, d, "input is quantized per axis, want one scale");
  return op_set(g, n, x->dtype, &x->shape, d);
}
