/* Reshape, Transpose, Concat, Pad, Slice, Gather: operators that move elements and compute nothing.
 *
 * Any element type. Codes are moved as they are, so the output has the input's quantization (per axis: the axis
 * follows where it survives). The symbolic batch stays outermost and whole; what would cut, move, merge or repeat
 * it is refused.
 */
#include "ir/ops/ops.h"

/* The output axis that holds what the input's axis held: same extent, same number of elements before it; or -1. */
static int reshape_axis(const Shape *in, const Shape *out, int axis) {
  for (int j = 0; j < out->rank; j++) {
    if (out->d[j] == in->d[axis] && shape_count_range(out, 0, j) == shape_count_range(in, 0, axis)) return j;
  }
  return -1;
}

/* The symbolic batch: -1 stands first and the elements of one item stay together. */
static bool reshape_batch(const Node *n, const Shape *in, const Ints *to, Shape *out, Diag *d) {
  *out = (Shape){.rank = to->n};
  for (int i = 0; i < to->n; i++) {
    if ((to->v[i] == -1) != (i == 0)) return op_fail_batch(n, d, "a shape without the batch (-1) in front");
    out->d[i] = to->v[i];
  }
  if (to->n == 0) return op_fail_batch(n, d, "an empty shape");
  int64_t got = shape_count_range(in, 1, in->rank), want = shape_count_range(out, 1, out->rank);
  out->d[0] = DIM_BATCH;
  if (got != want) return op_fail_batch(n, d, "another number of elements per item");
  return true;
}

static bool reshape_static(const Node *n, const Shape *in, const Ints *to, Shape *out, Diag *d) {
  int64_t total = shape_count(in), known = 1;
  int hole = -1;
  *out = (Shape){.rank = to->n};
  for (int i = 0; i < to->n; i++) {
    out->d[i] = to->v[i];
    if (to->v[i] == -1)
      hole = i;
    else
      known *= to->v[i]; /* bounded by shape_valid before */
  }
  if (hole >= 0) out->d[hole] = known == 0 ? 0 : total / known;
  if (shape_count(out) == total && (hole < 0 || known != 0)) return true;
  char from[SHAPE_TEXT];
  shape_format(in, from, sizeof from);
  return op_fail(n, d, "%s has %lld elements, which do not fit the wanted shape's %lld", from,
                 (long long)total, (long long)known);
}

bool infer_reshape(Graph *g, Node *n, Diag *d) {
  const Value *x = op_in(g, n, 0);
  const Ints *to = &CATTRS(n, reshape)->shape;
  Shape out, bound = {.rank = to->n};
  int holes = 0;
  if (to->n > MAX_RANK)
    return op_fail(n, d, "shape has %d dimensions, want at most %d", (int)to->n, MAX_RANK);
  TRY(op_want_ints(n, to, "shape", to->n, -1, d));
  for (int i = 0; i < to->n; i++) {
    holes += to->v[i] == -1;
    bound.d[i] = to->v[i] == -1 ? 1 : to->v[i];
  }
  if (holes > 1) return op_fail(n, d, "shape has %d entries of -1, want at most one", holes);
  if (!shape_valid(&bound, x->dtype)) return op_fail(n, d, "shape is larger than the IR allows");
  TRY(shape_is_static(&x->shape) ? reshape_static(n, &x->shape, to, &out, d)
                                 : reshape_batch(n, &x->shape, to, &out, d));
  TRY(op_set(g, n, x->dtype, &out, d));
  return op_same_quant(g, n, x->quant.n > 1 ? reshape_axis(&x->shape, &out, x->quant.axis) : -1, d);
}

