/* ONNX export of operators that go by indices, of transposed convolutions, of sums of codes, and of what has no
 * counterpart in ONNX but is a composition of its operators.
 *
 *   WeightedGather   Gather of [O,T] places -> Mul by weights -> ReduceSum over T -> Add bias
 *   Mod of floats    Mod with the dividend's sign -> Add the divisor where the signs differ
 *   MaxPoolIndex     MaxPool's Indices, less what the items and channels before count
 *   FakeQuant        Div -> halves away from zero as Sign * Floor(Abs + 1/2) -> Clip -> Mul
 *
 * Source: ONNX operator schemas (GatherND-13, ScatterElements-18, ScatterND-18, TopK-11, Trilu-14, ConvTranspose-11,
 * ConvInteger-10, MatMulInteger-10, MaxPool-12).
 */
#include "frontend/onnx/export.h"

static const Shape *shape(const Export *x, ValId v) { return &graph_val(x->g, v)->shape; }
static DType type(const Export *x, ValId v) { return graph_val(x->g, v)->dtype; }

/* Indices that ONNX wants as int64. */
static const char *indices(Export *x, ValId v) {
  const char *name = xp_plain(x, v);
  if (type(x, v) == DT_I64) return name;
  XpNode m = {0};
  xp_in(&m, name);
  xp_int(&m, "to", xp_onnx_type(DT_I64));
  name = xp_fresh(x, name, "i64");
  xp_end(x, &m, "Cast", name);
  return name;
}

bool xp_gather_nd(Export *x, const Node *n) {
  XpNode m = {0};
  xp_in(&m, xp_plain(x, n->in[0]));
  xp_in(&m, indices(x, n->in[1]));
  xp_int(&m, "batch_dims", CATTRS(n, gather_nd)->batch_dims);
  xp_end(x, &m, "GatherND", xp_out(x, n->out[0], false));
  return true;
}

/* x, indices, updates; what becomes of an element is said where it is more than replaced. */
static XpNode scatter(Export *x, const Node *n, int32_t reduce) {
  static const char *const names[] = {"none", "add", "mul", "max", "min"};
  XpNode m = {0};
  xp_in(&m, xp_plain(x, n->in[0]));
  xp_in(&m, indices(x, n->in[1]));
  xp_in(&m, xp_plain(x, n->in[2]));
  if (reduce) xp_string(&m, "reduction", names[reduce]);
  return m;
}

bool xp_scatter_elements(Export *x, const Node *n) {
  const scatter_elements_attrs *a = CATTRS(n, scatter_elements);
  XpNode m = scatter(x, n, a->reduce);
  xp_int(&m, "axis", a->axis);
  xp_end(x, &m, "ScatterElements", xp_out(x, n->out[0], false));
  return true;
}

bool xp_scatter_nd(Export *x, const Node *n) {
  XpNode m = scatter(x, n, CATTRS(n, scatter_nd)->reduce);
  xp_end(x, &m, "ScatterND", xp_out(x, n->out[0], false));
  return true;
}

bool xp_top_k(Export *x, const Node *n) {
  const top_k_attrs *a = CATTRS(n, top_k);
  const int64_t k = a->k;
  const char *in = xp_plain(x, n->in[0]), *out = xp_out(x, n->out[0], false);
  const char *outs[2] = {xp_fresh(x, out, "values"), out};
  XpNode m = {0};
  xp_in(&m, in);
  xp_in(&m, xp_const(x, xp_fresh(x, out, "k"), DT_I64, &(Shape){1, {1}}, &k));
  xp_int(&m, "axis", a->axis);
  xp_int(&m, "largest", a->largest);
  xp_int(&m, "sorted", 1);
  xp_end_as(x, &m, "TopK", outs, 2);
  return true;
}

bool xp_trilu(Export *x, const Node *n) {
  const trilu_attrs *a = CATTRS(n, trilu);
  const int64_t k = a->k;
  const char *in = xp_plain(x, n->in[0]), *out = xp_out(x, n->out[0], false);
  XpNode m = {0};
  xp_in(&m, in);
  xp_in(&m, xp_const(x, xp_fresh(x, out, "k"), DT_I64, &(Shape){.rank = 0}, &k));
  xp_int(&m, "upper", a->upper);
  xp_end(x, &m, "Trilu", out);
  return true;
}

/* -- WeightedGather -- */

