/* The way back through the layers; see adapt.h. A layer has y's gradient complete when its turn comes, adds to that of
 * x (which it makes 0 first where nothing was added yet), and moves its affine.
 *
 * Rounding to codes is taken for the identity (Bengio et al. 2013, arXiv:1308.3432, straight-through), what was clipped has no
 * gradient. Values are real: a code's scale is in the affine's units alone.
 */
#include "runtime/device/adapt.h"
#include "runtime/device/adapt_math.h"

/* The affine moves against the gradient: sums of dy, and of dy * (y before it). */
static void mf_affine_move(const mf_adapt_affine *p, mf_adapt_state *s, const float *by_offset,
                           const float *by_gain) {
  int32_t *gain = mf_adapt_words(s) + p->word, *offset = gain + p->c;
  const float one = (float)MF_ADAPT_ONE;
  float squares = 0.0f, shorter;
  int32_t c;
  for (c = 0; c < p->c; c++) squares += by_offset[c] * by_offset[c] + by_gain[c] * by_gain[c];
  shorter = mf_adapt_clip(squares, s->rates.clip);
  for (c = 0; c < p->c; c++) {
    gain[c] = mf_adapt_less(gain[c], s->rates.gain * shorter * by_gain[c] * one, MF_ADAPT_ONE / 16,
                            MF_ADAPT_ONE * 8);
    offset[c] = mf_adapt_less(offset[c], s->rates.offset * shorter * by_offset[c] / p->scale * one,
                              -64 * MF_ADAPT_ONE, 64 * MF_ADAPT_ONE);
  }
}

/* dy behind the affine becomes dy before it; a code that a limit holds, on either side, has none. work: [2][c]. */
static void mf_affine_back(const mf_adapt_affine *p, mf_adapt_state *s, const int8_t *y, float *dy, int32_t n,
                           float *work) {
  const int32_t *gain = mf_adapt_words(s) + p->word, *offset = gain + p->c;
  float *by_offset = work, *by_gain = work + p->c;
  const float one = 1.0f / (float)MF_ADAPT_ONE, low = (float)(p->lo - p->zero) + 0.5f,
              high = (float)(p->hi - p->zero) - 0.5f;
  int32_t i, c;
  for (c = 0; c < 2 * p->c; c++) work[c] = 0.0f;
  for (i = 0; i < n; i += p->c)
    for (c = 0; c < p->c; c++) {
      const int32_t code = y[i + c];
      const float g = (float)gain[c] * one;
      float before;
      if (dy[i + c] == 0.0f) continue;
      if (code <= p->lo || code >= p->hi) {
        dy[i + c] = 0.0f;
        continue;
      }
      before = ((float)(code - p->zero) - (float)offset[c] * one) / g;
      by_offset[c] += dy[i + c];
      by_gain[c] += dy[i + c] * before * p->scale;
      dy[i + c] = before > low && before < high ? dy[i + c] * g : 0.0f;
    }
  mf_affine_move(p, s, by_offset, by_gain);
}

static void mf_limits_back(const mf_adapt_back *b, const int8_t *y, float *dy) {
  int32_t i;
  for (i = 0; i < b->n; i++)
    if (y[i] <= b->lo || y[i] >= b->hi) dy[i] = 0.0f;
}

/* One output pixel of a convolution: each tap that lies in the image gets its share. */
static void mf_conv_back_pixel(const mf_adapt_conv *p, int32_t oy, int32_t ox, const float *dy, float *dx) {
  const mf_window *g = &p->g;
  const int32_t y0 = oy * g->stride_h - g->pad_top, x0 = ox * g->stride_w - g->pad_left;
  const int32_t outs = g->out_c / p->groups, ins = g->in_c / p->groups;
  const int32_t ky0 = mf_tap_begin(y0, g->dil_h), ky1 = mf_tap_end(y0, g->dil_h, g->k_h, g->in_h);
  const int32_t kx0 = mf_tap_begin(x0, g->dil_w), kx1 = mf_tap_end(x0, g->dil_w, g->k_w, g->in_w);
  int32_t o, ky, kx, i;
  for (o = 0; o < g->out_c; o++) {
    const float d = dy[o] * p->w_scale[o];
    if (d == 0.0f) continue;
    for (ky = ky0; ky < ky1; ky++)
      for (kx = kx0; kx < kx1; kx++) {
        const int8_t *w = p->w + o * p->w_out + (ky * g->k_w + kx) * p->w_tap;
        float *to = dx + ((y0 + ky * g->dil_h) * g->in_w + x0 + kx * g->dil_w) * g->in_c + o / outs * ins;
        for (i = 0; i < ins; i++) to[i] += d * (float)w[i];
      }
  }
}

