/* Packing boxes (a size and a lifetime) into one run of bytes: dynamic storage allocation with known lifetimes.
 * Boxes that meet in time lie apart; those of a pair may overlap by what the pair's distance allows.
 *
 *   offset ^   +-------+                   The problem is NP-hard. Boxes are placed one after the other, each at the
 *          |   | c     |  +------+         lowest offset of the smallest gap among those it meets in time (best fit),
 *          | +-+-----+-+  | d    |         in several orders; then the order is improved by moving the box that ends
 *          | | a     |b|  |      |         highest to the front, and small cases are searched by branch and bound.
 *          +-+-------+-+--+------+-> time
 *
 * Every optimal packing is reached by lowest-fit placement in the order of its offsets, so that the search over all
 * orders is exact. Sources: Pisarchyk and Lee 2020 (arXiv:2001.03288), greedy by size; the rest is ours.
 */
#include "backend/plan/plan.h"

#include <string.h>

#include "ir/base/mem.h"

enum { IMPROVE_ROUNDS = 64, CLIMB_ROUNDS = 600, EXACT_MAX = 12, EXACT_NODES = 200000 };

/* Of two boxes: the one may not begin in (other - below, other + above). Both 0: anywhere, they never meet. */
typedef struct Side {
  int64_t below, above;
} Side;

typedef struct Range {
  int64_t from, to;
} Range;

typedef struct Packer {
  PackBox *box;
  int n;
  Side *side;    /* [n][n] */
  Range *range;  /* where a box may not begin: from < offset < to */
  int *order;    /* the order being tried */
  int64_t *best; /* offsets of the best packing so far */
  int64_t best_top, bound;
  int *placed; /* boxes placed, sorted by offset */
  int n_placed;
  int nodes; /* of the exact search, left */
} Packer;

static bool meets(const PackBox *a, const PackBox *b) { return a->first <= b->last && b->first <= a->last; }

/* Where box i may not begin, sorted by `from`. */
static int find_ranges(const Packer *p, int i) {
  const Side *side = p->side + (size_t)i * (size_t)p->n;
  int n = 0;
  for (int k = 0; k < p->n_placed; k++) {
    const Side s = side[p->placed[k]];
    if (s.below + s.above <= 0) continue;
    const int64_t offset = p->box[p->placed[k]].offset;
    const Range r = {offset - s.below, offset + s.above};
    int at = n++;
    for (; at > 0 && p->range[at - 1].from > r.from; at--) p->range[at] = p->range[at - 1];
    p->range[at] = r;
  }
  return n;
}

/* The offset for box i among the placed ones: the smallest gap that holds it, or (lowest) the first one. */
static int64_t find_gap(const Packer *p, int i, bool lowest) {
  int64_t at = 0, best = -1, best_room = INT64_MAX;
  int n = find_ranges(p, i);
  for (int k = 0; k < n; k++) {
    int64_t room = p->range[k].from - at;
    if (room >= 0 && room < best_room) {
      best = at;
      best_room = room;
      if (lowest) return best;
    }
    if (p->range[k].to > at) at = p->range[k].to;
  }
  return best >= 0 ? best : at;
}

static void place(Packer *p, int i, int64_t offset) {
  p->box[i].offset = offset;
  int k = p->n_placed++;
  for (; k > 0 && p->box[p->placed[k - 1]].offset > offset; k--) p->placed[k] = p->placed[k - 1];
  p->placed[k] = i;
}

static void unplace(Packer *p, int i) {
  int k = 0;
  while (p->placed[k] != i) k++;
  p->n_placed--;
  memmove(p->placed + k, p->placed + k + 1, (size_t)(p->n_placed - k) * sizeof *p->placed);
}

static void keep(Packer *p, int64_t top) {
  if (top >= p->best_top) return;
  p->best_top = top;
  for (int i = 0; i < p->n; i++) p->best[i] = p->box[i].offset;
}

/* Place all boxes in p->order, unless the top comes to lie above `most`. Returns the top; *highest is the place in the
 * order of the box that reaches it. */
