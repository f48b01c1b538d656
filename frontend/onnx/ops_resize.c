/* ONNX Resize and Upsample: one axis after the other.
 *
 *   scales or sizes, axes, policy -> extent and scale of each axis -> for each output place the input's coordinate
 *     nearest         -> a Gather with constant indices (any element type)
 *     linear, cubic   -> a WeightedGather with constant weights (float32)
 *
 * Places that tf_crop_and_resize takes from outside get the weight 0 and the extrapolation value as bias. Source: ONNX
 * Resize-10..-19 (the formulas of its text), Upsample-7, -9.
 */
#include "frontend/onnx/onnx_op.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

typedef enum Coord {
  HALF_PIXEL,
  HALF_PIXEL_SYMMETRIC,
  PYTORCH_HALF_PIXEL,
  ALIGN_CORNERS,
  ASYMMETRIC,
  TF_CROP,
  COORDS
} Coord;
static const char *const coord_names[COORDS] = {"half_pixel",         "half_pixel_symmetric",
                                                "pytorch_half_pixel", "align_corners",
                                                "asymmetric",         "tf_crop_and_resize"};
typedef enum Nearest { PREFER_FLOOR, PREFER_CEIL, NEAREST_FLOOR, NEAREST_CEIL, NEARESTS } Nearest;
static const char *const nearest_names[NEARESTS] = {"round_prefer_floor", "round_prefer_ceil", "floor",
                                                    "ceil"};
typedef enum Mode { MODE_NEAREST, MODE_LINEAR, MODE_CUBIC, MODES } Mode;
static const char *const mode_names[MODES] = {"nearest", "linear", "cubic"};

typedef struct Resize {
  Mode mode;
  Coord coord;
  Nearest nearest;
  bool antialias, exclude;
  float cubic_a, extrapolation;
} Resize;

/* One axis: extents, scale, the output's extent before it is rounded down, the part of the input that tf_crop_and_resize takes. */
typedef struct ResizeAxis {
  int64_t in, out;
  double scale, width, from, to;
} ResizeAxis;

/* Which of the names an attribute has; n: none of them (reported). */
static int one_of(OxCall *c, const char *attr, const char *const *names, int n, int otherwise) {
  for (int i = 0; i < n; i++)
    if (ox_string_is(c, attr, names[i], i == otherwise)) return i;
  ox_fail(c, "attribute \"%s\" has a value that is not known", attr);
  return n;
}

/* -- coordinates and weights -- */

/* The input's coordinate of output place x; false: outside (tf_crop_and_resize). */
static bool coordinate(const Resize *r, const ResizeAxis *a, int64_t x, double *at) {
  const double in = (double)a->in, width = a->width, place = (double)x;
  switch (r->coord) {
  case ALIGN_CORNERS: *at = width == 1 ? 0 : place * (in - 1) / (width - 1); break;
  case ASYMMETRIC: *at = place / a->scale; break;
  case PYTORCH_HALF_PIXEL: *at = width == 1 ? -0.5 : (place + 0.5) / a->scale - 0.5; break;
  case HALF_PIXEL_SYMMETRIC:
    *at = in / 2 * (1 - (double)a->out / width) + (place + 0.5) / a->scale - 0.5;
    break;
  case TF_CROP:
    *at = width == 1 ? (a->to - a->from) * (in - 1) / 2 : place * (a->to - a->from) * (in - 1) / (width - 1);
    *at += a->from * (in - 1);
    return *at >= 0 && *at <= in - 1;
  default: *at = (place + 0.5) / a->scale - 0.5; break;
  }
  return true;
}

