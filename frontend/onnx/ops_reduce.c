/* ONNX operators along axes: reductions, ArgMax, ArgMin, CumSum, Softmax and its kin.
 *
 * Axes are an attribute or, from an operator's opset on, input 1. No axes: all of them, or none where the node says so
 * (noop_with_empty_axes: each element is a set of its own). Source: ONNX operator schemas, opsets 6 to 20.
 */
#include "frontend/onnx/onnx_op.h"

#include <inttypes.h>

/* none: all axes, or (*nothing), where the node says so, no reduction at all. */
static bool reduce_axes(OxCall *c, reduce_mean_attrs *a, bool *nothing) {
  Ints axes = {0};
  *nothing = false;
  if (ox_has(c, 1))
    TRY(ox_const_ints(c, 1, false, &axes));
  else
    ox_ints(c, "axes", &axes);
  int32_t rank = ox_shape(c, c->in[0]).rank, axis;
  bool reduced[MAX_RANK] = {false};
  for (int32_t i = 0; i < axes.n; i++) {
    TRY(ox_axis(c, axes.v[i], rank, &axis));
    reduced[axis] = true;
  }
  *a = (reduce_mean_attrs){.keepdims = ox_int(c, "keepdims", 1) != 0};
  *nothing = axes.n == 0 && ox_int(c, "noop_with_empty_axes", 0) != 0;
  for (int32_t i = 0; i < rank && !*nothing; i++)
    if (axes.n == 0 || reduced[i]) a->axes.v[a->axes.n++] = i;
  *nothing = a->axes.n == 0;
  return !c->failed;
}

/* What a reduction works on: x in the work type, its own type, the axes. */
typedef struct Reduction {
  Compose k;
  ValId x;
  DType t;
  reduce_mean_attrs a;
  bool nothing; /* over no axes */
  int64_t count;
} Reduction;

static bool begin(OxCall *c, Reduction *r) {
  r->k = ox_compose(c);
  TRY(ox_has(c, 0) || ox_in(c, 0) != NO_VAL);
  r->t = ox_type(c, c->in[0]);
  r->x = r->t == DT_BOOL ? compose_cast(&r->k, c->in[0], DT_I32) : ox_work(c, 0, NULL);
  TRY(r->x != NO_VAL && reduce_axes(c, &r->a, &r->nothing));
  const Shape s = ox_shape(c, r->x);
  r->count = 1;
  for (int32_t i = 0; i < r->a.axes.n; i++) {
    const int64_t d = s.d[r->a.axes.v[i]];
    OX_FAIL_IF(d == DIM_BATCH, c, "reduces the symbolic batch (axis 0)");
    r->count *= d;
  }
  return true;
}

static ValId reduce(Reduction *r, OpKind op, ValId x) { return compose_1(&r->k, op, &r->a, x); }

static bool plain(OxCall *c, OpKind op) {
  Reduction r;
  TRY(begin(c, &r));
  return ox_end(c, r.nothing && op != OP_reduce_sum_square ? r.x : reduce(&r, op, r.x), r.t);
}

bool ox_import_reduce_sum(OxCall *c) { return plain(c, OP_reduce_sum); }
bool ox_import_reduce_prod(OxCall *c) { return plain(c, OP_reduce_prod); }
bool ox_import_reduce_max(OxCall *c) { return plain(c, OP_reduce_max); }
bool ox_import_reduce_min(OxCall *c) { return plain(c, OP_reduce_min); }
bool ox_import_reduce_sum_square(OxCall *c) { return plain(c, OP_reduce_sum_square); }

/* float32 has an operator of its own; others divide the sum, integers toward zero. */
bool ox_import_reduce_mean(OxCall *c) {
  Reduction r;
  TRY(begin(c, &r));
  if (r.nothing) return ox_end(c, r.x, r.t);
  const DType t = ox_type(c, r.x);
  if (t == DT_F32 && r.count > 0) return ox_end(c, reduce(&r, OP_reduce_mean, r.x), r.t);
  OX_FAIL_IF(r.count == 0 && dtype_is_int(t), c, "is the mean of no integers");
  return ox_end(c, compose_with(&r.k, OP_div, reduce(&r, OP_reduce_sum, r.x), (double)r.count), r.t);
}

bool ox_import_reduce_l1(OxCall *c) {
  Reduction r;
  TRY(begin(c, &r));
  ValId x = ox_type(c, r.x) == DT_U64 ? r.x : compose_1(&r.k, OP_abs, NULL, r.x);
  return ox_end(c, r.nothing ? x : reduce(&r, OP_reduce_sum, x), r.t);
}

