/* Classifier heads on cached features: one FullyConnected layer that is to answer as a whole model does. */
#ifndef RUNTIME_ENGINE_HEAD_H
#define RUNTIME_ENGINE_HEAD_H

#include <stdint.h>

typedef struct HeadOptions {
  int epochs, batch;
  double lr;    /* falls to 0 by a cosine */
  double mix;   /* share of the teacher in the loss, the rest labels; 1 where there are none */
  double ridge; /* of the beginning */
  uint64_t seed;
} HeadOptions;
void head_options_default(HeadOptions *o);

/* Fit logits = w x + b.
 *
 *   x        [n][channels] features
 *   teacher  [n][classes] logits
 *   labels   [n], or NULL
 *   w, b     [classes][channels], [classes]  (written)
 *
 * Begins with least squares to the teacher's logits, then stochastic gradient descent with momentum on the divergence
 * from the teacher's answers (temperature 1: logits keep their meaning), features standardized. One thread, the same bytes
 * on one machine. */
void head_fit(const float *x, int64_t n, int64_t channels, const float *teacher, const int32_t *labels,
              int classes, const HeadOptions *o, float *w, float *b);
/* logits [classes] of one example. */
void head_answer(const float *x, int64_t channels, const float *w, const float *b, int classes,
                 float *logits);

#endif
