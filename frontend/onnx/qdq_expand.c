/* The inverse of qdq.c, for export: int8 operators as float32 ones between Dequantize and Quantize.
 *
 *   Conv (int8) with codes x, w, bias    becomes   Dequantize of each -> Conv -> (Relu or Clip) -> Quantize
 *
 * A fused activation stays with its operator, which the exporter takes apart. A Quantize between codes is a Dequantize and
 * a Quantize. A ConvTranspose is a Conv over zeros. A FullyConnected of more than two axes is one of two between Reshapes, since ONNX's Gemm has no others.
 * Read back with the same rounding the graph computes the same bytes.
 */
#include "frontend/onnx/qdq.h"

#include <string.h>

#include "ir/base/mem.h"

typedef struct Expand {
  const Graph *g;
  Graph *to;
  ValId *as_is, *real; /* of each old value: itself, and as float32 */
  Diag *d;
} Expand;

static bool refuse(const Expand *x, const Node *n, const char *why, const char *hint) {
  diag_error(x->d, &n->loc, "%s cannot be exported: %s", op_info(n->op)->name, why);
  diag_hint(x->d, "%s", hint);
  return false;
}

static bool is_codes(const Value *v) {
  return v->quant.n > 0 && (v->dtype == DT_I8 || v->dtype == DT_U8 || v->dtype == DT_I32);
}

static ValId copy(Expand *x, ValId v) {
  if (v == NO_VAL || x->as_is[v] != NO_VAL) return v == NO_VAL ? NO_VAL : x->as_is[v];
  const Value *c = graph_val(x->g, v);
  ASSERT(c->blob != NULL);
  x->as_is[v] = graph_const(x->to, c->name, c->dtype, &c->shape, blob_ref(c->blob));
  graph_set_quant(x->to, x->as_is[v], c->quant.n, c->quant.axis, c->quant.scale, c->quant.zero);
  return x->as_is[v];
}

static ValId real(Expand *x, ValId v, const Loc *loc) {
  if (v == NO_VAL || !is_codes(graph_val(x->g, v))) return copy(x, v);
  const char *name = graph_val(x->g, v)->name;
  if (name) name = arena_printf(x->to->arena, "%s:real", name);
  if (x->real[v] == NO_VAL) x->real[v] = graph_node1(x->to, OP_dequantize, NULL, copy(x, v), name, loc, x->d);
  return x->real[v];
}

static bool has_weights(OpKind op) {
  return op == OP_conv || op == OP_depthwise_conv || op == OP_fully_connected || op == OP_conv_transpose;
}

/* An int32 bias as real numbers: its units are the input's scale times the weights', whatever it says itself. */
static ValId real_bias(Expand *x, const Node *n) {
  const Value *b = graph_val(x->g, n->in[2]), *w = graph_val(x->g, n->in[1]);
  const Quant *q = &w->quant;
  float *scale = mem_array((size_t)q->n, sizeof *scale);
  int32_t *zero = mem_array((size_t)q->n, sizeof *zero);
  for (int32_t i = 0; i < q->n; i++) scale[i] = graph_val(x->g, n->in[0])->quant.scale[0] * q->scale[i];
  ValId c = graph_const(x->to, b->name, DT_I32, &b->shape, blob_ref(b->blob));
  graph_set_quant(x->to, c, q->n, 0, scale, zero);
  mem_free(scale);
  mem_free(zero);
  return graph_node1(x->to, OP_dequantize, NULL, c, NULL, &n->loc, x->d);
}

/* y, a float32 value, as what old value v is: codes in v's quantization. */
static bool finish(Expand *x, const Node *n, ValId y) {
  const Value *old = graph_val(x->g, n->out[0]);
  if (y == NO_VAL) return false;
  if (is_codes(old)) {
    quantize_attrs a = {.to = (int32_t)old->dtype};
    if (!graph_val(x->to, y)->name && old->name)
      graph_val(x->to, y)->name = arena_printf(x->to->arena, "%s:float", old->name);
    if (n->op == OP_quantize) a.rounding = CATTRS(n, quantize)->rounding;
    y = graph_node1(x->to, OP_quantize, &a, y, old->name, &n->loc, x->d);
    if (y == NO_VAL) return false;
    graph_set_quant(x->to, y, old->quant.n, old->quant.axis, old->quant.scale, old->quant.zero);
  } else {
    graph_val(x->to, y)->name = old->name ? arena_strdup(x->to->arena, old->name) : NULL;
  }
  x->as_is[n->out[0]] = y;
  return true;
}

