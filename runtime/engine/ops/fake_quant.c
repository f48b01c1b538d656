/* FakeQuant, training: values rounded to the grid of an int8 tensor, bit for bit as the int8 kernels will.
 *
 *   plain      code = round(x / s) + zero                           Quantize; weights in double, as the pass `quantize`
 *   sums       acc  = x / (a * b), an integer but for float's       Conv, DepthwiseConv, FullyConnected: a the weights'
 *              rounding of the sum; code = zero + acc * (ab / s)    steps, b the input's
 *   Add        both summands have codes: x / a and y / b
 *   mean       acc  = count * x / a
 *   bias       code = round(x / (s * a)), an int32, of which the output is s * a * code
 *   then       clamped to lo .. hi and the fused activation's limits; the output is s * (code - zero)
 *
 * acc times its factor is mf_requantize of the kernels (double-rounded 32-bit multiplier), with lowering's multipliers.
 * Gradient (straight-through, Bengio et al. 2013; Jacob et al. 2018, section 3): dy inside the range, 0 outside. That of the step s (Esser et al. 2020, arXiv:1902.08153,
 * equation 3): code - zero - v / s inside, the limit's code outside, times the attribute `grad` (1 / sqrt(elements *
 * largest code), section 2.2).
 */
#include "runtime/engine/op_call.h"

#include <math.h>

#include "ir/lower.h"
#include "runtime/kernels/requantize.h"

enum { LIKE_QUANTIZE, LIKE_SUMS, LIKE_ADD, LIKE_MEAN, LIKE_BIAS };

/* One channel's grid. */
typedef struct Grid {
  float step;
  double from; /* step of the integers in x (LIKE_ADD: a) */
  int32_t mult, shift;
  int32_t lo, hi; /* codes less the zero point */
} Grid;

typedef struct Grids {
  const fake_quant_attrs *a;
  Grid *of; /* [channels] */
  int64_t channels, inner;
  int32_t b_mult, b_shift, out_mult, out_shift; /* LIKE_ADD: of y, of the sum */
  double from_b;
  bool batched;
} Grids;

/* A learned step that left its domain is taken as the least one. */
static float step_at(const float *s, int64_t n, int64_t channel) {
  float v = s[n > 1 ? channel : 0];
  return v > 1e-12f ? v : 1e-12f;
}

static const float *steps_of(const OpCall *c, uint32_t k, int64_t *n) {
  *n = has_in(c, k) ? in_val(c, k)->item : 1;
  return has_in(c, k) ? in_x(c, k) : NULL;
}

/* The axis among the item's, and how many elements one index of it has. */
static void find_axis(const OpCall *c, Grids *g) {
  const Shape *x = in_shape(c, 0);
  int axis = g->a->axis < 0 ? x->rank - 1 : g->a->axis;
  g->channels = x->rank ? x->d[axis] : 1;
  g->inner = x->rank ? shape_count_range(x, axis + 1, x->rank) : 1;
}

/* mean_multiplier of lowering: the factor without the count, which is divided out of the multiplier. */
static void mean_factor(int32_t count, Grid *g) {
  int log2 = 0;
  while (count >> (log2 + 1)) log2++;
  if (log2 > 31 + g->shift) log2 = 31 + g->shift;
  g->mult = (int32_t)(((int64_t)g->mult << log2) / count);
  g->shift -= log2;
}

static void add_factors(const OpCall *c, Grids *g) {
  const float a = step_at(in_x(c, 2), 1, 0), b = step_at(in_x(c, 3), 1, 0), twice = 2 * fmaxf(a, b);
  quantize_multiplier((double)a / (double)twice, &g->of->mult, &g->of->shift);
  quantize_multiplier((double)b / (double)twice, &g->b_mult, &g->b_shift);
  quantize_multiplier((double)twice / ((double)(1 << 20) * (double)g->of->step), &g->out_mult, &g->out_shift);
  g->from_b = (double)b;
}

static void grid_of(const OpCall *c, const Grids *g, int64_t channel, Grid *out) {
  const fake_quant_attrs *a = g->a;
  int64_t n, na, nb;
  const float *s = steps_of(c, 1, &n), *sa = steps_of(c, 2, &na), *sb = steps_of(c, 3, &nb);
  int32_t lo, hi;
  out->step = s ? step_at(s, n, channel) : a->scale;
  act_range_s8(c->st->act, out->step, a->zero, &lo, &hi);
  if (c->st->act == ACT_NONE) lo = a->lo, hi = a->hi;
  out->lo = (lo > a->lo ? lo : a->lo) - a->zero;
  out->hi = (hi < a->hi ? hi : a->hi) - a->zero;
  if (!sa) return;
  double first = (double)step_at(sa, na, channel);
  if (a->like == LIKE_BIAS) {
    out->from = (double)out->step * first;
    return;
  }
  out->from = a->like == LIKE_SUMS   ? first * (double)step_at(sb, nb, channel)
              : a->like == LIKE_MEAN ? first / a->count
                                     : first;
  quantize_multiplier((a->like == LIKE_MEAN ? first : out->from) / (double)out->step, &out->mult,
                      &out->shift);
  if (a->like == LIKE_MEAN) mean_factor(a->count, out);
}

/* All channels' grids, in the scratch memory; one where they are alike. */
static Grids grids_of(const OpCall *c) {
  Grids g = {.a = CATTRS(c->n, fake_quant), .of = (void *)c->scratch, .batched = out_val(c)->batched};
  find_axis(c, &g);
  bool each = false;
  for (uint32_t k = 1; k < 4; k++) each = each || (has_in(c, k) && in_val(c, k)->item > 1);
  if (!each) g.channels = 1, g.inner = INT64_MAX;
  for (int64_t i = 0; i < g.channels; i++) grid_of(c, &g, i, &g.of[i]);
  if (g.a->like == LIKE_ADD) add_factors(c, &g);
  return g;
}

