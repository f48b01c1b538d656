/* Graph: building one and asking about it (ir/graph.h has the picture).
 *
 * Values and nodes grow on the heap (their addresses move: keep ids, not pointers, across calls that add);
 * everything they point at lives in the graph's arena. A value's blob is a counted reference. Node 0 .. n-1
 * stand in topological order because a node can only read values that exist.
 */
#include "ir/graph.h"

#include <string.h>

#include "ir/base/mem.h"
#include "ir/custom.h"

/* With the address sanitizer the arrays of small graphs move whenever they grow, so that no pointer into them outlives
 * that unseen. */
#ifdef __SANITIZE_ADDRESS__
#define GROW_FROM(n, cap) ((n) < 2000 ? (void)((cap) = (n)) : (void)0)
#else
#define GROW_FROM(n, cap) ((void)0)
#endif

/* Room for one more element in a growable array of the graph. */
#define GROW(array, n, cap)                                      \
  do {                                                           \
    void *grown_ = (array);                                      \
    GROW_FROM(n, cap);                                           \
    mem_grow(&grown_, &(cap), (size_t)(n) + 1, sizeof *(array)); \
    (array) = grown_;                                            \
  } while (0)

ValId graph_val_new(Graph *g, const char *name, DType t, const Shape *s) {
  Value v = {.name = arena_strdup(g->arena, name), .dtype = t, .def = NO_NODE};
  if (s != NULL) v.shape = *s; /* before the array moves: it may be the shape of one of its values */
  GROW(g->vals, g->n_vals, g->cap_vals);
  g->vals[g->n_vals] = v;
  return g->n_vals++;
}

Graph *graph_new(const char *name) {
  Graph *g = mem_zalloc(sizeof *g);
  g->arena = arena_new();
  g->name = arena_strdup(g->arena, name);
  graph_val_new(g, NULL, DT_NONE, NULL); /* id 0 is no value */
  return g;
}

Graph *graph_new_like(const Graph *g) {
  Graph *like = graph_new(g->name);
  custom_attach(like, g->custom);
  return like;
}

void graph_free(Graph *g) {
  if (g == NULL) return;
  custom_unref(g->custom);
  for (uint32_t v = 1; v < g->n_vals; v++) blob_unref(g->vals[v].blob);
  arena_free(g->arena);
  mem_free(g->vals);
  mem_free(g->nodes);
  mem_free(g->inputs);
  mem_free(g->outputs);
  mem_free(g->states);
  mem_free(g);
}

void graph_mark_input(Graph *g, ValId v) {
  ASSERT(v != NO_VAL && v < g->n_vals);
  GROW(g->inputs, g->n_inputs, g->cap_inputs);
  g->inputs[g->n_inputs++] = v;
}

ValId graph_input(Graph *g, const char *name, DType t, const Shape *s) {
  ValId v = graph_val_new(g, name, t, s);
  graph_mark_input(g, v);
  return v;
}

ValId graph_const(Graph *g, const char *name, DType t, const Shape *s, Blob *blob) {
  ASSERT(blob != NULL && shape_is_static(s));
  ASSERT(blob_size(blob) == (size_t)shape_count(s) * dtype_size(t));
  ValId v = graph_val_new(g, name, t, s);
  g->vals[v].blob = blob;
  return v;
}

ValId graph_const_data(Graph *g, const char *name, DType t, const Shape *s, const void *data) {
  return graph_const(g, name, t, s, blob_new(data, (size_t)shape_count(s) * dtype_size(t)));
}

void graph_output(Graph *g, ValId v) {
  ASSERT(v != NO_VAL && v < g->n_vals);
  GROW(g->outputs, g->n_outputs, g->cap_outputs);
  g->outputs[g->n_outputs++] = v;
}

/* A string of a Loc, sharing the previous node's copy: most nodes come from one file. */
static const char *loc_str(Graph *g, const char *s, const char *prev) {
  if (s != NULL && prev != NULL && strcmp(s, prev) == 0) return prev;
  return arena_strdup(g->arena, s);
}

static Loc loc_copy(Graph *g, const Loc *loc) {
  static const Loc none;
  if (loc == NULL) return none;
  const Loc *prev = g->n_nodes == 0 ? &none : &g->nodes[g->n_nodes - 1].loc;
  Loc copy = *loc;
  copy.file = loc_str(g, loc->file, prev->file);
  copy.name = loc_str(g, loc->name, prev->name);
  copy.op = loc_str(g, loc->op, prev->op);
  copy.pass = loc_str(g, loc->pass, prev->pass);
  return copy;
}

void graph_set_loc(Graph *g, NodeId k, const Loc *loc) {
  ASSERT(k < g->n_nodes);
  g->nodes[k].loc = loc_copy(g, loc);
}

