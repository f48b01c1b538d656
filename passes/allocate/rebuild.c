/* A pruned graph beside its original: which value and which channels each of its values has, for engine/rebuild.h. */
#include <string.h>

#include "ir/base/mem.h"
#include "passes/allocate/allocate.h"

typedef struct Match {
  const Channels *c;
  const PrunePlan *p;
  const Graph *small;
  Arena *a;
  ValId *value;
  int32_t **channels;
  bool *changed;
} Match;

static bool same_name(const char *a, const char *b) { return a == b || (a && b && strcmp(a, b) == 0); }

/* Channels of the original's value v that are there still. */
static void match_value(Match *m, ValId v, ValId small) {
  const Graph *g = m->c->graph;
  const uint32_t *unit = m->c->unit[v];
  uint32_t n = unit ? channels_extent(m->c, v) : 0, kept = 0;
  int32_t *of = arena_array(m->a, n, sizeof *of);
  m->value[small] = v;
  for (uint32_t i = 0; i < n; i++)
    if (unit[i] == CHAN_FIXED || m->p->keep[unit[i]]) of[kept++] = (int32_t)i;
  if (kept == n) return;
  m->changed[small] = true;
  m->channels[small] = of;
  if (m->c->axis[v] != graph_val(g, v)->shape.rank - 1) m->value[small] = NO_VAL;
}

/* Nodes of the small graph are the original's in their order; where some are gone, by operator and name. */
static void match_nodes(Match *m) {
  const Graph *g = m->c->graph;
  for (uint32_t i = 0; i < g->n_inputs; i++) m->value[m->small->inputs[i]] = g->inputs[i];
  bool all = g->n_nodes == m->small->n_nodes;
  for (NodeId k = 0, at = 0; k < m->small->n_nodes; k++) {
    const Node *n = &m->small->nodes[k];
    NodeId from = at;
    while (from < g->n_nodes &&
           (g->nodes[from].op != n->op || (!all && !same_name(graph_val(g, g->nodes[from].out[0])->name,
                                                              graph_val(m->small, n->out[0])->name))))
      from++;
    if (from == g->n_nodes) continue;
    for (uint32_t i = 0; i < n->n_out && i < g->nodes[from].n_out; i++)
      match_value(m, g->nodes[from].out[i], n->out[i]);
    at = from + 1;
  }
}

/* Whose statistics BatchNormalization gets without changing what is computed, for training. */
enum { FOLLOW_IMAGES = 2048 };

Graph *allocate_rebuild(const Channels *c, const PrunePlan *p, const Graph *small, const AllocateOptions *o,
                        const PassCtx *ctx, RebuildResult *res, Diag *d) {
  Match m = {.c = c, .p = p, .small = small, .a = arena_new()};
  m.value = arena_array(m.a, small->n_vals, sizeof *m.value);
  m.channels = arena_array(m.a, small->n_vals, sizeof *m.channels);
  m.changed = arena_array(m.a, small->n_vals, sizeof *m.changed);
  match_nodes(&m);
  const Twin t = {.original = c->graph,
                  .g = small,
                  .value = m.value,
                  .channels = (int32_t *const *)m.channels,
                  .changed = m.changed};
  Graph *solved = rebuild_graph(&t, ctx->data, &o->rebuild, ctx->host, res, d);
  arena_free(m.a);
  if (!solved) return NULL;
  Graph *done = o->bn_images ? reestimate_bn(solved, ctx->data, o->bn_images, ctx->host, d)
                             : follow_bn(solved, ctx->data, FOLLOW_IMAGES, ctx->host, d);
  graph_free(solved);
  return done;
}
