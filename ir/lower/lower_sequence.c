/* Lowering of SequenceLstm, SvdfState and Svdf.
 *
 * Integer parameters as TensorFlow Lite Micro makes them: SequenceLstm by lstm_eval_common.cc (gates in Q3.12 of scale 2^-12;
 * products of scales in float where GetQuantizedConvolutionMultipler has them so, in double between gates), Svdf by
 * svdf_common.cc (in float).
 */
#include <math.h>
#include <string.h>

#include "ir/lower/lower_util.h"

enum { X, H, C, W, R = 7, BIAS = 11, GATES = 4, MULTS = 11 };

/* The four gates' constants one behind the other. */
static void *joined(const Graph *g, const Node *n, uint32_t first, Arena *a, int64_t *count) {
  const Value *v = op_in(g, n, first);
  size_t bytes = val_bytes(g, n->in[first]);
  char *all = arena_array(a, GATES, bytes + 1);
  for (uint32_t i = 0; i < GATES; i++) memcpy(all + i * bytes, val_data(g, n->in[first + i]), bytes);
  *count = GATES * shape_count(&v->shape);
  return all;
}

static void join(const Graph *g, const Node *n, KernelCall *k, Arena *a) {
  int64_t count;
  const void *all = joined(g, n, W, a, &count);
  call_const(k, "w", all, count, NO_VAL);
  all = joined(g, n, R, a, &count);
  call_const(k, "r", all, count, NO_VAL);
  all = joined(g, n, BIAS, a, &count);
  call_const(k, "bias", all, count, NO_VAL);
}

/* cell_log2 and clip of mf_seq_lstm_s8, or of mf_seq_lstm_s16, whose gates' multipliers are reduced. */
static bool lstm_scales(const Graph *g, const Node *n, int32_t *cell_log2, int32_t *clip_code, KernelCall *k,
                        Arena *a, Diag *d) {
  const bool wide = op_in(g, n, X)->dtype == DT_I16;
  int32_t *mult = arena_array(a, MULTS, sizeof *mult), shift[MULTS];
  int8_t *narrow = arena_array(a, MULTS, sizeof *narrow);
  const float sx = scale_of(op_in(g, n, X)), sh = scale_of(op_in(g, n, H)), sc = scale_of(op_in(g, n, C));
  const double gate = 1.0 / 4096, q15 = 1.0 / 32768;
  int log2 = 0;
  if (frexpf(sc, &log2) != 0.5f)
    return op_fail(n, d, "the cell's scale is %g, want a power of two", (double)sc);
  *cell_log2 = log2 - 1;
  if (*cell_log2 < -24 || *cell_log2 > -1) {
    return op_fail(n, d, "the cell's scale is %g, want 2^-24 to 2^-1", (double)sc);
  }
  for (uint32_t i = 0; i < GATES; i++) {
    const float w = sx * scale_of(op_in(g, n, W + i)), r = sh * scale_of(op_in(g, n, R + i));
    if (wide) {
      TRY(wide_multiplier(n, (double)w / gate, &mult[i], &shift[i], d));
      TRY(wide_multiplier(n, (double)r / gate, &mult[GATES + i], &shift[GATES + i], d));
      continue;
    }
    quantize_multiplier((double)w / gate, &mult[i], &shift[i]);
    quantize_multiplier((double)r / gate, &mult[GATES + i], &shift[GATES + i]);
  }
  quantize_multiplier(q15 * (double)sc / (double)sc, &mult[8], &shift[8]);
  quantize_multiplier(q15 * q15 / (double)sc, &mult[9], &shift[9]);
  quantize_multiplier(q15 * q15 / (double)sh, &mult[10], &shift[10]);
  for (int i = 0; i < MULTS; i++) narrow[i] = (int8_t)shift[i];
  call_const(k, "mult", mult, MULTS, NO_VAL);
  call_const(k, "shift", narrow, MULTS, NO_VAL);
  const double clip = (double)CATTRS(n, seq_lstm)->clip / (double)sc;
  if (clip > 0 && clip < 1)
    return op_fail(n, d, "clip is %g, less than the cell's step %g", (double)CATTRS(n, seq_lstm)->clip,
                   (double)sc);
  *clip_code = clip > 32767 ? 32767 : (int32_t)clip;
  return true;
}

