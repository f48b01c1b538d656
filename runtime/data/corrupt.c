/* See corrupt.h. JPEG is what its two lossy steps do, without the file: colour to YCbCr (JFIF), chroma averaged over 2x2
 * pixels, 8x8 DCT-II, division by the quantization table and rounding, and back. Tables: ITU-T T.81, annex K; quality q scales
 * them by 5000 / q below 50, by 200 - 2 q above, in per cent (the IJG's rule).
 */
#include "runtime/data/corrupt.h"

#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/base/rng.h"

static const struct {
  const char *name;
  double amount[CORRUPT_SEVERITIES];
} kinds[CORRUPT_KINDS] = {
    [CORRUPT_JPEG] = {"jpeg", {80, 65, 50, 35, 20}},
    [CORRUPT_BLUR] = {"blur", {0.4, 0.6, 0.8, 1.0, 1.3}},
    [CORRUPT_NOISE] = {"noise", {0.02, 0.04, 0.06, 0.08, 0.10}},
    [CORRUPT_EXPOSURE] = {"exposure", {0.15, 0.3, 0.45, 0.6, 0.8}},
};

const char *corrupt_name(CorruptKind kind) { return kinds[kind].name; }

double corrupt_amount(CorruptKind kind, int severity) {
  ASSERT(severity >= 1 && severity <= CORRUPT_SEVERITIES);
  return kinds[kind].amount[severity - 1];
}

static uint8_t to_byte(double v) { return (uint8_t)(v <= 0 ? 0 : v >= 255 ? 255 : lrint(v)); }

static int within(int i, int n) { return i < 0 ? 0 : i < n ? i : n - 1; }

/* -- JPEG -- */

enum { BLOCK = 8 };

static const uint8_t luma[BLOCK * BLOCK] = {
    16, 11,  10,  16, 24, 40, 51, 61, 12,  12,  14,  19,  26, 58, 60, 55,  14,  13,  16,  24, 40, 57,
    69, 56,  14,  17, 22, 29, 51, 87, 80,  62,  18,  22,  37, 56, 68, 109, 103, 77,  24,  35, 55, 64,
    81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98,  112, 100, 103, 99};
static const uint8_t chroma[BLOCK * BLOCK] = {17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99,
                                              24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99,
                                              99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
                                              99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99};

static double table_at(const uint8_t *base, int i, double quality) {
  const double scale = quality < 50 ? 5000 / quality : 200 - 2 * quality;
  const double q = floor((base[i] * floor(scale) + 50) / 100);
  return q < 1 ? 1 : q > 255 ? 255 : q;
}

/* The k-th function of the transform at place i. */
static double wave(int k, int i) {
  return (k ? 0.5 : sqrt(0.125)) * cos((2 * i + 1) * k * (3.14159265358979323846 / (2 * BLOCK)));
}

typedef struct Waves {
  double v[BLOCK][BLOCK]; /* [k][i] */
} Waves;

static void make_waves(Waves *t) {
  for (int k = 0; k < BLOCK; k++)
    for (int i = 0; i < BLOCK; i++) t->v[k][i] = wave(k, i);
}

/* out = T x T', or back: T' x T. */
static void transform(const Waves *t, const double x[BLOCK][BLOCK], bool back, double out[BLOCK][BLOCK]) {
  double half[BLOCK][BLOCK];
  for (int k = 0; k < BLOCK; k++)
    for (int j = 0; j < BLOCK; j++) {
      half[k][j] = 0;
      for (int i = 0; i < BLOCK; i++) half[k][j] += (back ? t->v[i][k] : t->v[k][i]) * x[i][j];
    }
  for (int k = 0; k < BLOCK; k++)
    for (int l = 0; l < BLOCK; l++) {
      out[k][l] = 0;
      for (int j = 0; j < BLOCK; j++) out[k][l] += half[k][j] * (back ? t->v[j][l] : t->v[l][j]);
    }
}

/* A plane of values around 0, by blocks; beyond its edges the last value goes on. */
static void jpeg_plane(double *x, int h, int w, const uint8_t *base, double quality) {
  Waves t;
  make_waves(&t);
  for (int y0 = 0; y0 < h; y0 += BLOCK)
    for (int x0 = 0; x0 < w; x0 += BLOCK) {
      double v[BLOCK][BLOCK], f[BLOCK][BLOCK];
      for (int y = 0; y < BLOCK; y++)
        for (int k = 0; k < BLOCK; k++) v[y][k] = x[within(y0 + y, h) * w + within(x0 + k, w)];
      transform(&t, (const double(*)[BLOCK])v, false, f);
      for (int i = 0; i < BLOCK * BLOCK; i++) {
        const double q = table_at(base, i, quality);
        f[i / BLOCK][i % BLOCK] = rint(f[i / BLOCK][i % BLOCK] / q) * q;
      }
      transform(&t, (const double(*)[BLOCK])f, true, v);
      for (int y = 0; y < BLOCK && y0 + y < h; y++)
        for (int k = 0; k < BLOCK && x0 + k < w; k++) x[(y0 + y) * w + x0 + k] = v[y][k];
    }
}

