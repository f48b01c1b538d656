/* Examples as real-valued inputs: normalisation and augmentation.
 *
 * Augmentation of an image: random mirror image, then a window of the image's size at a random place of the image
 * padded by `crop` pixels on every side (stored value 0, as if black pixels had been there before normalisation, or
 * the image mirrored at its edge).
 * What is drawn depends on (seed, stream, index) alone, so that any order and any thread gives the same pixels.
 */
#include "ir/base/rng.h"
#include "runtime/data/dataset.h"

#include <string.h>

/* Factors of each channel, the channel count of the item long; pointers into nz or the constants. */
typedef struct Affine {
  const float *scale, *offset;
  int64_t c;
  int64_t step; /* 1: one pair per channel, 0: one pair for all */
} Affine;

static Affine affine_of(const Split *s, const Normalize *nz) {
  static const float one = 1, zero = 0;
  int64_t c = s->item.d[s->item.rank - 1];
  if (!nz || nz->n == 0) return (Affine){&one, &zero, c, 0};
  return (Affine){nz->scale, nz->offset, c, nz->n > 1};
}

/* n pixels of c channels, in order. */
#define CONVERT(name, type)                                                        \
  static void name(const Affine *f, const type *src, int64_t n, float *out) {      \
    if (!f->step) {                                                                \
      float a = f->scale[0], b = f->offset[0];                                     \
      for (int64_t i = 0; i < n * f->c; i++) out[i] = (float)src[i] * a + b;       \
      return;                                                                      \
    }                                                                              \
    for (int64_t i = 0; i < n; i++)                                                \
      for (int64_t k = 0; k < f->c; k++)                                           \
        out[i * f->c + k] = (float)src[i * f->c + k] * f->scale[k] + f->offset[k]; \
  }
CONVERT(convert_u8, uint8_t)
CONVERT(convert_i8, int8_t)
CONVERT(convert_f32, float)
#undef CONVERT

static void convert(const Split *s, const Affine *f, int64_t first, int64_t n, float *out) {
  switch (s->dtype) {
  case DT_U8: convert_u8(f, (const uint8_t *)s->x + first * f->c, n, out); return;
  case DT_I8: convert_i8(f, (const int8_t *)s->x + first * f->c, n, out); return;
  default: convert_f32(f, (const float *)s->x + first * f->c, n, out); return;
  }
}

static void fill_padding(const Affine *f, int64_t n, float *out) {
  for (int64_t i = 0; i < n; i++)
    for (int64_t k = 0; k < f->c; k++) out[i * f->c + k] = f->offset[k * f->step];
}

static void mirror_row(float *row, int64_t w, int64_t c) {
  for (int64_t x = 0; x < w / 2; x++)
    for (int64_t k = 0; k < c; k++) {
      float t = row[x * c + k];
      row[x * c + k] = row[(w - 1 - x) * c + k];
      row[(w - 1 - x) * c + k] = t;
    }
}

/* Index k of n places continued by mirroring, the edge once (numpy's "reflect"). */
static int64_t reflected(int64_t k, int64_t n) {
  if (n == 1) return 0;
  int64_t m = k % (2 * n - 2);
  if (m < 0) m += 2 * n - 2;
  return m < n ? m : 2 * n - 2 - m;
}

static void reflected_row(const Split *s, const Affine *f, int64_t base, int64_t sy, int64_t dx, bool flip,
                          float *row) {
  int64_t h = s->item.d[0], w = s->item.d[1], at = base + reflected(sy, h) * w;
  int64_t x0 = dx < 0 ? -dx : 0, x1 = dx > 0 ? w - dx : w;
  if (x1 > x0) convert(s, f, at + x0 + dx, x1 - x0, row + x0 * f->c);
  for (int64_t x = 0; x < w; x++)
    if (x < x0 || x >= x1) convert(s, f, at + reflected(x + dx, w), 1, row + x * f->c);
  if (flip) mirror_row(row, w, f->c);
}

/* One row of the window: source row sy (maybe outside), columns shifted by dx, then mirrored. */
static void window_row(const Split *s, const Affine *f, int64_t base, int64_t sy, int64_t dx, bool flip,
                       float *row) {
  int64_t h = s->item.d[0], w = s->item.d[1];
  int64_t x0 = dx < 0 ? -dx : 0, x1 = dx > 0 ? w - dx : w; /* columns of the window inside the image */
  if (sy < 0 || sy >= h || x0 >= x1) {
    fill_padding(f, w, row);
    return;
  }
  fill_padding(f, x0, row);
  convert(s, f, base + sy * w + x0 + dx, x1 - x0, row + x0 * f->c);
  fill_padding(f, w - x1, row + x1 * f->c);
  if (flip) mirror_row(row, w, f->c);
}

static void window_item(const Split *s, const Affine *f, const Augment *aug, uint32_t i, float *out) {
  Rng r;
  rng_seed(&r, aug->seed, augment_stream(aug, i) * UINT64_C(0x9E3779B97F4A7C15) + i);
  bool flip = aug->flip && rng_below(&r, 2);
  uint32_t span = aug->crop > 0 ? 2 * (uint32_t)aug->crop + 1 : 1;
  int64_t dy = (int64_t)rng_below(&r, span) - (span / 2), dx = (int64_t)rng_below(&r, span) - (span / 2);
  int64_t h = s->item.d[0], w = s->item.d[1], base = h * w * i;
  for (int64_t y = 0; y < h; y++)
    (aug->reflect ? reflected_row : window_row)(s, f, base, y + dy, dx, flip, out + y * w * f->c);
}

void split_item(const Split *s, const Normalize *nz, const Augment *aug, uint32_t i, float *out) {
  Affine f = affine_of(s, nz);
  int64_t count = shape_count(&s->item), pixels = count / f.c;
  bool image = s->item.rank == 3;
  if (aug && image && (aug->flip || aug->crop > 0))
    window_item(s, &f, aug, i, out);
  else
    convert(s, &f, pixels * i, pixels, out);
  if (!aug) return;
  if (image)
    augment_spoil(aug, i, out, s->item.d[0], s->item.d[1], f.c);
  else
    augment_spoil(aug, i, out, 1, 1, count);
}
