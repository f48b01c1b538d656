/* TFLite operators that move elements or rename their axes: RESHAPE to SPLIT. Shapes are fixed in the file, so
 * that RESHAPE, SQUEEZE and EXPAND_DIMS take the output's shape and need none of their other inputs.
 */
#include "frontend/tflite/tfl.h"

#include <inttypes.h>

ValId tfl_moved(TflNode *n, uint32_t i) {
  if (!tfl_has(n, i)) {
    diag_error(n->m->d, &n->loc, "input %u is left out; the operator needs it", i);
    return NO_VAL;
  }
  if (!tfl_same_quant(n, tfl_in_tensor(n, i), tfl_out_tensor(n, 0))) return NO_VAL;
  return tfl_value(n->m, n->in[i], &n->loc);
}

bool tfl_import_reshape(TflNode *n) {
  ValId x = tfl_moved(n, 0);
  TRY(x != NO_VAL);
  reshape_attrs a = {0};
  const Shape *to = &tfl_out_tensor(n, 0)->shape;
  a.shape.n = to->rank;
  for (int32_t i = 0; i < to->rank; i++) a.shape.v[i] = to->d[i];
  return tfl_emit(n, OP_reshape, &a, &x, 1);
}

bool tfl_import_transpose(TflNode *n) {
  ValId x = tfl_moved(n, 0);
  transpose_attrs a = {0};
  TRY(x != NO_VAL && tfl_ints(n, 1, &a.perm));
  int32_t rank = graph_val(n->m->g, x)->shape.rank, axis;
  FAIL_IF(a.perm.n != rank, n->m->d, &n->loc, "has an order of %" PRId32 " axes for %" PRId32 " dimensions",
          a.perm.n, rank);
  for (int32_t i = 0; i < rank; i++) {
    TRY(tfl_axis(n, a.perm.v[i], rank, &axis));
    a.perm.v[i] = axis;
  }
  return tfl_emit(n, OP_transpose, &a, &x, 1);
}

bool tfl_import_concatenation(TflNode *n) {
  enum { AXIS = 0, ACT = 1 };
  ValId in[TFL_MAX_IN];
  for (uint32_t i = 0; i < n->n_in; i++) {
    in[i] = tfl_rescaled(n, i);
    TRY(in[i] != NO_VAL);
  }
  int32_t act;
  concat_attrs a = {0};
  TRY(tfl_act(n, ACT, &act));
  FAIL_IF(act != ACT_NONE, n->m->d, &n->loc, "has a fused activation; want an operator of its own");
  TRY(tfl_axis(n, fb_i32(&n->options, AXIS, 0), tfl_out_tensor(n, 0)->shape.rank, &a.axis));
  return tfl_emit(n, OP_concat, &a, in, n->n_in);
}

/* The real value that PADV2's third input names; PAD: zero. */
static bool pad_value(TflNode *n, float *value) {
  *value = 0;
  if (!tfl_has(n, 2)) return true;
  const TflTensor *t = tfl_in_tensor(n, 2);
  bool known = t->dtype == DT_F32 || (dtype_is_code(t->dtype) && t->quant.n == 1);
  FAIL_IF(!t->data || !known || shape_count(&t->shape) != 1, n->m->d, &n->loc,
          "wants its value (\"%s\") as one constant of f32, i8 or i16", t->name);
  if (t->dtype == DT_I16) {
    *value = t->quant.scale[0] * (float)(int16_t)(t->data[0] | t->data[1] << 8);
  } else if (t->dtype == DT_I8) {
    *value = t->quant.scale[0] * (float)((int8_t)t->data[0] - t->quant.zero[0]);
  } else {
    FbVec v = {.fb = &n->m->fb, .at = (size_t)(t->data - n->m->fb.p), .n = 1, .present = true};
    *value = fb_vec_f32(&v, 0);
  }
  return true;
}

