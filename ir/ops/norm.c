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
