/* A tailoring run in the making: what the files of passes/tailor share, and nobody else.
 *
 *   tailor.c     the order of things; finish, score, deploy, prove
 *   plans.c      does the original fit; the channels to keep of a base, for a target
 *   variants.c   bases of another structure, and which of the candidates a target gets
 *   schedule.c   who is trained from whom, and how long: numbers alone
 *   share.c      from the targets' plans to a schedule
 *   models.c     its models, trained
 *   lock.c       a plan as text, which later runs go on with
 *   budget.c     targets that are not begun, once the time is used up
 *   costs.c      what trainings took, and rates from it
 *   simulate.c   made-up requests for a schedule
 *   planned.c    what a plan alone can tell
 *   students.c   retraining and rebuilding
 *   nested.c     variants that share weights
 *   early.c      early exits
 */
#ifndef PASSES_TAILOR_RUN_H
#define PASSES_TAILOR_RUN_H

#include "passes/tailor/lock.h"
#include "passes/tailor/tailor.h"

/* PASSES: a step of training is a pass forward and one backward, which takes about two. */
enum { TAILOR_PASSES = 3, TAILOR_PARAMS_MAX = 3072, TAILOR_MAX_TEACHERS = 1 + TAILOR_MORE_TEACHERS };

/* What models go through first. */
#define TAILOR_PREPARE "fold,layout{input=nhwc},fold,dce"

/* A graph whose channels are removed: the original's, or one of another structure. */
typedef struct TailorBase {
  const TailorVariant *variant;    /* NULL: the original's structure */
  bool made;                       /* or tried: then `graph` is empty where it cannot be had */
  Hash untrained;                  /* of a variant's graph, before it was retrained shortly */
  Artifact graph, importance, all; /* all: the plan that keeps everything; empty while nobody needs them */
} TailorBase;

/* What a target gets: the channels to keep of a base. */
typedef struct TailorChosen {
  TailorBase *base;
  Artifact plan;   /* empty while nothing is removed */
  int64_t macs;    /* of the plan */
  bool changed;    /* something is removed, or the base is not the original */
  const char *why; /* no plan meets the limits: what was missed; NULL */
} TailorChosen;

/* A model of the schedule: a target's, or a joint ancestor of several. */
typedef struct TailorModel {
  TailorBase *base;
  Artifact plan, trained; /* trained: empty until tailor_trained */
  int units;              /* of the base */
  const char *name;       /* for the log */
  int member;             /* of the base's family */
} TailorModel;

/* The elastic model of a base, of which all its models are members; empty until one is cut from it. */
typedef struct TailorFamily {
  Artifact plans, wide, own;
  int n;
  int64_t images; /* that its weights have seen */
} TailorFamily;

/* How long a training is. */
typedef struct TailorLength {
  int64_t images, skip; /* images 0: as the design says */
  bool passing;         /* of a tree: the rate stays high, and an average of the weights is the result */
  bool first;           /* of these, one that starts from the base: the rate rises first */
  double rate;          /* of these: share of the design's learning rate */
} TailorLength;

/* One target on its way. */
typedef struct TailorWork {
  const TailorTarget *t;
  TailorOutcome *o;
  bool int4;  /* finished with weights of 4 bits */
  bool exact; /* the final graph computes on integers alone: every byte must agree */
  TailorChosen c;
  int64_t more; /* MACs of layers that finishing adds (of stored bytes) */
  bool locked;  /* its widths are those of an earlier plan */
  int node;     /* of the schedule; -1: not retrained */
  bool over;    /* begun when the time was used up: nothing is trained for it */
  TailorFamily
      nested; /* its variants, trained together; empty: it is one model, or they are not trained yet */
  struct Lease *lease; /* while this process works on it, where time is limited */
  Artifact trained;    /* float graph */
} TailorWork;

