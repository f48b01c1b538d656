/* A task that small nets learn in seconds: stripes along rows, along columns, or a chequerboard, with noise. */
#ifndef TESTS_ENGINE_STRIPES_H
#define TESTS_ENGINE_STRIPES_H

#include "runtime/engine/engine.h"

enum { STRIPES_SIDE = 8, STRIPES_ITEM = STRIPES_SIDE * STRIPES_SIDE * 2, STRIPES_CLASSES = 3 };

/* 512 training and 200 validation images [8,8,2] uint8; dataset_close frees them. */
Dataset stripes_data(void);

/* A residual net of them (text of tests/engine/nets.h), with BatchNormalization; the same without. */
extern const char stripes_net[], stripes_plain_net[];

/* Share of the validation images that g gets right. */
double stripes_accuracy(const Graph *g, const Dataset *ds);

#endif
