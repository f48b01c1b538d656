/* From Quantize/Dequantize form to int8 operators.
 *
 *   Quantize -> Dequantize -> Transpose -> Conv -> Transpose -> Relu -> Quantize -> Dequantize -> ...
 *   becomes     Quantize -> Transpose -> Conv (int8) -> Transpose -> Relu (int8) -> ...
 *
 * Backward: what its readers quantize a value to, through operators that commute with Quantize (moves of elements, Relu,
 * MaxPool). Forward: each value as codes, as real number, or both (qdq.h). Moves are made on codes, which is the same;
 * an operator with an int8 form whose inputs are codes and whose output is wanted as codes becomes one
 * (qdq_ops.c); everything else stays float32 between Dequantize and Quantize. uint8 codes become int8 ones with the
 * zero point less 128, exactly; at the model's interface a Quantize stands in between.
 */
#include "frontend/onnx/qdq.h"

#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/eval.h"

/* -- quantizations -- */

bool affine8_equal(Affine8 a, Affine8 b) { return a.scale == b.scale && a.zero == b.zero; }

Affine8 qdq_affine(const Qdq *q, ValId code) {
  const Quant *z = &graph_val(q->to, code)->quant;
  return (Affine8){z->scale[0], z->zero[0]};
}

void qdq_set(Qdq *q, ValId v, Affine8 a) { graph_set_quant(q->to, v, 1, 0, &a.scale, &a.zero); }

static bool is_code8(const Value *v) { return (v->dtype == DT_I8 || v->dtype == DT_U8) && v->quant.n > 0; }

/* The quantization of 8-bit codes of the old graph as that of int8 ones. */
static Affine8 as_i8(const Value *v) {
  return (Affine8){v->quant.scale[0], v->quant.zero[0] - (v->dtype == DT_U8 ? 128 : 0)};
}

static bool is_quantize(const Graph *g, const Node *n) {
  const Value *y = graph_val(g, n->out[0]);
  return n->op == OP_quantize && graph_val(g, n->in[0])->dtype == DT_F32 && is_code8(y) && y->quant.n == 1;
}

/* -- backward -- */

/* What one reader makes of a value: codes in a quantization, int32 numbers, or something else. */
typedef struct Wish {
  enum { WISH_NONE, WISH_REAL, WISH_CODES, WISH_SUMS } kind;
  Affine8 a;
} Wish;

static void propose(Wish *w, ValId v, Wish wish) {
  if (v == NO_VAL) return;
  bool first = w[v].kind == WISH_NONE, same = w[v].kind == wish.kind && affine8_equal(w[v].a, wish.a);
  w[v] = first || same ? wish : (Wish){.kind = WISH_REAL};
}

static Wish wish_of(const Qdq *q, const Wish *w, const Node *n, uint32_t input) {
  const ValId y = n->out[0];
  const Wish real = {.kind = WISH_REAL};
  if (is_quantize(q->g, n)) return (Wish){WISH_CODES, as_i8(graph_val(q->g, y))};
  if (n->op == OP_cast && graph_val(q->g, y)->dtype == DT_I32) return (Wish){.kind = WISH_SUMS};
  if (!qdq_commutes(n) || (input > 0 && n->op != OP_concat)) return real;
  bool moves = (op_info(n->op)->traits & (T_VIEW | T_MOVE)) != 0 && n->op != OP_pad;
  return w[y].kind == WISH_CODES || (w[y].kind == WISH_SUMS && moves) ? w[y] : real;
}

static void find_wishes(Qdq *q) {
  const Graph *g = q->g;
  Wish *w = mem_array(g->n_vals, sizeof *w);
  for (uint32_t i = 0; i < g->n_outputs; i++) propose(w, g->outputs[i], (Wish){.kind = WISH_REAL});
  for (uint32_t i = 0; i < g->n_states; i++) propose(w, g->states[i].next, (Wish){.kind = WISH_REAL});
  for (NodeId k = g->n_nodes; k-- > 0;) {
    const Node *n = &g->nodes[k];
    for (uint32_t i = 0; i < n->n_in; i++) propose(w, n->in[i], wish_of(q, w, n, i));
  }
  for (ValId v = 1; v < g->n_vals; v++) {
    q->known[v] = w[v].kind == WISH_CODES;
    q->sums[v] = w[v].kind == WISH_SUMS;
    q->want[v] = w[v].a;
  }
  mem_free(w);
}

