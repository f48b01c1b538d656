/* Tailoring: one model, many targets, each under its own limits.
 *
 *   model -> prepare -> importance --+--> plan (widths) --> retrain --> finish (int8) --> deploy --> proof
 *                                    |    looser target's result ~~~^ (warm start)
 *                                    +--> plan ...
 *                        [other structures: each with importance and plans of its own; the best plan is taken]
 *
 * Every box is a Step (ir/step.h), cached by the content of all that made it, so that targets share what they
 * have in common, a second run repeats nothing, and an edit of anything repeats exactly what depends on it.
 * Which model starts from which is decided before any training (schedule.h). `deploy` and `proof` are the back end's: the command hands them in.
 */
#ifndef PASSES_TAILOR_TAILOR_H
#define PASSES_TAILOR_TAILOR_H

#include "ir/cost.h"
#include "ir/family.h"
#include "ir/graph.h"
#include "passes/steps/steps.h"
#include "passes/tailor/kinds.h"
#include "passes/tailor/schedule.h"
#include "runtime/engine/engine.h"

/* Limits of one target; 0: none. Bytes, multiply-accumulates, weighted cycles, shares 0..1. */
typedef struct TailorLimits {
  int64_t flash, ram, macs, cycles;
  int64_t ram_beside;  /* what ram leaves out and the linked program has: of what learns on the device */
  double min_accuracy; /* (or AUC) on validation, by the final precision */
  double max_drop;     /* of accuracy on validation, against the original */
} TailorLimits;

/* The limit of the linked program's RAM; 0: none. */
static inline int64_t tailor_ram_linked(const TailorLimits *l) { return l->ram ? l->ram + l->ram_beside : 0; }

/* A memory of a device: what is in it, and may be. */
enum { TAILOR_REGIONS = 4 };
typedef struct TailorRegion {
  const char *name;     /* "fast", "main", "external" */
  int64_t bytes, limit; /* 0: none */
} TailorRegion;

typedef struct TailorTarget {
  const char *name; /* of the request */
  TailorLimits limits;
  DType precision;       /* DT_I8 or DT_F32 */
  const CostModel *cost; /* of its target and board */
  const char *params;    /* canonical text that tells `deploy` and `proof` what to build */
  /* What of RAM lies in which memory, when g is deployed so, with the limits of each; ctx: the cost model's. limits.ram is
   * of their sum then, and what is too much for one of them costs more than that. Returns their number, -1: reported. NULL:
   * there is one. */
  int (*regions)(const void *ctx, const Graph *g, DType precision, TailorRegion out[TAILOR_REGIONS], Diag *d);
  int priority; /* the higher, the earlier it is worked on */
  int widths;   /* variants in one image that share weights, the widest within the limits; 0, 1: one model */
  double narrowest; /* of them: share of the widest's MACs */
  double width_min,
      width_drop; /* floor of the narrower ones as min_accuracy and max_drop are the widest's; 0: none */
  int exits;      /* finishing gives it so many early exits: outputs before its own (passes/exits.c) */
  int round; /* a later one joins the plan of those before it, as if these had been planned alone; does not fall */
} TailorTarget;

/* What `deploy` (and `proof`) measured, as text artifacts of "key value" lines; -1: not known. */
typedef struct TailorMeasured {
  int64_t flash, ram, stack, instructions;
  int64_t vectors, vectors_equal;
} TailorMeasured;

/* Accuracies on the test split. */
typedef struct TailorProof {
  Accuracy original, tailored,
      emitted; /* original float, tailored float, final as the emitted C computes it (job->graphs: as the engine does) */
  int64_t vectors,
      vectors_equal; /* test inputs on which emitted C on the target and engine agree byte for byte */
} TailorProof;

enum { TAILOR_MORE_TEACHERS = 4 };

/* The model in another structure: smaller images, fewer layers, thinner ones. */
typedef struct TailorVariant {
  const char *name, *passes; /* "images of 75 %", "resolution{share=0.75}": from the model to it */
} TailorVariant;

/* Time for the whole run. Trainings are planned so that they are expected to take TAILOR_TRAINING of it; once it is used up,
 * no target is begun whose model is not trained: the clock decides whether a target is delivered, never its bytes. */
