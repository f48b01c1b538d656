/* Re-tailoring a float model with local data, labelled or not, without the data that it was made from. */
#ifndef PASSES_ADAPT_RETAILOR_H
#define PASSES_ADAPT_RETAILOR_H

#include "runtime/engine/engine.h"

/* Plain data; retailor_default gives the values in brackets. Passes and rate are what the first stage of part "gateway" of
 * `make bench-adapt` chose on made corruptions (bench/adapt_settings.c, which says so where it chooses others). The dataset's
 * augmentation should be that with which the model was trained. */
typedef struct RetailorOptions {
  double epochs;     /* passes over the local data; 0: statistics alone [4] */
  int batch;         /* [64] */
  float lr;          /* highest rate of a cosine [0.008] */
  float temperature; /* of teachers [2] */
  float mix;     /* of labelled data: share of the loss that is the teachers' [0.5]; of others all of it is */
  int views;     /* in how many ways the teachers see an example, where that pays [1] */
  uint64_t seed; /* [1] */
} RetailorOptions;
void retailor_default(RetailorOptions *o);

typedef struct Retailored {
  uint32_t examples; /* local ones, from which it learned */
  uint32_t
      statistics; /* local examples that BatchNormalization's statistics are estimated on; 0: the model has none */
  int teachers;
  TrainResult train; /* images 0: statistics alone */
} Retailored;

/* A new graph, or NULL and a report. ds: the local data as its training split; larger: [n] other teachers, which may be
 * NULL. A private run cannot use this: statistics and steps see examples as they are. */
Graph *retailor(const Graph *g, const Graph *const *larger, int n, const Dataset *ds,
                const RetailorOptions *o, const Host *host, Retailored *res, Diag *d);

/* Float variants that share weights (ir/family.h), widest first, all together: each with statistics of its own, then one training
 * of the weights that they share, in which the widest and the larger models teach all. out [n] (written): a family as before,
 * the caller's; false: reported, and nothing is in out. */
bool retailor_family(const Graph *const *variants, int n_variants, const Graph *const *larger, int n,
                     const Dataset *ds, const RetailorOptions *o, const Host *host, Graph **out,
                     Retailored *res, Diag *d);

#endif
