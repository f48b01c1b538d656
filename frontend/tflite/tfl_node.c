/* What the import functions of TFLite operators share: inputs by role, short lists, activations, outputs. */
#include "frontend/tflite/tfl.h"

#include <inttypes.h>
#include <string.h>

#include "ir/base/mem.h"

bool tfl_has(const TflNode *n, uint32_t i) { return i < n->n_in && n->in[i] >= 0; }

static TflTensor *tensor_of(const TflNode *n, int32_t index) {
  ASSERT(index >= 0 && (uint32_t)index < n->m->n_tensors);
  TflTensor *t = &n->m->tensors[index];
  ASSERT(t->state == TFL_READ);
  return t;
}

TflTensor *tfl_in_tensor(const TflNode *n, uint32_t i) {
  ASSERT(tfl_has(n, i));
  return tensor_of(n, n->in[i]);
}

TflTensor *tfl_out_tensor(const TflNode *n, uint32_t i) {
  ASSERT(i < n->n_out);
  return tensor_of(n, n->out[i]);
}

static bool want_input(const TflNode *n, uint32_t i) {
  if (tfl_has(n, i)) return true;
  return diag_error(n->m->d, &n->loc, "input %u is left out; the operator needs it", i);
}

static ValId data_input(TflNode *n, uint32_t i, bool wide) {
  if (!want_input(n, i)) return NO_VAL;
  const TflTensor *t = tfl_in_tensor(n, i);
  if (t->stored == TFL_FLOAT16) return tfl_value(n->m, n->in[i], &n->loc); /* reports */
  if (t->dtype != DT_F32 && t->dtype != DT_I8 && !(wide && t->dtype == DT_I16)) {
    diag_error(n->m->d, &n->loc, "computes on %s elements (\"%s\"); supported are f32%s",
               dtype_name(t->dtype), t->name, wide ? ", i8 and i16" : " and i8");
    return NO_VAL;
  }
  if (dtype_is_code(t->dtype) && t->quant.n != 1) {
    diag_error(n->m->d, &n->loc, "int%d tensor \"%s\" has %" PRId32 " scales; want one scale and zero point",
               dtype_bits(t->dtype), t->name, t->quant.n);
    return NO_VAL;
  }
  return tfl_value(n->m, n->in[i], &n->loc);
}

ValId tfl_data(TflNode *n, uint32_t i) { return data_input(n, i, false); }
ValId tfl_data16(TflNode *n, uint32_t i) { return data_input(n, i, true); }

/* Hybrid models (float activations, int8 weights) are computed in float32: TensorFlow Lite Micro refuses them
 * (tensorflow/lite/micro/kernels/conv.cc), and TensorFlow Lite's own hybrid kernels requantize activations at run time,
 * which only loses accuracy. */
ValId tfl_dequantized(TflNode *n, uint32_t i) {
  const TflTensor *t = tfl_in_tensor(n, i);
  ValId codes = tfl_value(n->m, n->in[i], &n->loc);
  if (codes == NO_VAL) return NO_VAL;
  const int8_t *q = val_data(n->m->g, codes);
  int64_t count = shape_count(&t->shape), inner = 1;
  if (!tfl_may_make(n->m, count, sizeof(float), &n->loc)) return NO_VAL;
  if (t->quant.n > 1) inner = shape_count_range(&t->shape, t->quant.axis + 1, t->shape.rank);
  float *w = mem_array((size_t)count, sizeof *w);
  for (int64_t k = 0; k < count; k++) {
    int64_t s = t->quant.n > 1 ? k / inner % t->quant.n : 0;
    w[k] = t->quant.scale[s] * (float)(q[k] - t->quant.zero[s]);
  }
  ValId v = graph_const_data(n->m->g, t->name, DT_F32, &t->shape, w);
  mem_free(w);
  return v;
}

ValId tfl_rescaled(TflNode *n, uint32_t i) {
  if (!want_input(n, i)) return NO_VAL;
  const TflTensor *x = tfl_in_tensor(n, i), *y = tfl_out_tensor(n, 0);
  bool codes = dtype_is_code(x->dtype) && y->dtype == x->dtype && x->quant.n == 1 && y->quant.n == 1;
  if (!codes || quant_equal(&x->quant, &y->quant)) return tfl_moved(n, i);
  ValId v = tfl_value(n->m, n->in[i], &n->loc);
  if (v == NO_VAL) return NO_VAL;
  v = tfl_node1(n, OP_quantize, &(quantize_attrs){.to = (int32_t)y->dtype}, v);
  if (v != NO_VAL) graph_set_quant(n->m->g, v, 1, 0, y->quant.scale, y->quant.zero);
  return v;
}

