/* See prune_nets.h: gates and broadcasts, selections, products, sequences. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "tests/passes/prune_nets.h"

static int64_t channels(const PNet *t, ValId x) {
  const Shape *s = pn_shape(t, x);
  return s->d[s->rank - 1];
}

/* ---- broadcasts */

ValId grow_gate(PNet *t, ValId x) {
  ValId y = pn_activation(t, pn_conv(t, pn_reduce(t, OP_reduce_mean, x, 6, true), 4, 1, 1, 1));
  if (pn_below(t, 2)) { /* on vectors */
    y = pn_dense(t, pn_reshape(t, y, 1, (int64_t[]){4}), channels(t, x));
    y = pn_reshape(t, y, 3, (int64_t[]){1, 1, channels(t, x)});
  } else {
    y = pn_conv(t, y, channels(t, x), 1, 1, 1);
  }
  return pn_2(t, OP_mul, x, pn_1(t, OP_sigmoid, NULL, y));
}

ValId grow_spread(PNet *t, ValId x) {
  return pn_2(t, OP_mul, x, pn_1(t, OP_sigmoid, NULL, pn_conv(t, x, 1, 1, 1, 1)));
}

ValId grow_vectors(PNet *t, ValId x) {
  static const OpKind ops[] = {OP_add, OP_sub, OP_mul, OP_min};
  const int64_t c = channels(t, x);
  const Shape choice[] = {shape_of(1, c), shape_of(4, (int64_t)1, (int64_t)1, (int64_t)1, c), shape_of(0),
                          shape_of(4, (int64_t)1, pn_shape(t, x)->d[1], (int64_t)1, c),
                          shape_of(1, (int64_t)1)};
  const ValId k = pn_const(t, &choice[pn_below(t, 5)], 0.5f, 0.5f);
  const OpKind op = ops[pn_below(t, 4)];
  return pn_below(t, 2) ? pn_2(t, op, x, k) : pn_2(t, op, k, x);
}

/* [N,A,1] times [N,1,B], each channels of a layer, then a layer on all products. */
ValId grow_outer(PNet *t, ValId x) {
  const ValId v = pn_reduce(t, OP_reduce_mean, x, 6, false);
  const ValId a = pn_reshape(t, pn_dense(t, v, 5), 2, (int64_t[]){5, 1});
  const ValId b = pn_reshape(t, pn_dense(t, v, 4), 2, (int64_t[]){1, 4});
  const ValId y = pn_2(t, OP_mul, a, b);
  return pn_image(t, pn_below(t, 2) ? pn_transpose(t, y, 3, (int64_t[]){0, 2, 1}) : y);
}

ValId grow_expand(PNet *t, ValId x) {
  const Shape s = *pn_shape(t, x);
  expand_attrs a = {.shape = {4, {t->fixed ? 2 : -1, s.d[1], s.d[2], s.d[3]}}};
  return pn_2(t, OP_add, x, pn_1(t, OP_expand, &a, pn_reduce(t, OP_reduce_mean, x, 6, true)));
}

ValId grow_where(PNet *t, ValId x) {
  const ValId y = pn_conv(t, x, channels(t, x), 1, 1, 1), less = pn_2(t, OP_less, x, y);
  const ValId other = pn_below(t, 2) ? y : pn_vector(t, channels(t, x), 0, 0.5f);
  return pn_node(t, OP_where, NULL, (ValId[]){less, x, other}, 3);
}

/* ---- pixels */

ValId grow_pool(PNet *t, ValId x) {
  if (pn_below(t, 2)) {
    max_pool_attrs a = {.kernel = {2, {2, 1}}, .strides = {2, {1, 1}}, .pads = {4, {0, 0, 0, 0}}};
    return pn_shape(t, x)->d[1] > 1 ? pn_1(t, OP_max_pool, &a, x) : x;
  }
  average_pool_attrs a = {.kernel = {2, {3, 3}}, .strides = {2, {1, 1}}, .pads = {4, {1, 1, 1, 1}}};
  return pn_1(t, OP_average_pool, &a, x);
}

