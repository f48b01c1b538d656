/* BatchNormalization in inference form: y = scale * (x - mean) / sqrt(var + epsilon) + bias along one axis.
 *
 *   x [..., C, ...] f32; scale, bias, mean, var [C] f32; y as x. Source: ONNX BatchNormalization, opset 9, with
 *   the channel axis explicit. It is folded into a neighbour or computed as one multiply and add per element.
 */
#include <math.h>

#include "ir/ops/ops.h"

bool infer_batch_normalization(Graph *g, Node *n, Diag *d) {
  const batch_normalization_attrs *a = CATTRS(n, batch_normalization);
  const Shape *x = &op_in(g, n, 0)->shape;
  if (a->axis < 0 || a->axis >= x->rank) {
    return op_fail(n, d, "axis is %d, want 0 .. %d", (int)a->axis, (int)x->rank - 1);
  }
  if (x->d[a->axis] == DIM_BATCH) return op_fail_batch(n, d, "parameters along axis 0");
  if (!(a->epsilon >= 0) || isinf(a->epsilon)) {
    return op_fail(n, d, "epsilon is %g, want a finite number of at least 0", (double)a->epsilon);
  }
  TRY(op_want_dtype(g, n, 0, DT_F32, d));
  for (uint32_t i = 1; i < 5; i++) {
    TRY(op_want_dtype(g, n, i, DT_F32, d));
    TRY(op_want_rank(g, n, i, 1, d));
    int64_t got = op_in(g, n, i)->shape.d[0];
    if (got != x->d[a->axis]) {
      return op_fail(n, d, "input %u has %lld elements, want %lld, one per channel", (unsigned)i,
                     (long long)got, (long long)x->d[a->axis]);
    }
  }
  return op_set(g, n, DT_F32, x, d);
}

/* -- int8 alone: floats are compositions (ir/compose/norm.c) -- */

/* The output has the quantization that TFLite gives it, where none is set. */
static bool infer_innermost(Graph *g, const Node *n, int64_t most, float scale, int32_t zero, Diag *d) {
  const Value *x = op_in(g, n, 0);
  TRY(op_want_dtype(g, n, 0, DT_I8, d));
  if (x->shape.rank < 1) return op_fail(n, d, "input 0 is a scalar, want at least one dimension");
  const int64_t extent = x->shape.d[x->shape.rank - 1];
  if (extent == DIM_BATCH) return op_fail_batch(n, d, "a sum over axis 0");
  if (extent > most)
    return op_fail(n, d, "%lld elements, want at most %lld: sums have 32 bits", (long long)extent,
                   (long long)most);
  if (x->quant.n > 1) return op_fail(n, d, "input is quantized per axis, want one scale");
  TRY(op_set(g, n, DT_I8, &x->shape, d));
  if (op_out(g, n, 0)->quant.n == 0) graph_set_quant(g, n->out[0], 1, 0, &scale, &zero);
  return true;
}

bool infer_log_softmax(Graph *g, Node *n, Diag *d) { return infer_innermost(g, n, 4095, 1.0f / 16, 127, d); }
bool infer_l2_normalization(Graph *g, Node *n, Diag *d) {
  return infer_innermost(g, n, 33000, 1.0f / 128, 0, d);
}
