/* Conv 3x3 at stride 1 by Winograd's F(4x4, 3x3): 36 products for 144 (simd/winograd.h has the transforms).
 *
 *   y   tiles of x -> V [36][tiles][C];  V times packed weights, 36 pointwise convolutions -> M [36][tiles][O] -> y
 *   dx  the same from dy, with weights turned round
 *   dw  V of x and the transformed dy D [36][tiles][O]: acc [36][c blocks][O][16] += D^T V, then back to taps
 *
 * Tiles are taken as many at a time as keep V and M within about 640 KB, at least 16. A result differs from the direct one by
 * some 1e-6 of the largest product; SessionOptions.plain turns the method off.
 */
#include "runtime/engine/ops/conv.h"
#include "runtime/engine/ops/window.h"

#include <math.h>

enum { POINTS = 36, TILE_FLOATS = 163840, TILES_STEP = 16 };

bool conv_winograd_fits(const ConvGeometry *q) {
  return q->kh == 3 && q->kw == 3 && q->sh == 1 && q->sw == 1 && q->c % CONV_COLS == 0 &&
         q->o % CONV_COLS == 0 && q->top >= 0 && q->left >= 0 && q->top <= 2 && q->left <= 2 &&
         q->oh * q->ow >= 16;
}

static int64_t fours(int64_t n) { return (n + 3) / 4; }

/* Tiles at a time. */
static int64_t most_tiles(const ConvGeometry *q) {
  int64_t n = TILE_FLOATS / (POINTS * (q->c + q->o));
  return n < TILES_STEP ? TILES_STEP : n / TILES_STEP * TILES_STEP;
}

/* Floats between points; a line more than the tiles need, so that the 36 do not meet in the same sets of a cache. */
static int64_t plane(int64_t tiles, int64_t channels) { return (tiles + 1) * channels + 16; }

typedef struct Places {
  int64_t v, m, acc, dy, total;
} Places;

static Places places_of(const ConvGeometry *q, Act act, int64_t images, bool training) {
  int64_t at = 0, tiles = most_tiles(q);
  Places p = {0};
  p.v = scratch_take(&at, POINTS * plane(tiles, training && q->o > q->c ? q->o : q->c));
  p.m = scratch_take(&at, POINTS * plane(tiles, training && q->c > q->o ? q->c : q->o));
  p.acc = scratch_take(&at, training ? POINTS * q->c * q->o : 0);
  p.dy = scratch_take(&at, training ? act_scratch(act, images * q->oh * q->ow * q->o) : 0);
  p.total = at;
  return p;
}

int64_t conv_winograd_scratch(const ConvGeometry *q, Act act, int64_t images, bool training) {
  int64_t packing = POINTS * CONV_COLS * CONV_COLS, n = places_of(q, act, images, training).total;
  return n > packing ? n : packing;
}

/* -- weights -- */

typedef struct Packed {
  int64_t u, bias, scale, back, total;
} Packed;

static Packed packed_of(const ConvGeometry *q, bool training) {
  int64_t at = 0;
  Packed p = {0};
  p.u = scratch_take(&at, POINTS * q->c * q->o);
  p.bias = scratch_take(&at, q->o);
  p.scale = scratch_take(&at, q->o);
  p.back = scratch_take(&at, training ? POINTS * q->c * q->o : 0);
  p.total = at;
  return p;
}

int64_t conv_winograd_packed(const ConvGeometry *q, bool training) { return packed_of(q, training).total; }

/* u [36][o blocks][C][16 o]: transformed for 16 o by 16 c, where c lies side by side, then turned. */
static void pack_forward(const OpCall *c, const ConvGeometry *q, const float *scale, float *u) {
  enum { SQUARE = CONV_COLS * CONV_COLS };
  const float *w = in_x(c, 1);
  float *tmp = c->scratch;
  for (int64_t o = 0; o < q->o; o += CONV_COLS)
    for (int64_t k = 0; k < q->c; k += CONV_COLS, u += SQUARE) {
      for (int64_t i = 0; i < CONV_COLS; i++)
        c->s->k->winograd_weights(w + (o + i) * 9 * q->c + k, q->c, false, SQUARE, tmp + i * CONV_COLS);
      for (int64_t p = 0; p < POINTS; p++)
        for (int64_t j = 0; j < CONV_COLS; j++)
          for (int64_t i = 0; i < CONV_COLS; i++)
            u[p * q->c * q->o + j * CONV_COLS + i] = tmp[p * SQUARE + i * CONV_COLS + j] * scale[o + i];
    }
}

/* u [36][c blocks][O][16 c], taps turned round. */
static void pack_back(const OpCall *c, const ConvGeometry *q, float *u) {
  const float *w = in_x(c, 1);
  for (int64_t k = 0; k < q->c; k += CONV_COLS)
    for (int64_t o = 0; o < q->o; o++, u += CONV_COLS)
      c->s->k->winograd_weights(w + o * 9 * q->c + k, q->c, true, q->c * q->o, u);
}

void conv_winograd_prepare(const OpCall *c, const ConvGeometry *q) {
  Packed p = packed_of(q, c->s->opt.training);
  float *to = c->st->packed;
  if (c->backward) {
    if (in_val(c, 0)->needs) pack_back(c, q, to + p.back);
    return;
  }
  conv_scale(c, q->o, to + p.scale, to + p.bias);
  pack_forward(c, q, to + p.scale, to + p.u);
}

