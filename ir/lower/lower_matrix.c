/* Lowering of FullyConnected and MatMul. A row is one input vector.
 *
 * int8 FullyConnected with one weight scale: the multiplier is (scale_x * scale_w, a float product) / scale_y, as
 * TFLite's GetQuantizedConvolutionMultipler computes it; with a scale per output each factor is widened first.
 * MatMul's outer axes become the batch where both factors run through them alike; otherwise a call for each index.
 */
#include <string.h>

#include "ir/lower/lower_util.h"

static void fc_f32(const Graph *g, const Node *n, KernelCall *k) {
  const Shape *w = &op_in(g, n, 1)->shape;
  mf_fc_f32 *p = k->params;
  p->k = (int32_t)w->d[1];
  p->n = (int32_t)w->d[0];
  p->w_out = p->k;
  act_range_f32((Act)CATTRS(n, fully_connected)->act, &p->lo, &p->hi);
  call_const(k, "w", val_data(g, n->in[1]), shape_count(w), n->in[1]);
  if (op_in_opt(g, n, 2)) call_const(k, "bias", val_data(g, n->in[2]), p->n, n->in[2]);
}

static void fc_s8(const Graph *g, const Node *n, KernelCall *k, Arena *a) {
  const Value *x = op_in(g, n, 0), *w = op_in(g, n, 1), *y = op_out(g, n, 0);
  mf_fc_s8 *p = k->params;
  int count = w->quant.n;
  p->k = (int32_t)w->shape.d[1];
  p->n = (int32_t)w->shape.d[0];
  p->w_out = p->k;
  p->in_zero = zero_of(x);
  p->w_zero = zero_of(w);
  p->out_zero = zero_of(y);
  p->per_channel = count > 1;
  act_range_codes((Act)CATTRS(n, fully_connected)->act, y, &p->lo, &p->hi);
  int32_t *mult = arena_array(a, (size_t)count, sizeof *mult);
  int8_t *shift = arena_array(a, (size_t)count, sizeof *shift);
  for (int i = 0; i < count; i++) {
    const float sw = w->quant.scale[i], product = scale_of(x) * sw;
    double real = count > 1 ? (double)scale_of(x) * (double)sw : (double)product;
    int32_t s;
    if (CATTRS(n, fully_connected)->rounding == ROUND_ONCE)
      quantize_multiplier_once(real / (double)scale_of(y), &mult[i], &s);
    else
      quantize_multiplier(real / (double)scale_of(y), &mult[i], &s);
    shift[i] = (int8_t)s;
  }
  if (w->dtype == DT_I4)
    p->w_out = const_nibbles(g, n, p->n, k, a);
  else
    call_const(k, "w", val_data(g, n->in[1]), shape_count(&w->shape), n->in[1]);
  if (op_in_opt(g, n, 2)) call_const(k, "bias", val_data(g, n->in[2]), p->n, n->in[2]);
  call_const(k, "mult", mult, count, NO_VAL);
  call_const(k, "shift", shift, count, NO_VAL);
}

static bool fc_s16(const Graph *g, const Node *n, KernelCall *k, Arena *a, Diag *d) {
  const Value *x = op_in(g, n, 0), *w = op_in(g, n, 1), *y = op_out(g, n, 0);
  mf_fc_s16 *p = k->params;
  const int count = w->quant.n;
  p->k = p->w_out = (int32_t)w->shape.d[1];
  p->n = (int32_t)w->shape.d[0];
  p->w_zero = zero_of(w);
  p->per_channel = count > 1;
  act_range_s16((Act)CATTRS(n, fully_connected)->act, scale_of(y), &p->lo, &p->hi);
  int32_t *mult = arena_array(a, (size_t)count, sizeof *mult), s;
  int8_t *shift = arena_array(a, (size_t)count, sizeof *shift);
  for (int i = 0; i < count; i++) {
    const float sw = w->quant.scale[i], product = scale_of(x) * sw;
    const double real = count > 1 ? (double)scale_of(x) * (double)sw : (double)product;
    TRY(wide_multiplier(n, real / (double)scale_of(y), &mult[i], &s, d));
    shift[i] = (int8_t)s;
  }
  call_const(k, "w", val_data(g, n->in[1]), shape_count(&w->shape), n->in[1]);
  if (op_in_opt(g, n, 2)) TRY(wide_bias(g, n, k, d));
  call_const(k, "mult", mult, count, NO_VAL);
  call_const(k, "shift", shift, count, NO_VAL);
  return true;
}