typedef struct TailorBudget {
  double seconds;             /* 0: as long as it takes */
  double at_once;             /* trainings that go on side by side */
  bool (*used_up)(void *ctx); /* asked in every process; NULL: never */
  void *ctx;
} TailorBudget;

#define TAILOR_TRAINING 0.8

typedef struct TailorJob {
  const Graph *model;
  TailorData *data;
  Hash data_identity, test_identity; /* runtime/data/identity.h */
  /* The designer's freedom. */
  bool may_prune, may_retrain;
  const char *prune_params; /* options of prune, without limits and keep: "by=taylor,min=0.1" */
  const char *keep;         /* layers that stay whole, "a;b"; "": none */
  /* Other structures from which a target's widths may be found, where the model's own loses much or does not fit: see
   * variants.c. may_prune too. */
  const TailorVariant *variants;
  int n_variants;
  double trial; /* share of a retraining for each variant, and for candidates that are close; 0: none */
  double close; /* share of the least divergence by which a candidate's may be more */
  const char *finish_int8, *finish_float; /* passes from the retrained graph to the deployed one */
  const char *
      finish_shared; /* to int8 for variants that share weights: no factors between channels; NULL: finish_int8 */
  const char *finish_int4; /* the same with weights of 4 bits; NULL: not allowed */
  /* Other ways to int8 and to 4 bits, of the same cost: where what they give is nearer to float on training images, it is
   * delivered. NULL: none. */
  const char *other_int8, *other_int4;
  bool auc;       /* judged by AUC (engine/judge.h), for words alone: the data says it */
  bool raw_input; /* the passes above leave a graph that takes the data's bytes (passes/input_raw.h) */
  TrainOptions retrain;
  bool any_views; /* the design leaves open how many views a teacher's bank has: decided with the plan */
  /* How much of retraining targets have in common (schedule.h), and how long a warm start is. */
  TailorSharing sharing;
  double per_halving, growth, least;
  double family; /* SHARE_ELASTIC: how long the elastic model is trained, in full retrainings */
  double image,
      mac; /* seconds of training an image, and each of its MACs, as far as they are known: for the choice of joint
                        ancestors and for estimates */
  const char *
      plan; /* an earlier run's, which this one goes on with where it is of the same model, data and design; NULL */
  /* The plan, before any training: to be kept for later runs. May be NULL. */
  void (*planned)(void *ctx, const char *plan);
  void *planned_ctx;
  bool plan_only; /* stop there */
  bool graphs; /* stop at finished graphs: nothing is emitted, built or run, limits are judged by estimates */
  const Graph *const *teachers; /* [n_teachers] followed beside the original: the mean of all */
  int n_teachers;               /* at most TAILOR_MORE_TEACHERS */
  uint64_t seed;

  TailorBudget budget;
  const TailorTarget *targets;
  int n_targets;
  /* Of a family both get the narrower variants behind these, each inside the one before, and ",variants=N,accuracy=A;B;.." (on
   * validation, shares) in params; of early exits ",accuracy=A;B;..". */
  const StepKind
      *deploy; /* in: final graph, target; params: the target's, then ",measure=size|all". out: files, measure
                             (flash, ram, stack, instructions, estimates) */
  const StepKind
      *proof; /* in: final graph, target, test data; out: measure (n, correct, vectors, vectors_equal) */
  void *env;  /* handed to deploy and proof */
  StepEnv *steps;
  int64_t
      cache_max; /* bytes that its cache may hold, kept from the plan on: what of the plan is there stays; 0: any */
  const Host *host;
} TailorJob;

/* A variant of a family: the widest's final graph with fewer channels, and its codes. */
typedef struct TailorWidth {
  Artifact final, trained; /* int8; float, as it was trained, with BatchNormalization: what can learn on */
  Cost cost;
  int64_t cycles;             /* of one inference, measured by `deploy` ("cycles0", ..); -1: not known */
  double val_final, floor;    /* accuracy on validation; the one asked for (0: none) */
  double val_float;           /* before quantization, where the floor was missed; otherwise -1 */
  Accuracy tailored, emitted; /* on the test split: float; final, by the engine */
} TailorWidth;

