/* TFLite operators along axes: reductions, ARG_MAX, CUMSUM, TOPK_V2, GATHER_ND, LOG_SOFTMAX, L2_NORMALIZATION,
 * RESIZE_BILINEAR.
 *
 * float32, and integers where the reference has them; int8: sums, the largest and the smallest and their places, norms
 * and RESIZE_BILINEAR by operators of their own. Sources: TensorFlow Lite's reference kernels reduce.h, arg_min_max.h, cumsum.h, log_softmax.h,
 * l2normalization.h, resize_bilinear.h; topk_v2.cc.
 */
#include "frontend/tflite/tfl.h"

#include <inttypes.h>
#include <math.h>

#include "ir/base/mem.h"

static Shape shape_of_val(const TflNode *n, ValId v) { return graph_val(n->m->g, v)->shape; }

/* Input 1: the axes, in any order, from either end. */
static bool reduced_axes(TflNode *n, ValId x, reduce_mean_attrs *a) {
  Ints axes;
  int32_t rank = shape_of_val(n, x).rank, axis;
  bool reduced[MAX_RANK] = {false};
  TRY(tfl_ints(n, 1, &axes));
  for (int32_t i = 0; i < axes.n; i++) {
    TRY(tfl_axis(n, axes.v[i], rank, &axis));
    reduced[axis] = true;
  }
  *a = (reduce_mean_attrs){.keepdims = fb_u8(&n->options, 0, 0) != 0};
  for (int32_t i = 0; i < rank; i++)
    if (reduced[i]) a->axes.v[a->axes.n++] = i;
  return true;
}

/* All reductions have attributes that begin like ReduceMean's. bool: as int32. */
static bool reduce(TflNode *n, OpKind op, const char *types) {
  const Compose k = tfl_compose(n);
  reduce_mean_attrs a;
  ValId x = tfl_number(n, 0, types);
  TRY(x != NO_VAL && reduced_axes(n, x, &a));
  if (graph_val(n->m->g, x)->dtype == DT_BOOL) x = compose_cast(&k, x, DT_I32);
  return tfl_end(n, 0, compose_1(&k, op, &a, x));
}

/* int8 too. */
static bool reduce_codes(TflNode *n, OpKind op) {
  reduce_mean_attrs a;
  if (!tfl_has(n, 0) || tfl_in_tensor(n, 0)->dtype != DT_I8) return reduce(n, op, "fi");
  ValId x = tfl_data(n, 0);
  return x != NO_VAL && reduced_axes(n, x, &a) && tfl_emit(n, op, &a, &x, 1);
}

bool tfl_import_sum(TflNode *n) { return reduce_codes(n, OP_reduce_sum); }
bool tfl_import_reduce_prod(TflNode *n) { return reduce(n, OP_reduce_prod, "fi"); }

/* Codes compare as the numbers do. */
static bool reduce_extreme(TflNode *n, OpKind op) {
  return (!tfl_has(n, 0) || tfl_same_quant(n, tfl_in_tensor(n, 0), tfl_out_tensor(n, 0))) &&
         reduce_codes(n, op);
}

bool tfl_import_reduce_max(TflNode *n) { return reduce_extreme(n, OP_reduce_max); }
bool tfl_import_reduce_min(TflNode *n) { return reduce_extreme(n, OP_reduce_min); }
bool tfl_import_reduce_any(TflNode *n) { return reduce(n, OP_reduce_max, "b"); }
bool tfl_import_reduce_all(TflNode *n) { return reduce(n, OP_reduce_min, "b"); }

/* -- along one axis -- */

/* Input i as one constant integer. */
static bool one_int(TflNode *n, uint32_t i, int64_t *v) {
  Ints list;
  TRY(tfl_ints(n, i, &list));
  FAIL_IF(list.n != 1, n->m->d, &n->loc, "has %" PRId32 " integers as input %u; want 1", list.n, i);
  *v = list.v[0];
  return true;
}

static bool one_axis(TflNode *n, ValId x, int32_t *axis) {
  int64_t v = 0;
  return one_int(n, 1, &v) && tfl_axis(n, v, shape_of_val(n, x).rank, axis);
}

/* Of equals the first. */
static bool arg(TflNode *n, OpKind op) {
  const Compose k = tfl_compose(n);
  bool codes = tfl_has(n, 0) && tfl_in_tensor(n, 0)->dtype == DT_I8;
  ValId x = codes ? tfl_data(n, 0) : tfl_number(n, 0, "fi");
  arg_max_attrs a = {0};
  TRY(x != NO_VAL && one_axis(n, x, &a.axis));
  DType to = tfl_out_tensor(n, 0)->dtype;
  FAIL_IF(to != DT_I32 && to != DT_I64, n->m->d, &n->loc, "gives indices of %s; want i32 or i64",
          dtype_name(to));
  return tfl_end(n, 0, compose_1(&k, op, &a, x)); /* ArgMin's attributes are alike */
}

