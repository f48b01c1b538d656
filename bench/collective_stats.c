/* See collective_stats.h. */
#include "bench/collective_stats.h"

#include <math.h>
#include <stdlib.h>

#include "ir/base/mem.h"
#include "ir/base/rng.h"

enum { RESAMPLES = 10000 };

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

Ratio ratio_of(const double *cost, const double *weight, int sample, double n, double whole, uint64_t seed) {
  double *all = mem_array(RESAMPLES, sizeof *all), sum = 0, weights = 0;
  Rng r;
  rng_seed(&r, seed, 1);
  for (int i = 0; i < sample; i++) sum += weight[i] * cost[i], weights += weight[i];
  for (int k = 0; k < RESAMPLES; k++) {
    double c = 0, w = 0;
    for (int i = 0; i < sample; i++) {
      const uint32_t at = rng_below(&r, (uint32_t)sample);
      c += weight[at] * cost[at], w += weight[at];
    }
    all[k] = w > 0 ? n * c / w / whole : NAN;
  }
  qsort(all, RESAMPLES, sizeof *all, ascending);
  const Ratio out = {n * sum / weights / whole, all[RESAMPLES / 40], all[RESAMPLES - 1 - RESAMPLES / 40]};
  mem_free(all);
  return out;
}

/* Of n values with this sum and sum of squares. */
static Paired of_sums(double sum, double squares, double n) {
  const double mean = sum / n;
  return (Paired){100 * mean, 100 * sqrt(fmax(0, squares / n - mean * mean) / fmax(1, n - 1))};
}

Paired paired_mean(const bool *const *a, const bool *const *b, int k, uint32_t n) {
  double sum = 0, squares = 0;
  for (uint32_t i = 0; i < n; i++) {
    double d = 0;
    for (int t = 0; t < k; t++) d += (double)a[t][i] - (double)b[t][i];
    d /= k;
    sum += d, squares += d * d;
  }
  return of_sums(sum, squares, n);
}

Paired paired(const bool *a, const bool *b, uint32_t n) { return paired_mean(&a, &b, 1, n); }

int below_by_holm(const Paired *p, int n, double bound, double *least) {
  double *probability = mem_array((size_t)n + 1, sizeof *probability);
  for (int i = 0; i < n; i++) {
    const double over = p[i].mean - bound; /* no error: both sides answer alike */
    probability[i] = p[i].error > 0 ? 0.5 * erfc(-over / p[i].error / sqrt(2)) : over < 0 ? 0 : 1;
  }
  qsort(probability, (size_t)n, sizeof *probability, ascending);
  int k = 0;
  while (k < n && probability[k] <= 0.05 / (n - k)) k++;
  *least = n > 0 ? probability[0] : 1;
  mem_free(probability);
  return k;
}
