/* DP-SGD on some parameters of a graph; see tune.h.
 *
 *   draw -> rounds of 8 examples, one to a shard -> norm and factor of each -> sum (double) -> noise -> step
 *
 * A round of at most SHARDS examples leaves the gradient of example k in shard k (train/each.c says why). Sums run over
 * examples in their order, so that a seeded run gives the same bytes at any thread count.
 */
#include "runtime/engine/privacy/tune.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "ir/base/mem.h"
#include "runtime/engine/feed.h"

/* A stretch of the flat parameters that learns. */
typedef struct Stretch {
  int64_t offset, count;
} Stretch;

typedef struct Tune {
  const TuneJob *job;
  Session *s;
  Feed feed;
  Stretch *at; /* [n] */
  int n, classes;
  int64_t total;    /* numbers that learn */
  double *sum;      /* [total] */
  double *velocity; /* [total] */
  float *begin;     /* [total] */
  uint32_t *drawn;  /* [split->n] */
  int32_t labels[SHARDS];
  float *soft, *dlogits; /* [SHARDS][classes] */
  double loss;
  int64_t seen;
} Tune;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* -- opening -- */

static bool find_stretches(Tune *t, Diag *d) {
  const Session *s = t->s;
  t->at = mem_array((size_t)t->job->n_learn, sizeof *t->at);
  for (int i = 0; i < t->job->n_learn; i++) {
    const ValId own = s->map ? s->map[t->job->learn[i]] : t->job->learn[i];
    const char *name = t->job->graph->vals[t->job->learn[i]].name;
    const Segment *found = NULL;
    for (int k = 0; k < s->n_segments; k++)
      if (s->segments[k].val == own) found = &s->segments[k];
    FAIL_IF(!found || !s->vals[own].param, d, NULL, "constant \"%s\" does not learn", name ? name : "");
    FAIL_IF(s->vals[own].by_one, d, NULL,
            "parameter \"%s\" reaches the examples through operators without batch: their gradients cannot "
            "be told apart",
            name ? name : "");
    t->at[t->n++] = (Stretch){found->offset, found->count};
    t->total += found->count;
  }
  return true;
}

static bool check_job(const TuneJob *j, Diag *d) {
  FAIL_IF(j->split->n == 0 || j->n_learn == 0, d, NULL, "there is nothing to learn %s",
          j->n_learn ? "from" : "with");
  FAIL_IF(!(j->rate > 0 && j->rate <= 1), d, NULL, "sampling rate %g: want more than 0, at most 1", j->rate);
  FAIL_IF(!(j->nominal > 0), d, NULL, "nominal number of examples %g: want more than 0", j->nominal);
  FAIL_IF(j->noise > 0 && !(j->clip > 0), d, NULL, "noise needs a norm to which examples are clipped");
  FAIL_IF(!j->labels && (!j->teacher || j->mix < 1), d, NULL, "there are neither labels nor a teacher");
  return true;
}

static bool check_labels(const TuneJob *j, int classes, Diag *d) {
  for (uint32_t i = 0; j->labels && i < j->split->n; i++)
    FAIL_IF(j->labels[i] < 0 || j->labels[i] >= classes, d, NULL,
            "example %u has label %d: the model has %d classes", i, j->labels[i], classes);
  return true;
}

static float *param(const Tune *t, int k) { return t->s->params + t->at[k].offset; }

static bool tune_open(Tune *t, Diag *d) {
  const TuneJob *j = t->job;
  TRY(check_job(j, d));
  const SessionOptions so = {
      .batch = SHARDS, .threads = j->host && j->host->threads > 0 ? j->host->threads : 1, .training = true};
  t->s = session_new(j->graph, &so, d);
  TRY(t->s && feed_new(&t->feed, t->s, j->split, j->normalize, d) && find_stretches(t, d));
  t->classes = session_classes(t->s);
  TRY(check_labels(j, t->classes, d));
  t->sum = mem_array((size_t)t->total, sizeof *t->sum);
  t->velocity = mem_array((size_t)t->total, sizeof *t->velocity);
  t->begin = mem_array((size_t)t->total, sizeof *t->begin);
  t->drawn = mem_array(j->split->n, sizeof *t->drawn);
  t->soft = mem_array((size_t)t->classes * SHARDS, sizeof *t->soft);
  t->dlogits = mem_array((size_t)t->classes * SHARDS, sizeof *t->dlogits);
  float *to = t->begin;
  for (int k = 0; k < t->n; to += t->at[k++].count)
    memcpy(to, param(t, k), (size_t)t->at[k].count * sizeof *to);
  return true;
}

static void tune_close(Tune *t) {
  if (t->feed.pool) feed_free(&t->feed);
  session_free(t->s);
  mem_free(t->at);
  mem_free(t->sum);
  mem_free(t->velocity);
  mem_free(t->begin);
  mem_free(t->drawn);
  mem_free(t->soft);
  mem_free(t->dlogits);
}

