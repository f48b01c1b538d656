/* Low-rank adapters on the device: sums that fit their words for every number of channels, a step against its formulas, and the way back
 * through whole nets whose adapters have learned, against the engine's gradients of float nets with the same adapters as nodes.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/emit/adapt_c.h"
#include "ir/base/file.h"
#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "runtime/device/adapt_grad.h"
#include "tests/backend/adapting.h"
#include "tests/backend/emitted.h"
#include "tests/passes/nets.h"
#include "tests/support.h"

Suite *suite_adapt_adapter(void);

/* -- one layer -- */

/* An adapter of rank r in front of its affine, with nothing behind them; words [c][r], [c]. */
typedef struct Layer {
  mf_adapt_affine affine;
  mf_adapt_adapter p;
  struct {
    mf_adapt_state s;
    int32_t words[MF_ADAPTER_CHANNELS * (MF_ADAPTER_RANKS + 1)];
  } state;
  int8_t signs[MF_ADAPTER_CHANNELS * MF_ADAPTER_RANKS];
} Layer;

static Layer *layer_new(int32_t c, int32_t rank, int32_t zero) {
  Layer *l = mem_array(1, sizeof *l);
  int fit, down;
  emit_adapt_shifts(c, &fit, &down);
  l->affine = (mf_adapt_affine){
      .word = c * rank, .c = c, .zero = zero, .lo = -128, .hi = 127, .lifts = zero == -128, .scale = 0.5f};
  l->p = (mf_adapt_adapter){.rank = rank, .fit = fit, .down = down, .signs = l->signs, .affine = &l->affine};
  return l;
}

static int root_of(const Layer *l) { return l->p.fit + l->p.down; }

/* What is added to a code, of h as it was held. */
static double added(const Layer *l, const int16_t *h, int32_t c) {
  double sum = 0;
  for (int32_t k = 0; k < l->p.rank; k++) sum += (double)l->state.words[c * l->p.rank + k] * h[k];
  return (sum + (double)l->state.words[l->affine.word + c]) / MF_ADAPT_ONE;
}

static void run_pixel(const Layer *l, int8_t *y, int16_t *h, unsigned char *mask) {
  const mf_view out = {.base = y, .row = l->affine.c};
  mf_adapt_run_adapter(&l->p, l->state.words, &out, l->affine.c, 0, 1, h, mask);
}

/* All that there is at its limit: sums in one direction, words at 8. */
START_TEST(sums_fit_their_words)
{
  static const int32_t channels[] = {1, 2, 16, 127, 128, 129, 1000, MF_ADAPTER_CHANNELS};
  static int8_t y[MF_ADAPTER_CHANNELS];
  for (int i = 0; i < 8; i++)
    for (int way = 0; way < 4; way++) {
      const int32_t c = channels[i], sign = way & 1 ? -1 : 1;
      int16_t h[MF_ADAPTER_RANKS];
      Layer *l = layer_new(c, MF_ADAPTER_RANKS, -128);
      const int32_t u = (way & 2 ? -8 : 8) * (MF_ADAPT_ONE >> l->p.down);
      memset(y, 127, (size_t)c);
      memset(l->signs, sign, (size_t)(c * MF_ADAPTER_RANKS));
      for (int32_t w = 0; w < c * MF_ADAPTER_RANKS; w++) l->state.words[w] = u;
      for (int32_t w = 0; w < c; w++) l->state.words[l->affine.word + w] = u;
      run_pixel(l, y, h, NULL);
      for (int k = 0; k < MF_ADAPTER_RANKS; k++)
        ck_assert_msg(fabs(h[k] - sign * ldexp(255.0 * c, -l->p.fit)) <= 0.5, "%d channels: sum %d", c, h[k]);
      ck_assert(ldexp(1, 2 * root_of(l)) >= c && (c == 1 || ldexp(1, 2 * root_of(l) - 2) < c));
      for (int32_t o = 0; o < c; o++)
        ck_assert_msg(y[o] == (added(l, h, o) < 0 ? -128 : 127), "%d channels, way %d: %d", c, way, y[o]);
      mem_free(l);
    }
}
END_TEST

