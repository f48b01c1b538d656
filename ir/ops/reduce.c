/* Reductions over axes, ArgMax, ArgMin, CumSum.
 *
 *   ReduceSum, -Prod, -SumSquare, -Max, -Min   f32, f64, i32, i64, u64; the result of no elements is the operator's
 *                                              ReduceSum, -Max, -Min also i8: -Max and -Min compare codes, which hold
 *                                              one quantization
 *   ReduceLogSumExp                            neutral value, as ONNX says (ReduceMean stands in pool.c)
 *   ArgMax, ArgMin                             f32, f64, i8, i32, i64, u64 -> i64; the axis is not empty
 *   CumSum                                     f32, f64, i32, i64, u64
 */
#include "ir/ops/ops.h"

static bool want_plain(const Graph *g, const Node *n, bool integers, bool codes, Diag *d) {
  const DType t = op_in(g, n, 0)->dtype;
  if (t == DT_F32 || t == DT_F64) return true;
  if (integers && (t == DT_I32 || t == DT_I64 || t == DT_U64 || (codes && t == DT_I8))) return true;
  return op_fail(n, d, "input 0 is %s, want f32, f64%s%s", dtype_name(t), integers ? ", i32, i64, u64" : "",
                 codes ? ", i8" : "");
}

static bool want_flag(const Node *n, int32_t v, const char *name, Diag *d) {
  return v == 0 || v == 1 || op_fail(n, d, "%s is %d, want 0 or 1", name, (int)v);
}

static bool infer_reduction(Graph *g, const Node *n, const Ints *axes, int32_t keepdims, bool integers,
                            Diag *d) {
  const Value *x = op_in(g, n, 0);
  Shape out = {0};
  const bool codes = n->op == OP_reduce_sum || n->op == OP_reduce_max || n->op == OP_reduce_min;
  TRY(want_plain(g, n, integers, codes, d));
  if (x->dtype == DT_I8 && x->quant.n > 1)
    return op_fail(n, d, "input is quantized per axis, want one scale");
  TRY(want_flag(n, keepdims, "keepdims", d));
  for (int i = 0; i < axes->n; i++) {
    const int64_t axis = axes->v[i];
    if (axis < 0 || axis >= x->shape.rank || (i > 0 && axis <= axes->v[i - 1])) {
      return op_fail(n, d, "axes[%d] is %lld, want ascending axes of 0 .. %d", i, (long long)axis,
                     (int)x->shape.rank - 1);
    }
    if (x->shape.d[axis] == DIM_BATCH) return op_fail_batch(n, d, "a reduction over axis 0");
  }
  for (int i = 0, k = 0; i < x->shape.rank; i++) {
    const bool reduced = k < axes->n && axes->v[k] == i;
    if (reduced) k++;
    if (!reduced || keepdims) out.d[out.rank++] = reduced ? 1 : x->shape.d[i];
  }
  TRY(op_set(g, n, x->dtype, &out, d));
  return x->dtype != DT_I8 || n->op == OP_reduce_sum || op_same_quant(g, n, -1, d);
}

bool infer_reduce_sum(Graph *g, Node *n, Diag *d) {
  const reduce_sum_attrs *a = CATTRS(n, reduce_sum);
  return infer_reduction(g, n, &a->axes, a->keepdims, true, d);
}

bool infer_reduce_prod(Graph *g, Node *n, Diag *d) {
  const reduce_prod_attrs *a = CATTRS(n, reduce_prod);
  return infer_reduction(g, n, &a->axes, a->keepdims, true, d);
}

bool infer_reduce_sum_square(Graph *g, Node *n, Diag *d) {
  const reduce_sum_square_attrs *a = CATTRS(n, reduce_sum_square);
  return infer_reduction(g, n, &a->axes, a->keepdims, true, d);
}

bool infer_reduce_max(Graph *g, Node *n, Diag *d) {
  const reduce_max_attrs *a = CATTRS(n, reduce_max);
  return infer_reduction(g, n, &a->axes, a->keepdims, true, d);
}

bool infer_reduce_min(Graph *g, Node *n, Diag *d) {
  const reduce_min_attrs *a = CATTRS(n, reduce_min);
  return infer_reduction(g, n, &a->axes, a->keepdims, true, d);
}

bool infer_reduce_log_sum_exp(Graph *g, Node *n, Diag *d) {
  const reduce_log_sum_exp_attrs *a = CATTRS(n, reduce_log_sum_exp);
  return infer_reduction(g, n, &a->axes, a->keepdims, false, d);
}

/* -- along one axis -- */

static bool want_axis(const Graph *g, const Node *n, int32_t axis, Diag *d) {
  const Shape *s = &op_in(g, n, 0)->shape;
  if (axis < 0 || axis >= s->rank)
    return op_fail(n, d, "axis is %d, want 0 .. %d", (int)axis, (int)s->rank - 1);
  if (s->d[axis] == DIM_BATCH) return op_fail_batch(n, d, "going along axis 0");
  return true;
}

static bool infer_arg(Graph *g, const Node *n, int32_t axis, int32_t keepdims, int32_t last, Diag *d) {
  const Shape *s = &op_in(g, n, 0)->shape;
  Shape out = {0};
  TRY(want_plain(g, n, true, true, d));
  TRY(want_axis(g, n, axis, d));
  TRY(want_flag(n, keepdims, "keepdims", d));
  TRY(want_flag(n, last, "last", d));
  if (s->d[axis] == 0) return op_fail(n, d, "axis %d is empty: it has no element to name", (int)axis);
  for (int i = 0; i < s->rank; i++)
    if (i != axis || keepdims) out.d[out.rank++] = i == axis ? 1 : s->d[i];
  return op_set(g, n, DT_I64, &out, d);
}

bool infer_arg_max(Graph *g, Node *n, Diag *d) {
  const arg_max_attrs *a = CATTRS(n, arg_max);
  return infer_arg(g, n, a->axis, a->keepdims, a->last, d);
}

bool infer_arg_min(Graph *g, Node *n, Diag *d) {
  const arg_min_attrs *a = CATTRS(n, arg_min);
  return infer_arg(g, n, a->axis, a->keepdims, a->last, d);
}

bool infer_cum_sum(Graph *g, Node *n, Diag *d) {
  const cum_sum_attrs *a = CATTRS(n, cum_sum);
  TRY(want_plain(g, n, true, false, d));
  TRY(want_axis(g, n, a->axis, d));
  TRY(want_flag(n, a->exclusive, "exclusive", d));
  TRY(want_flag(n, a->reverse, "reverse", d));
  return op_set(g, n, op_in(g, n, 0)->dtype, &op_in(g, n, 0)->shape, d);
}
