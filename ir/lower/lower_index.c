/* Lowering of the operators that read indices (GatherElements to WeightedGather), and of Expand and Trilu.
 *
 * Expand is a strided copy with strides of 0. Axes of GatherElements and ScatterElements merge where they can, but never
 * with the indexed one, so that the kernels' MF_MAX_DIMS suffice for most tensors of rank 8.
 */
#include <string.h>

#include "ir/lower/lower_util.h"

static int32_t elem_of(const Graph *g, ValId v) { return (int32_t)dtype_size(graph_val(g, v)->dtype); }

/* All of a value as one row. */
static CallView whole(const Graph *g, ValId v) { return (CallView){v, 0, (int64_t)val_bytes(g, v), 0}; }

static int32_t kernel_type(DType t) { return t == DT_F32 ? MF_F32 : t == DT_I32 ? MF_I32 : MF_I64; }

bool lower_expand(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const Shape *x = &op_in(g, n, 0)->shape, *y = &op_out(g, n, 0)->shape;
  Block b = {.from = n->in[0], .to = n->out[0], .rank = y->rank, .elem = elem_of(g, n->in[0])};
  int64_t src[MAX_RANK];
  dense_strides(x, b.elem, src);
  dense_strides(y, b.elem, b.dst);
  memcpy(b.dims, y->d, sizeof b.dims);
  for (int i = 0; i < y->rank; i++) {
    int from = i - (y->rank - x->rank);
    b.src[i] = from < 0 || x->d[from] == 1 ? 0 : src[from];
  }
  return lower_block(g, n, &b, out, d);
}

bool lower_trilu(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const trilu_attrs *a = CATTRS(n, trilu);
  const Shape *x = &op_in(g, n, 0)->shape;
  (void)d;
  if (shape_count(x) == 0) return true;
  const Rows r = {(int32_t)shape_count_range(x, 0, x->rank - 2), (int32_t)x->d[x->rank - 2],
                  (int32_t)x->d[x->rank - 1]};
  KernelCall *k = call_rows(g, n, out, "trilu", r);
  *(mf_trilu *)k->params = (mf_trilu){r.n, elem_of(g, n->in[0]), a->upper, a->k};
  return true;
}

/* -- indices along one axis -- */

/* dims of the indices and strides (bytes) of the data, axes merged on both sides of `axis`; its new place. */
typedef struct Axes {
  int rank, axis;
  int64_t dims[MAX_RANK], data[MAX_RANK];
} Axes;

static bool index_axes(const Node *n, const Shape *idx, const Shape *x, int axis, int32_t elem, Axes *a,
                       Diag *d) {
  int64_t dense[MAX_RANK], full[MAX_RANK], *const strides[2] = {full, dense};
  int after = idx->rank, before = axis + 1;
  dense_strides(x, elem, full);
  dense_strides(idx, elem, dense);
  memcpy(a->dims, idx->d, sizeof a->dims);
  merge_axes(axis + 1, &after, a->dims, strides, 2);
  int64_t tail[MAX_RANK], tail_data[MAX_RANK], len = a->dims[axis], step = full[axis];
  int n_tail = after - axis - 1;
  for (int i = 0; i < n_tail; i++) {
    tail[i] = a->dims[axis + 1 + i];
    tail_data[i] = full[axis + 1 + i];
  }
  before = axis;
  merge_axes(0, &before, a->dims, strides, 2);
  a->axis = before;
  a->rank = before + 1 + n_tail;
  memcpy(a->data, full, sizeof full);
  a->dims[before] = len;
  a->data[before] = step;
  for (int i = 0; i < n_tail; i++) {
    a->dims[before + 1 + i] = tail[i];
    a->data[before + 1 + i] = tail_data[i];
  }
  return a->rank <= MF_MAX_DIMS || op_fail(n, d, "picks elements along more than %d axes", MF_MAX_DIMS);
}

