/* Augmentation beyond windows: noise, blanking, mixing, views; and that kinds do not disturb one another. (Windows and
 * mirrors: test_data.c.)
 */
#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/base/mem.h"
#include "runtime/engine/feed.h"
#include "tests/engine/nets.h"
#include "tests/support.h"

Suite *suite_augment(void);

enum { H = 12, W = 10, N = 64, ITEM = H * W };

static float pixels[N * ITEM];

/* Spectrograms [12,10,1] of values that are all different. */
static Split make_split(void) {
  for (int i = 0; i < N * ITEM; i++) pixels[i] = (float)(i % ITEM) + 1000.0f * (float)(i / ITEM);
  return (Split){.n = N, .item = {3, {H, W, 1}}, .dtype = DT_F32, .x = pixels};
}

static float mean_of(const float *x) {
  double sum = 0;
  for (int i = 0; i < ITEM; i++) sum += (double)x[i];
  return (float)(sum / ITEM);
}

/* Rows and columns that a blanked box covers; fails when blanked places form no box. */
static void box_of(const float *x, const float *was, int *h, int *w) {
  int y0 = H, y1 = 0, x0 = W, x1 = 0, count = 0;
  for (int i = 0; i < ITEM; i++) {
    if (x[i] == was[i]) continue;
    ck_assert_msg(fabsf(x[i] - mean_of(was)) < 1e-2f, "a blanked place is %g, the mean %g", (double)x[i],
                  (double)mean_of(was));
    int y = i / W, c = i % W;
    y0 = y < y0 ? y : y0, y1 = y + 1 > y1 ? y + 1 : y1, x0 = c < x0 ? c : x0, x1 = c + 1 > x1 ? c + 1 : x1;
    count++;
  }
  *h = count ? y1 - y0 : 0;
  *w = count ? x1 - x0 : 0;
  ck_assert_int_eq(count, *h * *w);
}

START_TEST(what_is_blanked)
{
  const struct {
    Augment a;
    int h, w; /* largest box */
  } cases[] = {{{.cutout = 4}, 4, 4}, {{.time_mask = 5}, 5, W}, {{.frequency_mask = 3}, H, 3}};
  Split s = make_split();
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
    int most_h = 0, most_w = 0, none = 0;
    for (uint32_t i = 0; i < N; i++) {
      Augment a = cases[k].a;
      float x[ITEM];
      int h, w;
      a.seed = 3;
      split_item(&s, NULL, &a, i, x);
      box_of(x, pixels + i * ITEM, &h, &w);
      ck_assert_msg(h <= cases[k].h && w <= cases[k].w, "case %d: a box of %d x %d", (int)k, h, w);
      none += h == 0;
      most_h = h > most_h ? h : most_h, most_w = w > most_w ? w : most_w;
    }
    ck_assert_msg(most_h == cases[k].h && most_w == cases[k].w, "case %d: the largest box is %d x %d", (int)k,
                  most_h, most_w);
    ck_assert_int_lt(none, N / 2);
  }
}
END_TEST

START_TEST(noise_has_its_deviation)
{
  Split s = make_split();
  double sum = 0, square = 0;
  for (uint32_t i = 0; i < N; i++) {
    Augment a = {.noise = 2, .seed = 1, .stream = 4};
    float x[ITEM];
    split_item(&s, NULL, &a, i, x);
    for (int k = 0; k < ITEM; k++) {
      double e = (double)x[k] - (double)pixels[i * ITEM + (uint32_t)k];
      sum += e / (N * ITEM);
      square += e * e / (N * ITEM);
    }
  }
  ck_assert_msg(fabs(sum) < 0.1 && fabs(sqrt(square) - 2) < 0.1, "mean %g, deviation %g", sum, sqrt(square));
}
END_TEST

