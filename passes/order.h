/* Order: channels of a group in another order, without changing what the graph computes.
 *
 *   conv rows      0 1 2 3     place = 2 0 3 1     2 0 3 1
 *   next's slices  0 1 2 3           ->            2 0 3 1     and so for every constant with channels of the group
 *
 * So that what a narrower variant keeps stands first everywhere, and its weights are prefixes of the wider one's.
 */
#ifndef PASSES_ORDER_H
#define PASSES_ORDER_H

#include "passes/prune.h"

/* Whether the units of group g can change places: each stands as often as any other along every axis. */
bool order_can(const Channels *c, uint32_t g);

/* The graph in which the unit u stands where place[u] stood: place [n_units], a permutation within each group, and the
 * identity in groups that cannot be ordered. Same structure and shapes, equal outputs up to the order of sums; constants
 * that do not change are shared. NULL: reported. */
Graph *order_apply(const Channels *c, const uint32_t *place, Diag *d);

/* Whether, with its units in their order, plans that keep the first units of group g (at least its `least`) and all of others
 * leave prefixes of all weights along every axis, in graphs that differ in shapes alone (ir/family.h). */
bool order_is_prefix(const Channels *c, uint32_t g);

/* -- unflatten.c -- */
/* The graph with a Conv whose window is the image instead of each FullyConnected on a flattened one: then the image's channels,
 * too, can leave prefixes. Computes the same. NULL: reported. */
Graph *order_unflatten(const Graph *g, Diag *d);

#endif
