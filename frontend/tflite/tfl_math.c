/* TFLite's arithmetic, one element at a time or along one axis: ADD to QUANTIZE. */
#include "frontend/tflite/tfl.h"

#include <inttypes.h>
#include <math.h>

#include "ir/base/mem.h"

/* Input i as tfl_data16, or plain int32 or int64. */
static ValId number(TflNode *n, uint32_t i) {
  const TflTensor *t = tfl_has(n, i) ? tfl_in_tensor(n, i) : NULL;
  if (t && (t->dtype == DT_I32 || t->dtype == DT_I64)) return tfl_value(n->m, n->in[i], &n->loc);
  return tfl_data16(n, i);
}

static bool two_inputs(TflNode *n, ValId in[2]) {
  for (uint32_t i = 0; i < 2; i++) {
    in[i] = number(n, i);
    TRY(in[i] != NO_VAL);
  }
  DType a = graph_val(n->m->g, in[0])->dtype, b = graph_val(n->m->g, in[1])->dtype;
  FAIL_IF(a != b, n->m->d, &n->loc, "has inputs of %s and %s; want the same", dtype_name(a), dtype_name(b));
  return true;
}

/* ADD, SUB, MUL: option 0 is the fused activation. */
bool tfl_import_add(TflNode *n) {
  ValId in[2];
  add_attrs a = {0};
  TRY(two_inputs(n, in) && tfl_act(n, 0, &a.act));
  return tfl_emit(n, OP_add, &a, in, 2);
}

bool tfl_import_sub(TflNode *n) {
  ValId in[2];
  sub_attrs a = {0};
  TRY(two_inputs(n, in) && tfl_act(n, 0, &a.act));
  return tfl_emit(n, OP_sub, &a, in, 2);
}

bool tfl_import_mul(TflNode *n) {
  ValId in[2];
  mul_attrs a = {0};
  TRY(two_inputs(n, in) && tfl_act(n, 0, &a.act));
  return tfl_emit(n, OP_mul, &a, in, 2);
}

/* A fused activation by an operator of its own; codes are limited without being scaled. */
static ValId activated(TflNode *n, ValId x, Act act) {
  const Quant *q = &tfl_out_tensor(n, 0)->quant;
  clip_attrs a = {.lo = 0, .hi = 6};
  if (x == NO_VAL || act == ACT_NONE) return x;
  if (q->n) graph_set_quant(n->m->g, x, q->n, q->axis, q->scale, q->zero);
  if (act == ACT_RELU) return tfl_node1(n, OP_relu, NULL, x);
  if (act == ACT_RELU_N1_TO_1) a = (clip_attrs){.lo = -1, .hi = 1};
  return tfl_node1(n, OP_clip, &a, x);
}

bool tfl_import_div(TflNode *n) {
  ValId in[2];
  int32_t act;
  TRY(two_inputs(n, in) && tfl_act(n, 0, &act));
  FAIL_IF(graph_val(n->m->g, in[0])->dtype == DT_I16, n->m->d, &n->loc,
          "divides int16 tensors; supported are float32 and int8: multiply by the reciprocal instead");
  if (act == ACT_NONE) return tfl_emit(n, OP_div, NULL, in, 2);
  return tfl_bind(n, 0, activated(n, tfl_node2(n, OP_div, NULL, in[0], in[1]), (Act)act));
}

/* MAXIMUM and MINIMUM compare codes: one quantization for all. */
static bool extreme(TflNode *n, OpKind op) {
  ValId in[2];
  TRY(two_inputs(n, in));
  TRY(tfl_same_quant(n, tfl_in_tensor(n, 0), tfl_out_tensor(n, 0)));
  TRY(tfl_same_quant(n, tfl_in_tensor(n, 1), tfl_out_tensor(n, 0)));
  return tfl_emit(n, op, NULL, in, 2);
}

bool tfl_import_maximum(TflNode *n) { return extreme(n, OP_max); }
bool tfl_import_minimum(TflNode *n) { return extreme(n, OP_min); }

static bool unary(TflNode *n, OpKind op, const void *attrs) {
  ValId x = tfl_data16(n, 0);
  return x != NO_VAL && tfl_emit(n, op, attrs, &x, 1);
}

