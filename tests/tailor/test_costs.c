/* Recorded costs: rates that made the seconds are found again, files are bounded and survive damage; made-up requests. */
#include <math.h>
#include <string.h>

#include "ir/base/file.h"
#include "ir/base/rng.h"
#include "passes/tailor/costs.h"
#include "passes/tailor/simulate.h"
#include "tests/support.h"

Suite *suite_costs(void);

enum { MANY = 30 };

static void made(CostRecord *v, int n, double image, double mac, double noise) {
  Rng r;
  rng_seed(&r, 7, 0);
  for (int i = 0; i < n; i++) {
    v[i] = (CostRecord){.key = hash_bytes(&i, sizeof i), .threads = 2};
    v[i].images = 1000 + rng_below(&r, 100000);
    v[i].macs = 1e5 + 1e7 * (double)rng_uniform(&r);
    v[i].seconds = (double)v[i].images * (image + mac * v[i].macs) * (1 + noise * (double)rng_normal(&r));
  }
}

static void near(double got, double want, double share) {
  ck_assert_msg(fabs(got - want) <= share * want, "got %g, want %g", got, want);
}

START_TEST(rates_are_found_again)
{
  CostRecord v[MANY];
  made(v, MANY, 3e-5, 2e-11, 0);
  CostRates r = costs_fit(v, MANY, 2);
  near(r.image, 3e-5, 1e-6), near(r.mac, 2e-11, 1e-6);
  ck_assert_int_eq(r.records, MANY);
  made(v, MANY, 3e-5, 2e-11, 0.03);
  r = costs_fit(v, MANY, 2);
  near(r.image, 3e-5, 0.5), near(r.mac, 2e-11, 0.1);
  /* never negative: all the time is by MACs, or none */
  made(v, MANY, 0, 2e-11, 0.05);
  r = costs_fit(v, MANY, 2);
  ck_assert(r.image >= 0 && r.mac > 0);
  for (int i = 0; i < MANY; i++) v[i].seconds = (double)v[i].images * 1e-12 * (2e7 - v[i].macs);
  r = costs_fit(v, MANY, 2);
  ck_assert(r.image > 0 && r.mac == 0);
}
END_TEST

START_TEST(little_is_known)
{
  CostRecord v[2] = {0};
  CostRates r = costs_fit(v, 0, 2);
  ck_assert(r.image == costs_default.image && r.mac == costs_default.mac && r.records == 0);
  /* one size: the defaults, scaled */
  v[0] = (CostRecord){.images = 1000, .macs = 1e6, .threads = 2, .seconds = 1};
  r = costs_fit(v, 1, 2);
  near(1000 * (r.image + r.mac * 1e6), 1, 1e-9);
  near(r.image / r.mac, costs_default.image / costs_default.mac, 1e-9);
  /* of as many threads; where there are none, of others */
  v[1] = v[0], v[1].threads = 1, v[1].seconds = 2;
  near(costs_fit(v, 2, 1).image, 2 * r.image, 1e-9);
  ck_assert_int_eq(costs_fit(v, 2, 8).records, 2);
  near(costs_fit(v, 2, 8).threads, (2 * 1 + 1 * 2) / 3.0, 1e-9); /* over their seconds */
  r = costs_rounded((CostRates){1.2345e-5, 0, 3, 1.25});
  near(r.image, 1.2e-5, 1e-9);
  ck_assert(r.mac == 0 && r.records == 3 && r.threads > 1.2 && r.threads < 1.4);
}
END_TEST

START_TEST(kept_in_a_file)
{
  enum { LOTS = 1000 };
  static CostRecord v[LOTS];
  Arena *a = arena_new();
  Diag *d = diag_new();
  CostRecord *got;
  const char *dir = test_tmp_dir(), *path = path_join(a, dir, "costs");
  ck_assert_uint_eq(costs_read(a, dir, &got), 0);
  made(v, LOTS, 3e-5, 2e-11, 0);
  ck_assert(costs_add(dir, v, 3, d) && costs_add(dir, v + 2, 2, d));
  ck_assert_uint_eq(costs_read(a, dir, &got), 4); /* the third was there */
  ck_assert(hash_equal(got[0].key, v[0].key) && got[3].images == v[3].images && got[3].macs == v[3].macs);
  near(got[3].seconds, v[3].seconds, 1e-6);
  for (int i = 4; i < LOTS; i += 100)
    ck_assert(costs_add(dir, v + i, 100 < LOTS - i ? 100 : (size_t)(LOTS - i), d));
  const size_t n = costs_read(a, dir, &got);
  ck_assert(n > 100 && n < LOTS && hash_equal(got[n - 1].key, v[LOTS - 1].key));
  /* any byte of it changed: nothing is known */
  size_t size;
  char *text = file_read(a, path, &size, d);
  for (size_t i = 0; i < size; i += 1 + size / 40) {
    text[i] ^= 1;
    test_write_file(path, text, size);
    ck_assert_msg(costs_read(a, dir, &got) == 0, "byte %zu", i);
    text[i] ^= 1;
  }
  test_write_file(path, text, size / 2);
  ck_assert_uint_eq(costs_read(a, dir, &got), 0);
  diag_free(d);
  arena_free(a);
}
END_TEST

/* ---- Made-up requests */

static bool inside(const uint64_t *outer, const uint64_t *inner, int words) {
  for (int i = 0; i < words; i++)
    if (inner[i] & ~outer[i]) return false;
  return true;
}

START_TEST(made_up_requests)
{
  enum { N = 200 };
  Arena *a = arena_new();
  SimBase b;
  sim_base_made_up(a, &b);
  const ScheduleRequest *v = sim_requests(a, &b, N, 5), *same = sim_requests(a, &b, N / 2, 5),
                        *other = sim_requests(a, &b, N, 6);
  int nested = 0, pairs = 0, small = 0;
  for (int i = 0; i < N; i++) {
    ck_assert(v[i].macs > 0 && v[i].macs < b.macs && v[i].macs == b.macs_of(b.ctx, 0, v[i].units));
    small += v[i].macs < 0.1 * b.macs;
    if (i < N / 2) ck_assert_mem_eq(v[i].units, same[i].units, (size_t)b.words * sizeof(uint64_t));
    for (int k = 0; k < i; k++, pairs++) {
      const int loose = v[i].macs > v[k].macs ? i : k;
      nested += inside(v[loose].units, v[i + k - loose].units, b.words);
    }
  }
  ck_assert(memcmp(v[0].units, other[0].units, (size_t)b.words * sizeof(uint64_t)) != 0);
  ck_assert(small > N / 4 && small < 3 * N / 4);
  ck_assert_msg(nested > pairs / 20 && nested < pairs / 2, "%d of %d pairs nest", nested, pairs);
  arena_free(a);
}
END_TEST

Suite *suite_costs(void) {
  Suite *s = suite_create("costs");
  TCase *t = tcase_create("costs of training");
  tcase_add_test(t, rates_are_found_again);
  tcase_add_test(t, little_is_known);
  tcase_add_test(t, kept_in_a_file);
  tcase_add_test(t, made_up_requests);
  suite_add_tcase(s, t);
  return s;
}
