/* ONNX export of each operator: xp_IDENT for every row of ops.def (a missing one is a link error).
 *
 * Window operators work on image forms (NCHW); elementwise ones stay there when all inputs can; the rest is plain.
 * A fused activation becomes a Relu or Clip of its own. Source: ONNX operator schemas, opset 13.
 */
#include "frontend/onnx/export.h"

#include <inttypes.h>
#include <math.h>

#define A(kind, field, def, doc)
XpFn *xp_fn(OpKind op) {
  static XpFn *const fns[] = {
#define OP(ident, name, mn, mx, no, traits, cls, diff, doc, attrs) xp_##ident,
#include "ir/ops.def"
#undef OP
  };
  return fns[op];
}
#undef A

static const Shape *shape(const Export *x, ValId v) { return &graph_val(x->g, v)->shape; }

/* -- ends of nodes -- */

static void end_clip(Export *x, const char *from, DType t, float lo, float hi, const char *out) {
  XpNode n = {0};
  xp_in(&n, from);
  if (isinf(lo) && isinf(hi)) {
    xp_end(x, &n, "Identity", out);
    return;
  }
  xp_in(&n, isinf(lo) ? "" : xp_const_number(x, xp_fresh(x, out, "min"), t, (double)lo));
  if (!isinf(hi)) xp_in(&n, xp_const_number(x, xp_fresh(x, out, "max"), t, (double)hi));
  xp_end(x, &n, "Clip", out);
}

bool xp_end_act(Export *x, XpNode *m, const char *op, int32_t act, const char *out) {
  if (act == ACT_NONE) {
    xp_end(x, m, op, out);
    return true;
  }
  const char *pre = xp_fresh(x, out, "pre");
  xp_end(x, m, op, pre);
  if (act == ACT_RELU) {
    XpNode relu = {0};
    xp_in(&relu, pre);
    xp_end(x, &relu, "Relu", out);
  } else {
    end_clip(x, pre, DT_F32, act == ACT_RELU6 ? 0 : -1, act == ACT_RELU6 ? 6 : 1, out);
  }
  return true;
}

/* -- windows: image in, image out -- */

static bool window(Export *x, const Node *n, XpNode *m, const Ints *strides, const Ints *pads, const char *op,
                   int32_t act) {
  xp_ints(m, "strides", strides);
  xp_ints(m, "pads", pads);
  return xp_end_act(x, m, op, act, xp_out(x, n->out[0], true));
}

static void conv_inputs(Export *x, const Node *n, XpNode *m, const char *perm) {
  xp_in(m, xp_image(x, n->in[0]));
  xp_in(m, xp_transposed(x, n->in[1], perm, "oihw"));
  if (n->n_in > 2) xp_in(m, xp_plain(x, n->in[2]));
}

bool xp_conv(Export *x, const Node *n) {
  if (graph_val(x->g, n->in[0])->dtype == DT_I8) return xp_sums(x, n);
  const conv_attrs *a = CATTRS(n, conv);
  const Shape *w = shape(x, n->in[1]);
  XpNode m = {0};
  conv_inputs(x, n, &m, "0312");
  xp_ints(&m, "kernel_shape", &(Ints){2, {w->d[1], w->d[2]}});
  xp_ints(&m, "dilations", &a->dilations);
  xp_int(&m, "group", a->group);
  return window(x, n, &m, &a->strides, &a->pads, "Conv", a->act);
}

/* Weights [1,Kh,Kw,O] are [O,1,Kh,Kw] with one group per input channel. */
bool xp_depthwise_conv(Export *x, const Node *n) {
  if (graph_val(x->g, n->in[0])->dtype == DT_I8) return xp_sums(x, n);
  const depthwise_conv_attrs *a = CATTRS(n, depthwise_conv);
  const Shape *w = shape(x, n->in[1]);
  XpNode m = {0};
  conv_inputs(x, n, &m, "3012");
  xp_ints(&m, "kernel_shape", &(Ints){2, {w->d[1], w->d[2]}});
  xp_ints(&m, "dilations", &a->dilations);
  xp_int(&m, "group", shape(x, n->in[0])->d[3]);
  return window(x, n, &m, &a->strides, &a->pads, "Conv", a->act);
}

