/* ONNX operators that compute element by element: arithmetic, comparisons, logic, bits, functions, Where, Clip.
 *
 * Inputs are brought to the type that the core operator computes on and the result back (ops_cast.c). n-ary operators
 * become chains of binary ones. Source: ONNX operator schemas, opsets 6 to 25.
 */
#include "frontend/onnx/onnx_op.h"

#include <inttypes.h>
#include <math.h>

Compose ox_compose(OxCall *c) { return (Compose){c->g, ox_out_name(c, 0), &c->loc, c->m->d}; }

bool ox_end(OxCall *c, ValId v, DType t) {
  const Compose k = ox_compose(c);
  return ox_done(c, compose_end(&k, v, t));
}

ValId ox_work(OxCall *c, uint32_t i, DType *t) {
  ValId x = ox_in(c, i);
  if (x == NO_VAL) return x;
  const DType own = ox_type(c, x), work = ox_work_type(own);
  if (t) *t = own;
  if (work == DT_F32 || work == DT_F64 || work == DT_I32 || work == DT_I64 || work == DT_U64)
    return ox_cast(c, x, work, own == work ? NULL : "wide");
  ox_fail(c, "computes on elements of %s, which is not supported", dtype_name(own));
  return NO_VAL;
}

ValId ox_work_float(OxCall *c, uint32_t i, DType *t) {
  ValId x = ox_in(c, i);
  if (x == NO_VAL) return x;
  const DType work = ox_work_type(ox_type(c, x));
  if (work == DT_F32 || work == DT_F64) return ox_work(c, i, t);
  ox_fail(c, "has elements of %s; want floats of 16 to 64 bits", dtype_name(ox_type(c, x)));
  return NO_VAL;
}

/* -- pairs -- */

/* Input i of a pair in the type that `work` gives. Before opset 7 the second one may be lined up with another axis
 * than the last (attributes broadcast and axis): it then gets axes of extent 1 behind its own. */
static ValId operand(OxCall *c, uint32_t i, bool work, DType *t) {
  const Compose k = ox_compose(c);
  ValId x = work ? ox_work(c, i, t) : ox_in(c, i);
  if (i == 0 || x == NO_VAL || c->m->opset >= 7 || !ox_has(c, 0) || !ox_attr(c, "axis", OX_ATTR_INT))
    return x;
  const Shape a = ox_shape(c, c->in[0]);
  Shape s = ox_shape(c, x);
  int32_t axis;
  if (!ox_axis(c, ox_int(c, "axis", 0), a.rank, &axis)) return NO_VAL;
  if (axis + s.rank > a.rank) {
    ox_fail(c, "lines its input of %" PRId32 " dimensions up with axis %" PRId32 " of %" PRId32, s.rank, axis,
            a.rank);
    return NO_VAL;
  }
  for (; s.rank < a.rank - axis; s.rank++) s.d[s.rank] = 1;
  return compose_reshape(&k, x, &s);
}

static bool binary(OxCall *c, OpKind op) {
  DType t;
  ValId in[2] = {operand(c, 0, true, &t), operand(c, 1, true, NULL)};
  return ox_end(c, ox_node(c, op, NULL, in, 2, "wide"), t);
}

bool ox_import_add(OxCall *c) { return binary(c, OP_add); }
bool ox_import_sub(OxCall *c) { return binary(c, OP_sub); }
bool ox_import_mul(OxCall *c) { return binary(c, OP_mul); }
bool ox_import_div(OxCall *c) { return binary(c, OP_div); }

/* x0 op x1 op x2 ... in the work type; the type of input 0 in *t. */
static ValId chain(OxCall *c, OpKind op, DType *t) {
  const Compose k = ox_compose(c);
  ValId y = ox_work(c, 0, t);
  for (uint32_t i = 1; i < c->n_in && y != NO_VAL; i++) y = compose_2(&k, op, y, ox_work(c, i, NULL));
  return y;
}

static bool n_ary(OxCall *c, OpKind op) {
  DType t = DT_NONE;
  ValId y = chain(c, op, &t);
  return y != NO_VAL && ox_end(c, y, t);
}

bool ox_import_max(OxCall *c) { return n_ary(c, OP_max); }
bool ox_import_min(OxCall *c) { return n_ary(c, OP_min); }
bool ox_import_sum(OxCall *c) { return n_ary(c, OP_add); }