/* Between neighbouring rows, as Resize is imported. */
ValId grow_resize(PNet *t, ValId x) {
  weighted_gather_attrs a = {.axis = 1};
  const int64_t rows = pn_shape(t, x)->d[1];
  const Shape s = shape_of(2, (int64_t)5, (int64_t)2);
  int32_t index[10];
  float w[10];
  for (int i = 0; i < 10; i++) index[i] = pn_below(t, (int)rows), w[i] = 0.5f;
  ValId in[3] = {x, graph_const_data(t->g, "index", DT_I32, &s, index),
                 graph_const_data(t->g, "w", DT_F32, &s, w)};
  return pn_node(t, OP_weighted_gather, &a, in, 3);
}

ValId grow_reductions(PNet *t, ValId x) {
  static const OpKind ops[] = {OP_reduce_max, OP_reduce_min, OP_reduce_sum, OP_reduce_log_sum_exp};
  const ValId y = pn_reduce(t, ops[pn_below(t, 4)], x, 6, true);
  const ValId sum = pn_reduce(t, OP_reduce_sum, x, 8, true);
  return pn_2(t, OP_add, pn_1(t, OP_tanh, NULL, pn_2(t, OP_mul, x, y)), pn_1(t, OP_tanh, NULL, sum));
}

static ValId indices(PNet *t, int64_t n, int64_t below) {
  int64_t index[16];
  const Shape s = shape_of(1, n);
  for (int64_t i = 0; i < n; i++) index[i] = pn_below(t, (int)below);
  return graph_const_data(t->g, "index", DT_I64, &s, index);
}

ValId grow_gather_rows(PNet *t, ValId x) {
  gather_attrs a = {.axis = 1};
  return pn_node(t, OP_gather, &a, (ValId[]){x, indices(t, 4, pn_shape(t, x)->d[1])}, 2);
}

ValId grow_gather_channels(PNet *t, ValId x) {
  gather_attrs a = {.axis = 3};
  return pn_node(t, OP_gather, &a, (ValId[]){x, indices(t, 7, channels(t, x))}, 2);
}

/* The largest channel's entry of a table. */
ValId grow_table(PNet *t, ValId x) {
  arg_max_attrs m = {.axis = 3, .keepdims = 0};
  gather_attrs a = {.axis = 0};
  const Shape s = shape_of(2, (int64_t)8, (int64_t)6);
  const ValId index = pn_1(t, OP_arg_max, &m, pn_conv(t, x, 8, 1, 1, 1));
  return pn_node(t, OP_gather, &a, (ValId[]){pn_const(t, &s, 0, 1), index}, 2);
}

ValId grow_argmax(PNet *t, ValId x) {
  arg_max_attrs m = {.axis = 3, .keepdims = 1};
  cast_attrs c = {.to = DT_F32};
  return pn_1(t, OP_cast, &c, pn_1(t, OP_arg_max, &m, x));
}

ValId grow_cumsum(PNet *t, ValId x) {
  cum_sum_attrs a = {.axis = 3, .reverse = pn_below(t, 2)};
  return pn_1(t, OP_cum_sum, &a, x);
}

/* ---- products */

ValId grow_matmul_right(PNet *t, ValId x) {
  const Shape s = shape_of(2, channels(t, x), (int64_t)6);
  return pn_activation(t, pn_2(t, OP_matmul, x, pn_const(t, &s, 0, 0.4f)));
}

ValId grow_matmul_left(PNet *t, ValId x) {
  const Shape s = shape_of(2, (int64_t)6, channels(t, x));
  const ValId y = pn_transpose(t, pn_sequence(t, x), 3, (int64_t[]){0, 2, 1});
  const ValId z = pn_activation(t, pn_2(t, OP_matmul, pn_const(t, &s, 0, 0.4f), y));
  return pn_image(t, pn_transpose(t, z, 3, (int64_t[]){0, 2, 1}));
}

