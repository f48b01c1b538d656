/* See reference.h. A row of `ops` for each operator; elementwise ones are expressions of one table. */
#include "tests/engine/reference.h"

#include <check.h>
#include <math.h>

#include "ir/base/mem.h"

typedef struct Run {
  Ref *r;
  const Node *n;
  NodeId at;
  const Shape *xs, *ys; /* of input 0 and of the output */
  const double *x;
  double *y;
} Run;

static const Shape *shape_in(const Run *c, uint32_t k) { return &c->r->g->vals[c->n->in[k]].shape; }
static const double *in(const Run *c, uint32_t k) {
  return k < c->n->n_in && c->n->in[k] != NO_VAL ? c->r->v[c->n->in[k]] : NULL;
}

/* -- coordinates -- */

static void coords_of(const Shape *s, int64_t i, int64_t *at) {
  for (int k = s->rank - 1; k >= 0; k--) {
    at[k] = i % s->d[k];
    i /= s->d[k];
  }
}

static int64_t index_of(const Shape *s, const int64_t *at) {
  int64_t i = 0;
  for (int k = 0; k < s->rank; k++) i = i * s->d[k] + at[k];
  return i;
}

/* Of an operand of shape s that is broadcast to `out`: right-aligned, extents of 1 repeated. */
static int64_t broadcast_index(const Shape *s, const Shape *out, const int64_t *at) {
  int64_t i = 0;
  for (int k = 0; k < s->rank; k++) {
    int64_t c = at[out->rank - s->rank + k];
    i = i * s->d[k] + (s->d[k] == 1 ? 0 : c);
  }
  return i;
}

static double act(int32_t a, double v) {
  if (a != ACT_NONE) v = fmax(v, a == ACT_RELU_N1_TO_1 ? -1 : 0);
  if (a == ACT_RELU6) v = fmin(v, 6);
  return a == ACT_RELU_N1_TO_1 ? fmin(v, 1) : v;
}

/* -- windows -- */

static bool tap(const Shape *xs, int64_t y, int64_t x) {
  return y >= 0 && y < xs->d[1] && x >= 0 && x < xs->d[2];
}

static double pixel(const Run *c, int64_t n, int64_t y, int64_t x, int64_t ch) {
  return tap(c->xs, y, x) ? c->x[((n * c->xs->d[1] + y) * c->xs->d[2] + x) * c->xs->d[3] + ch] : 0;
}

static void ref_conv(Run *c) {
  const conv_attrs *a = CATTRS(c->n, conv);
  const Shape *w = shape_in(c, 1);
  const double *k = in(c, 1), *b = in(c, 2);
  int64_t at[4], per = c->ys->d[3] / a->group, i = 0;
  for (; i < shape_count(c->ys); i++) {
    coords_of(c->ys, i, at);
    double sum = b ? b[at[3]] : 0;
    for (int64_t ky = 0; ky < w->d[1]; ky++)
      for (int64_t kx = 0; kx < w->d[2]; kx++)
        for (int64_t ch = 0; ch < w->d[3]; ch++)
          sum += k[((at[3] * w->d[1] + ky) * w->d[2] + kx) * w->d[3] + ch] *
                 pixel(c, at[0], at[1] * a->strides.v[0] + ky * a->dilations.v[0] - a->pads.v[0],
                       at[2] * a->strides.v[1] + kx * a->dilations.v[1] - a->pads.v[1],
                       at[3] / per * w->d[3] + ch);
    c->y[i] = act(a->act, sum);
  }
}

