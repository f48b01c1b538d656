/* ONNX operators that move elements or rename axes: Reshape to Split. Pad: ops_pad.c; by indices: ops_index.c.
 *
 * A symbolic batch stays in front: Reshape finds it by 0, by the sentinel that Shape gave, or by a leading -1.
 * Source: ONNX operator schemas, opsets 6 to 22 (lists that became inputs: Squeeze 13, Slice 10, Split 13).
 */
#include "frontend/onnx/onnx_op.h"

#include <inttypes.h>
#include <string.h>

/* -- shapes -- */

static bool fail_shape(OxCall *c, const char *why) {
  char text[80];
  Shape s = ox_shape(c, c->in[0]);
  shape_format(&s, text, sizeof text);
  ox_fail(c, "reshapes %s to a shape that %s", text, why);
  if (!shape_is_static(&s)) diag_hint(c->m->d, "export the model with a fixed batch of 1");
  return false;
}

/* The list with 0 and the sentinel resolved; entries are extents, DIM_BATCH, or -1 (*hole, else -1). */
static bool resolve_shape(OxCall *c, const Ints *list, const Shape *s, Shape *to, int *hole) {
  bool zero_copies = ox_int(c, "allowzero", 0) == 0;
  OX_FAIL_IF(list->n > MAX_RANK, c, "wants %" PRId32 " dimensions; supported are at most %d", list->n,
             MAX_RANK);
  *to = (Shape){.rank = list->n};
  *hole = -1;
  for (int32_t i = 0; i < list->n; i++) {
    int64_t v = list->v[i];
    if (v == OX_BATCH) {
      if (i != 0 || shape_is_static(s)) return fail_shape(c, "has the symbolic batch in another place");
      v = DIM_BATCH;
    } else if (v == 0 && zero_copies) {
      if (i >= s->rank) return fail_shape(c, "copies a dimension that the input does not have");
      v = s->d[i];
    } else if (v == -1) {
      if (*hole >= 0) return fail_shape(c, "has two entries of -1");
      *hole = i;
    } else if (v < 0 || v > INT32_MAX) {
      return fail_shape(c, "has an entry out of range");
    }
    to->d[i] = v;
  }
  return true;
}

/* With a symbolic batch the hole is what is left of one item; a hole in front is the batch itself. */
static bool fill_hole(OxCall *c, const Shape *s, Shape *to, int hole) {
  int64_t known = 1, item = shape_count_range(s, 1, s->rank);
  if (hole <= 0) return true;
  for (int i = 1; i < to->rank; i++) known *= i == hole || known > INT32_MAX ? 1 : to->d[i];
  if (to->d[0] != DIM_BATCH) return fail_shape(c, "does not keep the symbolic batch in front");
  if (known == 0 || item % known != 0) return fail_shape(c, "does not fit the elements of one item");
  to->d[hole] = item / known;
  return true;
}

bool ox_import_reshape(OxCall *c) {
  ValId x = ox_in(c, 0);
  Ints list;
  Shape to = {0};
  int hole = -1;
  TRY(x != NO_VAL && ox_const_ints(c, 1, true, &list));
  Shape s = ox_shape(c, x);
  TRY(resolve_shape(c, &list, &s, &to, &hole));
  if (!shape_is_static(&s)) TRY(fill_hole(c, &s, &to, hole));
  reshape_attrs a = {.shape = {.n = to.rank}};
  for (int32_t i = 0; i < to.rank; i++) a.shape.v[i] = to.d[i];
  return ox_done(c, ox_node(c, OP_reshape, &a, &x, 1, NULL));
}

