/* Augmentation beyond windows: views, pairs, noise, blanking; see augment.h. Each kind draws from a generator of its own,
 * so that switching one on leaves the others as they were.
 */
#include <math.h>
#include <stdio.h>

#include "ir/base/rng.h"
#include "runtime/data/augment.h"

static const uint64_t MIX = UINT64_C(0x6D69787570), NOISE = UINT64_C(0x6E6F697365),
                      BLANK = UINT64_C(0x626C616E6B), VIEW = UINT64_C(0x76696577);

void augment_print(const Augment *a, char *buf, size_t n) {
  snprintf(
      buf, n,
      "flip=%d,crop=%d,reflect=%d,cutout=%d,time_mask=%d,frequency_mask=%d,noise=%.9g,mixup=%.9g,cutmix=%.9g",
      a->flip, a->crop, a->reflect, a->cutout, a->time_mask, a->frequency_mask, (double)a->noise,
      (double)a->mixup, (double)a->cutmix);
}

void augment_hash(Hasher *h, const Augment *a) {
  char text[256];
  augment_print(a, text, sizeof text);
  hasher_str(h, text);
}

uint64_t augment_stream(const Augment *a, uint32_t i) {
  if (a->views <= 0) return a->stream;
  Rng r;
  rng_seed(&r, VIEW, i);
  uint32_t views = (uint32_t)a->views;
  return (rng_below(&r, views) + a->stream % views) % views;
}

static void seed_kind(Rng *r, const Augment *a, uint64_t kind, uint32_t i) {
  rng_seed(r, a->seed ^ kind, augment_stream(a, i) * UINT64_C(0x9E3779B97F4A7C15) + i);
}

/* -- pairs -- */

/* Gamma(k, 1) by Marsaglia and Tsang (2000); k < 1 by Gamma(k + 1) u^(1/k). */
static double gamma_draw(Rng *r, double k) {
  double boost = k < 1 ? pow(1 - (double)rng_uniform(r), 1 / k) : 1;
  double d = (k < 1 ? k + 1 : k) - 1.0 / 3, c = 1 / sqrt(9 * d);
  for (;;) {
    double x = (double)rng_normal(r), v = pow(1 + c * x, 3), u = 1 - (double)rng_uniform(r);
    if (v > 0 && log(u) < 0.5 * x * x + d - d * v + d * log(v)) return d * v * boost;
  }
}

static double beta_draw(Rng *r, double k) {
  double x = gamma_draw(r, k), y = gamma_draw(r, k);
  return x + y > 0 ? x / (x + y) : 1;
}

static int64_t clamp(int64_t v, int64_t hi) { return v < 0 ? 0 : v > hi ? hi : v; }

/* A box of the image's proportions, 1 - share of its area, centred anywhere and cut off at the edges. */
static void draw_box(Rng *r, double share, int64_t h, int64_t w, Mixing *m) {
  double side = sqrt(1 - share);
  int64_t bh = (int64_t)((double)h * side), bw = (int64_t)((double)w * side);
  int64_t y = (int64_t)rng_below(r, (uint32_t)h) - bh / 2, x = (int64_t)rng_below(r, (uint32_t)w) - bw / 2;
  m->y0 = clamp(y, h), m->y1 = clamp(y + bh, h), m->x0 = clamp(x, w), m->x1 = clamp(x + bw, w);
  m->share = 1 - (float)((m->y1 - m->y0) * (m->x1 - m->x0)) / (float)(h * w);
}

Mixing augment_mix(const Augment *a, uint32_t n, uint32_t i, int64_t h, int64_t w) {
  Mixing m = {.partner = i, .share = 1};
  if (a->mixup <= 0 && a->cutmix <= 0) return m;
  Rng r;
  seed_kind(&r, a, MIX, i);
  m.partner = rng_below(&r, n);
  m.cut = a->cutmix > 0 && (a->mixup <= 0 || rng_below(&r, 2));
  double share = beta_draw(&r, (double)(m.cut ? a->cutmix : a->mixup));
  m.share = (float)share;
  if (m.cut) draw_box(&r, share, h, w, &m);
  return m;
}

Augment augment_partner(const Augment *a, uint32_t i) {
  Augment p = *a;
  p.stream = augment_stream(a, i);
  p.views = 0;
  return p;
}

/* -- in place -- */

static void add_noise(const Augment *a, uint32_t i, float *x, int64_t n) {
  Rng r;
  seed_kind(&r, a, NOISE, i);
  for (int64_t k = 0; k < n; k++) x[k] += a->noise * rng_normal(&r);
}

/* A run of up to `most` of n places: its beginning and end. */
static void draw_run(Rng *r, int most, int64_t n, int64_t *lo, int64_t *hi) {
  int64_t len = rng_below(r, (uint32_t)(most < n ? most : n) + 1);
  *lo = rng_below(r, (uint32_t)(n - len) + 1);
  *hi = *lo + len;
}

typedef struct Box {
  int64_t y0, y1, x0, x1;
} Box;

static void blank(float *x, int64_t h, int64_t w, int64_t c, const Box *b, int n_boxes) {
  for (int64_t k = 0; k < c; k++) {
    double sum = 0;
    for (int64_t p = 0; p < h * w; p++) sum += (double)x[p * c + k];
    float mean = (float)(sum / (double)(h * w));
    for (int j = 0; j < n_boxes; j++)
      for (int64_t y = b[j].y0; y < b[j].y1; y++)
        for (int64_t col = b[j].x0; col < b[j].x1; col++) x[(y * w + col) * c + k] = mean;
  }
}

static void blank_all(const Augment *a, uint32_t i, float *x, int64_t h, int64_t w, int64_t c) {
  Rng r;
  Box boxes[3];
  int n = 0;
  seed_kind(&r, a, BLANK, i);
  if (a->cutout > 0) {
    int64_t y = (int64_t)rng_below(&r, (uint32_t)h) - a->cutout / 2,
            col = (int64_t)rng_below(&r, (uint32_t)w) - a->cutout / 2;
    boxes[n++] = (Box){clamp(y, h), clamp(y + a->cutout, h), clamp(col, w), clamp(col + a->cutout, w)};
  }
  if (a->time_mask > 0) {
    Box b = {.x1 = w};
    draw_run(&r, a->time_mask, h, &b.y0, &b.y1);
    boxes[n++] = b;
  }
  if (a->frequency_mask > 0) {
    Box b = {.y1 = h};
    draw_run(&r, a->frequency_mask, w, &b.x0, &b.x1);
    boxes[n++] = b;
  }
  if (n) blank(x, h, w, c, boxes, n);
}

void augment_spoil(const Augment *a, uint32_t i, float *x, int64_t h, int64_t w, int64_t c) {
  if (a->noise > 0) add_noise(a, i, x, h * w * c);
  if (h * w > 1) blank_all(a, i, x, h, w, c);
}
