/* ONNX export of each operator: xp_IDENT for every row of ops.def (a missing one is a link error).
 *
 * Window operators work on image forms (NCHW); elementwise ones stay there when all inputs can; the rest is plain.
 * A fused activation becomes a Relu or Clip of its own. Source: ONNX operator schemas, opset 13.
 */
#include "frontend/onnx/export.h"

#include <inttypes.h>
#include <math.h>

#define A(kind, field, def, doc)
#define OP(ident, name, mn, mx, no, traits, cls, diff, doc, attrs) static XpFn xp_##ident;
#include "ir/ops.def"
#undef OP

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

static void end_clip(Export *x, const char *from, float lo, float hi, const char *out) {
  XpNode n = {0};
  xp_in(&n, from);
  if (isinf(lo) && isinf(hi)) {
    xp_end(x, &n, "Identity", out);
    return;
  }
  xp_in(&n, isinf(lo) ? "" : xp_const_float(x, xp_fresh(x, out, "min"), lo));
  if (!isinf(hi)) xp_in(&n, xp_const_float(x, xp_fresh(x, out, "max"), hi));
  xp_end(x, &n, "Clip", out);
}

/* End the node m as `op` with a fused activation after it. */
static bool end_act(Export *x, XpNode *m, const char *op, int32_t act, const char *out) {
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
    end_clip(x, pre, act == ACT_RELU6 ? 0 : -1, act == ACT_RELU6 ? 6 : 1, out);
  }
  return true;
}

/* -- windows: image in, image out -- */

static bool window(Export *x, const Node *n, XpNode *m, const Ints *strides, const Ints *pads, const char *op,
                   int32_t act) {
  xp_ints(m, "strides", strides);
  xp_ints(m, "pads", pads);
  return end_act(x, m, op, act, xp_out(x, n->out[0], true));
}

static void conv_inputs(Export *x, const Node *n, XpNode *m, const char *perm) {
  xp_in(m, xp_image(x, n->in[0]));
  xp_in(m, xp_transposed(x, n->in[1], perm, "oihw"));
  if (n->n_in > 2) xp_in(m, xp_plain(x, n->in[2]));
}

