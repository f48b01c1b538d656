/* ONNX operators that pick, place or rank elements by indices: Gather to TopK.
 *
 * What indices name may be computed. OneHot is zeros' place of `off` values into which `on` is scattered: an index past
 * the depth changes nothing. Joining elements (reduction) and TopK are done in the types that kernels compute in.
 * Source: ONNX Gather-13, GatherElements-13, GatherND-13, ScatterElements-18, Scatter-9, ScatterND-18, OneHot-11,
 * Compress-11, NonZero-13, ReverseSequence-10, TopK-1..24.
 */
#include "frontend/onnx/onnx_op.h"

#include <inttypes.h>
#include <string.h>

#include "ir/base/mem.h"

/* Inputs 0 .. n-1, all of them there. */
static bool inputs(OxCall *c, uint32_t n, ValId *in) {
  for (uint32_t i = 0; i < n; i++) {
    in[i] = ox_in(c, i);
    TRY(in[i] != NO_VAL);
  }
  return true;
}

bool ox_import_gather(OxCall *c) {
  ValId in[2];
  gather_attrs a = {.axis = 0};
  TRY(inputs(c, 2, in) && ox_axis(c, ox_int(c, "axis", 0), ox_shape(c, in[0]).rank, &a.axis));
  return ox_done(c, ox_node(c, OP_gather, &a, in, 2, NULL));
}

bool ox_import_gather_elements(OxCall *c) {
  ValId in[2];
  gather_elements_attrs a = {.axis = 0};
  TRY(inputs(c, 2, in) && ox_axis(c, ox_int(c, "axis", 0), ox_shape(c, in[0]).rank, &a.axis));
  return ox_done(c, ox_node(c, OP_gather_elements, &a, in, 2, NULL));
}

bool ox_import_gather_nd(OxCall *c) {
  ValId in[2];
  int64_t dims = ox_int(c, "batch_dims", 0);
  OX_FAIL_IF(dims < 0 || dims > MAX_RANK, c, "has %" PRId64 " batch_dims", dims);
  TRY(inputs(c, 2, in));
  return ox_done(c, ox_node(c, OP_gather_nd, &(gather_nd_attrs){.batch_dims = (int32_t)dims}, in, 2, NULL));
}

/* -- scattering -- */

static bool read_reduction(OxCall *c, int32_t *how) {
  static const char *const names[] = {"none", "add", "mul", "max", "min"};
  for (*how = 0; *how < 5; ++*how)
    if (ox_string_is(c, "reduction", names[*how], *how == 0)) return !c->failed;
  return ox_fail(c, "has a reduction other than none, add, mul, max and min");
}

/* The node over inputs in a type that elements can be joined in, and back. */
static bool scatter(OxCall *c, OpKind op, const void *attrs, int32_t how, ValId in[3]) {
  DType t = ox_type(c, in[0]), work = how == 0 ? t : ox_work_type(t);
  if (how > 0 && t == DT_BOOL) work = DT_I32;           /* max: or, min: and */
  if (how > 0 && t == DT_U64 && how < 3) work = DT_I64; /* sums and products wrap alike */
  in[0] = ox_cast(c, in[0], work, "data");
  in[2] = ox_cast(c, in[2], work, "updates");
  ValId y = ox_node(c, op, attrs, in, 3, work == t ? NULL : "scattered");
  return ox_done(c, ox_cast(c, y, t, NULL));
}

bool ox_import_scatter_elements(OxCall *c) {
  ValId in[3];
  scatter_elements_attrs a = {.axis = 0};
  TRY(inputs(c, 3, in) && read_reduction(c, &a.reduce));
  TRY(ox_axis(c, ox_int(c, "axis", 0), ox_shape(c, in[0]).rank, &a.axis));
  return scatter(c, OP_scatter_elements, &a, a.reduce, in);
}

bool ox_import_scatter_nd(OxCall *c) {
  ValId in[3];
  scatter_nd_attrs a = {.reduce = 0};
  TRY(inputs(c, 3, in) && read_reduction(c, &a.reduce));
  return scatter(c, OP_scatter_nd, &a, a.reduce, in);
}

/* A value of one element along all of a shape. */
static ValId spread(OxCall *c, ValId v, const Shape *to, const char *suffix) {
  expand_attrs a = {.shape = {.n = to->rank}};
  Shape scalar = {.rank = 0};
  for (int i = 0; i < to->rank; i++) a.shape.v[i] = to->d[i];
  v = ox_reshape(c, v, &scalar, suffix);
  return ox_node(c, OP_expand, &a, &v, 1, suffix);
}

