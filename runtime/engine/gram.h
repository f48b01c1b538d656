/* Gram matrices: what a layer's inputs look like on calibration data, and how much the loss minds an error of its outputs.
 *
 *   G = mean over rows of (x, 1)^T (x, 1)    x: patches of the layer's input, at some positions of every image
 *   F = mean over images of the sum over positions of g g^T    g: gradient of the divergence at the layer's output
 *
 * An error d of the outputs costs about trace(F mean(d d^T)) / 2 nats, whichever layer it is in: the layer-wise curvature of
 * K-FAC (Martens and Grosse 2015, arXiv:1503.05671), positions taken as independent. F is the Gauss-Newton matrix of the
 * Kullback-Leibler divergence between the model's own outputs before and after (of the square error, where outputs are
 * not classes): gradients are those of A z, with A A^T the Hessian with respect to the logits and z random signs.
 */
#ifndef RUNTIME_ENGINE_GRAM_H
#define RUNTIME_ENGINE_GRAM_H

#include "runtime/engine/engine.h"
#include "runtime/engine/patches.h"
#include "runtime/engine/reconstruct.h"
#include "runtime/engine/threads.h"

typedef struct GramOptions {
  uint32_t images; /* training examples, from the first, not augmented */
  int64_t
      rows; /* of each layer, about: positions are left out evenly where there are more; 0: 32 for each unknown, at
                      least 16384 */
  int64_t most;       /* layers with more taps have sums within each input channel alone */
  double temperature; /* of the logits in F */
} GramOptions;
void gram_options_default(GramOptions *o);

typedef struct LayerGram {
  NodeId node;
  Layer l;
  bool whole; /* false: too many taps, a system for each input channel instead of each group, without the 1 */
  int64_t n_sums; /* groups, or groups * ins */
  Normal *sums;   /* [n_sums]: taps and 1, or kh * kw taps; no right sides; sums over `rows` */
  double *fisher; /* [o][o] */
} LayerGram;

typedef struct Grams {
  LayerGram *v; /* in node order */
  uint32_t n;
  bool
      curved; /* F is what is said above; false: the graph has no gradient, F is 1 over the output's mean square sum */
} Grams;

/* Of every layer with weights of g. One walk over the examples; the same bytes with any number of threads. */
bool grams_collect(const Graph *g, const Dataset *ds, const GramOptions *o, uint64_t seed, const Host *host,
                   Grams *out, Diag *d);
void grams_free(Grams *g);

/* -- panels.c -- */
/* Add rows of X [rows][n] and Y [rows][m] (NULL: m is 0): products in float32, sums in double; panels of columns are
 * shared out among threads, each summed as it would be by one. */
void normal_add_rows(Normal *s, const float *x, const float *y, int64_t rows, Threads *pool);
/* The right sides alone, of rows that have been added. */
void normal_add_right(Normal *s, const float *x, const float *y, int64_t rows, Threads *pool);
/* Of `count` positions of an example, which are taken: position k of `take` for example `image`. Evenly spread, beginning
 * elsewhere in every image. */
int64_t sample_position(int64_t k, int64_t take, int64_t count, uint32_t image);

#endif
