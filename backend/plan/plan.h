/* The planner's parts: what lives when (liveness.c), where it lies (pack.c), the plan itself (plan.c). */
#ifndef BACKEND_PLAN_PLAN_H
#define BACKEND_PLAN_PLAN_H

#include "backend/backend.h"

/* A run of bytes that is needed from call `first` to call `last`, both included. */
typedef struct PackBox {
  int64_t size; /* a multiple of the alignment */
  int32_t first, last;
  int64_t offset; /* written by pack_boxes */
} PackBox;

/* Give each box an offset so that boxes whose lifetimes meet do not overlap. Returns the bytes needed. Deterministic;
 * optimal where the search ends by reaching the lower bound or (few boxes) by exhausting all orders. */
int64_t pack_boxes(PackBox *boxes, int n);
/* The largest sum of sizes alive at one time: no packing needs less. */
int64_t pack_lower_bound(const PackBox *boxes, int n);

/* Items without offsets, in `a`: values that need bytes, then scratch. Storage numbers are dense from 0. */
typedef struct Liveness {
  PlanItem *items;
  int n_items, n_storage;
} Liveness;
void liveness_find(const Graph *g, const Calls *calls, Arena *a, Liveness *out);

#endif
