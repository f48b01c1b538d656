/* Lowering of Cast, Quantize, Dequantize, FakeQuant.
 *
 * Requantization's factor is scale_x / scale_y in double (TFLM quantize_common.cc); with equal scales it is exactly 1,
 * so that only the zero point moves. Dequantize takes one scale, or one per slice of an axis.
 */
#include "ir/lower/lower_util.h"
#include "runtime/kernels/element.h"

static const int32_t cast_types[DT_COUNT] = {
    [DT_F32] = MF_F32,         [DT_F64] = MF_F64,     [DT_I8] = MF_I8,           [DT_U8] = MF_U8,
    [DT_I16] = MF_I16,         [DT_U16] = MF_U16,     [DT_I32] = MF_I32,         [DT_U32] = MF_U32,
    [DT_I64] = MF_I64,         [DT_U64] = MF_U64,     [DT_BOOL] = MF_BOOL,       [DT_I4] = MF_I4,
    [DT_U4] = MF_U4,           [DT_I2] = MF_I2,       [DT_U2] = MF_U2,           [DT_F16] = MF_F16,
    [DT_BF16] = MF_BF16,       [DT_F8E4M3] = MF_E4M3, [DT_F8E4M3UZ] = MF_E4M3UZ, [DT_F8E5M2] = MF_E5M2,
    [DT_F8E5M2UZ] = MF_E5M2UZ, [DT_F8E8M0] = MF_E8M0, [DT_F4E2M1] = MF_E2M1};

float lower_stored_float(DType t, int64_t code) {
  ASSERT(dtype_kind(t) == 's');
  return mf_small_decode((uint32_t)code, cast_types[t]);
}

int64_t lower_store_float(DType t, float v) {
  ASSERT(dtype_kind(t) == 's');
  return mf_small_encode(v, cast_types[t], 1, 0);
}

bool lower_cast(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const DType from = op_in(g, n, 0)->dtype, to = op_out(g, n, 0)->dtype;
  const cast_attrs *a = CATTRS(n, cast);
  const bool f64 = from == DT_F64 || to == DT_F64, small = dtype_kind(from) == 's' || dtype_kind(to) == 's';
  Rows r = rows_of(&op_out(g, n, 0)->shape);
  (void)d;
  if (shape_count(&op_out(g, n, 0)->shape) == 0) return true;
  KernelCall *k = call_rows(g, n, out, f64 ? "cast_f64" : small ? "cast_small" : "cast", r);
  *(mf_cast *)k->params = (mf_cast){r.n, cast_types[from], cast_types[to], !a->overflow, a->round};
  return true;
}

/* The kernel of the conversion, NULL: there is none. */
static const char *quantize_kernel(DType from, DType to, bool even) {
  static const struct {
    DType from, to;
    bool even;
    const char *kernel;
  } kernels[] = {
      {DT_F32, DT_I8, true, "quantize_even_f32_s8"}, {DT_F32, DT_U8, true, "quantize_even_f32_u8"},
      {DT_F32, DT_I8, false, "quantize_f32_s8"},     {DT_F32, DT_U8, false, "quantize_f32_u8"},
      {DT_F32, DT_I16, false, "quantize_f32_s16"},   {DT_I8, DT_I8, false, "requantize_s8"},
      {DT_I8, DT_U8, false, "requantize_s8_u8"},     {DT_U8, DT_I8, false, "requantize_u8_s8"},
      {DT_I16, DT_I16, false, "requantize_s16_s16"}, {DT_I8, DT_I16, false, "requantize_s8_s16"},
      {DT_I16, DT_I8, false, "requantize_s16_s8"},   {DT_I8, DT_I32, false, "requantize_s8_s32"},
      {DT_I16, DT_I32, false, "requantize_s16_s32"}, {DT_I32, DT_I8, false, "requantize_s32_s8"},
      {DT_I32, DT_I16, false, "requantize_s32_s16"},
  };
  for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++)
    if (kernels[i].from == from && kernels[i].to == to && kernels[i].even == even) return kernels[i].kernel;
  return NULL;
}

static void code_range(DType t, int32_t *lo, int32_t *hi) {
  *lo = t == DT_U8 ? 0 : t == DT_I8 ? INT8_MIN : t == DT_I16 ? INT16_MIN : INT32_MIN;
  *hi = t == DT_U8 ? UINT8_MAX : t == DT_I8 ? INT8_MAX : t == DT_I16 ? INT16_MAX : INT32_MAX;
}

bool lower_quantize(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const Value *x = op_in(g, n, 0), *y = op_out(g, n, 0);
  const char *kernel = quantize_kernel(x->dtype, y->dtype, CATTRS(n, quantize)->rounding == ROUND_ONNX);
  const bool real = x->dtype == DT_F32;
  if (kernel == NULL) {
    return op_fail(n, d, "from %s to %s is not supported", dtype_name(x->dtype), dtype_name(y->dtype));
  }
  TRY(want_quant(g, n, real ? 0 : 1, d));
  if (x->quant.n > 1 || y->quant.n > 1) return op_fail(n, d, "a quantization per axis is not supported");
  if (shape_count(&y->shape) == 0) return true;
  Rows r = rows_of(&y->shape);
  KernelCall *k = call_rows(g, n, out, kernel, r);
  int32_t lo, hi;
  code_range(y->dtype, &lo, &hi);
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
  p->from = cast_types[x->dtype];
  size_t bytes = (size_t)x->quant.n * sizeof(float);
  call_const(k, "scale", arena_dup(out->arena, x->quant.scale, bytes), p->c, NO_VAL);
  call_const(k, "zero", arena_dup(out->arena, x->quant.zero, bytes), p->c, NO_VAL);
}

bool lower_dequantize(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const Value *x = op_in(g, n, 0);
  if (x->quant.n == 0)
    return op_fail(n, d, "input is %s without a quantization (scale > 0)", dtype_name(x->dtype));
  if (shape_count(&x->shape) == 0) return true;
  if (x->quant.n > 1 || x->dtype == DT_I32) {
    dequantize_axis(g, n, out);
    return true;
  }
  Rows r = rows_of(&x->shape);
  const char *kernel = x->dtype == DT_I8    ? "dequantize_s8"
                       : x->dtype == DT_I16 ? "dequantize_s16"
                                            : "dequantize_u8";
  KernelCall *k = call_rows(g, n, out, kernel, r);
  *(mf_quant *)k->params = (mf_quant){.n = r.n, .scale = scale_of(x), .zero = zero_of(x)};
  return true;
}

bool lower_fake_quant(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const fake_quant_attrs *a = CATTRS(n, fake_quant);
  Rows r = rows_of(&op_out(g, n, 0)->shape);
  if (n->n_in > 1 || a->act != ACT_NONE)
    return op_fail(n, d, "its step is trained: the pass quantize makes the graph int8 with it");
  if (shape_count(&op_out(g, n, 0)->shape) == 0) return true;
  KernelCall *k = call_rows(g, n, out, "fake_quant_f32", r);
  *(mf_quant *)k->params = (mf_quant){r.n, a->scale, a->zero, a->lo, a->hi};
  return true;
}
