/* Channel dependencies: a union-find over the channels of all values.
 *
 * Walking the nodes in order, every value gets an axis and a label for each channel along it. Producers
 * (Conv, FullyConnected) make fresh labels; other operators hand labels on or unite them:
 *
 *   elementwise, pools, BatchNormalization   same labels; two operands of equal extent: united pairwise
 *   DepthwiseConv, multiplier m              output o has the label of input o / m
 *   Concat, Slice, Pad along the channels    labels side by side, a part of them, fresh ones around them
 *   Reshape                                  the output axis that ties fewest labels: after flattening
 *                                            [N,H,W,C] to [N,H*W*C] each label stands for H*W columns
 *
 * Labels that reach the graph's inputs or outputs, or an operator that mixes channels without weights, are
 * frozen with the reason. What is never united may be removed alone. Removing a unit means: every consumer
 * with weights (Conv, FullyConnected) reads nothing from it any more. Since elementwise operators never
 * let one channel reach another, what the channel itself would have held does not matter.
 * Compare: Fang et al. 2023, DepGraph (arXiv:2301.12900), which does this for layers instead of channels.
 */
#include "passes/channels.h"

#include <stdlib.h>
#include <string.h>

#include "ir/base/mem.h"

typedef struct Label {
  uint32_t parent;
  const char *frozen; /* the root's counts: NULL, or why the class may not be removed */
} Label;

typedef struct Finder {
  const Graph *g;
  Channels *c;
  uint32_t **lab; /* [n_vals], as Channels.unit */
  Label *labels;
  size_t cap;
  uint32_t n;
} Finder;

const char *node_label(const Graph *g, const Node *n) {
  if (n->loc.name && *n->loc.name) return n->loc.name;
  const char *name = graph_val(g, n->out[0])->name;
  return name && *name ? name : op_info(n->op)->name;
}

/* ---- labels */

static uint32_t label_new(Finder *f, const char *frozen) {
  mem_grow((void **)&f->labels, &f->cap, (size_t)f->n + 1, sizeof *f->labels);
  f->labels[f->n] = (Label){.parent = f->n, .frozen = frozen};
  return f->n++;
}

static uint32_t label_root(const Finder *f, uint32_t l) {
  while (f->labels[l].parent != l) {
    f->labels[l].parent = f->labels[f->labels[l].parent].parent;
    l = f->labels[l].parent;
  }
  return l;
}

static void label_unite(Finder *f, uint32_t a, uint32_t b) {
  a = label_root(f, a), b = label_root(f, b);
  if (a == b) return;
  uint32_t lo = a < b ? a : b, hi = a < b ? b : a;
  f->labels[hi].parent = lo;
  if (!f->labels[lo].frozen) f->labels[lo].frozen = f->labels[hi].frozen;
}

static void freeze_label(Finder *f, uint32_t l, const char *why) {
  l = label_root(f, l);
  if (!f->labels[l].frozen) f->labels[l].frozen = why;
}

/* ---- values */

static uint32_t extent(const Finder *f, ValId v) { return channels_extent(f->c, v); }

uint32_t channels_extent(const Channels *c, ValId v) {
  int32_t axis = c->axis[v];
  return axis < 0 ? 0 : (uint32_t)graph_val(c->graph, v)->shape.d[axis];
}

/* Give v room for labels along axis; -1 where that axis is no countable one (a scalar, a symbolic batch). */
static uint32_t *value_labels(Finder *f, ValId v, int axis) {
  const Shape *s = &graph_val(f->g, v)->shape;
  f->c->axis[v] = axis >= 0 && axis < s->rank && s->d[axis] > 0 ? axis : -1;
  f->lab[v] = f->c->axis[v] < 0 ? NULL : arena_array(f->c->arena, (size_t)s->d[axis], sizeof(uint32_t));
  return f->lab[v];
}

/* Fresh labels along the innermost axis. */
static void value_fresh(Finder *f, ValId v, const char *frozen) {
  uint32_t *lab = value_labels(f, v, graph_val(f->g, v)->shape.rank - 1);
  for (uint32_t i = 0; i < extent(f, v); i++) lab[i] = label_new(f, frozen);
}

