/* Bands: patches. Layers `first` .. `last` computed for one band of columns after the other, for less memory and
 * some work done twice.
 *
 *   columns of x  |###############|   conv 3x3   |#########|        conv 3x3   |####|....    band 1 of y
 *                 |...#############|  ------->   |..#########|      ------->   .....|####|   band 2 of y
 *
 * A band of the last layer's output needs, layer by layer before it, its own columns and those that windows reach into:
 * computed again by each band that needs them. In the other direction nothing is: within a band, layers run row by row
 * over rings (segment.c), of the band's width. A band of rows would save nothing that a ring of rows does not.
 *
 * This is a graph made from a graph, in plain operators: Slices take columns, pads of windows become those of the band,
 * a Concat joins the bands. All that plans, checks, emits and costs sees no more than a larger model.
 */
#include "backend/plan/bands.h"

#include <string.h>

#include "ir/base/mem.h"

enum { WIDE = 2 }; /* the axis of columns */

/* Columns from .. to-1 of a value. */
typedef struct Columns {
  int64_t from, to;
} Columns;

/* What an image input of a node must hold for some columns of its output, and the padding left of and right of it. */
typedef struct Need {
  Columns in;
  int64_t left, right;
} Need;

static bool is_image(const Graph *g, ValId v) {
  const Value *x = graph_val(g, v);
  return v != NO_VAL && !val_is_const(g, v) && x->shape.rank == 4 && x->shape.d[0] == 1 &&
         (x->quant.n <= 1 || x->quant.axis == 3);
}

static int64_t width(const Graph *g, ValId v) { return graph_val(g, v)->shape.d[WIDE]; }
static int64_t height(const Graph *g, ValId v) { return graph_val(g, v)->shape.d[1]; }

typedef struct Window {
  Ints *strides, *pads;
  const Ints *dilations;
  int64_t taps, taps_high; /* across columns, across rows */
} Window;

/* The window of a node with these attributes. False: it has none. */
static bool window_of(const Graph *g, const Node *n, void *attrs, Window *w) {
  switch (n->op) {
  case OP_conv: {
    conv_attrs *a = attrs;
    *w = (Window){&a->strides, &a->pads, &a->dilations, width(g, n->in[1]), height(g, n->in[1])};
    return true;
  }
  case OP_depthwise_conv: {
    depthwise_conv_attrs *a = attrs;
    *w = (Window){&a->strides, &a->pads, &a->dilations, width(g, n->in[1]), height(g, n->in[1])};
    return true;
  }
  case OP_max_pool: {
    max_pool_attrs *a = attrs;
    *w = (Window){&a->strides, &a->pads, &a->dilations, a->kernel.v[1], a->kernel.v[0]};
    return true;
  }
  case OP_average_pool: {
    average_pool_attrs *a = attrs;
    *w = (Window){&a->strides, &a->pads, &a->dilations, a->kernel.v[1], a->kernel.v[0]};
    return true;
  }
  default: return false;
  }
}

/* Columns begin .. end-1, of which those outside 0 .. wide-1 are padding. */
static Need need_of(int64_t begin, int64_t end, int64_t wide) {
  Need r = {{begin, end}, 0, 0};
  if (begin < 0) r.left = -begin, r.in.from = 0;
  if (end > wide) r.right = end - wide, r.in.to = wide;
  return r;
}

static Need find_need(const Graph *g, const Node *n, Columns out, uint32_t input) {
  Window w;
  const int64_t wide = width(g, n->in[input]);
  if (n->op == OP_pad) {
    int64_t left = CATTRS(n, pad)->pads.v[WIDE];
    return need_of(out.from - left, out.to - left, wide);
  }
  if (n->op == OP_slice) {
    const slice_attrs *a = CATTRS(n, slice);
    int64_t step = a->steps.v[WIDE], first = a->starts.v[WIDE] + out.from * step;
    return need_of(first, first + (out.to - out.from - 1) * step + 1, wide);
  }
  if (!window_of(g, n, n->attrs, &w)) return need_of(out.from, out.to, wide);
  int64_t dil = w.dilations->n ? w.dilations->v[1] : 1, stride = w.strides->v[1];
  int64_t begin = out.from * stride - w.pads->v[1], last = (out.to - 1) * stride - w.pads->v[1];
  return need_of(begin, last + (w.taps - 1) * dil + 1, wide);
}

