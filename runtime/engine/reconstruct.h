/* Layer-wise reconstruction: a layer's weights anew, by least squares on calibration activations, so that it gives what
 * the same layer of the original graph gave, though what it reads has changed (channels pruned before it, weights rounded).
 *
 *   (X'^T X' + ridge I) W = X'^T Y        X': patches of the layer's input in the changed graph; Y: the original's outputs
 *
 * Source: He et al. 2017 (arXiv:1707.06168), section 3.1; Luo et al. 2017 (arXiv:1707.06342).
 */
#ifndef RUNTIME_ENGINE_RECONSTRUCT_H
#define RUNTIME_ENGINE_RECONSTRUCT_H

#include "runtime/engine/engine.h"

typedef struct ReconstructOptions {
  uint32_t images; /* training examples, from the first, not augmented */
  double ridge;    /* share of the mean of X'^T X''s diagonal; the bias is left free */
} ReconstructOptions;

typedef struct ReconstructResult {
  double before, after; /* mean square of the outputs' difference, on the calibration examples */
  int64_t rows;         /* of X' */
} ReconstructResult;

/* One layer of g: Conv, DepthwiseConv or FullyConnected without fused activation, constant weights that nobody else reads.
 *
 *   original, y  the graph and its value that the layer's output is to be, same positions, f32
 *   channels     [outputs of the layer] the channel of y that each one is; NULL: the same
 *
 * Returns a copy of g with new weights (and bias, where the layer has one); *res may be NULL. Inputs that are always 0
 * get weights of 0. The same bytes with any number of threads. NULL: reported. */
Graph *reconstruct_layer(const Graph *original, ValId y, const Graph *g, NodeId layer,
                         const int32_t *channels, const Dataset *ds, const ReconstructOptions *o,
                         const Host *host, ReconstructResult *res, Diag *d);

/* -- least_squares.c -- */

/* Sums of n unknowns and m right sides: a [n][n] (lower triangle) and b [n][m], row-major, yy [m] sums of squares. */
typedef struct Normal {
  int64_t n, m, rows;
  double *a, *b, *yy;
} Normal;

void normal_init(Normal *s, int64_t n, int64_t m);
void normal_free(Normal *s);
/* Add rows of X [rows][n] and Y [rows][m]. */
void normal_add(Normal *s, const double *x, const double *y, int64_t rows);
/* w [n][m] minimises |X w - Y|^2 + ridge * mean diagonal * |w|^2, the last `free` unknowns without ridge; unknowns on which
 * nothing depends, or that others give already, are 0. By Cholesky's decomposition. */
void normal_solve(const Normal *s, double ridge, int64_t free, double *w);
/* |X w - Y|^2 over all right sides. */
double normal_error(const Normal *s, const double *w);

#endif
