/* What layers with weights couple: they read the channels of their input away and make fresh ones.
 *
 *   Conv, ConvTranspose     weights [O,Kh,Kw,C/G]: axis 0 is the output's channels, axis 3 the input's. With G groups of
 *                           C/G channels: where G > C/G whole groups go (input and output together), else the
 *                           same channels of each group, of the input and of the output apart. Which of both it is stays so in the
 *                           pruned graph (ChanGroup.least)
 *   DepthwiseConv           output o goes with input o / m; of an input that stays, the m outputs of each channel
 *                           alike
 *   MatMul                  of two computed values: the axis that is summed over is one (it reads 0 where it is gone)
 *   Lstm, Gru, Rnn, ...     hidden unit j: row j of every gate, column j of the recurrent weights, entry j of the
 *                           states. Its time axis stays
 *
 * A constant that two layers read as weights ties them (chan_weights).
 */
#include "passes/channels_find.h"

static bool computed(const Finder *f, const Node *n, uint32_t k) {
  return n->in[k] != NO_VAL && !val_is_const(f->g, n->in[k]);
}

/* ---- windows */

typedef struct Grouped {
  uint32_t groups, in, out; /* channels of each group */
} Grouped;

/* Fresh labels for the first `period`, the same again and again behind them. */
static ChanAxis each_alike(Finder *f, uint32_t n, uint32_t period) {
  uint32_t *lab = chan_array(f, n);
  for (uint32_t i = 0; i < n; i++) lab[i] = i < period ? label_new(f, NULL) : lab[i % period];
  return chan_axis(lab);
}

/* The same channels of each group. */
static void conv_alike(Finder *f, const Node *n, Grouped c) {
  const ChanAxis *x = chan_of(f, n->in[0], -1);
  if (x->lab) {
    for (uint32_t i = c.in; i < c.groups * c.in; i++) label_unite(f, x->lab[i], x->lab[i % c.in]);
    if (c.groups > 1) chan_least(f, x, c.in, c.groups);
  }
  chan_weights(f, n, 1, 3, x);
  ChanAxis y = each_alike(f, c.groups * c.out, c.out);
  chan_set(f, n->out[0], -1, &y);
}

static void conv_whole(Finder *f, const Node *n, Grouped c, const ChanAxis *x) {
  uint32_t *lab = chan_array(f, c.groups * c.out);
  for (uint32_t i = 0; i < c.groups * c.in; i++) label_unite(f, x->lab[i], x->lab[i / c.in * c.in]);
  for (uint32_t o = 0; o < c.groups * c.out; o++) lab[o] = x->lab[o / c.out * c.in];
  chan_least(f, x, c.groups * c.in, c.in + 1);
  ChanAxis y = chan_axis(lab);
  chan_set(f, n->out[0], -1, &y);
}

/* A window slides over rows and columns: they stay. */
static void freeze_image(Finder *f, const Node *n) {
  for (int a = 1; a < 3; a++)
    chan_freeze(f, chan_of(f, n->in[0], a), chan_extent(f, n->in[0], a), chan_why(f, n, "slides along them"));
  chan_set(f, n->out[0], 0, chan_of(f, n->in[0], 0));
}

const char *couple_conv(Finder *f, const Node *n) {
  const int group = n->op == OP_conv ? CATTRS(n, conv)->group : CATTRS(n, conv_transpose)->group;
  if (!val_is_const(f->g, n->in[1])) return "has computed weights";
  if (!computed(f, n, 0)) return "reads a constant";
  const Grouped c = {(uint32_t)group, chan_extent(f, n->in[1], 3),
                     chan_extent(f, n->out[0], 3) / (uint32_t)group};
  const ChanAxis *x = chan_of(f, n->in[0], -1);
  freeze_image(f, n);
  if (c.groups > c.in && x->lab)
    conv_whole(f, n, c, x);
  else
    conv_alike(f, n, c);
  chan_weights(f, n, 1, 0, chan_of(f, n->out[0], -1));
  chan_param(f, n, 2, 0, -1);
  return NULL;
}

const char *couple_depthwise_conv(Finder *f, const Node *n) {
  const ChanAxis *x = chan_of(f, n->in[0], -1);
  const uint32_t o = chan_extent(f, n->out[0], 3), m = o / chan_extent(f, n->in[0], 3);
  if (!val_is_const(f->g, n->in[1])) return "has computed weights";
  freeze_image(f, n);
  if (x->lab) {
    uint32_t *lab = chan_array(f, o);
    for (uint32_t i = 0; i < o; i++) lab[i] = x->lab[i / m];
    ChanAxis y = chan_axis(lab);
    chan_set(f, n->out[0], -1, &y);
  } else if (m > 1) {
    ChanAxis y = each_alike(f, o, m);
    chan_set(f, n->out[0], -1, &y);
    chan_least(f, &y, m, 2);
  } else {
    chan_set(f, n->out[0], -1, x);
  }
  chan_weights(f, n, 1, 3, chan_of(f, n->out[0], -1));
  chan_param(f, n, 2, 0, -1);
  return NULL;
}