static ValId reshape_to(Expand *x, ValId v, const Shape *s, const Loc *loc) {
  reshape_attrs a = {.shape = {.n = s->rank}};
  for (int32_t i = 0; i < s->rank; i++) a.shape.v[i] = s->d[i];
  return v == NO_VAL ? NO_VAL : graph_node1(x->to, OP_reshape, &a, v, NULL, loc, x->d);
}

static ValId fully_connected(Expand *x, const Node *n, ValId *in, const void *attrs) {
  const Shape *s = &graph_val(x->g, n->in[0])->shape, *y = &graph_val(x->g, n->out[0])->shape;
  if (s->rank == 2) return graph_node(x->to, n->op, attrs, in, n->n_in, NULL, &n->loc, x->d);
  bool batch = s->rank > 0 && s->d[0] == DIM_BATCH;
  Shape flat = {2, {batch ? DIM_BATCH : shape_count_range(s, 0, s->rank - 1), s->d[s->rank - 1]}};
  if (batch && shape_count_range(s, 1, s->rank - 1) != 1) {
    refuse(x, n, "it has a symbolic batch and more than two axes", "bind the batch first");
    return NO_VAL;
  }
  in[0] = reshape_to(x, in[0], &flat, &n->loc);
  if (in[0] == NO_VAL) return NO_VAL;
  return reshape_to(x, graph_node(x->to, n->op, attrs, in, n->n_in, NULL, &n->loc, x->d), y, &n->loc);
}

/* -- ConvTranspose of codes: read back as one, its weights would be real numbers; as a Conv they stay codes -- */

/* Weights [O,Kh,Kw,I] turned by half a circle in their window, as real numbers. */
static ValId turned(Expand *x, const Node *n) {
  const Value *w = graph_val(x->g, n->in[1]);
  const size_t item = (size_t)w->shape.d[3], taps = (size_t)(w->shape.d[1] * w->shape.d[2]);
  const size_t bytes = item * taps * (size_t)w->shape.d[0];
  const int8_t *from = val_data(x->g, n->in[1]);
  int8_t *to = mem_array(bytes + 1, 1);
  for (size_t k = 0; k < bytes / item; k++)
    memcpy(to + k * item, from + (k / taps * taps + taps - 1 - k % taps) * item, item);
  ValId v = graph_const_data(x->to, w->name, w->dtype, &w->shape, to);
  mem_free(to);
  graph_set_quant(x->to, v, w->quant.n, w->quant.axis, w->quant.scale, w->quant.zero);
  return graph_node1(x->to, OP_dequantize, NULL, v, NULL, &n->loc, x->d);
}

/* v, an image like old value `like`, with step - 1 zeros behind each of its lines and columns but the last. */
static ValId spread(Expand *x, const Node *n, ValId v, const Shape *s, const Ints *step) {
  const int64_t h = s->d[1], w = s->d[2], sh = step->v[0], sw = step->v[1];
  pad_attrs pad = {.pads = {.n = 12}};
  pad.pads.v[6 + 2] = sh - 1;
  pad.pads.v[6 + 4] = sw - 1;
  const slice_attrs cut = {.starts = {.n = 4},
                           .counts = {4, {s->d[0], (h - 1) * sh + 1, (w - 1) * sw + 1, s->d[3]}},
                           .steps = {4, {1, 1, 1, 1}}};
  v = reshape_to(x, v, &(Shape){6, {s->d[0], h, 1, w, 1, s->d[3]}}, &n->loc);
  if (v != NO_VAL) v = graph_node1(x->to, OP_pad, &pad, v, NULL, &n->loc, x->d);
  v = reshape_to(x, v, &(Shape){4, {s->d[0], h * sh, w * sw, s->d[3]}}, &n->loc);
  return v == NO_VAL ? v : graph_node1(x->to, OP_slice, &cut, v, NULL, &n->loc, x->d);
}

