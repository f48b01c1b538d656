/* Low rank: a layer with weights as two or three thinner ones.
 *
 *   svd      Conv k x k or FullyConnected, I -> R         1 x 1, R -> O
 *   spatial  Conv k x 1, I -> R                           1 x k, R -> O        (Jaderberg et al. 2014, arXiv:1405.3866)
 *   tucker   1 x 1, I -> P      k x k, P -> R             1 x 1, R -> O        (Kim et al. 2016, arXiv:1511.06530)
 *
 * What the thin channels are is chosen for the layer's inputs as they occur, and for what errors of its outputs weigh
 * (a LowrankNorm); the last factor's weights, and its bias, are then the best there are by least squares. Bias, activation
 * and the output's name stay on the last factor, so that a BatchNormalization behind stays where it is.
 *
 *   lowrank_open -> lowrank_options (for a table) or lowrank_option (one) -> lowrank_apply (several layers at once)
 */
#ifndef PASSES_LOWRANK_H
#define PASSES_LOWRANK_H

#include "passes/pass.h"
#include "runtime/engine/reconstruct.h"

typedef enum LowrankMethod { LOWRANK_SVD, LOWRANK_SPATIAL, LOWRANK_TUCKER, LOWRANK_METHODS } LowrankMethod;
enum { LOWRANK_ALL = 7 }; /* sets of methods: bits 1 << LOWRANK_X */
const char *lowrank_method_name(LowrankMethod m);

/* How errors are measured: D being what the weights [O][taps] change by, trace(F D G D^T). */
typedef struct LowrankNorm {
  /* Sums over the rows that the layer reads: taps in the order of the weights, then 1 (or without it). With the 1, means are
   * left to the last factor's bias. NULL: G is the identity, as if inputs were independent. Read until lowrank_close. */
  const Normal *inputs;
  const double *outputs; /* F [O][O], symmetric, not negative; NULL: the identity */
} LowrankNorm;

typedef struct LowrankOption {
  LowrankMethod method;
  int64_t rank, in_rank; /* R; P, for tucker alone, else 0 */
  double error;          /* in the norm */
  int64_t macs, params;  /* of the factors, the batch counted as 1; the biases too */
  int64_t inner;         /* elements of the values between the factors */
} LowrankOption;

/* -- lowrank_layer.c -- */
typedef struct LowrankLayer LowrankLayer;
/* Node k of g, which must outlive it. NULL: it cannot be factorized, and *why says why not. */
LowrankLayer *lowrank_open(const Graph *g, NodeId k, const LowrankNorm *norm, const char **why);
void lowrank_close(LowrankLayer *l); /* NULL is allowed */
NodeId lowrank_node(const LowrankLayer *l);
/* What the error would be without any weights: errors are shares of it. */
double lowrank_energy(const LowrankLayer *l);
/* MACs and parameters (with the bias) of the layer as it is. */
int64_t lowrank_macs(const LowrankLayer *l);
int64_t lowrank_params(const LowrankLayer *l);
/* One factorization. false: the layer has no such form, or no such rank. rank == the highest that there is: exact. */
bool lowrank_option(LowrankLayer *l, LowrankMethod method, int64_t rank, int64_t in_rank, LowrankOption *out);
/* Highest ranks of a method: of its input side (tucker) and before the last factor. 0: the layer has no such form. */
int64_t lowrank_most(const LowrankLayer *l, LowrankMethod method, int64_t *in_rank);
/* The same of the layer with other numbers of output and input channels; sizes alone: nothing is decomposed, the error is not
 * said, and a bias counts in any case. */
int64_t lowrank_most_at(const LowrankLayer *l, int64_t outs, int64_t ins, LowrankMethod method,
                        int64_t *in_rank);
void lowrank_size_at(const LowrankLayer *l, int64_t outs, int64_t ins, LowrankOption *o);
void lowrank_whole_at(const LowrankLayer *l, int64_t outs, int64_t ins, int64_t *macs, int64_t *params);
/* All that have fewer MACs and fewer parameters than the layer, of ranks that are multiples of `step`, without those that
 * another of no more MACs and parameters beats; MACs falling. In `a`; returns how many. */
int lowrank_options(LowrankLayer *l, unsigned methods, int64_t step, Arena *a, LowrankOption **out);

/* -- lowrank_apply.c -- */
typedef struct LowrankPick {
  LowrankLayer *layer; /* of the graph */
  LowrankOption option;
  bool nominal; /* for asking what it will cost: weights are any, and there is a bias */
} LowrankPick;
/* The graph with these layers factorized. NULL: reported. */
Graph *lowrank_apply(const Graph *g, const LowrankPick *picks, int n, Diag *d);

/* Factors' weights, for lowrank_apply: [0] first, in float32; n of them. */
typedef struct LowrankFactors {
  int n;
  float *w[3], *bias; /* bias NULL: none */
} LowrankFactors;
/* lowrank_layer.c */
LowrankFactors lowrank_factors(LowrankLayer *l, const LowrankOption *o);
void lowrank_factors_free(LowrankFactors *f);

#endif
