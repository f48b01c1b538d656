/* The learning rate of a step. */
#ifndef RUNTIME_ENGINE_TRAIN_RATE_H
#define RUNTIME_ENGINE_TRAIN_RATE_H

#include "runtime/engine/train/train.h"

/* Of step `done` (0 ..) of `steps`:
 *
 *   cosine    lr (1 + cos(pi t)) / 2, t = done / steps           (Loshchilov, Hutter 2017, arXiv:1608.03983)
 *   constant  lr
 *   steps     lr drop^k, k drops behind t
 *
 * times (done + 1) / (warmup steps) as long as that is below 1. */
float train_rate(const TrainOptions *o, int64_t done, int64_t steps);

#endif
