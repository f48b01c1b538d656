/* See obs.h. Costs of all units that are left are computed anew after each removal: small beside the update of H^-1. */
#include "passes/allocate/obs.h"

#include <cblas.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "ir/base/mem.h"
#include "runtime/engine/linear.h"

/* A system's columns by unit: columns[start[u] .. start[u + 1]). */
typedef struct Index {
  uint32_t *start, *columns, most;
} Index;

static Index index_build(const ObsSystem *s, uint32_t n_units) {
  Index x = {.start = mem_array((size_t)n_units + 1, sizeof(uint32_t)),
             .columns = mem_array((size_t)s->n, sizeof(uint32_t))};
  for (int64_t i = 0; i < s->n; i++)
    if (s->unit[i] != OBS_NONE) x.start[s->unit[i] + 1]++;
  for (uint32_t u = 0; u < n_units; u++) {
    if (x.start[u + 1] > x.most) x.most = x.start[u + 1];
    x.start[u + 1] += x.start[u];
  }
  uint32_t *at = mem_array(n_units, sizeof *at);
  memcpy(at, x.start, n_units * sizeof *at);
  for (int64_t i = 0; i < s->n; i++)
    if (s->unit[i] != OBS_NONE) x.columns[at[s->unit[i]]++] = (uint32_t)i;
  mem_free(at);
  return x;
}

static void index_free(Index *x) {
  mem_free(x->start);
  mem_free(x->columns);
}

/* l [k][k]: L with H^-1_SS = L L^T; z [k][m] = L^-1 W_S. Returns |z|^2, the cost of removing unit u. */
static double cost_of(const ObsSystem *s, const Index *x, uint32_t u, double *l, double *z) {
  const uint32_t *c = x->columns + x->start[u];
  int64_t k = x->start[u + 1] - x->start[u];
  if (k == 0) return 0;
  for (int64_t i = 0; i < k; i++) {
    for (int64_t j = 0; j <= i; j++) l[i * k + j] = s->h[c[i] * s->n + c[j]];
    memcpy(z + i * s->m, s->w + c[i] * s->m, (size_t)s->m * sizeof *z);
  }
  spd_decompose(l, k);
  double sum = 0;
  for (int64_t i = 0; i < k; i++) {
    double *row = z + i * s->m;
    for (int64_t j = 0; j < i; j++)
      for (int64_t o = 0; o < s->m; o++) row[o] -= l[i * k + j] * z[j * s->m + o];
    for (int64_t o = 0; o < s->m; o++) {
      row[o] /= l[i * k + i];
      sum += row[o] * row[o];
    }
  }
  return sum;
}

static void remove_unit(ObsSystem *s, const Index *x, uint32_t u, double *l, double *z) {
  const uint32_t *c = x->columns + x->start[u];
  int k = (int)(x->start[u + 1] - x->start[u]), n = (int)s->n, m = (int)s->m;
  if (k == 0) return;
  cost_of(s, x, u, l, z);
  double *p = mem_array((size_t)k * (size_t)n, sizeof *p); /* L^-1 H^-1_S: */
  for (int i = 0; i < k; i++) memcpy(p + (int64_t)i * n, s->h + c[i] * s->n, (size_t)n * sizeof *p);
  cblas_dtrsm(CblasRowMajor, CblasLeft, CblasLower, CblasNoTrans, CblasNonUnit, k, n, 1, l, k, p, n);
  cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, n, n, k, -1, p, n, p, n, 1, s->h, n);
  cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, n, m, k, -1, p, n, z, m, 1, s->w, m);
  mem_free(p);
}

static void look(ObsSystem *s, uint32_t n_systems, uint32_t at) {
  for (uint32_t i = 0; i < n_systems; i++)
    if (s[i].then) memcpy(s[i].then[at], s[i].w, (size_t)(s[i].n * s[i].m) * sizeof *s[i].w);
}

void obs_order(ObsSystem *s, uint32_t n_systems, uint32_t n_units, const double *own, const uint32_t *looks,
               uint32_t n_looks, uint32_t *order, double *error) {
  Index *x = mem_array(n_systems, sizeof *x);
  size_t ll = 1, zz = 1;
  for (uint32_t i = 0; i < n_systems; i++) {
    x[i] = index_build(&s[i], n_units);
    size_t k = x[i].most;
    if (k * k > ll) ll = k * k;
    if (k * (size_t)s[i].m > zz) zz = k * (size_t)s[i].m;
  }
  double *l = mem_array(ll, sizeof *l), *z = mem_array(zz, sizeof *z), total = 0;
  bool *gone = mem_array(n_units, sizeof *gone);
  for (uint32_t step = 0; step < n_units; step++) {
    uint32_t best = OBS_NONE;
    double least = INFINITY;
    for (uint32_t u = 0; u < n_units; u++) {
      double cost = gone[u] ? INFINITY : own[u];
      for (uint32_t i = 0; i < n_systems && cost < least; i++) cost += cost_of(&s[i], &x[i], u, l, z);
      if (cost < least) least = cost, best = u;
    }
    if (best == OBS_NONE) /* nothing is finite */
      for (best = 0; gone[best];) best++;
    gone[best] = true;
    order[step] = best;
    error[step] = total += least;
    for (uint32_t i = 0; i < n_systems; i++) remove_unit(&s[i], &x[i], best, l, z);
    for (uint32_t k = 0; k < n_looks; k++)
      if (looks[k] == step + 1) look(s, n_systems, k);
  }
  for (uint32_t i = 0; i < n_systems; i++) index_free(&x[i]);
  mem_free(x);
  mem_free(l);
  mem_free(z);
  mem_free(gone);
}
