/* TFLite export of each operator that has a counterpart there.
 *
 * Windows: TFLite knows SAME and VALID alone; other pads become a PAD before the operator, whose zeros (int8: zero
 * points) add nothing. Biases of int8 get the scale that TFLite wants, scale_x * scale_w. Fused activations stay fused.
 * Source: TensorFlow Lite schema version 3 (operator codes, options' numbers and fields).
 */
#include "frontend/tflite/tfl_export.h"

#include <math.h>
#include <string.h>

#include "frontend/tflite/tfl.h"

/* Numbers of the schema's options. */
enum {
  O_CONV = 1,
  O_DEPTHWISE = 2,
  O_POOL = 5,
  O_FULLY_CONNECTED = 8,
  O_SOFTMAX = 9,
  O_CONCAT = 10,
  O_ADD = 11,
  O_RESHAPE = 17,
  O_MUL = 21,
  O_PAD = 22,
  O_GATHER = 23,
  O_TRANSPOSE = 26,
  O_REDUCER = 27,
  O_SUB = 28,
  O_DIV = 29,
  O_L2_NORM = 12,
  O_RESIZE_BILINEAR = 15,
  O_LOG_SOFTMAX = 36,
  O_LESS = 41,
  O_LESS_EQUAL = 46,
  O_TRANSPOSE_CONV = 49,
  O_EQUAL = 53,
  O_SQUARED_DIFFERENCE = 76,
  O_STRIDED_SLICE = 32,
  O_CAST = 37,
  O_DEQUANTIZE = 38,
  O_MAX_MIN = 39,
  O_PADV2 = 43,
  O_SLICE = 48,
  O_LEAKY_RELU = 75,
  O_QUANTIZE = 89,
  O_BATCH_MATMUL = 101
};

static const Shape *shape(const Tfx *x, ValId v) { return &graph_val(x->g, v)->shape; }

static int act_code(int32_t act) {
  static const int codes[ACT_COUNT] = {[ACT_RELU] = 1, [ACT_RELU6] = 3, [ACT_RELU_N1_TO_1] = 2};
  return codes[act];
}

/* -- windows -- */

typedef struct WindowOut {
  int32_t x; /* the image, padded where TFLite has no name for the pads */
  bool same;
} WindowOut;

static bool is_same(const Shape *x, const int64_t kernel[2], const Ints *strides, const Ints *pads,
                    const Ints *dil) {
  for (int i = 0; i < 2; i++) {
    int64_t stride = strides->v[i], out = (x->d[1 + i] + stride - 1) / stride;
    int64_t total = (out - 1) * stride + (kernel[i] - 1) * (dil ? dil->v[i] : 1) + 1 - x->d[1 + i];
    if (total < 0) total = 0;
    if (pads->v[i] != total / 2 || pads->v[2 + i] != total - total / 2) return false;
  }
  return true;
}

static bool no_pads(const Ints *pads) { return !pads->v[0] && !pads->v[1] && !pads->v[2] && !pads->v[3]; }

/* A PAD before node n: a computed tensor of its own. */
static int32_t padded(Tfx *x, const Node *n, const Ints *pads) {
  const Value *v = graph_val(x->g, n->in[0]);
  const int64_t pairs[8] = {0, 0, pads->v[0], pads->v[2], pads->v[1], pads->v[3], 0, 0};
  TfxTensor t = {.name = "padded", .dtype = v->dtype, .shape = v->shape, .quant = v->quant};
  t.shape.d[1] += pads->v[0] + pads->v[2];
  t.shape.d[2] += pads->v[1] + pads->v[3];
  int32_t in = tfx_tensor(x, n->in[0]), list = tfx_ints(x, "pads", pairs, 8), out = tfx_new(x, &t);
  x->tensors[list].shape = (Shape){.rank = 2, .d = {4, 2}};
  TfxOp *op = tfx_op(x, n, 34, O_PAD, in);
  tfx_in(op, list);
  op->out = out;
  return out;
}

static WindowOut window(Tfx *x, const Node *n, const int64_t kernel[2], const Ints *strides, const Ints *pads,
                        const Ints *dil) {
  WindowOut w = {.x = tfx_tensor(x, n->in[0]), .same = false};
  if (no_pads(pads)) return w;
  w.same = is_same(shape(x, n->in[0]), kernel, strides, pads, dil);
  if (!w.same) w.x = padded(x, n, pads);
  return w;
}

