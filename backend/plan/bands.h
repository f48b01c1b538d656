/* Bands of columns: a graph's layers made patch by patch (bands.c), searched under a limit of memory (patches.c). */
#ifndef BACKEND_PLAN_BANDS_H
#define BACKEND_PLAN_BANDS_H

#include "backend/backend.h"

enum { BANDS_MAX = 16 };

/* Nodes first .. last, computed for so many bands of the last one's columns. */
typedef struct BandRegion {
  NodeId first, last;
  int bands;
} BandRegion;

/* Whether these nodes can be: images [1,H,W,C] by windows, elementwise and channelwise operators, and all that others
 * read of them is the last one's output. */
bool bands_can(const Graph *g, const BandRegion *r);
/* Whether one node can be. */
bool bands_can_node(const Graph *g, NodeId k);
/* Multiply-accumulates of the graph with the region in bands, columns that are computed twice included. Of a region that
 * cannot be: INT64_MAX. */
int64_t bands_macs(const Graph *g, const BandRegion *r);
/* About as many bytes as rings need in the widest band: for each value that windows read, their rows. */
int64_t bands_rings(const Graph *g, const BandRegion *r);
/* The same of nodes first .. end-1, which are not in bands. */
int64_t bands_rings_whole(const Graph *g, NodeId first, NodeId end);
/* The graph with the region in bands; it computes the same bytes. Asserts bands_can. NULL: reported (a band would see
 * padding alone). */
Graph *bands_apply(const Graph *g, const BandRegion *r, Diag *d);

#endif
