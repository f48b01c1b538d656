/* Placing buffers whose lifetimes are known: the largest first, each at the lowest offset at which it meets no other
 * that is live at the same time. The classic greedy-by-size of TFLite's memory planner; O(n^2), n is some hundreds.
 */
#include <stdlib.h>

#include "ir/base/mem.h"
#include "runtime/engine/session.h"

enum { ALIGN = 16 }; /* floats: a cache line */

static int by_size(const void *a, const void *b) {
  const Interval *x = *(Interval *const *)a, *y = *(Interval *const *)b;
  if (x->size != y->size) return x->size < y->size ? 1 : -1;
  return x < y ? -1 : x > y; /* a fixed order among equals */
}

static int by_offset(const void *a, const void *b) {
  const Interval *x = *(Interval *const *)a, *y = *(Interval *const *)b;
  if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
  return x < y ? -1 : x > y;
}

static bool meet(const Interval *a, const Interval *b) { return a->first <= b->last && b->first <= a->last; }

/* Lowest offset for v among the placed ones, which are sorted by offset. */
static int64_t lowest(const Interval *v, Interval *const *placed, int n) {
  int64_t at = 0;
  for (int i = 0; i < n; i++) {
    if (!meet(v, placed[i])) continue;
    if (placed[i]->offset >= at + v->size) break;
    int64_t end = placed[i]->offset + placed[i]->size;
    if (end > at) at = end;
  }
  return at;
}

int64_t place_intervals(Interval *v, int n) {
  Interval **order = mem_array((size_t)n, sizeof *order), **placed = mem_array((size_t)n, sizeof *placed);
  int64_t total = 0;
  for (int i = 0; i < n; i++) {
    v[i].size = (v[i].size + ALIGN - 1) / ALIGN * ALIGN;
    order[i] = &v[i];
  }
  if (n) qsort(order, (size_t)n, sizeof *order, by_size);
  for (int i = 0; i < n; i++) {
    order[i]->offset = lowest(order[i], placed, i);
    placed[i] = order[i];
    qsort(placed, (size_t)i + 1, sizeof *placed, by_offset);
    if (order[i]->offset + order[i]->size > total) total = order[i]->offset + order[i]->size;
  }
  mem_free(order);
  mem_free(placed);
  return total;
}
