/* ONNX pools: MaxPool (with Indices), AveragePool, LpPool, their Global forms, MaxUnpool.
 *
 * auto_pad and ceil_mode become explicit padding. Three axes are two pools: one over columns, one over depth and rows;
 *
 *   [N,D,H,W,C] -> [N,D*H,W,C] -> pool 1 x Kw -> [N,D,H,W'*C] -> pool Kd x Kh -> [N,D',H',W',C]
 *
 * exact for a maximum, and for a mean too, since what a window counts is a product over the axes. LpPool is the mean of
 * |x|^p with the padding counted, times the window's size, to the power 1/p. Elements other than float32 are cast.
 * Source: ONNX MaxPool-8..22, AveragePool-7..22, LpPool-2..22, MaxUnpool-9..22.
 */
#include <inttypes.h>
#include <string.h>

#include "frontend/onnx/ops_window.h"
#include "ir/base/mem.h"

/* A pool as it is read. */
typedef struct Pool {
  ValId x; /* float32 */
  DType type;
  OxWindow w;
  int64_t cut[3]; /* padding at the end that ceil_mode added, which no divisor counts */
} Pool;

/* Output extent along an axis with ceil_mode, and the padding after it that gives it without. The last window must
 * start in the image or the padding before it (ONNX 19; ONNX Runtime always did so). */
static int64_t ceil_extra(const OxWindow *w, int i) {
  int64_t room = w->in[i] + w->before[i] + w->after[i] - ox_span(w, i);
  int64_t out = (room + w->stride[i] - 1) / w->stride[i] + 1;
  if ((out - 1) * w->stride[i] >= w->in[i] + w->before[i]) out--;
  int64_t extra = (out - 1) * w->stride[i] - room;
  return extra > 0 ? extra : 0;
}

static ValId pool_input(OxCall *c, DType *type) {
  ValId x = ox_in(c, 0);
  if (x == NO_VAL) return x;
  *type = ox_type(c, x);
  if (ox_work_type(*type) == DT_F32 || *type == DT_I8 || *type == DT_U8) return ox_cast(c, x, DT_F32, "f32");
  ox_fail(c, "has elements of %s; supported are floats, int8 and uint8", dtype_name(*type));
  return NO_VAL;
}

static bool read_pool(OxCall *c, Pool *p) {
  Shape s;
  TRY(ox_image(c, &p->x, &s));
  p->x = pool_input(c, &p->type);
  OX_FAIL_IF(!ox_attr(c, "kernel_shape", OX_ATTR_INTS), c, "has no attribute \"kernel_shape\"");
  TRY(p->x != NO_VAL && ox_axis_list(c, "kernel_shape", s.rank - 2, 1, 1, p->w.kernel) &&
      ox_window(c, &s, &p->w));
  for (int i = 0; ox_int(c, "ceil_mode", 0) != 0 && i < 3; i++) {
    p->cut[i] = ceil_extra(&p->w, i);
    p->w.after[i] += p->cut[i];
  }
  return !c->failed;
}

/* One 2-D pool over the axes that `first` and `second` (-1: none) name, of a channels-last image. */
static ValId pool_2d(OxCall *c, OpKind op, const OxWindow *w, int first, int second, bool count, ValId x,
                     const char *suffix) {
  OxWindow v = {.kernel = {1, 1, 1}, .stride = {1, 1, 1}, .dilation = {1, 1, 1}};
  const int from[2] = {first, second};
  for (int i = 0; i < 2; i++) {
    if (from[i] < 0) continue;
    v.kernel[1 + i] = w->kernel[from[i]];
    v.stride[1 + i] = w->stride[from[i]];
    v.dilation[1 + i] = w->dilation[from[i]];
    v.before[1 + i] = w->before[from[i]];
    v.after[1 + i] = w->after[from[i]];
  }
  Ints none = {.n = 0};
  bool dense = v.dilation[1] == 1 && v.dilation[2] == 1;
  max_pool_attrs max = {.kernel = ox_pair(v.kernel),
                        .strides = ox_pair(v.stride),
                        .pads = ox_pads(&v),
                        .dilations = dense ? none : ox_pair(v.dilation),
                        .act = ACT_NONE};
  average_pool_attrs mean = {.kernel = max.kernel,
                             .strides = max.strides,
                             .pads = max.pads,
                             .dilations = max.dilations,
                             .count_include_pad = count,
                             .act = ACT_NONE};
  return ox_node(c, op, op == OP_max_pool ? (const void *)&max : (const void *)&mean, &x, 1, suffix);
}

