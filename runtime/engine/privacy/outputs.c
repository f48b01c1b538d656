/* A graph's outputs on all examples of a split, by the engine: what attacks, teachers and exchanges begin with. */
#include <string.h>

#include "ir/base/mem.h"
#include "runtime/engine/feed.h"
#include "runtime/engine/privacy/tune.h"

enum { BATCH = 64 };

int graph_classes(const Graph *g, Diag *d) {
  const SessionOptions so = {.batch = 1, .threads = 1};
  Session *s = session_new(g, &so, d);
  const int n = s ? session_classes(s) : 0;
  session_free(s);
  return n;
}

bool graph_outputs(const Graph *g, const Split *s, const Normalize *nz, const Host *host, int classes,
                   float *out, Diag *d) {
  const SessionOptions so = {.batch = BATCH, .threads = host && host->threads > 0 ? host->threads : 1};
  Session *e = session_new(g, &so, d);
  Feed f = {0};
  bool ok = e && feed_new(&f, e, s, nz, d);
  if (ok && session_classes(e) != classes)
    ok = diag_error(d, NULL, "the model gives %d numbers per example: want %d", session_classes(e), classes);
  for (uint32_t i = 0; ok && i < s->n; i += BATCH) {
    const int n = s->n - i < BATCH ? (int)(s->n - i) : BATCH;
    if (host && host->cancelled && host->cancelled(host->ctx)) ok = diag_error(d, NULL, "cancelled");
    feed_batch(&f, NULL, NULL, i, n, session_input(e));
    const float *z = session_forward(e, session_input(e), n, false);
    memcpy(out + (size_t)i * (size_t)classes, z, (size_t)n * (size_t)classes * sizeof *z);
  }
  if (f.pool) feed_free(&f);
  session_free(e);
  return ok;
}
