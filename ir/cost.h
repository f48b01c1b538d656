/* CostModel: how a pass sees a target. The back end implements it; ir/ only declares it, so that passes and
 * back end never include one another. It lowers internally (and quantizes, when the policy says int8). */
#ifndef IR_COST_H
#define IR_COST_H

#include "ir/graph.h"

typedef struct Cost {
  int64_t flash;         /* bytes: weights + tables + code, as the linker would say (estimated) */
  int64_t flash_weights; /* of these, constants */
  int64_t ram;           /* bytes: arena, input and output included */
  int64_t macs, params;
  int64_t cycles; /* weighted instructions of one inference (estimated) */
} Cost;

typedef struct CostModel {
  const void *ctx;
  /* Cost of the float graph g when it is deployed with this precision (DT_I8 or DT_F32). Symbolic batch: 1.
   * false: reported. */
  bool (*cost)(const void *ctx, const Graph *g, DType precision, Cost *out, Diag *d);
  Hash key; /* target, board and cost table: part of cache keys */
} CostModel;

#endif
