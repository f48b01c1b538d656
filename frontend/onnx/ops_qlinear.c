/* ONNX operators between codes: QLinearConv, QLinearMatMul, ConvInteger, MatMulInteger; and those that ONNX Runtime's
 * quantizers write besides (domain com.microsoft): QLinearAdd, QLinearMul, QLinearConcat, QLinearAveragePool,
 * QLinearGlobalAveragePool, QLinearLeakyRelu, QLinearSigmoid, QLinearSoftmax, QGemm.
 *
 *   codes -> Dequantize -> float operator -> Quantize        qdq.c makes one int8 operator of the three
 *   codes -> Dequantize (scale 1) -> Conv or MatMul -> Cast  becomes the int32 sums
 *
 * A zero point of the left factor that is computed when the model runs (as DynamicQuantizeLinear gives it) leaves the sums by
 * its product with the weights' sums. Source: ONNX QLinearConv-10, QLinearMatMul-10, -21, ConvInteger-10,
 * MatMulInteger-10; ONNX Runtime, docs/ContribOperators.md.
 */
#include "frontend/onnx/affines.h"

#include <inttypes.h>

/* Inputs i, i + 1, i + 2 (codes, scale, zero point) as a real value; axis: of a scale per slice, -1: one scale alone. */
static ValId real_input(OxCall *c, uint32_t i, int32_t axis, OxAffines *a, const char *suffix) {
  ValId x = ox_in(c, i), scale = ox_in(c, i + 1), zero = ox_optional(c, i + 2);
  if (x == NO_VAL || scale == NO_VAL) return NO_VAL;
  Shape s = ox_shape(c, x);
  if (ox_affines(c, scale, zero, ox_type(c, x), &s, axis, a)) return ox_dequantize(c, x, a, suffix);
  ox_fail_affines(c, "has a scale or zero point that is not supported");
  return NO_VAL;
}