bool xp_max_pool(Export *x, const Node *n) {
  const max_pool_attrs *a = CATTRS(n, max_pool);
  XpNode m = {0};
  xp_in(&m, xp_image(x, n->in[0]));
  xp_ints(&m, "kernel_shape", &a->kernel);
  if (a->dilations.n) xp_ints(&m, "dilations", &a->dilations);
  return window(x, n, &m, &a->strides, &a->pads, "MaxPool", a->act);
}

bool xp_average_pool(Export *x, const Node *n) {
  const average_pool_attrs *a = CATTRS(n, average_pool);
  XpNode m = {0};
  xp_in(&m, xp_image(x, n->in[0]));
  xp_ints(&m, "kernel_shape", &a->kernel);
  if (a->dilations.n) xp_ints(&m, "dilations", &a->dilations);
  xp_int(&m, "count_include_pad", a->count_include_pad);
  return window(x, n, &m, &a->strides, &a->pads, "AveragePool", a->act);
}

/* A vector is one item of its channels. */
static bool vector_normalization(Export *x, const Node *n) {
  const int64_t c = shape(x, n->in[0])->d[0];
  const char *out = xp_out(x, n->out[0], false), *y = xp_fresh(x, out, "row");
  XpNode m = {0};
  xp_in(&m, xp_reshaped(x, xp_plain(x, n->in[0]), out, &(Ints){2, {1, c}}));
  for (uint32_t i = 1; i < 5; i++) xp_in(&m, xp_plain(x, n->in[i]));
  xp_float(&m, "epsilon", CATTRS(n, batch_normalization)->epsilon);
  xp_end(x, &m, "BatchNormalization", y);
  xp_reshape_node(x, y, &(Ints){1, {c}}, out);
  return true;
}

/* ONNX's channels are axis 1: of an image that is ours in image form; otherwise axes are exchanged around it. */
bool xp_batch_normalization(Export *x, const Node *n) {
  const batch_normalization_attrs *a = CATTRS(n, batch_normalization);
  int32_t rank = shape(x, n->in[0])->rank;
  bool image = rank == 4 && a->axis == 3, swap = !image && a->axis != 1;
  if (rank < 2) return vector_normalization(x, n);
  char perm[MAX_RANK + 1] = {0};
  for (int i = 0; i < rank; i++) perm[i] = (char)('0' + (i == 1 ? a->axis : i == a->axis ? 1 : i));
  const char *out = xp_out(x, n->out[0], image);
  XpNode m = {0};
  xp_in(&m, image  ? xp_image(x, n->in[0])
            : swap ? xp_transposed(x, n->in[0], perm, "nc")
                   : xp_plain(x, n->in[0]));
  for (uint32_t i = 1; i < 5; i++) xp_in(&m, xp_plain(x, n->in[i]));
  xp_float(&m, "epsilon", a->epsilon);
  const char *y = swap ? xp_fresh(x, out, "nc") : out;
  xp_end(x, &m, "BatchNormalization", y);
  if (swap) xp_transpose_node(x, y, perm, out); /* exchanging two axes is its own inverse */
  return true;
}

/* -- products -- */

bool xp_fully_connected(Export *x, const Node *n) {
  if (graph_val(x->g, n->in[0])->dtype == DT_I8) return xp_sums(x, n);
  int32_t act = CATTRS(n, fully_connected)->act;
  const char *out = xp_out(x, n->out[0], false);
  XpNode m = {0};
  xp_in(&m, xp_plain(x, n->in[0]));
  if (shape(x, n->in[0])->rank == 2) {
    for (uint32_t i = 1; i < n->n_in; i++) xp_in(&m, xp_plain(x, n->in[i]));
    xp_int(&m, "transB", 1);
    return xp_end_act(x, &m, "Gemm", act, out);
  }
  xp_in(&m, xp_transposed(x, n->in[1], "10", "t"));
  if (n->n_in < 3) return xp_end_act(x, &m, "MatMul", act, out);
  const char *product = xp_fresh(x, out, "product");
  xp_end(x, &m, "MatMul", product);
  XpNode add = {0};
  xp_in(&add, product);
  xp_in(&add, xp_plain(x, n->in[2]));
  return xp_end_act(x, &add, "Add", act, out);
}

bool xp_matmul(Export *x, const Node *n) {
  if (graph_val(x->g, n->in[0])->dtype == DT_I8) return xp_sums(x, n);
  XpNode m = {0};
  for (uint32_t i = 0; i < 2; i++) xp_in(&m, xp_plain(x, n->in[i]));
  xp_end(x, &m, "MatMul", xp_out(x, n->out[0], false));
  return true;
}