/* [N,C,H,W] by [C,W,5]. */
ValId grow_matmul_each(PNet *t, ValId x) {
  const Shape s = shape_of(3, channels(t, x), pn_shape(t, x)->d[2], (int64_t)5);
  ValId y = pn_transpose(t, x, 4, (int64_t[]){0, 3, 1, 2});
  y = pn_2(t, OP_matmul, y, pn_const(t, &s, 0, 0.4f));
  return pn_transpose(t, y, 4, (int64_t[]){0, 2, 3, 1});
}

ValId grow_mixer(PNet *t, ValId x) {
  const ValId seq = pn_sequence(t, x);
  const int64_t steps = pn_shape(t, seq)->d[1];
  ValId y = pn_transpose(t, seq, 3, (int64_t[]){0, 2, 1});
  y = pn_dense(t, pn_activation(t, pn_dense(t, y, 7)), steps);
  return pn_image(t, pn_2(t, OP_add, seq, pn_transpose(t, y, 3, (int64_t[]){0, 2, 1})));
}

/* ---- attention */

static ValId heads(PNet *t, ValId x, int64_t h, bool keys) {
  const Shape s = *pn_shape(t, x);
  const ValId y = pn_reshape(t, x, 3, (int64_t[]){s.d[1], h, s.d[2] / h});
  return pn_transpose(t, y, 4, keys ? (int64_t[]){0, 2, 3, 1} : (int64_t[]){0, 2, 1, 3});
}

/* softmax(q k^T) v, heads joined again. */
static ValId attend(PNet *t, ValId q, ValId k, ValId v, int64_t h) {
  softmax_attrs a = {.axis = -1, .beta = 1};
  const Shape s = *pn_shape(t, v), one = shape_of(0);
  ValId score = pn_2(t, OP_matmul, heads(t, q, h, false), heads(t, k, h, true));
  score = pn_2(t, OP_mul, score, pn_const(t, &one, 0.5f, 0));
  const ValId y = pn_2(t, OP_matmul, pn_1(t, OP_softmax, &a, score), heads(t, v, h, false));
  return pn_reshape(t, pn_transpose(t, y, 4, (int64_t[]){0, 2, 1, 3}), 2, s.d + 1);
}

ValId grow_attention(PNet *t, ValId x) {
  const ValId s = pn_sequence(t, x);
  const int64_t h = 1 + pn_below(t, 3);
  const ValId y = attend(t, pn_dense(t, s, 4 * h), pn_dense(t, s, 4 * h), pn_dense(t, s, 3 * h), h);
  return pn_image(t, pn_2(t, OP_add, s, pn_dense(t, y, channels(t, s))));
}

ValId grow_attention_fused(PNet *t, ValId x) {
  const ValId s = pn_sequence(t, x), all = pn_dense(t, s, 24);
  const ValId y =
      attend(t, pn_slice(t, all, 2, 0, 8, 1), pn_slice(t, all, 2, 8, 8, 1), pn_slice(t, all, 2, 16, 8, 1), 2);
  return pn_image(t, pn_dense(t, y, 5));
}

/* ---- recurrent layers */

/* Hidden states [N,T+states,H] of a cell on x's sequence, as an image. */
static ValId cell(PNet *t, ValId x, OpKind op, const void *attrs, int gates, ValId *more, uint32_t n_more) {
  const int64_t h = 5, steps = pn_shape(t, x)->d[1];
  const Shape r = shape_of(2, gates * h, h);
  const ValId gate = pn_transpose(t, pn_dense(t, x, gates * h), 3, (int64_t[]){1, 0, 2});
  ValId in[6] = {gate, pn_const(t, &r, 0, 0.4f)};
  for (uint32_t i = 0; i < n_more; i++) in[2 + i] = more[i];
  return pn_image(t, pn_slice(t, pn_node(t, op, attrs, in, 2 + n_more), 1, 0, steps, 1));
}

