/* The cut of the calls into segments, by dynamic programming over their ends.
 *
 *   calls    0   1   2   3   4   5   6        best(end) = least over the last segment of
 *            |whole| by rows |whole|...                   max(best(its begin), its peak)
 *
 * First the least peak that a cut can have; then, among the cuts that stay within it (or within the limit given), the
 * one with the fewest kernel calls: what does not matter for the peak runs whole.
 *
 * Segments are made when they are asked for. Of the others a bound of the peak (bounds.c) is known, and the best cut by
 * bounds and peaks is looked for again until it has no segment that is not made: the same as if all of them were, since
 * none of the others can be better than its bound.
 */
#include "backend/plan/plan.h"
#include "ir/base/mem.h"

typedef enum State { BOUND, MADE, NEVER } State; /* peak is a bound; exact; there is no such segment */

/* What is known of the segment of `n` calls that ends before call `end`: index end * SEG_MAX + n - 1, by kind. */
struct SegKnown {
  int64_t peak[2], pieces[2];
  State state[2];
};

typedef struct Chooser {
  const Planner *p;
  PlanLevel level;
  int32_t n;
  SegKnown *known;
} Chooser;

static SegKnown *known_at(const Chooser *c, int32_t end, int32_t n) {
  return &c->known[(size_t)end * SEG_MAX + (size_t)n - 1];
}

static void learn(const Chooser *c, SegKind kind, int32_t end, int32_t n) {
  Segment s;
  SegKnown *k = known_at(c, end, n);
  if (k->state[kind] != BOUND) return;
  k->state[kind] = segment_make(c->p, kind, end - n, n, &s) ? MADE : NEVER;
  if (k->state[kind] == NEVER) return;
  k->peak[kind] = s.peak;
  k->pieces[kind] = s.pieces;
}

/* Whether the call runs by rows, and by how many. */
static bool by_rows(const Planner *p, int32_t call, int32_t *rows) {
  KernelCall form;
  const bool formed = call_rows_form(p->g, &p->calls->v[call], &form);
  *rows = formed ? form.rows : p->calls->v[call].rows;
  return formed || p->rows[call].by_rows;
}

/* Bounds of all segments. */
static void bound_all(const Chooser *c) {
  const int64_t *ring = bounds_rings(c->p);
  const int32_t *part = c->p->opt.part;
  int64_t bound[SEG_MAX];
  for (int32_t first = 0; first < c->n; first++) {
    int32_t most = c->n - first < SEG_MAX ? c->n - first : SEG_MAX;
    bool can = true;
    int64_t pieces = 0;
    bounds_find(c->p, ring, first, most, bound);
    for (int32_t n = 1; n <= most; n++) {
      SegKnown *k = known_at(c, first + n, n);
      int32_t rows;
      can = by_rows(c->p, first + n - 1, &rows) && can;
      can = can && (!part || part[first + n - 1] == part[first]);
      pieces += rows;
      *k = (SegKnown){.peak = {0, bound[n - 1]},
                      .pieces = {1, pieces},
                      .state = {n == 1 ? BOUND : NEVER, can ? BOUND : NEVER}};
    }
  }
  for (int32_t end = 1; end <= c->n; end++) {
    for (int32_t n = end + 1; n <= SEG_MAX; n++) *known_at(c, end, n) = (SegKnown){.state = {NEVER, NEVER}};
    learn(c, SEG_WHOLE, end, 1);
    learn(c, SEG_ROWS, end, 1);
  }
}

/* Whether the level has such segments at all. */
static bool has(const Chooser *c, SegKind kind, int32_t end, int32_t n) {
  if (known_at(c, end, n)->state[kind] == NEVER) return false;
  if (kind == SEG_ROWS) return c->level == PLAN_STREAM || (c->level == PLAN_OVERLAP && n == 1);
  return !c->p->opt.turns || c->level == PLAN_WHOLE || known_at(c, end, 1)->state[SEG_ROWS] == NEVER;
}

