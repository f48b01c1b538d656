/* Importance of units by the weights that make them.
 *
 *   layer -> filters: for each unit that it makes, its rows of the weights, one behind the other, each times the
 *            BatchNormalization factor behind it (a hidden unit of an LSTM has a row of each gate's two matrices)
 *
 *   l2, l1  norm of the filter (Li et al. 2017, arXiv:1608.08710)
 *   fpgm    sum of its distances to the layer's other filters: what is near the geometric median can be
 *           done by the others (He et al. 2019, arXiv:1811.00250)
 *   bn      |scale| of the BatchNormalizations that it passes, on average (Liu et al. 2017, arXiv:1708.06519)
 *
 * Sizes of weights mean nothing between layers, so each layer's norms and distances have norm 1.
 */
#include "passes/prune_score.h"

#include <math.h>

#include "ir/base/mem.h"

/* Where the channels that layer n makes are scored: behind its BatchNormalization if nothing else reads it. */
ValId prune_scored_value(const Graph *g, const Node *n, const uint32_t *uses) {
  ValId y = n->out[0];
  for (NodeId i = 0; uses[y] == 1 && i < g->n_nodes; i++) {
    const Node *r = &g->nodes[i];
    if (r->op == OP_batch_normalization && r->in[0] == y) return r->out[0];
  }
  return y;
}

/* Axis of constant input k of a layer along which the channels lie that it makes; -1: none. */
static int row_axis(const Graph *g, const Node *n, uint32_t k) {
  const int rank = n->in[k] == NO_VAL ? 0 : graph_val(g, n->in[k])->shape.rank;
  switch (n->op) {
  case OP_conv:
  case OP_conv_transpose:
  case OP_fully_connected:
  case OP_lstm:
  case OP_gru:
  case OP_rnn: return k == 1 ? 0 : -1;
  case OP_depthwise_conv: return k == 1 ? 3 : -1;
  case OP_matmul: return !val_is_const(g, n->in[k]) ? -1 : k == 1 ? rank - 1 : rank - 2;
  case OP_seq_lstm: return k >= 3 && k < 11 ? 0 : -1;
  case OP_svdf_state: return k == 2 ? 0 : -1;
  case OP_gather: return k == 0 ? rank - 1 : -1;
  default: return -1;
  }
}

/* ---- filters of a layer */

typedef struct Filters {
  uint32_t n;      /* units that the layer makes */
  uint32_t *unit;  /* [n] */
  int64_t *length; /* [n] weights of each */
  double **w;      /* [n][length] */
} Filters;

typedef struct Rows {
  const float *w;
  const uint32_t *unit; /* [n] of the rows */
  int64_t n, inner, each;
} Rows;

/* The rows of input k that units make; false: none. */
static bool rows_of(const Channels *c, NodeId id, uint32_t k, Rows *r) {
  const Graph *g = c->graph;
  const Node *n = &g->nodes[id];
  const int axis = row_axis(g, n, k);
  if (axis < 0 || !val_is_const(g, n->in[k]) || graph_val(g, n->in[k])->dtype != DT_F32) return false;
  const Shape *s = &graph_val(g, n->in[k])->shape;
  r->unit = c->operand[id][k].axis[axis];
  r->n = s->d[axis], r->inner = shape_count_range(s, axis + 1, s->rank);
  r->each = r->n ? shape_count(s) / r->n : 0;
  r->w = val_data(g, n->in[k]);
  return r->unit != NULL;
}

/* Weight i of row k. */
static double row_at(const Rows *r, int64_t k, int64_t i) {
  return (double)r->w[(i / r->inner * r->n + k) * r->inner + i % r->inner];
}

/* Factor that the BatchNormalization behind a layer puts on channel k; 1 without one. */
static double bn_factor(const Graph *g, const Node *n, ValId scored, int64_t k) {
  if (scored == n->out[0]) return 1;
  const Node *bn = graph_def(g, scored);
  if (!val_is_const(g, bn->in[1]) || !val_is_const(g, bn->in[4])) return 1;
  if (k >= shape_count(&graph_val(g, bn->in[1])->shape)) return 1;
  const float *scale = val_data(g, bn->in[1]), *var = val_data(g, bn->in[4]);
  return fabs((double)scale[k]) / sqrt((double)var[k] + (double)CATTRS(bn, batch_normalization)->epsilon);
}

/* slot[unit] = its filter + 1. */
static void filters_count(const Channels *c, NodeId id, uint32_t *slot, Filters *f, Arena *a) {
  Rows r;
  for (uint32_t k = 0; k < c->graph->nodes[id].n_in; k++)
    for (int64_t i = 0; rows_of(c, id, k, &r) && i < r.n; i++) {
      const uint32_t u = r.unit[i];
      if (u == CHAN_FIXED) continue;
      if (slot[u] == 0) slot[u] = ++f->n, f->unit[f->n - 1] = u;
      f->length[slot[u] - 1] += r.each;
    }
  for (uint32_t i = 0; i < f->n; i++) {
    f->w[i] = arena_array(a, (size_t)f->length[i], sizeof(double));
    f->length[i] = 0;
  }
}

