/* TFLite operators of indices and of shapes that are known at import: ONE_HOT, SCATTER_ND, DYNAMIC_UPDATE_SLICE; RANGE,
 * WHERE and BROADCAST_ARGS as constants.
 *
 * Sources: TensorFlow Lite's one_hot.cc, scatter_nd.cc with reference_ops::ScatterNd, dynamic_update_slice.cc, range.cc,
 * where.cc, broadcast_args.cc.
 */
#include "frontend/tflite/tfl.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "ir/base/mem.h"

/* A file of a few bytes must not ask for much memory: elements have at most 8 bytes. */
static bool few(TflNode *n, int64_t count) { return tfl_may_make(n->m, count, 8, &n->loc); }

/* The constant behind input i, known in the file or since its operator was imported; NULL: reported. */
static const void *known(TflNode *n, uint32_t i, const char *why) {
  if (!tfl_has(n, i)) {
    diag_error(n->m->d, &n->loc, "input %u is left out; the operator needs it", i);
    return NULL;
  }
  const TflTensor *t = tfl_in_tensor(n, i);
  ValId v = t->data || t->val != NO_VAL ? tfl_value(n->m, n->in[i], &n->loc) : NO_VAL;
  if (v != NO_VAL && val_is_const(n->m->g, v)) return val_data(n->m->g, v);
  diag_error(n->m->d, &n->loc, "input %u (\"%s\") is computed when the model runs, and %s depends on it", i,
             t->name, why);
  diag_hint(n->m->d, "keep it out of the model, or make the input a constant");
  return NULL;
}

static bool bind_const(TflNode *n, const void *data) {
  const TflTensor *y = tfl_out_tensor(n, 0);
  return tfl_bind(n, 0, graph_const_data(n->m->g, y->name, y->dtype, &y->shape, data));
}

/* -- places -- */

/* Numbers 0 .. along `axis`, the other extents 1. */
static ValId numbers(TflNode *n, DType t, int32_t rank, int32_t axis, int64_t count) {
  Shape s = {.rank = rank};
  for (int32_t i = 0; i < rank; i++) s.d[i] = i == axis ? count : 1;
  char *data = mem_zalloc((size_t)count * 8 + 8);
  for (int64_t i = 0; i < count; i++) dtype_set(t, data, i, i);
  ValId v = graph_const_data(n->m->g, NULL, t, &s, data);
  mem_free(data);
  return v;
}

/* An index outside of the depth, below 0 too, is nowhere. */
bool tfl_import_one_hot(TflNode *n) {
  const Compose k = tfl_compose(n);
  const Shape *out = &tfl_out_tensor(n, 0)->shape;
  const int32_t given = fb_i32(&n->options, 0, 0);
  int32_t axis;
  ValId at = tfl_number(n, 0, "i"), on, off;
  TRY(at != NO_VAL && tfl_axis(n, given, out->rank, &axis) && few(n, out->d[axis]));
  on = tfl_moved(n, 2);
  TRY(on != NO_VAL);
  off = tfl_moved(n, 3);
  TRY(off != NO_VAL);
  const Shape in = graph_val(n->m->g, at)->shape;
  Shape one = {.rank = in.rank + 1};
  FAIL_IF(one.rank != out->rank, n->m->d, &n->loc, "makes %" PRId32 " dimensions of %" PRId32, out->rank,
          in.rank);
  for (int32_t i = 0, from = 0; i < one.rank; i++) one.d[i] = i == axis ? 1 : in.d[from++];
  ValId all = numbers(n, graph_val(n->m->g, at)->dtype, one.rank, axis, out->d[axis]);
  ValId hot = compose_2(&k, OP_equal, compose_reshape(&k, at, &one), all);
  return tfl_end(n, 0, compose_where(&k, hot, on, off));
}

/* Zeros to which the updates are added. */
bool tfl_import_scatter_nd(TflNode *n) {
  const TflTensor *y = tfl_out_tensor(n, 0);
  ValId at = tfl_number(n, 0, "i");
  TRY(at != NO_VAL);
  ValId updates = tfl_number(n, 1, "fi");
  TRY(updates != NO_VAL && few(n, shape_count(&y->shape)));
  const DType t = graph_val(n->m->g, updates)->dtype;
  void *zeros = mem_zalloc((size_t)shape_count(&y->shape) * dtype_size(t) + 1);
  ValId in[3] = {graph_const_data(n->m->g, NULL, t, &y->shape, zeros), at, updates};
  mem_free(zeros);
  return tfl_emit(n, OP_scatter_nd, &(scatter_nd_attrs){.reduce = 1}, in, 3);
}

