/* Reconstruction of a whole graph: every layer behind what has changed gets new weights, in order, each by least squares on
 * what the changed graph gives it now, so that it gives what the original's layer gave.
 *
 *   original   x ---> layer ---> BN ---> Add ---> ...        target: the layer's output, and what the shortcut lacks
 *   changed    x' --> layer' --> BN' --> Add' --> ...         against the original's, brought back through BN
 *                          shortcut' --^
 *
 * Examples are kept where the changed graph narrows to one value (between residual blocks), so that each layer costs a run
 * from there, not from the input; where that would be too much memory, from an earlier one. Source: He et al. 2017 (arXiv:1707.06168), section 3.2 on several branches.
 */
#ifndef RUNTIME_ENGINE_REBUILD_H
#define RUNTIME_ENGINE_REBUILD_H

#include "runtime/engine/engine.h"

/* A graph and the one that it was made from by removing channels. */
typedef struct Twin {
  const Graph *original, *g;
  const ValId
      *value; /* [g->n_vals] the original's value; NO_VAL: none (layers that need it stay as they are) */
  int32_t *const *
      channels; /* [g->n_vals] by g's values: which innermost channel of the original's each one is; NULL: the same */
  const bool *changed; /* [g->n_vals] something is missing from the value, or its constant has been altered */
} Twin;

typedef struct RebuildOptions {
  uint32_t images; /* training examples, from the first, not augmented */
  int64_t rows;    /* of each layer, about; 0: 32 for each unknown, at least 16384 */
  double ridge;    /* share of the mean diagonal, towards the weights that were */
  int64_t most;    /* layers with more taps stay as they are */
  bool shortcuts;  /* make up for what shortcuts lack */
  int64_t kept; /* elements of examples kept at once, at most: fewer images where the input alone is more */
  int rounds;   /* where a Relu follows, targets below 0 may be anything below 0: so many solutions more */
} RebuildOptions;
void rebuild_options_default(RebuildOptions *o);

typedef struct RebuildResult {
  uint32_t layers; /* that got new weights */
  /* Sum over layers of the share of the target's sum of squares that is missed, by the weights that were and by the new ones.
   * Misses that a Relu behind the layer lets nobody see (RebuildOptions.rounds) are counted. */
  double before, after;
} RebuildResult;

/* A copy of t->g with new weights, and means of BatchNormalization that take the constant where a layer has no bias. The same
 * bytes with any number of threads. res may be NULL. NULL: reported. */
Graph *rebuild_graph(const Twin *t, const Dataset *ds, const RebuildOptions *o, const Host *host,
                     RebuildResult *res, Diag *d);

#endif