/* A first state: none, a constant, or a layer's. */
static ValId first_state(PNet *t, ValId x) {
  const Shape s = shape_of(2, (int64_t)2, (int64_t)5);
  switch (pn_below(t, 3)) {
  case 0: return NO_VAL;
  case 1: return pn_const(t, &s, 0, 0.5f);
  default: return pn_activation(t, pn_dense(t, pn_reduce(t, OP_reduce_mean, x, 2, false), 5));
  }
}

ValId grow_lstm(PNet *t, ValId x) {
  lstm_attrs a;
  op_attrs_default(OP_lstm, &a);
  a.hidden = 5, a.reverse = pn_below(t, 2);
  const ValId s = pn_sequence(t, x);
  ValId more[3] = {first_state(t, s), first_state(t, s), pn_below(t, 2) ? pn_vector(t, 15, 0, 0.5f) : NO_VAL};
  return cell(t, s, OP_lstm, &a, 4, more, 3);
}

ValId grow_gru(PNet *t, ValId x) {
  gru_attrs a;
  op_attrs_default(OP_gru, &a);
  a.hidden = 5, a.linear_before_reset = pn_below(t, 2);
  const ValId s = pn_sequence(t, x);
  ValId more[2] = {first_state(t, s), pn_below(t, 2) ? pn_vector(t, 5, 0, 0.5f) : NO_VAL};
  return cell(t, s, OP_gru, &a, 3, more, 2);
}

ValId grow_rnn(PNet *t, ValId x) {
  rnn_attrs a;
  op_attrs_default(OP_rnn, &a);
  a.hidden = 5, a.acts = (Ints){3, {1, 1, 1}};
  const ValId s = pn_sequence(t, x);
  ValId more[1] = {first_state(t, s)};
  return cell(t, s, OP_rnn, &a, 1, more, 1);
}

ValId grow_seq_lstm(PNet *t, ValId x) {
  const ValId s = pn_sequence(t, x);
  const int64_t h = 5;
  const Shape state = shape_of(2, (int64_t)2, h), w = shape_of(2, h, channels(t, s)), r = shape_of(2, h, h);
  ValId in[15] = {s, pn_const(t, &state, 0, 0.5f), pn_const(t, &state, 0, 0.5f)};
  for (int k = 3; k < 15; k++)
    in[k] = k < 7 ? pn_const(t, &w, 0, 0.4f) : k < 11 ? pn_const(t, &r, 0, 0.4f) : pn_vector(t, h, 0, 0.2f);
  return pn_image(t, pn_node(t, OP_seq_lstm, NULL, in, 15));
}

static ValId make_state(PNet *t, const Shape *s) {
  return graph_state(t->g, "state", pn_const(t, s, 0, 0.5f));
}

ValId grow_svdf(PNet *t, ValId x) {
  const ValId v = pn_reduce(t, OP_reduce_mean, x, 6, false);
  const int64_t filters = 8, memory = 3;
  const Shape state = shape_of(2, (int64_t)2, filters * memory), w = shape_of(2, filters, channels(t, v)),
              time = shape_of(2, filters, memory);
  svdf_attrs a = {.rank = 1 + pn_below(t, 2)};
  const ValId now = make_state(t, &state);
  const ValId next = pn_node(t, OP_svdf_state, NULL, (ValId[]){now, v, pn_const(t, &w, 0, 0.4f)}, 3);
  graph_state_next(t->g, now, next);
  ValId in[3] = {next, pn_const(t, &time, 0, 0.4f), pn_vector(t, filters / a.rank, 0, 0.2f)};
  const ValId y = pn_node(t, OP_svdf, &a, in, pn_below(t, 2) ? 3 : 2);
  return pn_reshape(t, y, 3, (int64_t[]){1, 1, filters / a.rank});
}

