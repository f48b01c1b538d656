/* ONNX export of recurrent cells: Lstm, Gru, Rnn as ONNX's of one direction; SequenceLstm as an LSTM, or step by step where
 * its cell is limited; Svdf as a composition.
 *
 *   x [T,N,I] -> FullyConnected W, b -> [T,N,G*H] -> Lstm R -> [N,T+2,H]      is      LSTM(x, W, R, [b, 0]) -> Y, Y_h, Y_c
 *
 * A product that the cell alone reads is absorbed into it; any other share of the gates is multiplied by the identity,
 * which is exact. Source: ONNX LSTM-7, GRU-7, RNN-7; gates stand in ONNX's order already.
 */
#include "frontend/onnx/export.h"

#include "ir/base/mem.h"
#include "runtime/kernels/kernel.h"

static const Shape *shape(const Export *x, ValId v) { return &graph_val(x->g, v)->shape; }

/* -- what a cell absorbs -- */

/* The FullyConnected over three axes that computes v for one reader; NULL: none. */
static const Node *product_of(const Export *x, ValId v, const uint32_t *uses) {
  const Node *def = graph_def(x->g, v);
  if (!def || def->op != OP_fully_connected || uses[v] != 1 || graph_is_result(x->g, v)) return NULL;
  const bool real = graph_val(x->g, def->in[0])->dtype == DT_F32;
  return real && shape(x, v)->rank == 3 && CATTRS(def, fully_connected)->act == ACT_NONE ? def : NULL;
}

/* The Slice that alone reads a cell's output and takes its last state, [N,1,H]: ONNX's Y_h, where the batch is in front.
 * NULL: none, or a cell with more states. */
static const Node *last_state(const Export *x, const Node *n, const uint32_t *uses) {
  const ValId y = n->out[0];
  const bool first = n->op == OP_gru   ? CATTRS(n, gru)->batch_first
                     : n->op == OP_rnn ? CATTRS(n, rnn)->batch_first
                                       : false;
  if (!first || uses[y] != 1 || graph_is_result(x->g, y)) return NULL;
  for (NodeId k = 0; k < x->g->n_nodes; k++) {
    const Node *r = &x->g->nodes[k];
    if (r->op != OP_slice || r->in[0] != y) continue;
    const Shape *from = shape(x, y), *to = shape(x, r->out[0]);
    const bool last = to->d[0] == from->d[0] && to->d[1] == 1 && to->d[2] == from->d[2];
    return last && CATTRS(r, slice)->starts.v[1] == from->d[1] - 1 ? r : NULL;
  }
  return NULL;
}

void xp_find_absorbed(Export *x) {
  const uint32_t *uses = graph_uses(x->g, x->arena);
  for (NodeId k = 0; k < x->g->n_nodes; k++) {
    const Node *n = &x->g->nodes[k];
    if (n->op != OP_lstm && n->op != OP_gru && n->op != OP_rnn) continue;
    if (product_of(x, n->in[0], uses)) x->absorbed[graph_val(x->g, n->in[0])->def] = true;
    const Node *last = last_state(x, n, uses);
    if (last) x->absorbed[graph_val(x->g, last->out[0])->def] = true;
  }
}

static const Node *absorbed(const Export *x, ValId v) {
  const Node *def = graph_def(x->g, v);
  return def && def->op == OP_fully_connected && x->absorbed[graph_val(x->g, v)->def] ? def : NULL;
}

/* -- parts of ONNX's nodes -- */

static const char *zeros(Export *x, const char *base, int64_t n) {
  float *p = mem_array((size_t)n + 1, sizeof *p);
  const char *name = xp_const(x, xp_fresh(x, base, "zeros"), DT_F32, &(Shape){1, {n}}, p);
  mem_free(p);
  return name;
}

static const char *identity(Export *x, const char *base, int64_t n) {
  float *p = mem_array((size_t)(n * n), sizeof *p);
  for (int64_t i = 0; i < n; i++) p[i * n + i] = 1;
  const char *name = xp_const(x, xp_fresh(x, base, "w"), DT_F32, &(Shape){3, {1, n, n}}, p);
  mem_free(p);
  return name;
}

/* Value v with an axis of extent 1 in front. */
static const char *lifted(Export *x, ValId v, const char *suffix) {
  const Shape *s = shape(x, v);
  Ints to = {.n = s->rank + 1, .v = {1}};
  for (int32_t i = 0; i < s->rank; i++) to.v[i + 1] = s->d[i];
  return xp_plain_as(x, v, &to, suffix);
}

