/* MaxPool and AveragePool, training: direct loops over channels, which lie side by side.
 *
 * MaxPool's gradient goes to the first element of the window that equals the maximum (row-major order), found again
 * in the backward pass. AveragePool divides by the elements inside the image, or by the window where padding counts.
 */
#include "runtime/engine/op_call.h"

typedef struct Geometry {
  int64_t h, w, c, oh, ow, kh, kw, sh, sw, top, left;
} Geometry;

static Geometry geometry(const Shape *x, const Shape *y, const Ints *kernel, const Ints *strides,
                         const Ints *pads) {
  return (Geometry){x->d[1],      x->d[2],       x->d[3],       y->d[1],    y->d[2],   kernel->v[0],
                    kernel->v[1], strides->v[0], strides->v[1], pads->v[0], pads->v[1]};
}

static Geometry max_geometry(const OpCall *c) {
  const max_pool_attrs *a = CATTRS(c->n, max_pool);
  return geometry(in_shape(c, 0), out_shape(c), &a->kernel, &a->strides, &a->pads);
}

static Geometry average_geometry(const OpCall *c) {
  const average_pool_attrs *a = CATTRS(c->n, average_pool);
  return geometry(in_shape(c, 0), out_shape(c), &a->kernel, &a->strides, &a->pads);
}

/* The part of output pixel (oy, ox)'s window that lies in the image: rows [y0, y1), columns [x0, x1). */
typedef struct Window {
  int64_t y0, y1, x0, x1;
} Window;

static int64_t within(int64_t v, int64_t hi) { return v < 0 ? 0 : v > hi ? hi : v; }

static Window window_at(const Geometry *q, int64_t oy, int64_t ox) {
  int64_t y = oy * q->sh - q->top, x = ox * q->sw - q->left;
  return (Window){within(y, q->h), within(y + q->kh, q->h), within(x, q->w), within(x + q->kw, q->w)};
}

static bool plan_pool(OpPlan *p, const Ints *dilations, Diag *d) {
  if (dilations->n && (dilations->v[0] != 1 || dilations->v[1] != 1))
    return plan_fail(p, d, "the engine wants pools without dilation");
  if (!p->s->vals[p->n->in[0]].batched) return plan_fail(p, d, "the engine wants a batched input");
  p->scratch = act_scratch(p->st->act, p->s->vals[p->st->out].item);
  return true;
}

/* -- MaxPool -- */

bool plan_max_pool(OpPlan *p, Diag *d) { return plan_pool(p, &CATTRS(p->n, max_pool)->dilations, d); }

static void max_pixel(const Geometry *q, const float *x, Window w, float *restrict y) {
  vec_copy(y, x + (w.y0 * q->w + w.x0) * q->c, q->c);
  for (int64_t iy = w.y0; iy < w.y1; iy++)
    for (int64_t ix = w.x0; ix < w.x1; ix++) {
      const float *restrict src = x + (iy * q->w + ix) * q->c;
      for (int64_t k = 0; k < q->c; k++) y[k] = src[k] > y[k] ? src[k] : y[k];
    }
}

void fwd_max_pool(const OpCall *c) {
  Geometry q = max_geometry(c);
  const float *x = in_x(c, 0);
  float *y = out_x(c);
  for (int64_t i = 0; i < items(c); i++, x += q.h * q.w * q.c) {
    for (int64_t oy = 0; oy < q.oh; oy++)
      for (int64_t ox = 0; ox < q.ow; ox++, y += q.c) max_pixel(&q, x, window_at(&q, oy, ox), y);
    act_apply(c->st->act, y - q.oh * q.ow * q.c, q.oh * q.ow * q.c);
  }
}

/* Channel k's gradient to the first element that was the maximum (before any activation). */
static void max_back(const Geometry *q, const float *x, Window w, const float *dy, float *dx) {
  for (int64_t k = 0; k < q->c; k++) {
    int64_t best = (w.y0 * q->w + w.x0) * q->c + k;
    for (int64_t iy = w.y0; iy < w.y1; iy++)
      for (int64_t ix = w.x0; ix < w.x1; ix++) {
        int64_t at = (iy * q->w + ix) * q->c + k;
        if (x[at] > x[best]) best = at;
      }
    dx[best] += dy[k];
  }
}

