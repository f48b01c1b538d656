/* DepthwiseConv, training: x [N,H,W,C], w [1,Kh,Kw,O], y [N,OH,OW,O]; output channel o reads input channel o / m,
 * m = O / C.
 *
 * With m == 1 and no dilation (nearly always) the session's kernels run over padded images, dx as convolutions of the
 * padded dy with the taps turned round, one for each class of pixels that a stride makes (window.c). Otherwise plain
 * loops over pixels and taps.
 */
#include "runtime/engine/ops/window.h"

#include <math.h>

typedef struct Geometry {
  int64_t h, w, c, oh, ow, o, m, kh, kw, sh, sw, top, left, dh, dw;
} Geometry;

static Geometry geometry(const Graph *g, const Node *n) {
  const depthwise_conv_attrs *a = CATTRS(n, depthwise_conv);
  const Shape *x = &g->vals[n->in[0]].shape, *w = &g->vals[n->in[1]].shape, *y = &g->vals[n->out[0]].shape;
  Geometry q = {.h = x->d[1], .w = x->d[2], .c = x->d[3], .oh = y->d[1], .ow = y->d[2], .o = y->d[3]};
  q.m = q.o / q.c;
  q.kh = w->d[1], q.kw = w->d[2];
  q.sh = a->strides.v[0], q.sw = a->strides.v[1], q.top = a->pads.v[0], q.left = a->pads.v[1];
  q.dh = a->dilations.v[0], q.dw = a->dilations.v[1];
  return q;
}

static bool simple(const Geometry *q) { return q->m == 1 && q->dh == 1 && q->dw == 1; }

typedef struct Places {
  int64_t dy, xp, dyp, out, w, total;
} Places;

static Places places_of(const Geometry *q, Act act) {
  Places p = {0};
  int64_t at = 0;
  p.dy = scratch_take(&at, act_scratch(act, q->oh * q->ow * q->o));
  if (simple(q)) {
    p.xp = scratch_take(&at, ((q->oh - 1) * q->sh + q->kh) * ((q->ow - 1) * q->sw + q->kw) * q->c);
    p.dyp = scratch_take(&at, (q->h + q->kh) * (q->w + q->kw) * q->c);
    p.out = scratch_take(&at, q->h * q->w * q->c);
    p.w = scratch_take(&at, q->kh * q->kw * q->c);
  }
  p.total = at;
  return p;
}

bool plan_depthwise_conv(OpPlan *p, Diag *d) {
  if (p->s->vals[p->n->in[1]].batched || !p->s->vals[p->n->in[0]].batched)
    return plan_fail(p, d, "the engine wants a batched input and weights that are the same for all examples");
  Geometry q = geometry(p->s->g, p->n);
  p->scratch = places_of(&q, p->st->act).total;
  p->reads_out = p->st->act != ACT_NONE;
  return true;
}

/* -- by kernels, over padded images -- */

static ConvShape padded(const Geometry *q, const float *x, float *xp) {
  int64_t hp = (q->oh - 1) * q->sh + q->kh, wp = (q->ow - 1) * q->sw + q->kw;
  window_pad(x, q->h, q->w, q->c, q->top, q->left, hp, wp, xp);
  return (ConvShape){.wp = wp,
                     .c = q->c,
                     .oh = q->oh,
                     .ow = q->ow,
                     .o = q->c,
                     .kh = q->kh,
                     .run = q->kw * q->c,
                     .sh = q->sh,
                     .sw = q->sw,
                     .dh = 1};
}

/* The class's taps in falling order. */
static void pack_back(const Geometry *q, const WindowClass *y, const WindowClass *x, const float *w,
                      float *out) {
  for (int64_t jy = y->taps - 1; jy >= 0; jy--)
    for (int64_t jx = x->taps - 1; jx >= 0; jx--, out += q->c)
      vec_copy(out, w + ((y->r + y->stride * jy) * q->kw + x->r + x->stride * jx) * q->c, q->c);
}

static void back_class(const OpCall *c, const Geometry *q, int64_t a, int64_t b, const float *dy, bool add,
                       float *dx) {
  Places at = places_of(q, c->st->act);
  WindowClass y = window_class(a, q->sh, q->kh, q->top, q->h),
              x = window_class(b, q->sw, q->kw, q->left, q->w);
  bool whole = q->sh == 1 && q->sw == 1;
  float *dyp = c->scratch + at.dyp, *w = c->scratch + at.w, *out = whole ? dx : c->scratch + at.out;
  if (!y.count || !x.count) return;
  if (y.taps && x.taps) {
    int64_t hp = y.count + y.taps - 1, wp = x.count + x.taps - 1;
    ConvShape s = {.wp = wp,
                   .c = q->c,
                   .oh = y.count,
                   .ow = x.count,
                   .o = q->c,
                   .kh = y.taps,
                   .run = x.taps * q->c,
                   .sh = 1,
                   .sw = 1,
                   .dh = 1};
    window_pad(dy, q->oh, q->ow, q->c, y.pad, x.pad, hp, wp, dyp);
    pack_back(q, &y, &x, in_x(c, 1), w);
    c->s->k->depthwise(&s, dyp, w, NULL, -INFINITY, INFINITY, whole && add, out);
  } else {
    vec_zero(out, y.count * x.count * q->c);
  }
  if (!whole) window_scatter(&y, &x, out, q->w, q->c, add, dx);
}

