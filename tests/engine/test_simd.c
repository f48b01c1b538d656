/* The engine's kernels for x86-64-v4 and AArch64 give the bytes of those for x86-64-v3, over random shapes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "runtime/engine/simd/kernels.h"
#include "tests/engine/simd_samples.h"
#include "tests/support.h"

enum { SHAPES = 200 };

/* Both versions, where this processor runs them. */
static bool versions(const EngineKernels *k[2]) {
  k[0] = engine_kernels_v3();
  k[1] = engine_kernels(false);
  if (k[0] && k[1] == engine_kernels_v4()) return true;
  test_skip("the engine's kernels for x86-64-v4: this processor has no AVX-512");
  return false;
}

static int64_t between(Rng *r, int lo, int hi) { return lo + (int64_t)rng_below(r, (uint32_t)(hi - lo + 1)); }

static float *random_floats(Rng *r, int64_t n) {
  float *x = mem_array((size_t)n, sizeof *x);
  for (int64_t i = 0; i < n; i++) x[i] = rng_normal(r);
  return x;
}

static void same_bytes(const float *a, const float *b, int64_t n, const ConvShape *q, const char *what) {
  for (int64_t i = 0; i < n; i++)
    ck_assert_msg(memcmp(a + i, b + i, sizeof *a) == 0,
                  "%s: c %lld o %lld, %lldx%lld outputs, %lldx%lld taps, strides %lld %lld: element %lld: "
                  "%.9g by v3, %.9g by v4",
                  what, (long long)q->c, (long long)q->o, (long long)q->oh, (long long)q->ow,
                  (long long)q->kh, (long long)(q->run / q->c), (long long)q->sh, (long long)q->sw,
                  (long long)i, (double)a[i], (double)b[i]);
}

typedef struct Sample {
  ConvShape q;
  int64_t blocks, pixels;
  float *x, *w, *bias, *dy, *y[2], *acc[2];
} Sample;

static void sample_new(Sample *s, Rng *r, bool depthwise) {
  ConvShape *q = &s->q;
  *q = (ConvShape){.c = between(r, 1, 40), .o = between(r, 1, 70), .oh = between(r, 1, 9)};
  int64_t kw = between(r, 1, 4);
  q->kh = between(r, 1, 4), q->ow = between(r, 1, 12);
  if (rng_below(r, 2)) q->kh = kw = 3;
  if (depthwise && rng_below(r, 2)) q->c = 16 * between(r, 1, 3);
  if (depthwise) q->o = q->c;
  q->sh = between(r, 1, 2), q->sw = between(r, 1, 2), q->dh = 1;
  q->run = kw * q->c;
  q->wp = (q->ow - 1) * q->sw + kw;
  s->blocks = conv_blocks(q->o);
  s->pixels = q->oh * q->ow;
  s->x = random_floats(r, ((q->oh - 1) * q->sh + q->kh) * q->wp * q->c);
  s->w = random_floats(r, s->blocks * q->kh * q->run * CONV_COLS);
  s->bias = random_floats(r, s->blocks * CONV_COLS);
  s->dy = random_floats(r, s->pixels * s->blocks * CONV_COLS);
  float *y = random_floats(r, s->pixels * q->o),
        *acc = random_floats(r, s->blocks * q->kh * q->run * CONV_COLS);
  for (int k = 0; k < 2; k++) {
    s->y[k] = mem_array((size_t)(s->pixels * q->o), sizeof *y);
    s->acc[k] = mem_array((size_t)(s->blocks * q->kh * q->run * CONV_COLS), sizeof *acc);
    memcpy(s->y[k], y, (size_t)(s->pixels * q->o) * sizeof *y);
    memcpy(s->acc[k], acc, (size_t)(s->blocks * q->kh * q->run * CONV_COLS) * sizeof *acc);
  }
  mem_free(y);
  mem_free(acc);
}

static void sample_free(Sample *s) {
  float *owned[] = {s->x, s->w, s->bias, s->dy, s->y[0], s->y[1], s->acc[0], s->acc[1]};
  for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) mem_free(owned[i]);
}

