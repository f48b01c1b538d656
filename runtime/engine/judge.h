/* How good a model is on a split: one number per example (its outcome), and one for all (engine/judge.c).
 *
 *   classes   outcome 1 where the largest output is the label's, else 0        metric: share of right ones
 *   anomaly   outcome: mean square between the model's output and its input    metric: AUC of the outcome
 *
 * AUC is the probability that an anomalous example has a larger outcome than a normal one, ties counted half.
 */
#ifndef RUNTIME_ENGINE_JUDGE_H
#define RUNTIME_ENGINE_JUDGE_H

#include "runtime/data/dataset.h"

typedef struct Accuracy {
  uint32_t n, correct; /* correct: of classes */
  double top1,
      stderr_; /* the metric, 0..1: share of right ones, sqrt(p (1-p) / n); or AUC, after Hanley and McNeil */
  bool auc;
} Accuracy;

/* "accuracy" or "AUC". */
const char *metric_name(bool auc);

/* Can a model of `outputs` numbers for `inputs` be judged on s? Labels are there, of both kinds where AUC is asked. */
bool judge_check(const Split *s, int64_t inputs, int64_t outputs, Diag *d);
/* Outcome of example i: z [outputs] its outputs, x [inputs] what it was fed with, as real numbers; x is read for
 * anomalies alone. */
float judge_example(const Split *s, uint32_t i, const float *z, const float *x, int64_t outputs);
/* The metric of all: outcome [s->n]. */
void judge_all(const Split *s, const float *outcome, Accuracy *out);

/* AUC of scores [n] with labels y [n] (0, else 1), by ranks, equal ones sharing theirs; *stderr_ as in Hanley and McNeil 1982.
 * 0.5 where a kind is missing. */
double judge_auc(const float *score, const int32_t *y, uint32_t n, double *stderr_);

#endif
