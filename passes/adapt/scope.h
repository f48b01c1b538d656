/* Which of a model's parameters a site may hand out, as one row of numbers; and the model cut in two before its last layer,
 * so that what learns there alone is trained on features that are computed once.
 */
#ifndef PASSES_ADAPT_SCOPE_H
#define PASSES_ADAPT_SCOPE_H

#include "ir/graph.h"

/* last: weights and bias of the last layer. bias: biases of convolutions and fully connected layers, offsets of
 * BatchNormalization. both: the two. adapters: low-rank parts of convolutions' weights (adapters.h). */
typedef enum AdaptLayers { ADAPT_LAST, ADAPT_BIAS, ADAPT_BOTH, ADAPT_ADAPTERS, ADAPT_LAYERS } AdaptLayers;
extern const char *const adapt_layer_names[ADAPT_LAYERS + 1]; /* NULL-terminated */

typedef struct AdaptScope {
  ValId *vals;   /* [n], in the order of their nodes, each once; owned */
  NodeId *nodes; /* [n] of adapters: their convolutions; NULL otherwise */
  int n;
  int64_t numbers;
} AdaptScope;

/* Of a float graph. Reported where there are none. */
bool adapt_scope(const Graph *g, AdaptLayers layers, AdaptScope *out, Diag *d);
void adapt_scope_free(AdaptScope *s);
/* Their numbers in order: out [numbers]. */
void adapt_gather(const Graph *g, const AdaptScope *s, float *out);
/* A copy of g with these instead. */
Graph *adapt_scatter(const Graph *g, const AdaptScope *s, const float *values);

/* What comes before the last layer, and that layer with what comes behind, as graphs of their own: body's output is head's
 * input. false (no report): something else reaches behind, or there is no layer. */
bool adapt_cut(const Graph *g, Graph **body, Graph **head);

#endif
