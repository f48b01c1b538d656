/* TFLite models with state: tensors that are variables (of SVDF and UNIDIRECTIONAL_SEQUENCE_LSTM), and variables by
 * name (VAR_HANDLE, READ_VARIABLE, ASSIGN_VARIABLE, first set by the graph that CALL_ONCE names).
 *
 *   variable -> State of the graph: reads see the present value, or what an operator before them assigned; what was
 *   assigned last is the next value
 *
 * Variables begin as zeros (int8: the zero point) where nothing says otherwise, as TensorFlow Lite Micro's
 * ResetVariableTensors has it (micro_interpreter_graph.cc).
 */
#include "frontend/tflite/tfl.h"

#include <inttypes.h>
#include <string.h>

#include "ir/base/mem.h"

/* -- variable tensors -- */

/* A constant like tensor t: its data (bytes as the file has them, UINT8 128 above what they are here), or zeros;
 * NO_VAL: reported. */
static ValId first_value(Tfl *m, const TflTensor *t, const uint8_t *data, const Loc *loc) {
  if (!tfl_may_make(m, shape_count(&t->shape), dtype_size(t->dtype), loc)) return NO_VAL;
  size_t bytes = (size_t)shape_count(&t->shape) * dtype_size(t->dtype);
  unsigned char *zero = mem_zalloc(bytes + 1);
  if (data)
    for (size_t i = 0; i < bytes; i++) zero[i] = t->stored == TFL_UINT8 ? data[i] ^ 128 : data[i];
  else if (t->dtype == DT_I8 && t->quant.n == 1)
    memset(zero, t->quant.zero[0], bytes);
  ValId v = graph_const_data(m->g, t->name, t->dtype, &t->shape, zero);
  if (t->quant.n) graph_set_quant(m->g, v, t->quant.n, t->quant.axis, t->quant.scale, t->quant.zero);
  mem_free(zero);
  return v;
}

ValId tfl_variable(Tfl *m, TflTensor *t, const Loc *loc) {
  const ValId first = first_value(m, t, NULL, loc);
  if (first == NO_VAL) t->state = TFL_BROKEN;
  t->val = first == NO_VAL ? NO_VAL : graph_state(m->g, t->name, first);
  return t->val;
}

void tfl_finish_states(Tfl *m) {
  for (uint32_t i = 0; i < m->g->n_states; i++)
    if (m->g->states[i].next == NO_VAL) m->g->states[i].next = m->g->states[i].now;
  for (uint32_t i = 0; i < m->n_vars; i++)
    if (m->vars[i].now != NO_VAL) graph_state_next(m->g, m->vars[i].now, m->vars[i].current);
}

static bool is_state(const Graph *g, ValId v) {
  for (uint32_t i = 0; i < g->n_states; i++)
    if (g->states[i].now == v) return true;
  return false;
}

/* Input i as the state that an operator renews. */
static ValId state_input(TflNode *n, uint32_t i) {
  if (!tfl_has(n, i) || !tfl_in_tensor(n, i)->variable) {
    diag_error(n->m->d, &n->loc, "input %u is no variable; the operator keeps its state there", i);
    return NO_VAL;
  }
  const TflTensor *t = tfl_in_tensor(n, i);
  ValId v = tfl_value(n->m, n->in[i], &n->loc);
  if (v == NO_VAL || is_state(n->m->g, v)) return v;
  diag_error(n->m->d, &n->loc, "renews \"%s\", which an operator before it renewed", t->name);
  return NO_VAL;
}

static bool state_next(TflNode *n, uint32_t i, ValId now, ValId next) {
  TRY(next != NO_VAL);
  TflTensor *t = tfl_in_tensor(n, i);
  next = tfl_reshape(n, next, &t->shape);
  TRY(next != NO_VAL);
  FAIL_IF(t->val != now, n->m->d, &n->loc, "renews \"%s\", which an operator before it renewed", t->name);
  graph_state_next(n->m->g, now, next);
  t->val = next;
  return true;
}