static void ref_depthwise_conv(Run *c) {
  const depthwise_conv_attrs *a = CATTRS(c->n, depthwise_conv);
  const Shape *w = shape_in(c, 1);
  const double *k = in(c, 1), *b = in(c, 2);
  int64_t at[4], per = c->ys->d[3] / c->xs->d[3];
  for (int64_t i = 0; i < shape_count(c->ys); i++) {
    coords_of(c->ys, i, at);
    double sum = b ? b[at[3]] : 0;
    for (int64_t ky = 0; ky < w->d[1]; ky++)
      for (int64_t kx = 0; kx < w->d[2]; kx++)
        sum += k[(ky * w->d[2] + kx) * w->d[3] + at[3]] *
               pixel(c, at[0], at[1] * a->strides.v[0] + ky * a->dilations.v[0] - a->pads.v[0],
                     at[2] * a->strides.v[1] + kx * a->dilations.v[1] - a->pads.v[1], at[3] / per);
    c->y[i] = act(a->act, sum);
  }
}

static int64_t dilation(const Ints *d, int axis) { return d->n ? d->v[axis] : 1; }

static void ref_max_pool(Run *c) {
  const max_pool_attrs *a = CATTRS(c->n, max_pool);
  int64_t at[4];
  for (int64_t i = 0; i < shape_count(c->ys); i++) {
    coords_of(c->ys, i, at);
    double most = -INFINITY;
    for (int64_t ky = 0; ky < a->kernel.v[0]; ky++)
      for (int64_t kx = 0; kx < a->kernel.v[1]; kx++) {
        int64_t y = at[1] * a->strides.v[0] + ky * dilation(&a->dilations, 0) - a->pads.v[0],
                x = at[2] * a->strides.v[1] + kx * dilation(&a->dilations, 1) - a->pads.v[1];
        if (tap(c->xs, y, x)) most = fmax(most, pixel(c, at[0], y, x, at[3]));
      }
    c->y[i] = act(a->act, most);
  }
}

static void ref_average_pool(Run *c) {
  const average_pool_attrs *a = CATTRS(c->n, average_pool);
  int64_t at[4];
  for (int64_t i = 0; i < shape_count(c->ys); i++) {
    coords_of(c->ys, i, at);
    double sum = 0;
    int n = 0;
    for (int64_t ky = 0; ky < a->kernel.v[0]; ky++)
      for (int64_t kx = 0; kx < a->kernel.v[1]; kx++) {
        int64_t y = at[1] * a->strides.v[0] + ky * dilation(&a->dilations, 0) - a->pads.v[0],
                x = at[2] * a->strides.v[1] + kx * dilation(&a->dilations, 1) - a->pads.v[1];
        sum += pixel(c, at[0], y, x, at[3]);
        n += tap(c->xs, y, x) || a->count_include_pad;
      }
    c->y[i] = act(a->act, sum / n);
  }
}

static void ref_conv_transpose(Run *c) {
  const conv_transpose_attrs *a = CATTRS(c->n, conv_transpose);
  const Shape *w = shape_in(c, 1), *xs = c->xs, *ys = c->ys;
  const double *k = in(c, 1), *b = in(c, 2);
  int64_t at[4], per = ys->d[3] / a->group;
  for (int64_t i = 0; i < shape_count(ys); i++) c->y[i] = b ? b[i % ys->d[3]] : 0;
  for (int64_t i = 0; i < shape_count(xs); i++)
    for (int64_t o = 0; o < ys->d[3]; o++)
      for (int64_t t = 0; t < w->d[1] * w->d[2]; t++) {
        coords_of(xs, i, at);
        int64_t y = at[1] * a->strides.v[0] + t / w->d[2] * a->dilations.v[0] - a->pads.v[0],
                x = at[2] * a->strides.v[1] + t % w->d[2] * a->dilations.v[1] - a->pads.v[1];
        if (o / per != at[3] / w->d[3] || !tap(ys, y, x)) continue;
        c->y[((at[0] * ys->d[1] + y) * ys->d[2] + x) * ys->d[3] + o] +=
            c->x[i] * k[(o * w->d[1] * w->d[2] + t) * w->d[3] + at[3] % w->d[3]];
      }
  for (int64_t i = 0; i < shape_count(ys); i++) c->y[i] = act(a->act, c->y[i]);
}

/* -- products -- */