/* -- constants -- */

ValId qdq_fold(Qdq *q, const Node *n, const ValId *in) {
  Graph *s = graph_new("fold");
  Diag *quiet = diag_new();
  ValId *c = arena_array(s->arena, n->n_in, sizeof *c), y = NO_VAL;
  for (uint32_t i = 0; i < n->n_in; i++) {
    const Value *v = graph_val(q->to, in[i]);
    c[i] = graph_const(s, NULL, v->dtype, &v->shape, blob_ref(v->blob));
    graph_set_quant(s, c[i], v->quant.n, v->quant.axis, v->quant.scale, v->quant.zero);
  }
  ValId r = graph_node(s, n->op, n->attrs, c, n->n_in, NULL, &n->loc, quiet);
  Tensor t;
  if (r != NO_VAL) {
    graph_output(s, r);
    if (graph_eval(s, NULL, 0, &t, quiet)) {
      const Quant *z = &graph_val(s, r)->quant;
      y = graph_const(q->to, graph_val(q->g, n->out[0])->name, t.dtype, &t.shape,
                      blob_adopt(t.data, tensor_bytes(&t)));
      graph_set_quant(q->to, y, z->n, z->axis, z->scale, z->zero);
    }
  }
  diag_free(quiet);
  graph_free(s);
  return y;
}

/* A constant of codes in the new graph; uint8 ones moved to int8. */
static ValId copy_codes(Qdq *q, const Value *v) {
  ValId c;
  int32_t *zero = mem_array((size_t)v->quant.n, sizeof *zero);
  for (int32_t i = 0; i < v->quant.n; i++) zero[i] = v->quant.zero[i] - (v->dtype == DT_U8 ? 128 : 0);
  if (v->dtype == DT_U8) {
    int64_t n = shape_count(&v->shape);
    const uint8_t *from = blob_raw(v->blob);
    int8_t *to = mem_alloc_aligned((size_t)n, 64);
    for (int64_t i = 0; i < n; i++) to[i] = (int8_t)(from[i] - 128);
    c = graph_const(q->to, v->name, DT_I8, &v->shape, blob_adopt(to, (size_t)n));
  } else {
    c = graph_const(q->to, v->name, v->dtype, &v->shape, blob_ref(v->blob));
  }
  graph_set_quant(q->to, c, v->quant.n, v->quant.axis, v->quant.scale, zero);
  mem_free(zero);
  return c;
}

/* -- values -- */

static ValId put_quantize(Qdq *q, ValId x, DType to, Affine8 a, const char *name, const Loc *loc) {
  const bool real = x != NO_VAL && graph_val(q->to, x)->dtype == DT_F32;
  quantize_attrs attrs = {.to = (int32_t)to,
                          .rounding = real && q->rounding == ROUND_ONNX ? ROUND_ONNX : ROUND_TFLITE};
  if (x == NO_VAL) return NO_VAL;
  ValId y = graph_node1(q->to, OP_quantize, &attrs, x, name, loc, q->d);
  if (y != NO_VAL) qdq_set(q, y, a);
  return y;
}

/* Codes of a float32 value as real numbers. */
static ValId put_dequantize(Qdq *q, ValId code, const char *name, const Loc *loc) {
  Node n = {.op = OP_dequantize, .n_in = 1, .loc = *loc};
  ValId y = NO_VAL;
  if (!val_is_const(q->to, code)) return graph_node1(q->to, OP_dequantize, NULL, code, name, loc, q->d);
  n.out = &y; /* names nothing: value 0 */
  return qdq_fold(q, &n, &code);
}