bool ox_import_mean(OxCall *c) {
  const Compose k = ox_compose(c);
  DType t = DT_NONE;
  ValId y = chain(c, OP_add, &t);
  return y != NO_VAL && ox_end(c, c->n_in == 1 ? y : compose_with(&k, OP_div, y, c->n_in), t);
}

bool ox_import_mod(OxCall *c) {
  DType t;
  const mod_attrs a = {.fmod = ox_int(c, "fmod", 0) != 0};
  ValId in[2] = {ox_work(c, 0, &t), ox_work(c, 1, NULL)};
  return ox_end(c, ox_node(c, OP_mod, &a, in, 2, "wide"), t);
}

/* Types of base and exponent differ freely; the result has the base's. An integer to a float power goes by float64. */
bool ox_import_pow(OxCall *c) {
  const Compose k = ox_compose(c);
  DType t;
  double power = 0;
  ValId x = operand(c, 0, true, &t), p = operand(c, 1, true, NULL);
  TRY(x != NO_VAL && p != NO_VAL);
  DType base = ox_type(c, x);
  const bool whole = dtype_is_int(base), scalar = val_is_const(c->g, p) &&
                                                  shape_count(&c->g->vals[p].shape) == 1 &&
                                                  ox_shape(c, p).rank <= ox_shape(c, x).rank;
  OX_FAIL_IF(base == DT_U64, c, "has a base of uint64; want a float, int32 or int64");
  if (scalar && !whole && ox_const_number(c, 1, &power)) {
    if (power == 1) return ox_end(c, x, t);
    if (power == 2) return ox_end(c, compose_2(&k, OP_mul, x, x), t);
    if (power == 3) return ox_end(c, compose_2(&k, OP_mul, compose_2(&k, OP_mul, x, x), x), t);
  }
  if (whole && !dtype_is_int(ox_type(c, p))) base = DT_F64;
  return ox_end(c, compose_2(&k, OP_pow, compose_cast(&k, x, base), compose_cast(&k, p, base)), t);
}

/* -- comparisons -- */

/* bool is compared as int32 where there is an order or no kernel of its own. */
static bool compare(OxCall *c, OpKind op, bool swap) {
  ValId in[2];
  for (uint32_t i = 0; i < 2; i++) {
    ValId x = ox_in(c, i);
    TRY(x != NO_VAL);
    in[swap ? 1 - i : i] = operand(c, i, ox_type(c, x) != DT_BOOL || op != OP_equal, NULL);
  }
  return ox_done(c, ox_node(c, op, NULL, in, 2, NULL));
}

bool ox_import_equal(OxCall *c) { return compare(c, OP_equal, false); }
bool ox_import_less(OxCall *c) { return compare(c, OP_less, false); }
bool ox_import_greater(OxCall *c) { return compare(c, OP_less, true); }
bool ox_import_less_or_equal(OxCall *c) { return compare(c, OP_less_or_equal, false); }
bool ox_import_greater_or_equal(OxCall *c) { return compare(c, OP_less_or_equal, true); }

/* -- logic and bits -- */

static bool bits(OxCall *c, OpKind op) {
  ValId in[2] = {operand(c, 0, false, NULL), operand(c, 1, false, NULL)};
  return ox_done(c, ox_node(c, op, NULL, in, 2, NULL));
}

bool ox_import_bitwise_and(OxCall *c) { return bits(c, OP_bitwise_and); }
bool ox_import_bitwise_or(OxCall *c) { return bits(c, OP_bitwise_or); }
bool ox_import_bitwise_xor(OxCall *c) { return bits(c, OP_bitwise_xor); }

/* Not and BitwiseNot: x xor all ones (bool: 1). */
bool ox_import_not(OxCall *c) {
  const Compose k = ox_compose(c);
  ValId x = ox_in(c, 0);
  TRY(x != NO_VAL);
  const DType t = ox_type(c, x);
  OX_FAIL_IF(!dtype_is_int(t) || (dtype_bits(t) < 8 && t != DT_BOOL), c,
             "has elements of %s; want bool or integers", dtype_name(t));
  return ox_end(c, compose_with(&k, OP_bitwise_xor, x, t == DT_BOOL ? 1 : -1), t);
}

