/* Applying a pruning plan: the same graph with narrower values.
 *
 *   value v, channels    0 1 2 3 4 5 6 7        keep[v] = 1 1 0 1 0 0 1 1
 *   constant that reads or makes them: the slices 0 1 3 6 7, along the axis that the channels lie on
 *
 * Everything follows from the kept channels of the values: a Conv's weights lose the rows of its output's
 * channels and the slices of its input's; attributes that count channels (Pad, Slice, Reshape) are counted anew.
 * Channels keep their order, so that a Reshape moves the elements that stay as it did.
 */
#include "passes/prune.h"

#include <string.h>

#include "ir/base/mem.h"

typedef struct Applier {
  const Channels *c;
  const Graph *g;
  Rewrite r;
  uint8_t **keep; /* [n_vals][extent], NULL where a value has no channels */
} Applier;

static uint32_t count_kept(const uint8_t *keep, uint32_t from, uint32_t to) {
  uint32_t n = 0;
  for (uint32_t i = from; i < to; i++) n += keep[i];
  return n;
}

/* ---- constants */

/* One axis of a constant and which of its slices stay. */
typedef struct Cut {
  int axis;
  const uint8_t *keep; /* [shape.d[axis]] */
} Cut;

static ValId const_cut(Rewrite *r, ValId old, const char *bytes, const Shape *s, Cut cut) {
  const Value *v = graph_val(r->from, old);
  size_t inner = (size_t)shape_count_range(s, cut.axis + 1, s->rank) * dtype_size(v->dtype);
  size_t outer = (size_t)shape_count_range(s, 0, cut.axis), extent = (size_t)s->d[cut.axis];
  Shape t = *s;
  t.d[cut.axis] = count_kept(cut.keep, 0, (uint32_t)extent);
  size_t size = (size_t)shape_count(&t) * dtype_size(v->dtype);
  char *to = mem_alloc_aligned(size, 64), *at = to;
  for (size_t o = 0; o < outer; o++) {
    for (size_t i = 0; i < extent; i++) {
      if (!cut.keep[i]) continue;
      memcpy(at, bytes + (o * extent + i) * inner, inner);
      at += inner;
    }
  }
  return graph_const(r->to, v->name, v->dtype, &t, blob_adopt(to, size));
}

static bool cuts_nothing(const Graph *g, ValId v, Cut cut) {
  if (!cut.keep) return true;
  uint32_t n = (uint32_t)graph_val(g, v)->shape.d[cut.axis];
  return count_kept(cut.keep, 0, n) == n;
}

/* The constant `old` cut along up to two axes, in the new graph. */
static ValId const_slice(Applier *a, ValId old, Cut first, Cut second) {
  if (old == NO_VAL) return NO_VAL;
  bool one = !cuts_nothing(a->g, old, first), two = !cuts_nothing(a->g, old, second);
  if (!one && !two) return rewrite_val(&a->r, old);
  Shape s = graph_val(a->g, old)->shape;
  if (one != two) return const_cut(&a->r, old, val_data(a->g, old), &s, one ? first : second);
  ValId half = const_cut(&a->r, old, val_data(a->g, old), &s, first); /* unused afterwards: dropped */
  Shape t = graph_val(a->r.to, half)->shape;
  return const_cut(&a->r, old, val_data(a->r.to, half), &t, second);
}

static const Cut no_cut = {0, NULL};

/* ---- nodes: new inputs and attributes.  `in` comes filled with the mapped inputs, constants NO_VAL. */

typedef struct Change {
  const Node *n;
  ValId *in;
  uint32_t n_in;
  void *attrs; /* a copy */
} Change;

typedef void ChangeFn(Applier *a, Change *ch);

static const uint8_t *out_keep(const Applier *a, const Node *n) { return a->keep[n->out[0]]; }

static void change_conv(Applier *a, Change *ch) {
  const Node *n = ch->n;
  int last = graph_val(a->g, n->in[0])->shape.rank - 1;
  /* Otherwise all channels that it reads stay. */
  bool reads = a->c->axis[n->in[0]] == last && !(n->op == OP_conv && CATTRS(n, conv)->group != 1);
  Cut rows = {0, out_keep(a, n)}, columns = {graph_val(a->g, n->in[1])->shape.rank - 1, a->keep[n->in[0]]};
  ch->in[1] = const_slice(a, n->in[1], rows, reads ? columns : no_cut);
  if (n->n_in > 2) ch->in[2] = const_slice(a, n->in[2], rows, no_cut);
}

