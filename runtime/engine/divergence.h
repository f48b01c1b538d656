/* How far a graph's outputs are from another's on training examples. */
#ifndef RUNTIME_ENGINE_DIVERGENCE_H
#define RUNTIME_ENGINE_DIVERGENCE_H

#include "runtime/engine/engine.h"

typedef struct Divergence {
  double
      value; /* mean of KL(teacher || graph) in nats over examples; of squares, where examples have no labels */
  double agree; /* share of examples with the same largest output */
  uint32_t n;
} Divergence;

/* On training examples first .. first + n - 1, as many as there are, unaugmented. Same output shape. Reported if not. */
bool graph_divergence(const Graph *teacher, const Graph *g, const Dataset *ds, uint32_t first, uint32_t n,
                      const Host *host, Divergence *out, Diag *d);

#endif