enum { ROWS = 2, PIXELS = 3 }; /* of a row */

/* Pixel q of what ran, against doubles. was: codes before; behind them rows have room that nothing may touch. */
static void check_pixel(const Layer *l, int q, const int8_t *was, const int8_t *y, const int16_t *h,
                        const unsigned char *mask) {
  const int32_t c = l->affine.c, rank = l->p.rank;
  for (int32_t k = 0; k < rank; k++) {
    int32_t sum = 0;
    for (int32_t i = 0; i < c; i++) sum += l->signs[i * rank + k] * (was[i] - l->affine.zero);
    ck_assert_msg(fabs(h[k] - ldexp(sum, -l->p.fit)) <= 0.5, "pixel %d, direction %d: %d", q, k, h[k]);
  }
  for (int32_t i = 0; i < c; i++) {
    const double want = fmin(127, fmax(-128, was[i] + added(l, h, i)));
    ck_assert_msg(fabs(y[i] - want) <= 0.5 + 1e-6, "pixel %d, channel %d: %d for %g", q, i, y[i], want);
    ck_assert_int_eq(mf_adapt_bit(mask, q * c + i),
                     was[i] > -128 && was[i] < 127 && y[i] > -128 && y[i] < 127);
  }
}

/* Rows of some pixels, first the second one: a code that is added is the sum rounded, and the mask says where no limit was met. */
static void check_run(int32_t c, int32_t rank, int32_t zero, Rng *r) {
  enum { MORE = 5, ALL = ROWS * (PIXELS * 300 + MORE) };
  Layer *l = layer_new(c, rank, zero);
  const int32_t n = PIXELS * c, row = n + MORE;
  static int8_t y[ALL], was[ALL];
  static int16_t h[ROWS * PIXELS * MF_ADAPTER_RANKS];
  static unsigned char mask[ALL / 8];
  const mf_view out = {.base = y, .row = row};
  for (int32_t i = 0; i < c * rank; i++) {
    l->signs[i] = rng_below(r, 2) ? 1 : -1;
    l->state.words[i] = (int32_t)rng_below(r, MF_ADAPT_ONE / 4) - MF_ADAPT_ONE / 8;
  }
  for (int32_t i = 0; i < c; i++)
    l->state.words[l->affine.word + i] = (int32_t)rng_below(r, 8 * MF_ADAPT_ONE) - 4 * MF_ADAPT_ONE;
  for (int32_t i = 0; i < ROWS * row; i++) y[i] = was[i] = (int8_t)((int32_t)rng_below(r, 256) - 128);
  mf_adapt_run_adapter(&l->p, l->state.words, &out, n, 1, 2, h, mask);
  ck_assert_mem_eq(y, was, (size_t)row); /* of row 1 alone */
  mf_adapt_run_adapter(&l->p, l->state.words, &out, n, 0, 1, h, mask);
  for (int q = 0; q < ROWS * PIXELS; q++) {
    const int32_t at = q / PIXELS * row + q % PIXELS * c;
    check_pixel(l, q, was + at, y + at, h + q * rank, mask);
  }
  for (int q = 0; q < ROWS; q++) ck_assert_mem_eq(y + q * row + n, was + q * row + n, MORE);
  mem_free(l);
}

START_TEST(a_run_is_its_formula)
{
  static const int32_t zeros[] = {-128, 5, 127};
  Rng r;
  rng_seed(&r, 3, 1);
  for (int32_t c = 3; c < 300; c = c * 2 + 1)
    for (int32_t rank = 1; rank <= MF_ADAPTER_RANKS; rank++)
      for (int z = 0; z < 3; z++) check_run(c, rank, zeros[z], &r);
}
END_TEST

/* What a gradient of all that moves is shortened by: of biases dy, of words dy * h in the reals' units. */
static double shorter(const Layer *l, const double *dy, const int16_t *h, double clip) {
  const double unit = (double)l->affine.scale * ldexp(1, -l->p.down);
  double squares = 0;
  for (int32_t i = 0; i < l->affine.c; i++) {
    squares += dy[i] * dy[i];
    for (int k = 0; k < l->p.rank; k++) squares += dy[i] * h[k] * unit * (dy[i] * h[k] * unit);
  }
  return clip > 0 && squares > clip * clip ? clip / sqrt(squares) : 1;
}

