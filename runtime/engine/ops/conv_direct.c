/* Conv computed directly by the session's kernels (simd/kernels.h): no im2col, images padded with zeros instead.
 *
 *   y   a convolution of the padded image with weights packed 16 output channels wide
 *   dx  a convolution of the padded dy with weights turned round. With stride s, the pixels of dx that are alike modulo
 *       s read the same taps: one convolution for each of the s x s classes (window.c), of a part of the taps.
 *   dw  sums over pixels of taps times dy, kept packed over a tile and added to dw at its end
 *
 */
#include "runtime/engine/ops/conv.h"
#include "runtime/engine/ops/window.h"

#include <math.h>

/* The forward convolution, on the padded image. */
static ConvShape shape_of_conv(const ConvGeometry *q, int64_t *hp) {
  *hp = (q->oh - 1) * q->sh + q->kh;
  int64_t wp = (q->ow - 1) * q->sw + q->kw;
  return (ConvShape){.wp = wp,
                     .c = q->c,
                     .oh = q->oh,
                     .ow = q->ow,
                     .o = q->o,
                     .kh = q->kh,
                     .run = q->kw * q->c,
                     .sh = q->sh,
                     .sw = q->sw,
                     .dh = 1};
}

static bool needs_padding(const ConvGeometry *q) {
  return q->top || q->left || (q->ow - 1) * q->sw + q->kw > q->w || (q->oh - 1) * q->sh + q->kh > q->h;
}

/* The image as the kernel reads it: x itself where there is no padding. */
static const float *padded(const ConvGeometry *q, ConvShape *s, const float *x, float *xp) {
  int64_t hp;
  *s = shape_of_conv(q, &hp);
  if (needs_padding(q)) {
    window_pad(x, q->h, q->w, q->c, q->top, q->left, hp, s->wp, xp);
    return xp;
  }
  s->wp = q->w;
  return x;
}

/* -- weights: w [O][Kh][Kw][C] -- */

/* [o blocks][K][16], each output's times its scale. */
static void pack_forward(const ConvGeometry *q, const float *w, const float *scale, float *out) {
  for (int64_t b = 0; b < q->o; b += CONV_COLS, out += q->k * CONV_COLS) {
    int64_t cols = q->o - b < CONV_COLS ? q->o - b : CONV_COLS;
    if (cols < CONV_COLS) vec_zero(out, q->k * CONV_COLS);
    for (int64_t i = 0; i < cols; i++)
      for (int64_t k = 0; k < q->k; k++) out[k * CONV_COLS + i] = w[(b + i) * q->k + k] * scale[b + i];
  }
}

/* Taps of the class in falling order, as a convolution from O to C channels: [c blocks][taps * O][16]. */
static void pack_back(const ConvGeometry *q, const WindowClass *y, const WindowClass *x, const float *w,
                      float *out) {
  for (int64_t b = 0; b < q->c; b += CONV_COLS)
    for (int64_t jy = y->taps - 1; jy >= 0; jy--)
      for (int64_t jx = x->taps - 1; jx >= 0; jx--) {
        const float *tap = w + ((y->r + y->stride * jy) * q->kw + x->r + x->stride * jx) * q->c + b;
        int64_t cols = q->c - b < CONV_COLS ? q->c - b : CONV_COLS;
        for (int64_t o = 0; o < q->o; o++, out += CONV_COLS)
          for (int64_t i = 0; i < CONV_COLS; i++) out[i] = i < cols ? tap[o * q->k + i] : 0;
      }
}

/* dw [O][K] (+)= acc [o blocks][K][16]. */
static void unpack_weights(const ConvGeometry *q, const float *acc, bool add, float *dw) {
  for (int64_t o = 0; o < q->o; o++) {
    const float *src = acc + (o / CONV_COLS) * q->k * CONV_COLS + o % CONV_COLS;
    float *dst = dw + o * q->k;
    for (int64_t k = 0; k < q->k; k++) dst[k] = (add ? dst[k] : 0) + src[k * CONV_COLS];
  }
}

/* -- scratch -- */

typedef struct Places {
  int64_t xp, dyp, dy, dy16, out, acc, total;
} Places;

static bool pointwise(const ConvGeometry *q) {
  return q->kh * q->kw == 1 && q->sh * q->sw == 1 && !needs_padding(q) && q->oh == q->h && q->ow == q->w;
}