static void change_depthwise_conv(Applier *a, Change *ch) {
  const Node *n = ch->n;
  ch->in[1] = const_slice(a, n->in[1], (Cut){3, out_keep(a, n)}, no_cut);
  if (n->n_in > 2) ch->in[2] = const_slice(a, n->in[2], (Cut){0, out_keep(a, n)}, no_cut);
}

static void change_batch_normalization(Applier *a, Change *ch) {
  if (a->c->axis[ch->n->out[0]] != CATTRS(ch->n, batch_normalization)->axis) return; /* all stays */
  for (uint32_t i = 1; i < ch->n->n_in; i++)
    ch->in[i] = const_slice(a, ch->n->in[i], (Cut){0, out_keep(a, ch->n)}, no_cut);
}

/* A constant operand has one entry for all channels, or one for each. */
static void change_binary(Applier *a, Change *ch) {
  const Node *n = ch->n;
  int axis = a->c->axis[n->out[0]], rank = graph_val(a->g, n->out[0])->shape.rank;
  for (uint32_t i = 0; axis >= 0 && i < n->n_in; i++) {
    if (!val_is_const(a->g, n->in[i])) continue;
    const Shape *s = &graph_val(a->g, n->in[i])->shape;
    int at = axis - (rank - s->rank);
    bool each = at >= 0 && s->d[at] == graph_val(a->g, n->out[0])->shape.d[axis];
    ch->in[i] = const_slice(a, n->in[i], (Cut){at, each ? out_keep(a, n) : NULL}, no_cut);
  }
}

static void change_concat(Applier *a, Change *ch) {
  const Node *n = ch->n;
  int at = CATTRS(n, concat)->axis, axis = a->c->axis[n->out[0]];
  const uint8_t *keep = out_keep(a, n);
  ch->n_in = 0;
  for (uint32_t i = 0, from = 0; axis >= 0 && i < n->n_in; i++) {
    uint32_t count = (uint32_t)graph_val(a->g, n->in[i])->shape.d[axis];
    bool gone = at == axis && count_kept(keep + from, 0, count) == 0; /* only a constant's can all go */
    if (val_is_const(a->g, n->in[i]) && !gone)
      ch->in[i] = const_slice(a, n->in[i], (Cut){axis, keep + from}, no_cut);
    if (!gone) ch->in[ch->n_in++] = ch->in[i];
    if (at == axis) from += count;
  }
  if (axis < 0) ch->n_in = n->n_in;
}

static void change_pad(Applier *a, Change *ch) {
  pad_attrs *p = ch->attrs;
  int axis = a->c->axis[ch->n->out[0]], rank = graph_val(a->g, ch->n->out[0])->shape.rank;
  if (axis < 0) return;
  uint32_t extent = channels_extent(a->c, ch->n->out[0]);
  uint32_t begin = (uint32_t)p->pads.v[axis], end = extent - (uint32_t)p->pads.v[rank + axis];
  p->pads.v[axis] = count_kept(out_keep(a, ch->n), 0, begin);
  p->pads.v[rank + axis] = count_kept(out_keep(a, ch->n), end, extent);
}

static void change_slice(Applier *a, Change *ch) {
  slice_attrs *s = ch->attrs;
  int axis = a->c->axis[ch->n->in[0]];
  if (axis < 0 || a->c->axis[ch->n->out[0]] != axis) return; /* all stays */
  const uint8_t *keep = a->keep[ch->n->in[0]];
  int64_t start = s->starts.v[axis], step = s->steps.v[axis];
  s->counts.v[axis] = count_kept(out_keep(a, ch->n), 0, channels_extent(a->c, ch->n->out[0]));
  s->starts.v[axis] =
      step > 0 ? count_kept(keep, 0, (uint32_t)start) : (int64_t)count_kept(keep, 0, (uint32_t)start + 1) - 1;
}