bool infer_transpose(Graph *g, Node *n, Diag *d) {
  const Value *x = op_in(g, n, 0);
  const Ints *perm = &CATTRS(n, transpose)->perm;
  Shape out = {.rank = x->shape.rank};
  unsigned seen = 0;
  int q_axis = -1;
  if (perm->n != x->shape.rank) {
    return op_fail(n, d, "perm has %d entries, want %d", (int)perm->n, (int)x->shape.rank);
  }
  for (int i = 0; i < perm->n; i++) {
    int64_t from = perm->v[i];
    if (from < 0 || from >= perm->n || (seen >> from & 1u)) {
      return op_fail(n, d, "perm[%d] is %lld, want each of 0 .. %d once", i, (long long)from,
                     (int)perm->n - 1);
    }
    seen |= 1u << from;
    out.d[i] = x->shape.d[from];
    if (from == x->quant.axis) q_axis = i;
  }
  TRY(op_set(g, n, x->dtype, &out, d));
  return op_same_quant(g, n, q_axis, d);
}

static bool concat_input(const Graph *g, const Node *n, uint32_t i, int axis, Shape *out, Diag *d) {
  const Value *x = op_in(g, n, 0), *y = op_in(g, n, i);
  char tx[SHAPE_TEXT], ty[SHAPE_TEXT];
  TRY(op_want_dtype(g, n, i, x->dtype, d));
  shape_format(&x->shape, tx, sizeof tx);
  shape_format(&y->shape, ty, sizeof ty);
  if (y->shape.rank != x->shape.rank) return op_fail(n, d, "input %u is %s beside %s", (unsigned)i, ty, tx);
  for (int k = 0; k < x->shape.rank; k++) {
    if (k == axis && (x->shape.d[k] == DIM_BATCH || y->shape.d[k] == DIM_BATCH)) {
      return op_fail_batch(n, d, "joining along axis 0");
    }
    if (k == axis)
      out->d[k] += y->shape.d[k];
    else if (y->shape.d[k] != x->shape.d[k]) {
      return op_fail(n, d, "input %u is %s beside %s, want the same extents but for axis %d", (unsigned)i, ty,
                     tx, axis);
    }
  }
  if (!quant_equal(&x->quant, &y->quant)) {
    return op_fail(
        n, d,
        "inputs 0 and %u are quantized differently, but it moves codes as they are; put a Quantize "
        "before it",
        (unsigned)i);
  }
  return true;
}

bool infer_concat(Graph *g, Node *n, Diag *d) {
  int axis = CATTRS(n, concat)->axis;
  const Value *x = op_in(g, n, 0);
  Shape out = x->shape;
  if (axis < 0 || axis >= x->shape.rank) {
    return op_fail(n, d, "axis is %d, want 0 .. %d", axis, (int)x->shape.rank - 1);
  }
  for (uint32_t i = 1; i < n->n_in; i++) TRY(concat_input(g, n, i, axis, &out, d));
  TRY(op_set(g, n, x->dtype, &out, d));
  return op_same_quant(g, n, x->quant.axis == axis && n->n_in > 1 ? -1 : x->quant.axis, d);
}

bool infer_pad(Graph *g, Node *n, Diag *d) {
  const Value *x = op_in(g, n, 0);
  const Ints *pads = &CATTRS(n, pad)->pads;
  int rank = x->shape.rank;
  Shape out = x->shape;
  bool q_whole = true;
  TRY(op_want_ints(n, pads, "pads", 2 * rank, 0, d));
  for (int i = 0; i < rank; i++) {
    int64_t more = pads->v[i] + pads->v[rank + i];
    if (more == 0) continue;
    if (x->shape.d[i] == DIM_BATCH) return op_fail_batch(n, d, "padding axis 0");
    out.d[i] += more;
    if (i == x->quant.axis) q_whole = false;
  }
  TRY(op_set(g, n, x->dtype, &out, d));
  return op_same_quant(g, n, q_whole ? x->quant.axis : -1, d);
}

