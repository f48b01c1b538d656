/* ONNX LSTM, GRU, RNN: for each direction the input's share of the gates as one product over all steps, then the cell.
 *
 *   X [T,N,I] --FullyConnected W[d], Wb + Rb--> [T,N,G*H] --Lstm | Gru | Rnn R[d], states--> [N,T+S,H] --> Y, Y_h, Y_c
 *
 * The directions' outputs are joined by Concat. layout 1 has the batch in front. Source: ONNX LSTM-7..-22, GRU-7..-22,
 * RNN-7..-22; activations take alpha and beta in their order, each where it has such a parameter.
 */
#include "frontend/onnx/onnx_op.h"

#include <inttypes.h>
#include <string.h>

#include "runtime/kernels/kernel.h"

enum { MAX_ACTS = 6 };

static const struct {
  const char *name;
  int32_t act;
  bool has_alpha, has_beta;
  float alpha, beta; /* where the file gives none */
} act_rows[] = {
    {"sigmoid", MF_ACT_SIGMOID, false, false, 0, 0},
    {"tanh", MF_ACT_TANH, false, false, 0, 0},
    {"relu", MF_ACT_RELU, false, false, 0, 0},
    {"affine", MF_ACT_AFFINE, true, true, 1, 0},
    {"leakyrelu", MF_ACT_LEAKY_RELU, true, false, 0.01f, 0},
    {"thresholdedrelu", MF_ACT_THRESHOLDED_RELU, true, false, 1, 0},
    {"scaledtanh", MF_ACT_SCALED_TANH, true, true, 1, 1},
    {"hardsigmoid", MF_ACT_HARD_SIGMOID, true, true, 0.2f, 0.5f},
    {"elu", MF_ACT_ELU, true, false, 1, 0},
    {"softsign", MF_ACT_SOFTSIGN, false, false, 0, 0},
    {"softplus", MF_ACT_SOFTPLUS, false, false, 0, 0},
};
enum { N_ACTS = sizeof act_rows / sizeof act_rows[0] };

typedef struct CellKind {
  OpKind op;
  int gates, states, n_acts;
  int acts[3]; /* where the file names none */
} CellKind;

typedef struct Recurrent {
  const CellKind *kind;
  DType type;
  ValId x, w, r, b, lengths, h0, c0, peep; /* x [T,N,I]; states [D,N,H] */
  int64_t steps, items, hidden;
  int directions;
  bool first_reverse, batch_first;
  int act[MAX_ACTS];
  float alpha[MAX_ACTS], beta[MAX_ACTS], clip;
  bool variant;
} Recurrent;

/* -- attributes -- */

static bool same_word(WireBytes s, const char *lower) {
  if (s.n != strlen(lower)) return false;
  for (size_t i = 0; i < s.n; i++) {
    char ch = (char)s.p[i];
    if ((ch >= 'A' && ch <= 'Z' ? (char)(ch - 'A' + 'a') : ch) != lower[i]) return false;
  }
  return true;
}

/* The names of the activations into r->act; their number in *n. */
static bool read_names(OxCall *c, Recurrent *r, int *n) {
  const OxAttr *a = ox_attr(c, "activations", OX_ATTR_STRINGS);
  WireField f;
  *n = 0;
  if (!a) return !c->failed;
  WireBytes body = a->body;
  while (wire_next(&c->m->w, &body, &f)) {
    if (f.id != 9 || !wire_is(&c->m->w, &f, WIRE_BYTES)) continue;
    int k = 0;
    while (k < N_ACTS && !same_word(f.bytes, act_rows[k].name)) k++;
    OX_FAIL_IF(k == N_ACTS || *n == MAX_ACTS, c,
               "has the activation \"%.*s\", which is not known, or too many",
               f.bytes.n < 40 ? (int)f.bytes.n : 40, (const char *)f.bytes.p);
    r->act[(*n)++] = k;
  }
  return !c->m->w.what || ox_corrupt(c->m);
}