bool tfl_import_svdf(TflNode *n) {
  enum { X, FEATURE, TIME, BIAS, STATE, RANK = 0, ACT = 1 };
  svdf_attrs a = {.rank = fb_i32(&n->options, RANK, 0)};
  ValId x = tfl_data(n, X);
  TRY(x != NO_VAL && tfl_act(n, ACT, &a.act));
  ValId w = tfl_weights(n, FEATURE, x), state = state_input(n, STATE), bias;
  TRY(w != NO_VAL && state != NO_VAL && tfl_bias(n, BIAS, x, &bias));
  FAIL_IF(!tfl_has(n, TIME), n->m->d, &n->loc, "input %d is left out; the operator needs it", (int)TIME);
  const TflTensor *t = tfl_in_tensor(n, TIME);
  bool codes = graph_val(n->m->g, x)->dtype == DT_I8;
  FAIL_IF(!t->data, n->m->d, &n->loc, "has computed time weights (\"%s\"); supported are constant ones",
          t->name);
  ValId time = codes ? tfl_value(n->m, n->in[TIME], &n->loc) : tfl_weights(n, TIME, x);
  TRY(time != NO_VAL);
  if (codes) a.act = ACT_NONE; /* the reference clamps to the codes alone */
  const char *name = tfl_out_tensor(n, 0)->name;
  ValId next =
      graph_node(n->m->g, OP_svdf_state, NULL, (const ValId[]){state, x, w}, 3, name, &n->loc, n->m->d);
  TRY(state_next(n, STATE, state, next));
  return tfl_emit(n, OP_svdf, &a, (const ValId[]){next, time, bias}, 3);
}

/* -- UNIDIRECTIONAL_SEQUENCE_LSTM -- */

enum {
  LSTM_W = 1,
  LSTM_R = 5,
  LSTM_PEEPHOLE = 9,
  LSTM_BIAS = 12,
  LSTM_PROJECTION = 16,
  LSTM_H = 18,
  LSTM_C,
  LSTM_NORM
};

static bool lstm_plain(TflNode *n) {
  enum { ACT = 0, PROJ_CLIP = 2, TANH = 4 };
  for (uint32_t i = LSTM_PEEPHOLE; i < 24; i++) {
    bool more = i < LSTM_BIAS || i == LSTM_PROJECTION || i == LSTM_PROJECTION + 1 || i >= LSTM_NORM;
    FAIL_IF(more && tfl_has(n, i), n->m->d, &n->loc,
            "has input %u (peepholes, a projection or layer normalization), which is not supported", i);
  }
  for (uint32_t i = LSTM_W; i < LSTM_PEEPHOLE; i++)
    FAIL_IF(!tfl_has(n, i), n->m->d, &n->loc, "input %u is left out; coupled gates are not supported", i);
  FAIL_IF(fb_u8(&n->options, ACT, 0) != TANH, n->m->d, &n->loc, "has activation %u; supported is TANH (4)",
          fb_u8(&n->options, ACT, 0));
  return true;
}

/* Rows from .. from+count-1 of axis 1. */
static ValId rows(TflNode *n, ValId x, int64_t from, int64_t count) {
  const Shape s = graph_val(n->m->g, x)->shape;
  slice_attrs a = {
      .starts = {3, {0, from, 0}}, .counts = {3, {s.d[0], count, s.d[2]}}, .steps = {3, {1, 1, 1}}};
  return tfl_node1(n, OP_slice, &a, x);
}

static ValId swap_time(TflNode *n, ValId x) {
  return tfl_node1(n, OP_transpose, &(transpose_attrs){.perm = {3, {1, 0, 2}}}, x);
}

/* What the reference's integer form takes: symmetric weights and cell, a clip of at least one step of the cell. */
static bool lstm_codes(TflNode *n, float clip) {
  for (uint32_t i = LSTM_W; i <= LSTM_C; i++) {
    if ((i >= LSTM_PEEPHOLE && i < LSTM_C) || !tfl_has(n, i)) continue;
    const TflTensor *t = tfl_in_tensor(n, i);
    FAIL_IF(t->quant.n != 1 || t->quant.zero[0] != 0, n->m->d, &n->loc,
            "has \"%s\" without one scale and zero point 0", t->name);
  }
  const TflTensor *c = tfl_in_tensor(n, LSTM_C);
  FAIL_IF(clip > 0 && clip < c->quant.scale[0], n->m->d, &n->loc,
          "limits its cell to %g, less than a step of %g", (double)clip, (double)c->quant.scale[0]);
  return true;
}

/* x, h, c and the gates' constants, in the order of SequenceLstm. */
static bool lstm_inputs(TflNode *n, ValId in[15]) {
  in[0] = tfl_data16(n, 0);
  in[1] = state_input(n, LSTM_H);
  in[2] = state_input(n, LSTM_C);
  TRY(in[0] != NO_VAL && in[1] != NO_VAL && in[2] != NO_VAL);
  for (uint32_t i = 0; i < 8; i++) {
    in[3 + i] = tfl_weights(n, LSTM_W + i, in[0]);
    TRY(in[3 + i] != NO_VAL);
  }
  for (uint32_t i = 0; i < 4; i++) {
    TRY(tfl_bias(n, LSTM_BIAS + i, in[0], &in[11 + i]));
    FAIL_IF(in[11 + i] == NO_VAL, n->m->d, &n->loc, "bias %u is left out; the operator needs it", i);
  }
  return true;
}

