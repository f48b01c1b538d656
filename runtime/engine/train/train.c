/* Training: shuffled epochs of SGD on augmented images, with or without a teacher beside; re-estimation of statistics.
 *
 *   permutation of the epoch -> batch -> (pool) pixels -> teacher forward -> forward -> loss -> backward -> SGD
 *
 * Everything random depends on (seed, epoch, example) alone; the last, partial batch of an epoch is dropped. The
 * learning rate is lr * (1 + cos(pi t / T)) / 2 over all T steps, times a linear warm-up. A loss that is not finite
 * ends the run with a report.
 */
#include "runtime/engine/engine.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "ir/base/strbuf.h"
#include "runtime/engine/feed.h"
#include "runtime/engine/train/optimizer.h"
#include "runtime/engine/train/rate.h"

typedef struct Trainer {
  const Dataset *ds;
  const TrainOptions *o;
  const Host *host;
  Session *student, *teacher;
  Optimizer optimizer;
  Feed feed, teacher_feed;
  float *teacher_x; /* the teacher's input where its layout differs; NULL: the student's */
  float *dlogits;
  uint32_t *order;
  int32_t *labels; /* of the batch */
  int64_t steps_per_epoch, steps, done;
  FILE *log;
  double start, loss; /* of this epoch: sum of batch means */
  int64_t correct, seen;
} Trainer;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool check_labels(const Split *s, int classes, bool needed, Diag *d) {
  FAIL_IF(needed && !s->y, d, NULL, "the training data has no labels");
  for (uint32_t i = 0; s->y && i < s->n; i++)
    FAIL_IF(s->y[i] < 0 || s->y[i] >= classes, d, NULL, "example %u has label %d: the model has %d classes",
            i, s->y[i], classes);
  return true;
}

static bool open_teacher(Trainer *t, const Graph *teacher, int batch, Diag *d) {
  if (!teacher || t->o->mix == 0) return true;
  SessionOptions so = {.batch = batch, .threads = t->o->threads};
  t->teacher = session_new_on(teacher, &so, session_pool(t->student), d);
  TRY(t->teacher);
  FAIL_IF(session_classes(t->teacher) != session_classes(t->student), d, NULL,
          "the teacher has %d outputs, the model %d", session_classes(t->teacher),
          session_classes(t->student));
  TRY(feed_new(&t->teacher_feed, t->teacher, &t->ds->train, &t->ds->spec.normalize, d));
  return true;
}

static OptimizerOptions optimizer_options(const TrainOptions *o) {
  return (OptimizerOptions){.kind = o->optimizer,
                            .weight_decay = o->weight_decay,
                            .momentum = o->momentum,
                            .nesterov = o->nesterov,
                            .beta1 = o->beta1,
                            .beta2 = o->beta2,
                            .epsilon = o->epsilon,
                            .clip = o->clip,
                            .average = o->average};
}

static bool trainer_open(Trainer *t, const Graph *g, const Graph *teacher, Diag *d) {
  TRY(train_options_check(t->o, d));
  const Split *s = &t->ds->train;
  FAIL_IF(s->n == 0, d, NULL, "the training split is empty");
  int batch = (uint32_t)t->o->batch < s->n ? t->o->batch : (int)s->n;
  SessionOptions so = {.batch = batch, .threads = t->o->threads, .training = true};
  t->student = session_new(g, &so, d);
  TRY(t->student);
  OptimizerOptions oo = optimizer_options(t->o);
  optimizer_new(&t->optimizer, t->student, &oo);
  TRY(check_labels(s, session_classes(t->student), !teacher || t->o->mix < 1, d));
  TRY(feed_new(&t->feed, t->student, s, &t->ds->spec.normalize, d));
  TRY(open_teacher(t, teacher, batch, d));
  t->steps_per_epoch = s->n / (uint32_t)batch;
  t->steps = t->o->images > 0 ? (t->o->images + batch - 1) / batch : t->steps_per_epoch * t->o->epochs;
  t->dlogits = mem_array((size_t)batch * (size_t)session_classes(t->student), sizeof(float));
  t->order = mem_array(s->n, sizeof *t->order);
  t->labels = mem_array((size_t)batch, sizeof *t->labels);
  if (t->o->log_path) {
    t->log = fopen(t->o->log_path, "w");
    const Loc at = {.file = t->o->log_path};
    FAIL_IF(!t->log, d, &at, "cannot write the training log");
  }
  return true;
}

static void trainer_close(Trainer *t) {
  feed_free(&t->feed);
  if (t->teacher) feed_free(&t->teacher_feed);
  optimizer_free(&t->optimizer);
  session_free(t->teacher);
  session_free(t->student);
  mem_free(t->dlogits);
  mem_free(t->order);
  mem_free(t->labels);
  if (t->log) fclose(t->log);
}

static float rate(const Trainer *t) { return train_rate(t->o, t->done, t->steps); }

static int argmax(const float *z, int n) {
  int best = 0;
  for (int i = 1; i < n; i++)
    if (z[i] > z[best]) best = i;
  return best;
}

