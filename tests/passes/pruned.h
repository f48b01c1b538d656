/* What the tests of pruning compare a pruned graph with: the original in which whatever sums over channels reads 0
 * from those that are gone.
 */
#ifndef TESTS_PASSES_PRUNED_H
#define TESTS_PASSES_PRUNED_H

#include "passes/prune.h"

/* Each unit stays with probability `share` (within: only those of it); of every group as many as must. */
PrunePlan pruned_plan(const Channels *c, uint64_t seed, float share, const PrunePlan *within);

/* c->graph where Conv, ConvTranspose, FullyConnected, MatMul, recurrent layers and sums read 0 from what the plan
 * removes. Fails the test where that is no graph. */
Graph *pruned_zeroed(const Channels *c, const PrunePlan *p);

/* Largest difference of any output of the pruned graph a from the zeroed one b over two inputs (batch 2 where it is
 * symbolic; three runs one after the other where there is state), relative to the output's largest element or 1; infinite where
 * shapes differ, or a is not finite where b is. */
double pruned_difference(const Graph *a, const Graph *b, uint64_t seed);

#endif
