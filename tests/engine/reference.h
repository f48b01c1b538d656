/* The differentiable operators in double precision, each from its definition, for tests of the engine.
 *
 * Nothing is shared with the engine or the kernels: plain loops over coordinates of tensors with static shapes. FakeQuant
 * is evaluated as the function whose derivative its straight-through gradient is: what rounding adds is taken from the
 * first run and kept.
 */
#ifndef TESTS_ENGINE_REFERENCE_H
#define TESTS_ENGINE_REFERENCE_H

#include "ir/graph.h"

typedef struct Ref {
  Graph *g;      /* with the batch bound */
  ValId *map;    /* the caller's ids to g's */
  double **v;    /* values, by g's ids */
  double **kept; /* FakeQuant: what rounding added, by node */
  bool train;    /* BatchNormalization by statistics of the batch */
} Ref;

/* g: one input; constants become doubles. Fails the test on an operator that is not here. */
Ref *ref_new(const Graph *g, int batch, bool train);
void ref_free(Ref *r);
/* Elements of a value of the caller's graph: input and constants may be written. */
double *ref_value(const Ref *r, ValId v, int64_t *count);
void ref_run(Ref *r);

#endif
