/* Conv, training: x [N,H,W,C], w [O,Kh,Kw,C/group], y [N,OH,OW,O] = act(x * w + b), float32.
 *
 * Computed by Winograd's method (conv_winograd.c) or directly (conv_direct.c), where the session's kernels can, or by
 * matrix products (conv_gemm.c), as measurements say (conv_table.c). Weights are packed once for a pass. Without training a BatchNormalization behind,
 * which then is y = x * a + b, is taken over: a into the packed weights, b into the bias.
 */
#include "runtime/engine/ops/conv.h"
#include "runtime/engine/ops/conv_table.h"

#include <math.h>

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

/* -- a BatchNormalization taken over -- */

ConvOut conv_out(const OpCall *c) {
  const SNode *st = norm_taken(c->s, c->st->norm) ? &c->s->nodes[c->st->norm] : c->st;
  const SVal *v = &c->s->vals[st->out];
  ConvOut out = {.y = val_x(c, v)};
  act_limits(st->act, &out.lo, &out.hi);
  return out;
}

void conv_scale(const OpCall *c, int64_t o, float *scale, float *bias) {
  const float *own = has_in(c, 2) ? in_x(c, 2) : NULL;
  for (int64_t i = 0; i < o; i++) scale[i] = 1, bias[i] = own ? own[i] : 0;
  if (!norm_taken(c->s, c->st->norm)) return;
  const Node *n = &c->s->g->nodes[c->st->norm];
  const float *gain = c->s->vals[n->in[1]].x, *shift = c->s->vals[n->in[2]].x, *mean = c->s->vals[n->in[3]].x,
              *var = c->s->vals[n->in[4]].x;
  for (int64_t i = 0; i < o; i++) {
    scale[i] = gain[i] * (float)(1 / sqrt((double)var[i] + (double)CATTRS(n, batch_normalization)->epsilon));
    bias[i] = shift[i] + (bias[i] - mean[i]) * scale[i];
  }
}

/* -- the three ways -- */

static ConvWay way_of(const Session *s, const ConvGeometry *q) {
  unsigned possible = 1u << CONV_GEMM;
  if (s->k->conv && q->groups == 1 && q->dh == 1 && q->dw == 1) {
    possible |= 1u << CONV_DIRECT;
    if (s->k->winograd_input && !s->opt.plain && conv_winograd_fits(q)) possible |= 1u << CONV_WINOGRAD;
  }
  if (s->opt.way != CONV_BY_TABLE && possible >> s->opt.way & 1) return s->opt.way;
  return conv_table_way(s->k->name, q, s->opt.training, possible);
}

static void prepare_conv(const OpCall *c) {
  ConvGeometry q = conv_geometry(c->s->g, c->n);
  (c->st->way == CONV_WINOGRAD ? conv_winograd_prepare : conv_direct_prepare)(c, &q);
}

bool plan_conv(OpPlan *p, Diag *d) {
  if (p->s->vals[p->n->in[1]].batched || !p->s->vals[p->n->in[0]].batched)
    return plan_fail(p, d, "the engine wants a batched input and weights that are the same for all examples");
  ConvGeometry q = conv_geometry(p->s->g, p->n);
  int images = shard_most(p->s->opt.batch);
  bool training = p->s->opt.training;
  ConvWay way = p->st->way = way_of(p->s, &q);
  p->reads_out = p->st->act != ACT_NONE;
  if (way == CONV_GEMM) {
    p->scratch = conv_gemm_scratch(&q, p->st->act);
    if (p->st->norm != NO_NODE) p->s->nodes[p->st->norm].taken = false;
    return true;
  }
  p->prepare = prepare_conv;
  p->packed = way == CONV_WINOGRAD ? conv_winograd_packed(&q, training) : conv_direct_packed(&q, training);
  p->scratch = way == CONV_WINOGRAD ? conv_winograd_scratch(&q, p->st->act, images, training)
                                    : conv_direct_scratch(&q, p->st->act, images, training);
  return true;
}

typedef void WayFn(const OpCall *c, const ConvGeometry *q);

void fwd_conv(const OpCall *c) {
  static WayFn *const ways[] = {NULL, conv_gemm_forward, conv_direct_forward, conv_winograd_forward};
  ConvGeometry q = conv_geometry(c->s->g, c->n);
  ways[c->st->way](c, &q);
}

void bwd_conv(const OpCall *c) {
  static WayFn *const ways[] = {NULL, conv_gemm_backward, conv_direct_backward, conv_winograd_backward};
  ConvGeometry q = conv_geometry(c->s->g, c->n);
  ways[c->st->way](c, &q);
}