/* -- element by element -- */

/* Can the operand stand beside an image? A scalar as it is, channels [C] as [C,1,1]. */
static bool fits_image(const Export *x, ValId v) {
  const Shape *s = shape(x, v);
  if (s->rank == 4 || shape_count(s) == 1) return shape_is_static(s) || s->rank == 4;
  return s->rank == 1 && val_is_const(x->g, v);
}

static const char *beside_image(Export *x, ValId v) {
  const Shape *s = shape(x, v);
  if (s->rank == 4) return xp_image(x, v);
  if (shape_count(s) == 1) return xp_plain(x, v);
  Shape channels = {3, {s->d[0], 1, 1}};
  return xp_const(x, xp_fresh(x, x->name[v], "c11"), graph_val(x->g, v)->dtype, &channels, val_data(x->g, v));
}

static bool binary(Export *x, const Node *n, const char *op, int32_t act) {
  ValId a = n->in[0], b = n->in[1];
  bool image =
      shape(x, n->out[0])->rank == 4 && (x->image[a] || x->image[b]) && fits_image(x, a) && fits_image(x, b);
  XpNode m = {0};
  for (uint32_t i = 0; i < 2; i++) xp_in(&m, image ? beside_image(x, n->in[i]) : xp_plain(x, n->in[i]));
  return xp_end_act(x, &m, op, act, xp_out(x, n->out[0], image));
}

bool xp_add(Export *x, const Node *n) { return binary(x, n, "Add", CATTRS(n, add)->act); }
bool xp_sub(Export *x, const Node *n) { return binary(x, n, "Sub", CATTRS(n, sub)->act); }
bool xp_mul(Export *x, const Node *n) { return binary(x, n, "Mul", CATTRS(n, mul)->act); }
bool xp_div(Export *x, const Node *n) { return binary(x, n, "Div", ACT_NONE); }
bool xp_max(Export *x, const Node *n) { return binary(x, n, "Max", ACT_NONE); }
bool xp_min(Export *x, const Node *n) { return binary(x, n, "Min", ACT_NONE); }

/* Input and output in the form that the input is in. */
static void unary_in(Export *x, const Node *n, XpNode *m, const char **out) {
  bool image = x->image[n->in[0]];
  xp_in(m, image ? xp_image(x, n->in[0]) : xp_plain(x, n->in[0]));
  *out = xp_out(x, n->out[0], image);
}

static bool unary(Export *x, const Node *n, const char *op) {
  XpNode m = {0};
  const char *out;
  unary_in(x, n, &m, &out);
  xp_end(x, &m, op, out);
  return true;
}

bool xp_relu(Export *x, const Node *n) { return unary(x, n, "Relu"); }
bool xp_sigmoid(Export *x, const Node *n) { return unary(x, n, "Sigmoid"); }
bool xp_tanh(Export *x, const Node *n) { return unary(x, n, "Tanh"); }

bool xp_clip(Export *x, const Node *n) {
  const clip_attrs *a = CATTRS(n, clip);
  bool image = x->image[n->in[0]];
  const char *from = image ? xp_image(x, n->in[0]) : xp_plain(x, n->in[0]);
  end_clip(x, from, graph_val(x->g, n->in[0])->dtype, a->lo, a->hi, xp_out(x, n->out[0], image));
  return true;
}

bool xp_leaky_relu(Export *x, const Node *n) {
  XpNode m = {0};
  const char *out;
  unary_in(x, n, &m, &out);
  xp_float(&m, "alpha", CATTRS(n, leaky_relu)->alpha);
  xp_end(x, &m, "LeakyRelu", out);
  return true;
}

bool xp_softmax(Export *x, const Node *n) {
  const softmax_attrs *a = CATTRS(n, softmax);
  const char *in = xp_plain(x, n->in[0]), *out = xp_out(x, n->out[0], false);
  if (a->beta != 1.0f) {
    XpNode mul = {0};
    xp_in(&mul, in);
    xp_in(&mul, xp_const_float(x, xp_fresh(x, out, "beta"), a->beta));
    in = xp_fresh(x, out, "scaled");
    xp_end(x, &mul, "Mul", in);
  }
  XpNode m = {0};
  xp_in(&m, in);
  xp_int(&m, "axis", a->axis);
  xp_end(x, &m, "Softmax", out);
  return true;
}

