/* Reduction: from a graph that makes something fail to a small one that still does. For bug reports and for tests of
 * random graphs; `mistify reduce` is its command.
 */
#ifndef IR_REDUCE_H
#define IR_REDUCE_H

#include "ir/graph.h"

typedef struct ReduceOptions {
  /* Whether this graph (verified) still fails. Asked for the smaller and smaller ones. */
  bool (*fails)(void *ctx, const Graph *g);
  /* Told of each smaller graph that still fails, and what made it smaller ("cut at a value", ...); NULL: nobody. */
  void (*progress)(void *ctx, const Graph *g, const char *step, int64_t checks);
  void *ctx;
  int64_t max_checks; /* 0: until nothing gets smaller */
} ReduceOptions;

/* The smallest graph that was found (the caller's; a copy of g where nothing could be made smaller). g itself is
 * taken to fail. Every step is deterministic; *checks (NULL: not wanted) counts calls of fails. */
Graph *graph_reduce(const Graph *g, const ReduceOptions *o, int64_t *checks);

/* -- one change of a graph (ir/reduce_edit.c) -- */

typedef enum EditKind {
  EDIT_ONLY,      /* val is the one output */
  EDIT_NO_OUTPUT, /* without output number index */
  EDIT_INPUT,     /* val becomes a graph input */
  EDIT_ZERO,      /* val becomes a constant of zeros; EDIT_ONE: of ones */
  EDIT_ONE,
  EDIT_BYPASS, /* who reads val reads other instead */
  EDIT_DROP,   /* node `node` without its input number index */
  EDIT_EXTENT, /* extent from becomes to wherever an input, a constant or a shape among attributes has it */
  EDIT_DIM,    /* dimension index of input or constant val becomes to */
  EDIT_ATTRS,  /* node `node` with these attributes */
  EDIT_QUANT,  /* values quantized as val is: scale 1 and zero point 0 */
  EDIT_BARE    /* no names, no locations */
} EditKind;

typedef struct Edit {
  EditKind kind;
  ValId val, other;
  NodeId node;
  uint32_t index;
  int64_t from, to;
  const void *attrs;
} Edit;

/* The graph with that change: only what its outputs need, shapes inferred anew, verified. NULL: the IR refuses it. */
Graph *graph_edit(const Graph *g, const Edit *e);

#endif