static bool read_acts(OxCall *c, Recurrent *r) {
  float alpha[MAX_ACTS], beta[MAX_ACTS];
  int n, want = r->kind->n_acts * r->directions, next_alpha = 0, next_beta = 0;
  TRY(read_names(c, r, &n));
  int n_alpha = ox_floats(c, "activation_alpha", alpha, MAX_ACTS);
  int n_beta = ox_floats(c, "activation_beta", beta, MAX_ACTS);
  OX_FAIL_IF(n != 0 && n != want, c, "has %d activations; want %d", n, want);
  for (int i = 0; i < want; i++) {
    if (n == 0) r->act[i] = r->kind->acts[i % r->kind->n_acts];
    bool more_alpha = act_rows[r->act[i]].has_alpha && next_alpha < n_alpha;
    bool more_beta = act_rows[r->act[i]].has_beta && next_beta < n_beta;
    r->alpha[i] = more_alpha ? alpha[next_alpha++] : act_rows[r->act[i]].alpha;
    r->beta[i] = more_beta ? beta[next_beta++] : act_rows[r->act[i]].beta;
  }
  return !c->failed;
}

/* -- inputs -- */

/* Optional input i as float32; NO_VAL where it is left out. */
static ValId given(OxCall *c, uint32_t i, const char *suffix) {
  return ox_has(c, i) ? ox_folded(c, ox_cast(c, c->in[i], DT_F32, suffix)) : NO_VAL;
}

static bool check_shape(OxCall *c, ValId v, int64_t a, int64_t b, int64_t d, const char *what) {
  if (v == NO_VAL) return true;
  Shape s = ox_shape(c, v), want = {d < 0 ? 2 : 3, {a, b, d < 0 ? 0 : d}};
  char got[80], text[80];
  shape_format(&s, got, sizeof got);
  shape_format(&want, text, sizeof text);
  OX_FAIL_IF(!shape_equal(&s, &want), c, "%s is %s; want %s", what, got, text);
  return true;
}

/* States are [N,D,H] where the batch is in front. */
static ValId state(OxCall *c, const Recurrent *r, uint32_t i, const char *suffix) {
  ValId v = given(c, i, suffix);
  if (v == NO_VAL || !r->batch_first || ox_shape(c, v).rank != 3) return v;
  return ox_folded(c, ox_transpose(c, v, "102", suffix));
}

static bool read_lengths(OxCall *c, Recurrent *r) {
  if (!ox_has(c, 4)) return true;
  r->lengths = ox_folded(c, ox_cast(c, c->in[4], DT_I32, "lengths"));
  TRY(r->lengths != NO_VAL);
  if (!val_is_const(c->g, r->lengths)) return true;
  const Shape s = ox_shape(c, r->lengths);
  const int32_t *p = val_data(c->g, r->lengths);
  bool all = true;
  for (int64_t i = 0; i < shape_count(&s); i++) all = all && p[i] == r->steps;
  if (all) r->lengths = NO_VAL;
  return true;
}

static bool read_inputs(OxCall *c, Recurrent *r) {
  const CellKind *k = r->kind;
  ValId x = ox_in(c, 0);
  TRY(x != NO_VAL && ox_in(c, 1) != NO_VAL && ox_in(c, 2) != NO_VAL);
  r->type = ox_type(c, x);
  OX_FAIL_IF(ox_work_type(r->type) != DT_F32, c, "has elements of %s", dtype_name(r->type));
  r->x = ox_cast(c, x, DT_F32, "x");
  r->batch_first = ox_int(c, "layout", 0) != 0;
  OX_FAIL_IF(ox_shape(c, x).rank != 3 || ox_shape(c, c->in[2]).rank != 3, c,
             "wants X [T,N,I] and R [D,G*H,H]");
  TRY(r->x != NO_VAL);
  Shape s = ox_shape(c, r->x);
  OX_FAIL_IF(!shape_is_static(&s) && !r->batch_first, c, "has a symbolic batch; fix it before export");
  r->steps = s.d[r->batch_first ? 1 : 0];
  r->items = s.d[r->batch_first ? 0 : 1];
  r->w = given(c, 1, "w");
  r->r = given(c, 2, "r");
  r->b = given(c, 3, "b");
  r->h0 = state(c, r, 5, "h0");
  if (k->states == 2) r->c0 = state(c, r, 6, "c0");
  if (k->states == 2) r->peep = given(c, 7, "peepholes");
  r->hidden = ox_shape(c, c->in[2]).d[2];
  int64_t d = r->directions, n = r->hidden * k->gates;
  return read_lengths(c, r) && check_shape(c, r->w, d, n, s.d[2], "W") &&
         check_shape(c, r->r, d, n, r->hidden, "R") && check_shape(c, r->b, d, 2 * n, -1, "B") &&
         check_shape(c, r->h0, d, r->items, r->hidden, "initial_h") &&
         check_shape(c, r->c0, d, r->items, r->hidden, "initial_c") &&
         check_shape(c, r->peep, d, 3 * r->hidden, -1, "P");
}

