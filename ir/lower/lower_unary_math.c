/* Lowering of Abs to Elu: kernel NAME_DTYPE over rows. */
#include "ir/lower/lower_util.h"

static bool lower_function(const Graph *g, const Node *n, const char *name, float p, Calls *out) {
  return lower_unary_plain(g, n, name, p, 0, out);
}

bool lower_elu(const Graph *g, const Node *n, Calls *out, Diag *d) {
  (void)d;
  return lower_function(g, n, "elu", CATTRS(n, elu)->alpha, out);
}

bool lower_abs(const Graph *g, const Node *n, Calls *out, Diag *d) {
  (void)d;
  return lower_function(g, n, "abs", 0, out);
}

bool lower_sign(const Graph *g, const Node *n, Calls *out, Diag *d) {
  (void)d;
  return lower_function(g, n, "sign", 0, out);
}

bool lower_sqrt(const Graph *g, const Node *n, Calls *out, Diag *d) {
  (void)d;
  return lower_function(g, n, "sqrt", 0, out);
}

bool lower_exp(const Graph *g, const Node *n, Calls *out, Diag *d) {
  (void)d;
  return lower_function(g, n, "exp", 0, out);
}

bool lower_log(const Graph *g, const Node *n, Calls *out, Diag *d) {
  (void)d;
  return lower_function(g, n, "log", 0, out);
}

bool lower_floor(const Graph *g, const Node *n, Calls *out, Diag *d) {
  (void)d;
  return lower_function(g, n, "floor", 0, out);
}

bool lower_ceil(const Graph *g, const Node *n, Calls *out, Diag *d) {
  (void)d;
  return lower_function(g, n, "ceil", 0, out);
}

bool lower_round(const Graph *g, const Node *n, Calls *out, Diag *d) {
  (void)d;
  return lower_function(g, n, "round", 0, out);
}

bool lower_sin(const Graph *g, const Node *n, Calls *out, Diag *d) {
  (void)d;
  return lower_function(g, n, "sin", 0, out);
}

bool lower_cos(const Graph *g, const Node *n, Calls *out, Diag *d) {
  (void)d;
  return lower_function(g, n, "cos", 0, out);
}

bool lower_tan(const Graph *g, const Node *n, Calls *out, Diag *d) {
  (void)d;
  return lower_function(g, n, "tan", 0, out);
}

bool lower_asin(const Graph *g, const Node *n, Calls *out, Diag *d) {
  (void)d;
  return lower_function(g, n, "asin", 0, out);
}

bool lower_acos(const Graph *g, const Node *n, Calls *out, Diag *d) {
  (void)d;
  return lower_function(g, n, "acos", 0, out);
}

bool lower_atan(const Graph *g, const Node *n, Calls *out, Diag *d) {
  (void)d;
  return lower_function(g, n, "atan", 0, out);
}

bool lower_sinh(const Graph *g, const Node *n, Calls *out, Diag *d) {
  (void)d;
  return lower_function(g, n, "sinh", 0, out);
}

bool lower_cosh(const Graph *g, const Node *n, Calls *out, Diag *d) {
  (void)d;
  return lower_function(g, n, "cosh", 0, out);
}

bool lower_asinh(const Graph *g, const Node *n, Calls *out, Diag *d) {
  (void)d;
  return lower_function(g, n, "asinh", 0, out);
}

bool lower_acosh(const Graph *g, const Node *n, Calls *out, Diag *d) {
  (void)d;
  return lower_function(g, n, "acosh", 0, out);
}

bool lower_atanh(const Graph *g, const Node *n, Calls *out, Diag *d) {
  (void)d;
  return lower_function(g, n, "atanh", 0, out);
}

bool lower_erf(const Graph *g, const Node *n, Calls *out, Diag *d) {
  (void)d;
  return lower_function(g, n, "erf", 0, out);
}

bool lower_softplus(const Graph *g, const Node *n, Calls *out, Diag *d) {
  (void)d;
  return lower_function(g, n, "softplus", 0, out);
}
