/* Tailoring: one model, many targets, each under its own limits.
 *
 *   model -> prepare -> importance --+--> plan (widths) --> retrain --> finish (int8) --> deploy --> proof
 *                                    |    looser target's result ~~~^ (warm start)
 *                                    +--> plan ...
 *
 * Every box is a Step (ir/step.h), cached by the content of all that made it, so that targets share what they
 * have in common, a second run repeats nothing, and an edit of anything repeats exactly what depends on it.
 * Targets are served from the loosest to the tightest; each starts from the tightest trained model that
 * contains it. `deploy` and `proof` are the back end's: the command hands them in.
 */
#ifndef PASSES_TAILOR_TAILOR_H
#define PASSES_TAILOR_TAILOR_H

#include "ir/cost.h"
#include "ir/graph.h"
#include "passes/steps/steps.h"
#include "runtime/data/dataset.h"
#include "runtime/engine/engine.h"

/* Limits of one target; 0: none. Bytes, multiply-accumulates, weighted cycles, shares 0..1. */
typedef struct TailorLimits {
  int64_t flash, ram, macs, cycles;
  double min_accuracy; /* on validation, by the final precision */
  double max_drop;     /* of accuracy on validation, against the original */
} TailorLimits;

typedef struct TailorTarget {
  const char *name;      /* of the request */
  TailorLimits limits;
  DType precision;       /* DT_I8 or DT_F32 */
  const CostModel *cost; /* of its target and board */
  const char *params;    /* canonical text that tells the deploy step what to build */
} TailorTarget;

/* What `deploy` (and `proof`) measured, as text artifacts of "key value" lines; -1: not known. */
typedef struct TailorMeasured {
  int64_t flash, ram, stack, instructions;
  int64_t vectors, vectors_equal;
} TailorMeasured;

/* Accuracies on the test split. */
typedef struct TailorProof {
  Accuracy original, tailored, emitted; /* original float, tailored float, final as the emitted C computes it */
  int64_t vectors, vectors_equal;       /* test inputs on which emitted C on the target and engine agree byte for byte */
} TailorProof;

typedef struct TailorJob {
  const Graph *model;
  const DataSpec *data;
  /* The designer's freedom. */
  bool may_prune, may_quantize;
  const char *prune_params; /* "min=4,keep=a;b": for prune, without limits */
  const char *input_params; /* how the device hands over the input: for the `raw` pass; "" : as floats */
  TrainOptions retrain;     /* images or epochs 0: no retraining allowed */
  uint32_t calibration;
  uint64_t seed;

  const TailorTarget *targets;
  int n_targets;
  const StepKind *deploy; /* in: final graph, calibration inputs' identity; out: ART_FILES, ART_MEASURE */
  const StepKind *proof;  /* in: original, tailored float, final graph; out: ART_MEASURE */
  Hash test_identity;     /* of the test split, for the key of `proof` */
  void *env;              /* handed to deploy and proof */
  StepEnv *steps;
  const Host *host;
} TailorJob;

typedef struct TailorOutcome {
  const char *name;
  bool met;        /* all limits */
  const char *why; /* what was missed and the nearest that can be met; "" when met */
  Cost estimate;   /* by the cost model, of the final graph */
  TailorMeasured measured;
  double val_original, val_tailored, val_final;
  TailorProof proof;
  const char *widths; /* the plan, as text */
  const char *start;  /* the target whose model it was retrained from; NULL: the original */
  Graph *final;       /* owned by the result */
  Artifact files;     /* what deploy emitted */
  double seconds;     /* spent in steps of this target alone */
  bool delivered;     /* there is firmware */
} TailorOutcome;

typedef struct TailorResult {
  Arena *arena;
  TailorOutcome *v; /* in the order of the job's targets */
  int n;
  Cost original; /* MACs and parameters alone are meaningful */
  double seconds;
} TailorResult;

/* false: something failed that is no missed limit (reported). A missed limit of one target leaves the others be. */
bool tailor_run(const TailorJob *job, TailorResult *out, Diag *d);
void tailor_result_free(TailorResult *r);

#endif
