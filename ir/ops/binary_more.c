/* Pow, Mod, bits, comparisons and Where: elementwise with NumPy broadcasting.
 *
 *   Pow, Mod             x, y of one type: f32, f64, i32, i64; Mod also u64
 *   BitwiseAnd, -Or, -Xor   bool and integers of 8 bits and more
 *   BitShift             u64
 *   Equal                f32, f64, i32, i64, u64, bool, u8, i8 -> bool
 *   Less, LessOrEqual    f32, f64, i32, i64, u64, i8 -> bool; i8: numbers are compared, each of its own quantization
 *   Where                bool, and two of one element type and quantization
 */
#include "ir/ops/ops.h"

static bool is_signed(DType t) { return t == DT_F32 || t == DT_F64 || t == DT_I32 || t == DT_I64; }

/* Both inputs of one type, and the broadcast shape. */
static bool two_alike(const Graph *g, const Node *n, bool fits, Shape *out, Diag *d) {
  const Value *x = op_in(g, n, 0), *y = op_in(g, n, 1);
  *out = (Shape){0};
  if (!fits) return op_fail(n, d, "input 0 is %s, which it does not compute on", dtype_name(x->dtype));
  return op_want_dtype(g, n, 1, x->dtype, d) && op_broadcast(n, &x->shape, &y->shape, out, d);
}

static bool infer_alike(Graph *g, const Node *n, bool fits, Diag *d) {
  Shape out;
  return two_alike(g, n, fits, &out, d) && op_set(g, n, op_in(g, n, 0)->dtype, &out, d);
}

bool infer_pow(Graph *g, Node *n, Diag *d) { return infer_alike(g, n, is_signed(op_in(g, n, 0)->dtype), d); }

bool infer_mod(Graph *g, Node *n, Diag *d) {
  const DType t = op_in(g, n, 0)->dtype;
  const int32_t fmod = CATTRS(n, mod)->fmod;
  if (fmod != 0 && fmod != 1) return op_fail(n, d, "fmod is %d, want 0 or 1", (int)fmod);
  return infer_alike(g, n, is_signed(t) || t == DT_U64, d);
}

static bool infer_bits(Graph *g, const Node *n, Diag *d) {
  const DType t = op_in(g, n, 0)->dtype;
  return infer_alike(g, n, t == DT_BOOL || (dtype_is_int(t) && dtype_bits(t) >= 8), d);
}

bool infer_bitwise_and(Graph *g, Node *n, Diag *d) { return infer_bits(g, n, d); }
bool infer_bitwise_or(Graph *g, Node *n, Diag *d) { return infer_bits(g, n, d); }
bool infer_bitwise_xor(Graph *g, Node *n, Diag *d) { return infer_bits(g, n, d); }

bool infer_bit_shift(Graph *g, Node *n, Diag *d) {
  const int32_t right = CATTRS(n, bit_shift)->right;
  if (right != 0 && right != 1) return op_fail(n, d, "right is %d, want 0 or 1", (int)right);
  return infer_alike(g, n, op_in(g, n, 0)->dtype == DT_U64, d);
}

static bool infer_comparison(Graph *g, const Node *n, bool fits, Diag *d) {
  Shape out;
  return two_alike(g, n, fits, &out, d) && op_set(g, n, DT_BOOL, &out, d);
}

bool infer_equal(Graph *g, Node *n, Diag *d) {
  const DType t = op_in(g, n, 0)->dtype;
  return infer_comparison(g, n, is_signed(t) || t == DT_U64 || t == DT_BOOL || t == DT_U8 || t == DT_I8, d);
}

static bool infer_order(Graph *g, const Node *n, Diag *d) {
  const DType t = op_in(g, n, 0)->dtype;
  return infer_comparison(g, n, is_signed(t) || t == DT_U64 || t == DT_I8, d);
}

bool infer_less(Graph *g, Node *n, Diag *d) { return infer_order(g, n, d); }
bool infer_less_or_equal(Graph *g, Node *n, Diag *d) { return infer_order(g, n, d); }

bool infer_where(Graph *g, Node *n, Diag *d) {
  const Value *x = op_in(g, n, 1), *y = op_in(g, n, 2);
  Value *out = op_out(g, n, 0);
  Shape both = {0}, all = {0};
  TRY(op_want_dtype(g, n, 0, DT_BOOL, d));
  TRY(op_want_dtype(g, n, 2, x->dtype, d));
  if (!quant_equal(&x->quant, &y->quant) || x->quant.n > 1)
    return op_fail(n, d, "inputs 1 and 2 are quantized differently, or per axis, but it hands codes on");
  TRY(op_broadcast(n, &x->shape, &y->shape, &both, d));
  TRY(op_broadcast(n, &op_in(g, n, 0)->shape, &both, &all, d));
  if (out->quant.n == 0) out->quant = x->quant;
  if (!quant_equal(&out->quant, &x->quant))
    return op_fail(n, d, "output and inputs are quantized differently, but it hands codes on");
  return op_set(g, n, x->dtype, &all, d);
}
