/* Lowering of Add, Sub, Mul, Div, Max, Min, Pow, Mod, bits, comparisons and Where with broadcasting.
 *
 * The output's axes are those of the kernel: rank 3 and more: axis 0 is the batch, axis 1 the rows; rank 2: axis 0 the
 * rows. An input's stride along a broadcast axis is 0. Inner axes merge where both inputs run on.
 *
 * int8 Add: the inputs' multipliers are scale / (2 max scale), the output's 2 max scale / (2^20 scale), in double
 * (TFLM add_common.cc); Sub the same in float (TFLM sub_common.cc), marked by a negative b_mult.
 * int8 Mul: scale_a * scale_b / scale_y in double (mul_common.cc); Div: scale_a / (scale_b * scale_y) in float (div.cc);
 * SquaredDifference: as Add, with 7 bits of left shift (squared_difference.cc); comparisons: the scales themselves
 * (comparisons.cc). int16 Add, Sub and Mul: the same, with 2^15 for 2^20.
 */
#include <math.h>
#include <string.h>

#include "ir/base/strbuf.h"
#include "ir/lower/lower_util.h"

/* Axes of a call: an outer loop, rows, and what the kernel walks inside a row. */
typedef struct BinaryAxes {
  int rank; /* of dims, a, b; dims[0] are the rows */
  int64_t dims[MAX_RANK + 2], a[MAX_RANK + 2], b[MAX_RANK + 2];
  int64_t batch, a_step, b_step;
} BinaryAxes;

static bool binary_axes(const Graph *g, const Node *n, BinaryAxes *x, Diag *d) {
  const Shape *out = &op_out(g, n, 0)->shape;
  int64_t a[MAX_RANK], b[MAX_RANK];
  int first = out->rank >= 3 ? 1 : 0; /* the row axis */
  broadcast_strides(&op_in(g, n, 0)->shape, out, a);
  broadcast_strides(&op_in(g, n, 1)->shape, out, b);
  *x = (BinaryAxes){.batch = first ? out->d[0] : 1, .a_step = first ? a[0] : 0, .b_step = first ? b[0] : 0};
  if (out->rank < 2) x->dims[x->rank++] = 1;
  for (int i = first; i < out->rank; i++, x->rank++) {
    x->dims[x->rank] = out->d[i];
    x->a[x->rank] = a[i];
    x->b[x->rank] = b[i];
  }
  int64_t *const strides[2] = {x->a, x->b};
  merge_axes(1, &x->rank, x->dims, strides, 2);
  if (x->rank < 2) {
    x->dims[1] = 1;
    x->rank = 2;
  }
  if (x->rank > MF_MAX_DIMS) return op_fail(n, d, "broadcasts along more than %d axes", MF_MAX_DIMS);
  return true;
}

/* A call of `kernel`, whose params begin with rank, dims, a, b at `axes` (mf_binary's layout). NULL: reported, or
 * nothing to compute (*empty). */
static KernelCall *binary_call(const Graph *g, const Node *n, const char *kernel, Calls *out, bool *empty,
                               Diag *d) {
  const Value *y = op_out(g, n, 0);
  const int64_t elem = (int64_t)dtype_size(op_in(g, n, 0)->dtype);
  BinaryAxes x;
  *empty = shape_count(&y->shape) == 0;
  if (*empty || !binary_axes(g, n, &x, d)) return NULL;
  KernelCall *k = calls_add(out, kernel, node_id(g, n));
  mf_binary *p = k->params;
  int64_t row = (int64_t)dtype_size(y->dtype);
  p->rank = x.rank;
  for (int i = 0; i < x.rank; i++) {
    p->dims[i] = (int32_t)x.dims[i];
    p->a[i] = (int32_t)x.a[i];
    p->b[i] = (int32_t)x.b[i];
    if (i > 0) row *= x.dims[i];
  }
  k->in[0] = (CallView){n->in[0], 0, x.a[0] * elem, x.a_step * elem};
  k->in[1] = (CallView){n->in[1], 0, x.b[0] * elem, x.b_step * elem};
  k->out = (CallView){n->out[0], 0, row, row * x.dims[0]};
  k->n_in = 2;
  k->rows = (int32_t)x.dims[0];
  k->batch = (int32_t)x.batch;
  return k;
}

_Static_assert(offsetof(mf_add_s8, b) == offsetof(mf_binary, b), "mf_add_s8 begins as mf_binary does");
_Static_assert(offsetof(mf_mul_s8, b) == offsetof(mf_binary, b), "mf_mul_s8 begins as mf_binary does");

_Static_assert(offsetof(mf_compare, b) == offsetof(mf_binary, b), "mf_compare begins as mf_binary does");

