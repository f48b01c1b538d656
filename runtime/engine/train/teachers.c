/* Teachers: beside the student, on the same pixels, or from banks; several become one by the mean of their soft targets. */
#include "ir/base/mem.h"
#include "runtime/engine/train/trainer.h"

static bool wanted(const Trainer *t) {
  return t->job->n_teachers > 0 && (t->o->mix > 0 || t->o->features > 0);
}

static bool open_bank(Trainer *t, int k, Diag *d) {
  Teacher *m = &t->teachers[k];
  const Graph *g = t->job->teachers[k];
  Blob *made = t->job->banks ? blob_ref(t->job->banks[k]) : NULL;
  if (!made) made = teacher_bank(g, t->ds, t->o, t->host, d);
  bool ok = made && bank_open(&m->bank, made, g, t->ds, t->o, d);
  blob_unref(made);
  TRY(ok);
  FAIL_IF(m->bank.seed != t->teachers[0].bank.seed, d, NULL, "the banks of two teachers hold other views");
  m->logits = mem_array((size_t)t->batch * (size_t)m->bank.classes, sizeof(float));
  return true;
}

static bool open_beside(Trainer *t, int k, Diag *d) {
  Teacher *m = &t->teachers[k];
  ValId *taps = mem_array((size_t)t->n_pairs + 1, sizeof *taps);
  for (int i = 0; i < t->n_pairs; i++) taps[i] = t->pairs[i].teacher;
  SessionOptions so = {
      .batch = t->batch, .threads = t->o->threads, .taps = taps, .n_taps = k == 0 ? t->n_pairs : 0};
  m->s = session_new_on(t->job->teachers[k], &so, t->pool, d);
  mem_free(taps);
  return m->s && feed_new(&m->feed, m->s, &t->ds->train, &t->ds->spec.normalize, d);
}

bool teachers_open(Trainer *t, Diag *d) {
  if (!wanted(t)) return true;
  int n = t->job->n_teachers;
  FAIL_IF(t->o->features > 0 && n > 1, d, NULL, "features are matched with one teacher: there are %d", n);
  FAIL_IF(t->o->features > 0 && t->job->banks, d, NULL,
          "features are matched with a teacher that runs beside: its bank holds logits alone");
  t->teachers = mem_array((size_t)n, sizeof *t->teachers);
  t->soft = mem_array((size_t)n, sizeof *t->soft);
  for (int k = 0; k < n; k++) {
    Teacher *m = &t->teachers[k];
    bool bank = t->o->views > 0 && t->n_pairs == 0;
    TRY(bank ? open_bank(t, k, d) : open_beside(t, k, d));
    int classes = bank ? m->bank.classes : session_classes(m->s);
    FAIL_IF(classes != t->classes, d, NULL, "the teacher has %d outputs, the model %d", classes, t->classes);
  }
  if (n > 1) t->mean = mem_array((size_t)t->batch * (size_t)t->classes, sizeof(float));
  return true;
}

void teachers_close(Trainer *t) {
  for (int k = 0; t->teachers && k < t->job->n_teachers; k++) {
    Teacher *m = &t->teachers[k];
    if (m->feed.pool) feed_free(&m->feed);
    session_free(m->s);
    bank_close(&m->bank);
    mem_free(m->logits);
  }
  mem_free(t->teachers);
  mem_free(t->soft);
  mem_free(t->mean);
}

static const float *one(Trainer *t, Teacher *m, const uint32_t *idx) {
  if (m->s) {
    feed_batch(&m->feed, &t->augment, idx, 0, t->batch, session_input(m->s));
    return session_forward(m->s, session_input(m->s), t->batch, false);
  }
  for (int i = 0; i < t->batch; i++)
    bank_read(&m->bank, &t->augment, idx[i], m->logits + (int64_t)i * t->classes);
  return m->logits;
}

void teachers_batch(Trainer *t, const uint32_t *idx) {
  if (!t->teachers) return;
  for (int k = 0; k < t->job->n_teachers; k++) t->soft[k] = one(t, &t->teachers[k], idx);
  if (t->mean)
    loss_mean_teacher(t->soft, t->job->teacher_weights, t->job->n_teachers, t->batch, t->classes,
                      t->o->temperature, t->mean);
}