static void value_freeze(Finder *f, ValId v, const char *why) {
  if (v == NO_VAL || !f->lab[v]) return;
  for (uint32_t i = 0; i < extent(f, v); i++) freeze_label(f, f->lab[v][i], why);
}

/* Output with the labels of x along `axis` of the output; false when the extents differ. */
static bool value_same(Finder *f, ValId x, ValId out, int axis) {
  if (f->c->axis[x] < 0) return false;
  uint32_t *lab = value_labels(f, out, axis);
  if (!lab || extent(f, out) != extent(f, x)) return false;
  memcpy(lab, f->lab[x], extent(f, x) * sizeof *lab);
  return true;
}

/* The node keeps all channels that it reads and makes. */
static void freeze_node(Finder *f, const Node *n, const char *what) {
  const char *why =
      arena_printf(f->c->arena, "%s \"%s\" %s", op_info(n->op)->name, node_label(f->g, n), what);
  for (uint32_t i = 0; i < n->n_in; i++) value_freeze(f, n->in[i], why);
  for (uint32_t i = 0; i < n->n_out; i++) value_fresh(f, n->out[i], why);
}

static int last_axis(const Finder *f, ValId v) { return graph_val(f->g, v)->shape.rank - 1; }

/* ---- operators.  Each gives its output labels, or returns what keeps it from that (freeze_node's `what`). */

typedef const char *CoupleFn(Finder *f, const Node *n);

static const char *couple_conv(Finder *f, const Node *n) {
  if (CATTRS(n, conv)->group != 1) return "has channel groups";
  if (!val_is_const(f->g, n->in[1])) return "has computed weights";
  if (f->c->axis[n->in[0]] != last_axis(f, n->in[0])) return "reads channels that are not innermost";
  value_fresh(f, n->out[0], NULL);
  return NULL;
}

static const char *couple_fully_connected(Finder *f, const Node *n) {
  if (!val_is_const(f->g, n->in[1])) return "has computed weights";
  if (f->c->axis[n->in[0]] != last_axis(f, n->in[0])) return "reads channels that are not innermost";
  value_fresh(f, n->out[0], NULL);
  return NULL;
}

static const char *couple_depthwise_conv(Finder *f, const Node *n) {
  ValId x = n->in[0], y = n->out[0];
  if (!val_is_const(f->g, n->in[1])) return "has computed weights";
  if (f->c->axis[x] != last_axis(f, x)) return "reads channels that are not innermost";
  uint32_t *lab = value_labels(f, y, last_axis(f, y));
  uint32_t m = extent(f, y) / extent(f, x);
  for (uint32_t o = 0; o < extent(f, y); o++) lab[o] = f->lab[x][o / m];
  return NULL;
}

static const char *couple_batch_normalization(Finder *f, const Node *n) {
  for (uint32_t i = 1; i < n->n_in; i++)
    if (!val_is_const(f->g, n->in[i])) return "has computed parameters";
  if (f->c->axis[n->in[0]] != CATTRS(n, batch_normalization)->axis) return "normalises along another axis";
  return value_same(f, n->in[0], n->out[0], f->c->axis[n->in[0]]) ? NULL : "changes the channels";
}

static const char *couple_same(Finder *f, const Node *n) {
  return value_same(f, n->in[0], n->out[0], f->c->axis[n->in[0]]) ? NULL : "changes the channels";
}

static const char *couple_reduce_mean(Finder *f, const Node *n) {
  const reduce_mean_attrs *a = CATTRS(n, reduce_mean);
  int axis = f->c->axis[n->in[0]], before = 0;
  for (int i = 0; i < a->axes.n; i++) {
    if (a->axes.v[i] == axis) return "averages over channels";
    before += a->axes.v[i] < axis;
  }
  return value_same(f, n->in[0], n->out[0], a->keepdims ? axis : axis - before) ? NULL
                                                                                : "changes the channels";
}

