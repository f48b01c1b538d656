/* Applying a pruning plan: the same graph with narrower values.
 *
 *   value v, channels    0 1 2 3 4 5 6 7        keep = 1 1 0 1 0 0 1 1      along each axis
 *   constant that reads or makes them: the slices 0 1 3 6 7, along the axes where Channels.operand has units
 *
 * Constants follow from Channels alone (prune_cut.c); here attributes that count channels (Pad, Slice, Reshape,
 * groups, hidden units) are counted anew. Channels keep their order, so that a Reshape moves the elements that stay
 * as it did, and no operator is added, so that what could be trained still can.
 */
#include "passes/prune.h"

#include <string.h>

#include "ir/base/mem.h"
#include "passes/prune_cut.h"

typedef struct Applier {
  const Channels *c;
  const Graph *g;
  const PrunePlan *plan;
  Cutter *cut;
  Rewrite r;
} Applier;

/* ---- nodes: new attributes, and inputs where they change otherwise than by being cut */

typedef struct Change {
  const Node *n;
  ValId *in; /* in the new graph, constants cut */
  uint32_t n_in;
  void *attrs; /* a copy */
} Change;

typedef void ChangeFn(Applier *a, Change *ch);

/* Entries of axis `axis` of value v that stay, of from .. to-1. */
static int64_t kept_of(const Applier *a, ValId v, int axis, int64_t from, int64_t to) {
  return cut_count(a->plan, a->c->along[v].axis[axis], from, to);
}

static int64_t extent_of(const Applier *a, ValId v, int axis) { return graph_val(a->g, v)->shape.d[axis]; }

static const Shape *new_shape(const Applier *a, ValId v) { return &graph_val(a->r.to, v)->shape; }

/* Whole groups go, or the same channels of each: the input's channels over those that the weights have of each. */
static int32_t group_now(const Applier *a, const Change *ch) {
  return (int32_t)(new_shape(a, ch->in[0])->d[3] / new_shape(a, ch->in[1])->d[3]);
}

static void change_conv(Applier *a, Change *ch) { ((conv_attrs *)ch->attrs)->group = group_now(a, ch); }

static void change_conv_transpose(Applier *a, Change *ch) {
  ((conv_transpose_attrs *)ch->attrs)->group = group_now(a, ch);
}

/* A constant of which nothing is left goes. */
static void change_concat(Applier *a, Change *ch) {
  const int at = CATTRS(ch->n, concat)->axis;
  uint32_t to = 0;
  for (uint32_t i = 0; i < ch->n_in; i++)
    if (new_shape(a, ch->in[i])->d[at] > 0 || extent_of(a, ch->n->in[i], at) == 0) ch->in[to++] = ch->in[i];
  ch->n_in = to;
}

static void change_pad(Applier *a, Change *ch) {
  pad_attrs *p = ch->attrs;
  const ValId y = ch->n->out[0];
  const int rank = graph_val(a->g, y)->shape.rank;
  for (int x = 0; x < rank; x++) {
    if (!a->c->along[y].axis[x]) continue;
    const int64_t all = extent_of(a, y, x), end = all - p->pads.v[rank + x];
    p->pads.v[x] = kept_of(a, y, x, 0, p->pads.v[x]);
    p->pads.v[rank + x] = kept_of(a, y, x, end, all);
  }
}

/* The first that is taken and stays is where it starts now. */
static void change_slice(Applier *a, Change *ch) {
  slice_attrs *s = ch->attrs;
  const ValId x = ch->n->in[0], y = ch->n->out[0];
  for (int axis = 0; axis < s->counts.n; axis++) {
    const uint32_t *unit = a->c->along[x].axis[axis];
    if (!unit) continue;
    int64_t first = 0, all = extent_of(a, y, axis);
    while (first < all - 1 && !cut_stays(a->plan, unit, s->starts.v[axis] + first * s->steps.v[axis]))
      first++;
    const int64_t at = s->starts.v[axis] + first * s->steps.v[axis];
    s->counts.v[axis] = a->c->along[y].axis[axis] ? kept_of(a, y, axis, 0, all) : all;
    s->starts.v[axis] = kept_of(a, x, axis, 0, at);
  }
}

static void change_extents(const Applier *a, ValId y, Ints *shape) {
  for (int x = 0; x < shape->n; x++)
    if (a->c->along[y].axis[x] && shape->v[x] != -1) shape->v[x] = kept_of(a, y, x, 0, extent_of(a, y, x));
}

static void change_reshape(Applier *a, Change *ch) {
  change_extents(a, ch->n->out[0], &((reshape_attrs *)ch->attrs)->shape);
}

static void change_expand(Applier *a, Change *ch) {
  change_extents(a, ch->n->out[0], &((expand_attrs *)ch->attrs)->shape);
}