/* -- which nodes -- */

/* An operand that is the same for all columns. */
static bool is_uniform(const Graph *g, ValId v) {
  const Shape *s = &graph_val(g, v)->shape;
  return val_is_const(g, v) && (s->rank < 2 || s->d[s->rank - 2] == 1);
}

static bool is_by_columns(const Graph *g, const Node *n) {
  Window w;
  const OpInfo *op = op_info(n->op);
  if (n->n_out != 1 || !is_image(g, n->out[0]) || !is_image(g, n->in[0])) return false;
  if (n->op == OP_slice) return CATTRS(n, slice)->steps.v[WIDE] > 0;
  if (n->op == OP_pad || window_of(g, n, n->attrs, &w)) return true;
  if (n->op == OP_lookup) return is_image(g, n->in[0]);
  if (!(op->traits & T_ELEMENTWISE) && (n->op != OP_concat || CATTRS(n, concat)->axis != 3)) return false;
  for (uint32_t i = 0; i < n->n_in; i++) {
    bool image = is_image(g, n->in[i]) && width(g, n->in[i]) == width(g, n->out[0]);
    if (!image && (n->op == OP_concat || !is_uniform(g, n->in[i]))) return false;
  }
  return true;
}

static bool inside(const Graph *g, const BandRegion *r, ValId v) {
  NodeId def = graph_val(g, v)->def;
  return def != NO_NODE && def >= r->first && def <= r->last;
}

/* The one value that the region hands on; NO_VAL: there are several. */
static ValId region_out(const Graph *g, const BandRegion *r) {
  ValId out = g->nodes[r->last].out[0];
  for (NodeId k = r->last + 1; k < g->n_nodes; k++)
    for (uint32_t i = 0; i < g->nodes[k].n_in; i++)
      if (g->nodes[k].in[i] != out && inside(g, r, g->nodes[k].in[i])) return NO_VAL;
  for (ValId v = 1; v < g->n_vals; v++)
    if (v != out && inside(g, r, v) && graph_is_result(g, v)) return NO_VAL;
  return out;
}

bool bands_can_node(const Graph *g, NodeId k) { return is_by_columns(g, &g->nodes[k]); }

bool bands_can(const Graph *g, const BandRegion *r) {
  for (NodeId k = r->first; k <= r->last; k++)
    if (!bands_can_node(g, k)) return false;
  ValId out = region_out(g, r);
  return out != NO_VAL && r->bands >= 2 && width(g, out) >= r->bands;
}

/* -- the columns of each value that a band computes -- */

static void widen(Columns *c, Columns by) {
  if (c->from >= c->to) {
    *c = by;
    return;
  }
  c->from = by.from < c->from ? by.from : c->from;
  c->to = by.to > c->to ? by.to : c->to;
}

/* False: a band that needs padding alone. */
static bool find_columns(const Graph *g, const BandRegion *r, Columns out, Columns *col) {
  memset(col, 0, g->n_vals * sizeof *col);
  col[g->nodes[r->last].out[0]] = out;
  for (NodeId k = r->last + 1; k-- > r->first;) {
    const Node *n = &g->nodes[k];
    const Columns of = col[n->out[0]];
    if (of.from >= of.to) continue;
    for (uint32_t i = 0; i < n->n_in; i++) {
      if (!is_image(g, n->in[i])) continue;
      Need need = find_need(g, n, of, i);
      if (need.in.from >= need.in.to) return false;
      widen(&col[n->in[i]], need.in);
    }
  }
  return true;
}