static const char *couple_transpose(Finder *f, const Node *n) {
  const Ints *perm = &CATTRS(n, transpose)->perm;
  int to = 0;
  while (to < perm->n && perm->v[to] != f->c->axis[n->in[0]]) to++;
  return value_same(f, n->in[0], n->out[0], to) ? NULL : "changes the channels";
}

static const char *couple_binary(Finder *f, const Node *n) {
  ValId x = n->in[0], y = n->in[1], out = n->out[0];
  if (val_is_const(f->g, x) || f->c->axis[x] < 0) x = n->in[1], y = n->in[0];
  if (val_is_const(f->g, x) || f->c->axis[x] < 0) return "has no channels";
  int rank = graph_val(f->g, out)->shape.rank;
  int axis = f->c->axis[x] + rank - graph_val(f->g, x)->shape.rank;
  if (!val_is_const(f->g, y)) {
    if (f->c->axis[y] < 0 || f->c->axis[y] + rank - graph_val(f->g, y)->shape.rank != axis)
      return "joins channels of different axes";
    if (extent(f, x) == 1 && extent(f, y) > 1) { /* x spreads over y's channels */
      ValId t = x;
      x = y, y = t;
    }
  }
  if (!value_same(f, x, out, axis)) return "spreads one channel over many";
  if (val_is_const(f->g, y)) return NULL;
  if (extent(f, y) == extent(f, x)) {
    for (uint32_t i = 0; i < extent(f, x); i++) label_unite(f, f->lab[x][i], f->lab[y][i]);
  } else {
    value_freeze(f, y,
                 arena_printf(f->c->arena, "%s \"%s\" spreads it over many channels", op_info(n->op)->name,
                              node_label(f->g, n)));
  }
  return NULL;
}

static const char *couple_concat(Finder *f, const Node *n) {
  ValId out = n->out[0];
  int at = CATTRS(n, concat)->axis, axis = -1;
  for (uint32_t i = 0; i < n->n_in; i++) {
    if (val_is_const(f->g, n->in[i])) continue;
    if (f->c->axis[n->in[i]] < 0 || (axis >= 0 && f->c->axis[n->in[i]] != axis))
      return "joins channels of different axes";
    axis = f->c->axis[n->in[i]];
  }
  uint32_t *lab = axis < 0 ? NULL : value_labels(f, out, axis);
  if (!lab) return "has no channels";
  for (uint32_t i = 0, to = 0; i < n->n_in; i++) {
    uint32_t count = (uint32_t)graph_val(f->g, n->in[i])->shape.d[axis];
    for (uint32_t k = 0; k < count; k++) {
      uint32_t l = val_is_const(f->g, n->in[i]) ? label_new(f, NULL) : f->lab[n->in[i]][k];
      if (at == axis)
        lab[to + k] = l;
      else if (i == 0)
        lab[k] = l;
      else
        label_unite(f, lab[k], l);
    }
    if (at == axis) to += count;
  }
  return NULL;
}

static const char *couple_pad(Finder *f, const Node *n) {
  ValId x = n->in[0], out = n->out[0];
  const Ints *pads = &CATTRS(n, pad)->pads;
  int axis = f->c->axis[x];
  uint32_t *lab = axis < 0 ? NULL : value_labels(f, out, axis);
  if (!lab) return "has no channels";
  uint32_t begin = (uint32_t)pads->v[axis];
  for (uint32_t i = 0; i < extent(f, out); i++) {
    bool inside = i >= begin && i - begin < extent(f, x);
    lab[i] = inside ? f->lab[x][i - begin] : label_new(f, NULL);
  }
  return NULL;
}

static const char *couple_slice(Finder *f, const Node *n) {
  ValId x = n->in[0], out = n->out[0];
  const slice_attrs *a = CATTRS(n, slice);
  int axis = f->c->axis[x];
  uint32_t *lab = axis < 0 ? NULL : value_labels(f, out, axis);
  if (!lab) return "has no channels";
  int64_t step = a->steps.v[axis];
  if (step != 1 && step != -1 && extent(f, out) > 1) return "takes every n-th channel";
  for (uint32_t i = 0; i < extent(f, out); i++) lab[i] = f->lab[x][a->starts.v[axis] + step * (int64_t)i];
  return NULL;
}