/* Indices name what is left. They are a constant with one for each that stays. */
static void change_gather(Applier *a, Change *ch) {
  const ValId x = ch->n->in[0], index = ch->n->in[1];
  const uint32_t *unit = a->c->along[x].axis[CATTRS(ch->n, gather)->axis];
  if (!unit || !val_is_const(a->g, index)) return;
  const Value *was = graph_val(a->r.to, ch->in[1]);
  const int64_t n = shape_count(&was->shape);
  const size_t size = (size_t)n * dtype_size(was->dtype);
  char *to = mem_alloc_aligned(size, 64);
  for (int64_t i = 0; i < n; i++) {
    const int64_t at = dtype_get(was->dtype, val_data(a->r.to, ch->in[1]), i);
    dtype_set(was->dtype, to, i, kept_of(a, x, CATTRS(ch->n, gather)->axis, 0, at));
  }
  const Shape shape = was->shape;
  ch->in[1] = graph_const(a->r.to, was->name, was->dtype, &shape, blob_adopt(to, size));
}

static void change_lstm(Applier *a, Change *ch) {
  ((lstm_attrs *)ch->attrs)->hidden = (int32_t)new_shape(a, ch->in[1])->d[1];
}

static void change_gru(Applier *a, Change *ch) {
  ((gru_attrs *)ch->attrs)->hidden = (int32_t)new_shape(a, ch->in[1])->d[1];
}

static void change_rnn(Applier *a, Change *ch) {
  ((rnn_attrs *)ch->attrs)->hidden = (int32_t)new_shape(a, ch->in[1])->d[1];
}

static ChangeFn *const change[OP_COUNT] = {
    [OP_conv] = change_conv,     [OP_conv_transpose] = change_conv_transpose,
    [OP_concat] = change_concat, [OP_pad] = change_pad,
    [OP_slice] = change_slice,   [OP_reshape] = change_reshape,
    [OP_expand] = change_expand, [OP_gather] = change_gather,
    [OP_lstm] = change_lstm,     [OP_gru] = change_gru,
    [OP_rnn] = change_rnn,
};

static bool apply_node(Applier *a, NodeId id, Diag *d) {
  const Node *n = &a->g->nodes[id];
  Change ch = {.n = n, .n_in = n->n_in};
  ch.in = mem_array(n->n_in, sizeof *ch.in);
  ch.attrs = mem_alloc(op_info(n->op)->attrs_size);
  memcpy(ch.attrs, n->attrs, op_info(n->op)->attrs_size);
  for (uint32_t i = 0; i < n->n_in; i++) {
    if (val_is_const(a->g, n->in[i]))
      ch.in[i] = cut_const(a->cut, &a->r, n->in[i], &a->c->operand[id][i]);
    else
      ch.in[i] = rewrite_val(&a->r, n->in[i]);
  }
  if (change[n->op]) change[n->op](a, &ch);
  const char *name = graph_val(a->g, n->out[0])->name;
  ValId out = graph_node(a->r.to, n->op, ch.attrs, ch.in, ch.n_in, name, &n->loc, d);
  a->r.map[n->out[0]] = out;
  mem_free(ch.in);
  mem_free(ch.attrs);
  return out != NO_VAL;
}

/* States, which rewrite_begin made as they were, begin with what is left. */
static void apply_states(Applier *a) {
  for (uint32_t i = 0; i < a->g->n_states; i++) {
    const GraphState *s = &a->g->states[i];
    GraphState *to = &a->r.to->states[i];
    to->init = cut_const(a->cut, &a->r, s->init, &a->c->along[s->now]);
    graph_val(a->r.to, to->now)->shape = *new_shape(a, to->init);
  }
}

static bool plan_fits(const Channels *c, const PrunePlan *p, Diag *d) {
  FAIL_IF(p->n_groups != c->n_groups || p->n_units != c->n_units, d, NULL,
          "the pruning plan has %u groups of %u units in all, but the graph has %u of %u", p->n_groups,
          p->n_units, c->n_groups, c->n_units);
  for (uint32_t i = 0; i < c->n_groups; i++) {
    const ChanGroup *g = &c->groups[i];
    FAIL_IF(p->size[i] != g->n, d, NULL,
            "the pruning plan's group %u has %u units, but the graph's \"%s\" has %u", i, p->size[i], g->name,
            g->n);
    int64_t stay = 0;
    for (uint32_t u = g->first; u < g->first + g->n; u++) stay += p->keep[u];
    FAIL_IF(stay < (int64_t)g->least, d, NULL,
            "the pruning plan keeps %lld units of group %u (\"%s\"), want at least %u", (long long)stay, i,
            g->name, g->least);
  }
  return true;
}

Graph *prune_apply(const Channels *c, const PrunePlan *p, Diag *d) {
  if (!plan_fits(c, p, d)) return NULL;
  Applier a = {.c = c, .g = c->graph, .plan = p, .cut = cutter_new(p)};
  rewrite_begin(&a.r, c->graph, NULL);
  apply_states(&a);
  bool ok = true;
  for (NodeId i = 0; ok && i < c->graph->n_nodes; i++) ok = apply_node(&a, i, d);
  Graph *done = rewrite_end(&a.r, ok, d);
  cutter_free(a.cut);
  return done;
}
