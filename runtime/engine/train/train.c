/* Training: shuffled epochs of steps. Everything random depends on (seed, epoch, example) alone; the last, partial batch
 * of an epoch is dropped. A loss that is not finite ends the run with a report. Epoch and place in it follow from the
 * number of steps taken, so that a run goes on from any checkpoint as if it had never been interrupted.
 */
#include <math.h>
#include <string.h>
#include <time.h>

#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "runtime/engine/train/rate.h"
#include "runtime/engine/train/trainer.h"

double train_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* -- opening -- */

OptimizerOptions train_optimizer(const TrainOptions *o) {
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

static bool check_labels(const Split *s, int classes, bool needed, Diag *d) {
  FAIL_IF(needed && !s->y, d, NULL, "the training data has no labels");
  for (uint32_t i = 0; s->y && i < s->n; i++)
    FAIL_IF(s->y[i] < 0 || s->y[i] >= classes, d, NULL, "example %u has label %d: the model has %d classes",
            i, s->y[i], classes);
  return true;
}

static bool check_teachers(const TrainJob *job, Diag *d) {
  const TrainOptions *o = job->options;
  FAIL_IF((o->mix > 0 || o->features > 0) && job->n_teachers < 1, d, NULL,
          "distillation with mix %g, features matched with weight %g: there is no teacher", (double)o->mix,
          (double)o->features);
  for (int i = 0; job->teacher_weights && i < job->n_teachers; i++)
    FAIL_IF(!(job->teacher_weights[i] > 0), d, NULL, "teacher %d has weight %g: want more than 0", i + 1,
            (double)job->teacher_weights[i]);
  return true;
}

static void set_length(Trainer *t) {
  uint32_t n = t->ds->train.n;
  t->steps_per_epoch = n / (uint32_t)t->batch;
  t->skip = t->o->skip / t->batch;
  t->steps = t->o->images > 0 ? (t->o->images + t->batch - 1) / t->batch : t->steps_per_epoch * t->o->epochs;
}

static bool trainer_open(Trainer *t, Diag *d) {
  TRY(train_options_check(t->o, d));
  TRY(check_teachers(t->job, d));
  const Split *s = &t->ds->train;
  FAIL_IF(s->n == 0, d, NULL, "the training split is empty");
  FAIL_IF(t->o->augment.cutmix > 0 && s->item.rank != 3, d, NULL,
          "cutmix pastes boxes of images: the training examples are of rank %d", s->item.rank);
  t->batch = (uint32_t)t->o->batch < s->n ? t->o->batch : (int)s->n;
  t->pool = threads_new(t->o->threads);
  t->order = mem_array(s->n, sizeof *t->order);
  set_length(t);
  TRY(features_find(t, d));
  TRY(t->elastic ? elastic_open(t, d) : grow_student(t, grow_stage(t->o, 0, t->steps), d));
  t->classes = session_classes(t->student);
  bool labels = t->o->loss == LOSS_LABELS;
  TRY(!labels || check_labels(s, t->classes, t->o->mix < 1, d));
  OptimizerOptions oo = train_optimizer(t->o);
  optimizer_new(&t->optimizer, t->student, &oo);
  return teachers_open(t, d) && features_check(t, d) && step_open(t, d) && report_open(t, d);
}

void trainer_close(Trainer *t) {
  report_close(t);
  step_close(t);
  teachers_close(t);
  optimizer_free(&t->optimizer);
  feed_free(&t->feed);
  session_free(t->student);
  graph_free(t->sized);
  threads_free(t->pool);
  mem_free(t->order);
  mem_free(t->pairs);
  arena_free(t->mem);
}

/* -- running -- */

static void shuffle(Trainer *t, uint64_t epoch) {
  Rng r;
  rng_seed(&r, t->o->seed, epoch ^ UINT64_C(0x5348554646));
  for (uint32_t i = 0; i < t->ds->train.n; i++) t->order[i] = i;
  rng_shuffle(&r, t->order, t->ds->train.n);
}

static void begin_epoch(Trainer *t, int64_t epoch, bool fresh) {
  shuffle(t, (uint64_t)epoch);
  t->augment.stream = (uint64_t)epoch;
  if (!fresh) return;
  t->loss = 0;
  t->correct = t->seen = 0;
}

/* What was done so far is kept, where there is a place for it. */
static bool cancelled(Trainer *t, Diag *d) {
  TRY(checkpoint_save(t, CHECKPOINT_NOW, d));
  diag_error(d, NULL, "training was cancelled behind %lld of %lld images", (long long)(t->done * t->batch),
             (long long)(t->steps * t->batch));
  if (!t->o->checkpoint_path) return false;
  diag_hint(d, "the same command goes on from %s", t->o->checkpoint_path);
  if (t->host->log) {
    char line[256];
    snprintf(line, sizeof line, "%s: holds %lld of %lld images; the same command goes on from it",
             t->o->checkpoint_path, (long long)(t->done * t->batch), (long long)(t->steps * t->batch));
    t->host->log(t->host->ctx, line);
  }
  return false;
}

static bool train_step(Trainer *t, int64_t at, Diag *d) {
  if (t->host && t->host->cancelled && t->host->cancelled(t->host->ctx)) return cancelled(t, d);
  int stage = grow_stage(t->o, t->done, t->steps);
  if (stage != t->stage && !t->elastic) TRY(grow_student(t, stage, d));
  double loss = step_batch(t, t->order + at * t->batch), lr = (double)train_rate(t->o, t->done, t->steps);
  FAIL_IF(!isfinite(loss), d, NULL, "training diverged: the loss is %g at step %lld (learning rate %g)", loss,
          (long long)t->done, lr);
  if (t->elastic)
    elastic_update(t, (float)lr);
  else
    optimizer_step(&t->optimizer, t->student, (float)lr);
  t->loss += loss;
  t->seen += t->batch;
  t->done++;
  t->here++;
  report_step(t);
  return true;
}

static bool train_all(Trainer *t, Diag *d) {
  for (bool first = true; t->done < t->steps; first = false) {
    int64_t place = t->skip + t->done, epoch = place / t->steps_per_epoch, at = place % t->steps_per_epoch;
    begin_epoch(t, epoch, !first || at == 0);
    for (; at < t->steps_per_epoch && t->done < t->steps; at++) {
      TRY(train_step(t, at, d));
      bool ends = at + 1 == t->steps_per_epoch || t->done == t->steps;
      if (ends) TRY(report_epoch(t, d));
      TRY(checkpoint_save(t, ends ? CHECKPOINT_EPOCH : CHECKPOINT_STEP, d));
    }
  }
  return true;
}

/* -- the result -- */

int64_t trainer_epoch_steps(const Trainer *t) {
  const int64_t at = (t->skip + t->done - 1) % t->steps_per_epoch + 1;
  return at < t->done ? at : t->done;
}

static void result(const Trainer *t, TrainResult *res) {
  *res = (TrainResult){.seconds = t->before + train_now() - t->start,
                       .loss = t->loss / (double)trainer_epoch_steps(t),
                       .train_accuracy = t->labels && t->seen ? (double)t->correct / (double)t->seen : 0,
                       .images = t->done * t->batch};
}

static Graph *finish(Trainer *t, Diag *d) {
  if (t->stage != grow_stage(t->o, t->steps, t->steps) &&
      !grow_student(t, grow_stage(t->o, t->steps, t->steps), d))
    return NULL;
  if (!t->optimizer.average) return session_graph(t->student);
  optimizer_take_average(&t->optimizer, t->student);
  return trainer_statistics(t, session_graph(t->student), d);
}

Graph *trainer_statistics(const Trainer *t, Graph *g, Diag *d) {
  if (t->o->bn_images == 0 || t->o->fixed_statistics) return g;
  Host host = t->host ? *t->host : (Host){0};
  host.threads = t->o->threads;
  Graph *out = trained_bn(g, t->ds, t->o, t->o->bn_images, &host, d);
  graph_free(g);
  return out;
}

Trainer trainer_of(const TrainJob *job) {
  return (Trainer){.job = job, .o = job->options, .ds = job->data, .host = job->host, .stage = -1};
}

bool trainer_run(Trainer *t, TrainResult *res, Diag *d) {
  TRY(trainer_open(t, d) && checkpoint_resume(t, d));
  t->start = t->saved = train_now(); /* teachers' banks are made */
  TRY(train_all(t, d));
  if (res) result(t, res);
  return true;
}

Graph *train_run(const TrainJob *job, TrainResult *res, Diag *d) {
  Trainer t = trainer_of(job);
  Graph *out = trainer_run(&t, res, d) ? finish(&t, d) : NULL;
  trainer_close(&t);
  return out;
}

Graph *train_graph(const Graph *g, const Graph *teacher, const Dataset *ds, const TrainOptions *o,
                   const Host *host, TrainResult *res, Diag *d) {
  const TrainJob job = {.graph = g,
                        .teachers = &teacher,
                        .n_teachers = teacher != NULL,
                        .data = ds,
                        .options = o,
                        .host = host};
  return train_run(&job, res, d);
}