/* Reshape: element L has input channel i(L) and, along output axis b, channel o(L). Uniting i with o over all
 * elements makes any b right; the best one leaves the most classes. */
typedef struct Grid {
  int64_t inner, extent;
} Grid;

static Grid grid_of(const Shape *s, int axis) {
  return (Grid){.inner = shape_count_range(s, axis + 1, s->rank), .extent = s->d[axis]};
}

static uint32_t small_root(uint32_t *p, uint32_t i) {
  while (p[i] != i) i = p[i] = p[p[i]];
  return i;
}

/* Classes over [input channels, output channels], as parents, for one choice of b. Returns their number. */
static uint32_t reshape_classes(Grid in, Grid out, int64_t count, uint32_t *parent) {
  uint32_t n = (uint32_t)(in.extent + out.extent), classes = n;
  for (uint32_t i = 0; i < n; i++) parent[i] = i;
  for (int64_t l = 0; l < count; l++) {
    uint32_t i = small_root(parent, (uint32_t)(l / in.inner % in.extent));
    uint32_t o = small_root(parent, (uint32_t)(in.extent + l / out.inner % out.extent));
    if (i == o) continue;
    if (i < o)
      parent[o] = i;
    else
      parent[i] = o;
    classes--;
  }
  return classes;
}

static const char *couple_reshape(Finder *f, const Node *n) {
  ValId x = n->in[0], y = n->out[0];
  const Shape *s = &graph_val(f->g, x)->shape, *t = &graph_val(f->g, y)->shape;
  if (f->c->axis[x] < 0) return "has no channels";
  Grid in = grid_of(s, f->c->axis[x]);
  int best = -1;
  uint32_t most = 0, *parent = mem_array((size_t)(in.extent + shape_count(t)), sizeof *parent);
  for (int b = t->rank - 1; b >= 0; b--) {
    if (t->d[b] <= 0) continue;
    uint32_t classes = reshape_classes(in, grid_of(t, b), shape_count(t), parent);
    if (classes > most) most = classes, best = b;
  }
  uint32_t *lab = best < 0 ? NULL : value_labels(f, y, best);
  if (lab) {
    reshape_classes(in, grid_of(t, best), shape_count(t), parent);
    /* The least member of a class is an input channel: every output channel has elements. */
    for (uint32_t i = 0; i < in.extent; i++) label_unite(f, f->lab[x][i], f->lab[x][small_root(parent, i)]);
    for (uint32_t o = 0; o < extent(f, y); o++)
      lab[o] = f->lab[x][small_root(parent, (uint32_t)in.extent + o)];
  }
  mem_free(parent);
  return lab ? NULL : "has no channels";
}

static CoupleFn *const couple[OP_COUNT] = {
    [OP_conv] = couple_conv,
    [OP_depthwise_conv] = couple_depthwise_conv,
    [OP_fully_connected] = couple_fully_connected,
    [OP_batch_normalization] = couple_batch_normalization,
    [OP_max_pool] = couple_same,
    [OP_average_pool] = couple_same,
    [OP_reduce_mean] = couple_reduce_mean,
    [OP_transpose] = couple_transpose,
    [OP_reshape] = couple_reshape,
    [OP_concat] = couple_concat,
    [OP_pad] = couple_pad,
    [OP_slice] = couple_slice,
};

static void couple_node(Finder *f, const Node *n) {
  CoupleFn *fn = couple[n->op];
  if (!fn && (op_info(n->op)->traits & T_ELEMENTWISE)) fn = n->n_in == 2 ? couple_binary : couple_same;
  const char *what = fn ? fn(f, n) : "mixes channels";
  if (what) freeze_node(f, n, what);
}

/* ---- what must stay */