static bool seq_lstm_s8(const Graph *g, const Node *n, KernelCall *k, Arena *a, Diag *d) {
  mf_seq_lstm_s8 *p = k->params;
  for (uint32_t i = 0; i < BIAS; i++)
    if (op_in(g, n, i)->quant.n != 1 || (i >= C && zero_of(op_in(g, n, i)) != 0))
      return op_fail(n, d, "input %u wants one scale%s", (unsigned)i, i >= C ? " and zero point 0" : "");
  const Shape *x = &op_in(g, n, X)->shape;
  p->steps = (int32_t)x->d[1];
  p->inputs = (int32_t)x->d[2];
  p->size = (int32_t)op_in(g, n, H)->shape.d[1];
  p->x_zero = zero_of(op_in(g, n, X));
  p->h_zero = zero_of(op_in(g, n, H));
  join(g, n, k, a);
  return lstm_scales(g, n, &p->cell_log2, &p->clip, k, a, d);
}

static bool seq_lstm_s16(const Graph *g, const Node *n, KernelCall *k, Arena *a, Diag *d) {
  mf_seq_lstm_s16 *p = k->params;
  const int64_t most = (int64_t)1 << 46;
  for (uint32_t i = 0; i < BIAS; i++)
    if (op_in(g, n, i)->quant.n != 1) return op_fail(n, d, "input %u wants one scale", (unsigned)i);
  for (uint32_t i = 0; i < 3; i++)
    if (zero_of(op_in(g, n, i)) != 0)
      return op_fail(n, d, "int16 tensor with zero point %d, want 0", (int)zero_of(op_in(g, n, i)));
  for (uint32_t i = BIAS; i < BIAS + GATES; i++) {
    const int64_t *bias = val_data(g, n->in[i]);
    for (int64_t m = 0; m < op_in(g, n, i)->shape.d[0]; m++)
      if (bias[m] <= -most || bias[m] >= most) return op_fail(n, d, "a bias has a magnitude of 2^46 or more");
  }
  const Shape *x = &op_in(g, n, X)->shape;
  p->steps = (int32_t)x->d[1];
  p->inputs = (int32_t)x->d[2];
  p->size = (int32_t)op_in(g, n, H)->shape.d[1];
  join(g, n, k, a);
  return lstm_scales(g, n, &p->cell_log2, &p->clip, k, a, d);
}

bool lower_seq_lstm(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const Value *x = op_in(g, n, X), *y = op_out(g, n, 0);
  const bool codes = x->dtype == DT_I8;
  for (uint32_t i = W; i < 15; i++) TRY(want_const(g, n, i, d));
  if (shape_count(&y->shape) == 0) return true;
  const bool wide = x->dtype == DT_I16;
  KernelCall *k = calls_add(out,
                            codes  ? "seq_lstm_s8"
                            : wide ? "seq_lstm_s16"
                                   : "seq_lstm_f32",
                            node_id(g, n));
  k->in[0] = view_rows(g, n->in[X], rows_of(&x->shape));
  for (int i = H; i <= C; i++) {
    int64_t row = op_in(g, n, (uint32_t)i)->shape.d[1] * (int64_t)dtype_size(op_in(g, n, (uint32_t)i)->dtype);
    k->in[i] = (CallView){.val = n->in[i], .row = row, .step = row};
  }
  k->n_in = 3;
  k->out = view_rows(g, n->out[0], rows_of(&y->shape));
  k->rows = (int32_t)y->shape.d[1];
  k->batch = (int32_t)y->shape.d[0];
  const int64_t size = op_in(g, n, H)->shape.d[1];
  k->macs = x->shape.d[0] * x->shape.d[1] * GATES * size * (size + x->shape.d[2]);
  if (codes) return seq_lstm_s8(g, n, k, out->arena, d);
  if (wide) return seq_lstm_s16(g, n, k, out->arena, d);
  mf_seq_lstm_f32 *p = k->params;
  *p = (mf_seq_lstm_f32){.steps = (int32_t)x->shape.d[1],
                         .inputs = (int32_t)x->shape.d[2],
                         .size = (int32_t)size,
                         .clip = CATTRS(n, seq_lstm)->clip};
  join(g, n, k, out->arena);
  return true;
}

