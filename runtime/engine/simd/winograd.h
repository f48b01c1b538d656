/* Winograd's transforms F(4x4, 3x3), compiled once per version: Lavin, Gray 2016 (arXiv:1509.09308), section 4.1.
 *
 *   y  = A^T [(G g G^T) * (B^T d B)] A      d: 6x6 patch of the padded image, y: 4x4 outputs, g: 3x3 taps
 *   dg = G^T [sum of (A dy A^T) * (B^T d B)] G
 *
 * The products over channels are 36 pointwise convolutions by the version's own kernels. The includer defines a vector V
 * of LANES floats (16 are a multiple), VLOAD, VSTORE, VSET, VFMA, VMIN, VMAX; V adds, subtracts and multiplies as C does.
 * Channels never meet, so that results are the same bytes at any width.
 */
#ifndef RUNTIME_ENGINE_SIMD_WINOGRAD_H
#define RUNTIME_ENGINE_SIMD_WINOGRAD_H

#include "runtime/engine/simd/kernels.h"

#ifndef VLOAD /* this header alone: one float at a time */
typedef float V;
enum { LANES = 1 };
#define VLOAD(p)              (*(p))
#define VSTORE(p, v)          (*(p) = (v))
#define VSET(x)               ((float)(x))
#define VFMA(a, b, c)         ((a) * (b) + (c))
#define VMIN(a, b)            ((a) < (b) ? (a) : (b))
#define VMAX(a, b)            ((a) > (b) ? (a) : (b))
#define VINSIDE(v, lo, hi, g) ((v) > (lo) && (v) < (hi) ? (g) : 0)
#endif

#define WINO static inline __attribute__((always_inline))

/* -- along one axis: elements `s` apart -- */

/* 6 to 6: B^T. */
WINO void wino_patch(const V *d, int s, V *o) {
  V d0 = d[0], d1 = d[s], d2 = d[2 * s], d3 = d[3 * s], d4 = d[4 * s], d5 = d[5 * s];
  V e = VFMA(VSET(-4), d2, d4), f = VFMA(VSET(-4), d1, d3), g = d4 - d2, h = d3 - d1;
  o[0] = VFMA(VSET(4), d0 - d2, g);
  o[s] = e + f;
  o[2 * s] = e - f;
  o[3 * s] = VFMA(VSET(2), h, g);
  o[4 * s] = VFMA(VSET(-2), h, g);
  o[5 * s] = VFMA(VSET(4), d1 - d3, d5 - d3);
}

/* 6 to 4: A^T. */
WINO void wino_outputs(const V *m, int s, V *o) {
  V s12 = m[s] + m[2 * s], d12 = m[s] - m[2 * s], s34 = m[3 * s] + m[4 * s], d34 = m[3 * s] - m[4 * s];
  o[0] = m[0] + s12 + s34;
  o[s] = VFMA(VSET(2), d34, d12);
  o[2 * s] = VFMA(VSET(4), s34, s12);
  o[3 * s] = VFMA(VSET(8), d34, d12) + m[5 * s];
}

/* 4 to 6: A. */
WINO void wino_gradient(const V *y, int s, V *o) {
  V y0 = y[0], y1 = y[s], y2 = y[2 * s], y3 = y[3 * s];
  V e = y0 + y2, f = y1 + y3, g = VFMA(VSET(4), y2, y0), h = VFMA(VSET(4), y3, y1);
  o[0] = y0;
  o[s] = e + f;
  o[2 * s] = e - f;
  o[3 * s] = VFMA(VSET(2), h, g);
  o[4 * s] = VFMA(VSET(-2), h, g);
  o[5 * s] = y3;
}

/* 3 to 6: G. */
WINO void wino_taps(const V *g, int s, V *o) {
  V g0 = g[0], g1 = g[s], g2 = g[2 * s], e = (g0 + g2) * VSET(-1.0f / 6), f = g1 * VSET(1.0f / 6);
  V h = VFMA(VSET(4), g2, g0) * VSET(1.0f / 24), i = g1 * VSET(1.0f / 12);
  o[0] = g0 * VSET(0.25f);
  o[s] = e - f;
  o[2 * s] = e + f;
  o[3 * s] = h + i;
  o[4 * s] = h - i;
  o[5 * s] = g2;
}

/* 6 to 3: G^T. */
WINO void wino_taps_back(const V *m, int s, V *o) {
  V s12 = m[s] + m[2 * s], d12 = m[2 * s] - m[s], s34 = m[3 * s] + m[4 * s], d34 = m[3 * s] - m[4 * s];
  V sixth = VSET(1.0f / 6);
  o[0] = VFMA(VSET(0.25f), m[0], VFMA(VSET(1.0f / 24), s34, s12 * -sixth));
  o[s] = VFMA(VSET(1.0f / 12), d34, d12 * sixth);
  o[2 * s] = VFMA(sixth, s34 - s12, m[5 * s]);
}

/* -- tiles -- */

typedef struct WinoTile {
  int64_t image, y, x; /* first row and column, maybe outside */
  bool inside;         /* all `side` rows and columns lie in the image */
} WinoTile;

WINO WinoTile wino_tile(const WinogradShape *q, int64_t t, int64_t side) {
  int64_t each = q->th * q->tw, in = t % each;
  WinoTile k = {t / each, in / q->tw * 4 - q->top, in % q->tw * 4 - q->left, false};
  k.inside = k.y >= 0 && k.x >= 0 && k.y + side <= q->h && k.x + side <= q->w;
  return k;
}

WINO bool wino_has(const WinogradShape *q, const WinoTile *k, int64_t i, int64_t j) {
  return k->y + i >= 0 && k->y + i < q->h && k->x + j >= 0 && k->x + j < q->w;
}