/* Input 1 is [rank][2]: before and after each axis. */
bool tfl_import_pad(TflNode *n) {
  ValId x = tfl_moved(n, 0);
  Ints pairs;
  pad_attrs a = {0};
  TRY(x != NO_VAL && tfl_ints(n, 1, &pairs) && pad_value(n, &a.value));
  int32_t rank = graph_val(n->m->g, x)->shape.rank;
  FAIL_IF(pairs.n != 2 * rank, n->m->d, &n->loc, "has %" PRId32 " paddings for %" PRId32 " dimensions",
          pairs.n, rank);
  a.pads.n = pairs.n;
  for (int32_t i = 0; i < rank; i++) {
    for (int32_t side = 0; side < 2; side++) {
      int64_t p = pairs.v[2 * i + side];
      FAIL_IF(p < 0 || p > INT32_MAX, n->m->d, &n->loc, "has padding %" PRId64 "; want 0 or more", p);
      a.pads.v[side * rank + i] = p;
    }
  }
  return tfl_emit(n, OP_pad, &a, &x, 1);
}

bool tfl_import_gather(TflNode *n) {
  enum { AXIS = 0, BATCH_DIMS = 1 };
  ValId in[2] = {tfl_moved(n, 0), NO_VAL};
  TRY(in[0] != NO_VAL);
  FAIL_IF(!tfl_has(n, 1), n->m->d, &n->loc, "input 1 is left out; the operator needs it");
  FAIL_IF(fb_i32(&n->options, BATCH_DIMS, 0) != 0, n->m->d, &n->loc,
          "has batch_dims, which are not supported");
  in[1] = tfl_value(n->m, n->in[1], &n->loc);
  gather_attrs a = {0};
  TRY(in[1] != NO_VAL);
  TRY(tfl_axis(n, fb_i32(&n->options, AXIS, 0), graph_val(n->m->g, in[0])->shape.rank, &a.axis));
  return tfl_emit(n, OP_gather, &a, in, 2);
}

static void slice_list(slice_attrs *a, int64_t start, int64_t count, int64_t step) {
  int32_t i = a->starts.n++;
  a->counts.n = a->steps.n = a->starts.n;
  a->starts.v[i] = start;
  a->counts.v[i] = count;
  a->steps.v[i] = step;
}

bool tfl_import_slice(TflNode *n) {
  ValId x = tfl_moved(n, 0);
  Ints begin, size;
  TRY(x != NO_VAL && tfl_ints(n, 1, &begin) && tfl_ints(n, 2, &size));
  Shape s = graph_val(n->m->g, x)->shape;
  FAIL_IF(begin.n != s.rank || size.n != s.rank, n->m->d, &n->loc,
          "has %" PRId32 " starts and %" PRId32 " sizes for %" PRId32 " dimensions", begin.n, size.n, s.rank);
  slice_attrs a = {0};
  for (int32_t i = 0; i < s.rank; i++) {
    int64_t from = begin.v[i], count = size.v[i] == -1 ? s.d[i] - from : size.v[i];
    FAIL_IF(from < 0 || from >= s.d[i] || count < 1 || count > s.d[i] - from, n->m->d, &n->loc,
            "takes %" PRId64 " elements from %" PRId64 " along axis %" PRId32 " of %" PRId64, count, from, i,
            s.d[i]);
    slice_list(&a, from, count, 1);
  }
  return tfl_emit(n, OP_slice, &a, &x, 1);
}

static int64_t clamp(int64_t v, int64_t lo, int64_t hi) { return v < lo ? lo : v > hi ? hi : v; }

/* One axis of STRIDED_SLICE: Python's rules for start, end and step. */
static void stride_axis(int64_t len, int64_t start, int64_t end, int64_t step, bool all_start, bool all_end,
                        int64_t *from, int64_t *count) {
  int64_t lo = step > 0 ? 0 : -1, hi = step > 0 ? len : len - 1;
  if (start < 0) start += len;
  if (end < 0) end += len;
  *from = all_start ? (step > 0 ? 0 : len - 1) : clamp(start, lo, hi);
  int64_t to = all_end ? (step > 0 ? len : -1) : clamp(end, lo, hi);
  int64_t span = step > 0 ? to - *from : *from - to, by = step > 0 ? step : -step;
  *count = span > 0 ? (span + by - 1) / by : 0;
}

