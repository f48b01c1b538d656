/* Scales and zero points of ONNX's quantized operators as quantizations of values. See affines.h.
 *
 * A code tensor carries its quantization on the value. Where a value is read under another one than it has, a Cast to its
 * own type gives it a second identity.
 */
#include "frontend/onnx/affines.h"

#include <math.h>

#include "ir/lower.h"

bool ox_is_code8(DType t) { return t == DT_I8 || t == DT_U8; }

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
bool ox_affines(OxCall *c, ValId scale, ValId zero, DType t, const Shape *s, int32_t axis, OxAffines *a) {
  if (!val_is_const(c->g, scale)) return false;
  DType st = ox_type(c, scale);
  if (st != DT_F32 && st != DT_F16 && st != DT_BF16) return false;
  if (zero != NO_VAL && (!val_is_const(c->g, zero) || ox_type(c, zero) != t)) return false;
  if (t != DT_I8 && t != DT_U8 && t != DT_I32) return false;
  Shape ss = ox_shape(c, scale);
  int64_t n = shape_count(&ss);
  if (zero != NO_VAL && shape_count(&graph_val(c->g, zero)->shape) != n) return false;
  if (n < 1 || ss.rank > 1 || (n > 1 && (axis < 0 || axis >= s->rank || s->d[axis] != n))) return false;
  *a = (OxAffines){.n = (int32_t)n, .axis = n > 1 ? axis : 0};
  a->scale = arena_array(c->m->arena, (size_t)n, sizeof *a->scale);
  a->zero = arena_array(c->m->arena, (size_t)n, sizeof *a->zero);
  const void *p = val_data(c->g, scale);
  for (int64_t k = 0; k < n; k++) {
    a->scale[k] = st == DT_F32 ? ((const float *)p)[k] : lower_stored_float(st, dtype_get(st, p, k));
    if (!(a->scale[k] > 0) || isinf(a->scale[k])) return false;
    a->zero[k] = zero_at(c, zero, k);
  }
  return true;
}

/* A graph input that no node reads yet. */
static bool is_fresh_input(const Graph *g, ValId v) {
  bool input = false;
  for (uint32_t i = 0; i < g->n_inputs; i++) input = input || g->inputs[i] == v;
  for (uint32_t i = 0; i < g->n_states; i++) input = input || g->states[i].now == v;
  for (uint32_t k = 0; input && k < g->n_nodes; k++)
    for (uint32_t i = 0; i < g->nodes[k].n_in; i++) input = input && g->nodes[k].in[i] != v;
  return input;
}

/* Value x, of codes, under quantization a: x itself where it has it or can take it. */
static ValId with_quant(OxCall *c, ValId x, const OxAffines *a) {
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

ValId ox_dequantize(OxCall *c, ValId x, const OxAffines *a, const char *suffix) {
  x = with_quant(c, x, a);
  return ox_node(c, OP_dequantize, NULL, &x, 1, suffix);
}

ValId ox_quantize(OxCall *c, ValId x, DType to, const OxAffines *a, const char *suffix) {
  quantize_attrs q = {.to = (int32_t)to,
                      .rounding = c->m->rounding == ROUND_ONNX ? ROUND_ONNX : ROUND_TFLITE};
  ValId y = ox_node(c, OP_quantize, &q, &x, 1, suffix);
  if (y != NO_VAL) graph_set_quant(c->g, y, a->n, a->axis, a->scale, a->zero);
  return y;
}

ValId ox_optional(const OxCall *c, uint32_t i) { return ox_has(c, i) ? c->in[i] : NO_VAL; }

bool ox_fail_affines(OxCall *c, const char *what) {
  ox_fail(c, "%s", what);
  diag_hint(c->m->d, "supported are constant scales above 0: one of the tensor, or one per slice of an axis");
  return false;
}
