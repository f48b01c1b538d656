/* The int8 form of an operator between Dequantize and Quantize.
 *
 *   moves          on codes: the same elements. Inputs of a Concat are requantized where it is wanted in one scale
 *   Relu, Clip, MaxPool         on codes, which are in the order of the numbers they stand for
 *   Conv, DepthwiseConv, FullyConnected    weights as they are (a zero point: with ONNX's rounding), bias int32
 *   Add, Sub, Mul, pools, ReduceMean, Softmax    TFLite's arithmetic
 *   functions of one element                     tables of codes (Sigmoid, Tanh, LeakyRelu as TFLite where it is asked for)
 *
 * With ONNX's rounding only the products and the functions become int8 operators (their requantization is then ONNX Runtime's); the others
 * stay float32 between Dequantize and Quantize, which is what ONNX says they are.
 */
#include "frontend/onnx/qdq.h"

#include <math.h>

#include "ir/base/mem.h"
#include "ir/eval.h"

/* A bias whose scale is this near to input scale * weight scale is taken as it is. */
#define BIAS_TOLERANCE 1e-5

bool qdq_commutes(const Node *n) {
  if (n->op == OP_pad) return true; /* of codes: qdq_operator looks at its value */
  return n->op == OP_relu || n->op == OP_clip || n->op == OP_max_pool ||
         (op_info(n->op)->traits & (T_VIEW | T_MOVE)) != 0;
}

static const char *name_of(const Qdq *q, const Node *n) { return graph_val(q->g, n->out[0])->name; }

static ValId put(Qdq *q, const Node *n, OpKind op, const void *attrs, const ValId *in, uint32_t n_in) {
  return graph_node(q->to, op, attrs, in, n_in, name_of(q, n), &n->loc, q->d);
}

/* The same with an output quantization of its own. */
static ValId put_as(Qdq *q, const Node *n, OpKind op, const void *attrs, const ValId *in, uint32_t n_in,
                    Affine8 a) {
  ValId y = put(q, n, op, attrs, in, n_in);
  if (y != NO_VAL) qdq_set(q, y, a);
  return y;
}

/* Codes with one scale. */
static ValId plain_code(Qdq *q, ValId v, const Loc *loc) {
  ValId c = qdq_code(q, v, loc);
  return c != NO_VAL && graph_val(q->to, c)->dtype == DT_I8 && graph_val(q->to, c)->quant.n == 1 ? c : NO_VAL;
}

/* Does a code stand for this number exactly? */
static bool on_grid(Affine8 a, float real) {
  float code = roundf(real / a.scale);
  return code * a.scale == real && code + (float)a.zero >= -128 && code + (float)a.zero <= 127;
}

/* -- moves -- */

static ValId move(Qdq *q, const Node *n) {
  ValId in[2] = {qdq_code(q, n->in[0], &n->loc), NO_VAL};
  if (in[0] == NO_VAL || n->n_in > 2) return NO_VAL;
  if (n->n_in == 2) in[1] = qdq_real(q, n->in[1], &n->loc);
  if (val_is_const(q->to, in[0]) && (n->n_in == 1 || val_is_const(q->to, in[1]))) return qdq_fold(q, n, in);
  if (graph_val(q->to, in[0])->dtype == DT_I32 && graph_val(q->to, in[0])->quant.n == 0) /* sums */
    return put(q, n, n->op, n->attrs, in, n->n_in);
  if (plain_code(q, n->in[0], &n->loc) == NO_VAL) return NO_VAL;
  if (n->op == OP_pad && CATTRS(n, pad)->value != 0 &&
      !on_grid(qdq_affine(q, in[0]), CATTRS(n, pad)->value) &&
      !(q->known[n->out[0]] && affine8_equal(q->want[n->out[0]], qdq_affine(q, in[0]))))
    return NO_VAL;
  return put(q, n, n->op, n->attrs, in, n->n_in);
}

/* Codes replaced by codes of the same scale. */
static ValId scatter(Qdq *q, const Node *n) {
  int32_t reduce =
      n->op == OP_scatter_nd ? CATTRS(n, scatter_nd)->reduce : CATTRS(n, scatter_elements)->reduce;
  ValId x = plain_code(q, n->in[0], &n->loc), updates = plain_code(q, n->in[2], &n->loc);
  if (x == NO_VAL || updates == NO_VAL || reduce != 0 ||
      !affine8_equal(qdq_affine(q, x), qdq_affine(q, updates)))
    return NO_VAL;
  ValId in[3] = {x, qdq_real(q, n->in[1], &n->loc), updates};
  return put(q, n, n->op, n->attrs, in, 3);
}

