/* Gru, Lstm, Rnn, training: backward through time, over the items of a tile at once.
 *
 *   x [N,T,G*H]: the gates' input share   R [G*H,H]   y [N,T+S,H]: hidden states h_t, then the last states
 *
 * Gates are computed again in the backward pass, from x and the hidden states, which are the output; Lstm's cell states
 * are too, from the first step on. With a the sums that go into the gates:
 *
 *   Gru   h' = (1 - z) n + z h, n = tanh(a_n + r u), u = R_n h + b   (linear_before_reset; else u = R_n (r h), r outside)
 *   Lstm  c' = f c + i g, h' = o tanh(c')
 *   Rnn   h' = f(a)
 *
 * Supported is what models that are trained here have: the batch in front, sigmoid and tanh (Rnn: relu too), states that
 * begin with zeros, no clip, no peepholes, no lengths. Source: ONNX GRU-22, LSTM-22, RNN-22; Werbos 1990.
 */
#include <math.h>

#include "runtime/engine/op_call.h"
#include "runtime/kernels/kernel.h"

/* -- what is supported -- */

typedef struct CellFacts {
  bool batch_first, variant; /* Gru: linear_before_reset; Lstm: input_forget */
  int64_t gates, states;
  int32_t reverse;
  float clip;
  int64_t act[3];
} CellFacts;

#define FACTS(a, var, g, s)                                       \
  (CellFacts) {                                                   \
    (a)->batch_first, (var), (g), (s), (a)->reverse, (a)->clip, { \
      (a)->acts.v[0], (a)->acts.v[1], (a)->acts.v[2]              \
    }                                                             \
  }

static CellFacts facts_of(const Node *n) {
  if (n->op == OP_gru) return FACTS(CATTRS(n, gru), CATTRS(n, gru)->linear_before_reset, 3, 1);
  if (n->op == OP_lstm) return FACTS(CATTRS(n, lstm), CATTRS(n, lstm)->input_forget, 4, 2);
  return FACTS(CATTRS(n, rnn), false, 1, 1);
}

static bool plan_cell(OpPlan *p, int64_t scratch, Diag *d) {
  const Node *n = p->n;
  const CellFacts f = facts_of(n);
  if (!f.batch_first || !p->s->vals[n->in[0]].batched)
    return plan_fail(p, d, "the engine wants the batch in front (batch_first=1)");
  for (uint32_t k = 2; k < n->n_in; k++)
    if (n->in[k] != NO_VAL && !(n->op == OP_gru && k == 3))
      return plan_fail(p, d, "the engine wants states that begin with zeros, no peepholes and no lengths");
  bool usual =
      f.act[0] == MF_ACT_SIGMOID && f.act[1] == MF_ACT_TANH && (f.gates == 3 || f.act[2] == MF_ACT_TANH);
  if (n->op == OP_rnn) usual = f.act[0] <= MF_ACT_RELU;
  if (!usual || f.clip > 0 || (n->op == OP_lstm && f.variant))
    return plan_fail(p, d, "the engine trains cells of sigmoid and tanh, without clip and input_forget");
  p->scratch = scratch * p->s->opt.batch;
  return true;
}

static int64_t hidden_of(const OpPlan *p) { return p->s->g->vals[p->n->in[1]].shape.d[1]; }

/* -- walking -- */

typedef struct Walk {
  int64_t n, steps, h, gates, xs, ys; /* items; floats from one item to the next in x and y */
  bool reverse;
  const float *x, *r;
  float *y;
} Walk;

static Walk walk_of(const OpCall *c) {
  const CellFacts f = facts_of(c->n);
  const Shape *x = in_shape(c, 0);
  Walk w = {
      .n = items(c), .steps = x->d[1], .h = in_shape(c, 1)->d[1], .gates = f.gates, .reverse = f.reverse};
  w.xs = w.steps * w.gates * w.h;
  w.ys = (w.steps + f.states) * w.h;
  w.x = in_x(c, 0);
  w.r = in_x(c, 1);
  w.y = out_x(c);
  return w;
}

/* Place in time of the s-th step. */
static int64_t time_of(const Walk *w, int64_t s) { return w->reverse ? w->steps - 1 - s : s; }
/* The hidden state before the s-th step, rows ys apart; NULL: zeros. */
static const float *before(const Walk *w, int64_t s) {
  return s > 0 ? w->y + time_of(w, s - 1) * w->h : NULL;
}

/* rows [n][k], `from` floats apart, to or onto others. */
static void copy_rows(const float *x, int64_t from, float *y, int64_t to, int64_t n, int64_t k, bool add) {
  for (int64_t i = 0; i < n; i++) vec_put(y + i * to, x + i * from, k, add);
}

