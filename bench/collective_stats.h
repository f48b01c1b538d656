/* Intervals and tests of bench/collective.c. */
#ifndef BENCH_COLLECTIVE_STATS_H
#define BENCH_COLLECTIVE_STATS_H

#include <stdbool.h>
#include <stdint.h>

/* n * the weighted mean of cost / whole, with its 95 % interval: bootstrap over the sample, weights going with their costs. */
typedef struct Ratio {
  double value, lo, hi;
} Ratio;
Ratio ratio_of(const double *cost, const double *weight, int sample, double n, double whole, uint64_t seed);

/* Of differences over images. */
typedef struct Paired {
  double mean, error; /* standard */
} Paired;
/* a minus b, image by image, in points. */
Paired paired(const bool *a, const bool *b, uint32_t n);
/* Of the mean over k pairs; a[i], b[i] are pair i's images, the same for all pairs. */
Paired paired_mean(const bool *const *a, const bool *const *b, int k, uint32_t n);
/* How many are below `bound` (one-sided, 5 % for all together: Holm 1979). *least: the least probability. */
int below_by_holm(const Paired *p, int n, double bound, double *least);

#endif