static void mf_conv_back(const mf_adapt_conv *p, const float *dy, float *dx) {
  int32_t oy, ox;
  for (oy = 0; oy < p->g.out_h; oy++)
    for (ox = 0; ox < p->g.out_w; ox++, dy += p->g.out_c) mf_conv_back_pixel(p, oy, ox, dy, dx);
}

/* Tap (ky,kx) of channel o lies at w[(ky * k_w + kx) * w_tap + o]; it reads channel o / (out_c / in_c). */
static void mf_depthwise_back(const mf_adapt_conv *p, const float *dy, float *dx) {
  const mf_window *g = &p->g;
  const int32_t times = g->out_c / g->in_c;
  int32_t oy, ox, ky, kx, o;
  for (oy = 0; oy < g->out_h; oy++)
    for (ox = 0; ox < g->out_w; ox++, dy += g->out_c) {
      const int32_t y0 = oy * g->stride_h - g->pad_top, x0 = ox * g->stride_w - g->pad_left;
      const int32_t ky0 = mf_tap_begin(y0, g->dil_h), ky1 = mf_tap_end(y0, g->dil_h, g->k_h, g->in_h);
      const int32_t kx0 = mf_tap_begin(x0, g->dil_w), kx1 = mf_tap_end(x0, g->dil_w, g->k_w, g->in_w);
      for (ky = ky0; ky < ky1; ky++)
        for (kx = kx0; kx < kx1; kx++) {
          const int8_t *w = p->w + (ky * g->k_w + kx) * p->w_tap;
          float *to = dx + ((y0 + ky * g->dil_h) * g->in_w + x0 + kx * g->dil_w) * g->in_c;
          for (o = 0; o < g->out_c; o++) to[o / times] += dy[o] * p->w_scale[o] * (float)w[o];
        }
    }
}

/* A pool's window of one output pixel, its channels innermost: the mean to all, or all to the first of the largest. */
static void mf_pool_back_pixel(const mf_adapt_back *b, int32_t oy, int32_t ox, const int8_t *x,
                               const int8_t *y, const float *dy, float *dx) {
  const mf_window *g = &((const mf_pool_s8 *)b->params)->g;
  const int32_t y0 = oy * g->stride_h - g->pad_top, x0 = ox * g->stride_w - g->pad_left;
  const int32_t ky0 = mf_tap_begin(y0, g->dil_h), ky1 = mf_tap_end(y0, g->dil_h, g->k_h, g->in_h);
  const int32_t kx0 = mf_tap_begin(x0, g->dil_w), kx1 = mf_tap_end(x0, g->dil_w, g->k_w, g->in_w);
  const float share = 1.0f / (float)((ky1 - ky0) * (kx1 - kx0));
  int32_t c, ky, kx;
  for (c = 0; c < g->out_c; c++) {
    int32_t given = 0;
    for (ky = ky0; ky < ky1; ky++)
      for (kx = kx0; kx < kx1; kx++) {
        const int32_t at = ((y0 + ky * g->dil_h) * g->in_w + x0 + kx * g->dil_w) * g->in_c + c;
        if (b->kind == MF_BACK_AVERAGE) dx[at] += dy[c] * share;
        if (b->kind != MF_BACK_MAX || given || x[at] != y[c]) continue;
        dx[at] += dy[c];
        given = 1;
      }
  }
}

