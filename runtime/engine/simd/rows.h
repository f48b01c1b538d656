/* Statistics and normalisation of rows of channels, with parameters (or sums) of a few vectors in registers: what loops.h
 * does, where channels are whole vectors of 16 floats. Compiled once per version, over winograd.h's macros and
 * VINSIDE(v, lo, hi, g): g where lo < v < hi, else 0. For affine and
 * affine_back rows of 8 or fewer channels that divide 16 are taken together.
 *
 * Sums keep one part for each row modulo 4, added as (0 + 1) + (2 + 3), so that they are the same bytes at any width.
 */
#ifndef RUNTIME_ENGINE_SIMD_ROWS_H
#define RUNTIME_ENGINE_SIMD_ROWS_H

#include "runtime/engine/simd/loops.h"
#include "runtime/engine/simd/winograd.h"

enum { WHOLE = 16, PARTS = 4 };

/* -- elementwise -- */

/* k vectors of channels of all rows. */
WINO void affine_columns(const int k, const float *x, const float *a, const float *b, V lo, V hi, int64_t n,
                         int64_t c, float *y) {
  V va[4], vb[4];
  for (int i = 0; i < k; i++) va[i] = VLOAD(a + i * LANES), vb[i] = VLOAD(b + i * LANES);
  for (int64_t r = 0; r < n; r++, x += c, y += c)
    for (int i = 0; i < k; i++)
      VSTORE(y + i * LANES, VMIN(VMAX(VFMA(VLOAD(x + i * LANES), va[i], vb[i]), lo), hi));
}

static void rows_affine(const float *x, const float *a, const float *b, float lo, float hi, int64_t n,
                        int64_t c, float *y) {
  if (c % WHOLE) {
    float a16[WHOLE], b16[WHOLE];
    if (WHOLE % c || n * c % WHOLE) {
      loop_affine(x, a, b, lo, hi, n, c, y);
      return;
    }
    for (int64_t i = 0; i < WHOLE; i++) a16[i] = a[i % c], b16[i] = b[i % c];
    rows_affine(x, a16, b16, lo, hi, n * c / WHOLE, WHOLE, y);
    return;
  }
  int64_t i = 0;
  for (; i + 4 * LANES <= c; i += 4 * LANES)
    affine_columns(4, x + i, a + i, b + i, VSET(lo), VSET(hi), n, c, y + i);
  for (; i < c; i += LANES) affine_columns(1, x + i, a + i, b + i, VSET(lo), VSET(hi), n, c, y + i);
}

typedef struct Back {
  const float *a, *b, *p, *q;
  float lo, hi;
} Back;

WINO void back_columns(const int k, const Back *w, const float *dy, const float *x, int64_t n, int64_t c,
                       bool add, float *dx) {
  V a[2], b[2], p[2], q[2], lo = VSET(w->lo), hi = VSET(w->hi);
  for (int i = 0; i < k; i++) {
    a[i] = VLOAD(w->a + i * LANES), b[i] = VLOAD(w->b + i * LANES);
    p[i] = VLOAD(w->p + i * LANES), q[i] = VLOAD(w->q + i * LANES);
  }
  for (int64_t r = 0; r < n; r++, x += c, dy += c, dx += c)
    for (int i = 0; i < k; i++) {
      V v = VLOAD(x + i * LANES), g = VLOAD(dy + i * LANES);
      g = VINSIDE(VFMA(v, a[i], b[i]), lo, hi, g);
      V d = VFMA(g, a[i], VFMA(v, p[i], q[i]));
      if (add) d = VLOAD(dx + i * LANES) + d;
      VSTORE(dx + i * LANES, d);
    }
}

static void rows_back(const Back *w, const float *dy, const float *x, int64_t n, int64_t c, bool add,
                      float *dx) {
  int64_t i = 0;
  for (; i + 2 * LANES <= c; i += 2 * LANES) {
    Back at = {w->a + i, w->b + i, w->p + i, w->q + i, w->lo, w->hi};
    if (add)
      back_columns(2, &at, dy + i, x + i, n, c, true, dx + i);
    else
      back_columns(2, &at, dy + i, x + i, n, c, false, dx + i);
  }
  for (; i < c; i += LANES) {
    Back at = {w->a + i, w->b + i, w->p + i, w->q + i, w->lo, w->hi};
    back_columns(1, &at, dy + i, x + i, n, c, add, dx + i);
  }
}

static void rows_affine_back(const float *dy, const float *x, const float *a, const float *b, const float *p,
                             const float *q, float lo, float hi, int64_t n, int64_t c, bool add, float *dx) {
  if (c % WHOLE == 0) {
    rows_back(&(Back){a, b, p, q, lo, hi}, dy, x, n, c, add, dx);
    return;
  }
  if (WHOLE % c || n * c % WHOLE) {
    loop_affine_back(dy, x, a, b, p, q, lo, hi, n, c, add, dx);
    return;
  }
  float w[4][WHOLE];
  for (int64_t i = 0; i < WHOLE; i++)
    w[0][i] = a[i % c], w[1][i] = b[i % c], w[2][i] = p[i % c], w[3][i] = q[i % c];
  rows_back(&(Back){w[0], w[1], w[2], w[3], lo, hi}, dy, x, n * c / WHOLE, WHOLE, add, dx);
}