/* An early exit of the final graph, or (number 0) the whole of it. */
enum { TAILOR_EXITS = 8 };
typedef struct TailorExit {
  const char *behind; /* the layer; NULL: it is the whole */
  Cost cost;          /* of what runs until there, heads before it too; RAM as if nothing came behind it */
  int64_t cycles; /* of one inference that ends there, measured by `deploy` ("cycles0", ..); -1: not known */
  double val_final; /* accuracy on validation, int8 */
  Accuracy
      emitted; /* on the test split, int8: of the whole as the target's proof has it, of the others by the engine */
} TailorExit;

typedef struct TailorOutcome {
  const TailorTarget *target;
  bool met;          /* all limits and the floor */
  bool delivered;    /* there is firmware */
  bool late;         /* the time was used up before it was done: neither met nor delivered */
  const char *why;   /* what was missed, and the nearest that can be had; "" when met */
  int model;         /* of TailorResult.models; -1: not retrained */
  const char *start; /* the target whose model it was retrained from; "": the original; NULL: not retrained */
  bool int4;         /* int8 with weights of 4 bits */
  const char *variant; /* the structure that was taken; NULL: the model's own */
  const char *finish;  /* passes from the retrained graph to the delivered one */
  Cost cost;           /* of the final graph: MACs, parameters, and the model's estimates */
  TailorMeasured measured;
  TailorRegion region[TAILOR_REGIONS]; /* what of measured.ram lies where; n_regions 0: it is one memory */
  int n_regions;
  double val_float; /* accuracy on validation before quantization, where the floor was missed; otherwise -1 */
  double val_final, floor; /* accuracy on validation; the floor asked for (0: none) */
  TailorProof proof;
  TailorWidth
      width[FAMILY_MAX]; /* [n_widths] the widest, of which all else here speaks, first; 0: it is one model */
  int n_widths;
  TailorExit exit[TAILOR_EXITS]; /* [n_exits] the whole first, the earliest last; 0: there are none */
  int n_exits;
  int64_t joint_images; /* job->plan_only: of the joint training of its variants, */
  double joint_seconds; /* and an estimate for it; */
  bool joint_there;     /* it was trained before, and is in the cache; */
  int joint_with;       /* the first target, of TailorResult.v, whose it is too; -1: its own */
  Artifact final, files,
      plan; /* the deployed graph, what was emitted (job->graphs: empty), the channels kept */
} TailorOutcome;

/* A model that is trained: a target's, or a joint ancestor of several. */
typedef struct TailorTrained {
  const char *name;
  int target, parent; /* -1: a joint ancestor; the base */
  int64_t macs, images;
  double seconds; /* estimated */
  bool joint;     /* nobody asked for it */
  bool fixed;     /* an earlier plan's */
  bool there;     /* job->plan_only: trained before, and in the cache */
} TailorTrained;

/* What training would be without a plan, or with a simpler one. */
typedef struct TailorAlternative {
  TailorSharing sharing;
  int64_t images;
  double seconds;
} TailorAlternative;

typedef struct TailorResult {
  Arena *arena;
  TailorTrained *models; /* parents before children */
  int n_models;
  TailorAlternative
      ways[SHARE_TREE + 1]; /* by TailorSharing; of new plans: as if none had been made before */
  /* The job's budget; what trainings are expected to take by the clock. */
  double budget, expected, at_once;
  /* The share to which lengths are shortened (0, 1: none is), for which budget (an earlier plan's may be another than the job's),
   * and what is left of all images by that: no length is shortened below the least. */
  double share, shortened_for, kept;
  double image, mac; /* the rates of estimates that the plan rests on: the job's, or an earlier plan's */
  double
      beside; /* MACs for each image of training that teachers without a bank add: a third of theirs, who only go forward */
  double bank_seconds; /* job->plan_only: estimate for banks that are still to be made */
  /* In the order of the job's targets. job->plan_only: why (what cannot be met), met (planned), model, variant, int4, start,
   * joint_* and cost.macs alone. */
  TailorOutcome *v;
  int n;
  int64_t macs, params; /* of the original */
  double val_original;
} TailorResult;

/* false: something failed that is no missed limit (reported). A target that cannot be met leaves the others be. */
bool tailor_run(const TailorJob *job, TailorResult *out, Diag *d);
void tailor_result_free(TailorResult *r);
/* Are the plan's lengths shortened for a time budget? */
static inline bool tailor_shortened(const TailorResult *r) { return r->share > 0 && r->share < 1; }
/* "30 min", of seconds. */
const char *tailor_duration(Arena *a, double seconds);

#endif
