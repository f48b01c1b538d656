/* Labels, of which units are made: what channels_label.c, channels_layer.c, channels_each.c, channels_move.c and
 * channels_units.c share. See channels.c for the algorithm.
 */
#ifndef PASSES_CHANNELS_FIND_H
#define PASSES_CHANNELS_FIND_H

#include "passes/channels.h"

typedef struct Label {
  uint32_t parent;
  uint32_t least;     /* the root's counts: ChanGroup.least */
  const char *frozen; /* the root's counts: NULL, or why the class may not be removed */
} Label;

/* One axis of a value. Arrays of labels are never written to once they are made, so that axes share them. */
typedef struct ChanAxis {
  const uint32_t *lab; /* [extent] labels; NULL: all of it stays */
  const char *why;     /* lab == NULL: what keeps it (NULL: nothing that could be pruned makes it) */
  bool set;
} ChanAxis;

typedef struct ChanAxes {
  ChanAxis axis[MAX_RANK];
} ChanAxes;

/* The axes of a constant as one node reads it: pointers, since weights may get their labels later. */
typedef struct ChanUse {
  const ChanAxis *axis[MAX_RANK];
} ChanUse;

typedef struct Finder {
  const Graph *g;
  Channels *c;
  Arena *arena;      /* of one walk */
  ChanAxes *val;     /* [n_vals] what is computed, inputs, states */
  ChanAxes *weights; /* [n_vals] constants that are weights: shared ones tie their readers */
  ChanUse **use;     /* [n_nodes][n_in]; NULL: no operand of the node is cut */
  Label *labels;
  size_t cap;
  uint32_t n;
  uint8_t *choice, *choices; /* [n_nodes] which of several ways to couple; how many there are */
} Finder;

/* Couples the labels of what n reads and makes. Returns NULL, or what keeps it from that ("has computed weights"): all
 * channels of its inputs and outputs then stay. Axes of the output that it leaves unset stay whole. */
typedef const char *CoupleFn(Finder *f, const Node *n);

/* -- channels_label.c -- */
uint32_t label_new(Finder *f, const char *frozen);
uint32_t label_root(const Finder *f, uint32_t l);
void label_unite(Finder *f, uint32_t a, uint32_t b);
void label_freeze(Finder *f, uint32_t l, const char *why);

/* Extent of axis a of v; 0 for a symbolic batch, which has no labels. */
uint32_t chan_extent(const Finder *f, ValId v, int a);
/* Axis a of value v, counted from the end where negative; of a constant: one that stays. */
const ChanAxis *chan_of(const Finder *f, ValId v, int a);
/* "OP "name" WHAT", for reasons. */
const char *chan_why(Finder *f, const Node *n, const char *what);
/* An axis with these labels (kept). */
ChanAxis chan_axis(const uint32_t *lab);
uint32_t *chan_array(Finder *f, uint32_t n);
/* Axis a of value v is to be `ax`, of the same extent; has fresh labels; stays whole. */
void chan_set(Finder *f, ValId v, int a, const ChanAxis *ax);
void chan_fresh(Finder *f, ValId v, int a);
void chan_fix(Finder *f, ValId v, int a, const char *why);
/* Nothing of axis `ax` (n entries) may go. */
void chan_freeze(Finder *f, const ChanAxis *ax, uint32_t n, const char *why);
/* The two axes of n entries are one: entry i of both goes, or stays. */
void chan_tie(Finder *f, const ChanAxis *x, const ChanAxis *y, uint32_t n);
/* At least so many of the units along this axis stay. */
void chan_least(Finder *f, const ChanAxis *ax, uint32_t n, uint32_t least);
/* Constant operand k of n has, along its axis a, the entries that `ax` has. Kept by reference. */
void chan_use(Finder *f, const Node *n, uint32_t k, int a, const ChanAxis *ax);
/* The same for weights: all readers of one constant are tied. */
void chan_weights(Finder *f, const Node *n, uint32_t k, int a, const ChanAxis *ax);
/* A parameter with one entry for each of the output's along axis a: constant, or computed and then tied. */
void chan_param(Finder *f, const Node *n, uint32_t k, int of, int a);
/* The output has input k's labels along all axes but those of the mask, which stay and are frozen for this reason. */
void chan_same_but(Finder *f, const Node *n, uint32_t k, uint32_t mask, const char *what);

/* -- the operators -- */
CoupleFn couple_conv, couple_depthwise_conv, couple_fully_connected, couple_matmul, couple_cell,
    couple_seq_lstm, couple_svdf_state, couple_svdf; /* channels_layer.c */
CoupleFn couple_elementwise, couple_batch_normalization, couple_pool, couple_mean, couple_sum, couple_axis_op,
    couple_trilu, couple_same; /* channels_each.c */
CoupleFn couple_transpose, couple_reshape, couple_concat, couple_pad, couple_slice, couple_gather,
    couple_expand; /* channels_move.c */

/* -- channels_units.c -- */
/* Units, groups and what values and constants have of them, from labels; into f->c. */
void chan_units(Finder *f);

#endif