static ValId conv_transpose(Expand *x, const Node *n, ValId *in) {
  const conv_transpose_attrs *a = CATTRS(n, conv_transpose);
  const Shape *w = &graph_val(x->g, n->in[1])->shape;
  conv_attrs c = {
      .strides = {2, {1, 1}}, .pads = {.n = 4}, .dilations = a->dilations, .group = a->group, .act = a->act};
  for (int i = 0; i < 2; i++) {
    const int64_t reach = (w->d[1 + i] - 1) * a->dilations.v[i];
    c.pads.v[i] = reach - a->pads.v[i];
    c.pads.v[2 + i] = reach - a->pads.v[2 + i] + a->extra.v[i];
    if (c.pads.v[i] < 0 || c.pads.v[2 + i] < 0 || !val_is_const(x->g, n->in[1])) {
      refuse(x, n, "it cuts its result off, or its weights are computed", "export the model before quantize");
      return NO_VAL;
    }
  }
  in[0] = spread(x, n, in[0], &graph_val(x->g, n->in[0])->shape, &a->strides);
  in[1] = turned(x, n);
  if (in[0] == NO_VAL || in[1] == NO_VAL) return NO_VAL;
  return graph_node(x->to, OP_conv, &c, in, n->n_in, NULL, &n->loc, x->d);
}

/* Where in all tables, one behind the other, the code 0 of each stands. */
static ValId first_codes(Expand *x, int64_t tables) {
  int32_t *at = mem_array((size_t)tables, sizeof *at);
  for (int64_t c = 0; c < tables; c++) at[c] = (int32_t)(c * 256 + 128);
  ValId v = graph_const_data(x->to, NULL, DT_I32, &(Shape){1, {tables}}, at);
  mem_free(at);
  return v;
}

/* The table's real numbers, gathered at the codes + 128, for each channel from a table of its own. */
static ValId lookup(Expand *x, const Node *n) {
  const Value *t = graph_val(x->g, n->in[1]);
  const Quant *q = &graph_val(x->g, n->out[0])->quant;
  const int32_t first = 128;
  if (!t->blob) {
    refuse(x, n, "its table is no constant", "export the model before quantize");
    return NO_VAL;
  }
  const Shape flat = {1, {shape_count(&t->shape)}};
  ValId table = graph_const(x->to, t->name, DT_I8, &flat, blob_ref(t->blob));
  graph_set_quant(x->to, table, q->n, q->axis, q->scale, q->zero);
  ValId index =
      graph_node1(x->to, OP_cast, &(cast_attrs){.to = DT_I32}, copy(x, n->in[0]), NULL, &n->loc, x->d);
  if (index == NO_VAL) return NO_VAL;
  ValId shift = graph_const_data(x->to, NULL, DT_I32, &(Shape){.rank = 0}, &first);
  if (t->shape.rank == 2) shift = first_codes(x, t->shape.d[0]);
  index = graph_node2(x->to, OP_add, NULL, index, shift, NULL, &n->loc, x->d);
  if (index == NO_VAL) return NO_VAL;
  if (q->n > 0) table = graph_node1(x->to, OP_dequantize, NULL, table, NULL, &n->loc, x->d);
  return graph_node2(x->to, OP_gather, NULL, table, index, NULL, &n->loc, x->d);
}

/* The operator's attributes without its rounding of codes. */
static void float_attrs(const Node *n, void *attrs) {
  int32_t *rounding = NULL;
  switch (n->op) {
  case OP_conv: rounding = &((conv_attrs *)attrs)->rounding; break;
  case OP_depthwise_conv: rounding = &((depthwise_conv_attrs *)attrs)->rounding; break;
  case OP_fully_connected: rounding = &((fully_connected_attrs *)attrs)->rounding; break;
  case OP_matmul: rounding = &((matmul_attrs *)attrs)->rounding; break;
  case OP_reduce_mean: rounding = &((reduce_mean_attrs *)attrs)->rounding; break;
  case OP_softmax: ((softmax_attrs *)attrs)->beta = 1; break; /* it is in the input's scale: softmax_input */
  default: break;
  }
  if (rounding) *rounding = ROUND_TFLITE;
}

