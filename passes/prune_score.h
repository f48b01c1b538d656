/* Importance by weights (passes/prune_filters.c), for passes/prune_score.c. */
#ifndef PASSES_PRUNE_SCORE_H
#define PASSES_PRUNE_SCORE_H

#include "passes/prune.h"

/* Where the channels that layer n makes are scored: behind its BatchNormalization if nothing else reads it. */
ValId prune_scored_value(const Graph *g, const Node *n, const uint32_t *uses);
/* Add to score[n_units]: by PRUNE_L1, PRUNE_L2 or PRUNE_FPGM; by BatchNormalization, reported where a unit that could go
 * has none. */
void prune_scores_weights(const Channels *c, PruneBy by, double *score);
bool prune_scores_bn(const Channels *c, double *score, Diag *d);

#endif
