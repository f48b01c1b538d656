/* Generators of drafts for operators that go by indices, and of three inputs. Constant indices lie within their axis;
 * computed ones are anything.
 */
#include "tests/random/gen.h"

#include <string.h>

#include "ir/base/mem.h"

/* Indices of shape s into an axis of `len`. */
static ValId index_value(Gen *r, const Shape *s, int64_t len) {
  const DType wide = gen_chance(r, 50) ? DT_I64 : DT_I32;
  if (gen_chance(r, 30)) return gen_value_like(r, wide, s, NULL);
  int64_t n = shape_count(s);
  char *data = mem_zalloc((size_t)n * 8 + 8);
  for (int64_t i = 0; i < n && len > 0; i++) dtype_set(wide, data, i, gen_int(r, -(int)len, (int)len - 1));
  ValId v = graph_const_data(r->g, "i", wide, s, data);
  mem_free(data);
  return v;
}

/* x, and indices of a shape of their own, which is the output's. */
bool draft_gather_elements(Gen *r, Draft *t) {
  ValId x = gen_value(r, t->type, 1, 5);
  Shape s = *gen_shape_of(r, x);
  int axis = gen_int(r, 0, s.rank - 1);
  int64_t len = s.d[axis];
  for (int i = 0; i < s.rank; i++)
    if (gen_chance(r, 50) && s.d[i] > 0) s.d[i] = gen_int(r, 1, (int)s.d[i]);
  if (gen_chance(r, 50)) s.d[axis] = gen_int(r, 1, 6);
  gen_set_int(t, "axis", axis);
  t->in[t->n_in++] = x;
  t->in[t->n_in++] = index_value(r, &s, len);
  return true;
}

/* Extent that no component of a tuple of `depth` axes from `first` on may leave. */
static int64_t least(const Shape *s, int first, int depth) {
  int64_t m = INT32_MAX;
  for (int i = first; i < first + depth; i++) m = s->d[i] < m ? s->d[i] : m;
  return m;
}

bool draft_gather_nd(Gen *r, Draft *t) {
  ValId x = gen_value(r, t->type, 1, 5);
  const Shape s = *gen_shape_of(r, x);
  int batch = gen_chance(r, 60) ? 0 : gen_int(r, 0, s.rank - 1 < 2 ? s.rank - 1 : 2);
  int depth = gen_int(r, 1, s.rank - batch);
  Shape is = {.rank = batch};
  memcpy(is.d, s.d, sizeof is.d);
  for (int i = gen_int(r, 0, 2); i > 0; i--) is.d[is.rank++] = gen_int(r, 1, 4);
  is.d[is.rank++] = depth;
  gen_set_int(t, "batch_dims", batch);
  t->in[t->n_in++] = x;
  t->in[t->n_in++] = index_value(r, &is, least(&s, batch, depth));
  return true;
}

/* What becomes of an element; codes can be replaced alone. */
static void draw_reduce(Gen *r, Draft *t) {
  if (t->type != DT_I8 && gen_chance(r, 60)) gen_set_int(t, "reduce", gen_int(r, 0, 4));
}

bool draft_scatter_elements(Gen *r, Draft *t) {
  ValId x = gen_value(r, t->type, 1, 5);
  const Quant q = r->g->vals[x].quant;
  Shape s = *gen_shape_of(r, x);
  int axis = gen_int(r, 0, s.rank - 1);
  int64_t len = s.d[axis];
  for (int i = 0; i < s.rank; i++)
    if (gen_chance(r, 50) && s.d[i] > 0) s.d[i] = gen_int(r, 1, (int)s.d[i]);
  if (gen_chance(r, 30)) s.d[axis] = gen_int(r, 1, 6); /* more updates than places */
  gen_set_int(t, "axis", axis);
  draw_reduce(r, t);
  t->in[t->n_in++] = x;
  t->in[t->n_in++] = index_value(r, &s, len);
  t->in[t->n_in++] = gen_value_like(r, t->type, &s, &q);
  return true;
}

bool draft_scatter_nd(Gen *r, Draft *t) {
  ValId x = gen_value(r, t->type, 1, 5);
  const Quant q = r->g->vals[x].quant;
  const Shape s = *gen_shape_of(r, x);
  int depth = gen_int(r, 1, s.rank);
  Shape is = {0}, us;
  for (int i = gen_int(r, 0, 2); i > 0; i--) is.d[is.rank++] = gen_int(r, 1, 4);
  us = is;
  is.d[is.rank++] = depth;
  for (int i = depth; i < s.rank && us.rank < MAX_RANK; i++) us.d[us.rank++] = s.d[i];
  draw_reduce(r, t);
  t->in[t->n_in++] = x;
  t->in[t->n_in++] = index_value(r, &is, least(&s, 0, depth));
  t->in[t->n_in++] = gen_value_like(r, t->type, &us, &q);
  return true;
}

