/* Minimising at given prices: see solve.h.
 *
 *   tables that hold group g  ->  one table over all their other groups: the least over g's options, and which it was
 *
 * The group whose new table is smallest goes first. Choices are read back in the opposite order.
 */
#include <math.h>
#include <string.h>

#include "ir/base/arena.h"
#include "ir/base/diag.h"
#include "ir/base/mem.h"
#include "passes/allocate/solve.h"

typedef struct Table {
  uint32_t n;
  uint32_t *group; /* ascending; the last varies fastest */
  double *v;
  uint32_t *best; /* of an elimination: the option taken; NULL */
  bool used;
} Table;

typedef struct Elimination {
  const SolveProblem *p;
  Arena *a;
  Table *t;
  uint32_t n_tables, room;
  uint32_t *x;
} Elimination;

static size_t size_of(const SolveProblem *p, const uint32_t *group, uint32_t n) {
  size_t size = 1;
  for (uint32_t i = 0; i < n; i++) {
    size *= p->options[group[i]];
    if (size > SOLVE_MOST) return (size_t)SOLVE_MOST + 1;
  }
  return size;
}

size_t solve_factor_size(const SolveProblem *p, const SolveFactor *f) { return size_of(p, f->group, f->n); }

static size_t index_of(const SolveProblem *p, const uint32_t *group, uint32_t n, const uint32_t *x) {
  size_t at = 0;
  for (uint32_t i = 0; i < n; i++) at = at * p->options[group[i]] + x[group[i]];
  return at;
}

/* ---- asking */

double solve_error(const SolveProblem *p, const uint32_t *x) {
  double sum = 0;
  for (uint32_t g = 0; g < p->n_groups; g++) sum += p->error[g][x[g]];
  return sum;
}

double solve_cost(const SolveProblem *p, uint32_t resource, const uint32_t *x) {
  double sum = 0;
  for (uint32_t i = 0; i < p->n_factors; i++) {
    const SolveFactor *f = &p->factors[i];
    if (f->cost[resource]) sum += f->cost[resource][index_of(p, f->group, f->n, x)];
  }
  return sum;
}

bool solve_feasible(const SolveProblem *p, const uint32_t *x) {
  for (uint32_t i = 0; i < p->n_factors; i++) {
    const SolveFactor *f = &p->factors[i];
    if (f->forbidden && f->forbidden[index_of(p, f->group, f->n, x)]) return false;
  }
  for (uint32_t r = 0; r < p->n_resources; r++)
    if (solve_cost(p, r, x) > p->limit[r] * (1 + 1e-12)) return false;
  return true;
}

/* ---- elimination */

static bool holds(const Table *t, uint32_t g) {
  for (uint32_t i = 0; i < t->n; i++)
    if (t->group[i] == g) return true;
  return false;
}

/* Groups other than g in the tables that hold g, ascending: into `group`, their number. */
static uint32_t neighbours(const Elimination *e, uint32_t g, uint32_t *group) {
  bool *seen = mem_array(e->p->n_groups, sizeof *seen);
  uint32_t n = 0;
  for (uint32_t i = 0; i < e->n_tables; i++) {
    if (e->t[i].used || !holds(&e->t[i], g)) continue;
    for (uint32_t k = 0; k < e->t[i].n; k++) seen[e->t[i].group[k]] = true;
  }
  for (uint32_t k = 0; k < e->p->n_groups; k++)
    if (seen[k] && k != g) group[n++] = k;
  mem_free(seen);
  return n;
}

static Table *table_new(Elimination *e, const uint32_t *group, uint32_t n) {
  ASSERT(e->n_tables < e->room);
  Table *t = &e->t[e->n_tables++];
  *t = (Table){.n = n, .group = arena_dup(e->a, group, n * sizeof *group)};
  t->v = arena_array(e->a, size_of(e->p, group, n), sizeof *t->v);
  return t;
}

/* The next assignment of the groups; false behind the last. */
static bool advance(const SolveProblem *p, const uint32_t *group, uint32_t n, uint32_t *x) {
  while (n-- > 0) {
    if (++x[group[n]] < p->options[group[n]]) return true;
    x[group[n]] = 0;
  }
  return false;
}

