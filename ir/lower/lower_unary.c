/* Lowering of Relu, Clip, LeakyRelu, Sigmoid, Tanh, Softmax, BatchNormalization.
 *
 * int8 and int16 Relu and Clip are a requantization with other limits (factor exactly 1 where the scales are equal). int8
 * LeakyRelu, Sigmoid and Tanh become tables of 256 codes, made here from TensorFlow Lite Micro's own
 * arithmetic (reference_ops::QuantizeLeakyRelu, reference_integer_ops::Logistic and Tanh: fixed point, 4 integer
 * bits), so that the bytes are the reference's. Sigmoid and Tanh whose output is not quantized as TFLite's (1/256 and
 * -128; 1/128 and 0) are computed in double and rounded, halves away from zero. The other int16 forms: lower_unary_s16.c.
 */
#include <math.h>

#include "ir/lower/lower_util.h"
#include "runtime/kernels/requantize.h"

/* Requantization to the output's quantization, limited to real_lo .. real_hi. */
static bool lower_limit(const Graph *g, const Node *n, float real_lo, float real_hi, Calls *out, Diag *d) {
  const Value *x = op_in(g, n, 0), *y = op_out(g, n, 0);
  const bool wide = x->dtype == DT_I16;
  const int32_t least = wide ? INT16_MIN : INT8_MIN, most = wide ? INT16_MAX : INT8_MAX;
  Rows r = rows_of(&y->shape);
  TRY(want_codes(g, n, 1, d));
  if (shape_count(&y->shape) == 0) return true;
  KernelCall *k = call_rows(g, n, out, wide ? "requantize_s16_s16" : "requantize_s8", r);
  mf_requant *p = k->params;
  p->n = r.n;
  p->in_zero = zero_of(x);
  p->out_zero = zero_of(y);
  quantize_multiplier((double)scale_of(x) / (double)scale_of(y), &p->mult, &p->shift);
  p->lo = quantize_limit(real_lo, scale_of(y), zero_of(y), least, most);
  p->hi = quantize_limit(real_hi, scale_of(y), zero_of(y), least, most);
  return true;
}

bool lower_relu(const Graph *g, const Node *n, Calls *out, Diag *d) {
  if (dtype_is_code(op_in(g, n, 0)->dtype)) return lower_limit(g, n, 0, INFINITY, out, d);
  return lower_unary_plain(g, n, "relu", 0, 0, out);
}

bool lower_clip(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const clip_attrs *a = CATTRS(n, clip);
  if (dtype_is_code(op_in(g, n, 0)->dtype)) return lower_limit(g, n, a->lo, a->hi, out, d);
  return lower_unary_plain(g, n, "clip", a->lo, a->hi, out);
}

/* -- tables -- */

/* The output code of one input code. */
typedef int32_t TableFn(const Node *n, const Value *x, const Value *y, int32_t code);

static bool lower_table(const Graph *g, const Node *n, TableFn *f, Calls *out, Diag *d) {
  const Value *x = op_in(g, n, 0), *y = op_out(g, n, 0);
  Rows r = rows_of(&y->shape);
  TRY(want_quant(g, n, 1, d));
  if (shape_count(&y->shape) == 0) return true;
  int8_t *table = arena_alloc(out->arena, 256);
  for (int32_t code = -128; code < 128; code++) {
    table[code + 128] = (int8_t)mf_clamp(f(n, x, y, code), -128, 127);
  }
  KernelCall *k = call_rows(g, n, out, "lut_s8", r);
  ((mf_lut_s8 *)k->params)->n = r.n;
  call_const(k, "table", table, 256, NO_VAL);
  return true;
}

static int32_t leaky_relu_code(const Node *n, const Value *x, const Value *y, int32_t code) {
  const float sx = scale_of(x), sy = scale_of(y), alpha = CATTRS(n, leaky_relu)->alpha;
  const float up = sx / sy, down = sx * alpha / sy;
  int32_t mult, shift, v = code - zero_of(x);
  quantize_multiplier(fabs((double)(v >= 0 ? up : down)), &mult, &shift);
  if (v < 0 && down < 0) mult = -mult;
  return zero_of(y) + mf_requantize(v, mult, shift);
}