/* int16 sums have 64 bits where the bias has, otherwise 32, as the reference's. */
static const char *fc_kernel(const Graph *g, const Node *n) {
  const DType t = op_in(g, n, 0)->dtype;
  const Value *bias = op_in_opt(g, n, 2);
  if (t == DT_I16) return bias && bias->dtype == DT_I64 ? "fc_s16" : "fc_s16_narrow";
  if (t == DT_I8 && op_in(g, n, 1)->dtype == DT_I4) return "fc_s4";
  return t == DT_I8 ? "fc_s8" : "fc_f32";
}

/* A window of one over an image of one column, whose lines are the vectors. */
static bool fc_even(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const fully_connected_attrs *a = CATTRS(n, fully_connected);
  const Shape *x = &op_in(g, n, 0)->shape, *y = &op_out(g, n, 0)->shape, *w = &op_in(g, n, 1)->shape;
  const Rows in = rows_before(x, x->rank - 1), to = rows_before(y, y->rank - 1);
  const int32_t k = (int32_t)w->d[1], outs = (int32_t)w->d[0];
  const EvenConv c = {.window = {in.rows, 1, k, in.rows, 1, outs, 1, 1, 1, 1, 0, 0, 1, 1},
                      .groups = 1,
                      .w_tap = k,
                      .w_out = k,
                      .act = (Act)a->act,
                      .rounding = a->rounding,
                      .in = in,
                      .out = to};
  return lower_conv_even(g, n, &c, out, d);
}

bool lower_fully_connected(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const Shape *x = &op_in(g, n, 0)->shape, *y = &op_out(g, n, 0)->shape;
  const bool codes = dtype_is_code(op_in(g, n, 0)->dtype);
  const int32_t rounding = CATTRS(n, fully_connected)->rounding;
  if (rounding == ROUND_ONNX || rounding == ROUND_SUMS) return fc_even(g, n, out, d);
  TRY(want_const(g, n, 1, d));
  if (op_in_opt(g, n, 2)) TRY(want_const(g, n, 2, d));
  if (codes) TRY(want_codes(g, n, 2, d));
  if (shape_count(y) == 0) return true;
  const char *kernel = fc_kernel(g, n);
  KernelCall *k = calls_add(out, kernel, node_id(g, n));
  k->in[0] = view_rows(g, n->in[0], rows_before(x, x->rank - 1));
  k->out = view_rows(g, n->out[0], rows_before(y, y->rank - 1));
  k->n_in = 1;
  k->rows = rows_before(y, y->rank - 1).rows;
  k->macs = node_macs(g, n);
  if (strcmp(kernel, "fc_s16") == 0) return fc_s16(g, n, k, out->arena, d);
  if (codes)
    fc_s8(g, n, k, out->arena);
  else
    fc_f32(g, n, k);
  return true;
}

/* Which matrix of `s` belongs to number `item` of the output's outer axes. */
static int64_t outer_index(const Shape *s, const Shape *out, int64_t item) {
  int64_t index = 0, step = 1;
  for (int i = out->rank - 3; i >= 0; i--) {
    int j = i - (out->rank - s->rank);
    int64_t at = item % out->d[i];
    item /= out->d[i];
    if (j < 0) continue;
    if (s->d[j] > 1) index += at * step;
    step *= s->d[j];
  }
  return index;
}

/* The outer axes are all the output's, or all 1. */
static bool outer_plain(const Shape *s, const Shape *out) {
  int64_t have = shape_count_range(s, 0, s->rank - 2);
  return have == 1 || have == shape_count_range(out, 0, out->rank - 2);
}

/* The multiplier is FullyConnected's (GetQuantizedConvolutionMultipler). */
static void matmul_s8_params(const Value *a, const Value *b, const Value *y, int32_t depth, int32_t cols,
                             mf_matmul_s8 *p) {
  const float product = scale_of(a) * scale_of(b);
  *p = (mf_matmul_s8){.k = depth,
                      .n = cols,
                      .a_zero = zero_of(a),
                      .b_zero = zero_of(b),
                      .out_zero = zero_of(y),
                      .lo = -128,
                      .hi = 127};
  quantize_multiplier((double)product / (double)scale_of(y), &p->mult, &p->shift);
}

/* As GetQuantizedConvolutionMultipler: a product of floats, divided in double. */
static double matmul_factor_s16(const Value *a, const Value *b, const Value *y) {
  const float product = scale_of(a) * scale_of(b);
  return (double)product / (double)scale_of(y);
}

