/* The way back through the layers; see adapt.h. A layer has y's gradient complete when its turn comes, adds to that of
 * x (which it makes 0 first where nothing was added yet), and moves its affine.
 *
 * Rounding to codes is taken for the identity (Bengio et al. 2013, arXiv:1308.3432, straight-through), what an activation
 * clipped has no gradient; what an int8's own limits cut is little, and taken for the identity too. Values are real: a code's scale
 * is in the affine's units alone.
 */
#include "runtime/device/adapt_grad.h"

/* e is NULL where nobody asks. */
static mf_grad mf_grad_at(const mf_adapt_place *p, unsigned char *a) {
  mf_grad g = {NULL, NULL, 0, 0};
  if (p->at < 0) return g;
  g.m = (int8_t *)(a + p->at);
  g.e = g.m + p->pixels * p->c;
  g.pixels = p->pixels;
  g.c = p->c;
  return g;
}

/* -- affine -- */

/* The affine moves against the gradient: sums of dy, and of dy * (y before it) where it has gains. */
static void mf_affine_move(const mf_adapt_affine *p, mf_adapt_state *s, const float *by_offset,
                           const float *by_gain) {
  int32_t *gain = mf_adapt_words(s) + p->word, *offset = gain + (p->gains ? p->c : 0);
  const float one = (float)MF_ADAPT_ONE;
  float squares = 0.0f, shorter;
  int32_t c;
  for (c = 0; c < p->c; c++) {
    squares += by_offset[c] * by_offset[c];
    if (p->gains) squares += by_gain[c] * by_gain[c];
  }
  shorter = mf_adapt_clip(squares, s->rates.clip);
  for (c = 0; c < p->c; c++) {
    if (p->gains)
      gain[c] = mf_adapt_less(gain[c], s->rates.gain * shorter * by_gain[c] * one, MF_ADAPT_ONE / 16,
                              MF_ADAPT_ONE * 8);
    offset[c] = mf_adapt_less(offset[c], s->rates.offset * shorter * by_offset[c] / p->scale * one,
                              -64 * MF_ADAPT_ONE, 64 * MF_ADAPT_ONE);
  }
}

/* Sums of dy by channel. Of a ReLU that an offset lifts off its limit all is alive behind the offset, and before it what the mask
 * says; a mask does not say which limit a code was at, so this goes for those without an upper one alone. Codes that are 127
 * there, int8's own limit, count too: what that cuts is taken for the identity. */
static void mf_offset_sums(const mf_adapt_affine *p, const int32_t *offset, const unsigned char *mask,
                           const mf_grad *dy, float *by_offset) {
  int32_t q, c;
  for (q = 0; q < dy->pixels; q++) {
    const float one = mf_adapt_power(dy->e[q]);
    for (c = 0; c < p->c && dy->e[q] != MF_GRAD_ZERO; c++) {
      const int32_t m = dy->m[q * p->c + c];
      if (m && (!mask || mf_adapt_bit(mask, q * p->c + c) || (p->lifts && mf_adapt_codes(offset[c]) > 0)))
        by_offset[c] += (float)m * one;
    }
  }
}

/* The same of an affine with gains, from codes behind it; dy of what its limits hold, on either side, becomes 0. */
static void mf_gain_sums(const mf_adapt_affine *p, const int32_t *words, int32_t limited, const int8_t *y,
                         const mf_grad *dy, float *by_offset, float *by_gain) {
  const int32_t *gain = mf_adapt_gain(p, words), *offset = mf_adapt_offset(p, words);
  const float one = 1.0f / (float)MF_ADAPT_ONE, low = (float)(p->lo - p->zero) + 0.5f,
              high = (float)(p->hi - p->zero) - 0.5f;
  int32_t i, c;
  for (i = 0; i < dy->pixels * p->c; i += p->c) {
    const int32_t e = dy->e[i / p->c];
    for (c = 0; c < p->c && e != MF_GRAD_ZERO; c++) {
      const int32_t m = dy->m[i + c], code = y[i + c];
      const float d = (float)m * mf_adapt_power(e);
      float before;
      if (m == 0) continue;
      if (limited && (code <= p->lo || code >= p->hi)) {
        dy->m[i + c] = 0;
        continue;
      }
      before = ((float)(code - p->zero) - (float)offset[c] * one) / ((float)gain[c] * one);
      by_offset[c] += d;
      by_gain[c] += d * before * p->scale;
      if (limited && !(before > low && before < high)) dy->m[i + c] = 0;
    }
  }
}