/* A state [N,H] with the axis of directions: [1,N,H], or [N,1,H] where the batch is in front. "": none. */
static const char *state(Export *x, ValId v, bool batch_first, const char *suffix) {
  if (v == NO_VAL) return "";
  if (!batch_first) return lifted(x, v, suffix);
  return xp_plain_as(x, v, &(Ints){3, {shape(x, v)->d[0], 1, shape(x, v)->d[1]}}, suffix);
}

static const char *joined(Export *x, const char *base, const char *suffix, int64_t axis, uint32_t n,
                          const char *const *in) {
  XpNode m = {0};
  for (uint32_t i = 0; i < n; i++) xp_in(&m, in[i]);
  xp_int(&m, "axis", axis);
  const char *out = xp_fresh(x, base, suffix);
  xp_end(x, &m, "Concat", out);
  return out;
}

/* What RNN, GRU and LSTM share. */
typedef struct Cell {
  const char *op;
  int64_t gates, states, hidden;
  int32_t reverse, n_acts, batch_first;
  const Ints *acts;
  float alpha[3], beta[3], clip;
  ValId h0, c0, extra, peepholes, lengths; /* extra: GRU's recurrent bias of gate h */
} Cell;

static const struct {
  const char *name;
  bool alpha, beta;
} acts[] = {
    [MF_ACT_SIGMOID] = {"Sigmoid", false, false},
    [MF_ACT_TANH] = {"Tanh", false, false},
    [MF_ACT_RELU] = {"Relu", false, false},
    [MF_ACT_AFFINE] = {"Affine", true, true},
    [MF_ACT_LEAKY_RELU] = {"LeakyRelu", true, false},
    [MF_ACT_THRESHOLDED_RELU] = {"ThresholdedRelu", true, false},
    [MF_ACT_SCALED_TANH] = {"ScaledTanh", true, true},
    [MF_ACT_HARD_SIGMOID] = {"HardSigmoid", true, true},
    [MF_ACT_ELU] = {"Elu", true, false},
    [MF_ACT_SOFTSIGN] = {"Softsign", false, false},
    [MF_ACT_SOFTPLUS] = {"Softplus", false, false},
};

/* Names of the activations; alpha and beta of those that have them, in their order. */
static void activations(XpNode *m, const Cell *c) {
  const char *names[3];
  float alpha[3], beta[3];
  uint32_t n_alpha = 0, n_beta = 0;
  for (int32_t i = 0; i < c->n_acts; i++) {
    const int64_t k = c->acts->v[i];
    names[i] = acts[k].name;
    if (acts[k].alpha) alpha[n_alpha++] = c->alpha[i];
    if (acts[k].beta) beta[n_beta++] = c->beta[i];
  }
  xp_strings(m, "activations", names, (uint32_t)c->n_acts);
  if (n_alpha) xp_floats(m, "activation_alpha", alpha, n_alpha);
  if (n_beta) xp_floats(m, "activation_beta", beta, n_beta);
}

/* B [1, 2*G*H]: biases of the absorbed product, and of the recurrent one. "": none. */
static const char *biases(Export *x, const Cell *c, const Node *product, const char *out) {
  const int64_t n = c->gates * c->hidden;
  const bool given = product && product->n_in > 2 && product->in[2] != NO_VAL;
  if (!given && c->extra == NO_VAL) return "";
  const char *in[3] = {given ? xp_plain(x, product->in[2]) : zeros(x, out, n)}, *b;
  in[1] = zeros(x, out, c->extra == NO_VAL ? n : n - c->hidden);
  if (c->extra != NO_VAL) in[2] = xp_plain(x, c->extra);
  b = joined(x, out, "biases", 0, c->extra == NO_VAL ? 2 : 3, in);
  return xp_reshaped(x, b, b, &(Ints){2, {1, 2 * n}});
}

static void cell_inputs(Export *x, const Node *n, const Cell *c, XpNode *m, const char *out) {
  const Node *product = absorbed(x, n->in[0]);
  xp_in(m, xp_plain(x, product ? product->in[0] : n->in[0]));
  xp_in(m, product ? lifted(x, product->in[1], "w") : identity(x, out, c->gates * c->hidden));
  xp_in(m, lifted(x, n->in[1], "r"));
  xp_in(m, biases(x, c, product, out));
  xp_in(m, c->lengths != NO_VAL ? xp_plain(x, c->lengths) : "");
  xp_in(m, state(x, c->h0, c->batch_first, "h0"));
  if (c->states < 2) return;
  xp_in(m, state(x, c->c0, c->batch_first, "c0"));
  xp_in(m, c->peepholes != NO_VAL ? lifted(x, c->peepholes, "p") : "");
}