bool tfl_import_relu(TflNode *n) { return unary(n, OP_relu, NULL); }
bool tfl_import_logistic(TflNode *n) { return unary(n, OP_sigmoid, NULL); }
bool tfl_import_tanh(TflNode *n) { return unary(n, OP_tanh, NULL); }
bool tfl_import_relu6(TflNode *n) { return unary(n, OP_clip, &(clip_attrs){.lo = 0, .hi = 6}); }
bool tfl_import_relu_n1_to_1(TflNode *n) { return unary(n, OP_clip, &(clip_attrs){.lo = -1, .hi = 1}); }

bool tfl_import_leaky_relu(TflNode *n) {
  return unary(n, OP_leaky_relu, &(leaky_relu_attrs){.alpha = fb_f32(&n->options, 0, 0)});
}

/* Along the innermost axis. */
bool tfl_import_softmax(TflNode *n) {
  return unary(n, OP_softmax, &(softmax_attrs){.axis = -1, .beta = fb_f32(&n->options, 0, 0)});
}

bool tfl_import_mean(TflNode *n) {
  ValId x = tfl_data16(n, 0);
  Ints axes;
  TRY(x != NO_VAL && tfl_ints(n, 1, &axes));
  int32_t rank = graph_val(n->m->g, x)->shape.rank, axis;
  bool reduced[MAX_RANK] = {false};
  for (int32_t i = 0; i < axes.n; i++) {
    TRY(tfl_axis(n, axes.v[i], rank, &axis));
    reduced[axis] = true;
  }
  reduce_mean_attrs a = {.keepdims = fb_u8(&n->options, 0, 0) != 0};
  for (int32_t i = 0; i < rank; i++)
    if (reduced[i]) a.axes.v[a.axes.n++] = i;
  return tfl_emit(n, OP_reduce_mean, &a, &x, 1);
}

bool tfl_import_quantize(TflNode *n) {
  const TflTensor *out = tfl_out_tensor(n, 0);
  FAIL_IF(!dtype_is_code(out->dtype) && out->dtype != DT_I32, n->m->d, &n->loc,
          "quantizes to %s; supported are i8, i16 and i32", dtype_name(out->dtype));
  FAIL_IF(out->quant.n != 1, n->m->d, &n->loc, "int%d output \"%s\" has %" PRId32 " scales; want one",
          dtype_bits(out->dtype), out->name, out->quant.n);
  const quantize_attrs a = {.to = (int32_t)out->dtype};
  const TflTensor *in = tfl_has(n, 0) ? tfl_in_tensor(n, 0) : NULL;
  if (!in || in->dtype != DT_I32) {
    FAIL_IF(in && in->dtype == DT_F32 && out->dtype == DT_I32, n->m->d, &n->loc,
            "quantizes f32 to i32; supported are i8 and i16");
    return unary(n, OP_quantize, &a);
  }
  FAIL_IF(in->quant.n != 1 || out->dtype == DT_I32, n->m->d, &n->loc,
          "reads \"%s\" of i32 elements with %" PRId32 " scales; want one, and i8 or i16 as output", in->name,
          in->quant.n);
  ValId x = tfl_value(n->m, n->in[0], &n->loc);
  return x != NO_VAL && tfl_emit(n, OP_quantize, &a, &x, 1);
}

/* IEEE half to float, exactly. */
static float half_to_float(uint32_t h) {
  float sign = h >> 15 ? -1.0f : 1.0f;
  int exponent = (int)(h >> 10 & 31), mantissa = (int)(h & 1023);
  if (exponent == 31) return mantissa ? NAN : sign * INFINITY;
  return sign * (exponent ? ldexpf((float)(mantissa + 1024), exponent - 25) : ldexpf((float)mantissa, -24));
}

/* float16 weights: a float32 constant. */
static bool dequantize_half(TflNode *n) {
  const TflTensor *in = tfl_in_tensor(n, 0);
  size_t count = (size_t)shape_count(&in->shape);
  TRY(tfl_may_make(n->m, (int64_t)count, sizeof(float), &n->loc));
  float *w = mem_array(count, sizeof *w);
  for (size_t i = 0; i < count; i++)
    w[i] = half_to_float((uint32_t)in->data[2 * i] | (uint32_t)in->data[2 * i + 1] << 8);
  ValId v = graph_const_data(n->m->g, in->name, DT_F32, &in->shape, w);
  mem_free(w);
  return tfl_bind(n, 0, v);
}