bool ox_import_bit_shift(OxCall *c) {
  const Compose k = ox_compose(c);
  const bool right = ox_string_is(c, "direction", "RIGHT", false);
  OX_FAIL_IF(!right && !ox_string_is(c, "direction", "LEFT", false), c,
             "has no direction; want LEFT or RIGHT");
  ValId x = ox_in(c, 0), y = ox_in(c, 1);
  TRY(x != NO_VAL && y != NO_VAL);
  const DType t = ox_type(c, x);
  OX_FAIL_IF(dtype_kind(t) != 'u' || t == DT_BOOL, c, "has elements of %s; want unsigned integers",
             dtype_name(t));
  const ValId in[2] = {compose_cast(&k, x, DT_U64), compose_cast(&k, y, DT_U64)};
  return ox_end(c, compose_node(&k, OP_bit_shift, &(bit_shift_attrs){.right = right}, in, 2), t);
}

bool ox_import_where(OxCall *c) {
  ValId in[3] = {ox_in(c, 0), ox_in(c, 1), ox_in(c, 2)};
  return ox_done(c, ox_node(c, OP_where, NULL, in, 3, NULL));
}

/* -- functions -- */

static bool function(OxCall *c, OpKind op, const void *attrs) {
  DType t;
  ValId x = ox_work_float(c, 0, &t);
  return x != NO_VAL && ox_end(c, ox_node(c, op, attrs, &x, 1, "wide"), t);
}

bool ox_import_sqrt(OxCall *c) { return function(c, OP_sqrt, NULL); }
bool ox_import_exp(OxCall *c) { return function(c, OP_exp, NULL); }
bool ox_import_log(OxCall *c) { return function(c, OP_log, NULL); }
bool ox_import_floor(OxCall *c) { return function(c, OP_floor, NULL); }
bool ox_import_ceil(OxCall *c) { return function(c, OP_ceil, NULL); }
bool ox_import_round(OxCall *c) { return function(c, OP_round, NULL); }
bool ox_import_sin(OxCall *c) { return function(c, OP_sin, NULL); }
bool ox_import_cos(OxCall *c) { return function(c, OP_cos, NULL); }
bool ox_import_tan(OxCall *c) { return function(c, OP_tan, NULL); }
bool ox_import_asin(OxCall *c) { return function(c, OP_asin, NULL); }
bool ox_import_acos(OxCall *c) { return function(c, OP_acos, NULL); }
bool ox_import_atan(OxCall *c) { return function(c, OP_atan, NULL); }
bool ox_import_sinh(OxCall *c) { return function(c, OP_sinh, NULL); }
bool ox_import_cosh(OxCall *c) { return function(c, OP_cosh, NULL); }
bool ox_import_asinh(OxCall *c) { return function(c, OP_asinh, NULL); }
bool ox_import_acosh(OxCall *c) { return function(c, OP_acosh, NULL); }
bool ox_import_atanh(OxCall *c) { return function(c, OP_atanh, NULL); }
bool ox_import_sigmoid(OxCall *c) { return function(c, OP_sigmoid, NULL); }
bool ox_import_tanh(OxCall *c) { return function(c, OP_tanh, NULL); }
bool ox_import_softplus(OxCall *c) { return function(c, OP_softplus, NULL); }

/* Integers too: there they are themselves, or have functions of their own. */
static bool any_number(OxCall *c, OpKind op) {
  DType t;
  ValId x = ox_work(c, 0, &t);
  TRY(x != NO_VAL);
  if (op == OP_abs && dtype_kind(t) == 'u') return ox_end(c, x, t);
  return ox_end(c, ox_node(c, op, NULL, &x, 1, "wide"), t);
}

bool ox_import_abs(OxCall *c) { return any_number(c, OP_abs); }
bool ox_import_sign(OxCall *c) { return any_number(c, OP_sign); }
bool ox_import_relu(OxCall *c) { return any_number(c, OP_relu); }

bool ox_import_erf(OxCall *c) {
  const Compose k = ox_compose(c);
  DType t;
  ValId x = ox_work(c, 0, &t);
  TRY(x != NO_VAL);
  if (dtype_is_int(t)) x = compose_cast(&k, x, DT_F64);
  return ox_end(c, compose_1(&k, OP_erf, NULL, x), t);
}

