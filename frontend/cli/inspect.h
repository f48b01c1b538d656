/* What `mistify inspect` has found out about a model, and its two ways of telling it. */
#ifndef FRONTEND_CLI_INSPECT_H
#define FRONTEND_CLI_INSPECT_H

#include "frontend/cli/cli.h"

/* What one target makes of the model. */
typedef struct Estimate {
  const Target *target;
  bool ok;
  Cost cost;
  const char *why; /* !ok: the first line of the reason */
} Estimate;

typedef struct Inspected {
  Arena *arena;
  const char *path, *custom;      /* the model, the list of custom operators */
  Graph *file, *shown, *deployed; /* deployed: batch 1; NULL when it cannot be prepared */
  bool part;                      /* `file` is what could be read of a model that cannot be imported */
  const char *problems;           /* then: all of them, as text; "" otherwise */
  bool planned;
  MemoryPlan plan;
  const char *plan_text; /* its table */
  bool show_plan;
  NodeId peak; /* the layer at which the RAM's peak is; NO_NODE: unknown */
  Estimate *estimates;
  int n_estimates;
  Board *boards; /* of the targets asked for */
  int n_boards;
  const char *why; /* !planned: the reason */
} Inspected;

int64_t inspect_params(const Graph *g, const Node *n); /* elements of the constants that a node reads */
const char *inspect_name(const Graph *g, const Node *n);
/* Does the model fit the board? *why: "", or what is too small for it. Its estimate must be ok. */
bool inspect_fits(const Estimate *e, const Board *b, const char **why);
const Estimate *inspect_estimate(const Inspected *x, const char *target); /* NULL: there is none */

/* -- inspect_text.c -- */
/* For people: on one screen; layers that matter little are drawn together unless `all`. */
void inspect_text(const Inspected *x, bool all);
/* -- inspect_json.c -- */
void inspect_json(const Inspected *x);
/* -- inspect_channels.c: false: a model that cannot be pruned (quantized), reported -- */
bool inspect_channels(const Graph *file, bool json, Diag *d);

#endif