/* The pool over a channels-last image with any number of spatial axes. */
static ValId pool_nd(OxCall *c, OpKind op, const OxWindow *w, bool count, ValId x) {
  if (x == NO_VAL || w->n < 3) return x == NO_VAL ? x : pool_2d(c, op, w, 1, 2, count, x, "pool");
  Shape s = ox_shape(c, x);
  x = ox_reshape(c, x, &(Shape){4, {s.d[0], s.d[1] * s.d[2], s.d[3], s.d[4]}}, "lines");
  x = pool_2d(c, op, w, -1, 2, count, x, "columns");
  if (x == NO_VAL) return x;
  int64_t wide = ox_shape(c, x).d[2];
  x = ox_reshape(c, x, &(Shape){4, {s.d[0], s.d[1], s.d[2], wide * s.d[4]}}, "planes");
  x = pool_2d(c, op, w, 0, 1, count, x, "pool");
  if (x == NO_VAL) return x;
  Shape y = ox_shape(c, x);
  return ox_reshape(c, x, &(Shape){5, {y.d[0], y.d[1], y.d[2], wide, s.d[4]}}, "ndhwc");
}

static bool end_pool(OxCall *c, const Pool *p, ValId y) {
  y = ox_channels_second(c, y, p->w.n, p->type == DT_F32 ? NULL : "f32y");
  return ox_done(c, ox_cast(c, y, p->type, NULL));
}

/* What count_include_pad divides by counts no more than the padding that the file gives: window size / taps before the
 * cut for each output place, [1,(D',)H',W',1]; NO_VAL where all are 1. */
static bool cut_factors(OxCall *c, const Pool *p, ValId *factors) {
  const OxWindow *w = &p->w;
  const int64_t most = 4 * (int64_t)OX_LIST_MAX / (w->kernel[0] + w->kernel[1] + w->kernel[2]);
  int64_t out[3], n = 1;
  *factors = NO_VAL;
  if (!p->cut[0] && !p->cut[1] && !p->cut[2]) return true;
  for (int i = 0; i < 3; i++) {
    out[i] = (w->in[i] + w->before[i] + w->after[i] - ox_span(w, i)) / w->stride[i] + 1;
    n *= out[i];
    OX_FAIL_IF(n > most, c,
               "counts padding in windows of %" PRId64 " places and more, not all whole; set ceil_mode to 0",
               n);
  }
  float *f = mem_alloc_aligned((size_t)n * sizeof *f, 64);
  bool any = false;
  for (int64_t q = 0; q < n; q++) {
    int64_t at[3] = {q / (out[1] * out[2]), q / out[2] % out[1], q % out[2]};
    f[q] = 1;
    for (int i = 0; i < 3; i++) {
      int64_t end = w->in[i] + w->before[i] + w->after[i] - p->cut[i], taps = 0;
      for (int64_t k = 0; k < w->kernel[i]; k++) taps += at[i] * w->stride[i] + k * w->dilation[i] < end;
      f[q] *= (float)w->kernel[i] / (float)(taps > 0 ? taps : 1);
    }
    any = any || f[q] != 1;
  }
  Shape five = {5, {1, out[0], out[1], out[2], 1}}, four = {4, {1, out[1], out[2], 1}};
  if (any)
    *factors =
        graph_const(c->g, NULL, DT_F32, w->n == 3 ? &five : &four, blob_adopt(f, (size_t)n * sizeof *f));
  else
    mem_free(f);
  return true;
}

static ValId times(OxCall *c, ValId x, ValId y, const char *suffix) {
  return ox_node(c, OP_mul, NULL, (ValId[2]){x, y}, 2, suffix);
}

/* -- LpPool -- */

static ValId number(OxCall *c, float v) {
  return graph_const_data(c->g, NULL, DT_F32, &(Shape){.rank = 0}, &v);
}

