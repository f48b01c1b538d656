/* unflatten: a FullyConnected behind a flattened image as a Conv whose window is the image; see order.h.
 *
 *   x [N,H,W,C] -> Reshape [N,H*W*C] -> FullyConnected [O,H*W*C]      x -> Conv [O,H,W,C] -> Reshape [N,O]
 *
 * The weights' bytes are the same; as a Conv's the columns of a channel are a slice of every tap. BatchNormalization and
 * activations behind it stay in front of the Reshape, so that they are fused as before.
 */
#include "ir/base/mem.h"
#include "passes/order.h"

typedef struct Unflatten {
  const Graph *g;
  Rewrite r;
  uint32_t *uses;
  ValId *image; /* [n_vals] of the old graph: its value as [N,1,1,O], in the new one; NO_VAL: it is none */
  Diag *d;
} Unflatten;

/* The image that n reads flattened; NO_VAL: it is no such layer. */
static ValId flattened(const Graph *g, const Node *n) {
  if (n->op != OP_fully_connected || !val_is_const(g, n->in[1])) return NO_VAL;
  const Node *flat = graph_def(g, n->in[0]);
  if (!flat || flat->op != OP_reshape || graph_val(g, n->in[0])->shape.rank != 2) return NO_VAL;
  const Shape *x = &graph_val(g, flat->in[0])->shape, *y = &graph_val(g, n->in[0])->shape;
  const bool image = x->rank == 4 && x->d[0] == y->d[0] && x->d[1] * x->d[2] > 1;
  return image && graph_val(g, n->in[1])->dtype == DT_F32 ? flat->in[0] : NO_VAL;
}

static bool put_conv(Unflatten *u, const Node *n, ValId x) {
  const Graph *g = u->g;
  const Value *w = graph_val(g, n->in[1]);
  const Shape *s = &graph_val(g, x)->shape, ws = shape_of(4, w->shape.d[0], s->d[1], s->d[2], s->d[3]);
  conv_attrs a;
  op_attrs_default(OP_conv, &a);
  a.act = CATTRS(n, fully_connected)->act;
  a.rounding = CATTRS(n, fully_connected)->rounding;
  ValId in[3] = {rewrite_val(&u->r, x), graph_const(u->r.to, w->name, DT_F32, &ws, blob_ref(w->blob))};
  const bool bias = n->n_in > 2 && n->in[2] != NO_VAL;
  if (bias) in[2] = rewrite_val(&u->r, n->in[2]);
  u->image[n->out[0]] =
      graph_node(u->r.to, OP_conv, &a, in, bias ? 3 : 2, graph_val(g, n->out[0])->name, &n->loc, u->d);
  return u->image[n->out[0]] != NO_VAL;
}

/* What is fused into the layer stays behind it. */
static bool stays_behind(const Unflatten *u, const Node *n) {
  const bool one = n->op == OP_relu || n->op == OP_clip || n->op == OP_leaky_relu ||
                   (n->op == OP_batch_normalization && CATTRS(n, batch_normalization)->axis == 1);
  return one && u->image[n->in[0]] != NO_VAL && u->uses[n->in[0]] == 1;
}

static bool put_behind(Unflatten *u, const Node *n) {
  batch_normalization_attrs norm = {.axis = 3};
  const bool is_norm = n->op == OP_batch_normalization;
  if (is_norm) norm = *CATTRS(n, batch_normalization), norm.axis = 3;
  ValId in[5] = {u->image[n->in[0]]};
  for (uint32_t i = 1; i < n->n_in; i++) in[i] = rewrite_val(&u->r, n->in[i]);
  const ValId y = graph_node(u->r.to, n->op, is_norm ? &norm : n->attrs, in, n->n_in,
                             graph_val(u->g, n->out[0])->name, &n->loc, u->d);
  u->image[n->out[0]] = y;
  return y != NO_VAL;
}

/* The value as it was, for whoever reads it. */
static bool put_flat(Unflatten *u, ValId old) {
  if (old == NO_VAL || u->image[old] == NO_VAL || u->r.map[old] != NO_VAL) return true;
  const Value *v = graph_val(u->g, old);
  const Node *def = graph_def(u->g, old);
  reshape_attrs a = {.shape = {2, {-1, v->shape.d[1]}}};
  u->r.map[old] = graph_node1(u->r.to, OP_reshape, &a, u->image[old], v->name, &def->loc, u->d);
  return u->r.map[old] != NO_VAL;
}

static bool put_node(Unflatten *u, const Node *n) {
  const ValId x = flattened(u->g, n);
  if (x != NO_VAL) return put_flat(u, x) && put_conv(u, n, x);
  if (stays_behind(u, n)) return put_behind(u, n);
  for (uint32_t i = 0; i < n->n_in; i++) TRY(put_flat(u, n->in[i]));
  return rewrite_copy(&u->r, n, u->d);
}

Graph *order_unflatten(const Graph *g, Diag *d) {
  Arena *arena = arena_new();
  Unflatten u = {
      .g = g, .uses = graph_uses(g, arena), .image = arena_array(arena, g->n_vals, sizeof *u.image), .d = d};
  rewrite_begin(&u.r, g, "unflatten");
  bool ok = true;
  for (NodeId k = 0; ok && k < g->n_nodes; k++) ok = put_node(&u, &g->nodes[k]);
  for (uint32_t i = 0; ok && i < g->n_outputs; i++) ok = put_flat(&u, g->outputs[i]);
  for (uint32_t i = 0; ok && i < g->n_states; i++) ok = put_flat(&u, g->states[i].next);
  Graph *done = rewrite_end(&u.r, ok, d);
  arena_free(arena);
  return done;
}