static Places places_of(const ConvGeometry *q, Act act, bool training) {
  int64_t hp, at = 0, ob = conv_blocks(q->o) * CONV_COLS;
  ConvShape s = shape_of_conv(q, &hp);
  Places p = {0};
  p.xp = scratch_take(&at, needs_padding(q) ? hp * s.wp * q->c : 0);
  if (training) {
    p.dyp = scratch_take(&at, pointwise(q) ? 0 : (q->h + q->kh) * (q->w + q->kw) * q->o);
    p.dy = scratch_take(&at, act_scratch(act, q->oh * q->ow * q->o));
    p.dy16 = scratch_take(&at, ob == q->o ? 0 : q->oh * q->ow * ob);
    p.out = scratch_take(&at, q->sh * q->sw == 1 ? 0 : q->h * q->w * q->c);
    p.acc = scratch_take(&at, q->k * ob);
  }
  p.total = at;
  return p;
}

/* A pointwise convolution sees the images of a tile as one tall image. */
static ConvGeometry stacked(const ConvGeometry *q, int64_t images, int64_t *n) {
  ConvGeometry s = *q;
  *n = pointwise(q) ? 1 : images;
  if (pointwise(q)) s.h = s.oh = q->h * images;
  return s;
}

int64_t conv_direct_scratch(const ConvGeometry *q, Act act, int64_t images, bool training) {
  int64_t n;
  ConvGeometry s = stacked(q, images, &n);
  return places_of(&s, act, training).total;
}

/* -- weights, packed for a pass -- */

typedef struct Packed {
  int64_t w, bias, scale, back, total;
} Packed;

static Packed packed_of(const ConvGeometry *q, bool training) {
  int64_t at = 0, ob = conv_blocks(q->o) * CONV_COLS, cb = conv_blocks(q->c) * CONV_COLS;
  Packed p = {0};
  p.w = scratch_take(&at, q->k * ob);
  p.bias = scratch_take(&at, ob);
  p.scale = scratch_take(&at, ob);
  p.back = scratch_take(&at, training ? q->kh * q->kw * q->o * cb : 0);
  p.total = at;
  return p;
}

int64_t conv_direct_packed(const ConvGeometry *q, bool training) { return packed_of(q, training).total; }

/* Class (a, b) of dx's pixels along both axes. */
static void classes_of(const ConvGeometry *q, int64_t a, int64_t b, WindowClass *y, WindowClass *x) {
  *y = window_class(a, q->sh, q->kh, q->top, q->h);
  *x = window_class(b, q->sw, q->kw, q->left, q->w);
}

static int64_t class_floats(const ConvGeometry *q, const WindowClass *y, const WindowClass *x) {
  return y->taps * x->taps * q->o * conv_blocks(q->c) * CONV_COLS;
}

void conv_direct_prepare(const OpCall *c, const ConvGeometry *q) {
  Packed p = packed_of(q, c->s->opt.training);
  float *to = c->st->packed;
  if (!c->backward) {
    conv_scale(c, q->o, to + p.scale, to + p.bias);
    pack_forward(q, in_x(c, 1), to + p.scale, to + p.w);
    return;
  }
  to += p.back;
  for (int64_t a = 0; a < q->sh && in_val(c, 0)->needs; a++)
    for (int64_t b = 0; b < q->sw; b++) {
      WindowClass y, x;
      classes_of(q, a, b, &y, &x);
      pack_back(q, &y, &x, in_x(c, 1), to);
      to += class_floats(q, &y, &x);
    }
}

/* -- forward -- */

void conv_direct_forward(const OpCall *c, const ConvGeometry *geometry) {
  int64_t n;
  ConvGeometry all = stacked(geometry, items(c), &n);
  const ConvGeometry *q = &all;
  Packed p = packed_of(q, c->s->opt.training);
  const float *w = c->st->packed + p.w, *bias = c->st->packed + p.bias, *x = in_x(c, 0);
  ConvOut out = conv_out(c);
  Places at = places_of(q, c->st->act, c->s->opt.training);
  for (int64_t i = 0; i < n; i++, x += q->h * q->w * q->c, out.y += q->oh * q->ow * q->o) {
    ConvShape s;
    const float *image = padded(q, &s, x, c->scratch + at.xp);
    c->s->k->conv(&s, image, w, bias, out.lo, out.hi, false, out.y);
  }
}

