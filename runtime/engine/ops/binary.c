/* Add, Sub, Mul, Div, Max, Min, Pow, training, with NumPy broadcasting and a fused activation.
 *
 * The output's item is walked as outer axes and one inner run, along which each operand either advances or stands
 * still. One body serves all: a row gives the value and the two partial derivatives as C expressions in a and b.
 * Gradients of a broadcast operand are summed over the axes it was repeated along.
 */
#include "runtime/engine/op_call.h"

#include <math.h>

/* Axes of the output's item, innermost last; strides in floats, 0 where the operand is repeated. */
typedef struct Walk {
  int rank;
  int64_t dims[MAX_RANK], stride[2][MAX_RANK];
  int64_t inner, step[2]; /* the innermost run and each operand's step (0 or 1) along it */
  int64_t outer;
} Walk;

/* Strides of operand k, right-aligned to the output's item. */
static void operand_strides(const Session *s, const Node *n, uint32_t k, Walk *w) {
  int64_t dims[MAX_RANK], run = 1;
  int rank = item_dims(s, n->in[k], dims);
  for (int i = w->rank - 1; i >= 0; i--) {
    int at = rank - (w->rank - i);
    bool repeated = at < 0 || dims[at] == 1;
    w->stride[k][i] = repeated ? 0 : run;
    if (at >= 0) run *= dims[at];
  }
}

/* Neighbouring axes that both operands walk as one become one. */
static void merge_axes(Walk *w) {
  int r = 0;
  for (int i = 0; i < w->rank; i++) {
    int64_t dim = w->dims[i];
    if (dim == 1) continue;
    bool joined = r > 0;
    for (int k = 0; k < 2 && joined; k++) joined = w->stride[k][r - 1] == w->stride[k][i] * dim;
    if (!joined) w->dims[r++] = 1;
    w->dims[r - 1] *= dim;
    for (int k = 0; k < 2; k++) w->stride[k][r - 1] = w->stride[k][i];
  }
  w->rank = r;
}

static Walk walk_of(const Session *s, const Node *n) {
  Walk w = {0};
  w.rank = item_dims(s, n->out[0], w.dims);
  operand_strides(s, n, 0, &w);
  operand_strides(s, n, 1, &w);
  merge_axes(&w);
  w.inner = 1;
  if (w.rank) {
    w.rank--;
    w.inner = w.dims[w.rank];
    w.step[0] = w.stride[0][w.rank];
    w.step[1] = w.stride[1][w.rank];
  }
  w.outer = 1;
  for (int i = 0; i < w.rank; i++) w.outer *= w.dims[i];
  return w;
}

static void walk_at(const Walk *w, int64_t i, int64_t *a, int64_t *b) {
  *a = *b = 0;
  for (int j = w->rank - 1; j >= 0; j--) {
    int64_t at = i % w->dims[j];
    i /= w->dims[j];
    *a += at * w->stride[0][j];
    *b += at * w->stride[1][j];
  }
}

static bool plan_binary(OpPlan *p, Diag *d) {
  const SVal *v = p->s->vals;
  int rank = p->s->g->vals[p->n->out[0]].shape.rank;
  for (int k = 0; k < 2 && v[p->st->out].batched; k++) {
    const Shape *x = &p->s->g->vals[p->n->in[k]].shape;
    if (v[p->n->in[k]].batched && x->rank != rank)
      return plan_fail(p, d, "the engine wants batched operands of the output's rank");
    if (!v[p->n->in[k]].batched && x->rank == rank && x->d[0] != 1)
      return plan_fail(
          p, d, "the engine wants operands that repeat over the batch to have 1 as their first dimension");
  }
  p->scratch = act_scratch(p->st->act, v[p->st->out].item);
  p->reads_in = p->n->op != OP_add && p->n->op != OP_sub;
  p->reads_out = p->st->act != ACT_NONE;
  return true;
}

typedef void RunFn(const float *a, int64_t sa, const float *b, int64_t sb, float *y, int64_t n);
/* g: gradient at the output; adds the operand's gradient to d (step sd). */
typedef void BackFn(const float *a, int64_t sa, const float *b, int64_t sb, const float *g, float *d,
                    int64_t sd, int64_t n);

static int64_t item_step(const OpCall *c, uint32_t k) {
  return in_val(c, k)->batched ? in_val(c, k)->item : 0;
}

/* Both operands advance together through the whole item. */
static bool alike(const Walk *w) { return w->outer == 1 && w->step[0] == 1 && w->step[1] == 1; }

/* Add of equal shapes, all examples of the tile as one run. */
static bool add_alike(const OpCall *c, const Walk *w) {
  return c->n->op == OP_add && alike(w) && in_val(c, 0)->batched == in_val(c, 1)->batched;
}

