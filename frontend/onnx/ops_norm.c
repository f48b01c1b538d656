/* ONNX normalisations: compositions of ir/compose, computed in float32 (float64 in itself).
 *
 *   LayerNormalization, RMSNormalization    over axes from `axis` on
 *   InstanceNormalization                   over each channel's pixels; GroupNormalization: over groups of channels
 *   LpNormalization, LRN, MeanVarianceNormalization
 *
 * Source: ONNX operator schemas, opsets 6 to 23.
 */
#include "frontend/onnx/onnx_op.h"

#include <inttypes.h>

/* The symbolic batch stays outside of what is normalised. */
static bool from_axis(OxCall *c, const Shape *s, int32_t *axis) {
  TRY(ox_axis(c, ox_int(c, "axis", -1), s->rank, axis));
  OX_FAIL_IF(*axis == 0 && s->d[0] == DIM_BATCH, c, "goes along the symbolic batch (axis 0)");
  return true;
}

/* Input i in type t; NO_VAL where it is left out. */
static ValId in_type(OxCall *c, uint32_t i, DType t) {
  const Compose k = ox_compose(c);
  return ox_has(c, i) ? compose_cast(&k, c->in[i], t) : NO_VAL;
}

/* Outputs 1 and 2, mean and factor, stay in the type of computation. */
bool ox_import_layer_normalization(OxCall *c) {
  const Compose k = ox_compose(c);
  DType t;
  ValId x = ox_work_float(c, 0, &t), mean, inv;
  TRY(x != NO_VAL);
  const Shape s = ox_shape(c, x);
  int32_t axis;
  TRY(from_axis(c, &s, &axis));
  const DType work = ox_type(c, x);
  ValId y = compose_standardize(&k, x, axis, s.rank, ox_float(c, "epsilon", 1e-5f), &mean, &inv);
  y = compose_affine(&k, y, in_type(c, 1, work), in_type(c, 2, work));
  if (c->node->n_out > 1) c->out[1] = mean;
  if (c->node->n_out > 2) c->out[2] = inv;
  return ox_end(c, y, t);
}

bool ox_import_rms_normalization(OxCall *c) {
  const Compose k = ox_compose(c);
  DType t;
  ValId x = ox_work_float(c, 0, &t);
  TRY(x != NO_VAL);
  const Shape s = ox_shape(c, x);
  int32_t axis;
  TRY(from_axis(c, &s, &axis));
  ValId y = compose_rms(&k, x, axis, s.rank, ox_float(c, "epsilon", 1e-5f));
  return ox_end(c, compose_affine(&k, y, in_type(c, 1, ox_type(c, x)), NO_VAL), t);
}

/* A vector of [C] lined up with axis 1 of `rank` axes. */
static ValId per_channel(OxCall *c, ValId v, int32_t rank) {
  const Compose k = ox_compose(c);
  if (v == NO_VAL || ox_shape(c, v).rank != 1) return v;
  Shape to = {.rank = rank - 1, .d = {ox_shape(c, v).d[0], 1, 1, 1, 1, 1, 1, 1}};
  return compose_reshape(&k, v, &to);
}

bool ox_import_instance_normalization(OxCall *c) {
  const Compose k = ox_compose(c);
  DType t;
  ValId x = ox_work_float(c, 0, &t);
  TRY(x != NO_VAL);
  const Shape s = ox_shape(c, x);
  OX_FAIL_IF(s.rank < 3, c, "has an input of %" PRId32 " dimensions; want [N,C,...]", s.rank);
  ValId y = compose_standardize(&k, x, 2, s.rank, ox_float(c, "epsilon", 1e-5f), NULL, NULL);
  const DType work = ox_type(c, x);
  return ox_end(c,
                compose_affine(&k, y, per_channel(c, in_type(c, 1, work), s.rank),
                               per_channel(c, in_type(c, 2, work), s.rank)),
                t);
}

