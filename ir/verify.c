/* graph_verify: every rule of the IR, so that all code after it may assert instead of check.
 *
 *   values   element type, shape, and quantization are valid; a constant's bytes fit; def names the node that
 *            lists the value as an output; a value is an input, a constant, or computed, and only one of these
 *   nodes    arity; ids in range; inputs exist before the node (a cycle is told from a wrong order); what inference
 *            says about the outputs equals what is stored; int8 arithmetic has quantized operands
 *   graph    at least one output, inputs once each
 *
 * Collects up to DIAG_MAX errors. Structure is checked first: inference runs only where it found nothing.
 */
#include <math.h>

#include "ir/base/mem.h"
#include "ir/graph.h"

typedef struct Check {
  const Graph *g;
  Diag *d;
  int before; /* errors in d when we began */
} Check;

static bool clean(const Check *c) { return diag_count(c->d) == c->before; }

static Loc graph_loc(const Graph *g) { return (Loc){.file = g->name != NULL ? g->name : "graph"}; }

static Loc val_loc(const Graph *g, ValId v) {
  Loc loc = graph_loc(g);
  loc.name = g->vals[v].name;
  return loc;
}

/* Where a node came from, or its place in the graph when nothing is known. */
static Loc node_loc(const Graph *g, NodeId k) {
  const Node *n = &g->nodes[k];
  if (n->loc.file != NULL) return n->loc;
  Loc loc = graph_loc(g);
  loc.node = (int)k;
  loc.op = n->op < OP_COUNT ? op_info(n->op)->name : "?";
  loc.name = n->n_out > 0 && n->out[0] < g->n_vals ? g->vals[n->out[0]].name : NULL;
  return loc;
}

/* -- values -- */

static bool zero_fits(DType t, int32_t zero) {
  switch (t) {
  case DT_I4: return zero >= -8 && zero <= 7;
  case DT_I8: return zero >= INT8_MIN && zero <= INT8_MAX;
  case DT_U8: return zero >= 0 && zero <= UINT8_MAX;
  case DT_I16: return zero >= INT16_MIN && zero <= INT16_MAX;
  default: return true;
  }
}

static bool check_quant(const Value *v, const Loc *loc, Diag *d) {
  const Quant *q = &v->quant;
  if (q->n == 0) return true;
  FAIL_IF(v->dtype != DT_I4 && v->dtype != DT_I8 && v->dtype != DT_U8 && v->dtype != DT_I16 &&
              v->dtype != DT_I32 && v->dtype != DT_I64,
          d, loc, "a value of %s is quantized, want i4, i8, u8, i16, i32 or i64", dtype_name(v->dtype));
  FAIL_IF(q->n < 0, d, loc, "%d quantization scales", (int)q->n);
  FAIL_IF(q->n > 1 && (q->axis < 0 || q->axis >= v->shape.rank), d, loc,
          "quantized along axis %d of %d dimensions", (int)q->axis, (int)v->shape.rank);
  FAIL_IF(q->n > 1 && q->n != v->shape.d[q->axis], d, loc,
          "%d quantization scales along axis %d, want one for each of %lld", (int)q->n, (int)q->axis,
          (long long)v->shape.d[q->axis]);
  for (int i = 0; i < q->n; i++) {
    FAIL_IF(!(q->scale[i] > 0) || isinf(q->scale[i]), d, loc,
            "quantization scale %d is %g, want a finite number above 0", i, (double)q->scale[i]);
    FAIL_IF(!zero_fits(v->dtype, q->zero[i]), d, loc, "zero point %d is %d, which %s does not hold", i,
            (int)q->zero[i], dtype_name(v->dtype));
  }
  return true;
}

