/* One batch: pixels, teachers, forward, losses, backward. */
#include "ir/base/mem.h"
#include "runtime/engine/train/trainer.h"

static int argmax(const float *z, int n) {
  int best = 0;
  for (int i = 1; i < n; i++)
    if (z[i] > z[best]) best = i;
  return best;
}

bool step_open(Trainer *t, Diag *d) {
  size_t batch = (size_t)t->batch;
  int64_t item = t->feed.map.count;
  t->augment = t->o->augment;
  t->augment.seed = t->o->seed;
  t->augment.views = t->o->views;
  if (t->n_pairs == 0 && t->job->n_teachers > 0 && t->teachers && t->teachers[0].bank.bytes)
    t->augment.seed = t->teachers[0].bank.seed;
  t->dlogits = mem_array(batch * (size_t)t->classes, sizeof(float));
  if (t->o->loss == LOSS_INPUT) {
    FAIL_IF(t->classes != item || t->sized, d, NULL,
            "the output is compared with the input: the model has %d outputs, %lld inputs", t->classes,
            (long long)item);
    t->target = mem_array(batch * (size_t)item, sizeof(float));
  } else if (t->ds->train.y) {
    t->labels = mem_array(batch, sizeof *t->labels);
    if (t->o->augment.mixup > 0 || t->o->augment.cutmix > 0) {
      t->others = mem_array(batch, sizeof *t->others);
      t->share = mem_array(batch, sizeof *t->share);
    }
  }
  return t->o->clip_each <= 0 || each_open(t, d);
}

void step_close(Trainer *t) {
  each_close(t);
  mem_free(t->dlogits);
  mem_free(t->target);
  mem_free(t->labels);
  mem_free(t->others);
  mem_free(t->share);
}

/* Labels of the batch, and with whom its examples are mixed. */
static void set_labels(Trainer *t, const uint32_t *idx) {
  const Split *s = &t->ds->train;
  const bool image = s->item.rank == 3;
  const int64_t h = image ? s->item.d[0] : 1, w = image ? s->item.d[1] : 1;
  for (int i = 0; t->labels && i < t->batch; i++) {
    t->labels[i] = s->y[idx[i]];
    if (!t->others) continue;
    const Mixing m = augment_mix(&t->augment, s->n, idx[i], h, w);
    t->share[i] = m.share;
    t->others[i] = s->y[m.partner];
  }
}

/* The batch as it is before noise and blanking: what an autoencoder is to give back. */
static void set_target(Trainer *t, const uint32_t *idx) {
  Augment clean = t->augment;
  clean.noise = 0;
  clean.cutout = clean.time_mask = clean.frequency_mask = 0;
  feed_batch(&t->feed, &clean, idx, 0, t->batch, t->target);
}

double step_loss(Trainer *t, int at, int n, const float *logits, float *dlogits) {
  if (t->target)
    return loss_squares(logits, t->target + (int64_t)at * t->classes, n, t->classes, 1, dlogits, 0);
  Targets want = {.smoothing = t->o->smoothing, .temperature = t->o->temperature, .mix = t->o->mix};
  if (t->labels) {
    want.labels = t->labels + at;
    for (int i = 0; i < n; i++)
      t->correct += argmax(logits + (int64_t)i * t->classes, t->classes) == want.labels[i];
  }
  if (t->others) {
    want.others = t->others + at;
    want.share = t->share + at;
  }
  if (t->soft && t->o->mix > 0) want.teacher = (t->mean ? t->mean : t->soft[0]) + (int64_t)at * t->classes;
  return loss_targets(logits, &want, n, t->classes, dlogits);
}

double step_batch(Trainer *t, const uint32_t *idx) {
  Session *s = t->student;
  set_labels(t, idx);
  if (t->target) set_target(t, idx);
  feed_batch(&t->feed, &t->augment, idx, 0, t->batch, t->elastic ? elastic_pixels(t) : session_input(s));
  teachers_batch(t, idx);
  if (t->elastic) return elastic_batch(t);
  if (t->clipped) return each_batch(t);
  const float *z = session_forward(s, session_input(s), t->batch, !t->o->fixed_statistics);
  double loss = step_loss(t, 0, t->batch, z, t->dlogits);
  if (t->n_pairs) loss += features_batch(t);
  session_backward(s, t->dlogits, t->batch);
  return loss;
}