/* A table of 256 codes gathered at codes + 128, as the exporter writes Lookup. */
static ValId lookup(Qdq *q, const Node *n) {
  ValId table = plain_code(q, n->in[0], &n->loc);
  const Node *add = graph_def(q->g, n->in[1]);
  if (table == NO_VAL || !val_is_const(q->to, table) || !add || add->op != OP_add) return NO_VAL;
  const Shape *s = &graph_val(q->to, table)->shape;
  const Value *shift = graph_val(q->g, add->in[1]);
  const Node *cast = graph_def(q->g, add->in[0]);
  if (s->rank != 1 || s->d[0] != 256 || !shift->blob || shift->dtype != DT_I32 ||
      shape_count(&shift->shape) != 1)
    return NO_VAL;
  if (!cast || cast->op != OP_cast || *(const int32_t *)val_data(q->g, add->in[1]) != 128) return NO_VAL;
  if (graph_val(q->g, cast->in[0])->dtype != DT_I8) return NO_VAL;
  ValId in[2] = {plain_code(q, cast->in[0], &n->loc), table};
  return in[0] == NO_VAL ? NO_VAL : put_as(q, n, OP_lookup, NULL, in, 2, qdq_affine(q, table));
}

static ValId concat(Qdq *q, const Node *n) {
  ValId *in = arena_array(q->to->arena, n->n_in, sizeof *in);
  bool same = true, all = true;
  for (uint32_t i = 0; i < n->n_in; i++) {
    in[i] = plain_code(q, n->in[i], &n->loc);
    all = all && in[i] != NO_VAL;
    same = all && same && affine8_equal(qdq_affine(q, in[0]), qdq_affine(q, in[i]));
  }
  if (!all || (!same && !q->known[n->out[0]])) return NO_VAL;
  for (uint32_t i = 0; !same && i < n->n_in; i++) {
    in[i] = qdq_requantize(q, in[i], q->want[n->out[0]], name_of(q, n), &n->loc);
    if (in[i] == NO_VAL) return NO_VAL;
  }
  return put(q, n, OP_concat, n->attrs, in, n->n_in);
}

/* -- order -- */

/* Relu or Clip: exact on codes where its limits are codes; otherwise requantized with limits. */
static ValId limit(Qdq *q, const Node *n) {
  ValId x = plain_code(q, n->in[0], &n->loc), y = n->out[0];
  if (x == NO_VAL) return NO_VAL;
  Affine8 a = qdq_affine(q, x), b = q->known[y] ? q->want[y] : a;
  float lo = n->op == OP_clip ? CATTRS(n, clip)->lo : 0,
        hi = n->op == OP_clip ? CATTRS(n, clip)->hi : INFINITY;
  bool exact = (isinf(lo) || on_grid(a, lo)) && (isinf(hi) || on_grid(a, hi));
  if (!exact && (!q->known[y] || q->rounding == ROUND_ONNX)) return NO_VAL;
  if (q->rounding == ROUND_ONNX) b = a; /* what follows requantizes */
  if (affine8_equal(a, b) && (lo <= a.scale * (float)(-128 - a.zero)) &&
      (hi >= a.scale * (float)(127 - a.zero)))
    return x;
  return put_as(q, n, n->op, n->attrs, &x, 1, b);
}

static ValId max_pool(Qdq *q, const Node *n) {
  ValId x = plain_code(q, n->in[0], &n->loc);
  return x == NO_VAL ? NO_VAL : put(q, n, OP_max_pool, n->attrs, &x, 1);
}

/* -- products with weights -- */

typedef struct Layer {
  ValId in[3];
  Affine8 x;
  int64_t outs;
  bool zeros; /* a weight zero point that TFLite's form has no place for */
} Layer;

static bool layer_weights(Qdq *q, const Node *n, Layer *l) {
  const int axis = n->op == OP_depthwise_conv ? 3 : 0;
  ValId w = l->in[1] = qdq_code(q, n->in[1], &n->loc);
  if (w == NO_VAL || !val_is_const(q->to, w)) return false;
  const Value *v = graph_val(q->to, w);
  l->outs = v->shape.d[axis];
  if (v->dtype != DT_I8 || (v->quant.n > 1 && v->quant.axis != axis)) return false;
  for (int32_t i = 0; i < v->quant.n; i++) l->zeros = l->zeros || v->quant.zero[i] != 0;
  if (v->quant.n == 1 && n->op == OP_fully_connected) l->zeros = false;
  return true;
}