bool lower_gather_elements(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const int axis = CATTRS(n, gather_elements)->axis;
  const Value *x = op_in(g, n, 0), *idx = op_in(g, n, 1);
  int32_t elem = elem_of(g, n->in[0]);
  Axes a;
  if (shape_count(&idx->shape) == 0) return true;
  if (x->shape.d[axis] == 0) return op_fail(n, d, "axis %d of input 0 is empty", axis);
  TRY(index_axes(n, &idx->shape, &x->shape, axis, elem, &a, d));
  KernelCall *k = calls_add(out, "gather_elements", node_id(g, n));
  mf_gather_elements *p = k->params;
  *p = (mf_gather_elements){.rank = a.rank,
                            .elem = elem,
                            .axis = a.axis,
                            .axis_len = (int32_t)x->shape.d[axis],
                            .index_bytes = elem_of(g, n->in[1])};
  int64_t row = 1;
  for (int i = 0; i < a.rank; i++) {
    p->dims[i] = (int32_t)a.dims[i];
    p->src[i] = (int32_t)a.data[i];
    if (i > 0) row *= a.dims[i];
  }
  k->in[0] = whole(g, n->in[0]);
  k->in[1] = (CallView){n->in[1], 0, row * p->index_bytes, 0};
  k->out = (CallView){n->out[0], 0, row * elem, 0};
  k->n_in = 2;
  k->rows = p->dims[0];
  return true;
}

bool lower_scatter_elements(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const scatter_elements_attrs *s = CATTRS(n, scatter_elements);
  const Value *x = op_in(g, n, 0), *idx = op_in(g, n, 1);
  int32_t elem = elem_of(g, n->in[0]);
  Axes a;
  if (shape_count(&x->shape) == 0) return true;
  TRY(index_axes(n, &idx->shape, &x->shape, s->axis, elem, &a, d));
  KernelCall *k = calls_add(out, "scatter_elements", node_id(g, n));
  mf_scatter_elements *p = k->params;
  *p = (mf_scatter_elements){.total = (int32_t)val_bytes(g, n->in[0]),
                             .elem = elem,
                             .type = kernel_type(x->dtype),
                             .reduce = s->reduce,
                             .index_bytes = elem_of(g, n->in[1]),
                             .rank = a.rank,
                             .axis = a.axis,
                             .axis_len = (int32_t)x->shape.d[s->axis]};
  for (int i = 0; i < a.rank; i++) {
    p->dims[i] = (int32_t)a.dims[i];
    p->dst[i] = (int32_t)a.data[i];
  }
  for (int i = 0; i < 3; i++) k->in[i] = whole(g, n->in[i]);
  k->out = whole(g, n->out[0]);
  k->n_in = 3;
  k->rows = 1;
  return true;
}

/* -- tuples of indices -- */

/* Extents and strides in bytes of the axes from `from` on that a tuple names. */
static bool tuple_axes(const Node *n, const Shape *x, int from, int64_t depth, int32_t elem, int32_t *dims,
                       int32_t *stride, Diag *d) {
  int64_t dense[MAX_RANK];
  if (depth > MF_MAX_DIMS) return op_fail(n, d, "indices name more than %d axes", MF_MAX_DIMS);
  dense_strides(x, elem, dense);
  for (int64_t j = 0; j < depth; j++) {
    dims[j] = (int32_t)x->d[from + j];
    stride[j] = (int32_t)dense[from + j];
    if (dims[j] == 0) return op_fail(n, d, "axis %d of input 0 is empty", from + (int)j);
  }
  return true;
}

bool lower_gather_nd(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const int b = CATTRS(n, gather_nd)->batch_dims;
  const Value *x = op_in(g, n, 0), *idx = op_in(g, n, 1), *y = op_out(g, n, 0);
  int32_t elem = elem_of(g, n->in[0]);
  int64_t depth = idx->shape.d[idx->shape.rank - 1],
          rows = shape_count_range(&idx->shape, 0, idx->shape.rank - 1);
  mf_gather_nd q = {.count = (int32_t)shape_count_range(&idx->shape, b, idx->shape.rank - 1),
                    .depth = (int32_t)depth,
                    .index_bytes = elem_of(g, n->in[1])};
  if (shape_count(&y->shape) == 0) return true;
  TRY(tuple_axes(n, &x->shape, b, depth, elem, q.dims, q.stride, d));
  q.block = (int32_t)shape_count_range(&x->shape, b + (int)depth, x->shape.rank) * elem;
  q.table = (int32_t)shape_count_range(&x->shape, b, x->shape.rank) * elem;
  KernelCall *k = calls_add(out, "gather_nd", node_id(g, n));
  *(mf_gather_nd *)k->params = q;
  k->in[0] = whole(g, n->in[0]);
  k->in[1] = whole(g, n->in[1]);
  k->out = (CallView){n->out[0], 0, q.block, 0};
  k->n_in = 2;
  k->rows = (int32_t)rows;
  return true;
}