bool ox_import_flatten(OxCall *c) {
  ValId x = ox_in(c, 0);
  TRY(x != NO_VAL);
  Shape s = ox_shape(c, x);
  int64_t axis = ox_int(c, "axis", 1);
  OX_FAIL_IF(axis < -s.rank || axis > s.rank, c, "axis %" PRId64 " of a tensor with %" PRId32 " dimensions",
             axis, s.rank);
  int at = (int)(axis < 0 ? axis + s.rank : axis);
  Shape to = {2, {shape_count_range(&s, 0, at), shape_count_range(&s, at, s.rank)}};
  if (!shape_is_static(&s)) {
    if (at == 0 || to.d[0] != 1) return fail_shape(c, "does not keep the symbolic batch in front");
    to.d[0] = DIM_BATCH;
  }
  reshape_attrs a = {.shape = {2, {to.d[0], to.d[1]}}};
  return ox_done(c, ox_node(c, OP_reshape, &a, &x, 1, NULL));
}

/* Axes of Squeeze and Unsqueeze: an attribute before opset 13, input 1 from then on. */
static bool axes_list(OxCall *c, Ints *axes, bool *given) {
  *given = false;
  if (c->m->opset < 13) {
    *given = ox_ints(c, "axes", axes);
    return !c->failed;
  }
  if (!ox_has(c, 1)) return true;
  *given = true;
  return ox_const_ints(c, 1, false, axes);
}

/* The listed axes of a tensor of that rank as flags, each at most once. */
static bool axes_set(OxCall *c, const Ints *axes, int32_t rank, bool set[MAX_RANK * 2]) {
  memset(set, 0, MAX_RANK * 2 * sizeof *set);
  for (int32_t i = 0; i < axes->n; i++) {
    int32_t axis;
    TRY(ox_axis(c, axes->v[i], rank, &axis));
    OX_FAIL_IF(set[axis], c, "names axis %" PRId32 " twice", axis);
    set[axis] = true;
  }
  return true;
}

bool ox_import_squeeze(OxCall *c) {
  ValId x = ox_in(c, 0);
  Ints axes = {0};
  bool given, set[MAX_RANK * 2];
  TRY(x != NO_VAL && axes_list(c, &axes, &given));
  Shape s = ox_shape(c, x);
  reshape_attrs a = {.shape = {0}};
  TRY(axes_set(c, &axes, s.rank, set));
  for (int32_t i = 0; i < s.rank; i++) {
    bool drop = given ? set[i] : s.d[i] == 1;
    OX_FAIL_IF(drop && s.d[i] != 1, c, "removes axis %" PRId32 ", which has %s", i,
               s.d[i] == DIM_BATCH ? "the symbolic batch" : "more than one element");
    if (!drop) a.shape.v[a.shape.n++] = s.d[i];
  }
  return ox_done(c, ox_node(c, OP_reshape, &a, &x, 1, NULL));
}

bool ox_import_unsqueeze(OxCall *c) {
  ValId x = ox_in(c, 0);
  Ints axes = {0};
  bool given, set[MAX_RANK * 2];
  TRY(x != NO_VAL && axes_list(c, &axes, &given));
  OX_FAIL_IF(!given, c, "has no list of axes");
  Shape s = ox_shape(c, x);
  int32_t rank = s.rank + axes.n;
  OX_FAIL_IF(rank > MAX_RANK, c, "makes %" PRId32 " dimensions; supported are at most %d", rank, MAX_RANK);
  reshape_attrs a = {.shape = {.n = rank}};
  TRY(axes_set(c, &axes, rank, set));
  for (int32_t i = 0, from = 0; i < rank; i++) a.shape.v[i] = set[i] ? 1 : s.d[from++];
  return ox_done(c, ox_node(c, OP_reshape, &a, &x, 1, NULL));
}

/* -- order -- */

bool ox_import_transpose(OxCall *c) {
  ValId x = ox_in(c, 0);
  TRY(x != NO_VAL);
  transpose_attrs a = {.perm = {0}};
  int32_t rank = ox_shape(c, x).rank;
  if (!ox_ints(c, "perm", &a.perm)) {
    a.perm.n = rank;
    for (int32_t i = 0; i < rank; i++) a.perm.v[i] = rank - 1 - i;
  }
  return ox_done(c, ox_node(c, OP_transpose, &a, &x, 1, NULL));
}