static int32_t rounding_of(const Node *n) {
  switch (n->op) {
  case OP_conv: return CATTRS(n, conv)->rounding;
  case OP_depthwise_conv: return CATTRS(n, depthwise_conv)->rounding;
  case OP_fully_connected: return CATTRS(n, fully_connected)->rounding;
  case OP_matmul: return CATTRS(n, matmul)->rounding;
  case OP_reduce_mean: return CATTRS(n, reduce_mean)->rounding;
  default: return ROUND_TFLITE;
  }
}

/* ONNX has such operators on codes. */
static bool gives_sums(const Node *n) { return rounding_of(n) == ROUND_SUMS; }

/* Arithmetic on codes alone, which is exported as it is or not at all. */
static bool own_codes(const Node *n) {
  return n->op == OP_seq_lstm || n->op == OP_svdf || n->op == OP_svdf_state;
}

/* Operators of int8 alone, whose rounding ONNX cannot say. */
static bool has_no_form(const Node *n) {
  return n->op == OP_squared_difference || n->op == OP_log_softmax || n->op == OP_l2_normalization ||
         n->op == OP_resize_bilinear;
}

/* An int8 Softmax with a factor before exp: the real input with the factor in its scale, which the kernel multiplies by it
 * in double precision; so the product has to be a float. */
static ValId softmax_input(Expand *x, const Node *n) {
  const float beta = CATTRS(n, softmax)->beta;
  const Quant *q = &graph_val(x->g, n->in[0])->quant;
  if (beta == 1) return real(x, n->in[0], &n->loc);
  const float scale = q->scale[0] * beta;
  if ((double)scale != (double)q->scale[0] * (double)beta || !(scale > 0)) {
    refuse(x, n, "its factor before exp makes no exact scale", "export the model before quantize");
    return NO_VAL;
  }
  ValId codes = copy(x, n->in[0]);
  codes = graph_node1(x->to, OP_cast, &(cast_attrs){.to = DT_I8}, codes, NULL, &n->loc, x->d);
  if (codes == NO_VAL) return NO_VAL;
  graph_set_quant(x->to, codes, 1, 0, &scale, q->zero);
  return graph_node1(x->to, OP_dequantize, NULL, codes, NULL, &n->loc, x->d);
}

static bool expand_node(Expand *x, const Node *n) {
  if (has_no_form(n))
    return refuse(x, n, "ONNX has no int8 form of it", "export to .tflite, or the model before quantize");
  bool codes = is_codes(graph_val(x->g, n->out[0]));
  for (uint32_t i = 0; i < n->n_in; i++)
    codes = codes || (n->in[i] != NO_VAL && is_codes(graph_val(x->g, n->in[i])));
  codes = codes && n->op != OP_dequantize && n->op != OP_cast && !gives_sums(n) && !own_codes(n);
  if (n->op == OP_lookup) return finish(x, n, lookup(x, n));
  void *attrs = arena_dup(x->to->arena, n->attrs, op_info(n->op)->attrs_size);
  ValId *in = arena_array(x->to->arena, n->n_in, sizeof *in);
  if (codes) float_attrs(n, attrs);
  for (uint32_t i = 0; i < n->n_in; i++) {
    bool bias = codes && i == 2 && has_weights(n->op) && val_is_const(x->g, n->in[2]);
    in[i] = bias ? real_bias(x, n) : codes ? real(x, n->in[i], &n->loc) : copy(x, n->in[i]);
  }
  if (codes && n->op == OP_conv_transpose) return finish(x, n, conv_transpose(x, n, in));
  if (codes && n->op == OP_softmax) {
    in[0] = softmax_input(x, n);
    TRY(in[0] != NO_VAL);
  }
  if (codes && n->op == OP_quantize) return finish(x, n, in[0]);
  if (codes && n->op == OP_fully_connected) return finish(x, n, fully_connected(x, n, in, attrs));
  ValId y = graph_node(x->to, n->op, attrs, in, n->n_in, NULL, &n->loc, x->d);
  if (codes) return finish(x, n, y);
  if (y == NO_VAL) return false;
  const Node *made = graph_def(x->to, y);
  for (uint32_t i = 0; i < n->n_out; i++) {
    const Value *old = graph_val(x->g, n->out[i]);
    graph_val(x->to, made->out[i])->name = old->name ? arena_strdup(x->to->arena, old->name) : NULL;
    x->as_is[n->out[i]] = made->out[i];
    graph_set_quant(x->to, made->out[i], old->quant.n, old->quant.axis, old->quant.scale, old->quant.zero);
  }
  return true;
}

