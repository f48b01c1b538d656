/* A value's range from the histogram of what was seen of it.
 *
 *   minmax       everything
 *   percentile   all but a share on either side
 *   mse          the least squared error:
 *                  error(lo, hi) = sum over bins of (inside ? step^2 / 12 : (x - nearest end)^2), step = (hi - lo) / 255
 *   entropy      the least divergence of the distribution that 256 steps tell (each spread evenly over those of its bins that
 *                are not empty) from what was seen, with what is clipped at the ends (Migacz 2017, "8-bit inference with
 *                TensorRT", GTC S7310; there of |x| in 128 steps)
 *
 * Exact zeros (half of what Relu gives) cost nothing: 0 is always a code. mse and entropy shrink both ends together, then
 * either alone (finer steps gained nothing on the models at hand).
 */
#include "passes/calibrate.h"

#include <math.h>
#include <string.h>

enum { SHRINKS = 96, STEPS = 256 };

static double center(const Histogram *h, int b) {
  return (double)h->lo + (b + 0.5) * ((double)h->hi - (double)h->lo) / CAL_BINS;
}

/* Sum of squared errors with this range; clipped: how many elements lie outside. */
static double range_error(const Histogram *h, double lo, double hi, double *clipped) {
  double step = (hi - lo) / 255, inside = 0, outside = 0, n = 0;
  for (int b = 0; b < CAL_BINS; b++) {
    if (h->bin[b] == 0) continue;
    double x = center(h, b), over = x > hi ? x - hi : x < lo ? lo - x : 0;
    if (over > 0)
      outside += h->bin[b] * over * over, n += h->bin[b];
    else
      inside += h->bin[b];
  }
  if (clipped) *clipped = n;
  return inside * step * step / 12 + outside;
}

typedef double ErrorFn(const Histogram *h, double lo, double hi);

static double squared(const Histogram *h, double lo, double hi) { return range_error(h, lo, hi, NULL); }

/* The bin that holds x. */
static int bin_of(const Histogram *h, double x) {
  int b = (int)((x - (double)h->lo) * CAL_BINS / ((double)h->hi - (double)h->lo));
  return b < 0 ? 0 : b >= CAL_BINS ? CAL_BINS - 1 : b;
}

/* Divergence of what the steps of lo .. hi tell from what was seen. */
static double divergence(const Histogram *h, double lo, double hi) {
  const int from = bin_of(h, lo), to = bin_of(h, hi) + 1, n = to - from;
  double seen[CAL_BINS], inside = 0, all = 0, sum = 0;
  for (int b = 0; b < CAL_BINS; b++) all += h->bin[b], inside += b >= from && b < to ? h->bin[b] : 0;
  if (n < STEPS || inside <= 0) return INFINITY;
  memcpy(seen, h->bin + from, (size_t)n * sizeof *seen);
  for (int b = 0; b < from; b++) seen[0] += h->bin[b];
  for (int b = to; b < CAL_BINS; b++) seen[n - 1] += h->bin[b];
  for (int s = 0; s < STEPS; s++) {
    const int a = (int)((int64_t)s * n / STEPS), z = (int)((int64_t)(s + 1) * n / STEPS);
    double mass = 0;
    int full = 0;
    for (int b = a; b < z; b++) mass += h->bin[from + b], full += seen[b] > 0;
    const double told = full ? fmax(mass / full / inside, 1e-12) : 0; /* of each of them */
    for (int b = a; b < z; b++)
      if (seen[b] > 0) sum += seen[b] / all * log(seen[b] / all / told);
  }
  return sum;
}

/* Shrink both ends, then the upper, then the lower, as far as the error falls. */
static void shrink(const Histogram *h, ErrorFn *error, CalRange *r) {
  double lo = (double)r->lo, hi = (double)r->hi, best = error(h, lo, hi);
  const double full_lo = lo, full_hi = hi;
  for (int side = 0; side < 3; side++) {
    const double from_lo = lo, from_hi = hi;
    for (int i = 1; i < SHRINKS; i++) {
      double k = 1 - (double)i / SHRINKS;
      double l = side == 0 ? full_lo * k : side == 2 ? from_lo * k : from_lo;
      double u = side == 0 ? full_hi * k : side == 1 ? from_hi * k : from_hi;
      double e = error(h, l, u);
      if (e < best) best = e, lo = l, hi = u;
    }
  }
  r->lo = (float)lo, r->hi = (float)hi;
}

/* The bins outside of which a share (1 - percentile) lies, on either side. */
static void choose_percentile(const Histogram *h, double percentile, CalRange *r) {
  double out = h->total * (1 - percentile / 100), n = 0, w = ((double)h->hi - (double)h->lo) / CAL_BINS;
  int b = CAL_BINS - 1;
  while (b > 0 && n + h->bin[b] <= out) n += h->bin[b--];
  r->hi = fmaxf(0, (float)((double)h->lo + (b + 1) * w));
  n = 0;
  for (b = 0; b < CAL_BINS - 1 && n + h->bin[b] <= out;) n += h->bin[b++];
  r->lo = fminf(0, (float)((double)h->lo + b * w));
}

void range_choose(const Histogram *h, const CalOptions *o, CalRange *r) {
  if (o->method == CAL_MSE) shrink(h, squared, r);
  if (o->method == CAL_ENTROPY) shrink(h, divergence, r);
  if (o->method == CAL_PERCENTILE) choose_percentile(h, o->percentile, r);
}

void range_measure(const Histogram *h, CalRange *r) {
  double power = 0, error = range_error(h, (double)r->lo, (double)r->hi, &r->clipped);
  for (int b = 0; b < CAL_BINS; b++) power += h->bin[b] * center(h, b) * center(h, b);
  r->clipped /= h->total;
  r->snr = error > 0 && power > 0 ? 10 * log10(power / error) : 0;
}