/* ---- products */

/* Columns of weights, read by axis a of input k; a constant input has what the weights have. */
static void read_by(Finder *f, const Node *n, uint32_t weights, int column, uint32_t k, int a) {
  const int rank = graph_val(f->g, n->in[k])->shape.rank;
  const ChanAxis *own = &f->weights[n->in[weights]].axis[column]; /* perhaps of a later reader */
  if (computed(f, n, k)) {
    chan_weights(f, n, weights, column, chan_of(f, n->in[k], a));
  } else {
    chan_use(f, n, k, a < 0 ? a + rank : a, own);
    chan_use(f, n, weights, column, own);
  }
}

const char *couple_fully_connected(Finder *f, const Node *n) {
  if (!val_is_const(f->g, n->in[1])) return "has computed weights";
  for (int a = 0; a < graph_val(f->g, n->in[0])->shape.rank - 1; a++)
    chan_set(f, n->out[0], a, chan_of(f, n->in[0], a));
  chan_fresh(f, n->out[0], -1);
  read_by(f, n, 1, 1, 0, -1);
  chan_weights(f, n, 1, 0, chan_of(f, n->out[0], -1));
  chan_param(f, n, 2, 0, -1);
  return NULL;
}

/* An outer axis of the product, from the two operands' that are broadcast. */
static void matmul_outer(Finder *f, const Node *n, int a) {
  const int rank = graph_val(f->g, n->out[0])->shape.rank;
  const uint32_t extent = chan_extent(f, n->out[0], a);
  const ChanAxis *have = NULL;
  bool spread = false;
  for (uint32_t k = 0; k < 2; k++) {
    int at = a - (rank - graph_val(f->g, n->in[k])->shape.rank);
    if (at < 0 || !computed(f, n, k)) continue;
    const ChanAxis *ax = chan_of(f, n->in[k], at);
    const bool one = chan_extent(f, n->in[k], at) != extent;
    spread = spread || one;
    if (one)
      chan_freeze(f, ax, chan_extent(f, n->in[k], at), chan_why(f, n, "spreads them over many"));
    else if (have)
      chan_tie(f, have, ax, extent);
    else
      have = ax;
  }
  if (have) chan_set(f, n->out[0], a, have);
  if (have && spread) chan_least(f, have, extent, 2); /* as in channels_each.c */
  for (uint32_t k = 0; k < 2; k++) {
    int at = a - (rank - graph_val(f->g, n->in[k])->shape.rank);
    if (at < 0 || computed(f, n, k) || chan_extent(f, n->in[k], at) != extent) continue;
    if (have) chan_weights(f, n, k, at, have);
  }
}

/* The axis of the product that operand k alone has: kept of a computed one, fresh of weights. */
static void matmul_own(Finder *f, const Node *n, uint32_t k, int a) {
  const int rank = graph_val(f->g, n->in[k])->shape.rank;
  if (computed(f, n, k)) {
    chan_set(f, n->out[0], a, chan_of(f, n->in[k], a));
  } else {
    chan_fresh(f, n->out[0], a);
    chan_weights(f, n, k, rank + a, chan_of(f, n->out[0], a));
  }
}

const char *couple_matmul(Finder *f, const Node *n) {
  const int rank = graph_val(f->g, n->out[0])->shape.rank;
  if (!computed(f, n, 0) && !computed(f, n, 1)) return "has constant factors";
  for (int a = 0; a < rank - 2; a++) matmul_outer(f, n, a);
  matmul_own(f, n, 0, -2);
  matmul_own(f, n, 1, -1);
  const ChanAxis *x = chan_of(f, n->in[0], -1), *y = chan_of(f, n->in[1], -2);
  if (!computed(f, n, 0))
    chan_weights(f, n, 0, graph_val(f->g, n->in[0])->shape.rank - 1, y);
  else if (!computed(f, n, 1))
    chan_weights(f, n, 1, graph_val(f->g, n->in[1])->shape.rank - 2, x);
  else
    chan_tie(f, x, y, chan_extent(f, n->in[0], -1));
  return NULL;
}

/* ---- recurrent layers */

/* The labels of y's innermost axis, `times` one after the other. */
static const ChanAxis *repeated(Finder *f, ValId y, uint32_t times) {
  const ChanAxis *hidden = chan_of(f, y, -1);
  const uint32_t n = chan_extent(f, y, -1);
  uint32_t *lab = chan_array(f, n * times);
  for (uint32_t i = 0; i < n * times; i++) lab[i] = hidden->lab[i % n];
  return arena_dup(f->arena, &(ChanAxis){lab, NULL, true}, sizeof(ChanAxis));
}

