/* Weights as codes beside what plain rounding gives: of 4 bits, with scales that are searched, rounded with a view to what
 * the layer computes.
 */
#ifndef PASSES_QUANT_WEIGHTS_H
#define PASSES_QUANT_WEIGHTS_H

#include "passes/calibrate.h"
#include "passes/quantize.h"

/* -- quant_gram.c -- */

/* What a layer reads: for each channel group the sums of products of its taps (in the order of the weights), and of 1 for the
 * bias, over positions of the calibration images. */
typedef struct Gram {
  int64_t n, groups; /* n: taps and 1 */
  double **h;        /* [groups] [n][n], symmetric; NULL: not collected */
} Gram;

/* For the Conv and FullyConnected nodes that `wanted` [nodes] names: out [nodes], which the caller frees by gram_free. */
bool gram_collect(const Graph *g, const bool *wanted, const Dataset *ds, uint32_t images, const Host *host,
                  Gram *out, Diag *d);
void gram_free(Gram *m);

/* -- quant_gptq.c -- */

/* A scale for `each` weights of one channel, codes -most .. most, by search: least error of rounding to nearest; 0: no weights. */
float scale_search(const float *w, int64_t each, int32_t most);

/* Codes of `outs` channels of `each` weights, w [outs][each], that keep the layer's outputs: each error is made up for by the
 * weights that are rounded later, and at last by the bias.
 *   h      [each+1][each+1] sums over the inputs     scale  [outs]; where 0 the best one is found (written; 0: no weights)
 *   q      [outs][each] (written)                    bias   [outs] (written) what is to be added to the channel's bias
 * Source: Frantar et al. 2022 (arXiv:2210.17323), in the form of Chee et al. 2023 (arXiv:2307.13304), section 3.1. */
void gptq_round(const double *h, const float *w, int64_t outs, int64_t each, float *scale, int32_t most,
                int8_t *q, double *bias);

/* -- quant_weights.c -- */

typedef struct WeightOptions {
  int32_t most;    /* largest code: 127, or 7 for weights of 4 bits */
  bool gptq;       /* rounding */
  char int8[1024]; /* layers that keep 8 bits, "A;B"; "first" and "last" are names, too */
  char int4[4096]; /* layers that alone may have less; "": all */
} WeightOptions;

bool weight_options(const char *params, WeightOptions *o, Diag *d);

/* Weights that are codes already. */
typedef struct Codes {
  int32_t most; /* 0: nothing said, 8 bits by plain rounding */
  float *scale; /* [outs] */
  int8_t *q;    /* as the weights; NULL: rounded to nearest */
  double *bias; /* [outs] to be added; NULL: nothing */
  bool fixed;   /* q are the codes whatever becomes of the scale, which must not be too small for the bias */
} Codes;

/* For each constant of g that is weights (others: zeros); with ds NULL, scales of least error alone. NULL: reported. */
Codes *quant_weights_choose(const Graph *g, const WeightOptions *o, bool fc_per_tensor, const Dataset *ds,
                            uint32_t images, const Host *host, Diag *d);
/* Codes, scales and biases of a layer, as weights_quantize's, from what was chosen for its weights. false: a bias does not fit
 * beside the scale of fixed codes, which would have to be another. */
bool codes_put(const Codes *c, const WeightView *v, bool per_channel, const float *bias, float in_scale,
               int8_t *q, float *scale, int32_t *qbias);
void codes_free(Codes *c, uint32_t n);

#endif
