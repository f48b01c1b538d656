/* relu6: limit every ReLU from above, so that activations have a known range and int8 codes are not spent on outliers.
 *
 *   Relu(x)  ->  Clip(x, 0, at)
 *
 * Of a model that was not trained so it changes outputs above `at`: retrain it (distill), or choose `at` high enough.
 * Source: Krizhevsky 2010, "Convolutional Deep Belief Networks on CIFAR-10".
 */
#include "passes/pass.h"

PassFn pass_relu6;

Graph *pass_relu6(const Graph *g, const PassCtx *ctx, Diag *d) {
  bool bad = false;
  double at = pass_param_num(ctx->params, "at", 6, &bad);
  if (bad || !(at > 0)) {
    diag_error(d, NULL, "relu6: \"%s\": want at=F above 0", ctx->params);
    return NULL;
  }
  Rewrite r;
  bool ok = true;
  rewrite_begin(&r, g, "relu6");
  for (uint32_t i = 0; ok && i < g->n_nodes; i++) {
    const Node *n = &g->nodes[i];
    if (n->op != OP_relu) {
      ok = rewrite_copy(&r, n, d);
      continue;
    }
    const clip_attrs clip = {.lo = 0, .hi = (float)at};
    const ValId x = rewrite_val(&r, n->in[0]);
    const Loc loc = rewrite_loc(&r, n);
    r.map[n->out[0]] = graph_node(r.to, OP_clip, &clip, &x, 1, graph_val(g, n->out[0])->name, &loc, d);
    ok = r.map[n->out[0]] != NO_VAL;
  }
  return rewrite_end(&r, ok, d);
}