/* -- sums: one vector of channels, rows four at a time -- */

#define ROWS_SUM(acc) ((acc[0] + acc[1]) + (acc[2] + acc[3]))
#define ROWS_ZERO \
  { VSET(0), VSET(0), VSET(0), VSET(0) }

static void rows_sums(const float *x, int64_t n, int64_t c, float *sum) {
  if (c % WHOLE) {
    loop_column_sums(x, n, c, sum);
    return;
  }
  for (int64_t i = 0; i < c; i += LANES) {
    V acc[PARTS] = ROWS_ZERO;
    const float *v = x + i;
    int64_t r = 0;
    for (; r + PARTS <= n; r += PARTS, v += PARTS * c)
      for (int k = 0; k < PARTS; k++) acc[k] = acc[k] + VLOAD(v + k * c);
    for (int k = 0; r < n; r++, k++, v += c) acc[k] = acc[k] + VLOAD(v);
    VSTORE(sum + i, ROWS_SUM(acc));
  }
}

static void rows_squares(const float *x, const float *mean, int64_t n, int64_t c, float *m2) {
  if (c % WHOLE) {
    loop_column_squares(x, mean, n, c, m2);
    return;
  }
  for (int64_t i = 0; i < c; i += LANES) {
    V acc[PARTS] = ROWS_ZERO, mu = VLOAD(mean + i), d;
    const float *v = x + i;
    int64_t r = 0;
    for (; r + PARTS <= n; r += PARTS, v += PARTS * c)
      for (int k = 0; k < PARTS; k++) d = VLOAD(v + k * c) - mu, acc[k] = VFMA(d, d, acc[k]);
    for (int k = 0; r < n; r++, k++, v += c) d = VLOAD(v) - mu, acc[k] = VFMA(d, d, acc[k]);
    VSTORE(m2 + i, ROWS_SUM(acc));
  }
}

#define ROWS_PRODUCT(k)                                       \
  v = VLOAD(xr + (k)*c);                                      \
  g = VINSIDE(VFMA(v, va, vb), low, high, VLOAD(dr + (k)*c)); \
  one[k] = one[k] + g;                                        \
  two[k] = VFMA(g, v - mu, two[k]);

static void rows_affine_sums(const float *dy, const float *x, const float *a, const float *b,
                             const float *mean, float lo, float hi, int64_t n, int64_t c, float *s1,
                             float *s2) {
  if (c % WHOLE) {
    loop_affine_sums(dy, x, a, b, mean, lo, hi, n, c, s1, s2);
    return;
  }
  V low = VSET(lo), high = VSET(hi), v, g;
  for (int64_t i = 0; i < c; i += LANES) {
    V one[PARTS] = ROWS_ZERO, two[PARTS] = ROWS_ZERO, va = VLOAD(a + i), vb = VLOAD(b + i),
      mu = VLOAD(mean + i);
    const float *xr = x + i, *dr = dy + i;
    int64_t r = 0;
    for (; r + PARTS <= n; r += PARTS, xr += PARTS * c, dr += PARTS * c) {
      ROWS_PRODUCT(0) ROWS_PRODUCT(1) ROWS_PRODUCT(2) ROWS_PRODUCT(3)
    }
    if (r < n) {
      ROWS_PRODUCT(0)
    }
    if (r + 1 < n) {
      ROWS_PRODUCT(1)
    }
    if (r + 2 < n) {
      ROWS_PRODUCT(2)
    }
    VSTORE(s1 + i, ROWS_SUM(one));
    VSTORE(s2 + i, ROWS_SUM(two));
  }
}

/* -- any number of floats -- */

static void rows_plus(const float *a, const float *b, float lo, float hi, int64_t n, float *y) {
  V low = VSET(lo), high = VSET(hi);
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES) VSTORE(y + i, VMIN(VMAX(VLOAD(a + i) + VLOAD(b + i), low), high));
  loop_add(a + i, b + i, lo, hi, n - i, y + i);
}

static void rows_mask(const float *y, const float *dy, float lo, float hi, int64_t n, bool add, float *dx) {
  V low = VSET(lo), high = VSET(hi);
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES) {
    V g = VINSIDE(VLOAD(y + i), low, high, VLOAD(dy + i));
    if (add) g = VLOAD(dx + i) + g;
    VSTORE(dx + i, g);
  }
  loop_mask(y + i, dy + i, lo, hi, n - i, add, dx + i);
}

/* What every version has from winograd.h and this header, for its table of kernels. */
#define SIMD_SHARED                                                                                       \
  .winograd_input = wino_input, .winograd_gradient = wino_gradients, .winograd_output = wino_output,      \
  .winograd_weights = wino_weights, .winograd_weights_back = wino_weights_back, .column_sums = rows_sums, \
  .column_squares = rows_squares, .affine = rows_affine, .affine_sums = rows_affine_sums,                 \
  .affine_back = rows_affine_back, .add = rows_plus, .mask = rows_mask

#endif
