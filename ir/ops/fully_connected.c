/* FullyConnected and MatMul: products with a matrix.
 *
 *   FullyConnected   x [...,K] f32 | i8, w [O,K], bias [O] f32 | i32 -> y [...,O]   (TFLite FULLY_CONNECTED)
 *   MatMul           x [...,M,K] f32, y [...,K,P] f32 -> [...,M,P], outer axes broadcast (ONNX MatMul, rank >= 2)
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
  TRY(op_want_act(n, CATTRS(n, fully_connected)->act, x->dtype, d));
  Shape out = x->shape;
  out.d[out.rank - 1] = w->d[0];
  TRY(op_set(g, n, x->dtype, &out, d));
  return op_weights_quant(g, n, 0, false, d);
}

bool infer_matmul(Graph *g, Node *n, Diag *d) {
  TRY(op_want_dtype(g, n, 0, DT_F32, d));
  TRY(op_want_dtype(g, n, 1, DT_F32, d));
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
  return op_set(g, n, DT_F32, &out, d);
}
