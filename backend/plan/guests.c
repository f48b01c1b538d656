/* Guests: what lives during one time alone (a ring of one row, scratch) in a slot of a ring that is free at that time.
 *
 *   3x3 windows at stride 2 over a ring of 3 rows, as many as their time lasts:
 *
 *   slots, then     | 4 | 5 | 6 |   reads all
 *   until the next  | . | . | 6 |   two are free, until rows 7 and 8 come: slots 7 % 3 and 8 % 3
 *
 * The free slots move, so the guest's address moves: slot (y * mul + add) % rows, y being the row that its calls
 * compute. All calls of a guest keep the same time, so that y says when it is.
 */
#include "backend/plan/stages.h"

typedef struct Guest {
  int item;
  PlanStage time;            /* of its calls */
  int32_t rows, first, last; /* calls */
} Guest;

static const Stage *stage_at(const Stages *m, int32_t call) {
  return &m->v[m->feed + call - m->v[m->feed].at];
}

/* Items that hold nothing from one time to the next, and whose calls keep the same time. */
static bool is_guest(const Stages *m, const Segment *s, int k, Guest *out) {
  const SegItem *it = &s->item[k];
  const Stage *g = it->first >= s->first ? stage_at(m, it->first) : NULL;
  if (it->share != k || !g || it->bytes == 0) return false;
  *out = (Guest){k, g->time, g->rows, it->first, it->last};
  if (it->val == NO_VAL) return it->first == it->last && !g->map.ends;
  Access a[ACCESS_MAX];
  int n = 0;
  for (int r = 0; r < m->n_rings; r++)
    if (s->item[r].share == k) n = accesses_find(m, m->ring[r].val, a, n);
  for (int i = 0; i < n; i++) {
    const Stage *x = &m->v[a[i].stage];
    if (x->time.lead != g->time.lead || x->time.step != g->time.step || x->rows != g->rows) return false;
  }
  return it->rows == 1 && !m->ring[k].stays;
}

/* Rows first .. end-1 of a ring live before call `at` does its work of time t. */
static void live_rows(const Stages *m, const Access *a, int n, int32_t at, int32_t t, int32_t *first,
                      int32_t *end) {
  *first = INT32_MAX;
  *end = 0;
  for (int i = 0; i < n; i++) {
    const Stage *s = &m->v[a[i].stage];
    int32_t done = plan_rows_done(&s->time, s->rows, s->at < at ? t : t - 1),
            next = ring_next_row(m, &a[i], done);
    if (a[i].input < 0 && done > *end) *end = done;
    if (next < *first) *first = next;
  }
}

typedef struct HostRing {
  const Ring *ring;
  Access a[ACCESS_MAX];
  int n;
} HostRing;

/* Whether the slot of row y * mul + add is free whenever the guest is there. */
static bool is_free(const Stages *m, const HostRing *h, const Guest *g, int32_t mul, int32_t add) {
  for (int32_t y = 0; y < g->rows; y++) {
    int32_t first, end, row = y * mul + add;
    live_rows(m, h->a, h->n, g->first, g->time.lead + y * g->time.step, &first, &end);
    if (first < end && (row < end || row - h->ring->rows >= first)) return false;
  }
  return true;
}

/* Nobody writes into the ring while the guest is there. */
static bool is_quiet(const Stages *m, const HostRing *h, const Guest *g) {
  for (int i = 0; i < h->n; i++) {
    int32_t at = m->v[h->a[i].stage].at;
    if (h->a[i].input < 0 && at >= g->first && at <= g->last) return false;
  }
  return true;
}

/* By another guest: one at a time. */
static bool is_taken(const Segment *s, const Guest *g, int host) {
  for (int k = 0; k < s->n_items; k++) {
    const SegItem *o = &s->item[k];
    if (k != g->item && o->share == k && o->host == host && o->first <= g->last && o->last >= g->first)
      return true;
  }
  return false;
}

/* The rows that the ring's writer does next, counted by the guest's own; before its first row, any slot is free. */
static bool find_slot(const Stages *m, const HostRing *h, const Guest *g, PlanSlot *out) {
  for (int i = 0; i < h->n; i++) {
    const Stage *w = &m->v[h->a[i].stage];
    const int32_t step = w->time.step, rows = (int32_t)h->ring->rows;
    if (h->a[i].input >= 0 || g->time.step % step) continue;
    int32_t ahead = g->time.lead - w->time.lead - (w->at < g->first ? 0 : 1);
    int32_t mul = g->time.step / step, add = ahead >= 0 ? ahead / step + 1 : -((-ahead - 1) / step);
    *out = (PlanSlot){mul, (add % rows + rows) % rows, rows, h->ring->row};
    if (is_free(m, h, g, mul, add)) return true;
  }
  return false;
}

static void find_host(const Stages *m, Segment *s, const Guest *g) {
  SegItem *it = &s->item[g->item];
  for (int k = 0; k < m->n_rings; k++) {
    HostRing h = {.ring = &m->ring[k], .n = 0};
    if (h.ring->share != k || !h.ring->stays || h.ring->row < it->bytes || h.ring->rows < 2) continue;
    if (h.ring->row % m->p->align || is_taken(s, g, k)) continue;
    for (int r = 0; r < m->n_rings; r++)
      if (m->ring[r].share == k) h.n = accesses_find(m, m->ring[r].val, h.a, h.n);
    if (!is_quiet(m, &h, g) || !find_slot(m, &h, g, &it->slot)) continue;
    it->host = k;
    return;
  }
  it->slot = (PlanSlot){0};
}

void guests_find(const Stages *m, Segment *s) {
  for (;;) { /* the largest first */
    Guest g, best = {.item = -1};
    for (int k = 0; k < s->n_items; k++)
      if (!s->item[k].tried && is_guest(m, s, k, &g) &&
          (best.item < 0 || s->item[k].bytes > s->item[best.item].bytes))
        best = g;
    if (best.item < 0) break;
    s->item[best.item].tried = true;
    find_host(m, s, &best);
  }
  for (int k = 0; k < s->n_items; k++) { /* values that share the guest's row go with it */
    s->item[k].slot = s->item[s->item[k].share].slot;
    s->item[k].host = s->item[s->item[k].share].host;
  }
}