/* Bias code o in units of input scale * weight scale. */
static double bias_code(const Value *b, int64_t o, double unit) {
  if (b->dtype == DT_F32) return round((double)((const float *)blob_data(b->blob))[o] / unit);
  double scale = (double)b->quant.scale[b->quant.n > 1 ? o : 0];
  int32_t zero = b->quant.zero[b->quant.n > 1 ? o : 0];
  double code = (double)((const int32_t *)blob_data(b->blob))[o] - zero;
  return fabs(scale / unit - 1) < BIAS_TOLERANCE ? code : round(code * scale / unit);
}

static bool layer_bias(Qdq *q, const Node *n, Layer *l) {
  if (n->n_in < 3 || n->in[2] == NO_VAL) return true;
  ValId b = qdq_code(q, n->in[2], &n->loc);
  if (b == NO_VAL) b = qdq_real(q, n->in[2], &n->loc);
  if (b == NO_VAL || !val_is_const(q->to, b)) return false;
  const Value *v = graph_val(q->to, b), *w = graph_val(q->to, l->in[1]);
  const int32_t n_scales = w->quant.n;
  if ((v->dtype != DT_I32 && v->dtype != DT_F32) || shape_count(&v->shape) != l->outs) return false;
  int32_t *codes = mem_alloc_aligned((size_t)l->outs * sizeof *codes, 64),
          *zero = mem_array((size_t)w->quant.n, sizeof *zero);
  float *scale = mem_array((size_t)w->quant.n, sizeof *scale);
  bool fits = true;
  for (int32_t i = 0; i < w->quant.n; i++) scale[i] = l->x.scale * w->quant.scale[i];
  for (int64_t o = 0; o < l->outs; o++) {
    double code = bias_code(v, o, (double)l->x.scale * (double)w->quant.scale[w->quant.n > 1 ? o : 0]);
    fits = fits && fabs(code) <= INT32_MAX;
    codes[o] = fits ? (int32_t)code : 0;
  }
  l->in[2] =
      graph_const(q->to, v->name, DT_I32, &v->shape, blob_adopt(codes, (size_t)l->outs * sizeof *codes));
  graph_set_quant(q->to, l->in[2], n_scales, 0, scale, zero); /* v and w may have moved */
  mem_free(zero);
  mem_free(scale);
  return fits;
}

static int32_t *rounding_of(OpKind op, void *attrs) {
  return op == OP_conv             ? &((conv_attrs *)attrs)->rounding
         : op == OP_depthwise_conv ? &((depthwise_conv_attrs *)attrs)->rounding
                                   : &((fully_connected_attrs *)attrs)->rounding;
}

/* Are the real numbers that the codes stand for integers? */
static bool unit_scales(const Qdq *q, ValId v) {
  const Quant *z = &graph_val(q->to, v)->quant;
  for (int32_t i = 0; i < z->n; i++)
    if (z->scale[i] != 1) return false;
  return true;
}

static ValId layer(Qdq *q, const Node *n) {
  Layer l = {.in = {plain_code(q, n->in[0], &n->loc)}};
  ValId y = n->out[0];
  if (l.in[0] == NO_VAL || (!q->known[y] && !q->sums[y])) return NO_VAL;
  l.x = qdq_affine(q, l.in[0]);
  if (!layer_weights(q, n, &l) || !layer_bias(q, n, &l)) return NO_VAL;
  if (q->sums[y] && (!unit_scales(q, l.in[0]) || !unit_scales(q, l.in[1]))) return NO_VAL;
  void *attrs = arena_dup(q->to->arena, n->attrs, op_info(n->op)->attrs_size);
  *rounding_of(n->op, attrs) = q->sums[y] ? ROUND_SUMS : l.zeros ? ROUND_ONNX : q->rounding;
  if (q->sums[y]) return put(q, n, n->op, attrs, l.in, n->n_in);
  return put_as(q, n, n->op, attrs, l.in, n->n_in, q->want[y]);
}

