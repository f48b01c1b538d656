/* bnfuse: BatchNormalization into the weights before it.
 *
 *   y = scale (conv(x, w) + b - mean) / sqrt(var + eps) + bias = conv(x, w k) + (b - mean) k + bias,
 *   k[o] = scale[o] / sqrt(var[o] + eps)
 *
 * After Conv, DepthwiseConv and FullyConnected without activation whose result nothing else reads, and whose
 * channel axis is the innermost (layout puts it there). Factors are computed in double, stored as float32.
 */
#include "passes/pass.h"

#include <math.h>

#include "ir/base/mem.h"

PassFn pass_bnfuse;

static bool has_no_act(const Node *n) {
  if (n->op == OP_conv) return CATTRS(n, conv)->act == ACT_NONE;
  if (n->op == OP_depthwise_conv) return CATTRS(n, depthwise_conv)->act == ACT_NONE;
  return n->op == OP_fully_connected && CATTRS(n, fully_connected)->act == ACT_NONE;
}

/* The node whose output BatchNormalization bn can be fused into, or NULL. */
static const Node *producer(const Graph *g, const Node *bn, const uint32_t *uses) {
  if (bn->op != OP_batch_normalization || uses[bn->in[0]] != 1) return NULL;
  const Node *p = graph_def(g, bn->in[0]);
  int rank = graph_val(g, bn->in[0])->shape.rank, axis = CATTRS(bn, batch_normalization)->axis;
  if (!p || !has_no_act(p) || axis != rank - 1) return NULL;
  if (!val_is_const(g, p->in[1]) || (p->n_in > 2 && p->in[2] != NO_VAL && !val_is_const(g, p->in[2])))
    return NULL;
  for (int i = 1; i < 5; i++) {
    if (!val_is_const(g, bn->in[i])) return NULL;
  }
  return graph_val(g, p->in[1])->dtype == DT_F32 ? p : NULL;
}

/* Weights and bias of p with bn's factors: constants of r->to. */
static void fused_params(Rewrite *r, const Node *p, const Node *bn, ValId *w_out, ValId *b_out) {
  const Graph *g = r->from;
  const Value *w = graph_val(g, p->in[1]);
  int64_t total = shape_count(&w->shape);
  bool innermost = p->op == OP_depthwise_conv; /* [1,Kh,Kw,O]; else O is the outermost axis */
  int64_t channels = w->shape.d[innermost ? w->shape.rank - 1 : 0], inner = total / channels;
  const float *scale = val_data(g, bn->in[1]), *bias = val_data(g, bn->in[2]), *mean = val_data(g, bn->in[3]),
              *var = val_data(g, bn->in[4]), *src = val_data(g, p->in[1]);
  const float *b = p->n_in > 2 && p->in[2] != NO_VAL ? val_data(g, p->in[2]) : NULL;
  double eps = (double)CATTRS(bn, batch_normalization)->epsilon;
  float *nw = mem_alloc_aligned((size_t)total * sizeof *nw, 64),
        *nb = mem_alloc_aligned((size_t)channels * sizeof *nb, 64);
  for (int64_t o = 0; o < channels; o++) {
    double k = (double)scale[o] / sqrt((double)var[o] + eps);
    for (int64_t i = 0; i < inner; i++) {
      int64_t at = innermost ? i * channels + o : o * inner + i;
      nw[at] = (float)((double)src[at] * k);
    }
    nb[o] = (float)(((b ? (double)b[o] : 0.0) - (double)mean[o]) * k + (double)bias[o]);
  }
  Shape bs = shape_of(1, channels);
  *w_out = graph_const(r->to, w->name, DT_F32, &w->shape, blob_adopt(nw, (size_t)total * sizeof *nw));
  *b_out = graph_const(r->to, graph_val(g, bn->in[2])->name, DT_F32, &bs,
                       blob_adopt(nb, (size_t)channels * sizeof *nb));
}

Graph *pass_bnfuse(const Graph *g, const PassCtx *ctx, Diag *d) {
  (void)ctx;
  Arena *a = arena_new();
  const uint32_t *uses = graph_uses(g, a);
  Rewrite r;
  bool ok = true;
  rewrite_begin(&r, g, NULL);
  for (uint32_t i = 0; ok && i < g->n_nodes; i++) {
    const Node *n = &g->nodes[i], *p = producer(g, n, uses);
    if (!p) {
      ok = rewrite_copy(&r, n, d);
      continue;
    }
    ValId in[3] = {rewrite_val(&r, p->in[0])};
    fused_params(&r, p, n, &in[1], &in[2]);
    r.map[n->out[0]] = graph_node(r.to, p->op, p->attrs, in, 3, graph_val(g, n->out[0])->name, &p->loc, d);
    ok = r.map[n->out[0]] != NO_VAL;
  }
  arena_free(a);
  return rewrite_end(&r, ok, d);
}