/* -- axes -- */

/* Axes are an attribute in opset 13, but for ReduceSum; an input in 18. */
static void reduced_axes(Export *x, const Node *n, XpNode *m, const char *out, const Ints *axes) {
  if (n->op == OP_reduce_sum || x->opset >= 18)
    xp_in(m, xp_const_ints(x, xp_fresh(x, out, "axes"), axes));
  else
    xp_ints(m, "axes", axes);
}

/* A mean over rows and columns of an image that drops them gives [N,C] from either form. */
bool xp_reduce_mean(Export *x, const Node *n) {
  static const int64_t to_image[4] = {0, 2, 3, 1};
  const reduce_mean_attrs *a = CATTRS(n, reduce_mean);
  Ints axes = a->axes;
  bool dropped = !a->keepdims && axes.n == 2 && axes.v[0] == 1 && axes.v[1] == 2;
  bool image = x->image[n->in[0]] && (a->keepdims || dropped);
  for (int32_t i = 0; image && i < axes.n; i++) axes.v[i] = to_image[axes.v[i]];
  XpNode m = {0};
  xp_in(&m, image ? xp_image(x, n->in[0]) : xp_plain(x, n->in[0]));
  const char *out = xp_out(x, n->out[0], image && a->keepdims);
  reduced_axes(x, n, &m, out, &axes);
  xp_int(&m, "keepdims", a->keepdims);
  xp_end(x, &m, "ReduceMean", out);
  return true;
}

/* An extent of 0 would mean the input's. */
bool xp_reshape(Export *x, const Node *n) {
  const Ints *to = &CATTRS(n, reshape)->shape;
  bool zero = false;
  for (int32_t i = 0; i < to->n; i++) zero = zero || to->v[i] == 0;
  const char *in = xp_plain(x, n->in[0]), *out = xp_out(x, n->out[0], false);
  XpNode m = {0};
  xp_in(&m, in);
  xp_in(&m, xp_const_ints(x, xp_fresh(x, out, "shape"), to));
  if (zero) xp_int(&m, "allowzero", 1);
  xp_end(x, &m, "Reshape", out);
  return true;
}

bool xp_transpose(Export *x, const Node *n) {
  XpNode m = {0};
  xp_in(&m, xp_plain(x, n->in[0]));
  xp_ints(&m, "perm", &CATTRS(n, transpose)->perm);
  xp_end(x, &m, "Transpose", xp_out(x, n->out[0], false));
  return true;
}

bool xp_concat(Export *x, const Node *n) {
  static const int64_t to_image[4] = {0, 2, 3, 1};
  int64_t axis = CATTRS(n, concat)->axis;
  bool image = shape(x, n->out[0])->rank == 4;
  for (uint32_t i = 0; i < n->n_in; i++)
    image = image && (x->image[n->in[i]] || val_is_const(x->g, n->in[i]));
  XpNode m = {0};
  for (uint32_t i = 0; i < n->n_in; i++) xp_in(&m, image ? xp_image(x, n->in[i]) : xp_plain(x, n->in[i]));
  xp_int(&m, "axis", image ? to_image[axis] : axis);
  xp_end(x, &m, "Concat", xp_out(x, n->out[0], image));
  return true;
}

/* A list with one entry per axis of an image, in NCHW's order. */
static void image_order(int64_t *v) {
  int64_t c = v[3];
  v[3] = v[2];
  v[2] = v[1];
  v[1] = c;
}

bool xp_pad(Export *x, const Node *n) {
  const pad_attrs *a = CATTRS(n, pad);
  Ints pads = a->pads;
  bool image = x->image[n->in[0]];
  if (image) {
    image_order(&pads.v[0]);
    image_order(&pads.v[4]);
  }
  const char *in = image ? xp_image(x, n->in[0]) : xp_plain(x, n->in[0]), *out = xp_out(x, n->out[0], image);
  XpNode m = {0};
  xp_in(&m, in);
  xp_in(&m, xp_const_ints(x, xp_fresh(x, out, "pads"), &pads));
  const Value *v = graph_val(x->g, n->in[0]);
  const DType t = v->dtype;
  FAIL_IF(dtype_kind(t) == 's' && a->value != 0, x->d, &n->loc, "Pad of %s with a value cannot be exported",
          dtype_name(t));
  double value = (double)a->value;
  if (t == DT_I16 && v->quant.n == 1) /* moved as codes */
    value = fmin(fmax(round(value / (double)v->quant.scale[0]) + v->quant.zero[0], INT16_MIN), INT16_MAX);
  if (value != 0) xp_in(&m, xp_const_number(x, xp_fresh(x, out, "value"), t, value));
  xp_end(x, &m, "Pad", out);
  return true;
}

