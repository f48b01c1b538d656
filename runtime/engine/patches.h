/* Patches: what a layer with weights reads at each position of its output, as rows of a linear system.
 *
 *   output[p][o] = sum over taps and input channels of row(p)[tap][i] * weight[o][tap][i]  (+ bias)
 *
 *   Conv            groups as they are            weights [O][Kh][Kw][I]
 *   DepthwiseConv   a group for each channel      weights [1][Kh][Kw][O]
 *   FullyConnected  one group, one tap            weights [O][K]
 *   MatMul          the same                      weights [K][O]
 */
#ifndef RUNTIME_ENGINE_PATCHES_H
#define RUNTIME_ENGINE_PATCHES_H

#include "ir/graph.h"

typedef struct Layer {
  const Graph *g;
  const Node *n;
  int64_t h, w, c, oh, ow, o, kh, kw; /* a vector is an image of one pixel, or of as many as it has rows */
  int64_t groups, ins, outs;          /* channels of a group */
  int64_t stride[2], dil[2], pad[2];
  bool bias, innermost; /* innermost: output channels are the weights' innermost axis */
  int64_t taps;         /* kh * kw * ins: elements of a row */
} Layer;

/* Node k of g as a layer. false: it has no constant float32 weights of such a form. */
bool layer_view(Layer *l, const Graph *g, NodeId k);
/* What is wrong with the layer for giving it other weights: a fused activation, weights or a bias that others read too.
 * NULL: nothing. */
const char *layer_fixed(const Layer *l);

static inline int64_t layer_positions(const Layer *l) { return l->oh * l->ow; }
/* Elements of one example's input and output. */
static inline int64_t layer_in_item(const Layer *l) { return l->h * l->w * l->c; }
static inline int64_t layer_out_item(const Layer *l) { return l->oh * l->ow * l->o; }

/* Position p of an example x: the taps of group `group`, row [taps]. */
void layer_patch(const Layer *l, const float *x, int64_t p, int64_t group, float *row);
/* Where the weight of output k of a group from element u of its rows is, or (u == taps) the bias. */
float *layer_weight(const Layer *l, float *w, float *b, int64_t group, int64_t u, int64_t k);

#endif
