/* See divergence.h. Sums are in double, example after example. */
#include "runtime/engine/divergence.h"

#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
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

double divergence_example(const float *t, const float *z, int n, bool classes, bool *same) {
  int a, b;
  double sum = 0, lt = log_sum(t, n, &a), lz = log_sum(z, n, &b);
  *same = a == b;
  for (int k = 0; k < n; k++) {
    double difference = (double)t[k] - (double)z[k];
    sum += classes ? exp((double)t[k] - lt) * (difference - lt + lz) : difference * difference / n;
  }
  return sum;
}

/* Outputs of g on the judge's examples, fed in its own size and layout, into its logits (out NULL) or compared with them. */
static bool walk(Judge *j, const Graph *g, Divergence *out, Diag *d) {
  SessionOptions so = {.batch = BATCH, .threads = j->host && j->host->threads > 0 ? j->host->threads : 1};
  Session *s = session_new(g, &so, d);
  Feed f = {0};
  bool ok = s && feed_new(&f, s, &j->ds->train, &j->ds->spec.normalize, d);
  int classes = s ? session_classes(s) : 0;
  bool labelled = split_has_classes(&j->ds->train);
  if (ok && out && classes != j->classes)
    ok = diag_error(d, NULL, "outputs of %d and %d elements cannot be compared", j->classes, classes);
  if (ok && !out) {
    j->classes = classes;
    j->logits = mem_array((size_t)j->n, (size_t)classes * sizeof(float));
  }
  for (uint32_t i = 0; ok && i < j->n; i += BATCH) {
    int count = j->n - i < BATCH ? (int)(j->n - i) : BATCH;
    float *kept = j->logits + (size_t)i * (size_t)classes;
    feed_batch(&f, NULL, NULL, j->first + i, count, session_input(s));
    const float *z = session_forward(s, session_input(s), count, false);
    if (!out) memcpy(kept, z, (size_t)count * (size_t)classes * sizeof *z);
    for (int k = 0; out && k < count; k++) {
      bool same;
      out->value += divergence_example(kept + k * classes, z + k * classes, classes, labelled, &same) / j->n;
      out->agree += (double)same / j->n;
    }
  }
  if (f.pool) feed_free(&f);
  session_free(s);
  return ok;
}

bool judge_open(Judge *j, const Graph *teacher, const Dataset *ds, uint32_t first, uint32_t n,
                const Host *host, Diag *d) {
  *j = (Judge){.ds = ds, .host = host, .first = first};
  FAIL_IF(first >= ds->train.n || n == 0, d, NULL, "the divergence needs training examples: there are %u",
          ds->train.n);
  j->n = ds->train.n - first < n ? ds->train.n - first : n;
  return walk(j, teacher, NULL, d);
}

bool judge_graph(const Judge *j, const Graph *g, Divergence *out, Diag *d) {
  Judge copy = *j;
  *out = (Divergence){.n = j->n};
  return walk(&copy, g, out, d);
}

void judge_close(Judge *j) {
  mem_free(j->logits);
  *j = (Judge){0};
}

bool graph_divergence(const Graph *teacher, const Graph *g, const Dataset *ds, uint32_t first, uint32_t n,
                      const Host *host, Divergence *out, Diag *d) {
  Judge j;
  bool ok = judge_open(&j, teacher, ds, first, n, host, d) && judge_graph(&j, g, out, d);
  judge_close(&j);
  return ok;
}