/* Functions of the real sum: integers go by float64 and are truncated. */
static bool of_floats(OxCall *c, Reduction *r) {
  TRY(begin(c, r));
  if (dtype_is_int(ox_type(c, r->x))) r->x = compose_cast(&r->k, r->x, DT_F64);
  return r->x != NO_VAL;
}

bool ox_import_reduce_l2(OxCall *c) {
  Reduction r;
  TRY(of_floats(c, &r));
  if (r.nothing) return ox_end(c, compose_1(&r.k, OP_abs, NULL, r.x), r.t);
  return ox_end(c, compose_1(&r.k, OP_sqrt, NULL, reduce(&r, OP_reduce_sum_square, r.x)), r.t);
}

bool ox_import_reduce_log_sum(OxCall *c) {
  Reduction r;
  TRY(of_floats(c, &r));
  return ox_end(c, compose_1(&r.k, OP_log, NULL, r.nothing ? r.x : reduce(&r, OP_reduce_sum, r.x)), r.t);
}

bool ox_import_reduce_log_sum_exp(OxCall *c) {
  Reduction r;
  TRY(of_floats(c, &r));
  return ox_end(c, r.nothing ? r.x : reduce(&r, OP_reduce_log_sum_exp, r.x), r.t);
}

/* -- along one axis -- */

static bool arg(OxCall *c, OpKind op) {
  const Compose k = ox_compose(c);
  ValId x = ox_work(c, 0, NULL);
  arg_max_attrs a = {.keepdims = ox_int(c, "keepdims", 1) != 0,
                     .last = ox_int(c, "select_last_index", 0) != 0};
  TRY(x != NO_VAL && ox_axis(c, ox_int(c, "axis", 0), ox_shape(c, x).rank, &a.axis));
  return ox_end(c, compose_1(&k, op, &a, x), DT_I64); /* ArgMin's attributes are alike */
}

_Static_assert(sizeof(arg_max_attrs) == sizeof(arg_min_attrs), "attributes of ArgMax and ArgMin are alike");

bool ox_import_arg_max(OxCall *c) { return arg(c, OP_arg_max); }
bool ox_import_arg_min(OxCall *c) { return arg(c, OP_arg_min); }

bool ox_import_cum_sum(OxCall *c) {
  const Compose k = ox_compose(c);
  DType t;
  double axis;
  ValId x = ox_work(c, 0, &t);
  cum_sum_attrs a = {.exclusive = ox_int(c, "exclusive", 0) != 0, .reverse = ox_int(c, "reverse", 0) != 0};
  TRY(x != NO_VAL && ox_const_number(c, 1, &axis));
  OX_FAIL_IF(!(axis >= -MAX_RANK && axis < MAX_RANK), c, "has the axis %g", axis);
  TRY(ox_axis(c, (int64_t)axis, ox_shape(c, x).rank, &a.axis));
  return ox_end(c, compose_1(&k, OP_cum_sum, &a, x), t);
}

/* -- Softmax, LogSoftmax, Hardmax -- */

typedef ValId NormFn(const Compose *c, ValId x, int32_t axis);

/* Before opset 13 the axes from `axis` on are one: they are flattened for it and brought back. */
static bool normalized(OxCall *c, NormFn *f) {
  const Compose k = ox_compose(c);
  DType t;
  ValId x = ox_work_float(c, 0, &t);
  TRY(x != NO_VAL);
  const Shape s = ox_shape(c, x);
  const bool old = c->m->opset < 13;
  int32_t axis;
  TRY(ox_axis(c, ox_int(c, "axis", old ? 1 : -1), s.rank, &axis));
  OX_FAIL_IF(axis == 0 && s.d[0] == DIM_BATCH, c, "goes along the symbolic batch (axis 0)");
  if (!old || axis == s.rank - 1) return ox_end(c, f(&k, x, axis), t);
  Shape flat = s;
  flat.rank = axis + 1;
  flat.d[axis] = shape_count_range(&s, axis, s.rank);
  return ox_end(c, compose_reshape(&k, f(&k, compose_reshape(&k, x, &flat), axis), &s), t);
}

static ValId softmax(const Compose *c, ValId x, int32_t axis) {
  if (graph_val(c->g, x)->dtype == DT_F64) return compose_softmax(c, x, axis);
  return compose_1(c, OP_softmax, &(softmax_attrs){.axis = axis, .beta = 1}, x);
}

bool ox_import_softmax(OxCall *c) { return normalized(c, softmax); }
bool ox_import_log_softmax(OxCall *c) { return normalized(c, compose_log_softmax); }
bool ox_import_hardmax(OxCall *c) { return normalized(c, compose_hardmax); }