static Columns band_columns(const Graph *g, const BandRegion *r, int band) {
  const int64_t wide = width(g, g->nodes[r->last].out[0]);
  return (Columns){wide * band / r->bands, wide * (band + 1) / r->bands};
}

int64_t bands_macs(const Graph *g, const BandRegion *r) {
  Columns *col = mem_array(g->n_vals, sizeof *col);
  int64_t sum = graph_macs(g);
  for (NodeId k = r->first; k <= r->last; k++) sum -= node_macs(g, &g->nodes[k]);
  for (int b = 0; b < r->bands && sum != INT64_MAX; b++) {
    if (!find_columns(g, r, band_columns(g, r, b), col)) sum = INT64_MAX;
    for (NodeId k = r->first; k <= r->last && sum != INT64_MAX; k++) {
      const ValId out = g->nodes[k].out[0];
      sum += node_macs(g, &g->nodes[k]) / width(g, out) * (col[out].to - col[out].from);
    }
  }
  mem_free(col);
  return sum;
}

/* Bytes of the rows that the windows of node n read of so many columns. */
static int64_t window_bytes(const Graph *g, const Node *n, int64_t columns) {
  const ValId x = n->in[0];
  Window w;
  if (!window_of(g, n, n->attrs, &w) || w.taps_high < 2) return 0;
  return (int64_t)val_bytes(g, x) / height(g, x) / width(g, x) * columns * w.taps_high;
}

int64_t bands_rings(const Graph *g, const BandRegion *r) {
  Columns *col = mem_array(g->n_vals, sizeof *col);
  int64_t most = 0;
  for (int b = 0; b < r->bands; b++) {
    int64_t sum = 0;
    find_columns(g, r, band_columns(g, r, b), col);
    for (NodeId k = r->first; k <= r->last; k++) {
      const Columns *c = &col[g->nodes[k].in[0]];
      sum += window_bytes(g, &g->nodes[k], c->to - c->from);
    }
    most = sum > most ? sum : most;
  }
  mem_free(col);
  return most;
}

int64_t bands_rings_whole(const Graph *g, NodeId first, NodeId end) {
  int64_t sum = 0;
  for (NodeId k = first; k < end; k++)
    if (is_by_columns(g, &g->nodes[k])) sum += window_bytes(g, &g->nodes[k], width(g, g->nodes[k].in[0]));
  return sum;
}

/* -- building -- */

typedef struct Maker {
  Rewrite r;
  const BandRegion *region;
  Columns *col; /* of the band, by old value */
  ValId *val;   /* of the band, by old value; NO_VAL: not made */
  Diag *d;
} Maker;

static ValId take_columns(Maker *m, ValId x, int64_t from, int64_t n, const char *name, const Loc *loc) {
  const Shape *s = &graph_val(m->r.to, x)->shape;
  if (from == 0 && n == s->d[WIDE]) return x;
  slice_attrs a = {.starts = {4, {0, 0, from, 0}},
                   .counts = {4, {s->d[0], s->d[1], n, s->d[3]}},
                   .steps = {4, {1, 1, 1, 1}}};
  return graph_node1(m->r.to, OP_slice, &a, x, name, loc, m->d);
}

/* What node n of the band reads of old value v: these of its columns. */
static ValId band_input(Maker *m, ValId v, Columns want, const Loc *loc) {
  const char *name = graph_val(m->r.from, v)->name;
  if (m->val[v] == NO_VAL)
    m->val[v] =
        take_columns(m, rewrite_val(&m->r, v), m->col[v].from, m->col[v].to - m->col[v].from, name, loc);
  if (m->val[v] == NO_VAL) return NO_VAL;
  return take_columns(m, m->val[v], want.from - m->col[v].from, want.to - want.from, name, loc);
}

