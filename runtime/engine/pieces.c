/* See pieces.h. */
#include "runtime/engine/pieces.h"

#include <string.h>

#include "ir/base/mem.h"
#include "runtime/engine/feed.h"

/* ---- where a graph narrows */

/* last[v]: the last node that reads v (n_nodes: a result); 0 for values that depend on constants alone. */
static uint32_t *last_reads(const Graph *g, Arena *a, const bool *fixed) {
  uint32_t *last = arena_array(a, g->n_vals, sizeof *last);
  for (NodeId k = 0; k < g->n_nodes; k++)
    for (uint32_t i = 0; i < g->nodes[k].n_in; i++)
      if (g->nodes[k].in[i] != NO_VAL && !fixed[g->nodes[k].in[i]]) last[g->nodes[k].in[i]] = k;
  for (uint32_t i = 0; i < g->n_outputs; i++)
    if (!fixed[g->outputs[i]]) last[g->outputs[i]] = g->n_nodes;
  return last;
}

static bool *depends_on_constants(const Graph *g, Arena *a) {
  bool *fixed = arena_array(a, g->n_vals, sizeof *fixed);
  for (ValId v = 1; v < g->n_vals; v++) fixed[v] = val_is_const(g, v);
  for (NodeId k = 0; k < g->n_nodes; k++) {
    const Node *n = &g->nodes[k];
    bool all = true;
    for (uint32_t i = 0; i < n->n_in; i++) all &= n->in[i] == NO_VAL || fixed[n->in[i]];
    for (uint32_t i = 0; i < n->n_out; i++) fixed[n->out[i]] = all;
  }
  return fixed;
}

static bool by_example(const Graph *g, ValId v) {
  const Value *x = graph_val(g, v), *in = graph_val(g, g->inputs[0]);
  return x->dtype == DT_F32 && x->shape.rank > 1 && x->shape.d[0] == in->shape.d[0];
}

ValId *graph_narrows(const Graph *g, Arena *a) {
  bool *fixed = depends_on_constants(g, a);
  uint32_t *last = last_reads(g, a, fixed);
  ValId *next = arena_array(a, g->n_nodes, sizeof *next), at = g->inputs[0];
  uint32_t live = 1; /* values made before node k and read at or behind it */
  for (NodeId k = 0; k < g->n_nodes; k++) {
    const Node *n = &g->nodes[k];
    next[k] = at;
    for (uint32_t i = 0; i < n->n_in; i++) {
      bool twice = false;
      for (uint32_t j = 0; j < i; j++) twice |= n->in[j] == n->in[i];
      if (n->in[i] != NO_VAL && !fixed[n->in[i]] && last[n->in[i]] == k && !twice) live--;
    }
    for (uint32_t i = 0; i < n->n_out; i++) live += !fixed[n->out[i]] && last[n->out[i]] > k;
    if (live == 1 && n->n_out == 1 && !fixed[n->out[0]] && last[n->out[0]] > k && by_example(g, n->out[0]))
      at = n->out[0];
  }
  return next;
}

/* ---- kept examples */

void kept_free(Kept *k) {
  mem_free(k->x);
  *k = (Kept){0};
}

static int64_t item_of(const Graph *g, ValId v) {
  const Shape *s = &graph_val(g, v)->shape;
  return shape_count_range(s, 1, s->rank);
}

uint32_t kept_examples(const Graph *g, uint32_t n, int64_t most) {
  int64_t item = item_of(g, g->inputs[0]), fit = item > 0 ? most / item : n;
  return fit >= n ? n : fit > 1 ? (uint32_t)fit : 1;
}