/* Output codes with scale and zero point from inputs i, i + 1; its type is the zero point's. */
static bool code_output(OxCall *c, ValId y, uint32_t i) {
  ValId scale = ox_in(c, i), zero = ox_optional(c, i + 1);
  OxAffines a;
  TRY(y != NO_VAL && scale != NO_VAL);
  DType t = zero == NO_VAL ? DT_U8 : ox_type(c, zero);
  Shape s = ox_shape(c, y);
  if (!ox_is_code8(t) || !ox_affines(c, scale, zero, t, &s, -1, &a))
    return ox_fail_affines(c, "has an output scale or zero point that is not supported");
  return ox_done(c, ox_quantize(c, y, t, &a, NULL));
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
static ValId int32_bias(OxCall *c, uint32_t i, const OxAffines *x, const OxAffines *w) {
  if (!ox_has(c, i)) return NO_VAL;
  OxAffines b = {.n = w->n};
  b.scale = arena_array(c->m->arena, (size_t)w->n, sizeof *b.scale);
  b.zero = arena_array(c->m->arena, (size_t)w->n, sizeof *b.zero);
  for (int32_t k = 0; k < w->n; k++) b.scale[k] = x->scale[0] * w->scale[k];
  return ox_dequantize(c, c->in[i], &b, "bias");
}

bool ox_import_qlinear_conv(OxCall *c) {
  OxAffines x, w;
  ValId in[3] = {real_input(c, 0, -1, &x, "x"), NO_VAL, NO_VAL};
  TRY(in[0] != NO_VAL);
  in[1] = real_input(c, 3, 0, &w, "w");
  TRY(in[1] != NO_VAL);
  in[2] = int32_bias(c, 8, &x, &w);
  TRY(in[2] != NO_VAL || !ox_has(c, 8));
  return code_output(c, middle(c, ox_import_conv, in, 3), 6);
}

bool ox_import_qlinear_matmul(OxCall *c) {
  OxAffines a, b;
  ValId in[2] = {real_input(c, 0, -1, &a, "a"), NO_VAL};
  TRY(in[0] != NO_VAL && ox_has(c, 3));
  in[1] = real_input(c, 3, ox_shape(c, c->in[3]).rank - 1, &b, "b");
  TRY(in[1] != NO_VAL);
  return code_output(c, middle(c, ox_import_matmul, in, 2), 6);
}

/* -- operators of com.microsoft -- */

/* x, its scale and zero point, then the output's: a float operator of one input. */
static bool unary(OxCall *c, OxImport *import) {
  OxAffines x;
  ValId in[1] = {real_input(c, 0, -1, &x, "x")};
  OX_FAIL_IF(ox_int(c, "channels_last", 0) != 0, c, "has its channels last, which is not supported");
  return in[0] != NO_VAL && code_output(c, middle(c, import, in, 1), 3);
}

static bool binary(OxCall *c, OxImport *import) {
  OxAffines a, b;
  ValId in[2] = {real_input(c, 0, -1, &a, "a"), NO_VAL};
  TRY(in[0] != NO_VAL);
  in[1] = real_input(c, 3, -1, &b, "b");
  return in[1] != NO_VAL && code_output(c, middle(c, import, in, 2), 6);
}

bool ox_import_qlinear_add(OxCall *c) { return binary(c, ox_import_add); }
bool ox_import_qlinear_mul(OxCall *c) { return binary(c, ox_import_mul); }
bool ox_import_qlinear_average_pool(OxCall *c) { return unary(c, ox_import_average_pool); }
bool ox_import_qlinear_global_average_pool(OxCall *c) { return unary(c, ox_import_global_average_pool); }
bool ox_import_qlinear_leaky_relu(OxCall *c) { return unary(c, ox_import_leaky_relu); }
bool ox_import_qlinear_sigmoid(OxCall *c) { return unary(c, ox_import_sigmoid); }
bool ox_import_qlinear_softmax(OxCall *c) { return unary(c, ox_import_softmax); }

/* Output scale and zero point come first, then three inputs each. */
bool ox_import_qlinear_concat(OxCall *c) {
  OX_FAIL_IF(c->n_in < 5 || (c->n_in - 2) % 3 != 0, c, "has %u inputs; want two, and three for each part",
             c->n_in);
  uint32_t n = (c->n_in - 2) / 3;
  ValId *in = arena_array(c->m->arena, n, sizeof *in);
  for (uint32_t i = 0; i < n; i++) {
    OxAffines a;
    in[i] = real_input(c, 2 + 3 * i, -1, &a, "part");
    TRY(in[i] != NO_VAL);
  }
  return code_output(c, middle(c, ox_import_concat, in, n), 0);
}

bool ox_import_qgemm(OxCall *c) {
  OxAffines a, b;
  ValId in[3] = {real_input(c, 0, -1, &a, "a"), NO_VAL, NO_VAL};
  TRY(in[0] != NO_VAL);
  OX_FAIL_IF(ox_float(c, "alpha", 1) != 1, c, "has alpha other than 1, which is not supported");
  in[1] = real_input(c, 3, ox_int(c, "transB", 0) != 0 ? 0 : 1, &b, "b");
  TRY(in[1] != NO_VAL);
  in[2] = int32_bias(c, 6, &a, &b);
  TRY(in[2] != NO_VAL || !ox_has(c, 6));
  return code_output(c, middle(c, ox_import_gemm, in, 3), 7);
}

/* -- int32 sums -- */

/* A factor as codes of scale 1. A zero point that is computed is left for later (*rest; else NO_VAL). */
static ValId factor(OxCall *c, uint32_t i, uint32_t zero_at, int32_t axis, ValId *rest, const char *suffix) {
  ValId x = ox_in(c, i), zero = ox_optional(c, zero_at);
  if (x == NO_VAL) return NO_VAL;
  OxAffines a = {.n = 1};
  Shape s = ox_shape(c, x), zs = {.rank = 0};
  *rest = NO_VAL;
  if (zero != NO_VAL && !val_is_const(c->g, zero)) {
    *rest = zero;
    zero = NO_VAL;
  }
  if (zero != NO_VAL) zs = ox_shape(c, zero);
  int64_t n = shape_count(&zs);
  float *ones = arena_array(c->m->arena, (size_t)n, sizeof *ones);
  for (int64_t k = 0; k < n; k++) ones[k] = 1;
  Shape flat = {.rank = n > 1, .d = {n}};
  ValId scale = graph_const_data(c->g, NULL, DT_F32, &flat, ones);
  if (ox_is_code8(ox_type(c, x)) && zs.rank <= 1 && ox_affines(c, scale, zero, ox_type(c, x), &s, axis, &a))
    return ox_dequantize(c, x, &a, suffix);
  ox_fail(c, "input %u has elements of %s, or a zero point that is not supported", i,
          dtype_name(ox_type(c, x)));
  return NO_VAL;
}

static ValId sums(OxCall *c, OxImport *import, ValId x, ValId w, const char *suffix) {
  ValId in[2] = {x, w}, y = middle(c, import, in, 2);
  return ox_node(c, OP_cast, &(cast_attrs){.to = DT_I32}, &y, 1, suffix);
}

/* Codes of 1 in the shape of x, one item of the batch. */
static ValId ones_like(OxCall *c, ValId x) {
  Shape s = ox_shape(c, x);
  const float one = 1;
  const int32_t zero = 0;
  if (s.rank > 0 && s.d[0] == DIM_BATCH) s.d[0] = 1;
  int64_t n = shape_count(&s);
  if (n > 1 << 26) {
    ox_fail(c, "has a computed zero point of %" PRId64 " elements; supported are at most %d", n, 1 << 26);
    return NO_VAL;
  }
  int8_t *data = arena_array(c->m->arena, (size_t)n, 1);
  for (int64_t k = 0; k < n; k++) data[k] = 1;
  ValId v = graph_const_data(c->g, NULL, DT_I8, &s, data);
  graph_set_quant(c->g, v, 1, 0, &one, &zero);
  return ox_node(c, OP_dequantize, NULL, &v, 1, "ones");
}

/* Sums over codes x and weights w, less the rest of x's zero point times the weights' sums. */
static bool integer(OxCall *c, OxImport *import, ValId x, ValId w, ValId rest) {
  if (rest == NO_VAL) return ox_done(c, sums(c, import, x, w, NULL));
  OX_FAIL_IF(shape_count(&graph_val(c->g, rest)->shape) != 1, c, "has a computed zero point for each row");
  ValId y = sums(c, import, x, w, "sums"), ones = sums(c, import, ones_like(c, x), w, "weight_sums");
  TRY(y != NO_VAL && ones != NO_VAL);
  ValId zero = ox_cast(c, ox_reshape(c, rest, &(Shape){.rank = 0}, "zero"), DT_I32, "zero_i32");
  ValId in[2] = {ones, zero}, out[2] = {y, ox_node(c, OP_mul, NULL, in, 2, "correction")};
  return ox_done(c, ox_node(c, OP_sub, NULL, out, 2, NULL));
}

bool ox_import_matmul_integer(OxCall *c) {
  ValId rest_a, rest_b, b = ox_in(c, 1);
  ValId x = factor(c, 0, 2, -1, &rest_a, "a");
  TRY(x != NO_VAL && b != NO_VAL);
  ValId w = factor(c, 1, 3, ox_shape(c, b).rank - 1, &rest_b, "b");
  TRY(w != NO_VAL);
  OX_FAIL_IF(rest_b != NO_VAL, c, "has a zero point of the right factor that is computed; want a constant");
  return integer(c, ox_import_matmul, x, w, rest_a);
}

bool ox_import_conv_integer(OxCall *c) {
  ValId rest_x, rest_w, x = factor(c, 0, 2, -1, &rest_x, "x");
  TRY(x != NO_VAL);
  ValId w = factor(c, 1, 3, 0, &rest_w, "w");
  TRY(w != NO_VAL);
  OX_FAIL_IF(rest_w != NO_VAL, c, "has a zero point of the weights that is computed; want a constant");
  return integer(c, ox_import_conv, x, w, rest_x);
}