static int64_t try_order(Packer *p, bool lowest, int64_t most, int *highest) {
  int64_t top = 0;
  *highest = 0;
  p->n_placed = 0;
  for (int k = 0; k < p->n; k++) {
    int i = p->order[k];
    place(p, i, find_gap(p, i, lowest));
    if (p->box[i].offset + p->box[i].size <= top) continue;
    top = p->box[i].offset + p->box[i].size;
    *highest = k;
    if (top > most) return top;
  }
  keep(p, top);
  return top;
}

/* -- orders: each gives a box's rank; larger comes first -- */

static double life(const PackBox *b) { return (double)b->last - b->first + 1; }
static double rank_size(const PackBox *b) { return (double)b->size; }
static double rank_area(const PackBox *b) { return (double)b->size * life(b); }
static double rank_life(const PackBox *b) { return life(b); }
static double rank_early(const PackBox *b) { return -(double)b->first; }
static double rank_late(const PackBox *b) { return (double)b->last; }

static double (*const ranks[])(const PackBox *) = {rank_size, rank_area, rank_life, rank_early, rank_late};

/* Insertion sort by rank, then size, then index: stable and the same everywhere. */
static void sort_order(Packer *p, double (*rank)(const PackBox *)) {
  for (int k = 0; k < p->n; k++) {
    const PackBox *b = &p->box[k];
    int at = k;
    for (; at > 0; at--) {
      const PackBox *o = &p->box[p->order[at - 1]];
      if (rank(o) > rank(b) || (rank(o) == rank(b) && o->size >= b->size)) break;
      p->order[at] = p->order[at - 1];
    }
    p->order[at] = k;
  }
}

static void move_to_front(int *order, int k) {
  int i = order[k];
  memmove(order + 1, order, (size_t)k * sizeof *order);
  order[0] = i;
}

static void try_rank(Packer *p, double (*rank)(const PackBox *), bool lowest) {
  sort_order(p, rank);
  for (int round = 0; round < IMPROVE_ROUNDS && p->best_top > p->bound; round++) {
    int highest;
    try_order(p, lowest, INT64_MAX, &highest);
    if (highest == 0) return;
    move_to_front(p->order, highest);
  }
}

/* Small changes of the best order found, kept where they do no harm. */
static void climb(Packer *p) {
  uint32_t r = 12345;
  int *best = mem_array((size_t)p->n, sizeof *best), highest;
  sort_order(p, rank_size);
  int64_t top = try_order(p, true, INT64_MAX, &highest);
  for (int round = 0; round < CLIMB_ROUNDS && p->best_top > p->bound; round++) {
    memcpy(best, p->order, (size_t)p->n * sizeof *best);
    r = r * 1664525u + 1013904223u;
    int from = (int)(r >> 8) % p->n, i = p->order[from];
    r = r * 1664525u + 1013904223u;
    int to = (int)(r >> 8) % p->n;
    memmove(p->order + from, p->order + from + 1, (size_t)(p->n - 1 - from) * sizeof *p->order);
    memmove(p->order + to + 1, p->order + to, (size_t)(p->n - 1 - to) * sizeof *p->order);
    p->order[to] = i;
    int64_t now = try_order(p, true, top, &highest);
    if (now <= top)
      top = now;
    else
      memcpy(p->order, best, (size_t)p->n * sizeof *best);
  }
  mem_free(best);
}

/* -- exact search: all orders, offsets not descending, cut where the best is reached -- */

static void search(Packer *p, unsigned left, int64_t floor_offset, int64_t top) {
  if (!left) {
    keep(p, top);
    return;
  }
  for (int i = 0; i < p->n && p->best_top > p->bound && p->nodes > 0; i++) {
    if (!(left & (1u << i))) continue;
    p->nodes--;
    int64_t offset = find_gap(p, i, true), end = offset + p->box[i].size;
    if (offset < floor_offset || (end > top ? end : top) >= p->best_top) continue;
    place(p, i, offset);
    search(p, left & ~(1u << i), offset, end > top ? end : top);
    unplace(p, i);
  }
}