bool tfl_import_lstm(TflNode *n) {
  enum { CLIP = 1, TIME_MAJOR = 3 };
  Graph *g = n->m->g;
  ValId in[15];
  TRY(lstm_plain(n) && lstm_inputs(n, in));
  const bool time_major = fb_u8(&n->options, TIME_MAJOR, 0) != 0;
  FAIL_IF(graph_val(g, in[0])->shape.rank != 3, n->m->d, &n->loc, "wants an input of 3 dimensions");
  const DType t = graph_val(g, in[0])->dtype;
  const bool codes = dtype_is_code(t);
  const ValId h = in[1], c = in[2];
  const Quant qh = graph_val(g, h)->quant, qc = graph_val(g, c)->quant;
  FAIL_IF(codes && (qh.n != 1 || qc.n != 1), n->m->d, &n->loc, "has a state without a scale");
  TRY(!codes || tfl_same_quant(n, tfl_in_tensor(n, LSTM_H), tfl_out_tensor(n, 0)));
  if (time_major) in[0] = swap_time(n, in[0]);
  TRY(in[0] != NO_VAL);
  const int64_t steps = graph_val(g, in[0])->shape.d[1];
  seq_lstm_attrs a = {.clip = fb_f32(&n->options, CLIP, 0)};
  TRY(!codes || lstm_codes(n, a.clip));
  ValId all = graph_node(g, OP_seq_lstm, &a, in, 15, tfl_out_tensor(n, 0)->name, &n->loc, n->m->d);
  TRY(all != NO_VAL);
  if (codes) graph_set_quant(g, all, 1, 0, qc.scale, qc.zero);
  ValId y = rows(n, all, 0, steps), cell = rows(n, all, steps, 1);
  TRY(y != NO_VAL && cell != NO_VAL);
  if (codes) {
    y = tfl_node1(n, OP_cast, &(cast_attrs){.to = (int32_t)t}, y);
    TRY(y != NO_VAL);
    graph_set_quant(g, y, 1, 0, qh.scale, qh.zero);
  }
  TRY(state_next(n, LSTM_H, h, rows(n, y, steps - 1, 1)) && state_next(n, LSTM_C, c, cell));
  return tfl_bind(n, 0, time_major ? swap_time(n, y) : y);
}

/* -- variables by name -- */

static TflVar *variable_of(Tfl *m, const FbTable *options) {
  size_t n_container, n_name;
  const char *container = fb_string(options, 0, &n_container), *name = fb_string(options, 1, &n_name);
  if (n_container > 200) n_container = 200;
  if (n_name > 200) n_name = 200;
  const char *full = arena_printf(m->g->arena, "%.*s/%.*s", (int)n_container, container ? container : "",
                                  (int)n_name, name ? name : "");
  for (uint32_t i = 0; i < m->n_vars; i++)
    if (strcmp(m->vars[i].name, full) == 0) return &m->vars[i];
  void *grown = m->vars;
  mem_grow(&grown, &m->cap_vars, (size_t)m->n_vars + 1, sizeof *m->vars);
  m->vars = grown;
  m->vars[m->n_vars] = (TflVar){.name = full};
  return &m->vars[m->n_vars++];
}

bool tfl_import_var_handle(TflNode *n) {
  tfl_out_tensor(n, 0)->var = (uint32_t)(variable_of(n->m, &n->options) - n->m->vars) + 1;
  return true;
}

/* The variable that input 0 is a handle of, a state like tensor t. */
static TflVar *opened(TflNode *n, const TflTensor *t) {
  uint32_t var = tfl_has(n, 0) ? tfl_in_tensor(n, 0)->var : 0;
  if (var == 0) {
    diag_error(n->m->d, &n->loc, "input 0 is no handle of a variable");
    return NULL;
  }
  TflVar *v = &n->m->vars[var - 1];
  if (v->now != NO_VAL) return v;
  size_t bytes = (size_t)shape_count(&t->shape) * dtype_size(t->dtype);
  if (v->first && (v->first_bytes != bytes || v->first_type != t->stored)) {
    diag_error(n->m->d, &n->loc, "variable \"%s\" is set to %zu bytes of %s first, and used with %zu of %s",
               v->name, v->first_bytes, tfl_type_name(v->first_type), bytes, tfl_type_name(t->stored));
    return NULL;
  }
  const ValId first = first_value(n->m, t, v->first, &n->loc);
  if (first == NO_VAL) return NULL;
  v->now = v->current = graph_state(n->m->g, t->name, first);
  return v;
}

