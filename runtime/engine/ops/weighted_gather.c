/* WeightedGather, training: interpolation along an axis, as Resize is composed of. The places are constant; weights and
 * bias are not learned.
 */
#include "runtime/engine/op_call.h"

typedef struct Lines {
  int64_t outer, len, out, taps, inner; /* x [outer][len][inner], y [outer][out][inner] */
  const int32_t *at;
  const float *w;
} Lines;

static Lines lines_of(const OpCall *c) {
  const Shape *x = in_shape(c, 0), *w = in_shape(c, 2);
  int axis = CATTRS(c->n, weighted_gather)->axis, skip = in_val(c, 0)->batched ? 1 : 0;
  Lines l = {.len = x->d[axis], .out = w->d[0], .taps = w->d[1]};
  l.outer = shape_count_range(x, skip, axis);
  l.inner = shape_count_range(x, axis + 1, x->rank);
  l.at = val_data(c->s->g, c->n->in[1]);
  l.w = in_x(c, 2);
  return l;
}

bool plan_weighted_gather(OpPlan *p, Diag *d) {
  const SVal *v = p->s->vals;
  int axis = CATTRS(p->n, weighted_gather)->axis;
  if (v[p->n->in[0]].batched && axis == 0) return plan_fail(p, d, "the engine does not mix the batch");
  if (!val_is_const(p->s->g, p->n->in[1])) return plan_fail(p, d, "the engine wants constant places");
  for (uint32_t k = 2; k < p->n->n_in; k++)
    if (p->n->in[k] != NO_VAL && (v[p->n->in[k]].batched || v[p->n->in[k]].needs))
      return plan_fail(p, d, "the engine does not learn its weights");
  return true;
}

void fwd_weighted_gather(const OpCall *c) {
  Lines l = lines_of(c);
  const float *x = in_x(c, 0), *bias = has_in(c, 3) ? in_x(c, 3) : NULL;
  float *y = out_x(c);
  for (int64_t i = 0; i < items(c) * l.outer; i++, x += l.len * l.inner)
    for (int64_t o = 0; o < l.out; o++, y += l.inner) {
      for (int64_t k = 0; k < l.inner; k++) y[k] = bias ? bias[o] : 0;
      for (int64_t t = 0; t < l.taps; t++) {
        const float *from = x + l.at[o * l.taps + t] * l.inner;
        for (int64_t k = 0; k < l.inner; k++) y[k] += l.w[o * l.taps + t] * from[k];
      }
    }
}

void bwd_weighted_gather(const OpCall *c) {
  Lines l = lines_of(c);
  const float *dy = out_dx(c);
  float *dx = in_dx(c, 0);
  if (!dx) return;
  if (!in_add(c, 0)) vec_zero(dx, items(c) * l.outer * l.len * l.inner);
  for (int64_t i = 0; i < items(c) * l.outer; i++, dx += l.len * l.inner)
    for (int64_t o = 0; o < l.out; o++, dy += l.inner)
      for (int64_t t = 0; t < l.taps; t++) {
        float *to = dx + l.at[o * l.taps + t] * l.inner;
        for (int64_t k = 0; k < l.inner; k++) to[k] += l.w[o * l.taps + t] * dy[k];
      }
}
