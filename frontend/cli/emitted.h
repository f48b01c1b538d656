/* A model as the C that is emitted for a target, built and run in a temporary folder: `run`, `eval` and `diff` with
 * --target.
 */
#ifndef FRONTEND_CLI_EMITTED_H
#define FRONTEND_CLI_EMITTED_H

#include "frontend/cli/cli.h"

typedef struct Emitted {
  Arena *arena;
  const Target *target;
  Graph *g;  /* what was emitted, batch 1 */
  char *dir; /* where; removed by emitted_close */
} Emitted;

/* Emit g, prepared or (as_is) as it stands. false: reported; *out then needs no emitted_close. */
bool emitted_open(const Graph *g, const Target *t, bool as_is, Emitted *out, Diag *d);
void emitted_close(Emitted *e);

/* Run on n examples: in[n][n_inputs] of batch 1 (or without batch) -> out[n][n_outputs], the caller's to free. */
bool emitted_run(const Emitted *e, const Tensor *in, int n, Tensor *out, Diag *d);
/* Run on one set of inputs whose batch may be any where the model's is symbolic (`model`: the graph before emission). */
bool emitted_run_batch(const Emitted *e, const Graph *model, const Tensor *in, Tensor *out, Diag *d);

#endif
