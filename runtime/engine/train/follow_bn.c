/* BatchNormalization whose running statistics are those of what it reads, without changing what it computes:
 *
 *   scale' = scale sqrt(v' + eps) / sqrt(v + eps),   bias' = bias + scale (m' - m) / sqrt(v + eps)
 *
 * m, v: as they were; m', v': measured, by the graph as it stands. Layers that were solved by least squares vary less than
 * those that they stand for, so that their running statistics are not theirs; training, which normalizes by the batch's,
 * would begin with another function, and estimating anew (reestimate_bn) would be one.
 */
#include <math.h>

#include "ir/base/mem.h"
#include "runtime/engine/engine.h"

typedef struct Norms {
  const Graph *g;
  NodeId *node;
  ValId *reads;
  Moments *m;
  int n;
} Norms;

/* Of constants that nothing else reads, over the innermost axis. */
static bool can_follow(const Graph *g, const Node *n, const uint32_t *uses) {
  if (n->op != OP_batch_normalization) return false;
  for (int i = 1; i < 5; i++)
    if (!val_is_const(g, n->in[i]) || uses[n->in[i]] != 1) return false;
  return CATTRS(n, batch_normalization)->axis == graph_val(g, n->in[0])->shape.rank - 1;
}

static void find_norms(Norms *f, Arena *a) {
  const Graph *g = f->g;
  const uint32_t *uses = graph_uses(g, a);
  f->node = arena_array(a, g->n_nodes, sizeof *f->node);
  f->reads = arena_array(a, g->n_nodes, sizeof *f->reads);
  f->m = arena_array(a, g->n_nodes, sizeof *f->m);
  for (NodeId k = 0; k < g->n_nodes; k++) {
    const Node *n = &g->nodes[k];
    if (!can_follow(g, n, uses)) continue;
    const int64_t c = shape_count(&graph_val(g, n->in[1])->shape);
    f->node[f->n] = k, f->reads[f->n] = n->in[0];
    f->m[f->n++] =
        (Moments){c, arena_array(a, (size_t)c, sizeof(double)), arena_array(a, (size_t)c, sizeof(double))};
  }
}

static void put(Graph *g, ValId v, float *x, int64_t n) {
  blob_unref(g->vals[v].blob);
  g->vals[v].blob = blob_adopt(x, (size_t)n * sizeof *x);
}

static void follow(Graph *g, const Node *n, const Moments *m) {
  const float *p[4];
  float *to[4];
  const double eps = (double)CATTRS(n, batch_normalization)->epsilon;
  for (int i = 0; i < 4; i++) {
    p[i] = val_data(g, n->in[i + 1]);
    to[i] = mem_alloc_aligned((size_t)m->channels * sizeof **to, 64);
  }
  for (int64_t c = 0; c < m->channels; c++) {
    const double slope = (double)p[0][c] / sqrt((double)p[3][c] + eps);
    to[0][c] = (float)(slope * sqrt(m->variance[c] + eps));
    to[1][c] = (float)((double)p[1][c] + slope * (m->mean[c] - (double)p[2][c]));
    to[2][c] = (float)m->mean[c];
    to[3][c] = (float)m->variance[c];
  }
  for (int i = 0; i < 4; i++) put(g, n->in[i + 1], to[i], m->channels);
}

Graph *follow_bn(const Graph *g, const Dataset *ds, uint32_t n, const Host *host, Diag *d) {
  Arena *a = arena_new();
  Norms f = {.g = g};
  find_norms(&f, a);
  Graph *out = f.n == 0 || collect_moments(g, ds, n, host, f.reads, f.n, f.m, d) ? graph_clone(g) : NULL;
  for (int i = 0; out && i < f.n; i++) follow(out, &out->nodes[f.node[i]], &f.m[i]);
  arena_free(a);
  return out;
}
