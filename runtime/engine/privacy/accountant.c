/* Renyi differential privacy of the Poisson-subsampled Gaussian mechanism (accountant.h).
 *
 *   RDP(alpha) = log A(alpha) / (alpha - 1),   A = E_{z ~ N(0, s^2)} [((1 - q) + q mu1(z) / mu0(z))^alpha]
 *
 * Whole orders: a binomial sum. Others: the two series of section 3.3, split at z0 where both terms are equal. Everything is
 * summed as logarithms. Source: Mironov, Talwar, Zhang 2019 (arXiv:1908.10530), sections 3.2 and 3.3.
 */
#include "runtime/engine/privacy/accountant.h"

#include <math.h>
#include <stddef.h>

enum { SERIES_MOST = 60000 };

static const double log_small = -30; /* A is 1 and more, terms alternate: the rest is less than e^-30 of it */

double rdp_order(int i) {
  static const double large[RDP_LARGE] = {72, 80, 96, 128, 256, 512, 1024, 2048};
  if (i < RDP_TENTHS) return 1 + (i + 1) / 10.0;
  i -= RDP_TENTHS;
  return i < RDP_WHOLE ? 12 + i : large[i - RDP_WHOLE];
}

/* log(e^a + e^b) */
static double log_add(double a, double b) {
  const double hi = a > b ? a : b, lo = a > b ? b : a;
  return lo == -INFINITY ? hi : hi + log1p(exp(lo - hi));
}

/* log erfc(x): by its asymptotic series where erfc itself is no longer there. */
static double log_erfc(double x) {
  if (x < 20) return log(erfc(x));
  const double r = 1 / (2 * x * x);
  return -x * x - log(x) - 0.57236494292470008707 + log1p(-r + 3 * r * r - 15 * r * r * r);
}

static double log_whole(double q, double noise, int alpha) {
  double sum = -INFINITY;
  for (int k = 0; k <= alpha; k++) {
    const double choose = lgamma(alpha + 1) - lgamma(k + 1) - lgamma(alpha - k + 1);
    const double chosen = choose + k * log(q) + (alpha - k) * log1p(-q);
    sum = log_add(sum, chosen + ((double)k * k - k) / (2 * noise * noise));
  }
  return sum;
}

/* log |binomial(alpha, i)| and its sign, from that of i - 1. */
static void next_binomial(double alpha, int i, double *log_c, int *sign) {
  const double factor = (alpha - i + 1) / i;
  *log_c += log(fabs(factor));
  if (factor < 0) *sign = -*sign;
}

static double log_fractional(double q, double noise, double alpha) {
  const double z0 = noise * noise * log(1 / q - 1) + 0.5, var2 = 2 * noise * noise, width = sqrt(2.0) * noise;
  const double half = log(0.5), lq = log(q), lp = log1p(-q);
  double plus = -INFINITY, minus = -INFINITY, log_c = 0;
  int sign = 1;
  for (int i = 0; i < SERIES_MOST; i++) {
    if (i) next_binomial(alpha, i, &log_c, &sign);
    const double j = alpha - i;
    const double low =
        log_c + i * lq + j * lp + ((double)i * i - i) / var2 + half + log_erfc((i - z0) / width);
    const double high = log_c + j * lq + i * lp + (j * j - j) / var2 + half + log_erfc((z0 - j) / width);
    const double term = log_add(low, high);
    if (sign > 0)
      plus = log_add(plus, term);
    else
      minus = log_add(minus, term);
    if (isnan(term)) return INFINITY; /* numbers too far apart for the series: nothing is promised */
    if (i > alpha && term < plus + log_small) return plus + log1p(-exp(minus - plus));
  }
  return INFINITY;
}

double rdp_gaussian(double rate, double noise, double alpha) {
  if (rate <= 0) return 0;
  if (!(noise > 0) || !(alpha > 1)) return INFINITY;
  if (rate >= 1) return alpha / (2 * noise * noise);
  const double whole = floor(alpha);
  const double log_a =
      alpha == whole ? log_whole(rate, noise, (int)whole) : log_fractional(rate, noise, alpha);
  if (!(log_a < INFINITY)) return INFINITY;
  return log_a > 0 ? log_a / (alpha - 1) : 0;
}

void rdp_add(RdpCurve *c, double rate, double noise, int64_t steps) {
  for (int i = 0; steps > 0 && i < RDP_ORDERS; i++)
    c->at[i] += (double)steps * rdp_gaussian(rate, noise, rdp_order(i));
}

void rdp_add_curve(RdpCurve *c, const RdpCurve *more) {
  for (int i = 0; i < RDP_ORDERS; i++) c->at[i] += more->at[i];
}

double rdp_epsilon(const RdpCurve *c, double delta, RdpConversion how, double *order) {
  double best = INFINITY;
  if (order) *order = 0;
  for (int i = 0; i < RDP_ORDERS; i++) {
    const double a = rdp_order(i);
    double e = c->at[i] - log(delta) / (a - 1);
    if (how == RDP_TIGHT) e += log1p(-1 / a) - log(a) / (a - 1);
    if (!(e < best)) continue;
    best = e;
    if (order) *order = a;
  }
  return best > 0 ? best : 0;
}

static double epsilon_with(const RdpCurve *spent, double rate, double noise, int64_t steps, double delta) {
  RdpCurve c = *spent;
  rdp_add(&c, rate, noise, steps);
  return rdp_epsilon(&c, delta, RDP_TIGHT, NULL);
}

double rdp_noise_for(const RdpCurve *spent, double rate, int64_t steps, double epsilon, double delta) {
  double lo = 0.05, hi = 1;
  while (epsilon_with(spent, rate, hi, steps, delta) > epsilon)
    if ((hi *= 2) > 1e4) return 0;
  while (hi > lo * 1.001) {
    const double mid = sqrt(lo * hi);
    if (epsilon_with(spent, rate, mid, steps, delta) > epsilon)
      lo = mid;
    else
      hi = mid;
  }
  return hi;
}
