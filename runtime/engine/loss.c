/* Losses over logits [n][classes], with their gradients; sums in double, rows in order.
 *
 *   cross-entropy with label smoothing e: target = (1 - e) one-hot + e / classes; gradient (softmax - target) / n
 *   distillation (Hinton, Vinyals, Dean 2015, arXiv:1503.02531): T^2 KL(p_T || q_T), p, q softmax at temperature T of
 *   teacher and student; gradient T (q_T - p_T) / n
 */
#include "runtime/engine/engine.h"

#include <math.h>

/* Log of the softmax's denominator at temperature t. */
static double log_sum(const float *z, int classes, double t) {
  double top = z[0], sum = 0;
  for (int c = 1; c < classes; c++) top = z[c] > top ? z[c] : top;
  for (int c = 0; c < classes; c++) sum += exp((z[c] - top) / t);
  return top / t + log(sum);
}

float loss_cross_entropy(const float *logits, const int32_t *labels, int n, int classes, float smoothing,
                         float *dlogits) {
  double total = 0, off = smoothing / (double)classes, on = 1 - (double)smoothing + off;
  for (int i = 0; i < n; i++, logits += classes, dlogits += classes) {
    double lse = log_sum(logits, classes, 1);
    for (int c = 0; c < classes; c++) {
      double target = c == labels[i] ? on : off, logp = logits[c] - lse;
      total -= target * logp;
      dlogits[c] = (float)((exp(logp) - target) / n);
    }
  }
  return (float)(total / n);
}

float loss_distill(const float *logits, const float *teacher, const int32_t *labels, int n, int classes,
                   float temperature, float mix, float *dlogits) {
  double total = 0, t = temperature, keep = 1 - (double)mix;
  for (int i = 0; i < n; i++, logits += classes, teacher += classes, dlogits += classes) {
    double lse = log_sum(logits, classes, 1), soft = log_sum(logits, classes, t),
           want = log_sum(teacher, classes, t);
    if (labels) total -= keep * (logits[labels[i]] - lse);
    for (int c = 0; c < classes; c++) {
      double logq = logits[c] / t - soft, logp = teacher[c] / t - want, p = exp(logp),
             g = mix * t * (exp(logq) - p);
      total += mix * t * t * p * (logp - logq);
      if (labels) g += keep * (exp(logits[c] - lse) - (c == labels[i]));
      dlogits[c] = (float)(g / n);
    }
  }
  return (float)(total / n);
}