bool ox_import_one_hot(OxCall *c) {
  ValId in[3];
  double depth;
  int32_t axis;
  TRY(inputs(c, 3, in) && ox_const_number(c, 1, &depth));
  Shape s = ox_shape(c, in[0]), one = {.rank = s.rank + 1}, vs = ox_shape(c, in[2]);
  OX_FAIL_IF(!(depth >= 0 && depth <= INT32_MAX) || s.rank >= MAX_RANK, c, "has depth %g", depth);
  OX_FAIL_IF(vs.rank != 1 || vs.d[0] != 2, c, "has values that are not [off, on]");
  TRY(ox_axis(c, ox_int(c, "axis", -1), s.rank + 1, &axis));
  for (int i = 0, k = 0; i < one.rank; i++) one.d[i] = i == axis ? 1 : s.d[k++];
  Shape all = one;
  all.d[axis] = (int64_t)depth;
  ValId idx = ox_type(c, in[0]) == DT_I32 ? in[0] : ox_cast(c, in[0], DT_I64, "index");
  ValId part[3] = {ox_pick(c, in[2], 0, (const int32_t[]){0}, 1, "off"), ox_reshape(c, idx, &one, "hot"),
                   ox_pick(c, in[2], 0, (const int32_t[]){1}, 1, "on")};
  TRY(part[0] != NO_VAL && part[1] != NO_VAL && part[2] != NO_VAL);
  part[0] = spread(c, part[0], &all, "offs");
  part[2] = spread(c, part[2], &one, "ons");
  return ox_done(c, ox_node(c, OP_scatter_elements, &(scatter_elements_attrs){.axis = axis}, part, 3, NULL));
}

/* -- what constants choose -- */

/* Input i is a constant, or a report. */
static const Value *want_const(OxCall *c, uint32_t i, const char *why) {
  ValId v = ox_in(c, i);
  if (v == NO_VAL) return NULL;
  if (val_is_const(c->g, v)) return graph_val(c->g, v);
  ox_fail(c, "input %u (\"%s\") is computed when the model runs, and %s depends on it", i,
          c->m->values[c->node->in[i]].name, why);
  diag_hint(c->m->d, "keep it out of the model, or make the input a constant");
  return NULL;
}

bool ox_import_compress(OxCall *c) {
  ValId x = ox_in(c, 0);
  const Value *given = want_const(c, 1, "the output's shape");
  TRY(x != NO_VAL && given);
  const Value cond = *given; /* the graph's values move when it grows */
  Shape s = ox_shape(c, x);
  int32_t axis = 0;
  if (ox_attr(c, "axis", OX_ATTR_INT)) {
    TRY(ox_axis(c, ox_int(c, "axis", 0), s.rank, &axis));
  } else {
    OX_FAIL_IF(!shape_is_static(&s), c, "flattens a tensor with a symbolic batch");
    s = (Shape){1, {shape_count(&s)}};
    x = ox_reshape(c, x, &s, "flat");
  }
  const uint8_t *p = val_data(c->g, c->in[1]);
  int64_t n = shape_count(&cond.shape), kept = 0;
  OX_FAIL_IF(cond.dtype != DT_BOOL || s.d[axis] == DIM_BATCH, c,
             "has a condition that is not of booleans, or on the batch");
  int32_t *idx = arena_array(c->m->arena, (size_t)n, sizeof *idx);
  for (int64_t i = 0; i < n && i < s.d[axis]; i++)
    if (p[i]) idx[kept++] = (int32_t)i;
  return ox_done(c, ox_pick(c, x, axis, idx, kept, NULL));
}

static bool is_zero(const char *p, size_t n, DType t) {
  bool is_float = t == DT_F32 || t == DT_F64 || t == DT_F16 || t == DT_BF16;
  for (size_t i = 0; i < n; i++) {
    bool sign = is_float && i + 1 == n; /* minus zero is zero */
    if (sign ? p[i] & 0x7f : p[i]) return false;
  }
  return true;
}

