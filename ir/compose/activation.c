/* Activation functions as compositions. Sources: ONNX operator schemas; TFLite reference_ops.h (HardSwish, PRelu). */
#include <math.h>

#include "ir/compose/compose.h"

static DType type_of(const Compose *c, ValId x) { return x == NO_VAL ? DT_F32 : graph_val(c->g, x)->dtype; }

ValId compose_neg(const Compose *c, ValId x) { return compose_with(c, OP_mul, x, -1); }

ValId compose_reciprocal(const Compose *c, ValId x) {
  return compose_2(c, OP_div, compose_number(c, type_of(c, x), 1), x);
}

ValId compose_hard_sigmoid(const Compose *c, ValId x, float alpha, float beta) {
  x = compose_with(c, OP_mul, x, (double)alpha);
  x = compose_with(c, OP_add, x, (double)beta);
  return compose_1(c, OP_clip, &(clip_attrs){.lo = 0, .hi = 1}, x);
}

ValId compose_hard_swish(const Compose *c, ValId x) {
  return compose_2(c, OP_mul, x, compose_hard_sigmoid(c, x, 1.0f / 6, 0.5f));
}

ValId compose_swish(const Compose *c, ValId x, float alpha) {
  ValId gate = alpha == 1 ? x : compose_with(c, OP_mul, x, (double)alpha);
  return compose_2(c, OP_mul, x, compose_1(c, OP_sigmoid, NULL, gate));
}

/* x/2 (1 + erf(x / sqrt 2)), or x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))). */
ValId compose_gelu(const Compose *c, ValId x, bool by_tanh) {
  ValId t;
  if (by_tanh) {
    ValId square = compose_2(c, OP_mul, x, x);
    ValId factor = compose_with(c, OP_add, compose_with(c, OP_mul, square, 0.044715), 1);
    t = compose_with(c, OP_mul, compose_2(c, OP_mul, x, factor), 0.79788456080286541);
    t = compose_1(c, OP_tanh, NULL, t);
  } else {
    t = compose_1(c, OP_erf, NULL, compose_with(c, OP_mul, x, 0.70710678118654757));
  }
  return compose_2(c, OP_mul, compose_with(c, OP_mul, x, 0.5), compose_with(c, OP_add, t, 1));
}

ValId compose_mish(const Compose *c, ValId x) {
  return compose_2(c, OP_mul, x, compose_1(c, OP_tanh, NULL, compose_1(c, OP_softplus, NULL, x)));
}

ValId compose_softsign(const Compose *c, ValId x) {
  return compose_2(c, OP_div, x, compose_with(c, OP_add, compose_1(c, OP_abs, NULL, x), 1));
}

ValId compose_celu(const Compose *c, ValId x, float alpha) {
  if (alpha == 1) return compose_1(c, OP_elu, &(elu_attrs){.alpha = 1}, x);
  x = compose_1(c, OP_elu, &(elu_attrs){.alpha = 1}, compose_with(c, OP_div, x, (double)alpha));
  return compose_with(c, OP_mul, x, (double)alpha);
}

ValId compose_selu(const Compose *c, ValId x, float alpha, float gamma) {
  return compose_with(c, OP_mul, compose_1(c, OP_elu, &(elu_attrs){.alpha = alpha}, x), (double)gamma);
}

ValId compose_thresholded_relu(const Compose *c, ValId x, float alpha) {
  const DType t = type_of(c, x);
  ValId above = compose_2(c, OP_less, compose_number(c, t, (double)alpha), x);
  return compose_where(c, above, x, compose_number(c, t, 0));
}

ValId compose_shrink(const Compose *c, ValId x, float lambda, float bias) {
  const DType t = type_of(c, x);
  ValId below = compose_with(c, OP_less, x, -(double)lambda);
  ValId above = compose_2(c, OP_less, compose_number(c, t, (double)lambda), x);
  ValId y = compose_where(c, above, compose_with(c, OP_sub, x, (double)bias), compose_number(c, t, 0));
  return compose_where(c, below, compose_with(c, OP_add, x, (double)bias), y);
}

/* float32: relu(x) - slope relu(-x), which can be trained; one constant slope: LeakyRelu. */
ValId compose_prelu(const Compose *c, ValId x, ValId slope) {
  if (x == NO_VAL || slope == NO_VAL) return NO_VAL;
  const Value *s = graph_val(c->g, slope);
  const DType t = type_of(c, x);
  if (t == DT_F32 && s->blob && shape_count(&s->shape) == 1 &&
      s->shape.rank <= graph_val(c->g, x)->shape.rank) {
    const float alpha = *(const float *)val_data(c->g, slope);
    if (isfinite(alpha)) return compose_1(c, OP_leaky_relu, &(leaky_relu_attrs){.alpha = alpha}, x);
  }
  if (t != DT_F32) {
    if (t == DT_U64) return compose_where(c, compose_2(c, OP_less, x, x), compose_2(c, OP_mul, x, slope), x);
    return compose_where(c, compose_with(c, OP_less, x, 0), compose_2(c, OP_mul, x, slope), x);
  }
  ValId below = compose_1(c, OP_relu, NULL, compose_neg(c, x)), above = compose_1(c, OP_relu, NULL, x);
  return compose_2(c, OP_sub, above, compose_2(c, OP_mul, below, slope));
}
