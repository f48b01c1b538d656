/* DepthwiseConv, training: direct loops that run over channels, which lie side by side.
 *
 *   x [N,H,W,C], w [1,Kh,Kw,O], y [N,OH,OW,O]; output channel o reads input channel o / m, m = O / C.
 * With m == 1 (nearly always) every inner loop is one multiply-add over C neighbours; otherwise the m outputs of an
 * input channel are gone through one by one.
 */
#include "runtime/engine/op_call.h"

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

bool plan_depthwise_conv(OpPlan *p, Diag *d) {
  if (p->s->vals[p->n->in[1]].batched || !p->s->vals[p->n->in[0]].batched)
    return plan_fail(p, d, "the engine wants a batched input and weights that are the same for all examples");
  Geometry q = geometry(p->s->g, p->n);
  p->scratch = act_scratch(p->st->act, q.oh * q.ow * q.o);
  return true;
}

/* Taps of output coordinate o that lie inside: k in [*k0, *k1). */
static void taps_inside(int64_t o, int64_t stride, int64_t pad, int64_t dil, int64_t kernel, int64_t size,
                        int64_t *k0, int64_t *k1) {
  int64_t at = o * stride - pad;
  *k0 = at < 0 ? (-at + dil - 1) / dil : 0;
  *k1 = at >= size ? 0 : (size - 1 - at) / dil + 1;
  if (*k1 > kernel) *k1 = kernel;
}

static void mul_add(float *restrict y, const float *restrict x, const float *restrict w, int64_t c,
                    int64_t m) {
  if (m == 1) {
    for (int64_t i = 0; i < c; i++) y[i] += x[i] * w[i];
    return;
  }
  for (int64_t i = 0; i < c; i++)
    for (int64_t j = 0; j < m; j++) y[i * m + j] += x[i] * w[i * m + j];
}

/* Backward of mul_add; dx and dw may be NULL. */
static void mul_add_back(const float *restrict dy, const float *restrict x, const float *restrict w,
                         int64_t c, int64_t m, float *restrict dx, float *restrict dw) {
  if (m == 1 && dx)
    for (int64_t i = 0; i < c; i++) dx[i] += dy[i] * w[i];
  if (m == 1 && dw)
    for (int64_t i = 0; i < c; i++) dw[i] += dy[i] * x[i];
  if (m == 1) return;
  for (int64_t i = 0; i < c; i++)
    for (int64_t j = 0; j < m; j++) {
      if (dx) dx[i] += dy[i * m + j] * w[i * m + j];
      if (dw) dw[i * m + j] += dy[i * m + j] * x[i];
    }
}

/* An inner output pixel of a 3x3 window without dilation: all taps at once, so that y is written once. */
static void pixel_3x3(float *restrict y, const float *restrict x, int64_t row, const float *restrict w,
                      const float *restrict bias, int64_t c) {
  const float *x0 = x, *x1 = x + row, *x2 = x + 2 * row;
  for (int64_t i = 0; i < c; i++) {
    float s = bias ? bias[i] : 0;
    s += x0[i] * w[i] + x0[c + i] * w[c + i] + x0[2 * c + i] * w[2 * c + i];
    s += x1[i] * w[3 * c + i] + x1[c + i] * w[4 * c + i] + x1[2 * c + i] * w[5 * c + i];
    s += x2[i] * w[6 * c + i] + x2[c + i] * w[7 * c + i] + x2[2 * c + i] * w[8 * c + i];
    y[i] = s;
  }
}

static void forward_image(const Geometry *q, const float *x, const float *w, const float *bias, float *y) {
  bool fast = q->m == 1 && q->kh == 3 && q->kw == 3 && q->dh == 1 && q->dw == 1;
  for (int64_t oy = 0; oy < q->oh; oy++)
    for (int64_t ox = 0; ox < q->ow; ox++, y += q->o) {
      int64_t ky0, ky1, kx0, kx1, iy = oy * q->sh - q->top, ix = ox * q->sw - q->left;
      taps_inside(oy, q->sh, q->top, q->dh, q->kh, q->h, &ky0, &ky1);
      taps_inside(ox, q->sw, q->left, q->dw, q->kw, q->w, &kx0, &kx1);
      if (fast && ky0 == 0 && ky1 == 3 && kx0 == 0 && kx1 == 3) {
        pixel_3x3(y, x + (iy * q->w + ix) * q->c, q->w * q->c, w, bias, q->c);
        continue;
      }
      if (bias)
        vec_copy(y, bias, q->o);
      else
        vec_zero(y, q->o);
      for (int64_t ky = ky0; ky < ky1; ky++)
        for (int64_t kx = kx0; kx < kx1; kx++)
          mul_add(y, x + ((iy + ky * q->dh) * q->w + ix + kx * q->dw) * q->c, w + (ky * q->kw + kx) * q->o,
                  q->c, q->m);
    }
}

void fwd_depthwise_conv(const OpCall *c) {
  Geometry q = geometry(c->s->g, c->n);
  const float *x = in_x(c, 0), *w = in_x(c, 1), *bias = has_in(c, 2) ? in_x(c, 2) : NULL;
  float *y = out_x(c);
  for (int64_t i = 0; i < items(c); i++) {
    float *yi = y + i * q.oh * q.ow * q.o;
    forward_image(&q, x + i * q.h * q.w * q.c, w, bias, yi);
    act_apply(c->st->act, yi, q.oh * q.ow * q.o);
  }
}

static void backward_image(const Geometry *q, const float *dy, const float *x, const float *w, float *dx,
                           float *dw) {
  for (int64_t oy = 0; oy < q->oh; oy++)
    for (int64_t ox = 0; ox < q->ow; ox++, dy += q->o) {
      int64_t ky0, ky1, kx0, kx1, iy = oy * q->sh - q->top, ix = ox * q->sw - q->left;
      taps_inside(oy, q->sh, q->top, q->dh, q->kh, q->h, &ky0, &ky1);
      taps_inside(ox, q->sw, q->left, q->dw, q->kw, q->w, &kx0, &kx1);
      for (int64_t ky = ky0; ky < ky1; ky++)
        for (int64_t kx = kx0; kx < kx1; kx++) {
          int64_t at = ((iy + ky * q->dh) * q->w + ix + kx * q->dw) * q->c, tap = (ky * q->kw + kx) * q->o;
          mul_add_back(dy, x + at, w + tap, q->c, q->m, dx ? dx + at : NULL, dw ? dw + tap : NULL);
        }
    }
}

void bwd_depthwise_conv(const OpCall *c) {
  Geometry q = geometry(c->s->g, c->n);
  const float *x = in_x(c, 0), *w = in_x(c, 1), *y = out_x(c), *dy = out_dx(c);
  float *dx = in_dx(c, 0), *dw = in_dx(c, 1), *db = in_dx(c, 2);
  int64_t in = q.h * q.w * q.c, out = q.oh * q.ow * q.o;
  if (dx && !in_add(c, 0)) vec_zero(dx, items(c) * in);
  if (dw && !in_add(c, 1)) vec_zero(dw, q.kh * q.kw * q.o);
  for (int64_t i = 0; i < items(c); i++) {
    const float *dyi = act_mask(c, y + i * out, dy + i * out, out, c->scratch);
    if (db) rows_sum(dyi, q.oh * q.ow, q.o, db, in_add(c, 2) || i > 0);
    backward_image(&q, dyi, x + i * in, w, dx ? dx + i * in : NULL, dw);
  }
}
