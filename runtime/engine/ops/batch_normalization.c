/* BatchNormalization, training and inference: y = act(scale (x - mean) / sqrt(var + epsilon) + bias) per channel.
 *
 * Training mode takes mean and (biased) variance of the whole batch. Phase 0 makes each shard's (count, mean, M2): an
 * image's mean, then the squares around it while the image is in cache, merged in double (Chan, Golub, LeVeque 1979).
 * Phase 1 merges the shards in order, every shard for itself, and writes y = x * a + b. Running statistics move by
 * `bn_momentum` towards the batch's, the variance unbiased (as PyTorch).
 * Backward, phase 0: sums of dy and dy (x - mean); phase 1: dx = a dy + p x + q with p, q from those sums.
 * Items are [outer, C, inner]. With inner == 1 (channels innermost) the loops are the session's kernels, which take a
 * fused activation's gradient from x * a + b again instead of reading y.
 */
#include "runtime/engine/op_call.h"

#include <math.h>

typedef struct Geometry {
  int64_t outer, c, inner, item;
} Geometry;

static Geometry geometry(const Session *s, const Node *n) {
  const Shape *x = &s->g->vals[n->in[0]].shape;
  int axis = CATTRS(n, batch_normalization)->axis;
  if (axis < 0) axis += x->rank;
  Geometry q = {shape_count_range(x, 1, axis), x->d[axis], shape_count_range(x, axis + 1, x->rank), 0};
  q.item = q.outer * q.c * q.inner;
  return q;
}

/* Per shard: a, b (forward), mean, inv, p, q (backward). */
enum { S_A, S_B, S_MEAN, S_INV, S_P, S_Q, S_ROWS };

bool plan_batch_normalization(OpPlan *p, Diag *d) {
  const SVal *v = p->s->vals;
  int axis = CATTRS(p->n, batch_normalization)->axis;
  if (axis < 0) axis += p->s->g->vals[p->n->in[0]].shape.rank;
  if (!v[p->n->in[0]].batched || axis == 0) return plan_fail(p, d, "the engine wants a batched input");
  for (int i = 1; i < 5; i++)
    if (!val_is_const(p->s->g, p->n->in[i]))
      return plan_fail(p, d, "the engine wants constant scale, bias, mean and variance");
  Geometry q = geometry(p->s, p->n);
  p->fwd_phases = p->bwd_phases = 2;
  p->reads_out = false;
  p->state = S_ROWS * q.c;
  p->parts = 1 + 2 * q.c;
  p->scratch = 2 * q.c;
  return true;
}

static float *row(const OpCall *c, int which, const Geometry *q) { return shard_state(c) + which * q->c; }

/* -- loops over an item whose channels are not innermost: the kernels on one channel at a time -- */

static void item_sum(const OpCall *c, const Geometry *q, const float *x, float *sum) {
  if (q->inner == 1) {
    c->s->k->column_sums(x, q->outer, q->c, sum);
    return;
  }
  vec_zero(sum, q->c);
  for (int64_t r = 0; r < q->outer * q->c; r++, x += q->inner) {
    float part;
    c->s->k->column_sums(x, q->inner, 1, &part);
    sum[r % q->c] += part;
  }
}

/* Sum of (x - mean)^2. */
static void item_squares(const OpCall *c, const Geometry *q, const float *x, const float *mean, float *m2) {
  if (q->inner == 1) {
    c->s->k->column_squares(x, mean, q->outer, q->c, m2);
    return;
  }
  vec_zero(m2, q->c);
  for (int64_t r = 0; r < q->outer * q->c; r++, x += q->inner) {
    float part;
    c->s->k->column_squares(x, mean + r % q->c, q->inner, 1, &part);
    m2[r % q->c] += part;
  }
}

typedef struct Limits {
  float lo, hi;
} Limits;

static Limits limits_of(const OpCall *c) {
  Limits l;
  act_limits(c->st->act, &l.lo, &l.hi);
  return l;
}

/* y = act(x * a + b). */
static void item_affine(const OpCall *c, const Geometry *q, const float *x, float *y) {
  const float *a = row(c, S_A, q), *b = row(c, S_B, q);
  Limits l = limits_of(c);
  if (q->inner == 1) {
    c->s->k->affine(x, a, b, l.lo, l.hi, q->outer, q->c, y);
    return;
  }
  for (int64_t r = 0; r < q->outer * q->c; r++, x += q->inner, y += q->inner)
    c->s->k->affine(x, a + r % q->c, b + r % q->c, l.lo, l.hi, q->inner, 1, y);
}