static bool xp_conv(Export *x, const Node *n) {
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
static bool xp_depthwise_conv(Export *x, const Node *n) {
  const depthwise_conv_attrs *a = CATTRS(n, depthwise_conv);
  const Shape *w = shape(x, n->in[1]);
  XpNode m = {0};
  conv_inputs(x, n, &m, "3012");
  xp_ints(&m, "kernel_shape", &(Ints){2, {w->d[1], w->d[2]}});
  xp_ints(&m, "dilations", &a->dilations);
  xp_int(&m, "group", shape(x, n->in[0])->d[3]);
  return window(x, n, &m, &a->strides, &a->pads, "Conv", a->act);
}

static bool xp_max_pool(Export *x, const Node *n) {
  const max_pool_attrs *a = CATTRS(n, max_pool);
  XpNode m = {0};
  xp_in(&m, xp_image(x, n->in[0]));
  xp_ints(&m, "kernel_shape", &a->kernel);
  if (a->dilations.n) xp_ints(&m, "dilations", &a->dilations);
  return window(x, n, &m, &a->strides, &a->pads, "MaxPool", a->act);
}

static bool xp_average_pool(Export *x, const Node *n) {
  const average_pool_attrs *a = CATTRS(n, average_pool);
  XpNode m = {0};
  xp_in(&m, xp_image(x, n->in[0]));
  xp_ints(&m, "kernel_shape", &a->kernel);
  if (a->dilations.n) xp_ints(&m, "dilations", &a->dilations);
  xp_int(&m, "count_include_pad", a->count_include_pad);
  return window(x, n, &m, &a->strides, &a->pads, "AveragePool", a->act);
}

/* ONNX's channels are axis 1: of an image that is ours in image form; otherwise axes are exchanged around it. */
static bool xp_batch_normalization(Export *x, const Node *n) {
  const batch_normalization_attrs *a = CATTRS(n, batch_normalization);
  int32_t rank = shape(x, n->in[0])->rank;
  bool image = rank == 4 && a->axis == 3, swap = !image && a->axis != 1;
  FAIL_IF(rank < 2, x->d, &n->loc, "BatchNormalization of a vector cannot be expressed in ONNX");
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

static bool xp_fully_connected(Export *x, const Node *n) {
  int32_t act = CATTRS(n, fully_connected)->act;
  const char *out = xp_out(x, n->out[0], false);
  XpNode m = {0};
  xp_in(&m, xp_plain(x, n->in[0]));
  if (shape(x, n->in[0])->rank == 2) {
    for (uint32_t i = 1; i < n->n_in; i++) xp_in(&m, xp_plain(x, n->in[i]));
    xp_int(&m, "transB", 1);
    return end_act(x, &m, "Gemm", act, out);
  }
  xp_in(&m, xp_transposed(x, n->in[1], "10", "t"));
  if (n->n_in < 3) return end_act(x, &m, "MatMul", act, out);
  const char *product = xp_fresh(x, out, "product");
  xp_end(x, &m, "MatMul", product);
  XpNode add = {0};
  xp_in(&add, product);
  xp_in(&add, xp_plain(x, n->in[2]));
  return end_act(x, &add, "Add", act, out);
}

static bool xp_matmul(Export *x, const Node *n) {
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
  return end_act(x, &m, op, act, xp_out(x, n->out[0], image));
}

static bool xp_add(Export *x, const Node *n) { return binary(x, n, "Add", CATTRS(n, add)->act); }
static bool xp_sub(Export *x, const Node *n) { return binary(x, n, "Sub", CATTRS(n, sub)->act); }
static bool xp_mul(Export *x, const Node *n) { return binary(x, n, "Mul", CATTRS(n, mul)->act); }
static bool xp_div(Export *x, const Node *n) { return binary(x, n, "Div", ACT_NONE); }
static bool xp_max(Export *x, const Node *n) { return binary(x, n, "Max", ACT_NONE); }
static bool xp_min(Export *x, const Node *n) { return binary(x, n, "Min", ACT_NONE); }

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

static bool xp_relu(Export *x, const Node *n) { return unary(x, n, "Relu"); }
static bool xp_sigmoid(Export *x, const Node *n) { return unary(x, n, "Sigmoid"); }
static bool xp_tanh(Export *x, const Node *n) { return unary(x, n, "Tanh"); }

static bool xp_clip(Export *x, const Node *n) {
  const clip_attrs *a = CATTRS(n, clip);
  bool image = x->image[n->in[0]];
  const char *from = image ? xp_image(x, n->in[0]) : xp_plain(x, n->in[0]);
  end_clip(x, from, a->lo, a->hi, xp_out(x, n->out[0], image));
  return true;
}

static bool xp_leaky_relu(Export *x, const Node *n) {
  XpNode m = {0};
  const char *out;
  unary_in(x, n, &m, &out);
  xp_float(&m, "alpha", CATTRS(n, leaky_relu)->alpha);
  xp_end(x, &m, "LeakyRelu", out);
  return true;
}

static bool xp_softmax(Export *x, const Node *n) {
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

/* A mean over rows and columns of an image that drops them gives [N,C] from either form. */
static bool xp_reduce_mean(Export *x, const Node *n) {
  static const int64_t to_image[4] = {0, 2, 3, 1};
  const reduce_mean_attrs *a = CATTRS(n, reduce_mean);
  Ints axes = a->axes;
  bool dropped = !a->keepdims && axes.n == 2 && axes.v[0] == 1 && axes.v[1] == 2;
  bool image = x->image[n->in[0]] && (a->keepdims || dropped);
  for (int32_t i = 0; image && i < axes.n; i++) axes.v[i] = to_image[axes.v[i]];
  XpNode m = {0};
  xp_in(&m, image ? xp_image(x, n->in[0]) : xp_plain(x, n->in[0]));
  xp_ints(&m, "axes", &axes);
  xp_int(&m, "keepdims", a->keepdims);
  xp_end(x, &m, "ReduceMean", xp_out(x, n->out[0], image && a->keepdims));
  return true;
}

/* In opset 13 an extent of 0 would mean the input's. */
static bool xp_reshape(Export *x, const Node *n) {
  const Ints *to = &CATTRS(n, reshape)->shape;
  const Shape *from = shape(x, n->in[0]);
  for (int32_t i = 0; i < to->n; i++)
    FAIL_IF(to->v[i] == 0 && (i >= from->rank || from->d[i] != 0), x->d, &n->loc,
            "Reshape to a shape of no elements cannot be expressed in opset 13");
  const char *in = xp_plain(x, n->in[0]), *out = xp_out(x, n->out[0], false);
  XpNode m = {0};
  xp_in(&m, in);
  xp_in(&m, xp_const_ints(x, xp_fresh(x, out, "shape"), to));
  xp_end(x, &m, "Reshape", out);
  return true;
}

static bool xp_transpose(Export *x, const Node *n) {
  XpNode m = {0};
  xp_in(&m, xp_plain(x, n->in[0]));
  xp_ints(&m, "perm", &CATTRS(n, transpose)->perm);
  xp_end(x, &m, "Transpose", xp_out(x, n->out[0], false));
  return true;
}

static bool xp_concat(Export *x, const Node *n) {
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

static bool xp_pad(Export *x, const Node *n) {
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
  DType t = graph_val(x->g, n->in[0])->dtype;
  FAIL_IF(t != DT_F32 && a->value != 0, x->d, &n->loc, "Pad of %s with a value cannot be exported",
          dtype_name(t));
  if (t == DT_F32) xp_in(&m, xp_const_float(x, xp_fresh(x, out, "value"), a->value));
  xp_end(x, &m, "Pad", out);
  return true;
}

/* Start, count and step as ONNX's start and end; the end before the first element is written as -(extent + 1). */
static bool xp_slice(Export *x, const Node *n) {
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

static bool xp_gather(Export *x, const Node *n) {
  XpNode m = {0};
  for (uint32_t i = 0; i < 2; i++) xp_in(&m, xp_plain(x, n->in[i]));
  xp_int(&m, "axis", CATTRS(n, gather)->axis);
  xp_end(x, &m, "Gather", xp_out(x, n->out[0], false));
  return true;
}

static bool xp_cast(Export *x, const Node *n) {
  XpNode m = {0};
  xp_in(&m, xp_plain(x, n->in[0]));
  xp_int(&m, "to", xp_onnx_type((DType)CATTRS(n, cast)->to));
  xp_end(x, &m, "Cast", xp_out(x, n->out[0], false));
  return true;
}

/* -- functions of one element, pairs, reductions: ONNX's own -- */

static bool xp_abs(Export *x, const Node *n) { return unary(x, n, "Abs"); }
static bool xp_sign(Export *x, const Node *n) { return unary(x, n, "Sign"); }
static bool xp_sqrt(Export *x, const Node *n) { return unary(x, n, "Sqrt"); }
static bool xp_exp(Export *x, const Node *n) { return unary(x, n, "Exp"); }
static bool xp_log(Export *x, const Node *n) { return unary(x, n, "Log"); }
static bool xp_floor(Export *x, const Node *n) { return unary(x, n, "Floor"); }
static bool xp_ceil(Export *x, const Node *n) { return unary(x, n, "Ceil"); }
static bool xp_round(Export *x, const Node *n) { return unary(x, n, "Round"); }
static bool xp_sin(Export *x, const Node *n) { return unary(x, n, "Sin"); }
static bool xp_cos(Export *x, const Node *n) { return unary(x, n, "Cos"); }
static bool xp_tan(Export *x, const Node *n) { return unary(x, n, "Tan"); }
static bool xp_asin(Export *x, const Node *n) { return unary(x, n, "Asin"); }
static bool xp_acos(Export *x, const Node *n) { return unary(x, n, "Acos"); }
static bool xp_atan(Export *x, const Node *n) { return unary(x, n, "Atan"); }
static bool xp_sinh(Export *x, const Node *n) { return unary(x, n, "Sinh"); }
static bool xp_cosh(Export *x, const Node *n) { return unary(x, n, "Cosh"); }
static bool xp_asinh(Export *x, const Node *n) { return unary(x, n, "Asinh"); }
static bool xp_acosh(Export *x, const Node *n) { return unary(x, n, "Acosh"); }
static bool xp_atanh(Export *x, const Node *n) { return unary(x, n, "Atanh"); }
static bool xp_erf(Export *x, const Node *n) { return unary(x, n, "Erf"); }
static bool xp_softplus(Export *x, const Node *n) { return unary(x, n, "Softplus"); }

static bool xp_elu(Export *x, const Node *n) {
  XpNode m = {0};
  const char *out;
  unary_in(x, n, &m, &out);
  xp_float(&m, "alpha", CATTRS(n, elu)->alpha);
  xp_end(x, &m, "Elu", out);
  return true;
}

static bool xp_pow(Export *x, const Node *n) { return binary(x, n, "Pow", ACT_NONE); }
static bool xp_equal(Export *x, const Node *n) { return binary(x, n, "Equal", ACT_NONE); }
static bool xp_less(Export *x, const Node *n) { return binary(x, n, "Less", ACT_NONE); }
static bool xp_less_or_equal(Export *x, const Node *n) { return binary(x, n, "LessOrEqual", ACT_NONE); }

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

static bool xp_mod(Export *x, const Node *n) {
  XpNode m = plain_node(x, n);
  xp_int(&m, "fmod", CATTRS(n, mod)->fmod);
  return plain_end(x, n, &m, "Mod");
}

/* And, Or, Xor of bool; the bits of integers need opset 18. */
static bool logic(Export *x, const Node *n, const char *op) {
  FAIL_IF(graph_val(x->g, n->in[0])->dtype != DT_BOOL, x->d, &n->loc,
          "%s of integers cannot be expressed in ONNX before opset 18", op_info(n->op)->name);
  XpNode m = plain_node(x, n);
  return plain_end(x, n, &m, op);
}

static bool xp_bitwise_and(Export *x, const Node *n) { return logic(x, n, "And"); }
static bool xp_bitwise_or(Export *x, const Node *n) { return logic(x, n, "Or"); }
static bool xp_bitwise_xor(Export *x, const Node *n) { return logic(x, n, "Xor"); }

static bool xp_bit_shift(Export *x, const Node *n) {
  XpNode m = plain_node(x, n);
  xp_string(&m, "direction", CATTRS(n, bit_shift)->right ? "RIGHT" : "LEFT");
  return plain_end(x, n, &m, "BitShift");
}

static bool xp_where(Export *x, const Node *n) {
  XpNode m = plain_node(x, n);
  return plain_end(x, n, &m, "Where");
}

/* Axes as an attribute, as in opset 13; ReduceSum's are an input there. No axes: the element alone. */
static bool reduction(Export *x, const Node *n, const char *op, const Ints *axes, int32_t keepdims) {
  FAIL_IF(axes->n == 0, x->d, &n->loc, "%s over no axes cannot be expressed in ONNX", op);
  XpNode m = plain_node(x, n);
  const char *out = xp_out(x, n->out[0], false);
  if (n->op == OP_reduce_sum)
    xp_in(&m, xp_const_ints(x, xp_fresh(x, out, "axes"), axes));
  else
    xp_ints(&m, "axes", axes);
  xp_int(&m, "keepdims", keepdims);
  xp_end(x, &m, op, out);
  return true;
}

static bool xp_reduce_sum(Export *x, const Node *n) {
  return reduction(x, n, "ReduceSum", &CATTRS(n, reduce_sum)->axes, CATTRS(n, reduce_sum)->keepdims);
}

static bool xp_reduce_prod(Export *x, const Node *n) {
  return reduction(x, n, "ReduceProd", &CATTRS(n, reduce_prod)->axes, CATTRS(n, reduce_prod)->keepdims);
}

static bool xp_reduce_max(Export *x, const Node *n) {
  return reduction(x, n, "ReduceMax", &CATTRS(n, reduce_max)->axes, CATTRS(n, reduce_max)->keepdims);
}

static bool xp_reduce_min(Export *x, const Node *n) {
  return reduction(x, n, "ReduceMin", &CATTRS(n, reduce_min)->axes, CATTRS(n, reduce_min)->keepdims);
}

static bool xp_reduce_sum_square(Export *x, const Node *n) {
  return reduction(x, n, "ReduceSumSquare", &CATTRS(n, reduce_sum_square)->axes,
                   CATTRS(n, reduce_sum_square)->keepdims);
}

static bool xp_reduce_log_sum_exp(Export *x, const Node *n) {
  return reduction(x, n, "ReduceLogSumExp", &CATTRS(n, reduce_log_sum_exp)->axes,
                   CATTRS(n, reduce_log_sum_exp)->keepdims);
}

static bool xp_arg_max(Export *x, const Node *n) {
  const arg_max_attrs *a = CATTRS(n, arg_max);
  XpNode m = plain_node(x, n);
  xp_int(&m, "axis", a->axis);
  xp_int(&m, "keepdims", a->keepdims);
  xp_int(&m, "select_last_index", a->last);
  return plain_end(x, n, &m, "ArgMax");
}

static bool xp_arg_min(Export *x, const Node *n) {
  const arg_min_attrs *a = CATTRS(n, arg_min);
  XpNode m = plain_node(x, n);
  xp_int(&m, "axis", a->axis);
  xp_int(&m, "keepdims", a->keepdims);
  xp_int(&m, "select_last_index", a->last);
  return plain_end(x, n, &m, "ArgMin");
}

static bool xp_cum_sum(Export *x, const Node *n) {
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

static bool xp_quantize(Export *x, const Node *n) {
  const Value *y = graph_val(x->g, n->out[0]);
  XpNode m = {0};
  const char *out;
  FAIL_IF(y->quant.n != 1, x->d, &n->loc, "Quantize per axis cannot be exported");
  unary_in(x, n, &m, &out);
  xp_quant_inputs(x, &m, y->dtype, &y->quant, out);
  xp_end(x, &m, "QuantizeLinear", out);
  return true;
}

static bool xp_dequantize(Export *x, const Node *n) {
  const Value *c = graph_val(x->g, n->in[0]);
  bool image = x->image[n->in[0]] && c->quant.n == 1;
  const char *codes = image ? xp_image(x, n->in[0]) : xp_plain(x, n->in[0]);
  xp_dequantize_node(x, codes, c->dtype, &c->quant, xp_out(x, n->out[0], image));
  return true;
}

static bool refuse(Export *x, const Node *n) {
  diag_error(x->d, &n->loc, "%s cannot be exported", op_info(n->op)->name);
  diag_hint(x->d, "export the model before quantize");
  return false;
}

static bool xp_fake_quant(Export *x, const Node *n) { return refuse(x, n); }
static bool xp_lookup(Export *x, const Node *n) { return refuse(x, n); }

/* -- no form of theirs here yet -- */

#define REFUSED(op) \
  static bool xp_##op(Export *x, const Node *n) { return refuse_yet(x, n); }
static bool refuse_yet(Export *x, const Node *n) {
  return diag_error(x->d, &n->loc, "%s cannot be exported", op_info(n->op)->name);
}
REFUSED(conv_transpose)
REFUSED(max_pool_index)
REFUSED(gather_nd)
REFUSED(weighted_gather)
REFUSED(lstm)
REFUSED(gru)
REFUSED(rnn)
REFUSED(top_k)

/* Inputs in plain form, and a number. */
static bool plain(Export *x, const Node *n, const char *op, const char *attr, int64_t v) {
  XpNode m = {0};
  for (uint32_t i = 0; i < n->n_in; i++) xp_in(&m, xp_plain(x, n->in[i]));
  if (attr) xp_int(&m, attr, v);
  xp_end(x, &m, op, xp_out(x, n->out[0], false));
  return true;
}

static bool xp_gather_elements(Export *x, const Node *n) {
  return plain(x, n, "GatherElements", "axis", CATTRS(n, gather_elements)->axis);
}

static bool xp_expand(Export *x, const Node *n) {
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

static bool xp_scatter_elements(Export *x, const Node *n) {
  if (CATTRS(n, scatter_elements)->reduce) return refuse_yet(x, n);
  return plain(x, n, "ScatterElements", "axis", CATTRS(n, scatter_elements)->axis);
}

static bool xp_scatter_nd(Export *x, const Node *n) {
  if (CATTRS(n, scatter_nd)->reduce) return refuse_yet(x, n);
  return plain(x, n, "ScatterND", NULL, 0);
}

static bool xp_trilu(Export *x, const Node *n) {
  const trilu_attrs *a = CATTRS(n, trilu);
  if (a->k) return refuse_yet(x, n);
  return plain(x, n, "Trilu", "upper", a->upper);
}
static bool xp_seq_lstm(Export *x, const Node *n) { return refuse(x, n); }
static bool xp_svdf_state(Export *x, const Node *n) { return refuse(x, n); }
static bool xp_svdf(Export *x, const Node *n) { return refuse(x, n); }
