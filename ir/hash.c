/* graph_hash: what a graph means, in 128 bits. Key of the step cache, so equal hashes must mean equal results.
 *
 * Hashed: the inputs in order (dtype, shape, quantization), the nodes that some output needs in order (operator by
 * name, attributes, inputs, outputs with dtype, shape, quantization), the outputs in order; of states initial and present value before the nodes, the next one behind. A value is named by the
 * number of its first appearance in this walk, a constant by its content at its first appearance. Names, locations,
 * value ids, unused constants and dead nodes do not count. The operator's name is hashed, not its enum, so that a new
 * row in ops.def leaves all hashes as they are.
 */
#include "ir/base/mem.h"
#include "ir/graph.h"

typedef struct Walk {
  const Graph *g;
  Hasher *h;
  uint64_t *number; /* per value; 0: not seen yet */
  uint64_t next;
} Walk;

static void hash_type(Hasher *h, const Value *v) {
  hasher_str(h, dtype_name(v->dtype));
  hasher_u64(h, (uint64_t)v->shape.rank);
  for (int i = 0; i < v->shape.rank; i++) hasher_u64(h, (uint64_t)v->shape.d[i]);
  hasher_u64(h, (uint64_t)v->quant.n);
  if (v->quant.n == 0) return;
  hasher_u64(h, v->quant.n > 1 ? (uint64_t)v->quant.axis : 0);
  hasher_bytes(h, v->quant.scale, (size_t)v->quant.n * sizeof *v->quant.scale);
  hasher_bytes(h, v->quant.zero, (size_t)v->quant.n * sizeof *v->quant.zero);
}

static void hash_val(Walk *w, ValId v) {
  if (v == NO_VAL || w->number[v] != 0) {
    hasher_u64(w->h, v == NO_VAL ? 0 : w->number[v]);
    return;
  }
  w->number[v] = w->next++;
  hasher_u64(w->h, w->number[v]);
  hash_type(w->h, &w->g->vals[v]);
  hasher_u64(w->h, w->g->vals[v].blob != NULL);
  if (w->g->vals[v].blob != NULL) hasher_hash(w->h, blob_hash(w->g->vals[v].blob));
}

/* live[k]: some output needs node k. */
static bool *live_nodes(const Graph *g) {
  bool *val = mem_array(g->n_vals, sizeof *val), *node = mem_array(g->n_nodes, sizeof *node);
  for (uint32_t i = 0; i < g->n_outputs; i++) val[g->outputs[i]] = true;
  for (uint32_t i = 0; i < g->n_states; i++) val[g->states[i].next] = true;
  for (uint32_t k = g->n_nodes; k-- > 0;) {
    const Node *n = &g->nodes[k];
    for (uint32_t i = 0; i < n->n_out; i++) node[k] = node[k] || val[n->out[i]];
    for (uint32_t i = 0; i < n->n_in && node[k]; i++) val[n->in[i]] = true;
  }
  mem_free(val);
  return node;
}

Hash graph_hash(const Graph *g) {
  Walk w = {.g = g, .h = hasher_new(), .next = 1};
  w.number = mem_array(g->n_vals, sizeof *w.number);
  bool *live = live_nodes(g);
  hasher_str(w.h, "mistify graph 1");
  hasher_u64(w.h, g->n_inputs);
  for (uint32_t i = 0; i < g->n_inputs; i++) hash_val(&w, g->inputs[i]);
  for (uint32_t i = 0; i < g->n_states; i++) {
    hasher_str(w.h, "state");
    hash_val(&w, g->states[i].init);
    hash_val(&w, g->states[i].now);
  }
  for (uint32_t k = 0; k < g->n_nodes; k++) {
    const Node *n = &g->nodes[k];
    if (!live[k]) continue;
    hasher_str(w.h, op_info(n->op)->name);
    op_attrs_hash(n->op, n->attrs, w.h);
    hasher_u64(w.h, n->n_in);
    for (uint32_t i = 0; i < n->n_in; i++) hash_val(&w, n->in[i]);
    for (uint32_t i = 0; i < n->n_out; i++) hash_val(&w, n->out[i]);
  }
  hasher_u64(w.h, g->n_outputs);
  for (uint32_t i = 0; i < g->n_outputs; i++) hash_val(&w, g->outputs[i]);
  for (uint32_t i = 0; i < g->n_states; i++) hash_val(&w, g->states[i].next);
  mem_free(live);
  mem_free(w.number);
  return hasher_done(w.h);
}
