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