/* The input in Q4.27; false where it lies at or beyond the range of that form (INT32_MIN or MAX is then given). */
static bool code_q4(const Value *x, int32_t code, int32_t *q4) {
  int exponent = 0;
  const double q = frexp((double)scale_of(x) * (double)(1 << 27), &exponent);
  const double radius = floor(ldexp(15.0 * (double)(1 << 27), -exponent));
  const int32_t v = code - zero_of(x);
  *q4 = v < 0 ? INT32_MIN : INT32_MAX;
  if (fabs((double)v) >= radius || exponent > 31) return false;
  *q4 = exponent < -31 ? 0 : mf_requantize(v, (int32_t)round(q * 2147483648.0), exponent);
  return true;
}

static int32_t code_of(double real, const Value *y) {
  double code = round(real / (double)scale_of(y)) + zero_of(y);
  return code < -128 ? -128 : code > 127 ? 127 : (int32_t)code;
}

static double real_of(const Value *x, int32_t code) { return (double)scale_of(x) * (code - zero_of(x)); }

static int32_t sigmoid_code(const Node *n, const Value *x, const Value *y, int32_t code) {
  int32_t q4;
  (void)n;
  if (scale_of(y) != 1.0f / 256 || zero_of(y) != -128) return code_of(1 / (1 + exp(-real_of(x, code))), y);
  if (!code_q4(x, code, &q4)) return q4 < 0 ? -128 : 127;
  int32_t v = (int32_t)1 << 30; /* one half */
  if (q4 != 0) {
    v = mf_reciprocal_q0(mf_exp_negative(q4 > 0 ? -q4 : q4, 4));
    if (q4 < 0) v = INT32_MAX - v;
  }
  return mf_shift_round(v, 23) - 128;
}

static int32_t tanh_code(const Node *n, const Value *x, const Value *y, int32_t code) {
  int32_t q4;
  (void)n;
  if (scale_of(y) != 1.0f / 128 || zero_of(y) != 0) return code_of(tanh(real_of(x, code)), y);
  if (!code_q4(x, code, &q4)) return q4 < 0 ? -128 : 127;
  if (q4 == 0) return 0;
  /* (1 - e) / (1 + e) = 2 / (1 + e) - 1, where e = exp(-2 |x|): the same bits, read as Q5.26. */
  int32_t e = mf_exp_negative(q4 > 0 ? -q4 : q4, 5);
  int32_t v = mf_shift_left_sat(mf_reciprocal_q2(e) - ((int32_t)1 << 29), 2);
  return mf_shift_round(q4 < 0 ? -v : v, 24);
}

bool lower_leaky_relu(const Graph *g, const Node *n, Calls *out, Diag *d) {
  if (op_in(g, n, 0)->dtype == DT_I8) return lower_table(g, n, leaky_relu_code, out, d);
  if (op_in(g, n, 0)->dtype == DT_I16) return lower_leaky_relu_s16(g, n, out, d);
  return lower_unary_plain(g, n, "leaky_relu", CATTRS(n, leaky_relu)->alpha, 0, out);
}

bool lower_sigmoid(const Graph *g, const Node *n, Calls *out, Diag *d) {
  if (op_in(g, n, 0)->dtype == DT_I8) return lower_table(g, n, sigmoid_code, out, d);
  if (op_in(g, n, 0)->dtype == DT_I16) return lower_curve_s16(g, n, "sigmoid_s16", 0, out, d);
  return lower_unary_plain(g, n, "sigmoid", 0, 0, out);
}

bool lower_tanh(const Graph *g, const Node *n, Calls *out, Diag *d) {
  if (op_in(g, n, 0)->dtype == DT_I8) return lower_table(g, n, tanh_code, out, d);
  if (op_in(g, n, 0)->dtype == DT_I16) return lower_curve_s16(g, n, "tanh_s16", 1, out, d);
  return lower_unary_plain(g, n, "tanh", 0, 0, out);
}