/* With g the gradient before the activation: s1 = sum g; s2 = sum g (x - mean). */
static void item_products(const OpCall *c, const Geometry *q, const float *dy, const float *x, float *s1,
                          float *s2) {
  const float *a = row(c, S_A, q), *b = row(c, S_B, q), *mean = row(c, S_MEAN, q);
  Limits l = limits_of(c);
  if (q->inner == 1) {
    c->s->k->affine_sums(dy, x, a, b, mean, l.lo, l.hi, q->outer, q->c, s1, s2);
    return;
  }
  vec_zero(s1, q->c);
  vec_zero(s2, q->c);
  for (int64_t r = 0; r < q->outer * q->c; r++, x += q->inner, dy += q->inner) {
    int64_t k = r % q->c;
    float p1, p2;
    c->s->k->affine_sums(dy, x, a + k, b + k, mean + k, l.lo, l.hi, q->inner, 1, &p1, &p2);
    s1[k] += p1;
    s2[k] += p2;
  }
}

/* dx (+)= g * a + x * p + q. */
static void item_back(const OpCall *c, const Geometry *q, const float *dy, const float *x, float *dx) {
  const float *a = row(c, S_A, q), *b = row(c, S_B, q), *p1 = row(c, S_P, q), *p0 = row(c, S_Q, q);
  Limits l = limits_of(c);
  if (q->inner == 1) {
    c->s->k->affine_back(dy, x, a, b, p1, p0, l.lo, l.hi, q->outer, q->c, in_add(c, 0), dx);
    return;
  }
  for (int64_t r = 0; r < q->outer * q->c; r++, x += q->inner, dy += q->inner, dx += q->inner) {
    int64_t k = r % q->c;
    c->s->k->affine_back(dy, x, a + k, b + k, p1 + k, p0 + k, l.lo, l.hi, q->inner, 1, in_add(c, 0), dx);
  }
}

/* -- forward -- */

/* Merge (n, mean, m2) into part {count, mean[C], M2[C]}. */
static void merge(double *part, int64_t c, double n, const float *sum, const float *m2) {
  double have = part[0], all = have + n;
  for (int64_t k = 0; k < c; k++) {
    double mean = sum[k], delta = mean - part[1 + k];
    part[1 + k] += delta * n / all;
    part[1 + c + k] += m2[k] + delta * delta * have * n / all;
  }
  part[0] = all;
}

static void statistics(const OpCall *c, const Geometry *q) {
  const float *x = in_x(c, 0);
  double *part = shard_parts(c, c->shard);
  float *mean = c->scratch, *m2 = c->scratch + q->c, share = 1.0f / (float)(q->outer * q->inner);
  for (int64_t k = 0; c->first && k < 1 + 2 * q->c; k++) part[k] = 0;
  for (int64_t i = 0; i < items(c); i++, x += q->item) {
    item_sum(c, q, x, mean);
    for (int64_t k = 0; k < q->c; k++) mean[k] *= share;
    item_squares(c, q, x, mean, m2);
    merge(part, q->c, (double)(q->outer * q->inner), mean, m2);
  }
}

/* Channel k's mean and sum of squares over all shards, merged in shard order. Returns the count. */
static double whole_batch(const OpCall *c, int64_t channels, int64_t k, double *mean, double *m2) {
  double n = 0;
  *mean = *m2 = 0;
  for (int s = 0; s < c->shards; s++) {
    const double *part = shard_parts(c, s);
    double delta = part[1 + k] - *mean, all = n + part[0];
    *mean += delta * part[0] / all;
    *m2 += part[1 + channels + k] + delta * delta * n * part[0] / all;
    n = all;
  }
  return n;
}