static void forward(const OpCall *c, RunFn *run) {
  Walk w = walk_of(c->s, c->n);
  float *y = out_x(c), lo, hi;
  act_limits(c->st->act, &lo, &hi);
  if (add_alike(c, &w)) {
    c->s->k->add(in_x(c, 0), in_x(c, 1), lo, hi, items(c) * w.inner, y);
    return;
  }
  for (int64_t i = 0; i < items(c); i++) {
    const float *a = in_x(c, 0) + i * item_step(c, 0), *b = in_x(c, 1) + i * item_step(c, 1);
    for (int64_t j = 0; j < w.outer; j++) {
      int64_t oa, ob;
      walk_at(&w, j, &oa, &ob);
      run(a + oa, w.step[0], b + ob, w.step[1], y + j * w.inner, w.inner);
    }
    act_apply(c->st->act, y, w.outer * w.inner);
    y += w.outer * w.inner;
  }
}

/* Gradient of operand k of an Add of equal shapes: dy inside the limits. */
static void add_back(const OpCall *c, uint32_t k, int64_t n) {
  float lo, hi, *d = in_dx(c, k);
  act_limits(c->st->act, &lo, &hi);
  if (c->st->act == ACT_NONE)
    vec_put(d, out_dx(c), n, in_add(c, k));
  else if (k == 1 && in_dx(c, 0) && !in_add(c, 0) && d != in_dx(c, 0))
    vec_put(d, in_dx(c, 0), n, in_add(c, k));
  else
    c->s->k->mask(out_x(c), out_dx(c), lo, hi, n, in_add(c, k), d);
}

static void backward(const OpCall *c, BackFn *const back[2]) {
  Walk w = walk_of(c->s, c->n);
  int64_t out = w.outer * w.inner;
  for (uint32_t k = 0; k < 2; k++) {
    float *d = in_dx(c, k);
    if (!d) continue;
    if (add_alike(c, &w)) {
      add_back(c, k, items(c) * out);
      continue;
    }
    const float *y = out_x(c), *dy = out_dx(c);
    if (!in_add(c, k)) vec_zero(d, in_val(c, k)->item * (in_val(c, k)->batched ? items(c) : 1));
    for (int64_t i = 0; i < items(c); i++, y += out, dy += out) {
      const float *a = in_x(c, 0) + i * item_step(c, 0), *b = in_x(c, 1) + i * item_step(c, 1);
      const float *g = act_mask(c, y, dy, out, c->scratch);
      for (int64_t j = 0; j < w.outer; j++) {
        int64_t at[2];
        walk_at(&w, j, &at[0], &at[1]);
        back[k](a + at[0], w.step[0], b + at[1], w.step[1], g + j * w.inner, d + i * item_step(c, k) + at[k],
                w.step[k], w.inner);
      }
    }
  }
}

/* Of the gradient of max(a, b), what goes to a: equal ones share it. */
static float share(float a, float b) { return a > b ? 1.0f : a == b ? 0.5f : 0.0f; }

/* ident, value, derivative by a, derivative by b (each times the gradient g) */
#define BINARY_ROWS(R)                                    \
  R(add, A + B, G, G)                                     \
  R(sub, A - B, G, -G)                                    \
  R(mul, A *B, G *B, G *A)                                \
  R(div, A / B, G / B, -G * A / (B * B))                  \
  R(max, A > B ? A : B, G * share(A, B), G * share(B, A)) \
  R(min, A < B ? A : B, G * share(B, A), G * share(A, B)) \
  R(pow, powf(A, B), G *B *powf(A, B - 1), A > 0 ? G * powf(A, B) * logf(A) : 0)

#define A a[i * sa]
#define B b[i * sb]
#define G g[i]

#define DEFINE(ident, value, by_a, by_b)                                                               \
  static void run_##ident(const float *restrict a, int64_t sa, const float *restrict b, int64_t sb,    \
                          float *restrict y, int64_t n) {                                              \
    for (int64_t i = 0; i < n; i++) y[i] = value;                                                      \
  }                                                                                                    \
  static void back_a_##ident(const float *restrict a, int64_t sa, const float *restrict b, int64_t sb, \
                             const float *restrict g, float *restrict d, int64_t sd, int64_t n) {      \
    (void)a, (void)sa, (void)b, (void)sb;                                                              \
    for (int64_t i = 0; i < n; i++) d[i * sd] += by_a;                                                 \
  }                                                                                                    \
  static void back_b_##ident(const float *restrict a, int64_t sa, const float *restrict b, int64_t sb, \
                             const float *restrict g, float *restrict d, int64_t sd, int64_t n) {      \
    (void)a, (void)sa, (void)b, (void)sb;                                                              \
    for (int64_t i = 0; i < n; i++) d[i * sd] += by_b;                                                 \
  }                                                                                                    \
  bool plan_##ident(OpPlan *p, Diag *d) { return plan_binary(p, d); }                                  \
  void fwd_##ident(const OpCall *c) { forward(c, run_##ident); }                                       \
  void bwd_##ident(const OpCall *c) { backward(c, (BackFn *const[]){back_a_##ident, back_b_##ident}); }

BINARY_ROWS(DEFINE)