/* Y [T,1,N,H], Y_h and Y_c [1,N,H] as ours: [N,T+S,H]. */
static void cell_outputs(Export *x, const Node *n, const Cell *c, const char *const *outs, const char *out) {
  const Shape *s = shape(x, n->out[0]);
  if (c->batch_first) { /* Y [N,T,1,H], Y_h and Y_c [N,1,H] */
    XpNode m = {0};
    xp_in(&m, xp_reshaped(x, outs[0], out, &(Ints){3, {s->d[0], s->d[1] - c->states, c->hidden}}));
    for (int64_t i = 1; i <= c->states; i++) xp_in(&m, outs[i]);
    xp_int(&m, "axis", 1);
    xp_end(x, &m, "Concat", out);
    return;
  }
  const char *parts[3] = {xp_reshaped(x, outs[0], out, &(Ints){3, {s->d[1] - c->states, s->d[0], c->hidden}}),
                          outs[1], outs[2]};
  for (int64_t i = 0; i <= c->states; i++) {
    const char *t = xp_fresh(x, out, "nth");
    xp_transpose_node(x, parts[i], "102", t);
    parts[i] = t;
  }
  XpNode m = {0};
  for (int64_t i = 0; i <= c->states; i++) xp_in(&m, parts[i]);
  xp_int(&m, "axis", 1);
  xp_end(x, &m, "Concat", out);
}

static bool cell(Export *x, const Node *n, const Cell *c, const char *variant, int32_t value) {
  const Node *last = last_state(x, n, graph_uses(x->g, x->arena));
  const char *out = xp_out(x, last ? last->out[0] : n->out[0], false);
  const char *outs[3] = {xp_fresh(x, out, "Y"), xp_fresh(x, out, "Y_h"), xp_fresh(x, out, "Y_c")};
  XpNode m = {0};
  if (last) outs[0] = "", outs[1] = out;
  cell_inputs(x, n, c, &m, out);
  if (c->batch_first) xp_int(&m, "layout", 1);
  xp_int(&m, "hidden_size", c->hidden);
  xp_string(&m, "direction", c->reverse ? "reverse" : "forward");
  activations(&m, c);
  if (c->clip > 0) xp_float(&m, "clip", c->clip);
  if (variant && value) xp_int(&m, variant, value);
  xp_end_as(x, &m, c->op, outs, (uint32_t)c->states + 1);
  if (!last) cell_outputs(x, n, c, outs, out);
  return true;
}

static ValId given(const Node *n, uint32_t i) { return i < n->n_in ? n->in[i] : NO_VAL; }

#define CELL(a)                                                                                        \
  .hidden = (a)->hidden, .reverse = (a)->reverse, .batch_first = (a)->batch_first, .acts = &(a)->acts, \
  .clip = (a)->clip, .alpha = {(a)->alpha_f, (a)->alpha_g, (a)->alpha_h},                              \
  .beta = {(a)->beta_f, (a)->beta_g, (a)->beta_h}, .h0 = given(n, 2)

bool xp_lstm(Export *x, const Node *n) {
  const lstm_attrs *a = CATTRS(n, lstm);
  Cell c = {.op = "LSTM", .gates = 4, .states = 2, .n_acts = 3, CELL(a), .c0 = given(n, 3)};
  c.peepholes = given(n, 4);
  c.lengths = given(n, 5);
  return cell(x, n, &c, "input_forget", a->input_forget);
}

bool xp_gru(Export *x, const Node *n) {
  const gru_attrs *a = CATTRS(n, gru);
  Cell c = {.op = "GRU", .gates = 3, .states = 1, .n_acts = 2, CELL(a), .extra = given(n, 3)};
  c.lengths = given(n, 4);
  return cell(x, n, &c, "linear_before_reset", a->linear_before_reset);
}

bool xp_rnn(Export *x, const Node *n) {
  const rnn_attrs *a = CATTRS(n, rnn);
  Cell c = {.op = "RNN", .gates = 1, .states = 1, .n_acts = 1, CELL(a), .lengths = given(n, 3)};
  return cell(x, n, &c, NULL, 0);
}

/* -- SequenceLstm: h, c, weights and recurrent ones of the gates i, f, c, o, their biases -- */