/* dy of one pixel before the adapter, and what moves, against doubles. With a clip h is small, so that biases and words both count. */
static void check_step(int32_t c, int32_t rank, int32_t most, double clip, Rng *r) {
  Layer *l = layer_new(c, rank, -128);
  int32_t *acc = mem_array((size_t)c, sizeof *acc);
  int8_t *m = mem_array((size_t)c, 1), e = -9;
  float *work = mem_array((size_t)(c * (1 + rank)), sizeof *work);
  const double one = ldexp(MF_ADAPT_ONE, -l->p.down); /* of words */
  double *dy = mem_array((size_t)c, sizeof *dy), t[MF_ADAPTER_RANKS] = {0}, largest = 0;
  unsigned char *mask = mem_array((size_t)c / 8 + 1, 1);
  int16_t h[MF_ADAPTER_RANKS];
  const mf_grad g = {m, &e, 1, c};
  const int32_t h_most = clip > 0 ? 10 : 1000;
  const double within = clip > 0 ? 2e-5 : 1e-6; /* sums of squares are floats */
  for (int k = 0; k < rank; k++) h[k] = (int16_t)((int32_t)rng_below(r, (uint32_t)(2 * h_most)) - h_most);
  for (int32_t i = 0; i < c * rank; i++) {
    l->signs[i] = rng_below(r, 2) ? 1 : -1;
    l->state.words[i] = ((int32_t)rng_below(r, (uint32_t)(2 * most)) - most) >> l->p.down;
  }
  for (int32_t i = 0; i < c; i++) {
    m[i] = (int8_t)((int32_t)rng_below(r, 255) - 127);
    l->state.words[l->affine.word + i] = (int32_t)rng_below(r, 4 * MF_ADAPT_ONE) - 2 * MF_ADAPT_ONE;
    mf_adapt_put_bit(mask, i, rng_below(r, 4) > 0);
    const bool alive = mf_adapt_bit(mask, i) || floor(added(l, h, i) + 0.5) > 0;
    dy[i] = alive ? ldexp(m[i], e) : 0;
    for (int k = 0; k < rank; k++) t[k] += dy[i] * l->state.words[i * rank + k] / one;
  }
  int32_t *was = mem_array((size_t)(c * (1 + rank)), sizeof *was);
  memcpy(was, l->state.words, (size_t)(c * (1 + rank)) * sizeof *was);
  l->state.s.rates = (mistify_rates){.gain = 1.0f / 4096, .offset = 1.0f / 64, .clip = (float)clip};
  const double by = shorter(l, dy, h, clip);
  ck_assert((by < 1) == (clip > 0 && clip < 1));
  mf_adapt_step_adapter(&l->p, &l->state.s, h, mask, &g, 1, acc, work);
  for (int32_t i = 0; i < c; i++) {
    const double scale = (double)l->affine.scale, offset = by * dy[i] / scale / 64 * MF_ADAPT_ONE;
    ck_assert(fabs(was[c * rank + i] - l->state.words[c * rank + i] - offset) <= 1 + within * fabs(offset));
    for (int k = 0; k < rank; k++) {
      const double u = by * dy[i] * h[k] * scale * ldexp(1, -l->p.down) / 4096 * one;
      const double moved = fmin(8 * one, fmax(-8 * one, was[i * rank + k] - u));
      ck_assert(fabs(l->state.words[i * rank + k] - moved) <= 1 + within * fabs(u));
    }
  }
  for (int32_t i = 0; i < c; i++) {
    for (int k = 0; k < rank; k++) dy[i] += l->signs[i * rank + k] * ldexp(t[k], -root_of(l));
    largest = fmax(largest, fabs(dy[i]));
  }
  for (int32_t i = 0; i < c; i++)
    ck_assert_msg(fabs(ldexp(m[i], e) - dy[i]) <= ldexp(largest, -MF_GRAD_BITS),
                  "%d channels, channel %d: %g for %g", c, i, ldexp(m[i], e), dy[i]);
  mem_free(l);
  mem_free(acc);
  mem_free(m);
  mem_free(work);
  mem_free(dy);
  mem_free(mask);
  mem_free(was);
}

