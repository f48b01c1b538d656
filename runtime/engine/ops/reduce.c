/* ReduceSum, ReduceMax and ReduceMin, and Expand, which is a sum backwards, training.
 *
 * The larger side of each (a reduction's input, Expand's output) is walked element by element with the place on the
 * smaller side beside it. Equal largest elements share the gradient, as PyTorch's amax.
 */
#include "runtime/engine/op_call.h"

#include <math.h>

/* Axes of the larger side's item, and the smaller side's stride along each (0: reduced or repeated). */
typedef struct Fold {
  int rank;
  int64_t dims[MAX_RANK], stride[MAX_RANK];
  int64_t large, small; /* elements of an item */
} Fold;

static int64_t fold_at(const Fold *f, int64_t i) {
  int64_t at = 0;
  for (int k = f->rank - 1; k >= 0; k--) {
    at += i % f->dims[k] * f->stride[k];
    i /= f->dims[k];
  }
  return at;
}

static void fold_strides(Fold *f, const bool *gone) {
  f->small = f->large = 1;
  for (int k = f->rank - 1; k >= 0; k--) {
    f->stride[k] = gone[k] ? 0 : f->small;
    if (!gone[k]) f->small *= f->dims[k];
    f->large *= f->dims[k];
  }
}

static Fold reduce_fold(const OpCall *c, const Ints *axes) {
  Fold f = {.rank = item_dims(c->s, c->n->in[0], f.dims)};
  bool gone[MAX_RANK] = {false};
  int skip = in_val(c, 0)->batched ? 1 : 0;
  for (int i = 0; i < axes->n; i++) gone[axes->v[i] - skip] = true;
  fold_strides(&f, gone);
  return f;
}

static bool plan_reduce(OpPlan *p, const Ints *axes, Diag *d) {
  for (int i = 0; i < axes->n; i++)
    if (p->s->vals[p->n->in[0]].batched && axes->v[i] == 0)
      return plan_fail(p, d, "the engine does not reduce the batch");
  p->scratch = p->s->vals[p->n->out[0]].item;
  return true;
}

bool plan_reduce_sum(OpPlan *p, Diag *d) { return plan_reduce(p, &CATTRS(p->n, reduce_sum)->axes, d); }
bool plan_reduce_max(OpPlan *p, Diag *d) { return plan_reduce(p, &CATTRS(p->n, reduce_max)->axes, d); }
bool plan_reduce_min(OpPlan *p, Diag *d) { return plan_reduce(p, &CATTRS(p->n, reduce_min)->axes, d); }

void fwd_reduce_sum(const OpCall *c) {
  Fold f = reduce_fold(c, &CATTRS(c->n, reduce_sum)->axes);
  const float *x = in_x(c, 0);
  float *y = out_x(c);
  vec_zero(y, items(c) * f.small);
  for (int64_t i = 0; i < items(c); i++, x += f.large, y += f.small)
    for (int64_t k = 0; k < f.large; k++) y[fold_at(&f, k)] += x[k];
}

/* dx (+)= dy, repeated */
void bwd_reduce_sum(const OpCall *c) {
  Fold f = reduce_fold(c, &CATTRS(c->n, reduce_sum)->axes);
  const float *dy = out_dx(c);
  float *dx = in_dx(c, 0);
  bool add = in_add(c, 0);
  for (int64_t i = 0; dx && i < items(c); i++, dx += f.large, dy += f.small)
    for (int64_t k = 0; k < f.large; k++) dx[k] = (add ? dx[k] : 0) + dy[fold_at(&f, k)];
}

/* sign -1: the smallest */
static void extreme(const OpCall *c, const Ints *axes, float sign) {
  Fold f = reduce_fold(c, axes);
  const float *x = in_x(c, 0);
  float *y = out_x(c);
  for (int64_t i = 0; i < items(c) * f.small; i++) y[i] = -sign * INFINITY;
  for (int64_t i = 0; i < items(c); i++, x += f.large, y += f.small)
    for (int64_t k = 0; k < f.large; k++) {
      float *best = &y[fold_at(&f, k)];
      if (sign * x[k] > sign * *best) *best = x[k];
    }
}

static void extreme_back(const OpCall *c, const Ints *axes) {
  Fold f = reduce_fold(c, axes);
  const float *x = in_x(c, 0), *y = out_x(c), *dy = out_dx(c);
  float *dx = in_dx(c, 0), *count = c->scratch;
  bool add = in_add(c, 0);
  for (int64_t i = 0; dx && i < items(c); i++, x += f.large, dx += f.large, y += f.small, dy += f.small) {
    vec_zero(count, f.small);
    for (int64_t k = 0; k < f.large; k++) count[fold_at(&f, k)] += x[k] == y[fold_at(&f, k)] ? 1.0f : 0.0f;
    for (int64_t k = 0; k < f.large; k++) {
      int64_t at = fold_at(&f, k);
      dx[k] = (add ? dx[k] : 0) + (x[k] == y[at] ? dy[at] / count[at] : 0);
    }
  }
}

void fwd_reduce_max(const OpCall *c) { extreme(c, &CATTRS(c->n, reduce_max)->axes, 1); }
void bwd_reduce_max(const OpCall *c) { extreme_back(c, &CATTRS(c->n, reduce_max)->axes); }
void fwd_reduce_min(const OpCall *c) { extreme(c, &CATTRS(c->n, reduce_min)->axes, -1); }
void bwd_reduce_min(const OpCall *c) { extreme_back(c, &CATTRS(c->n, reduce_min)->axes); }

/* -- Expand -- */

bool plan_expand(OpPlan *p, Diag *d) {
  const Shape *x = &p->s->g->vals[p->n->in[0]].shape, *y = &p->s->g->vals[p->n->out[0]].shape;
  if (p->s->vals[p->n->in[0]].batched != p->s->vals[p->n->out[0]].batched ||
      (p->s->vals[p->n->in[0]].batched && x->rank != y->rank))
    return plan_fail(p, d, "the engine does not repeat along the batch");
  return true;
}

static Fold expand_fold(const OpCall *c) {
  int64_t x[MAX_RANK];
  Fold f = {.rank = item_dims(c->s, c->n->out[0], f.dims)};
  int rank = item_dims(c->s, c->n->in[0], x);
  bool gone[MAX_RANK];
  for (int k = 0; k < f.rank; k++) {
    int at = rank - (f.rank - k);
    gone[k] = at < 0 || x[at] != f.dims[k];
  }
  fold_strides(&f, gone);
  return f;
}

void fwd_expand(const OpCall *c) {
  Fold f = expand_fold(c);
  const float *x = in_x(c, 0);
  float *y = out_x(c);
  for (int64_t i = 0; i < items(c); i++, x += f.small, y += f.large)
    for (int64_t k = 0; k < f.large; k++) y[k] = x[fold_at(&f, k)];
}

void bwd_expand(const OpCall *c) {
  Fold f = expand_fold(c);
  const float *dy = out_dx(c);
  float *dx = in_dx(c, 0);
  if (dx && !in_add(c, 0)) vec_zero(dx, items(c) * f.small);
  for (int64_t i = 0; dx && i < items(c); i++, dx += f.small, dy += f.large)
    for (int64_t k = 0; k < f.large; k++) dx[fold_at(&f, k)] += dy[k];
}
