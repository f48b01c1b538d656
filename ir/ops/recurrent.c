/* Lstm, Gru, Rnn: one direction of a recurrent layer, whose input product is a FullyConnected before it.
 *
 *   x [T,N,G*H] f32: the input's share of the gates   R [G*H,H]   states [N,H]   lengths [N] i32
 *   (batch_first: x [N,T,G*H])
 *   y [N,T+S,H]: hidden states, then the S last states (hidden; Lstm: hidden, cell)
 *
 * G: 4, 3, 1 gates. Semantics: ONNX LSTM-22, GRU-22, RNN-22. The batch is symbolic where it
 * stands in front alone.
 */
#include "ir/ops/ops.h"
#include "runtime/kernels/kernel.h"

typedef struct Cell {
  int gates, states;
  const char *extra; /* "peepholes", "bias"; NULL: none */
  int extra_count;
  int32_t hidden, reverse, batch_first;
  const Ints *acts;
} Cell;

/* Optional input i is t of that shape. */
static bool want_given(const Graph *g, const Node *n, uint32_t i, const Shape *want, DType t, Diag *d) {
  const Value *v = op_in_opt(g, n, i);
  if (!v) return true;
  char got[SHAPE_TEXT], text[SHAPE_TEXT];
  shape_format(&v->shape, got, sizeof got);
  shape_format(want, text, sizeof text);
  return (v->dtype == t && shape_equal(&v->shape, want)) ||
         op_fail(n, d, "input %u is %s %s, want %s %s", (unsigned)i, dtype_name(v->dtype), got, dtype_name(t),
                 text);
}

static bool infer_cell(Graph *g, Node *n, const Cell *c, Diag *d) {
  const Value *x = op_in(g, n, 0);
  const int64_t h = c->hidden;
  TRY(op_want_dtype(g, n, 0, DT_F32, d));
  TRY(op_want_rank(g, n, 0, 3, d));
  if (!c->batch_first && !shape_is_static(&x->shape)) return op_fail_batch(n, d, "a sequence");
  if (c->batch_first != 0 && c->batch_first != 1)
    return op_fail(n, d, "batch_first is %d, want 0 or 1", (int)c->batch_first);
  const int64_t items = x->shape.d[c->batch_first ? 0 : 1], steps = x->shape.d[c->batch_first ? 1 : 0];
  if (h < 1 || x->shape.d[2] != c->gates * h)
    return op_fail(n, d, "input has %lld gates' values for a hidden size of %lld, want %d times that",
                   (long long)x->shape.d[2], (long long)h, c->gates);
  if (c->reverse != 0 && c->reverse != 1) return op_fail(n, d, "reverse is %d, want 0 or 1", (int)c->reverse);
  TRY(op_want_ints(n, c->acts, "acts", 3, 0, d));
  for (int i = 0; i < 3; i++)
    if (c->acts->v[i] > MF_ACT_SOFTPLUS)
      return op_fail(n, d, "acts[%d] is %lld, want 0 to %d", i, (long long)c->acts->v[i], MF_ACT_SOFTPLUS);
  const Shape r = shape_of(2, c->gates * h, h), state = shape_of(2, items, h);
  const Shape extra = shape_of(1, c->extra_count * h), lengths = shape_of(1, items);
  uint32_t i = 1;
  TRY(want_given(g, n, i++, &r, DT_F32, d));
  for (int s = 0; s < c->states; s++) TRY(want_given(g, n, i++, &state, DT_F32, d));
  if (c->extra) TRY(want_given(g, n, i++, &extra, DT_F32, d));
  TRY(want_given(g, n, i, &lengths, DT_I32, d));
  const Shape out = shape_of(3, items, steps + c->states, h);
  return op_set(g, n, DT_F32, &out, d);
}

bool infer_lstm(Graph *g, Node *n, Diag *d) {
  const lstm_attrs *a = CATTRS(n, lstm);
  return infer_cell(g, n, &(Cell){4, 2, "peepholes", 3, a->hidden, a->reverse, a->batch_first, &a->acts}, d);
}

bool infer_gru(Graph *g, Node *n, Diag *d) {
  const gru_attrs *a = CATTRS(n, gru);
  return infer_cell(g, n, &(Cell){3, 1, "bias", 1, a->hidden, a->reverse, a->batch_first, &a->acts}, d);
}

bool infer_rnn(Graph *g, Node *n, Diag *d) {
  const rnn_attrs *a = CATTRS(n, rnn);
  return infer_cell(g, n, &(Cell){1, 1, NULL, 0, a->hidden, a->reverse, a->batch_first, &a->acts}, d);
}
