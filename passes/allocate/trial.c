/* Trials: the whole graph with one group narrower, so that the table's errors, which take positions as independent and
 * layers as linear, are scaled to what happens. Behind a pool over positions errors of all positions add up: there the
 * computed error of a ResNet's last block is a tenth of the measured one.
 */
#include <string.h>

#include "ir/base/mem.h"
#include "passes/allocate/table.h"

/* BatchNormalization right behind v, which nothing else reads, with a mean of its own; NULL. */
static const Node *norm_behind(const Graph *g, ValId v) {
  Arena *a = arena_new();
  const uint32_t *uses = graph_uses(g, a);
  const Node *found = NULL;
  for (NodeId k = 0; uses[v] == 1 && k < g->n_nodes; k++) {
    const Node *n = &g->nodes[k];
    if (n->op == OP_batch_normalization && n->in[0] == v && val_is_const(g, n->in[3]) && uses[n->in[3]] == 1)
      found = n;
  }
  arena_free(a);
  return found;
}

bool trial_has_constant(const Layer *l) { return l->bias || norm_behind(l->g, l->n->out[0]); }

static float *edit(Graph *g, ValId v) {
  Value *x = graph_val(g, v);
  size_t n = (size_t)shape_count(&x->shape) * sizeof(float);
  float *copy = memcpy(mem_alloc_aligned(n, 64), val_data(g, v), n);
  blob_unref(x->blob);
  x->blob = blob_adopt(copy, n);
  return copy;
}

static void put_layer(Graph *g, const TrialLayer *t) {
  const Layer *l = t->l;
  const Node *bn = l->bias ? NULL : norm_behind(g, l->n->out[0]);
  float *w = edit(g, l->n->in[1]), *b = l->bias ? edit(g, l->n->in[2]) : bn ? edit(g, bn->in[3]) : NULL;
  for (int64_t k = 0; k < l->outs; k++) {
    double constant = t->w[l->taps * l->outs + k];
    for (int64_t u = 0; u < l->taps; u++)
      *layer_weight(l, w, NULL, t->system, u, k) = (float)t->w[u * l->outs + k];
    if (b) b[t->system * l->outs + k] += (float)(l->bias ? constant : -constant);
  }
}

bool trial_divergence(const Judge *j, const Graph *g, const TrialLayer *layers, uint32_t n, double *out,
                      Diag *d) {
  Graph *trial = graph_clone(g); /* same ids */
  Divergence v;
  for (uint32_t i = 0; i < n; i++) put_layer(trial, &layers[i]);
  bool ok = judge_graph(j, trial, &v, d);
  *out = v.value;
  graph_free(trial);
  return ok;
}