/* |x|^p, and its inverse where the power is 1 / p. */
static ValId power(OxCall *c, ValId x, int64_t p, bool inverse, const char *suffix) {
  if (x == NO_VAL || (inverse && p == 1)) return x;
  if (inverse && p == 2) return ox_node(c, OP_sqrt, NULL, &x, 1, suffix);
  if (inverse) return ox_node(c, OP_pow, NULL, (ValId[2]){x, number(c, 1 / (float)p)}, 2, suffix);
  if (p == 2) return times(c, x, x, suffix);
  x = ox_node(c, OP_abs, NULL, &x, 1, "abs");
  return p == 1 ? x : ox_node(c, OP_pow, NULL, (ValId[2]){x, number(c, (float)p)}, 2, suffix);
}

/* (sum |x|^p)^(1/p) over windows of `taps` elements: zeros around the image add nothing. */
static ValId lp_norm(OxCall *c, const Pool *p, int64_t power_of, int64_t taps) {
  ValId x = power(c, ox_channels_last(c, p->x), power_of, false, "power");
  ValId y = pool_nd(c, OP_average_pool, &p->w, true, x);
  if (y != NO_VAL && taps != 1) y = times(c, y, number(c, (float)taps), "sum");
  return power(c, y, power_of, true, "root");
}

static bool lp_order(OxCall *c, int64_t *p) {
  *p = ox_int(c, "p", 2);
  OX_FAIL_IF(*p < 1 || *p > 1 << 16, c, "has p = %" PRId64, *p);
  return !c->failed;
}

bool ox_import_lp_pool(OxCall *c) {
  Pool p = {.w = {.n = 0}};
  int64_t order;
  TRY(read_pool(c, &p) && lp_order(c, &order));
  return end_pool(c, &p, lp_norm(c, &p, order, p.w.kernel[0] * p.w.kernel[1] * p.w.kernel[2]));
}

bool ox_import_average_pool(OxCall *c) {
  Pool p = {.w = {.n = 0}};
  TRY(read_pool(c, &p));
  bool count = ox_int(c, "count_include_pad", 0) != 0;
  ValId y = pool_nd(c, OP_average_pool, &p.w, count, ox_channels_last(c, p.x));
  ValId more = NO_VAL;
  TRY(!count || y == NO_VAL || cut_factors(c, &p, &more));
  if (more != NO_VAL) y = times(c, y, more, "counted");
  return end_pool(c, &p, y);
}

/* -- MaxPool -- */

/* Indices into the whole tensor: the place in the channel, from the pool, and where the channel begins. */
static ValId max_indices(OxCall *c, const Pool *p, ValId x) {
  const OxWindow *w = &p->w;
  Shape s = ox_shape(c, x); /* [N,H,W,C] */
  bool columns = ox_int(c, "storage_order", 0) != 0;
  OX_FAIL_IF(w->n == 3 || !shape_is_static(&s), c, "has Indices of %s, which are not supported",
             w->n == 3 ? "three spatial axes" : "a symbolic batch");
  max_pool_index_attrs a = {.kernel = ox_pair(w->kernel),
                            .strides = ox_pair(w->stride),
                            .pads = ox_pads(w),
                            .dilations = ox_pair(w->dilation),
                            .steps = {2, {columns ? 1 : s.d[2], columns ? s.d[1] : 1}}};
  ValId y = ox_node(c, OP_max_pool_index, &a, &x, 1, "places");
  int64_t n = s.d[0] * s.d[3];
  OX_FAIL_IF(n > 1 << 24, c, "has Indices of %" PRId64 " channels; supported are at most %d", n, 1 << 24);
  int64_t *base = arena_array(c->m->arena, (size_t)n, sizeof *base);
  for (int64_t i = 0; i < n; i++) base[i] = i * s.d[1] * s.d[2];
  ValId first = graph_const_data(c->g, NULL, DT_I64, &(Shape){4, {s.d[0], 1, 1, s.d[3]}}, base);
  y = ox_node(c, OP_add, NULL, (ValId[2]){y, first}, 2, "indices");
  return ox_channels_second(c, y, w->n, "Indices");
}

bool ox_import_max_pool(OxCall *c) {
  Pool p = {.w = {.n = 0}};
  TRY(read_pool(c, &p));
  ValId x = ox_channels_last(c, p.x);
  TRY(x != NO_VAL && end_pool(c, &p, pool_nd(c, OP_max_pool, &p.w, false, x)));
  if (!ox_out_name(c, 1)[0]) return true;
  c->out[1] = max_indices(c, &p, x);
  return c->out[1] != NO_VAL;
}

