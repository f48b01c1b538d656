/* Weights of 4 bits as int8: the same graph for who does not know them. */
#include "ir/graph.h"

static bool has_int4(const Graph *g, const Node *n) {
  return (n->op == OP_conv || n->op == OP_fully_connected) && val_is_const(g, n->in[1]) &&
         graph_val(g, n->in[1])->dtype == DT_I4;
}

/* The constant as i8, made at its first use. */
static ValId wide(Rewrite *r, ValId v, ValId *made) {
  const Value *w = graph_val(r->from, v);
  if (*made == NO_VAL) {
    *made = graph_const(r->to, w->name, DT_I8, &w->shape, blob_ref(w->blob)); /* a byte each already */
    graph_set_quant(r->to, *made, w->quant.n, w->quant.axis, w->quant.scale, w->quant.zero);
  }
  return *made;
}

static bool widen_node(Rewrite *r, const Node *n, ValId *made, Diag *d) {
  if (!has_int4(r->from, n)) return rewrite_copy(r, n, d);
  const ValId kept = r->map[n->in[1]];
  r->map[n->in[1]] = wide(r, n->in[1], &made[n->in[1]]);
  const bool ok = rewrite_copy(r, n, d);
  r->map[n->in[1]] = kept;
  return ok;
}

Graph *graph_widen_int4(const Graph *g, Diag *d) {
  Rewrite r;
  Arena *a = arena_new();
  ValId *made = arena_array(a, g->n_vals, sizeof *made);
  rewrite_begin(&r, g, NULL);
  bool ok = true;
  for (NodeId k = 0; ok && k < g->n_nodes; k++) ok = widen_node(&r, &g->nodes[k], made, d);
  arena_free(a);
  return rewrite_end(&r, ok, d);
}
