/* The planner's parts, in the order in which a plan is made:
 *
 *   rows.c      which rows of its inputs a row of a call reads
 *   order.c     the order of the calls
 *   spans.c     which values need bytes, from which call to which
 *   segment.c   one call, or a chain of calls that run row by row: leads, rings, distances, peak
 *   bounds.c    what a segment needs at least; choose.c the cut of all calls into segments
 *   pack.c      offsets
 *   plan.c      the plan itself; plan_print.c its table
 *   bands.c     before all that: the graph with layers in bands of columns; patches.c which ones, under a limit
 */
#ifndef BACKEND_PLAN_PLAN_H
#define BACKEND_PLAN_PLAN_H

#include "backend/backend.h"

/* -- rows.c -- */

/* Output row y of a call reads the input's rows y * mul - sub .. y * mul - sub + ext - 1, those of them that lie in
 * 0 .. rows-1; `all`: any of the input's bytes. */
typedef struct RowMap {
  bool all;
  int32_t mul, sub, ext, rows;
} RowMap;

typedef struct CallRows {
  bool
      by_rows; /* a row of the call touches the bytes of one row of the output, and RowMap's rows of the inputs */
  bool ends; /* the rows are the input's; the output is written with the last one */
  RowMap in[CALL_MAX_IN];
} CallRows;
void call_rows_find(const KernelCall *k, CallRows *out);
/* The call in the form that computes it by rows of its input. False: it has none. */
bool call_rows_form(const Graph *g, const KernelCall *k, KernelCall *form);

/* -- pack.c -- */

/* A run of bytes that is needed from call `first` to call `last`, both included. */
typedef struct PackBox {
  int64_t size; /* a multiple of the alignment */
  int32_t first, last;
  int64_t offset; /* written by pack_boxes */
} PackBox;

/* Boxes that meet in time but may overlap, since `over` is written where `under` has been read already:
 * offset(under) - offset(over) >= distance, or over lies wholly above under. */
typedef struct PackPair {
  int over, under;
  int64_t distance; /* a multiple of the alignment */
} PackPair;

/* Give each box an offset so that boxes whose lifetimes meet do not overlap, pairs but as they may. Returns the bytes
 * needed. Deterministic; optimal where the search ends by reaching the lower bound or (few boxes, no negative
 * distances) by exhausting all orders. */
int64_t pack_boxes(PackBox *boxes, int n, const PackPair *pairs, int n_pairs);
/* The same, but no better packing is looked for than one of `enough` bytes. */
int64_t pack_boxes_within(PackBox *boxes, int n, const PackPair *pairs, int n_pairs, int64_t enough);
/* The largest sum of sizes alive at one time less what pairs may share: no packing needs less. */
int64_t pack_lower_bound(const PackBox *boxes, int n, const PackPair *pairs, int n_pairs);
/* Bytes that the two boxes of a pair have in common at most. */
int64_t pack_common(int64_t over, int64_t under, int64_t distance);
/* What box `over` of `size` bytes shares with all of its pairs at most: common is the sum of pack_common, nearest the
 * least distance. What lies under it at one time lies side by side, above that distance. */
static inline int64_t pack_shared(int64_t size, int64_t common, int64_t nearest) {
  int64_t room = nearest > 0 ? size - nearest : size;
  return common < room ? common : room;
}

/* -- spans.c -- */

/* By root value. Positions are indices of calls; an input is there from -1 on, an output until the number of calls. */
typedef struct Span {
  int32_t first, last; /* SPAN_NEVER: needs no bytes */
  int32_t writers;     /* calls that write it */
  int64_t bytes;
} Span;
enum { SPAN_NEVER = INT32_MIN };
static inline bool span_alive(const Span *s, int32_t from, int32_t to) {
  return s->first != SPAN_NEVER && s->first <= to && s->last >= from;
}

typedef struct SegKnown SegKnown;
typedef struct Planner {
  const Graph *g;
  Calls *calls;
  PlanOptions opt;
  int64_t align;
  ValId *root;        /* by value */
  Span *span;         /* by root value */
  CallRows *rows;     /* by call */
  ValId by_rows;      /* root of the input that arrives by rows; NO_VAL: none */
  bool apart;         /* peaks are counted as if nothing could overlap: chains of overlaps pack badly */
  bool guests;        /* rings may have guests */
  bool within;        /* whether the limit can be met is all that is asked */
  int *first_access;  /* by value, of the segment in the making; -1: none */
  SegKnown *known[2]; /* of segments, counted with overlap and `apart`: by choose.c; NULL: nothing yet */
  Arena *arena;       /* what lives as long as the planner */
} Planner;
void spans_find(Planner *p);