/* work: [2][c], sums for mf_affine_move. */
static void mf_affine_sums(const mf_adapt_back *b, mf_adapt_state *s, const unsigned char *a,
                           const mf_grad *dy, float *work) {
  const mf_adapt_affine *p = b->affine;
  const int32_t *words = mf_adapt_words(s);
  int32_t c;
  for (c = 0; c < (p->gains ? 2 : 1) * p->c; c++) work[c] = 0.0f;
  if (p->gains)
    mf_gain_sums(p, words, b->limited, (const int8_t *)a + b->y, dy, work, work + p->c);
  else
    mf_offset_sums(p, mf_adapt_offset(p, words), b->bits < 0 ? NULL : a + b->bits, dy, work);
}

static void mf_mask_back(const unsigned char *mask, const mf_grad *dy) {
  int32_t i;
  for (i = 0; i < dy->pixels * dy->c; i++)
    if (!mf_adapt_bit(mask, i)) dy->m[i] = 0;
}

/* -- convolutions -- */

/* The output position that reads position `at` (padding added) through a tap; -1: none does. */
MF_HELPER int32_t mf_reader(int32_t at, int32_t tap, int32_t dil, int32_t stride, int32_t size) {
  const int32_t from = at - tap * dil;
  if (from < 0 || from % stride) return -1;
  return from / stride < size ? from / stride : -1;
}

/* The largest exponent of the outputs that read pixel (y,x). */
static int32_t mf_readers_exponent(const mf_window *g, const mf_grad *dy, int32_t y, int32_t x) {
  int32_t ky, kx, top = MF_GRAD_ZERO;
  for (ky = 0; ky < g->k_h; ky++) {
    const int32_t oy = mf_reader(y + g->pad_top, ky, g->dil_h, g->stride_h, g->out_h);
    for (kx = 0; kx < g->k_w && oy >= 0; kx++) {
      const int32_t ox = mf_reader(x + g->pad_left, kx, g->dil_w, g->stride_w, g->out_w);
      if (ox >= 0 && dy->e[oy * g->out_w + ox] > top) top = dy->e[oy * g->out_w + ox];
    }
  }
  return top;
}

/* dy of channel o before the affine, times its weights' scale, 2^-by; 0 where there is none. */
MF_HELPER int32_t mf_scaled_gradient(const mf_adapt_conv *p, const int32_t *gain, int32_t m, int32_t o,
                                     int32_t by) {
  const int32_t d = mf_scaled(m * p->w_scale[o], by);
  return gain ? (int32_t)(((int64_t)d * gain[o] + (MF_ADAPT_ONE >> 1)) >> 24) : d;
}

MF_HELPER void mf_add_weighted(int32_t *acc, const int8_t *w, int32_t d, int32_t n) {
  for (; n >= 4; n -= 4, acc += 4, w += 4) {
    acc[0] += d * w[0];
    acc[1] += d * w[1];
    acc[2] += d * w[2];
    acc[3] += d * w[3];
  }
  for (; n > 0; n--) *acc++ += d * *w++;
}

/* The same by words: weights that learn, rounded to codes. */
static void mf_add_weighted_words(int32_t *acc, const int32_t *w, int32_t d, int32_t n) {
  int32_t i;
  for (i = 0; i < n; i++) acc[i] += d * ((w[i] + 32768) >> 16);
}

/* Where a convolution comes from: its weights, and what stands in their place where it learns. */
typedef struct mf_back_from {
  const int32_t *gain, *words; /* NULL: none */
} mf_back_from;