START_TEST(a_step_is_its_formula)
{
  Rng r;
  rng_seed(&r, 4, 1);
  for (int32_t rank = 1; rank <= MF_ADAPTER_RANKS; rank++) {
    check_step(7, rank, MF_ADAPT_ONE / 4, 0, &r);
    check_step(64, rank, MF_ADAPT_ONE, 0, &r);
    check_step(200, rank, 8 * MF_ADAPT_ONE, 0, &r);
    check_step(7, rank, MF_ADAPT_ONE / 4, 0.0625, &r);
    check_step(64, rank, MF_ADAPT_ONE, 0.25, &r);
    check_step(64, rank, MF_ADAPT_ONE, 1000, &r); /* longer than the gradient is */
  }
  check_step(MF_ADAPTER_CHANNELS, MF_ADAPTER_RANKS, 8 * MF_ADAPT_ONE, 0, &r);
}
END_TEST

/* Where all gradients and words have one sign, as large as they may be. */
START_TEST(gradients_fit_their_words)
{
  enum { C = MF_ADAPTER_CHANNELS, R = MF_ADAPTER_RANKS };
  static int32_t acc[C];
  static int8_t m[C];
  static float work[C * (1 + R)];
  for (int sign = -1; sign <= 1; sign += 2) {
    Layer *l = layer_new(C, R, -128);
    int8_t e = 0;
    const mf_grad g = {m, &e, 1, C};
    const int16_t h[R] = {0};
    memset(m, 127, C);
    memset(l->signs, 1, sizeof l->signs);
    for (int32_t i = 0; i < C * R; i++) l->state.words[i] = sign * 8 * (MF_ADAPT_ONE >> l->p.down);
    mf_adapt_step_adapter(&l->p, &l->state.s, h, NULL, &g, 1, acc, work);
    const double want = 127 + sign * R * 127.0 * 8 * C / ldexp(1, root_of(l));
    for (int32_t i = 0; i < C; i++)
      ck_assert_msg(fabs(ldexp(m[i], e) - want) < fabs(want) / 100, "%g for %g", ldexp(m[i], e), want);
    mem_free(l);
  }
}
END_TEST

/* A layer hands on what stands before its adapter, but for what the mask holds. */
START_TEST(a_layer_hands_it_on)
{
  enum { DY = 0, DX = 8, MASK = 16, HELD = 20 };
  for (int bits = 0; bits < 4; bits++) {
    Layer *l = layer_new(2, 1, 0);
    const mf_adapt_back b = {.kind = MF_BACK_CLIP,
                             .dy = {DY, 1, 2, 0},
                             .dx = {DX, 1, 2, 1},
                             .dx2 = {-1, 1, 2, 0},
                             .y = -1,
                             .bits = MASK,
                             .x = -1,
                             .adapter = &l->p,
                             .held = HELD,
                             .adapt = mf_adapt_step_adapter};
    const mf_adapt_model m = {.words = 4, .most = 2, .work = 4};
    union {
      unsigned char bytes[24];
      int32_t align;
    } a = {{[DY] = 32, [DY + 1] = 16, [MASK] = (unsigned char)bits, [HELD] = 10}};
    l->p.fit = 0;
    l->p.down = 1; /* root 1, so words have 23 bits */
    l->signs[0] = l->signs[1] = 1;
    l->state.words[0] = l->state.words[1] = MF_ADAPT_ONE / 2;
    l->state.s.rates.gain = 1.0f / 1024;
    mf_adapt_back_layer(&b, &m, &l->state.s, a.bytes);
    const double shared = ((bits & 1 ? 32 : 0) + (bits & 2 ? 16 : 0)) / 2.0; /* U' dy, halved */
    const int8_t *dx = (const int8_t *)a.bytes + DX;
    for (int c = 0; c < 2; c++) {
      const double dy = bits >> c & 1 ? c ? 16 : 32 : 0;
      const double want = bits >> c & 1 ? dy + shared : 0;
      ck_assert_msg(fabs(ldexp(dx[c], dx[2]) - want) < 0.5, "bits %d, channel %d: %g for %g", bits, c,
                    ldexp(dx[c], dx[2]), want);
      ck_assert_int_eq(l->state.words[c],
                       MF_ADAPT_ONE / 2 - (int32_t)(dy * 10 * 0.5 / 2 / 1024 * MF_ADAPT_ONE / 2));
      ck_assert_int_eq(l->state.words[2 + c], 0);
    }
    mem_free(l);
  }
}
END_TEST

