/* A segment: calls that run together, and what that costs in bytes.
 *
 * Whole: one call computes all its rows. By rows: the calls take turns in a loop over time; at time t a call computes
 * its row (t - lead) / step, where that is a row. A call's lead is the time at which the rows that its row 0 needs
 * are there; its step grows by the strides behind it. Rows of padding take their time as if they were there, so that
 * every call does one row at a time to the end. No row is computed twice.
 *
 *   t          0   1   2   3   4   5        3x3 (lead 1) and elementwise (lead 1) after an elementwise call:
 *   relu row   0   1   2   3   4   5
 *   conv row       0   1   2   3   4 ...    needs relu rows y-1 .. y+1: a ring of 3 rows
 *   add row        0   1   2   3   4 ...    reads conv row y at once: one row, which later calls may use in turn
 *
 * A value that is born and dies inside is a ring of as many rows as live at a time; what it holds from one time to the
 * next (or not) says how long its bytes are taken. Other values are whole. One that is born here may overlap one that
 * dies here by what has been read of the one before the other is written: the pair's distance. Since every kernel
 * call of a loop is over one row, this asks nothing of the kernel: within a call, no byte is both read and written.
 */
#include <string.h>

#include "backend/plan/plan.h"
#include "backend/plan/stages.h"

int32_t plan_rows_done(const PlanStage *s, int32_t rows, int32_t t) {
  if (t < s->lead) return 0;
  if (s->step == 0) return rows;
  int32_t done = (t - s->lead) / s->step + 1;
  return done < rows ? done : rows;
}

/* -- stages -- */

static void find_roots(const Planner *p, Stage *s) {
  for (int i = 0; s->call && i < s->call->n_in; i++) {
    ValId root = p->root[s->call->in[i].val];
    s->in_root[i] = val_is_const(p->g, root) ? NO_VAL : root;
  }
  s->out_root = p->root[s->out.val];
}

static bool add_call(Stages *m, int32_t c, SegKind kind) {
  const KernelCall *k = &m->p->calls->v[c];
  Stage *s = &m->v[m->n++];
  *s = (Stage){.call = k, .at = c, .rows = k->rows, .out = k->out, .map = m->p->rows[c]};
  find_roots(m->p, s);
  if (kind == SEG_WHOLE) return true;
  s->formed = call_rows_form(m->p->g, k, &s->form);
  if (s->formed) {
    s->call = &s->form;
    s->rows = s->form.rows;
    call_rows_find(s->call, &s->map);
  }
  return s->map.by_rows;
}

/* The caller's rows come as if a call computed them. */
static bool add_feed(Stages *m) {
  const Planner *p = m->p;
  const Shape *s = &graph_val(p->g, p->by_rows)->shape;
  int32_t rows = plan_input_rows(s);
  m->v[m->n++] = (Stage){.at = -1,
                         .rows = rows,
                         .out = {.val = p->by_rows, .row = p->span[p->by_rows].bytes / rows},
                         .map = {.by_rows = true}};
  find_roots(p, &m->v[m->n - 1]);
  return true;
}

static bool collect(Stages *m, SegKind kind, int32_t first, int32_t n) {
  const Planner *p = m->p;
  ValId in = p->by_rows;
  if (in != NO_VAL && first == 0) {
    if (kind == SEG_WHOLE || p->span[in].last >= n) return false;
    add_feed(m);
  }
  m->feed = m->n;
  for (int32_t c = first; c < first + n; c++)
    if (!add_call(m, c, kind)) return false;
  return true;
}

/* -- links: stage `to` needs rows that stage `from` writes -- */

static bool add_link(Stages *m, int from, int to, const CallView *view, const RowMap *map) {
  const Stage *f = &m->v[from];
  if (map->all || f->map.ends || f->out.row != view->row || view->row <= 0) return false;
  if (m->n_links == LINKS_MAX) return false;
  int32_t shift = (int32_t)(view->offset / view->row - f->out.offset / f->out.row);
  m->link[m->n_links++] = (Link){from, to, map->mul, map->ext - 1 - map->sub + shift};
  return true;
}

static bool find_links(Stages *m) {
  static const RowMap same = {.mul = 1, .ext = 1};
  for (int to = 0; to < m->n; to++)
    for (int from = 0; from < to; from++) {
      const Stage *t = &m->v[to];
      ValId v = stage_out(&m->v[from]);
      for (int i = 0; t->call && i < t->call->n_in; i++)
        if (stage_in(t, i) == v && !add_link(m, from, to, &t->call->in[i], &t->map.in[i])) return false;
      if (stage_out(t) == v && !add_link(m, from, to, &t->out, &same)) return false;
    }
  return true;
}

static int64_t gcd(int64_t a, int64_t b) {
  while (b) {
    int64_t r = a % b;
    a = b;
    b = r;
  }
  return a;
}

