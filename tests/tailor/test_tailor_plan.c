/* The plan of a tailoring run: requests that come later, tighten and go; plans of other runs; the ways of sharing. */
#include <string.h>

#include "tests/support.h"
#include "tests/tailor/fixture.h"

Suite *suite_tailor_plan(void);

/* Does every step that ran belong to one of `slots` (" later shared ")? */
static void expect_slots(const Fixture *f, const char *slots) {
  for (const char *p = sb_str(&f->ran); *p;) {
    const size_t n = strcspn(++p, ":");
    char slot[80];
    snprintf(slot, sizeof slot, " %.*s ", (int)n, p);
    ck_assert_msg(strstr(slots, slot) != NULL, "ran%s; want only those of%s", sb_str(&f->ran), slots);
    p += strcspn(p, " ");
  }
}

/* Everything that is delivered, as hashes. */
static void finals(Fixture *f, Hash *out) {
  TailorResult res;
  fixture_run(f, &res);
  for (int i = 0; i < f->n; i++) {
    ck_assert_msg(res.v[i].met, "%s: %s", f->target[i].name, res.v[i].why);
    out[i] = res.v[i].final.hash;
  }
  tailor_result_free(&res);
}

/* Requests that come later join the plan and pay for themselves alone; without it, all is planned anew. */
static void later_requests(const char *prune) {
  Fixture f;
  Hash before[MOST], after[MOST];
  fixture_open(&f);
  f.prune = prune;
  finals(&f, before);
  char *plan = arena_strdup(f.a, sb_str(&f.lock));
  f.plan = plan;
  fixture_run_and_drop(&f);
  ck_assert_msg(f.ran.len == 0, "by its own plan it repeated%s", sb_str(&f.ran));
  ck_assert_str_eq(sb_str(&f.lock), plan);
  f.n = MOST;
  finals(&f, after);
  expect_slots(&f, " later least ");
  ck_assert_msg(strstr(sb_str(&f.ran), " later:retrain") && strstr(sb_str(&f.ran), " least:retrain"),
                "ran:%s", sb_str(&f.ran));
  for (int i = 0; i < TARGETS; i++) ck_assert(hash_equal(before[i], after[i]));
  /* One of them tightened, then gone: its own branch alone. */
  f.plan = arena_strdup(f.a, sb_str(&f.lock));
  f.target[2].limits.macs = f.target[2].limits.macs * 9 / 10;
  f.target[2].limits.cycles = 2 * f.target[2].limits.macs;
  finals(&f, before);
  expect_slots(&f, " later ");
  for (int i = 0; i < MOST; i++) ck_assert(i == 2 || hash_equal(before[i], after[i]));
  f.plan = arena_strdup(f.a, sb_str(&f.lock));
  f.target[2] = f.target[3];
  f.n = 3;
  finals(&f, before);
  ck_assert_msg(f.ran.len == 0, "ran%s", sb_str(&f.ran));
  ck_assert_ptr_null(strstr(sb_str(&f.lock), "\"later\""));
  fixture_close(&f);
}

START_TEST(test_later_requests)
{ later_requests(NULL); }
END_TEST
START_TEST(test_later_requests_by_table)
{ later_requests("by=reconstruction,least=2,images=128"); }
END_TEST

/* A plan of another seed, or that is damaged, is not gone on with. */
START_TEST(test_other_plan)
{
  Fixture f;
  fixture_open(&f);
  fixture_run_and_drop(&f);
  char *plan = arena_strdup(f.a, sb_str(&f.lock));
  f.plan = arena_strndup(f.a, plan, strlen(plan) / 2);
  fixture_run_and_drop(&f);
  ck_assert_msg(strstr(sb_str(&f.said), "cannot be read") != NULL, "%s", sb_str(&f.said));
  ck_assert_str_eq(sb_str(&f.lock), plan);
  f.plan = plan;
  f.seed = 2;
  fixture_run_and_drop(&f);
  ck_assert_msg(strstr(sb_str(&f.said), "planned anew") != NULL, "%s", sb_str(&f.said));
  ck_assert_str_ne(sb_str(&f.lock), plan);
  fixture_close(&f);
}
END_TEST

/* All are cut from one elastic model. */
START_TEST(test_elastic_sharing)
{
  Fixture f;
  Hash got[MOST];
  fixture_open(&f);
  f.sharing = SHARE_ELASTIC;
  f.n = 3;
  finals(&f, got);
  ck_assert_msg(strstr(sb_str(&f.ran), " shared:elastic") && strstr(sb_str(&f.ran), " tight:cut"), "ran:%s",
                sb_str(&f.ran));
  ck_assert_msg(!strstr(sb_str(&f.ran), ":retrain"), "ran:%s", sb_str(&f.ran));
  fixture_close(&f);
}
END_TEST

/* Alone, each is retrained from the original; finished graphs need no device. */
START_TEST(test_no_sharing)
{
  Fixture f;
  TailorResult res;
  fixture_open(&f);
  f.sharing = SHARE_NOTHING;
  f.graphs = true;
  fixture_run(&f, &res);
  for (int i = 0; i < f.n; i++) {
    ck_assert_msg(res.v[i].met && res.v[i].delivered, "%s", res.v[i].why);
    ck_assert_str_eq(res.v[i].start, "");
    ck_assert_ptr_null(res.v[i].files.bytes);
    ck_assert_int_eq(res.models[i].images, 512);
    ck_assert_uint_eq(res.v[i].proof.emitted.n, 128);
  }
  ck_assert_msg(!strstr(sb_str(&f.ran), ":deploy") && !strstr(sb_str(&f.ran), ":proof"), "ran:%s",
                sb_str(&f.ran));
  ck_assert_double_gt(res.ways[SHARE_NOTHING].seconds, res.ways[SHARE_TREE].seconds);
  tailor_result_free(&res);
  fixture_close(&f);
}
END_TEST

Suite *suite_tailor_plan(void) {
  Suite *s = suite_create("tailor_plan");
  TCase *t = tcase_create("tailor_plan");
  tcase_add_test(t, test_later_requests);
  tcase_add_test(t, test_later_requests_by_table);
  tcase_add_test(t, test_other_plan);
  tcase_add_test(t, test_elastic_sharing);
  tcase_add_test(t, test_no_sharing);
  suite_add_tcase(s, t);
  return s;
}