/* -- whole nets -- */

enum { LEARNED = 2, LOOKED_AT = 4, MOST = 100000 };
static const float RATE = 0.001f;

/* No activation, so that no limit hides what adapters hand on: without V'U'g the cosine falls to 0.3 here, and is the same where there are limits. */
static const char without_limits[] =
    "%x = input : f32[N,8,8,3]\n"
    "%w1 = const : f32[8,3,3,3] @f32:216/2\n%b1 = const : f32[8] @f32:8\n"
    "%c1 = Conv(%x, %w1, %b1) {pads=[1,1,1,1], strides=[2,2]} : f32[N,4,4,8]\n"
    "%w2 = const : f32[8,3,3,8] @f32:576/4\n%b2 = const : f32[8] @f32:8\n"
    "%c2 = Conv(%c1, %w2, %b2) {pads=[1,1,1,1]} : f32[N,4,4,8]\n"
    "%w3 = const : f32[6,3,3,8] @f32:432/4\n%b3 = const : f32[6] @f32:6\n"
    "%c3 = Conv(%c2, %w3, %b3) {pads=[1,1,1,1], strides=[2,2]} : f32[N,2,2,6]\n"
    "%r = Reshape(%c3) {shape=[-1,24]} : f32[N,24]\n"
    "%w4 = const : f32[10,24] @f32:240/2\n%b4 = const : f32[10] @f32:10\n"
    "%h = FullyConnected(%r, %w4, %b4) : f32[N,10]\n"
    "%w5 = const : f32[5,10] @f32:50/1\n%b5 = const : f32[5] @f32:5\n"
    "%y = FullyConnected(%h, %w5, %b5) : f32[N,5]\n"
    "output %y\n";

static bool is_layer(OpKind op) {
  return op == OP_conv || op == OP_fully_connected || op == OP_depthwise_conv;
}

/* Words as reals, and where they go in a float net. */
typedef struct Learned {
  const AdaptNet *net;
  int rank;
  const float *signs;   /* [channels][rank] */
  const int32_t *words; /* the layers', as the state has them behind the last layer's */
  NodeId layer[64];     /* of net->q, last first; without the last layer */
  int64_t at[64];       /* their words */
  int n;
  ValId u[64], b[64]; /* in the float net with adapters */
} Learned;

static int64_t channels_of(const Graph *g, NodeId k) {
  const Shape *s = &graph_val(g, g->nodes[k].out[0])->shape;
  return s->d[s->rank - 1];
}

static void find_layers(Learned *l) {
  int64_t at = 0;
  bool last = true;
  for (NodeId k = l->net->q->n_nodes; k-- > 0;) {
    if (!is_layer(l->net->q->nodes[k].op)) continue;
    if (!last) {
      ck_assert_int_lt(l->n, 64);
      l->layer[l->n] = k;
      l->at[l->n++] = at;
      at += channels_of(l->net->q, k) * (l->rank + 1);
    }
    last = false;
  }
}

/* Of a word of U. */
static double unit_of(const Learned *l, int i) {
  int fit, down;
  emit_adapt_shifts(channels_of(l->net->q, l->layer[i]), &fit, &down);
  return ldexp(1, down) / MF_ADAPT_ONE;
}

static double scale_of(const Learned *l, int i) {
  return (double)graph_val(l->net->q, l->net->q->nodes[l->layer[i]].out[0])->quant.scale[0];
}

