/* The domain shift of `make bench-adapt`: ResNets that learned from lossless images, and CIFAR-10's JPEG copies. Local data are
 * images 0 to 4,999 of test.bin, evaluation 5,000 to 9,999. */
#ifndef BENCH_ADAPT_SHIFT_H
#define BENCH_ADAPT_SHIFT_H

#include "bench/adapt.h"

enum { SHIFT_LOCAL = 5000, SHIFT_ITEM = 3072 };

/* Are the data here? */
bool shift_there(void);
/* resnet20 or resnet56 by their file's name, prepared for training. */
Graph *shift_net(const Adapt *ad, const char *file);
/* Images first .. first + count - 1 of test.bin. */
Split shift_images(const Adapt *ad, uint32_t first, uint32_t count);
/* For the final figures; in a quick run images 4,000 to 4,999, and fewer are local. */
Split shift_evaluation(const Adapt *ad);
uint32_t shift_local(const Adapt *ad);

#endif
