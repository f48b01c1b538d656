/* Rings: how many rows of a value live at one time, while its writers and readers take turns.
 *
 * Before a stage writes up to row `newest`, the oldest row that a stage has yet to read must not lose its slot: the ring
 * holds newest - oldest rows. A call that works in place lets its output share the input's ring.
 */
#include "backend/plan/stages.h"

int accesses_find(const Stages *m, ValId v, Access *out, int n) {
  for (int i = m->p->first_access[v]; i >= 0; i = m->next_access[i]) out[n++] = m->access[i];
  return n;
}

static void list_access(Stages *m, ValId v, int stage, int input) {
  const int i = m->n_accesses++;
  m->access[i] = (Access){stage, input};
  m->next_access[i] = m->p->first_access[v];
  m->p->first_access[v] = i;
}

void accesses_list(Stages *m) {
  for (int i = m->n - 1; i >= 0; i--) { /* each in front of those that are there */
    list_access(m, stage_out(&m->v[i]), i, -1);
    for (int k = CALL_MAX_IN - 1; k >= 0; k--)
      if (stage_in(&m->v[i], k) != NO_VAL) list_access(m, stage_in(&m->v[i], k), i, k);
  }
}

void accesses_forget(const Stages *m) {
  for (int i = 0; i < m->n; i++) {
    m->p->first_access[stage_out(&m->v[i])] = -1;
    for (int k = 0; k < CALL_MAX_IN; k++) m->p->first_access[stage_in(&m->v[i], k)] = -1;
  }
}

int32_t times_next(const Stages *m, const Access *list, int n, int32_t t) {
  int32_t lead = 0, step = 1, end = INT32_MAX;
  for (int i = 0; i < n; i++) {
    const Stage *s = &m->v[list[i].stage];
    int32_t last = s->time.lead + s->time.step * (s->rows - 1);
    if (s->time.lead > lead) lead = s->time.lead;
    if (s->time.step > step) step = s->time.step;
    if (last < end) end = last;
  }
  int32_t steady = lead + 2 * step, ending = end - 2 * step;
  return t == steady && ending > t ? ending : t + 1;
}

typedef struct Users { /* of one share */
  Access v[ACCESS_MAX];
  int n;
} Users;

int32_t ring_next_row(const Stages *m, const Access *a, int32_t done) {
  const Stage *s = &m->v[a->stage];
  if (done >= s->rows) return INT32_MAX;
  if (a->input < 0) return done;
  const RowMap *map = &s->map.in[a->input];
  int32_t lo = done * map->mul - map->sub;
  return lo < 0 ? 0 : lo;
}

/* Rows that the ring must hold when stage w has done its work of time t: stages before it have been there. */
static int32_t rows_at(const Stages *m, const Users *u, int w, int32_t t) {
  const Stage *s = &m->v[w];
  int32_t newest = plan_rows_done(&s->time, s->rows, t), oldest = plan_rows_done(&s->time, s->rows, t - 1);
  if (newest == oldest) return 0;
  for (int i = 0; i < u->n; i++) {
    const Stage *r = &m->v[u->v[i].stage];
    int32_t done = plan_rows_done(&r->time, r->rows, u->v[i].stage < w ? t : t - 1);
    int32_t next = ring_next_row(m, &u->v[i], done);
    oldest = next < oldest ? next : oldest;
  }
  return newest - oldest;
}

/* Whether a row that has been written is still to be read after time t. */
static bool carries(const Stages *m, const Users *u, int32_t t) {
  int32_t newest = 0, oldest = INT32_MAX;
  for (int i = 0; i < u->n; i++) {
    const Stage *s = &m->v[u->v[i].stage];
    int32_t done = plan_rows_done(&s->time, s->rows, t), next = ring_next_row(m, &u->v[i], done);
    if (u->v[i].input < 0 && done > newest) newest = done;
    oldest = next < oldest ? next : oldest;
  }
  return oldest < newest;
}