/* Input k has, along its axis a, entries for hidden units. */
static void hidden_entries(Finder *f, const Node *n, uint32_t k, int a, const ChanAxis *units,
                           uint32_t count) {
  if (k >= n->n_in || n->in[k] == NO_VAL) return;
  if (computed(f, n, k))
    chan_tie(f, chan_of(f, n->in[k], a), units, count);
  else
    chan_use(f, n, k, a, units);
}

/* Axes of input k before its innermost stay: they are steps and items. */
static void freeze_outer(Finder *f, const Node *n, uint32_t k) {
  for (int a = 0; a < graph_val(f->g, n->in[k])->shape.rank - 1; a++)
    chan_freeze(f, chan_of(f, n->in[k], a), chan_extent(f, n->in[k], a), chan_why(f, n, "steps along them"));
}

const char *couple_cell(Finder *f, const Node *n) {
  const uint32_t gates = n->op == OP_lstm ? 4 : n->op == OP_gru ? 3 : 1, states = n->op == OP_lstm ? 2 : 1;
  const ValId y = n->out[0];
  if (!val_is_const(f->g, n->in[1])) return "has computed weights";
  chan_fresh(f, y, -1);
  const uint32_t h = chan_extent(f, y, -1);
  const ChanAxis *rows = repeated(f, y, gates), *hidden = chan_of(f, y, -1);
  freeze_outer(f, n, 0);
  hidden_entries(f, n, 0, 2, rows, gates * h);
  chan_weights(f, n, 1, 0, rows);
  chan_weights(f, n, 1, 1, hidden);
  for (uint32_t s = 0; s < states; s++) hidden_entries(f, n, 2 + s, 1, hidden, h);
  if (n->op == OP_lstm) hidden_entries(f, n, 4, 0, repeated(f, y, 3), 3 * h);
  if (n->op == OP_gru) hidden_entries(f, n, 3, 0, hidden, h);
  return NULL;
}

const char *couple_seq_lstm(Finder *f, const Node *n) {
  for (uint32_t k = 3; k < 15; k++)
    if (!val_is_const(f->g, n->in[k])) return "has computed weights";
  chan_fresh(f, n->out[0], -1);
  const ChanAxis *hidden = chan_of(f, n->out[0], -1);
  const uint32_t h = chan_extent(f, n->out[0], -1);
  freeze_outer(f, n, 0);
  for (uint32_t k = 1; k < 3; k++) hidden_entries(f, n, k, 1, hidden, h);
  for (uint32_t k = 3; k < 11; k++) {
    chan_weights(f, n, k, 0, hidden);
    chan_weights(f, n, k, 1, k < 7 ? chan_of(f, n->in[0], -1) : hidden);
  }
  for (uint32_t k = 11; k < 15; k++) hidden_entries(f, n, k, 0, hidden, h);
  return NULL;
}

/* State [B,F*M]: the M values of a filter stand together. */
static const ChanAxis *filters(Finder *f, ValId state, uint32_t n, const ChanAxis *of) {
  const uint32_t all = chan_extent(f, state, 1);
  uint32_t *lab = chan_array(f, all);
  for (uint32_t i = 0; i < all; i++) lab[i] = of->lab[i / (all / n)];
  return arena_dup(f->arena, &(ChanAxis){lab, NULL, true}, sizeof(ChanAxis));
}

const char *couple_svdf_state(Finder *f, const Node *n) {
  if (!val_is_const(f->g, n->in[2])) return "has computed weights";
  const uint32_t count = chan_extent(f, n->in[2], 0);
  const ChanAxis filter = each_alike(f, count, count);
  const ChanAxis *state = filters(f, n->out[0], count, &filter);
  chan_set(f, n->out[0], 1, state);
  hidden_entries(f, n, 0, 1, state, chan_extent(f, n->out[0], 1));
  read_by(f, n, 2, 1, 1, -1);
  chan_weights(f, n, 2, 0, &filter);
  return NULL;
}

const char *couple_svdf(Finder *f, const Node *n) {
  if (!val_is_const(f->g, n->in[1])) return "has computed weights";
  const uint32_t count = chan_extent(f, n->in[1], 0), rank = (uint32_t)CATTRS(n, svdf)->rank;
  chan_fresh(f, n->out[0], 1);
  uint32_t *lab = chan_array(f, count);
  for (uint32_t i = 0; i < count; i++) lab[i] = chan_of(f, n->out[0], 1)->lab[i / rank];
  const ChanAxis filter = chan_axis(lab);
  hidden_entries(f, n, 0, 1, filters(f, n->in[0], count, &filter), chan_extent(f, n->in[0], 1));
  chan_weights(f, n, 1, 0, &filter);
  chan_param(f, n, 2, 0, 1);
  return NULL;
}
