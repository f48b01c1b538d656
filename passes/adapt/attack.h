/* Membership inference: how well the loss of an example tells whether a model has learnt from it. Run beside every exchange
 * that is not private, so that "no formal guarantee" has a figure beside it.
 */
#ifndef PASSES_ADAPT_ATTACK_H
#define PASSES_ADAPT_ATTACK_H

#include "ir/step.h"
#include "runtime/data/dataset.h"

typedef struct Attack {
  uint32_t members, others;
  double loss, loss_stderr; /* AUC of: members have the smaller loss (Yeom et al. 2018, arXiv:1709.01604) */
  double gain, gain_stderr; /* AUC of: members' loss fell more since the model before (calibrated by it) */
} Attack;

/* before: what everybody has; after: what was made of it with the members. Labels of either split that are missing are
 * `before`'s answers. 0.5 is chance. */
bool attack_membership(const Graph *before, const Graph *after, const Split *members, const Split *others,
                       const Normalize *nz, const Host *host, Attack *out, Diag *d);

#endif