/* a [n][G*H] = x of step s + h R^T, of the first `gates` gates; the others are x alone. */
static void sums(const Walk *w, int64_t s, int64_t gates, float *a) {
  const int64_t all = w->gates * w->h;
  copy_rows(w->x + time_of(w, s) * all, w->xs, a, all, w->n, all, false);
  if (before(w, s)) gemm_nt(w->n, gates * w->h, w->h, before(w, s), w->ys, w->r, w->h, a, all, true);
}

static float sigmoid(float v) { return 1 / (1 + expf(-v)); }

/* The last state's copy behind the steps. */
static void put_last(const Walk *w, int64_t place, const float *x, int64_t from) {
  copy_rows(x, from, w->y + (w->steps + place) * w->h, w->ys, w->n, w->h, false);
}

/* -- gradients that all cells have -- */

typedef struct Back {
  float *dx, *dr, *dh; /* dr: R's, added to from here on; dh [n][H]: of the state after the step */
  const float *dy;
  bool add;
} Back;

/* dh begins with what the last state's copy gets. */
static Back back_of(const OpCall *c, const Walk *w, float *dh) {
  Back b = {in_dx(c, 0), in_dx(c, 1), dh, out_dx(c), in_dx(c, 0) && in_add(c, 0)};
  if (b.dr && !in_add(c, 1)) vec_zero(b.dr, w->gates * w->h * w->h);
  copy_rows(b.dy + w->steps * w->h, w->ys, dh, w->h, w->n, w->h, false);
  return b;
}

static void add_step(const Walk *w, const Back *b, int64_t s) {
  copy_rows(b->dy + time_of(w, s) * w->h, w->ys, b->dh, w->h, w->n, w->h, true);
}

/* The sums' gradients a [n][G*H] as those of x. */
static void put_dx(const Walk *w, const Back *b, int64_t s, const float *a) {
  const int64_t all = w->gates * w->h;
  if (b->dx) copy_rows(a, all, b->dx + time_of(w, s) * all, w->xs, w->n, all, b->add);
}

/* Through h R^T of gates first .. first + gates - 1: to R, and added to dh. */
static void through(const Walk *w, const Back *b, int64_t s, const float *a, int64_t first, int64_t gates) {
  const int64_t all = w->gates * w->h, at = first * w->h, k = gates * w->h;
  if (b->dr && before(w, s))
    gemm_tn(k, w->h, w->n, a + at, all, before(w, s), w->ys, b->dr + at * w->h, w->h, true);
  gemm_nn(w->n, w->h, k, a + at, all, w->r + at * w->h, w->h, b->dh, w->h, true);
}

/* -- Rnn -- */

bool plan_rnn(OpPlan *p, Diag *d) { return plan_cell(p, 2 * hidden_of(p), d); }

void fwd_rnn(const OpCall *c) {
  const Walk w = walk_of(c);
  const int64_t act = facts_of(c->n).act[0];
  float *a = c->scratch;
  for (int64_t s = 0; s < w.steps; s++) {
    sums(&w, s, 1, a);
    for (int64_t i = 0; i < w.n * w.h; i++)
      a[i] = act == MF_ACT_SIGMOID ? sigmoid(a[i]) : act == MF_ACT_TANH ? tanhf(a[i]) : fmaxf(a[i], 0);
    copy_rows(a, w.h, w.y + time_of(&w, s) * w.h, w.ys, w.n, w.h, false);
  }
  put_last(&w, 0, before(&w, w.steps), w.ys);
}

void bwd_rnn(const OpCall *c) {
  const Walk w = walk_of(c);
  const int64_t act = facts_of(c->n).act[0];
  float *a = c->scratch, *dh = a + w.n * w.h;
  Back b = back_of(c, &w, dh);
  for (int64_t s = w.steps; s-- > 0;) {
    add_step(&w, &b, s);
    for (int64_t i = 0; i < w.n * w.h; i++) {
      const float y = w.y[i / w.h * w.ys + time_of(&w, s) * w.h + i % w.h];
      a[i] = dh[i] * (act == MF_ACT_SIGMOID ? y * (1 - y)
                      : act == MF_ACT_TANH  ? 1 - y * y
                      : y > 0               ? 1.0f
                                            : 0.0f);
    }
    put_dx(&w, &b, s, a);
    vec_zero(dh, w.n * w.h);
    through(&w, &b, s, a, 0, 1);
  }
}

/* -- Gru: gates z, r, n -- */

/* Gates (3), u, dh, r, v: bwd_gru. */
bool plan_gru(OpPlan *p, Diag *d) { return plan_cell(p, 7 * hidden_of(p), d); }