ValId qdq_real(Qdq *q, ValId v, const Loc *loc) {
  if (v == NO_VAL || q->real[v] != NO_VAL) return v == NO_VAL ? NO_VAL : q->real[v];
  const Value *x = graph_val(q->g, v);
  if (x->blob) {
    q->real[v] = graph_const(q->to, x->name, x->dtype, &x->shape, blob_ref(x->blob));
    graph_set_quant(q->to, q->real[v], x->quant.n, x->quant.axis, x->quant.scale, x->quant.zero);
  } else if (q->code[v] == NO_VAL) {
    diag_error(q->d, loc, "reads a value that was not computed"); /* after another report alone */
  } else if (x->dtype == DT_F32 && graph_val(q->to, q->code[v])->dtype == DT_I32 &&
             graph_val(q->to, q->code[v])->quant.n == 0) {
    q->real[v] = graph_node1(q->to, OP_cast, NULL, q->code[v], x->name, loc, q->d);
  } else if (x->dtype == DT_F32) {
    q->real[v] = put_dequantize(q, q->code[v], x->name, loc);
  } else if (x->dtype == DT_U8) {
    Affine8 a = qdq_affine(q, q->code[v]);
    q->real[v] = put_quantize(q, q->code[v], DT_U8, (Affine8){a.scale, a.zero + 128}, x->name, loc);
  } else {
    q->real[v] = q->code[v];
  }
  return q->real[v];
}

ValId qdq_code(Qdq *q, ValId v, const Loc *loc) {
  if (v == NO_VAL || q->code[v] != NO_VAL) return v == NO_VAL ? NO_VAL : q->code[v];
  const Value *x = graph_val(q->g, v);
  if (x->blob && x->quant.n > 0 && (is_code8(x) || x->dtype == DT_I32)) return q->code[v] = copy_codes(q, x);
  if (!is_code8(x) || x->quant.n != 1) return NO_VAL;
  ValId real = qdq_real(q, v, loc);
  q->code[v] = x->dtype == DT_I8 ? real : put_quantize(q, real, DT_I8, as_i8(x), x->name, loc);
  return q->code[v];
}

ValId qdq_requantize(Qdq *q, ValId code, Affine8 to, const char *name, const Loc *loc) {
  if (code == NO_VAL || affine8_equal(qdq_affine(q, code), to)) return code;
  if (q->rounding == ROUND_ONNX) code = graph_node1(q->to, OP_dequantize, NULL, code, name, loc, q->d);
  return put_quantize(q, code, DT_I8, to, name, loc);
}

/* -- forward -- */

/* Inputs as they are. */
static bool real_node(Qdq *q, const Node *n) {
  const Value *old = graph_val(q->g, n->out[0]);
  ValId *in = mem_array(n->n_in, sizeof *in), y = NO_VAL;
  bool ok = true, constant = n->n_in > 0 && n->n_out == 1;
  for (uint32_t i = 0; ok && i < n->n_in; i++) {
    in[i] = qdq_real(q, n->in[i], &n->loc);
    ok = n->in[i] == NO_VAL || in[i] != NO_VAL;
    constant = constant && val_is_const(q->to, in[i]);
  }
  if (ok && constant) y = qdq_fold(q, n, in);
  if (ok && y == NO_VAL) {
    y = graph_node(q->to, n->op, n->attrs, in, n->n_in, old->name, &n->loc, q->d);
    if (y != NO_VAL && old->quant.n > 0)
      graph_set_quant(q->to, y, old->quant.n, old->quant.axis, old->quant.scale, old->quant.zero);
  }
  mem_free(in);
  if (y == NO_VAL) return false;
  q->real[n->out[0]] = y;
  const Node *made = graph_def(q->to, y);
  for (uint32_t i = 1; made && i < n->n_out; i++) q->real[n->out[i]] = made->out[i];
  return true;
}

static bool quantize_node(Qdq *q, const Node *n) {
  const Value *y = graph_val(q->g, n->out[0]);
  ValId code = qdq_code(q, n->in[0], &n->loc);
  if (code != NO_VAL)
    code = qdq_requantize(q, code, as_i8(y), y->name, &n->loc);
  else
    code = put_quantize(q, qdq_real(q, n->in[0], &n->loc), DT_I8, as_i8(y), y->name, &n->loc);
  q->code[n->out[0]] = code;
  return code != NO_VAL;
}