/* What output q gives through a tap to all channels of a pixel. */
static void mf_conv_back_tap(const mf_adapt_conv *p, const mf_back_from *f, const mf_grad *dy, int32_t q,
                             int32_t tap, int32_t by, int32_t *acc) {
  const int32_t outs = p->g.out_c / p->groups, ins = p->g.in_c / p->groups;
  int32_t o;
  for (o = 0; o < p->g.out_c; o++) {
    const int32_t m = dy->m[q * p->g.out_c + o];
    const int32_t d = m ? mf_scaled_gradient(p, f->gain, m, o, by) : 0;
    int32_t *to = acc + o / outs * ins;
    if (d && f->words)
      mf_add_weighted_words(to, f->words + (o * p->g.k_h * p->g.k_w + tap) * ins, d, ins);
    else if (d)
      mf_add_weighted(to, p->w + o * p->w_out + tap * p->w_tap, d, ins);
  }
}

/* Tap (ky,kx) of channel o lies at w[(ky * k_w + kx) * w_tap + o]; it reads channel o / (out_c / in_c). */
static void mf_depthwise_back_tap(const mf_adapt_conv *p, const int32_t *gain, const mf_grad *dy, int32_t q,
                                  int32_t tap, int32_t by, int32_t *acc) {
  const int32_t times = p->g.out_c / p->g.in_c;
  const int8_t *w = p->w + tap * p->w_tap;
  int32_t i, t, o = 0;
  for (i = 0; i < p->g.in_c; i++)
    for (t = 0; t < times; t++, o++) {
      const int32_t m = dy->m[q * p->g.out_c + o];
      if (m) acc[i] += mf_scaled_gradient(p, gain, m, o, by) * w[o];
    }
}

/* Pixel (y,x) of dx: each output that reads it gives its share. Blocks have exponents of their own: all come to the largest. */
static void mf_conv_back_pixel(const mf_adapt_conv *p, int32_t depthwise, const mf_back_from *f,
                               const mf_grad *dy, int32_t y, int32_t x, int32_t top, int32_t by,
                               int32_t *acc) {
  const mf_window *g = &p->g;
  int32_t ky, kx;
  for (ky = 0; ky < g->k_h; ky++) {
    const int32_t oy = mf_reader(y + g->pad_top, ky, g->dil_h, g->stride_h, g->out_h);
    for (kx = 0; kx < g->k_w && oy >= 0; kx++) {
      const int32_t ox = mf_reader(x + g->pad_left, kx, g->dil_w, g->stride_w, g->out_w);
      const int32_t q = oy * g->out_w + ox, tap = ky * g->k_w + kx;
      if (ox < 0 || dy->e[q] == MF_GRAD_ZERO) continue;
      if (depthwise)
        mf_depthwise_back_tap(p, f->gain, dy, q, tap, by + top - dy->e[q], acc);
      else
        mf_conv_back_tap(p, f, dy, q, tap, by + top - dy->e[q], acc);
    }
  }
}

static void mf_conv_back(const mf_adapt_conv *p, int32_t depthwise, const mf_back_from *f, const mf_grad *dy,
                         const mf_grad *dx, int32_t *acc) {
  const mf_window *g = &p->g;
  /* a mantissa times a scale has so many bits; a gain, which is at most 8, three more */
  const int32_t bits = p->bits - (f->gain ? 3 : 0),
                by = MF_GRAD_BITS + 14 > bits ? MF_GRAD_BITS + 14 - bits : 0;
  int32_t y, x, i;
  for (y = 0; y < g->in_h; y++)
    for (x = 0; x < g->in_w; x++) {
      const int32_t top = mf_readers_exponent(g, dy, y, x);
      if (top == MF_GRAD_ZERO) continue;
      for (i = 0; i < g->in_c; i++) acc[i] = 0;
      mf_conv_back_pixel(p, depthwise, f, dy, y, x, top, by, acc);
      mf_grad_add(dx, y * g->in_w + x, acc, top + by - p->scale_e);
    }
}

/* -- pools, means, copies, sums -- */