static void change_reshape(Applier *a, Change *ch) {
  reshape_attrs *s = ch->attrs;
  int axis = a->c->axis[ch->n->out[0]];
  if (axis < 0 || s->shape.v[axis] == -1) return;
  s->shape.v[axis] = count_kept(out_keep(a, ch->n), 0, channels_extent(a->c, ch->n->out[0]));
}

static ChangeFn *const change[OP_COUNT] = {
    [OP_conv] = change_conv,
    [OP_depthwise_conv] = change_depthwise_conv,
    [OP_fully_connected] = change_conv,
    [OP_batch_normalization] = change_batch_normalization,
    [OP_concat] = change_concat,
    [OP_pad] = change_pad,
    [OP_slice] = change_slice,
    [OP_reshape] = change_reshape,
};

static ChangeFn *change_of(const Node *n) {
  if (change[n->op]) return change[n->op];
  return (op_info(n->op)->traits & T_ELEMENTWISE) && n->n_in == 2 ? change_binary : NULL;
}

static bool apply_node(Applier *a, const Node *n, Diag *d) {
  ChangeFn *fn = change_of(n);
  if (!fn) return rewrite_copy(&a->r, n, d);
  Change ch = {.n = n, .n_in = n->n_in};
  ch.in = mem_array(n->n_in, sizeof *ch.in);
  ch.attrs = mem_alloc(op_info(n->op)->attrs_size);
  memcpy(ch.attrs, n->attrs, op_info(n->op)->attrs_size);
  for (uint32_t i = 0; i < n->n_in; i++)
    if (!val_is_const(a->g, n->in[i])) ch.in[i] = rewrite_val(&a->r, n->in[i]);
  fn(a, &ch);
  for (uint32_t i = 0; i < n->n_in && ch.n_in == n->n_in; i++)
    if (ch.in[i] == NO_VAL) ch.in[i] = rewrite_val(&a->r, n->in[i]);
  ValId out =
      graph_node(a->r.to, n->op, ch.attrs, ch.in, ch.n_in, graph_val(a->g, n->out[0])->name, &n->loc, d);
  a->r.map[n->out[0]] = out;
  mem_free(ch.in);
  mem_free(ch.attrs);
  return out != NO_VAL;
}

static void keep_of_values(Applier *a, const PrunePlan *p) {
  a->keep = mem_array(a->g->n_vals, sizeof *a->keep);
  for (ValId v = 1; v < a->g->n_vals; v++) {
    const uint32_t *unit = a->c->unit[v];
    if (!unit) continue;
    uint32_t n = channels_extent(a->c, v);
    a->keep[v] = mem_alloc(n);
    for (uint32_t i = 0; i < n; i++) a->keep[v][i] = unit[i] == CHAN_FIXED || p->keep[unit[i]];
  }
}

static bool plan_fits(const Channels *c, const PrunePlan *p, Diag *d) {
  FAIL_IF(p->n_groups != c->n_groups || p->n_units != c->n_units, d, NULL,
          "the pruning plan has %u groups of %u units in all, but the graph has %u of %u", p->n_groups,
          p->n_units, c->n_groups, c->n_units);
  for (uint32_t i = 0; i < c->n_groups; i++) {
    FAIL_IF(p->size[i] != c->groups[i].n, d, NULL,
            "the pruning plan's group %u has %u units, but the graph's \"%s\" has %u", i, p->size[i],
            c->groups[i].name, c->groups[i].n);
    FAIL_IF(count_kept(p->keep + c->groups[i].first, 0, c->groups[i].n) == 0, d, NULL,
            "the pruning plan keeps nothing of group %u (\"%s\"), want at least 1 unit", i,
            c->groups[i].name);
  }
  return true;
}

Graph *prune_apply(const Channels *c, const PrunePlan *p, Diag *d) {
  if (!plan_fits(c, p, d)) return NULL;
  Applier a = {.c = c, .g = c->graph};
  keep_of_values(&a, p);
  rewrite_begin(&a.r, c->graph, NULL);
  bool ok = true;
  for (NodeId i = 0; ok && i < c->graph->n_nodes; i++) ok = apply_node(&a, &c->graph->nodes[i], d);
  Graph *done = rewrite_end(&a.r, ok, d);
  for (ValId v = 1; v < c->graph->n_vals; v++) mem_free(a.keep[v]);
  mem_free(a.keep);
  return done;
}