/* Gates of step s into a [n][3H]; what they see of the state into u [n][H]: R_n h + b, or r h. */
static void gru_gates(const OpCall *c, const Walk *w, int64_t s, float *a, float *u) {
  const bool variant = CATTRS(c->n, gru)->linear_before_reset;
  const float *h = before(w, s), *bias = has_in(c, 3) ? in_x(c, 3) : NULL, *rn = w->r + 2 * w->h * w->h;
  sums(w, s, 2, a);
  vec_zero(u, w->n * w->h);
  if (h && variant) gemm_nt(w->n, w->h, w->h, h, w->ys, rn, w->h, u, w->h, false);
  if (bias && variant) rows_add(u, bias, w->n, w->h);
  for (int64_t i = 0; i < w->n; i++) {
    float *g = a + i * 3 * w->h, *v = u + i * w->h;
    for (int64_t j = 0; j < 2 * w->h; j++) g[j] = sigmoid(g[j]);
    for (int64_t j = 0; j < w->h; j++) {
      if (variant)
        g[2 * w->h + j] += g[w->h + j] * v[j];
      else if (h)
        v[j] = g[w->h + j] * h[i * w->ys + j];
    }
  }
  if (h && !variant) gemm_nt(w->n, w->h, w->h, u, w->h, rn, w->h, a + 2 * w->h, 3 * w->h, true);
  for (int64_t i = 0; i < w->n; i++)
    for (int64_t j = 2 * w->h; j < 3 * w->h; j++) a[i * 3 * w->h + j] = tanhf(a[i * 3 * w->h + j]);
}

void fwd_gru(const OpCall *c) {
  const Walk w = walk_of(c);
  float *a = c->scratch, *u = a + 3 * w.n * w.h;
  for (int64_t s = 0; s < w.steps; s++) {
    const float *h = before(&w, s);
    float *y = w.y + time_of(&w, s) * w.h;
    gru_gates(c, &w, s, a, u);
    for (int64_t i = 0; i < w.n; i++) {
      const float *z = a + i * 3 * w.h, *n = z + 2 * w.h;
      for (int64_t j = 0; j < w.h; j++)
        y[i * w.ys + j] = (1 - z[j]) * n[j] + (h ? z[j] * h[i * w.ys + j] : 0);
    }
  }
  put_last(&w, 0, before(&w, w.steps), w.ys);
}

/* Gates' gradients in place of the gates a; dh becomes z dh. variant: the third is that of the tanh's sum, and u that of u. */
static void gru_gradients(const Walk *w, const float *h, bool variant, float *a, float *u, float *dh) {
  for (int64_t i = 0; i < w->n; i++)
    for (int64_t j = 0; j < w->h; j++) {
      float *gz = a + i * 3 * w->h + j, *gr = gz + w->h, *gn = gr + w->h, *v = u + i * w->h + j,
            *g = dh + i * w->h + j;
      const float z = *gz, r = *gr, n = *gn, old = h ? h[i * w->ys + j] : 0;
      *gz = *g * (old - n) * z * (1 - z);
      *gn = *g * (1 - z) * (1 - n * n);
      *g *= z;
      if (!variant) continue;
      *gr = *gn * *v * r * (1 - r);
      *v = *gn * r;
    }
}

/* linear_before_reset: u's gradient goes through R_n, to the bias too. */
static void gru_linear(const OpCall *c, const Walk *w, const Back *b, int64_t s, float *a, const float *u) {
  put_dx(w, b, s, a);
  copy_rows(u, w->h, a + 2 * w->h, 3 * w->h, w->n, w->h, false);
  through(w, b, s, a, 0, 3);
  float *db = in_dx(c, 3);
  if (db) rows_sum(u, w->n, w->h, db, true);
}

/* Otherwise: of r h (in u) through R_n, then of r and h. r [n][H]: kept from before; v [n][H]: for d(r h). */
static void gru_reset(const Walk *w, const Back *b, int64_t s, float *a, const float *u, const float *r,
                      float *v) {
  const float *h = before(w, s), *rn = w->r + 2 * w->h * w->h;
  if (b->dr && h)
    gemm_tn(w->h, w->h, w->n, a + 2 * w->h, 3 * w->h, u, w->h, b->dr + 2 * w->h * w->h, w->h, true);
  gemm_nn(w->n, w->h, w->h, a + 2 * w->h, 3 * w->h, rn, w->h, v, w->h, false);
  for (int64_t i = 0; i < w->n; i++)
    for (int64_t j = 0; j < w->h; j++) {
      const int64_t k = i * w->h + j;
      a[i * 3 * w->h + w->h + j] = h ? v[k] * h[i * w->ys + j] * r[k] * (1 - r[k]) : 0;
      b->dh[k] += v[k] * r[k];
    }
  put_dx(w, b, s, a);
  through(w, b, s, a, 0, 2);
}

