/* Steps of channels that a target's kernels like (passes/prune_steps.c). */
#ifndef PASSES_PRUNE_STEPS_H
#define PASSES_PRUNE_STEPS_H

#include "passes/prune.h"

/* o->steps, or where that is 0: found on the CostModel where cycles are limited, otherwise 1. false: the cost model
 * reported. */
bool prune_steps(const Channels *c, const PruneOptions *o, const PassCtx *ctx, uint32_t *steps, Diag *d);

#endif
