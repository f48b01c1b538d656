/* fold: constants and no-ops.
 *
 * A node whose inputs are all constants is evaluated by the generic kernels (ir/eval) and becomes a constant.
 * A node that hands its input on unchanged disappears: Reshape to the same shape, Transpose in the same
 * order, Pad by nothing, Slice of everything, Concat of one, Cast to the same type, Clip without limits.
 * Reshape of Reshape becomes one. Nothing is approximated: x*1 and x+0 stay (they are not the same bytes for
 * every x).
 */
#include "passes/pass.h"

#include <math.h>
#include <string.h>

#include "ir/eval.h"

PassFn pass_fold;

/* Are all inputs constants of the new graph, as read from the file or folded before? */
static bool all_const(Rewrite *r, const Node *n) {
  for (uint32_t i = 0; i < n->n_in; i++) {
    if (n->in[i] != NO_VAL && !val_is_const(r->to, rewrite_val(r, n->in[i]))) return false;
  }
  return n->n_in > 0 && n->n_out == 1 && !(n->op == OP_fake_quant && n->n_in > 1); /* which learns */
}

static bool is_noop(const Graph *g, const Node *n) {
  const Value *x = graph_val(g, n->in[0]), *y = graph_val(g, n->out[0]);
  if (x->dtype != y->dtype || !quant_equal(&x->quant, &y->quant)) return false;
  bool same = shape_equal(&x->shape, &y->shape);
  switch (n->op) {
  case OP_reshape:
  case OP_cast:
  case OP_pad: return same;
  case OP_concat: return n->n_in == 1;
  case OP_clip: return isinf(CATTRS(n, clip)->lo) && isinf(CATTRS(n, clip)->hi);
  case OP_transpose:
    for (int i = 0; i < x->shape.rank; i++) {
      if (CATTRS(n, transpose)->perm.v[i] != i) return false;
    }
    return true;
  case OP_slice: /* same extent and a step of +1: everything, in order */
    for (int i = 0; same && i < x->shape.rank; i++)
      same = CATTRS(n, slice)->steps.v[i] == 1 || x->shape.d[i] == 1;
    return same;
  default: return false;
  }
}

/* Evaluate node n of the old graph, whose inputs are constants, into a constant of the new one. */
static bool fold_node(Rewrite *r, const Node *n, Diag *d) {
  Graph *one = graph_new_like(r->from);
  ValId *in = arena_array(one->arena, n->n_in, sizeof *in);
  for (uint32_t i = 0; i < n->n_in; i++) {
    if (n->in[i] == NO_VAL) continue;
    const Value *v = graph_val(r->to, rewrite_val(r, n->in[i]));
    in[i] = graph_const(one, NULL, v->dtype, &v->shape, blob_ref(v->blob));
    if (v->quant.n) graph_set_quant(one, in[i], v->quant.n, v->quant.axis, v->quant.scale, v->quant.zero);
  }
  const Value *old = graph_val(r->from, n->out[0]);
  ValId out = graph_node(one, n->op, n->attrs, in, n->n_in, NULL, &n->loc, d);
  Tensor t = {0};
  bool ok = out != NO_VAL;
  if (ok) {
    if (old->quant.n)
      graph_set_quant(one, out, old->quant.n, old->quant.axis, old->quant.scale, old->quant.zero);
    graph_output(one, out);
    ok = graph_eval(one, NULL, 0, &t, d);
  }
  if (ok) {
    ValId c = graph_const_data(r->to, old->name, t.dtype, &t.shape, t.data);
    if (old->quant.n)
      graph_set_quant(r->to, c, old->quant.n, old->quant.axis, old->quant.scale, old->quant.zero);
    r->map[n->out[0]] = c;
    tensor_free(&t);
  }
  graph_free(one);
  return ok;
}

/* A Reshape whose input (in the new graph) is a Reshape: read that one's input instead. */
static bool merge_reshape(Rewrite *r, const Node *n, Diag *d) {
  ValId x = rewrite_val(r, n->in[0]);
  const Node *before = graph_def(r->to, x);
  while (before && before->op == OP_reshape) {
    x = before->in[0];
    before = graph_def(r->to, x);
  }
  const Value *old = graph_val(r->from, n->out[0]);
  if (shape_equal(&graph_val(r->to, x)->shape, &old->shape)) {
    r->map[n->out[0]] = x;
    return true;
  }
  reshape_attrs attrs = {0};
  attrs.shape.n = old->shape.rank; /* resolved: -1 is the symbolic batch alone */
  memcpy(attrs.shape.v, old->shape.d, sizeof old->shape.d[0] * (size_t)old->shape.rank);
  r->map[n->out[0]] = graph_node1(r->to, OP_reshape, &attrs, x, old->name, &n->loc, d);
  return r->map[n->out[0]] != NO_VAL;
}

Graph *pass_fold(const Graph *g, const PassCtx *ctx, Diag *d) {
  (void)ctx;
  Rewrite r;
  bool ok = true;
  rewrite_begin(&r, g, "fold");
  for (uint32_t i = 0; ok && i < g->n_nodes; i++) {
    const Node *n = &g->nodes[i];
    if (all_const(&r, n)) {
      ok = fold_node(&r, n, d);
    } else if (is_noop(g, n)) {
      r.map[n->out[0]] = rewrite_val(&r, n->in[0]);
    } else if (n->op == OP_reshape) {
      ok = merge_reshape(&r, n, d);
    } else {
      ok = rewrite_copy(&r, n, d);
    }
  }
  return rewrite_end(&r, ok, d);
}