static ValId matmul(Qdq *q, const Node *n) {
  ValId in[2] = {plain_code(q, n->in[0], &n->loc), plain_code(q, n->in[1], &n->loc)}, y = n->out[0];
  if (in[0] == NO_VAL || in[1] == NO_VAL || (!q->known[y] && !q->sums[y])) return NO_VAL;
  if (q->sums[y] && (!unit_scales(q, in[0]) || !unit_scales(q, in[1]))) return NO_VAL;
  matmul_attrs a = {.rounding = q->sums[y]                    ? ROUND_SUMS
                                : q->rounding == ROUND_TFLITE ? ROUND_TFLITE
                                                              : ROUND_ONNX};
  if (q->sums[y]) return put(q, n, OP_matmul, &a, in, 2);
  return put_as(q, n, OP_matmul, &a, in, 2, q->want[y]);
}

/* -- TFLite's arithmetic -- */

/* An operand as codes; a constant of one element as the code 1 (or -1, or 0) in its own scale. */
static ValId operand(Qdq *q, ValId v, const Loc *loc) {
  ValId c = plain_code(q, v, loc);
  const Value *x = graph_val(q->g, v);
  if (c != NO_VAL || !x->blob || x->dtype != DT_F32 || shape_count(&x->shape) != 1) return c;
  float real = *(const float *)val_data(q->g, v);
  if (!isfinite(real)) return NO_VAL;
  int8_t code = (int8_t)(real > 0 ? 1 : real < 0 ? -1 : 0);
  c = graph_const_data(q->to, x->name, DT_I8, &x->shape, &code);
  qdq_set(q, c, (Affine8){real == 0 ? 1 : fabsf(real), 0});
  return c;
}

static ValId binary(Qdq *q, const Node *n) {
  if (!q->known[n->out[0]]) return NO_VAL;
  ValId in[2] = {operand(q, n->in[0], &n->loc), operand(q, n->in[1], &n->loc)};
  if (in[0] == NO_VAL || in[1] == NO_VAL) return NO_VAL;
  return put_as(q, n, n->op, n->attrs, in, 2, q->want[n->out[0]]);
}

static ValId mean(Qdq *q, const Node *n) {
  reduce_mean_attrs a = *CATTRS(n, reduce_mean);
  ValId x = plain_code(q, n->in[0], &n->loc);
  if (x == NO_VAL || !q->known[n->out[0]]) return NO_VAL;
  a.rounding = q->rounding;
  return put_as(q, n, OP_reduce_mean, &a, &x, 1, q->want[n->out[0]]);
}

/* A pool of the whole image is a mean, with a scale of its own; others keep the input's, so that they round twice: only
 * where the input's steps are no coarser than the output's. */
static ValId average_pool(Qdq *q, const Node *n) {
  const average_pool_attrs *a = CATTRS(n, average_pool);
  const Shape *s = &graph_val(q->g, n->in[0])->shape;
  ValId x = plain_code(q, n->in[0], &n->loc);
  if (x == NO_VAL || !q->known[n->out[0]]) return NO_VAL;
  Affine8 from = qdq_affine(q, x), to = q->want[n->out[0]];
  bool padded = a->pads.v[0] || a->pads.v[1] || a->pads.v[2] || a->pads.v[3];
  bool same = affine8_equal(from, to) && !(padded && a->count_include_pad);
  if (!same && !padded && a->kernel.v[0] == s->d[1] && a->kernel.v[1] == s->d[2]) {
    reduce_mean_attrs mean = {.axes = {2, {1, 2}}, .keepdims = 1, .rounding = q->rounding};
    return put_as(q, n, OP_reduce_mean, &mean, &x, 1, to);
  }
  if ((padded && a->count_include_pad) || (from.scale > to.scale * 1.001f)) return NO_VAL;
  return qdq_requantize(q, put(q, n, OP_average_pool, a, &x, 1), to, name_of(q, n), &n->loc);
}

/* TFLite's output has 1/256 and -128; where another one is wanted, it is requantized. */
static ValId softmax(Qdq *q, const Node *n) {
  const softmax_attrs *a = CATTRS(n, softmax);
  const Affine8 own = {1.0f / 256, -128};
  int32_t rank = graph_val(q->g, n->in[0])->shape.rank;
  ValId x = plain_code(q, n->in[0], &n->loc);
  if (x == NO_VAL || !q->known[n->out[0]] || (a->axis != -1 && a->axis != rank - 1) || !(a->beta > 0))
    return NO_VAL;
  if (q->want[n->out[0]].scale < own.scale * 0.99f) return NO_VAL;
  ValId y = put_as(q, n, OP_softmax, a, &x, 1, own);
  return qdq_requantize(q, y, q->want[n->out[0]], name_of(q, n), &n->loc);
}