/* Weights and bias; an int32 bias has the scales of what it is added to. */
static void weights(Tfx *x, const Node *n, TfxOp *op) {
  tfx_in(op, tfx_tensor(x, n->in[1]));
  if (n->n_in < 3 || n->in[2] == NO_VAL) return;
  int32_t bias = tfx_tensor(x, n->in[2]);
  const Quant *qx = &graph_val(x->g, n->in[0])->quant, *qw = &graph_val(x->g, n->in[1])->quant;
  TfxTensor *t = &x->tensors[bias];
  if (t->dtype == DT_I32 && t->quant.n == 0 && qx->n == 1 && qw->n > 0 &&
      (qw->n == 1 || qw->n == t->shape.d[0])) {
    float *scale = arena_array(x->arena, (size_t)qw->n, sizeof *scale);
    int32_t *zero = arena_array(x->arena, (size_t)qw->n, sizeof *zero);
    for (int i = 0; i < qw->n; i++) scale[i] = qx->scale[0] * qw->scale[i];
    t->quant = (Quant){.n = qw->n, .axis = 0, .scale = scale, .zero = zero};
  }
  tfx_in(op, bias);
}

static bool tfx_conv(Tfx *x, const Node *n) {
  const conv_attrs *a = CATTRS(n, conv);
  const Shape *w = shape(x, n->in[1]);
  WindowOut win = window(x, n, (const int64_t[2]){w->d[1], w->d[2]}, &a->strides, &a->pads, &a->dilations);
  TfxOp *op = tfx_op(x, n, 3, O_CONV, win.x);
  weights(x, n, op);
  tfx_byte(op, 0, win.same ? 0 : 1);
  tfx_int(op, 1, a->strides.v[1]);
  tfx_int(op, 2, a->strides.v[0]);
  tfx_byte(op, 3, act_code(a->act));
  tfx_int(op, 4, a->dilations.v[1]);
  tfx_int(op, 5, a->dilations.v[0]);
  return true;
}

static bool tfx_depthwise_conv(Tfx *x, const Node *n) {
  const depthwise_conv_attrs *a = CATTRS(n, depthwise_conv);
  const Shape *w = shape(x, n->in[1]);
  WindowOut win = window(x, n, (const int64_t[2]){w->d[1], w->d[2]}, &a->strides, &a->pads, &a->dilations);
  TfxOp *op = tfx_op(x, n, 4, O_DEPTHWISE, win.x);
  weights(x, n, op);
  tfx_byte(op, 0, win.same ? 0 : 1);
  tfx_int(op, 1, a->strides.v[1]);
  tfx_int(op, 2, a->strides.v[0]);
  tfx_int(op, 3, w->d[3] / shape(x, n->in[0])->d[3]);
  tfx_byte(op, 4, act_code(a->act));
  tfx_int(op, 5, a->dilations.v[1]);
  tfx_int(op, 6, a->dilations.v[0]);
  return true;
}

static bool tfx_fully_connected(Tfx *x, const Node *n) {
  TfxOp *op = tfx_op(x, n, 9, O_FULLY_CONNECTED, tfx_tensor(x, n->in[0]));
  weights(x, n, op);
  tfx_byte(op, 0, act_code(CATTRS(n, fully_connected)->act));
  if (shape(x, n->in[0])->rank != 2) tfx_byte(op, 2, 1); /* keep_num_dims */
  return true;
}

static bool pool(Tfx *x, const Node *n, int32_t code, const Ints *kernel, const Ints *strides,
                 const Ints *pads, const Ints *dilations, int32_t act) {
  for (int32_t i = 0; i < dilations->n; i++)
    if (dilations->v[i] != 1) return tfx_refuse(x, n, "its windows are dilated");
  bool same = !no_pads(pads);
  if (same && !is_same(shape(x, n->in[0]), kernel->v, strides, pads, NULL))
    return tfx_refuse(x, n, "its pads are neither SAME nor VALID");
  TfxOp *op = tfx_op(x, n, code, O_POOL, tfx_tensor(x, n->in[0]));
  tfx_byte(op, 0, same ? 0 : 1);
  tfx_int(op, 1, strides->v[1]);
  tfx_int(op, 2, strides->v[0]);
  tfx_int(op, 3, kernel->v[1]);
  tfx_int(op, 4, kernel->v[0]);
  tfx_byte(op, 5, act_code(act));
  return true;
}

static bool tfx_max_pool(Tfx *x, const Node *n) {
  const max_pool_attrs *a = CATTRS(n, max_pool);
  return pool(x, n, 17, &a->kernel, &a->strides, &a->pads, &a->dilations, a->act);
}

