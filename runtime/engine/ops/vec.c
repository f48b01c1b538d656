/* Plain loops over floats, and matrix products, shared by the operators of the engine.
 *
 * Written so that compilers vectorise them without reordering any sum: where order matters the loop runs over
 * independent columns. Products go through OpenBLAS; the command sets its thread count to 1 (the engine's own threads
 * run side by side, one shard each).
 */
#include "runtime/engine/op_call.h"

#include <cblas.h>
#include <string.h>

void vec_zero(float *y, int64_t n) { memset(y, 0, (size_t)n * sizeof *y); }

void vec_copy(float *y, const float *x, int64_t n) { memcpy(y, x, (size_t)n * sizeof *y); }

void vec_add(float *restrict y, const float *restrict x, int64_t n) {
  for (int64_t i = 0; i < n; i++) y[i] += x[i];
}

void vec_put(float *y, const float *x, int64_t n, bool add) {
  if (add)
    vec_add(y, x, n);
  else
    vec_copy(y, x, n);
}

void rows_add(float *restrict y, const float *restrict bias, int64_t n, int64_t c) {
  for (int64_t r = 0; r < n; r++)
    for (int64_t i = 0; i < c; i++) y[r * c + i] += bias[i];
}

void rows_sum(const float *restrict y, int64_t n, int64_t c, float *restrict sum, bool add) {
  if (!add) vec_zero(sum, c);
  for (int64_t r = 0; r < n; r++)
    for (int64_t i = 0; i < c; i++) sum[i] += y[r * c + i];
}

/* OpenBLAS leaves C alone when k is 0; an empty product is zero. */
static bool empty(int64_t m, int64_t n, int64_t k, float *c, int64_t ldc, bool add) {
  if (m > 0 && n > 0 && k > 0) return false;
  for (int64_t r = 0; r < m && !add; r++) vec_zero(c + r * ldc, n);
  return true;
}

void gemm_nn(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b, int64_t ldb,
             float *c, int64_t ldc, bool add) {
  if (empty(m, n, k, c, ldc, add)) return;
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (blasint)m, (blasint)n, (blasint)k, 1, a,
              (blasint)lda, b, (blasint)ldb, add, c, (blasint)ldc);
}

void gemm_nt(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b, int64_t ldb,
             float *c, int64_t ldc, bool add) {
  if (empty(m, n, k, c, ldc, add)) return;
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (blasint)m, (blasint)n, (blasint)k, 1, a, (blasint)lda,
              b, (blasint)ldb, add, c, (blasint)ldc);
}

void gemm_tn(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b, int64_t ldb,
             float *c, int64_t ldc, bool add) {
  if (empty(m, n, k, c, ldc, add)) return;
  cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (blasint)m, (blasint)n, (blasint)k, 1, a, (blasint)lda,
              b, (blasint)ldb, add, c, (blasint)ldc);
}
