/* Family: graphs of one structure, each narrower than the one before it, whose weights are slices of the widest's.
 *
 *   widest's weights [O, taps, I]   a variant's [o < O'][taps][i < I'] are the same codes, so that it needs none of its own
 *
 *        i 0 ..... I'.... I
 *   o 0  | variant |     |          biases, scales, zero points and tables are each variant's own
 *     O' |_________|     |
 *     O  |_______________|
 *
 * What makes families (passes) and what emits them (backend) meet here.
 */
#ifndef IR_FAMILY_H
#define IR_FAMILY_H

#include "ir/graph.h"

enum { FAMILY_MAX = 8 }; /* variants */

/* A constant that a node of a variant reads, and where it lies in the widest's graph. */
typedef struct FamilySlice {
  ValId val;  /* NO_VAL: that input is no constant */
  ValId wide; /* what the widest's node reads there */
  bool
      shared; /* element (o, tap, i) of val is element o * out_stride + tap * tap_stride + i of wide; false: its own */
  int64_t outs, taps, each; /* shared: extents of val; DepthwiseConv: outs is 1, each its channels */
  int64_t out_stride, tap_stride;
} FamilySlice;

typedef struct Family {
  Arena *arena; /* owns all below */
  int n;
  const Graph *const *graphs; /* the caller's, widest first */
  uint32_t *first;            /* [n_nodes] of a node's inputs in slice[variant] */
  FamilySlice **slice;        /* [n][inputs of all nodes] */
} Family;

/* Check that graphs [1 .. FAMILY_MAX], widest first, are a family, and find every constant in the widest's:
 *
 *   - the same operators in the same order, read the same way; attributes differ only in shapes of what moves elements
 *   - inputs and outputs of the same shape, type, scale and zero point; no value larger than the widest's, no state
 *   - int8 or int4 weights of Conv, DepthwiseConv, ConvTranspose and FullyConnected: slices of the widest's
 *
 * Other weights are shared where they are slices, other constants where they are equal; what is not is the variant's own. false: reported, with variant, node and
 * what differs. family_free in any case. The graphs must outlive *out. */
bool family_check(const Graph *const *graphs, int n, Family *out, Diag *d);
void family_free(Family *f);

/* Is input `input` of n what a variant must have as a slice: weights of a layer? */
bool family_is_weights(const Node *n, uint32_t input);

/* Where weights of shape `val` of node n lie in such of shape `wide`: all but val and wide of *s. false: they are larger, or
 * have other taps. */
bool family_extents(const Node *n, const Shape *wide, const Shape *val, FamilySlice *s);

/* Of input `input` of node `node`, the same in all variants. */
const FamilySlice *family_slice(const Family *f, int variant, NodeId node, uint32_t input);

#endif
