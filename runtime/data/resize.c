/* Resizing of images, separable: first columns, then rows.
 *
 * Along an axis that shrinks, an output pixel is the mean of the source interval it covers (area average, the
 * fractions of the two border pixels included); along one that grows, it is interpolated linearly between
 * pixel centres (half-pixel rule, borders repeated). Both are a short run of taps with weights summing to 1.
 */
#include "ir/base/mem.h"
#include "runtime/data/source.h"

#include <math.h>

/* Output pixel i of an axis: sum over k of weight[k] * source[first + k]. */
typedef struct Taps {
  int *first, *count;
  float *weight; /* [n][width] */
  int width;
} Taps;

static void taps_shrink(Taps *t, int i, double ratio, int src) {
  double lo = i * ratio, hi = lo + ratio;
  int first = (int)lo, last = (int)ceil(hi) - 1;
  if (last >= src) last = src - 1;
  t->first[i] = first;
  t->count[i] = last - first + 1;
  double sum = 0;
  for (int k = first; k <= last; k++) sum += fmin(hi, k + 1) - fmax(lo, k);
  for (int k = first; k <= last; k++)
    t->weight[(size_t)i * (size_t)t->width + (size_t)(k - first)] =
        (float)((fmin(hi, k + 1) - fmax(lo, k)) / sum);
}

static void taps_grow(Taps *t, int i, double ratio, int src) {
  double at = fmax(0, (i + 0.5) * ratio - 0.5);
  int first = (int)at;
  if (first > src - 1) first = src - 1;
  float *w = t->weight + (size_t)i * (size_t)t->width;
  t->first[i] = first;
  t->count[i] = first + 1 < src ? 2 : 1;
  float f = t->count[i] == 2 ? (float)(at - first) : 0;
  w[0] = 1 - f;
  if (t->count[i] == 2) w[1] = f;
}

static Taps taps_new(int src, int dst) {
  double ratio = (double)src / dst;
  Taps t = {.width = src > dst ? (int)ceil(ratio) + 1 : 2};
  t.first = mem_array((size_t)dst, sizeof(int));
  t.count = mem_array((size_t)dst, sizeof(int));
  t.weight = mem_array((size_t)dst * (size_t)t.width, sizeof(float));
  for (int i = 0; i < dst; i++) {
    if (src > dst)
      taps_shrink(&t, i, ratio, src);
    else
      taps_grow(&t, i, ratio, src);
  }
  return t;
}

static void taps_free(Taps *t) {
  mem_free(t->first);
  mem_free(t->count);
  mem_free(t->weight);
}

struct Resizer {
  Taps cols, rows;
  int sh, sw, dh, dw;
};

Resizer *resizer_new(int sh, int sw, int dh, int dw) {
  Resizer *r = mem_zalloc(sizeof *r);
  *r = (Resizer){taps_new(sw, dw), taps_new(sh, dh), sh, sw, dh, dw};
  return r;
}

void resizer_free(Resizer *r) {
  if (!r) return;
  taps_free(&r->cols);
  taps_free(&r->rows);
  mem_free(r);
}

size_t resizer_scratch(const Resizer *r, int c) { return (size_t)r->sh * (size_t)r->dw * (size_t)c; }

/* One row [sw][c] to [dw][c]. */
static void resize_row(const float *src, float *dst, const Taps *t, int dw, int c) {
  for (int x = 0; x < dw; x++) {
    const float *w = t->weight + (size_t)x * (size_t)t->width;
    for (int ch = 0; ch < c; ch++) {
      float sum = 0;
      for (int k = 0; k < t->count[x]; k++) sum += w[k] * src[(t->first[x] + k) * c + ch];
      dst[x * c + ch] = sum;
    }
  }
}

void resizer_run(const Resizer *r, const float *src, float *dst, int c, float *scratch) {
  size_t line = (size_t)r->dw * (size_t)c;
  for (int y = 0; y < r->sh; y++)
    resize_row(src + (size_t)y * (size_t)r->sw * (size_t)c, scratch + (size_t)y * line, &r->cols, r->dw, c);
  for (int y = 0; y < r->dh; y++) {
    const float *w = r->rows.weight + (size_t)y * (size_t)r->rows.width;
    for (size_t i = 0; i < line; i++) {
      float sum = 0;
      for (int k = 0; k < r->rows.count[y]; k++)
        sum += w[k] * scratch[(size_t)(r->rows.first[y] + k) * line + i];
      dst[(size_t)y * line + i] = sum;
    }
  }
}

static uint8_t to_byte(float v) {
  float r = floorf(v + 0.5f);
  return (uint8_t)(r < 0 ? 0 : r > 255 ? 255 : r);
}

void image_resize(const uint8_t *src, int sh, int sw, uint8_t *dst, int dh, int dw, int c) {
  Resizer *r = resizer_new(sh, sw, dh, dw);
  size_t n = (size_t)sh * (size_t)sw * (size_t)c, m = (size_t)dh * (size_t)dw * (size_t)c;
  float *x = mem_array(n, sizeof *x), *y = mem_array(m, sizeof *y),
        *scratch = mem_array(resizer_scratch(r, c), sizeof *scratch);
  for (size_t i = 0; i < n; i++) x[i] = src[i];
  resizer_run(r, x, y, c, scratch);
  for (size_t i = 0; i < m; i++) dst[i] = to_byte(y[i]);
  mem_free(x);
  mem_free(y);
  mem_free(scratch);
  resizer_free(r);
}