/* Constants may be quantized along an axis. */
bool tfl_import_dequantize(TflNode *n) {
  FAIL_IF(!tfl_has(n, 0), n->m->d, &n->loc, "input 0 is left out; the operator needs it");
  const TflTensor *in = tfl_in_tensor(n, 0);
  if (in->stored == TFL_FLOAT16) return dequantize_half(n);
  FAIL_IF(!dtype_is_code(in->dtype) || in->quant.n == 0, n->m->d, &n->loc,
          "reads \"%s\" of %s elements with %" PRId32 " scales; supported are quantized i8 and i16", in->name,
          dtype_name(in->dtype), in->quant.n);
  ValId x = tfl_value(n->m, n->in[0], &n->loc);
  return x != NO_VAL && tfl_emit(n, OP_dequantize, NULL, &x, 1);
}

bool tfl_import_cast(TflNode *n) {
  FAIL_IF(!tfl_has(n, 0), n->m->d, &n->loc, "input 0 is left out; the operator needs it");
  ValId x = tfl_value(n->m, n->in[0], &n->loc);
  return x != NO_VAL &&
         tfl_emit(n, OP_cast, &(cast_attrs){.to = (int32_t)tfl_out_tensor(n, 0)->dtype}, &x, 1);
}

bool tfl_import_relu_0_to_1(TflNode *n) { return unary(n, OP_clip, &(clip_attrs){.lo = 0, .hi = 1}); }

/* f32 alone, as in the reference. */
bool tfl_import_add_n(TflNode *n) {
  ValId sum = tfl_data(n, 0);
  TRY(sum != NO_VAL);
  FAIL_IF(graph_val(n->m->g, sum)->dtype != DT_F32, n->m->d, &n->loc, "adds int8 tensors; use ADD");
  for (uint32_t i = 1; i < n->n_in; i++) {
    sum = tfl_node2(n, OP_add, NULL, sum, tfl_data(n, i));
    TRY(sum != NO_VAL);
  }
  return tfl_bind(n, 0, sum);
}

bool tfl_import_square(TflNode *n) {
  ValId x = number(n, 0);
  TRY(x != NO_VAL);
  FAIL_IF(dtype_is_code(graph_val(n->m->g, x)->dtype), n->m->d, &n->loc,
          "squares quantized tensors; use MUL");
  return tfl_bind(n, 0, tfl_node2(n, OP_mul, NULL, x, x));
}

bool tfl_import_squared_difference(TflNode *n) {
  ValId in[2];
  TRY(two_inputs(n, in));
  if (graph_val(n->m->g, in[0])->dtype == DT_I8) return tfl_emit(n, OP_squared_difference, NULL, in, 2);
  FAIL_IF(graph_val(n->m->g, in[0])->dtype == DT_I16, n->m->d, &n->loc,
          "is not supported on int16 tensors; use SUB and MUL");
  ValId x = tfl_node2(n, OP_sub, NULL, in[0], in[1]);
  return tfl_bind(n, 0, tfl_node2(n, OP_mul, NULL, x, x));
}

/* The two innermost axes exchanged where `flip`. */
static ValId adjoint(TflNode *n, ValId x, bool flip) {
  int32_t rank = graph_val(n->m->g, x)->shape.rank;
  if (!flip) return x;
  transpose_attrs a = {.perm = {.n = rank}};
  for (int32_t i = 0; i < rank; i++) a.perm.v[i] = i < rank - 2 ? i : 2 * rank - 3 - i;
  return tfl_node1(n, OP_transpose, &a, x);
}

bool tfl_import_batch_matmul(TflNode *n) {
  enum { ADJ_X = 0, ADJ_Y = 1 };
  ValId in[2];
  TRY(two_inputs(n, in));
  for (int i = 0; i < 2; i++) {
    const Value *v = graph_val(n->m->g, in[i]);
    FAIL_IF((v->dtype != DT_F32 && !dtype_is_code(v->dtype)) || v->shape.rank < 2, n->m->d, &n->loc,
            "multiplies %s tensors of %" PRId32 " dimensions; supported are f32, i8 and i16 of at least 2",
            dtype_name(v->dtype), v->shape.rank);
    in[i] = adjoint(n, in[i], fb_u8(&n->options, i == 0 ? ADJ_X : ADJ_Y, 0) != 0);
    TRY(in[i] != NO_VAL);
  }
  return tfl_emit(n, OP_matmul, NULL, in, 2);
}
