/* Conv computed directly by the session's kernels (simd/kernels.h): no im2col, images padded with zeros instead.
 *
 *   y   a convolution of the padded image with weights packed 16 output channels wide
 *   dx  a convolution of the padded dy with weights turned round. With stride s, the pixels of dx that are alike modulo
 *       s read the same taps: one convolution for each of the s x s classes, of a part of the taps.
 *   dw  sums over pixels of taps times dy, kept packed over a tile and added to dw at its end
 *
 * Class a of the rows: dx row a + s i gets dy row i + base - j for each tap ky = r + s j, r = (a + top) mod s,
 * base = (a + top - r) / s: a correlation with the taps in falling order over dy padded by (taps - 1 - base) rows.
 */
#include "runtime/engine/ops/conv.h"

#include <math.h>

/* -- padding -- */

/* src [h][w][c] to dst [hp][wp][c]: dst row r is src row r - top, 0 outside; top and left may be negative. */
static void pad_image(const float *src, int64_t h, int64_t w, int64_t c, int64_t top, int64_t left,
                      int64_t hp, int64_t wp, float *dst) {
  int64_t x0 = left > 0 ? left : 0, x1 = left + w < wp ? left + w : wp;
  if (x1 < x0) x1 = x0;
  for (int64_t r = 0; r < hp; r++, dst += wp * c) {
    if (r < top || r >= top + h || x0 >= wp) {
      vec_zero(dst, wp * c);
      continue;
    }
    vec_zero(dst, x0 * c);
    vec_copy(dst + x0 * c, src + ((r - top) * w + x0 - left) * c, (x1 - x0) * c);
    vec_zero(dst + x1 * c, (wp - x1) * c);
  }
}

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
    pad_image(x, q->h, q->w, q->c, q->top, q->left, hp, s->wp, xp);
    return xp;
  }
  s->wp = q->w;
  return x;
}

/* -- weights: w [O][Kh][Kw][C] -- */

static void pack_forward(const ConvGeometry *q, const float *w, float *out) {
  for (int64_t b = 0; b < q->o; b += CONV_COLS)
    for (int64_t k = 0; k < q->k; k++, out += CONV_COLS)
      for (int64_t i = 0; i < CONV_COLS; i++) out[i] = b + i < q->o ? w[(b + i) * q->k + k] : 0;
}

static void pack_bias(const ConvGeometry *q, const float *bias, float *out) {
  for (int64_t i = 0; i < conv_blocks(q->o) * CONV_COLS; i++) out[i] = bias && i < q->o ? bias[i] : 0;
}

/* One axis of a class of dx. */
typedef struct Class {
  int64_t a, taps, r, stride, pad, count; /* taps r + stride j; `count` pixels of dx from a on */
} Class;

static Class class_of(int64_t a, int64_t stride, int64_t kernel, int64_t before, int64_t size) {
  Class k = {.a = a, .stride = stride, .r = (a + before) % stride};
  k.taps = kernel > k.r ? (kernel - k.r + stride - 1) / stride : 0;
  k.pad = k.taps - 1 - (a + before - k.r) / stride;
  k.count = size > a ? (size - a + stride - 1) / stride : 0;
  return k;
}

/* Taps of the class in falling order, as a convolution from O to C channels: [c blocks][taps * O][16]. */
static void pack_back(const ConvGeometry *q, const Class *y, const Class *x, const float *w, float *out) {
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
  int64_t xp, wp, bias, dyp, dy, out, acc, total;
} Places;

static int64_t take(int64_t *at, int64_t n) {
  int64_t here = *at;
  *at += (n + 15) / 16 * 16;
  return here;
}

static Places places_of(const ConvGeometry *q, bool training) {
  int64_t hp, at = 0, ob = conv_blocks(q->o) * CONV_COLS, cb = conv_blocks(q->c) * CONV_COLS;
  ConvShape s = shape_of_conv(q, &hp);
  Places p = {0};
  p.xp = take(&at, needs_padding(q) ? hp * s.wp * q->c : 0);
  p.wp = take(&at, q->k * ob > q->kh * q->kw * q->o * cb ? q->k * ob : q->kh * q->kw * q->o * cb);
  p.bias = take(&at, ob);
  if (training) {
    p.dyp = take(&at, (q->h + q->kh) * (q->w + q->kw) * q->o);
    p.dy = take(&at, q->oh * q->ow * (q->o + ob));
    p.out = take(&at, q->h * q->w * q->c);
    p.acc = take(&at, q->k * ob);
  }
  p.total = at;
  return p;
}

