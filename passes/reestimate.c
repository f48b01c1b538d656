/* reestimate: BatchNormalization's statistics anew, after whatever changed the weights or channels before it.
 *
 * Cumulative mean over training images as they are, not augmented (runtime/engine/train/bn_statistics.c). A graph without
 * BatchNormalization stays as it is: `bninsert` gives it some.
 */
#include "passes/pass.h"

#include "runtime/engine/engine.h"

PassFn pass_reestimate;

Graph *pass_reestimate(const Graph *g, const PassCtx *ctx, Diag *d) {
  bool bad = false;
  double images = pass_param_num(ctx->params, "images", 4096, &bad);
  if (bad || !(images >= 1 && images <= 1e9)) {
    diag_error(d, NULL, "reestimate: images: want a number from 1 to 1e9");
    return NULL;
  }
  return reestimate_bn(g, ctx->data, (uint32_t)images, ctx->host, d);
}
