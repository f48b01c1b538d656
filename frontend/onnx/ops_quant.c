/* ONNX QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear.
 *
 *   one constant scale, int8 or uint8     -> Quantize, Dequantize (which qdq.c makes int8 operators with)
 *   constant scales along an axis         -> Dequantize per axis
 *   anything else: other types, blocks, computed scales
 *        DequantizeLinear  (Cast(x) - Cast(zero)) * scale
 *        QuantizeLinear    Cast(Clip(Round(x / scale) + zero)); to float8 and float4: Cast(x / scale)
 *
 * A blocked axis of nb blocks is two axes, [nb, block], on the way. Source: ONNX QuantizeLinear-10 to -25,
 * DequantizeLinear-10 to -25, DynamicQuantizeLinear-11.
 */
#include "frontend/onnx/affines.h"

#include <inttypes.h>
#include <string.h>

/* How scale and zero point line up with x. */
typedef struct Spread {
  Shape x, wide, scale; /* x; x with its blocked axis as two; scale and zero point to be broadcast to that */
} Spread;

static bool spread(OxCall *c, ValId x, ValId scale, int64_t axis, int64_t block, Spread *s) {
  Shape xs = ox_shape(c, x), ss = ox_shape(c, scale);
  *s = (Spread){.x = xs, .wide = xs, .scale = {.rank = 0}};
  if (block == 0) {
    if (shape_count(&ss) == 1 && ss.rank <= 1) return true;
    int32_t at;
    TRY(ox_axis(c, axis, xs.rank, &at));
    OX_FAIL_IF(ss.rank != 1 || ss.d[0] != xs.d[at], c,
               "has %" PRId64 " scales along axis %" PRId32 " of %" PRId64, shape_count(&ss), at, xs.d[at]);
    s->scale.rank = xs.rank - at;
    for (int32_t i = 0; i < s->scale.rank; i++) s->scale.d[i] = i == 0 ? ss.d[0] : 1;
    return true;
  }
  int32_t at;
  TRY(ox_axis(c, axis, xs.rank, &at));
  OX_FAIL_IF(block < 0 || block > INT32_MAX, c, "has blocks of %" PRId64 "; want 1 to %d", block, INT32_MAX);
  OX_FAIL_IF(ss.rank != xs.rank || xs.rank == MAX_RANK || xs.d[at] != ss.d[at] * block, c,
             "has blocks of %" PRId64 " that do not cut axis %" PRId32 " evenly by its scales", block, at);
  s->wide.rank = s->scale.rank = 0;
  for (int32_t i = 0; i < xs.rank; i++) {
    s->wide.d[s->wide.rank++] = i == at ? ss.d[i] : xs.d[i];
    s->scale.d[s->scale.rank++] = ss.d[i];
    if (i != at) continue;
    s->wide.d[s->wide.rank++] = block;
    s->scale.d[s->scale.rank++] = 1;
  }
  return true;
}

static ValId two(OxCall *c, OpKind op, ValId x, ValId y, const char *suffix) {
  ValId in[2] = {x, y};
  return x == NO_VAL || y == NO_VAL ? NO_VAL : ox_node(c, op, NULL, in, 2, suffix);
}

/* As float32, in the shape that broadcasts to x. */
static ValId parameter(OxCall *c, ValId v, const Spread *s, const char *suffix) {
  return ox_reshape(c, ox_cast(c, v, DT_F32, suffix), &s->scale, suffix);
}

static bool finish(OxCall *c, ValId y, DType t, const Spread *s, const cast_attrs *how) {
  y = ox_reshape(c, y, &s->x, "whole");
  if (y == NO_VAL) return false;
  if (ox_type(c, y) == t) return ox_done(c, y);
  cast_attrs a = *how;
  a.to = (int32_t)t;
  return ox_done(c, ox_node(c, OP_cast, &a, &y, 1, NULL));
}

static bool dequantize_any(OxCall *c, ValId x, ValId scale, ValId zero, DType to) {
  Spread s;
  TRY(spread(c, x, scale, ox_int(c, "axis", 1), ox_int(c, "block_size", 0), &s));
  ValId y = ox_reshape(c, ox_cast(c, x, DT_F32, "x"), &s.wide, "blocks");
  if (zero != NO_VAL) y = two(c, OP_sub, y, parameter(c, zero, &s, "zero"), "shifted");
  return finish(c, two(c, OP_mul, y, parameter(c, scale, &s, "scale"), "real"), to, &s, &(cast_attrs){0});
}

bool ox_import_dequantize_linear(OxCall *c) {
  ValId x = ox_in(c, 0), scale = ox_in(c, 1), zero = ox_optional(c, 2);
  OxAffines a;
  TRY(x != NO_VAL && scale != NO_VAL);
  Shape s = ox_shape(c, x);
  int64_t axis = ox_int(c, "axis", 1), to = ox_int(c, "output_dtype", 0);
  DType t = to == 0 ? ox_type(c, scale) : ox_dtype(to);
  if (axis < 0) axis += s.rank;
  if (t == DT_F32 && ox_int(c, "block_size", 0) == 0 &&
      ox_affines(c, scale, zero, ox_type(c, x), &s, axis < s.rank ? (int32_t)axis : -1, &a))
    return ox_done(c, ox_dequantize(c, x, &a, NULL));
  return dequantize_any(c, x, scale, zero, t);
}

