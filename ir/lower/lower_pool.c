/* Lowering of MaxPool, AveragePool (rows are lines, the batch a loop outside) and ReduceMean (any axes).
 *
 * ReduceMean's axes are simplified first: neighbours that are both kept or both reduced merge. int8: 1 / count goes into
 * the multiplier as in TFLite's QuantizedMeanOrSum.
 */
#include "ir/lower/lower_util.h"

static mf_window pool_window(const Shape *x, const Shape *y, const Ints *kernel, const Ints *strides,
                             const Ints *pads) {
  return (mf_window){.in_h = (int32_t)x->d[1],
                     .in_w = (int32_t)x->d[2],
                     .in_c = (int32_t)x->d[3],
                     .out_h = (int32_t)y->d[1],
                     .out_w = (int32_t)y->d[2],
                     .out_c = (int32_t)y->d[3],
                     .k_h = (int32_t)kernel->v[0],
                     .k_w = (int32_t)kernel->v[1],
                     .stride_h = (int32_t)strides->v[0],
                     .stride_w = (int32_t)strides->v[1],
                     .pad_top = (int32_t)pads->v[0],
                     .pad_left = (int32_t)pads->v[1],
                     .dil_h = 1,
                     .dil_w = 1};
}

typedef struct PoolCall {
  const char *f32, *s8;
  mf_window window;
  int32_t count_include_pad;
  Act act;
} PoolCall;

static bool lower_any_pool(const Graph *g, const Node *n, const PoolCall *c, Calls *out, Diag *d) {
  const Value *x = op_in(g, n, 0), *y = op_out(g, n, 0);
  bool s8 = x->dtype == DT_I8;
  if (s8) TRY(want_quant(g, n, 1, d));
  if (shape_count(&y->shape) == 0) return true;
  KernelCall *k = calls_add(out, s8 ? c->s8 : c->f32, node_id(g, n));
  k->in[0] = view_rows(g, n->in[0], rows_of(&x->shape));
  k->out = view_rows(g, n->out[0], rows_of(&y->shape));
  k->n_in = 1;
  k->rows = (int32_t)y->shape.d[1];
  k->batch = (int32_t)y->shape.d[0];
  if (s8) {
    mf_pool_s8 *p = k->params;
    p->g = c->window;
    act_range_s8(c->act, scale_of(y), zero_of(y), &p->lo, &p->hi);
  } else {
    mf_pool_f32 *p = k->params;
    p->g = c->window;
    p->count_include_pad = c->count_include_pad;
    act_range_f32(c->act, &p->lo, &p->hi);
  }
  return true;
}

bool lower_max_pool(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const max_pool_attrs *a = CATTRS(n, max_pool);
  const Shape *x = &op_in(g, n, 0)->shape, *y = &op_out(g, n, 0)->shape;
  const PoolCall c = {.f32 = "max_pool_f32",
                      .s8 = "max_pool_s8",
                      .window = pool_window(x, y, &a->kernel, &a->strides, &a->pads),
                      .act = (Act)a->act};
  return lower_any_pool(g, n, &c, out, d);
}

bool lower_average_pool(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const average_pool_attrs *a = CATTRS(n, average_pool);
  const Shape *x = &op_in(g, n, 0)->shape, *y = &op_out(g, n, 0)->shape;
  bool padded = a->pads.v[0] || a->pads.v[1] || a->pads.v[2] || a->pads.v[3];
  const PoolCall c = {.f32 = "avg_pool_f32",
                      .s8 = "avg_pool_s8",
                      .window = pool_window(x, y, &a->kernel, &a->strides, &a->pads),
                      .count_include_pad = a->count_include_pad,
                      .act = (Act)a->act};
  if (a->count_include_pad && padded && op_in(g, n, 0)->dtype == DT_I8) {
    return op_fail(n, d, "int8 with count_include_pad has no reference; compute it in float32");
  }
  return lower_any_pool(g, n, &c, out, d);
}

