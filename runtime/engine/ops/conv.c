/* Conv, training: x [N,H,W,C], w [O,Kh,Kw,C/group], y [N,OH,OW,O] = act(x * w + b), float32.
 *
 * Computed directly (conv_direct.c) where the session's kernels can, else by matrix products (conv_gemm.c).
 */
#include "runtime/engine/ops/conv.h"

ConvGeometry conv_geometry(const Graph *g, const Node *n) {
  const conv_attrs *a = CATTRS(n, conv);
  const Shape *x = &g->vals[n->in[0]].shape, *w = &g->vals[n->in[1]].shape, *y = &g->vals[n->out[0]].shape;
  ConvGeometry q = {.h = x->d[1], .w = x->d[2], .c = x->d[3], .oh = y->d[1], .ow = y->d[2], .o = y->d[3]};
  q.kh = w->d[1], q.kw = w->d[2];
  q.sh = a->strides.v[0], q.sw = a->strides.v[1], q.top = a->pads.v[0], q.left = a->pads.v[1];
  q.dh = a->dilations.v[0], q.dw = a->dilations.v[1];
  q.groups = a->group, q.cg = q.c / q.groups, q.og = q.o / q.groups;
  q.k = q.kh * q.kw * q.cg;
  return q;
}

static bool direct(const Session *s, const ConvGeometry *q) {
  return s->k->conv && q->groups == 1 && q->dh == 1 && q->dw == 1;
}

bool plan_conv(OpPlan *p, Diag *d) {
  if (p->s->vals[p->n->in[1]].batched || !p->s->vals[p->n->in[0]].batched)
    return plan_fail(p, d, "the engine wants a batched input and weights that are the same for all examples");
  ConvGeometry q = conv_geometry(p->s->g, p->n);
  p->scratch = direct(p->s, &q)
                   ? conv_direct_scratch(&q, p->st->act, shard_most(p->s->opt.batch), p->s->opt.training)
                   : conv_gemm_scratch(&q, p->st->act);
  return true;
}

void fwd_conv(const OpCall *c) {
  ConvGeometry q = conv_geometry(c->s->g, c->n);
  if (direct(c->s, &q))
    conv_direct_forward(c, &q);
  else
    conv_gemm_forward(c, &q);
}

void bwd_conv(const OpCall *c) {
  ConvGeometry q = conv_geometry(c->s->g, c->n);
  if (direct(c->s, &q))
    conv_direct_backward(c, &q);
  else
    conv_gemm_backward(c, &q);
}
