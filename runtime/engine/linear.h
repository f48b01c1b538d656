/* Dense linear algebra on symmetric positive definite matrices, double precision, row-major, over OpenBLAS. */
#ifndef RUNTIME_ENGINE_LINEAR_H
#define RUNTIME_ENGINE_LINEAR_H

#include <stdbool.h>
#include <stdint.h>

/* a [n][n], its lower triangle read: replaced by L with a = L L^T (the upper triangle left as it is). A pivot of less than
 * 1e-12 of its diagonal element counts as that much. */
void spd_decompose(double *a, int64_t n);
/* a [n][n], its lower triangle read: replaced by its inverse, both triangles. */
void spd_invert(double *a, int64_t n);

#endif