_Static_assert(sizeof(arg_max_attrs) == sizeof(arg_min_attrs), "attributes of ArgMax and ArgMin are alike");

bool tfl_import_arg_max(TflNode *n) { return arg(n, OP_arg_max); }
bool tfl_import_arg_min(TflNode *n) { return arg(n, OP_arg_min); }

bool tfl_import_cumsum(TflNode *n) {
  enum { EXCLUSIVE = 0, REVERSE = 1 };
  ValId x = tfl_number(n, 0, "fi");
  cum_sum_attrs a = {.exclusive = fb_u8(&n->options, EXCLUSIVE, 0) != 0,
                     .reverse = fb_u8(&n->options, REVERSE, 0) != 0};
  TRY(x != NO_VAL && one_axis(n, x, &a.axis));
  return tfl_emit(n, OP_cum_sum, &a, &x, 1);
}

/* Values and their places along the innermost axis, best first. */
bool tfl_import_topk(TflNode *n) {
  const Compose k = tfl_compose(n);
  int64_t count = 0;
  ValId x = tfl_number(n, 0, "fi");
  TRY(x != NO_VAL && one_int(n, 1, &count));
  Shape s = shape_of_val(n, x);
  FAIL_IF(s.rank < 1 || count < 1 || count > s.d[s.rank - 1], n->m->d, &n->loc,
          "takes %" PRId64 " elements of %" PRId64, count, s.rank < 1 ? 0 : s.d[s.rank - 1]);
  FAIL_IF(n->n_out != 2, n->m->d, &n->loc, "has %u outputs; want 2", n->n_out);
  top_k_attrs a = {.axis = s.rank - 1, .k = (int32_t)count, .largest = 1};
  ValId at = compose_1(&k, OP_top_k, &a, x), in[2] = {x, at};
  ValId y = compose_node(&k, OP_gather_elements, &(gather_elements_attrs){.axis = a.axis}, in, 2);
  TRY(tfl_end(n, 0, y));
  const DType to = tfl_out_tensor(n, 1)->dtype;
  FAIL_IF(to != DT_I32 && to != DT_I64, n->m->d, &n->loc, "gives indices of %s; want i32 or i64",
          dtype_name(to));
  return tfl_bind(n, 1, compose_cast(&k, at, to));
}

bool tfl_import_gather_nd(TflNode *n) {
  ValId in[2] = {tfl_moved(n, 0), NO_VAL};
  TRY(in[0] != NO_VAL);
  in[1] = tfl_number(n, 1, "i");
  return in[1] != NO_VAL && tfl_emit(n, OP_gather_nd, &(gather_nd_attrs){.batch_dims = 0}, in, 2);
}

/* -- norms: along the innermost axis -- */

static ValId innermost(TflNode *n, int32_t *axis) {
  const bool codes = tfl_has(n, 0) && tfl_in_tensor(n, 0)->dtype == DT_I8;
  ValId x = codes ? tfl_data(n, 0) : tfl_number(n, 0, "f");
  if (x == NO_VAL) return x;
  *axis = shape_of_val(n, x).rank - 1;
  if (*axis >= 0) return x;
  diag_error(n->m->d, &n->loc, "normalizes a scalar; want at least one dimension");
  return NO_VAL;
}

/* The int8 form, whose output has one quantization. */
static bool norm_codes(TflNode *n, OpKind op, ValId x, float scale, int32_t zero) {
  const TflTensor *y = tfl_out_tensor(n, 0);
  FAIL_IF(y->quant.n != 1 || y->quant.scale[0] != scale || y->quant.zero[0] != zero, n->m->d, &n->loc,
          "has an output (\"%s\") of scale %g and zero point %" PRId32 "; want %g and %" PRId32, y->name,
          y->quant.n ? (double)y->quant.scale[0] : 0, y->quant.n ? y->quant.zero[0] : 0, (double)scale, zero);
  return tfl_emit(n, op, NULL, &x, 1);
}

bool tfl_import_log_softmax(TflNode *n) {
  const Compose k = tfl_compose(n);
  int32_t axis;
  ValId x = innermost(n, &axis);
  TRY(x != NO_VAL);
  if (graph_val(n->m->g, x)->dtype == DT_I8) return norm_codes(n, OP_log_softmax, x, 1.0f / 16, 127);
  return tfl_end(n, 0, compose_log_softmax(&k, x, axis));
}

