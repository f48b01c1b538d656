/* TFLite's arithmetic, one element at a time or along one axis: ADD to QUANTIZE. */
#include "frontend/tflite/tfl.h"

#include <inttypes.h>

static bool two_inputs(TflNode *n, ValId in[2]) {
  for (uint32_t i = 0; i < 2; i++) {
    in[i] = tfl_data(n, i);
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

bool tfl_import_div(TflNode *n) {
  ValId in[2];
  int32_t act;
  TRY(two_inputs(n, in) && tfl_act(n, 0, &act));
  FAIL_IF(act != ACT_NONE, n->m->d, &n->loc, "has a fused activation; want an operator of its own");
  FAIL_IF(graph_val(n->m->g, in[0])->dtype != DT_F32, n->m->d, &n->loc,
          "divides int8 tensors; supported is float32: multiply by the reciprocal instead");
  return tfl_emit(n, OP_div, NULL, in, 2);
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
  ValId x = tfl_data(n, 0);
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
  ValId x = tfl_data(n, 0);
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
  FAIL_IF(out->dtype != DT_I8, n->m->d, &n->loc, "quantizes to %s; supported is i8", dtype_name(out->dtype));
  FAIL_IF(out->quant.n != 1, n->m->d, &n->loc, "int8 output \"%s\" has %" PRId32 " scales; want one",
          out->name, out->quant.n);
  return unary(n, OP_quantize, &(quantize_attrs){.to = DT_I8});
}

/* Constants may be quantized along an axis. */
bool tfl_import_dequantize(TflNode *n) {
  FAIL_IF(!tfl_has(n, 0), n->m->d, &n->loc, "input 0 is left out; the operator needs it");
  const TflTensor *in = tfl_in_tensor(n, 0);
  FAIL_IF(in->dtype != DT_I8 || in->quant.n == 0, n->m->d, &n->loc,
          "reads \"%s\" of %s elements with %" PRId32 " scales; supported is quantized i8", in->name,
          dtype_name(in->dtype), in->quant.n);
  ValId x = tfl_value(n->m, n->in[0], &n->loc);
  return x != NO_VAL && tfl_emit(n, OP_dequantize, NULL, &x, 1);
}
