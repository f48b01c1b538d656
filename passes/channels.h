/* Channels: which channels of a graph's values must disappear together, and which may not disappear at all.
 *
 * A channel is one index along one axis of a value: a feature of a Conv, a hidden unit of a recurrent layer, an
 * attention head. A unit is a set of channels, over many values, that are coupled: removing one of them alone would
 * leave a graph that does not fit together. A group is a set of units of equal standing: they are channels of the
 * same values, so that removing one or another saves the same.
 *
 *   conv a -> BN -> Relu --+                      a group of 16 units, each of
 *   conv b (16 channels) --+-> Add -> conv c        row i of a and b, entry i of BN, input slice i of c
 *
 * Files: channels.c (the whole), channels_label.c (labels), channels_layer.c, channels_each.c, channels_move.c (what
 * each operator couples), channels_units.c (labels to units and groups).
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
  uint32_t least;    /* so many stay, or what is coupled would be coupled otherwise afterwards; 1 .. n */
} ChanGroup;

/* A layer with weights: how many of its output channels may go, and why not the others. */
typedef struct ChanLayer {
  NodeId node;
  const char *name;
  uint32_t channels, prunable;
  const char *reason; /* NULL when prunable == channels */
  int axis;           /* of its output, along which its channels lie */
} ChanLayer;

/* The units along every axis of a value; NULL: that axis stays whole. */
typedef struct ChanUnits {
  const uint32_t *axis[MAX_RANK];
} ChanUnits;

typedef struct Channels {
  Arena *arena; /* owns everything below */
  const Graph *graph;
  int32_t *axis; /* [n_vals] the axis of a value along which its channels lie; -1: none, or a constant */
  uint32_t *
      *unit; /* [n_vals][extent of that axis] unit of each channel, or CHAN_FIXED; NULL where axis is -1 */
  ChanUnits *along; /* [n_vals] the same along every axis: a value may have channels along several, of which
                        * axis[v] is the innermost that can lose some */
  ChanUnits **operand; /* [n_nodes][n_in] units along the axes of each constant that the node reads */
  uint32_t n_units, n_groups, n_layers;
  uint32_t *group_of; /* [n_units] */
  ChanGroup *groups;  /* in order of the first value they are channels of; the same order in a pruned graph */
  ChanLayer *layers;  /* what has constant weights, in node order (chan_layer_axis) */
} Channels;

/* Analyse a float graph that has been through `layout` (images NHWC; no dead nodes, as after any pass). `keep`: names of layers whose output
 * channels all stay, separated by ';' (NULL or "": none); a name that no layer has is reported.
 * channels_free in any case. g must outlive the result. */
bool channels_find(const Graph *g, const char *keep, Channels *out, Diag *d);
void channels_free(Channels *c);

/* Extent of value v along its channel axis; 0 where it has none. */
uint32_t channels_extent(const Channels *c, ValId v);
/* The axis of n's output along which it makes channels by constant weights: Conv, DepthwiseConv, ConvTranspose,
 * FullyConnected, MatMul, recurrent layers, Gather from a table; -1: n is no such layer. */
int chan_layer_axis(const Graph *g, const Node *n);
/* Text: one line for each group, then one for each layer that cannot be pruned wholly, with the reason. */
void channels_print(const Channels *c, StrBuf *out);

/* Name of a node for messages: its name in the model, or its output's, or its operator. */
const char *node_label(const Graph *g, const Node *n);

#endif
