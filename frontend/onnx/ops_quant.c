/* ONNX operators on codes: QuantizeLinear, DequantizeLinear, QLinearConv, QLinearMatMul.
 *
 *   x f32 -> Quantize    one constant scale, to int8 or uint8
 *   x     -> Dequantize  constant scales, one or one per slice of an axis, of int8, uint8 and (from constants) int32
 *
 * A QLinear operator is its float form between Dequantize and Quantize: qdq.c makes one int8 operator of the three.
 * A code tensor carries its quantization on the value. Where a value is read under another one than it has, a Cast to its
 * own type gives it a second identity. Source: ONNX QuantizeLinear-10..25, DequantizeLinear-10..25, QLinearConv-10,
 * QLinearMatMul-10, -21.
 */
#include "frontend/onnx/onnx_op.h"

#include <inttypes.h>
#include <math.h>

/* Scales and zero points of a QuantizeLinear or a DequantizeLinear, or of one tensor of a QLinear operator. */
typedef struct Affines {
  int32_t n, axis;
  float *scale;
  int32_t *zero;
} Affines;

static bool code_range(DType t, int32_t *lo, int32_t *hi) {
  *lo = t == DT_U8 ? 0 : -128;
  *hi = t == DT_U8 ? 255 : 127;
  return t == DT_I8 || t == DT_U8;
}

/* Zero point k of constant z (NO_VAL: 0). */
static int32_t zero_at(const OxCall *c, ValId z, int64_t k) {
  if (z == NO_VAL) return 0;
  const void *p = val_data(c->g, z);
  switch (ox_type(c, z)) {
  case DT_I8: return ((const int8_t *)p)[k];
  case DT_U8: return ((const uint8_t *)p)[k];
  default: return ((const int32_t *)p)[k];
  }
}

/* Constants scale and zero as quantization of a tensor of type t and shape s along `axis`. false: they are no such thing
 * (nothing is reported). */
static bool read_affines(OxCall *c, ValId scale, ValId zero, DType t, const Shape *s, int32_t axis,
                         Affines *a) {
  if (!val_is_const(c->g, scale) || ox_type(c, scale) != DT_F32) return false;
  if (zero != NO_VAL && (!val_is_const(c->g, zero) || ox_type(c, zero) != t)) return false;
  if (t != DT_I8 && t != DT_U8 && t != DT_I32) return false;
  Shape ss = ox_shape(c, scale);
  int64_t n = shape_count(&ss);
  if (zero != NO_VAL && shape_count(&graph_val(c->g, zero)->shape) != n) return false;
  if (n < 1 || ss.rank > 1 || (n > 1 && (axis < 0 || axis >= s->rank || s->d[axis] != n))) return false;
  *a = (Affines){.n = (int32_t)n, .axis = n > 1 ? axis : 0};
  a->scale = arena_array(c->m->arena, (size_t)n, sizeof *a->scale);
  a->zero = arena_array(c->m->arena, (size_t)n, sizeof *a->zero);
  const float *p = val_data(c->g, scale);
  for (int64_t k = 0; k < n; k++) {
    if (!(p[k] > 0) || isinf(p[k])) return false;
    a->scale[k] = p[k];
    a->zero[k] = zero_at(c, zero, k);
  }
  return true;
}

/* A graph input that no node reads yet. */
static bool is_fresh_input(const Graph *g, ValId v) {
  bool input = false;
  for (uint32_t i = 0; i < g->n_inputs; i++) input = input || g->inputs[i] == v;
  for (uint32_t k = 0; input && k < g->n_nodes; k++)
    for (uint32_t i = 0; i < g->nodes[k].n_in; i++) input = input && g->nodes[k].in[i] != v;
  return input;
}

/* Value x, of codes, under quantization a: x itself where it has it or can take it. */
static ValId with_quant(OxCall *c, ValId x, const Affines *a) {
  const Value *v = graph_val(c->g, x);
  Quant want = {a->n, a->axis, a->scale, a->zero};
  if (quant_equal(&v->quant, &want)) return x;
  if (v->blob)
    x = graph_const(c->g, v->name, v->dtype, &v->shape, blob_ref(v->blob));
  else if (v->quant.n > 0 || !is_fresh_input(c->g, x))
    x = ox_node(c, OP_cast, &(cast_attrs){.to = (int32_t)v->dtype}, &x, 1, "codes");
  if (x != NO_VAL) graph_set_quant(c->g, x, a->n, a->axis, a->scale, a->zero);
  return x;
}

static ValId dequantize(OxCall *c, ValId x, const Affines *a, const char *suffix) {
  x = with_quant(c, x, a);
  return ox_node(c, OP_dequantize, NULL, &x, 1, suffix);
}

static ValId quantize(OxCall *c, ValId x, DType to, const Affines *a, const char *suffix) {
  quantize_attrs q = {.to = (int32_t)to,
                      .rounding = c->m->rounding == ROUND_ONNX ? ROUND_ONNX : ROUND_TFLITE};
  ValId y = ox_node(c, OP_quantize, &q, &x, 1, suffix);
  if (y != NO_VAL) graph_set_quant(c->g, y, a->n, a->axis, a->scale, a->zero);
  return y;
}

static ValId optional(const OxCall *c, uint32_t i) { return ox_has(c, i) ? c->in[i] : NO_VAL; }

