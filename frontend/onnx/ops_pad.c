/* ONNX Pad and CenterCropPad.
 *
 *   constant              Pad             negative paddings cut: a Slice before
 *   reflect, edge, wrap   a Gather with constant indices along each padded axis
 *
 * Source: ONNX Pad-2,-11..-25 (axes: 18), CenterCropPad-18.
 */
#include "frontend/onnx/onnx_op.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* Begin of each axis, then end of each axis, for all axes of x. From opset 18 an input may name the axes. */
static bool pad_list(OxCall *c, int32_t rank, Ints *all) {
  Ints pads = {0}, axes = {0};
  if (c->m->opset < 11)
    OX_FAIL_IF(!ox_ints(c, "pads", &pads), c, "has no list of paddings");
  else
    TRY(ox_const_ints(c, 1, false, &pads));
  if (c->m->opset >= 18 && ox_has(c, 3)) {
    TRY(ox_const_ints(c, 3, false, &axes));
  } else {
    axes.n = rank;
    for (int32_t i = 0; i < rank; i++) axes.v[i] = i;
  }
  OX_FAIL_IF(pads.n != 2 * axes.n, c, "has %" PRId32 " paddings for %" PRId32 " axes", pads.n, axes.n);
  bool set[MAX_RANK * 2] = {false};
  *all = (Ints){.n = 2 * rank};
  for (int32_t i = 0; i < pads.n; i++) {
    int32_t axis;
    TRY(ox_axis(c, axes.v[i % axes.n], rank, &axis));
    OX_FAIL_IF(i < axes.n && set[axis], c, "names axis %" PRId32 " twice", axis);
    set[axis] = true;
    OX_FAIL_IF(pads.v[i] < -INT32_MAX || pads.v[i] > INT32_MAX, c, "has padding %" PRId64, pads.v[i]);
    all->v[(i < axes.n ? 0 : rank) + axis] = pads.v[i];
  }
  return true;
}

static bool pad_value(OxCall *c, float *value) {
  double v = 0;
  if (c->m->opset < 11)
    v = (double)ox_float(c, "value", 0);
  else if (ox_has(c, 2))
    TRY(ox_const_number(c, 2, &v));
  *value = (float)v;
  OX_FAIL_IF(ox_type(c, c->in[0]) != DT_F32 && !isnan(v) && (double)*value != v, c,
             "pads with %.17g, which a float32 does not hold", v);
  return true;
}

/* Negative paddings cut: a Slice first, then what is left to add. */
static ValId cut(OxCall *c, ValId x, Ints *pads, bool last) {
  Shape s = ox_shape(c, x);
  slice_attrs a = {.starts = {.n = s.rank}, .counts = {.n = s.rank}, .steps = {.n = s.rank}};
  bool any = false;
  for (int32_t i = 0; i < s.rank; i++) {
    int64_t *begin = &pads->v[i], *end = &pads->v[s.rank + i];
    int64_t front = *begin < 0 ? -*begin : 0, back = *end < 0 ? -*end : 0;
    a.counts.v[i] = s.d[i];
    a.steps.v[i] = 1;
    if (front + back == 0) continue;
    if (s.d[i] == DIM_BATCH || front + back > s.d[i]) {
      ox_fail(c, "cuts %" PRId64 " elements of axis %" PRId32 ", which has %s", front + back, i,
              s.d[i] == DIM_BATCH ? "the symbolic batch" : "less");
      return NO_VAL;
    }
    any = true;
    a.starts.v[i] = front == s.d[i] ? 0 : front;
    a.counts.v[i] = s.d[i] - front - back;
    if (*begin < 0) *begin = 0;
    if (*end < 0) *end = 0;
  }
  return any ? ox_node(c, OP_slice, &a, &x, 1, last ? NULL : "cut") : x;
}

/* A constant around x. Elements that the IR cannot fill with a value go through float32. */
static bool pad_constant(OxCall *c, ValId x, const Ints *pads, float value) {
  DType t = ox_type(c, x);
  pad_attrs a = {.pads = *pads, .value = value};
  bool small = t != DT_F64 && t != DT_U64 && t != DT_U32 && ox_work_type(t) != DT_I32 &&
               ox_work_type(t) != DT_I64 && t != DT_BOOL && t != DT_F32;
  if (!small || value == 0) return ox_done(c, ox_node(c, OP_pad, &a, &x, 1, NULL));
  x = ox_cast(c, x, DT_F32, "f32");
  return ox_done(c, ox_cast(c, ox_node(c, OP_pad, &a, &x, 1, "padded"), t, NULL));
}

/* -- by elements of x -- */

typedef enum PadMode { PAD_CONSTANT, PAD_REFLECT, PAD_EDGE, PAD_WRAP, PAD_MODES } PadMode;
static const char *const modes[PAD_MODES] = {"constant", "reflect", "edge", "wrap"};