/* -- backward -- */

/* Rows of O channels to rows of whole blocks; dy itself where it has them. */
static const float *whole_blocks(const ConvGeometry *q, const float *dy, float *out) {
  int64_t ob = conv_blocks(q->o) * CONV_COLS;
  if (ob == q->o) return dy;
  for (int64_t p = 0; p < q->oh * q->ow; p++) {
    vec_copy(out + p * ob, dy + p * q->o, q->o);
    vec_zero(out + p * ob + q->o, ob - q->o);
  }
  return out;
}

static void back_class(const OpCall *c, const ConvGeometry *q, const Places *at, const WindowClass *y,
                       const WindowClass *x, const float *dy, const float *w, float *dx) {
  bool whole = q->sh == 1 && q->sw == 1, add = in_add(c, 0);
  float *dyp = c->scratch + at->dyp, *out = whole ? dx : c->scratch + at->out;
  int64_t hp = y->count + y->taps - 1, wp = x->count + x->taps - 1;
  if (y->taps && x->taps) {
    ConvShape s = {.wp = wp,
                   .c = q->o,
                   .oh = y->count,
                   .ow = x->count,
                   .o = q->c,
                   .kh = y->taps,
                   .run = x->taps * q->o,
                   .sh = 1,
                   .sw = 1,
                   .dh = 1};
    if (!pointwise(q)) window_pad(dy, q->oh, q->ow, q->o, y->pad, x->pad, hp, wp, dyp);
    c->s->k->conv(&s, pointwise(q) ? dy : dyp, w, NULL, -INFINITY, INFINITY, whole && add, out);
  } else {
    vec_zero(out, y->count * x->count * q->c); /* pixels that no tap reads; only with a stride */
  }
  if (!whole) window_scatter(y, x, out, q->w, q->c, add, dx);
}

/* dx of all examples, one class after the other. */
static void back_input(const OpCall *c, const ConvGeometry *q, int64_t n, const Places *at, float *dx) {
  const float *w = c->st->packed + packed_of(q, true).back;
  float *tmp = c->scratch + at->dy;
  int64_t in = q->h * q->w * q->c, out = q->oh * q->ow * q->o;
  for (int64_t a = 0; a < q->sh; a++)
    for (int64_t b = 0; b < q->sw; b++) {
      WindowClass y, x;
      classes_of(q, a, b, &y, &x);
      for (int64_t i = 0; i < n && y.count && x.count; i++) {
        const float *dy = act_mask(c, out_x(c) + i * out, out_dx(c) + i * out, out, tmp);
        back_class(c, q, at, &y, &x, dy, w, dx + i * in);
      }
      w += class_floats(q, &y, &x);
    }
}

/* dw and db; either may be NULL. */
static void back_params(const OpCall *c, const ConvGeometry *q, int64_t n, const Places *at, float *dw,
                        float *db) {
  float *acc = c->scratch + at->acc, *tmp = c->scratch + at->dy;
  int64_t out = q->oh * q->ow * q->o;
  const float *x = in_x(c, 0);
  if (dw) vec_zero(acc, q->k * conv_blocks(q->o) * CONV_COLS);
  for (int64_t i = 0; i < n; i++, x += q->h * q->w * q->c) {
    const float *dy = act_mask(c, out_x(c) + i * out, out_dx(c) + i * out, out, tmp);
    if (db) rows_sum(dy, q->oh * q->ow, q->o, db, in_add(c, 2) || i > 0);
    if (!dw) continue;
    ConvShape s;
    const float *image = padded(q, &s, x, c->scratch + at->xp);
    c->s->k->conv_weights(&s, image, whole_blocks(q, dy, c->scratch + at->dy16), acc);
  }
  if (dw) unpack_weights(q, acc, in_add(c, 1), dw);
}

void conv_direct_backward(const OpCall *c, const ConvGeometry *geometry) {
  int64_t n;
  ConvGeometry q = stacked(geometry, items(c), &n);
  Places at = places_of(&q, c->st->act, true);
  float *dx = in_dx(c, 0), *dw = in_dx(c, 1), *db = in_dx(c, 2);
  if (dw || db) back_params(c, &q, n, &at, dw, db);
  if (dx) back_input(c, &q, n, &at, dx);
}
