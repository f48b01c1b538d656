/* Training some of a graph's parameters, privately or not: DP-SGD with frozen BatchNormalization.
 *
 *   step: each example is in with probability `rate`, on its own (Poisson sampling)
 *         gradient of each example's loss in the chosen parameters, cut to norm `clip`
 *         sum + N(0, (noise * clip)^2)  ->  / (rate * nominal)  ->  momentum  ->  parameters
 *
 * Everything else of the graph stays as it is, running statistics too, so that an example's gradient depends on no other
 * example. Augmentation is left out. Source: Abadi et al. 2016 (arXiv:1607.00133).
 */
#ifndef RUNTIME_ENGINE_PRIVACY_TUNE_H
#define RUNTIME_ENGINE_PRIVACY_TUNE_H

#include "runtime/engine/engine.h"
#include "runtime/engine/privacy/noise.h"

typedef struct TuneJob {
  const Graph *graph; /* a copy of it is trained */
  const Split *split;
  const Normalize *normalize;
  const int32_t *labels; /* [split->n]; NULL: none (mix must be 1) */
  const float
      *teacher; /* [split->n][classes] logits, each made from its own example alone; NULL: none (mix 0) */
  float temperature, mix;
  const ValId *learn; /* [n_learn] constants of the graph */
  int n_learn;
  double rate;    /* 0..1 */
  double nominal; /* the number of examples that the sum is divided by, times rate: public */
  int64_t steps;
  double lr, momentum;
  double decay; /* weight decay on what learns, towards where it began: of nothing but public numbers */
  double clip;  /* > 0; 0: examples are not clipped, which is no private step */
  double noise; /* deviation over clip; 0: none, and nothing is promised */
  Noise *random;
  const Host *host; /* may be NULL */
} TuneJob;

typedef struct TuneResult {
  double seconds,
      loss; /* mean loss of the examples of the last tenth of the steps. Not private: never to be emitted */
  int64_t seen; /* neither is this */
} TuneResult;

/* NULL and a report: parameters that cannot be told apart by example, or a loss that is not finite. */
Graph *tune_run(const TuneJob *job, TuneResult *res, Diag *d);

/* Last outputs of every example, the engine's, no augmentation: out [s->n][classes] (written). classes must be g's. A
 * final Softmax is left off. */
bool graph_outputs(const Graph *g, const Split *s, const Normalize *nz, const Host *host, int classes,
                   float *out, Diag *d);
/* How many numbers that are per example; 0: reported. */
int graph_classes(const Graph *g, Diag *d);

#endif
