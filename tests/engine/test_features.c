/* Features by hand: a sine's band and level, rows, bands of mel, cepstra, what is refused. */
#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "runtime/data/features.h"
#include "tests/support.h"

Suite *suite_features(void);

static const double PI = 3.14159265358979323846;

static const FeatureSpec usual = {
    .rate = 16000, .window = 640, .hop = 320, .bands = 20, .low = 100, .high = 7600, .floor = -100};

static Features *make(const FeatureSpec *s) {
  Diag *d = diag_new();
  Features *f = features_new(s, d);
  ck_assert_msg(f != NULL, "%s", diag_text(d));
  diag_free(d);
  return f;
}

/* Middle of band b, Hz. */
static double middle(const FeatureSpec *s, int b) {
  double share = (b + 1.0) / (s->bands + 1);
  if (s->linear) return s->low + share * (s->high - s->low);
  return mel_hz(mel_of(s->low) + share * (mel_of(s->high) - mel_of(s->low)));
}

START_TEST(mels)
{
  ck_assert(fabs(mel_of(1000) - 999.986) < 0.01); /* 1000 Hz is 1000 mel, nearly */
  ck_assert(mel_of(0) == 0 && fabs(mel_hz(mel_of(440)) - 440) < 1e-9);
}
END_TEST

START_TEST(rows)
{
  Features *f = make(&usual);
  ck_assert(features_rows(f, 639) == 0 && features_rows(f, 640) == 1 && features_rows(f, 959) == 1);
  ck_assert(features_rows(f, 16000) == 49 && features_columns(f) == 20);
  features_free(f);
}
END_TEST

/* A sine of amplitude 1 or 0.1 in the middle of each band: that band is the loudest. Its power is summed over the bins of the
 * main lobe (a Hann window's: 1, 1/4, 1/4 at its middle), under the triangle: at most 2 dB below 0 and -20. */
static void sines(const FeatureSpec *s) {
  enum { N = 2048 };
  Features *f = make(s);
  float x[N], out[64 * 40];
  for (int b = 2; b < s->bands; b++)
    for (int loud = 0; loud < 2; loud++) {
      for (int i = 0; i < N; i++) x[i] = (float)((loud ? 1 : 0.1) * sin(2 * PI * middle(s, b) * i / s->rate));
      features_run(f, x, N, out);
      for (int64_t r = 0; r < features_rows(f, N); r++) {
        const float *row = out + r * s->bands;
        int best = 0;
        for (int k = 1; k < s->bands; k++)
          if (row[k] > row[best]) best = k;
        ck_assert_msg(best == b && row[b] <= (loud ? 0 : -20) + 1e-3 && row[b] >= (loud ? 0 : -20) - 2,
                      "band %d, row %lld: got band %d, %g dB", b, (long long)r, best, (double)row[best]);
      }
    }
  features_free(f);
}

START_TEST(a_sine_is_in_its_band)
{
  FeatureSpec s = usual;
  sines(&s);
  s.linear = true;
  sines(&s);
}
END_TEST

/* One bin of a window of 8 by hand: x = 1, 0, 0 ...: |X| is the window's first weight everywhere, which is 0; of an impulse at
 * 4, where the window is 1: |X|^2 = 4 / (8 * 3), 3 being the sum of the weights' squares. Linear bands of the width of a bin see one bin each. */
START_TEST(an_impulse_by_hand)
{
  FeatureSpec s = {
      .rate = 8, .window = 8, .hop = 8, .bands = 3, .linear = true, .low = 0, .high = 4, .floor = -60};
  Features *f = make(&s);
  float x[8] = {0, 0, 0, 0, 1, 0, 0, 0}, out[3];
  features_run(f, x, 8, out);
  for (int b = 0; b < 3; b++) ck_assert(fabs((double)out[b] - 10 * log10(1.0 / 6)) < 1e-5);
  x[4] = 0;
  x[0] = 1;
  features_run(f, x, 8, out);
  for (int b = 0; b < 3; b++) ck_assert(out[b] == -60);
  features_free(f);
}
END_TEST

START_TEST(cepstra_are_the_dct)
{
  enum { N = 640, BANDS = 20, CEPS = 6 };
  FeatureSpec s = usual;
  Features *bands = make(&s);
  s.cepstra = CEPS;
  Features *ceps = make(&s);
  float x[N], db[BANDS], c[CEPS];
  for (int i = 0; i < N; i++) x[i] = (float)((i * 37 % 101) - 50) / 60 * expf(-(float)i / 300);
  features_run(bands, x, N, db);
  features_run(ceps, x, N, c);
  for (int k = 0; k < CEPS; k++) {
    double want = 0;
    for (int b = 0; b < BANDS; b++) want += (double)db[b] * cos(PI * k * (2 * b + 1) / (2 * BANDS));
    want *= sqrt((k ? 2.0 : 1.0) / BANDS);
    ck_assert_msg(fabs((double)c[k] - want) < 1e-3, "%d: got %g, want %g", k, (double)c[k], want);
  }
  features_free(bands);
  features_free(ceps);
}
END_TEST

START_TEST(what_is_refused)
{
  Diag *d = diag_new();
  FeatureSpec s = usual;
  s.high = 9000;
  ck_assert(!features_new(&s, d) && strstr(diag_text(d), "half the rate"));
  s = usual;
  s.cepstra = 21;
  ck_assert(!features_new(&s, d) && strstr(diag_text(d), "21 cepstra of 20 bands"));
  s = usual;
  s.hop = 0;
  ck_assert(!features_new(&s, d) && strstr(diag_text(d), "hop 0"));
  diag_free(d);
}
END_TEST

Suite *suite_features(void) {
  Suite *s = suite_create("features");
  TCase *t = tcase_create("features");
  tcase_add_test(t, mels);
  tcase_add_test(t, rows);
  tcase_add_test(t, a_sine_is_in_its_band);
  tcase_add_test(t, an_impulse_by_hand);
  tcase_add_test(t, cepstra_are_the_dct);
  tcase_add_test(t, what_is_refused);
  suite_add_tcase(s, t);
  return s;
}