/* Codes are compared, so that both operands have the output's scale. */
static ValId choice(Qdq *q, const Node *n) {
  if (!q->known[n->out[0]]) return NO_VAL;
  ValId in[2];
  for (int i = 0; i < 2; i++) {
    in[i] = operand(q, n->in[i], &n->loc);
    if (in[i] == NO_VAL) return NO_VAL;
    in[i] = qdq_requantize(q, in[i], q->want[n->out[0]], name_of(q, n), &n->loc);
    if (in[i] == NO_VAL) return NO_VAL;
  }
  return put(q, n, n->op, n->attrs, in, 2);
}

static ValId table(Qdq *q, const Node *n) {
  ValId x = plain_code(q, n->in[0], &n->loc);
  if (x == NO_VAL || !q->known[n->out[0]]) return NO_VAL;
  return put_as(q, n, n->op, n->attrs, &x, 1, q->want[n->out[0]]);
}

/* -- functions -- */

/* The codes that Dequantize -> function -> Quantize gives for each of the 256 codes. */
static ValId make_table(Qdq *q, const Node *n, Affine8 from, Affine8 to) {
  const Shape s = {1, {256}};
  int8_t codes[256];
  Tensor t = {0};
  for (int i = 0; i < 256; i++) codes[i] = (int8_t)(i - 128);
  Graph *g = graph_new("table");
  ValId v = graph_const_data(g, NULL, DT_I8, &s, codes);
  graph_set_quant(g, v, 1, 0, &from.scale, &from.zero);
  v = graph_node1(g, OP_dequantize, NULL, v, NULL, &n->loc, q->d);
  if (v != NO_VAL) v = graph_node1(g, n->op, n->attrs, v, NULL, &n->loc, q->d);
  quantize_attrs a = {.to = DT_I8, .rounding = q->rounding == ROUND_ONNX ? ROUND_ONNX : ROUND_TFLITE};
  if (v != NO_VAL) v = graph_node1(g, OP_quantize, &a, v, NULL, &n->loc, q->d);
  if (v != NO_VAL) {
    graph_set_quant(g, v, 1, 0, &to.scale, &to.zero);
    graph_output(g, v);
    if (!graph_eval(g, NULL, 0, &t, q->d)) v = NO_VAL;
  }
  graph_free(g);
  if (v == NO_VAL) return NO_VAL;
  ValId table = graph_const(q->to, NULL, DT_I8, &s, blob_adopt(t.data, 256));
  qdq_set(q, table, to);
  return table;
}

/* Any function of one element is a table of codes, which is exact. */
static ValId function(Qdq *q, const Node *n) {
  ValId x = plain_code(q, n->in[0], &n->loc), y = n->out[0];
  const bool one = n->n_in == 1 && (op_info(n->op)->traits & T_ELEMENTWISE) != 0;
  if (!one || x == NO_VAL || !q->known[y] || graph_val(q->g, y)->dtype != DT_F32) return NO_VAL;
  ValId in[2] = {x, make_table(q, n, qdq_affine(q, x), q->want[y])};
  return in[1] == NO_VAL ? NO_VAL : put_as(q, n, OP_lookup, NULL, in, 2, q->want[y]);
}

ValId qdq_operator(Qdq *q, const Node *n) {
  switch (n->op) {
  case OP_concat: return concat(q, n);
  case OP_scatter_elements:
  case OP_scatter_nd: return scatter(q, n);
  case OP_relu:
  case OP_clip: return limit(q, n);
  case OP_max_pool: return max_pool(q, n);
  case OP_conv:
  case OP_depthwise_conv:
  case OP_fully_connected: return layer(q, n);
  case OP_matmul: return matmul(q, n);
  default: break;
  }
  ValId y = n->op == OP_gather ? lookup(q, n) : NO_VAL;
  if (y != NO_VAL) return y;
  if (op_info(n->op)->traits & (T_VIEW | T_MOVE)) return move(q, n);
  if (q->rounding == ROUND_ONNX) return function(q, n);
  switch (n->op) {
  case OP_add:
  case OP_sub:
  case OP_mul: return binary(q, n);
  case OP_max:
  case OP_min: return choice(q, n);
  case OP_reduce_mean: return mean(q, n);
  case OP_average_pool: return average_pool(q, n);
  case OP_softmax: return softmax(q, n);
  case OP_leaky_relu:
  case OP_sigmoid:
  case OP_tanh: return q->rounding == ROUND_TFLITE ? table(q, n) : function(q, n);
  default: return function(q, n);
  }
}
