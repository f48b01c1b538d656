/* How far a graph's outputs are from another's on training examples. */
#ifndef RUNTIME_ENGINE_DIVERGENCE_H
#define RUNTIME_ENGINE_DIVERGENCE_H

#include "runtime/engine/engine.h"

typedef struct Divergence {
  double
      value; /* mean of KL(teacher || graph) in nats over examples; of squares, where examples have no classes */
  double agree; /* share of examples with the same largest output */
  uint32_t n;
} Divergence;

/* Of one example: t, z [n], the teacher's outputs and the graph's; *same: their largest is the same one. */
double divergence_example(const float *t, const float *z, int n, bool classes, bool *same);

/* The teacher's outputs, kept for several graphs. */
typedef struct Judge {
  const Dataset *ds;
  const Host *host;
  uint32_t first, n;
  int classes;
  float *logits; /* [n][classes] */
} Judge;
/* On training examples first .. first + n - 1, as many as there are, unaugmented. */
bool judge_open(Judge *j, const Graph *teacher, const Dataset *ds, uint32_t first, uint32_t n,
                const Host *host, Diag *d);
/* g has the teacher's output shape: reported otherwise. */
bool judge_graph(const Judge *j, const Graph *g, Divergence *out, Diag *d);
void judge_close(Judge *j);

/* Both in one. On training examples first .. first + n - 1, as many as there are, unaugmented. Same output shape. Reported if not. */
bool graph_divergence(const Graph *teacher, const Graph *g, const Dataset *ds, uint32_t first, uint32_t n,
                      const Host *host, Divergence *out, Diag *d);

#endif
