/* Softmax inside a network (a final one is cut off: losses work on logits), and ReduceMean.
 *
 *   softmax: y = exp(beta (x - max)) / sum along axis;  dx = beta y (dy - sum(dy y))
 *   mean over axes: y = sum x / count;                  dx = dy / count, repeated
 */
#include "runtime/engine/op_call.h"

#include <math.h>

/* -- Softmax: items are [outer, n, inner] -- */

typedef struct Axis {
  int64_t outer, n, inner;
} Axis;

static int softmax_axis(const Session *s, const Node *n) {
  int axis = CATTRS(n, softmax)->axis;
  return axis < 0 ? axis + s->g->vals[n->in[0]].shape.rank : axis;
}

static Axis axis_of(const OpCall *c) {
  const Shape *x = in_shape(c, 0);
  int axis = softmax_axis(c->s, c->n);
  bool batched = in_val(c, 0)->batched;
  return (Axis){items(c) * shape_count_range(x, batched ? 1 : 0, axis), x->d[axis],
                shape_count_range(x, axis + 1, x->rank)};
}

bool plan_softmax(OpPlan *p, Diag *d) {
  if (p->s->vals[p->st->out].batched && softmax_axis(p->s, p->n) == 0)
    return plan_fail(p, d, "the engine does not normalise over the batch");
  return true;
}

void fwd_softmax(const OpCall *c) {
  Axis q = axis_of(c);
  float beta = CATTRS(c->n, softmax)->beta;
  const float *x = in_x(c, 0);
  float *y = out_x(c);
  for (int64_t o = 0; o < q.outer; o++, x += q.n * q.inner, y += q.n * q.inner)
    for (int64_t i = 0; i < q.inner; i++) {
      float top = x[i], sum = 0;
      for (int64_t k = 1; k < q.n; k++) top = x[k * q.inner + i] > top ? x[k * q.inner + i] : top;
      for (int64_t k = 0; k < q.n; k++) sum += y[k * q.inner + i] = expf(beta * (x[k * q.inner + i] - top));
      for (int64_t k = 0; k < q.n; k++) y[k * q.inner + i] /= sum;
    }
}

void bwd_softmax(const OpCall *c) {
  Axis q = axis_of(c);
  float beta = CATTRS(c->n, softmax)->beta;
  const float *y = out_x(c), *dy = out_dx(c);
  float *dx = in_dx(c, 0);
  if (!dx) return;
  bool add = in_add(c, 0);
  int64_t block = q.n * q.inner;
  for (int64_t o = 0; o < q.outer; o++, dx += block, y += block, dy += block)
    for (int64_t i = 0; i < q.inner; i++) {
      float dot = 0;
      for (int64_t k = i; k < block; k += q.inner) dot += y[k] * dy[k];
      for (int64_t k = i; k < block; k += q.inner) dx[k] = (add ? dx[k] : 0) + beta * y[k] * (dy[k] - dot);
    }
}

/* -- ReduceMean -- */

/* The item's axes with the output's stride along each (0: reduced). */
typedef struct Mean {
  int rank;
  int64_t dims[MAX_RANK], out[MAX_RANK];
  int64_t in_item, out_item;
  float factor;
} Mean;

static bool reduced(const reduce_mean_attrs *a, int rank, int axis) {
  for (int i = 0; i < a->axes.n; i++)
    if (a->axes.v[i] == axis || a->axes.v[i] + rank == axis) return true;
  return false;
}

static Mean mean_of(const OpCall *c) {
  const reduce_mean_attrs *a = CATTRS(c->n, reduce_mean);
  const Shape *x = in_shape(c, 0);
  Mean m = {.in_item = in_val(c, 0)->item, .out_item = 1};
  int skip = in_val(c, 0)->batched ? 1 : 0;
  m.rank = x->rank - skip;
  for (int i = m.rank - 1; i >= 0; i--) {
    bool gone = reduced(a, x->rank, i + skip);
    m.dims[i] = x->d[i + skip];
    m.out[i] = gone ? 0 : m.out_item;
    if (!gone) m.out_item *= m.dims[i];
  }
  m.factor = 1.0f / (float)(m.in_item / m.out_item);
  return m;
}

bool plan_reduce_mean(OpPlan *p, Diag *d) {
  p->reads_in = p->reads_out = false;
  const reduce_mean_attrs *a = CATTRS(p->n, reduce_mean);
  if (p->s->vals[p->n->in[0]].batched && reduced(a, p->s->g->vals[p->n->in[0]].shape.rank, 0))
    return plan_fail(p, d, "the engine does not average over the batch");
  return true;
}

/* Run number i of the innermost axis: its place in the output. */
static int64_t mean_at(const Mean *m, int64_t i) {
  int64_t at = 0;
  for (int j = m->rank - 2; j >= 0; j--) {
    at += i % m->dims[j] * m->out[j];
    i /= m->dims[j];
  }
  return at;
}

static int64_t inner_run(const Mean *m) { return m->rank ? m->dims[m->rank - 1] : 1; }

static void mean_sum(const Mean *m, const float *restrict x, float *restrict y) {
  int64_t n = inner_run(m), step = m->rank ? m->out[m->rank - 1] : 0;
  for (int64_t r = 0; r < m->in_item / n; r++, x += n) {
    float *restrict dst = y + mean_at(m, r);
    if (step)
      for (int64_t i = 0; i < n; i++) dst[i] += x[i];
    else
      for (int64_t i = 0; i < n; i++) *dst += x[i];
  }
}

void fwd_reduce_mean(const OpCall *c) {
  Mean m = mean_of(c);
  const float *x = in_x(c, 0);
  float *y = out_x(c);
  vec_zero(y, items(c) * m.out_item);
  for (int64_t i = 0; i < items(c); i++) {
    mean_sum(&m, x + i * m.in_item, y + i * m.out_item);
    for (int64_t k = 0; k < m.out_item; k++) y[i * m.out_item + k] *= m.factor;
  }
}

void bwd_reduce_mean(const OpCall *c) {
  Mean m = mean_of(c);
  const float *dy = out_dx(c);
  float *dx = in_dx(c, 0);
  if (!dx) return;
  bool add = in_add(c, 0);
  int64_t n = inner_run(&m), step = m.rank ? m.out[m.rank - 1] : 0;
  for (int64_t i = 0; i < items(c); i++, dy += m.out_item)
    for (int64_t r = 0; r < m.in_item / n; r++, dx += n) {
      const float *src = dy + mean_at(&m, r);
      for (int64_t k = 0; k < n; k++) dx[k] = (add ? dx[k] : 0) + src[k * step] * m.factor;
    }
}