/* -- one convolution, forward or of dy -- */

typedef struct Run {
  WinogradShape in, out; /* where patches are read, where pixels are written: the same tiles */
  const float *u, *bias;
  float lo, hi;
  bool add;
} Run;

/* 36 pointwise convolutions of `tiles` pixels. */
static void products(const EngineKernels *k, int64_t tiles, int64_t c, int64_t o, const float *v, int64_t pv,
                     const float *u, float *m, int64_t pm) {
  const ConvShape s = {
      .wp = tiles, .c = c, .oh = 1, .ow = tiles, .o = o, .kh = 1, .run = c, .sh = 1, .sw = 1, .dh = 1};
  for (int i = 0; i < POINTS; i++)
    k->conv(&s, v + i * pv, u + i * c * o, NULL, -INFINITY, INFINITY, false, m + i * pm);
}

static void convolve(const EngineKernels *k, const Run *r, int64_t images, int64_t step, const float *x,
                     float *v, float *m, float *y) {
  int64_t all = images * r->in.th * r->in.tw;
  for (int64_t t = 0; t < all; t += step) {
    int64_t n = all - t < step ? all - t : step, pv = plane(n, r->in.c), pm = plane(n, r->out.c);
    k->winograd_input(&r->in, x, t, n, pv, v);
    products(k, n, r->in.c, r->out.c, v, pv, r->u, m, pm);
    k->winograd_output(&r->out, m, t, n, pm, r->bias, r->lo, r->hi, r->add, y);
  }
}

static Run forward_run(const ConvGeometry *q) {
  int64_t th = fours(q->oh), tw = fours(q->ow);
  return (Run){.in = {q->h, q->w, q->c, q->top, q->left, th, tw}, .out = {q->oh, q->ow, q->o, 0, 0, th, tw}};
}

void conv_winograd_forward(const OpCall *c, const ConvGeometry *q) {
  Packed p = packed_of(q, c->s->opt.training);
  Places at = places_of(q, c->st->act, items(c), c->s->opt.training);
  ConvOut out = conv_out(c);
  Run r = forward_run(q);
  r.u = c->st->packed + p.u, r.bias = c->st->packed + p.bias;
  r.lo = out.lo, r.hi = out.hi;
  convolve(c->s->k, &r, items(c), most_tiles(q), in_x(c, 0), c->scratch + at.v, c->scratch + at.m, out.y);
}

/* -- backward -- */

static void back_input(const OpCall *c, const ConvGeometry *q, const Places *at, const float *dy, float *dx) {
  int64_t th = fours(q->h), tw = fours(q->w);
  Run r = {.in = {q->oh, q->ow, q->o, 2 - q->top, 2 - q->left, th, tw},
           .out = {q->h, q->w, q->c, 0, 0, th, tw},
           .u = c->st->packed + packed_of(q, true).back,
           .lo = -INFINITY,
           .hi = INFINITY,
           .add = in_add(c, 0)};
  convolve(c->s->k, &r, items(c), most_tiles(q), dy, c->scratch + at->v, c->scratch + at->m, dx);
}

static void weights_back(const OpCall *c, const ConvGeometry *q, const float *acc, float *dw) {
  bool add = in_add(c, 1);
  for (int64_t k = 0; k < q->c; k += CONV_COLS)
    for (int64_t o = 0; o < q->o; o++, acc += CONV_COLS)
      c->s->k->winograd_weights_back(acc, q->c * q->o, add, q->c, dw + o * 9 * q->c + k);
}

static void back_weights(const OpCall *c, const ConvGeometry *q, const Places *at, const float *dy,
                         float *dw) {
  const EngineKernels *k = c->s->k;
  Run r = forward_run(q);
  float *v = c->scratch + at->v, *m = c->scratch + at->m, *acc = c->scratch + at->acc;
  int64_t all = items(c) * r.in.th * r.in.tw, step = most_tiles(q);
  vec_zero(acc, POINTS * q->c * q->o);
  for (int64_t t = 0; t < all; t += step) {
    int64_t n = all - t < step ? all - t : step, pv = plane(n, q->c), pm = plane(n, q->o);
    const ConvShape s = {
        .wp = n, .c = q->o, .oh = 1, .ow = n, .o = q->c, .kh = 1, .run = q->o, .sh = 1, .sw = 1, .dh = 1};
    k->winograd_input(&r.in, in_x(c, 0), t, n, pv, v);
    k->winograd_gradient(&r.out, dy, t, n, pm, m);
    for (int i = 0; i < POINTS; i++) k->conv_weights(&s, m + i * pm, v + i * pv, acc + i * q->c * q->o);
  }
  weights_back(c, q, acc, dw);
}

void conv_winograd_backward(const OpCall *c, const ConvGeometry *q) {
  Places at = places_of(q, c->st->act, items(c), true);
  float *dx = in_dx(c, 0), *dw = in_dx(c, 1), *db = in_dx(c, 2);
  int64_t pixels = items(c) * q->oh * q->ow;
  const float *dy = act_mask(c, out_x(c), out_dx(c), pixels * q->o, c->scratch + at.dy);
  if (db) rows_sum(dy, pixels, q->o, db, in_add(c, 2));
  if (dw) back_weights(c, q, &at, dy, dw);
  if (dx) back_input(c, q, &at, dy, dx);
}
