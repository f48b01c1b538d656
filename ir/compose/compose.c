/* What compositions share: nodes, numbers and reductions named after the result. See compose.h. */
#include "ir/compose/compose.h"

#include <string.h>

ValId compose_node(const Compose *c, OpKind op, const void *attrs, const ValId *in, uint32_t n_in) {
  for (uint32_t i = 0; i < n_in; i++)
    if (in[i] == NO_VAL) return NO_VAL; /* reported already */
  const char *name = arena_printf(c->g->arena, "%s:%s", c->name, op_info(op)->ident);
  return graph_node(c->g, op, attrs, in, n_in, name, c->loc, c->d);
}

ValId compose_1(const Compose *c, OpKind op, const void *attrs, ValId x) {
  return compose_node(c, op, attrs, &x, 1);
}

ValId compose_2(const Compose *c, OpKind op, ValId x, ValId y) {
  return compose_node(c, op, NULL, (const ValId[]){x, y}, 2);
}

ValId compose_number(const Compose *c, DType t, double v) {
  const Shape scalar = {.rank = 0};
  const float f32 = (float)v;
  const int64_t whole = dtype_is_int(t) ? (int64_t)v : 0;
  ASSERT(t == DT_F32 || t == DT_F64 || dtype_is_int(t));
  return graph_const_data(c->g, NULL, t, &scalar,
                          t == DT_F32   ? (const void *)&f32
                          : t == DT_F64 ? (const void *)&v
                                        : (const void *)&whole); /* little-endian: the low bytes come first */
}

ValId compose_with(const Compose *c, OpKind op, ValId x, double v) {
  return x == NO_VAL ? NO_VAL : compose_2(c, op, x, compose_number(c, graph_val(c->g, x)->dtype, v));
}

ValId compose_cast(const Compose *c, ValId x, DType to) {
  if (x == NO_VAL || graph_val(c->g, x)->dtype == to) return x;
  return compose_1(c, OP_cast, &(cast_attrs){.to = (int32_t)to}, x);
}

ValId compose_reshape(const Compose *c, ValId x, const Shape *to) {
  if (x == NO_VAL || shape_equal(&graph_val(c->g, x)->shape, to)) return x;
  reshape_attrs a = {.shape = {.n = to->rank}};
  memcpy(a.shape.v, to->d, sizeof to->d);
  return compose_1(c, OP_reshape, &a, x);
}

ValId compose_where(const Compose *c, ValId cond, ValId x, ValId y) {
  return compose_node(c, OP_where, NULL, (const ValId[]){cond, x, y}, 3);
}

ValId compose_reduce(const Compose *c, OpKind op, ValId x, int32_t first, int32_t last) {
  reduce_mean_attrs a = {.keepdims = 1}; /* all reductions begin so */
  for (int32_t i = first; i < last; i++) a.axes.v[a.axes.n++] = i;
  return compose_1(c, op, &a, x);
}

_Static_assert(sizeof(reduce_mean_attrs) >= sizeof(reduce_sum_attrs) &&
                   offsetof(reduce_mean_attrs, keepdims) == offsetof(reduce_max_attrs, keepdims),
               "attributes of reductions begin alike");

ValId compose_end(const Compose *c, ValId v, DType t) {
  v = compose_cast(c, v, t);
  if (v == NO_VAL) return v;
  Value *val = graph_val(c->g, v);
  const size_t n = strlen(c->name);
  if (val->def != NO_NODE && val->name && strncmp(val->name, c->name, n) == 0 && val->name[n] == ':')
    val->name = arena_strdup(c->g->arena, c->name);
  return v;
}
