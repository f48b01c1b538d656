/* Forms of a layer: as it is, with weights of low rank (passes/lowrank.h), with weights of 4 bits, or both, each with the
 * error that it adds to those of the widths, in the error table's unit, and what it costs at any widths.
 *
 *   Gram matrices -> forms of each layer, scaled to divergences measured, less what the target does not like -> solve.h, where
 *   a layer's form is one more choice beside the groups' widths -> forms_apply.c
 *
 * Ranks are shares of the highest rank that there is at the layer's widths, and the error of a share is taken to be the same
 * at all widths: the spectrum keeps its shape as the layer becomes narrower. Once widths are chosen, the weights of that rank
 * are found for the layer as it is then.
 */
#ifndef PASSES_ALLOCATE_FORMS_H
#define PASSES_ALLOCATE_FORMS_H

#include "passes/channels.h"
#include "passes/lowrank.h"
#include "passes/prune_size.h"
#include "runtime/engine/divergence.h"
#include "runtime/engine/gram.h"

typedef struct LayerForm {
  LowrankMethod method;
  double share, in_share; /* of the highest ranks; share 0: the weights stay one matrix */
  int bits;               /* of weights: 8 (or float32, where that is deployed) or 4 */
  double error;           /* nats */
  double pace;            /* cycles of one of its MACs beside the net's mean */
} LayerForm;

typedef struct FormLayer {
  NodeId node;
  const char *name;
  LowrankLayer *l; /* NULL: it has no thinner form */
  uint32_t n;
  LayerForm *v;    /* [n] v[0] is the layer as it is; errors of the others are above 0 */
  const char *why; /* n == 1: why there is no other */
} FormLayer;

/* Of every Conv and FullyConnected of a graph. */
typedef struct Forms {
  Arena *arena;
  const Graph *graph;
  FormLayer *v;
  uint32_t n;
  bool fisher;  /* factors are made in the norm that ranks were counted in */
  int64_t step; /* ranks are multiples */
  DType precision;
} Forms;

typedef struct FormOptions {
  bool ranks, bits;
  bool fisher; /* as in TableOptions */
  int64_t step;
  DType precision;
  const char *keep; /* layers that stay, "A;B"; NULL: none */
  uint32_t
      trial_images; /* the last ones: errors are scaled to divergences on these; 0: as computed. bits need some */
} FormOptions;

/* -- forms.c -- */
/* grams: of g, which must outlive `out`; released by forms_free in any case. */
bool forms_build(const Graph *g, const Grams *grams, const FormOptions *o, const PassCtx *ctx, Forms *out,
                 Diag *d);
void forms_free(Forms *f);
/* The sum of the errors of form[layer]; NULL: 0. */
double forms_error(const Forms *f, const uint32_t *form);
/* Whether some layer is in a form of low rank. */
bool forms_thinner(const Forms *f, const uint32_t *form);
/* The layer of node n that has a choice, or f->n. */
uint32_t forms_layer_of(const Forms *f, NodeId n);

/* -- forms_size.c -- */
/* The ranks of a form of a layer of so many outputs and input channels. false: none that makes it smaller. */
bool form_ranks(const LowrankLayer *l, const LayerForm *v, int64_t step, int64_t outs, int64_t ins,
                LowrankOption *out);
/* What a layer's node costs in a form at the sizer's widths; v: as sizer_node says of it (its form as it is), changed. RAM:
 * at most, as if all that is read and made were alive at once. false: there is no such form at these widths. */
bool form_cost(const Forms *f, uint32_t layer, uint32_t form, const Sizer *s, double v[RES_COUNT]);

/* -- forms_apply.c -- */
/* `small` is f->graph pruned, from[k] f->graph's node of its node k (NO_NODE: none). The layers in their forms, those of low
 * rank with the weights that `small` has, on what the Gram matrices say that they read; grams NULL: nothing but sizes is right.
 *   extra  [small->n_nodes] (written; NULL allowed) how many nodes of the result stand before the one that is k */
Graph *forms_apply(const Forms *f, const uint32_t *form, const Graph *small, const NodeId *from,
                   const Grams *grams, uint32_t *extra, Diag *d);
/* "A;B": layers of 4 bits, factors by their own names. "": none. */
void forms_int4(const Forms *f, const uint32_t *form, StrBuf *out);
/* What the graph costs in these forms, the target's flash, RAM and cycles included where ctx has a CostModel. */
bool forms_cost(const Forms *f, const uint32_t *form, const Graph *small, const NodeId *from,
                const PassCtx *ctx, Cost *out, Diag *d);
/* One line for each layer: its form, or why it has none. */
void forms_tell(const Forms *f, const uint32_t *form, const Host *host);

#endif
