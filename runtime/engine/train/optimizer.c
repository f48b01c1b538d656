/* Optimizers: see optimizer.h for the rules. Padding between parameters in the flat arrays is never touched. */
#include "runtime/engine/train/optimizer.h"

#include <math.h>
#include <string.h>

#include "ir/base/mem.h"

static float *state(int64_t total) {
  size_t bytes = (size_t)(total ? total : 1) * sizeof(float);
  float *p = mem_alloc_aligned(bytes, 64);
  memset(p, 0, bytes);
  return p;
}

void optimizer_new(Optimizer *o, const Session *s, const OptimizerOptions *options) {
  *o = (Optimizer){.o = *options, .total = s->total};
  bool adam = options->kind == OPTIMIZER_ADAMW;
  o->first = state(s->total);
  if (adam) o->second = state(s->total);
  if (options->average <= 0) return;
  o->average = state(s->total);
  memcpy(o->average, s->params, (size_t)s->total * sizeof(float));
}

void optimizer_free(Optimizer *o) {
  mem_free(o->first);
  mem_free(o->second);
  mem_free(o->average);
  *o = (Optimizer){0};
}

/* -- ranges of parameters -- */

/* Elements [lo, hi) of one parameter. */
typedef struct Range {
  int64_t lo, hi;
  bool decay;
} Range;

typedef struct Work {
  Optimizer *o;
  Session *s;
  float lr, scale, keep; /* scale: of gradients; keep: of the average */
} Work;

/* Part `unit` of SHARDS of segment k; false: it has none, or is no parameter of this optimizer's. */
static bool range_of(const Work *w, int k, int unit, Range *r) {
  const Session *s = w->s;
  const Segment *g = &s->segments[k];
  const SVal *v = &s->vals[g->val];
  int64_t lo = s->total * unit / SHARDS, hi = s->total * (unit + 1) / SHARDS, end = g->offset + g->count;
  *r = (Range){g->offset > lo ? g->offset : lo, end < hi ? end : hi, v->decay};
  return v->param && (!w->o->only || w->o->only[k]) && r->lo < r->hi;
}

static void sum_squares(void *ctx, int unit, int thread) {
  (void)thread;
  const Work *w = ctx;
  double sum = 0;
  Range r;
  for (int k = 0; k < w->s->n_segments; k++)
    for (int64_t i = range_of(w, k, unit, &r) ? r.lo : r.hi; i < r.hi; i++)
      sum += (double)w->s->grads[i] * (double)w->s->grads[i];
  w->o->parts[unit] = sum;
}

double optimizer_squares(Optimizer *o, Session *s) {
  Work w = {.o = o, .s = s};
  threads_run(s->pool, sum_squares, &w, SHARDS);
  double sum = 0;
  for (int k = 0; k < SHARDS; k++) sum += o->parts[k];
  return sum;
}

double optimizer_norm(Optimizer *o, Session *s) { return sqrt(optimizer_squares(o, s)); }

float optimizer_clip(const OptimizerOptions *o, double norm) { /* torch.nn.utils.clip_grad_norm_ */
  double factor = o->clip > 0 ? (double)o->clip / (norm + 1e-6) : 1;
  return factor < 1 ? (float)factor : 1;
}

/* -- rules -- */

static void sgd(const Work *u, const Range *r) {
  float decay = r->decay ? u->o->o.weight_decay : 0, m = u->o->o.momentum, lr = u->lr, scale = u->scale;
  bool nesterov = u->o->o.nesterov;
  const float *restrict g = u->s->grads;
  float *restrict w = u->s->params, *restrict vel = u->o->first;
  for (int64_t i = r->lo; i < r->hi; i++) {
    float grad = scale * g[i] + decay * w[i];
    vel[i] = m * vel[i] + grad;
    w[i] -= lr * (nesterov ? grad + m * vel[i] : vel[i]);
  }
}

static void adamw(const Work *u, const Range *r) {
  const OptimizerOptions *o = &u->o->o;
  double t = (double)u->o->steps, c1 = 1 - pow((double)o->beta1, t), c2 = 1 - pow((double)o->beta2, t);
  float shrink = 1 - (r->decay ? u->lr * o->weight_decay : 0), step = (float)((double)u->lr / c1),
        root = (float)(1 / sqrt(c2)), b1 = o->beta1, b2 = o->beta2, eps = o->epsilon, scale = u->scale;
  const float *restrict g = u->s->grads;
  float *restrict w = u->s->params, *restrict m = u->o->first, *restrict v = u->o->second;
  for (int64_t i = r->lo; i < r->hi; i++) {
    float grad = scale * g[i];
    m[i] = b1 * m[i] + (1 - b1) * grad;
    v[i] = b2 * v[i] + (1 - b2) * grad * grad;
    w[i] = w[i] * shrink - step * m[i] / (sqrtf(v[i]) * root + eps);
  }
}

static void follow(const Work *u, const Range *r) {
  float keep = u->keep, *restrict a = u->o->average;
  const float *restrict w = u->s->params;
  for (int64_t i = r->lo; i < r->hi; i++) a[i] = keep * a[i] + (1 - keep) * w[i];
}

static void step_range(void *ctx, int unit, int thread) {
  (void)thread;
  const Work *w = ctx;
  Range r;
  for (int k = 0; k < w->s->n_segments; k++) {
    if (!range_of(w, k, unit, &r)) continue;
    if (w->o->o.kind == OPTIMIZER_ADAMW)
      adamw(w, &r);
    else
      sgd(w, &r);
    if (w->o->average) follow(w, &r);
  }
}

void optimizer_step(Optimizer *o, Session *s, float lr) {
  optimizer_step_scaled(o, s, lr, o->o.clip > 0 ? optimizer_clip(&o->o, optimizer_norm(o, s)) : 1);
}

void optimizer_step_scaled(Optimizer *o, Session *s, float lr, float scale) {
  ASSERT(o->total == s->total);
  Work w = {.o = o, .s = s, .lr = lr, .scale = scale};
  o->steps++;
  if (o->average) {
    double t = (double)o->steps, young = (1 + t) / (10 + t);
    w.keep = (double)o->o.average < young ? o->o.average : (float)young;
  }
  threads_run(s->pool, step_range, &w, SHARDS);
}

void optimizer_take_average(const Optimizer *o, Session *s) {
  ASSERT(o->average && o->total == s->total);
  memcpy(s->params, o->average, (size_t)s->total * sizeof(float));
}
