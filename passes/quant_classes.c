/* Which operators have an int8 form, and which values share a scale: classes, by union and find. */
#include <math.h>

#include "passes/quantizer.h"

/* An operator that is not here has no int8 form. */
static const Kind op_kind[OP_COUNT] = {
    [OP_conv] = KIND_WEIGHTS,
    [OP_depthwise_conv] = KIND_WEIGHTS,
    [OP_fully_connected] = KIND_WEIGHTS,
    [OP_add] = KIND_OWN,
    [OP_sub] = KIND_OWN,
    [OP_mul] = KIND_OWN,
    [OP_matmul] = KIND_OWN,
    [OP_relu] = KIND_OWN,
    [OP_clip] = KIND_OWN,
    [OP_leaky_relu] = KIND_OWN,
    [OP_sigmoid] = KIND_OWN,
    [OP_tanh] = KIND_OWN,
    [OP_softmax] = KIND_OWN,
    [OP_reduce_mean] = KIND_OWN,
    [OP_max_pool] = KIND_SHARE,
    [OP_average_pool] = KIND_SHARE,
    [OP_reshape] = KIND_SHARE,
    [OP_transpose] = KIND_SHARE,
    [OP_pad] = KIND_SHARE,
    [OP_slice] = KIND_SHARE,
    [OP_gather] = KIND_SHARE,
    [OP_concat] = KIND_JOIN,
    [OP_max] = KIND_JOIN,
    [OP_min] = KIND_JOIN,
};

/* ---- classes of values with one scale */

ValId quant_class(const Quantizer *q, ValId v) {
  while (q->cls[v].parent != v) v = q->cls[v].parent;
  return v;
}

static Class *class_of(const Quantizer *q, ValId v) { return &q->cls[quant_class(q, v)]; }

static void class_unite(Quantizer *q, ValId a, ValId b) {
  a = quant_class(q, a), b = quant_class(q, b);
  if (a == b) return;
  Class *x = &q->cls[a], *y = &q->cls[b];
  y->parent = a;
  x->lo = fminf(x->lo, y->lo), x->hi = fmaxf(x->hi, y->hi), x->most = fmaxf(x->most, y->most);
  x->known = x->known || y->known;
  if (!x->fixed && y->fixed) x->affine = y->affine;
  x->fixed = x->fixed || y->fixed, x->unit = x->unit || y->unit;
}

void quant_fix(Quantizer *q, ValId v, Affine a) {
  Class *c = class_of(q, v);
  c->fixed = c->known = true;
  c->affine = a;
}

Affine quant_affine(const Quantizer *q, ValId v) {
  const Class *c = class_of(q, v);
  return c->fixed ? c->affine : affine_of_range(c->lo, c->hi);
}

/* Symmetric, of everything seen: 16 bits need not clip. */
Affine quant_affine16(const Quantizer *q, ValId v) {
  const Class *c = class_of(q, v);
  if (c->unit) return (Affine){1.0f / 32768, 0};
  return (Affine){c->most > 0 ? c->most / 32767 : 1, 0};
}

bool quant_known(const Quantizer *q, ValId v) { return class_of(q, v)->known; }
bool quant_fixed(const Quantizer *q, ValId v) { return class_of(q, v)->fixed; }

bool quant_same(Affine a, Affine b) { return a.scale == b.scale && a.zero == b.zero; }

bool quant_is_real(const Graph *g, ValId v) { return v != NO_VAL && graph_val(g, v)->dtype == DT_F32; }

Kind quant_kind(const Graph *g, const Node *n) {
  Kind k = op_kind[n->op];
  if (!quant_is_real(g, n->in[0]) || !quant_is_real(g, n->out[0])) return KIND_FLOAT;
  if (k == KIND_WEIGHTS && !(val_is_const(g, n->in[1]) && (n->n_in < 3 || val_is_const(g, n->in[2]))))
    return KIND_FLOAT;
  int rank = graph_val(g, n->in[0])->shape.rank;
  if (n->op == OP_softmax && CATTRS(n, softmax)->axis != -1 && CATTRS(n, softmax)->axis != rank - 1)
    return KIND_FLOAT;
  return k;
}