int64_t conv_direct_scratch(const ConvGeometry *q, bool training) { return places_of(q, training).total; }

/* -- forward -- */

void conv_direct_forward(const OpCall *c, const ConvGeometry *q) {
  Places at = places_of(q, c->s->opt.training);
  float *w = c->scratch + at.wp, *bias = c->scratch + at.bias, lo, hi;
  const float *x = in_x(c, 0);
  float *y = out_x(c);
  act_limits(c->st->act, &lo, &hi);
  pack_forward(q, in_x(c, 1), w);
  pack_bias(q, has_in(c, 2) ? in_x(c, 2) : NULL, bias);
  for (int64_t i = 0; i < items(c); i++, x += q->h * q->w * q->c, y += q->oh * q->ow * q->o) {
    ConvShape s;
    const float *image = padded(q, &s, x, c->scratch + at.xp);
    c->s->k->conv(&s, image, w, bias, lo, hi, false, y);
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

/* The class's results [y->count][x->count][C] to their places in dx. */
static void scatter(const ConvGeometry *q, const Class *y, const Class *x, const float *src, bool add,
                    float *dx) {
  for (int64_t i = 0; i < y->count; i++)
    for (int64_t j = 0; j < x->count; j++, src += q->c)
      vec_put(dx + ((y->a + y->stride * i) * q->w + x->a + x->stride * j) * q->c, src, q->c, add);
}

static void back_class(const OpCall *c, const ConvGeometry *q, const Places *at, const Class *y,
                       const Class *x, const float *dy, const float *w, float *dx) {
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
    pad_image(dy, q->oh, q->ow, q->o, y->pad, x->pad, hp, wp, dyp);
    c->s->k->conv(&s, dyp, w, NULL, -INFINITY, INFINITY, whole && add, out);
  } else {
    vec_zero(out, y->count * x->count * q->c); /* pixels that no tap reads; only with a stride */
  }
  if (!whole) scatter(q, y, x, out, add, dx);
}

/* dx of all examples; the classes one after the other, so that each packs its weights once. */
static void back_input(const OpCall *c, const ConvGeometry *q, const Places *at, float *dx) {
  float *w = c->scratch + at->wp, *tmp = c->scratch + at->dy;
  int64_t in = q->h * q->w * q->c, out = q->oh * q->ow * q->o;
  for (int64_t a = 0; a < q->sh; a++)
    for (int64_t b = 0; b < q->sw; b++) {
      Class y = class_of(a, q->sh, q->kh, q->top, q->h), x = class_of(b, q->sw, q->kw, q->left, q->w);
      pack_back(q, &y, &x, in_x(c, 1), w);
      for (int64_t i = 0; i < items(c) && y.count && x.count; i++) {
        const float *dy = act_mask(c, out_x(c) + i * out, out_dx(c) + i * out, out, tmp);
        back_class(c, q, at, &y, &x, dy, w, dx + i * in);
      }
    }
}

/* dw and db; either may be NULL. */
static void back_params(const OpCall *c, const ConvGeometry *q, const Places *at, float *dw, float *db) {
  float *acc = c->scratch + at->acc, *tmp = c->scratch + at->dy;
  int64_t out = q->oh * q->ow * q->o;
  const float *x = in_x(c, 0);
  if (dw) vec_zero(acc, q->k * conv_blocks(q->o) * CONV_COLS);
  for (int64_t i = 0; i < items(c); i++, x += q->h * q->w * q->c) {
    const float *dy = act_mask(c, out_x(c) + i * out, out_dx(c) + i * out, out, tmp);
    if (db) rows_sum(dy, q->oh * q->ow, q->o, db, in_add(c, 2) || i > 0);
    if (!dw) continue;
    ConvShape s;
    const float *image = padded(q, &s, x, c->scratch + at->xp);
    c->s->k->conv_weights(&s, image, whole_blocks(q, dy, tmp + out), acc);
  }
  if (dw) unpack_weights(q, acc, in_add(c, 1), dw);
}

void conv_direct_backward(const OpCall *c, const ConvGeometry *q) {
  Places at = places_of(q, true);
  float *dx = in_dx(c, 0), *dw = in_dx(c, 1), *db = in_dx(c, 2);
  if (dw || db) back_params(c, q, &at, dw, db);
  if (dx) back_input(c, q, &at, dx);
}
