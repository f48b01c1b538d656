/* The nets of bench/train.c, and how much work they are. */
#ifndef BENCH_TRAIN_NETS_H
#define BENCH_TRAIN_NETS_H

#include "ir/graph.h"

/* Random weights: speed does not depend on them. The caller's to free. */
Graph *net_resnet8(void);
Graph *net_resnet20(void);
Graph *net_ds_cnn(void);
Graph *net_mobilenet(void);

/* Multiply-accumulates of one example; *first: those of the first layer with weights. */
int64_t net_macs(const Graph *g, int64_t *first);

#endif
