/* Pairs: a value that is born in a segment over one that dies in it, or over a ring that is done before it is.
 *
 *            over  |##written##|........|              distance = the most that (bytes of over written so far) exceeds
 *            under       |xxxread|====still needed==|  (first byte of under that is still to be read)
 *
 * Of a ring all bytes are needed until the last of its calls is done: a whole output may lie over it with what it
 * writes afterwards.
 * Exactly in place: a kernel whose table row allows it writes a row over the row that it reads.
 */
#include "backend/plan/stages.h"

static bool dies(const Stages *m, const Segment *s, ValId v) {
  const Span *a = &m->p->span[v];
  return v != m->p->by_rows && a->first != SPAN_NEVER && a->first < s->first && a->last >= s->first &&
         a->last < s->first + s->n;
}

static bool is_born(const Stages *m, const Segment *s, ValId v) {
  const Span *a = &m->p->span[v];
  return a->first >= s->first && a->last >= s->first + s->n;
}

/* The end of the bytes of v that stage s has written when `done` rows are done. */
static int64_t written(const Stages *m, const Stage *s, ValId v, int32_t done) {
  int64_t all = m->p->span[v].bytes, end;
  if (done == 0) return 0;
  if (!s->map.by_rows || s->map.ends || s->out.row <= 0) return all;
  end = s->out.offset / s->out.row * s->out.row + done * s->out.row;
  return done == s->rows || end > all ? all : end;
}

/* The first byte of its value that an access has yet to read, `done` rows being done; INT64_MAX: none. */
static int64_t unread(const Stages *m, const Access *a, int32_t done) {
  const Stage *s = &m->v[a->stage];
  const RowMap *map = &s->map.in[a->input];
  if (done >= s->rows) return INT64_MAX;
  int64_t row = map->all ? 0 : (int64_t)done * map->mul - map->sub;
  return map->all ? 0 : s->call->in[a->input].offset + (row > 0 ? row * s->call->in[a->input].row : 0);
}

/* The same of a ring. */
static int64_t in_use(const Access *a, const Stages *m, int32_t done) {
  return done >= m->v[a->stage].rows ? INT64_MAX : 0;
}

static bool may_replace(const Stage *s, int input) {
  return input < 2 && s->call->kernel->in_place & (1 << input);
}

typedef enum Under { UNDER_APART, UNDER_IN_PLACE, UNDER_RING } Under;

/* How far the end of what stage w writes at time t lies beyond what is still needed then; in place: what w itself
 * reads in place is not needed. INT64_MIN: nothing is. */
static int64_t excess(const Stages *m, ValId over, const Access *readers, int n, int w, int32_t t,
                      Under under) {
  const Stage *s = &m->v[w];
  int32_t now = plan_rows_done(&s->time, s->rows, t), before = plan_rows_done(&s->time, s->rows, t - 1);
  int64_t need = INT64_MAX;
  if (now == before) return INT64_MIN;
  for (int i = 0; i < n; i++) {
    const Access *a = &readers[i];
    const Stage *r = &m->v[a->stage];
    bool after = a->stage < w || (a->stage == w && under == UNDER_IN_PLACE && may_replace(r, a->input));
    int32_t done = plan_rows_done(&r->time, r->rows, after ? t : t - 1);
    int64_t at = under == UNDER_RING ? in_use(a, m, done) : a->input < 0 ? INT64_MAX : unread(m, a, done);
    need = at < need ? at : need;
  }
  return need == INT64_MAX ? INT64_MIN : written(m, s, over, now) - need;
}

/* Of all values that share ring number `ring`, and of its guests. */
static int ring_accesses(const Stages *m, const Segment *s, int ring, Access *out) {
  int n = 0;
  for (int k = 0; k < s->n_items; k++) {
    const SegItem *it = &s->item[k];
    if (it->share != ring && it->host != ring) continue;
    if (it->val != NO_VAL)
      n = accesses_find(m, it->val, out, n);
    else
      out[n++] = (Access){m->feed + it->call - s->first, -1};
  }
  return n;
}

/* The most by which what is written of `over` exceeds what the n accesses need; INT64_MIN where nothing is needed any
 * more when the first byte is written. The list has room for as many again. */
