/* Networks for the tests of pruning and quantization: random ones that combine every construct by which channels
 * are coupled, and a residual one with zero-padded shortcuts.
 */
#ifndef TESTS_PASSES_NETS_H
#define TESTS_PASSES_NETS_H

#include "ir/graph.h"

/* A float net, NHWC, symbolic batch, BatchNormalization apart; verified. classes: of its one output. */
Graph *net_random(uint64_t seed);
/* The same constructs, but only operators that have an int8 form and no BatchNormalization. */
Graph *net_random_plain(uint64_t seed);
/* Three stages of 8, 16 and 32 channels of `blocks` blocks each; from stage to stage a shortcut that takes every
 * second pixel and pads the channels with zeros on both sides. Input [N,8,8,3], 5 classes. */
Graph *net_residual(int blocks, uint64_t seed);

/* Where the operator `op` stands for the k-th time; NO_NODE. */
NodeId net_find(const Graph *g, OpKind op, int k);

#endif
