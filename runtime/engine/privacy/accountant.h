/* What steps of DP-SGD cost: Renyi differential privacy of the Poisson-subsampled Gaussian mechanism.
 *
 *   step: every record is in with probability `rate`; sum of vectors of norm at most C, plus N(0, (noise * C)^2)
 *   cost: a curve, RDP at each order of a fixed list; curves of all steps ever taken are added
 *   (epsilon, delta) is read off the sum at the order where it is least
 *
 * Neighbours differ by one record that is added or removed. Source: Mironov, Talwar, Zhang 2019 (arXiv:1908.10530).
 */
#ifndef RUNTIME_ENGINE_PRIVACY_ACCOUNTANT_H
#define RUNTIME_ENGINE_PRIVACY_ACCOUNTANT_H

#include <stdbool.h>
#include <stdint.h>

enum { RDP_TENTHS = 99, RDP_WHOLE = 52, RDP_LARGE = 8, RDP_ORDERS = RDP_TENTHS + RDP_WHOLE + RDP_LARGE };

typedef struct RdpCurve {
  double at[RDP_ORDERS]; /* at rdp_order(i); INFINITY where nothing is promised */
} RdpCurve;

/* How RDP becomes (epsilon, delta). */
typedef enum RdpConversion {
  RDP_TIGHT,  /* Canonne, Kamath, Steinke 2020 (arXiv:2004.00010), proposition 12; Balle et al. 2020 */
  RDP_CLASSIC /* Mironov 2017 (arXiv:1702.07476), proposition 3: larger; older tables use it */
} RdpConversion;

/* Order i: 1.1 .. 10.9 by 0.1, 12 .. 63, then a few large ones for little noise spent. */
double rdp_order(int i);
/* RDP of one step at order alpha > 1.  rate 0..1, noise > 0. INFINITY where the series does not converge. */
double rdp_gaussian(double rate, double noise, double alpha);
/* Add `steps` steps to a curve. */
void rdp_add(RdpCurve *c, double rate, double noise, int64_t steps);
void rdp_add_curve(RdpCurve *c, const RdpCurve *more);
/* Least epsilon at delta (0 < delta < 1), never below 0; *order: where (may be NULL). */
double rdp_epsilon(const RdpCurve *c, double delta, RdpConversion how, double *order);
/* The least noise (to 0.1 %) with which `steps` steps on top of `spent` stay within epsilon at delta; 0: none up to 1e4 does. */
double rdp_noise_for(const RdpCurve *spent, double rate, int64_t steps, double epsilon, double delta);

#endif
