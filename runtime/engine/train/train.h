/* Training a graph on a dataset: what callers say, and what they get.
 *
 * Everything random depends on (seed, epoch, example) alone, and sums have a fixed order: the same options give the same
 * bytes at any number of threads within one numeric ABI (decision 6).
 */
#ifndef RUNTIME_ENGINE_TRAIN_TRAIN_H
#define RUNTIME_ENGINE_TRAIN_TRAIN_H

#include "ir/graph.h"
#include "ir/step.h"
#include "runtime/data/dataset.h"

typedef enum OptimizerKind { OPTIMIZER_SGD, OPTIMIZER_ADAMW } OptimizerKind;
typedef enum RateSchedule { RATE_COSINE, RATE_CONSTANT, RATE_STEPS } RateSchedule;

enum { TRAIN_MAX_DROPS = 16 };

/* Plain data; train_options_default gives the values in brackets. */
typedef struct TrainOptions {
  /* how long */
  int epochs;         /* passes over the training split, the last partial batch of each dropped [1] */
  int64_t images;     /* > 0: stop after this many images seen, instead of epochs [0] */
  int batch, threads; /* examples per step; threads [128, 1] */

  /* steps */
  OptimizerKind optimizer;     /* [SGD] */
  float lr;                    /* highest learning rate [0.05] */
  float weight_decay;          /* not on BatchNormalization and biases [1e-4] */
  float momentum;              /* SGD [0.9] */
  bool nesterov;               /* SGD [true] */
  float beta1, beta2, epsilon; /* AdamW [0.9, 0.999, 1e-8] */
  float clip;                  /* > 0: largest norm of a step's gradients [0] */
  float average;               /* > 0: decay of the average of the weights, which is then the result [0] */
  RateSchedule schedule;       /* [cosine to 0 over the whole run] */
  float warmup;                /* share of the steps in which the rate rises linearly [0] */
  int n_drops; /* steps: the rate is multiplied by `drop` at each of these shares of the run [0] */
  float drops[TRAIN_MAX_DROPS], drop; /* [-, 0.1] */

  /* loss */
  float smoothing;        /* of labels, 0..1 [0] */
  float temperature, mix; /* distillation: at T; share of the loss; mix 0: labels only [4, 0] */

  /* what examples become */
  bool flip; /* [false] */
  int crop;  /* [0] */

  uint64_t seed;        /* [1] */
  const char *log_path; /* one JSON line per epoch; NULL: none [NULL] */
} TrainOptions;
void train_options_default(TrainOptions *o);
/* Refuses what has no meaning: reported. */
bool train_options_check(const TrainOptions *o, Diag *d);

typedef struct TrainResult {
  double seconds, loss, train_accuracy;
  int64_t images;
} TrainResult;
/* Train a copy of g; teacher may be NULL. Returns the new graph (BatchNormalization's running statistics included), NULL
 * and a report otherwise. Final epoch, not best. */
Graph *train_graph(const Graph *g, const Graph *teacher, const Dataset *ds, const TrainOptions *o,
                   const Host *host, TrainResult *res, Diag *d);
/* Re-estimate BatchNormalization's statistics on `n` unaugmented training images (cumulative mean). */
Graph *reestimate_bn(const Graph *g, const Dataset *ds, uint32_t n, const Host *host, Diag *d);

#endif
