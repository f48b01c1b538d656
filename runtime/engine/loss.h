/* Losses (engine/loss.c): each returns the mean over n examples and fills the gradient of that mean.
 *
 * Values are float32, all arithmetic is in double, examples are summed in order. */
#ifndef RUNTIME_ENGINE_LOSS_H
#define RUNTIME_ENGINE_LOSS_H

#include <stdint.h>

/* What logits [n][classes] are compared with:
 *
 *   (1 - mix) * CE(labels) + mix * T^2 * KL(teacher at T || student at T)     (Hinton 2015)
 *
 * CE's target is share * one-hot(label) + (1 - share) * one-hot(other), smoothed: (1 - e) of it + e / classes. */
typedef struct Targets {
  const int32_t *labels; /* [n]; NULL: none (mix must be 1) */
  const int32_t *others; /* [n], with share [n]: mixed labels; NULL: not mixed */
  const float *share;
  float smoothing;      /* 0..1 */
  const float *teacher; /* [n][classes] logits; NULL: none (mix must be 0) */
  float temperature, mix;
} Targets;
double loss_targets(const float *logits, const Targets *t, int n, int classes, float *dlogits);

/* The two parts alone. */
double loss_cross_entropy(const float *logits, const int32_t *labels, int n, int classes, float smoothing,
                          float *dlogits);
double loss_distill(const float *logits, const float *teacher, const int32_t *labels, int n, int classes,
                    float temperature, float mix, float *dlogits);

/* weight * mean over examples and elements of (y - want)^2;  y, want, dy [n][item]. dy is written, or added to. */
double loss_squares(const float *y, const float *want, int n, int64_t item, float weight, float *dy, int add);

/* Several teachers as one: logits [n][classes] whose softmax at temperature T is the weighted mean of the teachers'
 * softmaxes at T.  teachers: `count` arrays [n][classes]; weights: [count], > 0, or NULL: all the same. */
void loss_mean_teacher(const float *const *teachers, const float *weights, int count, int n, int classes,
                       float temperature, float *out);

#endif
