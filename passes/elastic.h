/* Members of one set of weights, from pruning plans: what runtime/engine/train/elastic.h asks for.
 *
 *   base, plan  ->  the pruned graph, and for every float constant of it where its elements stand in the base
 *
 * Plans are of one graph's channels and need not nest.
 */
#ifndef PASSES_ELASTIC_H
#define PASSES_ELASTIC_H

#include "passes/prune.h"
#include "runtime/engine/train/elastic.h"

/* Norm at most of each member's gradients: they are summed, and a bad narrow one would spoil the wide weights. */
enum { ELASTIC_CLIP = 2 };

typedef struct ElasticFamily {
  Arena *arena; /* owns slices */
  Graph **graphs;
  ElasticMember *members; /* [n] graph and slices: for ElasticJob */
  int n;
} ElasticFamily;

/* own_norms: scale and bias of BatchNormalization are each member's own (statistics are in any case). The family is to be freed in
 * any case; false: a plan does not fit the graph (reported). */
bool elastic_family(const Channels *c, const PrunePlan *plans, int n, bool own_norms, ElasticFamily *out,
                    Diag *d);
/* The same of float variants that share their weights (ir/family.h), widest first: members are slices of variant 0, scale and bias
 * of BatchNormalization their own. false: they are no family (reported). To be freed in any case. */
bool elastic_variants(const Graph *const *variants, int n, ElasticFamily *out, Diag *d);
void elastic_family_free(ElasticFamily *f);

/* -- plans and members as bytes, for steps -- */
/* Plans' texts one after the other, and back: plans (the caller's, each to be freed by prune_plan_free) to *plans [*n],
 * mem_free'd by the caller. */
bool elastic_plans_parse(const char *text, const Channels *c, PrunePlan **plans, int *n, Diag *d);

/* What the trained members have beside slices of the trained wide graph: constants that are not what cutting gives. */
Blob *elastic_own(const Graph *const *cut, const Graph *const *trained, int n);
/* The cut of member k with its own constants put in. NULL: reported. */
Graph *elastic_member(const Graph *cut, const Blob *own, int k, Diag *d);

#endif