static bool unsupported(OxCall *c, const char *what) {
  ox_fail(c, "%s", what);
  diag_hint(c->m->d, "supported are constant scales above 0: one of the tensor, or one per slice of an axis");
  return false;
}

bool ox_import_quantize_linear(OxCall *c) {
  ValId x = ox_in(c, 0), scale = ox_in(c, 1), zero = optional(c, 2);
  Affines a;
  int32_t lo, hi;
  TRY(x != NO_VAL && scale != NO_VAL);
  DType t = zero != NO_VAL ? ox_type(c, zero) : ox_dtype(ox_int(c, "output_dtype", OX_UINT8));
  if (ox_int(c, "output_dtype", 0) == 0 && zero == NO_VAL) t = DT_U8;
  Shape s = ox_shape(c, x);
  if (ox_type(c, x) != DT_F32 || !code_range(t, &lo, &hi) || !read_affines(c, scale, zero, t, &s, -1, &a))
    return unsupported(c, "quantizes to a type or in a way that is not supported");
  return ox_done(c, quantize(c, x, t, &a, NULL));
}

bool ox_import_dequantize_linear(OxCall *c) {
  ValId x = ox_in(c, 0), scale = ox_in(c, 1), zero = optional(c, 2);
  Affines a;
  TRY(x != NO_VAL && scale != NO_VAL);
  Shape s = ox_shape(c, x);
  int64_t axis = ox_int(c, "axis", 1);
  if (axis < 0) axis += s.rank;
  if (ox_int(c, "block_size", 0) != 0 ||
      !read_affines(c, scale, zero, ox_type(c, x), &s, axis < s.rank ? (int32_t)axis : -1, &a))
    return unsupported(c, "dequantizes from a type or in a way that is not supported");
  return ox_done(c, dequantize(c, x, &a, NULL));
}

/* -- QLinear operators -- */

/* Inputs i, i + 1, i + 2 (codes, scale, zero point) as a real value; axis: of a scale per slice, -1: one scale alone. */
static ValId real_input(OxCall *c, uint32_t i, int32_t axis, Affines *a, const char *suffix) {
  ValId x = ox_in(c, i), scale = ox_in(c, i + 1), zero = optional(c, i + 2);
  if (x == NO_VAL || scale == NO_VAL) return NO_VAL;
  Shape s = ox_shape(c, x);
  if (read_affines(c, scale, zero, ox_type(c, x), &s, axis, a)) return dequantize(c, x, a, suffix);
  unsupported(c, "has a scale or zero point that is not supported");
  return NO_VAL;
}

/* Output codes with scale and zero point from inputs i, i + 1; its type is the zero point's. */
static bool code_output(OxCall *c, ValId y, uint32_t i) {
  ValId scale = ox_in(c, i), zero = optional(c, i + 1);
  Affines a;
  int32_t lo, hi;
  TRY(y != NO_VAL && scale != NO_VAL);
  DType t = zero == NO_VAL ? DT_U8 : ox_type(c, zero);
  Shape s = ox_shape(c, y);
  if (!code_range(t, &lo, &hi) || !read_affines(c, scale, zero, t, &s, -1, &a))
    return unsupported(c, "has an output scale or zero point that is not supported");
  return ox_done(c, quantize(c, y, t, &a, NULL));
}

/* The float operator in the middle, on inputs of its own. */
static ValId middle(OxCall *c, OxImport *import, ValId *in, uint32_t n_in) {
  OxCall f = *c;
  ValId out[1] = {NO_VAL};
  f.in = in;
  f.n_in = n_in;
  f.out = out;
  bool ok = import(&f);
  c->failed = c->failed || f.failed;
  return ok ? out[0] : NO_VAL;
}

/* A bias of int32 codes in units of the input's scale times the weights'. */
static ValId int32_bias(OxCall *c, uint32_t i, const Affines *x, const Affines *w) {
  if (!ox_has(c, i)) return NO_VAL;
  Affines b = {.n = w->n};
  b.scale = arena_array(c->m->arena, (size_t)w->n, sizeof *b.scale);
  b.zero = arena_array(c->m->arena, (size_t)w->n, sizeof *b.zero);
  for (int32_t k = 0; k < w->n; k++) b.scale[k] = x->scale[0] * w->scale[k];
  return dequantize(c, c->in[i], &b, "bias");
}

bool ox_import_qlinear_conv(OxCall *c) {
  Affines x, w;
  ValId in[3] = {real_input(c, 0, -1, &x, "x"), NO_VAL, NO_VAL};
  TRY(in[0] != NO_VAL);
  in[1] = real_input(c, 3, 0, &w, "w");
  TRY(in[1] != NO_VAL);
  in[2] = int32_bias(c, 8, &x, &w);
  TRY(in[2] != NO_VAL || !ox_has(c, 8));
  return code_output(c, middle(c, ox_import_conv, in, 3), 6);
}

bool ox_import_qlinear_matmul(OxCall *c) {
  Affines a, b;
  ValId in[2] = {real_input(c, 0, -1, &a, "a"), NO_VAL};
  TRY(in[0] != NO_VAL && ox_has(c, 3));
  in[1] = real_input(c, 3, ox_shape(c, c->in[3]).rank - 1, &b, "b");
  TRY(in[1] != NO_VAL);
  return code_output(c, middle(c, ox_import_matmul, in, 2), 6);
}
