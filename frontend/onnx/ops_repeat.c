/* ONNX operators that repeat, blank or fold elements: Expand, Tile, Trilu, EyeLike, Col2Im.
 *
 * Tile: each repeated axis is an Expand of an axis of 1 in front of it. Col2Im: each pixel is a sum of the column elements
 * that fall on it, a WeightedGather. Source: ONNX Expand-13, Tile-13, Trilu-14, EyeLike-22, Col2Im-18.
 */
#include "frontend/onnx/onnx_op.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "ir/base/mem.h"

bool ox_import_expand(OxCall *c) {
  ValId x = ox_in(c, 0);
  Ints list;
  TRY(x != NO_VAL && ox_const_ints(c, 1, false, &list));
  Shape s = ox_shape(c, x);
  expand_attrs a = {.shape = {.n = list.n > s.rank ? list.n : s.rank}};
  OX_FAIL_IF(a.shape.n > MAX_RANK, c, "makes %" PRId32 " dimensions; supported are at most %d", a.shape.n,
             MAX_RANK);
  bool grows = list.n > s.rank;
  for (int32_t i = 0; i < a.shape.n; i++) {
    int32_t axis = i - (a.shape.n - s.rank), k = i - (a.shape.n - list.n);
    int64_t have = axis < 0 ? 1 : s.d[axis], want = k < 0 ? 1 : list.v[k];
    bool repeat = want != 1 && want != have;
    OX_FAIL_IF(repeat && have != 1, c, "expands dimension %" PRId32 ", which is not 1", axis);
    OX_FAIL_IF(want < 0 || want > INT32_MAX, c, "makes a dimension of %" PRId64 " elements", want);
    a.shape.v[i] = have == DIM_BATCH ? -1 : repeat ? want : have;
    grows = grows || repeat;
  }
  if (!grows) return ox_done(c, x);
  return ox_done(c, ox_node(c, OP_expand, &a, &x, 1, NULL));
}

/* x repeated along one axis. The batch, where it is symbolic, stays in front. */
static ValId tile_axis(OxCall *c, ValId x, int axis, int64_t times, bool last) {
  Shape s = ox_shape(c, x), to = s;
  int64_t front = axis == 0 ? 1 : s.d[0], mid = axis == 0 ? 1 : shape_count_range(&s, 1, axis),
          rest = shape_count_range(&s, axis, s.rank);
  x = ox_reshape(c, x, &(Shape){4, {front, mid, 1, rest}}, "apart");
  if (x == NO_VAL) return x;
  expand_attrs a = {.shape = {4, {front == DIM_BATCH ? -1 : front, mid, times, rest}}};
  x = ox_node(c, OP_expand, &a, &x, 1, "repeated");
  to.d[axis] *= times;
  return ox_reshape(c, x, &to, last ? NULL : "tiled");
}

bool ox_import_tile(OxCall *c) {
  ValId x = ox_in(c, 0);
  Ints times;
  TRY(x != NO_VAL && ox_const_ints(c, 1, false, &times));
  Shape s = ox_shape(c, x);
  OX_FAIL_IF(times.n != s.rank, c, "has %" PRId32 " repeats for %" PRId32 " dimensions", times.n, s.rank);
  int last = s.rank - 1;
  while (last >= 0 && times.v[last] == 1) last--;
  for (int i = 0; i <= last && x != NO_VAL; i++) {
    OX_FAIL_IF(times.v[i] < 0 || times.v[i] > INT32_MAX, c, "repeats axis %d %" PRId64 " times", i,
               times.v[i]);
    if (times.v[i] == 1) continue;
    OX_FAIL_IF(s.d[i] == DIM_BATCH, c, "repeats the symbolic batch (axis 0)");
    x = tile_axis(c, x, i, times.v[i], i == last);
  }
  return ox_done(c, x);
}