/* An operator with weights without zero points may round in each way; any other one as ONNX does. */
static bool has_choice(const Graph *g, const Node *n) {
  if (!has_weights(n->op) || gives_sums(n) || graph_val(g, n->out[0])->dtype != DT_I8) return false;
  const Quant *q = &graph_val(g, n->in[1])->quant;
  for (int32_t i = 0; i < q->n; i++)
    if (q->zero[i] != 0) return false;
  return true;
}

/* int8 products of two computed matrices round as TFLite does where the file says so, otherwise as ONNX does. */
static bool is_product(const Graph *g, const Node *n) {
  return n->op == OP_matmul && graph_val(g, n->out[0])->dtype == DT_I8;
}

/* Real numbers become codes to even, or away from zero, as the file says for all. */
static bool is_quantize(const Graph *g, const Node *n) {
  return n->op == OP_quantize && !is_codes(graph_val(g, n->in[0]));
}

/* A file says once how its operators round. */
static bool check_rounding(Expand *x) {
  const int rounding = qdq_rounding(x->g);
  for (NodeId k = 0; k < x->g->n_nodes; k++) {
    const Node *n = &x->g->nodes[k];
    bool other = is_product(x->g, n) && (rounding_of(n) == ROUND_TFLITE) != (rounding == ROUND_TFLITE);
    if (is_quantize(x->g, n))
      other = (CATTRS(n, quantize)->rounding == ROUND_ONNX) != (rounding == ROUND_ONNX);
    if ((has_choice(x->g, n) && rounding_of(n) != rounding) || other)
      return refuse(x, n, "it rounds otherwise than an operator before it",
                    "import all parts of the model with one --rounding");
  }
  return true;
}

int qdq_rounding(const Graph *g) {
  int32_t others = -1;
  for (NodeId k = 0; k < g->n_nodes; k++) {
    const Node *n = &g->nodes[k];
    if (graph_val(g, n->out[0])->dtype != DT_I8) continue;
    if (n->op == OP_quantize && CATTRS(n, quantize)->rounding == ROUND_ONNX) others = ROUND_ONNX;
    if (n->op == OP_reduce_mean && others < 0) others = rounding_of(n);
    if (is_product(g, n) && rounding_of(n) == ROUND_TFLITE) others = ROUND_TFLITE;
    if (has_choice(g, n)) return rounding_of(n);
  }
  return others;
}

Graph *qdq_expand(const Graph *g, Diag *d) {
  Expand x = {.g = g, .to = graph_new_like(g), .d = d};
  x.as_is = mem_array(g->n_vals, sizeof *x.as_is);
  x.real = mem_array(g->n_vals, sizeof *x.real);
  bool ok = check_rounding(&x);
  for (uint32_t i = 0; i < g->n_inputs; i++) {
    const Value *v = graph_val(g, g->inputs[i]);
    ValId in = graph_input(x.to, v->name, v->dtype, &v->shape);
    graph_set_quant(x.to, in, v->quant.n, v->quant.axis, v->quant.scale, v->quant.zero);
    x.as_is[g->inputs[i]] = in;
  }
  for (uint32_t i = 0; i < g->n_states; i++)
    x.as_is[g->states[i].now] =
        graph_state(x.to, graph_val(g, g->states[i].now)->name, copy(&x, g->states[i].init));
  for (NodeId k = 0; ok && k < g->n_nodes; k++) ok = expand_node(&x, &g->nodes[k]);
  for (uint32_t i = 0; ok && i < g->n_outputs; i++) graph_output(x.to, copy(&x, g->outputs[i]));
  for (uint32_t i = 0; ok && i < g->n_states; i++) x.to->states[i].next = copy(&x, g->states[i].next);
  mem_free(x.as_is);
  mem_free(x.real);
  if (ok) return x.to;
  graph_free(x.to);
  return NULL;
}
