/* Data and comparisons for the tests of passes: random images that fit a graph's input, and graphs run on them. */
#ifndef TESTS_PASSES_IMAGES_H
#define TESTS_PASSES_IMAGES_H

#include "passes/pass.h"
#include "runtime/engine/engine.h"

/* n float images of g's input's shape as the training split, neighbouring elements correlated; example i has label
 * i % classes, by which a part of it is brighter. */
Dataset images_random(const Graph *g, uint32_t n, int classes, uint64_t seed);
void images_free(Dataset *ds);

/* Run a pipeline on the data (NULL: none); fails the test with the report when it is refused or leaves a broken graph. */
Graph *images_pass(const Graph *g, const Dataset *ds, const char *text);
/* The report of a pipeline that is to be refused, in a static buffer. */
const char *images_refused(const Graph *g, const Dataset *ds, const char *text);

/* Root of the mean square of two graphs' differences on the first n images (last output), as a share of a's. */
double images_difference(const Graph *a, const Graph *b, const Dataset *ds, int n);

/* How often an operator stands in g. */
int images_count(const Graph *g, OpKind op);

#endif