/* Kinds draw apart: the window is where it was without noise. */
START_TEST(kinds_do_not_disturb_one_another)
{
  Split s = make_split();
  for (uint32_t i = 0; i < N; i++) {
    Augment a = {.flip = true, .crop = 2, .seed = 1, .stream = 2}, b = a;
    float x[ITEM], y[ITEM];
    b.noise = 1e-3f;
    split_item(&s, NULL, &a, i, x);
    split_item(&s, NULL, &b, i, y);
    for (int k = 0; k < ITEM; k++) ck_assert(fabsf(x[k] - y[k]) < 0.1f);
  }
}
END_TEST

START_TEST(shares_are_beta)
{
  for (int k = 0; k < 3; k++) {
    float alpha = k == 0 ? 0.2f : k == 1 ? 1 : 4;
    double sum = 0, square = 0;
    uint32_t self = 0, n = 20000;
    for (uint32_t i = 0; i < n; i++) {
      Augment a = {.mixup = alpha, .seed = 9};
      Mixing m = augment_mix(&a, 100, i, H, W);
      ck_assert(m.share >= 0 && m.share <= 1 && m.partner < 100 && !m.cut);
      self += m.partner == i % 100;
      sum += (double)m.share / n;
      square += (double)m.share * (double)m.share / n;
    }
    double var = square - sum * sum, want = 1 / (4 * (2 * (double)alpha + 1));
    ck_assert_msg(fabs(sum - 0.5) < 0.01 && fabs(var - want) < 0.05 * want,
                  "Beta(%g): mean %g, variance %g, want %g", (double)alpha, sum, var, want);
    ck_assert_msg(self < n / 50, "%u of %u are mixed with one and the same", self, n);
  }
}
END_TEST

/* A batch is its examples mixed as augment_mix says, at any thread count. */
static void want_mixed(const Augment *a, int *n_cut) {
  Split s = make_split();
  Graph *g = net_parse("%1 = input : f32[N,12,10,1]\n%2 = Relu(%1)\noutput %2\n", 1);
  Diag *d = diag_new();
  float got[2][8 * ITEM];
  const uint32_t idx[8] = {3, 60, 8, 9, 1, 2, 33, 5};
  for (int t = 0; t < 2; t++) {
    Session *e = session_new(g, &(SessionOptions){.batch = 8, .threads = t + 1}, d);
    Feed f;
    ck_assert(feed_new(&f, e, &s, NULL, d));
    feed_batch(&f, a, idx, 0, 8, got[t]);
    feed_free(&f);
    session_free(e);
  }
  ck_assert(memcmp(got[0], got[1], sizeof got[0]) == 0);
  for (int i = 0; i < 8; i++) {
    float x[ITEM], y[ITEM];
    const Mixing m = augment_mix(a, N, idx[i], H, W);
    const Augment theirs = augment_partner(a, idx[i]);
    int theirs_seen = 0;
    split_item(&s, NULL, a, idx[i], x);
    split_item(&s, NULL, &theirs, m.partner, y);
    for (int k = 0; k < ITEM; k++) {
      const bool inside = k / W >= m.y0 && k / W < m.y1 && k % W >= m.x0 && k % W < m.x1;
      const float want = m.cut ? (inside ? y[k] : x[k]) : m.share * x[k] + (1 - m.share) * y[k];
      ck_assert(fabsf(got[0][i * ITEM + k] - want) < 1e-2f);
      theirs_seen += m.cut && inside;
    }
    if (m.cut) ck_assert(fabsf(m.share - (1 - (float)theirs_seen / ITEM)) < 1e-6f);
    *n_cut += m.cut;
  }
  graph_free(g);
  diag_free(d);
}

START_TEST(batches_are_mixed)
{
  int whole = 0, cut = 0, both = 0;
  for (uint64_t seed = 1; seed <= 4; seed++) {
    want_mixed(&(Augment){.mixup = 0.5f, .flip = true, .seed = seed, .stream = 7}, &whole);
    want_mixed(&(Augment){.cutmix = 1, .flip = true, .seed = seed, .stream = 7}, &cut);
    want_mixed(&(Augment){.mixup = 1, .cutmix = 1, .seed = seed, .stream = 7, .views = 3}, &both);
  }
  ck_assert_int_eq(whole, 0);
  ck_assert_int_eq(cut, 32);
  ck_assert_msg(both > 4 && both < 28, "%d of 32 are cut", both);
}
END_TEST

