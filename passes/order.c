/* Channels in another order; see order.h.
 *
 * Constants alone change: along an axis the k-th entry of unit u becomes the k-th entry of unit place[u]. What moves elements
 * without computing (Slice, Gather by constant indices, Reshape ...) needs no change, as it moves whole units: entry i of its
 * output has the unit of the entry that it reads, before and after.
 */
#include "passes/order.h"

#include <string.h>

#include "ir/base/mem.h"
#include "ir/family.h"

/* ---- axes */

typedef bool AxisFn(void *ctx, const uint32_t *unit, int64_t extent);

/* Every axis with units: of values, and of constants as nodes read them; until fn says false. */
static bool each_axis(const Channels *c, AxisFn *fn, void *ctx) {
  const Graph *g = c->graph;
  for (ValId v = 1; v < g->n_vals; v++)
    for (int a = 0; a < graph_val(g, v)->shape.rank; a++)
      if (c->along[v].axis[a]) TRY(fn(ctx, c->along[v].axis[a], graph_val(g, v)->shape.d[a]));
  for (NodeId k = 0; k < g->n_nodes; k++)
    for (uint32_t i = 0; i < g->nodes[k].n_in; i++) {
      const ValId v = g->nodes[k].in[i];
      for (int a = 0; v != NO_VAL && val_is_const(g, v) && a < graph_val(g, v)->shape.rank; a++)
        if (c->operand[k][i].axis[a]) TRY(fn(ctx, c->operand[k][i].axis[a], graph_val(g, v)->shape.d[a]));
    }
  return true;
}

typedef struct Even {
  const ChanGroup *g;
  int64_t *n; /* [units of the group] */
} Even;

static bool stands_evenly(void *ctx, const uint32_t *unit, int64_t extent) {
  Even *e = ctx;
  const ChanGroup *g = e->g;
  memset(e->n, 0, g->n * sizeof *e->n);
  for (int64_t p = 0; p < extent; p++)
    if (unit[p] != CHAN_FIXED && unit[p] - g->first < g->n) e->n[unit[p] - g->first]++;
  for (uint32_t u = 1; u < g->n; u++)
    if (e->n[u] != e->n[0]) return false;
  return true;
}

bool order_can(const Channels *c, uint32_t g) {
  Even e = {&c->groups[g], mem_array(c->groups[g].n, sizeof *e.n)};
  const bool ok = each_axis(c, stands_evenly, &e);
  mem_free(e.n);
  return ok;
}

/* ---- constants */

/* A constant that was ordered, by the units along its axes as a node reads it. */
typedef struct Ordered {
  ValId old, made;
  const ChanUnits *units;
} Ordered;

typedef struct Orderer {
  const Channels *c;
  const uint32_t *place;
  Rewrite r;
  Ordered *done;
  size_t n, cap;
} Orderer;

static bool stays(const Orderer *o, const uint32_t *unit, int64_t extent) {
  for (int64_t p = 0; unit && p < extent; p++)
    if (unit[p] != CHAN_FIXED && o->place[unit[p]] != unit[p]) return false;
  return true;
}

/* from[p]: which entry of the axis goes to p. */
static void entries_from(const Orderer *o, const uint32_t *unit, int64_t extent, int64_t *from) {
  int64_t *next = mem_array(o->c->n_units, sizeof *next); /* how often a unit was met */
  int64_t *first = mem_array((size_t)o->c->n_units + 1, sizeof *first),
          *at = mem_array((size_t)extent, sizeof *at); /* entries by unit */
  for (int64_t p = 0; p < extent; p++)
    if (unit[p] != CHAN_FIXED) first[unit[p] + 1]++;
  for (uint32_t u = 0; u < o->c->n_units; u++) first[u + 1] += first[u];
  for (int64_t p = 0; p < extent; p++)
    if (unit[p] != CHAN_FIXED) at[first[unit[p]] + next[unit[p]]++] = p;
  memset(next, 0, o->c->n_units * sizeof *next);
  for (int64_t p = 0; p < extent; p++)
    from[p] = unit[p] == CHAN_FIXED ? p : at[first[o->place[unit[p]]] + next[unit[p]]++];
  mem_free(at);
  mem_free(first);
  mem_free(next);
}

static char *order_axis(const Orderer *o, const char *bytes, const Shape *s, int axis, const uint32_t *unit,
                        size_t size) {
  const size_t inner = (size_t)shape_count_range(s, axis + 1, s->rank) * size,
               outer = (size_t)shape_count_range(s, 0, axis), extent = (size_t)s->d[axis];
  char *to = mem_alloc_aligned((size_t)shape_count(s) * size + 1, 64), *at = to;
  int64_t *from = mem_array(extent, sizeof *from);
  entries_from(o, unit, (int64_t)extent, from);
  for (size_t k = 0; k < outer; k++)
    for (size_t p = 0; p < extent; p++, at += inner)
      memcpy(at, bytes + (k * extent + (size_t)from[p]) * inner, inner);
  mem_free(from);
  return to;
}

static bool same_units(const ChanUnits *a, const ChanUnits *b, const Shape *s) {
  for (int x = 0; x < s->rank; x++) {
    if (!a->axis[x] != !b->axis[x]) return false;
    if (a->axis[x] && memcmp(a->axis[x], b->axis[x], (size_t)s->d[x] * sizeof *a->axis[x]) != 0) return false;
  }
  return true;
}

