/* layout: sinks Transposes until they cancel.
 *
 * Importers put a Transpose before and behind every convolution of an NCHW model. Walking the nodes in order,
 * each old value is held lazily as a new value and a permutation that is still owed:
 *
 *   old = Transpose(base, perm)              old axis i is base axis perm[i]
 *   old = Reshape(Transpose(base, perm))     `flat`: flattened to [N, K] with the transposition still owed
 *
 * A Transpose node composes permutations; operators that do not mind work on the base and hand the debt on,
 * with their axes renamed; FullyConnected pays a flat debt by permuting the columns of its constant weights;
 * everything else pays with a real Transpose (a Reshape where only extents of 1 move). Chains of NHWC
 * operators between NCHW ones so lose all their Transposes but those at the model's own boundary, and with
 * `input=nhwc` images are taken as NHWC, so that this one goes too.
 */
#include "passes/pass.h"

#include <string.h>

#include "ir/base/mem.h"

PassFn pass_layout;

typedef struct Lazy {
  ValId base; /* in the new graph; NO_VAL: not seen yet */
  bool flat;
  int rank; /* of base */
  int perm[MAX_RANK];
} Lazy;

typedef struct Layout {
  Rewrite r;
  Lazy *lazy; /* by old value */
  Diag *d;
} Layout;

static Lazy lazy_plain(ValId v, int rank) {
  Lazy l = {.base = v, .rank = rank};
  for (int i = 0; i < rank; i++) l.perm[i] = i;
  return l;
}

static bool is_identity(const Lazy *l) {
  for (int i = 0; i < l->rank; i++) {
    if (l->perm[i] != i) return false;
  }
  return !l->flat;
}

/* Do only extents of 1 change places? Then the elements keep their order. */
static bool keeps_order(const Shape *base, const Lazy *l) {
  int last = -1;
  for (int i = 0; i < l->rank; i++) {
    if (base->d[l->perm[i]] == 1) continue;
    if (l->perm[i] < last) return false;
    last = l->perm[i];
  }
  return true;
}

static ValId reshape_to(Layout *s, ValId x, const Shape *shape, const char *name, const Loc *loc) {
  if (shape_equal(&graph_val(s->r.to, x)->shape, shape)) return x;
  reshape_attrs attrs = {0};
  attrs.shape.n = shape->rank;
  memcpy(attrs.shape.v, shape->d, sizeof shape->d[0] * (size_t)shape->rank);
  return graph_node1(s->r.to, OP_reshape, &attrs, x, name, loc, s->d);
}

static ValId transpose_by(Layout *s, ValId x, const Lazy *l, const char *name, const Loc *loc) {
  transpose_attrs attrs = {0};
  attrs.perm.n = l->rank;
  for (int i = 0; i < l->rank; i++) attrs.perm.v[i] = l->perm[i];
  return graph_node1(s->r.to, OP_transpose, &attrs, x, name, loc, s->d);
}

/* The old value itself in the new graph: the debt is paid, once for all its readers. */
static ValId pay(Layout *s, ValId old, const Loc *loc) {
  if (old == NO_VAL || val_is_const(s->r.from, old)) return old == NO_VAL ? NO_VAL : rewrite_val(&s->r, old);
  Lazy *l = &s->lazy[old];
  if (l->base == NO_VAL || is_identity(l)) return l->base;
  const Value *want = graph_val(s->r.from, old);
  Shape base = graph_val(s->r.to, l->base)->shape;
  ValId v = l->base;
  if (!keeps_order(&base, l)) v = transpose_by(s, v, l, want->name, loc);
  if (v != NO_VAL) v = reshape_to(s, v, &want->shape, want->name, loc);
  *l = lazy_plain(v, want->shape.rank);
  return v;
}

