/* Cholesky's decomposition by blocks: a diagonal block by hand, the panel below it and what is left by OpenBLAS. */
#include "runtime/engine/linear.h"

#include <cblas.h>
#include <math.h>

#include "ir/base/mem.h"

enum { BLOCK = 48 };

static void decompose_block(double *a, int64_t stride, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    double *row = a + i * stride, diagonal = row[i];
    for (int64_t j = 0; j <= i; j++) {
      const double *other = a + j * stride;
      double sum = row[j];
      for (int64_t k = 0; k < j; k++) sum -= row[k] * other[k];
      row[j] = j < i ? sum / other[j] : sqrt(fmax(sum, 1e-12 * fabs(diagonal) + 1e-300));
    }
  }
}

void spd_decompose(double *a, int64_t n) {
  int s = (int)n;
  for (int64_t i = 0; i < n; i += BLOCK) {
    int64_t count = n - i < BLOCK ? n - i : BLOCK, below = n - i - count;
    double *corner = a + i * n + i, *panel = corner + count * n;
    decompose_block(corner, n, count);
    if (below == 0) continue;
    cblas_dtrsm(CblasRowMajor, CblasRight, CblasLower, CblasTrans, CblasNonUnit, (int)below, (int)count, 1,
                corner, s, panel, s);
    cblas_dsyrk(CblasRowMajor, CblasLower, CblasNoTrans, (int)below, (int)count, -1, panel, s, 1,
                panel + count, s);
  }
}

void spd_invert(double *a, int64_t n) {
  double *y = mem_array((size_t)(n * n), sizeof *y);
  int s = (int)n;
  spd_decompose(a, n);
  for (int64_t i = 0; i < n; i++) y[i * n + i] = 1;
  cblas_dtrsm(CblasRowMajor, CblasLeft, CblasLower, CblasNoTrans, CblasNonUnit, s, s, 1, a, s, y, s);
  cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, s, s, 1, y, s, 0, a, s);
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < i; j++) a[j * n + i] = a[i * n + j];
  mem_free(y);
}