/* Places of taps without weight, which may be anywhere, as 0. */
static const char *places(Export *x, const Node *n) {
  const Shape *s = shape(x, n->in[1]);
  const int64_t count = shape_count(s);
  if (!val_is_const(x->g, n->in[1])) return xp_plain(x, n->in[1]);
  const int32_t *from = val_data(x->g, n->in[1]);
  const float *w = val_is_const(x->g, n->in[2]) ? val_data(x->g, n->in[2]) : NULL;
  int32_t *to = arena_array(x->arena, (size_t)count + 1, sizeof *to);
  for (int64_t i = 0; i < count; i++) to[i] = w && w[i] == 0 ? 0 : from[i];
  return xp_const(x, xp_fresh(x, x->name[n->in[1]], "places"), DT_I32, s, to);
}

bool xp_weighted_gather(Export *x, const Node *n) {
  const int32_t axis = CATTRS(n, weighted_gather)->axis, behind = shape(x, n->in[0])->rank - axis - 1;
  const Shape *w = shape(x, n->in[2]);
  const char *in = xp_plain(x, n->in[0]), *out = xp_out(x, n->out[0], false);
  Ints weights = {.n = 2 + behind, .v = {w->d[0], w->d[1]}}, bias = {.n = 1 + behind, .v = {w->d[0]}};
  for (int32_t i = 0; i < behind; i++) weights.v[2 + i] = bias.v[1 + i] = 1;
  FAIL_IF(shape(x, n->in[0])->rank == MAX_RANK, x->d, &n->loc, "WeightedGather of %d axes cannot be exported",
          MAX_RANK);
  XpNode gather = {0}, sum = {0};
  xp_in(&gather, in);
  xp_in(&gather, places(x, n));
  xp_int(&gather, "axis", axis);
  const char *taps = xp_fresh(x, out, "taps");
  xp_end(x, &gather, "Gather", taps);
  xp_in(&sum, XP_OP(x, "Mul", out, "weighted", taps, xp_plain_as(x, n->in[2], &weights, "beside")));
  xp_in(&sum, xp_const_ints(x, xp_fresh(x, out, "axes"), &(Ints){1, {axis + 1}}));
  xp_int(&sum, "keepdims", 0);
  if (n->n_in < 4 || n->in[3] == NO_VAL) {
    xp_end(x, &sum, "ReduceSum", out);
    return true;
  }
  const char *y = xp_fresh(x, out, "sum");
  xp_end(x, &sum, "ReduceSum", y);
  XpNode add = {0};
  xp_in(&add, y);
  xp_in(&add, xp_plain_as(x, n->in[3], &bias, "beside"));
  xp_end(x, &add, "Add", out);
  return true;
}

/* -- Mod: ONNX's of floats has the dividend's sign alone -- */

bool xp_mod(Export *x, const Node *n) {
  const DType t = type(x, n->out[0]);
  const char *a = xp_plain(x, n->in[0]), *b = xp_plain(x, n->in[1]), *out = xp_out(x, n->out[0], false);
  const bool signs = dtype_kind(t) == 'f' && !CATTRS(n, mod)->fmod;
  XpNode m = {0}, end = {0};
  xp_in(&m, a);
  xp_in(&m, b);
  xp_int(&m, "fmod", CATTRS(n, mod)->fmod || signs);
  const char *rest = signs ? xp_fresh(x, out, "rest") : out;
  xp_end(x, &m, "Mod", rest);
  if (!signs) return true;
  const char *zero = xp_const_number(x, xp_fresh(x, out, "zero"), t, 0);
  const char *none = XP_OP(x, "Equal", out, "none", rest, zero);
  const char *differ = XP_OP(x, "Xor", out, "differ", XP_OP(x, "Less", out, "below", rest, zero),
                             XP_OP(x, "Less", out, "by", b, zero));
  xp_in(&end, XP_OP(x, "And", out, "moved", XP_OP(x, "Not", out, "some", none), differ));
  xp_in(&end, XP_OP(x, "Add", out, "sum", rest, b));
  xp_in(&end, rest);
  xp_end(x, &end, "Where", out);
  return true;
}

/* -- MaxPoolIndex -- */