/* Start, count and step as ONNX's start and end; the end before the first element is written as -(extent + 1). */
bool xp_slice(Export *x, const Node *n) {
  const slice_attrs *a = CATTRS(n, slice);
  const Shape *s = shape(x, n->in[0]);
  bool image = x->image[n->in[0]];
  Ints starts = a->starts, steps = a->steps, ends = {.n = s->rank}, axes = {.n = s->rank};
  for (int32_t i = 0; i < s->rank; i++) {
    bool all = s->d[i] == DIM_BATCH;
    int64_t end = starts.v[i] + a->counts.v[i] * steps.v[i];
    ends.v[i] = all ? INT32_MAX : a->counts.v[i] == 0 ? starts.v[i] : end < 0 ? -(s->d[i] + 1) : end;
    axes.v[i] = i;
  }
  if (image) {
    image_order(starts.v);
    image_order(ends.v);
    image_order(steps.v);
  }
  const char *in = image ? xp_image(x, n->in[0]) : xp_plain(x, n->in[0]), *out = xp_out(x, n->out[0], image);
  XpNode m = {0};
  xp_in(&m, in);
  xp_in(&m, xp_const_ints(x, xp_fresh(x, out, "starts"), &starts));
  xp_in(&m, xp_const_ints(x, xp_fresh(x, out, "ends"), &ends));
  xp_in(&m, xp_const_ints(x, xp_fresh(x, out, "axes"), &axes));
  xp_in(&m, xp_const_ints(x, xp_fresh(x, out, "steps"), &steps));
  xp_end(x, &m, "Slice", out);
  return true;
}

bool xp_gather(Export *x, const Node *n) {
  XpNode m = {0};
  for (uint32_t i = 0; i < 2; i++) xp_in(&m, xp_plain(x, n->in[i]));
  xp_int(&m, "axis", CATTRS(n, gather)->axis);
  xp_end(x, &m, "Gather", xp_out(x, n->out[0], false));
  return true;
}

bool xp_cast(Export *x, const Node *n) {
  static const char *const modes[] = {"up", "down", "nearest"};
  const cast_attrs *a = CATTRS(n, cast);
  XpNode m = {0};
  xp_in(&m, xp_plain(x, n->in[0]));
  xp_int(&m, "to", xp_onnx_type((DType)a->to));
  if (a->overflow) xp_int(&m, "saturate", 0);
  if (a->to == DT_F8E8M0) xp_string(&m, "round_mode", modes[a->round]);
  xp_end(x, &m, "Cast", xp_out(x, n->out[0], false));
  return true;
}

/* -- functions of one element, pairs, reductions: ONNX's own -- */

bool xp_abs(Export *x, const Node *n) { return unary(x, n, "Abs"); }
bool xp_sign(Export *x, const Node *n) { return unary(x, n, "Sign"); }
bool xp_sqrt(Export *x, const Node *n) { return unary(x, n, "Sqrt"); }
bool xp_exp(Export *x, const Node *n) { return unary(x, n, "Exp"); }
bool xp_log(Export *x, const Node *n) { return unary(x, n, "Log"); }
bool xp_floor(Export *x, const Node *n) { return unary(x, n, "Floor"); }
bool xp_ceil(Export *x, const Node *n) { return unary(x, n, "Ceil"); }
bool xp_round(Export *x, const Node *n) { return unary(x, n, "Round"); }
bool xp_sin(Export *x, const Node *n) { return unary(x, n, "Sin"); }
bool xp_cos(Export *x, const Node *n) { return unary(x, n, "Cos"); }
bool xp_tan(Export *x, const Node *n) { return unary(x, n, "Tan"); }
bool xp_asin(Export *x, const Node *n) { return unary(x, n, "Asin"); }
bool xp_acos(Export *x, const Node *n) { return unary(x, n, "Acos"); }
bool xp_atan(Export *x, const Node *n) { return unary(x, n, "Atan"); }
bool xp_sinh(Export *x, const Node *n) { return unary(x, n, "Sinh"); }
bool xp_cosh(Export *x, const Node *n) { return unary(x, n, "Cosh"); }
bool xp_asinh(Export *x, const Node *n) { return unary(x, n, "Asinh"); }
bool xp_acosh(Export *x, const Node *n) { return unary(x, n, "Acosh"); }
bool xp_atanh(Export *x, const Node *n) { return unary(x, n, "Atanh"); }
bool xp_erf(Export *x, const Node *n) { return unary(x, n, "Erf"); }
bool xp_softplus(Export *x, const Node *n) { return unary(x, n, "Softplus"); }