/* Places and weights [O,T] along any axis; a bias or none. */
bool draft_weighted_gather(Gen *r, Draft *t) {
  ValId x = gen_value(r, t->type, 1, 5);
  const Shape *s = gen_shape_of(r, x);
  int axis = gen_int(r, 0, s->rank - 1), len = (int)s->d[axis];
  const Shape w = shape_of(2, (int64_t)gen_int(r, 1, 6), (int64_t)gen_int(r, 1, 4)), b = shape_of(1, w.d[0]);
  int32_t at[24];
  if (len < 1) return false;
  for (int64_t i = 0; i < shape_count(&w); i++) at[i] = gen_int(r, 0, len - 1);
  gen_set_int(t, "axis", axis);
  t->in[t->n_in++] = x;
  t->in[t->n_in++] = graph_const_data(r->g, "i", DT_I32, &w, at);
  t->in[t->n_in++] = gen_chance(r, 70) ? gen_const_range(r, &w, -1, 1) : gen_value_like(r, DT_F32, &w, NULL);
  if (gen_chance(r, 50)) t->in[t->n_in++] = gen_value_like(r, DT_F32, &b, NULL);
  return true;
}

/* One table, or one for each innermost index. */
bool draft_lookup(Gen *r, Draft *t) {
  ValId x = gen_value(r, t->type, 1, 5);
  const Shape *s = gen_shape_of(r, x);
  const int64_t c = s->d[s->rank - 1];
  const Shape table = gen_chance(r, 50) || c < 1 ? shape_of(1, (int64_t)256) : shape_of(2, c, (int64_t)256);
  t->in[t->n_in++] = x;
  t->in[t->n_in++] = gen_const(r, DT_I8, &table);
  return true;
}

/* -- repeated, chosen, shifted -- */

/* Axes of extent 1 repeated, new axes in front. */
bool draft_expand(Gen *r, Draft *t) {
  int64_t to[MAX_RANK];
  t->in[t->n_in++] = gen_value(r, t->type, 0, 4);
  const Shape *s = gen_shape_of(r, t->in[0]);
  int n = gen_int(r, 0, 2);
  for (int i = 0; i < n; i++) to[i] = gen_int(r, 1, 3);
  for (int i = 0; i < s->rank; i++) to[n++] = s->d[i] == 1 && gen_chance(r, 60) ? gen_int(r, 1, 4) : s->d[i];
  gen_set_ints(t, "shape", to, n);
  return n > 0;
}

/* A condition, and two values of any one type; all three broadcast. */
bool draft_where(Gen *r, Draft *t) {
  static const DType often[] = {DT_F32, DT_I8, DT_I32, DT_I64};
  const DType type =
      gen_chance(r, 60) ? often[gen_int(r, 0, 3)] : (DType)gen_int(r, DT_NONE + 1, DT_COUNT - 1);
  ValId y = gen_value(r, type, 0, 5);
  const Quant q = r->g->vals[y].quant;
  const Shape s = *gen_shape_of(r, y), c = gen_broadcast(r, &s), z = gen_broadcast(r, &s);
  const bool swap = gen_chance(r, 40);
  t->in[0] = gen_value_like(r, t->type, &c, NULL);
  t->in[1] = y;
  t->in[2] = gen_value_like(r, type, &z, &q);
  if (swap) t->in[1] = t->in[2], t->in[2] = y;
  t->n_in = 3;
  return true;
}

/* Bits to move by: 0 to beyond all. */
bool draft_shift(Gen *r, Draft *t) {
  ValId x = gen_value(r, t->type, 0, 5);
  const Shape s = gen_broadcast(r, gen_shape_of(r, x));
  int64_t n = shape_count(&s);
  uint64_t *by = mem_array((size_t)n + 1, sizeof *by);
  for (int64_t i = 0; i < n; i++) by[i] = (uint64_t)gen_int(r, 0, 70);
  t->in[t->n_in++] = x;
  t->in[t->n_in++] = graph_const_data(r->g, "by", DT_U64, &s, by);
  mem_free(by);
  return true;
}
