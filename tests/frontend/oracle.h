/* Comparing graphs with reference outputs in .npy files; what the importers' tests share. */
#ifndef TESTS_FRONTEND_ORACLE_H
#define TESTS_FRONTEND_ORACLE_H

#include "ir/graph.h"
#include "ir/tensor.h"

/* Names in folder `dir` that end with `suffix`, sorted, without the suffix; NULL-terminated, in `a`. */
char **oracle_list(Arena *a, const char *dir, const char *suffix);

/* Fails the test unless dtypes and shapes are equal, integers equal, and floats within tol * range; range 0: the
 * largest |want|. Differences are reported with `what`, the index, got and want. */
void oracle_compare(const char *what, const Tensor *got, const Tensor *want, double range, double tol);

/* Evaluate g on the inputs; the outputs (g->n_outputs) go to out. Fails the test where that is not possible. */
void oracle_eval(const char *what, const Graph *g, const Tensor *in, uint32_t n_in, Tensor *out);

/* A path of one input or output file, K the set, I the number of the tensor. */
typedef void OraclePath(char *buf, size_t n, const char *model, int set, int tensor, bool is_input);
/* Every set of model `model` whose first input exists, from 0 on; returns how many there were. The range of a float
 * output is its largest absolute value in all sets. */
int oracle_sets(const char *model, const Graph *g, OraclePath *path, double tol);

/* Random float32 inputs for every input of g (batch 2 where it is symbolic), in [-1, 1), from a seed. */
void oracle_random_inputs(const Graph *g, uint64_t seed, Tensor *in);
void oracle_free(Tensor *t, uint32_t n);

#endif
