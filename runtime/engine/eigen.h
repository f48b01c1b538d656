/* Eigenvalues and eigenvectors of symmetric matrices, in double, without a library: the same bytes on one machine. */
#ifndef RUNTIME_ENGINE_EIGEN_H
#define RUNTIME_ENGINE_EIGEN_H

#include <stdint.h>

/* a = sum over k of values[k] * v_k^T v_k, orthonormal rows v_k, values falling.
 *
 *   a       [n][n] in: symmetric, the lower triangle is read; out: row k is v_k, its largest element positive
 *   values  [n]    (written)
 *
 * Errors are about 1e-15 times the largest value. O(n^3): 0.1 s for 256, 5 s for 1000. */
void eigen_symmetric(int64_t n, double *a, double *values);

#endif
