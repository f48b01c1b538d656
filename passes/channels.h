/* Channels: which channels of a graph's values must disappear together, and which may not disappear at all.
 *
 * A unit is a set of channels, over many values, that are coupled: removing one of them alone would leave a
 * graph that does not fit together. A group is a set of units of equal standing: they are channels of the
 * same values, so that removing one or another saves the same.
 *
 *   conv a -> BN -> Relu --+                      a group of 16 units, each of
 *   conv b (16 channels) --+-> Add -> conv c        row i of a and b, entry i of BN, input slice i of c
 */
#ifndef PASSES_CHANNELS_H
#define PASSES_CHANNELS_H

#include "ir/base/strbuf.h"
#include "ir/graph.h"

/* The unit of a channel that may not be removed. */
#define CHAN_FIXED UINT32_MAX

typedef struct ChanGroup {
  uint32_t first, n; /* units first .. first+n-1 */
  const char *name;  /* of the first layer that makes them */
} ChanGroup;

/* A layer with weights: how many of its output channels may go, and why not the others. */
typedef struct ChanLayer {
  NodeId node;
  const char *name;
  uint32_t channels, prunable;
  const char *reason; /* NULL when prunable == channels */
} ChanLayer;

typedef struct Channels {
  Arena *arena; /* owns everything below */
  const Graph *graph;
  int32_t *axis; /* [n_vals] the axis of a value along which its channels lie; -1: none, or a constant */
  uint32_t *
      *unit; /* [n_vals][extent of that axis] unit of each channel, or CHAN_FIXED; NULL where axis is -1 */
  uint32_t n_units, n_groups, n_layers;
  uint32_t *group_of; /* [n_units] */
  ChanGroup *groups;  /* in order of the first value they are channels of; the same order in a pruned graph */
  ChanLayer *layers;  /* Conv, DepthwiseConv, FullyConnected in node order */
} Channels;

/* Analyse a float graph that has been through `layout` (images NHWC; no dead nodes, as after any pass). `keep`: names of layers whose output
 * channels all stay, separated by ';' (NULL or "": none); a name that no layer has is reported.
 * channels_free in any case. g must outlive the result. */
bool channels_find(const Graph *g, const char *keep, Channels *out, Diag *d);
void channels_free(Channels *c);

/* Extent of value v along its channel axis; 0 where it has none. */
uint32_t channels_extent(const Channels *c, ValId v);
/* Text: one line for each group, then one for each layer that cannot be pruned wholly, with the reason. */
void channels_print(const Channels *c, StrBuf *out);

/* Name of a node for messages: its name in the model, or its output's, or its operator. */
const char *node_label(const Graph *g, const Node *n);

#endif
