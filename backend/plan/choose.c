/* The cut of the calls into segments, by dynamic programming over their ends.
 *
 *   calls    0   1   2   3   4   5   6        best(end) = least over the last segment of
 *            |whole| by rows |whole|...                   max(best(its begin), its peak)
 *
 * First the least peak that a cut can have; then, among the cuts that stay within it (or within the limit given), the
 * one with the fewest kernel calls: what does not matter for the peak runs whole.
 */
#include "backend/plan/plan.h"
#include "ir/base/mem.h"

enum { NONE = -1 };

/* What is known of the segment of `n` calls that ends before call `end`: index end * SEG_MAX + n - 1, by kind. */
typedef struct Known {
  int64_t peak[2]; /* NONE: cannot be */
  int32_t pieces[2];
} Known;

typedef struct Chooser {
  const Planner *p;
  PlanLevel level;
  int32_t n;
  Known *known;
} Chooser;

static Known *known_at(const Chooser *c, int32_t end, int32_t n) {
  return &c->known[(size_t)end * SEG_MAX + (size_t)n - 1];
}

static void learn(const Chooser *c, SegKind kind, int32_t end, int32_t n) {
  Segment s;
  Known *k = known_at(c, end, n);
  if (!segment_make(c->p, kind, end - n, n, &s)) return;
  k->peak[kind] = s.peak;
  k->pieces[kind] = (int32_t)s.pieces;
}

static bool runs_by_rows(const Planner *p, int32_t call) {
  KernelCall form;
  return p->rows[call].by_rows || call_rows_form(p->g, &p->calls->v[call], &form);
}

static void learn_all(Chooser *c) {
  for (int32_t end = 1; end <= c->n; end++) {
    for (int32_t n = 1; n <= SEG_MAX; n++) *known_at(c, end, n) = (Known){.peak = {NONE, NONE}};
    int32_t most = c->level == PLAN_STREAM ? SEG_MAX : c->level == PLAN_OVERLAP ? 1 : 0;
    for (int32_t n = 1; n <= most && n <= end && runs_by_rows(c->p, end - n); n++) learn(c, SEG_ROWS, end, n);
    if (!c->p->opt.turns || known_at(c, end, 1)->peak[SEG_ROWS] == NONE) learn(c, SEG_WHOLE, end, 1);
  }
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
      for (int kind = SEG_WHOLE; kind <= SEG_ROWS; kind++) {
        const Known *k = known_at(c, end, n);
        const Best *from = &best[end - n];
        if (k->peak[kind] == NONE || from->peak == INT64_MAX) continue;
        int64_t peak = k->peak[kind] > from->peak ? k->peak[kind] : from->peak;
        int64_t pieces = from->pieces + k->pieces[kind];
        if (limit >= 0 && peak > limit) continue;
        bool less = limit < 0 ? peak < b->peak || (peak == b->peak && pieces < b->pieces)
                              : pieces < b->pieces || (pieces == b->pieces && peak < b->peak);
        if (less) *b = (Best){peak, pieces, n, (SegKind)kind};
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

void choose_segments(const Planner *p, PlanLevel level, int64_t limit, Choice *out) {
  Chooser c = {.p = p, .level = level, .n = (int32_t)p->calls->n};
  Best *best = mem_array((size_t)c.n + 1, sizeof *best);
  c.known = mem_array(((size_t)c.n + 1) * SEG_MAX, sizeof *c.known);
  learn_all(&c);
  find_best(&c, -1, best);
  *out = (Choice){.peak = c.n == 0 && p->by_rows != NO_VAL ? INT64_MAX : best[c.n].peak};
  if (out->peak != INT64_MAX) find_best(&c, limit > out->peak ? limit : out->peak, best);
  int32_t n = 0;
  for (int32_t end = c.n; end > 0 && best[end].n > 0; end -= best[end].n) n++;
  out->n = n;
  out->segment = mem_array((size_t)n, sizeof *out->segment);
  for (int32_t end = c.n; n > 0; end -= best[end].n) {
    bool made = make_plain(p, &best[end], end, limit > out->peak ? limit : out->peak, &out->segment[--n]);
    ASSERT(made);
  }
  mem_free(c.known);
  mem_free(best);
}

void choice_free(Choice *c) {
  mem_free(c->segment);
  *c = (Choice){0};
}