/* ONNX counts in the whole tensor, with rows of W or, with storage_order, columns of H elements. */
bool xp_max_pool_index(Export *x, const Node *n) {
  const max_pool_index_attrs *a = CATTRS(n, max_pool_index);
  const Shape *s = shape(x, n->in[0]);
  const int64_t h = s->d[1], w = s->d[2], row = a->steps.v[0], col = a->steps.v[1];
  const bool columns = row == 1 && col == h && !(row == w && col == 1);
  const char *in = xp_image(x, n->in[0]), *out = xp_out(x, n->out[0], true);
  const char *outs[2] = {xp_fresh(x, out, "largest"), xp_fresh(x, out, "indices")};
  XpNode m = {0};
  xp_in(&m, in);
  xp_ints(&m, "kernel_shape", &a->kernel);
  xp_ints(&m, "dilations", &a->dilations);
  xp_ints(&m, "strides", &a->strides);
  xp_ints(&m, "pads", &a->pads);
  if (columns) xp_int(&m, "storage_order", 1);
  xp_end_as(x, &m, "MaxPool", outs, 2);
  const char *image = xp_const_number(x, xp_fresh(x, out, "hw"), DT_I64, (double)(h * w));
  XpNode end = {0};
  if (columns || (row == w && col == 1)) {
    xp_in(&end, outs[1]);
    xp_in(&end, image);
    xp_end(x, &end, "Mod", out);
    return true;
  }
  const char *place = XP_OP(x, "Mod", out, "place", outs[1], image);
  const char *width = xp_const_number(x, xp_fresh(x, out, "w"), DT_I64, (double)w);
  const char *y = XP_OP(x, "Div", out, "row", place, width),
             *z = XP_OP(x, "Mod", out, "column", place, width);
  xp_in(&end, XP_OP(x, "Mul", out, "rows", y,
                    xp_const_number(x, xp_fresh(x, out, "row_step"), DT_I64, (double)row)));
  xp_in(&end, XP_OP(x, "Mul", out, "columns", z,
                    xp_const_number(x, xp_fresh(x, out, "column_step"), DT_I64, (double)col)));
  xp_end(x, &end, "Add", out);
  return true;
}

/* -- ConvTranspose -- */

/* Weights [O,Kh,Kw,C/g] as ONNX's [C,O/g,Kh,Kw]. */
static const char *transposed_weights(Export *x, ValId w, int64_t group) {
  const Shape *s = shape(x, w);
  const int64_t o = s->d[0], kh = s->d[1], kw = s->d[2], ins = s->d[3];
  if (group == 1) return xp_transposed(x, w, "3012", "iohw");
  const char *y = xp_plain_as(x, w, &(Ints){5, {group, o / group, kh, kw, ins}}, "groups");
  const char *t = xp_fresh(x, y, "giohw");
  xp_transpose_node(x, y, "04123", t);
  return xp_reshaped(x, t, y, &(Ints){4, {group * ins, o / group, kh, kw}});
}

bool xp_conv_transpose(Export *x, const Node *n) {
  const conv_transpose_attrs *a = CATTRS(n, conv_transpose);
  const Shape *w = shape(x, n->in[1]);
  XpNode m = {0};
  xp_in(&m, xp_image(x, n->in[0]));
  xp_in(&m, transposed_weights(x, n->in[1], a->group));
  if (n->n_in > 2 && n->in[2] != NO_VAL) xp_in(&m, xp_plain(x, n->in[2]));
  xp_ints(&m, "kernel_shape", &(Ints){2, {w->d[1], w->d[2]}});
  xp_ints(&m, "strides", &a->strides);
  xp_ints(&m, "dilations", &a->dilations);
  xp_ints(&m, "pads", &a->pads);
  xp_ints(&m, "output_padding", &a->extra);
  xp_int(&m, "group", a->group);
  return xp_end_act(x, &m, "ConvTranspose", a->act, xp_out(x, n->out[0], true));
}

/* -- sums of codes -- */

static const char *zero_point(Export *x, ValId v) {
  const Quant *q = &graph_val(x->g, v)->quant;
  const char *name = xp_fresh(x, x->name[v], "zero");
  if (q->n < 2) return xp_const_number(x, name, type(x, v), q->n > 0 ? q->zero[0] : 0);
  int8_t *zero = arena_array(x->arena, (size_t)q->n, 1);
  for (int32_t i = 0; i < q->n; i++) dtype_set(type(x, v), zero, i, q->zero[i]);
  return xp_const(x, name, type(x, v), &(Shape){1, {q->n}}, zero);
}

/* End m, whose inputs are two tensors of codes, with their zero points; then the bias. */
static bool sums_end(Export *x, const Node *n, XpNode *m, const char *op, const Ints *bias, const char *out) {
  xp_in(m, zero_point(x, n->in[0]));
  xp_in(m, zero_point(x, n->in[1]));
  if (n->n_in < 3 || n->in[2] == NO_VAL) {
    xp_end(x, m, op, out);
    return true;
  }
  const char *y = xp_fresh(x, out, "products");
  xp_end(x, m, op, y);
  XpNode add = {0};
  xp_in(&add, y);
  xp_in(&add, xp_plain_as(x, n->in[2], bias, "beside"));
  xp_end(x, &add, "Add", out);
  return true;
}

