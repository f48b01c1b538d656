/* Building the graph whose layers are factorized (lowrank.h). The window's rows, columns, or both go to the factor that has
 * these taps; the last one keeps the name, the bias and the activation:
 *
 *   spatial   Conv [R,Kh,1,I] strides (sy,1), pads top and bottom -> Conv [O,1,Kw,R] strides (1,sx), pads left and right
 *
 * Zeros around the image are zeros between the factors too, as only the last one has a bias.
 */
#include "passes/lowrank.h"

#include <stdio.h>

#include "ir/base/mem.h"
#include "passes/channels.h"

/* A factor's window: which of the layer's axes it has. */
typedef struct Window {
  bool rows, cols;
} Window;

typedef struct Build {
  Rewrite *r;
  const Node *n;
  const LowrankOption *o;
  LowrankFactors f;
  Diag *d;
} Build;

static conv_attrs part_of(const conv_attrs *full, Window w) {
  conv_attrs a;
  op_attrs_default(OP_conv, &a);
  for (int i = 0; i < 2; i++) {
    if (!(i == 0 ? w.rows : w.cols)) continue;
    a.strides.v[i] = full->strides.v[i], a.dilations.v[i] = full->dilations.v[i];
    a.pads.v[i] = full->pads.v[i], a.pads.v[i + 2] = full->pads.v[i + 2];
  }
  return a;
}

/* Factor i of the layer on x: weights of shape w, a window of a Conv. */
static ValId factor(Build *b, int i, ValId x, const Shape *w, Window window) {
  const Graph *g = b->r->from;
  bool last = i + 1 == b->f.n;
  const char *layer = node_label(g, b->n), *out = graph_val(g, b->n->out[0])->name;
  Arena *a = b->r->to->arena;
  Loc loc = rewrite_loc(b->r, b->n);
  if (!last) loc.name = arena_printf(a, "%s:%d", layer, i + 1);
  ValId in[3] = {x, graph_const_data(b->r->to, arena_printf(a, "%s:w%d", layer, i + 1), DT_F32, w, b->f.w[i]),
                 NO_VAL};
  Shape bs = shape_of(1, w->d[0]);
  if (last && b->f.bias)
    in[2] = graph_const_data(b->r->to, arena_printf(a, "%s:b", layer), DT_F32, &bs, b->f.bias);
  union {
    conv_attrs conv;
    fully_connected_attrs full;
  } attrs;
  if (b->n->op == OP_conv) {
    attrs.conv = part_of(CATTRS(b->n, conv), window);
    if (last) attrs.conv.act = CATTRS(b->n, conv)->act;
  } else {
    op_attrs_default(OP_fully_connected, &attrs);
    if (last) attrs.full.act = CATTRS(b->n, fully_connected)->act;
  }
  return graph_node(b->r->to, b->n->op, &attrs, in, in[2] == NO_VAL ? 2 : 3, last ? out : loc.name, &loc,
                    b->d);
}

static ValId factors(Build *b, ValId x) {
  const Shape *w = &graph_val(b->r->from, b->n->in[1])->shape;
  int64_t o = w->d[0], r = b->o->rank, p = b->o->in_rank;
  Shape s[3];
  Window window[3] = {{0}};
  if (b->n->op == OP_fully_connected) {
    s[0] = shape_of(2, r, w->d[1]), s[1] = shape_of(2, o, r);
  } else if (b->o->method == LOWRANK_SVD) {
    s[0] = shape_of(4, r, w->d[1], w->d[2], w->d[3]), s[1] = shape_of(4, o, (int64_t)1, (int64_t)1, r);
    window[0] = (Window){true, true};
  } else if (b->o->method == LOWRANK_SPATIAL) {
    s[0] = shape_of(4, r, w->d[1], (int64_t)1, w->d[3]), s[1] = shape_of(4, o, (int64_t)1, w->d[2], r);
    window[0].rows = window[1].cols = true;
  } else {
    s[0] = shape_of(4, p, (int64_t)1, (int64_t)1, w->d[3]), s[1] = shape_of(4, r, w->d[1], w->d[2], p);
    s[2] = shape_of(4, o, (int64_t)1, (int64_t)1, r);
    window[1] = (Window){true, true};
  }
  for (int i = 0; i < b->f.n && x != NO_VAL; i++) x = factor(b, i, x, &s[i], window[i]);
  return x;
}

static const LowrankPick *pick_of(const LowrankPick *picks, int n, NodeId k) {
  for (int i = 0; i < n; i++)
    if (lowrank_node(picks[i].layer) == k) return &picks[i];
  return NULL;
}

/* Factors of a layer with a bias whose weights are anything but alike: equal constants would be stored once. */
static LowrankFactors nominal(const Node *n, const Graph *g, const LowrankOption *o) {
  LowrankFactors f = {.n = o->method == LOWRANK_TUCKER ? 3 : 2};
  uint32_t x = (uint32_t)(n - g->nodes) * 3 + 1;
  for (int i = 0; i < f.n; i++) {
    f.w[i] = mem_array((size_t)o->params, sizeof(float)); /* no factor has more */
    for (int64_t k = 0; k < o->params; k++, x = x * 1664525U + 1013904223U)
      f.w[i][k] = (float)(x >> 16) / 32768 - 1;
  }
  f.bias = mem_array((size_t)graph_val(g, n->in[1])->shape.d[0], sizeof *f.bias);
  return f;
}

Graph *lowrank_apply(const Graph *g, const LowrankPick *picks, int n, Diag *d) {
  Rewrite r;
  bool ok = true;
  rewrite_begin(&r, g, "lowrank");
  for (NodeId k = 0; ok && k < g->n_nodes; k++) {
    const LowrankPick *p = pick_of(picks, n, k);
    if (!p) {
      ok = rewrite_copy(&r, &g->nodes[k], d);
      continue;
    }
    Build b = {.r = &r, .n = &g->nodes[k], .o = &p->option, .d = d};
    b.f = p->nominal ? nominal(b.n, g, &p->option) : lowrank_factors(p->layer, &p->option);
    ValId y = factors(&b, rewrite_val(&r, b.n->in[0]));
    lowrank_factors_free(&b.f);
    r.map[b.n->out[0]] = y;
    ok = y != NO_VAL;
  }
  return rewrite_end(&r, ok, d);
}
