/* Normalisations as compositions: means and variances are reductions whose axes stay with extent 1 and broadcast.
 *
 * float64 has no ReduceMean: a sum over its count. Sources: ONNX operator schemas LayerNormalization 17, RMSNormalization
 * 23, LpNormalization 22, LRN 13, Hardmax 13.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/compose/compose.h"

static const Value *value(const Compose *c, ValId x) { return graph_val(c->g, x); }

static ValId mean(const Compose *c, ValId x, int32_t first, int32_t last) {
  if (x == NO_VAL) return x;
  const int64_t count = shape_count_range(&value(c, x)->shape, first, last);
  if (first == last) return x;
  if (value(c, x)->dtype == DT_F32 && count > 0) return compose_reduce(c, OP_reduce_mean, x, first, last);
  return compose_with(c, OP_div, compose_reduce(c, OP_reduce_sum, x, first, last), (double)count);
}

ValId compose_log_softmax(const Compose *c, ValId x, int32_t axis) {
  ValId below = compose_2(c, OP_sub, x, compose_reduce(c, OP_reduce_max, x, axis, axis + 1));
  return compose_2(c, OP_sub, below, compose_reduce(c, OP_reduce_log_sum_exp, below, axis, axis + 1));
}

ValId compose_softmax(const Compose *c, ValId x, int32_t axis) {
  ValId e = compose_2(c, OP_sub, x, compose_reduce(c, OP_reduce_max, x, axis, axis + 1));
  e = compose_1(c, OP_exp, NULL, e);
  return compose_2(c, OP_div, e, compose_reduce(c, OP_reduce_sum, e, axis, axis + 1));
}

ValId compose_hardmax(const Compose *c, ValId x, int32_t axis) {
  if (x == NO_VAL) return x;
  const Shape *s = &value(c, x)->shape;
  const DType t = value(c, x)->dtype;
  Shape line = {.rank = s->rank - axis};
  for (int i = 0; i < line.rank; i++) line.d[i] = i == 0 ? s->d[axis] : 1;
  if (line.d[0] > 1 << 26) {
    diag_error(c->d, c->loc, "goes along an axis of %lld elements; supported are at most %d",
               (long long)line.d[0], 1 << 26);
    return NO_VAL;
  }
  ValId best = compose_1(c, OP_arg_max, &(arg_max_attrs){.axis = axis, .keepdims = 1}, x);
  int64_t *numbers = mem_array((size_t)line.d[0] + 1, sizeof *numbers);
  for (int64_t i = 0; i < line.d[0]; i++) numbers[i] = i;
  ValId all = graph_const_data(c->g, NULL, DT_I64, &line, numbers);
  mem_free(numbers);
  return compose_cast(c, compose_2(c, OP_equal, best, all), t);
}

ValId compose_standardize(const Compose *c, ValId x, int32_t first, int32_t last, float epsilon,
                          ValId *mean_of, ValId *inv) {
  ValId m = mean(c, x, first, last), off = compose_2(c, OP_sub, x, m);
  ValId variance = mean(c, compose_2(c, OP_mul, off, off), first, last);
  ValId deviation = compose_1(c, OP_sqrt, NULL, compose_with(c, OP_add, variance, (double)epsilon));
  ValId factor = compose_reciprocal(c, deviation);
  if (mean_of) *mean_of = m;
  if (inv) *inv = factor;
  return compose_2(c, OP_mul, off, factor);
}

ValId compose_rms(const Compose *c, ValId x, int32_t first, int32_t last, float epsilon) {
  ValId square = mean(c, compose_2(c, OP_mul, x, x), first, last);
  ValId root = compose_1(c, OP_sqrt, NULL, compose_with(c, OP_add, square, (double)epsilon));
  return compose_2(c, OP_mul, x, compose_reciprocal(c, root));
}

ValId compose_affine(const Compose *c, ValId x, ValId scale, ValId bias) {
  if (scale != NO_VAL) x = compose_2(c, OP_mul, x, scale);
  return bias == NO_VAL ? x : compose_2(c, OP_add, x, bias);
}

ValId compose_lp_normalize(const Compose *c, ValId x, int32_t first, int32_t last, int p) {
  ValId norm;
  ASSERT(p == 1 || p == 2);
  if (p == 1)
    norm = compose_reduce(c, OP_reduce_sum, compose_1(c, OP_abs, NULL, x), first, last);
  else
    norm = compose_1(c, OP_sqrt, NULL, compose_reduce(c, OP_reduce_sum_square, x, first, last));
  return compose_2(c, OP_div, x, compose_with(c, OP_max, norm, (double)FLT_MIN));
}

/* The sum over channels is an average over a window of rows, padding counted: [N, C, ...] as N images of C rows, one
 * column and as many channels as there are pixels. */
ValId compose_lrn(const Compose *c, ValId x, int32_t size, float alpha, float beta, float bias) {
  if (x == NO_VAL) return x;
  const Shape s = value(c, x)->shape;
  const Shape image = {4, {s.d[0], s.d[1], 1, shape_count_range(&s, 2, s.rank)}};
  ValId square = compose_reshape(c, compose_2(c, OP_mul, x, x), &image);
  const average_pool_attrs pool = {.kernel = {2, {size, 1}},
                                   .strides = {2, {1, 1}},
                                   .pads = {4, {(size - 1) / 2, 0, size / 2, 0}},
                                   .count_include_pad = 1};
  ValId sum = compose_reshape(c, compose_1(c, OP_average_pool, &pool, square), &s);
  sum = compose_with(c, OP_add, compose_with(c, OP_mul, sum, (double)alpha), (double)bias);
  if (beta == 0.5f) return compose_2(c, OP_div, x, compose_1(c, OP_sqrt, NULL, sum));
  return compose_2(c, OP_div, x, compose_with(c, OP_pow, sum, (double)beta));
}
