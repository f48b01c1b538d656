/* Hop: windows over an input that goes on, each `hop` rows behind the one before it, with nothing computed twice.
 *
 *   rows given   0 1 2 3 4 5 6 7 8 9 ...       window 6 rows, hop 2
 *   window 0     |---------|
 *   window 1         |---------|               rows 2 .. 5 are there: their places are moved up, rows 6 and 7 are new
 *
 * The first group's calls, driven by the input's rows, keep their rings and the values that they hand on. Between two
 * windows each of them is moved up by the rows that the hop is worth there, so that kernels see rows numbered from the
 * window's beginning as ever; then the times of the last hop run again. That is right where a row depends on no border:
 * no padding of rows in these calls, none that sums up rows, and every call ends with the window.
 */
#include "backend/plan/stages.h"

/* Rows of stage s in a hop; 0: no whole number of them. */
static int32_t hop_rows(const Stages *m, const Stage *s) {
  const int64_t times = (int64_t)m->p->opt.hop * m->v[0].time.step;
  return times % s->time.step == 0 ? (int32_t)(times / s->time.step) : 0;
}

static bool reads_inside(const Stage *s) {
  for (int i = 0; s->call && i < s->call->n_in; i++) {
    const RowMap *r = &s->map.in[i];
    if (stage_in(s, i) == NO_VAL) continue;
    if (r->all || r->sub > 0 || (s->rows - 1) * r->mul - r->sub + r->ext > r->rows) return false;
  }
  return true;
}

static bool is_dense(const Stages *m, const Stage *s) {
  return s->out.offset < s->out.row && m->p->span[stage_out(s)].bytes == s->rows * s->out.row;
}

bool hop_fits(const Stages *m) {
  const int32_t rows = m->v[0].rows;
  if (m->p->opt.hop > rows) return false;
  for (int i = 0; i < m->n; i++) {
    const Stage *s = &m->v[i];
    if (s->map.ends || !reads_inside(s) || !is_dense(m, s) || hop_rows(m, s) == 0) return false;
    if (s->time.lead + s->time.step * s->rows <= m->steps - 1) return false;
  }
  return true;
}

bool hop_keeps(const Planner *p, const Segment *first, ValId v) {
  const Span *s = &p->span[v];
  return p->opt.hop > 0 && s->first != SPAN_NEVER && s->first < first->n && s->last >= first->n;
}

/* The number of the call that writes v first, in the first segment; -1: the caller. */
static int32_t writer_of(const Planner *p, const Segment *s, ValId v) {
  for (int32_t c = 0; c < s->n; c++)
    if (p->root[p->calls->v[c].out.val] == v) return c;
  return -1;
}

static void add_slide(const Planner *p, const Segment *s, const PlanItem *it, MemoryPlan *out) {
  const int32_t c = writer_of(p, s, it->val), step = c < 0 ? s->feed.step : s->stage[c].step;
  const int32_t by = p->opt.hop * s->feed.step / step;
  const int64_t row = c < 0 ? p->span[it->val].bytes / plan_input_rows(&graph_val(p->g, it->val)->shape)
                            : p->calls->v[c].out.row;
  const int32_t rows = it->rows ? it->rows : (int32_t)(p->span[it->val].bytes / row);
  if (it->slot.rows || (!it->rows && by >= rows)) return;
  for (int i = 0; i < out->n_slides; i++)
    if (out->slides[i].offset == it->offset && out->slides[i].ring == (it->rows > 0))
      return; /* a ring shared */
  out->slides[out->n_slides++] = (PlanSlide){it->val, it->offset, row, rows, by, it->rows > 0};
}

void hop_find(const Planner *p, const Segment *first, Arena *a, MemoryPlan *out) {
  out->hop = p->opt.hop;
  out->slides = arena_array(a, (size_t)out->n_items + 1, sizeof *out->slides);
  for (int i = 0; i < out->n_items; i++) {
    const PlanItem *it = &out->items[i];
    if (it->val == NO_VAL) continue;
    bool in_first = it->val == p->by_rows || writer_of(p, first, it->val) >= 0;
    if (in_first && (it->rows || hop_keeps(p, first, it->val))) add_slide(p, first, it, out);
  }
}
