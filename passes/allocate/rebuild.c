/* A pruned graph beside its original: which value and which channels each of its values has, for engine/rebuild.h. Layers in
 * thinner forms are made of solved ones, and their last factors solved anew.
 */
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
void allocate_match(const Graph *g, const Graph *small, NodeId *node) {
  bool all = g->n_nodes == small->n_nodes;
  for (NodeId k = 0, at = 0; k < small->n_nodes; k++) {
    const Node *n = &small->nodes[k];
    NodeId from = at;
    while (from < g->n_nodes &&
           (g->nodes[from].op != n->op || (!all && !same_name(graph_val(g, g->nodes[from].out[0])->name,
                                                              graph_val(small, n->out[0])->name))))
      from++;
    node[k] = from < g->n_nodes ? from : NO_NODE;
    if (from < g->n_nodes) at = from + 1;
  }
}

static void match_open(Match *m) {
  m->a = arena_new();
  m->value = arena_array(m->a, m->small->n_vals, sizeof *m->value);
  m->channels = arena_array(m->a, m->small->n_vals, sizeof *m->channels);
  m->changed = arena_array(m->a, m->small->n_vals, sizeof *m->changed);
}

static void match_nodes(Match *m, const NodeId *node) {
  const Graph *g = m->c->graph;
  for (uint32_t i = 0; i < g->n_inputs; i++) m->value[m->small->inputs[i]] = g->inputs[i];
  for (NodeId k = 0; k < m->small->n_nodes; k++) {
    const Node *n = &m->small->nodes[k];
    for (uint32_t i = 0; node[k] != NO_NODE && i < n->n_out && i < g->nodes[node[k]].n_out; i++)
      match_value(m, g->nodes[node[k]].out[i], n->out[i]);
  }
}

/* The same for the graph m->small of which some layers are several now: values between factors are none of the original's. */
static void match_factors(const Match *before, const uint32_t *extra, Match *m) {
  for (uint32_t i = 0; i < m->small->n_inputs; i++)
    m->value[m->small->inputs[i]] = before->value[before->small->inputs[i]];
  for (NodeId k = 0, at = 0; k < before->small->n_nodes; k++, at++) {
    for (uint32_t i = 0; i < extra[k]; i++, at++) m->changed[m->small->nodes[at].out[0]] = true;
    const Node *n = &before->small->nodes[k], *is = &m->small->nodes[at];
    ASSERT(n->op == is->op);
    for (uint32_t i = 0; i < n->n_out; i++) {
      m->value[is->out[i]] = before->value[n->out[i]];
      m->channels[is->out[i]] = before->channels[n->out[i]];
      m->changed[is->out[i]] = before->changed[n->out[i]];
    }
  }
}

static Graph *solve_match(const Match *m, const Graph *g, const RebuildOptions *o, const PassCtx *ctx,
                          RebuildResult *res, Diag *d) {
  const Twin t = {.original = m->c->graph,
                  .g = g,
                  .value = m->value,
                  .channels = (int32_t *const *)m->channels,
                  .changed = m->changed};
  return rebuild_graph(&t, ctx->data, o, ctx->host, res, d);
}

/* Whose statistics BatchNormalization gets without changing what is computed, for training. */
enum { FOLLOW_IMAGES = 2048 };

static Graph *finish(Graph *solved, const AllocateOptions *o, const PassCtx *ctx, Diag *d) {
  if (!solved) return NULL;
  Graph *done = o->bn_images ? reestimate_bn(solved, ctx->data, o->bn_images, ctx->host, d)
                             : follow_bn(solved, ctx->data, FOLLOW_IMAGES, ctx->host, d);
  graph_free(solved);
  return done;
}

Graph *allocate_rebuild(const Channels *c, const PrunePlan *p, const Graph *small, const AllocateOptions *o,
                        const PassCtx *ctx, RebuildResult *res, Diag *d) {
  Match m = {.c = c, .p = p, .small = small};
  match_open(&m);
  NodeId *node = arena_array(m.a, small->n_nodes, sizeof *node);
  allocate_match(c->graph, small, node);
  match_nodes(&m, node);
  Graph *solved = solve_match(&m, small, &o->rebuild, ctx, res, d);
  arena_free(m.a);
  return finish(solved, o, ctx, d);
}

/* For factors fewer images do: their last ones are solved once more, on all. */
enum { FIRST_IMAGES = 1024 };

Graph *allocate_rebuild_forms(const Channels *c, const PrunePlan *p, const Graph *small, const Forms *forms,
                              const uint32_t *form, const AllocateOptions *o, const PassCtx *ctx,
                              RebuildResult *res, Diag *d) {
  if (!forms || forms->n == 0) return allocate_rebuild(c, p, small, o, ctx, res, d);
  Match m = {.c = c, .p = p, .small = small}, t = {.c = c, .p = p};
  Grams grams = {0};
  RebuildOptions first = o->rebuild;
  if (first.images > FIRST_IMAGES) first.images = FIRST_IMAGES;
  match_open(&m);
  NodeId *node = arena_array(m.a, small->n_nodes, sizeof *node);
  uint32_t *extra = arena_array(m.a, small->n_nodes, sizeof *extra);
  allocate_match(c->graph, small, node);
  match_nodes(&m, node);
  Graph *wide = NULL, *thin = NULL, *solved = NULL;
  if (!forms_thinner(forms, form))
    thin = forms_apply(forms, form, small, node, NULL, extra, d); /* names alone */
  else if ((wide = solve_match(&m, small, &first, ctx, NULL, d)) &&
           grams_collect(wide, ctx->data, &o->grams, ctx->seed, ctx->host, &grams, d))
    thin = forms_apply(forms, form, wide, node, &grams, extra, d);
  grams_free(&grams);
  graph_free(wide);
  if (thin) {
    t.small = thin;
    match_open(&t);
    match_factors(&m, extra, &t);
    solved = solve_match(&t, thin, &o->rebuild, ctx, res, d);
    arena_free(t.a);
  }
  graph_free(thin);
  arena_free(m.a);
  return finish(solved, o, ctx, d);
}