static bool check_type(const Value *v, const Loc *loc, Diag *d) {
  FAIL_IF(v->dtype <= DT_NONE || v->dtype >= DT_COUNT, d, loc, "a value without element type");
  FAIL_IF(v->shape.rank < 0 || v->shape.rank > MAX_RANK, d, loc, "%d dimensions, want 0 to %d",
          (int)v->shape.rank, MAX_RANK);
  for (int i = 1; i < v->shape.rank; i++) {
    FAIL_IF(v->shape.d[i] == DIM_BATCH, d, loc,
            "dimension %d is the symbolic batch, which is outermost alone", i);
  }
  FAIL_IF(!shape_valid(&v->shape, v->dtype), d, loc,
          "a dimension is negative, or the shape larger than the IR allows");
  return true;
}

bool value_verify(const Value *v, const Loc *loc, Diag *d) {
  return check_type(v, loc, d) && check_quant(v, loc, d);
}

/* Types below a byte lie in one byte each: whether all of them hold what the type can. Other bytes would be one value
 * here and another one there. */
static bool narrow_fits(const Value *v) {
  const int bits = dtype_bits(v->dtype);
  const int64_t lo = dtype_kind(v->dtype) == 'i' ? -((int64_t)1 << (bits - 1)) : 0,
                hi = lo + ((int64_t)1 << bits) - 1;
  for (size_t i = 0; i < blob_size(v->blob); i++) {
    int64_t x = dtype_get(v->dtype, blob_raw(v->blob), (int64_t)i);
    if (x < lo || x > hi) return false;
  }
  return true;
}

static bool check_const(const Check *c, const Value *v, const Loc *loc) {
  if (v->blob == NULL) return true;
  FAIL_IF(v->def != NO_NODE, c->d, loc, "a constant is computed by a node");
  FAIL_IF(!shape_is_static(&v->shape), c->d, loc, "a constant has a symbolic batch");
  size_t want = (size_t)shape_count(&v->shape) * dtype_size(v->dtype);
  FAIL_IF(blob_size(v->blob) != want, c->d, loc, "a constant of %zu bytes, want %zu", blob_size(v->blob),
          want);
  FAIL_IF(dtype_bits(v->dtype) < 8 && !narrow_fits(v), c->d, loc,
          "a constant of %s holds a byte that is none", dtype_name(v->dtype));
  return true;
}

static bool check_def(const Check *c, ValId id, const Loc *loc) {
  NodeId k = c->g->vals[id].def;
  if (k == NO_NODE) return true;
  FAIL_IF(k >= c->g->n_nodes, c->d, loc, "computed by node %u of %u", (unsigned)k, (unsigned)c->g->n_nodes);
  const Node *n = &c->g->nodes[k];
  for (uint32_t i = 0; i < n->n_out; i++) {
    if (n->out[i] == id) return true;
  }
  return diag_error(c->d, loc, "computed by node %u, which does not list it as an output", (unsigned)k);
}

static void check_vals(const Check *c) {
  for (ValId id = 1; id < c->g->n_vals; id++) {
    const Value *v = &c->g->vals[id];
    const Loc loc = v->def < c->g->n_nodes ? node_loc(c->g, v->def) : val_loc(c->g, id);
    if (value_verify(v, &loc, c->d) && check_const(c, v, &loc)) check_def(c, id, &loc);
  }
}

/* -- structure -- */

static bool check_arity(const Check *c, const Node *n, const Loc *loc) {
  FAIL_IF(n->op >= OP_COUNT, c->d, loc, "operator number %d, which does not exist", (int)n->op);
  const OpInfo *info = op_info(n->op);
  FAIL_IF((int)n->n_in < info->min_in || (int)n->n_in > info->max_in, c->d, loc,
          "%s: has %u inputs, want %d to %d", info->name, (unsigned)n->n_in, info->min_in, info->max_in);
  FAIL_IF((int)n->n_out != info->outs, c->d, loc, "%s: has %u outputs, want %d", info->name,
          (unsigned)n->n_out, info->outs);
  FAIL_IF(n->attrs == NULL, c->d, loc, "%s: has no attributes", info->name);
  return true;
}

