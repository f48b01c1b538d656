/* Copying graphs: Rewrite (the value map that every pass works through), clones, and changes of the batch.
 *
 *   from:  inputs -> n0 -> n1 -> ...          walk in order; copy, replace or leave out each node
 *                     |     |
 *   map:              v     v                 map[old value] = new value
 *   to:    inputs -> n0' ---+--> ...          rewrite_end: outputs through the map, then keep what they need
 *
 * What no output needs is dropped at the end by one backward sweep, so that a pass never removes anything itself.
 * Inputs always stay: they are the model's interface.
 */
#include <string.h>

#include "ir/base/mem.h"
#include "ir/graph.h"

/* -- raw copies: no inference, everything as it stands -- */

static ValId copy_val(Graph *to, const Graph *from, ValId v) {
  const Value *x = &from->vals[v];
  ValId id;
  if (x->blob != NULL)
    id = graph_const(to, x->name, x->dtype, &x->shape, blob_ref(x->blob));
  else
    id = graph_val_new(to, x->name, x->dtype, &x->shape);
  graph_set_quant(to, id, x->quant.n, x->quant.axis, x->quant.scale, x->quant.zero);
  return id;
}

/* The values and nodes marked live, in their order; graph inputs and outputs. NULL: all. */
static Graph *copy_graph(const Graph *from, const bool *live_val, const bool *live_node) {
  Graph *to = graph_new_like(from);
  ValId *map = mem_array(from->n_vals, sizeof *map);
  for (ValId v = 1; v < from->n_vals; v++) {
    if (live_val == NULL || live_val[v]) map[v] = copy_val(to, from, v);
  }
  for (uint32_t k = 0; k < from->n_nodes; k++) {
    if (live_node == NULL || live_node[k]) graph_node_raw(to, &from->nodes[k], map);
  }
  for (uint32_t i = 0; i < from->n_inputs; i++) graph_mark_input(to, map[from->inputs[i]]);
  for (uint32_t i = 0; i < from->n_outputs; i++) graph_output(to, map[from->outputs[i]]);
  for (uint32_t i = 0; i < from->n_states; i++) {
    const GraphState *s = &from->states[i];
    graph_mark_state(to, (GraphState){map[s->now], map[s->next], map[s->init]});
  }
  mem_free(map);
  return to;
}

Graph *graph_clone(const Graph *g) { return copy_graph(g, NULL, NULL); }

static Graph *copy_live(const Graph *g) {
  bool *val = mem_array(g->n_vals, sizeof *val), *node = mem_array(g->n_nodes, sizeof *node);
  for (uint32_t i = 0; i < g->n_inputs; i++) val[g->inputs[i]] = true;
  for (uint32_t i = 0; i < g->n_outputs; i++) val[g->outputs[i]] = true;
  for (uint32_t i = 0; i < g->n_states; i++)
    val[g->states[i].now] = val[g->states[i].next] = val[g->states[i].init] = true;
  for (uint32_t k = g->n_nodes; k-- > 0;) {
    const Node *n = &g->nodes[k];
    for (uint32_t i = 0; i < n->n_out; i++) node[k] = node[k] || val[n->out[i]];
    if (!node[k]) continue;
    for (uint32_t i = 0; i < n->n_out; i++) val[n->out[i]] = true;
    for (uint32_t i = 0; i < n->n_in; i++) val[n->in[i]] = true;
  }
  Graph *copy = copy_graph(g, val, node);
  mem_free(val);
  mem_free(node);
  return copy;
}

/* -- Rewrite -- */

static void copy_quant(Graph *to, ValId id, const Quant *q) {
  graph_set_quant(to, id, q->n, q->axis, q->scale, q->zero);
}