/* Four values from `first` on side by side, in ONNX's order i, o, f, c. */
static const char *four(Export *x, const Node *n, uint32_t first, const char *out, const char *suffix) {
  const char *in[4] = {xp_plain(x, n->in[first]), xp_plain(x, n->in[first + 3]),
                       xp_plain(x, n->in[first + 1]), xp_plain(x, n->in[first + 2])};
  return joined(x, out, suffix, 0, 4, in);
}

/* A whole sequence [T,B,I] as one LSTM. */
static bool sequence_lstm(Export *x, const Node *n, const char *steps, const char *out) {
  const Shape *xs = shape(x, n->in[0]);
  const int64_t b = xs->d[0], t = xs->d[1], i = xs->d[2], s = shape(x, n->in[1])->d[1];
  const char *outs[3] = {xp_fresh(x, out, "Y"), xp_fresh(x, out, "Y_h"), xp_fresh(x, out, "Y_c")};
  const char *bias[2] = {four(x, n, 11, out, "wb"), zeros(x, out, 4 * s)};
  XpNode m = {0}, end = {0};
  xp_in(&m, steps);
  xp_in(&m, xp_reshaped(x, four(x, n, 3, out, "w"), out, &(Ints){3, {1, 4 * s, i}}));
  xp_in(&m, xp_reshaped(x, four(x, n, 7, out, "r"), out, &(Ints){3, {1, 4 * s, s}}));
  xp_in(&m, xp_reshaped(x, joined(x, out, "biases", 0, 2, bias), out, &(Ints){2, {1, 8 * s}}));
  xp_in(&m, "");
  xp_in(&m, lifted(x, n->in[1], "h0"));
  xp_in(&m, lifted(x, n->in[2], "c0"));
  xp_int(&m, "hidden_size", s);
  xp_end_as(x, &m, "LSTM", outs, 3);
  const char *y = xp_reshaped(x, outs[0], out, &(Ints){3, {t, b, s}}), *yt = xp_fresh(x, out, "nth");
  xp_transpose_node(x, y, "102", yt);
  xp_in(&end, yt);
  xp_in(&end, xp_reshaped(x, outs[2], out, &(Ints){3, {b, 1, s}}));
  xp_int(&end, "axis", 1);
  xp_end(x, &end, "Concat", out);
  return true;
}

/* act(x w + h r + bias) of one gate. */
static const char *gate(Export *x, const Node *n, uint32_t k, const char *in, const char *h, const char *act,
                        const char *out) {
  XpNode w = {0}, r = {0};
  const char *share = xp_fresh(x, out, "share"), *sum = xp_fresh(x, out, "sum");
  xp_in(&w, in);
  xp_in(&w, xp_plain(x, n->in[3 + k]));
  xp_in(&w, xp_plain(x, n->in[11 + k]));
  xp_int(&w, "transB", 1);
  xp_end(x, &w, "Gemm", share);
  xp_in(&r, h);
  xp_in(&r, xp_plain(x, n->in[7 + k]));
  xp_in(&r, share);
  xp_int(&r, "transB", 1);
  xp_end(x, &r, "Gemm", sum);
  return XP_OP(x, act, out, "gate", sum);
}

/* Step by step, the cell limited after each. */
static bool limited_lstm(Export *x, const Node *n, const char *steps, const char *out) {
  const Shape *xs = shape(x, n->in[0]);
  const int64_t b = xs->d[0], t = xs->d[1], s = shape(x, n->in[1])->d[1];
  const float clip = CATTRS(n, seq_lstm)->clip;
  const char *h = xp_plain(x, n->in[1]), *c = xp_plain(x, n->in[2]);
  const char *lo = xp_const_float(x, xp_fresh(x, out, "lo"), -clip);
  const char *hi = xp_const_float(x, xp_fresh(x, out, "hi"), clip);
  XpNode end = {0};
  for (int64_t k = 0; k < t; k++) {
    XpNode pick = {0};
    const char *in = xp_fresh(x, out, "step");
    xp_in(&pick, steps);
    xp_in(&pick, xp_const_number(x, xp_fresh(x, out, "at"), DT_I64, (double)k));
    xp_end(x, &pick, "Gather", in);
    const char *i = gate(x, n, 0, in, h, "Sigmoid", out), *f = gate(x, n, 1, in, h, "Sigmoid", out);
    const char *g = gate(x, n, 2, in, h, "Tanh", out), *o = gate(x, n, 3, in, h, "Sigmoid", out);
    c = XP_OP(x, "Add", out, "cell", XP_OP(x, "Mul", out, "kept", f, c), XP_OP(x, "Mul", out, "fresh", i, g));
    c = XP_OP(x, "Clip", out, "limited", c, lo, hi);
    h = XP_OP(x, "Mul", out, "h", o, XP_OP(x, "Tanh", out, "active", c));
    xp_in(&end, xp_reshaped(x, h, out, &(Ints){3, {b, 1, s}}));
  }
  xp_in(&end, xp_reshaped(x, c, out, &(Ints){3, {b, 1, s}}));
  xp_int(&end, "axis", 1);
  xp_end(x, &end, "Concat", out);
  return true;
}

