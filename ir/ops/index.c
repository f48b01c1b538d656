/* GatherElements, GatherND, ScatterElements, ScatterND, TopK: elements by indices that may be computed.
 *
 * Indices are i32 or i64, below 0 from the end of their axis. A kernel takes the nearest place for one outside (Gather;
 * constant ones are refused here), or passes the update over (Scatter). Semantics: ONNX, opsets 11 to 24.
 */
#include "ir/ops/ops.h"

static bool want_indices(const Graph *g, const Node *n, uint32_t i, Diag *d) {
  DType t = op_in(g, n, i)->dtype;
  return t == DT_I32 || t == DT_I64 ||
         op_fail(n, d, "input %u is %s, want i32 or i64 indices", (unsigned)i, dtype_name(t));
}

static bool want_axis(const Node *n, int axis, const Shape *s, Diag *d) {
  if (axis < 0 || axis >= s->rank) return op_fail(n, d, "axis is %d, want 0 .. %d", axis, (int)s->rank - 1);
  return s->d[axis] != DIM_BATCH || op_fail_batch(n, d, "picking along axis 0");
}

/* Constant indices of input 1: number i lies in an axis of dims[i % count]. */
static bool check_indices(const Graph *g, const Node *n, const int64_t *dims, int64_t count, Diag *d) {
  const Value *v = op_in(g, n, 1);
  if (!v->blob || count == 0) return true;
  const void *p = val_data(g, n->in[1]);
  for (int64_t i = 0; i < shape_count(&v->shape); i++) {
    int64_t k = v->dtype == DT_I64 ? ((const int64_t *)p)[i] : ((const int32_t *)p)[i], len = dims[i % count];
    if (len != DIM_BATCH && (k < -len || k >= len))
      return op_fail(n, d, "index %lld is %lld, want %lld .. %lld", (long long)i, (long long)k,
                     (long long)-len, (long long)len - 1);
  }
  return true;
}

/* The indices' shape fits that of x but for the axis. */
static bool indices_beside(const Node *n, const Shape *x, const Shape *idx, int axis, Diag *d) {
  bool fits = x->rank == idx->rank;
  for (int i = 0; fits && i < x->rank; i++)
    fits = i == axis ||
           (idx->d[i] != DIM_BATCH && x->d[i] != DIM_BATCH ? idx->d[i] <= x->d[i] : idx->d[i] == x->d[i]);
  char tx[SHAPE_TEXT], ti[SHAPE_TEXT];
  shape_format(x, tx, sizeof tx);
  shape_format(idx, ti, sizeof ti);
  return fits || op_fail(n, d, "indices %s do not fit %s, want extents that are no larger but for axis %d",
                         ti, tx, axis);
}

bool infer_gather_elements(Graph *g, Node *n, Diag *d) {
  int axis = CATTRS(n, gather_elements)->axis;
  const Value *x = op_in(g, n, 0), *idx = op_in(g, n, 1);
  TRY(want_axis(n, axis, &x->shape, d));
  TRY(want_indices(g, n, 1, d));
  TRY(indices_beside(n, &x->shape, &idx->shape, axis, d));
  TRY(check_indices(g, n, &x->shape.d[axis], 1, d));
  TRY(op_set(g, n, x->dtype, &idx->shape, d));
  return op_same_quant(g, n, -1, d);
}

/* The last axis of the indices holds tuples for axes from .. of x. */
static bool want_tuples(const Node *n, const Shape *x, const Shape *idx, int from, int64_t *depth, Diag *d) {
  *depth = idx->rank > 0 ? idx->d[idx->rank - 1] : 0;
  if (idx->rank < 1 || *depth < 0 || *depth > x->rank - from)
    return op_fail(n, d, "indices name %lld axes, want at most %d", (long long)*depth, (int)x->rank - from);
  for (int64_t j = 0; j < *depth; j++)
    if (x->d[from + j] == DIM_BATCH) return op_fail_batch(n, d, "picking along axis 0");
  return true;
}

bool infer_gather_nd(Graph *g, Node *n, Diag *d) {
  int b = CATTRS(n, gather_nd)->batch_dims;
  const Value *x = op_in(g, n, 0), *idx = op_in(g, n, 1);
  Shape out = {0};
  int64_t depth;
  TRY(want_indices(g, n, 1, d));
  if (b < 0 || b >= idx->shape.rank || b > x->shape.rank)
    return op_fail(n, d, "batch_dims is %d, want 0 .. %d", b, (int)idx->shape.rank - 1);
  for (int i = 0; i < b; i++)
    if (x->shape.d[i] != idx->shape.d[i]) return op_fail(n, d, "inputs differ in batch axis %d", i);
  TRY(want_tuples(n, &x->shape, &idx->shape, b, &depth, d));
  int more = x->shape.rank - b - (int)depth;
  if (idx->shape.rank - 1 + more > MAX_RANK)
    return op_fail(n, d, "output has %d dimensions, want at most %d", (int)idx->shape.rank - 1 + more,
                   MAX_RANK);
  for (int i = 0; i < idx->shape.rank - 1; i++) out.d[out.rank++] = idx->shape.d[i];
  for (int i = x->shape.rank - more; i < x->shape.rank; i++) out.d[out.rank++] = x->shape.d[i];
  TRY(check_indices(g, n, &x->shape.d[b], depth, d));
  TRY(op_set(g, n, x->dtype, &out, d));
  return op_same_quant(g, n, -1, d);
}

