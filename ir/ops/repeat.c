/* Expand and Trilu: elements repeated, elements blanked. Any element type; codes are moved as they are.
 *
 *   Expand  x [..], shape [..]: each axis of x, aligned at the end, has the shape's extent or 1
 *   Trilu   x [..,M,P]; zeros are codes of 0, so a quantized x is refused unless its zero point is 0
 */
#include "ir/ops/ops.h"

bool infer_expand(Graph *g, Node *n, Diag *d) {
  const Ints *to = &CATTRS(n, expand)->shape;
  const Value *x = op_in(g, n, 0);
  Shape out = {.rank = to->n};
  int lead = to->n - x->shape.rank;
  if (to->n > MAX_RANK || lead < 0)
    return op_fail(n, d, "shape has %d dimensions, want %d to %d", (int)to->n, (int)x->shape.rank, MAX_RANK);
  TRY(op_want_ints(n, to, "shape", to->n, -1, d));
  for (int i = 0; i < to->n; i++) {
    int64_t have = i < lead ? 1 : x->shape.d[i - lead], want = to->v[i] == -1 ? have : to->v[i];
    if (have == DIM_BATCH && to->v[i] != -1) return op_fail_batch(n, d, "an extent in place of it");
    if (have != want && have != 1)
      return op_fail(n, d, "shape[%d] is %lld, but x has %lld there", i, (long long)want, (long long)have);
    out.d[i] = want;
  }
  TRY(op_set(g, n, x->dtype, &out, d));
  int q = x->quant.axis + lead;
  return op_same_quant(g, n, x->quant.n > 1 && out.d[q] == x->quant.n ? q : -1, d);
}

bool infer_trilu(Graph *g, Node *n, Diag *d) {
  const Value *x = op_in(g, n, 0);
  const trilu_attrs *a = CATTRS(n, trilu);
  if (x->shape.rank < 2) return op_fail(n, d, "input wants at least 2 dimensions");
  if (x->shape.rank == 2 && x->shape.d[0] == DIM_BATCH) return op_fail_batch(n, d, "a triangle across it");
  if (a->upper != 0 && a->upper != 1) return op_fail(n, d, "upper is %d, want 0 or 1", (int)a->upper);
  for (int i = 0; i < x->quant.n; i++) {
    if (x->quant.zero[i] != 0) return op_fail(n, d, "input has zero point %d, want 0", (int)x->quant.zero[i]);
  }
  TRY(op_set(g, n, x->dtype, &x->shape, d));
  return op_same_quant(g, n, x->quant.axis, d);
}