static void mf_pool_back(const mf_adapt_back *b, const int8_t *x, const int8_t *y, const float *dy,
                         float *dx) {
  const mf_window *g = &((const mf_pool_s8 *)b->params)->g;
  int32_t oy, ox;
  for (oy = 0; oy < g->out_h; oy++)
    for (ox = 0; ox < g->out_w; ox++) {
      const int32_t at = (oy * g->out_w + ox) * g->out_c;
      mf_pool_back_pixel(b, oy, ox, x, y ? y + at : NULL, dy + at, dx);
    }
}

static void mf_mean_back(const mf_mean *p, const float *dy, float *dx) {
  int32_t index[MF_MAX_DIMS] = {0};
  const float share = 1.0f / (float)p->count;
  do {
    int32_t inner[MF_MAX_DIMS] = {0};
    float *from = dx + mf_offset(index, p->src, 0, p->rank - 1);
    do from[mf_offset(inner, p->rsrc, 0, p->rrank - 1)] += *dy * share;
    while (mf_next(inner, p->rdims, 0, p->rrank - 1));
    dy++;
  } while (mf_next(index, p->dims, 0, p->rank - 1));
}

/* Codes of one byte: what are bytes to the copy are elements here. */
static void mf_copy_back(const mf_copy *p, const float *dy, float *dx) {
  int32_t index[MF_MAX_DIMS] = {0};
  int32_t i;
  do {
    const float *from = dy + mf_offset(index, p->dst, 0, p->rank - 1);
    float *to = dx + mf_offset(index, p->src, 0, p->rank - 1);
    for (i = 0; i < p->elem; i++) to[i] += from[i];
  } while (mf_next(index, p->dims, 0, p->rank - 1));
}

static float *mf_gradient(unsigned char *a, int32_t at, int32_t n, int32_t first) {
  float *d;
  int32_t i;
  if (at < 0) return NULL;
  d = (float *)(void *)(a + at);
  for (i = 0; first && i < n; i++) d[i] = 0.0f;
  return d;
}

/* Where dx is dy, it is there already. */
static void mf_add_back(const float *dy, float *dx, int32_t n, float sign) {
  int32_t i;
  for (i = 0; dx && dx != dy && i < n; i++) dx[i] += sign * dy[i];
}

MF_KERNEL void mf_adapt_back_layer(const mf_adapt_back *b, const mf_adapt_model *m, mf_adapt_state *s,
                                   unsigned char *a) {
  const int8_t *y = b->y < 0 ? NULL : (const int8_t *)a + b->y,
               *x = b->x < 0 ? NULL : (const int8_t *)a + b->x;
  float *dy = (float *)(void *)(a + b->dy);
  float *dx = mf_gradient(a, b->dx, b->nx, b->first), *dx2 = mf_gradient(a, b->dx2, b->nx2, b->first2);
  if (b->affine)
    mf_affine_back(b->affine, s, y, dy, b->n, mf_adapt_work(m, s));
  else if (b->lo <= b->hi && y)
    mf_limits_back(b, y, dy);
  if (b->kind == MF_BACK_ADD) {
    mf_add_back(dy, dx2, b->n, b->sign2);
    mf_add_back(dy, dx, b->n, 1.0f);
  }
  if (!dx) return;
  switch (b->kind) {
  case MF_BACK_CONV: mf_conv_back((const mf_adapt_conv *)b->params, dy, dx); break;
  case MF_BACK_DEPTHWISE: mf_depthwise_back((const mf_adapt_conv *)b->params, dy, dx); break;
  case MF_BACK_COPY: mf_copy_back((const mf_copy *)b->params, dy + b->y_from, dx + b->x_from); break;
  case MF_BACK_AVERAGE:
  case MF_BACK_MAX: mf_pool_back(b, x, y, dy, dx); break;
  case MF_BACK_MEAN: mf_mean_back((const mf_mean *)b->params, dy, dx); break;
  case MF_BACK_CLIP: mf_add_back(dy, dx, b->n, 1.0f); break;
  default: break;
  }
}