/* -- a step -- */

/* Gradient of example k: what shard k holds is 1/n of it. */
static double norm_of(const Tune *t, const float *g, int n) {
  double sum = 0;
  for (int k = 0; k < t->n; k++)
    for (int64_t i = t->at[k].offset; i < t->at[k].offset + t->at[k].count; i++)
      sum += (double)g[i] * (double)g[i];
  return sqrt(sum) * n;
}

static void add_example(Tune *t, int shard, int n) {
  const float *g = t->s->shard_grads + shard * t->s->total;
  const double clip = t->job->clip, norm = norm_of(t, g, n);
  /* An example whose gradient is not finite is left out: its share is then 0, which is within any norm. */
  if (!isfinite(norm)) return;
  const double factor = n * (clip > 0 && norm > clip ? clip / norm : 1);
  double *to = t->sum;
  for (int k = 0; k < t->n; k++)
    for (int64_t i = 0; i < t->at[k].count; i++) *to++ += factor * (double)g[t->at[k].offset + i];
}

static void add_round(Tune *t, const uint32_t *idx, int n) {
  const TuneJob *j = t->job;
  for (int i = 0; i < n; i++) {
    if (j->labels) t->labels[i] = j->labels[idx[i]];
    if (j->teacher)
      memcpy(t->soft + i * t->classes, j->teacher + (size_t)idx[i] * (size_t)t->classes,
             (size_t)t->classes * sizeof *t->soft);
  }
  feed_batch(&t->feed, NULL, idx, 0, n, session_input(t->s));
  const float *z = session_forward(t->s, session_input(t->s), n, false);
  const Targets want = {.labels = j->labels ? t->labels : NULL,
                        .teacher = j->teacher && j->mix > 0 ? t->soft : NULL,
                        .temperature = j->temperature > 0 ? j->temperature : 1,
                        .mix = j->mix};
  t->loss += loss_targets(z, &want, n, t->classes, t->dlogits) * n;
  t->seen += n;
  session_backward(t->s, t->dlogits, n);
  for (int i = 0; i < n; i++) add_example(t, i, n);
}

static void apply(Tune *t) {
  const TuneJob *j = t->job;
  const double deviation = j->noise * j->clip, share = 1 / (j->rate * j->nominal);
  int64_t at = 0;
  for (int k = 0; k < t->n; k++) {
    float *x = param(t, k);
    for (int64_t i = 0; i < t->at[k].count; i++, at++) {
      double g = t->sum[at];
      if (deviation > 0) g += deviation * noise_normal(j->random);
      g = g * share + j->decay * ((double)x[i] - (double)t->begin[at]);
      t->velocity[at] = j->momentum * t->velocity[at] + g;
      x[i] = (float)((double)x[i] - j->lr * t->velocity[at]);
    }
  }
}

static void step(Tune *t) {
  const TuneJob *j = t->job;
  uint32_t n = 0;
  for (uint32_t i = 0; i < j->split->n; i++)
    if (noise_uniform(j->random) < j->rate) t->drawn[n++] = i;
  memset(t->sum, 0, (size_t)t->total * sizeof *t->sum);
  for (uint32_t i = 0; i < n; i += SHARDS) add_round(t, t->drawn + i, n - i < SHARDS ? (int)(n - i) : SHARDS);
  apply(t);
}

static bool run(Tune *t, Diag *d) {
  const TuneJob *j = t->job;
  for (int64_t k = 0; k < j->steps; k++) {
    FAIL_IF(j->host && j->host->cancelled && j->host->cancelled(j->host->ctx), d, NULL,
            "training was cancelled behind %lld of %lld steps", (long long)k, (long long)j->steps);
    if (k == j->steps - j->steps / 10) t->loss = 0, t->seen = 0;
    step(t);
    if (j->host && j->host->progress && (k % 16 == 15 || k + 1 == j->steps))
      j->host->progress(j->host->ctx, "tune", (double)(k + 1) / (double)j->steps, NULL);
  }
  FAIL_IF(j->random->failed, d, NULL, "the operating system's random generator ceased to answer");
  for (int k = 0; k < t->n; k++)
    for (int64_t i = 0; i < t->at[k].count; i++)
      FAIL_IF(!isfinite(param(t, k)[i]), d, NULL, "training diverged (learning rate %g)", j->lr);
  return true;
}

Graph *tune_run(const TuneJob *job, TuneResult *res, Diag *d) {
  Tune t = {.job = job};
  const double start = now();
  Graph *out = tune_open(&t, d) && run(&t, d) ? session_graph(t.s) : NULL;
  if (res)
    *res =
        (TuneResult){.seconds = now() - start, .loss = t.seen ? t.loss / (double)t.seen : 0, .seen = t.seen};
  tune_close(&t);
  return out;
}
