/* Cast, Quantize, Dequantize, FakeQuant: from one number format to another, element by element.
 *
 *   Cast        any type to any, as C converts (float to integer: toward zero); quantization does not count
 *   Quantize    f32, or quantized i8 u8 i16 i32 (a requantization) -> i8, u8, i16, i32 in the output's quantization
 *   Dequantize  quantized i8 u8 i16 i32 -> f32
 *   FakeQuant   f32 -> f32 on the grid scale * (code - zero), lo <= code <= hi
 */
#include <math.h>

#include "ir/ops/ops.h"

static bool is_code(DType t) { return t == DT_I8 || t == DT_U8 || t == DT_I16; }

bool infer_cast(Graph *g, Node *n, Diag *d) {
  const cast_attrs *a = CATTRS(n, cast);
  const int32_t to = a->to;
  if (a->overflow < 0 || a->overflow > 1 || a->round < 0 || a->round > 2)
    return op_fail(n, d, "overflow is %d, round %d; want 0 or 1, and 0 to 2", (int)a->overflow,
                   (int)a->round);
  if (to <= DT_NONE || to >= DT_COUNT) return op_fail(n, d, "to is %d, which is no element type", (int)to);
  return op_set(g, n, (DType)to, &op_in(g, n, 0)->shape, d);
}

bool infer_quantize(Graph *g, Node *n, Diag *d) {
  int32_t to = CATTRS(n, quantize)->to;
  const Value *x = op_in(g, n, 0);
  if (to <= DT_NONE || to >= DT_COUNT || (!is_code((DType)to) && to != DT_I32))
    return op_fail(n, d, "to is not i8, u8, i16 or i32");
  if (x->dtype != DT_F32 && !is_code(x->dtype) && x->dtype != DT_I32) {
    return op_fail(n, d, "input is %s, want f32, i8, u8, i16 or i32", dtype_name(x->dtype));
  }
  int32_t rounding = CATTRS(n, quantize)->rounding;
  if (rounding != ROUND_TFLITE && (rounding != ROUND_ONNX || x->dtype != DT_F32)) {
    return op_fail(n, d, "rounding is %d of %s, want 0, or 1 of f32", (int)rounding, dtype_name(x->dtype));
  }
  return op_set(g, n, (DType)to, &x->shape, d);
}

bool infer_dequantize(Graph *g, Node *n, Diag *d) {
  const Value *x = op_in(g, n, 0);
  if (!is_code(x->dtype) && x->dtype != DT_I32) {
    return op_fail(n, d, "input is %s, want i8, u8, i16 or i32", dtype_name(x->dtype));
  }
  return op_set(g, n, DT_F32, &x->shape, d);
}

/* Inputs behind x: what `like` wants, steps of one element or one for each index of the axis. */
static bool check_grid_inputs(const Graph *g, Node *n, Diag *d) {
  const fake_quant_attrs *a = CATTRS(n, fake_quant);
  static const uint32_t inputs[] = {1, 4, 5, 3, 3};
  const Shape *x = &op_in(g, n, 0)->shape;
  int axis = a->axis < 0 ? x->rank - 1 : a->axis;
  if (a->like < 0 || a->like > 4) return op_fail(n, d, "like=%d, want 0 .. 4", (int)a->like);
  if (n->n_in != inputs[a->like] && !(a->like == 0 && n->n_in == 2))
    return op_fail(n, d, "%u inputs, but like=%d has %u", (unsigned)n->n_in, (int)a->like,
                   (unsigned)inputs[a->like]);
  if (axis >= x->rank && x->rank > 0) return op_fail(n, d, "axis %d of %d", axis, x->rank);
  if (a->count < 1) return op_fail(n, d, "count is %d, want at least 1", (int)a->count);
  for (uint32_t k = 1; k < n->n_in; k++) {
    TRY(op_want_dtype(g, n, k, DT_F32, d));
    const Shape *s = &op_in(g, n, k)->shape;
    bool fits = k == 4 ? shape_equal(s, x)
                       : s->rank == 1 && (s->d[0] == 1 || (a->like != 2 && s->d[0] == x->d[axis]));
    if (!fits)
      return op_fail(n, d, "input %u does not fit x: want one step, or one for each index of the axis",
                     (unsigned)k);
  }
  return true;
}

bool infer_fake_quant(Graph *g, Node *n, Diag *d) {
  const fake_quant_attrs *a = CATTRS(n, fake_quant);
  TRY(op_want_dtype(g, n, 0, DT_F32, d));
  TRY(check_grid_inputs(g, n, d));
  if (!(a->scale > 0) || isinf(a->scale)) {
    return op_fail(n, d, "scale is %g, want a finite number above 0", (double)a->scale);
  }
  if (a->lo >= a->hi || a->zero < a->lo || a->zero > a->hi) {
    return op_fail(n, d, "zero point %d and codes %d .. %d, want lo <= zero <= hi and lo < hi", (int)a->zero,
                   (int)a->lo, (int)a->hi);
  }
  return op_set(g, n, DT_F32, &op_in(g, n, 0)->shape, d);
}
