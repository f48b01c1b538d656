/* Cutting constants to the units that a pruning plan keeps (passes/prune_cut.c). */
#ifndef PASSES_PRUNE_CUT_H
#define PASSES_PRUNE_CUT_H

#include "passes/prune.h"

/* Does entry i of an axis with these units (NULL: all stays) stay; how many of from .. to-1 do. */
static inline bool cut_stays(const PrunePlan *p, const uint32_t *unit, int64_t i) {
  return !unit || unit[i] == CHAN_FIXED || p->keep[unit[i]];
}
int64_t cut_count(const PrunePlan *p, const uint32_t *unit, int64_t from, int64_t to);

/* Remembers what was cut: equal cuts of one constant are one constant. */
typedef struct Cutter Cutter;
Cutter *cutter_new(const PrunePlan *p);
void cutter_free(Cutter *c);
/* The constant `old` of r->from with what stays along its axes, in r->to; shared where nothing goes. */
ValId cut_const(Cutter *c, Rewrite *r, ValId old, const ChanUnits *units);

#endif