static ValId order_const(Orderer *o, ValId old, const ChanUnits *units) {
  const Value *v = graph_val(o->c->graph, old);
  const Shape *s = &v->shape;
  bool same = true;
  for (int a = 0; a < s->rank; a++) same = same && stays(o, units->axis[a], s->d[a]);
  if (same) return rewrite_val(&o->r, old);
  for (size_t i = 0; i < o->n; i++)
    if (o->done[i].old == old && same_units(o->done[i].units, units, s)) return o->done[i].made;
  char *made = NULL;
  for (int a = 0; a < s->rank; a++) {
    if (stays(o, units->axis[a], s->d[a])) continue;
    char *next =
        order_axis(o, made ? made : val_data(o->c->graph, old), s, a, units->axis[a], dtype_size(v->dtype));
    mem_free(made);
    made = next;
  }
  Blob *blob = blob_adopt(made, (size_t)shape_count(s) * dtype_size(v->dtype));
  void *done = o->done;
  mem_grow(&done, &o->cap, o->n + 1, sizeof *o->done);
  o->done = done;
  o->done[o->n++] = (Ordered){old, graph_const(o->r.to, v->name, v->dtype, s, blob), units};
  return o->done[o->n - 1].made;
}

/* ---- the graph */

/* Constant indices name entries of an axis, and the same ones are wanted afterwards: those of the same units. */
static bool is_index(const Node *n, uint32_t input) { return n->op == OP_gather && input == 1; }

static bool order_node(Orderer *o, NodeId k, Diag *d) {
  const Graph *g = o->c->graph;
  const Node *n = &g->nodes[k];
  ValId *in = mem_array(n->n_in, sizeof *in);
  for (uint32_t i = 0; i < n->n_in; i++) {
    const bool moves = n->in[i] != NO_VAL && val_is_const(g, n->in[i]) && !is_index(n, i);
    in[i] = moves ? order_const(o, n->in[i], &o->c->operand[k][i]) : rewrite_val(&o->r, n->in[i]);
  }
  const ValId out =
      graph_node(o->r.to, n->op, n->attrs, in, n->n_in, graph_val(g, n->out[0])->name, &n->loc, d);
  o->r.map[n->out[0]] = out;
  mem_free(in);
  return out != NO_VAL;
}

static bool place_fits(const Channels *c, const uint32_t *place, Diag *d) {
  uint8_t *met = mem_array((size_t)c->n_units + 1, 1);
  bool ok = true;
  for (uint32_t u = 0; u < c->n_units && ok; u++) {
    ok = place[u] < c->n_units && c->group_of[place[u]] == c->group_of[u] && !met[place[u]];
    if (ok) met[place[u]] = 1;
  }
  for (uint32_t i = 0; i < c->n_groups && ok; i++) {
    const ChanGroup *g = &c->groups[i];
    bool moves = false;
    for (uint32_t u = g->first; u < g->first + g->n; u++) moves = moves || place[u] != u;
    ok = !moves || order_can(c, i);
  }
  mem_free(met);
  return ok ||
         diag_error(d, NULL,
                    "order: want a permutation of each group's channels, of groups that can be ordered");
}

Graph *order_apply(const Channels *c, const uint32_t *place, Diag *d) {
  if (!place_fits(c, place, d)) return NULL;
  Orderer o = {.c = c, .place = place};
  rewrite_begin(&o.r, c->graph, NULL);
  for (uint32_t i = 0; i < c->graph->n_states; i++) {
    const GraphState *s = &c->graph->states[i];
    o.r.to->states[i].init = order_const(&o, s->init, &c->along[s->now]);
  }
  bool ok = true;
  for (NodeId k = 0; ok && k < c->graph->n_nodes; k++) ok = order_node(&o, k, d);
  Graph *done = rewrite_end(&o.r, ok, d);
  mem_free(o.done);
  return done;
}

/* ---- prefixes */

static bool is_weights(const Node *n, uint32_t input) {
  return input == 1 && (n->op == OP_conv || n->op == OP_depthwise_conv || n->op == OP_conv_transpose ||
                        n->op == OP_fully_connected);
}

/* From the first entry of a unit that may go, every entry is of such a unit, and none of one before it. */
static bool ends_axis(const ChanGroup *g, const uint32_t *unit, int64_t extent) {
  uint32_t last = 0;
  for (int64_t p = 0; p < extent; p++) {
    const bool of_group = unit[p] != CHAN_FIXED && unit[p] - g->first < g->n;
    const uint32_t rank = of_group ? unit[p] - g->first : 0;
    if (last > 0 && rank < last) return false;
    if (rank >= g->least && rank > 0) last = rank;
  }
  return true;
}

static bool ends_all(const Channels *c, const ChanGroup *group) {
  const Graph *g = c->graph;
  for (NodeId k = 0; k < g->n_nodes; k++)
    for (uint32_t i = 0; i < g->nodes[k].n_in; i++) {
      const ValId v = g->nodes[k].in[i];
      if (!is_weights(&g->nodes[k], i) || !val_is_const(g, v)) continue;
      const Shape *s = &graph_val(g, v)->shape;
      for (int a = 0; a < s->rank; a++)
        if (c->operand[k][i].axis[a] && !ends_axis(group, c->operand[k][i].axis[a], s->d[a])) return false;
    }
  return true;
}

bool order_is_prefix(const Channels *c, uint32_t g) {
  const ChanGroup *group = &c->groups[g];
  if (!ends_all(c, group)) return false;
  PrunePlan p;
  prune_plan_all(c, &p);
  const uint32_t half = (group->n + 1) / 2, keep = half > group->least ? half : group->least;
  memset(p.keep + group->first + keep, 0, group->n - keep);
  p.kept[g] = keep;
  Diag *quiet = diag_new();
  Graph *small = prune_apply(c, &p, quiet);
  Family f = {0};
  const bool ok = small && family_check((const Graph *const[]){c->graph, small}, 2, &f, quiet);
  if (f.arena) family_free(&f);
  graph_free(small);
  diag_free(quiet);
  prune_plan_free(&p);
  return ok;
}
