/* A ResNet-8 of CIFAR-10 for `make bench-adapt`: MLPerf Tiny's weights, trained on for the JPEG copies under a ResNet-20's eyes. */
#ifndef BENCH_ADAPT_RESNET8_H
#define BENCH_ADAPT_RESNET8_H

#include "bench/adapt.h"

/* What is not here; NULL: all is. */
const char *resnet8_missing(Arena *a);
/* folder/data/cloud.onnx, where it is not there yet, and the text of a design in `folder` (five below the top) that tailors it.
 * Validation is images 0 to 1,999 of test.bin; no run of it reads others. */
const char *resnet8_design(const Adapt *ad, const char *folder);
/* The final images, 2,000 to 9,999; in a quick run a hundred of validation. */
void resnet8_test(const Adapt *ad, Split *test);

#endif