bool kept_input(const Graph *g, const Dataset *ds, uint32_t n, int64_t most, int threads, Kept *out,
                Diag *d) {
  *out = (Kept){.v = g->inputs[0], .n = n < ds->train.n ? n : ds->train.n, .most = most};
  if (out->n > 0) out->n = kept_examples(g, out->n, most);
  FAIL_IF(out->n == 0, d, NULL, "calibration examples are needed");
  SessionOptions so = {.batch = 1, .threads = threads};
  Session *s = session_new(g, &so, d);
  Feed f = {0};
  bool ok = s && feed_new(&f, s, &ds->train, &ds->spec.normalize, d);
  if (ok) {
    out->item = shape_count_range(session_input_shape(s), 1, session_input_shape(s)->rank);
    out->x = mem_array((size_t)out->n * (size_t)out->item, sizeof *out->x);
    for (uint32_t i = 0; i < out->n; i += 256)
      feed_batch(&f, NULL, NULL, i, (int)(out->n - i < 256 ? out->n - i : 256), out->x + i * out->item);
  }
  if (f.pool) feed_free(&f);
  session_free(s);
  return ok;
}

/* ---- pieces */

/* Nodes on the way from `from` to `to`. */
static bool *wanted_nodes(const Graph *g, ValId from, ValId to, Arena *a) {
  bool *value = arena_array(a, g->n_vals, sizeof *value), *node = arena_array(a, g->n_nodes, sizeof *node);
  value[to] = true;
  for (NodeId k = g->n_nodes; k-- > 0;) {
    const Node *n = &g->nodes[k];
    for (uint32_t i = 0; i < n->n_out; i++) node[k] |= value[n->out[i]] && n->out[i] != from;
    for (uint32_t i = 0; node[k] && i < n->n_in; i++)
      if (n->in[i] != NO_VAL) value[n->in[i]] = true;
  }
  return node;
}

static Graph *piece_graph(const Graph *g, ValId from, ValId to, ValId *out, Diag *d) {
  Arena *a = arena_new();
  const bool *node = wanted_nodes(g, from, to, a);
  const Value *x = graph_val(g, from);
  Rewrite r = {.from = g, .to = graph_new_like(g), .map = arena_array(a, g->n_vals, sizeof(ValId))};
  r.map[from] = graph_input(r.to, x->name, x->dtype, &x->shape);
  bool ok = true;
  for (NodeId k = 0; ok && k < g->n_nodes; k++)
    if (node[k]) ok = rewrite_copy(&r, &g->nodes[k], d);
  if (ok) graph_output(r.to, *out = r.map[to]);
  arena_free(a);
  if (ok) return r.to;
  graph_free(r.to);
  return NULL;
}

bool piece_open(Piece *p, const Graph *g, const Kept *from, ValId to, Threads *pool, Diag *d) {
  *p = (Piece){.from = from, .to = to};
  if (to == from->v) return true;
  p->g = piece_graph(g, from->v, to, &p->out, d);
  TRY(p->g);
  OpKind last = graph_def(p->g, p->out)->op;
  /* A session would take a last Softmax off. */
  SessionOptions so = {
      .batch = PIECE_BATCH, .threads = threads_count(pool), .keep = last == OP_softmax || last == OP_reshape};
  p->s = session_new_on(p->g, &so, pool, d);
  return p->s != NULL;
}

void piece_close(Piece *p) {
  session_free(p->s);
  graph_free(p->g);
  *p = (Piece){0};
}

const float *piece_run(Piece *p, uint32_t first, int n) {
  const float *x = p->from->x + first * p->from->item;
  if (!p->s) return x;
  const float *y = session_forward(p->s, x, n, false);
  return p->s->opt.keep ? session_activation(p->s, p->out) : y;
}

bool kept_advance(Kept *k, const Graph *g, ValId v, Threads *pool, Diag *d) {
  if (v == k->v || item_of(g, v) * k->n > k->most) return true;
  Piece p;
  bool ok = piece_open(&p, g, k, v, pool, d);
  if (ok) {
    Kept to = {.v = v, .n = k->n, .most = k->most, .item = session_item(p.s, p.out)};
    to.x = mem_array((size_t)to.n * (size_t)to.item, sizeof *to.x);
    for (uint32_t i = 0; i < k->n; i += PIECE_BATCH) {
      int n = k->n - i < PIECE_BATCH ? (int)(k->n - i) : PIECE_BATCH;
      memcpy(to.x + i * to.item, piece_run(&p, i, n), (size_t)n * (size_t)to.item * sizeof *to.x);
    }
    piece_close(&p);
    kept_free(k);
    *k = to;
    return true;
  }
  piece_close(&p);
  return false;
}