/* Copy node n with inputs paid. */
static bool copy_paid(Layout *s, const Node *n) {
  for (uint32_t i = 0; i < n->n_in; i++) {
    ValId v = pay(s, n->in[i], &n->loc);
    if (n->in[i] != NO_VAL) TRY(v != NO_VAL);
    if (n->in[i] != NO_VAL) s->r.map[n->in[i]] = v;
  }
  TRY(rewrite_copy(&s->r, n, s->d));
  for (uint32_t i = 0; i < n->n_out; i++) {
    ValId v = s->r.map[n->out[i]];
    s->lazy[n->out[i]] = lazy_plain(v, graph_val(s->r.to, v)->shape.rank);
  }
  return true;
}

/* A node like n on other inputs, whose output owes `debt`'s permutation. Per-channel axes follow. */
static bool emit(Layout *s, const Node *n, const void *attrs, const ValId *in, uint32_t n_in,
                 const Lazy *debt) {
  const Value *old = graph_val(s->r.from, n->out[0]);
  ValId v = graph_node(s->r.to, n->op, attrs, in, n_in, old->name, &n->loc, s->d);
  TRY(v != NO_VAL);
  const Quant *q = &old->quant;
  if (q->n) graph_set_quant(s->r.to, v, q->n, q->n > 1 ? debt->perm[q->axis] : q->axis, q->scale, q->zero);
  Lazy out = *debt;
  out.base = v;
  s->lazy[n->out[0]] = out;
  s->r.map[n->out[0]] = v;
  return true;
}

static void on_transpose(Layout *s, const Node *n) {
  const Lazy *x = &s->lazy[n->in[0]];
  Lazy out = *x;
  for (int i = 0; i < x->rank; i++) out.perm[i] = x->perm[CATTRS(n, transpose)->perm.v[i]];
  s->lazy[n->out[0]] = out;
}

/* A constant operand of a binary operator, turned so that it meets the base's axes. */
static ValId const_for(Layout *s, const Lazy *debt, ValId old, const Loc *loc) {
  ValId v = rewrite_val(&s->r, old);
  Shape have = graph_val(s->r.to, v)->shape;
  if (shape_count(&have) == 1 && have.rank <= 1) return v;
  Shape full = {.rank = debt->rank};
  for (int i = 0; i < debt->rank; i++) {
    int k = i - (debt->rank - have.rank);
    full.d[i] = k < 0 ? 1 : have.d[k];
  }
  Lazy inverse = lazy_plain(NO_VAL, debt->rank);
  for (int i = 0; i < debt->rank; i++) inverse.perm[debt->perm[i]] = i;
  v = reshape_to(s, v, &full, NULL, loc);
  return v == NO_VAL ? v : transpose_by(s, v, &inverse, NULL, loc);
}

/* Binary elementwise: both sides owe the same, or one is constant. */
static bool on_binary(Layout *s, const Node *n) {
  const Graph *g = s->r.from;
  bool ca = val_is_const(g, n->in[0]), cb = val_is_const(g, n->in[1]);
  if (ca && cb) return copy_paid(s, n);
  const Lazy *debt = &s->lazy[ca ? n->in[1] : n->in[0]];
  int rank = graph_val(g, n->out[0])->shape.rank;
  if (is_identity(debt) && !cb && !ca) debt = &s->lazy[n->in[1]];
  if (is_identity(debt) || debt->flat || debt->rank != rank) return copy_paid(s, n);
  ValId in[2];
  for (int i = 0; i < 2; i++) {
    if (val_is_const(g, n->in[i])) {
      if (graph_val(g, n->in[i])->quant.n > 1) return copy_paid(s, n);
      in[i] = const_for(s, debt, n->in[i], &n->loc);
    } else {
      const Lazy *x = &s->lazy[n->in[i]];
      if (x->flat || x->rank != rank || memcmp(x->perm, debt->perm, sizeof x->perm[0] * (size_t)rank) != 0) {
        return copy_paid(s, n);
      }
      in[i] = x->base;
    }
    TRY(in[i] != NO_VAL);
  }
  Lazy owed = *debt;
  return emit(s, n, n->attrs, in, 2, &owed);
}

static bool on_unary(Layout *s, const Node *n) {
  Lazy x = s->lazy[n->in[0]];
  return emit(s, n, n->attrs, &x.base, 1, &x);
}

