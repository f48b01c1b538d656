/* The plain loops of kernels.h, compiled once per version: the includer defines MULADD(a, b, c), a * b + c in that
 * version's rounding. Channels are few (16 to 64), so per-channel parameters are repeated to runs of about 128 floats
 * and rows are taken that many at a time: the inner loops are long enough to vectorise well. Column sums are kept per
 * repetition and folded in a fixed order.
 */
#ifndef RUNTIME_ENGINE_SIMD_LOOPS_H
#define RUNTIME_ENGINE_SIMD_LOOPS_H

#include <string.h>

#include "runtime/engine/simd/kernels.h"

#ifndef MULADD
#define MULADD(a, b, c) ((a) * (b) + (c))
#endif

enum { RUN = 256, REPEAT_TO = 128 }; /* longest run; channels above RUN / 2 are not repeated but cut */

/* Channels [c0, c0 + w), taken `rows` rows at a time (more than one only where a row is one piece). */
typedef struct Piece {
  int64_t w, rows;
} Piece;

static Piece piece_at(int64_t c, int64_t c0) {
  Piece p = {c - c0 < RUN ? c - c0 : RUN, 1};
  if (p.w == c && c < REPEAT_TO) p.rows = REPEAT_TO / c;
  return p;
}

/* Floats of the next stretch when `left` rows are left. */
static int64_t stretch(Piece p, int64_t left) { return (left < p.rows ? left : p.rows) * p.w; }

/* By doubling: rows of three floats, copied one by one, took longer than the loops that read them. */
static void repeat(const float *v, Piece p, float *out) {
  const int64_t all = p.rows * p.w;
  for (int64_t n = 0, m = p.w; n < all; n += m, m = n < all - n ? n : all - n)
    memcpy(out + n, n ? out : v, (size_t)m * sizeof *out);
}

static void fold(const float *acc, Piece p, float *sum) {
  for (int64_t i = 0; i < p.w; i++) sum[i] = acc[i];
  for (int64_t r = 1; r < p.rows; r++)
    for (int64_t i = 0; i < p.w; i++) sum[i] += acc[r * p.w + i];
}

static void zero_run(float *acc) {
  for (int64_t i = 0; i < RUN; i++) acc[i] = 0;
}

static void loop_column_sums(const float *restrict x, int64_t n, int64_t c, float *restrict sum) {
  float acc[RUN];
  for (int64_t c0 = 0; c0 < c; c0 += RUN) {
    Piece p = piece_at(c, c0);
    zero_run(acc);
    for (int64_t r = 0; r < n; r += p.rows) {
      const float *restrict v = x + r * c + c0;
      for (int64_t i = 0, m = stretch(p, n - r); i < m; i++) acc[i] += v[i];
    }
    fold(acc, p, sum + c0);
  }
}

static void loop_column_squares(const float *restrict x, const float *restrict mean, int64_t n, int64_t c,
                                float *restrict m2) {
  float acc[RUN], mu[RUN];
  for (int64_t c0 = 0; c0 < c; c0 += RUN) {
    Piece p = piece_at(c, c0);
    zero_run(acc);
    repeat(mean + c0, p, mu);
    for (int64_t r = 0; r < n; r += p.rows) {
      const float *restrict v = x + r * c + c0;
      for (int64_t i = 0, m = stretch(p, n - r); i < m; i++)
        acc[i] = MULADD(v[i] - mu[i], v[i] - mu[i], acc[i]);
    }
    fold(acc, p, m2 + c0);
  }
}

static float limit(float v, float lo, float hi) {
  v = v > lo ? v : lo;
  return v < hi ? v : hi;
}

static void loop_affine(const float *restrict x, const float *restrict a, const float *restrict b, float lo,
                        float hi, int64_t n, int64_t c, float *restrict y) {
  float aa[RUN], bb[RUN];
  for (int64_t c0 = 0; c0 < c; c0 += RUN) {
    Piece p = piece_at(c, c0);
    repeat(a + c0, p, aa);
    repeat(b + c0, p, bb);
    for (int64_t r = 0; r < n; r += p.rows) {
      const float *restrict v = x + r * c + c0;
      float *restrict out = y + r * c + c0;
      for (int64_t i = 0, m = stretch(p, n - r); i < m; i++)
        out[i] = limit(MULADD(v[i], aa[i], bb[i]), lo, hi);
    }
  }
}

/* dy inside the limits, 0 elsewhere. */
static float inside(float v, float dy, float lo, float hi) { return ((v > lo) & (v < hi)) ? dy : 0; }

