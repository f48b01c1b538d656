/* Models that learn on local data (passes/adapt/retailor.h), kept in the part's folder under a name that says what each was made
 * from: model, teachers, data, settings, and the program. */
#ifndef BENCH_ADAPT_RETAILOR_H
#define BENCH_ADAPT_RETAILOR_H

#include "bench/adapt.h"
#include "passes/adapt/retailor.h"

/* A graph from its file; NULL: there is none. The caller frees it. */
Graph *kept_graph(const Adapt *ad, const char *path);

/* Taken from the folder, or made and kept. larger: [n] further teachers. The caller frees it. */
Graph *retailored(const Adapt *ad, const char *name, const Graph *g, const Graph *const *larger, int n,
                  const Dataset *local, const RetailorOptions *o);

#endif
