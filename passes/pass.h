/* A pass: a pure function from a Graph to a new Graph (decision 4). One file, one row in passes.def. */
#ifndef PASSES_PASS_H
#define PASSES_PASS_H

#include "ir/cost.h"
#include "ir/graph.h"
#include "ir/step.h"

struct Dataset; /* runtime/data/dataset.h */

/* What a pass may ask for beside its graph. Fields that it does not need may be NULL. */
typedef struct PassCtx {
  const char *params;         /* the text between braces: "macs=0.5,steps=4"; "" when none */
  const struct Dataset *data; /* training split: calibration, importance, retraining */
  const Graph *teacher;       /* the original, for distillation */
  const Graph *larger;        /* a larger model that distillation learns from too */
  const Graph *like; /* quantize: the widest of a family, in int8, whose codes the weights are to have */
  const CostModel *cost;
  const Host *host;
  uint64_t seed;
} PassCtx;

/* Returns a new graph (the caller frees it), or NULL and a report. Never edits g. */
typedef Graph *PassFn(const Graph *g, const PassCtx *ctx, Diag *d);

typedef struct Pass {
  const char *name, *doc, *params_doc; /* params_doc: "macs=F target share of MACs; ..." or "" */
  PassFn *run;
  bool needs_data;
} Pass;

extern const Pass passes[]; /* passes/pipeline.c, from passes.def */
extern const int n_passes;
const Pass *pass_find(const char *name);

/* Passes that are not in passes.def: a plugin's (passes/plugin.h). */
typedef struct PassList {
  const Pass *v;
  int n;
} PassList;

/* Read "key=value" from params text. false when absent. */
bool pass_param(const char *params, const char *key, char *value, size_t n);
/* Is `name` one of a list separated by ';' (NULL: none)? */
bool pass_listed(const char *list, const char *name);
double pass_param_num(const char *params, const char *key, double otherwise, bool *bad);

/* Run "fold,bnfuse,prune{macs=0.5}". */
typedef struct PipelineOptions {
  const PassList *extra; /* [n_extra] further passes that the text may name */
  int n_extra;
  const Loc *locs;  /* where a file names each pass, in order, for messages; NULL: the text is the user's */
  bool verify_each; /* graph_verify after every pass */
  const char *dump_after; /* pass name or "all": text form to dump_to */
  FILE *dump_to;
  /* Called after each pass, for the report; may be NULL. */
  void (*after)(void *ctx, const char *pass, const Graph *g, double seconds);
  void *after_ctx;
} PipelineOptions;
Graph *pipeline_run(const Graph *g, const char *text, const PassCtx *ctx, const PipelineOptions *opt,
                    Diag *d);

#endif