static bool names_match(const Graph *g, const Node *n, const char *name, size_t len) {
  const char *own[2] = {n->loc.name, graph_val(g, n->out[0])->name};
  for (int i = 0; i < 2; i++)
    if (own[i] && strlen(own[i]) == len && memcmp(own[i], name, len) == 0) return true;
  return false;
}

static bool freeze_named(Finder *f, const char *keep, Diag *d) {
  while (keep && *keep) {
    size_t len = strcspn(keep, ";");
    bool found = len == 0;
    for (NodeId i = 0; i < f->g->n_nodes; i++) {
      const Node *n = &f->g->nodes[i];
      if (!names_match(f->g, n, keep, len)) continue;
      found = true;
      value_freeze(f, n->out[0], arena_printf(f->c->arena, "\"%.*s\" is to be kept", (int)len, keep));
    }
    FAIL_IF(!found, d, NULL, "keep: the graph \"%s\" has no layer \"%.*s\"", f->g->name ? f->g->name : "",
            (int)len, keep);
    keep += len + (keep[len] == ';');
  }
  return true;
}

/* ---- classes to units, units to groups */

/* A class that may be removed: the values it has channels of, as positions in the walk, ascending. */
typedef struct Class {
  uint32_t root, n, first_pos;
  size_t cap;
  uint32_t *at;
  const char *name; /* of the first layer with weights that makes it, or of the first node */
} Class;

static int class_values_compare(const Class *a, const Class *b) {
  for (uint32_t i = 0; i < a->n && i < b->n; i++)
    if (a->at[i] != b->at[i]) return a->at[i] < b->at[i] ? -1 : 1;
  return a->n == b->n ? 0 : a->n < b->n ? -1 : 1;
}

static int class_compare(const void *pa, const void *pb) {
  const Class *a = pa, *b = pb;
  int order = class_values_compare(a, b);
  if (order) return order;
  return a->first_pos < b->first_pos ? -1 : a->first_pos > b->first_pos;
}

static void class_see(Class *c, uint32_t at, uint32_t pos, const char *name) {
  if (c->n == 0) c->first_pos = pos, c->name = name;
  if (c->n && c->at[c->n - 1] == at) return;
  mem_grow((void **)&c->at, &c->cap, (size_t)c->n + 1, sizeof *c->at);
  c->at[c->n++] = at;
}

/* classes[] by root label, in label order; *of[label] = index or CHAN_FIXED. */
static Class *classes_collect(Finder *f, uint32_t *n_out, uint32_t *of) {
  uint32_t n = 0;
  for (uint32_t l = 0; l < f->n; l++) {
    of[l] = CHAN_FIXED;
    if (f->labels[l].parent == l && !f->labels[l].frozen) of[l] = n++;
  }
  Class *classes = mem_array(n, sizeof *classes);
  for (uint32_t l = 0; l < f->n; l++)
    if (of[l] != CHAN_FIXED) classes[of[l]].root = l;
  for (NodeId i = 0; i < f->g->n_nodes; i++) {
    const Node *node = &f->g->nodes[i];
    for (uint32_t k = 0; k < extent(f, node->out[0]); k++) {
      uint32_t c = of[label_root(f, f->lab[node->out[0]][k])];
      if (c != CHAN_FIXED) class_see(&classes[c], i, k, node_label(f->g, node));
    }
  }
  *n_out = n;
  return classes;
}

/* Classes that are channels of no value any more (a constant's, unread) cannot occur: each label stands in
 * the output of the node that made it. */