static bool arity_ok(const OpInfo *info, const ValId *in, uint32_t n_in, const Loc *loc, Diag *d) {
  if ((int)n_in < info->min_in || (int)n_in > info->max_in) {
    char most[16] = "";
    if (info->max_in != info->min_in) snprintf(most, sizeof most, " to %d", info->max_in);
    return diag_error(d, loc, "%s: has %u input(s), want %d%s", info->name, (unsigned)n_in, info->min_in,
                      most);
  }
  for (int i = 0; i < info->min_in; i++) {
    FAIL_IF(in[i] == NO_VAL, d, loc, "%s: input %d is left out, but is not optional", info->name, i);
  }
  return true;
}

ValId graph_node(Graph *g, OpKind op, const void *attrs, const ValId *in, uint32_t n_in, const char *name,
                 const Loc *loc, Diag *d) {
  const OpInfo *info = op_info(op);
  if (!arity_ok(info, in, n_in, loc, d)) return NO_VAL;
  for (uint32_t i = 0; i < n_in; i++) ASSERT(in[i] < g->n_vals);
  while (n_in > (uint32_t)info->min_in && in[n_in - 1] == NO_VAL) n_in--; /* one form of "left out" */

  Node n = {.op = op, .n_in = n_in, .n_out = (uint32_t)info->outs, .loc = loc_copy(g, loc)};
  n.in = arena_dup(g->arena, in, n_in * sizeof *in);
  n.attrs = arena_alloc(g->arena, info->attrs_size);
  if (attrs != NULL)
    memcpy(n.attrs, attrs, info->attrs_size);
  else
    op_attrs_default(op, n.attrs);
  n.out = arena_array(g->arena, n.n_out, sizeof *n.out);

  uint32_t n_vals = g->n_vals;
  for (uint32_t i = 0; i < n.n_out; i++) {
    n.out[i] = graph_val_new(g, name, DT_NONE, NULL);
    g->vals[n.out[i]].def = g->n_nodes;
  }
  GROW(g->nodes, g->n_nodes, g->cap_nodes);
  g->nodes[g->n_nodes++] = n;
  if (info->infer(g, &g->nodes[g->n_nodes - 1], d)) return n.out[0];
  g->n_nodes--;
  g->n_vals = n_vals;
  return NO_VAL;
}

NodeId graph_node_raw(Graph *g, const Node *n, const ValId *map) {
  Node copy = *n;
  copy.loc = loc_copy(g, &n->loc);
  copy.attrs = arena_dup(g->arena, n->attrs, op_info(n->op)->attrs_size);
  copy.in = arena_array(g->arena, n->n_in, sizeof *copy.in);
  copy.out = arena_array(g->arena, n->n_out, sizeof *copy.out);
  for (uint32_t i = 0; i < n->n_in; i++) copy.in[i] = n->in[i] == NO_VAL ? NO_VAL : map[n->in[i]];
  for (uint32_t i = 0; i < n->n_out; i++) {
    copy.out[i] = map[n->out[i]];
    g->vals[copy.out[i]].def = g->n_nodes;
  }
  GROW(g->nodes, g->n_nodes, g->cap_nodes);
  g->nodes[g->n_nodes] = copy;
  return g->n_nodes++;
}

ValId graph_node1(Graph *g, OpKind op, const void *attrs, ValId x, const char *name, const Loc *loc,
                  Diag *d) {
  return graph_node(g, op, attrs, &x, 1, name, loc, d);
}

ValId graph_node2(Graph *g, OpKind op, const void *attrs, ValId x, ValId y, const char *name, const Loc *loc,
                  Diag *d) {
  const ValId in[2] = {x, y};
  return graph_node(g, op, attrs, in, 2, name, loc, d);
}

void graph_set_quant(Graph *g, ValId v, int n, int axis, const float *scale, const int32_t *zero) {
  ASSERT(v != NO_VAL && v < g->n_vals && n >= 0);
  Quant q = {.n = n, .axis = n > 1 ? axis : 0};
  if (n > 0) {
    q.scale = arena_dup(g->arena, scale, (size_t)n * sizeof *scale);
    q.zero = arena_dup(g->arena, zero, (size_t)n * sizeof *zero);
  }
  g->vals[v].quant = q;
}

const void *val_data(const Graph *g, ValId v) {
  ASSERT(val_is_const(g, v));
  return blob_data(g->vals[v].blob);
}

size_t val_bytes(const Graph *g, ValId v) {
  return (size_t)shape_count(&g->vals[v].shape) * dtype_size(g->vals[v].dtype);
}

/* -- state -- */

void graph_mark_state(Graph *g, GraphState s) {
  GROW(g->states, g->n_states, g->cap_states);
  g->states[g->n_states++] = s;
}