/* A call over the batch's items; views of inputs from `whole` on are whole tensors. */
static KernelCall *svdf_call(const Graph *g, const Node *n, const char *kernel, int n_in, int whole,
                             Calls *out) {
  const Shape *y = &op_out(g, n, 0)->shape;
  KernelCall *k = calls_add(out, kernel, node_id(g, n));
  for (int i = 0; i < n_in; i++) {
    k->in[i] = view_rows(g, n->in[i], rows_of(&op_in(g, n, (uint32_t)i)->shape));
    if (i >= whole) k->in[i].row = 0;
  }
  k->n_in = n_in;
  k->out = view_rows(g, n->out[0], rows_of(y));
  k->rows = (int32_t)y->d[0];
  return k;
}

bool lower_svdf_state(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const Value *s = op_in(g, n, 0), *x = op_in(g, n, 1), *w = op_in(g, n, 2);
  const bool real = s->dtype == DT_F32;
  const int32_t inputs = (int32_t)w->shape.d[1], filters = (int32_t)w->shape.d[0];
  const int32_t memory = (int32_t)(s->shape.d[1] / w->shape.d[0]);
  if (!real) TRY(want_quant(g, n, 3, d));
  if (shape_count(&s->shape) == 0) return true;
  KernelCall *k = svdf_call(g, n, real ? "svdf_state_f32" : "svdf_state_s8", 3, 2, out);
  k->macs = s->shape.d[0] * shape_count(&w->shape);
  if (real) {
    *(mf_svdf_f32 *)k->params =
        (mf_svdf_f32){.inputs = inputs, .filters = filters, .memory = memory, .rank = 1};
    return true;
  }
  mf_svdf_s8 *p = k->params;
  const float real_mult = scale_of(x) * scale_of(w) / scale_of(s);
  *p = (mf_svdf_s8){.inputs = inputs,
                    .filters = filters,
                    .memory = memory,
                    .rank = 1,
                    .wide = (int32_t)dtype_size(s->dtype),
                    .in_zero = zero_of(x),
                    .state_zero = zero_of(s)};
  quantize_multiplier((double)real_mult, &p->mult, &p->shift);
  return true;
}

bool lower_svdf(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const Value *s = op_in(g, n, 0), *w = op_in(g, n, 1), *y = op_out(g, n, 0);
  const svdf_attrs *a = CATTRS(n, svdf);
  const bool real = s->dtype == DT_F32;
  const int32_t filters = (int32_t)w->shape.d[0], memory = (int32_t)w->shape.d[1];
  if (!real) TRY(want_quant(g, n, 2, d));
  if (op_in_opt(g, n, 2)) TRY(want_const(g, n, 2, d));
  if (shape_count(&y->shape) == 0) return true;
  KernelCall *k = svdf_call(g, n, real ? "svdf_f32" : "svdf_s8", 2, 1, out);
  k->macs = shape_count(&s->shape);
  if (real) {
    mf_svdf_f32 *p = k->params;
    *p = (mf_svdf_f32){.filters = filters, .memory = memory, .rank = a->rank};
    act_range_f32((Act)a->act, &p->lo, &p->hi);
  } else {
    mf_svdf_s8 *p = k->params;
    const float real_mult = scale_of(s) * scale_of(w) / scale_of(y);
    *p = (mf_svdf_s8){.filters = filters,
                      .memory = memory,
                      .rank = a->rank,
                      .wide = (int32_t)dtype_size(s->dtype),
                      .state_zero = zero_of(s),
                      .out_zero = zero_of(y)};
    quantize_multiplier((double)real_mult, &p->mult, &p->shift);
  }
  if (op_in_opt(g, n, 2))
    call_const(k, "bias", val_data(g, n->in[2]), shape_count(&op_in(g, n, 2)->shape), n->in[2]);
  return true;
}