static bool read_recurrent(OxCall *c, Recurrent *r) {
  bool reverse = ox_string_is(c, "direction", "reverse", false),
       both = ox_string_is(c, "direction", "bidirectional", false);
  OX_FAIL_IF(!reverse && !both && !ox_string_is(c, "direction", "forward", true), c,
             "has a direction that is not known");
  r->directions = both ? 2 : 1;
  r->first_reverse = reverse;
  r->clip = ox_float(c, "clip", 0);
  r->variant = ox_int(c, r->kind->op == OP_lstm ? "input_forget" : "linear_before_reset", 0) != 0;
  return read_acts(c, r) && read_inputs(c, r);
}

/* -- one direction -- */

/* Elements from .. from + n - 1 of an axis of v, and of that extent 1 no axis. */
static ValId part(OxCall *c, ValId v, int axis, int64_t from, int64_t n, bool drop, const char *suffix) {
  if (v == NO_VAL) return v;
  Shape s = ox_shape(c, v), to = {0};
  slice_attrs a = {.starts = {.n = s.rank}, .counts = {.n = s.rank}, .steps = {.n = s.rank}};
  for (int i = 0; i < s.rank; i++) {
    a.starts.v[i] = i == axis ? from : 0;
    a.counts.v[i] = i == axis ? n : s.d[i];
    a.steps.v[i] = 1;
    if (i != axis || !drop) to.d[to.rank++] = a.counts.v[i];
  }
  if (n != s.d[axis]) v = ox_folded(c, ox_node(c, OP_slice, &a, &v, 1, suffix));
  return drop && v != NO_VAL ? ox_folded(c, ox_reshape(c, v, &to, suffix)) : v;
}

/* Wb + Rb; for linear_before_reset without the recurrent bias of gate h, which is *extra. */
static ValId gate_bias(OxCall *c, const Recurrent *r, int d, ValId *extra) {
  int64_t n = r->hidden * r->kind->gates;
  ValId b = part(c, r->b, 0, d, 1, true, "bias"), wb = part(c, b, 0, 0, n, false, "wb");
  ValId rb = part(c, b, 0, n, n, false, "rb");
  if (b == NO_VAL) return b;
  if (r->kind->op == OP_gru && r->variant) {
    *extra = part(c, rb, 0, 2 * r->hidden, r->hidden, false, "rbh");
    pad_attrs zeros = {.pads = {2, {0, r->hidden}}};
    rb = part(c, rb, 0, 0, 2 * r->hidden, false, "rbzr");
    rb = ox_folded(c, ox_node(c, OP_pad, &zeros, &rb, 1, "rb0"));
  }
  return ox_folded(c, ox_node(c, OP_add, NULL, (ValId[2]){wb, rb}, 2, "biases"));
}

/* x W^T + bias for all steps. */
static ValId gate_shares(OxCall *c, const Recurrent *r, int d, ValId bias) {
  ValId w = part(c, r->w, 0, d, 1, true, "w"), y;
  bool constant = val_is_const(c->g, w) && (bias == NO_VAL || val_is_const(c->g, bias));
  if (constant) return ox_node(c, OP_fully_connected, NULL, (ValId[3]){r->x, w, bias}, 3, "gates");
  w = ox_transpose(c, w, "10", "wt");
  y = ox_node(c, OP_matmul, NULL, (ValId[2]){r->x, w}, 2, "gates");
  return bias == NO_VAL ? y : ox_node(c, OP_add, NULL, (ValId[2]){y, bias}, 2, "biased");
}

#define CELL_ATTRS(r, d)                                                                                \
  .hidden = (int32_t)(r)->hidden, .reverse = (r)->first_reverse || (d) == 1,                            \
  .acts = {3, {act_rows[act[0]].act, act_rows[act[1]].act, act_rows[act[2]].act}}, .alpha_f = alpha[0], \
  .alpha_g = alpha[1], .alpha_h = alpha[2], .beta_f = beta[0], .beta_g = beta[1], .beta_h = beta[2],    \
  .clip = (r)->clip, .batch_first = (r)->batch_first