bool xp_elu(Export *x, const Node *n) {
  XpNode m = {0};
  const char *out;
  unary_in(x, n, &m, &out);
  xp_float(&m, "alpha", CATTRS(n, elu)->alpha);
  xp_end(x, &m, "Elu", out);
  return true;
}

bool xp_pow(Export *x, const Node *n) { return binary(x, n, "Pow", ACT_NONE); }
bool xp_equal(Export *x, const Node *n) { return binary(x, n, "Equal", ACT_NONE); }
bool xp_less(Export *x, const Node *n) { return binary(x, n, "Less", ACT_NONE); }
bool xp_less_or_equal(Export *x, const Node *n) { return binary(x, n, "LessOrEqual", ACT_NONE); }

/* All inputs plain, no attribute. */
static XpNode plain_node(Export *x, const Node *n) {
  XpNode m = {0};
  for (uint32_t i = 0; i < n->n_in; i++) xp_in(&m, xp_plain(x, n->in[i]));
  return m;
}

static bool plain_end(Export *x, const Node *n, XpNode *m, const char *op) {
  xp_end(x, m, op, xp_out(x, n->out[0], false));
  return true;
}

/* And, Or, Xor of bool; integers have operators of their own, of opset 18. */
static bool logic(Export *x, const Node *n, const char *of_bool) {
  bool integer = graph_val(x->g, n->in[0])->dtype != DT_BOOL;
  XpNode m = plain_node(x, n);
  return plain_end(x, n, &m, integer ? op_info(n->op)->name : of_bool);
}

bool xp_bitwise_and(Export *x, const Node *n) { return logic(x, n, "And"); }
bool xp_bitwise_or(Export *x, const Node *n) { return logic(x, n, "Or"); }
bool xp_bitwise_xor(Export *x, const Node *n) { return logic(x, n, "Xor"); }

bool xp_bit_shift(Export *x, const Node *n) {
  XpNode m = plain_node(x, n);
  xp_string(&m, "direction", CATTRS(n, bit_shift)->right ? "RIGHT" : "LEFT");
  return plain_end(x, n, &m, "BitShift");
}

bool xp_where(Export *x, const Node *n) {
  XpNode m = plain_node(x, n);
  return plain_end(x, n, &m, "Where");
}

/* Over no axes, each element alone: none of ONNX's, which then reduces all. */
static bool no_reduction(Export *x, const Node *n) {
  XpNode m = plain_node(x, n);
  if (n->op == OP_reduce_sum_square) xp_in(&m, xp_plain(x, n->in[0]));
  return plain_end(x, n, &m, n->op == OP_reduce_sum_square ? "Mul" : "Identity");
}

static bool reduction(Export *x, const Node *n, const char *op, const Ints *axes, int32_t keepdims) {
  if (axes->n == 0) return no_reduction(x, n);
  XpNode m = plain_node(x, n);
  const char *out = xp_out(x, n->out[0], false);
  reduced_axes(x, n, &m, out, axes);
  xp_int(&m, "keepdims", keepdims);
  xp_end(x, &m, op, out);
  return true;
}

bool xp_reduce_sum(Export *x, const Node *n) {
  return reduction(x, n, "ReduceSum", &CATTRS(n, reduce_sum)->axes, CATTRS(n, reduce_sum)->keepdims);
}

bool xp_reduce_prod(Export *x, const Node *n) {
  return reduction(x, n, "ReduceProd", &CATTRS(n, reduce_prod)->axes, CATTRS(n, reduce_prod)->keepdims);
}

bool xp_reduce_max(Export *x, const Node *n) {
  return reduction(x, n, "ReduceMax", &CATTRS(n, reduce_max)->axes, CATTRS(n, reduce_max)->keepdims);
}

