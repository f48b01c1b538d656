/* What the inference functions share: messages that name the operator, checks of inputs and attribute lists,
 * broadcasting, and handing quantization on.
 *
 * The rule of the symbolic batch is kept in one place: op_set refuses an output with DIM_BATCH anywhere but
 * outermost, so an operator only has to say where its output's dimensions come from, and must itself refuse
 * only what computes across the batch.
 */

#include "ir/base/strbuf.h"
#include "ir/ops/ops.h"

Value *op_in(const Graph *g, const Node *n, uint32_t i) {
  ASSERT(i < n->n_in && n->in[i] != NO_VAL);
  return &g->vals[n->in[i]];
}

Value *op_in_opt(const Graph *g, const Node *n, uint32_t i) {
  return i < n->n_in && n->in[i] != NO_VAL ? &g->vals[n->in[i]] : NULL;
}

Value *op_out(const Graph *g, const Node *n, uint32_t i) { return &g->vals[n->out[i]]; }

bool op_fail(const Node *n, Diag *d, const char *fmt, ...) {
  StrBuf text = {0};
  va_list ap;
  va_start(ap, fmt);
  sb_vprintf(&text, fmt, ap);
  va_end(ap);
  diag_error(d, &n->loc, "%s: %s", op_info(n->op)->name, sb_str(&text));
  sb_free(&text);
  return false;
}

bool op_fail_batch(const Node *n, Diag *d, const char *what) {
  return op_fail(n, d, "%s would mix the symbolic batch; bind it with graph_with_batch", what);
}

bool op_want_rank(const Graph *g, const Node *n, uint32_t i, int rank, Diag *d) {
  const Shape *s = &op_in(g, n, i)->shape;
  if (s->rank == rank) return true;
  char text[SHAPE_TEXT];
  shape_format(s, text, sizeof text);
  return op_fail(n, d, "input %u has shape %s, want %d dimension%s", (unsigned)i, text, rank,
                 rank == 1 ? "" : "s");
}

bool op_want_dtype(const Graph *g, const Node *n, uint32_t i, DType t, Diag *d) {
  DType got = op_in(g, n, i)->dtype;
  return got == t || op_fail(n, d, "input %u is %s, want %s", (unsigned)i, dtype_name(got), dtype_name(t));
}

bool op_want_real(const Graph *g, const Node *n, uint32_t i, Diag *d) {
  DType got = op_in(g, n, i)->dtype;
  return got == DT_F32 || dtype_is_code(got) ||
         op_fail(n, d, "input %u is %s, want f32, i8 or i16", (unsigned)i, dtype_name(got));
}

bool op_want_ints(const Node *n, const Ints *v, const char *name, int count, int64_t least, Diag *d) {
  if (v->n != count) return op_fail(n, d, "%s has %d entries, want %d", name, (int)v->n, count);
  for (int i = 0; i < count; i++) {
    if (v->v[i] < least || v->v[i] > INT32_MAX) {
      return op_fail(n, d, "%s[%d] is %lld, want %lld to %lld", name, i, (long long)v->v[i], (long long)least,
                     (long long)INT32_MAX);
    }
  }
  return true;
}

bool op_want_act(const Node *n, int32_t act, DType t, Diag *d) {
  if (act < 0 || act >= ACT_COUNT) return op_fail(n, d, "act is %d, which is no activation", (int)act);
  if (act != ACT_NONE && t != DT_F32 && !dtype_is_code(t)) {
    return op_fail(n, d, "a fused activation wants f32, i8 or i16, not %s", dtype_name(t));
  }
  return true;
}

bool op_set(const Graph *g, const Node *n, DType t, const Shape *s, Diag *d) {
  char text[SHAPE_TEXT];
  shape_format(s, text, sizeof text);
  for (int i = 1; i < s->rank; i++) {
    if (s->d[i] == DIM_BATCH) {
      return op_fail(n, d, "output %s would mix the symbolic batch; bind it with graph_with_batch", text);
    }
  }
  if (!shape_valid(s, t)) return op_fail(n, d, "output %s is larger than the IR allows", text);
  Value *out = op_out(g, n, 0);
  out->dtype = t;
  out->shape = *s;
  return true;
}

bool op_hand_on_quant(Graph *g, const Node *n, int axis, Diag *d) {
  const Value *x = op_in(g, n, 0);
  Value *y = op_out(g, n, 0);
  if (y->quant.n > 0 || x->quant.n == 0) return true;
  if (x->quant.n > 1 && (axis < 0 || y->shape.d[axis] != x->quant.n)) {
    return op_fail(n, d, "the per-axis quantization of its input does not survive; dequantize it first");
  }
  y->quant = x->quant; /* the arrays live in the graph's arena */
  if (y->quant.n > 1) y->quant.axis = axis;
  return true;
}

