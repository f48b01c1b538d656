/* Least squares by the normal equations, in double precision: sums are accumulated block by block (OpenBLAS), the system
 * is solved by a Cholesky decomposition of our own. A pivot that is nothing beside its diagonal element belongs to an
 * unknown that the ones before it determine (or that is never seen): it is taken as 0.
 */
#include <cblas.h>
#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "runtime/engine/reconstruct.h"

void normal_init(Normal *s, int64_t n, int64_t m) {
  *s = (Normal){.n = n, .m = m};
  s->a = mem_array((size_t)(n * n), sizeof *s->a);
  s->b = mem_array((size_t)(n * m), sizeof *s->b);
  s->yy = mem_array((size_t)m, sizeof *s->yy);
}

void normal_free(Normal *s) {
  mem_free(s->a);
  mem_free(s->b);
  mem_free(s->yy);
  *s = (Normal){0};
}

void normal_add(Normal *s, const double *x, const double *y, int64_t rows) {
  int n = (int)s->n, m = (int)s->m;
  cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, n, (int)rows, 1, x, n, 1, s->a, n);
  cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, n, m, (int)rows, 1, x, n, y, m, 1, s->b, m);
  for (int64_t r = 0; r < rows; r++)
    for (int64_t k = 0; k < s->m; k++) s->yy[k] += y[r * s->m + k] * y[r * s->m + k];
  s->rows += rows;
}

static double dot(const double *a, const double *b, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += a[i] * b[i];
  return sum;
}

/* l [n][n] lower: a = l l^T; the diagonal holds 1 / l[j][j], 0 for unknowns left out. */
static void decompose(double *l, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    double *row = l + i * n, diagonal = row[i];
    for (int64_t j = 0; j < i; j++) row[j] = (row[j] - dot(row, l + j * n, j)) * l[j * n + j];
    double pivot = diagonal - dot(row, row, i);
    row[i] = pivot > 1e-10 * diagonal && pivot > 0 ? 1 / sqrt(pivot) : 0;
  }
}

/* One right side, in place: column k of w. */
static void solve_one(const double *l, int64_t n, double *v) {
  for (int64_t i = 0; i < n; i++) v[i] = (v[i] - dot(l + i * n, v, i)) * l[i * n + i];
  for (int64_t i = n; i-- > 0;) {
    v[i] *= l[i * n + i];
    for (int64_t j = 0; j < i; j++) v[j] -= l[i * n + j] * v[i];
  }
}

void normal_solve(const Normal *s, double ridge, int64_t free, double *w) {
  int64_t n = s->n;
  double *l = mem_array((size_t)(n * n), sizeof *l), *v = mem_array((size_t)n, sizeof *v), mean = 0;
  memcpy(l, s->a, (size_t)(n * n) * sizeof *l);
  for (int64_t i = 0; i < n - free; i++) mean += s->a[i * n + i] / (double)(n - free);
  for (int64_t i = 0; i < n - free; i++) l[i * n + i] += ridge * mean;
  decompose(l, n);
  for (int64_t k = 0; k < s->m; k++) {
    for (int64_t i = 0; i < n; i++) v[i] = s->b[i * s->m + k];
    solve_one(l, n, v);
    for (int64_t i = 0; i < n; i++) w[i * s->m + k] = v[i];
  }
  mem_free(l);
  mem_free(v);
}

/* w^T a w - 2 w^T b + y^T y, column by column. */
double normal_error(const Normal *s, const double *w) {
  int64_t n = s->n, m = s->m;
  double sum = 0;
  for (int64_t k = 0; k < m; k++) {
    double e = s->yy[k];
    for (int64_t i = 0; i < n; i++) {
      double wi = w[i * m + k], row = s->a[i * n + i] * wi;
      for (int64_t j = 0; j < i; j++) row += 2 * s->a[i * n + j] * w[j * m + k];
      e += wi * (row - 2 * s->b[i * m + k]);
    }
    sum += e > 0 ? e : 0;
  }
  return sum;
}