/* The attributes as those of `out` columns alone. */
static void set_columns(const Graph *g, const Node *n, const Need *need, Columns out, void *attrs) {
  Window w;
  if (n->op == OP_slice) {
    slice_attrs *a = attrs;
    a->starts.v[WIDE] = 0;
    a->counts.v[WIDE] = out.to - out.from;
  }
  if (n->op == OP_pad) {
    pad_attrs *a = attrs;
    a->pads.v[WIDE] = need->left;
    a->pads.v[4 + WIDE] = need->right;
  } else if (window_of(g, n, attrs, &w)) {
    w.pads->v[1] = need->left;
    w.pads->v[3] = need->right;
  }
}

static bool band_node(Maker *m, const Node *n) {
  const Graph *g = m->r.from;
  const Value *old = graph_val(g, n->out[0]);
  ValId in[64];
  Need need = {0};
  const Loc loc = rewrite_loc(&m->r, n);
  if (m->col[n->out[0]].from >= m->col[n->out[0]].to) return true;
  for (uint32_t i = n->n_in; i-- > 0;) { /* the last: input 0's need, which says the padding */
    in[i] = n->in[i];
    if (in[i] == NO_VAL) continue;
    bool image = is_image(g, in[i]);
    if (image) need = find_need(g, n, m->col[n->out[0]], i);
    in[i] = image ? band_input(m, in[i], need.in, &loc) : rewrite_val(&m->r, in[i]);
    if (in[i] == NO_VAL) return false;
  }
  size_t size = op_info(n->op)->attrs_size;
  void *attrs = arena_dup(m->r.to->arena, n->attrs, size);
  set_columns(g, n, &need, m->col[n->out[0]], attrs);
  ValId v = graph_node(m->r.to, n->op, attrs, in, n->n_in, old->name, &loc, m->d);
  if (v != NO_VAL && old->quant.n && !graph_val(m->r.to, v)->quant.n)
    graph_set_quant(m->r.to, v, old->quant.n, old->quant.axis, old->quant.scale, old->quant.zero);
  m->val[n->out[0]] = v;
  return v != NO_VAL;
}

/* One band's nodes, of the same order as the region's. Returns its share of the region's output. */
static ValId make_band(Maker *m, int band) {
  const Graph *g = m->r.from;
  const ValId out = g->nodes[m->region->last].out[0];
  for (ValId v = 0; v < g->n_vals; v++) m->val[v] = NO_VAL;
  if (!find_columns(g, m->region, band_columns(g, m->region, band), m->col)) return NO_VAL;
  for (NodeId k = m->region->first; k <= m->region->last; k++)
    if (!band_node(m, &g->nodes[k])) return NO_VAL;
  return m->val[out];
}

static bool make_region(Maker *m) {
  const Graph *g = m->r.from;
  const Node *end = &g->nodes[m->region->last];
  const Loc loc = rewrite_loc(&m->r, end);
  const concat_attrs a = {.axis = WIDE};
  ValId part[BANDS_MAX];
  for (int b = 0; b < m->region->bands; b++) {
    part[b] = make_band(m, b);
    if (part[b] == NO_VAL) return false;
  }
  ValId v = graph_node(m->r.to, OP_concat, &a, part, (uint32_t)m->region->bands,
                       graph_val(g, end->out[0])->name, &loc, m->d);
  m->r.map[end->out[0]] = v;
  return v != NO_VAL;
}

Graph *bands_apply(const Graph *g, const BandRegion *region, Diag *d) {
  Maker m = {.region = region, .d = d};
  bool ok = true;
  ASSERT(bands_can(g, region) && region->bands <= BANDS_MAX);
  rewrite_begin(&m.r, g, NULL);
  m.col = mem_array(g->n_vals, sizeof *m.col);
  m.val = mem_array(g->n_vals, sizeof *m.val);
  for (NodeId k = 0; k < g->n_nodes && ok; k++) {
    bool in = k >= region->first && k <= region->last;
    if (k == region->last)
      ok = make_region(&m);
    else if (!in)
      ok = rewrite_copy(&m.r, &g->nodes[k], d);
  }
  mem_free(m.col);
  mem_free(m.val);
  return rewrite_end(&m.r, ok, d);
}