static void ref_fully_connected(Run *c) {
  const double *w = in(c, 1), *b = in(c, 2);
  int64_t o = shape_in(c, 1)->d[0], k = shape_in(c, 1)->d[1];
  for (int64_t i = 0; i < shape_count(c->ys); i++) {
    double sum = b ? b[i % o] : 0;
    for (int64_t j = 0; j < k; j++) sum += c->x[i / o * k + j] * w[i % o * k + j];
    c->y[i] = act(CATTRS(c->n, fully_connected)->act, sum);
  }
}

static void ref_matmul(Run *c) {
  const Shape *xs = c->xs, *ws = shape_in(c, 1);
  int64_t k = xs->d[xs->rank - 1], at[MAX_RANK];
  for (int64_t i = 0; i < shape_count(c->ys); i++) {
    coords_of(c->ys, i, at);
    int r = c->ys->rank;
    double sum = 0;
    for (int64_t j = 0; j < k; j++) {
      int64_t a[MAX_RANK], b[MAX_RANK];
      for (int q = 0; q < r; q++) a[q] = b[q] = at[q];
      a[r - 1] = j, b[r - 2] = j;
      sum += c->x[broadcast_index(xs, c->ys, a)] * in(c, 1)[broadcast_index(ws, c->ys, b)];
    }
    c->y[i] = sum;
  }
}

/* -- recurrent cells: gates z, r, n; i, o, f, g; one. States begin with zeros. -- */

static double sigma(double v) { return 1 / (1 + exp(-v)); }

/* x of gate k, unit j at time t of item n; R h of it (h NULL: 0). */
static double gate_sum(const Run *c, int64_t n, int64_t t, int64_t k, int64_t j, const double *h,
                       bool with_x) {
  const int64_t hidden = shape_in(c, 1)->d[1], all = c->xs->d[2];
  double sum = with_x ? c->x[(n * c->xs->d[1] + t) * all + k * hidden + j] : 0;
  for (int64_t i = 0; h && i < hidden; i++) sum += in(c, 1)[(k * hidden + j) * hidden + i] * h[i];
  return sum;
}

static double ref_gru_unit(const Run *c, int64_t n, int64_t t, int64_t j, const double *h) {
  const int64_t hidden = shape_in(c, 1)->d[1];
  const double z = sigma(gate_sum(c, n, t, 0, j, h, true)), r = sigma(gate_sum(c, n, t, 1, j, h, true));
  double u = 0;
  if (CATTRS(c->n, gru)->linear_before_reset)
    u = r * (gate_sum(c, n, t, 2, j, h, false) + (in(c, 3) ? in(c, 3)[j] : 0));
  for (int64_t i = 0; h && !CATTRS(c->n, gru)->linear_before_reset && i < hidden; i++)
    u += in(c, 1)[(2 * hidden + j) * hidden + i] * sigma(gate_sum(c, n, t, 1, i, h, true)) * h[i];
  return (1 - z) * tanh(gate_sum(c, n, t, 2, j, NULL, true) + u) + z * (h ? h[j] : 0);
}

static double ref_lstm_unit(const Run *c, int64_t n, int64_t t, int64_t j, const double *h, double *cell) {
  double g[4];
  for (int k = 0; k < 4; k++) g[k] = gate_sum(c, n, t, k, j, h, true);
  *cell = sigma(g[2]) * *cell + sigma(g[0]) * tanh(g[3]);
  return sigma(g[1]) * tanh(*cell);
}

static double ref_rnn_unit(const Run *c, int64_t n, int64_t t, int64_t j, const double *h) {
  const double v = gate_sum(c, n, t, 0, j, h, true);
  const int64_t act = CATTRS(c->n, rnn)->acts.v[0];
  return act == 0 ? sigma(v) : act == 1 ? tanh(v) : fmax(v, 0);
}

