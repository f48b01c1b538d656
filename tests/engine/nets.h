/* Small graphs for the engine's tests: text in which {?} or {~} after a constant's type stands for random elements. */
#ifndef TESTS_ENGINE_NETS_H
#define TESTS_ENGINE_NETS_H

#include "runtime/engine/engine.h"

/* Parse `text` ({?}: 0.2 to 1.2; {~}: mean 0, variance 2 / fan-in); fails the test with the report when it is wrong. The caller frees the graph. */
Graph *net_parse(const char *text, uint64_t seed);

/* A session of it; fails the test with the report when it is refused. */
Session *net_session(const Graph *g, SessionOptions so);

/* n values that are distinct multiples of 0.06 shifted by 0.03, in random order: away from 0, 1, -1 and one another. */
void net_grid(float *x, int64_t n, uint64_t seed);

/* Steps of a training run that allocate: a Host's ctx and cancelled, asked before every step; never cancels. */
typedef struct AllocationWatch {
  uint64_t last;
  int steps, allocating;
} AllocationWatch;
bool watch_allocations(void *ctx);

#endif