static bool tfx_average_pool(Tfx *x, const Node *n) {
  const average_pool_attrs *a = CATTRS(n, average_pool);
  if (a->count_include_pad && !no_pads(&a->pads)) return tfx_refuse(x, n, "padding counts in its mean");
  return pool(x, n, 1, &a->kernel, &a->strides, &a->pads, &a->dilations, a->act);
}

/* -- elementwise -- */

static TfxOp *all_inputs(Tfx *x, const Node *n, int32_t code, int32_t options) {
  int32_t in[64];
  for (uint32_t i = 0; i < n->n_in; i++) in[i] = tfx_tensor(x, n->in[i]);
  TfxOp *op = tfx_op(x, n, code, options, in[0]);
  for (uint32_t i = 1; i < n->n_in; i++) tfx_in(op, in[i]);
  return op;
}

static bool tfx_add(Tfx *x, const Node *n) {
  tfx_byte(all_inputs(x, n, 0, O_ADD), 0, act_code(CATTRS(n, add)->act));
  return true;
}
static bool tfx_sub(Tfx *x, const Node *n) {
  tfx_byte(all_inputs(x, n, 41, O_SUB), 0, act_code(CATTRS(n, sub)->act));
  return true;
}
static bool tfx_mul(Tfx *x, const Node *n) {
  tfx_byte(all_inputs(x, n, 18, O_MUL), 0, act_code(CATTRS(n, mul)->act));
  return true;
}
static bool tfx_div(Tfx *x, const Node *n) {
  tfx_byte(all_inputs(x, n, 42, O_DIV), 0, 0);
  return true;
}
static bool tfx_max(Tfx *x, const Node *n) { return all_inputs(x, n, 55, O_MAX_MIN) != NULL; }
static bool tfx_min(Tfx *x, const Node *n) { return all_inputs(x, n, 57, O_MAX_MIN) != NULL; }
static bool tfx_less(Tfx *x, const Node *n) { return all_inputs(x, n, 58, O_LESS) != NULL; }
static bool tfx_less_or_equal(Tfx *x, const Node *n) { return all_inputs(x, n, 63, O_LESS_EQUAL) != NULL; }
static bool tfx_equal(Tfx *x, const Node *n) { return all_inputs(x, n, 71, O_EQUAL) != NULL; }
static bool tfx_squared_difference(Tfx *x, const Node *n) {
  return all_inputs(x, n, 99, O_SQUARED_DIFFERENCE) != NULL;
}
static bool tfx_log_softmax(Tfx *x, const Node *n) { return all_inputs(x, n, 50, O_LOG_SOFTMAX) != NULL; }
static bool tfx_l2_normalization(Tfx *x, const Node *n) {
  tfx_byte(all_inputs(x, n, 11, O_L2_NORM), 0, 0);
  return true;
}

/* Operators of f32, i8 and i16 alone, which ours are not. */
static bool narrow(Tfx *x, const Node *n) {
  const DType t = graph_val(x->g, n->in[0])->dtype;
  if (t == DT_F32 || dtype_is_code(t)) return true;
  return tfx_refuse(x, n, arena_printf(x->arena, "it is of %s; there are f32, i8 and i16", dtype_name(t)));
}

static bool tfx_relu(Tfx *x, const Node *n) { return narrow(x, n) && all_inputs(x, n, 19, 0) != NULL; }
static bool tfx_sigmoid(Tfx *x, const Node *n) { return all_inputs(x, n, 14, 0) != NULL; }
static bool tfx_tanh(Tfx *x, const Node *n) { return all_inputs(x, n, 28, 0) != NULL; }
static bool tfx_quantize(Tfx *x, const Node *n) { return all_inputs(x, n, 114, O_QUANTIZE) != NULL; }
static bool tfx_dequantize(Tfx *x, const Node *n) { return all_inputs(x, n, 6, O_DEQUANTIZE) != NULL; }
static bool tfx_cast(Tfx *x, const Node *n) { return all_inputs(x, n, 53, O_CAST) != NULL; }

static bool tfx_clip(Tfx *x, const Node *n) {
  static const struct {
    float lo, hi;
    int32_t code;
  } known[] = {{0, 6, 21}, {-1, 1, 20}, {0, 1, 152}, {0, INFINITY, 19}};
  const clip_attrs *a = CATTRS(n, clip);
  TRY(narrow(x, n));
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
    if (a->lo == known[i].lo && a->hi == known[i].hi) return all_inputs(x, n, known[i].code, 0) != NULL;
  return tfx_refuse(x, n, "its limits are none of RELU, RELU6, RELU_N1_TO_1, RELU_0_TO_1");
}

