/* Lowering of the reductions (any axes), ArgMax, ArgMin and CumSum (one axis).
 *
 * Axes are simplified first: neighbours that are both kept or both reduced merge. int8 and int16 ReduceMean: 1 / count goes into
 * the multiplier as in TFLite's QuantizedMeanOrSum.
 */
#include "ir/lower/lower_util.h"

/* The axes of a reduction from `first` on, kept or reduced, merged. Strides in elements. */
typedef struct ReduceAxes {
  int rank;
  int64_t dims[MAX_RANK], stride[MAX_RANK];
} ReduceAxes;

static void reduce_axis(ReduceAxes *m, int64_t dim, int64_t stride, bool joins) {
  if (joins) {
    m->dims[m->rank - 1] *= dim;
    m->stride[m->rank - 1] = stride;
  } else {
    m->dims[m->rank] = dim;
    m->stride[m->rank++] = stride;
  }
}

static void reduce_split(const Shape *x, const Ints *axes, int first, ReduceAxes *kept, ReduceAxes *reduced) {
  int64_t stride[MAX_RANK];
  int last = 0; /* 1: the last axis was kept, 2: reduced */
  dense_strides(x, 1, stride);
  *kept = *reduced = (ReduceAxes){0};
  for (int i = first; i < x->rank; i++) {
    bool is_reduced = false;
    for (int k = 0; k < axes->n; k++) is_reduced |= axes->v[k] == i;
    reduce_axis(is_reduced ? reduced : kept, x->d[i], stride[i], last == (is_reduced ? 2 : 1));
    last = is_reduced ? 2 : 1;
  }
}

/* The call; NULL where there is nothing to compute. */
static KernelCall *reduce_call(const Graph *g, const Node *n, const char *kernel, const Ints *axes,
                               Calls *out) {
  const Value *x = op_in(g, n, 0), *y = op_out(g, n, 0);
  const bool batched = x->shape.rank >= 3 && axes->n > 0 && axes->v[0] != 0;
  const int32_t elem = (int32_t)dtype_size(x->dtype);
  ReduceAxes kept, reduced;
  if (shape_count(&y->shape) == 0) return NULL;
  reduce_split(&x->shape, axes, batched ? 1 : 0, &kept, &reduced);
  if (kept.rank < 2) { /* one row in front */
    kept = (ReduceAxes){kept.rank + 1, {1, kept.dims[0]}, {0, kept.stride[0]}};
  }
  KernelCall *k = calls_add(out, kernel, node_id(g, n));
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
  return k;
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
  const DType t = op_in(g, n, 0)->dtype;
  const bool codes = dtype_is_code(t);
  if (codes) TRY(want_codes(g, n, 1, d));
  const char *kernel = t == DT_I8 ? "mean_s8" : t == DT_I16 ? "mean_s16" : "mean_f32";
  KernelCall *k = reduce_call(g, n, kernel, &CATTRS(n, reduce_mean)->axes, out);
  if (k != NULL && codes)
    mean_multiplier(op_in(g, n, 0), op_out(g, n, 0), CATTRS(n, reduce_mean)->rounding == ROUND_ONCE,
                    k->params);
  return true;
}

/* Kernel "NAME_DTYPE"; `bits`: u64 computes as i64. */
static bool lower_reduction(const Graph *g, const Node *n, const char *name, bool bits, const Ints *axes,
                            Calls *out) {
  const DType t = op_in(g, n, 0)->dtype;
  const char *suffix = kernel_suffix(bits && t == DT_U64 ? DT_I64 : t);
  (void)reduce_call(g, n, arena_printf(out->arena, "%s_%s", name, suffix), axes, out);
  return true;
}

/* The mean's kernel, without the division (QuantizedMeanOrSum). */
static bool lower_sum_s8(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const Value *x = op_in(g, n, 0), *y = op_out(g, n, 0);
  TRY(want_quant(g, n, 1, d));
  KernelCall *k = reduce_call(g, n, "mean_s8", &CATTRS(n, reduce_sum)->axes, out);
  if (k == NULL) return true;
  mf_mean *p = k->params;
  p->in_zero = zero_of(x);
  p->out_zero = zero_of(y);
  quantize_multiplier((double)scale_of(x) / (double)scale_of(y), &p->mult, &p->shift);
  return true;
}

bool lower_reduce_sum(const Graph *g, const Node *n, Calls *out, Diag *d) {
  if (op_in(g, n, 0)->dtype == DT_I8) return lower_sum_s8(g, n, out, d);
  return lower_reduction(g, n, "sum", true, &CATTRS(n, reduce_sum)->axes, out);
}

bool lower_reduce_prod(const Graph *g, const Node *n, Calls *out, Diag *d) {
  (void)d;
  return lower_reduction(g, n, "prod", true, &CATTRS(n, reduce_prod)->axes, out);
}

bool lower_reduce_sum_square(const Graph *g, const Node *n, Calls *out, Diag *d) {
  (void)d;
  return lower_reduction(g, n, "sum_square", true, &CATTRS(n, reduce_sum_square)->axes, out);
}

bool lower_reduce_max(const Graph *g, const Node *n, Calls *out, Diag *d) {
  (void)d;
  return lower_reduction(g, n, "reduce_max", false, &CATTRS(n, reduce_max)->axes, out);
}

bool lower_reduce_min(const Graph *g, const Node *n, Calls *out, Diag *d) {
  (void)d;
  return lower_reduction(g, n, "reduce_min", false, &CATTRS(n, reduce_min)->axes, out);
}

bool lower_reduce_log_sum_exp(const Graph *g, const Node *n, Calls *out, Diag *d) {
  (void)d;
  return lower_reduction(g, n, "log_sum_exp", false, &CATTRS(n, reduce_log_sum_exp)->axes, out);
}

/* -- along one axis -- */

static bool lower_arg(const Graph *g, const Node *n, const char *name, int axis, int32_t last, Calls *out) {
  const Value *x = op_in(g, n, 0);
  const Rows r = rows_before(&x->shape, axis);
  if (shape_count(&op_out(g, n, 0)->shape) == 0) return true;
  KernelCall *k = call_rows(g, n, out, arena_printf(out->arena, "%s_%s", name, kernel_suffix(x->dtype)), r);
  const int32_t extent = (int32_t)x->shape.d[axis], inner = r.n / extent;
  *(mf_arg *)k->params = (mf_arg){extent, inner, last};
  k->out = view_rows(g, n->out[0], (Rows){1, r.rows, inner});
  return true;
}

bool lower_arg_max(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const arg_max_attrs *a = CATTRS(n, arg_max);
  (void)d;
  return lower_arg(g, n, "arg_max", a->axis, a->last, out);
}

bool lower_arg_min(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const arg_min_attrs *a = CATTRS(n, arg_min);
  (void)d;
  return lower_arg(g, n, "arg_min", a->axis, a->last, out);
}

bool lower_cum_sum(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const cum_sum_attrs *a = CATTRS(n, cum_sum);
  const Value *x = op_in(g, n, 0);
  const Rows r = rows_before(&x->shape, a->axis);
  (void)d;
  if (shape_count(&x->shape) == 0) return true;
  const char *suffix = kernel_suffix(x->dtype == DT_U64 ? DT_I64 : x->dtype);
  KernelCall *k = call_rows(g, n, out, arena_printf(out->arena, "cum_sum_%s", suffix), r);
  const int32_t extent = (int32_t)x->shape.d[a->axis];
  *(mf_cum *)k->params = (mf_cum){extent, r.n / extent, a->exclusive, a->reverse};
  return true;
}
