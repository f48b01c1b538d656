/* ONNX arithmetic, element by element or along axes: Add to Tanh, Clip, Softmax, ReduceMean.
 * n-ary operators become chains of binary ones. Source: ONNX operator schemas, opsets 6 to 22.
 */
#include "frontend/onnx/onnx_op.h"

#include <inttypes.h>
#include <math.h>

/* Before opset 7 the second operand could be lined up with another axis than the last. */
static bool binary(OxCall *c, OpKind op) {
  OX_FAIL_IF(c->m->opset < 7 && ox_attr(c, "axis", OX_ATTR_INT), c,
             "broadcasts along an axis of its own (opset %" PRId64 "); want opset 7 or later", c->m->opset);
  ValId in[2] = {ox_in(c, 0), ox_in(c, 1)};
  return ox_done(c, ox_node(c, op, NULL, in, 2, NULL));
}

bool ox_import_add(OxCall *c) { return binary(c, OP_add); }
bool ox_import_sub(OxCall *c) { return binary(c, OP_sub); }
bool ox_import_mul(OxCall *c) { return binary(c, OP_mul); }
bool ox_import_div(OxCall *c) { return binary(c, OP_div); }

/* x0 op x1 op x2 ...; *y is the value itself for one input. */
static bool chain(OxCall *c, OpKind op, bool last, ValId *y) {
  *y = ox_in(c, 0);
  for (uint32_t i = 1; i < c->n_in && *y != NO_VAL; i++) {
    ValId in[2] = {*y, ox_in(c, i)};
    *y = ox_node(c, op, NULL, in, 2, last && i + 1 == c->n_in ? NULL : "part");
  }
  return *y != NO_VAL;
}

static bool n_ary(OxCall *c, OpKind op) {
  ValId y;
  return chain(c, op, true, &y) && ox_done(c, y);
}

bool ox_import_max(OxCall *c) { return n_ary(c, OP_max); }
bool ox_import_min(OxCall *c) { return n_ary(c, OP_min); }
bool ox_import_sum(OxCall *c) { return n_ary(c, OP_add); }

bool ox_import_mean(OxCall *c) {
  ValId sum;
  TRY(chain(c, OP_add, false, &sum));
  float n = (float)c->n_in;
  ValId in[2] = {sum, graph_const_data(c->g, NULL, DT_F32, &(Shape){.rank = 0}, &n)};
  return ox_done(c, ox_node(c, OP_div, NULL, in, 2, NULL));
}

/* x * -1, in the element type of x. */
bool ox_import_neg(OxCall *c) {
  static const float f32 = -1;
  static const int32_t i32 = -1;
  static const int64_t i64 = -1;
  ValId x = ox_in(c, 0);
  TRY(x != NO_VAL);
  DType t = ox_type(c, x);
  OX_FAIL_IF(t != DT_F32 && t != DT_I32 && t != DT_I64, c, "has elements of %s; want float32, int32 or int64",
             dtype_name(t));
  const void *minus = t == DT_F32   ? (const void *)&f32
                      : t == DT_I32 ? (const void *)&i32
                                    : (const void *)&i64;
  ValId in[2] = {x, graph_const_data(c->g, NULL, t, &(Shape){.rank = 0}, minus)};
  return ox_done(c, ox_node(c, OP_mul, NULL, in, 2, NULL));
}

bool ox_import_relu(OxCall *c) { return ox_unary(c, OP_relu, NULL); }
bool ox_import_sigmoid(OxCall *c) { return ox_unary(c, OP_sigmoid, NULL); }
bool ox_import_tanh(OxCall *c) { return ox_unary(c, OP_tanh, NULL); }

bool ox_import_leaky_relu(OxCall *c) {
  return ox_unary(c, OP_leaky_relu, &(leaky_relu_attrs){.alpha = ox_float(c, "alpha", 0.01f)});
}

/* Limits are attributes before opset 11, inputs from then on. At or beyond the largest float there is none. */
bool ox_import_clip(OxCall *c) {
  double lo = -INFINITY, hi = INFINITY;
  if (c->m->opset < 11) {
    lo = (double)ox_float(c, "min", -INFINITY);
    hi = (double)ox_float(c, "max", INFINITY);
  } else {
    if (ox_has(c, 1)) TRY(ox_const_number(c, 1, &lo));
    if (ox_has(c, 2)) TRY(ox_const_number(c, 2, &hi));
  }
  clip_attrs a = {.lo = (float)lo, .hi = (float)hi};
  if (a.lo <= -3.402823466e38f) a.lo = -INFINITY;
  if (a.hi >= 3.402823466e38f) a.hi = INFINITY;
  if (a.lo == 0 && isinf(a.hi)) return ox_unary(c, OP_relu, NULL);
  if (a.lo > a.hi) a.lo = a.hi; /* ONNX: then every element is the upper limit */
  return ox_unary(c, OP_clip, &a);
}

/* Before opset 13 the axes from `axis` on are one: they are flattened for it and brought back. */
bool ox_import_softmax(OxCall *c) {
  ValId x = ox_in(c, 0);
  TRY(x != NO_VAL);
  Shape s = ox_shape(c, x), flat;
  bool old = c->m->opset < 13;
  softmax_attrs a = {.axis = 0, .beta = 1.0f};
  TRY(ox_axis(c, ox_int(c, "axis", old ? 1 : -1), s.rank, &a.axis));
  if (!old || a.axis == s.rank - 1) return ox_unary(c, OP_softmax, &a);
  flat = s;
  flat.rank = a.axis + 1;
  flat.d[a.axis] = shape_count_range(&s, a.axis, s.rank);
  OX_FAIL_IF(a.axis == 0 && s.d[0] == DIM_BATCH, c, "sums over the symbolic batch (axis 0)");
  x = ox_reshape(c, x, &flat, "flat");
  x = ox_node(c, OP_softmax, &a, &x, 1, "softmax");
  return ox_done(c, ox_reshape(c, x, &s, NULL));
}

bool ox_reduce_axes(OxCall *c, int64_t input_since, reduce_mean_attrs *a, bool *nothing) {
  Ints axes = {0};
  *nothing = false;
  if (c->m->opset >= input_since && ox_has(c, 1))
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
  for (int32_t i = 0; i < rank; i++)
    if (axes.n == 0 || reduced[i]) a->axes.v[a->axes.n++] = i;
  *nothing = a->axes.n == 0 || (axes.n == 0 && ox_int(c, "noop_with_empty_axes", 0) != 0);
  return !c->failed;
}

bool ox_import_reduce_mean(OxCall *c) {
  ValId x = ox_in(c, 0);
  reduce_mean_attrs a;
  bool nothing;
  TRY(x != NO_VAL && ox_reduce_axes(c, 18, &a, &nothing));
  return ox_done(c, nothing ? x : ox_node(c, OP_reduce_mean, &a, &x, 1, NULL));
}