/* side x side pixels at p, which is the tile's first one: those outside are 0. */
WINO void wino_read(const WinogradShape *q, const WinoTile *k, const float *p, int side, bool inside, V *d) {
  for (int i = 0; i < side; i++)
    for (int j = 0; j < side; j++)
      d[i * 6 + j] = inside || wino_has(q, k, i, j) ? VLOAD(p + (i * q->w + j) * q->c) : VSET(0);
}

WINO void wino_keep(const V *d, int64_t plane, float *v) {
  for (int i = 0; i < 36; i++) VSTORE(v + i * plane, d[i]);
}

WINO void wino_patch_2d(const WinogradShape *q, const WinoTile *k, const float *p, bool inside, int64_t plane,
                        float *v) {
  V d[36];
  wino_read(q, k, p, 6, inside, d);
  for (int j = 0; j < 6; j++) wino_patch(d + j, 6, d + j);
  for (int i = 0; i < 6; i++) wino_patch(d + 6 * i, 1, d + 6 * i);
  wino_keep(d, plane, v);
}

WINO void wino_gradient_2d(const WinogradShape *q, const WinoTile *k, const float *p, bool inside,
                           int64_t plane, float *v) {
  V d[36];
  wino_read(q, k, p, 4, inside, d);
  for (int j = 0; j < 4; j++) wino_gradient(d + j, 6, d + j);
  for (int i = 0; i < 6; i++) wino_gradient(d + 6 * i, 1, d + 6 * i);
  wino_keep(d, plane, v);
}

/* The floats of a tile's first pixel, were it in the image. */
WINO int64_t wino_at(const WinogradShape *q, const WinoTile *k) {
  return ((k->image * q->h + k->y) * q->w + k->x) * q->c;
}

static void wino_input(const WinogradShape *q, const float *x, int64_t t, int64_t n, int64_t plane,
                       float *v) {
  for (int64_t i = 0; i < n; i++) {
    WinoTile k = wino_tile(q, t + i, 6);
    for (int64_t c = 0; c < q->c; c += LANES, v += LANES)
      if (k.inside)
        wino_patch_2d(q, &k, x + wino_at(q, &k) + c, true, plane, v);
      else
        wino_patch_2d(q, &k, x + wino_at(q, &k) + c, false, plane, v);
  }
}

static void wino_gradients(const WinogradShape *q, const float *dy, int64_t t, int64_t n, int64_t plane,
                           float *v) {
  for (int64_t i = 0; i < n; i++) {
    WinoTile k = wino_tile(q, t + i, 4);
    for (int64_t c = 0; c < q->c; c += LANES, v += LANES)
      if (k.inside)
        wino_gradient_2d(q, &k, dy + wino_at(q, &k) + c, true, plane, v);
      else
        wino_gradient_2d(q, &k, dy + wino_at(q, &k) + c, false, plane, v);
  }
}

static void wino_output(const WinogradShape *q, const float *m, int64_t t, int64_t n, int64_t plane,
                        const float *bias, float lo, float hi, bool add, float *y) {
  V low = VSET(lo), high = VSET(hi);
  for (int64_t s = 0; s < n; s++) {
    WinoTile k = wino_tile(q, t + s, 4);
    float *out = y + wino_at(q, &k);
    for (int64_t c = 0; c < q->c; c += LANES, m += LANES) {
      V d[36], b = bias ? VLOAD(bias + c) : VSET(0);
      for (int j = 0; j < 6; j++) {
        for (int i = 0; i < 6; i++) d[6 * i + j] = VLOAD(m + (6 * i + j) * plane);
        wino_outputs(d + j, 6, d + j);
      }
      for (int i = 0; i < 4; i++) {
        wino_outputs(d + 6 * i, 1, d + 6 * i);
        for (int j = 0; j < 4; j++) {
          if (!k.inside && !wino_has(q, &k, i, j)) continue;
          float *p = out + (i * q->w + j) * q->c + c;
          V r = VMIN(VMAX(d[6 * i + j] + b, low), high);
          if (add) r = VLOAD(p) + r;
          VSTORE(p, r);
        }
      }
    }
  }
}

/* -- weights: 16 channels of one filter -- */

static void wino_weights(const float *w, int64_t tap, bool turned, int64_t plane, float *u) {
  for (int64_t c = 0; c < CONV_COLS; c += LANES) {
    V d[36];
    for (int i = 0; i < 9; i++) d[i / 3 * 6 + i % 3] = VLOAD(w + (turned ? 8 - i : i) * tap + c);
    for (int j = 0; j < 3; j++) wino_taps(d + j, 6, d + j);
    for (int i = 0; i < 6; i++) wino_taps(d + 6 * i, 1, d + 6 * i);
    wino_keep(d, plane, u + c);
  }
}

static void wino_weights_back(const float *m, int64_t plane, bool add, int64_t tap, float *dw) {
  for (int64_t c = 0; c < CONV_COLS; c += LANES) {
    V d[36];
    for (int i = 0; i < 36; i++) d[i] = VLOAD(m + i * plane + c);
    for (int j = 0; j < 6; j++) wino_taps_back(d + j, 6, d + j);
    for (int i = 0; i < 3; i++) {
      wino_taps_back(d + 6 * i, 1, d + 6 * i);
      for (int j = 0; j < 3; j++) {
        float *p = dw + (3 * i + j) * tap + c;
        if (add) d[6 * i + j] = VLOAD(p) + d[6 * i + j];
        VSTORE(p, d[6 * i + j]);
      }
    }
  }
}

#endif