/* scale and bias are one per group before opset 21, one per channel from then on. */
bool ox_import_group_normalization(OxCall *c) {
  const Compose k = ox_compose(c);
  DType t;
  ValId x = ox_work_float(c, 0, &t);
  TRY(x != NO_VAL);
  const Shape s = ox_shape(c, x);
  const int64_t groups = ox_int(c, "num_groups", 0);
  OX_FAIL_IF(s.rank < 2 || groups < 1 || s.d[1] % groups != 0, c,
             "has %" PRId64 " groups of channels, which does not divide its input [N,C,...]", groups);
  const DType work = ox_type(c, x);
  Shape grouped = {3, {s.d[0], groups, s.d[1] / groups * shape_count_range(&s, 2, s.rank)}};
  ValId y = compose_reshape(&k, x, &grouped);
  y = compose_standardize(&k, y, 2, 3, ox_float(c, "epsilon", 1e-5f), NULL, NULL);
  const bool old = c->m->opset < 21;
  if (old)
    y = compose_affine(&k, y, per_channel(c, in_type(c, 1, work), 3), per_channel(c, in_type(c, 2, work), 3));
  y = compose_reshape(&k, y, &s);
  if (!old)
    y = compose_affine(&k, y, per_channel(c, in_type(c, 1, work), s.rank),
                       per_channel(c, in_type(c, 2, work), s.rank));
  return ox_end(c, y, t);
}

bool ox_import_lp_normalization(OxCall *c) {
  const Compose k = ox_compose(c);
  DType t;
  ValId x = ox_work_float(c, 0, &t);
  TRY(x != NO_VAL);
  const Shape s = ox_shape(c, x);
  int32_t axis;
  const int64_t p = ox_int(c, "p", 2);
  TRY(from_axis(c, &s, &axis));
  OX_FAIL_IF(p != 1 && p != 2, c, "has the norm of order %" PRId64 "; want 1 or 2", p);
  return ox_end(c, compose_lp_normalize(&k, x, axis, axis + 1, (int)p), t);
}

bool ox_import_lrn(OxCall *c) {
  const Compose k = ox_compose(c);
  DType t;
  ValId x = ox_work_float(c, 0, &t);
  TRY(x != NO_VAL);
  const int64_t size = ox_int(c, "size", 0);
  const float alpha = ox_float(c, "alpha", 0.0001f), beta = ox_float(c, "beta", 0.75f);
  OX_FAIL_IF(ox_shape(c, x).rank < 2 || size < 1 || size > INT32_MAX, c,
             "goes over %" PRId64 " channels of %" PRId32 " dimensions; want [N,C,...] and at least 1", size,
             ox_shape(c, x).rank);
  x = compose_cast(&k, x, DT_F32);
  return ox_end(c, compose_lrn(&k, x, (int32_t)size, alpha, beta, ox_float(c, "bias", 1)), t);
}

/* (x - mean) / (sqrt(variance) + 1e-9) over axes that are any; 0, 2, 3 where none are given. */
bool ox_import_mean_variance_normalization(OxCall *c) {
  const Compose k = ox_compose(c);
  DType t;
  Ints axes = {3, {0, 2, 3}}, given;
  ValId x = ox_work_float(c, 0, &t);
  TRY(x != NO_VAL);
  const Shape s = ox_shape(c, x);
  if (ox_ints(c, "axes", &given)) axes = given;
  reduce_mean_attrs a = {.keepdims = 1};
  bool reduced[MAX_RANK] = {false};
  for (int32_t i = 0, axis; i < axes.n; i++) {
    TRY(ox_axis(c, axes.v[i], s.rank, &axis));
    OX_FAIL_IF(s.d[axis] == DIM_BATCH, c, "goes along the symbolic batch (axis 0)");
    reduced[axis] = true;
  }
  for (int32_t i = 0; i < s.rank; i++)
    if (reduced[i]) a.axes.v[a.axes.n++] = i;
  OX_FAIL_IF(a.axes.n == 0, c, "goes over no axes");
  x = compose_cast(&k, x, DT_F32);
  ValId off = compose_2(&k, OP_sub, x, compose_1(&k, OP_reduce_mean, &a, x));
  ValId variance = compose_1(&k, OP_reduce_mean, &a, compose_2(&k, OP_mul, off, off));
  ValId deviation = compose_with(&k, OP_add, compose_1(&k, OP_sqrt, NULL, variance), 1e-9);
  return ox_end(c, compose_2(&k, OP_div, off, deviation), t);
}