/* Walks along the elements: the grid of the one it stands at. */
typedef struct Cursor {
  const Grid *q, *first, *end;
  int64_t inner, left;
} Cursor;

static Cursor cursor_at_begin(const Grids *g) {
  return (Cursor){g->of, g->of, g->of + g->channels, g->inner, g->inner};
}

static inline void cursor_next(Cursor *c) {
  if (--c->left > 0) return;
  c->left = c->inner;
  if (++c->q == c->end) c->q = c->first;
}

/* Halves away from zero; exact for what was a float. */
static inline int32_t nearest(double v) {
  if (!(v > -2147483647.0)) return -INT32_MAX;
  return v >= 2147483647.0 ? INT32_MAX : (int32_t)(v + (v < 0 ? -0.5 : 0.5));
}

static inline int32_t scaled(double v, int32_t mult, int32_t shift) {
  return mf_requantize(mf_shift_left(nearest(v), 20), mult, shift);
}

/* The code less the zero point, not clamped. */
static inline int32_t code_of(const Grids *g, const Grid *q, float x, float y) {
  switch (g->a->like) {
  case LIKE_SUMS:
  case LIKE_MEAN: return mf_requantize(nearest((double)x / q->from), q->mult, q->shift);
  case LIKE_ADD:
    return mf_requantize(scaled((double)x / q->from, q->mult, q->shift) +
                             scaled((double)y / g->from_b, g->b_mult, g->b_shift),
                         g->out_mult, g->out_shift);
  case LIKE_BIAS: return nearest(round((double)x / q->from));
  default: return nearest(g->batched ? (double)(x / q->step) : round((double)x / (double)q->step));
  }
}

bool plan_fake_quant(OpPlan *p, Diag *d) {
  const fake_quant_attrs *a = CATTRS(p->n, fake_quant);
  const Shape *x = &p->s->g->vals[p->n->in[0]].shape;
  int axis = a->axis < 0 ? x->rank - 1 : a->axis;
  for (uint32_t k = 1; k < p->n->n_in && k < 4; k++)
    if (p->n->in[k] != NO_VAL && p->s->vals[p->n->in[k]].batched)
      return plan_fail(p, d, "the engine wants steps that are the same for all examples");
  int64_t channels = x->rank && x->d[axis] > 0 ? x->d[axis] : 1;
  p->scratch = (channels * (int64_t)sizeof(Grid) + (int64_t)sizeof(float) - 1) / (int64_t)sizeof(float);
  return true;
}

void fwd_fake_quant(const OpCall *c) {
  Grids g = grids_of(c);
  const float *x = in_x(c, 0), *b = has_in(c, 4) ? in_x(c, 4) : NULL;
  float *y = out_x(c);
  int64_t n = items(c) * out_val(c)->item;
  Cursor at = cursor_at_begin(&g);
  for (int64_t i = 0; i < n; i++, cursor_next(&at)) {
    const Grid *q = at.q;
    int32_t code = mf_clamp(code_of(&g, q, x[i], b ? b[i] : 0), q->lo, q->hi);
    y[i] = g.a->like == LIKE_BIAS ? (float)(q->from * code) : q->step * (float)code;
  }
}

/* What a caller of code_of need not compute again: the output over its step. */
static double step_slope(const Grid *q, double u, float y) {
  if (u < q->lo - 0.5) return q->lo;
  if (u > q->hi + 0.5) return q->hi;
  return (double)y / (double)q->step - u;
}

/* Gradients of the steps, summed over this call's elements. */
static void step_gradient(const OpCall *c, const Grids *g, float *ds) {
  const float *x = in_x(c, 0), *b = has_in(c, 4) ? in_x(c, 4) : NULL, *y = out_x(c), *dy = out_dx(c);
  int64_t n = items(c) * out_val(c)->item, steps = in_val(c, 1)->item;
  if (!in_add(c, 1)) vec_zero(ds, steps);
  Cursor at = cursor_at_begin(g);
  for (int64_t i = 0; i < n; i++, cursor_next(&at)) {
    const Grid *q = at.q;
    double u = ((double)x[i] + (b ? (double)b[i] : 0)) / (double)q->step;
    ds[steps > 1 ? q - g->of : 0] += g->a->grad * dy[i] * (float)step_slope(q, u, y[i]);
  }
}

static void pass_through(const OpCall *c, const Grids *g, uint32_t k) {
  const float *x = in_x(c, 0), *b = has_in(c, 4) ? in_x(c, 4) : NULL, *dy = out_dx(c);
  float *dx = in_dx(c, k);
  bool add = in_add(c, k);
  int64_t n = items(c) * out_val(c)->item;
  Cursor at = cursor_at_begin(g);
  for (int64_t i = 0; i < n; i++, cursor_next(&at)) {
    const Grid *q = at.q;
    float u = (x[i] + (b ? b[i] : 0)) / q->step;
    bool inside = g->a->like == LIKE_BIAS || (u >= (float)q->lo - 0.5f && u <= (float)q->hi + 0.5f);
    dx[i] = (add ? dx[i] : 0) + (inside ? dy[i] : 0);
  }
}

void bwd_fake_quant(const OpCall *c) {
  Grids g = grids_of(c);
  for (uint32_t k = 0; k < c->n->n_in; k++) {
    float *dx = in_dx(c, k);
    if (!dx) continue;
    if (k == 0 || k == 4)
      pass_through(c, &g, k);
    else if (k == 1 && g.a->learn)
      step_gradient(c, &g, dx);
    else if (!in_add(c, k)) /* steps of inputs say where the grid is, not what the value is */
      vec_zero(dx, in_val(c, k)->item);
  }
}
