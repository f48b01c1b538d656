/* Optimizers over a session's parameters: SGD and AdamW, gradient clipping, an average of the weights.
 *
 * State lies beside the session's flat arrays (session.h): element i belongs to parameter i. Weight decay is not
 * applied to BatchNormalization's parameters nor to biases. Work is cut into SHARDS ranges fixed by the number of
 * parameters alone, norms are summed range by range in double: same bytes at any thread count.
 */
#ifndef RUNTIME_ENGINE_TRAIN_OPTIMIZER_H
#define RUNTIME_ENGINE_TRAIN_OPTIMIZER_H

#include "runtime/engine/session.h"

typedef struct OptimizerOptions {
  OptimizerKind kind;
  float weight_decay;
  float
      momentum; /* SGD: v = momentum v + g;  w -= lr (v, or with Nesterov g + momentum v)  (torch.optim.SGD) */
  bool nesterov;
  float beta1, beta2, epsilon; /* AdamW (Loshchilov, Hutter 2019, arXiv:1711.05101; torch.optim.AdamW) */
  float clip;                  /* > 0: gradients are scaled so that the norm of all of them is at most this */
  float average;               /* > 0: decay of an exponential moving average of the weights */
} OptimizerOptions;

typedef struct Optimizer {
  OptimizerOptions o;
  int64_t total;                   /* elements, as the session's */
  int64_t steps;                   /* taken */
  float *first, *second, *average; /* [total]; NULL where the options need none */
  const bool *only;                /* [n_segments] parameters that it moves; NULL: all; the caller's */
  double parts[SHARDS];            /* sums of squares */
} Optimizer;

/* State for session s, all zero; the average begins at the weights. */
void optimizer_new(Optimizer *o, const Session *s, const OptimizerOptions *options);
void optimizer_free(Optimizer *o);
/* Sum of squares of its parameters' gradients, and their norm. */
double optimizer_squares(Optimizer *o, Session *s);
double optimizer_norm(Optimizer *o, Session *s);
/* By what gradients of this norm are multiplied. */
float optimizer_clip(const OptimizerOptions *o, double norm);
/* One step with the gradients of the last session_backward. The average follows with decay
 * min(average, (1 + t) / (10 + t)) at step t, so that it forgets the beginning. */
void optimizer_step(Optimizer *o, Session *s, float lr);
/* The same with gradients multiplied by `scale`, not clipped. */
void optimizer_step_scaled(Optimizer *o, Session *s, float lr, float scale);
/* The average becomes the session's weights. */
void optimizer_take_average(const Optimizer *o, Session *s);

#endif
