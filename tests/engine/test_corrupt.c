/* Corruptions: what each does to images whose answer is known, and that severities are in order. */
#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "runtime/data/corrupt.h"
#include "tests/support.h"

Suite *suite_corrupt(void);

enum { H = 24, W = 20 };

/* Blobs of colour, smooth and rough. */
static void draw(uint8_t *x, int c, uint64_t seed) {
  Rng r;
  rng_seed(&r, seed, 1);
  const double fy = 0.2 + 0.5 * (double)rng_uniform(&r), fx = 0.2 + 0.5 * (double)rng_uniform(&r);
  for (int y = 0; y < H; y++)
    for (int k = 0; k < W; k++)
      for (int p = 0; p < c; p++)
        x[(y * W + k) * c + p] = (uint8_t)(110 + 70 * sin(fy * y + fx * k + p) + rng_below(&r, 30));
}

static double distance(const uint8_t *a, const uint8_t *b, int n) {
  double sum = 0;
  for (int i = 0; i < n; i++) sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
  return sqrt(sum / n);
}

START_TEST(severities_are_in_order)
{
  uint8_t x[H * W * 3], y[H * W * 3];
  for (int kind = 0; kind < CORRUPT_KINDS; kind++)
    for (int c = 1; c <= 3; c += 2) {
      double before = 0;
      for (int severity = 1; severity <= CORRUPT_SEVERITIES; severity++) {
        double sum = 0;
        for (uint32_t i = 0; i < 10; i++) {
          draw(x, c, i);
          memcpy(y, x, sizeof x);
          corrupt_image((CorruptKind)kind, corrupt_amount((CorruptKind)kind, severity), 1, i, y, H, W, c);
          sum += distance(x, y, H * W * c);
        }
        ck_assert_msg(sum > before, "%s %d of %d channels", corrupt_name((CorruptKind)kind), severity, c);
        before = sum;
      }
    }
}
END_TEST

START_TEST(jpeg_keeps_what_its_tables_keep)
{
  uint8_t flat[H * W * 3], x[H * W * 3], y[H * W * 3];
  memset(flat, 137,
         sizeof flat); /* (137 - 128) x 8 = 72 = 9 x 8: kept where the table's first is a divisor of 72 */
  memcpy(x, flat, sizeof x);
  corrupt_image(CORRUPT_JPEG, 75, 0, 0, x, H, W, 1); /* 16 x 50 % = 8 */
  ck_assert_mem_eq(x, flat, H * W);
  draw(x, 1, 3);
  memcpy(y, x, sizeof x);
  corrupt_image(CORRUPT_JPEG, 100, 0, 0, y, H, W, 1); /* tables of ones: rounding alone */
  ck_assert(distance(x, y, H * W) < 0.7);
  corrupt_image(CORRUPT_JPEG, 1, 0, 0, y, 8, 8, 1); /* a block becomes its mean, or little more */
  ck_assert(distance(x, y, 64) > 5);
}
END_TEST

START_TEST(blur_keeps_the_mean_and_spreads_a_point)
{
  uint8_t x[H * W] = {0};
  x[12 * W + 10] = 255;
  corrupt_image(CORRUPT_BLUR, 1, 0, 0, x, H, W, 1);
  int sum = 0;
  for (int i = 0; i < H * W; i++) sum += x[i];
  ck_assert_int_le(abs(sum - 255), 12);
  ck_assert_int_eq(x[12 * W + 10], 41); /* 255 / (2 pi) */
  ck_assert_int_eq(x[11 * W + 10], x[13 * W + 10]);
  ck_assert_int_eq(x[12 * W + 9], x[13 * W + 10]);
}
END_TEST

START_TEST(noise_is_of_its_seed_and_deviation)
{
  uint8_t a[H * W], b[H * W], c[H * W], x[H * W];
  memset(x, 128, sizeof x);
  memcpy(a, x, sizeof x), memcpy(b, x, sizeof x), memcpy(c, x, sizeof x);
  corrupt_image(CORRUPT_NOISE, 0.1, 5, 7, a, H, W, 1);
  corrupt_image(CORRUPT_NOISE, 0.1, 5, 7, b, H, W, 1);
  corrupt_image(CORRUPT_NOISE, 0.1, 5, 8, c, H, W, 1);
  ck_assert_mem_eq(a, b, sizeof a);
  ck_assert_mem_ne(a, c, sizeof a);
  ck_assert(fabs(distance(a, x, H * W) - 25.5) < 3);
}
END_TEST

START_TEST(exposure_is_in_stops)
{
  uint8_t x[4] = {0, 10, 100, 200};
  corrupt_image(CORRUPT_EXPOSURE, 1, 0, 0, x, 2, 2, 1);
  const uint8_t want[4] = {0, 20, 200, 255};
  ck_assert_mem_eq(x, want, 4);
}
END_TEST

START_TEST(a_split_becomes_another)
{
  uint8_t x[3][H * W * 3];
  const int32_t y[3] = {4, 5, 6};
  for (uint64_t i = 0; i < 3; i++) draw(x[i], 3, i);
  Split s = {.n = 3, .item = {3, {H, W, 3}}, .dtype = DT_U8}, out;
  s.xb = blob_new(x, sizeof x), s.yb = blob_new(y, sizeof y);
  s.x = blob_data(s.xb), s.y = blob_data(s.yb);
  Diag *d = diag_new();
  ck_assert(corrupt_split(&s, CORRUPT_NOISE, 3, 9, &out, d));
  corrupt_image(CORRUPT_NOISE, corrupt_amount(CORRUPT_NOISE, 3), 9, 2, x[2], H, W, 3);
  ck_assert_mem_eq((const uint8_t *)out.x + 2 * sizeof x[0], x[2], sizeof x[2]);
  ck_assert_int_eq(out.y[1], 5);
  split_close(&out);
  s.dtype = DT_F32;
  ck_assert(!corrupt_split(&s, CORRUPT_NOISE, 3, 9, &out, d));
  split_close(&s);
  diag_free(d);
}
END_TEST

Suite *suite_corrupt(void) {
  Suite *s = suite_create("corrupt");
  TCase *t = tcase_create("corrupt");
  tcase_add_test(t, severities_are_in_order);
  tcase_add_test(t, jpeg_keeps_what_its_tables_keep);
  tcase_add_test(t, blur_keeps_the_mean_and_spreads_a_point);
  tcase_add_test(t, noise_is_of_its_seed_and_deviation);
  tcase_add_test(t, exposure_is_in_stops);
  tcase_add_test(t, a_split_becomes_another);
  suite_add_tcase(s, t);
  return s;
}