/* Keys' cubic at distance x. */
static double cubic(double x, double a) {
  x = fabs(x);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

enum { TAPS_MAX = 1 << 24 }; /* of all output places of an axis */

/* Taps on each side of a coordinate, at most TAPS_MAX. */
static int reach(const Resize *r, const ResizeAxis *a) {
  double scale = r->antialias && a->scale < 1 ? a->scale : 1, radius = r->mode == MODE_CUBIC ? 2 : 1;
  double taps = -floor(-radius / scale);
  return taps < TAPS_MAX ? (int)taps : TAPS_MAX;
}

/* Weights of the taps floor(at) - side + 1 .. floor(at) + side, and their indices, limited to the axis. */
static void taps_at(const Resize *r, const ResizeAxis *a, double at, int side, int32_t *idx, double *w) {
  double first = floor(at), part = at - first, sum = 0, scale = r->antialias && a->scale < 1 ? a->scale : 1;
  for (int i = 0; i < 2 * side; i++) {
    double place = first + (double)(i - side + 1), x = ((double)(i - side + 1) - part) * scale;
    w[i] = r->mode == MODE_CUBIC ? cubic(x, (double)r->cubic_a) : fabs(x) < 1 ? 1 - fabs(x) : 0;
    if (r->exclude && (place < 0 || place >= (double)a->in)) w[i] = 0;
    idx[i] = place < 0 ? 0 : place < (double)a->in ? (int32_t)place : (int32_t)a->in - 1;
    sum += w[i];
  }
  for (int i = 0; (r->exclude || r->antialias) && i < 2 * side && sum != 0; i++) w[i] /= sum;
}

static int32_t nearest_at(const Resize *r, const ResizeAxis *a, double at) {
  double first = floor(at), part = at - first;
  bool up = part > 0 && (r->nearest == NEAREST_CEIL || (r->nearest == PREFER_FLOOR && part > 0.5) ||
                         (r->nearest == PREFER_CEIL && part >= 0.5));
  double place = first + (up ? 1 : 0);
  return place < 0 ? 0 : place < (double)a->in ? (int32_t)place : (int32_t)a->in - 1;
}

/* -- one axis -- */

static ValId nearest_axis(OxCall *c, const Resize *r, const ResizeAxis *a, ValId x, int axis,
                          const char *suffix) {
  int32_t *idx = arena_array(c->m->arena, (size_t)a->out, sizeof *idx);
  double at;
  for (int64_t o = 0; o < a->out; o++) {
    coordinate(r, a, o, &at);
    idx[o] = nearest_at(r, a, at);
  }
  return ox_pick(c, x, axis, idx, a->out, suffix);
}

/* Does every output place take its own element alone? */
static bool is_identity(const ResizeAxis *a, int taps, const int32_t *idx, const float *w) {
  if (a->in != a->out) return false;
  for (int64_t o = 0; o < a->out; o++)
    for (int t = 0; t < taps; t++) {
      float v = w[o * taps + t];
      if (v != 0 && (v != 1 || idx[o * taps + t] != o)) return false;
    }
  return true;
}

static ValId weighted_axis(OxCall *c, const Resize *r, const ResizeAxis *a, ValId x, int axis,
                           const char *suffix) {
  int side = r->mode == MODE_NEAREST ? 1 : reach(r, a), taps = r->mode == MODE_NEAREST ? 1 : 2 * side;
  if ((a->out > 0 ? a->out : 1) * taps > TAPS_MAX) {
    ox_fail(c, "resizes axis %d to %" PRId64 " places of %d taps; supported are %d in all", axis, a->out,
            taps, TAPS_MAX);
    return NO_VAL;
  }
  size_t n = (size_t)(a->out * taps);
  int32_t *idx = arena_array(c->m->arena, n, sizeof *idx);
  float *w = arena_array(c->m->arena, n, sizeof *w),
        *bias = arena_array(c->m->arena, (size_t)a->out, sizeof *bias);
  double *fine = arena_array(c->m->arena, (size_t)taps + 1, sizeof *fine), at;
  bool outside = false;
  for (int64_t o = 0; o < a->out; o++) {
    if (!coordinate(r, a, o, &at)) {
      outside = true;
      bias[o] = r->extrapolation;
      continue;
    }
    fine[0] = 1;
    if (r->mode == MODE_NEAREST)
      idx[o] = nearest_at(r, a, at);
    else
      taps_at(r, a, at, side, &idx[o * taps], fine);
    for (int t = 0; t < taps; t++) w[o * taps + t] = (float)fine[t];
  }
  if (!outside && suffix && is_identity(a, taps, idx, w)) return x;
  Shape table = {2, {a->out, taps}};
  ValId in[4] = {x, graph_const_data(c->g, NULL, DT_I32, &table, idx),
                 graph_const_data(c->g, NULL, DT_F32, &table, w),
                 outside ? graph_const_data(c->g, NULL, DT_F32, &(Shape){1, {a->out}}, bias) : NO_VAL};
  return ox_node(c, OP_weighted_gather, &(weighted_gather_attrs){.axis = axis}, in, outside ? 4 : 3, suffix);
}

/* -- all axes -- */

static bool resize(OxCall *c, const Resize *r, const ResizeAxis *axes, ValId x) {
  DType t = ox_type(c, x);
  Shape s = ox_shape(c, x);
  bool crop = r->coord == TF_CROP, weighted = r->mode != MODE_NEAREST || crop;
  bool real = ox_work_type(t) == DT_F32 || ox_work_type(t) == DT_I32;
  OX_FAIL_IF(weighted && (!real || t == DT_I32), c, "interpolates elements of %s", dtype_name(t));
  if (weighted) x = ox_cast(c, x, DT_F32, "f32");
  ValId y = x;
  for (int i = 0; i < s.rank && y != NO_VAL; i++) {
    const ResizeAxis *a = &axes[i];
    if (a->in == a->out && a->scale == 1 && !crop) continue;
    OX_FAIL_IF(a->in < 1 || a->out < 0 || a->out > 1 << 24, c, "resizes axis %d of %" PRId64 " to %" PRId64,
               i, a->in, a->out);
    y = weighted ? weighted_axis(c, r, a, y, i, "resized") : nearest_axis(c, r, a, y, i, "resized");
  }
  return ox_done(c, ox_cast(c, y, t, NULL));
}

/* Input i as a list of floats; n 0 where it is left out or empty. */
static bool const_floats(OxCall *c, uint32_t i, double *v, int *n) {
  *n = 0;
  if (!ox_has(c, i)) return true;
  const Value *val = graph_val(c->g, c->in[i]);
  const int64_t count = shape_count(&val->shape);
  if (count == 0) return true;
  OX_FAIL_IF(!val->blob || count > 2 * MAX_RANK, c,
             "input %u is computed, or longer than %d; want a short constant", i, 2 * MAX_RANK);
  ValId f = ox_folded(c, ox_cast(c, c->in[i], DT_F64, "f64"));
  TRY(f != NO_VAL && val_is_const(c->g, f));
  const double *p = val_data(c->g, f);
  for (*n = 0; *n < count; ++*n) v[*n] = p[*n];
  return true;
}

/* Extents from sizes; scales follow from them, or are one for all where the aspect ratio is kept. */
static bool by_sizes(OxCall *c, const Ints *sizes, const Ints *axes, ResizeAxis *a) {
  static const char *const policies[] = {"stretch", "not_larger", "not_smaller"};
  int policy = one_of(c, "keep_aspect_ratio_policy", policies, 3, 0);
  double best = 0;
  bool any = false;
  TRY(policy < 3);
  for (int i = 0; i < axes->n; i++) {
    ResizeAxis *p = &a[axes->v[i]];
    if (sizes->v[i] == OX_BATCH && p->in == DIM_BATCH) continue;
    OX_FAIL_IF(p->in < 1 || sizes->v[i] < 0 || sizes->v[i] > INT32_MAX, c,
               "resizes axis %" PRId64 " to %" PRId64, axes->v[i], sizes->v[i]);
    p->out = sizes->v[i];
    p->scale = (double)p->out / (double)p->in;
    p->width = (double)p->out;
    bool better = policy == 1 ? p->scale < best : p->scale > best;
    if (!any || better) best = p->scale;
    any = true;
  }
  for (int i = 0; policy != 0 && i < axes->n; i++) {
    ResizeAxis *p = &a[axes->v[i]];
    if (p->in == DIM_BATCH) continue;
    p->scale = best;
    p->width = best * (double)p->in;
    p->out = (int64_t)(p->width + 0.5);
  }
  return true;
}

/* The extent is computed in float32, as ONNX's own shape inference does (onnx/defs/tensor/utils.cc): 5 * 2.6f gives 13. */
static bool by_scales(OxCall *c, const double *scales, const Ints *axes, ResizeAxis *a) {
  for (int i = 0; i < axes->n; i++) {
    ResizeAxis *p = &a[axes->v[i]];
    OX_FAIL_IF(!(scales[i] > 0 && scales[i] < 1e6), c, "has scale %g", scales[i]);
    if (scales[i] == 1) continue;
    OX_FAIL_IF(p->in == DIM_BATCH, c, "resizes the symbolic batch (axis 0)");
    p->scale = scales[i];
    p->width = (double)((float)p->in * (float)scales[i]);
    p->out = (int64_t)floor(p->width);
  }
  return true;
}

static bool read_axes(OxCall *c, int rank, Ints *axes) {
  if (!ox_ints(c, "axes", axes)) {
    axes->n = rank;
    for (int i = 0; i < rank; i++) axes->v[i] = i;
  }
  for (int i = 0; i < axes->n; i++) {
    int32_t axis;
    TRY(ox_axis(c, axes->v[i], rank, &axis));
    axes->v[i] = axis;
  }
  return !c->failed;
}

static bool read_modes(OxCall *c, Resize *r) {
  r->mode = (Mode)one_of(c, "mode", mode_names, MODES, MODE_NEAREST);
  r->coord = (Coord)one_of(c, "coordinate_transformation_mode", coord_names, COORDS, HALF_PIXEL);
  r->nearest = (Nearest)one_of(c, "nearest_mode", nearest_names, NEARESTS, PREFER_FLOOR);
  r->antialias = ox_int(c, "antialias", 0) != 0;
  r->exclude = ox_int(c, "exclude_outside", 0) != 0;
  r->cubic_a = ox_float(c, "cubic_coeff_a", -0.75f);
  r->extrapolation = ox_float(c, "extrapolation_value", 0);
  return !c->failed && r->mode < MODES && r->coord < COORDS && r->nearest < NEARESTS;
}

/* Every axis as it is. */
static void keep_axes(const Shape *s, ResizeAxis *a) {
  for (int i = 0; i < s->rank; i++) a[i] = (ResizeAxis){s->d[i], s->d[i], 1, (double)s->d[i], 0, 1};
}

/* The form of opset 10 and of Upsample: scales alone, place / scale, rounded down. */
static bool resize_simple(OxCall *c, const double *scales, int n) {
  ValId x = ox_in(c, 0);
  Resize r = {.coord = ASYMMETRIC, .nearest = NEAREST_FLOOR};
  ResizeAxis a[MAX_RANK];
  Ints axes;
  TRY(x != NO_VAL);
  Shape s = ox_shape(c, x);
  OX_FAIL_IF(n != s.rank, c, "has %d scales for %" PRId32 " dimensions", n, s.rank);
  r.mode =
      ox_string_is(c, "mode", "bilinear", false) ? MODE_LINEAR : (Mode)one_of(c, "mode", mode_names, 2, 0);
  keep_axes(&s, a);
  TRY(r.mode < MODE_CUBIC && !c->failed && read_axes(c, s.rank, &axes) && by_scales(c, scales, &axes, a));
  return resize(c, &r, a, x);
}

bool ox_import_upsample(OxCall *c) {
  double scales[2 * MAX_RANK];
  int n = 0;
  if (c->m->opset >= 9) {
    TRY(const_floats(c, 1, scales, &n));
  } else {
    float list[2 * MAX_RANK];
    n = ox_floats(c, "scales", list, 2 * MAX_RANK);
    for (int i = 0; i < n; i++) scales[i] = (double)list[i];
  }
  return resize_simple(c, scales, n);
}

bool ox_import_resize(OxCall *c) {
  double scales[2 * MAX_RANK], roi[2 * MAX_RANK];
  int n, n_roi;
  if (c->m->opset < 11) return const_floats(c, 1, scales, &n) && resize_simple(c, scales, n);
  ValId x = ox_in(c, 0);
  Resize r;
  Ints axes, sizes = {0};
  ResizeAxis a[MAX_RANK];
  TRY(x != NO_VAL && read_modes(c, &r));
  Shape s = ox_shape(c, x);
  TRY(read_axes(c, s.rank, &axes) && const_floats(c, 2, scales, &n));
  if (r.coord == TF_CROP) TRY(const_floats(c, 1, roi, &n_roi));
  if (n == 0) TRY(ox_const_ints(c, 3, true, &sizes));
  OX_FAIL_IF((n ? n : sizes.n) != axes.n || (r.coord == TF_CROP && n_roi != 2 * axes.n), c,
             "has %d scales, sizes or limits that do not fit %" PRId32 " axes", n ? n : sizes.n, axes.n);
  keep_axes(&s, a);
  for (int i = 0; r.coord == TF_CROP && i < axes.n; i++) {
    a[axes.v[i]].from = roi[i];
    a[axes.v[i]].to = roi[axes.n + i];
  }
  TRY(n ? by_scales(c, scales, &axes, a) : by_sizes(c, &sizes, &axes, a));
  return resize(c, &r, a, x);
}
