/* Statistics for passes: ranges of activations for calibration, means and variances, Taylor importance for pruning.
 *
 * Ranges: plain minimum and maximum over all elements of the first n training images. Means and variances: of each channel
 * over the same, in double.
 * Taylor importance (Molchanov et al. 2017, arXiv:1611.06440; 2019, arXiv:1906.10771): for each image and channel the
 * sum over positions of activation times gradient of that image's loss, squared, summed over images. The network is in
 * inference mode: BatchNormalization uses its running statistics. The loss is cross-entropy with the labels or, where models
 * give their input back (Split.anomaly), the mean square between output and input.
 */
#include "runtime/engine/engine.h"

#include <string.h>

#include "ir/base/mem.h"
#include "runtime/engine/feed.h"

enum { BATCH = 32 };

typedef struct Walk {
  Session *s;
  Feed feed;
  uint32_t n;
  int batch;
} Walk;

static bool walk_open(Walk *w, const Graph *g, const Split *split, const Normalize *nz, uint32_t n,
                      const Host *host, bool training, Diag *d) {
  FAIL_IF(n == 0 || split->n == 0, d, NULL, "statistics need at least one training example");
  w->n = n < split->n ? n : split->n;
  w->batch = w->n < BATCH ? (int)w->n : BATCH;
  SessionOptions so = {.batch = w->batch,
                       .threads = host && host->threads > 0 ? host->threads : 1,
                       .training = training,
                       .keep = true};
  w->s = session_new(g, &so, d);
  TRY(w->s);
  return feed_new(&w->feed, w->s, split, nz, d);
}

static void walk_close(Walk *w) {
  if (w->feed.pool) feed_free(&w->feed);
  session_free(w->s);
}

/* The batch at example i: its logits; *n examples. */
static const float *walk_step(Walk *w, uint32_t i, int *n) {
  *n = w->n - i < (uint32_t)w->batch ? (int)(w->n - i) : w->batch;
  feed_batch(&w->feed, NULL, NULL, i, *n, session_input(w->s));
  return session_forward(w->s, session_input(w->s), *n, false);
}

static bool stopped(const Host *h, Diag *d) {
  if (!h || !h->cancelled || !h->cancelled(h->ctx)) return false;
  diag_error(d, NULL, "collecting statistics was cancelled");
  return true;
}

/* -- ranges -- */

typedef struct Ranges {
  const Graph *g;
  const Walk *w;
  int n;
  bool first;
  float *lo, *hi;
} Ranges;

static void range_of(void *ctx, int unit, int thread) {
  (void)thread;
  const Ranges *r = ctx;
  ValId v = (ValId)unit;
  const float *a = v != NO_VAL && r->g->vals[v].dtype == DT_F32 ? session_activation(r->w->s, v) : NULL;
  if (!a) return;
  const Session *s = r->w->s;
  const SVal *e = &s->vals[s->map ? s->map[v] : v];
  int64_t count = e->item * (e->batched ? r->n : 1);
  float lo = r->first ? a[0] : r->lo[v], hi = r->first ? a[0] : r->hi[v];
  for (int64_t i = 0; i < count; i++) {
    lo = a[i] < lo ? a[i] : lo;
    hi = a[i] > hi ? a[i] : hi;
  }
  r->lo[v] = lo;
  r->hi[v] = hi;
}

bool collect_ranges(const Graph *g, const Dataset *ds, uint32_t n, const Host *host, float *lo, float *hi,
                    Diag *d) {
  Walk w = {0};
  FAIL_IF(g->n_vals > 65535, d, NULL, "ranges of %u values: want at most 65535", g->n_vals);
  for (ValId v = 0; v < g->n_vals; v++) lo[v] = hi[v] = 0;
  bool ok = walk_open(&w, g, &ds->train, &ds->spec.normalize, n, host, false, d);
  for (uint32_t i = 0; ok && i < w.n; i += (uint32_t)w.batch) {
    ok = !stopped(host, d);
    Ranges r = {.g = g, .w = &w, .first = i == 0, .lo = lo, .hi = hi};
    walk_step(&w, i, &r.n);
    threads_run(session_pool(w.s), range_of, &r, (int)g->n_vals);
  }
  walk_close(&w);
  return ok;
}

/* -- moments -- */

typedef struct Sums {
  const Walk *w;
  const ValId *vals;
  const Moments *out; /* sums and sums of squares until all images are through */
  int n;
} Sums;

static void sums_of(void *ctx, int unit, int thread) {
  (void)thread;
  const Sums *p = ctx;
  const Moments *m = &p->out[unit];
  ValId v = p->vals[unit];
  const Session *s = p->w->s;
  const SVal *e = &s->vals[s->map ? s->map[v] : v];
  const float *x = session_activation(s, v);
  for (int64_t k = 0; x && k < p->n * e->item; k += m->channels, x += m->channels)
    for (int64_t c = 0; c < m->channels; c++) {
      m->mean[c] += (double)x[c];
      m->variance[c] += (double)x[c] * (double)x[c];
    }
}

static void sums_finish(const Moments *m, double rows) {
  for (int64_t c = 0; c < m->channels; c++) {
    m->mean[c] /= rows;
    double v = m->variance[c] / rows - m->mean[c] * m->mean[c];
    m->variance[c] = v > 0 ? v : 0;
  }
}