static Filters filters_of(const Channels *c, NodeId id, const uint32_t *uses, Arena *a) {
  const Node *n = &c->graph->nodes[id];
  const ValId scored = prune_scored_value(c->graph, n, uses);
  uint32_t *slot = arena_array(a, c->n_units, sizeof *slot);
  Filters f = {.unit = arena_array(a, c->n_units, sizeof *f.unit)};
  f.length = arena_array(a, c->n_units, sizeof *f.length);
  f.w = arena_array(a, c->n_units, sizeof *f.w);
  filters_count(c, id, slot, &f, a);
  Rows r;
  for (uint32_t k = 0; k < n->n_in; k++)
    for (int64_t i = 0; rows_of(c, id, k, &r) && i < r.n; i++) {
      if (r.unit[i] == CHAN_FIXED) continue;
      const uint32_t to = slot[r.unit[i]] - 1;
      const double factor = bn_factor(c->graph, n, scored, i);
      for (int64_t j = 0; j < r.each; j++) f.w[to][f.length[to]++] = factor * row_at(&r, i, j);
    }
  return f;
}

/* ---- scores */

static double norm_of(const Filters *f, uint32_t i, int p) {
  double sum = 0;
  for (int64_t j = 0; j < f->length[i]; j++) sum += p == 2 ? f->w[i][j] * f->w[i][j] : fabs(f->w[i][j]);
  return p == 2 ? sqrt(sum) : sum;
}

/* Weights that only one of the two has count from 0. */
static double distance(const Filters *f, uint32_t x, uint32_t y) {
  if (f->length[x] < f->length[y]) return distance(f, y, x);
  double sum = 0;
  for (int64_t j = 0; j < f->length[x]; j++) {
    const double d = f->w[x][j] - (j < f->length[y] ? f->w[y][j] : 0);
    sum += d * d;
  }
  return sqrt(sum);
}

static void distances(const Filters *f, double *out) {
  for (uint32_t x = 0; x < f->n; x++)
    for (uint32_t y = 0; y < x; y++) {
      const double d = distance(f, x, y);
      out[x] += d, out[y] += d;
    }
}

void prune_scores_weights(const Channels *c, PruneBy by, double *score) {
  Arena *all = arena_new();
  const uint32_t *uses = graph_uses(c->graph, all);
  for (uint32_t l = 0; l < c->n_layers; l++) {
    Arena *a = arena_new();
    const Filters f = filters_of(c, c->layers[l].node, uses, a);
    double *x = arena_array(a, f.n, sizeof *x), sum = 0;
    if (by == PRUNE_FPGM) distances(&f, x);
    for (uint32_t i = 0; i < f.n; i++) {
      if (by != PRUNE_FPGM) x[i] = norm_of(&f, i, by == PRUNE_L2 ? 2 : 1);
      sum += x[i] * x[i];
    }
    for (uint32_t i = 0; sum > 0 && i < f.n; i++) score[f.unit[i]] += x[i] / sqrt(sum);
    if (!(sum >= 0)) score[f.unit[0]] = NAN; /* weights that are not finite: the caller reports */
    arena_free(a);
  }
  arena_free(all);
}

/* ---- BatchNormalization */

bool prune_scores_bn(const Channels *c, double *score, Diag *d) {
  const Graph *g = c->graph;
  uint32_t *n = mem_array(c->n_units, sizeof *n);
  bool ok = true;
  for (NodeId i = 0; i < g->n_nodes; i++) {
    const Node *bn = &g->nodes[i];
    if (bn->op != OP_batch_normalization || !c->operand[i][1].axis[0]) continue;
    const float *scale = val_data(g, bn->in[1]);
    for (int64_t k = 0; k < graph_val(g, bn->in[1])->shape.d[0]; k++) {
      const uint32_t u = c->operand[i][1].axis[0][k];
      if (u != CHAN_FIXED) score[u] += fabs((double)scale[k]), n[u]++;
    }
  }
  for (uint32_t u = 0; ok && u < c->n_units; u++) {
    const ChanGroup *gr = &c->groups[c->group_of[u]];
    if (n[u] > 0) {
      score[u] /= n[u];
    } else if (gr->n > gr->least) {
      ok = diag_error(d, NULL, "prune: by=bn, but group \"%s\" passes no BatchNormalization", gr->name);
      diag_hint(d, "rank by weights (by=l2), keep the layer (keep=NAME), or prune before bnfuse");
    }
  }
  mem_free(n);
  return ok;
}
