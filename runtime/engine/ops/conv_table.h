/* Which way of computing a convolution is the fastest, by a table of measurements; see ops/conv_table.c. */
#ifndef RUNTIME_ENGINE_OPS_CONV_TABLE_H
#define RUNTIME_ENGINE_OPS_CONV_TABLE_H

#include "runtime/engine/ops/conv.h"

/* The way for a convolution that can be computed by `possible` (bits 1 << way), on the named kernel set. */
ConvWay conv_table_way(const char *set, const ConvGeometry *q, bool training, unsigned possible);

#endif
