/* ConvTranspose, training: every input pixel spreads over the window that its taps reach.
 *
 *   y[iy * stride + ky * dilation - pad][...][o] += x[iy][ix][c] * w[o][ky][kx][c]
 *
 * One walk over pairs of pixels (input, output) that a tap joins serves forward and both gradients. It is the resizing
 * layer of small nets: plain loops, channels innermost.
 */
#include "runtime/engine/op_call.h"

typedef struct Spread {
  int64_t h, w, c, oh, ow, o, kh, kw, groups, ins, outs; /* ins, outs: channels of a group */
  int64_t stride[2], dil[2], pad[2];
} Spread;

static Spread spread_of(const OpCall *c) {
  const conv_transpose_attrs *a = CATTRS(c->n, conv_transpose);
  const Shape *x = in_shape(c, 0), *k = in_shape(c, 1), *y = out_shape(c);
  Spread s = {.h = x->d[1], .w = x->d[2], .c = x->d[3], .oh = y->d[1], .ow = y->d[2], .o = y->d[3]};
  s.kh = k->d[1], s.kw = k->d[2], s.groups = a->group;
  s.ins = s.c / s.groups, s.outs = s.o / s.groups;
  for (int i = 0; i < 2; i++)
    s.stride[i] = a->strides.v[i], s.dil[i] = a->dilations.v[i], s.pad[i] = a->pads.v[i];
  return s;
}

/* A pair of pixels and the tap that joins them; w0: the tap's weights of output channel 0. */
typedef void PairFn(const Spread *s, const float *x, const float *dy, const float *w0, float *out);

/* Calls fn for every joined pair of an item: `out` is the pixel or the tap that it writes. */
static void spread(const Spread *s, PairFn *fn, const float *x, const float *dy, const float *w, float *to_x,
                   float *to_y, float *to_w) {
  for (int64_t iy = 0; iy < s->h; iy++)
    for (int64_t ky = 0; ky < s->kh; ky++) {
      int64_t oy = iy * s->stride[0] + ky * s->dil[0] - s->pad[0];
      for (int64_t ix = 0; oy >= 0 && oy < s->oh && ix < s->w; ix++)
        for (int64_t kx = 0; kx < s->kw; kx++) {
          int64_t ox = ix * s->stride[1] + kx * s->dil[1] - s->pad[1];
          if (ox < 0 || ox >= s->ow) continue;
          int64_t px = (iy * s->w + ix) * s->c, py = (oy * s->ow + ox) * s->o,
                  tap = (ky * s->kw + kx) * s->ins;
          fn(s, x ? x + px : x, dy ? dy + py : dy, w ? w + tap : w,
             to_x   ? to_x + px
             : to_y ? to_y + py
                    : to_w + tap);
        }
    }
}

static int64_t weight_step(const Spread *s) { return s->kh * s->kw * s->ins; }

static void pair_forward(const Spread *s, const float *x, const float *dy, const float *w0, float *y) {
  (void)dy;
  for (int64_t o = 0; o < s->o; o++) {
    const float *from = x + o / s->outs * s->ins, *by = w0 + o * weight_step(s);
    float sum = 0;
    for (int64_t i = 0; i < s->ins; i++) sum += from[i] * by[i];
    y[o] += sum;
  }
}

static void pair_input(const Spread *s, const float *x, const float *dy, const float *w0, float *dx) {
  (void)x;
  for (int64_t o = 0; o < s->o; o++) {
    float *to = dx + o / s->outs * s->ins;
    const float *by = w0 + o * weight_step(s);
    for (int64_t i = 0; i < s->ins; i++) to[i] += dy[o] * by[i];
  }
}

static void pair_weights(const Spread *s, const float *x, const float *dy, const float *w0, float *dw) {
  (void)w0;
  for (int64_t o = 0; o < s->o; o++) {
    const float *from = x + o / s->outs * s->ins;
    float *to = dw + o * weight_step(s);
    for (int64_t i = 0; i < s->ins; i++) to[i] += dy[o] * from[i];
  }
}

bool plan_conv_transpose(OpPlan *p, Diag *d) {
  const SVal *v = p->s->vals;
  if (!v[p->n->in[0]].batched || v[p->n->in[1]].batched)
    return plan_fail(p, d, "the engine wants a batched image and constant weights");
  p->scratch = v[p->st->out].item;
  return true;
}

void fwd_conv_transpose(const OpCall *c) {
  Spread s = spread_of(c);
  const float *x = in_x(c, 0);
  float *y = out_x(c);
  int64_t in = s.h * s.w * s.c, out = s.oh * s.ow * s.o;
  vec_zero(y, items(c) * out);
  if (has_in(c, 2)) rows_add(y, in_x(c, 2), items(c) * s.oh * s.ow, s.o);
  for (int64_t i = 0; i < items(c); i++)
    spread(&s, pair_forward, x + i * in, NULL, in_x(c, 1), NULL, y + i * out, NULL);
  act_apply(c->st->act, y, items(c) * out);
}

void bwd_conv_transpose(const OpCall *c) {
  Spread s = spread_of(c);
  const float *x = in_x(c, 0), *y = out_x(c), *dy = out_dx(c);
  float *dx = in_dx(c, 0), *dw = in_dx(c, 1), *db = in_dx(c, 2);
  int64_t in = s.h * s.w * s.c, out = s.oh * s.ow * s.o;
  if (dx && !in_add(c, 0)) vec_zero(dx, items(c) * in);
  if (dw && !in_add(c, 1)) vec_zero(dw, s.o * weight_step(&s));
  if (db && !in_add(c, 2)) vec_zero(db, s.o);
  for (int64_t i = 0; i < items(c); i++, x += in, y += out, dy += out) {
    const float *g = act_mask(c, y, dy, out, c->scratch);
    if (dx) spread(&s, pair_input, NULL, g, in_x(c, 1), dx + i * in, NULL, NULL);
    if (dw) spread(&s, pair_weights, x, g, NULL, NULL, NULL, dw);
    if (db) rows_sum(g, s.oh * s.ow, s.o, db, true);
  }
}