ValId graph_state(Graph *g, const char *name, ValId init) {
  ASSERT(val_is_const(g, init));
  Shape s = g->vals[init].shape;
  ValId now = graph_val_new(g, name, g->vals[init].dtype, &s);
  g->vals[now].quant = g->vals[init].quant; /* the arrays live in the graph's arena */
  graph_mark_state(g, (GraphState){now, NO_VAL, init});
  return now;
}

void graph_state_next(Graph *g, ValId now, ValId next) {
  uint32_t i = 0;
  while (i < g->n_states && g->states[i].now != now) i++;
  ASSERT(i < g->n_states && next != NO_VAL);
  g->states[i].next = next;
}

bool graph_computes_reals(const Graph *g) {
  for (NodeId i = 0; i < g->n_nodes; i++) {
    const Node *n = &g->nodes[i];
    const DType t = g->vals[n->out[0]].dtype;
    const bool moves = n->op == OP_dequantize || op_info(n->op)->traits & (T_MOVE | T_VIEW);
    if ((t == DT_F32 || t == DT_F64) && !moves) return true;
  }
  return false;
}

bool graph_is_result(const Graph *g, ValId v) {
  for (uint32_t i = 0; i < g->n_outputs; i++)
    if (g->outputs[i] == v) return true;
  for (uint32_t i = 0; i < g->n_states; i++)
    if (g->states[i].next == v) return true;
  return false;
}

bool graph_want_stateless(const Graph *g, const char *what, Diag *d) {
  if (g->n_states == 0) return true;
  return diag_error(d, &(Loc){.file = g->name},
                    "the model keeps %u value%s from one run to the next; %s cannot do that",
                    (unsigned)g->n_states, g->n_states == 1 ? "" : "s", what);
}

uint32_t *graph_uses(const Graph *g, Arena *a) {
  uint32_t *uses = arena_array(a, g->n_vals, sizeof *uses);
  for (uint32_t k = 0; k < g->n_nodes; k++) {
    const Node *n = &g->nodes[k];
    for (uint32_t i = 0; i < n->n_in; i++) {
      bool seen = n->in[i] == NO_VAL;
      for (uint32_t j = 0; j < i; j++) seen = seen || n->in[j] == n->in[i];
      if (!seen) uses[n->in[i]]++;
    }
  }
  for (uint32_t i = 0; i < g->n_outputs; i++) uses[g->outputs[i]]++;
  for (uint32_t i = 0; i < g->n_states; i++) {
    uses[g->states[i].next]++;
    uses[g->states[i].init]++;
  }
  return uses;
}

enum { MACS_BITS = 50 }; /* counts saturate there, so that sums of them are defined */

static bool multiplies(const Node *n) {
  switch (n->op) {
  case OP_conv:
  case OP_depthwise_conv:
  case OP_conv_transpose:
  case OP_fully_connected:
  case OP_matmul:
  case OP_lstm:
  case OP_gru:
  case OP_rnn: return true;
  default: return false;
  }
}

int64_t node_macs(const Graph *g, const Node *n) {
  const int64_t most = (int64_t)1 << MACS_BITS;
  if (!multiplies(n)) return 0;
  const Shape *w = &g->vals[n->in[1]].shape, *x = &g->vals[n->in[0]].shape;
  int64_t outs = shape_count(&g->vals[n->out[0]].shape), each;
  switch (n->op) {
  case OP_conv: each = shape_count_range(w, 1, 4); break;           /* Kh * Kw * I/group */
  case OP_depthwise_conv: each = shape_count_range(w, 1, 3); break; /* Kh * Kw */
  case OP_fully_connected: each = w->d[1]; break;
  case OP_conv_transpose: /* each input element goes to O/group * Kh * Kw outputs */
    outs = shape_count(x);
    each = shape_count_range(w, 0, 3) / CATTRS(n, conv_transpose)->group;
    break;
  case OP_lstm: /* R [G*H,H] for each step's [N,G*H] */
  case OP_gru:
  case OP_rnn:
    outs = shape_count(x);
    each = w->d[1];
    break;
  default: each = x->d[x->rank - 1]; break;
  }
  return each > 0 && outs > most / each ? most : outs * each;
}

int64_t graph_macs(const Graph *g) {
  int64_t sum = 0;
  for (uint32_t k = 0; k < g->n_nodes && sum < (int64_t)1 << 60; k++) sum += node_macs(g, &g->nodes[k]);
  return sum;
}

int64_t graph_params(const Graph *g) {
  Arena *a = arena_new();
  bool *seen = arena_array(a, g->n_vals, sizeof *seen);
  int64_t sum = 0;
  for (uint32_t k = 0; k < g->n_nodes; k++) {
    for (uint32_t i = 0; i < g->nodes[k].n_in; i++) {
      ValId v = g->nodes[k].in[i];
      if (!val_is_const(g, v) || seen[v]) continue;
      seen[v] = true;
      sum += shape_count(&g->vals[v].shape);
    }
  }
  arena_free(a);
  return sum;
}