static bool want_matmul_s16(const Graph *g, const Node *n, Diag *d) {
  int32_t mult, shift;
  TRY(want_codes(g, n, 2, d));
  return wide_multiplier(n, matmul_factor_s16(op_in(g, n, 0), op_in(g, n, 1), op_out(g, n, 0)), &mult, &shift,
                         d);
}

static void matmul_params(const Graph *g, const Node *n, int32_t depth, int32_t cols, void *params) {
  const Value *a = op_in(g, n, 0), *b = op_in(g, n, 1), *y = op_out(g, n, 0);
  if (a->dtype == DT_I16) {
    mf_matmul_s16 *p = params;
    *p = (mf_matmul_s16){.k = depth, .n = cols};
    (void)quantize_multiplier_wide(matmul_factor_s16(a, b, y), &p->mult, &p->shift);
    return;
  }
  if (a->dtype != DT_I8) {
    *(mf_matmul_f32 *)params = (mf_matmul_f32){depth, cols};
    return;
  }
  if (CATTRS(n, matmul)->rounding == ROUND_TFLITE) {
    matmul_s8_params(a, b, y, depth, cols, params);
    return;
  }
  mf_matmul_s8_even *p = params;
  *p = (mf_matmul_s8_even){
      .k = depth, .n = cols, .a_zero = zero_of(a), .b_zero = zero_of(b), .lo = -128, .hi = 127};
  if (CATTRS(n, matmul)->rounding == ROUND_SUMS) return;
  const float product = scale_of(a) * scale_of(b);
  p->out_zero = zero_of(y);
  p->scale = product / scale_of(y);
}

static void matmul_call(const Graph *g, const Node *n, int64_t item, int64_t batch, Calls *out) {
  const Shape *a = &op_in(g, n, 0)->shape, *b = &op_in(g, n, 1)->shape, *y = &op_out(g, n, 0)->shape;
  const int64_t rows = y->d[y->rank - 2], cols = y->d[y->rank - 1], depth = a->d[a->rank - 1];
  const int64_t e = (int64_t)dtype_size(op_in(g, n, 0)->dtype),
                e_out = (int64_t)dtype_size(op_out(g, n, 0)->dtype);
  const int64_t a_size = rows * depth * e, b_size = depth * cols * e, y_size = rows * cols * e_out;
  const char *kernel = op_in(g, n, 0)->dtype == DT_F32   ? "matmul_f32"
                       : op_in(g, n, 0)->dtype == DT_I64 ? "matmul_i64"
                       : op_in(g, n, 0)->dtype == DT_F64 ? "matmul_f64"
                       : op_in(g, n, 0)->dtype == DT_I16 ? "matmul_s16"
                       : e_out == 4                      ? "matmul_s8_sums"
                       : CATTRS(n, matmul)->rounding     ? "matmul_s8_even"
                                                         : "matmul_s8";
  bool a_one = shape_count_range(a, 0, a->rank - 2) == 1, b_one = shape_count_range(b, 0, b->rank - 2) == 1;
  KernelCall *k = calls_add(out, kernel, node_id(g, n));
  matmul_params(g, n, (int32_t)depth, (int32_t)cols, k->params);
  k->in[0] = (CallView){n->in[0], outer_index(a, y, item) * a_size, depth * e, a_one ? 0 : a_size};
  k->in[1] = (CallView){n->in[1], outer_index(b, y, item) * b_size, cols * e, b_one ? 0 : b_size};
  k->out = (CallView){n->out[0], item * y_size, cols * e_out, y_size};
  k->n_in = 2;
  k->rows = (int32_t)rows;
  k->batch = (int32_t)batch;
  k->macs = rows * cols * depth * batch;
}

bool lower_matmul(const Graph *g, const Node *n, Calls *out, Diag *d) {
  const Shape *a = &op_in(g, n, 0)->shape, *b = &op_in(g, n, 1)->shape, *y = &op_out(g, n, 0)->shape;
  int64_t outer = shape_count_range(y, 0, y->rank - 2);
  if (op_in(g, n, 0)->dtype == DT_I16) TRY(want_matmul_s16(g, n, d));
  if (op_in(g, n, 0)->dtype == DT_I8)
    TRY(CATTRS(n, matmul)->rounding == ROUND_SUMS ? want_quant_inputs(g, n, 2, d) : want_quant(g, n, 2, d));
  if (shape_count(y) == 0) return true;
  if (outer_plain(a, y) && outer_plain(b, y)) {
    matmul_call(g, n, 0, outer, out);
    return true;
  }
  for (int64_t i = 0; i < outer; i++) matmul_call(g, n, i, 1, out);
  return true;
}