/* act(y + U (V y) + b) for the copy y of the layer's node of the float net. */
static ValId with_adapter(Rewrite *t, Learned *l, int i, const Node *n, ValId y, Diag *d) {
  const int r = l->rank;
  const int64_t c = channels_of(l->net->q, l->layer[i]);
  const bool flat = n->op == OP_fully_connected;
  const Shape vs = flat ? shape_of(2, (int64_t)r, c) : shape_of(4, (int64_t)r, (int64_t)1, (int64_t)1, c),
              us = flat ? shape_of(2, c, (int64_t)r) : shape_of(4, c, (int64_t)1, (int64_t)1, (int64_t)r),
              bs = shape_of(1, c);
  const double root = ldexp(1, -(int)ceil(log2((double)c) / 2));
  float *v = mem_array((size_t)(c * r), 4), *u = mem_array((size_t)(c * r), 4), *b = mem_array((size_t)c, 4);
  for (int64_t o = 0; o < c; o++) {
    b[o] = (float)(l->words[l->at[i] + c * r + o] * scale_of(l, i) / MF_ADAPT_ONE);
    for (int k = 0; k < r; k++) {
      v[k * c + o] = (float)((double)l->signs[o * r + k] * root);
      u[o * r + k] = (float)((double)l->words[l->at[i] + o * r + k] * unit_of(l, i));
    }
  }
  const OpKind op = flat ? OP_fully_connected : OP_conv;
  l->u[i] = graph_const_data(t->to, NULL, DT_F32, &us, u);
  l->b[i] = graph_const_data(t->to, NULL, DT_F32, &bs, b);
  const ValId h =
      graph_node2(t->to, op, NULL, y, graph_const_data(t->to, NULL, DT_F32, &vs, v), NULL, NULL, d);
  const ValId in[] = {h, l->u[i], l->b[i]};
  const ValId up = graph_node(t->to, op, NULL, in, 3, NULL, NULL, d);
  const add_attrs add = {.act = flat               ? CATTRS(n, fully_connected)->act
                                : n->op == OP_conv ? CATTRS(n, conv)->act
                                                   : CATTRS(n, depthwise_conv)->act};
  mem_free(v);
  mem_free(u);
  mem_free(b);
  return graph_node2(t->to, OP_add, &add, y, up, NULL, NULL, d);
}

/* The float net with adapters as they are, and its last layer as `last` says (words in reals, weights and biases). */
static Graph *float_net(Learned *l, const float *last) {
  const Graph *f = l->net->f;
  Diag *d = diag_new();
  Rewrite t;
  int i = l->n;
  rewrite_begin(&t, f, NULL);
  for (NodeId k = 0; k < f->n_nodes; k++) {
    const Node *n = &f->nodes[k];
    if (is_layer(n->op) && i == 0) {
      const Shape *w = &graph_val(f, n->in[1])->shape, *b = &graph_val(f, n->in[2])->shape;
      t.map[n->in[1]] = graph_const_data(t.to, NULL, DT_F32, w, last);
      t.map[n->in[2]] = graph_const_data(t.to, NULL, DT_F32, b, last + shape_count(w));
    }
    ck_assert_msg(rewrite_copy(&t, n, d), "%s", diag_text(d));
    if (!is_layer(n->op) || i == 0) continue;
    i--;
    t.map[n->out[0]] = with_adapter(&t, l, i, n, t.map[n->out[0]], d);
    ck_assert_msg(t.map[n->out[0]] != NO_VAL, "%s", diag_text(d));
  }
  /* Not rewrite_end: it gives ids anew. */
  graph_output(t.to, rewrite_val(&t, f->outputs[0]));
  mem_free(t.map);
  diag_free(d);
  return t.to;
}

/* Signs from the emitted text. */
static float *signs_of(const char *dir, int64_t n) {
  Arena *a = arena_new();
  Diag *d = diag_new();
  size_t size;
  const char *text = (const char *)file_read(a, path_join(a, dir, "model.c"), &size, d);
  const char *at = strstr(text, "adapt_signs[] = {");
  ck_assert_ptr_nonnull(at);
  at = strchr(at, '{') + 1;
  float *out = mem_array((size_t)n, sizeof *out);
  for (int64_t i = 0; i < n; i++) {
    char *end;
    const long v = strtol(at, &end, 10);
    ck_assert(v == 1 || v == -1);
    out[i] = (float)v;
    at = end + 1;
  }
  arena_free(a);
  diag_free(d);
  return out;
}

