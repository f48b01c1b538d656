/* ONNX operators that are several of ours: exact compositions, no approximations.
 *
 *   Abs max(x,-x)        Reciprocal 1/x          Pow x*x, x*x*x (constant exponent)   ReduceSum mean * count
 *   HardSigmoid clip(alpha x + beta)             HardSwish x clip(x/6 + 1/2)          Swish x sigmoid(alpha x)
 *   PRelu relu(x) - slope relu(-x)               DepthToSpace, SpaceToDepth: Reshape, Transpose, Reshape
 *
 * Source: ONNX operator schemas, opsets 6 to 24.
 */
#include "frontend/onnx/onnx_op.h"

#include <inttypes.h>
#include <string.h>

static ValId number(OxCall *c, float v) {
  return graph_const_data(c->g, NULL, DT_F32, &(Shape){.rank = 0}, &v);
}

/* x op y under output 0's name (last) or with a suffix. */
static ValId pair_node(OxCall *c, OpKind op, ValId x, ValId y, const char *suffix) {
  ValId in[2] = {x, y};
  return ox_node(c, op, NULL, in, 2, suffix);
}

/* Input 0, float32. */
static ValId float_input(OxCall *c) {
  ValId x = ox_in(c, 0);
  if (x == NO_VAL || ox_type(c, x) == DT_F32) return x;
  ox_fail(c, "has elements of %s; supported is float32", dtype_name(ox_type(c, x)));
  return NO_VAL;
}

bool ox_import_abs(OxCall *c) {
  ValId x = float_input(c);
  TRY(x != NO_VAL);
  return ox_done(c, pair_node(c, OP_max, x, pair_node(c, OP_mul, x, number(c, -1), "neg"), NULL));
}

bool ox_import_reciprocal(OxCall *c) {
  ValId x = float_input(c);
  return x != NO_VAL && ox_done(c, pair_node(c, OP_div, number(c, 1), x, NULL));
}

bool ox_import_pow(OxCall *c) {
  ValId x = float_input(c);
  double power;
  TRY(x != NO_VAL && ox_const_number(c, 1, &power));
  if (power == 1) return ox_done(c, x);
  if (power == 2) return ox_done(c, pair_node(c, OP_mul, x, x, NULL));
  if (power == 3) return ox_done(c, pair_node(c, OP_mul, pair_node(c, OP_mul, x, x, "square"), x, NULL));
  return ox_fail(c, "has the exponent %g; supported are 1, 2 and 3", power);
}

bool ox_import_hard_sigmoid(OxCall *c) {
  ValId x = float_input(c);
  TRY(x != NO_VAL);
  x = pair_node(c, OP_mul, x, number(c, ox_float(c, "alpha", 0.2f)), "scaled");
  x = pair_node(c, OP_add, x, number(c, ox_float(c, "beta", 0.5f)), "shifted");
  return ox_done(c, ox_node(c, OP_clip, &(clip_attrs){.lo = 0, .hi = 1}, &x, 1, NULL));
}

bool ox_import_hard_swish(OxCall *c) {
  ValId x = float_input(c);
  TRY(x != NO_VAL);
  ValId gate = pair_node(c, OP_mul, x, number(c, 1.0f / 6), "scaled");
  gate = pair_node(c, OP_add, gate, number(c, 0.5f), "shifted");
  gate = ox_node(c, OP_clip, &(clip_attrs){.lo = 0, .hi = 1}, &gate, 1, "gate");
  return ox_done(c, pair_node(c, OP_mul, x, gate, NULL));
}

bool ox_import_swish(OxCall *c) {
  ValId x = float_input(c);
  TRY(x != NO_VAL);
  float alpha = ox_float(c, "alpha", 1);
  ValId gate = alpha == 1 ? x : pair_node(c, OP_mul, x, number(c, alpha), "scaled");
  gate = ox_node(c, OP_sigmoid, NULL, &gate, 1, "gate");
  return ox_done(c, pair_node(c, OP_mul, x, gate, NULL));
}

