/* Names and locations are no part of a graph's hash, so an entry of the cache may have been made from a model that
 * means the same and is called otherwise. A table of the inputs' names, kept with the entry, lets a hit give the
 * outputs the names of the model at hand.
 */
#ifndef PASSES_STEPS_REBIND_H
#define PASSES_STEPS_REBIND_H

#include "passes/steps/artifact.h"

/* The names of all graphs among the inputs, as an artifact. false: reported. */
bool names_of(const Artifact *in, int n_in, Artifact *out, Diag *d);

/* recorded: names_of the inputs that `out` was made from. Where the names of `in` are others, graphs in out are
 * replaced by ones with the names of `in`. false: reported (our own bytes could not be read). */
bool names_rebind(const Artifact *recorded, const Artifact *in, int n_in, Artifact *out, int n_out, Diag *d);

#endif