/* f32, f64, i32, i64, u64 (and i8, i16 where codes are compared): kernel "NAME_DTYPE". `bits`: u64 computes as i64. */
static bool lower_plain(const Graph *g, const Node *n, const char *name, bool bits, Act act, Calls *out,
                        Diag *d) {
  const DType t = op_out(g, n, 0)->dtype;
  bool empty;
  char *kernel = arena_printf(out->arena, "%s_%s", name, kernel_suffix(bits && t == DT_U64 ? DT_I64 : t));
  if (act != ACT_NONE && t != DT_F32)
    return op_fail(n, d, "a fused activation wants f32, i8 or i16, not %s", dtype_name(t));
  KernelCall *k = binary_call(g, n, kernel, out, &empty, d);
  if (k == NULL) return empty;
  mf_binary *p = k->params;
  act_range_f32(act, &p->lo, &p->hi);
  return true;
}

static bool lower_add_codes(const Graph *g, const Node *n, bool sub, Act act, Calls *out, Diag *d) {
  const Value *a = op_in(g, n, 0), *b = op_in(g, n, 1), *y = op_out(g, n, 0);
  bool empty;
  TRY(want_codes(g, n, 2, d));
  KernelCall *k = binary_call(g, n, a->dtype == DT_I8 ? "add_s8" : "add_s16", out, &empty, d);
  if (k == NULL) return empty;
  mf_add_s8 *p = k->params;
  const float sa = scale_of(a), sb = scale_of(b), sy = scale_of(y), twice = 2 * fmaxf(sa, sb);
  double ra, rb, ry;
  p->left_shift = a->dtype == DT_I8 ? 20 : 15;
  if (sub) {
    const float fa = sa / twice, fb = sb / twice, fy = twice / ((float)(1 << p->left_shift) * sy);
    ra = (double)fa;
    rb = (double)fb;
    ry = (double)fy;
  } else {
    ra = (double)sa / (double)twice;
    rb = (double)sb / (double)twice;
    ry = (double)twice / ((double)(1 << p->left_shift) * (double)sy);
  }
  quantize_multiplier(ra, &p->a_mult, &p->a_shift);
  quantize_multiplier(rb, &p->b_mult, &p->b_shift);
  quantize_multiplier(ry, &p->out_mult, &p->out_shift);
  if (sub) p->b_mult = -p->b_mult;
  p->a_zero = zero_of(a);
  p->b_zero = zero_of(b);
  p->out_zero = zero_of(y);
  act_range_codes(act, y, &p->lo, &p->hi);
  return true;
}

static bool lower_mul_codes(const Graph *g, const Node *n, Act act, Calls *out, Diag *d) {
  const Value *a = op_in(g, n, 0), *b = op_in(g, n, 1), *y = op_out(g, n, 0);
  bool empty;
  TRY(want_codes(g, n, 2, d));
  KernelCall *k = binary_call(g, n, a->dtype == DT_I8 ? "mul_s8" : "mul_s16", out, &empty, d);
  if (k == NULL) return empty;
  mf_mul_s8 *p = k->params;
  quantize_multiplier((double)scale_of(a) * (double)scale_of(b) / (double)scale_of(y), &p->out_mult,
                      &p->out_shift);
  p->a_zero = zero_of(a);
  p->b_zero = zero_of(b);
  p->out_zero = zero_of(y);
  act_range_codes(act, y, &p->lo, &p->hi);
  return true;
}

static bool is_code(const Graph *g, const Node *n) { return dtype_is_code(op_in(g, n, 0)->dtype); }

bool lower_add(const Graph *g, const Node *n, Calls *out, Diag *d) {
  Act act = (Act)CATTRS(n, add)->act;
  return is_code(g, n) ? lower_add_codes(g, n, false, act, out, d)
                       : lower_plain(g, n, "add", true, act, out, d);
}

bool lower_sub(const Graph *g, const Node *n, Calls *out, Diag *d) {
  Act act = (Act)CATTRS(n, sub)->act;
  return is_code(g, n) ? lower_add_codes(g, n, true, act, out, d)
                       : lower_plain(g, n, "sub", true, act, out, d);
}

bool lower_mul(const Graph *g, const Node *n, Calls *out, Diag *d) {
  Act act = (Act)CATTRS(n, mul)->act;
  return is_code(g, n) ? lower_mul_codes(g, n, act, out, d) : lower_plain(g, n, "mul", true, act, out, d);
}

static bool lower_div_s8(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const Value *a = op_in(g, n, 0), *b = op_in(g, n, 1), *y = op_out(g, n, 0);
  bool empty;
  TRY(want_quant(g, n, 2, d));
  KernelCall *k = binary_call(g, n, "div_s8", out, &empty, d);
  if (k == NULL) return empty;
  mf_mul_s8 *p = k->params;
  const float product = scale_of(b) * scale_of(y), ratio = scale_of(a) / product;
  quantize_multiplier((double)ratio, &p->out_mult, &p->out_shift);
  p->a_zero = zero_of(a);
  p->b_zero = zero_of(b);
  p->out_zero = zero_of(y);
  act_range_s8(ACT_NONE, scale_of(y), zero_of(y), &p->lo, &p->hi);
  return true;
}

bool lower_div(const Graph *g, const Node *n, Calls *out, Diag *d) {
  if (is_code(g, n)) {
    if (op_in(g, n, 0)->dtype == DT_I8) return lower_div_s8(g, n, out, d);
    return op_fail(n, d, "int16 is not supported; compute it in float32");
  }
  return lower_plain(g, n, "div", false, ACT_NONE, out, d);
}

