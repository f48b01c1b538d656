/* What a site makes of its data for others, and what it makes of theirs.
 *
 *   tune      some layers learn from local data, privately or not (engine/privacy/tune.h)
 *   update    the difference that made, as an exchange file; several of them applied to the shipped model
 *   outputs   a model's answers on a public set, as an exchange file; several of them learnt from
 */
#ifndef PASSES_ADAPT_SHARE_H
#define PASSES_ADAPT_SHARE_H

#include "passes/adapt/exchange.h"
#include "passes/adapt/scope.h"
#include "runtime/engine/privacy/tune.h"

/* Plain data; share_default gives the values in brackets. */
typedef struct ShareOptions {
  AdaptLayers layers;     /* [last] */
  double rate;            /* Poisson sampling [0.05] */
  double nominal;         /* examples that a step is divided for; 0: as many as there are [0] */
  int64_t steps;          /* [200] */
  double lr;              /* [0.1] */
  double momentum;        /* [0.9] */
  double clip;            /* 0: none [1] */
  double noise;           /* [0] */
  double decay;           /* towards the shipped values [0] */
  float temperature, mix; /* of teachers [1, 0.5]; without labels mix is 1 */
} ShareOptions;
void share_default(ShareOptions *o);

/* Examples to learn from. */
typedef struct ShareData {
  const Split *split; /* its labels are used where there are some */
  const Normalize *normalize;
  const float *teacher; /* [split->n][classes] logits; NULL: labels alone */
} ShareData;

/* A model with the layers learnt; where the last layer alone learns, on features that are computed once. NULL: reported. */
Graph *share_tune(const Graph *g, const ShareData *data, const ShareOptions *o, Noise *random,
                  const Host *host, TuneResult *res, Diag *d);

/* tuned - base, of the layers; out: kind, layers, model, rows, columns and values (exchange_free) are set. */
bool share_update(const Graph *base, const Graph *tuned, AdaptLayers layers, Exchange *out, Diag *d);
/* base plus the mean of n updates, by weight. */
Graph *share_apply(const Graph *base, const Exchange *updates, int n, Diag *d);

/* What tells one public set from another: its examples, whether labelled or not. */
Hash share_public(const Split *public_set);
/* g's answers on a public set; base: the shipped model, to which the file belongs. */
bool share_outputs(const Graph *g, const Graph *base, const Split *public_set, const Normalize *nz,
                   const Host *host, Exchange *out, Diag *d);
/* g with o->layers learnt from the mean of n sites' answers on the public set. */
Graph *share_learn(const Graph *g, const Split *public_set, const Normalize *nz, const Exchange *outputs,
                   int n, const ShareOptions *o, Noise *random, const Host *host, Diag *d);

#endif