bool xp_reduce_min(Export *x, const Node *n) {
  return reduction(x, n, "ReduceMin", &CATTRS(n, reduce_min)->axes, CATTRS(n, reduce_min)->keepdims);
}

bool xp_reduce_sum_square(Export *x, const Node *n) {
  return reduction(x, n, "ReduceSumSquare", &CATTRS(n, reduce_sum_square)->axes,
                   CATTRS(n, reduce_sum_square)->keepdims);
}

bool xp_reduce_log_sum_exp(Export *x, const Node *n) {
  return reduction(x, n, "ReduceLogSumExp", &CATTRS(n, reduce_log_sum_exp)->axes,
                   CATTRS(n, reduce_log_sum_exp)->keepdims);
}

bool xp_arg_max(Export *x, const Node *n) {
  const arg_max_attrs *a = CATTRS(n, arg_max);
  XpNode m = plain_node(x, n);
  xp_int(&m, "axis", a->axis);
  xp_int(&m, "keepdims", a->keepdims);
  xp_int(&m, "select_last_index", a->last);
  return plain_end(x, n, &m, "ArgMax");
}

bool xp_arg_min(Export *x, const Node *n) {
  const arg_min_attrs *a = CATTRS(n, arg_min);
  XpNode m = plain_node(x, n);
  xp_int(&m, "axis", a->axis);
  xp_int(&m, "keepdims", a->keepdims);
  xp_int(&m, "select_last_index", a->last);
  return plain_end(x, n, &m, "ArgMin");
}

bool xp_cum_sum(Export *x, const Node *n) {
  const cum_sum_attrs *a = CATTRS(n, cum_sum);
  const int64_t axis = a->axis;
  XpNode m = plain_node(x, n);
  const char *out = xp_out(x, n->out[0], false);
  xp_in(&m, xp_const(x, xp_fresh(x, out, "axis"), DT_I64, &(Shape){.rank = 0}, &axis));
  xp_int(&m, "exclusive", a->exclusive);
  xp_int(&m, "reverse", a->reverse);
  xp_end(x, &m, "CumSum", out);
  return true;
}

/* -- codes: what qdq_expand leaves of them -- */

bool xp_quantize(Export *x, const Node *n) {
  const Value *y = graph_val(x->g, n->out[0]);
  XpNode m = {0};
  const char *out;
  if (y->quant.n == 1) {
    unary_in(x, n, &m, &out);
  } else { /* its axis is one of ours */
    xp_in(&m, xp_plain(x, n->in[0]));
    out = xp_out(x, n->out[0], false);
  }
  xp_quant_inputs(x, &m, y->dtype, &y->quant, out);
  xp_end(x, &m, "QuantizeLinear", out);
  return true;
}

bool xp_dequantize(Export *x, const Node *n) {
  const Value *c = graph_val(x->g, n->in[0]);
  bool image = x->image[n->in[0]] && c->quant.n == 1;
  const char *codes = image ? xp_image(x, n->in[0]) : xp_plain(x, n->in[0]);
  xp_dequantize_node(x, codes, c->dtype, &c->quant, xp_out(x, n->out[0], image));
  return true;
}

/* Inputs in plain form, and a number. */
static bool plain(Export *x, const Node *n, const char *op, const char *attr, int64_t v) {
  XpNode m = {0};
  for (uint32_t i = 0; i < n->n_in; i++) xp_in(&m, xp_plain(x, n->in[i]));
  if (attr) xp_int(&m, attr, v);
  xp_end(x, &m, op, xp_out(x, n->out[0], false));
  return true;
}

bool xp_gather_elements(Export *x, const Node *n) {
  return plain(x, n, "GatherElements", "axis", CATTRS(n, gather_elements)->axis);
}

bool xp_expand(Export *x, const Node *n) {
  Ints to = CATTRS(n, expand)->shape;
  const char *in = xp_plain(x, n->in[0]), *out = xp_out(x, n->out[0], false);
  for (int32_t i = 0; i < to.n; i++)
    if (to.v[i] == -1) to.v[i] = 1; /* theirs broadcasts both ways */
  XpNode m = {0};
  xp_in(&m, in);
  xp_in(&m, xp_const_ints(x, xp_fresh(x, out, "shape"), &to));
  xp_end(x, &m, "Expand", out);
  return true;
}
