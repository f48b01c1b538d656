/* How many channels at a time the target's kernels like.
 *
 * Cycles over the width of a layer are a staircase where kernels take several channels at once:
 *
 *   cycles |      _____            of the groups that save the most MACs, each is made narrower by 1, 2, 4, 8 units
 *          |  ___|                 on the target's cost model; the step is the smallest that saves at least 9 tenths of
 *          |_|___________ width    what the best does for each unit
 *
 * Only a limit on cycles asks for it: flash and RAM fall evenly.
 */
#include "passes/prune_steps.h"

#include <stdlib.h>

#include "ir/base/mem.h"
#include "passes/prune_size.h"

enum { ASKED_GROUPS = 3, STEPS = 4, WIDEST = 1 << (STEPS - 1) };

typedef struct Ranked {
  uint32_t group;
  double saved;
} Ranked;

static int ranked_compare(const void *pa, const void *pb) {
  const Ranked *a = pa, *b = pb;
  if (a->saved != b->saved) return a->saved > b->saved ? -1 : 1;
  return a->group < b->group ? -1 : a->group > b->group;
}

/* Groups by what a unit saves of the MACs, most first; those that are too narrow to tell are left out. */
static uint32_t rank_groups(const Channels *c, const PruneOptions *o, Ranked *r) {
  Sizer *s = sizer_new(c, o->precision);
  const double all = sizer_sizes(s).v[RES_MACS];
  uint32_t n = 0;
  for (uint32_t g = 0; g < c->n_groups; g++) {
    const ChanGroup *gr = &c->groups[g];
    if (gr->n % WIDEST != 0 || gr->n < 2 * WIDEST || gr->n - WIDEST < gr->least) continue;
    sizer_remove(s, gr->first);
    r[n++] = (Ranked){g, all - sizer_sizes(s).v[RES_MACS]};
    sizer_restore(s, gr->first);
  }
  sizer_free(s);
  qsort(r, n, sizeof *r, ranked_compare);
  return n < ASKED_GROUPS ? n : ASKED_GROUPS;
}

static bool cycles_without(const Channels *c, const PruneOptions *o, const PassCtx *ctx, uint32_t group,
                           uint32_t gone, double *cycles, Diag *d) {
  PrunePlan p;
  Cost cost = {0};
  prune_plan_all(c, &p);
  for (uint32_t i = 0; i < gone; i++) p.keep[c->groups[group].first + c->groups[group].n - 1 - i] = 0;
  Graph *g = prune_apply(c, &p, d);
  const bool ok = g && ctx->cost->cost(ctx->cost->ctx, g, o->precision, &cost, d);
  *cycles = (double)cost.cycles;
  graph_free(g);
  prune_plan_free(&p);
  return ok;
}

/* The step for one group; 1 where nothing is saved at all. */
static bool step_of_group(const Channels *c, const PruneOptions *o, const PassCtx *ctx, uint32_t group,
                          double whole, uint32_t *step, Diag *d) {
  double each[STEPS], most = 0;
  for (int i = 0; i < STEPS; i++) {
    TRY(cycles_without(c, o, ctx, group, 1u << i, &each[i], d));
    each[i] = (whole - each[i]) / (1 << i);
    if (each[i] > most) most = each[i];
  }
  *step = 1;
  for (int i = STEPS; most > 0 && i-- > 0;)
    if (each[i] >= 0.9 * most) *step = 1u << i;
  return true;
}

bool prune_steps(const Channels *c, const PruneOptions *o, const PassCtx *ctx, uint32_t *steps, Diag *d) {
  *steps = o->steps ? o->steps : 1;
  if (o->steps || !ctx->cost || o->limits.cycles <= 0 || c->n_groups == 0) return true;
  Ranked *r = mem_array(c->n_groups, sizeof *r);
  const uint32_t n = rank_groups(c, o, r);
  double whole = 0;
  bool ok = n == 0 || cycles_without(c, o, ctx, r[0].group, 0, &whole, d);
  for (uint32_t i = 0; ok && i < n && *steps < WIDEST; i++) {
    uint32_t step = 1;
    ok = step_of_group(c, o, ctx, r[i].group, whole, &step, d);
    if (step > *steps) *steps = step;
  }
  mem_free(r);
  return ok;
}
