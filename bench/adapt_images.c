/* See adapt_images.h. */
#include "bench/adapt_images.h"

#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/base/rng.h"

enum { SIDE = 32, PIXELS = SIDE * SIDE, BYTES = 3 * PIXELS };

static Split split_of(uint32_t n, uint8_t *x) {
  Split s = {.n = n, .dtype = DT_U8, .item = shape_of(3, (int64_t)SIDE, (int64_t)SIDE, (int64_t)3)};
  s.xb = blob_adopt(x, (size_t)n * BYTES);
  s.x = blob_data(s.xb);
  return s;
}

void split_free(Split *s) {
  blob_unref(s->xb);
  if (s->yb) blob_unref(s->yb);
  *s = (Split){0};
}

static uint8_t byte_of(double v) { return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v + 0.5); }

/* -- dead leaves -- */

static void leaf(Rng *r, double *rgb) {
  const double u = (double)rng_uniform(r),
               radius = 2 / sqrt(1 - u * (1 - 1.0 / 100)); /* 2 .. 20, density r^-3 */
  const double cx = SIDE * (double)rng_uniform(r), cy = SIDE * (double)rng_uniform(r);
  const double grey = 255 * (double)rng_uniform(r), slope = 6 * (double)rng_normal(r),
               turn = 6.28 * (double)rng_uniform(r);
  double colour[3];
  for (int c = 0; c < 3; c++) colour[c] = grey + 28 * (double)rng_normal(r);
  for (int y = 0; y < SIDE; y++)
    for (int x = 0; x < SIDE; x++) {
      const double dx = x - cx, dy = y - cy;
      if (dx * dx + dy * dy > radius * radius) continue;
      const double shade = slope * (dx * cos(turn) + dy * sin(turn));
      for (int c = 0; c < 3; c++) rgb[3 * (y * SIDE + x) + c] = colour[c] + shade;
    }
}

Split leaves_new(uint32_t n, uint64_t seed) {
  enum { LEAVES = 120 };
  uint8_t *x = mem_alloc((size_t)n * BYTES);
  double *rgb = mem_array(BYTES, sizeof *rgb);
  Rng r;
  rng_seed(&r, seed, 31);
  for (uint32_t i = 0; i < n; i++) {
    for (int k = 0; k < LEAVES; k++) leaf(&r, rgb);
    for (int k = 0; k < BYTES; k++)
      x[(size_t)i * BYTES + (size_t)k] = byte_of(rgb[k] + 2 * (double)rng_normal(&r));
  }
  mem_free(rgb);
  return split_of(n, x);
}

/* -- compression -- */

static const uint8_t luma[64] = {16, 11, 10, 16, 24,  40,  51,  61,  12, 12, 14, 19, 26,  58,  60,  55,
                                 14, 13, 16, 24, 40,  57,  69,  56,  14, 17, 22, 29, 51,  87,  80,  62,
                                 18, 22, 37, 56, 68,  109, 103, 77,  24, 35, 55, 64, 81,  104, 113, 92,
                                 49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99};
static const uint8_t chroma[64] = {17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99,
                                   24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99,
                                   99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
                                   99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99};

/* y = C x of the rows of an 8 x 8 block, or its inverse, then transposed. */
static void dct_rows(const double *x, double *y, bool inverse) {
  for (int r = 0; r < 8; r++)
    for (int k = 0; k < 8; k++) {
      double sum = 0;
      for (int i = 0; i < 8; i++) {
        const int u = inverse ? i : k, at = inverse ? k : i;
        sum += x[8 * r + i] * cos((2 * at + 1) * u * 3.14159265358979323846 / 16) *
               (u ? 0.5 : 0.35355339059327376);
      }
      y[8 * k + r] = sum;
    }
}

static void block(double *plane, int side, int bx, int by, const uint8_t *table, int quality) {
  double a[64], b[64];
  const int scale = quality < 50 ? 5000 / quality : 200 - 2 * quality;
  for (int i = 0; i < 64; i++) a[i] = plane[(by + i / 8) * side + bx + i % 8] - 128;
  dct_rows(a, b, false);
  dct_rows(b, a, false);
  for (int i = 0; i < 64; i++) {
    int step = (table[i] * scale + 50) / 100;
    step = step < 1 ? 1 : step > 255 ? 255 : step;
    a[i] = step * round(a[i] / step);
  }
  dct_rows(a, b, true);
  dct_rows(b, a, true);
  for (int i = 0; i < 64; i++) plane[(by + i / 8) * side + bx + i % 8] = a[i] + 128;
}

static void blocks(double *plane, int side, const uint8_t *table, int quality) {
  for (int y = 0; y < side; y += 8)
    for (int x = 0; x < side; x += 8) block(plane, side, x, y, table, quality);
}

static void compress(const uint8_t *rgb, uint8_t *out, int quality) {
  enum { HALF = SIDE / 2 };
  double y[PIXELS], cb[HALF * HALF] = {0}, cr[HALF * HALF] = {0};
  for (int i = 0; i < PIXELS; i++) {
    const double r = rgb[3 * i], g = rgb[3 * i + 1], b = rgb[3 * i + 2];
    const int half = i / SIDE / 2 * HALF + i % SIDE / 2;
    y[i] = 0.299 * r + 0.587 * g + 0.114 * b;
    cb[half] += (128 - 0.168736 * r - 0.331264 * g + 0.5 * b) / 4;
    cr[half] += (128 + 0.5 * r - 0.418688 * g - 0.081312 * b) / 4;
  }
  blocks(y, SIDE, luma, quality);
  blocks(cb, HALF, chroma, quality);
  blocks(cr, HALF, chroma, quality);
  for (int i = 0; i < PIXELS; i++) {
    const int half = i / SIDE / 2 * HALF + i % SIDE / 2;
    const double u = cb[half] - 128, v = cr[half] - 128;
    out[3 * i] = byte_of(y[i] + 1.402 * v);
    out[3 * i + 1] = byte_of(y[i] - 0.344136 * u - 0.714136 * v);
    out[3 * i + 2] = byte_of(y[i] + 1.772 * u);
  }
}

Split split_compressed(const Split *s, int quality) {
  uint8_t *x = mem_alloc((size_t)s->n * BYTES);
  ASSERT(shape_count(&s->item) == BYTES && s->dtype == DT_U8);
  for (uint32_t i = 0; i < s->n; i++)
    compress((const uint8_t *)s->x + (size_t)i * BYTES, x + (size_t)i * BYTES, quality);
  Split out = split_of(s->n, x);
  out.y = s->y;
  return out;
}