/* Blocks of x that an update of shape u replaces, if its first one is block 0: inner axes that it fills belong to a
 * block. limit, stride: of each axis' start, in blocks. */
typedef struct Update {
  int64_t block, count;
  int32_t limit[MAX_RANK], stride[MAX_RANK];
} Update;

static int32_t *update_blocks(const Shape *x, const Shape *u, Update *p) {
  int32_t last = x->rank - 1;
  int64_t step = 1;
  while (last > 0 && x->d[last] == u->d[last]) last--;
  *p = (Update){.block = shape_count_range(x, last + 1, x->rank), .count = shape_count_range(u, 0, last + 1)};
  int32_t *at = mem_array((size_t)p->count + 1, sizeof *at);
  for (int32_t i = last; i >= 0; i--) {
    p->stride[i] = (int32_t)step;
    p->limit[i] = (int32_t)(x->d[i] - u->d[i]);
    step *= x->d[i];
  }
  for (int64_t b = 0; b < p->count; b++) {
    int64_t rest = b, place = 0;
    for (int32_t i = last; i >= 0; rest /= u->d[i--]) place += rest % u->d[i] * p->stride[i];
    at[b] = (int32_t)place;
  }
  return at;
}

/* Starts are moved so that all of the update lies inside. */
bool tfl_import_dynamic_update_slice(TflNode *n) {
  const Compose k = tfl_compose(n);
  Graph *g = n->m->g;
  ValId x = tfl_moved(n, 0), update, start;
  TRY(x != NO_VAL);
  update = tfl_moved(n, 1);
  TRY(update != NO_VAL);
  start = compose_cast(&k, tfl_number(n, 2, "i"), DT_I32);
  TRY(start != NO_VAL);
  const Shape s = graph_val(g, x)->shape, u = graph_val(g, update)->shape;
  bool fits = s.rank > 0 && u.rank == s.rank && shape_count(&graph_val(g, start)->shape) == s.rank;
  for (int32_t i = 0; fits && i < s.rank; i++) fits = u.d[i] <= s.d[i];
  FAIL_IF(!fits, n->m->d, &n->loc, "has an update or starts that do not fit its input");
  TRY(few(n, shape_count(&u)));
  Update p;
  int32_t *at = update_blocks(&s, &u, &p);
  const Shape axes = {1, {s.rank}}, list = {2, {p.count, 1}},
              flat = {2, {shape_count(&s) / p.block, p.block}}, rows = {2, {p.count, p.block}};
  ValId blocks = graph_const_data(g, NULL, DT_I32, &list, at);
  mem_free(at);
  start = compose_2(&k, OP_min, compose_with(&k, OP_max, compose_reshape(&k, start, &axes), 0),
                    graph_const_data(g, NULL, DT_I32, &axes, p.limit));
  start = compose_2(&k, OP_mul, start, graph_const_data(g, NULL, DT_I32, &axes, p.stride));
  ValId first = compose_reduce(&k, OP_reduce_sum, start, 0, 1);
  ValId in[3] = {compose_reshape(&k, x, &flat), compose_2(&k, OP_add, blocks, first),
                 compose_reshape(&k, update, &rows)};
  ValId y = compose_node(&k, OP_scatter_nd, &(scatter_nd_attrs){.reduce = 0}, in, 3);
  return tfl_end(n, 0, compose_reshape(&k, y, &s));
}

/* -- constants -- */

/* How many numbers there are from start (v[0]) to before limit (v[1]) by step (v[2], not 0). */
static double range_count(DType t, const void *const *v) {
  if (t == DT_F32) {
    const float start = *(const float *)v[0], limit = *(const float *)v[1], step = *(const float *)v[2];
    return (step > 0 ? start > limit : start < limit) ? 0 : (double)ceilf(fabsf((limit - start) / step));
  }
  const int64_t start = dtype_get(t, v[0], 0), limit = dtype_get(t, v[1], 0), step = dtype_get(t, v[2], 0);
  if (step > 0 ? start > limit : start < limit) return 0;
  const uint64_t by = step > 0 ? (uint64_t)step : 0 - (uint64_t)step;
  const uint64_t span = step > 0 ? (uint64_t)limit - (uint64_t)start : (uint64_t)start - (uint64_t)limit;
  return (double)(span / by + (span % by != 0));
}