void rewrite_begin(Rewrite *r, const Graph *from, const char *pass) {
  *r = (Rewrite){.from = from, .to = graph_new_like(from), .pass = pass};
  r->map = mem_array(from->n_vals, sizeof *r->map);
  for (uint32_t i = 0; i < from->n_inputs; i++) {
    const Value *x = &from->vals[from->inputs[i]];
    ValId id = graph_input(r->to, x->name, x->dtype, &x->shape);
    copy_quant(r->to, id, &x->quant);
    r->map[from->inputs[i]] = id;
  }
  for (uint32_t i = 0; i < from->n_states; i++) {
    const GraphState *s = &from->states[i];
    r->map[s->now] = graph_state(r->to, from->vals[s->now].name, rewrite_val(r, s->init));
  }
}

ValId rewrite_val(Rewrite *r, ValId old) {
  if (old == NO_VAL) return NO_VAL;
  if (r->map[old] == NO_VAL && val_is_const(r->from, old)) r->map[old] = copy_val(r->to, r->from, old);
  ASSERT(r->map[old] != NO_VAL); /* a pass dropped a node whose value is still read */
  return r->map[old];
}

Loc rewrite_loc(const Rewrite *r, const Node *n) {
  Loc loc = n->loc;
  if (r->pass != NULL) loc.pass = r->pass;
  return loc;
}

bool rewrite_copy_as(Rewrite *r, const Node *n, const void *attrs, Diag *d) {
  ValId *in = mem_array(n->n_in, sizeof *in);
  for (uint32_t i = 0; i < n->n_in; i++) in[i] = rewrite_val(r, n->in[i]);
  ValId out = graph_node(r->to, n->op, attrs, in, n->n_in, NULL, &n->loc, d);
  mem_free(in);
  if (out == NO_VAL) return false;
  const Node *copy = &r->to->nodes[r->to->n_nodes - 1];
  bool follows = (op_info(n->op)->traits & (T_VIEW | T_MOVE)) != 0;
  for (uint32_t i = 0; i < n->n_out; i++) {
    const Value *old = &r->from->vals[n->out[i]];
    Value *v = &r->to->vals[copy->out[i]];
    v->name = arena_strdup(r->to->arena, old->name);
    if (old->quant.n > 0 && !(follows && v->quant.n > 0)) copy_quant(r->to, copy->out[i], &old->quant);
    r->map[n->out[i]] = copy->out[i];
  }
  return true;
}

Graph *graph_with_output(const Graph *g, uint32_t o) {
  Graph *all = graph_clone(g);
  all->outputs[0] = all->outputs[o];
  all->n_outputs = 1;
  Graph *done = copy_live(all);
  graph_free(all);
  return done;
}

Graph *graph_with_outputs(const Graph *g, uint32_t n) {
  Graph *all = graph_clone(g);
  all->n_outputs = n;
  Graph *done = copy_live(all);
  graph_free(all);
  return done;
}

bool rewrite_copy(Rewrite *r, const Node *n, Diag *d) { return rewrite_copy_as(r, n, n->attrs, d); }

Graph *rewrite_end(Rewrite *r, bool ok, Diag *d) {
  Graph *done = NULL;
  (void)d; /* every failure was reported where it happened */
  if (ok) {
    for (uint32_t i = 0; i < r->from->n_outputs; i++)
      graph_output(r->to, rewrite_val(r, r->from->outputs[i]));
    for (uint32_t i = 0; i < r->from->n_states; i++)
      r->to->states[i].next = rewrite_val(r, r->from->states[i].next);
    done = copy_live(r->to);
  }
  graph_free(r->to);
  mem_free(r->map);
  *r = (Rewrite){0};
  return done;
}

/* -- the batch -- */

/* Does the Reshape keep its first dimension, the fixed batch b? Then its shape with -1 in front goes to *a. */
static bool reshape_keeps_batch(const Graph *g, const Node *n, int64_t b, reshape_attrs *a) {
  const Shape *in = &g->vals[n->in[0]].shape, *out = &g->vals[n->out[0]].shape;
  if (in->rank < 1 || out->rank < 1 || in->d[0] != b || out->d[0] != b) return false;
  if (shape_count_range(in, 1, in->rank) != shape_count_range(out, 1, out->rank)) return false;
  a->shape.n = out->rank;
  a->shape.v[0] = -1;
  for (int i = 1; i < out->rank; i++) a->shape.v[i] = out->d[i];
  return true;
}