static void ref_cell(Run *c) {
  const OpKind op = c->n->op;
  const int64_t steps = c->xs->d[1], hidden = c->ys->d[2], states = c->ys->d[1] - steps;
  const bool reverse = op == OP_gru    ? CATTRS(c->n, gru)->reverse
                       : op == OP_lstm ? CATTRS(c->n, lstm)->reverse
                                       : CATTRS(c->n, rnn)->reverse;
  for (int64_t n = 0; n < c->ys->d[0]; n++) {
    double *y = c->y + n * c->ys->d[1] * hidden, *h = NULL, cell[16] = {0};
    ck_assert(hidden <= 16);
    for (int64_t s = 0; s < steps; s++) {
      const int64_t t = reverse ? steps - 1 - s : s;
      for (int64_t j = 0; j < hidden; j++)
        y[t * hidden + j] = op == OP_gru    ? ref_gru_unit(c, n, t, j, h)
                            : op == OP_lstm ? ref_lstm_unit(c, n, t, j, h, &cell[j])
                                            : ref_rnn_unit(c, n, t, j, h);
      h = y + t * hidden;
    }
    for (int64_t j = 0; j < hidden; j++) {
      y[steps * hidden + j] = h[j];
      if (states == 2) y[(steps + 1) * hidden + j] = cell[j];
    }
  }
}

/* -- reductions -- */

typedef enum Sum { SUM, MEAN, MOST, LEAST } Sum;

static void reduce(Run *c, const Ints *axes, Sum kind) {
  Shape kept = *c->xs;
  int64_t at[MAX_RANK], n = 1;
  for (int k = 0; k < axes->n; k++) n *= kept.d[axes->v[k]], kept.d[axes->v[k]] = 1;
  double first = kind == MOST ? -INFINITY : kind == LEAST ? INFINITY : 0;
  for (int64_t i = 0; i < shape_count(&kept); i++) c->y[i] = first;
  for (int64_t i = 0; i < shape_count(c->xs); i++) {
    coords_of(c->xs, i, at);
    for (int k = 0; k < axes->n; k++) at[axes->v[k]] = 0;
    double *y = &c->y[index_of(&kept, at)];
    *y = kind == MOST ? fmax(*y, c->x[i]) : kind == LEAST ? fmin(*y, c->x[i]) : *y + c->x[i];
  }
  for (int64_t i = 0; kind == MEAN && i < shape_count(&kept); i++) c->y[i] /= (double)n;
}

static void ref_reduce_mean(Run *c) { reduce(c, &CATTRS(c->n, reduce_mean)->axes, MEAN); }
static void ref_reduce_sum(Run *c) { reduce(c, &CATTRS(c->n, reduce_sum)->axes, SUM); }
static void ref_reduce_max(Run *c) { reduce(c, &CATTRS(c->n, reduce_max)->axes, MOST); }
static void ref_reduce_min(Run *c) { reduce(c, &CATTRS(c->n, reduce_min)->axes, LEAST); }

static void ref_batch_normalization(Run *c) {
  const batch_normalization_attrs *a = CATTRS(c->n, batch_normalization);
  int axis = a->axis;
  int64_t channels = c->xs->d[axis], each = shape_count(c->xs) / channels, at[MAX_RANK];
  for (int64_t ch = 0; ch < channels; ch++) {
    double mean = 0, var = 0;
    for (int pass = 0; pass < 3; pass++)
      for (int64_t i = 0; i < shape_count(c->xs); i++) {
        coords_of(c->xs, i, at);
        if (at[axis] != ch) continue;
        if (pass == 0) mean += c->x[i] / (double)each;
        if (pass == 1) var += (c->x[i] - mean) * (c->x[i] - mean) / (double)each;
        if (pass == 2)
          c->y[i] = (c->x[i] - (c->r->train ? mean : in(c, 3)[ch])) /
                        sqrt((c->r->train ? var : in(c, 4)[ch]) + (double)a->epsilon) * in(c, 1)[ch] +
                    in(c, 2)[ch];
      }
  }
}

static void ref_softmax(Run *c) {
  const softmax_attrs *a = CATTRS(c->n, softmax);
  int axis = a->axis < 0 ? a->axis + c->xs->rank : a->axis;
  int64_t at[MAX_RANK];
  for (int64_t i = 0; i < shape_count(c->xs); i++) {
    coords_of(c->xs, i, at);
    double sum = 0;
    for (int64_t k = 0; k < c->xs->d[axis]; k++) {
      at[axis] = k;
      sum += exp((double)a->beta * (c->x[index_of(c->xs, at)] - c->x[i]));
    }
    c->y[i] = 1 / sum;
  }
}