/* x / max(norm, 1e-6) */
bool tfl_import_l2_normalization(TflNode *n) {
  const Compose k = tfl_compose(n);
  int32_t axis, act;
  ValId x = innermost(n, &axis);
  TRY(x != NO_VAL && tfl_act(n, 0, &act));
  FAIL_IF(act != ACT_NONE, n->m->d, &n->loc, "has a fused activation; want an operator of its own");
  if (graph_val(n->m->g, x)->dtype == DT_I8) return norm_codes(n, OP_l2_normalization, x, 1.0f / 128, 0);
  ValId norm = compose_1(&k, OP_sqrt, NULL, compose_reduce(&k, OP_reduce_sum_square, x, axis, axis + 1));
  return tfl_end(n, 0, compose_2(&k, OP_div, x, compose_with(&k, OP_max, norm, (double)1e-6f)));
}

/* -- RESIZE_BILINEAR -- */

typedef struct Bilinear {
  bool corners, half;
} Bilinear;

/* The two places that output place i lies between, and their shares. */
static void between(int64_t i, int64_t in, int64_t out, Bilinear b, int32_t *index, float *w) {
  float scale = b.corners && out > 1 ? (float)(in - 1) / (float)(out - 1) : (float)in / (float)out;
  float at = b.half ? ((float)i + 0.5f) * scale - 0.5f : (float)i * scale;
  int64_t lo = (int64_t)floorf(at), hi = (int64_t)ceilf(at);
  lo = lo < 0 ? 0 : lo > in - 1 ? in - 1 : lo;
  hi = hi < lo ? lo : hi > in - 1 ? in - 1 : hi;
  index[0] = (int32_t)lo;
  index[1] = (int32_t)hi;
  w[1] = lo == hi ? 0 : at - (float)lo;
  w[0] = 1 - w[1];
}

static ValId resize_axis(TflNode *n, ValId x, int32_t axis, int64_t out, Bilinear b) {
  const Compose k = tfl_compose(n);
  const int64_t len = shape_of_val(n, x).d[axis];
  const Shape table = shape_of(2, out, (int64_t)2);
  bool same = out == len;
  if (!tfl_may_make(n->m, out, 16, &n->loc)) return NO_VAL;
  int32_t *index = mem_array((size_t)out, 2 * sizeof *index);
  float *w = mem_array((size_t)out, 2 * sizeof *w);
  for (int64_t i = 0; i < out; i++) {
    between(i, len, out, b, index + 2 * i, w + 2 * i);
    same = same && index[2 * i] == i && w[2 * i] == 1;
  }
  ValId in[3] = {x, NO_VAL, NO_VAL};
  if (!same) {
    in[1] = graph_const_data(n->m->g, NULL, DT_I32, &table, index);
    in[2] = graph_const_data(n->m->g, NULL, DT_F32, &table, w);
  }
  mem_free(index);
  mem_free(w);
  return same ? x : compose_node(&k, OP_weighted_gather, &(weighted_gather_attrs){.axis = axis}, in, 3);
}

bool tfl_import_resize_bilinear(TflNode *n) {
  enum { CORNERS = 2, HALF = 3, EXTENT_MAX = 1 << 24 };
  const Bilinear b = {fb_u8(&n->options, CORNERS, 0) != 0, fb_u8(&n->options, HALF, 0) != 0};
  const bool codes = tfl_has(n, 0) && tfl_in_tensor(n, 0)->dtype == DT_I8;
  ValId x = codes ? tfl_moved(n, 0) : tfl_number(n, 0, "f");
  TRY(x != NO_VAL);
  const Shape *out = &tfl_out_tensor(n, 0)->shape;
  const int32_t rank = shape_of_val(n, x).rank;
  FAIL_IF(rank != 4 || out->rank != 4, n->m->d, &n->loc, "resizes %" PRId32 " dimensions; want 4", rank);
  if (codes) {
    const resize_bilinear_attrs a = {
        .size = {2, {out->d[1], out->d[2]}}, .align_corners = b.corners, .half_pixel_centers = b.half};
    return tfl_emit(n, OP_resize_bilinear, &a, &x, 1);
  }
  for (int32_t axis = 1; axis < 3 && x != NO_VAL; axis++) {
    FAIL_IF(out->d[axis] > EXTENT_MAX, n->m->d, &n->loc, "resizes axis %" PRId32 " to %" PRId64, axis,
            out->d[axis]);
    x = resize_axis(n, x, axis, out->d[axis], b);
  }
  return tfl_end(n, 0, x);
}
