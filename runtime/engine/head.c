/* See head.h. Steps are small (features and classes, no layers below), so that plain loops do. */
#include "runtime/engine/head.h"

#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "runtime/engine/loss.h"
#include "runtime/engine/reconstruct.h"

static const double MOMENTUM = 0.9, PI = 3.14159265358979323846;

void head_options_default(HeadOptions *o) {
  *o = (HeadOptions){.epochs = 20, .batch = 64, .lr = 0.05, .mix = 0.9, .ridge = 0.001, .seed = 1};
}

typedef struct Fit {
  const HeadOptions *o;
  int64_t n, channels;
  int classes;
  float *x; /* standardized */
  const float *teacher;
  const int32_t *labels;
  float *w, *b, *vw, *vb; /* parameters of standardized features, their momentum */
} Fit;

/* Mean 0, variance 1; what does not vary becomes 0. */
static void standardize(const Fit *f, const float *x, float *mean, float *size) {
  for (int64_t c = 0; c < f->channels; c++) {
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < f->n; i++) sum += (double)x[i * f->channels + c];
    const double m = sum / (double)f->n;
    for (int64_t i = 0; i < f->n; i++) squares += pow((double)x[i * f->channels + c] - m, 2);
    const double s = sqrt(squares / (double)f->n);
    mean[c] = (float)m;
    size[c] = s > 1e-12 ? (float)(1 / s) : 0;
    for (int64_t i = 0; i < f->n; i++)
      f->x[i * f->channels + c] = (x[i * f->channels + c] - mean[c]) * size[c];
  }
}

/* Least squares to the teacher's logits. */
static void begin(const Fit *f) {
  const int64_t n = f->channels + 1;
  double *row = mem_array((size_t)n, sizeof *row), *y = mem_array((size_t)f->classes, sizeof *y),
         *w = mem_array((size_t)(n * f->classes), sizeof *w);
  Normal s;
  normal_init(&s, n, f->classes);
  row[n - 1] = 1;
  for (int64_t i = 0; i < f->n; i++) {
    for (int64_t c = 0; c < f->channels; c++) row[c] = (double)f->x[i * f->channels + c];
    for (int k = 0; k < f->classes; k++) y[k] = (double)f->teacher[i * f->classes + k];
    normal_add(&s, row, y, 1);
  }
  normal_solve(&s, f->o->ridge, 1, w);
  for (int k = 0; k < f->classes; k++) {
    for (int64_t c = 0; c < f->channels; c++) f->w[k * f->channels + c] = (float)w[c * f->classes + k];
    f->b[k] = (float)w[f->channels * f->classes + k];
  }
  normal_free(&s);
  mem_free(row);
  mem_free(y);
  mem_free(w);
}

void head_answer(const float *x, int64_t channels, const float *w, const float *b, int classes,
                 float *logits) {
  for (int k = 0; k < classes; k++, w += channels) {
    float sum = b[k];
    for (int64_t c = 0; c < channels; c++) sum += x[c] * w[c];
    logits[k] = sum;
  }
}

typedef struct Batch {
  float *logits, *dlogits, *teacher, *dw;
  int32_t *labels;
} Batch;

static void step(const Fit *f, const Batch *t, const uint32_t *idx, int n, double lr) {
  const int k_all = f->classes;
  const Targets to = {.labels = f->labels ? t->labels : NULL,
                      .teacher = t->teacher,
                      .temperature = 1,
                      .mix = f->labels ? (float)f->o->mix : 1};
  for (int i = 0; i < n; i++) {
    head_answer(f->x + idx[i] * f->channels, f->channels, f->w, f->b, k_all, t->logits + i * k_all);
    memcpy(t->teacher + i * k_all, f->teacher + (int64_t)idx[i] * k_all, (size_t)k_all * sizeof(float));
    if (f->labels) t->labels[i] = f->labels[idx[i]];
  }
  loss_targets(t->logits, &to, n, k_all, t->dlogits);
  for (int k = 0; k < k_all; k++) {
    float db = 0;
    memset(t->dw, 0, (size_t)f->channels * sizeof *t->dw);
    for (int i = 0; i < n; i++) {
      const float g = t->dlogits[i * k_all + k], *x = f->x + idx[i] * f->channels;
      db += g;
      for (int64_t c = 0; c < f->channels; c++) t->dw[c] += g * x[c];
    }
    for (int64_t c = 0; c < f->channels; c++) {
      float *v = &f->vw[k * f->channels + c];
      *v = (float)MOMENTUM * *v + t->dw[c];
      f->w[k * f->channels + c] -= (float)lr * *v;
    }
    f->vb[k] = (float)MOMENTUM * f->vb[k] + db;
    f->b[k] -= (float)lr * f->vb[k];
  }
}

static void descend(const Fit *f) {
  const int64_t rows = f->o->batch, each = (f->n + rows - 1) / rows, steps = each * f->o->epochs;
  const size_t logits = (size_t)(rows * f->classes);
  Batch t = {.logits = mem_array(logits, sizeof(float)),
             .dlogits = mem_array(logits, sizeof(float)),
             .teacher = mem_array(logits, sizeof(float)),
             .dw = mem_array((size_t)f->channels, sizeof(float)),
             .labels = mem_array((size_t)rows, sizeof(int32_t))};
  uint32_t *idx = mem_array((size_t)f->n, sizeof *idx);
  for (int64_t i = 0; i < f->n; i++) idx[i] = (uint32_t)i;
  for (int64_t s = 0; s < steps; s++) {
    const int64_t from = s % each * rows;
    if (from == 0) {
      Rng r;
      rng_seed(&r, f->o->seed, (uint64_t)(s / each));
      rng_shuffle(&r, idx, (uint32_t)f->n);
    }
    step(f, &t, idx + from, (int)(f->n - from < rows ? f->n - from : rows),
         f->o->lr * 0.5 * (1 + cos(PI * (double)s / (double)steps)));
  }
  mem_free(t.logits);
  mem_free(t.dlogits);
  mem_free(t.teacher);
  mem_free(t.dw);
  mem_free(t.labels);
  mem_free(idx);
}

void head_fit(const float *x, int64_t n, int64_t channels, const float *teacher, const int32_t *labels,
              int classes, const HeadOptions *o, float *w, float *b) {
  const size_t all = (size_t)(classes * channels);
  float *mean = mem_array((size_t)channels, sizeof *mean), *size = mem_array((size_t)channels, sizeof *size);
  Fit f = {.o = o,
           .n = n,
           .channels = channels,
           .classes = classes,
           .x = mem_array((size_t)(n * channels), sizeof(float)),
           .teacher = teacher,
           .labels = labels,
           .w = w,
           .b = b,
           .vw = mem_array(all, sizeof(float)),
           .vb = mem_array((size_t)classes, sizeof(float))};
  standardize(&f, x, mean, size);
  begin(&f);
  descend(&f);
  for (int k = 0; k < classes; k++) /* of features as they are */
    for (int64_t c = 0; c < channels; c++) {
      w[k * channels + c] *= size[c];
      b[k] -= w[k * channels + c] * mean[c];
    }
  mem_free(f.x);
  mem_free(f.vw);
  mem_free(f.vb);
  mem_free(mean);
  mem_free(size);
}