/* Element `from` of dy, times share * 2^-14, is added to element `to` of dx. */
MF_HELPER void mf_give(const mf_grad *dy, int32_t from, int32_t share, const mf_grad *dx, int32_t to) {
  const int32_t e = dy->e[from / dy->c];
  if (e != MF_GRAD_ZERO) mf_grad_add_one(dx, to, dy->m[from] * share, e - 14);
}
enum { MF_SHARE_ALL = 1 << 14 };
MF_HELPER int32_t mf_share(int32_t of) { return (MF_SHARE_ALL + of / 2) / of; }

/* A pool's window of one output pixel: the mean to all, or all to where the largest was. */
static void mf_pool_back_pixel(const mf_adapt_back *b, const mf_window *g, int32_t oy, int32_t ox,
                               const unsigned char *where, const mf_grad *dy, const mf_grad *dx) {
  const int32_t y0 = oy * g->stride_h - g->pad_top, x0 = ox * g->stride_w - g->pad_left;
  const int32_t ky0 = mf_tap_begin(y0, g->dil_h), ky1 = mf_tap_end(y0, g->dil_h, g->k_h, g->in_h);
  const int32_t kx0 = mf_tap_begin(x0, g->dil_w), kx1 = mf_tap_end(x0, g->dil_w, g->k_w, g->in_w);
  const int32_t share = b->kind == MF_BACK_MAX ? MF_SHARE_ALL : mf_share((ky1 - ky0) * (kx1 - kx0));
  const int32_t from = (oy * g->out_w + ox) * g->out_c;
  int32_t c, ky, kx;
  for (ky = ky0; ky < ky1; ky++)
    for (kx = kx0; kx < kx1; kx++) {
      const int32_t to = ((y0 + ky * g->dil_h) * g->in_w + x0 + kx * g->dil_w) * g->in_c;
      for (c = 0; c < g->out_c; c++)
        if (b->kind == MF_BACK_AVERAGE || where[from + c] == ky * g->k_w + kx)
          mf_give(dy, from + c, share, dx, to + c);
    }
}

static void mf_pool_back(const mf_adapt_back *b, const unsigned char *where, const mf_grad *dy,
                         const mf_grad *dx) {
  const mf_window *g = &((const mf_pool_s8 *)b->params)->g;
  int32_t oy, ox;
  for (oy = 0; oy < g->out_h; oy++)
    for (ox = 0; ox < g->out_w; ox++) mf_pool_back_pixel(b, g, oy, ox, where, dy, dx);
}

static void mf_mean_back(const mf_mean *p, const mf_grad *dy, const mf_grad *dx) {
  int32_t index[MF_MAX_DIMS] = {0}, i = 0;
  const int32_t share = mf_share(p->count);
  do {
    int32_t inner[MF_MAX_DIMS] = {0};
    const int32_t at = mf_offset(index, p->src, 0, p->rank - 1);
    do mf_give(dy, i, share, dx, at + mf_offset(inner, p->rsrc, 0, p->rrank - 1));
    while (mf_next(inner, p->rdims, 0, p->rrank - 1));
    i++;
  } while (mf_next(index, p->dims, 0, p->rank - 1));
}

/* Codes of one byte: what are bytes to the copy are elements here. */
static void mf_copy_back(const mf_adapt_back *b, const mf_grad *dy, const mf_grad *dx) {
  const mf_copy *p = (const mf_copy *)b->params;
  int32_t index[MF_MAX_DIMS] = {0};
  int32_t i;
  do {
    const int32_t from = b->y_from + mf_offset(index, p->dst, 0, p->rank - 1),
                  to = b->x_from + mf_offset(index, p->src, 0, p->rank - 1);
    for (i = 0; i < p->elem; i++) mf_give(dy, from + i, MF_SHARE_ALL, dx, to + i);
  } while (mf_next(index, p->dims, 0, p->rank - 1));
}

/* Where dx is dy, it is there already. */
static void mf_add_back(const mf_grad *dy, const mf_grad *dx, int32_t sign, int32_t *acc) {
  int32_t q, c;
  if (!dx->e || dx->e == dy->e) return;
  for (q = 0; q < dy->pixels; q++) {
    if (dy->e[q] == MF_GRAD_ZERO) continue;
    for (c = 0; c < dy->c; c++) acc[c] = sign * dy->m[q * dy->c + c];
    mf_grad_add(dx, q, acc, dy->e[q]);
  }
}

