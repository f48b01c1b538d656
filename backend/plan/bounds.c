/* Bounds: bytes that a segment needs at least, without making it.
 *
 * What was there before the segment and is read in it or behind it stays whole; what is born in it may lie over that. Of a
 * value that is born and dies inside, a reader of windows of `ext` rows needs as many in a ring at one time: rows come one by
 * one, and the first of them must be there until the last one is. Such rings share their bytes with none of their kind, since
 * what is overwritten in place has no other reader (rings.c), and are nobody's guests (guests.c).
 *
 * The bounds only say in which order choose.c looks.
 */
#include "backend/plan/plan.h"

static int64_t round_up(int64_t n, int64_t align) { return (n + align - 1) / align * align; }

/* The most rows of the input that one row of the call reads. */
static int64_t window_rows(const RowMap *m, int32_t rows) {
  int64_t most = 0;
  for (int32_t y = 0; y < rows; y++) {
    int64_t from = (int64_t)y * m->mul - m->sub, to = from + m->ext;
    if (from < 0) from = 0;
    if (to > m->rows) to = m->rows;
    if (to - from > most) most = to - from;
  }
  return most;
}

int64_t *bounds_rings(const Planner *p) {
  int64_t *ring = arena_array(p->arena, p->g->n_vals, sizeof *ring),
          *row = arena_array(p->arena, p->g->n_vals, sizeof *row);
  for (uint32_t c = 0; c < p->calls->n; c++) row[p->root[p->calls->v[c].out.val]] = p->calls->v[c].out.row;
  for (uint32_t c = 0; c < p->calls->n; c++) {
    KernelCall k;
    CallRows map = p->rows[c];
    if (call_rows_form(p->g, &p->calls->v[c], &k))
      call_rows_find(&k, &map);
    else
      k = p->calls->v[c];
    for (int i = 0; i < k.n_in; i++) {
      const ValId v = p->root[k.in[i].val];
      if (map.in[i].all || p->span[v].writers != 1 || row[v] <= 0) continue;
      const int64_t rows = window_rows(&map.in[i], k.rows), bytes = round_up(rows * row[v], p->align);
      if (rows > 1 && bytes > ring[v]) ring[v] = bytes;
    }
  }
  return ring;
}

void bounds_find(const Planner *p, const int64_t *ring, int32_t first, int32_t most, int64_t *bound) {
  for (int32_t n = 1; n <= most; n++) bound[n - 1] = 0;
  for (ValId v = 1; v < p->g->n_vals; v++) {
    const Span *s = &p->span[v];
    if (s->first == SPAN_NEVER || s->last < first || v == p->by_rows) continue;
    const int64_t all = round_up(s->bytes ? s->bytes : 1, p->align);
    if (s->first < first) /* alive in all of them */
      for (int32_t n = 1; n <= most; n++) bound[n - 1] += all;
    else if (ring[v] && s->last < first + most)
      for (int32_t n = s->last - first + 1; n <= most; n++) bound[n - 1] += ring[v];
  }
}
