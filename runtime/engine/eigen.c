/* See eigen.h. Reflections make the matrix tridiagonal, rotations with shifts then diagonal:
 *
 *   a --Householder--> T = Q a Q^T --implicit QR, Wilkinson's shifts--> diagonal;   every rotation turns two rows of Q
 *
 * Source: Golub and Van Loan, Matrix Computations, sections 8.3.1 to 8.3.3.
 */
#include "runtime/engine/eigen.h"

#include <float.h>
#include <math.h>

#include "ir/base/mem.h"

static double dot(const double *a, const double *b, int64_t n) {
  double s[4] = {0}, rest = 0;
  int64_t i = 0;
  for (; i + 4 <= n; i += 4)
    for (int k = 0; k < 4; k++) s[k] += a[i + k] * b[i + k];
  for (; i < n; i++) rest += a[i] * b[i];
  return s[0] + s[1] + (s[2] + s[3]) + rest;
}

static void add_times(double *y, double k, const double *x, int64_t n) {
  for (int64_t i = 0; i < n; i++) y[i] += k * x[i];
}

/* v [m] becomes the vector of a reflection 1 - beta v v^T that leaves only the first element of v; returns beta, *left is
 * that element. */
static double reflection(double *v, int64_t m, double *left) {
  double size = sqrt(dot(v, v, m));
  *left = v[0];
  if (size == 0 || dot(v + 1, v + 1, m - 1) == 0) return 0;
  *left = v[0] > 0 ? -size : size;
  v[0] -= *left;
  return 2 / dot(v, v, m);
}

/* a becomes the reflections' vectors: row k of the full matrix, behind its diagonal. d, e: the tridiagonal matrix. */
static void tridiagonal(int64_t n, double *a, double *d, double *e, double *beta) {
  double *p = mem_array((size_t)n, sizeof *p);
  for (int64_t k = 0; k + 1 < n; k++) {
    int64_t m = n - k - 1;
    double *v = a + k * n + k + 1, *rest = a + (k + 1) * n + k + 1;
    d[k] = a[k * n + k];
    beta[k] = reflection(v, m, &e[k]);
    if (beta[k] == 0) continue;
    for (int64_t i = 0; i < m; i++) p[i] = beta[k] * dot(rest + i * n, v, m);
    add_times(p, -beta[k] / 2 * dot(p, v, m), v, m);
    for (int64_t i = 0; i < m; i++) {
      add_times(rest + i * n, -v[i], p, m);
      add_times(rest + i * n, -p[i], v, m);
    }
  }
  d[n - 1] = a[n * n - 1];
  mem_free(p);
}

/* q = the reflections' product: rows that turn a into the tridiagonal matrix. */
static void product(int64_t n, const double *a, const double *beta, double *q) {
  for (int64_t i = 0; i < n; i++) q[i * n + i] = 1;
  for (int64_t k = n - 2; k >= 0; k--) {
    const double *v = a + k * n + k + 1;
    int64_t m = n - k - 1;
    if (beta[k] == 0) continue;
    for (int64_t i = k + 1; i < n; i++) {
      double *row = q + i * n + k + 1;
      add_times(row, -beta[k] * dot(row, v, m), v, m);
    }
  }
}

static void rotate(double *x, double *y, double c, double s, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    double a = x[i], b = y[i];
    x[i] = c * a + s * b;
    y[i] = c * b - s * a;
  }
}

/* One step on the block lo..hi, which has no 0 beside its diagonal. */
static void chase(double *d, double *e, int64_t lo, int64_t hi, int64_t n, double *q) {
  double half = (d[hi - 1] - d[hi]) / 2, off = e[hi - 1];
  double shift = d[hi] - off * off / (half + (half < 0 ? -1 : 1) * hypot(half, off));
  double x = d[lo] - shift, z = e[lo];
  for (int64_t k = lo; k < hi; k++) {
    double r = hypot(x, z), c = r > 0 ? x / r : 1, s = r > 0 ? z / r : 0, a = d[k], b = d[k + 1], m = e[k];
    if (k > lo) e[k - 1] = r;
    d[k] = c * c * a + 2 * c * s * m + s * s * b;
    d[k + 1] = s * s * a - 2 * c * s * m + c * c * b;
    e[k] = c * s * (b - a) + (c * c - s * s) * m;
    if (k + 1 < hi) {
      x = e[k];
      z = s * e[k + 1];
      e[k + 1] *= c;
    }
    rotate(q + k * n, q + (k + 1) * n, c, s, n);
  }
}

static void diagonal(int64_t n, double *d, double *e, double *q) {
  double norm = 0;
  for (int64_t i = 0; i < n; i++) norm = fmax(norm, fabs(d[i]) + (i + 1 < n ? fabs(e[i]) : 0));
  for (int64_t hi = n - 1; hi > 0;) {
    int64_t lo = hi;
    while (lo > 0 &&
           fabs(e[lo - 1]) > DBL_EPSILON * (fabs(d[lo - 1]) + fabs(d[lo])) + DBL_EPSILON / 16 * norm)
      lo--;
    if (lo == hi)
      hi--;
    else
      chase(d, e, lo, hi, n, q);
  }
}

/* Falling values; the largest element of each row positive. */
static void order(int64_t n, const double *d, const double *q, double *a, double *values) {
  int64_t *at = mem_array((size_t)n, sizeof *at);
  for (int64_t i = 0; i < n; i++) {
    int64_t k = i;
    for (; k > 0 && d[at[k - 1]] < d[i]; k--) at[k] = at[k - 1];
    at[k] = i;
  }
  for (int64_t k = 0; k < n; k++) {
    const double *row = q + at[k] * n;
    int64_t top = 0;
    for (int64_t i = 1; i < n; i++)
      if (fabs(row[i]) > fabs(row[top]) * (1 + 1e-9)) top = i;
    for (int64_t i = 0; i < n; i++) a[k * n + i] = row[top] < 0 ? -row[i] : row[i];
    values[k] = d[at[k]];
  }
  mem_free(at);
}

void eigen_symmetric(int64_t n, double *a, double *values) {
  if (n < 1) return;
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = i + 1; j < n; j++) a[i * n + j] = a[j * n + i];
  double *d = mem_array((size_t)(3 * n), sizeof *d), *e = d + n, *beta = e + n,
         *q = mem_array((size_t)(n * n), sizeof *q);
  tridiagonal(n, a, d, e, beta);
  product(n, a, beta, q);
  diagonal(n, d, e, q);
  order(n, d, q, a, values);
  mem_free(d);
  mem_free(q);
}