/* -- by loops -- */

/* Taps of output coordinate o that lie inside: k in [*k0, *k1). */
static void taps_inside(int64_t o, int64_t stride, int64_t pad, int64_t dil, int64_t kernel, int64_t size,
                        int64_t *k0, int64_t *k1) {
  int64_t at = o * stride - pad;
  *k0 = at < 0 ? (-at + dil - 1) / dil : 0;
  *k1 = at >= size ? 0 : (size - 1 - at) / dil + 1;
  if (*k1 > kernel) *k1 = kernel;
}

/* Output pixel y[O] from one tap, or that tap's share of the gradients (NULL: not wanted). */
static void tap_forward(const Geometry *q, const float *x, const float *w, float *y) {
  for (int64_t o = 0; o < q->o; o++) y[o] += x[o / q->m] * w[o];
}

static void tap_backward(const Geometry *q, const float *x, const float *w, const float *dy, float *dx,
                         float *dw) {
  for (int64_t o = 0; o < q->o; o++) {
    if (dx) dx[o / q->m] += dy[o] * w[o];
    if (dw) dw[o] += dy[o] * x[o / q->m];
  }
}

/* Every tap of every output pixel of an image; y NULL: backward. */
static void each_tap(const Geometry *q, const float *x, const float *w, float *y, const float *dy, float *dx,
                     float *dw) {
  for (int64_t p = 0; p < q->oh * q->ow; p++) {
    int64_t oy = p / q->ow, ox = p % q->ow, ky0, ky1, kx0, kx1;
    taps_inside(oy, q->sh, q->top, q->dh, q->kh, q->h, &ky0, &ky1);
    taps_inside(ox, q->sw, q->left, q->dw, q->kw, q->w, &kx0, &kx1);
    for (int64_t ky = ky0; ky < ky1; ky++)
      for (int64_t kx = kx0; kx < kx1; kx++) {
        int64_t iy = oy * q->sh - q->top + ky * q->dh, ix = ox * q->sw - q->left + kx * q->dw;
        int64_t at = (iy * q->w + ix) * q->c, tap = (ky * q->kw + kx) * q->o;
        if (y)
          tap_forward(q, x + at, w + tap, y + p * q->o);
        else
          tap_backward(q, x + at, w + tap, dy + p * q->o, dx ? dx + at : NULL, dw ? dw + tap : NULL);
      }
  }
}

static void loop_forward(const OpCall *c, const Geometry *q, const float *x, float *y) {
  int64_t pixels = q->oh * q->ow;
  vec_zero(y, pixels * q->o);
  if (has_in(c, 2)) rows_add(y, in_x(c, 2), pixels, q->o);
  each_tap(q, x, in_x(c, 1), y, NULL, NULL, NULL);
  act_apply(c->st->act, y, pixels * q->o);
}

/* -- forward and backward -- */

void fwd_depthwise_conv(const OpCall *c) {
  Geometry q = geometry(c->s->g, c->n);
  Places at = places_of(&q, c->st->act);
  const float *x = in_x(c, 0), *w = in_x(c, 1), *bias = has_in(c, 2) ? in_x(c, 2) : NULL;
  float *y = out_x(c), lo, hi;
  act_limits(c->st->act, &lo, &hi);
  for (int64_t i = 0; i < items(c); i++, x += q.h * q.w * q.c, y += q.oh * q.ow * q.o) {
    if (!simple(&q)) {
      loop_forward(c, &q, x, y);
      continue;
    }
    ConvShape s = padded(&q, x, c->scratch + at.xp);
    c->s->k->depthwise(&s, c->scratch + at.xp, w, bias, lo, hi, false, y);
  }
}

/* Gradients of one image, given the gradient before its activation. */
static void backward_image(const OpCall *c, const Geometry *q, const float *x, const float *dy, float *dx,
                           float *dw) {
  Places at = places_of(q, c->st->act);
  if (!simple(q)) {
    if (dx && !in_add(c, 0)) vec_zero(dx, q->h * q->w * q->c);
    each_tap(q, x, in_x(c, 1), NULL, dy, dx, dw);
    return;
  }
  if (dw) {
    ConvShape s = padded(q, x, c->scratch + at.xp);
    c->s->k->depthwise_weights(&s, c->scratch + at.xp, dy, dw);
  }
  for (int64_t a = 0; dx && a < q->sh; a++)
    for (int64_t b = 0; b < q->sw; b++) back_class(c, q, a, b, dy, in_add(c, 0), dx);
}

void bwd_depthwise_conv(const OpCall *c) {
  Geometry q = geometry(c->s->g, c->n);
  Places at = places_of(&q, c->st->act);
  const float *x = in_x(c, 0), *y = out_x(c), *dy = out_dx(c);
  float *dx = in_dx(c, 0), *dw = in_dx(c, 1), *db = in_dx(c, 2);
  int64_t in = q.h * q.w * q.c, out = q.oh * q.ow * q.o;
  if (dw && !in_add(c, 1)) vec_zero(dw, q.kh * q.kw * q.o);
  for (int64_t i = 0; i < items(c); i++) {
    const float *g = act_mask(c, y + i * out, dy + i * out, out, c->scratch + at.dy);
    if (db) rows_sum(g, q.oh * q.ow, q.o, db, in_add(c, 2) || i > 0);
    backward_image(c, &q, x + i * in, g, dx ? dx + i * in : NULL, dw);
  }
}