/* [N, T+S, H] of direction d. */
static ValId cell(OxCall *c, const Recurrent *r, int d) {
  const int k = r->kind->n_acts;
  int act[3] = {0, 1, 1};
  float alpha[3] = {0}, beta[3] = {0};
  for (int i = 0; i < k; i++) {
    act[i] = r->act[d * k + i];
    alpha[i] = r->alpha[d * k + i];
    beta[i] = r->beta[d * k + i];
  }
  ValId extra = NO_VAL, bias = gate_bias(c, r, d, &extra), in[6] = {gate_shares(c, r, d, bias)};
  in[1] = part(c, r->r, 0, d, 1, true, "r");
  in[2] = part(c, r->h0, 0, d, 1, true, "h0");
  if (r->kind->op == OP_rnn) {
    in[3] = r->lengths;
    rnn_attrs a = {CELL_ATTRS(r, d)};
    return ox_node(c, OP_rnn, &a, in, 4, "cell");
  }
  if (r->kind->op == OP_gru) {
    in[3] = extra;
    in[4] = r->lengths;
    gru_attrs a = {CELL_ATTRS(r, d), .linear_before_reset = r->variant};
    return ox_node(c, OP_gru, &a, in, 5, "cell");
  }
  in[3] = part(c, r->c0, 0, d, 1, true, "c0");
  in[4] = part(c, r->peep, 0, d, 1, true, "peep");
  in[5] = r->lengths;
  lstm_attrs a = {CELL_ATTRS(r, d), .input_forget = r->variant};
  return ox_node(c, OP_lstm, &a, in, 6, "cell");
}

/* -- outputs -- */

/* Steps from .. of both directions' cells, [n,D,N,H], or [N,n,D,H] where the batch is in front. */
static ValId joined(OxCall *c, const Recurrent *r, const ValId *cells, int64_t from, int64_t n,
                    const char *suffix) {
  ValId v[2];
  for (int d = 0; d < r->directions; d++) {
    v[d] = part(c, cells[d], 1, from, n, false, suffix);
    if (v[d] == NO_VAL) return NO_VAL;
    if (r->batch_first) {
      v[d] = ox_reshape(c, v[d], &(Shape){4, {r->items, n, 1, r->hidden}}, suffix);
      continue;
    }
    if (r->items > 1 && n > 1) v[d] = ox_transpose(c, v[d], "102", suffix);
    v[d] = ox_reshape(c, v[d], &(Shape){4, {n, 1, r->items, r->hidden}}, suffix);
  }
  if (r->directions == 1) return v[0];
  return ox_node(c, OP_concat, &(concat_attrs){.axis = r->batch_first ? 2 : 1}, v, 2, suffix);
}

static bool recurrent(OxCall *c, const CellKind *kind) {
  Recurrent r = {.kind = kind};
  static const char *const names[3] = {"Y", "Y_h", "Y_c"};
  ValId cells[2] = {NO_VAL, NO_VAL};
  TRY(read_recurrent(c, &r));
  for (int d = 0; d < r.directions; d++) {
    cells[d] = cell(c, &r, d);
    TRY(cells[d] != NO_VAL);
  }
  for (uint32_t i = 0; i < c->node->n_out && i < 1u + (uint32_t)kind->states; i++) {
    if (!ox_out_name(c, i)[0]) continue;
    ValId v = i == 0 ? joined(c, &r, cells, 0, r.steps, names[0])
                     : joined(c, &r, cells, r.steps + (int64_t)i - 1, 1, names[i]);
    Shape last = {3,
                  {r.batch_first ? r.items : r.directions, r.batch_first ? r.directions : r.items, r.hidden}};
    if (i > 0) v = ox_reshape(c, v, &last, names[i]);
    c->out[i] = ox_cast(c, v, r.type, names[i]);
    TRY(c->out[i] != NO_VAL);
  }
  return true;
}

bool ox_import_lstm(OxCall *c) {
  static const CellKind kind = {OP_lstm, 4, 2, 3, {MF_ACT_SIGMOID, MF_ACT_TANH, MF_ACT_TANH}};
  return recurrent(c, &kind);
}

bool ox_import_gru(OxCall *c) {
  static const CellKind kind = {OP_gru, 3, 1, 2, {MF_ACT_SIGMOID, MF_ACT_TANH, 0}};
  return recurrent(c, &kind);
}

bool ox_import_rnn(OxCall *c) {
  static const CellKind kind = {OP_rnn, 1, 1, 1, {MF_ACT_TANH, 0, 0}};
  return recurrent(c, &kind);
}