bool lower_squared_difference(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const Value *a = op_in(g, n, 0), *b = op_in(g, n, 1), *y = op_out(g, n, 0);
  bool empty;
  TRY(want_quant(g, n, 2, d));
  KernelCall *k = binary_call(g, n, "squared_difference_s8", out, &empty, d);
  if (k == NULL) return empty;
  mf_add_s8 *p = k->params;
  const double twice = 2.0 * (double)fmaxf(scale_of(a), scale_of(b));
  p->left_shift = 7;
  quantize_multiplier((double)scale_of(a) / twice, &p->a_mult, &p->a_shift);
  quantize_multiplier((double)scale_of(b) / twice, &p->b_mult, &p->b_shift);
  quantize_multiplier(twice * twice / ((double)(1 << 14) * (double)scale_of(y)), &p->out_mult, &p->out_shift);
  p->a_zero = zero_of(a);
  p->b_zero = zero_of(b);
  p->out_zero = zero_of(y);
  act_range_s8(ACT_NONE, scale_of(y), zero_of(y), &p->lo, &p->hi);
  return true;
}

bool lower_max(const Graph *g, const Node *n, Calls *out, Diag *d) {
  return lower_plain(g, n, "max", false, ACT_NONE, out, d);
}

bool lower_min(const Graph *g, const Node *n, Calls *out, Diag *d) {
  return lower_plain(g, n, "min", false, ACT_NONE, out, d);
}

bool lower_pow(const Graph *g, const Node *n, Calls *out, Diag *d) {
  return lower_plain(g, n, "pow", false, ACT_NONE, out, d);
}

bool lower_mod(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const bool dividend = CATTRS(n, mod)->fmod && op_in(g, n, 0)->dtype != DT_U64;
  return lower_plain(g, n, dividend ? "rem" : "mod", false, ACT_NONE, out, d);
}

bool lower_bit_shift(const Graph *g, const Node *n, Calls *out, Diag *d) {
  return lower_plain(g, n, CATTRS(n, bit_shift)->right ? "shr" : "shl", false, ACT_NONE, out, d);
}

/* By the width alone. */
static bool lower_bits(const Graph *g, const Node *n, const char *name, Calls *out, Diag *d) {
  bool empty;
  const int bits = 8 * (int)dtype_size(op_in(g, n, 0)->dtype);
  return binary_call(g, n, arena_printf(out->arena, "%s_i%d", name, bits), out, &empty, d) != NULL || empty;
}

bool lower_bitwise_and(const Graph *g, const Node *n, Calls *out, Diag *d) {
  return lower_bits(g, n, "and", out, d);
}

bool lower_bitwise_or(const Graph *g, const Node *n, Calls *out, Diag *d) {
  return lower_bits(g, n, "or", out, d);
}

bool lower_bitwise_xor(const Graph *g, const Node *n, Calls *out, Diag *d) {
  return lower_bits(g, n, "xor", out, d);
}

/* Codes as integers of scale 2^-8: that is what the reference compares. */
static bool lower_comparison_s8(const Graph *g, const Node *n, const char *name, Calls *out, Diag *d) {
  const Value *a = op_in(g, n, 0), *b = op_in(g, n, 1);
  bool empty;
  TRY(want_quant_inputs(g, n, 2, d));
  if (!(scale_of(a) < 4096) || !(scale_of(b) < 4096)) {
    return op_fail(n, d, "inputs have scales %g and %g, want less than 4096", (double)scale_of(a),
                   (double)scale_of(b));
  }
  KernelCall *k = binary_call(g, n, arena_printf(out->arena, "%s_s8", name), out, &empty, d);
  if (k == NULL) return empty;
  mf_add_s8 *p = k->params;
  p->left_shift = 8;
  quantize_multiplier((double)scale_of(a), &p->a_mult, &p->a_shift);
  quantize_multiplier((double)scale_of(b), &p->b_mult, &p->b_shift);
  p->a_zero = zero_of(a);
  p->b_zero = zero_of(b);
  return true;
}

static bool lower_comparison(const Graph *g, const Node *n, const char *name, Calls *out, Diag *d) {
  const DType t = op_in(g, n, 0)->dtype;
  if (t == DT_I8) return lower_comparison_s8(g, n, name, out, d);
  /* Equality of bits: signs do not matter. */
  const bool equal = n->op == OP_equal;
  const char *suffix = t == DT_BOOL ? "u8" : equal && t == DT_U64 ? "i64" : dtype_name(t);
  bool empty;
  return binary_call(g, n, arena_printf(out->arena, "%s_%s", name, suffix), out, &empty, d) != NULL || empty;
}

bool lower_equal(const Graph *g, const Node *n, Calls *out, Diag *d) {
  return lower_comparison(g, n, "equal", out, d);
}

bool lower_less(const Graph *g, const Node *n, Calls *out, Diag *d) {
  return lower_comparison(g, n, "less", out, d);
}

bool lower_less_or_equal(const Graph *g, const Node *n, Calls *out, Diag *d) {
  return lower_comparison(g, n, "less_equal", out, d);
}