/* The last layer's words as reals. */
static float *last_of(const AdaptNet *n, const int32_t *words, int64_t *count) {
  const NodeId fc = net_find(n->q, OP_fully_connected, images_count(n->q, OP_fully_connected) - 1);
  const Value *w = graph_val(n->q, n->q->nodes[fc].in[1]);
  const double x = (double)graph_val(n->q, n->q->nodes[fc].in[0])->quant.scale[0];
  const int64_t k = w->shape.d[1], weights = ADAPT_CLASSES * k;
  float *out = mem_array((size_t)(weights + ADAPT_CLASSES), sizeof *out);
  *count = weights + ADAPT_CLASSES;
  for (int64_t i = 0; i < *count; i++) {
    const int64_t o = i < weights ? i / k : i - weights;
    const double scale = (double)w->quant.scale[w->quant.n > 1 ? o : 0];
    out[i] = (float)((double)words[i] * (i < weights ? scale / 65536 : scale * x / 256));
  }
  return out;
}

/* How a net is looked at: on some images, `learned` steps from nothing, then what one more moves. */
typedef struct Look {
  int widest, rank, learned; /* widest: channels of the widest layer */
  float gain;                /* rate of adapters, large: they move far at once */
  double least;              /* cosine */
} Look;

/* Gradients of U and of offsets on image j: those of what moved, and the engine's. */
static void check_image(const AdaptNet *net, const Look *k, const float *signs, const int32_t *before,
                        const int32_t *after, int j) {
  const int rank = k->rank;
  int64_t head;
  float *last = last_of(net, before, &head);
  Learned l = {.net = net, .rank = rank, .signs = signs, .words = before + head};
  Diag *d = diag_new();
  float dl[ADAPT_CLASSES], *got[2], *want[2];
  int64_t n[2] = {0, 0};
  find_layers(&l);
  Graph *g = float_net(&l, last);
  Session *s =
      session_new(g, &(SessionOptions){.batch = 1, .threads = 1, .training = true, .plain = true}, d);
  ck_assert_msg(s != NULL, "%s", diag_text(d));
  const float *logits = session_forward(s, (const float *)net->ds.train.x + j * net->item, 1, false);
  loss_cross_entropy(logits, &net->ds.train.y[j], 1, ADAPT_CLASSES, 0, dl);
  session_backward(s, dl, 1);
  for (int i = 0; i < 2; i++) got[i] = mem_array(MOST, 4), want[i] = mem_array(MOST, 4);
  for (int i = 0; i < l.n; i++) {
    const int64_t c = channels_of(net->q, l.layer[i]);
    const float *by[2] = {session_gradient(s, l.u[i]), session_gradient(s, l.b[i])};
    for (int64_t w = 0; w < c * (rank + 1); w++) {
      const int which = w >= c * rank;
      const int64_t at = head + l.at[i] + w;
      const double unit = which ? scale_of(&l, i) / MF_ADAPT_ONE : unit_of(&l, i);
      ck_assert_int_lt(n[which], MOST);
      got[which][n[which]] =
          (float)((double)(before[at] - after[at]) / (double)(which ? RATE : k->gain) * unit);
      want[which][n[which]++] = by[which][which ? w - c * rank : w];
    }
  }
  for (int i = 0; i < 2; i++) {
    double cosine, ratio;
    adapt_compare(got[i], want[i], n[i], &cosine, &ratio);
    ck_assert_msg(cosine > k->least && ratio > 0.8 && ratio < 1.25, "image %d, %s: cosine %.4f, ratio %.4f",
                  j, i ? "offsets" : "adapters", cosine, ratio);
    mem_free(got[i]);
    mem_free(want[i]);
  }
  session_free(s);
  graph_free(g);
  diag_free(d);
  mem_free(last);
}