static bool on_batch_normalization(Layout *s, const Node *n) {
  Lazy x = s->lazy[n->in[0]];
  if (x.flat) return copy_paid(s, n);
  batch_normalization_attrs attrs = *CATTRS(n, batch_normalization);
  attrs.axis = x.perm[attrs.axis];
  ValId in[5] = {x.base};
  for (int i = 1; i < 5; i++) {
    if (!val_is_const(s->r.from, n->in[i])) return copy_paid(s, n);
    in[i] = rewrite_val(&s->r, n->in[i]);
  }
  return emit(s, n, &attrs, in, 5, &x);
}

/* Pad and Slice: one entry per axis, renamed. */
static bool on_pad(Layout *s, const Node *n) {
  Lazy x = s->lazy[n->in[0]];
  if (x.flat) return copy_paid(s, n);
  const pad_attrs *old = CATTRS(n, pad);
  pad_attrs attrs = *old;
  for (int i = 0; i < x.rank; i++) {
    attrs.pads.v[x.perm[i]] = old->pads.v[i];
    attrs.pads.v[x.rank + x.perm[i]] = old->pads.v[x.rank + i];
  }
  return emit(s, n, &attrs, &x.base, 1, &x);
}

static bool on_slice(Layout *s, const Node *n) {
  Lazy x = s->lazy[n->in[0]];
  if (x.flat) return copy_paid(s, n);
  const slice_attrs *old = CATTRS(n, slice);
  slice_attrs attrs = *old;
  for (int i = 0; i < x.rank; i++) {
    attrs.starts.v[x.perm[i]] = old->starts.v[i];
    attrs.counts.v[x.perm[i]] = old->counts.v[i];
    attrs.steps.v[x.perm[i]] = old->steps.v[i];
  }
  return emit(s, n, &attrs, &x.base, 1, &x);
}

static bool on_concat(Layout *s, const Node *n) {
  const Graph *g = s->r.from;
  const Lazy first = s->lazy[n->in[0]];
  bool same = !first.flat && !val_is_const(g, n->in[0]);
  for (uint32_t i = 1; same && i < n->n_in; i++) {
    const Lazy *x = &s->lazy[n->in[i]];
    same = !val_is_const(g, n->in[i]) && !x->flat &&
           memcmp(x->perm, first.perm, sizeof x->perm[0] * (size_t)first.rank) == 0;
  }
  if (!same) return copy_paid(s, n);
  concat_attrs attrs = *CATTRS(n, concat);
  attrs.axis = first.perm[attrs.axis];
  ValId *in = mem_array(n->n_in, sizeof *in);
  for (uint32_t i = 0; i < n->n_in; i++) in[i] = s->lazy[n->in[i]].base;
  bool ok = emit(s, n, &attrs, in, n->n_in, &first);
  mem_free(in);
  return ok;
}

static bool on_reduce_mean(Layout *s, const Node *n) {
  Lazy x = s->lazy[n->in[0]];
  if (x.flat) return copy_paid(s, n);
  const reduce_mean_attrs *old = CATTRS(n, reduce_mean);
  reduce_mean_attrs attrs = *old;
  bool gone[MAX_RANK] = {false}; /* base axes */
  for (int i = 0; i < old->axes.n; i++) gone[x.perm[old->axes.v[i]]] = true;
  attrs.axes.n = 0;
  for (int i = 0; i < x.rank; i++) {
    if (gone[i]) attrs.axes.v[attrs.axes.n++] = i;
  }
  Lazy out = x;
  if (!old->keepdims) { /* base axis a moves down by the reduced axes before it */
    out.rank = 0;
    for (int i = 0; i < x.rank; i++) {
      if (gone[x.perm[i]]) continue;
      int at = 0;
      for (int k = 0; k < x.perm[i]; k++) at += !gone[k];
      out.perm[out.rank++] = at;
    }
  }
  return emit(s, n, &attrs, &x.base, 1, &out);
}

