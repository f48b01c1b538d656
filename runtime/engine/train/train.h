/* Training a graph on a dataset: what callers say, and what they get.
 *
 * Everything random depends on (seed, epoch, example) alone, and sums have a fixed order: the same options give the same
 * bytes at any number of threads within one numeric ABI (decision 6).
 */
#ifndef RUNTIME_ENGINE_TRAIN_TRAIN_H
#define RUNTIME_ENGINE_TRAIN_TRAIN_H

#include "ir/base/strbuf.h"
#include "ir/graph.h"
#include "ir/step.h"
#include "runtime/data/dataset.h"

typedef enum OptimizerKind { OPTIMIZER_SGD, OPTIMIZER_ADAMW } OptimizerKind;
typedef enum RateSchedule { RATE_COSINE, RATE_CONSTANT, RATE_STEPS } RateSchedule;

/* Cross-entropy with labels (and teachers); squares between the output and the input, before noise and blanking
 * (autoencoders). */
typedef enum TrainLoss { LOSS_LABELS, LOSS_INPUT } TrainLoss;

enum { TRAIN_MAX_DROPS = 16 };

/* Values of the same shape, by name, in the student's and the teacher's graph. */
typedef struct FeaturePair {
  const char *student, *teacher;
} FeaturePair;

/* Plain data; train_options_default gives the values in brackets. train/options.def lists the fields that count for the
 * result. */
typedef struct TrainOptions {
  /* how long */
  int epochs;     /* passes over the training split, the last partial batch of each dropped [1] */
  int64_t images; /* > 0: stop after this many images seen, instead of epochs [0] */
  int64_t
      skip; /* begin behind this many images of the epochs' order, rounded down to steps: short runs that continue
                         one another see other examples [0] */
  int batch, threads; /* examples per step; threads, without influence on the result [128, 1] */

  /* steps */
  OptimizerKind optimizer;     /* [SGD] */
  float lr;                    /* highest learning rate [0.05] */
  float weight_decay;          /* not on BatchNormalization and biases [1e-4] */
  float momentum;              /* SGD [0.9] */
  bool nesterov;               /* SGD [true] */
  float beta1, beta2, epsilon; /* AdamW [0.9, 0.999, 1e-8] */
  float clip;                  /* > 0: largest norm of a step's gradients [0] */
  float clip_each;             /* > 0: largest norm of each example's gradient, before they are summed [0] */
  bool fixed_statistics; /* BatchNormalization uses its running statistics, which stay as they are [false] */
  float average;         /* > 0: decay of the average of the weights, which is then the result [0] */
  uint32_t bn_images;    /* training images on which the average's statistics are estimated anew [4096] */
  RateSchedule schedule; /* [cosine to 0 over the whole run] */
  float warmup;          /* share of the steps in which the rate rises linearly [0] */
  int n_drops;           /* RATE_STEPS: how many shares of the run `drops` names [0] */
  float drops[TRAIN_MAX_DROPS], drop; /* at each of them the rate is multiplied by `drop` [-, 0.1] */

  /* loss */
  TrainLoss loss;         /* [labels] */
  float smoothing;        /* of labels, 0..1 [0] */
  float temperature, mix; /* distillation: at T; share of the loss, 0: labels only [4, 0] */
  float features;         /* > 0: weight of the squares between `pairs` of values [0] */
  const FeaturePair *pairs;
  int n_pairs;

  /* what examples become */
  Augment augment; /* kinds alone [none] */
  int views;       /* > 0: every example is seen in so many ways only, whose teacher's logits are kept [0] */
  float grow;      /* > 0: share of the images' side at which training begins, growing to 1 [0] */
  int grow_stages; /* in so many stages of equal length, the last in full size [4] */

  uint64_t seed;               /* [1] */
  const char *log_path;        /* one JSON line per epoch; NULL: none [NULL] */
  const char *checkpoint_path; /* kept up to date, and continued where it exists; NULL: none [NULL] */
  double checkpoint_seconds; /* written after every epoch, and when it is so old; 0: after every step [60] */
  bool
      checkpoint_optional; /* one that cannot be used is removed, one that cannot be written is done without: logged,
                                no failure; none after an epoch that is soon over [false] */
  const char *abi;         /* what a checkpoint is bound to beside options and data; NULL: nothing [NULL] */
} TrainOptions;
void train_options_default(TrainOptions *o);
/* Refuses what has no meaning: reported. */
bool train_options_check(const TrainOptions *o, Diag *d);
/* All fields that count for the result (but names of pairs and the seed) as canonical text "epochs=1,images=0,...". */
void train_options_print(const TrainOptions *o, StrBuf *out);
/* Fields that such a text names; others stay as they are, unknown keys are passed over. */
bool train_options_parse(const char *text, TrainOptions *o, Diag *d);

typedef struct TrainResult {
  double seconds, loss, train_accuracy;
  int64_t images;
} TrainResult;

/* What is trained, on what, beside whom. */
typedef struct TrainJob {
  const Graph *graph; /* a copy of it is trained */
  const Graph *const *teachers;
  const float *teacher_weights; /* [n_teachers] > 0; NULL: all the same */
  int n_teachers;
  Blob *const
      *banks; /* [n_teachers] of teacher_bank, made with options->views; NULL: made here when wanted */
  const Dataset *data;
  const TrainOptions *options;
  const Host *host; /* may be NULL */
} TrainJob;
/* The new graph (BatchNormalization's running statistics included), NULL and a report otherwise. Final epoch, not best.
 * res may be NULL. */
Graph *train_run(const TrainJob *job, TrainResult *res, Diag *d);
/* With one teacher, or none (NULL). */
Graph *train_graph(const Graph *g, const Graph *teacher, const Dataset *ds, const TrainOptions *o,
                   const Host *host, TrainResult *res, Diag *d);

/* -- teacher banks (train/bank.c): a teacher's logits of every view of every training example -- */
/* Views drawn with options' augmentation and seed, logits as float16. NULL: reported. */
Blob *teacher_bank(const Graph *teacher, const Dataset *ds, const TrainOptions *o, const Host *host, Diag *d);
/* How many views pay: `views` when the teacher has less to do than beside `students` of `images` each, else 0. Depends on
 * the plan alone, never on what a cache holds, so that the same plan gives the same bytes. */
int teacher_bank_views(int views, uint32_t n, int64_t images, int students);

/* Re-estimate BatchNormalization's statistics on `n` training images as they are (cumulative mean). */
Graph *reestimate_bn(const Graph *g, const Dataset *ds, uint32_t n, const Host *host, Diag *d);
/* Of a graph that was trained with `o`: the same on images augmented as training saw them. By statistics of images as they
 * are it would compute something else than what was trained. */
Graph *trained_bn(const Graph *g, const Dataset *ds, const TrainOptions *o, uint32_t n, const Host *host,
                  Diag *d);

/* The same graph to rounding, with running statistics measured on `n` unaugmented training images and scale and bias that
 * make up for them (follow_bn.c); a BatchNormalization whose constants others read too stays as it is. NULL: reported. */
Graph *follow_bn(const Graph *g, const Dataset *ds, uint32_t n, const Host *host, Diag *d);

#endif