static const char *emitted_of_rank(const AdaptNet *net, int rank) {
  static char dir[600];
  AdaptSizes sizes;
  Diag *d = diag_new();
  snprintf(dir, sizeof dir, "%s/rank%d", test_tmp_dir(), rank);
  const EmitOptions o = {.name = "net",
                         .out_dir = dir,
                         .adapt = DEVICE_ADAPT_ADAPTERS,
                         .adapt_rank = rank,
                         .adapt_sizes = &sizes};
  ck_assert_msg(emit_c(net->q, target_find("x86-64"), &o, d), "%s", diag_text(d));
  ck_assert(sizes.rank == rank && sizes.adapters == sizes.layers);
  diag_free(d);
  return dir;
}

static void are_the_engines(const AdaptNet *net, const Look *k) {
  const char *dir = emitted_of_rank(net, k->rank);
  AdaptOrder orders[LOOKED_AT * (LEARNED + 4)];
  int n = 0;
  for (int i = 0; i < LOOKED_AT; i++) {
    orders[n++] = (AdaptOrder){.what = ADAPT_RESET};
    for (int n_th = 0; n_th < k->learned; n_th++) {
      const int at = (i * 7 + n_th) % ADAPT_IMAGES;
      orders[n++] = (AdaptOrder){net->ds.train.y[at], adapt_image(net, at)};
    }
    orders[n++] = (AdaptOrder){.what = ADAPT_WORDS};
    orders[n++] = (AdaptOrder){net->ds.train.y[i], adapt_image(net, i)};
    orders[n++] = (AdaptOrder){.what = ADAPT_WORDS};
  }
  const AdaptRun r = {.name = "net",
                      .rates = {RATE, RATE, k->gain, 0},
                      .orders = orders,
                      .n = n,
                      .input_bytes = adapt_image_bytes(net)};
  StrBuf out = adapt_obey(dir, "x86-64", &r);
  float *signs = signs_of(dir, k->widest * k->rank);
  const size_t each = (out.len - ADAPT_RESULTS) / LOOKED_AT,
               words = (each - 4 * (size_t)(k->learned + 1)) / 8;
  int32_t *w[2] = {mem_array(words, 4), mem_array(words, 4)};
  for (int i = 0; i < LOOKED_AT; i++) {
    const char *at = out.s + ADAPT_RESULTS + (size_t)i * each + 4 * (size_t)k->learned;
    memcpy(w[0], at, 4 * words);
    memcpy(w[1], at + 4 * words + 4, 4 * words);
    check_image(net, k, signs, w[0], w[1], i);
  }
  mem_free(w[0]);
  mem_free(w[1]);
  mem_free(signs);
  sb_free(&out);
}

START_TEST(nets_have_the_engines_gradients)
{
  static const Look residual[] = {{32, 2, 0, 0.1f, 0.95}, {32, 2, LEARNED, 0.1f, 0.85}},
                    constructs[] = {{16, 2, 0, 0.1f, 0.95},
                                    {16, 2, LEARNED, 0.1f, 0.85},
                                    {16, 3, LEARNED, 0.1f, 0.85}},
                    linear[] = {{10, 2, LEARNED, 0.2f, 0.99}, {10, 3, LEARNED, 0.2f, 0.99}};
  AdaptNet n = adapt_net(7);
  for (int i = 0; i < 2; i++) are_the_engines(&n, &residual[i]);
  adapt_net_free(&n);
  n = adapt_net_of(graph_of(adapt_constructs), 3);
  for (int i = 0; i < 3; i++) are_the_engines(&n, &constructs[i]);
  adapt_net_free(&n);
  n = adapt_net_of(graph_of(without_limits), 4);
  for (int i = 0; i < 2; i++) are_the_engines(&n, &linear[i]);
  adapt_net_free(&n);
}
END_TEST

Suite *suite_adapt_adapter(void) {
  Suite *s = suite_create("adapt_adapter");
  TCase *t = tcase_create("adapt_adapter");
  tcase_set_timeout(t, 120);
  tcase_add_test(t, sums_fit_their_words);
  tcase_add_test(t, a_run_is_its_formula);
  tcase_add_test(t, a_step_is_its_formula);
  tcase_add_test(t, gradients_fit_their_words);
  tcase_add_test(t, a_layer_hands_it_on);
  tcase_add_test(t, nets_have_the_engines_gradients);
  suite_add_tcase(s, t);
  return s;
}