START_TEST(convolutions)
{
  const EngineKernels *k[2];
  if (!versions(k)) return;
  Rng r;
  rng_seed(&r, 11, 1);
  for (int i = 0; i < SHAPES; i++) {
    Sample s;
    sample_new(&s, &r, false);
    bool add = i % 3 == 0;
    float lo = i % 2 ? 0 : -INFINITY, hi = i % 4 == 1 ? 6 : INFINITY;
    for (int v = 0; v < 2; v++) {
      k[v]->conv(&s.q, s.x, s.w, i % 5 ? s.bias : NULL, lo, hi, add, s.y[v]);
      k[v]->conv_weights(&s.q, s.x, s.dy, s.acc[v]);
    }
    same_bytes(s.y[0], s.y[1], s.pixels * s.q.o, &s.q, "conv");
    same_bytes(s.acc[0], s.acc[1], s.blocks * s.q.kh * s.q.run * CONV_COLS, &s.q, "conv_weights");
    sample_free(&s);
  }
}
END_TEST

START_TEST(depthwise)
{
  const EngineKernels *k[2];
  if (!versions(k)) return;
  Rng r;
  rng_seed(&r, 12, 1);
  for (int i = 0; i < SHAPES; i++) {
    Sample s;
    sample_new(&s, &r, true);
    for (int v = 0; v < 2; v++) {
      k[v]->depthwise(&s.q, s.x, s.w, i % 5 ? s.bias : NULL, i % 2 ? 0 : -INFINITY, INFINITY, i % 3 == 0,
                      s.y[v]);
      k[v]->depthwise_weights(&s.q, s.x, s.dy, s.acc[v]);
    }
    same_bytes(s.y[0], s.y[1], s.pixels * s.q.c, &s.q, "depthwise");
    same_bytes(s.acc[0], s.acc[1], s.q.kh * s.q.run, &s.q, "depthwise_weights");
    sample_free(&s);
  }
}
END_TEST

/* Winograd's transforms, of images whose edges cut tiles, too. */
static void transforms(const EngineKernels *k, const WinogradShape *q, const float *x, int64_t n,
                       float *out) {
  int64_t plane = n * q->c + 16;
  k->winograd_input(q, x, 0, n, plane, out);
  k->winograd_gradient(q, x, 0, n, plane, out + 36 * plane);
  k->winograd_output(q, out, 0, n, plane, x, 0, 6, false, out + 72 * plane);
  k->winograd_output(q, out, 0, n, plane, NULL, -INFINITY, INFINITY, true, out + 72 * plane);
  float *rest = out + 72 * plane + 2 * q->h * q->w * q->c;
  k->winograd_weights(x, CONV_COLS, q->h % 2, CONV_COLS, rest);
  k->winograd_weights_back(out, plane, q->w % 2, CONV_COLS, rest + 36 * CONV_COLS);
}

START_TEST(winograd)
{
  const EngineKernels *k[2];
  if (!versions(k)) return;
  Rng r;
  rng_seed(&r, 14, 1);
  for (int i = 0; i < SHAPES; i++) {
    WinogradShape q = {.h = between(&r, 4, 13), .w = between(&r, 4, 13), .c = 16 * between(&r, 1, 3)};
    q.top = between(&r, 0, 2), q.left = between(&r, 0, 2);
    q.th = (q.h + 3) / 4, q.tw = (q.w + 3) / 4;
    int64_t n = 2 * q.th * q.tw, all = 72 * (n * q.c + 16) + 2 * q.h * q.w * q.c + 45 * CONV_COLS;
    float *x = random_floats(&r, 2 * q.h * q.w * q.c + 9 * CONV_COLS), *out[2];
    for (int v = 0; v < 2; v++) {
      out[v] = mem_array((size_t)all, sizeof(float));
      transforms(k[v], &q, x, n, out[v]);
    }
    ConvShape at = {.c = q.c, .oh = q.h, .ow = q.w};
    same_bytes(out[0], out[1], all, &at, "winograd");
    mem_free(x);
    mem_free(out[0]);
    mem_free(out[1]);
  }
}
END_TEST