bool collect_moments(const Graph *g, const Dataset *ds, uint32_t n, const Host *host, const ValId *vals,
                     int count, const Moments *out, Diag *d) {
  Walk w = {0};
  for (int i = 0; i < count; i++)
    for (int64_t c = 0; c < out[i].channels; c++) out[i].mean[c] = out[i].variance[c] = 0;
  bool ok = walk_open(&w, g, &ds->train, &ds->spec.normalize, n, host, false, d);
  for (uint32_t i = 0; ok && i < w.n; i += (uint32_t)w.batch) {
    ok = !stopped(host, d);
    Sums p = {.w = &w, .vals = vals, .out = out};
    walk_step(&w, i, &p.n);
    threads_run(session_pool(w.s), sums_of, &p, count);
  }
  for (int i = 0; ok && i < count; i++) {
    int64_t item = session_item(w.s, vals[i]);
    sums_finish(&out[i], (double)w.n * (double)item / (double)out[i].channels);
  }
  walk_close(&w);
  return ok;
}

/* -- values as they are -- */

bool collect_values(const Graph *g, const Split *split, const Normalize *nz, uint32_t n, const Host *host,
                    const ValId *vals, int count, float *const *out, float *logits, Diag *d) {
  Walk w = {0};
  bool ok = walk_open(&w, g, split, nz, n, host, false, d);
  const int64_t classes = ok ? session_classes(w.s) : 0;
  for (uint32_t i = 0; ok && i < w.n; i += (uint32_t)w.batch) {
    int b;
    ok = !stopped(host, d);
    const float *z = walk_step(&w, i, &b);
    memcpy(logits + (int64_t)i * classes, z, (size_t)(b * classes) * sizeof *z);
    for (int k = 0; k < count; k++) {
      const int64_t item = session_item(w.s, vals[k]);
      memcpy(out[k] + (int64_t)i * item, session_activation(w.s, vals[k]), (size_t)(b * item) * sizeof *z);
    }
  }
  walk_close(&w);
  return ok;
}

/* -- Taylor importance -- */

/* One value's share from n images: items of [positions][channels]; g is the gradient of the mean loss. */
static void taylor_add(const float *a, const float *g, int n, int64_t item, int64_t channels, double *sum,
                       double *out) {
  for (int i = 0; i < n; i++, a += item, g += item) {
    for (int64_t c = 0; c < channels; c++) sum[c] = 0;
    for (int64_t k = 0; k < item; k += channels)
      for (int64_t c = 0; c < channels; c++) sum[c] += (double)a[k + c] * (double)g[k + c];
    for (int64_t c = 0; c < channels; c++) out[c] += sum[c] * n * sum[c] * n;
  }
}

static void taylor_step(const Graph *g, Walk *w, int n, double **importance) {
  for (ValId v = 1; v < g->n_vals; v++) {
    const Shape *x = &g->vals[v].shape;
    const float *a = importance[v] ? session_activation(w->s, v) : NULL,
                *da = a ? session_gradient(w->s, v) : NULL;
    if (!da || x->rank < 2 || !w->s->vals[w->s->map ? w->s->map[v] : v].batched) continue;
    int64_t channels = x->d[x->rank - 1];
    double *sum = mem_array((size_t)channels, sizeof *sum);
    taylor_add(a, da, n, shape_count_range(x, 1, x->rank), channels, sum, importance[v]);
    mem_free(sum);
  }
}

/* Can the loss be computed for the first n training examples? */
static bool check_loss(const Dataset *ds, const Walk *w, int outputs, Diag *d) {
  const Split *s = &ds->train;
  FAIL_IF(s->anomaly && outputs != w->feed.map.count, d, NULL,
          "the output is compared with the input: the model has %d outputs, %lld inputs", outputs,
          (long long)w->feed.map.count);
  for (uint32_t i = 0; !s->anomaly && i < w->n; i++)
    FAIL_IF(s->y[i] < 0 || s->y[i] >= outputs, d, NULL, "example %u has label %d: the model has %d classes",
            i, s->y[i], outputs);
  return true;
}

bool collect_taylor(const Graph *g, const Dataset *ds, uint32_t n, const Host *host, double **importance,
                    Diag *d) {
  Walk w = {0};
  FAIL_IF(!ds->train.y && !ds->train.anomaly, d, NULL, "Taylor importance needs labelled examples");
  bool ok = walk_open(&w, g, &ds->train, &ds->spec.normalize, n, host, true, d);
  int classes = ok ? session_classes(w.s) : 0;
  ok = ok && check_loss(ds, &w, classes, d);
  float *dz = mem_array((size_t)(w.batch * classes), sizeof *dz);
  for (uint32_t i = 0; ok && i < w.n; i += (uint32_t)w.batch) {
    ok = !stopped(host, d);
    int b;
    const float *z = walk_step(&w, i, &b);
    if (ds->train.anomaly)
      loss_squares(z, session_input(w.s), b, classes, 1, dz, 0);
    else
      loss_cross_entropy(z, ds->train.y + i, b, classes, 0, dz);
    session_backward(w.s, dz, b);
    taylor_step(g, &w, b, importance);
  }
  mem_free(dz);
  walk_close(&w);
  return ok;
}