/* Inputs and output of a Concat, Max or Min share a scale, but for inputs whose scale is fixed to another. */
static void join_classes(Quantizer *q, const Node *n) {
  bool all_fixed = true, same = true;
  for (uint32_t i = 0; i < n->n_in; i++) {
    const Class *c = class_of(q, n->in[i]);
    all_fixed = all_fixed && c->fixed;
    same = same && c->fixed && quant_same(c->affine, quant_affine(q, n->in[0]));
  }
  for (uint32_t i = 0; i < n->n_in; i++)
    if (!class_of(q, n->in[i])->fixed || (all_fixed && same)) class_unite(q, n->out[0], n->in[i]);
}

static void node_classes(Quantizer *q, const Node *n) {
  ValId y = n->out[0];
  Kind k = quant_kind(q->g, n);
  const bool unit = k == KIND_OWN && (n->op == OP_softmax || n->op == OP_sigmoid || n->op == OP_tanh);
  if (k == KIND_SHARE) class_unite(q, n->in[0], y);
  if (k == KIND_JOIN) join_classes(q, n);
  if (k == KIND_OWN && (n->op == OP_softmax || n->op == OP_sigmoid))
    quant_fix(q, y, (Affine){1.0f / 256, -128});
  if (k == KIND_OWN && n->op == OP_tanh) quant_fix(q, y, (Affine){1.0f / 128, 0});
  if (unit) class_of(q, y)->unit = true;
  if (k == KIND_SHARE && n->op == OP_pad) { /* the constant must have a code */
    Class *c = class_of(q, y);
    c->lo = fminf(c->lo, CATTRS(n, pad)->value), c->hi = fmaxf(c->hi, CATTRS(n, pad)->value);
  }
}

/* Is the state kept as codes? Then an operator on codes reads it, or computes what comes next. */
bool quant_state_is_code(const Graph *g, const GraphState *s) {
  if (!quant_is_real(g, s->now)) return false;
  const Node *def = graph_def(g, s->next);
  bool codes = def && quant_kind(g, def) != KIND_FLOAT;
  for (NodeId i = 0; i < g->n_nodes && !codes; i++)
    for (uint32_t k = 0; k < g->nodes[i].n_in; k++)
      codes = codes || (g->nodes[i].in[k] == s->now && quant_kind(g, &g->nodes[i]) != KIND_FLOAT);
  return codes;
}

/* Before and after a run a state has one scale. Fixed scales come first: whoever joins such a class later has its own. */
static void state_classes(Quantizer *q) {
  const Graph *g = q->g;
  for (NodeId i = 0; i < g->n_nodes && g->n_states > 0; i++)
    if (quant_kind(g, &g->nodes[i]) == KIND_OWN) node_classes(q, &g->nodes[i]);
  for (uint32_t i = 0; i < g->n_states; i++) {
    const GraphState *s = &g->states[i];
    if (!quant_state_is_code(g, s)) continue;
    Class *now = class_of(q, s->now);
    const CalRange *first = &q->range[s->init];
    now->lo = fminf(now->lo, first->lo), now->hi = fmaxf(now->hi, first->hi);
    if (!now->fixed || !class_of(q, s->next)->fixed) class_unite(q, s->now, s->next);
  }
}

/* Scales that were trained. */
static void given_classes(Quantizer *q) {
  for (ValId v = 1; q->given && v < q->g->n_vals; v++)
    if (q->given->value[v].scale > 0) quant_fix(q, v, q->given->value[v]);
}

void quant_classes(Quantizer *q) {
  for (ValId v = 1; v < q->g->n_vals; v++)
    q->cls[v] = (Class){.parent = v,
                        .lo = q->range[v].lo,
                        .hi = q->range[v].hi,
                        .most = q->range[v].most,
                        .known = q->range[v].seen};
  if (q->input.exact && q->g->n_inputs == 1) quant_fix(q, q->g->inputs[0], q->input.i8);
  state_classes(q);
  for (NodeId i = 0; i < q->g->n_nodes; i++) node_classes(q, &q->g->nodes[i]);
  given_classes(q);
  quant_like_classes(q);
}

/* ---- precision */

/* How the node is computed in this graph. */
Kind quant_kind_in(const Quantizer *q, NodeId k) {
  return q->in_float[k] ? KIND_FLOAT : quant_kind(q->g, &q->g->nodes[k]);
}

/* Does it read or give a value of 16 bits? Then all its values on codes are. */
bool quant_is_wide(const Quantizer *q, const Node *n) {
  bool wide = q->wide[quant_class(q, n->out[0])];
  for (uint32_t i = 0; i < n->n_in && !wide; i++)
    wide =
        quant_is_real(q->g, n->in[i]) && !val_is_const(q->g, n->in[i]) && q->wide[quant_class(q, n->in[i])];
  return wide;
}
