/* Lowering of Cast, Quantize, Dequantize, FakeQuant.
 *
 * Requantization's factor is scale_x / scale_y in double (TFLM quantize_common.cc); with equal scales it is exactly 1,
 * so that only the zero point moves. Dequantize takes one scale, or one per slice of an axis.
 */
#include "ir/lower/lower_util.h"

static bool cast_type(DType t, int32_t *out) {
  switch (t) {
  case DT_F32: *out = MF_F32; return true;
  case DT_F64: *out = MF_F64; return true;
  case DT_I8: *out = MF_I8; return true;
  case DT_U8: *out = MF_U8; return true;
  case DT_I16: *out = MF_I16; return true;
  case DT_I32: *out = MF_I32; return true;
  case DT_I64: *out = MF_I64; return true;
  case DT_BOOL: *out = MF_BOOL; return true;
  default: return false;
  }
}

static bool f64_partner(DType t) {
  return t == DT_F64 || t == DT_F32 || t == DT_I32 || t == DT_I64 || t == DT_BOOL;
}

bool lower_cast(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const DType from = op_in(g, n, 0)->dtype, to = op_out(g, n, 0)->dtype;
  const bool f64 = from == DT_F64 || to == DT_F64;
  Rows r = rows_of(&op_out(g, n, 0)->shape);
  mf_cast c = {.n = r.n};
  if (!cast_type(from, &c.from) || !cast_type(to, &c.to) ||
      (f64 && !(f64_partner(from) && f64_partner(to)))) {
    return op_fail(n, d, "from %s to %s is not supported", dtype_name(from), dtype_name(to));
  }
  if (shape_count(&op_out(g, n, 0)->shape) == 0) return true;
  KernelCall *k = call_rows(g, n, out, f64 ? "cast_f64" : "cast", r);
  *(mf_cast *)k->params = c;
  return true;
}

/* -1, or the kernel of the conversion. */
static const char *quantize_kernel(DType from, DType to) {
  if (from == DT_F32) return to == DT_I8 ? "quantize_f32_s8" : to == DT_U8 ? "quantize_f32_u8" : NULL;
  if (from == DT_I8) return to == DT_I8 ? "requantize_s8" : to == DT_U8 ? "requantize_s8_u8" : NULL;
  return from == DT_U8 && to == DT_I8 ? "requantize_u8_s8" : NULL;
}

bool lower_quantize(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const Value *x = op_in(g, n, 0), *y = op_out(g, n, 0);
  const char *kernel = quantize_kernel(x->dtype, y->dtype);
  const bool real = x->dtype == DT_F32;
  if (kernel == NULL) {
    return op_fail(n, d, "from %s to %s is not supported", dtype_name(x->dtype), dtype_name(y->dtype));
  }
  TRY(want_quant(g, n, real ? 0 : 1, d));
  if (x->quant.n > 1 || y->quant.n > 1) return op_fail(n, d, "a quantization per axis is not supported");
  if (shape_count(&y->shape) == 0) return true;
  Rows r = rows_of(&y->shape);
  KernelCall *k = call_rows(g, n, out, kernel, r);
  int32_t lo = y->dtype == DT_U8 ? 0 : -128, hi = y->dtype == DT_U8 ? 255 : 127;
  if (real) {
    *(mf_quant *)k->params = (mf_quant){r.n, scale_of(y), zero_of(y), lo, hi};
  } else {
    mf_requant *p = k->params;
    *p = (mf_requant){.n = r.n, .in_zero = zero_of(x), .out_zero = zero_of(y), .lo = lo, .hi = hi};
    quantize_multiplier((double)scale_of(x) / (double)scale_of(y), &p->mult, &p->shift);
  }
  return true;
}

static void dequantize_axis(const Graph *g, const Node *n, Calls *out) {
  const Value *x = op_in(g, n, 0);
  const int axis = x->quant.n > 1 ? x->quant.axis : 0, last = x->shape.rank;
  Rows r = rows_before(&x->shape, axis);
  KernelCall *k = call_rows(g, n, out, "dequantize_axis", r);
  mf_dequant_axis *p = k->params;
  p->n = r.n;
  p->c = x->quant.n;
  p->inner = x->quant.n > 1 ? (int32_t)shape_count_range(&x->shape, axis + 1, last) : r.n;
  p->from = x->dtype == DT_I8 ? MF_I8 : x->dtype == DT_U8 ? MF_U8 : MF_I32;
  size_t bytes = (size_t)x->quant.n * sizeof(float);
  call_const(k, "scale", arena_dup(out->arena, x->quant.scale, bytes), p->c, NO_VAL);
  call_const(k, "zero", arena_dup(out->arena, x->quant.zero, bytes), p->c, NO_VAL);
}

bool lower_dequantize(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const Value *x = op_in(g, n, 0);
  if (x->dtype == DT_I16) return op_fail(n, d, "from i16 is not supported");
  if (x->quant.n == 0)
    return op_fail(n, d, "input is %s without a quantization (scale > 0)", dtype_name(x->dtype));
  if (shape_count(&x->shape) == 0) return true;
  if (x->quant.n > 1 || x->dtype == DT_I32) {
    dequantize_axis(g, n, out);
    return true;
  }
  Rows r = rows_of(&x->shape);
  KernelCall *k = call_rows(g, n, out, x->dtype == DT_I8 ? "dequantize_s8" : "dequantize_u8", r);
  *(mf_quant *)k->params = (mf_quant){.n = r.n, .scale = scale_of(x), .zero = zero_of(x)};
  return true;
}

bool lower_fake_quant(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const fake_quant_attrs *a = CATTRS(n, fake_quant);
  Rows r = rows_of(&op_out(g, n, 0)->shape);
  (void)d;
  if (shape_count(&op_out(g, n, 0)->shape) == 0) return true;
  KernelCall *k = call_rows(g, n, out, "fake_quant_f32", r);
  *(mf_quant *)k->params = (mf_quant){r.n, a->scale, a->zero, a->lo, a->hi};
  return true;
}
