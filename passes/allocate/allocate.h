/* Reconstruction instead of retraining: which channels go is read off an error table, the layers that stay are solved anew.
 *
 *   graph -> Gram matrices -> error table --+--> plan -> prune_apply -> rebuild -> statistics of BatchNormalization
 *            (engine/gram.h)  (table.h)     |            (prune.h)      (engine/rebuild.h)
 *            once per model                 per target
 *
 * With `ranks` and `bits` the same plan says which layers become thinner ones and which have weights of 4 bits (forms.h).
 */
#ifndef PASSES_ALLOCATE_ALLOCATE_H
#define PASSES_ALLOCATE_ALLOCATE_H

#include "passes/allocate/forms.h"
#include "passes/allocate/table.h"
#include "passes/prune.h"
#include "runtime/engine/rebuild.h"

typedef struct AllocateOptions {
  PruneOptions prune; /* limits, floors, steps; `by` and `uniform` where `table` is false */
  bool table;         /* plan by the error table */
  bool fisher;        /* errors count by the loss's curvature */
  bool ranks, bits;   /* layers of low rank, weights of 4 bits */
  GramOptions grams;
  double table_ridge;
  uint32_t trial_images;
  RebuildOptions rebuild;
  uint32_t candidates; /* at most so many allocations are tried and judged */
  uint32_t bn_images;  /* estimate statistics anew; 0: the function stays as it was solved (follow_bn) */
  bool report;
} AllocateOptions;
/* Read "macs=0.5,images=1024,..."; strings live in `a`. */
bool allocate_options_parse(const char *params, Arena *a, AllocateOptions *o, Diag *d);

/* Whether such parameters plan by the error table: they say by=reconstruction, or nothing. */
bool allocate_by_table(const char *params);

/* Gram matrices and table of c->graph, on ctx->data. */
bool allocate_table(const Channels *c, const AllocateOptions *o, const PassCtx *ctx, ErrorTable *out,
                    Diag *d);
/* And the forms of its layers, as o->ranks and o->bits ask; forms_free in any case. */
bool allocate_table_forms(const Channels *c, const AllocateOptions *o, const PassCtx *ctx, ErrorTable *out,
                          Forms *forms, Diag *d);

/* -- widths.c -- */
/* Widths of least expected error under o's limits, and which units they keep. start: a looser plan to lie inside of (then,
 * and for given or uniform widths, as prune_plan does it, by the table's errors). Otherwise as prune_plan. */
bool allocate_plan(const Channels *c, const ErrorTable *t, const PruneOptions *o, const PassCtx *ctx,
                   const PrunePlan *start, PrunePlan *out, Diag *d);
/* The same, and a form for each layer beside: form [forms->n] (written). Where forms lower no error all are 0. Widths and
 * forms are chosen together; what is taken back afterwards is what limits do not need. */
bool allocate_plan_forms(const Channels *c, const ErrorTable *t, const Forms *forms, const PruneOptions *o,
                         const PassCtx *ctx, PrunePlan *out, uint32_t *form, Diag *d);
/* The sum of the table's errors. */
double allocate_expected(const ErrorTable *t, const PrunePlan *p);

/* -- candidates.c -- */
/* The training images, of n, on which candidates are judged: behind all that tables and candidates are made of, or the last
 * ones, which are then kept from those (a quarter of few images at most). One image alone does for both. */
typedef struct Judged {
  uint32_t first, n;
} Judged;
Judged allocate_judged(const AllocateOptions *o, uint32_t n);
/* Several plans under the same limits, each applied, solved anew on some of the images before those of allocate_judged and
 * judged by its divergence from c->graph on these: the best into *out. The table too is to be made of images before them.
 * A limit that cannot be met: out->met is false. forms: NULL or as in allocate_plan_forms. */
bool allocate_best(const Channels *c, const ErrorTable *t, const Forms *forms, const AllocateOptions *o,
                   const PassCtx *ctx, PrunePlan *out, uint32_t *form, Diag *d);

/* -- rebuild.c -- */
/* `small` is prune_apply(c, p): its layers solved anew to give what those of c->graph give, then its statistics
 * estimated. NULL: reported. */
Graph *allocate_rebuild(const Channels *c, const PrunePlan *p, const Graph *small, const AllocateOptions *o,
                        const PassCtx *ctx, RebuildResult *res, Diag *d);
/* The same with layers in these forms (NULL: as they are). */
Graph *allocate_rebuild_forms(const Channels *c, const PrunePlan *p, const Graph *small, const Forms *forms,
                              const uint32_t *form, const AllocateOptions *o, const PassCtx *ctx,
                              RebuildResult *res, Diag *d);
/* node [small->n_nodes] (written): of which node of g each one is what is left; NO_NODE: of none. */
void allocate_match(const Graph *g, const Graph *small, NodeId *node);

#endif
