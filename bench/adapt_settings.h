/* Settings of `mistify adapt`, chosen before the real shift is looked at: the first stage of part "gateway". */
#ifndef BENCH_ADAPT_SETTINGS_H
#define BENCH_ADAPT_SETTINGS_H

#include "bench/adapt.h"
#include "passes/adapt/retailor.h"

/* The candidate of the grid that gains most on shifts that we make; rows of all. *augmented: whether local images are to be
 * augmented as the model's were in training. false: an input is missing (adapt_skip). */
bool settings_choose(Adapt *ad, RetailorOptions *out, bool *augmented);

#endif