/* One batch: examples idx[0..n-1]. Returns the mean loss. */
static double train_batch(Trainer *t, const uint32_t *idx, int n, uint64_t epoch) {
  Session *s = t->student;
  int classes = session_classes(s);
  Augment aug = {.flip = t->o->flip, .crop = t->o->crop, .seed = t->o->seed, .stream = epoch};
  float *x = session_input(s);
  feed_batch(&t->feed, &aug, idx, 0, n, x);
  const float *soft = NULL;
  if (t->teacher) {
    float *tx = session_input(t->teacher);
    feed_batch(&t->teacher_feed, &aug, idx, 0, n, tx);
    soft = session_forward(t->teacher, tx, n, false);
  }
  const float *z = session_forward(s, x, n, true);
  const int32_t *labels = NULL;
  if (t->ds->train.y) {
    for (int i = 0; i < n; i++) {
      t->labels[i] = t->ds->train.y[idx[i]];
      t->correct += argmax(z + (int64_t)i * classes, classes) == t->labels[i];
    }
    labels = t->labels;
  }
  const Targets want = {.labels = labels,
                        .smoothing = t->o->smoothing,
                        .teacher = soft,
                        .temperature = t->o->temperature,
                        .mix = t->o->mix};
  double loss = loss_targets(z, &want, n, classes, t->dlogits);
  session_backward(s, t->dlogits, n);
  optimizer_step(&t->optimizer, s, rate(t));
  return loss;
}

static void tell(const Trainer *t, int64_t epoch, int64_t step) {
  if (!t->host || !t->host->progress) return;
  char detail[128];
  snprintf(detail, sizeof detail, "epoch %lld, loss %.4f, %.0f images/s", (long long)epoch + 1,
           t->loss / (double)(step + 1), (double)t->done * t->student->opt.batch / (now() - t->start));
  t->host->progress(t->host->ctx, "train", (double)t->done / (double)t->steps, detail);
}

static bool log_epoch(const Trainer *t, int64_t epoch, int64_t steps, Diag *d) {
  if (!t->log || steps == 0) return true;
  const Loc at = {.file = t->o->log_path};
  fprintf(t->log,
          "{\"epoch\": %lld, \"images\": %lld, \"loss\": %.6f, \"train_accuracy\": %.6f, \"learning_rate\": "
          "%.8g, "
          "\"seconds\": %.3f}\n",
          (long long)epoch + 1, (long long)(t->done * t->student->opt.batch), t->loss / (double)steps,
          t->seen ? (double)t->correct / (double)t->seen : 0.0, (double)rate(t), now() - t->start);
  FAIL_IF(fflush(t->log) != 0, d, &at, "cannot write the training log");
  return true;
}

static bool train_epoch(Trainer *t, int64_t epoch, int64_t *steps, Diag *d) {
  int batch = t->student->opt.batch;
  Rng r;
  rng_seed(&r, t->o->seed, (uint64_t)epoch ^ UINT64_C(0x5348554646));
  for (uint32_t i = 0; i < t->ds->train.n; i++) t->order[i] = i;
  rng_shuffle(&r, t->order, t->ds->train.n);
  t->loss = 0;
  t->correct = t->seen = 0;
  for (*steps = 0; *steps < t->steps_per_epoch && t->done < t->steps; ++*steps) {
    FAIL_IF(t->host && t->host->cancelled && t->host->cancelled(t->host->ctx), d, NULL,
            "training was cancelled");
    double loss = train_batch(t, t->order + *steps * batch, batch, (uint64_t)epoch);
    FAIL_IF(!isfinite(loss), d, NULL, "training diverged: the loss is %g at step %lld (learning rate %g)",
            loss, (long long)t->done, (double)rate(t));
    t->loss += loss;
    t->seen += batch;
    t->done++;
    if (*steps % 16 == 15 || t->done == t->steps) tell(t, epoch, *steps);
  }
  return true;
}

static bool train_all(Trainer *t, TrainResult *res, Diag *d) {
  t->start = now();
  for (int64_t epoch = 0; t->done < t->steps; epoch++) {
    int64_t steps;
    TRY(train_epoch(t, epoch, &steps, d));
    TRY(log_epoch(t, epoch, steps, d));
    if (res)
      *res = (TrainResult){.seconds = now() - t->start,
                           .loss = t->loss / (double)steps,
                           .train_accuracy = t->ds->train.y ? (double)t->correct / (double)t->seen : 0,
                           .images = t->done * t->student->opt.batch};
  }
  return true;
}

Graph *train_graph(const Graph *g, const Graph *teacher, const Dataset *ds, const TrainOptions *o,
                   const Host *host, TrainResult *res, Diag *d) {
  Trainer t = {.ds = ds, .o = o, .host = host};
  Graph *out = NULL;
  if (trainer_open(&t, g, teacher, d) && train_all(&t, res, d)) out = session_graph(t.student);
  trainer_close(&t);
  return out;
}

static bool has_bn(const Graph *g) {
  for (uint32_t i = 0; i < g->n_nodes; i++)
    if (g->nodes[i].op == OP_batch_normalization) return true;
  return false;
}

Graph *reestimate_bn(const Graph *g, const Dataset *ds, uint32_t n, const Host *host, Diag *d) {
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
      feed_batch(&f, NULL, NULL, i, now_n, session_input(s));
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