static void units_number(Finder *f) {
  uint32_t n, *of = mem_array(f->n, sizeof *of);
  Class *classes = classes_collect(f, &n, of);
  qsort(classes, n, sizeof *classes, class_compare);
  Channels *c = f->c;
  c->n_units = n;
  c->group_of = arena_array(c->arena, n, sizeof *c->group_of);
  c->groups = arena_array(c->arena, n, sizeof *c->groups);
  for (uint32_t u = 0; u < n; u++) {
    ASSERT(classes[u].n > 0);
    if (u == 0 || class_values_compare(&classes[u - 1], &classes[u]) != 0)
      c->groups[c->n_groups++] = (ChanGroup){.first = u, .name = classes[u].name};
    c->groups[c->n_groups - 1].n++;
    c->group_of[u] = c->n_groups - 1;
    of[classes[u].root] = u;
  }
  for (ValId v = 1; v < f->g->n_vals; v++) {
    if (!f->lab[v]) continue;
    c->unit[v] = arena_array(c->arena, extent(f, v), sizeof(uint32_t));
    for (uint32_t k = 0; k < extent(f, v); k++) c->unit[v][k] = of[label_root(f, f->lab[v][k])];
  }
  for (uint32_t i = 0; i < n; i++) mem_free(classes[i].at);
  mem_free(classes);
  mem_free(of);
}

static void layers_list(Finder *f) {
  Channels *c = f->c;
  c->layers = arena_array(c->arena, f->g->n_nodes, sizeof *c->layers);
  for (NodeId i = 0; i < f->g->n_nodes; i++) {
    const Node *n = &f->g->nodes[i];
    if (n->op != OP_conv && n->op != OP_depthwise_conv && n->op != OP_fully_connected) continue;
    ValId y = n->out[0];
    ChanLayer *l = &c->layers[c->n_layers++];
    *l =
        (ChanLayer){.node = i, .name = arena_strdup(c->arena, node_label(f->g, n)), .channels = extent(f, y)};
    for (uint32_t k = 0; k < l->channels; k++) {
      if (c->unit[y][k] != CHAN_FIXED)
        l->prunable++;
      else if (!l->reason)
        l->reason = f->labels[label_root(f, f->lab[y][k])].frozen;
    }
  }
}

static bool graph_is_float(const Graph *g, Diag *d) {
  for (NodeId i = 0; i < g->n_nodes; i++) {
    const Value *v = graph_val(g, g->nodes[i].out[0]);
    FAIL_IF(v->quant.n > 0, d, &g->nodes[i].loc,
            "channels can be removed from a float graph only: this output is %s, quantized",
            dtype_name(v->dtype));
  }
  return true;
}

static bool find_labels(Finder *f, const char *keep, Diag *d) {
  const Graph *g = f->g;
  for (uint32_t i = 0; i < g->n_inputs; i++) value_fresh(f, g->inputs[i], "they are the graph's input");
  for (NodeId i = 0; i < g->n_nodes; i++) couple_node(f, &g->nodes[i]);
  for (uint32_t i = 0; i < g->n_outputs; i++) value_freeze(f, g->outputs[i], "they are the graph's output");
  return freeze_named(f, keep, d);
}

bool channels_find(const Graph *g, const char *keep, Channels *out, Diag *d) {
  *out = (Channels){.arena = arena_new(), .graph = g};
  out->axis = arena_array(out->arena, g->n_vals, sizeof *out->axis);
  out->unit = arena_array(out->arena, g->n_vals, sizeof *out->unit);
  for (ValId v = 0; v < g->n_vals; v++) out->axis[v] = -1;
  TRY(graph_is_float(g, d));
  Finder f = {.g = g, .c = out, .lab = mem_array(g->n_vals, sizeof *f.lab)};
  bool ok = find_labels(&f, keep, d);
  if (ok) {
    units_number(&f);
    layers_list(&f);
  }
  mem_free(f.labels);
  mem_free(f.lab);
  return ok;
}

void channels_free(Channels *c) {
  arena_free(c->arena);
  *c = (Channels){0};
}

void channels_print(const Channels *c, StrBuf *out) {
  for (uint32_t i = 0; i < c->n_groups; i++)
    sb_printf(out, "group %u \"%s\": %u units\n", i, c->groups[i].name, c->groups[i].n);
  for (uint32_t i = 0; i < c->n_layers; i++) {
    const ChanLayer *l = &c->layers[i];
    if (l->reason)
      sb_printf(out, "layer \"%s\": %u of %u channels stay: %s\n", l->name, l->channels - l->prunable,
                l->channels, l->reason);
  }
}