/* Start, limit and step as one number each of y's type; reports what does not give y's elements. */
static bool range_inputs(TflNode *n, const TflTensor *y, const void **v) {
  for (uint32_t i = 0; i < 3; i++) {
    v[i] = known(n, i, "the output");
    TRY(v[i] != NULL);
    const TflTensor *t = tfl_in_tensor(n, i);
    bool fits = t->dtype == y->dtype && shape_count(&t->shape) == 1 &&
                (t->dtype == DT_F32 || t->dtype == DT_I32 || t->dtype == DT_I64);
    FAIL_IF(!fits, n->m->d, &n->loc, "wants its start, limit and step as numbers of f32, i32 or i64");
  }
  const bool still = y->dtype == DT_F32 ? *(const float *)v[2] == 0 : dtype_get(y->dtype, v[2], 0) == 0;
  FAIL_IF(still, n->m->d, &n->loc, "has a step of 0");
  const int64_t room = shape_count(&y->shape);
  const double count = range_count(y->dtype, v);
  FAIL_IF(!(count == (double)room), n->m->d, &n->loc, "counts %.0f numbers; the file has room for %" PRId64,
          count, room);
  return few(n, room);
}

/* Floats are added up one by one, as the reference does. */
bool tfl_import_range(TflNode *n) {
  const TflTensor *y = tfl_out_tensor(n, 0);
  const void *v[3];
  TRY(range_inputs(n, y, v));
  const int64_t count = shape_count(&y->shape);
  char *data = mem_zalloc((size_t)count * 8 + 8);
  float real = y->dtype == DT_F32 ? *(const float *)v[0] : 0;
  for (int64_t i = 0; i < count; i++) {
    if (y->dtype == DT_F32) {
      ((float *)(void *)data)[i] = real;
      real += *(const float *)v[2];
    } else { /* the sum fits, the product alone may not: modulo 2^64 it does not matter */
      const uint64_t start = (uint64_t)dtype_get(y->dtype, v[0], 0),
                     step = (uint64_t)dtype_get(y->dtype, v[2], 0);
      dtype_set(y->dtype, data, i, (int64_t)(start + (uint64_t)i * step));
    }
  }
  bool ok = bind_const(n, data);
  mem_free(data);
  return ok;
}

/* The places of a constant's elements that are not 0, in their order. */
bool tfl_import_where(TflNode *n) {
  const uint8_t *cond = known(n, 0, "the output's shape");
  TRY(cond != NULL);
  const TflTensor *x = tfl_in_tensor(n, 0), *y = tfl_out_tensor(n, 0);
  FAIL_IF(x->dtype != DT_BOOL || y->dtype != DT_I64 || x->shape.rank < 1, n->m->d, &n->loc,
          "goes from %s to %s; supported is from bool to i64", dtype_name(x->dtype), dtype_name(y->dtype));
  const int64_t count = shape_count(&x->shape), want = shape_count(&y->shape);
  int64_t *places = mem_zalloc((size_t)count * (size_t)x->shape.rank * sizeof *places + 8), found = 0;
  for (int64_t i = 0; i < count; i++) {
    int64_t rest = i;
    for (int32_t a = x->shape.rank - 1; a >= 0; rest /= x->shape.d[a--])
      places[found * x->shape.rank + a] = rest % x->shape.d[a];
    found += cond[i] != 0;
  }
  bool ok = found * x->shape.rank == want;
  if (ok)
    ok = bind_const(n, places);
  else
    diag_error(n->m->d, &n->loc, "finds %" PRId64 " places; the file has room for %" PRId64 " numbers", found,
               want);
  mem_free(places);
  return ok;
}

/* The shape that two shapes broadcast to. */
bool tfl_import_broadcast_args(TflNode *n) {
  Ints a, b;
  int64_t wide[MAX_RANK * 2] = {0};
  int32_t narrow[MAX_RANK * 2] = {0};
  TRY(tfl_ints(n, 0, &a) && tfl_ints(n, 1, &b));
  const TflTensor *y = tfl_out_tensor(n, 0);
  const int32_t rank = a.n > b.n ? a.n : b.n;
  FAIL_IF(shape_count(&y->shape) != rank || (y->dtype != DT_I32 && y->dtype != DT_I64), n->m->d, &n->loc,
          "writes %" PRId64 " elements of %s; want %" PRId32 " of i32 or i64", shape_count(&y->shape),
          dtype_name(y->dtype), rank);
  for (int32_t i = 0; i < rank; i++) {
    const int32_t ia = i - (rank - a.n), ib = i - (rank - b.n);
    const int64_t da = ia < 0 ? 1 : a.v[ia], db = ib < 0 ? 1 : b.v[ib];
    FAIL_IF(da != db && da != 1 && db != 1, n->m->d, &n->loc, "broadcasts %" PRId64 " and %" PRId64, da, db);
    wide[i] = da == 1 ? db : da;
    narrow[i] = (int32_t)wide[i];
  }
  return bind_const(n, y->dtype == DT_I64 ? (const void *)wide : (const void *)narrow);
}