/* The steps as fractions of the last stage's, by the links until all are known. */
static bool find_fractions(Stages *m, int64_t *num, int64_t *den) {
  for (int i = 0; i < m->n; i++) num[i] = den[i] = 0;
  num[m->n - 1] = den[m->n - 1] = 1;
  for (bool changed = true; changed;) {
    changed = false;
    for (int i = 0; i < m->n_links; i++) {
      const Link *l = &m->link[i];
      int known = num[l->to] ? l->to : l->from, other = num[l->to] ? l->from : l->to;
      if (!num[known]) continue;
      int64_t a = num[known], b = den[known];
      if (known == l->to)
        b *= l->mul;
      else
        a *= l->mul;
      int64_t g = gcd(a, b);
      a /= g;
      b /= g;
      if (a > STEP_MAX || b > STEP_MAX) return false;
      if (num[other] && (num[other] != a || den[other] != b)) return false;
      changed |= !num[other];
      num[other] = a;
      den[other] = b;
    }
  }
  for (int i = 0; i < m->n; i++)
    if (!num[i]) return false;
  return true;
}

static bool find_steps(Stages *m) {
  int64_t num[SEG_MAX + 1], den[SEG_MAX + 1], lcm = 1, common = 0;
  if (!find_fractions(m, num, den)) return false;
  for (int i = 0; i < m->n; i++) {
    lcm = lcm / gcd(lcm, den[i]) * den[i];
    if (lcm > STEP_MAX) return false;
  }
  for (int i = 0; i < m->n; i++) common = gcd(num[i] * (lcm / den[i]), common);
  for (int i = 0; i < m->n; i++) {
    int64_t step = num[i] * (lcm / den[i]) / common;
    if (step > STEP_MAX) return false;
    m->v[i].time.step = (int32_t)step;
  }
  return true;
}

/* Leads: each call as soon as it can, or (late) those that may wait as late as they can. */
static bool find_leads(Stages *m, bool late) {
  int64_t lead[SEG_MAX + 1] = {0}, least = INT64_MAX, end = 0;
  for (int i = 0; i < m->n; i++) {
    bool any = false;
    for (int k = 0; k < m->n_links; k++) {
      const Link *l = &m->link[k];
      if (l->to != i) continue;
      int64_t at = lead[l->from] + (int64_t)m->v[l->from].time.step * l->ahead;
      if (!any || at > lead[i]) lead[i] = at;
      any = true;
    }
  }
  for (int i = m->n - 1; late && i >= 0; i--) {
    int64_t latest = INT64_MAX;
    for (int k = 0; k < m->n_links; k++) {
      const Link *l = &m->link[k];
      int64_t at = lead[l->to] - (int64_t)m->v[i].time.step * l->ahead;
      if (l->from == i && at < latest) latest = at;
    }
    if (latest != INT64_MAX) lead[i] = latest;
  }
  for (int i = 0; i < m->n; i++) least = lead[i] < least ? lead[i] : least;
  for (int i = 0; i < m->n; i++) {
    int64_t last = lead[i] - least + (int64_t)m->v[i].time.step * (m->v[i].rows - 1);
    if (last > TIME_MAX) return false;
    end = last > end ? last : end;
    m->v[i].time.lead = (int32_t)(lead[i] - least);
  }
  m->steps = (int32_t)end + 1;
  return true;
}

/* -- the segment -- */

static int64_t round_up(int64_t n, int64_t align) { return (n + align - 1) / align * align; }

static bool is_ring(const Stages *m, ValId v) {
  for (int k = 0; k < m->n_rings; k++)
    if (m->ring[k].val == v) return true;
  return false;
}

static SegItem *new_item(Segment *s, ValId v, int64_t bytes, int32_t first, int32_t last) {
  ASSERT(s->n_items < (int)(sizeof s->item / sizeof *s->item));
  s->item[s->n_items] =
      (SegItem){.val = v, .share = s->n_items, .bytes = bytes, .first = first, .last = last, .host = -1};
  return &s->item[s->n_items++];
}

/* Rings: the first value of each share carries its bytes. */
static void add_rings(const Stages *m, Segment *s) {
  int number[SEG_MAX + 1];
  for (int k = 0; k < m->n_rings; k++) {
    const Ring *r = &m->ring[k];
    SegItem *it = new_item(s, r->val, r->rows * r->row, r->first, r->last);
    it->rows = (int32_t)r->rows;
    if (r->share != k) it->share = number[r->share];
    number[k] = it->share;
  }
}