/* The plane at half the resolution, there through the transform, and back. */
static void jpeg_half_plane(double *x, int h, int w, double quality) {
  const int hh = (h + 1) / 2, hw = (w + 1) / 2;
  double *half = mem_array((size_t)(hh * hw), sizeof *half);
  for (int y = 0; y < hh; y++)
    for (int k = 0; k < hw; k++) {
      const int a = 2 * y * w, b = within(2 * y + 1, h) * w, l = 2 * k, r = within(2 * k + 1, w);
      half[y * hw + k] = (x[a + l] + x[a + r] + x[b + l] + x[b + r]) / 4;
    }
  jpeg_plane(half, hh, hw, chroma, quality);
  for (int y = 0; y < h; y++)
    for (int k = 0; k < w; k++) x[y * w + k] = half[y / 2 * hw + k / 2];
  mem_free(half);
}

static void jpeg(double quality, uint8_t *x, int h, int w, int c) {
  const int n = h * w;
  double *p = mem_array((size_t)(3 * n), sizeof *p), *cb = p + n, *cr = p + 2 * n;
  for (int i = 0; i < n; i++) {
    const double r = x[i * c], g = x[i * c + (c > 1)], b = x[i * c + 2 * (c > 1)];
    p[i] = c == 1 ? r - 128 : 0.299 * r + 0.587 * g + 0.114 * b - 128;
    cb[i] = -0.168736 * r - 0.331264 * g + 0.5 * b;
    cr[i] = 0.5 * r - 0.418688 * g - 0.081312 * b;
  }
  jpeg_plane(p, h, w, luma, quality);
  if (c == 3) {
    jpeg_half_plane(cb, h, w, quality);
    jpeg_half_plane(cr, h, w, quality);
  }
  for (int i = 0; i < n; i++) {
    const double y = p[i] + 128;
    x[i * c] = to_byte(c == 1 ? y : y + 1.402 * cr[i]);
    if (c == 1) continue;
    x[i * c + 1] = to_byte(y - 0.344136 * cb[i] - 0.714136 * cr[i]);
    x[i * c + 2] = to_byte(y + 1.772 * cb[i]);
  }
  mem_free(p);
}

/* -- blur, noise, exposure -- */

enum { REACH = 12 };

/* Along lines (step c) or columns (step w * c): `lines` of n values each, `line` apart, of c channels. */
static void blur_axis(const double g[REACH + 1], const double *x, double *out, int n, int step, int lines,
                      int line, int c) {
  for (int l = 0; l < lines * c; l++)
    for (int i = 0; i < n; i++) {
      const int at = l / c * line + l % c;
      double sum = 0;
      for (int k = -REACH; k <= REACH; k++) {
        const double weight = g[k < 0 ? -k : k];
        if (weight > 0) sum += weight * x[at + within(i + k, n) * step];
      }
      out[at + i * step] = sum;
    }
}

static void blur(double deviation, uint8_t *x, int h, int w, int c) {
  const int n = h * w * c;
  double g[REACH + 1], sum = 0, *a = mem_array((size_t)(2 * n), sizeof *a), *b = a + n;
  for (int k = 0; k <= REACH; k++) {
    g[k] = k <= ceil(4 * deviation) ? exp(-k * k / (2 * deviation * deviation)) : 0;
    sum += k ? 2 * g[k] : g[k];
  }
  for (int k = 0; k <= REACH; k++) g[k] /= sum;
  for (int i = 0; i < n; i++) a[i] = x[i];
  blur_axis(g, a, b, w, c, h, w * c, c);
  blur_axis(g, b, a, h, w * c, w, c, c);
  for (int i = 0; i < n; i++) x[i] = to_byte(a[i]);
  mem_free(a);
}

static void noise(double deviation, uint64_t seed, uint32_t i, uint8_t *x, int n) {
  Rng r;
  rng_seed(&r, seed, i);
  for (int k = 0; k < n; k++) x[k] = to_byte(x[k] + 255 * deviation * (double)rng_normal(&r));
}

static void expose(double stops, uint8_t *x, int n) {
  const double gain = exp2(stops);
  for (int k = 0; k < n; k++) x[k] = to_byte(x[k] * gain);
}

/* -- images and splits -- */

void corrupt_image(CorruptKind kind, double amount, uint64_t seed, uint32_t i, uint8_t *x, int h, int w,
                   int c) {
  ASSERT(c == 1 || c == 3);
  switch (kind) {
  case CORRUPT_JPEG: jpeg(amount, x, h, w, c); break;
  case CORRUPT_BLUR: blur(amount, x, h, w, c); break;
  case CORRUPT_NOISE: noise(amount, seed, i, x, h * w * c); break;
  case CORRUPT_EXPOSURE: expose(amount, x, h * w * c); break;
  case CORRUPT_KINDS: break;
  }
}

bool corrupt_split(const Split *s, CorruptKind kind, int severity, uint64_t seed, Split *out, Diag *d) {
  const Shape *item = &s->item;
  const int c = item->rank == 3 ? (int)item->d[2] : 1;
  FAIL_IF(s->dtype != DT_U8 || item->rank < 2 || item->rank > 3 || (c != 1 && c != 3), d, NULL,
          "images of bytes with 1 or 3 channels can be corrupted; these are no such");
  const int h = (int)item->d[0], w = (int)item->d[1];
  const size_t bytes = (size_t)h * (size_t)w * (size_t)c;
  uint8_t *x = mem_array(s->n, bytes);
  memcpy(x, s->x, s->n * bytes);
  for (uint32_t i = 0; i < s->n; i++)
    corrupt_image(kind, corrupt_amount(kind, severity), seed, i, x + i * bytes, h, w, c);
  *out = *s;
  out->xb = blob_adopt(x, s->n * bytes);
  out->x = blob_data(out->xb);
  out->yb = blob_ref(s->yb);
  return true;
}