/* -- segment.c -- */

typedef enum SegKind {
  SEG_WHOLE, /* one call, all rows at once */
  SEG_ROWS   /* calls that take turns, row by row */
} SegKind;

/* Bytes inside a segment: a ring (rows > 0) or scratch (val NO_VAL), alive during calls first .. last. */
typedef struct SegItem {
  ValId val;          /* the ring's value; several values of one ring are items of equal `share` */
  int share;          /* number of the item that carries the bytes */
  int32_t rows, call; /* of the ring; of the scratch */
  int64_t bytes;
  int32_t first, last;
  bool tried; /* for a host */
  int host;   /* number of the ring in whose slots it lies; -1: it has bytes of its own */
  PlanSlot slot;
} SegItem;

typedef struct SegPair {
  ValId over, under; /* under: a value that dies, or a ring (the first value of its share) */
  int64_t distance;
  bool same; /* over lies exactly on under: computed in place */
} SegPair;

enum { SEG_MAX = 128, SEG_MAX_PAIRS = 64 };
typedef struct Segment {
  SegKind kind;
  int32_t first, n, steps;
  PlanStage stage[SEG_MAX], feed; /* feed: of the input, where it arrives by rows */
  bool form[SEG_MAX];             /* by rows of the input: call_rows_form */
  SegItem item[2 * SEG_MAX + 2];
  int n_items;
  SegPair pair[SEG_MAX_PAIRS];
  int n_pairs;
  int64_t peak;   /* lower bound of the bytes that it needs, all that lives then included */
  int64_t pieces; /* kernel calls */
} Segment;

/* Segment of calls first .. first+n-1. False: these calls cannot run so. */
bool segment_make(const Planner *p, SegKind kind, int32_t first, int32_t n, Segment *out);

/* -- bounds.c -- */
/* By root value: bytes of the ring that it is at least where it is one; in p->arena. */
int64_t *bounds_rings(const Planner *p);
/* bound[n-1]: what the segment of calls first .. first+n-1 by rows needs at least, for all n up to `most` (calls that
 * there are). */
void bounds_find(const Planner *p, const int64_t *ring, int32_t first, int32_t most, int64_t *bound);

/* -- choose.c -- */

typedef struct Choice {
  int32_t n; /* segments */
  Segment *segment;
  int64_t peak; /* the largest of the segments' */
} Choice;
/* The cut whose largest peak is least, or where it meets `limit` (> 0) the one of fewest pieces that does. p->within: where
 * none meets the limit, none (peak INT64_MAX). */
void choose_segments(Planner *p, PlanLevel level, int64_t limit, Choice *out);
void choice_free(Choice *c);

/* -- plan.c -- */
/* Whether plan_memory finds a plan within o->limit (> 0): without looking for a better one. */
bool plan_fits(const Graph *g, Calls *calls, const PlanOptions *o);

/* -- regions.c -- */
/* Bytes read and written of each storage. */
void regions_heat(const Planner *p, const int32_t *storage, const PlanItem *items, int n_items,
                  int64_t *heat);
/* Give each box a region and an offset there; bytes[r]: of region r. */
void regions_spread(const PlanOptions *o, PackBox *box, int n, const PackPair *pairs, int n_pairs,
                    const int64_t *heat, int32_t *region, int64_t *bytes);

/* -- hop.c -- */
/* Whether the first segment's call hands v on to later ones: it is kept from one window to the next. */
bool hop_keeps(const Planner *p, const Segment *first, ValId v);
/* What moves between two windows, when offsets are known. */
void hop_find(const Planner *p, const Segment *first, Arena *a, MemoryPlan *out);

/* -- order.c -- */
/* An order of the calls whose peak of whole tensors is lower than the present one's: order[i] is the call that comes
 * i-th. False: none was found. */
bool order_find(const Planner *p, int32_t *order);
/* Move each copy up behind the call that writes what it copies: a band's last layer and its share of the whole (bands.c)
 * then run together. */
void order_copies_early(const Graph *g, Calls *calls);

#endif