/* A sum of rows stays from its first row to its last. */
static void add_scratch(const Stages *m, Segment *s) {
  for (int i = m->feed; i < m->n; i++) {
    const Stage *g = &m->v[i];
    const KernelDef *k = g->call->kernel;
    int64_t n = k->scratch ? (int64_t)k->scratch(g->call->params) : 0;
    if (n && g->map.ends)
      new_item(s, NO_VAL, n, s->first, s->first + s->n - 1)->call = g->at;
    else if (n)
      new_item(s, NO_VAL, n, g->at, g->at)->call = g->at;
  }
}

static int64_t pair_bytes(const Stages *m, const Segment *s, ValId under) {
  for (int k = 0; k < s->n_items; k++)
    if (s->item[k].val == under) return round_up(s->item[k].bytes, m->p->align);
  return round_up(m->p->span[under].bytes, m->p->align);
}

/* Bytes that pair k and those after it with the same `over` spare; 0 where one before it has counted them. */
static int64_t spared_by(const Stages *m, const Segment *s, int k) {
  const SegPair *q = &s->pair[k];
  const int64_t over = round_up(m->p->span[q->over].bytes, m->p->align);
  int64_t common = 0, nearest = INT64_MAX;
  for (int i = 0; i < k; i++)
    if (s->pair[i].over == q->over) return 0;
  if (q->same) return over;
  for (int i = k; i < s->n_pairs; i++) {
    const SegPair *o = &s->pair[i];
    if (o->over != q->over) continue;
    common += pack_common(over, pair_bytes(m, s, o->under), o->distance);
    nearest = o->distance < nearest ? o->distance : nearest;
  }
  return m->p->apart ? 0 : pack_shared(over, common, nearest);
}

/* All that lives during the segment: values that stay, then the call at which rings and scratch take most. */
static int64_t peak_of(const Stages *m, const Segment *s) {
  const Planner *p = m->p;
  int32_t last = s->first + s->n - 1;
  int64_t stay = 0, most = 0;
  for (ValId v = 1; v < p->g->n_vals; v++)
    if (span_alive(&p->span[v], s->first, last) && !is_ring(m, v)) {
      const Span *a = &p->span[v];
      stay += round_up(a->bytes ? a->bytes : 1, p->align);
    }
  for (int k = 0; k < s->n_pairs; k++) stay -= spared_by(m, s, k);
  for (int32_t c = s->first; c <= last; c++) {
    int64_t sum = 0;
    for (int k = 0; k < s->n_items; k++) {
      const SegItem *it = &s->item[k];
      if (it->share == k && it->host < 0 && it->first <= c && c <= it->last)
        sum += round_up(it->bytes, p->align);
    }
    most = sum > most ? sum : most;
  }
  return stay + most;
}

static void finish(const Stages *m, SegKind kind, int32_t first, int32_t n, Segment *s) {
  s->kind = kind;
  s->first = first;
  s->n = n;
  s->steps = m->steps;
  s->n_items = s->n_pairs = 0;
  s->pieces = 0;
  if (m->feed) s->feed = m->v[0].time;
  for (int i = m->feed; i < m->n; i++) {
    s->stage[i - m->feed] = m->v[i].time;
    s->form[i - m->feed] = m->v[i].formed;
    s->pieces += kind == SEG_WHOLE ? 1 : m->v[i].rows;
  }
  add_rings(m, s);
  add_scratch(m, s);
  pairs_find(m, s);
  s->peak = peak_of(m, s);
  if (!m->p->guests || kind == SEG_WHOLE) return;
  const Segment apart = *s;
  guests_find(m, s);
  s->n_pairs = 0;
  pairs_find(m, s);
  s->peak = peak_of(m, s);
  if (s->peak >= apart.peak) *s = apart;
}

static bool make_rows(Stages *m, int32_t first, int32_t n, bool late, Segment *out) {
  if (!find_leads(m, late) || (m->feed && m->p->opt.hop && !hop_fits(m)) || !rings_find(m, first, n))
    return false;
  finish(m, SEG_ROWS, first, n, out);
  return true;
}

static bool make(Stages *m, SegKind kind, int32_t first, int32_t n, Segment *out) {
  if (kind == SEG_WHOLE) {
    finish(m, kind, first, n, out);
    return true;
  }
  if (!find_links(m) || !find_steps(m) || !make_rows(m, first, n, false, out)) return false;
  Segment late;
  if (make_rows(m, first, n, true, &late) && late.peak < out->peak) *out = late;
  return true;
}

bool segment_make(const Planner *p, SegKind kind, int32_t first, int32_t n, Segment *out) {
  Stages m;
  m.p = p;
  m.steps = 1;
  m.n = m.n_links = m.n_rings = m.n_accesses = 0;
  ASSERT(n >= 1 && n <= SEG_MAX && (kind == SEG_ROWS || n == 1));
  if (!collect(&m, kind, first, n)) return false;
  accesses_list(&m);
  bool ok = make(&m, kind, first, n, out);
  accesses_forget(&m);
  return ok;
}