bool tfl_import_strided_slice(TflNode *n) {
  enum { BEGIN_MASK, END_MASK, ELLIPSIS_MASK, NEW_AXIS_MASK, SHRINK_MASK, OFFSET };
  ValId x = tfl_moved(n, 0);
  Ints begin, end, step;
  TRY(x != NO_VAL && tfl_ints(n, 1, &begin) && tfl_ints(n, 2, &end) && tfl_ints(n, 3, &step));
  Shape s = graph_val(n->m->g, x)->shape;
  FAIL_IF(begin.n > s.rank || end.n != begin.n || step.n != begin.n, n->m->d, &n->loc,
          "has %" PRId32 " starts, %" PRId32 " ends, %" PRId32 " steps for %" PRId32 " dimensions", begin.n,
          end.n, step.n, s.rank);
  FAIL_IF(fb_i32(&n->options, ELLIPSIS_MASK, 0) || fb_i32(&n->options, NEW_AXIS_MASK, 0) ||
              fb_u8(&n->options, OFFSET, 0),
          n->m->d, &n->loc,
          "has an ellipsis, a new axis or ends relative to starts, which are not supported");
  int32_t from_all = fb_i32(&n->options, BEGIN_MASK, 0), to_all = fb_i32(&n->options, END_MASK, 0),
          shrink = fb_i32(&n->options, SHRINK_MASK, 0);
  slice_attrs a = {0};
  for (int32_t i = 0; i < s.rank; i++) {
    int64_t from = 0, count = s.d[i], by = 1;
    if (i < begin.n) {
      by = step.v[i];
      FAIL_IF(by == 0 || by > INT32_MAX || by < -INT32_MAX, n->m->d, &n->loc, "has step %" PRId64, by);
      bool one = shrink >> i & 1;
      stride_axis(s.d[i], begin.v[i], end.v[i], one ? 1 : by, from_all >> i & 1, one || (to_all >> i & 1),
                  &from, &count);
      if (one && count > 0) count = by = 1;
    }
    FAIL_IF(count < 1, n->m->d, &n->loc, "takes no element along axis %" PRId32, i);
    slice_list(&a, from, count, by);
  }
  if (!shrink) return tfl_emit(n, OP_slice, &a, &x, 1);
  ValId y = graph_node1(n->m->g, OP_slice, &a, x, tfl_out_tensor(n, 0)->name, &n->loc, n->m->d);
  const Shape *to = &tfl_out_tensor(n, 0)->shape;
  return y != NO_VAL && tfl_bind(n, 0, tfl_reshape(n, y, to));
}

/* Equal parts along an axis: inputs are the axis and x, outputs one Slice each. */
bool tfl_import_split(TflNode *n) {
  Ints axes;
  int32_t axis;
  TRY(tfl_ints(n, 0, &axes));
  FAIL_IF(axes.n != 1, n->m->d, &n->loc, "has %" PRId32 " axes; want 1", axes.n);
  ValId x = tfl_moved(n, 1);
  TRY(x != NO_VAL);
  Shape s = graph_val(n->m->g, x)->shape;
  TRY(tfl_axis(n, axes.v[0], s.rank, &axis));
  FAIL_IF(s.d[axis] % n->n_out != 0, n->m->d, &n->loc, "splits %" PRId64 " into %u parts", s.d[axis],
          n->n_out);
  int64_t part = s.d[axis] / n->n_out;
  for (uint32_t k = 0; k < n->n_out; k++) {
    const TflTensor *out = tfl_out_tensor(n, k);
    TRY(tfl_same_quant(n, tfl_in_tensor(n, 1), out));
    slice_attrs a = {0};
    for (int32_t i = 0; i < s.rank; i++)
      slice_list(&a, i == axis ? part * k : 0, i == axis ? part : s.d[i], 1);
    TRY(tfl_bind(n, k, graph_node1(n->m->g, OP_slice, &a, x, out->name, &n->loc, n->m->d)));
  }
  return true;
}
