/* Structured optimal brain surgeon: in which order columns of linear systems go, and what each removal costs once the
 * columns that stay make up for it as well as they can.
 *
 *   error(W) = trace((W - W0)^T H (W - W0));  removing columns S of W costs trace(W_S^T (H^-1_SS)^-1 W_S), then
 *   W -= H^-1_:S (H^-1_SS)^-1 W_S,  H^-1 -= H^-1_:S (H^-1_SS)^-1 H^-1_S:
 *
 * Source: Kurtic et al. 2023 (ZipLM, arXiv:2302.04089), section 3.1; Hassibi and Stork 1993.
 */
#ifndef PASSES_ALLOCATE_OBS_H
#define PASSES_ALLOCATE_OBS_H

#include <stdint.h>

#define OBS_NONE UINT32_MAX

typedef struct ObsSystem {
  int64_t n, m;   /* unknowns, outputs */
  double *h;      /* [n][n] inverse of H; used up */
  double *w;      /* [n][m] weights, outputs scaled so that their errors add up; used up */
  double **then;  /* NULL, or [n_looks] copies of w after so many removals (written) */
  uint32_t *unit; /* [n] the unit that an unknown goes with; OBS_NONE: it stays */
} ObsSystem;

/* Remove units 0 .. n_units-1 one by one, always the one that costs least over all systems (ties: the first).
 *   own     [n_units] what a unit costs beside, whatever else is gone
 *   looks   [n_looks] after how many removals `then` is written
 *   order   [n_units] (written) units as they go
 *   error   [n_units] (written) the sum of costs up to and including that removal; ascending */
void obs_order(ObsSystem *s, uint32_t n_systems, uint32_t n_units, const double *own, const uint32_t *looks,
               uint32_t n_looks, uint32_t *order, double *error);

#endif