/* The statistics in use, to mean and inv of this shard's state; shard 0 moves the running ones. */
static void settle(const OpCall *c, const Geometry *q) {
  float *mean = row(c, S_MEAN, q), *inv = row(c, S_INV, q);
  float eps = CATTRS(c->n, batch_normalization)->epsilon, m = c->s->bn_momentum;
  float *run_mean = in_val(c, 3)->x, *run_var = in_val(c, 4)->x;
  for (int64_t k = 0; k < q->c; k++) {
    if (!c->s->train) {
      mean[k] = run_mean[k];
      inv[k] = (float)(1 / sqrt((double)run_var[k] + (double)eps));
      continue;
    }
    double mu, m2, n = whole_batch(c, q->c, k, &mu, &m2);
    mean[k] = (float)mu;
    inv[k] = (float)(1 / sqrt(m2 / n + (double)eps));
    if (c->shard != 0) continue;
    run_mean[k] += m * ((float)mu - run_mean[k]);
    run_var[k] += m * ((float)(m2 / (n > 1 ? n - 1 : 1)) - run_var[k]);
  }
  const float *scale = in_x(c, 1), *bias = in_x(c, 2);
  float *a = row(c, S_A, q), *b = row(c, S_B, q);
  for (int64_t k = 0; k < q->c; k++) {
    a[k] = scale[k] * inv[k];
    b[k] = bias[k] - mean[k] * a[k];
  }
}

void fwd_batch_normalization(const OpCall *c) {
  Geometry q = geometry(c->s, c->n);
  if (norm_taken(c->s, (NodeId)(c->n - c->s->g->nodes))) return; /* the convolution before has written y */
  if (c->phase == 0) {
    if (c->s->train) statistics(c, &q);
    return;
  }
  if (c->first && !c->again) settle(c, &q);
  const float *x = in_x(c, 0);
  float *y = out_x(c);
  for (int64_t i = 0; i < items(c); i++, x += q.item, y += q.item) item_affine(c, &q, x, y);
}

/* -- backward -- */

static void gradient_sums(const OpCall *c, const Geometry *q) {
  const float *x = in_x(c, 0), *dy = out_dx(c);
  double *part = shard_parts(c, c->shard);
  float *s1 = c->scratch, *s2 = c->scratch + q->c;
  for (int64_t k = 0; c->first && k < 2 * q->c; k++) part[k] = 0;
  for (int64_t i = 0; i < items(c); i++, x += q->item, dy += q->item) {
    item_products(c, q, dy, x, s1, s2);
    for (int64_t k = 0; k < q->c; k++) {
      part[k] += s1[k];
      part[q->c + k] += s2[k];
    }
  }
}

/* Once per shard: its own share of the parameters' gradients, and p and q from the whole batch's sums. */
static void settle_back(const OpCall *c, const Geometry *q) {
  const double *own = shard_parts(c, c->shard);
  float *dscale = in_dx(c, 1), *dbias = in_dx(c, 2), *inv = row(c, S_INV, q), *mean = row(c, S_MEAN, q);
  float *a = row(c, S_A, q), *p = row(c, S_P, q), *r = row(c, S_Q, q);
  double n = (double)c->batch * (double)(q->outer * q->inner);
  for (int64_t k = 0; k < q->c; k++) {
    if (dscale) dscale[k] = (in_add(c, 1) ? dscale[k] : 0) + (float)own[q->c + k] * inv[k];
    if (dbias) dbias[k] = (in_add(c, 2) ? dbias[k] : 0) + (float)own[k];
    double s1 = 0, s2 = 0;
    for (int s = 0; s < c->shards; s++) {
      s1 += shard_parts(c, s)[k];
      s2 += shard_parts(c, s)[q->c + k];
    }
    bool batch_statistics = c->s->train; /* otherwise mean and variance are constants */
    double pk = batch_statistics ? -(double)a[k] * inv[k] * inv[k] * s2 / n : 0;
    p[k] = (float)pk;
    r[k] = batch_statistics ? (float)(-(double)a[k] * s1 / n - pk * mean[k]) : 0;
  }
}

void bwd_batch_normalization(const OpCall *c) {
  Geometry q = geometry(c->s, c->n);
  if (c->phase == 0) {
    gradient_sums(c, &q);
    return;
  }
  if (c->first) settle_back(c, &q);
  const float *x = in_x(c, 0), *dy = out_dx(c);
  float *dx = in_dx(c, 0);
  if (!dx) return;
  for (int64_t i = 0; i < items(c); i++, x += q.item, dy += q.item, dx += q.item) item_back(c, &q, dy, x, dx);
}