static bool window_sums(Export *x, const Node *n, const char *perm, int64_t group, const Ints *strides,
                        const Ints *pads, const Ints *dilations) {
  const Shape *w = shape(x, n->in[1]);
  XpNode m = {0};
  xp_in(&m, xp_image(x, n->in[0]));
  xp_in(&m, xp_transposed(x, n->in[1], perm, "oihw"));
  xp_ints(&m, "kernel_shape", &(Ints){2, {w->d[1], w->d[2]}});
  xp_ints(&m, "strides", strides);
  xp_ints(&m, "pads", pads);
  xp_ints(&m, "dilations", dilations);
  xp_int(&m, "group", group);
  const Ints bias = {3, {shape(x, n->out[0])->d[3], 1, 1}};
  return sums_end(x, n, &m, "ConvInteger", &bias, xp_out(x, n->out[0], true));
}

bool xp_sums(Export *x, const Node *n) {
  if (n->op == OP_conv) {
    const conv_attrs *a = CATTRS(n, conv);
    return window_sums(x, n, "0312", a->group, &a->strides, &a->pads, &a->dilations);
  }
  if (n->op == OP_depthwise_conv) {
    const depthwise_conv_attrs *a = CATTRS(n, depthwise_conv);
    return window_sums(x, n, "3012", shape(x, n->in[0])->d[3], &a->strides, &a->pads, &a->dilations);
  }
  XpNode m = {0};
  const char *out = xp_out(x, n->out[0], false);
  xp_in(&m, xp_plain(x, n->in[0]));
  xp_in(&m, n->op == OP_matmul ? xp_plain(x, n->in[1]) : xp_transposed(x, n->in[1], "10", "t"));
  const Ints bias = {1, {n->op == OP_matmul ? 1 : shape(x, n->in[1])->d[0]}};
  return sums_end(x, n, &m, "MatMulInteger", &bias, out);
}

/* -- FakeQuant, and what qdq_expand leaves none of -- */

bool xp_fake_quant(Export *x, const Node *n) {
  const fake_quant_attrs *a = CATTRS(n, fake_quant);
  FAIL_IF(n->n_in > 1, x->d, &n->loc,
          "FakeQuant with trained steps cannot be exported: make the graph int8 by `quantize` first");
  const char *in = xp_plain(x, n->in[0]), *out = xp_out(x, n->out[0], false);
  const char *scale = xp_const_float(x, xp_fresh(x, out, "scale"), a->scale);
  const char *steps = XP_OP(x, "Div", out, "steps", in, scale);
  const char *size = XP_OP(x, "Abs", out, "size", steps);
  const char *half = xp_const_float(x, xp_fresh(x, out, "half"), 0.5f);
  const char *whole = XP_OP(x, "Floor", out, "whole", XP_OP(x, "Add", out, "moved", size, half));
  const char *round = XP_OP(x, "Mul", out, "rounded", whole, XP_OP(x, "Sign", out, "sign", steps));
  const char *lo = xp_const_float(x, xp_fresh(x, out, "lo"), (float)(a->lo - a->zero));
  const char *hi = xp_const_float(x, xp_fresh(x, out, "hi"), (float)(a->hi - a->zero));
  XpNode m = {0};
  xp_in(&m, XP_OP(x, "Clip", out, "code", round, lo, hi));
  xp_in(&m, scale);
  xp_end(x, &m, "Mul", out);
  return true;
}

bool xp_custom(Export *x, const Node *n) {
  return diag_error(x->d, &n->loc, "calls the C function %s: a file of ONNX's cannot hold that",
                    CATTRS(n, custom)->function.s);
}

/* Of int8 alone: qdq_expand.c has refused them. */
#define REFUSED(op)                                                       \
  bool xp_##op(Export *x, const Node *n) {                                \
    return diag_error(x->d, &n->loc, #op " of codes cannot be exported"); \
  }
REFUSED(squared_difference)
REFUSED(log_softmax)
REFUSED(l2_normalization)
REFUSED(resize_bilinear)

bool xp_lookup(Export *x, const Node *n) {
  return diag_error(x->d, &n->loc, "Lookup by a table that is not constant cannot be exported");
}