void bwd_gru(const OpCall *c) {
  const Walk w = walk_of(c);
  const bool variant = CATTRS(c->n, gru)->linear_before_reset;
  const int64_t one = w.n * w.h;
  float *a = c->scratch, *u = a + 3 * one, *dh = u + one, *r = dh + one, *v = r + one;
  Back b = back_of(c, &w, dh);
  if (in_dx(c, 3) && !in_add(c, 3)) vec_zero(in_dx(c, 3), w.h);
  for (int64_t s = w.steps; s-- > 0;) {
    add_step(&w, &b, s);
    gru_gates(c, &w, s, a, u);
    copy_rows(a + w.h, 3 * w.h, r, w.h, w.n, w.h, false);
    gru_gradients(&w, before(&w, s), variant, a, u, dh);
    if (variant)
      gru_linear(c, &w, &b, s, a, u);
    else
      gru_reset(&w, &b, s, a, u, r, v);
  }
}

/* -- Lstm: gates i, o, f, g -- */

bool plan_lstm(OpPlan *p, Diag *d) {
  return plan_cell(p, (6 + p->s->g->vals[p->n->in[0]].shape.d[1]) * hidden_of(p), d);
}

/* Gates of step s into a [n][4H], the cell state after it into cell [n][H]; old: before it, NULL: zeros. */
static void lstm_gates(const Walk *w, int64_t s, float *a, const float *old, float *cell) {
  sums(w, s, 4, a);
  for (int64_t i = 0; i < w->n; i++) {
    float *g = a + i * 4 * w->h;
    for (int64_t j = 0; j < w->h; j++) {
      for (int64_t k = 0; k < 3; k++) g[k * w->h + j] = sigmoid(g[k * w->h + j]);
      g[3 * w->h + j] = tanhf(g[3 * w->h + j]);
      cell[i * w->h + j] = g[j] * g[3 * w->h + j] + (old ? g[2 * w->h + j] * old[i * w->h + j] : 0);
    }
  }
}

void fwd_lstm(const OpCall *c) {
  const Walk w = walk_of(c);
  float *a = c->scratch, *cell = a + 4 * w.n * w.h;
  for (int64_t s = 0; s < w.steps; s++) {
    float *y = w.y + time_of(&w, s) * w.h;
    lstm_gates(&w, s, a, s ? cell : NULL, cell);
    for (int64_t i = 0; i < w.n; i++)
      for (int64_t j = 0; j < w.h; j++) y[i * w.ys + j] = a[i * 4 * w.h + w.h + j] * tanhf(cell[i * w.h + j]);
  }
  put_last(&w, 0, before(&w, w.steps), w.ys);
  put_last(&w, 1, cell, w.h);
}

/* The sums' gradients in place of the gates a; dc becomes that of the cell state before. */
static void lstm_gradients(const Walk *w, const float *old, const float *cell, const float *dh, float *a,
                           float *dc) {
  for (int64_t i = 0; i < w->n; i++)
    for (int64_t j = 0; j < w->h; j++) {
      float *g = a + i * 4 * w->h + j;
      const int64_t k = i * w->h + j;
      const float in = g[0], o = g[w->h], f = g[2 * w->h], t = g[3 * w->h], ct = tanhf(cell[k]);
      dc[k] += dh[k] * o * (1 - ct * ct);
      g[0] = dc[k] * t * in * (1 - in);
      g[w->h] = dh[k] * ct * o * (1 - o);
      g[2 * w->h] = old ? dc[k] * old[k] * f * (1 - f) : 0;
      g[3 * w->h] = dc[k] * in * (1 - t * t);
      dc[k] *= f;
    }
}

void bwd_lstm(const OpCall *c) {
  const Walk w = walk_of(c);
  const int64_t one = w.n * w.h;
  float *a = c->scratch, *dh = a + 4 * one, *dc = dh + one, *cells = dc + one;
  Back b = back_of(c, &w, dh);
  for (int64_t s = 0; s < w.steps; s++)
    lstm_gates(&w, s, a, s ? cells + (s - 1) * one : NULL, cells + s * one);
  copy_rows(b.dy + (w.steps + 1) * w.h, w.ys, dc, w.h, w.n, w.h, false);
  for (int64_t s = w.steps; s-- > 0;) {
    const float *old = s ? cells + (s - 1) * one : NULL;
    add_step(&w, &b, s);
    lstm_gates(&w, s, a, old, cells + s * one);
    lstm_gradients(&w, old, cells + s * one, dh, a, dc);
    put_dx(&w, &b, s, a);
    vec_zero(dh, one);
    through(&w, &b, s, a, 0, 4);
  }
}