static bool on_softmax(Layout *s, const Node *n) {
  Lazy x = s->lazy[n->in[0]];
  softmax_attrs attrs = *CATTRS(n, softmax);
  if (x.flat) return copy_paid(s, n);
  int axis = x.perm[attrs.axis < 0 ? attrs.axis + x.rank : attrs.axis];
  if (axis != x.rank - 1) return copy_paid(s, n); /* kernels want the innermost axis */
  attrs.axis = axis;
  return emit(s, n, &attrs, &x.base, 1, &x);
}

/* Reshape: nothing is owed where the order of the elements is the same; flattening may be paid by weights. */
static bool on_reshape(Layout *s, const Node *n) {
  Lazy x = s->lazy[n->in[0]];
  if (x.flat) return copy_paid(s, n);
  const Value *old = graph_val(s->r.from, n->out[0]);
  Shape base = graph_val(s->r.to, x.base)->shape;
  if (keeps_order(&base, &x)) {
    ValId v = reshape_to(s, x.base, &old->shape, old->name, &n->loc);
    TRY(v != NO_VAL);
    s->lazy[n->out[0]] = lazy_plain(v, old->shape.rank);
    return true;
  }
  if (old->shape.rank != 2 || x.perm[0] != 0 || old->shape.d[0] != base.d[0]) return copy_paid(s, n);
  s->lazy[n->out[0]] = x;
  s->lazy[n->out[0]].flat = true;
  return true;
}

/* Columns of w [O,K] in the order of the base's elements: column of base index j is old index of j. */
static ValId permute_columns(Layout *s, ValId old_w, const Lazy *x, const Shape *base) {
  const Value *w = graph_val(s->r.from, old_w);
  int64_t rows = w->shape.d[0], cols = w->shape.d[1];
  size_t elem = dtype_size(w->dtype);
  int64_t stride[MAX_RANK] = {0}; /* of old axes in the old flat index, by base axis */
  for (int i = x->rank - 1, done = 1; i > 0; i--) {
    stride[x->perm[i]] = done;
    done *= (int)base->d[x->perm[i]];
  }
  const char *src = val_data(s->r.from, old_w);
  char *dst = mem_alloc_aligned((size_t)(rows * cols) * elem, 64);
  for (int64_t j = 0; j < cols; j++) {
    int64_t old = 0, rest = j;
    for (int a = x->rank - 1; a > 0; a--) {
      old += rest % base->d[a] * stride[a];
      rest /= base->d[a];
    }
    for (int64_t o = 0; o < rows; o++) {
      memcpy(dst + (size_t)(o * cols + j) * elem, src + (size_t)(o * cols + old) * elem, elem);
    }
  }
  ValId v = graph_const(s->r.to, w->name, w->dtype, &w->shape, blob_adopt(dst, (size_t)(rows * cols) * elem));
  if (w->quant.n) graph_set_quant(s->r.to, v, w->quant.n, w->quant.axis, w->quant.scale, w->quant.zero);
  return v;
}

static bool on_fully_connected(Layout *s, const Node *n) {
  Lazy x = s->lazy[n->in[0]];
  if (!x.flat || !val_is_const(s->r.from, n->in[1])) return copy_paid(s, n);
  Shape base = graph_val(s->r.to, x.base)->shape, flat = graph_val(s->r.from, n->in[0])->shape;
  ValId in[3] = {reshape_to(s, x.base, &flat, graph_val(s->r.from, n->in[0])->name, &n->loc),
                 permute_columns(s, n->in[1], &x, &base)};
  TRY(in[0] != NO_VAL);
  if (n->n_in > 2 && n->in[2] != NO_VAL) {
    in[2] = pay(s, n->in[2], &n->loc);
    TRY(in[2] != NO_VAL);
  }
  Lazy plain = lazy_plain(NO_VAL, 2);
  return emit(s, n, n->attrs, in, n->n_in, &plain);
}