static void eliminate(Elimination *e, uint32_t g, const uint32_t *group, uint32_t n) {
  const SolveProblem *p = e->p;
  const Table **with = arena_array(e->a, e->n_tables, sizeof(Table *));
  uint32_t n_with = 0;
  for (uint32_t i = 0; i < e->n_tables; i++)
    if (!e->t[i].used && holds(&e->t[i], g)) e->t[i].used = true, with[n_with++] = &e->t[i];
  Table *t = table_new(e, group, n);
  t->best = arena_array(e->a, size_of(p, group, n), sizeof *t->best);
  for (uint32_t i = 0; i < n; i++) e->x[group[i]] = 0;
  size_t at = 0;
  do {
    double least = INFINITY;
    for (e->x[g] = 0; e->x[g] < p->options[g]; e->x[g]++) {
      double sum = p->error[g][e->x[g]];
      for (uint32_t i = 0; i < n_with; i++) sum += with[i]->v[index_of(p, with[i]->group, with[i]->n, e->x)];
      if (sum < least) least = sum, t->best[at] = e->x[g];
    }
    t->v[at++] = least;
  } while (advance(p, group, n, e->x));
}

static void price_factors(Elimination *e, const double *price) {
  const SolveProblem *p = e->p;
  for (uint32_t i = 0; i < p->n_factors; i++) {
    const SolveFactor *f = &p->factors[i];
    Table *t = table_new(e, f->group, f->n);
    size_t n = solve_factor_size(p, f);
    for (uint32_t r = 0; r < p->n_resources; r++)
      for (size_t k = 0; f->cost[r] && price[r] > 0 && k < n; k++) t->v[k] += price[r] * f->cost[r][k];
    for (size_t k = 0; f->forbidden && k < n; k++)
      if (f->forbidden[k]) t->v[k] = INFINITY;
  }
}

/* The group left whose elimination makes the smallest table. */
static uint32_t choose(const Elimination *e, const bool *done, uint32_t *group, uint32_t *n, size_t *size) {
  uint32_t best = UINT32_MAX;
  *size = SIZE_MAX;
  for (uint32_t g = 0; g < e->p->n_groups; g++) {
    if (done[g]) continue;
    uint32_t count = neighbours(e, g, group);
    size_t s = size_of(e->p, group, count);
    if (s < *size) *size = s, best = g;
  }
  *n = neighbours(e, best, group);
  return best;
}

static bool run(Elimination *e, const double *price) {
  uint32_t n_groups = e->p->n_groups, n = 0;
  uint32_t *order = arena_array(e->a, n_groups, sizeof *order),
           *group = arena_array(e->a, n_groups, sizeof *group);
  bool *done = arena_array(e->a, n_groups, sizeof *done);
  double least = 0;
  for (uint32_t i = 0; i < e->p->n_factors; i++)
    if (solve_factor_size(e->p, &e->p->factors[i]) > SOLVE_MOST) return false;
  price_factors(e, price);
  for (uint32_t k = 0; k < n_groups; k++) {
    size_t size;
    order[k] = choose(e, done, group, &n, &size);
    if (size > SOLVE_MOST) return false;
    done[order[k]] = true;
    eliminate(e, order[k], group, n);
  }
  for (uint32_t k = n_groups; k-- > 0;) { /* the k-th elimination's table stands behind the factors' */
    const Table *t = &e->t[e->p->n_factors + k];
    size_t at = index_of(e->p, t->group, t->n, e->x);
    e->x[order[k]] = t->best[at];
    if (t->n == 0) least += t->v[at];
  }
  return least < INFINITY;
}

bool solve_at_prices(const SolveProblem *p, const double *price, uint32_t *x) {
  Elimination e = {.p = p, .a = arena_new(), .x = x, .room = p->n_factors + p->n_groups};
  e.t = arena_array(e.a, e.room, sizeof *e.t);
  bool ok = run(&e, price);
  arena_free(e.a);
  return ok;
}