/* -- layers -- */

MF_KERNEL void mf_adapt_back_last(const mf_adapt_model *m, mf_adapt_state *s, unsigned char *a,
                                  const float *dl) {
  const mf_adapt_last *p = m->last;
  const mf_grad dx = mf_grad_at(&m->dx, a);
  int32_t *acc = mf_adapt_sum(m, s);
  int32_t q, i, o;
  if (!dx.e) return;
  mf_grad_clear(&dx);
  for (q = 0; q < dx.pixels; q++) {
    const int32_t *w = mf_adapt_words(s) + q * dx.c;
    float *d = mf_adapt_work(m, s) + p->n;
    float most = 0.0f;
    for (i = 0; i < dx.c; i++) {
      d[i] = 0.0f;
      for (o = 0; o < p->n; o++) d[i] += dl[o] * p->w_scale[o] * (1.0f / 65536) * (float)w[o * p->k + i];
      if (d[i] > most) most = d[i];
      if (-d[i] > most) most = -d[i];
    }
    if (!(most > 1e-29f)) continue;   /* 2^-o is a float */
    o = mf_adapt_exponent(most) - 28; /* then |acc| < 2^29 */
    for (i = 0; i < dx.c; i++) acc[i] = (int32_t)(d[i] * mf_adapt_power(-o));
    mf_grad_add(&dx, q, acc, o);
  }
}

static void mf_back_to_inputs(const mf_adapt_back *b, const mf_back_from *f, const unsigned char *a,
                              const mf_grad *dy, const mf_grad *dx, int32_t *acc) {
  switch (b->kind) {
  case MF_BACK_CONV:
  case MF_BACK_DEPTHWISE:
    mf_conv_back((const mf_adapt_conv *)b->params, b->kind == MF_BACK_DEPTHWISE, f, dy, dx, acc);
    break;
  case MF_BACK_COPY: mf_copy_back(b, dy, dx); break;
  case MF_BACK_AVERAGE:
  case MF_BACK_MAX: mf_pool_back(b, b->bits < 0 ? NULL : a + b->bits, dy, dx); break;
  case MF_BACK_MEAN: mf_mean_back((const mf_mean *)b->params, dy, dx); break;
  case MF_BACK_ADD:
  case MF_BACK_CLIP: mf_add_back(dy, dx, 1, acc); break;
  default: break;
  }
}

MF_KERNEL void mf_adapt_back_layer(const mf_adapt_back *b, const mf_adapt_model *m, mf_adapt_state *s,
                                   unsigned char *a) {
  const mf_grad dy = mf_grad_at(&b->dy, a), dx = mf_grad_at(&b->dx, a), dx2 = mf_grad_at(&b->dx2, a);
  const mf_back_from f = {b->affine ? mf_adapt_gain(b->affine, mf_adapt_words(s)) : NULL,
                          b->weights ? mf_adapt_words(s) + b->weights->word : NULL};
  int32_t *acc = mf_adapt_sum(m, s);
  float *work = mf_adapt_work(m, s);
  if (dx.e && b->dx.first) mf_grad_clear(&dx);
  if (dx2.e && b->dx2.first) mf_grad_clear(&dx2);
  if (b->affine) mf_affine_sums(b, s, a, &dy, work);
  if (b->adapter)
    b->adapt(b->adapter, s, a + b->held, b->bits < 0 ? NULL : a + b->bits, &dy, dx.e != NULL, acc, work);
  if (b->bits >= 0 && b->kind != MF_BACK_MAX) mf_mask_back(a + b->bits, &dy);
  if (dx2.e) mf_add_back(&dy, &dx2, b->sign2, acc);
  if (dx.e) mf_back_to_inputs(b, &f, a, &dy, &dx, acc);
  /* last: inputs saw weights and gains as they were */
  if (b->weights) b->learn(b->weights, s, &dy, (const int8_t *)a + b->x, acc);
  if (b->affine) mf_affine_move(b->affine, s, work, work + b->affine->c);
}
