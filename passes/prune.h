/* Pruning: remove units (passes/channels.h) until a graph meets its limits.
 *
 *   prune_importance   a score for each unit of a graph: computed once, shared by all targets
 *   prune_plan         which units to keep under limits: cheap, no data
 *   prune_apply        the smaller graph
 *
 * A plan speaks of the units of one graph. A graph pruned by a looser plan and retrained since has fewer units;
 * prune_plan_relative turns a tighter plan for the original into one for it.
 */
#ifndef PASSES_PRUNE_H
#define PASSES_PRUNE_H

#include "passes/channels.h"
#include "passes/pass.h"

/* Upper limits; 0: none. macs and params: a share of the graph's own where at most 1, else a number.
 * flash, ram (bytes) and cycles are those of a CostModel. */
typedef struct PruneLimits {
  double macs, params;
  int64_t flash, ram, cycles;
} PruneLimits;

typedef enum PruneBy { PRUNE_TAYLOR, PRUNE_L2, PRUNE_L1, PRUNE_FPGM, PRUNE_BN, PRUNE_RANDOM } PruneBy;

typedef struct PruneOptions {
  PruneLimits limits;
  PruneBy by;
  uint32_t steps; /* every group keeps a multiple of this, or all; 0: what the target likes (prune_steps.c) */
  double min_share;   /* every group keeps at least this share */
  uint32_t least;     /* and at least so many units */
  bool uniform;       /* the same share of every group (a control experiment) */
  bool normalize;     /* scores of each group have mean 1 */
  uint32_t images;    /* Taylor: training images */
  DType precision;    /* in which CostModel counts: DT_I8 or DT_F32 */
  const char *keep;   /* names of layers that stay whole, separated by ';'; NULL: none */
  const char *widths; /* "12/8/16": units to keep, group by group, instead of limits; NULL: by limits */
} PruneOptions;
void prune_options_default(PruneOptions *o);
/* Read "macs=0.5,steps=8,..." over the defaults; strings live in `a`. Limits need not be among them. */
bool prune_options_parse(const char *params, Arena *a, PruneOptions *o, Diag *d);

typedef struct PrunePlan {
  uint32_t n_groups, n_units;
  uint32_t *size, *kept; /* [n_groups] units, and how many of them stay; owned */
  uint8_t *keep;         /* [n_units] 1: stays; group after group; owned */
  uint32_t steps;        /* groups keep multiples of this; 0: not planned by limits */
  bool met;              /* all limits hold */
  Cost before, after;    /* flash, ram, cycles: 0 without a CostModel */
  char missed[200];      /* !met: "ram: 12000 bytes, want at most 8192", the limit that holds it up */
} PrunePlan;
void prune_plan_free(PrunePlan *p);

/* -- prune_score.c -- */
/* Scores of the units [n_units] double, >= 0: Taylor importance on ctx->data; norms of the weights that make a unit, or
 * their distances (BatchNormalization counted in); scales of BatchNormalization; random numbers of ctx->seed. NULL:
 * reported. The caller drops the blob. */
Blob *prune_importance(const Channels *c, const PruneOptions *o, const PassCtx *ctx, Diag *d);

/* -- prune_plan.c -- */
/* Remove the units of least importance per saving until all limits hold. start: a looser plan whose removed
 * units are removed too (NULL: none), so that the two nest. A limit that cannot be met is no error: out->met is
 * false and `after` is the nearest reached. false: the options are at fault, reported. Same inputs, same plan. */
bool prune_plan(const Channels *c, const Blob *importance, const PruneOptions *o, const PassCtx *ctx,
                const PrunePlan *start, PrunePlan *out, Diag *d);
/* Name in p->missed the limit [macs, params, flash, ram, cycles] (0: none) that p->after exceeds most. */
void prune_plan_missed(PrunePlan *p, const double *limit);

/* -- prune_text.c -- */
/* Text form: a line for the plan, then "group NAME SIZE: 0-3 5 7-9" with the units kept, counted from 0. */
void prune_plan_print(const Channels *c, const PrunePlan *p, StrBuf *out);
bool prune_plan_parse(const char *text, const Channels *c, PrunePlan *out, Diag *d);
/* `tight` (of a graph) as a plan for that graph pruned by `loose`; refused when it keeps what `loose` removed. */
bool prune_plan_relative(const PrunePlan *loose, const PrunePlan *tight, PrunePlan *out, Diag *d);
/* Everything kept. */
void prune_plan_all(const Channels *c, PrunePlan *out);

/* -- prune_apply.c -- */
/* The graph without the units that the plan removes: a new graph with new constants; everything else shared.
 * It computes what c->graph computes when every Conv and FullyConnected weight that reads a removed channel is 0.
 * NULL: reported. */
Graph *prune_apply(const Channels *c, const PrunePlan *p, Diag *d);

#endif