/* Places of what is not 0, [rank, count]. */
bool ox_import_nonzero(OxCall *c) {
  const Value *v = want_const(c, 0, "the output's shape");
  TRY(v);
  const Shape s = v->shape;
  const char *p = val_data(c->g, c->in[0]);
  size_t size = dtype_size(v->dtype);
  int64_t n = shape_count(&s), count = 0;
  for (int64_t i = 0; i < n; i++) count += !is_zero(p + (size_t)i * size, size, v->dtype);
  int64_t *at = mem_array((size_t)(count * s.rank) + 1, sizeof *at), k = 0;
  for (int64_t i = 0; i < n; i++) {
    if (is_zero(p + (size_t)i * size, size, v->dtype)) continue;
    for (int axis = 0; axis < s.rank; axis++)
      at[axis * count + k] = i / shape_count_range(&s, axis + 1, s.rank) % s.d[axis];
    k++;
  }
  ValId y = graph_const_data(c->g, ox_out_name(c, 0), DT_I64, &(Shape){2, {s.rank, count}}, at);
  mem_free(at);
  return ox_done(c, y);
}

/* The first lengths[b] steps of each item in reverse order: a Gather over batch and time as one axis. */
bool ox_import_reverse_sequence(OxCall *c) {
  ValId x = ox_in(c, 0);
  const Value *lens = want_const(c, 1, "what moves");
  TRY(x != NO_VAL && lens);
  Shape s = ox_shape(c, x);
  int64_t batch = ox_int(c, "batch_axis", 1), time = ox_int(c, "time_axis", 0);
  OX_FAIL_IF(s.rank < 2 || !shape_is_static(&s) || (batch != 0 && batch != 1) || time != 1 - batch, c,
             "has batch axis %" PRId64 " and time axis %" PRId64 "; want 0 and 1, and no symbolic batch",
             batch, time);
  OX_FAIL_IF(lens->dtype != DT_I64 || shape_count(&lens->shape) != s.d[batch], c,
             "has other than a length for each item");
  const int64_t *length = val_data(c->g, c->in[1]);
  int64_t n = s.d[0] * s.d[1];
  OX_FAIL_IF(n > 1 << 24, c, "reverses %" PRId64 " steps; supported are at most %d", n, 1 << 24);
  int32_t *idx = arena_array(c->m->arena, (size_t)n, sizeof *idx);
  for (int64_t i = 0; i < n; i++) {
    int64_t at[2] = {i / s.d[1], i % s.d[1]}, b = at[batch], t = at[time];
    OX_FAIL_IF(length[b] < 0 || length[b] > s.d[time], c, "has length %" PRId64 " of %" PRId64, length[b],
               s.d[time]);
    at[time] = t < length[b] ? length[b] - 1 - t : t;
    idx[i] = (int32_t)(at[0] * s.d[1] + at[1]);
  }
  Shape flat = {2, {n, shape_count_range(&s, 2, s.rank)}};
  x = ox_pick(c, ox_reshape(c, x, &flat, "steps"), 0, idx, n, "reversed");
  return ox_done(c, ox_reshape(c, x, &s, NULL));
}

/* -- ranking -- */

/* uint64 in int64's order: less 2^63, modulo 2^64. */
static ValId signed_order(OxCall *c, ValId x) {
  const uint64_t half = (uint64_t)1 << 63;
  ValId in[2] = {x, graph_const_data(c->g, NULL, DT_U64, &(Shape){.rank = 0}, &half)};
  return ox_cast(c, ox_node(c, OP_sub, NULL, in, 2, "shifted"), DT_I64, "signed");
}

bool ox_import_top_k(OxCall *c) {
  ValId x = ox_in(c, 0);
  TRY(x != NO_VAL);
  top_k_attrs a = {.largest = ox_int(c, "largest", 1) != 0};
  Shape s = ox_shape(c, x);
  double k = (double)ox_int(c, "k", 0);
  if (c->m->opset >= 10) TRY(ox_const_number(c, 1, &k));
  TRY(ox_axis(c, ox_int(c, "axis", -1), s.rank, &a.axis));
  OX_FAIL_IF(!(k >= 0 && k <= (double)s.d[a.axis]) || s.d[a.axis] == DIM_BATCH, c,
             "takes %g of %" PRId64 " elements", k, s.d[a.axis]);
  a.k = (int32_t)k;
  DType t = ox_type(c, x), work = ox_work_type(t);
  OX_FAIL_IF(work != DT_F32 && work != DT_I32 && work != DT_I64 && work != DT_U64, c, "ranks elements of %s",
             dtype_name(t));
  ValId wide = work == DT_U64 ? signed_order(c, x) : ox_cast(c, x, work, "wide");
  ValId idx = ox_node(c, OP_top_k, &a, &wide, 1, "Indices");
  if (c->node->n_out > 1) c->out[1] = idx;
  ValId in[2] = {x, idx};
  return ox_done(c, ox_node(c, OP_gather_elements, &(gather_elements_attrs){.axis = a.axis}, in, 2, NULL));
}