bool tfl_import_read_variable(TflNode *n) {
  TflVar *v = opened(n, tfl_out_tensor(n, 0));
  return v && tfl_bind(n, 0, v->current);
}

bool tfl_import_assign_variable(TflNode *n) {
  FAIL_IF(!tfl_has(n, 1), n->m->d, &n->loc, "input 1 is left out; the operator needs it");
  const TflTensor *t = tfl_in_tensor(n, 1);
  TflVar *v = opened(n, t);
  TRY(v != NULL);
  ValId x = tfl_value(n->m, n->in[1], &n->loc);
  TRY(x != NO_VAL);
  const Value *is = graph_val(n->m->g, v->now);
  FAIL_IF(is->dtype != t->dtype || !shape_equal(&is->shape, &t->shape), n->m->d, &n->loc,
          "assigns %s of another shape or type to variable \"%s\"", t->name, v->name);
  FAIL_IF(!quant_equal(&is->quant, &graph_val(n->m->g, x)->quant), n->m->d, &n->loc,
          "would change the quantization of variable \"%s\"", v->name);
  v->current = x;
  return true;
}

/* One operator of the graph that sets variables first. */
static bool first_operator(Tfl *m, const FbTable *op, int32_t code, const FbVec *tensors, uint32_t *handle,
                           const Loc *loc) {
  FbVec in = fb_vec(op, OPERATOR_INPUTS, 4), out = fb_vec(op, OPERATOR_OUTPUTS, 4);
  FbTable options = fb_table(op, OPERATOR_OPTIONS);
  if (code == TFL_VAR_HANDLE) {
    FAIL_IF(out.n != 1 || fb_vec_i32(&out, 0) < 0 || (uint32_t)fb_vec_i32(&out, 0) >= tensors->n, m->d, loc,
            "has a handle without a tensor in the graph that sets variables first");
    handle[fb_vec_i32(&out, 0)] = (uint32_t)(variable_of(m, &options) - m->vars) + 1;
    return true;
  }
  FAIL_IF(code != TFL_ASSIGN_VARIABLE, m->d, loc,
          "computes first values of variables (operator code %" PRId32 "); supported are constants", code);
  bool ok = in.n == 2;
  for (uint32_t i = 0; ok && i < 2; i++)
    ok = fb_vec_i32(&in, i) >= 0 && (uint32_t)fb_vec_i32(&in, i) < tensors->n;
  ok = ok && handle[fb_vec_i32(&in, 0)] != 0;
  FAIL_IF(!ok, m->d, loc, "assigns to no variable in the graph that sets variables first");
  FbTable value = fb_vec_table(tensors, (uint32_t)fb_vec_i32(&in, 1));
  uint32_t buffer = fb_u32(&value, TENSOR_BUFFER, 0);
  FAIL_IF(buffer >= m->buffers.n, m->d, loc, "is damaged: buffer %u of %u", buffer, m->buffers.n);
  FbTable b = fb_vec_table(&m->buffers, buffer);
  FbVec data = fb_vec(&b, BUFFER_DATA, 1);
  FAIL_IF(data.n == 0, m->d, loc, "sets a variable first to what is no constant");
  TflVar *v = &m->vars[handle[fb_vec_i32(&in, 0)] - 1];
  v->first = m->fb.p + data.at;
  v->first_bytes = data.n;
  v->first_type = fb_u8(&value, TENSOR_TYPE, 0);
  return true;
}

bool tfl_first_values(Tfl *m, const FbTable *subgraph, TflCodeOf *code_of, void *ctx, const Loc *loc) {
  FbVec tensors = fb_vec(subgraph, SUBGRAPH_TENSORS, 4), ops = fb_vec(subgraph, SUBGRAPH_OPERATORS, 4);
  uint32_t *handle = mem_array((size_t)tensors.n + 1, sizeof *handle);
  bool ok = true;
  for (uint32_t i = 0; ok && i < ops.n && !m->fb.what; i++) {
    FbTable op = fb_vec_table(&ops, i);
    int32_t code;
    ok = code_of(ctx, &op, &code) && first_operator(m, &op, code, &tensors, handle, loc);
  }
  mem_free(handle);
  return ok;
}
