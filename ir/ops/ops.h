/* Prototypes of the per-operator functions, made from ops.def, and what the inference functions share.
 *
 * An inference function reads its node's inputs and attributes, sets its outputs, or reports at n->loc.
 * The helpers take the node so that every message names the operator: "Conv: weights are ..., want ...".
 */
#ifndef IR_OPS_OPS_H
#define IR_OPS_OPS_H

#include "ir/graph.h"

enum { SHAPE_TEXT = 192 }; /* room for any shape as text */

#define A(kind, field, def, doc)
#define OP(ident, name, mn, mx, no, traits, cls, diff, doc, attrs) \
  InferFn infer_##ident;                                           \
  LowerFn lower_##ident;
#include "ir/ops.def"
#undef OP
#undef A

/* -- ir/ops/common.c -- */

/* The node's input or output number i; in_opt gives NULL for an optional input left out. */
Value *op_in(const Graph *g, const Node *n, uint32_t i);
Value *op_in_opt(const Graph *g, const Node *n, uint32_t i);
Value *op_out(const Graph *g, const Node *n, uint32_t i);

/* Report "NAME: ..." at the node; returns false. */
bool op_fail(const Node *n, Diag *d, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Refuse what would move the symbolic batch from the outermost place, or compute across it. */
bool op_fail_batch(const Node *n, Diag *d, const char *what);

/* Report unless input i has rank `rank`, or element type t. */
bool op_want_rank(const Graph *g, const Node *n, uint32_t i, int rank, Diag *d);
bool op_want_dtype(const Graph *g, const Node *n, uint32_t i, DType t, Diag *d);
/* Report unless input i is f32 or i8: what arithmetic operators compute on. */
bool op_want_real(const Graph *g, const Node *n, uint32_t i, Diag *d);
/* Report unless list attribute `name` has `count` entries, all of them >= least. */
bool op_want_ints(const Node *n, const Ints *v, const char *name, int count, int64_t least, Diag *d);
/* Report unless `act` is one of the fused activations, and none for element types without it. */
bool op_want_act(const Node *n, int32_t act, DType t, Diag *d);

/* Set output 0; reports a shape that is too large. */
bool op_set(const Graph *g, const Node *n, DType t, const Shape *s, Diag *d);
/* Hand input 0's quantization on to output 0 unless that has one already; axis: the output axis that a
 * per-axis quantization belongs to, -1 where it does not survive (then it is refused). */
bool op_hand_on_quant(Graph *g, const Node *n, int axis, Diag *d);
/* As op_hand_on_quant, and an output quantization that is set must be the input's: the operator moves codes. */
bool op_same_quant(Graph *g, const Node *n, int axis, Diag *d);

/* NumPy broadcasting of two shapes; the symbolic batch goes with itself or 1. */
bool op_broadcast(const Node *n, const Shape *a, const Shape *b, Shape *out, Diag *d);

/* Conv, DepthwiseConv, FullyConnected: x f32 or i8, weights alike, bias [outs] f32 or i32. */
bool op_weights_dtype(const Graph *g, const Node *n, int64_t outs, Diag *d);
/* Their quantization, as far as it is set: activations per tensor, weights per tensor or along `axis`, with zero
 * points 0 per channel (`channel`) and per tensor (`tensor`). */
bool op_weights_quant(const Graph *g, const Node *n, int axis, bool tensor, bool channel, Diag *d);
/* Attributes rounding and act of an operator on elements of t: *out is the output's type. */
bool op_rounding(const Node *n, DType t, int32_t rounding, int32_t act, DType *out, Diag *d);

/* -- ir/ops/conv.c -- */

/* A window that slides over [N,H,W,C]; dilations NULL: 1. */
typedef struct OpWindow {
  int64_t kernel[2]; /* rows, columns */
  const Ints *strides, *pads, *dilations;
} OpWindow;

/* Checks the window's attributes and writes out->d[1] and out->d[2]. */
bool op_window_size(const Node *n, const OpWindow *w, const Shape *in, Shape *out, Diag *d);

#endif
