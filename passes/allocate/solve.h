/* Choosing one option for each of some groups, at the least sum of errors under limits.
 *
 *   minimise   sum over groups of error[g][x_g]
 *   such that  sum over factors of cost_r(x of the factor's groups) <= limit_r   for every resource r
 *              no factor forbids x of its groups
 *
 * Limits become prices (Lagrange multipliers, bisected). At given prices the sum of errors and priced costs is minimised
 * exactly, by eliminating one group after the other from the factors (Dechter 1999, bucket elimination): a residual net
 * falls apart into its blocks once the widths between them are given. What prices leave unused is filled by moves of one or
 * two groups.
 */
#ifndef PASSES_ALLOCATE_SOLVE_H
#define PASSES_ALLOCATE_SOLVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SOLVE_RESOURCES = 4 };

/* A table over the options of its groups, the last group's varying fastest. */
typedef struct SolveFactor {
  uint32_t n;
  uint32_t *group;               /* [n] ascending */
  double *cost[SOLVE_RESOURCES]; /* NULL: 0 */
  bool *forbidden;               /* NULL: nothing is */
} SolveFactor;

typedef struct SolveProblem {
  uint32_t n_groups, n_factors, n_resources;
  uint32_t *options; /* [n_groups] how many */
  double **error;    /* [n_groups][options] */
  SolveFactor *factors;
  double limit[SOLVE_RESOURCES]; /* > 0 */
} SolveProblem;

/* -- eliminate.c -- */
/* Elements of a factor's tables. */
size_t solve_factor_size(const SolveProblem *p, const SolveFactor *f);
double solve_error(const SolveProblem *p, const uint32_t *x);
double solve_cost(const SolveProblem *p, uint32_t resource, const uint32_t *x);
/* No factor forbids x, no limit is exceeded. */
bool solve_feasible(const SolveProblem *p, const uint32_t *x);

/* The x of least sum of errors and costs times price. false: tables would grow beyond SOLVE_MOST elements, or everything is
 * forbidden. */
enum { SOLVE_MOST = 1 << 21 };
bool solve_at_prices(const SolveProblem *p, const double *price, uint32_t *x);

/* -- solve_moves.c -- */
/* Moves of one group or of two from x, which is feasible, until none lowers the sum of errors. */
void solve_fill(const SolveProblem *p, uint32_t *x);

/* -- solve.c -- */
/* The whole. false: no x is found that is feasible (x is then the cheapest seen), or tables grow too large (*too_large). */
bool solve(const SolveProblem *p, uint32_t *x, bool *too_large);

#endif