/* Rows and lifetime of one share. The caller's rows come between two times. */
static void measure(Stages *m, int share, int32_t first, int32_t n) {
  Ring *r = &m->ring[share];
  Users u = {.n = 0};
  bool stays = false;
  for (int k = 0; k < m->n_rings; k++)
    if (m->ring[k].share == share) u.n = accesses_find(m, m->ring[k].val, u.v, u.n);
  *r = (Ring){r->val, share, 1, r->row, INT32_MAX, -1, false};
  for (int32_t t = 0; t < m->steps; t = times_next(m, u.v, u.n, t)) {
    for (int i = 0; i < u.n; i++) {
      int32_t rows = u.v[i].input < 0 ? rows_at(m, &u, u.v[i].stage, t) : 0;
      if (rows > r->rows) r->rows = rows;
    }
    stays = stays || carries(m, &u, t);
  }
  for (int i = 0; i < u.n; i++) {
    int32_t at = m->v[u.v[i].stage].at;
    stays |= at < 0;
    r->first = at < r->first ? at : r->first;
    r->last = at > r->last ? at : r->last;
  }
  r->stays = stays;
  if (stays) {
    r->first = first;
    r->last = first + n - 1;
  }
}

/* -- which -- */

static bool view_fits(const CallView *v, int64_t row) { return v->row == row && v->offset < row; }

/* Every view of the ring's value has its rows. */
static bool views_fit(const Stages *m, const Ring *r) {
  for (int i = 0; i < m->n; i++) {
    const Stage *s = &m->v[i];
    if (stage_out(s) == r->val && (!view_fits(&s->out, r->row) || s->map.ends)) return false;
    for (int k = 0; k < CALL_MAX_IN; k++)
      if (stage_in(s, k) == r->val && (!view_fits(&s->call->in[k], r->row) || s->map.in[k].all)) return false;
  }
  return true;
}

static int find_ring(const Stages *m, ValId v) {
  for (int k = 0; k < m->n_rings; k++)
    if (m->ring[k].val == v) return k;
  return -1;
}

/* Stage s may write its output over input i, of which it is the only reader. */
static bool shares(const Stages *m, const Stage *s, int i, int in, int out) {
  int readers = 0;
  if (in < 0 || out < 0 || in == out || s->map.in[i].mul != 1 || s->map.in[i].ext != 1) return false;
  if (m->ring[in].row != m->ring[out].row || s->call->in[i].offset != s->out.offset) return false;
  if (m->p->span[m->ring[out].val].writers != 1) return false;
  Access a[ACCESS_MAX];
  int count = accesses_find(m, m->ring[in].val, a, 0);
  for (int k = 0; k < count; k++) readers += a[k].input >= 0;
  return readers == 1;
}

static void find_shares(Stages *m) {
  for (int k = 0; k < m->n; k++) {
    const Stage *s = &m->v[k];
    const KernelDef *kernel = s->call ? s->call->kernel : NULL;
    int out = find_ring(m, stage_out(s));
    for (int i = 0; kernel && i < 2 && i < s->call->n_in; i++) {
      int in = find_ring(m, stage_in(s, i));
      if (!(kernel->in_place & (1 << i)) || !shares(m, s, i, in, out)) continue;
      m->ring[out].share = m->ring[in].share;
      break;
    }
  }
}

bool rings_find(Stages *m, int32_t first, int32_t n) {
  m->n_rings = 0;
  for (int i = 0; i < m->n; i++) {
    ValId v = stage_out(&m->v[i]);
    const Span *span = &m->p->span[v];
    bool inside = (span->first >= first || v == m->p->by_rows) && span->last < first + n;
    if (!inside || find_ring(m, v) >= 0) continue;
    Ring *r = &m->ring[m->n_rings];
    *r = (Ring){.val = v, .share = m->n_rings, .row = m->v[i].out.row};
    m->n_rings++;
    if (r->row <= 0 || !views_fit(m, r)) return false;
  }
  find_shares(m);
  for (int k = 0; k < m->n_rings; k++) {
    Ring *r = &m->ring[k];
    if (r->share == k) {
      measure(m, k, first, n);
    } else {
      r->rows = m->ring[r->share].rows;
      r->first = m->ring[r->share].first;
      r->last = m->ring[r->share].last;
      r->stays = m->ring[r->share].stays;
    }
  }
  return true;
}