bool lower_scatter_nd(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const Value *x = op_in(g, n, 0), *idx = op_in(g, n, 1);
  int32_t elem = elem_of(g, n->in[0]);
  int64_t depth = idx->shape.d[idx->shape.rank - 1];
  mf_scatter_nd q = {.total = (int32_t)val_bytes(g, n->in[0]),
                     .elem = elem,
                     .type = kernel_type(x->dtype),
                     .reduce = CATTRS(n, scatter_nd)->reduce,
                     .index_bytes = elem_of(g, n->in[1]),
                     .count = (int32_t)shape_count_range(&idx->shape, 0, idx->shape.rank - 1),
                     .depth = (int32_t)depth,
                     .block = (int32_t)shape_count_range(&x->shape, (int)depth, x->shape.rank)};
  if (shape_count(&x->shape) == 0) return true;
  TRY(tuple_axes(n, &x->shape, 0, depth, elem, q.dims, q.stride, d));
  KernelCall *k = calls_add(out, "scatter_nd", node_id(g, n));
  *(mf_scatter_nd *)k->params = q;
  for (int i = 0; i < 3; i++) k->in[i] = whole(g, n->in[i]);
  k->out = whole(g, n->out[0]);
  k->n_in = 3;
  k->rows = 1;
  return true;
}

/* -- along one axis -- */

bool lower_top_k(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const top_k_attrs *a = CATTRS(n, top_k);
  const Value *x = op_in(g, n, 0), *y = op_out(g, n, 0);
  (void)d;
  if (shape_count(&y->shape) == 0) return true;
  KernelCall *k = calls_add(out, "top_k", node_id(g, n));
  *(mf_top_k *)k->params =
      (mf_top_k){.n = (int32_t)x->shape.d[a->axis],
                 .k = a->k,
                 .inner = (int32_t)shape_count_range(&x->shape, a->axis + 1, x->shape.rank),
                 .largest = a->largest,
                 .type = kernel_type(x->dtype)};
  k->in[0] = view_rows(g, n->in[0], rows_before(&x->shape, a->axis));
  k->out = view_rows(g, n->out[0], rows_before(&y->shape, a->axis));
  k->n_in = 1;
  k->rows = rows_before(&x->shape, a->axis).rows;
  return true;
}

bool lower_weighted_gather(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const int axis = CATTRS(n, weighted_gather)->axis;
  const Value *x = op_in(g, n, 0), *w = op_in(g, n, 2), *y = op_out(g, n, 0);
  for (uint32_t i = 1; i < n->n_in; i++)
    if (n->in[i] != NO_VAL) TRY(want_const(g, n, i, d));
  if (shape_count(&y->shape) == 0) return true;
  if (x->shape.d[axis] == 0) return op_fail(n, d, "axis %d of input 0 is empty", axis);
  KernelCall *k = calls_add(out, "weighted_gather_f32", node_id(g, n));
  mf_weighted_gather *p = k->params;
  p->in_len = (int32_t)x->shape.d[axis];
  p->out_len = (int32_t)w->shape.d[0];
  p->taps = (int32_t)w->shape.d[1];
  p->inner = (int32_t)shape_count_range(&x->shape, axis + 1, x->shape.rank);
  call_const(k, "index", val_data(g, n->in[1]), shape_count(&w->shape), n->in[1]);
  call_const(k, "weight", val_data(g, n->in[2]), shape_count(&w->shape), n->in[2]);
  if (op_in_opt(g, n, 3)) call_const(k, "bias", val_data(g, n->in[3]), p->out_len, n->in[3]);
  k->in[0] = view_rows(g, n->in[0], rows_before(&x->shape, axis));
  k->out = view_rows(g, n->out[0], rows_before(&y->shape, axis));
  k->n_in = 1;
  k->rows = rows_before(&x->shape, axis).rows;
  return true;
}