ValId tfl_weights(TflNode *n, uint32_t i, ValId x) {
  if (!want_input(n, i)) return NO_VAL;
  const TflTensor *t = tfl_in_tensor(n, i);
  DType xt = graph_val(n->m->g, x)->dtype;
  if (xt == DT_F32 && t->dtype == DT_I8 && t->data && t->quant.n) return tfl_dequantized(n, i);
  if (t->dtype != (xt == DT_I16 ? DT_I8 : xt)) {
    diag_error(n->m->d, &n->loc, "has %s weights (\"%s\") for %s data", dtype_name(t->dtype), t->name,
               dtype_name(xt));
    return NO_VAL;
  }
  if (!t->data) {
    diag_error(n->m->d, &n->loc, "has computed weights (\"%s\"); supported are constant ones", t->name);
    return NO_VAL;
  }
  if (t->dtype == DT_I8 && t->quant.n == 0) {
    diag_error(n->m->d, &n->loc, "has int8 weights (\"%s\") without a scale", t->name);
    return NO_VAL;
  }
  return tfl_value(n->m, n->in[i], &n->loc);
}

ValId tfl_weights4(TflNode *n, uint32_t i, ValId x) {
  Graph *g = n->m->g;
  ValId w = tfl_weights(n, i, x);
  if (w == NO_VAL || tfl_in_tensor(n, i)->stored != TFL_INT4 || graph_val(g, x)->dtype != DT_I8) return w;
  const Value v = *graph_val(g, w);
  for (int k = 0; k < v.quant.n; k++)
    if (v.quant.zero[k] != 0) return w;
  w = graph_const(g, v.name, DT_I4, &v.shape, blob_ref(v.blob));
  graph_set_quant(g, w, v.quant.n, v.quant.axis, v.quant.scale, v.quant.zero);
  return w;
}

bool tfl_bias(TflNode *n, uint32_t i, ValId x, ValId *v) {
  *v = NO_VAL;
  if (!tfl_has(n, i)) return true;
  const TflTensor *t = tfl_in_tensor(n, i);
  const DType xt = graph_val(n->m->g, x)->dtype;
  DType want = xt == DT_F32 ? DT_F32 : xt == DT_I16 ? DT_I64 : DT_I32;
  if (xt == DT_I16 && t->dtype == DT_I32) want = DT_I32;
  FAIL_IF(t->dtype != want || !t->data, n->m->d, &n->loc,
          "has a %s bias (\"%s\") of %s elements; want a constant of %s", t->data ? "constant" : "computed",
          t->name, dtype_name(t->dtype), dtype_name(want));
  *v = tfl_value(n->m, n->in[i], &n->loc);
  return *v != NO_VAL;
}

/* What an operator before gave as a constant: SHAPE, RANGE, BROADCAST_ARGS. */
static bool known_ints(TflNode *n, const TflTensor *t, Ints *out) {
  const int64_t count = shape_count(&t->shape);
  FAIL_IF(count > MAX_RANK * 2, n->m->d, &n->loc, "\"%s\" has %" PRId64 " integers; want at most %d", t->name,
          count, MAX_RANK * 2);
  *out = (Ints){.n = (int32_t)count};
  for (int64_t k = 0; k < count; k++) out->v[k] = dtype_get(t->dtype, val_data(n->m->g, t->val), k);
  return true;
}

bool tfl_ints(TflNode *n, uint32_t i, Ints *out) {
  TRY(want_input(n, i));
  const TflTensor *t = tfl_in_tensor(n, i);
  bool wide = t->dtype == DT_I64;
  if (!t->data && t->val != NO_VAL && val_is_const(n->m->g, t->val) && (wide || t->dtype == DT_I32))
    return known_ints(n, t, out);
  FAIL_IF(!t->data || (!wide && t->dtype != DT_I32), n->m->d, &n->loc,
          "wants input %u (\"%s\") as constant integers; it is %s of %s elements", i, t->name,
          t->data ? "a constant" : "computed", dtype_name(t->dtype));
  int64_t count = shape_count(&t->shape);
  FAIL_IF(count > MAX_RANK * 2, n->m->d, &n->loc,
          "input %u (\"%s\") has %" PRId64 " integers; want at most %d", i, t->name, count, MAX_RANK * 2);
  *out = (Ints){.n = (int32_t)count};
  FbVec v = {.fb = &n->m->fb, .at = (size_t)(t->data - n->m->fb.p), .n = (uint32_t)count, .present = true};
  for (uint32_t k = 0; k < v.n; k++) out->v[k] = wide ? fb_vec_i64(&v, k) : fb_vec_i32(&v, k);
  return true;
}