/* One axis of a Slice: the extent of the output along it. */
static bool slice_axis(const Node *n, int axis, int64_t dim, int64_t *out, Diag *d) {
  const slice_attrs *a = CATTRS(n, slice);
  int64_t start = a->starts.v[axis], count = a->counts.v[axis], step = a->steps.v[axis];
  *out = dim;
  if (axis == 0 && count == -1 && start == 0 && step == 1) return true;
  if (dim == DIM_BATCH) return op_fail_batch(n, d, "a slice of axis 0");
  if (count < 0 || step == 0) {
    return op_fail(n, d, "axis %d: count %lld and step %lld, want count >= 0 and step not 0", axis,
                   (long long)count, (long long)step);
  }
  if (count > 0 &&
      (start < 0 || start >= dim || start + (count - 1) * step < 0 || start + (count - 1) * step >= dim)) {
    return op_fail(n, d, "axis %d: %lld elements from %lld in steps of %lld leave 0 .. %lld", axis,
                   (long long)count, (long long)start, (long long)step, (long long)dim - 1);
  }
  *out = count;
  return true;
}

bool infer_slice(Graph *g, Node *n, Diag *d) {
  const slice_attrs *a = CATTRS(n, slice);
  const Value *x = op_in(g, n, 0);
  int rank = x->shape.rank, q = x->quant.axis;
  Shape out = {.rank = rank};
  TRY(op_want_ints(n, &a->starts, "starts", rank, 0, d));
  TRY(op_want_ints(n, &a->counts, "counts", rank, -1, d));
  TRY(op_want_ints(n, &a->steps, "steps", rank, -(int64_t)INT32_MAX, d));
  for (int i = 0; i < rank; i++) TRY(slice_axis(n, i, x->shape.d[i], &out.d[i], d));
  TRY(op_set(g, n, x->dtype, &out, d));
  bool q_whole = x->quant.n <= 1 || (out.d[q] == x->shape.d[q] && a->starts.v[q] == 0);
  return op_same_quant(g, n, q_whole ? q : -1, d);
}

/* Indices that are constant are checked here; others count on the producer. */
static bool gather_indices(const Graph *g, const Node *n, int64_t len, Diag *d) {
  const Value *idx = op_in(g, n, 1);
  if (idx->blob == NULL) return true;
  const void *p = val_data(g, n->in[1]);
  for (int64_t i = 0; i < shape_count(&idx->shape); i++) {
    int64_t k = idx->dtype == DT_I64 ? ((const int64_t *)p)[i] : ((const int32_t *)p)[i];
    if (k < -len || k >= len) {
      return op_fail(n, d, "index %lld is %lld, want %lld .. %lld", (long long)i, (long long)k,
                     (long long)-len, (long long)len - 1);
    }
  }
  return true;
}

bool infer_gather(Graph *g, Node *n, Diag *d) {
  int axis = CATTRS(n, gather)->axis;
  const Value *x = op_in(g, n, 0), *idx = op_in(g, n, 1);
  Shape out = {0};
  if (axis < 0 || axis >= x->shape.rank) {
    return op_fail(n, d, "axis is %d, want 0 .. %d", axis, (int)x->shape.rank - 1);
  }
  if (idx->dtype != DT_I32 && idx->dtype != DT_I64) {
    return op_fail(n, d, "indices are %s, want i32 or i64", dtype_name(idx->dtype));
  }
  if (x->shape.d[axis] == DIM_BATCH) return op_fail_batch(n, d, "picking along axis 0");
  if (x->shape.rank - 1 + idx->shape.rank > MAX_RANK) {
    return op_fail(n, d, "output has %d dimensions, want at most %d",
                   (int)(x->shape.rank - 1 + idx->shape.rank), MAX_RANK);
  }
  for (int i = 0; i < axis; i++) out.d[out.rank++] = x->shape.d[i];
  for (int i = 0; i < idx->shape.rank; i++) out.d[out.rank++] = idx->shape.d[i];
  for (int i = axis + 1; i < x->shape.rank; i++) out.d[out.rank++] = x->shape.d[i];
  TRY(gather_indices(g, n, x->shape.d[axis], d));
  TRY(op_set(g, n, x->dtype, &out, d));
  int q = x->quant.axis;
  return op_same_quant(g, n, q == axis ? -1 : q < axis ? q : q - 1 + idx->shape.rank, d);
}
