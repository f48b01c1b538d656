/* See divergence.h. Sums are in double, example after example. */
#include "runtime/engine/divergence.h"

#include <math.h>

#include "runtime/engine/feed.h"

enum { BATCH = 64 };

/* log of the sum of exp(z). */
static double log_sum(const float *z, int n, int *best) {
  double sum = 0;
  *best = 0;
  for (int k = 1; k < n; k++)
    if (z[k] > z[*best]) *best = k;
  for (int k = 0; k < n; k++) sum += exp((double)z[k] - (double)z[*best]);
  return (double)z[*best] + log(sum);
}

static double divergence(const float *t, const float *z, int n, bool classes, bool *same) {
  int a, b;
  double sum = 0, lt = log_sum(t, n, &a), lz = log_sum(z, n, &b);
  *same = a == b;
  for (int k = 0; k < n; k++) {
    double difference = (double)t[k] - (double)z[k];
    sum += classes ? exp((double)t[k] - lt) * (difference - lt + lz) : difference * difference / n;
  }
  return sum;
}

bool graph_divergence(const Graph *teacher, const Graph *g, const Dataset *ds, uint32_t first, uint32_t n,
                      const Host *host, Divergence *out, Diag *d) {
  *out = (Divergence){0};
  uint32_t end = ds->train.n - first < n ? ds->train.n : first + n;
  FAIL_IF(first >= ds->train.n || n == 0, d, NULL, "the divergence needs training examples: there are %u",
          ds->train.n);
  SessionOptions so = {.batch = BATCH, .threads = host && host->threads > 0 ? host->threads : 1};
  Session *t = session_new(teacher, &so, d), *s = t ? session_new_on(g, &so, session_pool(t), d) : NULL;
  Feed f = {0}, own = {0}; /* own: of a graph that takes images of another size or layout than the teacher */
  bool ok = s && feed_new(&f, t, &ds->train, &ds->spec.normalize, d);
  if (ok && session_classes(s) != session_classes(t))
    ok = diag_error(d, NULL, "outputs of %d and %d elements cannot be compared", session_classes(t),
                    session_classes(s));
  bool apart = ok && !shape_equal(session_input_shape(s), session_input_shape(t));
  if (apart) ok = feed_new(&own, s, &ds->train, &ds->spec.normalize, d);
  for (uint32_t i = first; ok && i < end; i += BATCH) {
    int count = end - i < BATCH ? (int)(end - i) : BATCH, classes = session_classes(t);
    feed_batch(&f, NULL, NULL, i, count, session_input(t));
    if (apart) feed_batch(&own, NULL, NULL, i, count, session_input(s));
    const float *z = session_forward(s, session_input(apart ? s : t), count, false),
                *zt = session_forward(t, session_input(t), count, false);
    for (int k = 0; k < count; k++) {
      bool same;
      out->value += divergence(zt + k * classes, z + k * classes, classes, ds->train.y != NULL, &same);
      out->agree += same;
    }
    out->n += (uint32_t)count;
  }
  if (out->n) out->value /= out->n, out->agree /= out->n;
  if (own.pool) feed_free(&own);
  if (f.pool) feed_free(&f);
  session_free(s);
  session_free(t);
  return ok;
}