bool tfl_act(TflNode *n, uint32_t id, int32_t *out) {
  static const int32_t acts[] = {ACT_NONE, ACT_RELU, ACT_RELU_N1_TO_1, ACT_RELU6};
  static const char *const others[] = {"TANH", "SIGN_BIT"};
  uint8_t a = fb_u8(&n->options, id, 0);
  if (a < 4) {
    *out = acts[a];
    return true;
  }
  diag_error(n->m->d, &n->loc, "has the fused activation %s (%u), which is not supported",
             a < 6 ? others[a - 4] : "?", a);
  diag_hint(n->m->d,
            "supported are NONE, RELU, RELU6, RELU_N1_TO_1, or an operator of its own after this one");
  return false;
}

bool tfl_same_quant(TflNode *n, const TflTensor *a, const TflTensor *b) {
  if ((a->dtype != DT_I8 && a->dtype != DT_I16) || quant_equal(&a->quant, &b->quant)) return true;
  diag_error(n->m->d, &n->loc,
             "would change the quantization from \"%s\" to \"%s\", though it only moves elements", a->name,
             b->name);
  diag_hint(n->m->d, "convert again with a current TensorFlow, which gives both one scale and zero point");
  return false;
}

bool tfl_axis(TflNode *n, int64_t axis, int32_t rank, int32_t *out) {
  FAIL_IF(axis < -rank || axis >= rank, n->m->d, &n->loc,
          "axis %" PRId64 " of a tensor with %" PRId32 " dimensions", axis, rank);
  *out = (int32_t)(axis < 0 ? axis + rank : axis);
  return true;
}

bool tfl_bind(TflNode *n, uint32_t i, ValId v) {
  if (v == NO_VAL) return false;
  TflTensor *t = tfl_out_tensor(n, i);
  const Value *val = graph_val(n->m->g, v);
  if (val->dtype != t->dtype || !shape_equal(&val->shape, &t->shape)) {
    char got[80], want[80];
    shape_format(&val->shape, got, sizeof got);
    shape_format(&t->shape, want, sizeof want);
    return diag_error(n->m->d, &n->loc, "computes %s%s; the file says that \"%s\" is %s%s",
                      dtype_name(val->dtype), got, t->name, dtype_name(t->dtype), want);
  }
  FAIL_IF(t->dtype == DT_I8 && t->quant.n != 1, n->m->d, &n->loc,
          "int8 output \"%s\" has %" PRId32 " scales; want one scale and zero point", t->name, t->quant.n);
  if (t->quant.n && !quant_equal(&t->quant, &val->quant))
    graph_set_quant(n->m->g, v, t->quant.n, t->quant.axis, t->quant.scale, t->quant.zero);
  t->val = v;
  return true;
}

bool tfl_emit(TflNode *n, OpKind op, const void *attrs, const ValId *in, uint32_t n_in) {
  const char *name = tfl_out_tensor(n, 0)->name;
  return tfl_bind(n, 0, graph_node(n->m->g, op, attrs, in, n_in, name, &n->loc, n->m->d));
}

ValId tfl_node1(TflNode *n, OpKind op, const void *attrs, ValId x) {
  return graph_node1(n->m->g, op, attrs, x, tfl_out_tensor(n, 0)->name, &n->loc, n->m->d);
}

ValId tfl_node2(TflNode *n, OpKind op, const void *attrs, ValId x, ValId y) {
  if (x == NO_VAL || y == NO_VAL) return NO_VAL;
  return graph_node2(n->m->g, op, attrs, x, y, tfl_out_tensor(n, 0)->name, &n->loc, n->m->d);
}

ValId tfl_scalar(TflNode *n, float v) {
  return graph_const_data(n->m->g, NULL, DT_F32, &(Shape){.rank = 0}, &v);
}

ValId tfl_reshape(TflNode *n, ValId x, const Shape *to) {
  if (x == NO_VAL || shape_equal(&graph_val(n->m->g, x)->shape, to)) return x;
  reshape_attrs a;
  op_attrs_default(OP_reshape, &a);
  a.shape.n = to->rank;
  for (int32_t i = 0; i < to->rank; i++) a.shape.v[i] = to->d[i];
  return graph_node1(n->m->g, OP_reshape, &a, x, tfl_out_tensor(n, 0)->name, &n->loc, n->m->d);
}