bool ox_import_concat(OxCall *c) {
  concat_attrs a = {.axis = 0};
  OX_FAIL_IF(c->n_in == 0, c, "has no input");
  for (uint32_t i = 0; i < c->n_in; i++) TRY(ox_in(c, i) != NO_VAL);
  TRY(ox_axis(c, ox_int(c, "axis", 0), ox_shape(c, c->in[0]).rank, &a.axis));
  return ox_done(c, ox_node(c, OP_concat, &a, c->in, c->n_in, NULL));
}

bool ox_import_identity(OxCall *c) { return ox_done(c, ox_in(c, 0)); }

/* At inference nothing is dropped. */
bool ox_import_dropout(OxCall *c) {
  double training = 0;
  if (ox_has(c, 2)) TRY(ox_const_number(c, 2, &training));
  if (training != 0) {
    ox_fail(c, "is in training mode");
    diag_hint(c->m->d, "export the model for inference (model.eval())");
    return false;
  }
  if (ox_has(c, 0) && ox_has_output(c, 1)) { /* the mask: all true; before opset 10 in the type of x */
    const Compose k = ox_compose(c);
    ValId any = compose_cast(&k, c->in[0], DT_BOOL);
    any = compose_with(&k, OP_bitwise_or, any, 1);
    c->out[1] = compose_cast(&k, any, c->m->opset < 10 ? ox_type(c, c->in[0]) : DT_BOOL);
  }
  return ox_done(c, ox_in(c, 0));
}

/* -- parts -- */

static void slice_axis(slice_attrs *a, int axis, int64_t start, int64_t count, int64_t step) {
  a->starts.v[axis] = start;
  a->counts.v[axis] = count;
  a->steps.v[axis] = step;
}

/* A Slice of everything, to be narrowed axis by axis. */
static void slice_all(slice_attrs *a, const Shape *s) {
  *a = (slice_attrs){.starts = {.n = s->rank}, .counts = {.n = s->rank}, .steps = {.n = s->rank}};
  for (int i = 0; i < s->rank; i++) slice_axis(a, i, 0, s->d[i], 1); /* DIM_BATCH: the whole batch */
}

static int64_t clamp(int64_t v, int64_t lo, int64_t hi) { return v < lo ? lo : v > hi ? hi : v; }

/* ONNX's start, end and step along one axis of `len` elements as start and count. */
static void clip_range(int64_t len, int64_t start, int64_t end, int64_t step, int64_t *from, int64_t *count) {
  if (start < 0) start += len;
  if (end < 0) end += len;
  *from = step > 0 ? clamp(start, 0, len) : clamp(start, 0, len - 1);
  int64_t to = step > 0 ? clamp(end, 0, len) : clamp(end, -1, len - 1);
  int64_t room = step > 0 ? to - *from : *from - to, by = step > 0 ? step : -step;
  *count = room > 0 && len > 0 ? (room + by - 1) / by : 0;
  if (*count == 0) *from = 0;
}

/* starts, ends, axes, steps: attributes before opset 10, inputs from then on. */
static bool slice_lists(OxCall *c, int32_t rank, Ints list[4]) {
  static const char *const names[4] = {"starts", "ends", "axes", "steps"};
  for (uint32_t k = 0; k < 4; k++) {
    bool given = c->m->opset < 10 ? k < 3 && ox_ints(c, names[k], &list[k]) : ox_has(c, k + 1);
    TRY(!c->failed);
    if (given && c->m->opset >= 10) TRY(ox_const_ints(c, k + 1, false, &list[k]));
    if (given) {
      OX_FAIL_IF(list[k].n != list[0].n, c, "has %" PRId32 " %s and %" PRId32 " starts", list[k].n, names[k],
                 list[0].n);
      continue;
    }
    OX_FAIL_IF(k < 2, c, "has no %s", names[k]);
    list[k].n = list[0].n;
    for (int32_t i = 0; i < list[0].n; i++) list[k].v[i] = k == 2 ? i : 1;
  }
  OX_FAIL_IF(list[0].n > rank, c, "has %" PRId32 " starts for %" PRId32 " dimensions", list[0].n, rank);
  return true;
}

