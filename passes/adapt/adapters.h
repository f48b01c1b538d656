/* Low-rank residual adapters beside convolutions, which learn in the convolution's stead and are then part of its weights.
 *
 *   y = W * x            A [r, C]: fixed, orthonormal rows, drawn from nothing but its size
 *     + B (A x)          B [O, r]: 0 at first; what learns, and what sites exchange
 *
 * Both are 1x1, so that W's middle tap + B A is the same convolution: the model's form stays, and nothing is slower. As A is
 * fixed, the mean of sites' B A is that of their B (Sun et al. 2024, arXiv:2403.12313; adapters: Hu et al. 2021,
 * arXiv:2106.09685).
 */
#ifndef PASSES_ADAPT_ADAPTERS_H
#define PASSES_ADAPT_ADAPTERS_H

#include "ir/graph.h"

enum { ADAPTER_RANK = 4 };

/* Whether node k can have one: a float convolution of one group with an odd window, padded to its middle, no fused activation. */
bool adapter_fits(const Graph *g, NodeId k);
/* Numbers of B: output channels * rank. */
int64_t adapter_numbers(const Graph *g, NodeId k);
/* What W's middle tap says in A's directions: B = M A^T, out [O][r]. */
void adapter_read(const Graph *g, NodeId k, float *out);
/* W with another such part, [O][r], as a new constant's elements: w [O, Kh, Kw, C] (written). */
void adapter_write(const Graph *g, NodeId k, const float *values, float *w);

/* The same graph with adapters as nodes of their own; learn [n_nodes] (written): B of each, in the order of the convolutions,
 * *n of them. */
Graph *adapters_insert(const Graph *g, ValId *learn, int *n, Diag *d);

#endif
