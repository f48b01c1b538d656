/* Lowering of Lstm, Gru and Rnn: one call each, a row being a sequence; inputs left out are no views but a bit less. */
#include "ir/lower/lower_util.h"

/* All that the three have in common; `bits`: what optional inputs 2, 3, .. are. */
static mf_recurrent *cell_call(const Graph *g, const Node *n, const char *kernel, const int32_t *bits,
                               int32_t batch_first, Calls *out) {
  const Shape *x = &op_in(g, n, 0)->shape, *y = &op_out(g, n, 0)->shape;
  KernelCall *k = calls_add(out, kernel, node_id(g, n));
  mf_recurrent *p = k->params;
  p->batch_first = batch_first;
  p->steps = (int32_t)x->d[batch_first ? 1 : 0];
  p->items = (int32_t)x->d[batch_first ? 0 : 1];
  p->hidden = (int32_t)y->d[2];
  for (uint32_t i = 0; i < n->n_in; i++) {
    if (n->in[i] == NO_VAL) continue;
    k->in[k->n_in++] = (CallView){n->in[i], 0, (int64_t)val_bytes(g, n->in[i]), 0};
    if (i >= 2) p->given |= bits[i - 2];
  }
  const Rows r = rows_before(y, 1);
  k->out = view_rows(g, n->out[0], r);
  k->rows = r.rows;
  k->macs = node_macs(g, n);
  return p;
}

#define CELL_PARAMS(p, a)                 \
  do {                                    \
    (p)->reverse = (a)->reverse;          \
    (p)->act_f = (int32_t)(a)->acts.v[0]; \
    (p)->act_g = (int32_t)(a)->acts.v[1]; \
    (p)->act_h = (int32_t)(a)->acts.v[2]; \
    (p)->alpha_f = (a)->alpha_f;          \
    (p)->alpha_g = (a)->alpha_g;          \
    (p)->alpha_h = (a)->alpha_h;          \
    (p)->beta_f = (a)->beta_f;            \
    (p)->beta_g = (a)->beta_g;            \
    (p)->beta_h = (a)->beta_h;            \
    (p)->clip = (a)->clip;                \
  } while (0)

bool lower_lstm(const Graph *g, const Node *n, Calls *out, Diag *d) {
  static const int32_t bits[] = {MF_GIVEN_HIDDEN, MF_GIVEN_CELL, MF_GIVEN_EXTRA, MF_GIVEN_LENGTHS};
  const lstm_attrs *a = CATTRS(n, lstm);
  (void)d;
  if (shape_count(&op_out(g, n, 0)->shape) == 0) return true;
  mf_recurrent *p = cell_call(g, n, "lstm_f32", bits, a->batch_first, out);
  CELL_PARAMS(p, a);
  p->variant = a->input_forget != 0;
  return true;
}

bool lower_gru(const Graph *g, const Node *n, Calls *out, Diag *d) {
  static const int32_t bits[] = {MF_GIVEN_HIDDEN, MF_GIVEN_EXTRA, MF_GIVEN_LENGTHS};
  const gru_attrs *a = CATTRS(n, gru);
  (void)d;
  if (shape_count(&op_out(g, n, 0)->shape) == 0) return true;
  mf_recurrent *p = cell_call(g, n, "gru_f32", bits, a->batch_first, out);
  CELL_PARAMS(p, a);
  p->variant = a->linear_before_reset != 0;
  return true;
}

bool lower_rnn(const Graph *g, const Node *n, Calls *out, Diag *d) {
  static const int32_t bits[] = {MF_GIVEN_HIDDEN, MF_GIVEN_LENGTHS};
  const rnn_attrs *a = CATTRS(n, rnn);
  (void)d;
  if (shape_count(&op_out(g, n, 0)->shape) == 0) return true;
  mf_recurrent *p = cell_call(g, n, "rnn_f32", bits, a->batch_first, out);
  CELL_PARAMS(p, a);
  return true;
}