/* The axes of a ReduceMean from `first` on, kept or reduced, merged. Strides in elements. */
typedef struct MeanAxes {
  int rank;
  int64_t dims[MAX_RANK], stride[MAX_RANK];
} MeanAxes;

static void mean_axis(MeanAxes *m, int64_t dim, int64_t stride, bool joins) {
  if (joins) {
    m->dims[m->rank - 1] *= dim;
    m->stride[m->rank - 1] = stride;
  } else {
    m->dims[m->rank] = dim;
    m->stride[m->rank++] = stride;
  }
}

static void mean_split(const Shape *x, const Ints *axes, int first, MeanAxes *kept, MeanAxes *reduced) {
  int64_t stride[MAX_RANK];
  int last = 0; /* 1: the last axis was kept, 2: reduced */
  dense_strides(x, 1, stride);
  *kept = *reduced = (MeanAxes){0};
  for (int i = first; i < x->rank; i++) {
    bool is_reduced = false;
    for (int k = 0; k < axes->n; k++) is_reduced |= axes->v[k] == i;
    mean_axis(is_reduced ? reduced : kept, x->d[i], stride[i], last == (is_reduced ? 2 : 1));
    last = is_reduced ? 2 : 1;
  }
}

static void mean_multiplier(const Value *x, const Value *y, bool once, mf_mean *p) {
  int log2 = 0;
  p->in_zero = zero_of(x);
  p->out_zero = zero_of(y);
  if (once) {
    quantize_multiplier_once((double)scale_of(x) / (double)scale_of(y) / p->count, &p->mult, &p->shift);
    return;
  }
  quantize_multiplier((double)scale_of(x) / (double)scale_of(y), &p->mult, &p->shift);
  while (p->count >> (log2 + 1)) log2++;
  if (log2 > 31 + p->shift) log2 = 31 + p->shift;
  p->mult = (int32_t)(((int64_t)p->mult << log2) / p->count);
  p->shift -= log2;
}

bool lower_reduce_mean(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const Value *x = op_in(g, n, 0), *y = op_out(g, n, 0);
  const Ints *axes = &CATTRS(n, reduce_mean)->axes;
  bool s8 = x->dtype == DT_I8, batched = x->shape.rank >= 3 && axes->v[0] != 0;
  int32_t elem = (int32_t)dtype_size(x->dtype);
  MeanAxes kept, reduced;
  if (s8) TRY(want_quant(g, n, 1, d));
  if (shape_count(&y->shape) == 0) return true;
  mean_split(&x->shape, axes, batched ? 1 : 0, &kept, &reduced);
  if (kept.rank < 2) { /* one row in front */
    kept = (MeanAxes){kept.rank + 1, {1, kept.dims[0]}, {0, kept.stride[0]}};
  }
  KernelCall *k = calls_add(out, s8 ? "mean_s8" : "mean_f32", node_id(g, n));
  mf_mean *p = k->params;
  p->rank = kept.rank;
  p->rrank = reduced.rank;
  p->count = 1;
  int64_t row = elem;
  for (int i = 0; i < kept.rank; i++) {
    p->dims[i] = (int32_t)kept.dims[i];
    p->src[i] = (int32_t)kept.stride[i];
    if (i > 0) row *= kept.dims[i];
  }
  for (int i = 0; i < reduced.rank; i++) {
    p->rdims[i] = (int32_t)reduced.dims[i];
    p->rsrc[i] = (int32_t)reduced.stride[i];
    p->count *= p->rdims[i];
  }
  k->rows = p->dims[0];
  k->batch = batched ? (int32_t)x->shape.d[0] : 1;
  k->in[0] = (CallView){n->in[0], 0, kept.stride[0] * elem, shape_count(&x->shape) / k->batch * elem};
  k->out = (CallView){n->out[0], 0, row, row * k->rows};
  k->n_in = 1;
  if (s8) mean_multiplier(x, y, CATTRS(n, reduce_mean)->rounding == ROUND_ONCE, p);
  return true;
}