typedef struct TailorRun {
  const TailorJob *job;
  TailorResult *res;
  Diag *d;
  TailorWork *w;
  int *order;       /* indices of w from loose to tight */
  int *turn;        /* of w, in the order in which they are worked on: by priority, then as `order` */
  Artifact whole;   /* the model, prepared */
  TailorBase *base; /* [1 + job->n_variants] the first has the original's structure */
  Artifact data, test;
  /* The original (with BatchNormalization) and further ones, and their banks; empty while nobody needs them. */
  Artifact teacher[TAILOR_MAX_TEACHERS], bank[TAILOR_MAX_TEACHERS];
  Lock before;       /* an earlier plan of the same basis; empty: none */
  Schedule schedule; /* nodes' requests are indices of w */
  Schedule *rounds;  /* [n_rounds] those of the targets before the last round; their units are in use */
  int n_rounds;
  TailorModel *models;  /* [schedule.n] */
  TailorFamily *family; /* [1 + job->n_variants], SHARE_ELASTIC */
  int views;            /* of teachers' banks, of what is trained behind the plan; 0: none */
  bool scheduled;       /* that is decided */
  int64_t full_images;  /* of a full retraining */
  int64_t tail_images;  /* of a target's own, shortened where all are */
  bool busy;            /* another process is at work on a step of the task at hand */
  TailorStepEnv env;
} TailorRun;

/* -- tailor.c -- */
/* Run a step; keeps out[0] in *first and out[1] in *second (NULL: dropped). */
bool tailor_step(TailorRun *r, const StepKind *kind, const char *slot, const Artifact *in, int n_in,
                 const char *const *names, const char *params, void *env, Artifact *first, Artifact *second);
/* A step that another process runs makes a target's task end, and be tried again (StepEnv.busy); what all targets have in
 * common is waited for: from `tailor_wait` to `tailor_go_on`, with what the former returned. */