static bool tfx_leaky_relu(Tfx *x, const Node *n) {
  tfx_float(all_inputs(x, n, 98, O_LEAKY_RELU), 0, CATTRS(n, leaky_relu)->alpha);
  return true;
}

static bool tfx_softmax(Tfx *x, const Node *n) {
  const softmax_attrs *a = CATTRS(n, softmax);
  int rank = shape(x, n->in[0])->rank;
  if (a->axis != -1 && a->axis != rank - 1) return tfx_refuse(x, n, "its axis is not the innermost one");
  tfx_float(all_inputs(x, n, 25, O_SOFTMAX), 0, a->beta);
  return true;
}

static bool tfx_matmul(Tfx *x, const Node *n) {
  return narrow(x, n) && all_inputs(x, n, 126, O_BATCH_MATMUL) != NULL;
}

static bool reduction(Tfx *x, const Node *n, int32_t code, const Ints *list, int32_t keepdims) {
  if (list->n == 0) return tfx_refuse(x, n, "it reduces no axis");
  int32_t in = tfx_tensor(x, n->in[0]), axes = tfx_ints(x, "axes", list->v, list->n);
  TfxOp *op = tfx_op(x, n, code, O_REDUCER, in);
  tfx_in(op, axes);
  tfx_byte(op, 0, keepdims);
  return true;
}

static bool tfx_reduce_mean(Tfx *x, const Node *n) {
  return reduction(x, n, 40, &CATTRS(n, reduce_mean)->axes, CATTRS(n, reduce_mean)->keepdims);
}
static bool tfx_reduce_sum(Tfx *x, const Node *n) {
  return reduction(x, n, 74, &CATTRS(n, reduce_sum)->axes, CATTRS(n, reduce_sum)->keepdims);
}
static bool tfx_reduce_max(Tfx *x, const Node *n) {
  return reduction(x, n, 82, &CATTRS(n, reduce_max)->axes, CATTRS(n, reduce_max)->keepdims);
}
static bool tfx_reduce_min(Tfx *x, const Node *n) {
  return reduction(x, n, 89, &CATTRS(n, reduce_min)->axes, CATTRS(n, reduce_min)->keepdims);
}

/* Of int8 alone: floats are weighted means along one axis after the other. */
static bool tfx_resize_bilinear(Tfx *x, const Node *n) {
  const resize_bilinear_attrs *a = CATTRS(n, resize_bilinear);
  int32_t in = tfx_tensor(x, n->in[0]), size = tfx_ints(x, "size", a->size.v, 2);
  TfxOp *op = tfx_op(x, n, 23, O_RESIZE_BILINEAR, in);
  tfx_in(op, size);
  tfx_byte(op, 2, a->align_corners);
  tfx_byte(op, 3, a->half_pixel_centers);
  return true;
}

/* Whether the pads before the output are those of VALID (none) or SAME; what is behind follows from the shape. */
static bool transposed_same(const Shape *y, const Shape *w, const conv_transpose_attrs *a, bool *same) {
  bool valid = !a->pads.v[0] && !a->pads.v[1];
  *same = !valid;
  for (int i = 0; *same && i < 2; i++) {
    int64_t before, after;
    tfl_same_pads(y->d[1 + i], w->d[1 + i], a->strides.v[i], 1, &before, &after);
    *same = before == a->pads.v[i];
  }
  return valid || *same;
}

static bool tfx_conv_transpose(Tfx *x, const Node *n) {
  const conv_transpose_attrs *a = CATTRS(n, conv_transpose);
  const Shape *y = shape(x, n->out[0]), *w = shape(x, n->in[1]);
  bool same = false;
  if (a->group != 1 || a->dilations.v[0] != 1 || a->dilations.v[1] != 1 || !transposed_same(y, w, a, &same))
    return tfx_refuse(x, n, "it has no groups, dilation or pads but SAME and VALID");
  int32_t size = tfx_ints(x, "shape", y->d, 4), in = tfx_tensor(x, n->in[0]), by = tfx_tensor(x, n->in[1]);
  TfxOp *op = tfx_op(x, n, 67, O_TRANSPOSE_CONV, size);
  tfx_in(op, by);
  tfx_in(op, in);
  if (n->n_in > 2 && n->in[2] != NO_VAL) tfx_in(op, tfx_tensor(x, n->in[2]));
  tfx_byte(op, 0, same ? 0 : 1);
  tfx_int(op, 1, a->strides.v[1]);
  tfx_int(op, 2, a->strides.v[0]);
  tfx_byte(op, 3, act_code(a->act));
  return true;
}

