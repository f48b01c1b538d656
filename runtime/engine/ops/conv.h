/* Conv in the engine: what its ways of computing share. */
#ifndef RUNTIME_ENGINE_OPS_CONV_H
#define RUNTIME_ENGINE_OPS_CONV_H

#include "runtime/engine/op_call.h"

typedef struct ConvGeometry {
  int64_t h, w, c, oh, ow, o, kh, kw, sh, sw, top, left, dh, dw;
  int64_t groups, cg, og, k; /* channels in and out of a group; taps of one output */
} ConvGeometry;

ConvGeometry conv_geometry(const Graph *g, const Node *n);

/* -- conv.c: a BatchNormalization that the convolution takes over -- */

/* Where outputs go, and their limits. */
typedef struct ConvOut {
  float *y, lo, hi;
} ConvOut;
ConvOut conv_out(const OpCall *c);
/* scale[o], and bias[o] with what the node's own bias gives: y = conv * scale + bias. */
void conv_scale(const OpCall *c, int64_t o, float *scale, float *bias);

/* ops/conv_gemm.c: any convolution, by im2col and matrix products. */
int64_t conv_gemm_scratch(const ConvGeometry *q, Act act);
void conv_gemm_forward(const OpCall *c, const ConvGeometry *q);
void conv_gemm_backward(const OpCall *c, const ConvGeometry *q);

/* ops/conv_direct.c: one group, no dilation, where the session has kernels for it. */
/* images: most in a tile. */
int64_t conv_direct_scratch(const ConvGeometry *q, Act act, int64_t images, bool training);
int64_t conv_direct_packed(const ConvGeometry *q, bool training);
void conv_direct_prepare(const OpCall *c, const ConvGeometry *q);
void conv_direct_forward(const OpCall *c, const ConvGeometry *q);
void conv_direct_backward(const OpCall *c, const ConvGeometry *q);

/* ops/conv_winograd.c: 3x3 at stride 1, channels by sixteens. */
bool conv_winograd_fits(const ConvGeometry *q);
int64_t conv_winograd_scratch(const ConvGeometry *q, Act act, int64_t images, bool training);
int64_t conv_winograd_packed(const ConvGeometry *q, bool training);
void conv_winograd_prepare(const OpCall *c, const ConvGeometry *q);
void conv_winograd_forward(const OpCall *c, const ConvGeometry *q);
void conv_winograd_backward(const OpCall *c, const ConvGeometry *q);

#endif