static int64_t distance_from(const Stages *m, ValId over, Access *list, int n, Under how) {
  int64_t most = INT64_MIN;
  int all = accesses_find(m, over, list, n);
  for (int32_t t = 0; t < m->steps; t = times_next(m, list, all, t))
    for (int i = n; i < all; i++) {
      if (list[i].input >= 0) continue;
      int64_t e = excess(m, over, list, n, list[i].stage, t, how);
      most = e > most ? e : most;
    }
  return most;
}

static int64_t distance_of(const Stages *m, ValId over, ValId under, Under how) {
  Access list[2 * ACCESS_MAX];
  return distance_from(m, over, list, accesses_find(m, under, list, 0), how);
}

/* Over may lie exactly on under: one call writes it, in place. */
static bool fits_exactly(const Stages *m, ValId over, ValId under) {
  const Planner *p = m->p;
  if (p->span[over].bytes != p->span[under].bytes || p->span[over].writers != 1) return false;
  for (int i = m->feed; i < m->n; i++) {
    const Stage *s = &m->v[i];
    if (stage_out(s) != over) continue;
    for (int k = 0; k < 2 && k < s->call->n_in; k++) {
      const CallView *in = &s->call->in[k], *out = &s->out;
      if (stage_in(s, k) != under || !may_replace(s, k)) continue;
      if (in->offset != out->offset || (s->rows > 1 && in->row != out->row) ||
          (s->call->batch > 1 && in->step != out->step))
        continue;
      return distance_of(m, over, under, UNDER_IN_PLACE) <= 0;
    }
  }
  return false;
}

static bool is_exact(const Segment *s, ValId v) {
  for (int k = 0; k < s->n_pairs; k++)
    if (s->pair[k].same && (s->pair[k].over == v || s->pair[k].under == v)) return true;
  return false;
}

static int64_t round_up(int64_t n, int64_t align) { return (n > 0 ? n + align - 1 : n) / align * align; }

static void add_pair(const Stages *m, ValId over, ValId under, bool exact, Segment *s) {
  if (s->n_pairs == SEG_MAX_PAIRS || is_exact(s, over) || is_exact(s, under)) return;
  if (exact) {
    if (fits_exactly(m, over, under)) s->pair[s->n_pairs++] = (SegPair){over, under, 0, true};
    return;
  }
  int64_t d = distance_of(m, over, under, UNDER_APART), size = m->p->span[over].bytes;
  int64_t least = -m->p->span[under].bytes;
  d = d < least ? least : d; /* nothing of it is needed any more: anywhere */
  if (d < size) s->pair[s->n_pairs++] = (SegPair){over, under, round_up(d, m->p->align), false};
}

static void add_ring_pair(const Stages *m, ValId over, int ring, Segment *s) {
  Access list[2 * ACCESS_MAX + SEG_MAX];
  const Ring *r = &m->ring[ring];
  if (s->n_pairs == SEG_MAX_PAIRS || is_exact(s, over)) return;
  int64_t d = distance_from(m, over, list, ring_accesses(m, s, ring, list), UNDER_RING),
          size = m->p->span[over].bytes;
  int64_t least = -r->rows * r->row;
  d = d < least ? least : d;
  if (d < size) s->pair[s->n_pairs++] = (SegPair){over, r->val, round_up(d, m->p->align), false};
}

/* The values that a segment's stages touch, each once. */
static int touched(const Stages *m, ValId *v) {
  int n = 0;
  for (int i = m->feed; i < m->n; i++)
    for (int k = -1; k < CALL_MAX_IN; k++) {
      ValId x = k < 0 ? stage_out(&m->v[i]) : stage_in(&m->v[i], k);
      bool seen = x == NO_VAL;
      for (int q = 0; q < n && !seen; q++) seen = v[q] == x;
      if (!seen) v[n++] = x;
    }
  return n;
}

void pairs_find(const Stages *m, Segment *s) {
  ValId v[(SEG_MAX + 1) * (CALL_MAX_IN + 1)];
  int n = touched(m, v);
  for (int exact = 1; exact >= 0; exact--) {
    if (!exact && s->kind == SEG_WHOLE) return;
    for (int o = 0; o < n; o++)
      for (int u = 0; u < n; u++)
        if (is_born(m, s, v[o]) && dies(m, s, v[u])) add_pair(m, v[o], v[u], exact, s);
  }
  if (m->feed && m->p->opt.hop) return; /* rings go on */
  for (int o = 0; o < n; o++)
    for (int k = 0; k < m->n_rings && is_born(m, s, v[o]); k++)
      if (m->ring[k].share == k && m->ring[k].stays) add_ring_pair(m, v[o], k, s);
}