/* TensorFlow Lite's integer cells compute on codes of their own, which no operator of ONNX does. */
static bool want_float(Export *x, const Node *n) {
  if (graph_val(x->g, n->in[0])->dtype == DT_F32) return true;
  diag_error(x->d, &n->loc, "%s of int8 cannot be exported: ONNX has no such arithmetic",
             op_info(n->op)->name);
  diag_hint(x->d, "export the float32 model, or write .tflite");
  return false;
}

bool xp_seq_lstm(Export *x, const Node *n) {
  TRY(want_float(x, n));
  const char *out = xp_out(x, n->out[0], false), *steps = xp_fresh(x, out, "steps");
  xp_transpose_node(x, xp_plain(x, n->in[0]), "102", steps);
  return CATTRS(n, seq_lstm)->clip > 0 ? limited_lstm(x, n, steps, out) : sequence_lstm(x, n, steps, out);
}

/* -- Svdf: state [B,F*M] -- */

static Ints split_state(const Export *x, const Node *n, int64_t filters) {
  const Shape *s = shape(x, n->in[0]);
  return (Ints){3, {s->d[0], filters, s->d[1] / filters}};
}

/* Values of each filter move down; the newest is x w^T. */
bool xp_svdf_state(Export *x, const Node *n) {
  TRY(want_float(x, n));
  const int64_t filters = shape(x, n->in[2])->d[0];
  const Ints state = split_state(x, n, filters);
  const Shape *s = shape(x, n->in[0]);
  const char *out = xp_out(x, n->out[0], false), *down = xp_fresh(x, out, "down");
  XpNode slice = {0};
  xp_in(&slice, xp_plain_as(x, n->in[0], &state, "filters"));
  xp_in(&slice, xp_const_ints(x, xp_fresh(x, out, "starts"), &(Ints){1, {1}}));
  xp_in(&slice, xp_const_ints(x, xp_fresh(x, out, "ends"), &(Ints){1, {state.v[2]}}));
  xp_in(&slice, xp_const_ints(x, xp_fresh(x, out, "axes"), &(Ints){1, {2}}));
  xp_end(x, &slice, "Slice", down);
  const char *y =
      XP_OP(x, "MatMul", out, "newest", xp_plain(x, n->in[1]), xp_transposed(x, n->in[2], "10", "t"));
  const char *parts[2] = {down, xp_reshaped(x, y, out, &(Ints){3, {s->d[0], filters, 1}})};
  const char *moved = state.v[2] > 1 ? joined(x, out, "moved", 2, 2, parts) : parts[1];
  xp_reshape_node(x, moved, &(Ints){2, {s->d[0], s->d[1]}}, out);
  return true;
}

/* Filters by time weights, summed over memory and rank. */
bool xp_svdf(Export *x, const Node *n) {
  TRY(want_float(x, n));
  const svdf_attrs *a = CATTRS(n, svdf);
  const Shape *s = shape(x, n->in[0]), *w = shape(x, n->in[1]);
  const Ints state = split_state(x, n, w->d[0]);
  const char *out = xp_out(x, n->out[0], false);
  const char *y =
      XP_OP(x, "Mul", out, "weighted", xp_plain_as(x, n->in[0], &state, "filters"), xp_plain(x, n->in[1]));
  XpNode sum = {0};
  xp_in(&sum, xp_reshaped(x, y, out, &(Ints){3, {s->d[0], w->d[0] / a->rank, a->rank * w->d[1]}}));
  xp_in(&sum, xp_const_ints(x, xp_fresh(x, out, "axes"), &(Ints){1, {2}}));
  xp_int(&sum, "keepdims", 0);
  if (given(n, 2) == NO_VAL) return xp_end_act(x, &sum, "ReduceSum", a->act, out);
  const char *sums = xp_fresh(x, out, "sums");
  xp_end(x, &sum, "ReduceSum", sums);
  XpNode add = {0};
  xp_in(&add, sums);
  xp_in(&add, xp_plain(x, n->in[2]));
  return xp_end_act(x, &add, "Add", a->act, out);
}
