/* What a partly pruned graph would cost, estimated without building it (passes/prune_size.c). */
#ifndef PASSES_PRUNE_SIZE_H
#define PASSES_PRUNE_SIZE_H

#include "ir/cost.h"
#include "passes/channels.h"

enum { RES_MACS, RES_PARAMS, RES_FLASH, RES_RAM, RES_CYCLES, RES_COUNT };

/* Estimates by resource. MACs and parameters are exact; flash is that of the constants; RAM the largest sum of
 * values alive at once; cycles are MACs. */
typedef struct Sizes {
  double v[RES_COUNT];
  NodeId peak; /* the node during which RAM is highest */
} Sizes;

typedef struct Sizer Sizer;
/* precision: element type of the deployed values and weights, DT_I8 or DT_F32. c must outlive it. */
Sizer *sizer_new(const Channels *c, DType precision);
void sizer_free(Sizer *s);
/* Take unit u out, or put it back: each at most once in turn. */
void sizer_remove(Sizer *s, uint32_t u);
void sizer_restore(Sizer *s, uint32_t u);
Sizes sizer_sizes(Sizer *s);
/* Bytes alive during node n, as of the last sizer_sizes. */
double sizer_live(const Sizer *s, NodeId n);

/* Entries that are left of node n's input k along an axis. */
uint32_t sizer_kept(const Sizer *s, NodeId n, uint32_t k, int axis);
/* Bytes of tables and biases for each output channel of a layer. */
double sizer_per_output(const Sizer *s);
/* What node n alone adds to MACs, parameters, flash and cycles (a constant that several read counts for each), and the bytes
 * alive during it. */
void sizer_node(Sizer *s, NodeId n, double v[RES_COUNT]);
/* The groups of channels on which sizer_node's results for n depend, ascending: those of RAM, or of all the others. Returns
 * their number; group [n_groups]. */
uint32_t sizer_node_groups(const Sizer *s, NodeId n, bool ram, uint32_t *group);

#endif
