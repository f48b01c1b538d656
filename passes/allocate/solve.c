/* Prices for limits; see solve.h. */
#include "passes/allocate/solve.h"

#include <math.h>
#include <string.h>

#include "ir/base/mem.h"

enum { PASSES = 3, BISECTIONS = 24 };

typedef struct Search {
  const SolveProblem *p;
  double *price;
  uint32_t *x, *best; /* now; the feasible one of least error so far */
  double error;       /* of best; +inf: none */
  double over;        /* without one: the least excess seen, of the cheapest in `best` */
  bool too_large;
} Search;

static double excess(const SolveProblem *p, const uint32_t *x) {
  double most = 0;
  for (uint32_t r = 0; r < p->n_resources; r++) most = fmax(most, solve_cost(p, r, x) / p->limit[r] - 1);
  return most;
}

/* Solve at the prices; remember a better one. false: cannot be solved. */
static bool try_prices(Search *s) {
  if (!solve_at_prices(s->p, s->price, s->x)) {
    s->too_large = true;
    return false;
  }
  double e = solve_error(s->p, s->x);
  size_t bytes = s->p->n_groups * sizeof *s->x;
  if (solve_feasible(s->p, s->x)) {
    if (e < s->error) {
      s->error = e;
      memcpy(s->best, s->x, bytes);
    }
  } else if (s->error == INFINITY && excess(s->p, s->x) < s->over) {
    s->over = excess(s->p, s->x);
    memcpy(s->best, s->x, bytes);
  }
  return true;
}

/* The least price of r (others as they are) at which r's limit holds; the highest tried, where none does. */
static bool price_of(Search *s, uint32_t r) {
  double lo = 0, hi = 1e-9 / s->p->limit[r];
  s->price[r] = 0;
  if (!try_prices(s)) return false;
  if (solve_cost(s->p, r, s->x) <= s->p->limit[r]) return true;
  for (int k = 0; k < 60; k++, lo = hi, hi *= 4) {
    s->price[r] = hi;
    if (!try_prices(s)) return false;
    if (solve_cost(s->p, r, s->x) <= s->p->limit[r]) break;
  }
  for (int k = 0; k < BISECTIONS; k++) {
    s->price[r] = lo > 0 ? sqrt(lo * hi) : hi / 2;
    if (!try_prices(s)) return false;
    if (solve_cost(s->p, r, s->x) <= s->p->limit[r])
      hi = s->price[r];
    else
      lo = s->price[r];
  }
  s->price[r] = hi;
  return true;
}

bool solve(const SolveProblem *p, uint32_t *x, bool *too_large) {
  Search s = {.p = p, .best = x, .error = INFINITY, .over = INFINITY};
  s.x = mem_array(p->n_groups, sizeof *s.x);
  s.price = mem_array(SOLVE_RESOURCES, sizeof *s.price);
  bool ok = try_prices(&s);
  bool loose = ok && s.error < INFINITY; /* no limit binds */
  for (int k = 0; ok && !loose && k < (p->n_resources > 1 ? PASSES : 1); k++)
    for (uint32_t r = 0; ok && r < p->n_resources; r++) ok = price_of(&s, r);
  bool found = s.error < INFINITY;
  if (found) solve_fill(p, x);
  *too_large = s.too_large;
  mem_free(s.x);
  mem_free(s.price);
  return found;
}
