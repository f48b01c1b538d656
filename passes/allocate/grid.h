/* Widths under limits: what the files of this folder that choose them share.
 *
 *   grid.c     estimates as a problem of solve.h, first on a coarse grid of widths, then on finer ones around what was found
 *   rounds.c   answers of the CostModel to its solutions, and the estimates' limits by these
 *   widths.c   allocate_plan
 */
#ifndef PASSES_ALLOCATE_GRID_H
#define PASSES_ALLOCATE_GRID_H

#include "passes/allocate/allocate.h"
#include "passes/prune_size.h"

typedef struct Widths {
  const Channels *c;
  const ErrorTable *t;
  const PruneOptions *o; /* steps are given */
  const PassCtx *ctx;
  const Forms *forms; /* NULL: layers as they are */
  Arena *a;
  Sizer *sizer;
  uint32_t *now;             /* [n_groups] widths that the sizer has */
  uint32_t *most;            /* [n_groups] the largest that may be */
  uint32_t *kept;            /* [n_groups] the solution */
  uint32_t *form;            /* [forms->n] and the forms with it */
  double limit[RES_COUNT];   /* of estimates; 0: none */
  double outside[RES_COUNT]; /* what estimates count that no factor does */
} Widths;

/* -- grid.c -- */
/* Everything is kept, limits are o's. start: no group is wider than there; NULL: none is. */
Widths widths_open(const Channels *c, const ErrorTable *t, const Forms *forms, const PruneOptions *o,
                   const PassCtx *ctx, const PrunePlan *start);
void widths_close(Widths *w);
/* The limits that o says; 0: none. */
void widths_limits(const Widths *w, double limit[RES_COUNT]);
/* All allowed widths of a group, ascending, into width [units + 1]: multiples of the step from its floor on, and the largest.
 * Returns how many. */
uint32_t widths_allowed(const Widths *w, uint32_t g, uint32_t *width);
/* Widths and forms of least error, by estimates within w->limit, into w->kept and w->form. false: none is found. */
bool widths_solve(Widths *w);
/* What w->kept and w->form are estimated to cost. */
Sizes widths_estimate(Widths *w);

/* -- rounds.c -- */
/* The plan of least expected error that is found within w->limit by what the CostModel says; best [forms->n]: its forms. *met:
 * it keeps the limits; else it is one that comes near, or empty. */
bool widths_rounds(Widths *w, PrunePlan *out, uint32_t *best, bool *met, Diag *d);
/* The plan of w->kept and w->form, with its cost. */
bool widths_plan(const Widths *w, PrunePlan *out, Diag *d);
/* What the plan costs with layers in these forms. */
bool widths_cost(const Widths *w, const PrunePlan *p, const uint32_t *form, Cost *out, Diag *d);
/* Whether a cost keeps these limits (0: none). */
bool widths_within(const Cost *c, const double *wanted);
/* The sum of the errors of widths and forms. */
double widths_error(const Widths *w, const uint32_t *kept, const uint32_t *form);

#endif