/* -- moving -- */

/* An operator whose second input is a list of integers. */
static bool with_list(Tfx *x, const Node *n, int32_t code, int32_t options, const char *name,
                      const int64_t *v, int count) {
  int32_t in = tfx_tensor(x, n->in[0]), list = tfx_ints(x, name, v, count);
  tfx_in(tfx_op(x, n, code, options, in), list);
  return true;
}

static bool tfx_reshape(Tfx *x, const Node *n) {
  const Shape *s = shape(x, n->out[0]);
  return with_list(x, n, 22, O_RESHAPE, "shape", s->d, s->rank);
}

static bool tfx_transpose(Tfx *x, const Node *n) {
  const Ints *p = &CATTRS(n, transpose)->perm;
  return with_list(x, n, 39, O_TRANSPOSE, "order", p->v, p->n);
}

static bool tfx_concat(Tfx *x, const Node *n) {
  tfx_int(all_inputs(x, n, 2, O_CONCAT), 0, CATTRS(n, concat)->axis);
  return true;
}

/* Constant places from the end are counted from the start: GATHER has no others. */
static int32_t places(Tfx *x, ValId v, int64_t len) {
  const Value *val = graph_val(x->g, v);
  const int64_t count = shape_count(&val->shape);
  if (!val->blob) return tfx_tensor(x, v);
  void *data = arena_array(x->arena, (size_t)count + 1, dtype_size(val->dtype));
  for (int64_t i = 0; i < count; i++) {
    const int64_t at = dtype_get(val->dtype, val_data(x->g, v), i);
    dtype_set(val->dtype, data, i, at < 0 ? at + len : at);
  }
  return tfx_new(
      x, &(TfxTensor){
             .name = val->name ? val->name : "", .dtype = val->dtype, .shape = val->shape, .data = data});
}

static bool tfx_gather(Tfx *x, const Node *n) {
  const int32_t axis = CATTRS(n, gather)->axis;
  const int32_t in = tfx_tensor(x, n->in[0]), at = places(x, n->in[1], shape(x, n->in[0])->d[axis]);
  TfxOp *op = tfx_op(x, n, 36, O_GATHER, in);
  tfx_in(op, at);
  tfx_int(op, 0, axis);
  return true;
}

static bool tfx_pad(Tfx *x, const Node *n) {
  const pad_attrs *a = CATTRS(n, pad);
  const Value *v = graph_val(x->g, n->in[0]);
  const int rank = v->shape.rank;
  int64_t pairs[2 * MAX_RANK];
  for (int i = 0; i < rank; i++) {
    pairs[2 * i] = a->pads.v[i];
    pairs[2 * i + 1] = a->pads.v[rank + i];
  }
  if (a->value != 0 && v->dtype != DT_F32)
    return tfx_refuse(x, n, "it pads other elements than f32 with a value");
  int32_t in = tfx_tensor(x, n->in[0]), list = tfx_ints(x, "pads", pairs, 2 * rank), value = -1;
  x->tensors[list].shape = (Shape){.rank = 2, .d = {rank, 2}};
  if (a->value != 0) {
    TfxTensor t = {.name = "value", .dtype = DT_F32, .shape = {.rank = 1, .d = {1}}, .data = &a->value};
    value = tfx_new(x, &t);
  }
  TfxOp *op = tfx_op(x, n, value < 0 ? 34 : 60, value < 0 ? O_PAD : O_PADV2, in);
  tfx_in(op, list);
  if (value >= 0) tfx_in(op, value);
  return true;
}

static bool tfx_slice(Tfx *x, const Node *n) {
  const slice_attrs *a = CATTRS(n, slice);
  const int rank = a->starts.n;
  int64_t end[MAX_RANK];
  int end_mask = 0;
  bool plain = true;
  for (int i = 0; i < rank; i++) {
    end[i] = a->starts.v[i] + (a->counts.v[i] - 1) * a->steps.v[i] + (a->steps.v[i] > 0 ? 1 : -1);
    if (end[i] < 0) end_mask |= 1 << i;
    plain = plain && a->steps.v[i] == 1;
  }
  int32_t in = tfx_tensor(x, n->in[0]), from = tfx_ints(x, "begin", a->starts.v, rank);
  int32_t to = tfx_ints(x, plain ? "size" : "end", plain ? a->counts.v : end, rank);
  int32_t by = plain ? -1 : tfx_ints(x, "strides", a->steps.v, rank);
  TfxOp *op = tfx_op(x, n, plain ? 65 : 45, plain ? O_SLICE : O_STRIDED_SLICE, in);
  tfx_in(op, from);
  tfx_in(op, to);
  if (plain) return true;
  tfx_in(op, by);
  tfx_int(op, 1, end_mask);
  return true;
}