static bool check_ids(const Check *c, NodeId k, const Loc *loc) {
  const Node *n = &c->g->nodes[k];
  const char *name = op_info(n->op)->name;
  for (uint32_t i = 0; i < n->n_in; i++) {
    FAIL_IF(n->in[i] >= c->g->n_vals, c->d, loc, "%s: input %u is value %u of %u", name, (unsigned)i,
            (unsigned)n->in[i], (unsigned)c->g->n_vals);
    FAIL_IF(n->in[i] == NO_VAL && (int)i < op_info(n->op)->min_in, c->d, loc,
            "%s: input %u is left out, but is not optional", name, (unsigned)i);
    NodeId def = c->g->vals[n->in[i]].def;
    FAIL_IF(n->in[i] != NO_VAL && def != NO_NODE && def >= c->g->n_nodes, c->d, loc,
            "%s: input %u is computed by node %u of %u", name, (unsigned)i, (unsigned)def,
            (unsigned)c->g->n_nodes);
  }
  for (uint32_t i = 0; i < n->n_out; i++) {
    FAIL_IF(n->out[i] == NO_VAL || n->out[i] >= c->g->n_vals, c->d, loc, "%s: output %u is value %u of %u",
            name, (unsigned)i, (unsigned)n->out[i], (unsigned)c->g->n_vals);
    FAIL_IF(c->g->vals[n->out[i]].def != k, c->d, loc, "%s: output %u says that another node computes it",
            name, (unsigned)i);
  }
  return true;
}

/* Does node `from` (transitively) read what node `to` computes? `seen` marks nodes looked at; explicit stack. */
static bool reaches(const Graph *g, NodeId from, NodeId to) {
  bool *seen = mem_array(g->n_nodes, sizeof *seen), found = false;
  NodeId *stack = mem_array(g->n_nodes, sizeof *stack);
  uint32_t top = 0;
  stack[top++] = from;
  seen[from] = true;
  while (top > 0 && !found) {
    const Node *n = &g->nodes[stack[--top]];
    for (uint32_t i = 0; i < n->n_in; i++) {
      NodeId k = n->in[i] == NO_VAL ? NO_NODE : g->vals[n->in[i]].def;
      if (k == NO_NODE) continue;
      found = found || k == to;
      if (!seen[k]) stack[top++] = k;
      seen[k] = true;
    }
  }
  mem_free(seen);
  mem_free(stack);
  return found;
}

static bool check_order(const Check *c, NodeId k, const bool *is_input, const Loc *loc) {
  const Node *n = &c->g->nodes[k];
  for (uint32_t i = 0; i < n->n_in; i++) {
    ValId id = n->in[i];
    if (id == NO_VAL) continue;
    const Value *v = &c->g->vals[id];
    const char *name = v->name != NULL ? v->name : "";
    if (v->def == NO_NODE) {
      FAIL_IF(v->blob == NULL && !is_input[id], c->d, loc,
              "%s: input %u (\"%s\") is undefined: no input, no constant, and no node computes it",
              op_info(n->op)->name, (unsigned)i, name);
      continue;
    }
    if (v->def < k) continue;
    FAIL_IF(v->def == k || reaches(c->g, v->def, k), c->d, loc,
            "%s: input %u (\"%s\") depends on this node: a cycle", op_info(n->op)->name, (unsigned)i, name);
    return diag_error(c->d, loc, "%s: input %u (\"%s\") is computed later: nodes want topological order",
                      op_info(n->op)->name, (unsigned)i, name);
  }
  return true;
}

