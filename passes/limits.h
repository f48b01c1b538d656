/* Limits of a target for the passes that make graphs smaller step by step: read, compared with a cost, reported. */
#ifndef PASSES_LIMITS_H
#define PASSES_LIMITS_H

#include "passes/prune.h"

typedef enum Resource { LIMIT_MACS, LIMIT_PARAMS, LIMIT_FLASH, LIMIT_RAM, LIMIT_CYCLES, LIMIT_NONE } Resource;

/* A number of ctx->params within lo .. hi; *v stays where the key is absent. false: reported. */
bool limits_number(const char *pass, const char *params, const char *key, double lo, double hi, double *v,
                   Diag *d);
/* macs, params, flash, ram and cycles of ctx->params, shares of g's own MACs and parameters made numbers. *any: there is
 * one. Refused: a target's limits without a CostModel. */
bool limits_parse(const char *pass, const PassCtx *ctx, const Graph *g, PruneLimits *out, bool *any, Diag *d);
/* precision=int8|float of ctx->params: DT_I8 unless it says otherwise. */
bool limits_precision(const char *pass, const char *params, DType *out, Diag *d);
/* MACs and parameters of g, and what a CostModel (NULL: 0) says of it beside. */
bool limits_cost(const CostModel *model, const Graph *g, DType precision, Cost *out, Diag *d);

/* The resource that exceeds its limit by the largest factor; LIMIT_NONE: all hold. */
Resource limits_binding(const PruneLimits *l, const Cost *c);
double limits_limit(const PruneLimits *l, Resource r);
double limits_have(const Cost *c, Resource r);
/* Report that a limit cannot be met; returns false. */
bool limits_missed(const char *pass, const PruneLimits *l, const Cost *c, Resource r, Diag *d);

#endif
