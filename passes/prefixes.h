/* Prefixes: narrower forms of one graph, each inside the one before it, all of them prefixes of its weights.
 *
 *   graph -> error table, or importance of its channels -> plans for 1, r, r^2 .. least of its MACs, each inside the one before
 *         -> the graph with every group's channels ordered by how many of the plans keep them
 *         -> the plans of that graph: the first channels of each group
 *
 * Groups whose narrower forms would be no prefixes (passes/order.h) stay whole in all of them.
 */
#ifndef PASSES_PREFIXES_H
#define PASSES_PREFIXES_H

#include "passes/allocate/allocate.h"

typedef struct PrefixesOptions {
  int n;        /* forms, the graph as it is among them; 2 .. FAMILY_MAX */
  double share; /* of its MACs that the narrowest has at most: 0 .. 1 */
  AllocateOptions
      by; /* which channels go: by the error table or by importance; floors of groups, keep; limits do not count */
} PrefixesOptions;

typedef struct Prefixes {
  Graph *graph; /* ordered */
  PrunePlan
      *plans; /* [n] of its channels (channels_find with the same keep), the widest first: it keeps all */
  int n;
} Prefixes;

/* prefixes_free in any case. false: reported, also where the graph does not get as narrow as that. */
bool prefixes_plan(const Graph *g, const PrefixesOptions *o, const PassCtx *ctx, Prefixes *out, Diag *d);
void prefixes_free(Prefixes *w);

/* Read "n=4,share=0.25" and allocate's options from a step's parameters; strings live in `a`. */
bool prefixes_options_parse(const char *params, Arena *a, PrefixesOptions *o, Diag *d);

#endif
