/* Weights of convolutions (a FullyConnected is one whose window is the image) that learn: see adapt.h.
 *
 * A run computes with words, exactly, in place of the layer's kernel. A step sums each weight's gradient over the pixels, in integers
 * by the largest exponent of all blocks, channel by channel of the output: once for its norm, where gradients are to be
 * shortened, and once more to move it; it is kept nowhere.
 */
#include "runtime/device/adapt_grad.h"

MF_HELPER int32_t mf_weights_each(const mf_adapt_conv *p) {
  return p->g.k_h * p->g.k_w * (p->g.in_c / p->groups);
}

MF_KERNEL void mf_adapt_reset_weights(const mf_adapt_weights *p, int32_t *words) {
  const mf_adapt_conv *c = p->conv;
  const int32_t ins = c->g.in_c / c->groups;
  int32_t o, tap, i, *w = words + p->word;
  for (o = 0; o < c->g.out_c; o++)
    for (tap = 0; tap < c->g.k_h * c->g.k_w; tap++)
      for (i = 0; i < ins; i++) *w++ = c->w[o * c->w_out + tap * c->w_tap + i] * 65536;
}

/* One output's products with its window, in Q16; w: its words. */
static int64_t mf_weights_sum(const mf_adapt_weights *p, const int32_t *w, const mf_view *in, int32_t oy,
                              int32_t ox, int32_t group) {
  const mf_window *g = &p->conv->g;
  const int32_t y0 = oy * g->stride_h - g->pad_top, x0 = ox * g->stride_w - g->pad_left;
  const int32_t ins = g->in_c / p->conv->groups, ky1 = mf_tap_end(y0, g->dil_h, g->k_h, g->in_h);
  const int32_t kx0 = mf_tap_begin(x0, g->dil_w), kx1 = mf_tap_end(x0, g->dil_w, g->k_w, g->in_w);
  int64_t sum = 0;
  int32_t ky, kx, i;
  for (ky = mf_tap_begin(y0, g->dil_h); ky < ky1; ky++) {
    const int8_t *row = (const int8_t *)mf_row(in, y0 + ky * g->dil_h) + group * ins;
    for (kx = kx0; kx < kx1; kx++) {
      const int8_t *x = row + (x0 + kx * g->dil_w) * g->in_c;
      const int32_t *v = w + (ky * g->k_w + kx) * ins;
      for (i = 0; i < ins; i++) sum += (int64_t)(x[i] - p->in_zero) * v[i];
    }
  }
  return sum;
}

MF_KERNEL void mf_adapt_run_weights(const mf_adapt_weights *p, const int32_t *words, const mf_view *in,
                                    const mf_view *out, int32_t y0, int32_t y1) {
  const mf_window *g = &p->conv->g;
  const int32_t each = mf_weights_each(p->conv), outs = g->out_c / p->conv->groups;
  int32_t oy, ox, o;
  for (oy = y0; oy < y1; oy++) {
    int8_t *y = (int8_t *)mf_row(out, oy);
    for (ox = 0; ox < g->out_w; ox++)
      for (o = 0; o < g->out_c; o++) {
        const int32_t q = p->per_channel ? o : 0;
        const int64_t sum = mf_weights_sum(p, words + p->word + o * each, in, oy, ox, o / outs) +
                            (p->bias ? (int64_t)p->bias[o] * 65536 : 0);
        *y++ =
            (int8_t)mf_clamp(p->out_zero + mf_adapt_requantize(sum, p->mult[q], p->shift[q]), p->lo, p->hi);
      }
  }
}

/* The gradient of the weights of output o through a tap: acc [in_c / groups], by 2^(top + MF_GRAD_BITS - bits) and x's scale. */
static void mf_weights_gradient(const mf_adapt_weights *p, const mf_grad *dy, const int8_t *x, int32_t o,
                                int32_t tap, int32_t top, int32_t bits, int32_t *acc) {
  const mf_window *g = &p->conv->g;
  const int32_t ins = g->in_c / p->conv->groups, from = o / (g->out_c / p->conv->groups) * ins;
  int32_t oy, ox, i;
  for (i = 0; i < ins; i++) acc[i] = 0;
  for (oy = 0; oy < g->out_h; oy++) {
    const int32_t iy = oy * g->stride_h - g->pad_top + tap / g->k_w * g->dil_h;
    for (ox = 0; ox < g->out_w && iy >= 0 && iy < g->in_h; ox++) {
      const int32_t ix = ox * g->stride_w - g->pad_left + tap % g->k_w * g->dil_w, q = oy * g->out_w + ox;
      const int32_t e = dy->e[q], m = e == MF_GRAD_ZERO ? 0 : dy->m[q * g->out_c + o];
      const int32_t d = m ? mf_scaled(m, top - e + MF_GRAD_BITS - bits) : 0;
      const int8_t *v = x + (iy * g->in_w + ix) * g->in_c + from;
      if (d == 0 || ix < 0 || ix >= g->in_w) continue;
      for (i = 0; i < ins; i++) acc[i] += d * (v[i] - p->in_zero);
    }
  }
}

/* Of output o: the sum of squares of its gradients (rate 0), or they move. unit: of acc, in reals. */
static float mf_weights_output(const mf_adapt_weights *p, int32_t *w, const mf_grad *dy, const int8_t *x,
                               int32_t o, int32_t top, int32_t bits, float unit, float rate, int32_t *acc) {
  const int32_t ins = p->conv->g.in_c / p->conv->groups;
  const float by = rate * unit / p->w_scale[o] * 65536.0f;
  float squares = 0.0f;
  int32_t tap, i;
  for (tap = 0; tap < p->conv->g.k_h * p->conv->g.k_w; tap++, w += ins) {
    mf_weights_gradient(p, dy, x, o, tap, top, bits, acc);
    for (i = 0; i < ins; i++) {
      const float d = (float)acc[i] * unit;
      squares += d * d;
      if (rate > 0.0f) w[i] = mf_adapt_less(w[i], (float)acc[i] * by, -127 * 65536, 127 * 65536);
    }
  }
  return squares;
}

MF_KERNEL void mf_adapt_step_weights(const mf_adapt_weights *p, mf_adapt_state *s, const mf_grad *dy,
                                     const int8_t *x, int32_t *acc) {
  int32_t *w = mf_adapt_words(s) + p->word;
  const int32_t each = mf_weights_each(p->conv), n = p->conv->g.out_c;
  int32_t q, o, top = MF_GRAD_ZERO, bits = 21 - mf_bits(dy->pixels); /* codes have 9, sums 30 */
  float squares = 0.0f, unit, rate = s->rates.gain;
  for (q = 0; q < dy->pixels; q++)
    if (dy->e[q] > top) top = dy->e[q];
  if (top == MF_GRAD_ZERO) return;
  if (bits > 15) bits = 15;
  unit = mf_adapt_power(top + MF_GRAD_BITS - bits) * p->in_scale;
  for (o = 0; o < n && s->rates.clip > 0.0f; o++)
    squares += mf_weights_output(p, w + o * each, dy, x, o, top, bits, unit, 0.0f, acc);
  rate *= mf_adapt_clip(squares, s->rates.clip);
  for (o = 0; o < n; o++) mf_weights_output(p, w + o * each, dy, x, o, top, bits, unit, rate, acc);
}