bool op_same_quant(Graph *g, const Node *n, int axis, Diag *d) {
  if (!op_hand_on_quant(g, n, axis, d)) return false;
  Quant want = op_in(g, n, 0)->quant;
  if (want.n > 1) want.axis = axis;
  return quant_equal(&want, &op_out(g, n, 0)->quant) ||
         op_fail(n, d,
                 "output and input are quantized differently, but it hands codes on as they are; put a "
                 "Quantize before or after it");
}

static bool broadcast_dim(int64_t a, int64_t b, int64_t *out) {
  *out = a == 1 ? b : a;
  return a == b || a == 1 || b == 1;
}

bool op_broadcast(const Node *n, const Shape *a, const Shape *b, Shape *out, Diag *d) {
  out->rank = a->rank > b->rank ? a->rank : b->rank;
  for (int i = 0; i < out->rank; i++) {
    int ia = i - (out->rank - a->rank), ib = i - (out->rank - b->rank);
    int64_t da = ia < 0 ? 1 : a->d[ia], db = ib < 0 ? 1 : b->d[ib];
    if (broadcast_dim(da, db, &out->d[i])) continue;
    char ta[SHAPE_TEXT], tb[SHAPE_TEXT];
    shape_format(a, ta, sizeof ta);
    shape_format(b, tb, sizeof tb);
    if (da == DIM_BATCH || db == DIM_BATCH) {
      return op_fail(n, d,
                     "broadcasting %s with %s would mix the symbolic batch; bind it with graph_with_batch",
                     ta, tb);
    }
    return op_fail(n, d, "shapes %s and %s do not broadcast", ta, tb);
  }
  return true;
}

/* -- weighted operators -- */

/* Weights of i4 beside i8 data: of Conv and FullyConnected with TFLite's rounding. */
static bool takes_int4(const Node *n) {
  const int32_t rounding = n->op == OP_conv              ? CATTRS(n, conv)->rounding
                           : n->op == OP_fully_connected ? CATTRS(n, fully_connected)->rounding
                                                         : ROUND_SUMS;
  return rounding == ROUND_TFLITE || rounding == ROUND_ONCE;
}

bool op_weights_dtype(const Graph *g, const Node *n, int64_t outs, Diag *d) {
  if (!op_want_real(g, n, 0, d)) return false;
  DType t = op_in(g, n, 0)->dtype;
  const bool small = t == DT_I8 && takes_int4(n) && op_in(g, n, 1)->dtype == DT_I4;
  if (!small && !op_want_dtype(g, n, 1, t == DT_I16 ? DT_I8 : t, d)) return false;
  const Value *bias = op_in_opt(g, n, 2);
  if (bias == NULL) return true;
  const bool wide = t == DT_I16 && bias->dtype == DT_I64;
  if (!wide && !op_want_dtype(g, n, 2, t == DT_F32 ? DT_F32 : DT_I32, d)) return false;
  if (!op_want_rank(g, n, 2, 1, d)) return false;
  int64_t got = op_in(g, n, 2)->shape.d[0];
  return got == outs || op_fail(n, d, "bias has %lld elements, want %lld, one per output channel",
                                (long long)got, (long long)outs);
}

bool op_weights_quant(const Graph *g, const Node *n, int axis, bool tensor, bool channel, Diag *d) {
  const Quant *x = &op_in(g, n, 0)->quant, *w = &op_in(g, n, 1)->quant, *y = &op_out(g, n, 0)->quant;
  if (x->n > 1 || y->n > 1) return op_fail(n, d, "activations are quantized per axis, want one scale");
  if (w->n > 1 && w->axis != axis) {
    return op_fail(n, d, "weights are quantized along axis %d, want axis %d (output channels)", (int)w->axis,
                   axis);
  }
  if (op_in(g, n, 1)->dtype == DT_I4) tensor = channel = true;
  for (int i = 0; i < w->n && (w->n > 1 ? channel : tensor); i++) {
    if (w->zero[i] != 0) {
      return op_fail(n, d, "weight zero point %d is %d, want 0 (symmetric weights)", i, (int)w->zero[i]);
    }
  }
  return true;
}

bool op_rounding(const Node *n, DType t, int32_t rounding, int32_t act, DType *out, Diag *d) {
  if (rounding < ROUND_TFLITE || rounding > ROUND_ONCE)
    return op_fail(n, d, "rounding is %d, want 0 to 3", (int)rounding);
  if (rounding != ROUND_TFLITE && t != DT_I8)
    return op_fail(n, d, "rounding is %d, which wants i8, not %s", (int)rounding, dtype_name(t));
  if (rounding == ROUND_SUMS && act != ACT_NONE) return op_fail(n, d, "sums have no fused activation");
  *out = rounding == ROUND_SUMS ? DT_I32 : t;
  return op_want_act(n, act, t, d);
}
