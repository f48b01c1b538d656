/* Operators that are compositions of others, for all importers: functions that append nodes to a graph.
 *
 *   const Compose c = {g, name of the result, loc, diag};   compose_X(&c, x, ...) -> the result, NO_VAL: reported
 *
 * Values on the way are called NAME:operator; who imports gives the result its own name (compose_end). An input that is
 * NO_VAL makes the result NO_VAL without a further report. Element types: those that the core operators compute on.
 */
#ifndef IR_COMPOSE_COMPOSE_H
#define IR_COMPOSE_COMPOSE_H

#include "ir/graph.h"

/* Bytes of constants that an import may make itself, beside 8 times those of the file: no small file asks for all
 * memory. */
enum { IMPORT_MADE_BYTES = 1 << 28 };
static inline int64_t import_made_most(size_t file) { return IMPORT_MADE_BYTES + 8 * (int64_t)file; }

typedef struct Compose {
  Graph *g;
  const char *name;
  const Loc *loc;
  Diag *d;
} Compose;

/* -- compose.c -- */
ValId compose_node(const Compose *c, OpKind op, const void *attrs, const ValId *in, uint32_t n_in);
ValId compose_1(const Compose *c, OpKind op, const void *attrs, ValId x);
ValId compose_2(const Compose *c, OpKind op, ValId x, ValId y);
/* x op the number v, in x's type. */
ValId compose_with(const Compose *c, OpKind op, ValId x, double v);
/* A constant number of type t (f32, f64, or an integer) and rank 0. */
ValId compose_number(const Compose *c, DType t, double v);
ValId compose_cast(const Compose *c, ValId x, DType to);
ValId compose_reshape(const Compose *c, ValId x, const Shape *to);
ValId compose_where(const Compose *c, ValId cond, ValId x, ValId y);
/* A reduction (any of the Reduce operators) of x over axes first .. last - 1, which stay with extent 1. */
ValId compose_reduce(const Compose *c, OpKind op, ValId x, int32_t first, int32_t last);
/* v under the result's own name and in type t. */
ValId compose_end(const Compose *c, ValId v, DType t);

/* -- activation.c: f32 and f64 -- */
ValId compose_neg(const Compose *c, ValId x);
ValId compose_reciprocal(const Compose *c, ValId x);
ValId compose_hard_sigmoid(const Compose *c, ValId x, float alpha,
                           float beta);                      /* clip(alpha x + beta, 0, 1) */
ValId compose_hard_swish(const Compose *c, ValId x);         /* x clip(x/6 + 1/2, 0, 1) */
ValId compose_swish(const Compose *c, ValId x, float alpha); /* x sigmoid(alpha x) */
ValId compose_gelu(const Compose *c, ValId x, bool by_tanh);
ValId compose_mish(const Compose *c, ValId x);              /* x tanh(softplus(x)) */
ValId compose_softsign(const Compose *c, ValId x);          /* x / (1 + |x|) */
ValId compose_celu(const Compose *c, ValId x, float alpha); /* alpha elu(x / alpha) */
ValId compose_selu(const Compose *c, ValId x, float alpha, float gamma);
ValId compose_thresholded_relu(const Compose *c, ValId x, float alpha);
ValId compose_shrink(const Compose *c, ValId x, float lambda, float bias);
/* x, or slope * x below 0; integers too. */
ValId compose_prelu(const Compose *c, ValId x, ValId slope);

/* -- norm.c: f32 and f64 -- */
/* log(softmax(x)) along axis. */
ValId compose_log_softmax(const Compose *c, ValId x, int32_t axis);
ValId compose_softmax(const Compose *c, ValId x, int32_t axis);
/* 1 at the first largest element along axis, else 0. */
ValId compose_hardmax(const Compose *c, ValId x, int32_t axis);
/* (x - mean) / sqrt(variance + epsilon) over axes first .. last - 1. mean, inv: NULL or where the mean and the factor go. */
ValId compose_standardize(const Compose *c, ValId x, int32_t first, int32_t last, float epsilon, ValId *mean,
                          ValId *inv);
/* x / sqrt(mean(x^2) + epsilon) over axes first .. last - 1. */
ValId compose_rms(const Compose *c, ValId x, int32_t first, int32_t last, float epsilon);
/* x * scale + bias where these are not NO_VAL; they broadcast. */
ValId compose_affine(const Compose *c, ValId x, ValId scale, ValId bias);
/* x over its norm of order p (1 or 2) along axes first .. last - 1; 0 where that is 0. */
ValId compose_lp_normalize(const Compose *c, ValId x, int32_t first, int32_t last, int p);
/* Local response: x / (bias + alpha / size * sum of x^2 over `size` channels around)^beta; x [N, C, ...] f32. */
ValId compose_lrn(const Compose *c, ValId x, int32_t size, float alpha, float beta, float bias);

#endif