/* One step of an LSTM whose gates' sums are `gates`; *c: its cell. */
static ValId lstm_step(PNet *t, ValId gates, ValId *c, int64_t h) {
  ValId gate[4];
  for (int i = 0; i < 4; i++) {
    const ValId part = pn_slice(t, gates, 1, i * h, h, 1);
    gate[i] = pn_1(t, i == 3 ? OP_tanh : OP_sigmoid, NULL, part);
  }
  *c = pn_2(t, OP_add, pn_2(t, OP_mul, gate[0], *c), pn_2(t, OP_mul, gate[1], gate[3]));
  return pn_2(t, OP_mul, gate[2], pn_1(t, OP_tanh, NULL, *c));
}

static ValId gates_of(PNet *t, ValId x, ValId w, ValId h, ValId r) {
  return pn_2(t, OP_add, pn_node(t, OP_fully_connected, NULL, (ValId[]){x, w}, 2),
              pn_node(t, OP_fully_connected, NULL, (ValId[]){h, r}, 2));
}

ValId grow_cell(PNet *t, ValId x) {
  const ValId s = pn_sequence(t, x);
  const int64_t h = 4;
  const Shape state = shape_of(2, (int64_t)2, h), w = shape_of(2, 4 * h, channels(t, s)),
              r = shape_of(2, 4 * h, h);
  const ValId weights = pn_const(t, &w, 0, 0.4f), back = pn_const(t, &r, 0, 0.4f);
  ValId hidden = pn_const(t, &state, 0, 0), c = pn_const(t, &state, 0, 0), all[3];
  for (int i = 0; i < 3; i++) {
    const ValId step =
        pn_reshape(t, pn_slice(t, s, 1, i % (int)pn_shape(t, s)->d[1], 1, 1), 1, (int64_t[]){channels(t, s)});
    hidden = lstm_step(t, gates_of(t, step, weights, hidden, back), &c, h);
    all[i] = pn_reshape(t, hidden, 3, (int64_t[]){1, 1, h});
  }
  return pn_concat(t, 1, all, 3);
}

static ValId one_step(PNet *t, ValId x, ValId hidden, ValId c, ValId *h_next, ValId *c_next) {
  const char *construct = t->construct;
  t->construct = "net"; /* the mean has the channels of x, not of the cell */
  const ValId v = pn_reduce(t, OP_reduce_mean, x, 6, false);
  t->construct = construct;
  const int64_t h = channels(t, hidden);
  const Shape w = shape_of(2, 4 * h, channels(t, v)), r = shape_of(2, 4 * h, h);
  *c_next = c;
  *h_next =
      lstm_step(t, gates_of(t, v, pn_const(t, &w, 0, 0.4f), hidden, pn_const(t, &r, 0, 0.4f)), c_next, h);
  return pn_reshape(t, *h_next, 3, (int64_t[]){1, 1, h});
}

ValId grow_state(PNet *t, ValId x) {
  const Shape s = shape_of(2, (int64_t)2, (int64_t)5);
  const ValId h = make_state(t, &s), c = make_state(t, &s);
  ValId h_next, c_next;
  const ValId y = one_step(t, x, h, c, &h_next, &c_next);
  graph_state_next(t->g, h, h_next);
  graph_state_next(t->g, c, c_next);
  return y;
}

ValId grow_state_input(PNet *t, ValId x) {
  const Shape s = shape_of(2, (int64_t)2, (int64_t)5);
  const ValId h = graph_input(t->g, "h", DT_F32, &s), c = graph_input(t->g, "c", DT_F32, &s);
  ValId h_next, c_next;
  const ValId y = one_step(t, x, h, c, &h_next, &c_next);
  graph_output(t->g, h_next);
  graph_output(t->g, c_next);
  return y;
}