bool ox_import_trilu(OxCall *c) {
  double k = 0;
  if (ox_has(c, 1)) TRY(ox_const_number(c, 1, &k));
  OX_FAIL_IF(isnan(k), c, "has a diagonal that is no number");
  if (k > INT32_MAX) k = INT32_MAX;
  if (k < -INT32_MAX) k = -INT32_MAX;
  trilu_attrs a = {.upper = ox_int(c, "upper", 1) != 0, .k = (int32_t)k};
  return ox_unary(c, OP_trilu, &a);
}

/* A matrix of the input's shape with ones on a diagonal. */
bool ox_import_eye_like(OxCall *c) {
  ValId x = ox_in(c, 0);
  TRY(x != NO_VAL);
  Shape s = ox_shape(c, x);
  int64_t k = ox_int(c, "k", 0), type = ox_int(c, "dtype", 0);
  DType t = type ? ox_dtype(type) : ox_type(c, x);
  OX_FAIL_IF(s.rank != 2 || !shape_is_static(&s) || t == DT_NONE, c, "wants a matrix of a supported type");
  OX_FAIL_IF(shape_count(&s) > 1 << 26, c, "makes a constant of more than %d elements", 1 << 26);
  float *eye = mem_zalloc((size_t)shape_count(&s) * sizeof *eye + 1);
  for (int64_t i = 0; k >= -INT32_MAX && k <= INT32_MAX && i < s.d[0]; i++)
    if (i + k >= 0 && i + k < s.d[1]) eye[i * s.d[1] + i + k] = 1;
  ValId v = graph_const_data(c->g, t == DT_F32 ? ox_out_name(c, 0) : NULL, DT_F32, &s, eye);
  mem_free(eye);
  return ox_done(c, ox_folded(c, ox_cast(c, v, t, NULL)));
}

/* -- Col2Im -- */

enum { COLUMNS_MAX = 1 << 24 }; /* column elements, and pixels, of one channel */

typedef struct Columns {
  int n; /* spatial axes */
  Ints image, block, dilations, pads, strides;
  int64_t places[MAX_RANK]; /* of the block along each axis */
} Columns;

static bool list_of(OxCall *c, const char *name, int n, int64_t otherwise, Ints *list) {
  if (ox_ints(c, name, list)) {
    OX_FAIL_IF(list->n != n, c, "attribute \"%s\" has %" PRId32 " entries; want %d", name, list->n, n);
  } else {
    list->n = n;
    for (int i = 0; i < n; i++) list->v[i] = otherwise;
  }
  for (int i = 0; i < n; i++)
    OX_FAIL_IF(list->v[i] < otherwise || list->v[i] > INT16_MAX, c, "attribute \"%s\" has %" PRId64, name,
               list->v[i]);
  return !c->failed;
}

static bool read_columns(OxCall *c, Columns *k) {
  TRY(ox_const_ints(c, 1, false, &k->image) && ox_const_ints(c, 2, false, &k->block));
  k->n = k->image.n;
  OX_FAIL_IF(k->n < 1 || k->n > MAX_RANK - 2 || k->block.n != k->n, c, "has %d and %" PRId32 " spatial axes",
             k->n, k->block.n);
  TRY(list_of(c, "dilations", k->n, 1, &k->dilations) && list_of(c, "strides", k->n, 1, &k->strides) &&
      list_of(c, "pads", 2 * k->n, 0, &k->pads));
  for (int i = 0; i < k->n; i++) {
    OX_FAIL_IF(k->image.v[i] < 1 || k->image.v[i] > COLUMNS_MAX || k->block.v[i] < 1 ||
                   k->block.v[i] > COLUMNS_MAX,
               c, "has an image of %" PRId64 " and a block of %" PRId64 " along axis %d; want 1 to %d each",
               k->image.v[i], k->block.v[i], i, COLUMNS_MAX);
    int64_t span = (k->block.v[i] - 1) * k->dilations.v[i] + 1,
            room = k->image.v[i] + k->pads.v[i] + k->pads.v[k->n + i] - span;
    OX_FAIL_IF(room < 0, c, "has a block of %" PRId64 " that does not fit the padded image's %" PRId64, span,
               room + span);
    k->places[i] = room / k->strides.v[i] + 1;
  }
  return true;
}