typedef struct Best {
  int64_t peak, pieces;
  int32_t n; /* of the last segment */
  SegKind kind;
} Best;

/* Best cut of the calls before each end. limit < 0: least peak, then fewest pieces; otherwise within the limit, fewest
 * pieces, then least peak. */
static void find_best(const Chooser *c, int64_t limit, Best *best) {
  best[0] = (Best){0, 0, 0, SEG_WHOLE};
  for (int32_t end = 1; end <= c->n; end++) {
    Best *b = &best[end];
    *b = (Best){INT64_MAX, INT64_MAX, 0, SEG_WHOLE};
    for (int32_t n = 1; n <= SEG_MAX && n <= end; n++)
      for (int kind = n == 1 ? SEG_WHOLE : SEG_ROWS; kind <= SEG_ROWS; kind++) {
        const SegKnown *k = known_at(c, end, n);
        const Best *from = &best[end - n];
        if (from->peak == INT64_MAX || !has(c, (SegKind)kind, end, n)) continue;
        int64_t peak = k->peak[kind] > from->peak ? k->peak[kind] : from->peak;
        int64_t pieces = from->pieces + k->pieces[kind];
        if (limit >= 0 && peak > limit) continue;
        bool less = limit < 0 ? peak < b->peak || (peak == b->peak && pieces < b->pieces)
                              : pieces < b->pieces || (pieces == b->pieces && peak < b->peak);
        if (less) *b = (Best){peak, pieces, n, (SegKind)kind};
      }
  }
}

/* The best cut of all calls, its segments made. */
static void settle(const Chooser *c, int64_t limit, Best *best) {
  for (bool again = true; again;) {
    find_best(c, limit, best);
    again = false;
    for (int32_t end = c->n; end > 0 && best[end].n > 0; end -= best[end].n) {
      again = again || known_at(c, end, best[end].n)->state[best[end].kind] == BOUND;
      learn(c, best[end].kind, end, best[end].n);
    }
  }
}

/* A segment without guests in rings, where it stays within the limit so. */
static bool make_plain(const Planner *p, const Best *b, int32_t end, int64_t limit, Segment *out) {
  Planner plain = *p;
  plain.guests = false;
  TRY(segment_make(&plain, b->kind, end - b->n, b->n, out));
  return out->peak <= limit || segment_make(p, b->kind, end - b->n, b->n, out);
}

void choose_segments(Planner *p, PlanLevel level, int64_t limit, Choice *out) {
  Chooser c = {.p = p, .level = level, .n = (int32_t)p->calls->n, .known = p->known[p->apart]};
  Best *best = mem_array((size_t)c.n + 1, sizeof *best);
  if (!c.known) {
    c.known = p->known[p->apart] = arena_array(p->arena, ((size_t)c.n + 1) * SEG_MAX, sizeof *c.known);
    bound_all(&c);
  }
  const bool some = p->within && limit > 0; /* any cut within the limit will do */
  settle(&c, some ? limit : -1, best);
  *out = (Choice){.peak = c.n == 0 && p->by_rows != NO_VAL ? INT64_MAX : best[c.n].peak};
  if (!some && out->peak != INT64_MAX) settle(&c, limit > out->peak ? limit : out->peak, best);
  int32_t n = 0;
  for (int32_t end = c.n; end > 0 && best[end].n > 0; end -= best[end].n) n++;
  out->n = n;
  out->segment = mem_array((size_t)n, sizeof *out->segment);
  for (int32_t end = c.n; n > 0; end -= best[end].n) {
    bool made = make_plain(p, &best[end], end, limit > out->peak ? limit : out->peak, &out->segment[--n]);
    ASSERT(made);
  }
  mem_free(best);
}

void choice_free(Choice *c) {
  mem_free(c->segment);
  *c = (Choice){0};
}