/* Values go to the places that Indices name, into zeros of the output's shape. */
bool ox_import_max_unpool(OxCall *c) {
  Shape s, to;
  ValId x, idx = ox_in(c, 1);
  TRY(ox_image(c, &x, &s) && idx != NO_VAL);
  OxWindow w = {.n = 0};
  OX_FAIL_IF(!ox_attr(c, "kernel_shape", OX_ATTR_INTS), c, "has no attribute \"kernel_shape\"");
  TRY(ox_axis_list(c, "kernel_shape", s.rank - 2, 1, 1, w.kernel) && ox_window(c, &s, &w));
  OX_FAIL_IF(!shape_is_static(&s), c, "has a symbolic batch");
  to = s;
  for (int i = 3 - w.n; i < 3; i++)
    to.d[s.rank - 3 + i] = (w.in[i] - 1) * w.stride[i] - w.before[i] - w.after[i] + w.kernel[i];
  Shape places = to; /* what the indices count in */
  if (ox_has(c, 2)) {
    Ints list;
    TRY(ox_const_ints(c, 2, false, &list));
    OX_FAIL_IF(list.n != s.rank, c, "has an output shape of %" PRId32 " dimensions; want %" PRId32, list.n,
               s.rank);
    for (int i = 0; i < s.rank; i++) {
      to.d[i] = list.v[i];
      OX_FAIL_IF(to.d[i] < places.d[i] || to.d[i] > INT32_MAX, c,
                 "has a smaller output shape than its input");
    }
  }
  static const int64_t zero = 0;
  int64_t all = shape_count(&places), n = shape_count(&s);
  ValId none = graph_const_data(c->g, NULL, ox_type(c, x), &(Shape){1, {1}}, &zero);
  ValId y = ox_node(c, OP_expand, &(expand_attrs){.shape = {1, {all}}}, &none, 1, "zeros");
  ValId in[3] = {y, ox_reshape(c, idx, &(Shape){1, {n}}, "places"),
                 ox_reshape(c, x, &(Shape){1, {n}}, "values")};
  y = ox_node(c, OP_scatter_elements, NULL, in, 3, "placed");
  bool same = shape_equal(&to, &places);
  y = ox_reshape(c, y, &places, same ? NULL : "unpooled");
  if (same || y == NO_VAL) return ox_done(c, y);
  pad_attrs a = {.pads = {.n = 2 * s.rank}};
  for (int i = 0; i < s.rank; i++) a.pads.v[s.rank + i] = to.d[i] - places.d[i];
  return ox_done(c, ox_node(c, OP_pad, &a, &y, 1, NULL));
}

/* -- global pools: means and maxima over an image as one window -- */

/* order: 0, or that of the norm which takes the mean's place. */
static bool global_pool(OxCall *c, OpKind op, int64_t order) {
  Pool p = {.w = {.n = 2, .kernel = {1, 1, 1}, .stride = {1, 1, 1}, .dilation = {1, 1, 1}}};
  ValId x = ox_in(c, 0);
  TRY(x != NO_VAL);
  Shape s = ox_shape(c, x), to = s;
  OX_FAIL_IF(s.rank < 3, c, "input has no spatial axes; want [N,C,...]");
  p.x = pool_input(c, &p.type);
  TRY(p.x != NO_VAL);
  p.w.kernel[1] = s.rank == 3 ? 1 : s.d[2];
  p.w.kernel[2] = shape_count_range(&s, s.rank == 3 ? 2 : 3, s.rank);
  for (int i = 2; i < s.rank; i++) to.d[i] = 1;
  p.x = ox_reshape(c, p.x, &(Shape){4, {s.d[0], s.d[1], p.w.kernel[1], p.w.kernel[2]}}, "image");
  x = order ? lp_norm(c, &p, order, p.w.kernel[1] * p.w.kernel[2])
            : pool_nd(c, op, &p.w, false, ox_channels_last(c, p.x));
  if (s.rank == 4) return end_pool(c, &p, x);
  x = ox_reshape(c, x, &to, p.type == DT_F32 ? NULL : "f32y");
  return ox_done(c, ox_cast(c, x, p.type, NULL));
}

bool ox_import_global_max_pool(OxCall *c) { return global_pool(c, OP_max_pool, 0); }
bool ox_import_global_average_pool(OxCall *c) { return global_pool(c, OP_average_pool, 0); }
bool ox_import_global_lp_pool(OxCall *c) {
  int64_t order;
  return lp_order(c, &order) && global_pool(c, OP_average_pool, order);
}
