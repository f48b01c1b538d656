/* What emitted C gave for an example, judged (runtime/engine/judge.h). */
#ifndef FRONTEND_CLI_OUTCOME_H
#define FRONTEND_CLI_OUTCOME_H

#include "ir/graph.h"
#include "ir/tensor.h"
#include "runtime/data/input_map.h"
#include "runtime/engine/judge.h"

/* y: the last output of g, fed with example i of s as map and nz say. */
float cli_outcome(const Graph *g, const InputMap *map, const Split *s, const Normalize *nz, uint32_t i,
                  const Tensor *y);

#endif
