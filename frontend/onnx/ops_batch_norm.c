/* ONNX BatchNormalization: with constant parameters the operator of its own, which passes fold into convolutions; with
 * computed ones, of other floats, or in training mode a composition.
 *
 *   y = scale * (x - mean) / sqrt(var + epsilon) + bias     along axis 1; a vector is of one channel
 *   training (opset 14): mean and var are x's own; outputs 1 and 2: momentum * given + (1 - momentum) * own
 *
 * Source: ONNX operator schemas, opsets 6 to 15.
 */
#include "frontend/onnx/onnx_op.h"

enum { X, SCALE, BIAS, MEAN, VAR, INPUTS };

static bool training(OxCall *c, bool *on) {
  *on = c->m->opset >= 14 && ox_int(c, "training_mode", 0) != 0;
  if (!(c->m->opset < 7 && ox_int(c, "is_test", 0) == 0) && (c->m->opset >= 14 || !ox_has_output(c, 1)))
    return true;
  ox_fail(c, "is in training mode");
  diag_hint(c->m->d, "export the model for inference (model.eval())");
  return false;
}

/* Mean of x over all axes but 1, as a vector along axis 1 of x's rank. */
static ValId channel_mean(const Compose *k, ValId x) {
  const int32_t rank = graph_val(k->g, x)->shape.rank;
  reduce_mean_attrs a = {.keepdims = 1};
  for (int32_t i = 0; i < rank; i++)
    if (i != 1) a.axes.v[a.axes.n++] = i;
  return compose_1(k, OP_reduce_mean, &a, x);
}

/* The running value, [C], from what was given and x's own. */
static ValId running(OxCall *c, const Compose *k, uint32_t i, ValId own, const Shape *vector) {
  const float momentum = ox_float(c, "momentum", 0.9f);
  ValId given = compose_with(k, OP_mul, compose_cast(k, c->in[i], DT_F32), (double)momentum);
  own = compose_with(k, OP_mul, compose_reshape(k, own, vector), (double)(1 - momentum));
  return compose_cast(k, compose_2(k, OP_add, given, own), ox_type(c, c->in[i]));
}

/* x f32 of rank 2 and more. */
static ValId compute(OxCall *c, const Compose *k, ValId x, bool train) {
  const Shape s = ox_shape(c, x), vector = {1, {s.d[1]}};
  Shape along = {.rank = s.rank - 1, .d = {s.d[1], 1, 1, 1, 1, 1, 1, 1}};
  ValId in[INPUTS] = {x};
  for (uint32_t i = SCALE; i < INPUTS; i++)
    in[i] = compose_reshape(k, compose_cast(k, c->in[i], DT_F32), &along);
  if (train) {
    in[MEAN] = channel_mean(k, x);
    ValId off = compose_2(k, OP_sub, x, in[MEAN]);
    in[VAR] = channel_mean(k, compose_2(k, OP_mul, off, off));
    if (ox_has_output(c, 1)) c->out[1] = running(c, k, MEAN, in[MEAN], &vector);
    if (ox_has_output(c, 2)) c->out[2] = running(c, k, VAR, in[VAR], &vector);
  }
  ValId root =
      compose_1(k, OP_sqrt, NULL, compose_with(k, OP_add, in[VAR], (double)ox_float(c, "epsilon", 1e-5f)));
  ValId y = compose_2(k, OP_mul, compose_2(k, OP_sub, x, in[MEAN]), compose_2(k, OP_div, in[SCALE], root));
  return compose_2(k, OP_add, y, in[BIAS]);
}

bool ox_import_batch_normalization(OxCall *c) {
  const Compose k = ox_compose(c);
  bool constant = true, train;
  DType t;
  for (uint32_t i = 0; i < INPUTS; i++) {
    TRY(ox_in(c, i) != NO_VAL);
    constant = constant && (i == X || (val_is_const(c->g, c->in[i]) && ox_type(c, c->in[i]) == DT_F32));
  }
  TRY(training(c, &train));
  OX_FAIL_IF(ox_int(c, "spatial", 1) != 1, c, "has a mean per element (spatial=0), which is not supported");
  ValId x = ox_work_float(c, X, &t);
  TRY(x != NO_VAL);
  const Shape s = ox_shape(c, x);
  OX_FAIL_IF(s.rank < 1, c, "input has no axis; want [N,C,...]");
  OX_FAIL_IF(train && s.d[0] == DIM_BATCH, c, "takes the mean over the symbolic batch");
  x = compose_cast(&k, x, DT_F32);
  if (s.rank == 1) x = compose_reshape(&k, x, &(Shape){2, {s.d[0], 1}});
  if (constant && !train) {
    const batch_normalization_attrs a = {.axis = 1, .epsilon = ox_float(c, "epsilon", 1e-5f)};
    const ValId in[INPUTS] = {x, c->in[SCALE], c->in[BIAS], c->in[MEAN], c->in[VAR]};
    x = compose_node(&k, OP_batch_normalization, &a, in, INPUTS);
  } else {
    x = compute(c, &k, x, train);
  }
  return ox_end(c, compose_reshape(&k, x, &s), t);
}