bool *tailor_wait(TailorRun *r);
void tailor_go_on(TailorRun *r, bool *busy);
/* A line to the log. */
void tailor_tell(const TailorRun *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* prune's options, and ",keep=a;b" where layers stay whole. */
void tailor_prune_params(const TailorRun *r, char *buf, size_t n);
/* keep=a;b alone, or "". */
void tailor_keep_params(const TailorRun *r, char *buf, size_t n);
/* Channels go by an error table, and layers are solved anew before they are retrained. */
bool tailor_by_table(const TailorRun *r);
bool tailor_over(int64_t limit, int64_t have);
/* "RAM in the fast memory N bytes, limit M" of those that hold too much; false: none does. */
bool tailor_region_over(const TailorRegion *v, int n, StrBuf *out);
/* What of linked RAM lies where: static arrays by the plan, as they are linked; in the main memory what is measured beside them. */
bool tailor_linked_regions(TailorRun *r, const TailorTarget *t, const Graph *g, int64_t ram,
                           TailorRegion out[TAILOR_REGIONS], int *n);
/* The final graph of a float graph, for the target. */
bool tailor_finish(TailorRun *r, const TailorWork *w, const char *slot, const Artifact *g, Artifact *out);
bool tailor_deploy(TailorRun *r, const TailorTarget *t, const Artifact *final, Artifact *files,
                   Artifact *measure);
/* The final graph by this pipeline. */
bool tailor_finish_by(TailorRun *r, const char *pipeline, const char *slot, const Artifact *g, Artifact *out);
/* The floor of these limits; 0: none. */
double tailor_floor(const TailorRun *r, double min, double drop);
/* Accuracy on the test split. */
bool tailor_test(TailorRun *r, const char *slot, const Artifact *g, bool raw, Accuracy *out);
/* Accuracy on validation; raw: the graph takes stored bytes. */
bool tailor_score(TailorRun *r, const char *slot, const Artifact *g, bool raw, double *out);
/* How far graph g's outputs are from the reference's, on training images; agree (may be NULL): share of the same classes. */
bool tailor_diverge(TailorRun *r, const char *slot, const Artifact *g, const Artifact *reference, bool raw,
                    double *out, double *agree);

/* -- plans.c     -- */
/* Target i's chosen plan: of the original's structure, then of what variants.c finds better. ctx: the run. May be tried
 * again. */
bool tailor_plan_task(void *ctx, int i);
/* The base's graph, made once. */
bool tailor_needs_base(TailorRun *r, TailorBase *b);
/* b->all, of b->graph. */
bool tailor_keep_all(TailorRun *r, TailorBase *b);
/* Plan until the finished, linked model agrees, inside `outer` (NULL: free). A limit that cannot be met sets out->why and is no failure. */
bool tailor_plan_target(TailorRun *r, const TailorWork *w, TailorBase *b, const Artifact *outer,
                        TailorChosen *out);
/* Try to plan w inside the plan of the target before it; keep the free plan where that would cost too much. */
bool tailor_nest(TailorRun *r, TailorWork *w, const TailorWork *before);
/* When w is planned: what an earlier plan has comes first. */
int tailor_round(const TailorWork *w);
/* Rounds of all targets. */
int tailor_rounds(const TailorRun *r);
void tailor_chosen_free(TailorChosen *c);

/* -- variants.c -- */
/* Where variants are allowed and w's plan loses much, or there is none: the best of the candidates. */
bool tailor_choose_variant(TailorRun *r, TailorWork *w);
/* Make the graph of variant b: from the original's, by its passes, retrained shortly. One that the model does not allow
 * stays empty, which is logged. */
bool tailor_make_variant(TailorRun *r, TailorBase *b);

/* -- share.c -- */
/* What an earlier plan must rest on to be gone on with. */
Hash tailor_basis(const TailorRun *r);
/* All that a target's widths depend on beside the basis. */
Hash tailor_request(const TailorRun *r, const TailorTarget *t);
/* w's widths, where an earlier plan has them: w->locked. */
bool tailor_plan_from_lock(TailorRun *r, TailorWork *w);
/* Fills r->schedule and r->models, and tells the job's `planned`: all plans are known. */
bool tailor_schedule(TailorRun *r);
void tailor_schedule_free(TailorRun *r);
/* Of the joint training of w's variants. */
int64_t tailor_nested_images(TailorRun *r, const TailorWork *w);
/* Estimated. */
double tailor_nested_seconds(TailorRun *r, const TailorWork *w);

/* -- models.c -- */
/* Train the model of node k, and before it those that it starts from. */
bool tailor_trained(TailorRun *r, int k);
/* Images that its weights have seen by then: what goes on from there sees others. */
int64_t tailor_seen(const TailorRun *r, int k);

/* -- planned.c -- */
typedef struct TailorLook {
  const TailorJob *before;
  Diag *said;
  TailorJob job;
  StepEnv steps;
  bool *trained; /* [schedule.n] models that were there before */
} TailorLook;
/* Between the two nothing is run, logged or reported: what is not in the cache fails. */
void tailor_look(TailorRun *r, TailorLook *l);
void tailor_look_end(TailorRun *r, TailorLook *l);
/* The result of a run that stops at its plan: what is planned for each target, or why nothing can be; which models are
 * there. */
bool tailor_tell_planned(TailorRun *r);

/* -- budget.c -- */
/* Whose turn it is: r->turn. */
void tailor_take_turns(TailorRun *r);
/* May work on target w begin, which needs training? It is this process's until tailor_end. Another's, or needs what another is
 * at work on: TAILOR_BUSY, and r->busy is set. */
typedef enum TailorStart { TAILOR_BEGIN, TAILOR_BUSY, TAILOR_TOO_LATE } TailorStart;
TailorStart tailor_begin(TailorRun *r, TailorWork *w);
/* It was begun in time and its model is trained: what is left of it is this process's, also where another is at work on a step. */
bool tailor_goes_on(const TailorWork *w);
void tailor_end(TailorWork *w);
/* Is all in the cache that `train` makes for w? What w has stays as it was. */
bool tailor_is_there(TailorRun *r, TailorWork *w, bool (*train)(TailorRun *r, TailorWork *w));
/* Has it begun since the time was used up, so that what is not in the cache stays undone? Then look whether `train` finds all
 * it wants. */
TailorStart tailor_may_train(TailorRun *r, TailorWork *w, bool (*train)(TailorRun *r, TailorWork *w));
/* The outcome of one that is too late. */
void tailor_tell_late(TailorRun *r, TailorWork *w, const char *what);

/* -- nested.c -- */
/* Is the target one of variants that share weights? */
static inline bool tailor_is_nested(const TailorTarget *t) { return t->widths > 1; }
/* Before any work: can the targets that are nested be so? */
bool tailor_nested_check(const TailorRun *r);
/* w->trained, the widest, and its narrower variants, trained together from where it stands. */
bool tailor_nested_train(TailorRun *r, TailorWork *w);
/* All training of a target but a tail: its model, then its variants. */
bool tailor_nested_whole(TailorRun *r, TailorWork *w);
/* Is one of them below its floor? */
bool tailor_nested_misses(const TailorWork *w);
/* A tail: all of them as long again, from where they stand. */
bool tailor_nested_tail(TailorRun *r, TailorWork *w);
/* The variants with the codes of o->final, scored: o->width. */
bool tailor_nested_finish(TailorRun *r, TailorWork *w);
/* Inputs of deploy and proof behind the first n, and their parameters; o->final is the widest. */
int tailor_nested_inputs(const TailorRun *r, const TailorWork *w, Artifact *in, const char **names, int n,
                         const char **params);
/* Cycles of variant k, as `deploy` measured them; -1: not known. */
int64_t tailor_measured_cycles(const Artifact *measure, int variant);
/* The same of all. */
void tailor_nested_measured(TailorOutcome *o, const Artifact *measure);
/* Bytes of flash that variants have of their own, of the widest's final graph. */
bool tailor_nested_flash(TailorRun *r, const TailorTarget *t, const Artifact *final, int64_t *bytes);
/* Their accuracies on the test split. */
bool tailor_nested_prove(TailorRun *r, TailorWork *w);
void tailor_nested_free(TailorWork *w);
/* Of a result. */
void tailor_widths_free(TailorOutcome *o);

/* -- early.c -- */
/* What o->final is at each of its exits: o->exit; nothing of a target without. */
bool tailor_exits_finish(TailorRun *r, TailorWork *w);
/* The target's parameters for deploy and proof, with the accuracy of each exit. */
const char *tailor_exits_params(const TailorRun *r, const TailorWork *w);
/* What `deploy` measured of each. */
void tailor_exits_measured(TailorOutcome *o, const Artifact *measure);
/* Their accuracies on the test split; the whole model's is in the outcome's proof by then. */
bool tailor_exits_prove(TailorRun *r, TailorWork *w);

/* -- students.c -- */
/* The base cut to the plan, its layers solved anew (or statistics estimated, where channels go by importance). */
bool tailor_solve(TailorRun *r, const char *slot, const TailorChosen *c, Artifact *out);
/* Train the plans of a base together, as one elastic model, on tailor_family_images images. */
bool tailor_elastic(TailorRun *r, const TailorBase *b, TailorFamily *f);
int64_t tailor_family_images(const TailorRun *r);
/* The same of any graph: `how` is "drawn=N,own_norms=0|1". before: the family goes on from there, of the same plans (NULL: it
 * begins at `base`). */
bool tailor_elastic_of(TailorRun *r, const char *slot, const Artifact *base, const TailorFamily *before,
                       const char *how, int64_t images, TailorFamily *f);
TailorFamily tailor_family_ref(const TailorFamily *f);
void tailor_family_free(TailorFamily *f);
/* Take teachers' banks from the cache or make them. false: reported, or another is at work on one. */
bool tailor_needs_banks(TailorRun *r);
/* Member k of it. */
bool tailor_cut(TailorRun *r, const char *slot, const TailorFamily *f, int k, Artifact *out);
/* Retrain `from`, a graph that from_plan made from the base, cut to `plan`. */
bool tailor_retrain(TailorRun *r, const char *slot, const TailorBase *b, const Artifact *from,
                    const Artifact *from_plan, const Artifact *plan, const TailorLength *length,
                    Artifact *out);
/* The float graph of a target, retrained where that is allowed. */
bool tailor_train_target(TailorRun *r, TailorWork *w);
/* The images of `share` of a retraining, at least one batch. */
bool tailor_images(TailorRun *r, double share, int64_t *images);

#endif