/* The loops that both versions compile from one source: statistics and normalisation. */
START_TEST(loops)
{
  const EngineKernels *k[2];
  if (!versions(k)) return;
  Rng r;
  rng_seed(&r, 13, 1);
  for (int i = 0; i < SHAPES; i++) {
    int64_t n = between(&r, 1, 70), c = between(&r, 1, i % 10 ? 70 : 600);
    float *x = random_floats(&r, n * c), *dy = random_floats(&r, n * c), *a = random_floats(&r, 5 * c);
    float *y[2], sums[2][2][600];
    for (int v = 0; v < 2; v++) {
      y[v] = mem_array((size_t)(2 * n * c), sizeof(float));
      k[v]->column_sums(x, n, c, sums[v][0]);
      k[v]->column_squares(x, a, n, c, sums[v][1]);
      k[v]->affine(x, a, a + c, 0, 6, n, c, y[v]);
    }
    ConvShape q = {.c = c, .o = n};
    same_bytes(sums[0][0], sums[1][0], c, &q, "column_sums");
    same_bytes(sums[0][1], sums[1][1], c, &q, "column_squares");
    for (int v = 0; v < 2; v++) {
      k[v]->affine_sums(dy, x, a, a + c, a + 2 * c, 0, INFINITY, n, c, sums[v][0], sums[v][1]);
      k[v]->affine_back(dy, x, a, a + c, a + 3 * c, a + 4 * c, 0, INFINITY, n, c, false, y[v] + n * c);
    }
    same_bytes(sums[0][0], sums[1][0], c, &q, "affine_sums, g");
    same_bytes(sums[0][1], sums[1][1], c, &q, "affine_sums, g (x - mean)");
    same_bytes(y[0], y[1], 2 * n * c, &q, "affine, affine_back");
    float *owned[] = {x, dy, a, y[0], y[1]};
    for (size_t j = 0; j < sizeof owned / sizeof *owned; j++) mem_free(owned[j]);
  }
}
END_TEST

/* NEON's kernels, cross-compiled and emulated, give the bytes of those for x86-64-v3 too. */
START_TEST(neon)
{
  const EngineKernels *k = engine_kernels_v3();
  if (!k || !engine_kernels(false)->conv ||
      test_run_command("command -v aarch64-linux-gnu-gcc && command -v qemu-aarch64", NULL) != 0) {
    test_skip("the engine's kernels for AArch64: want x86-64-v3, aarch64-linux-gnu-gcc and qemu-aarch64");
    return;
  }
  const char *dir = test_tmp_dir();
  char cmd[600], line[64];
  snprintf(
      cmd, sizeof cmd,
      "aarch64-linux-gnu-gcc -std=c11 -O3 -ffp-contract=off -Wall -Wextra -Wpedantic -Wshadow -Wconversion "
      "-Werror -DSIMD_PROGRAM -I. -static -o '%s/neon' runtime/engine/simd/kernels_neon.c "
      "tests/engine/simd_samples.c -lm",
      dir);
  ck_assert_msg(test_run_command(cmd, NULL) == 0, "%s", cmd);
  snprintf(cmd, sizeof cmd, "qemu-aarch64 '%s/neon'", dir);
  FILE *p = popen(cmd, "r");
  ck_assert_ptr_nonnull(p);
  for (int i = 0; i < SIMD_SAMPLES; i++) {
    ck_assert_msg(fgets(line, sizeof line, p) != NULL, "the program ends at sample %d", i);
    ck_assert_msg(strtoull(line, NULL, 16) == simd_sample(k, i), "sample %d: other bytes than x86-64-v3's",
                  i);
  }
  ck_assert_int_eq(pclose(p), 0);
}
END_TEST

START_TEST(samples)
{
  const EngineKernels *k[2];
  if (!versions(k)) return;
  for (int i = 0; i < SIMD_SAMPLES; i++)
    ck_assert_msg(simd_sample(k[0], i) == simd_sample(k[1], i), "sample %d: other bytes than x86-64-v3's", i);
}
END_TEST

Suite *suite_simd(void) {
  Suite *s = suite_create("simd");
  TCase *t = tcase_create("versions");
  tcase_set_timeout(t, 60);
  tcase_add_test(t, convolutions);
  tcase_add_test(t, depthwise);
  tcase_add_test(t, winograd);
  tcase_add_test(t, loops);
  tcase_add_test(t, samples);
  tcase_add_test(t, neon);
  suite_add_tcase(s, t);
  return s;
}
