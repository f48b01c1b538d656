/* Losses: see loss.h. With q the softmax of the student's logits, per example:
 *
 *   cross-entropy with target t:                gradient q - t
 *   distillation (Hinton, Vinyals, Dean 2015, arXiv:1503.02531), p_T, q_T softmaxes at temperature T:
 *   T^2 KL(p_T || q_T):                         gradient T (q_T - p_T)
 *   squares, m elements:                        gradient 2 (y - want) / m
 */
#include "runtime/engine/loss.h"

#include <math.h>
#include <stddef.h>

/* Log of the softmax's denominator at temperature t. */
static double log_sum(const float *z, int classes, double t) {
  double top = z[0], sum = 0;
  for (int c = 1; c < classes; c++) top = z[c] > top ? z[c] : top;
  for (int c = 0; c < classes; c++) sum += exp((z[c] - top) / t);
  return top / t + log(sum);
}

/* Example i of the batch. */
typedef struct Row {
  const Targets *t;
  const float *z, *teacher;
  int i, classes;
  double keep;              /* of the labels */
  double flat, soft, teach; /* log sums: student at 1, student and teacher at T */
} Row;

static double label_share(const Row *r, int c) {
  const Targets *t = r->t;
  double share = t->others ? (double)t->share[r->i] : 1, on = 0;
  if (c == t->labels[r->i]) on += share;
  if (t->others && c == t->others[r->i]) on += 1 - share;
  return (1 - (double)t->smoothing) * on + (double)t->smoothing / r->classes;
}

static double row_loss(const Row *r, int n, float *dz) {
  double total = 0, temp = (double)r->t->temperature, mix = (double)r->t->mix;
  for (int c = 0; c < r->classes; c++) {
    double g = 0;
    if (r->t->labels) {
      double logq = (double)r->z[c] - r->flat, want = label_share(r, c);
      total -= r->keep * want * logq;
      g += r->keep * (exp(logq) - want);
    }
    if (r->teacher) {
      double logq = (double)r->z[c] / temp - r->soft, logp = (double)r->teacher[c] / temp - r->teach,
             p = exp(logp);
      total += mix * temp * temp * p * (logp - logq);
      g += mix * temp * (exp(logq) - p);
    }
    dz[c] = (float)(g / n);
  }
  return total;
}

double loss_targets(const float *logits, const Targets *t, int n, int classes, float *dlogits) {
  double total = 0;
  for (int i = 0; i < n; i++) {
    Row r = {.t = t, .z = logits + (ptrdiff_t)i * classes, .i = i, .classes = classes, .keep = 1};
    if (t->labels) r.flat = log_sum(r.z, classes, 1);
    if (t->teacher) {
      r.keep = 1 - (double)t->mix;
      r.teacher = t->teacher + (ptrdiff_t)i * classes;
      r.soft = log_sum(r.z, classes, (double)t->temperature);
      r.teach = log_sum(r.teacher, classes, (double)t->temperature);
    }
    total += row_loss(&r, n, dlogits + (ptrdiff_t)i * classes);
  }
  return total / n;
}

double loss_cross_entropy(const float *logits, const int32_t *labels, int n, int classes, float smoothing,
                          float *dlogits) {
  return loss_targets(logits, &(Targets){.labels = labels, .smoothing = smoothing}, n, classes, dlogits);
}

double loss_distill(const float *logits, const float *teacher, const int32_t *labels, int n, int classes,
                    float temperature, float mix, float *dlogits) {
  const Targets t = {.labels = labels, .teacher = teacher, .temperature = temperature, .mix = mix};
  return loss_targets(logits, &t, n, classes, dlogits);
}

double loss_squares(const float *y, const float *want, int n, int64_t item, float weight, float *dy,
                    int add) {
  double total = 0, per = (double)weight / ((double)n * (double)item);
  for (int64_t i = 0; i < n * item; i++) {
    double e = (double)y[i] - (double)want[i];
    total += e * e;
    dy[i] = (float)(2 * per * e) + (add ? dy[i] : 0);
  }
  return total * per;
}

void loss_mean_teacher(const float *const *teachers, const float *weights, int count, int n, int classes,
                       float temperature, float *out) {
  double t = (double)temperature, sum = 0;
  for (int k = 0; k < count; k++) sum += weights ? (double)weights[k] : 1;
  for (int i = 0; i < n; i++) {
    ptrdiff_t at = (ptrdiff_t)i * classes;
    for (int c = 0; c < classes; c++) out[at + c] = 0;
    for (int k = 0; k < count; k++) {
      const float *z = teachers[k] + at;
      double share = (weights ? (double)weights[k] : 1) / sum, lse = log_sum(z, classes, t);
      for (int c = 0; c < classes; c++) out[at + c] += (float)(share * exp(z[c] / t - lse));
    }
    for (int c = 0; c < classes; c++) out[at + c] = (float)(t * log(fmax((double)out[at + c], 1e-30)));
  }
}