/* -- moves -- */

static void ref_reshape(Run *c) {
  for (int64_t i = 0; i < shape_count(c->ys); i++) c->y[i] = c->x[i];
}

static void ref_transpose(Run *c) {
  int64_t at[MAX_RANK], from[MAX_RANK];
  for (int64_t i = 0; i < shape_count(c->ys); i++) {
    coords_of(c->ys, i, at);
    for (int k = 0; k < c->ys->rank; k++) from[CATTRS(c->n, transpose)->perm.v[k]] = at[k];
    c->y[i] = c->x[index_of(c->xs, from)];
  }
}

static void ref_slice(Run *c) {
  const slice_attrs *a = CATTRS(c->n, slice);
  int64_t at[MAX_RANK];
  for (int64_t i = 0; i < shape_count(c->ys); i++) {
    coords_of(c->ys, i, at);
    for (int k = 0; k < c->ys->rank; k++) at[k] = a->starts.v[k] + at[k] * a->steps.v[k];
    c->y[i] = c->x[index_of(c->xs, at)];
  }
}

static void ref_pad(Run *c) {
  const pad_attrs *a = CATTRS(c->n, pad);
  int64_t at[MAX_RANK];
  for (int64_t i = 0; i < shape_count(c->ys); i++) c->y[i] = (double)a->value;
  for (int64_t i = 0; i < shape_count(c->xs); i++) {
    coords_of(c->xs, i, at);
    for (int k = 0; k < c->xs->rank; k++) at[k] += a->pads.v[k];
    c->y[index_of(c->ys, at)] = c->x[i];
  }
}

static void ref_concat(Run *c) {
  int axis = CATTRS(c->n, concat)->axis;
  int64_t begin = 0, at[MAX_RANK];
  for (uint32_t k = 0; k < c->n->n_in; begin += shape_in(c, k++)->d[axis])
    for (int64_t i = 0; i < shape_count(shape_in(c, k)); i++) {
      coords_of(shape_in(c, k), i, at);
      at[axis] += begin;
      c->y[index_of(c->ys, at)] = in(c, k)[i];
    }
}

static void ref_expand(Run *c) {
  int64_t at[MAX_RANK];
  for (int64_t i = 0; i < shape_count(c->ys); i++) {
    coords_of(c->ys, i, at);
    c->y[i] = c->x[broadcast_index(c->xs, c->ys, at)];
  }
}

static void ref_weighted_gather(Run *c) {
  int axis = CATTRS(c->n, weighted_gather)->axis;
  const int32_t *places = val_data(c->r->g, c->n->in[1]);
  int64_t at[MAX_RANK], taps = shape_in(c, 2)->d[1];
  for (int64_t i = 0; i < shape_count(c->ys); i++) {
    coords_of(c->ys, i, at);
    int64_t o = at[axis];
    c->y[i] = in(c, 3) ? in(c, 3)[o] : 0;
    for (int64_t t = 0; t < taps; t++) {
      at[axis] = places[o * taps + t];
      c->y[i] += in(c, 2)[o * taps + t] * c->x[index_of(c->xs, at)];
    }
  }
}

/* -- elementwise -- */