static void check_ends(const Check *c, bool *is_input) {
  const Graph *g = c->g;
  const Loc loc = graph_loc(g);
  for (uint32_t i = 0; i < g->n_inputs; i++) {
    ValId v = g->inputs[i];
    if (v == NO_VAL || v >= g->n_vals) {
      diag_error(c->d, &loc, "graph input %u is value %u of %u", (unsigned)i, (unsigned)v,
                 (unsigned)g->n_vals);
      continue;
    }
    const Loc at = val_loc(g, v);
    if (is_input[v]) diag_error(c->d, &at, "a graph input is listed twice");
    if (g->vals[v].def != NO_NODE || g->vals[v].blob != NULL) {
      diag_error(c->d, &at, "a graph input is a constant or computed by a node");
    }
    is_input[v] = true;
  }
  if (g->n_outputs == 0) diag_error(c->d, &loc, "the graph has no output");
  for (uint32_t i = 0; i < g->n_outputs; i++) {
    ValId v = g->outputs[i];
    if (v == NO_VAL || v >= g->n_vals) {
      diag_error(c->d, &loc, "graph output %u is value %u of %u", (unsigned)i, (unsigned)v,
                 (unsigned)g->n_vals);
      continue;
    }
    const Loc at = val_loc(g, v);
    bool state = false;
    for (uint32_t k = 0; k < g->n_states; k++) state = state || g->states[k].now == v;
    if (g->vals[v].def == NO_NODE && g->vals[v].blob == NULL && !is_input[v] && !state) {
      diag_error(c->d, &at, "graph output %u is undefined: no input, no constant, and no node computes it",
                 (unsigned)i);
    }
  }
}

static bool has_ids(const Graph *g, const GraphState *s) {
  return s->now != NO_VAL && s->now < g->n_vals && s->next != NO_VAL && s->next < g->n_vals &&
         s->init != NO_VAL && s->init < g->n_vals;
}

/* Each state is a value of its own. */
static void mark_states(const Check *c, bool *is_input) {
  const Graph *g = c->g;
  const Loc loc = graph_loc(g);
  for (uint32_t i = 0; i < g->n_states; i++) {
    const GraphState *s = &g->states[i];
    if (!has_ids(g, s)) {
      diag_error(c->d, &loc, "state %u lacks its value, its next or its initial one", (unsigned)i);
      continue;
    }
    const Loc at = val_loc(g, s->now);
    const Value *now = &g->vals[s->now];
    if (is_input[s->now] || now->def != NO_NODE || now->blob != NULL)
      diag_error(c->d, &at, "a state is an input, a constant, computed by a node or listed twice");
    is_input[s->now] = true;
  }
}

/* It has a constant before it, a value of the same type after it: any state's present one, too. */
static void check_states(const Check *c, bool *is_input) {
  const Graph *g = c->g;
  mark_states(c, is_input);
  for (uint32_t i = 0; i < g->n_states; i++) {
    const GraphState *s = &g->states[i];
    if (!has_ids(g, s)) continue;
    const Loc at = val_loc(g, s->now);
    const Value *now = &g->vals[s->now], *next = &g->vals[s->next], *init = &g->vals[s->init];
    if (init->blob == NULL) diag_error(c->d, &at, "a state's initial value is no constant");
    if (next->def == NO_NODE && next->blob == NULL && !is_input[s->next])
      diag_error(c->d, &at, "a state's next value is neither computed nor an input nor a constant");
    if (now->dtype != next->dtype || now->dtype != init->dtype || !shape_equal(&now->shape, &next->shape) ||
        !shape_equal(&now->shape, &init->shape) || !shape_is_static(&now->shape))
      diag_error(c->d, &at,
                 "a state, its initial and its next value want one element type and one fixed shape");
    if (!quant_equal(&now->quant, &next->quant) || !quant_equal(&now->quant, &init->quant))
      diag_error(c->d, &at, "a state, its initial and its next value are quantized differently");
  }
  for (uint32_t i = 0; i < g->n_inputs && g->n_states > 0; i++) {
    const Loc at = val_loc(g, g->inputs[i]);
    if (g->inputs[i] < g->n_vals && !shape_is_static(&g->vals[g->inputs[i]].shape))
      diag_error(c->d, &at, "a model with state has a symbolic batch; want a fixed one");
  }
}