bool ox_import_neg(OxCall *c) {
  const Compose k = ox_compose(c);
  DType t;
  ValId x = ox_work(c, 0, &t);
  return x != NO_VAL && ox_end(c, compose_neg(&k, x), t);
}

bool ox_import_is_nan(OxCall *c) {
  const Compose k = ox_compose(c);
  ValId x = ox_in(c, 0);
  TRY(x != NO_VAL);
  if (dtype_kind(ox_type(c, x)) == 's') x = compose_cast(&k, x, DT_F32);
  return ox_end(c, compose_with(&k, OP_bitwise_xor, compose_2(&k, OP_equal, x, x), 1), DT_BOOL);
}

bool ox_import_is_inf(OxCall *c) {
  const Compose k = ox_compose(c);
  const bool above = ox_int(c, "detect_positive", 1) != 0, below = ox_int(c, "detect_negative", 1) != 0;
  ValId x = ox_in(c, 0);
  TRY(x != NO_VAL);
  if (dtype_kind(ox_type(c, x)) == 's') x = compose_cast(&k, x, DT_F32);
  if (above && below)
    return ox_end(c, compose_with(&k, OP_equal, compose_1(&k, OP_abs, NULL, x), (double)INFINITY), DT_BOOL);
  if (above || below)
    return ox_end(c, compose_with(&k, OP_equal, x, above ? (double)INFINITY : -(double)INFINITY), DT_BOOL);
  return ox_end(c, compose_2(&k, OP_less, x, x), DT_BOOL); /* never */
}

/* -- Clip -- */

/* Limits of x as Max and Min: of any type, and computed ones. NO_VAL: none. */
static bool clip_by_pair(OxCall *c, ValId x, ValId lo, ValId hi, DType t) {
  const Compose k = ox_compose(c);
  if (lo != NO_VAL) x = compose_2(&k, OP_max, x, lo);
  if (hi != NO_VAL) x = compose_2(&k, OP_min, x, hi);
  return ox_end(c, x, t);
}

/* Limits are attributes before opset 11, inputs from then on. At or beyond the largest float there is none. */
bool ox_import_clip(OxCall *c) {
  DType t;
  double lo = -INFINITY, hi = INFINITY;
  ValId x = ox_work(c, 0, &t);
  TRY(x != NO_VAL);
  const bool inputs = c->m->opset >= 11, low = inputs && ox_has(c, 1), high = inputs && ox_has(c, 2);
  if (ox_type(c, x) != DT_F32 || (low && !val_is_const(c->g, c->in[1])) ||
      (high && !val_is_const(c->g, c->in[2]))) {
    ValId a = low ? ox_work(c, 1, NULL) : NO_VAL, b = high ? ox_work(c, 2, NULL) : NO_VAL;
    const Compose k = ox_compose(c);
    if (!inputs && ox_attr(c, "min", OX_ATTR_FLOAT))
      a = compose_number(&k, ox_type(c, x), (double)ox_float(c, "min", 0));
    if (!inputs && ox_attr(c, "max", OX_ATTR_FLOAT))
      b = compose_number(&k, ox_type(c, x), (double)ox_float(c, "max", 0));
    return (!low || a != NO_VAL) && (!high || b != NO_VAL) && clip_by_pair(c, x, a, b, t);
  }
  if (!inputs) {
    lo = (double)ox_float(c, "min", -INFINITY);
    hi = (double)ox_float(c, "max", INFINITY);
  }
  if (low) TRY(ox_const_number(c, 1, &lo));
  if (high) TRY(ox_const_number(c, 2, &hi));
  clip_attrs a = {.lo = (float)lo, .hi = (float)hi};
  if (a.lo <= -3.402823466e38f) a.lo = -INFINITY;
  if (a.hi >= 3.402823466e38f) a.hi = INFINITY;
  const bool relu = a.lo == 0 && isinf(a.hi);
  if (a.lo > a.hi) a.lo = a.hi; /* ONNX: then every element is the upper limit */
  return ox_end(c, ox_node(c, relu ? OP_relu : OP_clip, relu ? NULL : (const void *)&a, &x, 1, "wide"), t);
}