static double unary(const Node *n, double x) {
  switch (n->op) {
  case OP_relu: return fmax(x, 0);
  case OP_clip: return fmin(fmax(x, (double)CATTRS(n, clip)->lo), (double)CATTRS(n, clip)->hi);
  case OP_leaky_relu: return x < 0 ? (double)CATTRS(n, leaky_relu)->alpha * x : x;
  case OP_sigmoid: return 1 / (1 + exp(-x));
  case OP_tanh: return tanh(x);
  case OP_abs: return fabs(x);
  case OP_sqrt: return sqrt(x);
  case OP_exp: return exp(x);
  case OP_log: return log(x);
  case OP_sin: return sin(x);
  case OP_cos: return cos(x);
  case OP_atan: return atan(x);
  case OP_sinh: return sinh(x);
  case OP_cosh: return cosh(x);
  case OP_asinh: return asinh(x);
  case OP_erf: return erf(x);
  case OP_softplus: return log1p(exp(x));
  case OP_elu: return x < 0 ? (double)CATTRS(n, elu)->alpha * expm1(x) : x;
  default: ck_abort_msg("%s has no reference", op_info(n->op)->name);
  }
  return 0;
}

static void ref_unary(Run *c) {
  for (int64_t i = 0; i < shape_count(c->ys); i++) c->y[i] = unary(c->n, c->x[i]);
}

static double binary(const Node *n, double a, double b) {
  switch (n->op) {
  case OP_add: return act(CATTRS(n, add)->act, a + b);
  case OP_sub: return act(CATTRS(n, sub)->act, a - b);
  case OP_mul: return act(CATTRS(n, mul)->act, a * b);
  case OP_div: return a / b;
  case OP_max: return fmax(a, b);
  case OP_min: return fmin(a, b);
  case OP_pow: return pow(a, b);
  default: ck_abort_msg("%s has no reference", op_info(n->op)->name);
  }
  return 0;
}

static void ref_binary(Run *c) {
  int64_t at[MAX_RANK];
  for (int64_t i = 0; i < shape_count(c->ys); i++) {
    coords_of(c->ys, i, at);
    c->y[i] = binary(c->n, c->x[broadcast_index(c->xs, c->ys, at)],
                     in(c, 1)[broadcast_index(shape_in(c, 1), c->ys, at)]);
  }
}

/* The step of element i: of the whole tensor, or of its place along the axis. */
static double grid_step(const Run *c, int64_t i) {
  const fake_quant_attrs *a = CATTRS(c->n, fake_quant);
  if (!in(c, 1)) return (double)a->scale;
  int axis = a->axis < 0 ? c->xs->rank - 1 : a->axis;
  int64_t n = shape_count(shape_in(c, 1)), inner = shape_count_range(c->xs, axis + 1, c->xs->rank);
  return in(c, 1)[n > 1 ? i / inner % n : 0];
}

/* In steps, what rounding adds is kept, and which limit holds (as an infinity): y = x + s * r, or s * limit. Of a sum of two (like=2) x is both. A bias (like=4) has
 * the product of two steps and neither's gradient. */
static void ref_fake_quant(Run *c) {
  const fake_quant_attrs *a = CATTRS(c->n, fake_quant);
  double lo = a->act == ACT_RELU ? 0 : a->lo - a->zero, hi = a->hi - a->zero, **kept = &c->r->kept[c->at];
  int64_t n = shape_count(c->ys);
  bool first = !*kept;
  if (first) *kept = mem_array((size_t)n, sizeof **kept);
  for (int64_t i = 0; i < n; i++) {
    double x = c->x[i] + (a->like == 2 ? in(c, 4)[i] : 0), s = grid_step(c, i);
    if (a->like == 4) {
      double step = s * in(c, 2)[0];
      if (first) (*kept)[i] = round(x / step) * step - x;
      c->y[i] = x + (*kept)[i];
      continue;
    }
    if (first) (*kept)[i] = x / s < lo - 0.5 ? -INFINITY : x / s > hi + 0.5 ? INFINITY : round(x / s) - x / s;
    c->y[i] = (*kept)[i] < -1 ? s * lo : (*kept)[i] > 1 ? s * hi : x + s * (*kept)[i];
  }
}