static void loop_affine_sums(const float *restrict dy, const float *restrict x, const float *restrict a,
                             const float *restrict b, const float *restrict mean, float lo, float hi,
                             int64_t n, int64_t c, float *restrict s1, float *restrict s2) {
  float aa[RUN], bb[RUN], mu[RUN], acc1[RUN], acc2[RUN];
  for (int64_t c0 = 0; c0 < c; c0 += RUN) {
    Piece p = piece_at(c, c0);
    zero_run(acc1);
    zero_run(acc2);
    repeat(a + c0, p, aa);
    repeat(b + c0, p, bb);
    repeat(mean + c0, p, mu);
    for (int64_t r = 0; r < n; r += p.rows) {
      const float *restrict v = x + r * c + c0, *restrict dv = dy + r * c + c0;
      for (int64_t i = 0, m = stretch(p, n - r); i < m; i++) {
        float g = inside(MULADD(v[i], aa[i], bb[i]), dv[i], lo, hi);
        acc1[i] += g;
        acc2[i] = MULADD(g, v[i] - mu[i], acc2[i]);
      }
    }
    fold(acc1, p, s1 + c0);
    fold(acc2, p, s2 + c0);
  }
}

static void loop_affine_back(const float *restrict dy, const float *restrict x, const float *restrict a,
                             const float *restrict b, const float *restrict p1, const float *restrict p0,
                             float lo, float hi, int64_t n, int64_t c, bool add, float *restrict dx) {
  float aa[RUN], bb[RUN], pp[RUN], qq[RUN];
  for (int64_t c0 = 0; c0 < c; c0 += RUN) {
    Piece p = piece_at(c, c0);
    repeat(a + c0, p, aa);
    repeat(b + c0, p, bb);
    repeat(p1 + c0, p, pp);
    repeat(p0 + c0, p, qq);
    for (int64_t r = 0; r < n; r += p.rows) {
      const float *restrict v = x + r * c + c0, *restrict dv = dy + r * c + c0;
      float *restrict out = dx + r * c + c0;
      for (int64_t i = 0, m = stretch(p, n - r); i < m; i++) {
        float g = inside(MULADD(v[i], aa[i], bb[i]), dv[i], lo, hi);
        float d = MULADD(g, aa[i], MULADD(v[i], pp[i], qq[i]));
        out[i] = add ? out[i] + d : d;
      }
    }
  }
}

static void loop_add(const float *restrict a, const float *restrict b, float lo, float hi, int64_t n,
                     float *restrict y) {
  for (int64_t i = 0; i < n; i++) y[i] = limit(a[i] + b[i], lo, hi);
}

static void loop_mask(const float *restrict y, const float *restrict dy, float lo, float hi, int64_t n,
                      bool add, float *restrict dx) {
  if (add)
    for (int64_t i = 0; i < n; i++) dx[i] += inside(y[i], dy[i], lo, hi);
  else
    for (int64_t i = 0; i < n; i++) dx[i] = inside(y[i], dy[i], lo, hi);
}

/* -- depthwise convolution over a padded image, channels [c0, c1), at most RUN of them -- */

static const float *pixel_at(const ConvShape *q, const float *x, int64_t oy, int64_t ox) {
  return x + (oy * q->sh * q->wp + ox * q->sw) * q->c;
}

/* out[i] = bias + sum over taps, in tap order. x, w and bias begin at channel c0. */
static void depthwise_sum(const ConvShape *q, const float *restrict x, const float *restrict w,
                          const float *restrict bias, int64_t n, float *restrict out) {
  for (int64_t i = 0; i < n; i++) out[i] = bias ? bias[i] : 0;
  for (int64_t ky = 0; ky < q->kh; ky++)
    for (int64_t t = 0; t < q->run; t += q->c) {
      const float *restrict v = x + ky * q->dh * q->wp * q->c + t, *restrict f = w + ky * q->run + t;
      for (int64_t i = 0; i < n; i++) out[i] = MULADD(v[i], f[i], out[i]);
    }
}

static inline void depthwise_range(const ConvShape *q, const float *x, const float *w, const float *bias,
                                   float lo, float hi, bool add, float *y, int64_t c0, int64_t c1) {
  float out[RUN];
  for (int64_t oy = 0; oy < q->oh; oy++)
    for (int64_t ox = 0; ox < q->ow; ox++) {
      float *restrict dst = y + (oy * q->ow + ox) * q->c + c0;
      depthwise_sum(q, pixel_at(q, x, oy, ox) + c0, w + c0, bias ? bias + c0 : bias, c1 - c0, out);
      for (int64_t i = 0; i < c1 - c0; i++) {
        float v = limit(out[i], lo, hi);
        dst[i] = add ? dst[i] + v : v;
      }
    }
}

static inline void depthwise_weights_range(const ConvShape *q, const float *x, const float *dy, float *acc,
                                           int64_t c0, int64_t c1) {
  for (int64_t oy = 0; oy < q->oh; oy++)
    for (int64_t ky = 0; ky < q->kh; ky++)
      for (int64_t t = 0; t < q->run; t += q->c) {
        const float *v = pixel_at(q, x, oy, 0) + ky * q->dh * q->wp * q->c + t, *g = dy + oy * q->ow * q->c;
        float *restrict sum = acc + ky * q->run + t;
        for (int64_t ox = 0; ox < q->ow; ox++, v += q->sw * q->c, g += q->c)
          for (int64_t i = c0; i < c1; i++) sum[i] = MULADD(v[i], g[i], sum[i]);
      }
}

#endif