static void check_structure(const Check *c) {
  bool *is_input = mem_array(c->g->n_vals, sizeof *is_input);
  check_ends(c, is_input);
  check_states(c, is_input);
  bool ids_ok = true;
  for (NodeId k = 0; k < c->g->n_nodes; k++) {
    const Loc loc = node_loc(c->g, k);
    ids_ok = check_arity(c, &c->g->nodes[k], &loc) && check_ids(c, k, &loc) && ids_ok;
  }
  for (NodeId k = 0; k < c->g->n_nodes && ids_ok; k++) {
    const Loc loc = node_loc(c->g, k);
    check_order(c, k, is_input, &loc);
  }
  mem_free(is_input);
}

/* -- meaning -- */

/* Does the operator take bytes as bits or integers, whatever they stand for? */
static bool takes_bits(OpKind op) {
  return op == OP_cast || op == OP_bitwise_and || op == OP_bitwise_or || op == OP_bitwise_xor;
}

static bool is_code(DType t) { return t == DT_I4 || t == DT_I8 || t == DT_U8 || t == DT_I16; }

/* Arithmetic on codes needs to know what they stand for; moving, casting and logic on bits does not. */
static bool check_codes(const Check *c, const Node *n, const Loc *loc) {
  const OpInfo *info = op_info(n->op);
  if ((info->traits & (T_VIEW | T_MOVE)) != 0 || takes_bits(n->op)) return true;
  for (uint32_t i = 0; i < n->n_in + n->n_out; i++) {
    ValId id = i < n->n_in ? n->in[i] : n->out[i - n->n_in];
    const Value *v = &c->g->vals[id];
    if (id == NO_VAL || v->quant.n > 0) continue;
    FAIL_IF(is_code(v->dtype), c->d, loc, "%s: %s %u is %s without quantization", info->name,
            i < n->n_in ? "input" : "output", (unsigned)(i < n->n_in ? i : i - n->n_in),
            dtype_name(v->dtype));
    FAIL_IF(n->op == OP_dequantize && i == 0, c->d, loc, "Dequantize: input 0 is not quantized");
  }
  return true;
}

/* What inference says of output i against what is stored. */
static bool check_output(const Check *c, const Node *n, uint32_t i, const Value *got, const Loc *loc) {
  const Value *is = &c->g->vals[n->out[i]];
  const char *name = op_info(n->op)->name;
  FAIL_IF(is->dtype != got->dtype, c->d, loc, "%s: output %u is %s, want %s", name, (unsigned)i,
          dtype_name(is->dtype), dtype_name(got->dtype));
  if (!shape_equal(&is->shape, &got->shape)) {
    char a[192], b[192];
    shape_format(&is->shape, a, sizeof a);
    shape_format(&got->shape, b, sizeof b);
    return diag_error(c->d, loc, "%s: output %u has shape %s, want %s", name, (unsigned)i, a, b);
  }
  FAIL_IF(!quant_equal(&is->quant, &got->quant), c->d, loc, "%s: output %u has lost its input's quantization",
          name, (unsigned)i);
  return true;
}

static void check_inference(const Check *c) {
  Graph copy = *c->g; /* inference writes to values alone: these are a copy */
  copy.vals = mem_array(c->g->n_vals, sizeof *copy.vals);
  for (ValId v = 0; v < c->g->n_vals; v++) copy.vals[v] = c->g->vals[v];
  for (NodeId k = 0; k < c->g->n_nodes; k++) {
    Node n = c->g->nodes[k];
    n.loc = node_loc(c->g, k);
    bool ok = op_info(n.op)->infer(&copy, &n, c->d);
    for (uint32_t i = 0; i < n.n_out; i++) {
      ok = ok && check_output(c, &n, i, &copy.vals[n.out[i]], &n.loc);
      copy.vals[n.out[i]] = c->g->vals[n.out[i]];
    }
    if (ok) check_codes(c, &n, &n.loc);
  }
  mem_free(copy.vals);
}

bool graph_verify(const Graph *g, Diag *d) {
  const Check c = {g, d, diag_count(d)};
  check_structure(&c);
  if (clean(&c)) check_vals(&c);
  if (clean(&c)) check_inference(&c);
  return clean(&c);
}