/* Copy a node into a graph whose batch is symbolic where it was b. */
static bool copy_unbound(Rewrite *r, const Node *n, int64_t b, Diag *d) {
  const ValId x = rewrite_val(r, n->in[0]); /* may copy a constant: moves r->to->vals */
  const bool batched = !shape_is_static(&r->to->vals[x].shape);
  if (batched && n->op == OP_reshape) {
    reshape_attrs a = *CATTRS(n, reshape);
    reshape_keeps_batch(r->from, n, b, &a); /* else inference refuses */
    return rewrite_copy_as(r, n, &a, d);
  }
  if (batched && n->op == OP_slice) {
    slice_attrs a = *CATTRS(n, slice);
    if (a.starts.v[0] == 0 && a.steps.v[0] == 1 && a.counts.v[0] == b) a.counts.v[0] = -1;
    return rewrite_copy_as(r, n, &a, d);
  }
  return rewrite_copy(r, n, d);
}

/* The fixed batch that all inputs share, DIM_BATCH, or 0 when no input has one. */
static bool find_batch(const Graph *g, int64_t *batch, Diag *d) {
  *batch = 0;
  for (uint32_t i = 0; i < g->n_inputs; i++) {
    if (!shape_is_static(&g->vals[g->inputs[i]].shape)) *batch = DIM_BATCH;
  }
  for (uint32_t i = 0; i < g->n_inputs && *batch != DIM_BATCH; i++) {
    const Value *x = &g->vals[g->inputs[i]];
    const Loc loc = {.file = g->name, .name = x->name};
    if (x->shape.rank == 0) continue;
    if (*batch == 0) *batch = x->shape.d[0];
    FAIL_IF(x->shape.d[0] != *batch, d, &loc,
            "inputs start with %lld and %lld: there is no common batch that could be changed",
            (long long)*batch, (long long)x->shape.d[0]);
  }
  return true;
}

static Graph *replace_batch(const Graph *g, int64_t from, int64_t to, Diag *d) {
  Rewrite r;
  bool ok = true;
  rewrite_begin(&r, g, NULL);
  for (uint32_t i = 0; i < r.to->n_inputs; i++) {
    Shape *s = &r.to->vals[r.to->inputs[i]].shape;
    if (s->rank > 0 && s->d[0] == from) s->d[0] = to;
  }
  for (uint32_t k = 0; k < g->n_nodes && ok; k++) {
    ok = from == DIM_BATCH ? rewrite_copy(&r, &g->nodes[k], d) : copy_unbound(&r, &g->nodes[k], from, d);
  }
  if (!ok && from != DIM_BATCH) {
    diag_hint(d, "the model's batch is fixed at %lld, and this operator mixes its items", (long long)from);
  }
  return rewrite_end(&r, ok, d);
}

Graph *graph_with_batch(const Graph *g, int64_t n, Diag *d) {
  const Loc loc = {.file = g->name};
  int64_t old;
  if (n != DIM_BATCH && (n < 1 || n > INT32_MAX)) {
    diag_error(d, &loc, "batch of %lld, want 1 to %lld", (long long)n, (long long)INT32_MAX);
    return NULL;
  }
  if (!find_batch(g, &old, d)) return NULL;
  if (old == n || old == 0) return graph_clone(g);
  if (!graph_want_stateless(g, "a change of the batch", d)) return NULL;
  if (old == DIM_BATCH) return replace_batch(g, DIM_BATCH, n, d);
  Graph *symbolic = replace_batch(g, old, DIM_BATCH, d); /* inference proves that no operator mixes items */
  if (symbolic == NULL || n == DIM_BATCH) return symbolic;
  Graph *bound = replace_batch(symbolic, DIM_BATCH, n, d);
  graph_free(symbolic);
  return bound;
}
