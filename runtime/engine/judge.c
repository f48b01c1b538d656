/* Outcomes and metrics; see judge.h.
 *
 *   AUC = (R - P (P + 1) / 2) / (P N)      R: sum of the ranks of the P anomalous scores among all P + N
 *
 * equal scores each have the mean of their ranks (Mann and Whitney 1947). Ranks are counted in halves, so the sum is exact
 * and does not depend on the order of examples. Standard error: Hanley and McNeil, "The meaning and use of the area under a
 * receiver operating characteristic (ROC) curve", Radiology 143 (1982), equation 1 with Q1 = A / (2 - A),
 * Q2 = 2 A^2 / (1 + A).
 */
#include "runtime/engine/judge.h"

#include <math.h>
#include <stdlib.h>

#include "ir/base/mem.h"

const char *metric_name(bool auc) { return auc ? "AUC" : "accuracy"; }

bool judge_check(const Split *s, int64_t inputs, int64_t outputs, Diag *d) {
  FAIL_IF(!s->y || s->n == 0, d, NULL, "%s needs labelled examples", metric_name(s->anomaly));
  if (!s->anomaly) return true;
  FAIL_IF(inputs != outputs, d, NULL,
          "the output is compared with the input: the model has %lld outputs, %lld inputs",
          (long long)outputs, (long long)inputs);
  uint32_t count[2] = {0};
  for (uint32_t i = 0; i < s->n; i++) {
    FAIL_IF(s->y[i] < 0 || s->y[i] > 1, d, NULL, "label %d of example %u: want 0 (normal) or 1 (anomalous)",
            s->y[i], i);
    count[s->y[i]]++;
  }
  FAIL_IF(!count[0] || !count[1], d, NULL, "AUC needs normal and anomalous examples: all %u are %s", s->n,
          count[0] ? "normal" : "anomalous");
  return true;
}

static int largest(const float *z, int64_t n) {
  int64_t best = 0;
  for (int64_t i = 1; i < n; i++)
    if (z[i] > z[best]) best = i;
  return (int)best;
}

float judge_example(const Split *s, uint32_t i, const float *z, const float *x, int64_t outputs) {
  if (!s->anomaly) return largest(z, outputs) == s->y[i] ? 1 : 0;
  double sum = 0;
  for (int64_t k = 0; k < outputs; k++) sum += ((double)z[k] - (double)x[k]) * ((double)z[k] - (double)x[k]);
  return (float)(sum / (double)outputs);
}

typedef struct Scored {
  float score;
  bool anomalous;
} Scored;

static int by_score(const void *a, const void *b) {
  float x = ((const Scored *)a)->score, y = ((const Scored *)b)->score;
  return x < y ? -1 : x > y;
}

/* Twice the sum of the anomalous ones' ranks, which count from 1. */
static uint64_t rank_sum(const Scored *v, uint32_t n) {
  uint64_t sum = 0;
  for (uint32_t i = 0, j; i < n; i = j) {
    uint32_t anomalous = 0;
    for (j = i; j < n && v[j].score == v[i].score; j++) anomalous += v[j].anomalous;
    sum += (uint64_t)anomalous * ((uint64_t)i + 1 + j); /* ranks i+1 .. j: twice their mean */
  }
  return sum;
}

double judge_auc(const float *score, const int32_t *y, uint32_t n, double *stderr_) {
  Scored *v = mem_array(n + 1, sizeof *v);
  uint64_t pos = 0, neg;
  for (uint32_t i = 0; i < n; i++) {
    /* What is not a number is as far from normal as can be: comparisons with it would have no order. */
    v[i] = (Scored){isnan(score[i]) ? INFINITY : score[i], y[i] != 0};
    pos += v[i].anomalous;
  }
  neg = n - pos;
  qsort(v, n, sizeof *v, by_score);
  uint64_t ranks = rank_sum(v, n);
  mem_free(v);
  if (stderr_) *stderr_ = 0;
  if (!pos || !neg) return 0.5;
  double p = (double)pos, m = (double)neg, a = (double)(ranks - pos * (pos + 1)) / (2 * p * m);
  double q1 = a / (2 - a), q2 = 2 * a * a / (1 + a);
  double var = (a * (1 - a) + (p - 1) * (q1 - a * a) + (m - 1) * (q2 - a * a)) / (p * m);
  if (stderr_) *stderr_ = sqrt(fmax(0, var));
  return a;
}

void judge_all(const Split *s, const float *outcome, Accuracy *out) {
  *out = (Accuracy){.n = s->n, .auc = s->anomaly};
  if (s->anomaly) {
    out->top1 = judge_auc(outcome, s->y, s->n, &out->stderr_);
    return;
  }
  for (uint32_t i = 0; i < s->n; i++) out->correct += outcome[i] > 0;
  out->top1 = s->n ? (double)out->correct / s->n : 0;
  out->stderr_ = s->n ? sqrt(out->top1 * (1 - out->top1) / s->n) : 0;
}
