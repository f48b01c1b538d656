/* ONNX activation functions: compositions of ir/compose, on floats of 16 to 64 bits; PRelu on integers too.
 * Source: ONNX operator schemas, opsets 6 to 24.
 */
#include "frontend/onnx/onnx_op.h"

/* A call under way: its compositions, its input in the work type, its own type. */
typedef struct Input {
  Compose k;
  ValId x;
  DType t;
} Input;

static bool begin(OxCall *c, Input *in) {
  in->k = ox_compose(c);
  in->x = ox_work_float(c, 0, &in->t);
  return in->x != NO_VAL;
}

bool ox_import_reciprocal(OxCall *c) {
  Input in;
  return begin(c, &in) && ox_end(c, compose_reciprocal(&in.k, in.x), in.t);
}

bool ox_import_leaky_relu(OxCall *c) {
  Input in;
  const leaky_relu_attrs a = {.alpha = ox_float(c, "alpha", 0.01f)};
  return begin(c, &in) && ox_end(c, compose_1(&in.k, OP_leaky_relu, &a, in.x), in.t);
}

bool ox_import_elu(OxCall *c) {
  Input in;
  const elu_attrs a = {.alpha = ox_float(c, "alpha", 1)};
  return begin(c, &in) && ox_end(c, compose_1(&in.k, OP_elu, &a, in.x), in.t);
}

bool ox_import_selu(OxCall *c) {
  Input in;
  const float alpha = ox_float(c, "alpha", 1.67326319217681884765625f);
  const float gamma = ox_float(c, "gamma", 1.05070102214813232421875f);
  return begin(c, &in) && ox_end(c, compose_selu(&in.k, in.x, alpha, gamma), in.t);
}

bool ox_import_celu(OxCall *c) {
  Input in;
  const float alpha = ox_float(c, "alpha", 1);
  OX_FAIL_IF(alpha == 0, c, "has alpha 0, by which it divides");
  return begin(c, &in) && ox_end(c, compose_celu(&in.k, in.x, alpha), in.t);
}

bool ox_import_gelu(OxCall *c) {
  Input in;
  const bool by_tanh = ox_string_is(c, "approximate", "tanh", false);
  return begin(c, &in) && ox_end(c, compose_gelu(&in.k, in.x, by_tanh), in.t);
}

bool ox_import_hard_sigmoid(OxCall *c) {
  Input in;
  const float alpha = ox_float(c, "alpha", 0.2f), beta = ox_float(c, "beta", 0.5f);
  return begin(c, &in) && ox_end(c, compose_hard_sigmoid(&in.k, in.x, alpha, beta), in.t);
}

bool ox_import_hard_swish(OxCall *c) {
  Input in;
  return begin(c, &in) && ox_end(c, compose_hard_swish(&in.k, in.x), in.t);
}

bool ox_import_swish(OxCall *c) {
  Input in;
  return begin(c, &in) && ox_end(c, compose_swish(&in.k, in.x, ox_float(c, "alpha", 1)), in.t);
}

bool ox_import_mish(OxCall *c) {
  Input in;
  return begin(c, &in) && ox_end(c, compose_mish(&in.k, in.x), in.t);
}

bool ox_import_softsign(OxCall *c) {
  Input in;
  return begin(c, &in) && ox_end(c, compose_softsign(&in.k, in.x), in.t);
}

bool ox_import_thresholded_relu(OxCall *c) {
  Input in;
  return begin(c, &in) && ox_end(c, compose_thresholded_relu(&in.k, in.x, ox_float(c, "alpha", 1)), in.t);
}

/* Integers go by float64 and are truncated. */
bool ox_import_shrink(OxCall *c) {
  const Compose k = ox_compose(c);
  const float lambda = ox_float(c, "lambd", 0.5f), bias = ox_float(c, "bias", 0);
  DType t;
  ValId x = ox_work(c, 0, &t);
  TRY(x != NO_VAL);
  if (dtype_is_int(t)) x = compose_cast(&k, x, DT_F64);
  return ox_end(c, compose_shrink(&k, x, lambda, bias), t);
}

/* The slope broadcasts to x, never x to the slope. Before opset 7 one slope per channel stood along axis 1. */
bool ox_import_prelu(OxCall *c) {
  const Compose k = ox_compose(c);
  DType t;
  ValId x = ox_work(c, 0, &t), slope = ox_work(c, 1, NULL);
  TRY(x != NO_VAL && slope != NO_VAL);
  const Shape s = ox_shape(c, x), own = ox_shape(c, slope);
  if (c->m->opset < 7 && own.rank == 1 && s.rank > 2 && own.d[0] == s.d[1]) {
    Shape to = {.rank = s.rank - 1, .d = {own.d[0], 1, 1, 1, 1, 1, 1, 1}};
    slope = compose_reshape(&k, slope, &to);
  }
  return ox_end(c, compose_prelu(&k, x, slope), t);
}
