/* Images that no camera took: what calibrates a net that is to be surprised by photographs. */
#ifndef BENCH_ADAPT_IMAGES_H
#define BENCH_ADAPT_IMAGES_H

#include "runtime/data/dataset.h"

/* n images [32,32,3] of bytes: dead leaves (Lee, Mumford and Huang 2001): discs whose radii are distributed by r^-3 cover one
 * another; shaded, with the spectrum and the edges of photographs. No labels; split_free. */
Split leaves_new(uint32_t n, uint64_t seed);
void split_free(Split *s);

#endif
