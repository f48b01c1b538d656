/* Estimating BatchNormalization's statistics anew, on training images. */
#include "runtime/engine/feed.h"
#include "runtime/engine/train/train.h"

static bool has_bn(const Graph *g) {
  for (uint32_t i = 0; i < g->n_nodes; i++)
    if (g->nodes[i].op == OP_batch_normalization) return true;
  return false;
}

static Graph *estimate(const Graph *g, const Dataset *ds, const Augment *augment, uint32_t n,
                       const Host *host, Diag *d) {
  if (!has_bn(g)) return graph_clone(g);
  if (n > ds->train.n) n = ds->train.n;
  int batch = n < 128 ? (int)n : 128;
  SessionOptions so = {.batch = batch > 0 ? batch : 1,
                       .threads = host && host->threads > 0 ? host->threads : 1};
  Session *s = session_new(g, &so, d);
  Feed f = {0};
  Graph *out = NULL;
  if (s && feed_new(&f, s, &ds->train, &ds->spec.normalize, d)) {
    bool stopped = false;
    for (uint32_t i = 0; i < n && !stopped; i += (uint32_t)batch) {
      int now_n = n - i < (uint32_t)batch ? (int)(n - i) : batch;
      session_bn_momentum(s, (float)now_n / (float)(i + (uint32_t)now_n)); /* the mean over all so far */
      feed_batch(&f, augment, NULL, i, now_n, session_input(s));
      session_forward(s, session_input(s), now_n, true);
      stopped = host && host->cancelled && host->cancelled(host->ctx);
    }
    if (stopped)
      diag_error(d, NULL, "re-estimating statistics was cancelled");
    else
      out = session_graph(s);
    feed_free(&f);
  }
  session_free(s);
  return out;
}

Graph *reestimate_bn(const Graph *g, const Dataset *ds, uint32_t n, const Host *host, Diag *d) {
  return estimate(g, ds, NULL, n, host, d);
}

Graph *trained_bn(const Graph *g, const Dataset *ds, const TrainOptions *o, uint32_t n, const Host *host,
                  Diag *d) {
  Augment a = o->augment;
  a.seed = o->seed;
  a.stream = UINT64_MAX; /* no epoch's */
  return estimate(g, ds, &a, n, host, d);
}