/* The pixel that element `tap` of the block at place `place` falls on; -1: into the padding. */
static int64_t pixel_of(const Columns *k, int64_t tap, int64_t place) {
  int64_t pixel = 0, step = 1;
  for (int i = k->n; i-- > 0;) {
    int64_t t = tap % k->block.v[i], p = place % k->places[i];
    int64_t at = p * k->strides.v[i] + t * k->dilations.v[i] - k->pads.v[i];
    if (at < 0 || at >= k->image.v[i]) return -1;
    pixel += at * step;
    step *= k->image.v[i];
    tap /= k->block.v[i];
    place /= k->places[i];
  }
  return pixel;
}

/* Which column elements fall on each pixel, at most `most` of them. */
static void pixel_taps(const Columns *k, int64_t taps, int64_t places, int64_t most, int32_t *count,
                       int32_t *idx, float *w) {
  for (int64_t t = 0; t < taps; t++)
    for (int64_t p = 0; p < places; p++) {
      int64_t pixel = pixel_of(k, t, p);
      if (pixel < 0) continue;
      if (idx) {
        idx[pixel * most + count[pixel]] = (int32_t)(t * places + p);
        w[pixel * most + count[pixel]] = 1;
      }
      count[pixel]++;
    }
}

bool ox_import_col2im(OxCall *c) {
  ValId x = ox_in(c, 0);
  Columns k = {0};
  TRY(x != NO_VAL && read_columns(c, &k));
  Shape s = ox_shape(c, x);
  int64_t taps = 1, places = 1, pixels = 1, most = 1;
  for (int i = 0; i < k.n; i++) {
    taps *= k.block.v[i];
    places *= k.places[i];
    pixels *= k.image.v[i];
    OX_FAIL_IF(taps > COLUMNS_MAX || places > COLUMNS_MAX || taps * places > COLUMNS_MAX ||
                   pixels > COLUMNS_MAX,
               c, "has %" PRId64 " pixels and %" PRId64 " by %" PRId64 " column elements; supported are %d",
               pixels, taps, places, COLUMNS_MAX);
  }
  OX_FAIL_IF(s.rank != 3 || s.d[1] % taps != 0 || s.d[2] != places, c,
             "wants [N, C * %" PRId64 ", %" PRId64 "]", taps, places);
  DType t = ox_type(c, x);
  OX_FAIL_IF(ox_work_type(t) != DT_F32, c, "has elements of %s", dtype_name(t));
  int32_t *count = arena_array(c->m->arena, (size_t)pixels, sizeof *count);
  pixel_taps(&k, taps, places, 0, count, NULL, NULL);
  for (int64_t i = 0; i < pixels; i++) most = count[i] > most ? count[i] : most;
  OX_FAIL_IF(pixels * most > 4 * COLUMNS_MAX, c,
             "has %" PRId64 " column elements on one of %" PRId64 " pixels", most, pixels);
  memset(count, 0, (size_t)pixels * sizeof *count);
  int32_t *idx = arena_array(c->m->arena, (size_t)(pixels * most), sizeof *idx);
  float *w = arena_array(c->m->arena, (size_t)(pixels * most), sizeof *w);
  pixel_taps(&k, taps, places, most, count, idx, w);
  Shape table = {2, {pixels, most}}, to = {k.n + 2, {s.d[0], s.d[1] / taps}};
  for (int i = 0; i < k.n; i++) to.d[2 + i] = k.image.v[i];
  x = ox_reshape(c, ox_cast(c, x, DT_F32, "f32"), &(Shape){3, {s.d[0], s.d[1] / taps, taps * places}},
                 "columns");
  ValId in[3] = {x, graph_const_data(c->g, NULL, DT_I32, &table, idx),
                 graph_const_data(c->g, NULL, DT_F32, &table, w)};
  x = ox_node(c, OP_weighted_gather, &(weighted_gather_attrs){.axis = 2}, in, 3, "pixels");
  return ox_done(c, ox_cast(c, ox_reshape(c, x, &to, t == DT_F32 ? NULL : "image"), t, NULL));
}