void bwd_max_pool(const OpCall *c) {
  Geometry q = max_geometry(c);
  const float *x = in_x(c, 0), *y = out_x(c), *dy = out_dx(c);
  float *dx = in_dx(c, 0);
  int64_t in = q.h * q.w * q.c, out = q.oh * q.ow * q.c;
  if (!dx) return;
  if (!in_add(c, 0)) vec_zero(dx, items(c) * in);
  for (int64_t i = 0; i < items(c); i++, x += in, y += out, dy += out, dx += in) {
    const float *g = act_mask(c, y, dy, out, c->scratch);
    for (int64_t oy = 0; oy < q.oh; oy++)
      for (int64_t ox = 0; ox < q.ow; ox++, g += q.c) max_back(&q, x, window_at(&q, oy, ox), g, dx);
  }
}

/* -- AveragePool -- */

bool plan_average_pool(OpPlan *p, Diag *d) {
  p->reads_in = false;
  p->reads_out = p->st->act != ACT_NONE;
  return plan_pool(p, &CATTRS(p->n, average_pool)->dilations, d);
}

static float average_factor(const OpCall *c, const Geometry *q, Window w) {
  int64_t n = CATTRS(c->n, average_pool)->count_include_pad ? q->kh * q->kw : (w.y1 - w.y0) * (w.x1 - w.x0);
  return 1.0f / (float)n;
}

static void average_pixel(const Geometry *q, const float *x, Window w, float f, float *restrict y) {
  vec_zero(y, q->c);
  for (int64_t iy = w.y0; iy < w.y1; iy++)
    for (int64_t ix = w.x0; ix < w.x1; ix++) vec_add(y, x + (iy * q->w + ix) * q->c, q->c);
  for (int64_t k = 0; k < q->c; k++) y[k] *= f;
}

void fwd_average_pool(const OpCall *c) {
  Geometry q = average_geometry(c);
  const float *x = in_x(c, 0);
  float *y = out_x(c);
  for (int64_t i = 0; i < items(c); i++, x += q.h * q.w * q.c) {
    for (int64_t oy = 0; oy < q.oh; oy++)
      for (int64_t ox = 0; ox < q.ow; ox++, y += q.c) {
        Window w = window_at(&q, oy, ox);
        average_pixel(&q, x, w, average_factor(c, &q, w), y);
      }
    act_apply(c->st->act, y - q.oh * q.ow * q.c, q.oh * q.ow * q.c);
  }
}

static void average_back(const Geometry *q, Window w, float f, const float *restrict dy, float *restrict dx) {
  for (int64_t iy = w.y0; iy < w.y1; iy++)
    for (int64_t ix = w.x0; ix < w.x1; ix++) {
      float *restrict dst = dx + (iy * q->w + ix) * q->c;
      for (int64_t k = 0; k < q->c; k++) dst[k] += dy[k] * f;
    }
}

void bwd_average_pool(const OpCall *c) {
  Geometry q = average_geometry(c);
  const float *y = out_x(c), *dy = out_dx(c);
  float *dx = in_dx(c, 0);
  int64_t in = q.h * q.w * q.c, out = q.oh * q.ow * q.c;
  if (!dx) return;
  if (!in_add(c, 0)) vec_zero(dx, items(c) * in);
  for (int64_t i = 0; i < items(c); i++, y += out, dy += out, dx += in) {
    const float *g = act_mask(c, y, dy, out, c->scratch);
    for (int64_t oy = 0; oy < q.oh; oy++)
      for (int64_t ox = 0; ox < q.ow; ox++, g += q.c) {
        Window w = window_at(&q, oy, ox);
        average_back(&q, w, average_factor(c, &q, w), g, dx);
      }
  }
}
