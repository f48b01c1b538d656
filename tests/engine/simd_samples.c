/* Random shapes and values from one small generator, so that this file needs nothing but the kernels and runs on any
 * machine; compiled with -DSIMD_PROGRAM it is a program that prints the hashes of NEON's kernels.
 */
#include "tests/engine/simd_samples.h"

#include <math.h>
#include <string.h>

enum { FLOATS = 120000 };

typedef struct Sample {
  uint32_t state;
  uint64_t hash;
  float x[FLOATS], w[FLOATS], y[FLOATS];
} Sample;

static uint32_t draw(Sample *s, uint32_t n) {
  s->state ^= s->state << 13;
  s->state ^= s->state >> 17;
  s->state ^= s->state << 5;
  return s->state % n;
}

static int64_t between(Sample *s, uint32_t lo, uint32_t hi) { return lo + draw(s, hi - lo + 1); }

/* FNV-1a. */
static void take(Sample *s, const float *v, int64_t n) {
  unsigned char b[sizeof *v];
  for (int64_t i = 0; i < n; i++) {
    memcpy(b, v + i, sizeof b);
    for (size_t j = 0; j < sizeof b; j++) s->hash = (s->hash ^ b[j]) * UINT64_C(0x100000001b3);
  }
}

static void sample_conv(const EngineKernels *k, Sample *s, bool depthwise) {
  ConvShape q = {.dh = 1};
  q.c = between(s, 1, 20);
  q.o = between(s, 1, 40);
  q.oh = between(s, 1, 7);
  int64_t kw = between(s, 1, 4), lo = draw(s, 2);
  q.kh = between(s, 1, 4), q.ow = between(s, 1, 9);
  if (depthwise) q.kh = kw = 3, q.c = q.o = 8 * between(s, 1, 3);
  q.sh = between(s, 1, 2), q.sw = between(s, 1, 2);
  q.run = kw * q.c;
  q.wp = (q.ow - 1) * q.sw + kw;
  int64_t pixels = q.oh * q.ow, sums = conv_blocks(q.o) * q.kh * q.run * CONV_COLS;
  const float *bias = draw(s, 2) ? s->w + FLOATS / 2 : NULL;
  (depthwise ? k->depthwise : k->conv)(&q, s->x, s->w, bias, lo ? 0 : -INFINITY, lo ? 6 : INFINITY,
                                       draw(s, 2), s->y);
  take(s, s->y, pixels * q.o);
  if (depthwise)
    k->depthwise_weights(&q, s->x, s->w, s->y);
  else
    k->conv_weights(&q, s->x, s->w, s->y);
  take(s, s->y, depthwise ? q.kh * q.run : sums);
}

static void sample_winograd(const EngineKernels *k, Sample *s) {
  WinogradShape q = {0};
  q.h = between(s, 4, 10), q.w = between(s, 4, 10), q.c = 16 * between(s, 1, 2);
  q.top = between(s, 0, 2), q.left = between(s, 0, 2);
  q.th = (q.h + 3) / 4, q.tw = (q.w + 3) / 4;
  int64_t n = q.th * q.tw, plane = n * q.c + 16, image = q.h * q.w * q.c;
  k->winograd_input(&q, s->x, 0, n, plane, s->y);
  take(s, s->y, 36 * plane);
  k->winograd_gradient(&q, s->x, 0, n, plane, s->w);
  take(s, s->w, 36 * plane);
  k->winograd_output(&q, s->y, 0, n, plane, s->x, 0, 6, true, s->x + image);
  take(s, s->x, 2 * image);
  k->winograd_weights(s->x, CONV_COLS, draw(s, 2), CONV_COLS, s->w);
  k->winograd_weights_back(s->y, plane, draw(s, 2), CONV_COLS, s->w + 36 * CONV_COLS);
  take(s, s->w, 45 * CONV_COLS);
}

static void sample_loops(const EngineKernels *k, Sample *s) {
  int64_t n = between(s, 1, 40), c = between(s, 1, 70);
  const float *a = s->w, *b = a + c, *mean = b + c, *p = mean + c, *q = p + c, *dy = q + c;
  k->column_sums(s->x, n, c, s->y);
  k->column_squares(s->x, mean, n, c, s->y + c);
  k->affine_sums(dy, s->x, a, b, mean, 0, INFINITY, n, c, s->y + 2 * c, s->y + 3 * c);
  take(s, s->y, 4 * c);
  k->affine(s->x, a, b, 0, 6, n, c, s->y);
  k->affine_back(dy, s->x, a, b, p, q, 0, 6, n, c, true, s->y);
  k->add(s->y, dy, -1, 1, n * c, s->y + n * c);
  k->mask(s->y, dy, 0, 6, n * c, false, s->y + 2 * n * c);
  take(s, s->y, 3 * n * c);
}

uint64_t simd_sample(const EngineKernels *k, int n) {
  static Sample s; /* too large for a stack */
  s.state = 2463534242u + 7919u * (uint32_t)n;
  s.hash = UINT64_C(0xcbf29ce484222325);
  float *all[] = {s.x, s.w, s.y};
  for (int i = 0; i < 3; i++)
    for (int64_t j = 0; j < FLOATS; j++) all[i][j] = (float)draw(&s, 2001) / 700 - 1.4f;
  if (n % 4 == 0) sample_conv(k, &s, false);
  if (n % 4 == 1) sample_conv(k, &s, true);
  if (n % 4 == 2) sample_winograd(k, &s);
  if (n % 4 == 3) sample_loops(k, &s);
  return s.hash;
}

#ifdef SIMD_PROGRAM

#include <stdio.h>

int main(void) {
  const EngineKernels *k = engine_kernels_neon();
  for (int i = 0; k && i < SIMD_SAMPLES; i++) printf("%016llx\n", (unsigned long long)simd_sample(k, i));
  return k ? 0 : 1;
}

#endif