int64_t pack_common(int64_t over, int64_t under, int64_t distance) {
  int64_t end = distance + under; /* from the beginning of `over`, where it lies as low as it may */
  int64_t most = over < under ? over : under, common = over + under - (over > end ? over : end);
  return common < 0 ? 0 : common < most ? common : most;
}

/* What box `over` shares with those of its pairs that live at time t. */
static int64_t shared_at(const PackBox *boxes, const PackPair *pairs, int n_pairs, int over, int32_t t) {
  int64_t common = 0, nearest = INT64_MAX;
  for (int k = 0; k < n_pairs; k++) {
    const PackBox *u = &boxes[pairs[k].under];
    if (pairs[k].over != over || u->first > t || u->last < t) continue;
    common += pack_common(boxes[over].size, u->size, pairs[k].distance);
    nearest = pairs[k].distance < nearest ? pairs[k].distance : nearest;
  }
  return common ? pack_shared(boxes[over].size, common, nearest) : 0;
}

int64_t pack_lower_bound(const PackBox *boxes, int n, const PackPair *pairs, int n_pairs) {
  int64_t most = 0;
  for (int i = 0; i < n; i++) { /* the sum grows only where a box begins */
    const int32_t t = boxes[i].first;
    int64_t sum = 0;
    for (int k = 0; k < n; k++)
      if (boxes[k].first <= t && t <= boxes[k].last)
        sum += boxes[k].size - shared_at(boxes, pairs, n_pairs, k, t);
    if (sum > most) most = sum;
    if (boxes[i].size > most) most = boxes[i].size;
  }
  return most;
}

/* Boxes that meet in time lie apart, those of a pair as it says. */
static void find_sides(Packer *p, const PackPair *pairs, int n_pairs) {
  const size_t n = (size_t)p->n;
  for (size_t i = 0; i < n; i++)
    for (size_t k = 0; k < n; k++)
      if (meets(&p->box[i], &p->box[k])) p->side[i * n + k] = (Side){p->box[i].size, p->box[k].size};
  for (int k = 0; k < n_pairs; k++) {
    const PackPair *q = &pairs[k];
    const int64_t over = p->box[q->over].size, under = p->box[q->under].size;
    Side *of_over = &p->side[(size_t)q->over * n + (size_t)q->under],
         *of_under = &p->side[(size_t)q->under * n + (size_t)q->over];
    of_over->below = q->distance, of_over->above = under;
    of_under->below = under, of_under->above = q->distance;
    ASSERT(q->distance <= over && q->distance >= -under);
  }
}

int64_t pack_boxes(PackBox *boxes, int n, const PackPair *pairs, int n_pairs) {
  return pack_boxes_within(boxes, n, pairs, n_pairs, 0);
}

int64_t pack_boxes_within(PackBox *boxes, int n, const PackPair *pairs, int n_pairs, int64_t enough) {
  if (n == 0) return 0;
  Packer p = {.box = boxes,
              .n = n,
              .best_top = INT64_MAX,
              .bound = pack_lower_bound(boxes, n, pairs, n_pairs),
              .nodes = EXACT_NODES};
  if (p.bound < enough) p.bound = enough;
  p.order = mem_array((size_t)n, sizeof *p.order);
  p.placed = mem_array((size_t)n, sizeof *p.placed);
  p.best = mem_array((size_t)n, sizeof *p.best);
  p.range = mem_array((size_t)n, sizeof *p.range);
  p.side = mem_array((size_t)n * (size_t)n, sizeof *p.side);
  find_sides(&p, pairs, n_pairs);
  for (size_t k = 0; k < sizeof ranks / sizeof *ranks; k++) {
    try_rank(&p, ranks[k], false);
    try_rank(&p, ranks[k], true);
  }
  if (p.best_top > p.bound && n > 1) climb(&p);
  if (p.best_top > p.bound && n <= EXACT_MAX) {
    p.n_placed = 0;
    search(&p, (1u << n) - 1, 0, 0);
  }
  for (int i = 0; i < n; i++) boxes[i].offset = p.best[i];
  mem_free(p.order);
  mem_free(p.placed);
  mem_free(p.best);
  mem_free(p.range);
  mem_free(p.side);
  return p.best_top;
}
