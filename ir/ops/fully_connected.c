/* FullyConnected and MatMul: products with a matrix.
 *
 *   FullyConnected   x [...,K] f32 | i8 | i16, w [O,K], bias [O] f32 | i32 | i64 -> y [...,O]   (TFLite FULLY_CONNECTED)
 *   MatMul           x [...,M,K] f32 | f64 | i64 | i8 | i16, y [...,K,P] as x -> [...,M,P], outer axes broadcast (ONNX MatMul, rank >= 2)
 *
 * int8 FullyConnected: weights per tensor (any zero point) or per output channel (zero points 0). The contracted
 * axis is never the symbolic batch.
 */
#include "ir/ops/ops.h"

bool infer_fully_connected(Graph *g, Node *n, Diag *d) {
  const Value *x = op_in(g, n, 0);
  TRY(op_want_rank(g, n, 1, 2, d));
  const Shape *w = &op_in(g, n, 1)->shape;
  if (x->shape.rank < 1) return op_fail(n, d, "input 0 is a scalar, want [...,K]");
  int64_t k = x->shape.d[x->shape.rank - 1];
  if (k == DIM_BATCH || w->d[1] == DIM_BATCH) return op_fail_batch(n, d, "a sum over axis 0");
  if (k != w->d[1]) {
    return op_fail(n, d, "input has %lld features, weights want %lld", (long long)k, (long long)w->d[1]);
  }
  TRY(op_weights_dtype(g, n, w->d[0], d));
  DType t;
  int32_t rounding = CATTRS(n, fully_connected)->rounding;
  TRY(op_rounding(n, x->dtype, rounding, CATTRS(n, fully_connected)->act, &t, d));
  Shape out = x->shape;
  out.d[out.rank - 1] = w->d[0];
  TRY(op_set(g, n, t, &out, d));
  return op_weights_quant(g, n, 0, false, rounding == ROUND_TFLITE || rounding == ROUND_ONCE, d);
}

bool infer_matmul(Graph *g, Node *n, Diag *d) {
  DType t;
  int32_t rounding = CATTRS(n, matmul)->rounding;
  if (op_in(g, n, 0)->dtype != DT_I64 && op_in(g, n, 0)->dtype != DT_F64) TRY(op_want_real(g, n, 0, d));
  TRY(op_want_dtype(g, n, 1, op_in(g, n, 0)->dtype, d));
  TRY(op_rounding(n, op_in(g, n, 0)->dtype, rounding, ACT_NONE, &t, d));
  if (rounding == ROUND_ONCE)
    return op_fail(n, d, "rounding is 3, want TFLite's (0), ONNX's (1), or none (2)");
  if (op_in(g, n, 0)->quant.n > 1 || op_in(g, n, 1)->quant.n > 1)
    return op_fail(n, d, "a factor is quantized per axis, want one scale");
  const Shape *x = &op_in(g, n, 0)->shape, *y = &op_in(g, n, 1)->shape;
  if (x->rank < 2 || y->rank < 2) return op_fail(n, d, "inputs want at least 2 dimensions");
  int64_t kx = x->d[x->rank - 1], ky = y->d[y->rank - 2];
  if (kx == DIM_BATCH || ky == DIM_BATCH) return op_fail_batch(n, d, "a sum over axis 0");
  if (kx != ky) {
    return op_fail(n, d, "input 0 has %lld columns, input 1 has %lld rows, want as many", (long long)kx,
                   (long long)ky);
  }
  Shape ox = *x, oy = *y, out = {0};
  ox.rank -= 2;
  oy.rank -= 2;
  TRY(op_broadcast(n, &ox, &oy, &out, d));
  out.d[out.rank++] = x->d[x->rank - 2];
  out.d[out.rank++] = y->d[y->rank - 1];
  return op_set(g, n, t, &out, d);
}
