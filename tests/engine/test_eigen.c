/* Eigenvalues: matrices of known ones, orthonormal vectors that give the matrix back, matrices of low rank and of zeros. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "runtime/engine/eigen.h"

Suite *suite_eigen(void);

/* Rows orthonormal, values falling, and their sum of products the matrix. */
static void check_decomposition(const double *a, int64_t n) {
  double *v = mem_array((size_t)(n * n), sizeof *v), *x = mem_array((size_t)n, sizeof *x), size = 0;
  memcpy(v, a, (size_t)(n * n) * sizeof *v);
  eigen_symmetric(n, v, x);
  for (int64_t i = 0; i < n * n; i++) size = fmax(size, fabs(a[i]));
  for (int64_t i = 0; i < n; i++) {
    ck_assert(i == 0 || x[i] <= x[i - 1]);
    for (int64_t j = 0; j < n; j++) {
      double dot = 0, back = 0;
      for (int64_t k = 0; k < n; k++)
        dot += v[i * n + k] * v[j * n + k], back += x[k] * v[k * n + i] * v[k * n + j];
      ck_assert_msg(fabs(dot - (i == j)) < 1e-12, "rows %d and %d: %g", (int)i, (int)j, dot);
      ck_assert_msg(fabs(back - a[i >= j ? i * n + j : j * n + i]) <= 1e-12 * size * (double)n,
                    "%d,%d: %g, want %g", (int)i, (int)j, back, a[i * n + j]);
    }
  }
  mem_free(v);
  mem_free(x);
}

START_TEST(test_by_hand)
{
  double a[] = {2, 9, 1, 2}, v[2]; /* the upper triangle is not read */
  eigen_symmetric(2, a, v);
  ck_assert(fabs(v[0] - 3) < 1e-14 && fabs(v[1] - 1) < 1e-14);
  ck_assert(fabs(a[0] - sqrt(0.5)) < 1e-14 && fabs(a[1] - sqrt(0.5)) < 1e-14 && fabs(a[2] + a[3]) < 1e-14);
  double one[] = {-4}, zero[9] = {0}, w[3];
  eigen_symmetric(1, one, v);
  ck_assert(one[0] == 1 && v[0] == -4);
  eigen_symmetric(3, zero, w);
  ck_assert(w[0] == 0 && w[2] == 0 && zero[0] == 1 && zero[4] == 1 && zero[8] == 1);
}
END_TEST

START_TEST(test_random)
{
  static const int sizes[] = {2, 3, 5, 16, 33, 90};
  Rng r;
  rng_seed(&r, 5, 0);
  for (int kind = 0; kind < 4; kind++)
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
      int n = sizes[s], rank = kind == 1 ? n / 3 + 1 : n;
      double *a = mem_array((size_t)(n * n), sizeof *a), *x = mem_array((size_t)(n * rank), sizeof *x);
      for (int i = 0; i < n * rank; i++) x[i] = (double)rng_normal(&r) * (kind == 2 ? pow(0.5, i / rank) : 1);
      for (int i = 0; i < n; i++)
        for (int j = 0; j <= i; j++) {
          for (int k = 0; k < rank && kind < 3; k++) a[i * n + j] += x[i * rank + k] * x[j * rank + k];
          if (kind == 3) a[i * n + j] = i == j ? i % 3 : 0; /* equal values, already diagonal */
          a[j * n + i] = a[i * n + j];
        }
      check_decomposition(a, n);
      mem_free(a);
      mem_free(x);
    }
}
END_TEST

Suite *suite_eigen(void) {
  Suite *s = suite_create("eigen");
  TCase *t = tcase_create("eigen");
  tcase_add_test(t, test_by_hand);
  tcase_add_test(t, test_random);
  suite_add_tcase(s, t);
  return s;
}
