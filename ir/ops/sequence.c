/* SequenceLstm, SvdfState and Svdf: operators of sequences, whose state is a value like any other.
 *
 *   SequenceLstm       x [B,T,I], h [B,S], c [B,S], w [S,I] and r [S,S] of each gate, biases [S] -> [B,T+1,S]
 *              f32; or x, h and weights i8, c i16, biases i32 -> i16: rows 0 .. T-1 hold h's codes, row T c's
 *   SvdfState  state [B,F*M], x [B,I], w [F,I] -> state          f32; or state i8 | i16, x and w i8
 *   Svdf       state [B,F*M], time [F,M], bias [F/rank] -> y     f32; or state and time i8 | i16, bias i32 -> i8
 *
 * Sources: TFLite UNIDIRECTIONAL_SEQUENCE_LSTM (no projection, no peepholes, no layer normalization), SVDF.
 */
#include <math.h>

#include "ir/ops/ops.h"

static bool want_shape(const Graph *g, const Node *n, uint32_t i, const Shape *want, Diag *d) {
  const Shape *got = &op_in(g, n, i)->shape;
  if (shape_equal(got, want)) return true;
  char a[SHAPE_TEXT], b[SHAPE_TEXT];
  shape_format(got, a, sizeof a);
  shape_format(want, b, sizeof b);
  return op_fail(n, d, "input %u has shape %s, want %s", (unsigned)i, a, b);
}

bool infer_seq_lstm(Graph *g, Node *n, Diag *d) {
  TRY(op_want_rank(g, n, 0, 3, d));
  TRY(op_want_rank(g, n, 1, 2, d));
  const Shape x = op_in(g, n, 0)->shape, h = op_in(g, n, 1)->shape;
  const DType t = op_in(g, n, 0)->dtype;
  const bool codes = dtype_is_code(t);
  const float clip = CATTRS(n, seq_lstm)->clip;
  if (t != DT_F32 && !codes) return op_fail(n, d, "input 0 is %s, want f32, i8 or i16", dtype_name(t));
  if (!(clip >= 0) || isinf(clip)) return op_fail(n, d, "clip is %g, want 0 or more", (double)clip);
  if (!shape_is_static(&x)) return op_fail_batch(n, d, "a state for each item");
  const int64_t size = h.d[1];
  const Shape state = shape_of(2, x.d[0], size), w = shape_of(2, size, x.d[2]), r = shape_of(2, size, size),
              bias = shape_of(1, size), out = shape_of(3, x.d[0], x.d[1] + 1, size);
  for (uint32_t i = 1; i < 15; i++) {
    const Shape *want = i < 3 ? &state : i < 7 ? &w : i < 11 ? &r : &bias;
    TRY(want_shape(g, n, i, want, d));
    const DType code = i == 1 ? t : i == 2 ? DT_I16 : i < 11 ? DT_I8 : t == DT_I16 ? DT_I64 : DT_I32;
    TRY(op_want_dtype(g, n, i, codes ? code : DT_F32, d));
    if (op_in(g, n, i)->quant.n > 1)
      return op_fail(n, d, "input %u is quantized per axis, want one scale", i);
  }
  return op_set(g, n, codes ? DT_I16 : DT_F32, &out, d);
}

/* State [B,F*M] with weights [F,...]. */
static bool want_state(const Graph *g, const Node *n, uint32_t weights, Diag *d) {
  TRY(op_want_rank(g, n, 0, 2, d));
  TRY(op_want_rank(g, n, weights, 2, d));
  const Shape *s = &op_in(g, n, 0)->shape, *w = &op_in(g, n, weights)->shape;
  const DType t = op_in(g, n, 0)->dtype;
  if (t != DT_F32 && t != DT_I8 && t != DT_I16) {
    return op_fail(n, d, "state is %s, want f32, i8 or i16", dtype_name(t));
  }
  if (!shape_is_static(s)) return op_fail_batch(n, d, "a state for each item");
  if (w->d[0] < 1 || s->d[1] < w->d[0] || s->d[1] % w->d[0] != 0) {
    return op_fail(n, d, "%lld values of state for %lld filters", (long long)s->d[1], (long long)w->d[0]);
  }
  return true;
}

bool infer_svdf_state(Graph *g, Node *n, Diag *d) {
  TRY(want_state(g, n, 2, d));
  const Value *s = op_in(g, n, 0), *w = op_in(g, n, 2);
  const Shape x = shape_of(2, s->shape.d[0], w->shape.d[1]);
  const DType t = s->dtype == DT_F32 ? DT_F32 : DT_I8;
  TRY(want_shape(g, n, 1, &x, d));
  TRY(op_want_dtype(g, n, 1, t, d));
  TRY(op_want_dtype(g, n, 2, t, d));
  TRY(op_set(g, n, s->dtype, &s->shape, d));
  return op_same_quant(g, n, -1, d);
}

bool infer_svdf(Graph *g, Node *n, Diag *d) {
  const svdf_attrs *a = CATTRS(n, svdf);
  TRY(want_state(g, n, 1, d));
  const Value *s = op_in(g, n, 0), *w = op_in(g, n, 1);
  const int64_t filters = w->shape.d[0];
  const DType t = s->dtype;
  TRY(op_want_dtype(g, n, 1, t, d));
  if (w->shape.d[1] * filters != s->shape.d[1]) {
    return op_fail(n, d, "%lld values of state for time weights of %lld", (long long)s->shape.d[1],
                   (long long)(w->shape.d[1] * filters));
  }
  if (a->rank < 1 || filters % a->rank != 0) {
    return op_fail(n, d, "rank is %d, want a divisor of %lld filters", (int)a->rank, (long long)filters);
  }
  TRY(op_want_act(n, a->act, t, d));
  const Shape bias = shape_of(1, filters / a->rank), out = shape_of(2, s->shape.d[0], filters / a->rank);
  if (op_in_opt(g, n, 2)) {
    TRY(want_shape(g, n, 2, &bias, d));
    TRY(op_want_dtype(g, n, 2, t == DT_F32 ? DT_F32 : DT_I32, d));
  }
  return op_set(g, n, t == DT_F32 ? DT_F32 : DT_I8, &out, d);
}