/* A window's place, as its middle tells it, and around it the image mirrored at its edges. */
START_TEST(windows_reflect)
{
  enum { CROP = 3 };
  Split s = make_split();
  int shifted = 0;
  for (uint32_t i = 0; i < N; i++) {
    float x[ITEM];
    split_item(&s, NULL, &(Augment){.crop = CROP, .reflect = true, .seed = 2}, i, x);
    const int at = (int)(x[H / 2 * W + W / 2] - 1000.0f * (float)i), dy = at / W - H / 2, dx = at % W - W / 2;
    ck_assert(abs(dy) <= CROP && abs(dx) <= CROP);
    shifted += dy || dx;
    for (int k = 0; k < ITEM; k++) {
      int sy = abs(k / W + dy), sx = abs(k % W + dx);
      if (sy >= H) sy = 2 * H - 2 - sy;
      if (sx >= W) sx = 2 * W - 2 - sx;
      ck_assert(x[k] == pixels[(int)i * ITEM + sy * W + sx]);
    }
  }
  ck_assert_int_gt(shifted, N / 2);
}
END_TEST

START_TEST(views_repeat)
{
  Split s = make_split();
  Augment a = {.flip = true, .crop = 3, .noise = 1, .views = 4, .seed = 1};
  int first[4] = {0};
  for (uint32_t i = 0; i < N; i++) {
    float x[5][ITEM];
    for (a.stream = 0; a.stream < 5; a.stream++) split_item(&s, NULL, &a, i, x[a.stream]);
    a.stream = 0;
    first[augment_stream(&a, i)]++;
    ck_assert(memcmp(x[0], x[4], sizeof x[0]) == 0);
    for (int k = 1; k < 4; k++) ck_assert(memcmp(x[0], x[k], sizeof x[0]) != 0);
    Augment view = a; /* the same pixels by the view's own number */
    view.stream = augment_stream(&a, i);
    view.views = 0;
    float y[ITEM];
    split_item(&s, NULL, &view, i, y);
    ck_assert(memcmp(x[0], y, sizeof y) == 0);
  }
  for (int v = 0; v < 4; v++) ck_assert_int_gt(first[v], 4); /* examples begin at different views */
}
END_TEST

START_TEST(feeds_resize)
{
  Split s = make_split();
  Graph *g = net_parse("%1 = input : f32[N,6,5,1]\n%2 = Relu(%1)\noutput %2\n", 1);
  Diag *d = diag_new();
  Session *e = session_new(g, &(SessionOptions){.batch = 2, .threads = 1}, d);
  Feed f;
  ck_assert(feed_new(&f, e, &s, NULL, d)); /* same proportions: by itself */
  float out[2 * 30];
  feed_batch(&f, NULL, NULL, 5, 2, out);
  for (int i = 0; i < 60; i++) { /* each the mean of four */
    const float *x = pixels + (5 + i / 30) * ITEM + (i % 30 / 5) * 2 * W + i % 5 * 2;
    ck_assert(fabsf(out[i] - (x[0] + x[1] + x[W] + x[W + 1]) / 4) < 1e-2f);
  }
  feed_free(&f);
  session_free(e);
  graph_free(g);
  diag_free(d);
}
END_TEST

Suite *suite_augment(void) {
  openblas_set_num_threads(1);
  Suite *s = suite_create("augment");
  TCase *t = tcase_create("augment");
  tcase_add_test(t, what_is_blanked);
  tcase_add_test(t, noise_has_its_deviation);
  tcase_add_test(t, kinds_do_not_disturb_one_another);
  tcase_add_test(t, shares_are_beta);
  tcase_add_test(t, batches_are_mixed);
  tcase_add_test(t, windows_reflect);
  tcase_add_test(t, views_repeat);
  tcase_add_test(t, feeds_resize);
  suite_add_tcase(s, t);
  return s;
}
