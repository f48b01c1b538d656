/* Random networks that combine every construct by which channels are coupled (prune_nets.def). The name of each node's
 * Loc begins with its construct's and a colon.
 */
#ifndef TESTS_PASSES_PRUNE_NETS_H
#define TESTS_PASSES_PRUNE_NETS_H

#include "ir/base/rng.h"
#include "ir/graph.h"

enum {
#define C(ident, removes, doc) CONSTRUCT_##ident,
#include "tests/passes/prune_nets.def"
#undef C
  CONSTRUCTS
};

typedef struct ConstructInfo {
  const char *name, *doc;
  bool removes;
} ConstructInfo;
extern const ConstructInfo construct_info[CONSTRUCTS];

/* The net of a seed, verified: construct seed % CONSTRUCTS and some others. Batch 2 where a construct wants a fixed one,
 * symbolic otherwise. */
Graph *prune_net(uint64_t seed);
/* The construct that made the node; -1: none (the first layer, the classifier). */
int prune_net_construct(const Graph *g, const Node *n);

/* -- for prune_nets*.c -- */
typedef struct PNet {
  Graph *g;
  Rng rng;
  Diag *d;
  const char *construct;
  bool fixed; /* batch 2 */
} PNet;
typedef ValId GrowFn(PNet *t, ValId x);

int pn_below(PNet *t, int n);
const Shape *pn_shape(const PNet *t, ValId v);
ValId pn_node(PNet *t, OpKind op, const void *attrs, const ValId *in, uint32_t n);
ValId pn_1(PNet *t, OpKind op, const void *attrs, ValId x);
ValId pn_2(PNet *t, OpKind op, ValId x, ValId y);
/* Random constants. */
ValId pn_const(PNet *t, const Shape *s, float mean, float deviation);
ValId pn_vector(PNet *t, int64_t n, float mean, float deviation);
ValId pn_activation(PNet *t, ValId x);
ValId pn_conv(PNet *t, ValId x, int64_t out, int k, int stride, int group);
/* y = x w^T + b. */
ValId pn_dense(PNet *t, ValId x, int64_t out);
/* [.., H, W, C] under another shape, the batch in front kept: `rank` dimensions behind it. */
ValId pn_reshape(PNet *t, ValId x, int rank, const int64_t *d);
ValId pn_transpose(PNet *t, ValId x, int rank, const int64_t *perm);
ValId pn_slice(PNet *t, ValId x, int axis, int64_t start, int64_t count, int64_t step);
ValId pn_concat(PNet *t, int axis, const ValId *in, uint32_t n);
ValId pn_reduce(PNet *t, OpKind op, ValId x, uint32_t axes, bool keepdims);
/* Image to [N,H*W,C] and back to [N,T,1,C]. */
ValId pn_sequence(PNet *t, ValId x);
ValId pn_image(PNet *t, ValId x);

#define C(ident, removes, doc) GrowFn grow_##ident;
#include "tests/passes/prune_nets.def"
#undef C

#endif
