/* Images as worse cameras, lenses and links hand them over: for benchmarks and tests of what a shift of the data does, never
 * for a figure that is said to be of real ones. Five severities of each kind, fixed once: near those of CIFAR-10-C
 * (Hendrycks and Dietterich 2019, arXiv:1903.12261).
 */
#ifndef RUNTIME_DATA_CORRUPT_H
#define RUNTIME_DATA_CORRUPT_H

#include <stdint.h>

#include "runtime/data/dataset.h"

typedef enum CorruptKind {
  CORRUPT_JPEG,     /* 8x8 DCT, tables and quality as the IJG's; colour planes of half the resolution */
  CORRUPT_BLUR,     /* Gaussian */
  CORRUPT_NOISE,    /* Gaussian */
  CORRUPT_EXPOSURE, /* brighter, cut at white */
  CORRUPT_KINDS
} CorruptKind;
enum { CORRUPT_SEVERITIES = 5 };

const char *corrupt_name(CorruptKind kind);
/* What the severity (1 .. 5) means: quality; deviation in pixels; deviation of 0 .. 1; stops. */
double corrupt_amount(CorruptKind kind, int severity);

/* One image [h][w][c] of bytes, c 1 or 3, in place, by an amount of the kind's own unit. Noise is drawn from (seed, i) alone. */
void corrupt_image(CorruptKind kind, double amount, uint64_t seed, uint32_t i, uint8_t *x, int h, int w,
                   int c);

/* A copy of the split (images of uint8, c 1 or 3; false: reported) with every image so changed; split_close frees it. */
bool corrupt_split(const Split *s, CorruptKind kind, int severity, uint64_t seed, Split *out, Diag *d);

#endif
