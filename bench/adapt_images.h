/* Images that no camera took, and what compression does to images: settings of adaptation are found on these, so that no image of
 * the domain that is to be adapted to has a part in them.
 */
#ifndef BENCH_ADAPT_IMAGES_H
#define BENCH_ADAPT_IMAGES_H

#include "runtime/data/dataset.h"

/* n images [32,32,3] of bytes: dead leaves (Lee, Mumford and Huang 2001): discs whose radii are distributed by r^-3 cover one
 * another; shaded, with the spectrum and the edges of photographs. No labels; split_free. */
Split leaves_new(uint32_t n, uint64_t seed);
/* A copy as JPEG of that quality (1..100) leaves it: YCbCr, chroma at half the resolution, blocks of 8 x 8 quantized by the
 * tables of ITU-T T.81, annex K. Square images of bytes, sides a multiple of 16. */
Split split_compressed(const Split *s, int quality);
void split_free(Split *s);

#endif