/* int32 sums are what a Cast of them gives. */
static bool is_sums(const Qdq *q, const Node *n) {
  ValId v = n->op == OP_cast ? q->code[n->in[0]] : NO_VAL;
  return v != NO_VAL && q->sums[n->in[0]] && graph_val(q->to, v)->dtype == DT_I32;
}

static bool emit_node(Qdq *q, const Node *n) {
  if (is_sums(q, n)) {
    q->real[n->out[0]] = q->code[n->in[0]];
    return true;
  }
  if (is_quantize(q->g, n)) return quantize_node(q, n);
  ValId code = n->op == OP_dequantize ? qdq_code(q, n->in[0], &n->loc) : qdq_operator(q, n);
  if (code == NO_VAL) return real_node(q, n);
  q->code[n->out[0]] = code;
  return true;
}

/* The output keeps its name: a value that has another role already is passed through a Reshape to its own shape. */
static bool emit_output(Qdq *q, ValId old) {
  const Value *o = graph_val(q->g, old);
  Loc loc = {.file = q->g->name, .name = o->name, .op = "output"};
  ValId v = qdq_real(q, old, &loc);
  if (v == NO_VAL) return false;
  bool taken = graph_def(q->to, v) == NULL && old != NO_VAL && graph_def(q->g, old) != NULL;
  for (uint32_t i = 0; i < q->to->n_outputs; i++) taken = taken || q->to->outputs[i] == v;
  if (taken) {
    reshape_attrs a = {.shape = {.n = o->shape.rank}};
    for (int32_t i = 0; i < a.shape.n; i++) a.shape.v[i] = o->shape.d[i];
    v = graph_node1(q->to, OP_reshape, &a, v, o->name, &loc, q->d);
    if (v == NO_VAL) return false;
  } else if (graph_def(q->to, v)) {
    graph_val(q->to, v)->name = arena_strdup(q->to->arena, o->name);
  }
  graph_output(q->to, v);
  return true;
}

bool qdq_has_codes(const Graph *g) {
  for (NodeId k = 0; k < g->n_nodes; k++)
    if (g->nodes[k].op == OP_dequantize || g->nodes[k].op == OP_quantize) return true;
  return false;
}

static bool rewrite(Qdq *q) {
  const Graph *g = q->g;
  find_wishes(q);
  for (uint32_t i = 0; i < g->n_inputs; i++) {
    const Value *x = graph_val(g, g->inputs[i]);
    ValId v = graph_input(q->to, x->name, x->dtype, &x->shape);
    graph_set_quant(q->to, v, x->quant.n, x->quant.axis, x->quant.scale, x->quant.zero);
    q->real[g->inputs[i]] = v;
  }
  for (uint32_t i = 0; i < g->n_states; i++) {
    const GraphState *s = &g->states[i];
    const Loc loc = {.file = g->name, .name = graph_val(g, s->now)->name};
    q->real[s->now] = graph_state(q->to, loc.name, qdq_real(q, s->init, &loc));
  }
  for (NodeId k = 0; k < g->n_nodes; k++) TRY(emit_node(q, &g->nodes[k]));
  for (uint32_t i = 0; i < g->n_outputs; i++) TRY(emit_output(q, g->outputs[i]));
  for (uint32_t i = 0; i < g->n_states; i++) {
    q->to->states[i].next = qdq_real(q, g->states[i].next, &(Loc){.file = g->name});
    TRY(q->to->states[i].next != NO_VAL);
  }
  return true;
}

Graph *qdq_rewrite(const Graph *g, int32_t rounding, Diag *d) {
  Qdq q = {.g = g, .to = graph_new_like(g), .rounding = rounding, .d = d};
  q.code = mem_array(g->n_vals, sizeof *q.code);
  q.real = mem_array(g->n_vals, sizeof *q.real);
  q.want = mem_array(g->n_vals, sizeof *q.want);
  q.known = mem_array(g->n_vals, sizeof *q.known);
  q.sums = mem_array(g->n_vals, sizeof *q.sums);
  bool ok = rewrite(&q);
  mem_free(q.code);
  mem_free(q.real);
  mem_free(q.want);
  mem_free(q.known);
  mem_free(q.sums);
  if (ok) return q.to;
  graph_free(q.to);
  return NULL;
}
