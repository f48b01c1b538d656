/* What quantization of a part alone does to a model's outputs, on training images that calibration has not seen. */
#ifndef PASSES_QUANT_TRIAL_H
#define PASSES_QUANT_TRIAL_H

#include "passes/quantizer.h"

typedef struct Loss {
  double
      value; /* KL(float || this) in nats, mean over images and positions; noise to signal, where the model gives no
                   classes */
  double snr;      /* dB, of the outputs: logits, or shares behind the model's Softmax */
  double accuracy; /* 0..1; -1: no labels */
} Loss;

/* The float model's outputs on the images. */
typedef struct Trial {
  const Quantizer *q;
  Split images;
  Normalize normalize;
  bool kl, labels, softmax; /* loss is KL; images have labels; the model ends in a Softmax */
  bool seen;                /* the images are calibration's own */
  int64_t outs, classes;    /* of an image: positions of so many classes each */
  float *want;              /* [images][outs]: before the Softmax */
  int32_t *none;            /* labels where the data have none */
  double accuracy;
} Trial;

/* Images behind those of calibration, `most` at most (where there are fewer than 32: calibration's). NULL: reported. */
bool trial_open(const Quantizer *q, const Dataset *ds, uint32_t most, Trial *t);
void trial_close(Trial *t);
/* A graph that gives what the float model gives, or codes of it. softmax: its outputs are behind the model's Softmax. */
bool trial_run(const Trial *t, const Graph *g, bool softmax, Loss *out);

/* The float model with some parts on int8's grids: values of these classes (representatives), weights of these nodes. Its last
 * Softmax is left out. */
typedef struct Parts {
  const bool *classes; /* [n_vals]; NULL: none */
  const bool *weights; /* [n_nodes]; NULL: none */
} Parts;
Graph *trial_graph(const Quantizer *q, const Parts *parts);

/* A KIND_WEIGHTS node's weights as its codes hold them, laid out as they are; the caller's. */
float *trial_weights(const Quantizer *q, const Node *n);

/* Losses of each part alone: classes [n_vals], by representative, weights [n_nodes]; value -1: not quantized, or fixed. The
 * caller frees both. */
typedef struct Alone {
  Loss *classes, *weights;
} Alone;
bool trial_alone(const Trial *t, Alone *out);
void alone_free(Alone *a);

#endif