bool ox_import_slice(OxCall *c) {
  ValId x = ox_in(c, 0);
  TRY(x != NO_VAL);
  Shape s = ox_shape(c, x);
  Ints list[4];
  slice_attrs a;
  TRY(slice_lists(c, s.rank, list));
  slice_all(&a, &s);
  for (int32_t i = 0; i < list[0].n; i++) {
    int32_t axis;
    TRY(ox_axis(c, list[2].v[i], s.rank, &axis));
    int64_t start = list[0].v[i], end = list[1].v[i], step = clamp(list[3].v[i], -INT32_MAX, INT32_MAX), from,
            count;
    OX_FAIL_IF(step == 0, c, "has step 0");
    if (s.d[axis] == DIM_BATCH) {
      OX_FAIL_IF(start != 0 || end < INT32_MAX || step != 1, c,
                 "takes a part of the symbolic batch (axis 0)");
      continue;
    }
    clip_range(s.d[axis], start, end, step, &from, &count);
    slice_axis(&a, axis, from, count, step);
  }
  return ox_done(c, ox_node(c, OP_slice, &a, &x, 1, NULL));
}

/* Sizes of the parts: an attribute before opset 13, input 1 from then on; otherwise equal parts, the last one
 * smaller (opset 18). */
static bool split_sizes(OxCall *c, int64_t len, Ints *sizes) {
  bool given = c->m->opset < 13 ? ox_ints(c, "split", sizes) : ox_has(c, 1);
  if (given && c->m->opset >= 13) TRY(ox_const_ints(c, 1, false, sizes));
  int64_t parts = c->node->n_out, sum = 0;
  OX_FAIL_IF(parts < 1 || parts > MAX_RANK * 2, c, "has %" PRId64 " outputs; supported are 1 to %d", parts,
             MAX_RANK * 2);
  if (!given) {
    int64_t each = (len + parts - 1) / parts;
    sizes->n = (int32_t)parts;
    for (int64_t k = 0; k < parts; k++) sizes->v[k] = k + 1 < parts ? each : len - each * (parts - 1);
  }
  for (int32_t k = 0; k < sizes->n; k++)
    sum += sizes->v[k] >= 0 && sizes->v[k] <= len ? sizes->v[k] : len + 1;
  OX_FAIL_IF(sizes->n != parts || sum != len, c,
             "splits %" PRId64 " elements into %" PRId64 " parts that do not fit", len, parts);
  return true;
}

bool ox_import_split(OxCall *c) {
  ValId x = ox_in(c, 0);
  TRY(x != NO_VAL);
  Shape s = ox_shape(c, x);
  int32_t axis;
  Ints sizes = {0};
  TRY(ox_axis(c, ox_int(c, "axis", 0), s.rank, &axis));
  OX_FAIL_IF(s.d[axis] == DIM_BATCH, c, "splits the symbolic batch (axis 0)");
  TRY(split_sizes(c, s.d[axis], &sizes));
  int64_t from = 0;
  for (uint32_t k = 0; k < c->node->n_out; k++) {
    slice_attrs a;
    slice_all(&a, &s);
    slice_axis(&a, axis, sizes.v[k] ? from : 0, sizes.v[k], 1);
    from += sizes.v[k];
    c->out[k] = graph_node1(c->g, OP_slice, &a, x, ox_out_name(c, k), &c->loc, c->m->d);
    TRY(c->out[k] != NO_VAL);
  }
  return true;
}