/* Which element stands at place p of an axis of n, p being outside too. */
static int64_t padded_from(PadMode mode, int64_t p, int64_t n) {
  if (mode == PAD_EDGE) return p < 0 ? 0 : p < n ? p : n - 1;
  int64_t period = mode == PAD_WRAP ? n : n > 1 ? 2 * (n - 1) : 1;
  p = (p % period + period) % period;
  return p < n ? p : period - p;
}

/* A list of n places along an axis, which takes time beside its bytes: counted as more of them. */
static bool may_list(OxCall *c, int axis, int64_t n) {
  enum { COST = 32 };
  OxModel *m = c->m;
  OX_FAIL_IF(n > (import_made_most(blob_size(m->bytes)) - m->made) / COST, c,
             "pads axis %d to %" PRId64 " elements, more than a file of %zu bytes may ask for", axis, n,
             blob_size(m->bytes));
  m->made += n * COST;
  return true;
}

static bool pad_picked(OxCall *c, ValId x, const Ints *pads, PadMode mode) {
  Shape s = ox_shape(c, x);
  int last = s.rank - 1;
  while (last >= 0 && pads->v[last] == 0 && pads->v[s.rank + last] == 0) last--;
  for (int axis = 0; axis <= last; axis++) {
    int64_t before = pads->v[axis], n = before + s.d[axis] + pads->v[s.rank + axis];
    if (before == 0 && pads->v[s.rank + axis] == 0) continue;
    OX_FAIL_IF(s.d[axis] == DIM_BATCH, c, "pads the symbolic batch (axis 0)");
    OX_FAIL_IF(s.d[axis] == 0, c, "pads axis %d, which is empty, by its elements", axis);
    TRY(may_list(c, axis, n));
    int32_t *idx = arena_array(c->m->arena, (size_t)n, sizeof *idx);
    for (int64_t i = 0; i < n; i++) idx[i] = (int32_t)padded_from(mode, i - before, s.d[axis]);
    x = ox_pick(c, x, axis, idx, n, axis == last ? NULL : "padded");
    TRY(x != NO_VAL);
  }
  return ox_done(c, x);
}

bool ox_import_pad(OxCall *c) {
  ValId x = ox_in(c, 0);
  TRY(x != NO_VAL);
  int mode = PAD_CONSTANT;
  while (mode < PAD_MODES && !ox_string_is(c, "mode", modes[mode], mode == PAD_CONSTANT)) mode++;
  OX_FAIL_IF(mode == PAD_MODES, c, "has a mode other than constant, reflect, edge and wrap");
  Ints pads;
  float value;
  TRY(pad_list(c, ox_shape(c, x).rank, &pads) && pad_value(c, &value));
  bool adds = false;
  for (int32_t i = 0; i < pads.n; i++) adds = adds || pads.v[i] > 0;
  x = cut(c, x, &pads, !adds);
  if (!adds || x == NO_VAL) return ox_done(c, x);
  return mode == PAD_CONSTANT ? pad_constant(c, x, &pads, value) : pad_picked(c, x, &pads, (PadMode)mode);
}

/* The middle of the larger, zeros around the smaller; an odd one is missing or added at the end. */
bool ox_import_center_crop_pad(OxCall *c) {
  ValId x = ox_in(c, 0);
  Ints to, axes, pads;
  TRY(x != NO_VAL && ox_const_ints(c, 1, false, &to));
  Shape s = ox_shape(c, x);
  if (!ox_ints(c, "axes", &axes)) {
    axes.n = s.rank;
    for (int i = 0; i < s.rank; i++) axes.v[i] = i;
  }
  OX_FAIL_IF(c->failed || to.n != axes.n, c, "has %" PRId32 " extents for %" PRId32 " axes", to.n, axes.n);
  pads = (Ints){.n = 2 * s.rank};
  bool adds = false;
  for (int32_t i = 0; i < axes.n; i++) {
    int32_t axis;
    TRY(ox_axis(c, axes.v[i], s.rank, &axis));
    OX_FAIL_IF(s.d[axis] == DIM_BATCH || to.v[i] < 0 || to.v[i] > INT32_MAX, c,
               "brings axis %" PRId32 " to %" PRId64, axis, to.v[i]);
    int64_t more = to.v[i] - s.d[axis], size = more < 0 ? -more : more;
    pads.v[axis] = more < 0 ? -(size / 2) : size / 2;
    pads.v[s.rank + axis] = more < 0 ? -(size - size / 2) : size - size / 2;
    adds = adds || more > 0;
  }
  x = cut(c, x, &pads, !adds);
  if (!adds || x == NO_VAL) return ox_done(c, x);
  return pad_constant(c, x, &pads, 0);
}