/* x and updates are of one type that can be joined so; the batch is not symbolic, unless all three have it (`batch`). */
static bool want_updates(const Graph *g, const Node *n, int reduce, bool batch, Diag *d) {
  const Value *x = op_in(g, n, 0), *u = op_in(g, n, 2);
  TRY(op_want_dtype(g, n, 2, x->dtype, d));
  TRY(want_indices(g, n, 1, d));
  if (reduce < 0 || reduce > 4) return op_fail(n, d, "reduce is %d, want 0 .. 4", reduce);
  if (reduce > 0 && x->dtype != DT_F32 && x->dtype != DT_I32 && x->dtype != DT_I64)
    return op_fail(n, d, "elements are %s; want f32, i32 or i64 to join them", dtype_name(x->dtype));
  if (!quant_equal(&x->quant, &u->quant)) return op_fail(n, d, "x and updates are quantized differently");
  for (uint32_t i = 0; i < 3; i++)
    if (!batch && !shape_is_static(&op_in(g, n, i)->shape)) return op_fail_batch(n, d, "scattering into it");
  return true;
}

bool infer_scatter_elements(Graph *g, Node *n, Diag *d) {
  const scatter_elements_attrs *a = CATTRS(n, scatter_elements);
  const Value *x = op_in(g, n, 0), *idx = op_in(g, n, 1), *u = op_in(g, n, 2);
  bool batch = a->axis != 0; /* each item by itself */
  for (uint32_t i = 0; i < 3; i++) batch = batch && !shape_is_static(&op_in(g, n, i)->shape);
  TRY(want_updates(g, n, a->reduce, batch, d));
  TRY(want_axis(n, a->axis, &x->shape, d));
  TRY(indices_beside(n, &x->shape, &idx->shape, a->axis, d));
  if (!shape_equal(&idx->shape, &u->shape)) return op_fail(n, d, "updates and indices have different shapes");
  TRY(op_set(g, n, x->dtype, &x->shape, d));
  return op_same_quant(g, n, x->quant.axis, d);
}

bool infer_scatter_nd(Graph *g, Node *n, Diag *d) {
  const Value *x = op_in(g, n, 0), *idx = op_in(g, n, 1), *u = op_in(g, n, 2);
  int64_t depth;
  TRY(want_updates(g, n, CATTRS(n, scatter_nd)->reduce, false, d));
  TRY(want_tuples(n, &x->shape, &idx->shape, 0, &depth, d));
  Shape want = {0};
  int more = x->shape.rank - (int)depth;
  if (idx->shape.rank - 1 + more > MAX_RANK) return op_fail(n, d, "updates have too many dimensions");
  for (int i = 0; i < idx->shape.rank - 1; i++) want.d[want.rank++] = idx->shape.d[i];
  for (int i = x->shape.rank - more; i < x->shape.rank; i++) want.d[want.rank++] = x->shape.d[i];
  if (!shape_equal(&want, &u->shape)) {
    char got[SHAPE_TEXT], text[SHAPE_TEXT];
    shape_format(&u->shape, got, sizeof got);
    shape_format(&want, text, sizeof text);
    return op_fail(n, d, "updates are %s, want %s", got, text);
  }
  TRY(op_set(g, n, x->dtype, &x->shape, d));
  return op_same_quant(g, n, x->quant.axis, d);
}

bool infer_top_k(Graph *g, Node *n, Diag *d) {
  const top_k_attrs *a = CATTRS(n, top_k);
  const Value *x = op_in(g, n, 0);
  Shape out = x->shape;
  TRY(want_axis(n, a->axis, &x->shape, d));
  if (x->dtype != DT_F32 && x->dtype != DT_I32 && x->dtype != DT_I64)
    return op_fail(n, d, "input 0 is %s, want f32, i32 or i64", dtype_name(x->dtype));
  if (a->k < 0 || a->k > x->shape.d[a->axis] || (a->largest != 0 && a->largest != 1))
    return op_fail(n, d, "k is %d of %lld, largest %d", (int)a->k, (long long)x->shape.d[a->axis],
                   (int)a->largest);
  out.d[a->axis] = a->k;
  return op_set(g, n, DT_I64, &out, d);
}

/* Its kernel takes places as they are: from the begin alone. */
static bool check_places(const Graph *g, const Node *n, int64_t len, Diag *d) {
  const Value *v = op_in(g, n, 1);
  const int32_t *p = v->blob ? val_data(g, n->in[1]) : NULL;
  for (int64_t i = 0; p && i < shape_count(&v->shape); i++) {
    if (p[i] < 0 || p[i] >= len)
      return op_fail(n, d, "index %lld is %d, want 0 .. %lld", (long long)i, (int)p[i], (long long)len - 1);
  }
  return true;
}

bool infer_weighted_gather(Graph *g, Node *n, Diag *d) {
  int axis = CATTRS(n, weighted_gather)->axis;
  const Value *x = op_in(g, n, 0), *idx = op_in(g, n, 1), *w = op_in(g, n, 2), *b = op_in_opt(g, n, 3);
  Shape out = x->shape;
  TRY(op_want_dtype(g, n, 0, DT_F32, d));
  TRY(op_want_dtype(g, n, 1, DT_I32, d));
  TRY(op_want_dtype(g, n, 2, DT_F32, d));
  TRY(op_want_rank(g, n, 1, 2, d));
  TRY(want_axis(n, axis, &x->shape, d));
  if (!shape_equal(&idx->shape, &w->shape)) return op_fail(n, d, "index and weights have different shapes");
  if (b && (b->dtype != DT_F32 || b->shape.rank != 1 || b->shape.d[0] != w->shape.d[0]))
    return op_fail(n, d, "bias wants one f32 for each of the %lld output places", (long long)w->shape.d[0]);
  TRY(check_places(g, n, x->shape.d[axis], d));
  out.d[axis] = w->shape.d[0];
  return op_set(g, n, DT_F32, &out, d);
}