static void (*const ops[OP_COUNT])(Run *) = {
    [OP_conv] = ref_conv,
    [OP_depthwise_conv] = ref_depthwise_conv,
    [OP_conv_transpose] = ref_conv_transpose,
    [OP_weighted_gather] = ref_weighted_gather,
    [OP_fully_connected] = ref_fully_connected,
    [OP_matmul] = ref_matmul,
    [OP_max_pool] = ref_max_pool,
    [OP_average_pool] = ref_average_pool,
    [OP_reduce_mean] = ref_reduce_mean,
    [OP_reduce_sum] = ref_reduce_sum,
    [OP_reduce_max] = ref_reduce_max,
    [OP_reduce_min] = ref_reduce_min,
    [OP_batch_normalization] = ref_batch_normalization,
    [OP_softmax] = ref_softmax,
    [OP_gru] = ref_cell,
    [OP_lstm] = ref_cell,
    [OP_rnn] = ref_cell,
    [OP_reshape] = ref_reshape,
    [OP_transpose] = ref_transpose,
    [OP_slice] = ref_slice,
    [OP_pad] = ref_pad,
    [OP_concat] = ref_concat,
    [OP_expand] = ref_expand,
    [OP_add] = ref_binary,
    [OP_sub] = ref_binary,
    [OP_mul] = ref_binary,
    [OP_div] = ref_binary,
    [OP_max] = ref_binary,
    [OP_min] = ref_binary,
    [OP_pow] = ref_binary,
    [OP_fake_quant] = ref_fake_quant,
};

/* -- running -- */

/* g has the caller's nodes in the caller's order: they give the map of values. */
static void map_values(Ref *r, const Graph *from) {
  const Graph *g = r->g;
  ck_assert_uint_eq(from->n_nodes, g->n_nodes);
  r->map = mem_array(from->n_vals, sizeof *r->map);
  r->map[from->inputs[0]] = g->inputs[0];
  for (uint32_t i = 0; i < g->n_nodes; i++) {
    const Node *x = &from->nodes[i], *y = &g->nodes[i];
    for (uint32_t k = 0; k < x->n_in; k++) r->map[x->in[k]] = y->in[k];
    r->map[x->out[0]] = y->out[0];
  }
}

Ref *ref_new(const Graph *from, int batch, bool train) {
  Ref *r = mem_zalloc(sizeof *r);
  Diag *d = diag_new();
  r->train = train;
  r->g = graph_with_batch(from, batch, d);
  ck_assert_msg(r->g != NULL, "%s", diag_text(d));
  diag_free(d);
  map_values(r, from);
  r->v = mem_array(r->g->n_vals, sizeof *r->v);
  r->kept = mem_array(r->g->n_nodes, sizeof *r->kept);
  for (ValId v = 1; v < r->g->n_vals; v++) {
    int64_t n = shape_count(&r->g->vals[v].shape);
    r->v[v] = mem_array((size_t)n, sizeof(double));
    for (int64_t i = 0; val_is_const(r->g, v) && r->g->vals[v].dtype == DT_F32 && i < n; i++)
      r->v[v][i] = (double)((const float *)val_data(r->g, v))[i];
  }
  return r;
}

void ref_free(Ref *r) {
  for (ValId v = 1; v < r->g->n_vals; v++) mem_free(r->v[v]);
  for (NodeId i = 0; i < r->g->n_nodes; i++) mem_free(r->kept[i]);
  mem_free(r->v);
  mem_free(r->kept);
  mem_free(r->map);
  graph_free(r->g);
  mem_free(r);
}

double *ref_value(const Ref *r, ValId v, int64_t *count) {
  if (count) *count = shape_count(&r->g->vals[r->map[v]].shape);
  return r->v[r->map[v]];
}

void ref_run(Ref *r) {
  for (NodeId i = 0; i < r->g->n_nodes; i++) {
    const Node *n = &r->g->nodes[i];
    ck_assert_msg(ops[n->op] || op_info(n->op)->traits & T_ELEMENTWISE, "%s has no reference",
                  op_info(n->op)->name);
    Run c = {
        r, n, i, &r->g->vals[n->in[0]].shape, &r->g->vals[n->out[0]].shape, r->v[n->in[0]], r->v[n->out[0]]};
    (ops[n->op] ? ops[n->op] : ref_unary)(&c);
  }
}