static bool visit(Layout *s, const Node *n) {
  if (n->n_in && (n->in[0] == NO_VAL || (val_is_const(s->r.from, n->in[0]) && n->n_in < 2)))
    return copy_paid(s, n);
  const OpInfo *info = op_info(n->op);
  switch (n->op) {
  case OP_transpose: on_transpose(s, n); return true;
  case OP_reshape: return on_reshape(s, n);
  case OP_batch_normalization: return on_batch_normalization(s, n);
  case OP_pad: return on_pad(s, n);
  case OP_slice: return on_slice(s, n);
  case OP_concat: return on_concat(s, n);
  case OP_reduce_mean: return on_reduce_mean(s, n);
  case OP_softmax: return on_softmax(s, n);
  case OP_fully_connected: return on_fully_connected(s, n);
  default: break;
  }
  if (!(info->traits & T_ELEMENTWISE)) return copy_paid(s, n);
  return n->n_in == 1 ? on_unary(s, n) : n->n_in == 2 ? on_binary(s, n) : copy_paid(s, n);
}

/* With input=nhwc an image input becomes NHWC in the new graph, and the old one owes NHWC -> NCHW. */
static void start_inputs(Layout *s, bool nhwc) {
  const Graph *g = s->r.from;
  for (uint32_t i = 0; i < g->n_inputs; i++) {
    ValId old = g->inputs[i], v = rewrite_val(&s->r, old);
    const Shape *shape = &graph_val(g, old)->shape;
    s->lazy[old] = lazy_plain(v, shape->rank);
    if (!nhwc || shape->rank != 4) continue;
    graph_val(s->r.to, v)->shape = shape_of(4, shape->d[0], shape->d[2], shape->d[3], shape->d[1]);
    const int perm[4] = {0, 3, 1, 2};
    memcpy(s->lazy[old].perm, perm, sizeof perm);
  }
}

/* States keep their axes: what they were reads and writes them. */
static void start_states(Layout *s) {
  const Graph *g = s->r.from;
  for (uint32_t i = 0; i < g->n_states; i++) {
    ValId now = g->states[i].now;
    s->lazy[now] = lazy_plain(rewrite_val(&s->r, now), graph_val(g, now)->shape.rank);
  }
}

/* An output, or a state's next value: the debt is paid. */
static bool end_value(Layout *s, ValId old) {
  ValId v = pay(s, old, NULL);
  s->r.map[old] = v;
  return v != NO_VAL;
}

/* Is input 0 read as NCHW: does a Transpose to NHWC read it, and nothing else? */
static bool reads_nchw(const Graph *g, ValId x) {
  static const int64_t to_nhwc[4] = {0, 2, 3, 1};
  bool any = false;
  if (graph_is_result(g, x)) return false;
  for (uint32_t i = 0; i < g->n_nodes; i++) {
    const Node *n = &g->nodes[i];
    for (uint32_t k = 0; k < n->n_in; k++) {
      if (n->in[k] != x) continue;
      if (n->op != OP_transpose || memcmp(CATTRS(n, transpose)->perm.v, to_nhwc, sizeof to_nhwc) != 0)
        return false;
      any = true;
    }
  }
  return any;
}

Graph *pass_layout(const Graph *g, const PassCtx *ctx, Diag *d) {
  char order[16] = "";
  if (pass_param(ctx->params, "input", order, sizeof order) && strcmp(order, "nhwc") != 0) {
    diag_error(d, NULL, "pass layout: input=%s: want nhwc", order);
    return NULL;
  }
  Layout s = {.d = d};
  s.lazy = mem_array(g->n_vals, sizeof *s.lazy);
  rewrite_begin(&s.r, g, NULL);
  bool nhwc = order[0] && g->n_inputs > 0 && graph_val(g, g->inputs[0])->shape.rank == 4 &&
              reads_nchw(g, g->inputs[0]);
  start_inputs(&s, nhwc);
  start_states(&s);
  bool ok = true;
  for (uint32_t i = 0; ok && i < g->n_nodes; i++) ok = visit(&s, &g->nodes[i]);
  for (uint32_t i = 0; ok && i < g->n_outputs; i++) ok = end_value(&s, g->outputs[i]);
  for (uint32_t i = 0; ok && i < g->n_states; i++) ok = end_value(&s, g->states[i].next);
  mem_free(s.lazy);
  return rewrite_end(&s.r, ok, d);
}
