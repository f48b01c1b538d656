/* The error table: what each width of each channel group costs in loss, once the layers that read the group are
 * reconstructed. Computed once per model from its Gram matrices, without a target; every target's allocation is found in it.
 */
#ifndef PASSES_ALLOCATE_TABLE_H
#define PASSES_ALLOCATE_TABLE_H

#include "passes/channels.h"
#include "passes/pass.h"
#include "runtime/engine/divergence.h"
#include "runtime/engine/gram.h"

typedef struct ErrorTable {
  uint32_t n_groups, n_units;
  uint32_t *size;    /* [n_groups] units */
  uint32_t *readers; /* [n_groups] layers whose weights read the group */
  uint32_t *order;   /* [n_units] group after group: units, counted from 0 in their group, as they go */
  double *
      error; /* [n_units] beside it: nats of divergence once the group has lost units up to this one; ascending */
} ErrorTable;
void error_table_free(ErrorTable *t);
void error_table_init(ErrorTable *t, uint32_t n_groups, uint32_t n_units);

/* -- table_build.c -- */
/* ridge: share of a Gram matrix's mean diagonal that is added to it; fisher: outputs count by their F, else by their share
 * of what a layer puts out. */
typedef struct TableOptions {
  double ridge;
  bool fisher;
  uint32_t
      trial_images; /* errors are scaled to the divergence measured at three widths of each group; 0: as computed */
} TableOptions;
bool error_table_build(const Channels *c, const Grams *grams, const TableOptions *o, const PassCtx *ctx,
                       ErrorTable *out, Diag *d);

/* -- trial.c -- */
/* One group narrower and nothing else: weights of the layers that read it, [taps + 1][outs] of each group of their
 * channels, the last row a constant. */
typedef struct TrialLayer {
  const Layer *l;
  int64_t system;
  const double *w;
} TrialLayer;
/* The divergence of c->graph with those weights; a constant is the bias's, or goes into BatchNormalization's mean. */
bool trial_divergence(const Judge *j, const Graph *g, const TrialLayer *layers, uint32_t n, double *out,
                      Diag *d);
/* Whether the layer has a place for a constant. */
bool trial_has_constant(const Layer *l);

/* -- table.c -- */
/* Error of group g (units in all before it: first) at a width: 0 with all units, +inf with none. */
double error_table_at(const ErrorTable *t, uint32_t g, uint32_t first, uint32_t width);
/* A score for each unit of the graph [n_units] (passes/prune.h): what its removal added, not less than the one before, so
 * that the least first is the table's order. */
Blob *error_table_scores(const ErrorTable *t);
/* A copy in which the errors of groups with more than two readers count `factor` times. */
ErrorTable error_table_weighted(const ErrorTable *t, double factor);
/* Text form: a line for the table, then for each group "group NAME SIZE readers N: unit error unit error ...". */
void error_table_print(const Channels *c, const ErrorTable *t, StrBuf *out);
bool error_table_parse(const char *text, const Channels *c, ErrorTable *out, Diag *d);

#endif