/* Type of the codes: the zero point's, or as an attribute says. */
static DType code_type(OxCall *c, ValId zero) {
  int64_t t = ox_int(c, "output_dtype", 0);
  return zero != NO_VAL ? ox_type(c, zero) : t != 0 ? ox_dtype(t) : DT_U8;
}

static bool quantize_any(OxCall *c, ValId x, ValId scale, ValId zero, DType to) {
  Spread s;
  TRY(spread(c, x, scale, ox_int(c, "axis", 1), ox_int(c, "block_size", 0), &s));
  ValId y = ox_reshape(c, ox_cast(c, x, DT_F32, "x"), &s.wide, "blocks");
  y = two(c, OP_div, y, parameter(c, scale, &s, "scale"), "steps");
  if (y == NO_VAL) return false;
  if (dtype_kind(to) == 's' || to == DT_F32)
    return finish(c, y, to, &s, &(cast_attrs){.overflow = ox_int(c, "saturate", 1) == 0});
  OX_FAIL_IF(!dtype_is_int(to) || dtype_bits(to) > 16, c, "quantizes to %s, which is not supported",
             dtype_name(to));
  y = ox_node(c, OP_round, NULL, &y, 1, "rounded");
  if (zero != NO_VAL) y = two(c, OP_add, y, parameter(c, zero, &s, "zero"), "shifted");
  int bits = dtype_bits(to);
  bool is_signed = dtype_kind(to) == 'i';
  clip_attrs a = {.lo = is_signed ? -(float)(1 << (bits - 1)) : 0,
                  .hi = (float)((1 << (is_signed ? bits - 1 : bits)) - 1)};
  y = y == NO_VAL ? NO_VAL : ox_node(c, OP_clip, &a, &y, 1, "codes");
  return finish(c, y, to, &s, &(cast_attrs){0});
}

/* A constant scale is above 0, everywhere. */
static bool check_scale(OxCall *c, ValId scale) {
  if (!val_is_const(c->g, scale) || ox_type(c, scale) != DT_F32) return true;
  const float *p = val_data(c->g, scale);
  for (int64_t k = 0; k < shape_count(&graph_val(c->g, scale)->shape); k++)
    if (!(p[k] > 0)) return ox_fail_affines(c, "has a scale that is not above 0");
  return true;
}

bool ox_import_quantize_linear(OxCall *c) {
  ValId x = ox_in(c, 0), scale = ox_in(c, 1), zero = ox_optional(c, 2);
  OxAffines a;
  TRY(x != NO_VAL && scale != NO_VAL && check_scale(c, scale));
  DType t = code_type(c, zero);
  Shape s = ox_shape(c, x);
  if (ox_type(c, x) == DT_F32 && ox_is_code8(t) && ox_int(c, "block_size", 0) == 0 &&
      ox_affines(c, scale, zero, t, &s, -1, &a))
    return ox_done(c, ox_quantize(c, x, t, &a, NULL));
  return quantize_any(c, x, scale, zero, t);
}

/* -- DynamicQuantizeLinear: one scale for what x holds now -- */

static ValId number(OxCall *c, float v) {
  return graph_const_data(c->g, NULL, DT_F32, &(Shape){.rank = 0}, &v);
}

/* Largest or smallest element, 0 among them; a scalar. */
static ValId extreme(OxCall *c, ValId x, bool largest) {
  int32_t rank = ox_shape(c, x).rank;
  reduce_max_attrs hi = {.keepdims = 0};
  reduce_min_attrs lo = {.keepdims = 0};
  for (int32_t i = 0; i < rank; i++) hi.axes.v[hi.axes.n++] = lo.axes.v[lo.axes.n++] = i;
  ValId y = largest ? ox_node(c, OP_reduce_max, &hi, &x, 1, "most")
                    : ox_node(c, OP_reduce_min, &lo, &x, 1, "least");
  return two(c, largest ? OP_max : OP_min, y, number(c, 0), largest ? "max" : "min");
}

static bool want_output(OxCall *c, uint32_t i, ValId v) {
  if (i < c->node->n_out) c->out[i] = v;
  return v != NO_VAL;
}

bool ox_import_dynamic_quantize_linear(OxCall *c) {
  ValId x = ox_in(c, 0);
  TRY(x != NO_VAL);
  OX_FAIL_IF(ox_type(c, x) != DT_F32, c, "has elements of %s; want float32", dtype_name(ox_type(c, x)));
  ValId lo = extreme(c, x, false), hi = extreme(c, x, true);
  ValId scale = two(c, OP_div, two(c, OP_sub, hi, lo, "range"), number(c, 255), "scale");
  ValId zero = two(c, OP_div, two(c, OP_sub, number(c, 0), lo, "minus"), scale, "zero");
  if (zero == NO_VAL) return false;
  const clip_attrs codes = {.lo = 0, .hi = 255};
  zero = ox_node(c, OP_clip, &codes, &zero, 1, "zero_limited");
  zero = zero == NO_VAL ? NO_VAL : ox_node(c, OP_round, NULL, &zero, 1, "zero_rounded");
  ValId y = two(c, OP_div, x, scale, "steps");
  y = y == NO_VAL ? NO_VAL : ox_node(c, OP_round, NULL, &y, 1, "rounded");
  y = two(c, OP_add, y, zero, "shifted");
  y = y == NO_VAL ? NO_VAL : ox_node(c, OP_clip, &codes, &y, 1, "limited");
  return want_output(c, 0, ox_cast(c, y, DT_U8, "codes")) && want_output(c, 1, scale) &&
         want_output(c, 2, ox_cast(c, zero, DT_U8, "zero_point"));
}