/* One slope for all elements is a LeakyRelu. The slope broadcasts to x, never x to the slope. */
bool ox_import_prelu(OxCall *c) {
  ValId x = float_input(c), slope = ox_in(c, 1);
  TRY(x != NO_VAL && slope != NO_VAL);
  Shape s = ox_shape(c, slope);
  if (val_is_const(c->g, slope) && ox_type(c, slope) == DT_F32 && shape_count(&s) == 1 &&
      s.rank <= ox_shape(c, x).rank) {
    leaky_relu_attrs a = {.alpha = *(const float *)val_data(c->g, slope)};
    return ox_done(c, ox_node(c, OP_leaky_relu, &a, &x, 1, NULL));
  }
  ValId neg = pair_node(c, OP_mul, x, number(c, -1), "neg");
  ValId below = ox_node(c, OP_relu, NULL, &neg, 1, "below"),
        above = ox_node(c, OP_relu, NULL, &x, 1, "above");
  return ox_done(c, pair_node(c, OP_sub, above, pair_node(c, OP_mul, below, slope, "sloped"), NULL));
}

/* The mean times the number of elements that went into it. */
bool ox_import_reduce_sum(OxCall *c) {
  ValId x = float_input(c);
  reduce_mean_attrs a;
  bool nothing;
  TRY(x != NO_VAL && ox_reduce_axes(c, 13, &a, &nothing));
  if (nothing) return ox_done(c, x);
  Shape s = ox_shape(c, x);
  int64_t count = 1;
  for (int32_t i = 0; i < a.axes.n; i++) {
    int64_t d = s.d[a.axes.v[i]];
    OX_FAIL_IF(d == DIM_BATCH, c, "sums over the symbolic batch (axis 0)");
    count *= d;
  }
  ValId mean = ox_node(c, OP_reduce_mean, &a, &x, 1, "mean");
  return ox_done(c, pair_node(c, OP_mul, mean, number(c, (float)count), NULL));
}

/* -- blocks of space as channels -- */

/* x [N,C,H,W] and the side of a block. */
static bool block_input(OxCall *c, ValId *x, Shape *s, int64_t *side) {
  *x = ox_in(c, 0);
  TRY(*x != NO_VAL);
  *s = ox_shape(c, *x);
  *side = ox_int(c, "blocksize", 0);
  OX_FAIL_IF(s->rank != 4 || *side < 1 || *side > 1 << 15, c,
             "has blocks of %" PRId64 " and an input of %" PRId32 " dimensions; want [N,C,H,W]", *side,
             s->rank);
  return true;
}

static bool through_six(OxCall *c, ValId x, const Shape *six, const char *perm, const Shape *to) {
  x = ox_reshape(c, x, six, "blocks");
  x = ox_transpose(c, x, perm, "moved");
  return ox_done(c, ox_reshape(c, x, to, NULL));
}

bool ox_import_depth_to_space(OxCall *c) {
  ValId x;
  Shape s;
  int64_t b;
  TRY(block_input(c, &x, &s, &b));
  OX_FAIL_IF(s.d[1] % (b * b) != 0, c, "has %" PRId64 " channels for blocks of %" PRId64, s.d[1], b);
  int64_t k = s.d[1] / (b * b);
  Shape to = {4, {s.d[0], k, s.d[2] * b, s.d[3] * b}};
  if (ox_string_is(c, "mode", "CRD", false))
    return through_six(c, x, &(Shape){6, {s.d[0], k, b, b, s.d[2], s.d[3]}}, "014253", &to);
  return through_six(c, x, &(Shape){6, {s.d[0], b, b, k, s.d[2], s.d[3]}}, "034152", &to);
}

bool ox_import_space_to_depth(OxCall *c) {
  ValId x;
  Shape s;
  int64_t b;
  TRY(block_input(c, &x, &s, &b));
  OX_FAIL_IF(s.d[2] % b != 0 || s.d[3] % b != 0, c,
             "has %" PRId64 " by %" PRId64 " pixels for blocks of %" PRId64, s.d[2], s.d[3], b);
  Shape to = {4, {s.d[0], s.d[1] * b * b, s.d[2] / b, s.d[3] / b}};
  return through_six(c, x, &(Shape){6, {s.d[0], s.d[1], s.d[2] / b, b, s.d[3] / b, b}}, "035124", &to);
}
