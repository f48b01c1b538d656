/* Large constants that the import computes from others (weights in another order of axes, casts, products) wait until
 * somebody reads them: a model of hundreds of megabytes is a graph at once, and is looked at without its weights being
 * touched. What is not read is never computed.
 *
 *   small graph without inputs  ->  Blob (blob_later)  ->  first blob_data: evaluate, forget the graph
 *
 * One such constant may be computed from another; chains of more than MAX_DEPTH are cut, so that no file decides how deep
 * evaluation goes.
 */
#include <string.h>

#include "frontend/onnx/onnx_op.h"
#include "ir/base/mem.h"
#include "ir/eval.h"
#include "ir/lower.h"

enum { MAX_DEPTH = 16 };

typedef struct Later {
  Graph *g; /* NULL once it was evaluated */
  uint32_t k;
} Later;

static void make_later(void *ctx, void *to, size_t n) {
  Later *l = ctx;
  Tensor *out = mem_array(l->g->n_outputs, sizeof *out);
  Diag *d = diag_new();
  bool ok = graph_eval(l->g, NULL, 0, out, d);
  ASSERT(ok && tensor_bytes(&out[l->k]) == n); /* ox_later has seen that it can be lowered */
  memcpy(to, out[l->k].data, n);
  for (uint32_t i = 0; i < l->g->n_outputs; i++) tensor_free(&out[i]);
  mem_free(out);
  diag_free(d);
  graph_free(l->g);
  l->g = NULL;
}

static void drop_later(void *ctx) {
  Later *l = ctx;
  graph_free(l->g);
  mem_free(l);
}

static bool can_be_evaluated(const Graph *g, Diag *d) {
  Calls calls;
  calls_init(&calls);
  bool ok = graph_lower(g, &calls, d);
  calls_free(&calls);
  return ok;
}

/* One more than the depth of the constants that g reads; those at the limit are computed now. */
static int depth_of(const Graph *g) {
  int depth = 0;
  for (ValId v = 1; v < g->n_vals; v++) {
    const Blob *b = g->vals[v].blob;
    if (!b) continue;
    if (blob_depth(b) >= MAX_DEPTH) (void)blob_data(b);
    if (blob_depth(b) > depth) depth = blob_depth(b);
  }
  return depth + 1;
}

Blob *ox_later(const Graph *g, uint32_t k, Diag *d) {
  if (!can_be_evaluated(g, d)) return NULL;
  Later *l = mem_zalloc(sizeof *l);
  *l = (Later){graph_clone(g), k};
  return blob_later(val_bytes(g, g->outputs[k]), make_later, l, drop_later, depth_of(g));
}
