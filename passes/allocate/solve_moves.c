/* Filling what prices leave unused: the move of one group, or of two, that lowers the errors most, again and again (solve.h).
 *
 * What a move of one group costs is summed once for each option; two groups that no factor holds together cost what each
 * does alone. Before a move is taken the whole is asked.
 */
#include <string.h>

#include "ir/base/arena.h"
#include "passes/allocate/solve.h"

typedef struct Moves {
  const SolveProblem *p;
  Arena *a;
  uint32_t *x;
  uint32_t **factors, *n_factors; /* [n_groups] those that hold the group */
  bool *together;                 /* [n_groups][n_groups] some factor holds both */
  double now[SOLVE_RESOURCES];
  double **cost; /* [n_groups][options][SOLVE_RESOURCES] what the option alone would add */
  bool **bad;    /* [n_groups][options] some factor forbids it */
} Moves;

typedef struct Move {
  uint32_t g, a, h, b; /* h == g: of one group */
} Move;

static bool factor_holds(const SolveFactor *f, uint32_t g) {
  for (uint32_t i = 0; i < f->n; i++)
    if (f->group[i] == g) return true;
  return false;
}

static void moves_open(Moves *m) {
  const SolveProblem *p = m->p;
  uint32_t n = p->n_groups;
  m->a = arena_new();
  m->factors = arena_array(m->a, n, sizeof *m->factors);
  m->n_factors = arena_array(m->a, n, sizeof *m->n_factors);
  m->together = arena_array(m->a, (size_t)n * n, sizeof *m->together);
  m->cost = arena_array(m->a, n, sizeof *m->cost);
  m->bad = arena_array(m->a, n, sizeof *m->bad);
  for (uint32_t g = 0; g < n; g++) {
    m->factors[g] = arena_array(m->a, p->n_factors, sizeof **m->factors);
    m->cost[g] = arena_array(m->a, (size_t)p->options[g] * SOLVE_RESOURCES, sizeof **m->cost);
    m->bad[g] = arena_array(m->a, p->options[g], sizeof **m->bad);
  }
  for (uint32_t i = 0; i < p->n_factors; i++)
    for (uint32_t k = 0; k < p->factors[i].n; k++) {
      uint32_t g = p->factors[i].group[k];
      m->factors[g][m->n_factors[g]++] = i;
      for (uint32_t j = 0; j < p->factors[i].n; j++) m->together[g * n + p->factors[i].group[j]] = true;
    }
}

static size_t at(const SolveProblem *p, const SolveFactor *f, const uint32_t *x) {
  size_t k = 0;
  for (uint32_t i = 0; i < f->n; i++) k = k * p->options[f->group[i]] + x[f->group[i]];
  return k;
}

/* Add the costs of g's factors as x is now, times sign, those that hold `but` left out. false: one forbids x. */
static bool add_factors(const Moves *m, uint32_t g, uint32_t but, double sign, double *cost) {
  bool allowed = true;
  for (uint32_t i = 0; i < m->n_factors[g]; i++) {
    const SolveFactor *f = &m->p->factors[m->factors[g][i]];
    if (but != g && factor_holds(f, but)) continue;
    size_t k = at(m->p, f, m->x);
    allowed &= !(f->forbidden && f->forbidden[k]);
    for (uint32_t r = 0; r < m->p->n_resources; r++)
      if (f->cost[r]) cost[r] += sign * f->cost[r][k];
  }
  return allowed;
}

/* What each option of each group alone would add to the costs of x. */
static void look(Moves *m) {
  const SolveProblem *p = m->p;
  for (uint32_t r = 0; r < p->n_resources; r++) m->now[r] = solve_cost(p, r, m->x);
  for (uint32_t g = 0; g < p->n_groups; g++) {
    uint32_t was = m->x[g];
    double before[SOLVE_RESOURCES] = {0};
    add_factors(m, g, g, 1, before);
    for (m->x[g] = 0; m->x[g] < p->options[g]; m->x[g]++) {
      double *cost = m->cost[g] + m->x[g] * SOLVE_RESOURCES;
      for (uint32_t r = 0; r < p->n_resources; r++) cost[r] = -before[r];
      m->bad[g][m->x[g]] = !add_factors(m, g, g, 1, cost);
    }
    m->x[g] = was;
  }
}

static void apply(const Moves *m, const Move *v, uint32_t *was) {
  was[0] = m->x[v->g], was[1] = m->x[v->h];
  m->x[v->h] = v->b;
  m->x[v->g] = v->a;
}

static void undo(const Moves *m, const Move *v, const uint32_t *was) {
  m->x[v->h] = was[1];
  m->x[v->g] = was[0];
}

/* Whether the limits seem to hold after the move. */
static bool seems_feasible(const Moves *m, const Move *v) {
  double add[SOLVE_RESOURCES] = {0};
  const SolveProblem *p = m->p;
  if (v->g != v->h && m->together[v->g * p->n_groups + v->h]) {
    uint32_t was[2];
    add_factors(m, v->g, v->g, -1, add);
    add_factors(m, v->h, v->g, -1, add);
    apply(m, v, was);
    bool allowed = add_factors(m, v->g, v->g, 1, add);
    allowed &= add_factors(m, v->h, v->g, 1, add);
    undo(m, v, was);
    if (!allowed) return false;
  } else {
    if (m->bad[v->g][v->a] || (v->h != v->g && m->bad[v->h][v->b])) return false;
    for (uint32_t r = 0; r < p->n_resources; r++) {
      add[r] = m->cost[v->g][v->a * SOLVE_RESOURCES + r];
      if (v->h != v->g) add[r] += m->cost[v->h][v->b * SOLVE_RESOURCES + r];
    }
  }
  for (uint32_t r = 0; r < p->n_resources; r++)
    if (m->now[r] + add[r] > p->limit[r] * (1 + 1e-9)) return false;
  return true;
}

/* Keep the move where it is feasible and better by more than *gain. */
static void judge(const Moves *m, const Move *v, double *gain, Move *best) {
  const SolveProblem *p = m->p;
  double won = p->error[v->g][m->x[v->g]] - p->error[v->g][v->a];
  if (v->h != v->g) won += p->error[v->h][m->x[v->h]] - p->error[v->h][v->b];
  if (!(won > *gain * (1 + 1e-9) + 1e-15) || !seems_feasible(m, v)) return;
  uint32_t was[2];
  apply(m, v, was);
  if (solve_feasible(p, m->x)) *gain = won, *best = *v;
  undo(m, v, was);
}

/* The best move; false: none is better. */
static bool improve(Moves *m) {
  const SolveProblem *p = m->p;
  double gain = 0;
  Move best = {0};
  look(m);
  for (uint32_t g = 0; g < p->n_groups; g++)
    for (uint32_t a = 0; a < p->options[g]; a++) {
      if (!(p->error[g][a] < p->error[g][m->x[g]])) continue;
      judge(m, &(Move){g, a, g, a}, &gain, &best);
      for (uint32_t h = 0; h < p->n_groups; h++)
        for (uint32_t b = 0; h != g && b < p->options[h]; b++)
          if (b != m->x[h]) judge(m, &(Move){g, a, h, b}, &gain, &best);
    }
  if (gain <= 0) return false;
  m->x[best.h] = best.b;
  m->x[best.g] = best.a;
  return true;
}

void solve_fill(const SolveProblem *p, uint32_t *x) {
  Moves m = {.p = p, .x = x};
  moves_open(&m);
  for (int k = 0; k < 200 && improve(&m); k++) continue;
  arena_free(m.a);
}