/* -- Softmax -- */

static bool lower_softmax_s8(const Graph *g, const Node *n, Rows r, int32_t extent, Calls *out, Diag *d) {
  const Value *x = op_in(g, n, 0), *y = op_out(g, n, 0);
  TRY(want_quant(g, n, 1, d));
  if (scale_of(y) != 1.0f / 256 || zero_of(y) != -128) {
    return op_fail(n, d, "output has scale %g and zero point %d, want 1/256 and -128", (double)scale_of(y),
                   (int)zero_of(y));
  }
  if (r.n != extent) return op_fail(n, d, "int8 wants the innermost axis; put a Transpose around it");
  const float beta = CATTRS(n, softmax)->beta;
  if (!(beta > 0)) return op_fail(n, d, "int8 wants beta > 0, not %g", (double)beta);
  KernelCall *k = call_rows(g, n, out, "softmax_s8", r);
  mf_softmax_s8 *p = k->params;
  p->n = r.n;
  double scaled = (double)beta * (double)scale_of(x) * (double)(1 << 26);
  quantize_multiplier(fmin(scaled, 2147483647.0), &p->mult, &p->shift);
  if (p->shift < 0)
    p->shift = p->mult = 0; /* differences below 2^-26: all equal; the reference refuses them */
  p->diff_min = -(int32_t)floor(ldexp(31.0 * (double)(1 << 26), -p->shift));
  return true;
}

bool lower_softmax(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const softmax_attrs *a = CATTRS(n, softmax);
  const Shape *s = &op_out(g, n, 0)->shape;
  int axis = a->axis < 0 ? a->axis + s->rank : a->axis;
  Rows r = rows_before(s, axis);
  if (shape_count(s) == 0) return true;
  if (op_in(g, n, 0)->dtype == DT_I8) return lower_softmax_s8(g, n, r, (int32_t)s->d[axis], out, d);
  if (op_in(g, n, 0)->dtype == DT_I16) return lower_softmax_s16(g, n, r, (int32_t)s->d[axis], out, d);
  KernelCall *k = call_rows(g, n, out, "softmax_f32", r);
  *(mf_softmax_f32 *)k->params =
      (mf_softmax_f32){(int32_t)s->d[axis], (int32_t)shape_count_range(s, axis + 1, s->rank), a->beta};
  return true;
}

/* -- BatchNormalization -- */

bool lower_batch_normalization(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const batch_normalization_attrs *a = CATTRS(n, batch_normalization);
  const Shape *s = &op_out(g, n, 0)->shape;
  const int64_t c = s->d[a->axis];
  const float *in[4];
  for (uint32_t i = 0; i < 4; i++) {
    TRY(want_const(g, n, 1 + i, d));
    in[i] = val_data(g, n->in[1 + i]);
  }
  if (shape_count(s) == 0) return true;
  Rows r = a->axis == s->rank - 1 ? rows_of(s) : rows_before(s, a->axis);
  float *scale = arena_array(out->arena, (size_t)c, sizeof *scale);
  float *offset = arena_array(out->arena, (size_t)c, sizeof *offset);
  for (int64_t i = 0; i < c; i++) { /* scale, bias, mean, variance */
    double factor = (double)in[0][i] / sqrt((double)in[3][i] + (double)a->epsilon);
    scale[i] = (float)factor;
    offset[i] = (float)((double)in[1][i] - (double)in[2][i] * factor);
  }
  KernelCall *k = call_rows(g, n, out, "affine_f32", r);
  mf_affine_f32 *p = k->params;
  p->n = r.n;
  p->c = (int32_t)c;
  p->inner = (int32_t)shape_count_range(s, a->axis + 1, s->rank);
  call_const(k, "scale", scale, c, NO_VAL);
  call_const(k, "offset", offset, c, NO_VAL);
  return true;
}