/* Codes as places in the table (in all tables, one behind the other), which GATHER reads. */
static bool tfx_lookup(Tfx *x, const Node *n) {
  const Value *v = graph_val(x->g, n->in[0]), *t = graph_val(x->g, n->in[1]);
  const int64_t tables = shape_count(&t->shape) / 256;
  if (!t->blob) return tfx_refuse(x, n, "its table is no constant");
  int32_t *first = arena_array(x->arena, (size_t)tables, sizeof *first);
  for (int64_t c = 0; c < tables; c++) first[c] = (int32_t)(c * 256 + 128);
  TfxTensor wide = {.name = "places", .dtype = DT_I32, .shape = v->shape};
  const int32_t code = tfx_new(x, &wide), place = tfx_new(x, &wide);
  const int32_t from =
      tfx_new(x, &(TfxTensor){.name = "first", .dtype = DT_I32, .shape = {1, {tables}}, .data = first});
  const int32_t table = tfx_new(x, &(TfxTensor){.name = "table",
                                                .dtype = DT_I8,
                                                .shape = {1, {tables * 256}},
                                                .quant = graph_val(x->g, n->out[0])->quant,
                                                .data = val_data(x->g, n->in[1])});
  const int32_t in = tfx_tensor(x, n->in[0]);
  tfx_in(tfx_bare(x, 53, O_CAST, code), in);
  TfxOp *add = tfx_bare(x, 0, O_ADD, place);
  tfx_in(add, code);
  tfx_in(add, from);
  TfxOp *gather = tfx_op(x, n, 36, O_GATHER, table);
  tfx_in(gather, place);
  tfx_int(gather, 0, 0);
  return true;
}

TfxFn *tfx_fn(OpKind op) {
  static TfxFn *const fns[OP_COUNT] = {
      [OP_conv] = tfx_conv,
      [OP_depthwise_conv] = tfx_depthwise_conv,
      [OP_fully_connected] = tfx_fully_connected,
      [OP_matmul] = tfx_matmul,
      [OP_conv_transpose] = tfx_conv_transpose,
      [OP_squared_difference] = tfx_squared_difference,
      [OP_equal] = tfx_equal,
      [OP_less] = tfx_less,
      [OP_less_or_equal] = tfx_less_or_equal,
      [OP_reduce_sum] = tfx_reduce_sum,
      [OP_reduce_max] = tfx_reduce_max,
      [OP_reduce_min] = tfx_reduce_min,
      [OP_log_softmax] = tfx_log_softmax,
      [OP_l2_normalization] = tfx_l2_normalization,
      [OP_resize_bilinear] = tfx_resize_bilinear,
      [OP_max_pool] = tfx_max_pool,
      [OP_average_pool] = tfx_average_pool,
      [OP_reduce_mean] = tfx_reduce_mean,
      [OP_add] = tfx_add,
      [OP_sub] = tfx_sub,
      [OP_mul] = tfx_mul,
      [OP_div] = tfx_div,
      [OP_max] = tfx_max,
      [OP_min] = tfx_min,
      [OP_relu] = tfx_relu,
      [OP_clip] = tfx_clip,
      [OP_leaky_relu] = tfx_leaky_relu,
      [OP_sigmoid] = tfx_sigmoid,
      [OP_tanh] = tfx_tanh,
      [OP_softmax] = tfx_softmax,
      [OP_reshape] = tfx_reshape,
      [OP_transpose] = tfx_transpose,
      [OP_concat] = tfx_concat,
      [OP_pad] = tfx_pad,
      [OP_slice] = tfx_slice,
      [OP_gather] = tfx_gather,
      [OP_cast] = tfx_cast,
      [OP_quantize] = tfx_quantize,
      [OP_dequantize] = tfx_dequantize,
      [OP_lookup] = tfx_lookup,
      [OP_seq_lstm] = tfx_seq_lstm,
      [OP_svdf_state] = tfx_svdf_state,
      [OP_svdf] = tfx_svdf,
  };
  return fns[op];
}
