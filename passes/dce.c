/* dce: copies what the outputs depend on. Rewriting does all the work: unused nodes and constants are
 * dropped when the new graph is finished (ir/rewrite.c). Inputs stay, they are the model's interface.
 */
#include "passes/pass.h"

PassFn pass_dce;

Graph *pass_dce(const Graph *g, const PassCtx *ctx, Diag *d) {
  (void)ctx;
  Rewrite r;
  bool ok = true;
  rewrite_begin(&r, g, NULL);
  for (uint32_t i = 0; ok && i < g->n_nodes; i++) ok = rewrite_copy(&r, &g->nodes[i], d);
  return rewrite_end(&r, ok, d);
}
