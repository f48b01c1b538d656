/* The plan of a tailoring run: requests that come later, tighten and go; plans of other runs; the ways of sharing. */
#include <string.h>

#include "ir/base/file.h"
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

/* A model costs its own MACs; a teacher without a bank a third of its own, for each image; one with a bank that once. */
START_TEST(test_estimates)
{
  static const double image = 1e-5, mac = 1e-11; /* the fixture's */
  for (int way = 0; way < 3; way++) {
    Fixture f;
    TailorResult res;
    fixture_open(&f);
    const double teacher = (double)graph_macs(f.model) / 3, more = way == 1 ? teacher : 0;
    f.plan_only = true;
    f.beside = way > 0;
    f.views = way == 2 ? 2 : 0;
    fixture_run(&f, &res);
    ck_assert_int_eq(res.n_models, TARGETS);
    ck_assert_double_eq_tol(res.beside, more, 1e-9 * teacher);
    for (int k = 0; k < res.n_models; k++) {
      const TailorTrained *m = &res.models[k];
      const double want = (double)m->images * (image + mac * ((double)m->macs + more));
      ck_assert_double_eq_tol(m->seconds, want, 1e-9 * want);
    }
    ck_assert_double_eq_tol(res.bank_seconds, way == 2 ? 2 * 256 * (image + mac * teacher) : 0, 1e-9);
    tailor_result_free(&res);
    f.plan_only = false;
    fixture_run_and_drop(&f); /* now the bank is there */
    f.plan_only = true;
    fixture_run(&f, &res);
    ck_assert_double_eq(res.bank_seconds, 0);
    tailor_result_free(&res);
    fixture_close(&f);
  }
}
END_TEST

/* Planned together in two rounds, or in a run each: the same. In one round, the later one would stand between the others. */
START_TEST(test_rounds)
{
  Fixture f;
  fixture_open(&f);
  fixture_run_and_drop(&f);
  f.plan = arena_strdup(f.a, sb_str(&f.lock));
  f.n = 3;
  fixture_run_and_drop(&f);
  const char *one_by_one = arena_strdup(f.a, sb_str(&f.lock));
  f.plan = NULL;
  fixture_run_and_drop(&f);
  ck_assert_str_ne(sb_str(&f.lock), one_by_one);
  f.target[2].round = 1;
  fixture_run_and_drop(&f);
  ck_assert_str_eq(sb_str(&f.lock), one_by_one);
  ck_assert_msg(f.ran.len == 0, "ran%s", sb_str(&f.ran));
  fixture_close(&f);
}
END_TEST

/* Code that takes more flash: who still fits keeps widths and model, who does not is planned anew. */
START_TEST(test_locked_widths_are_judged_again)
{
  Fixture f;
  TailorResult res;
  fixture_open(&f);
  fixture_run(&f, &res);
  f.target[0].limits.flash *= 2;
  f.target[1].limits.flash = res.v[1].measured.flash;
  tailor_result_free(&res);
  fixture_run(&f, &res);
  const Hash loose = res.v[0].final.hash;
  f.plan = arena_strdup(f.a, sb_str(&f.lock));
  f.code = f.target[1].limits.flash - res.v[1].measured.flash + 200; /* by which it is too large */
  tailor_result_free(&res);
  fixture_edit_source(&f, FIXTURE_JUDGE);
  fixture_run(&f, &res);
  ck_assert_msg(res.v[1].met, "%s", res.v[1].why);
  ck_assert(hash_equal(loose, res.v[0].final.hash));
  tailor_result_free(&res);
  ck_assert_msg(!strstr(sb_str(&f.ran), " loose:retrain") && strstr(sb_str(&f.ran), " tight:retrain"),
                "ran:%s", sb_str(&f.ran));
  fixture_close(&f);
}
END_TEST

/* Linked, one memory of several holds too much, of which no estimate of the sum tells: fewer channels, before anything is trained. */
START_TEST(test_one_memory_is_full)
{
  Fixture f;
  TailorResult res;
  fixture_open(&f);
  f.main[1] = 1000000000;
  f.target[1].regions = fixture_regions;
  f.target[1].limits.cycles = 0; /* nothing is near its limit */
  f.target[1].limits.ram = 2 * f.main[1];
  fixture_run(&f, &res);
  ck_assert_msg(res.v[1].met && res.v[1].n_regions == 2, "%s", res.v[1].why);
  const int64_t macs = res.v[1].cost.macs;
  f.main[1] = res.v[1].region[1].bytes - FIXTURE_LINKED / 2;
  tailor_result_free(&res);
  fixture_run(&f, &res);
  ck_assert_msg(res.v[1].met && res.v[1].region[1].bytes <= f.main[1], "%s", res.v[1].why);
  ck_assert_msg(res.v[1].cost.macs < macs && res.v[1].cost.macs > macs / 2, "%lld of %lld MACs",
                (long long)res.v[1].cost.macs, (long long)macs);
  tailor_result_free(&res);
  fixture_close(&f);
}
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

/* ---- Learning rates of models of a tree */

/* Was the model last trained at this share of the design's rate, and otherwise as the plan says? The cache's record has a hash of
 * a step's parameters. */
static bool trained_at(Fixture *f, const TailorResult *res, int k, double rate) {
  const TailorTrained *m = &res->models[k];
  TrainOptions o;
  StrBuf text = {0};
  char hex[HASH_HEX];
  fixture_options(f, &o);
  o.seed = f->seed;
  o.images = m->images;
  for (int p = m->parent; p >= 0; p = res->models[p].parent) o.skip += res->models[p].images;
  o.schedule = RATE_CONSTANT;
  o.lr *= (float)rate;
  o.warmup = m->parent < 0 ? 0.2f : 0;
  o.average = 0.999f;
  if (o.bn_images > 1024) o.bn_images = 1024;
  train_options_print(&o, &text);
  hash_hex(hash_bytes(sb_str(&text), text.len), hex);
  sb_free(&text);
  Hasher *h = hasher_new();
  hasher_str(h, "retrain");
  hasher_str(h, m->name);
  const char *want = arena_printf(f->a, "parameters\t#%s\n", hex);
  hash_hex(hasher_done(h), hex);
  const char *path = arena_printf(f->a, "%s/last/%s", cache_dir(f->cache), hex),
             *record = file_read(f->a, path, NULL, f->d);
  ck_assert_msg(record != NULL, "%s", diag_text(f->d));
  return strstr(record, want) != NULL;
}

/* What has nearly all of the original's MACs has a small share of the rate, what has few the whole. */
START_TEST(test_rates)
{
  Fixture f;
  TailorResult res;
  fixture_open(&f);
  f.target[0].limits.macs = graph_macs(f.model) * 97 / 100;
  f.target[0].limits.cycles = 0;
  f.target[1].limits.macs = graph_macs(f.model) * 2 / 10;
  f.target[1].limits.cycles = 0;
  fixture_run(&f, &res);
  ck_assert_int_eq(res.n_models, 2);
  ck_assert_int_eq(res.models[1].parent, 0);
  int least = 0; /* per cent */
  for (int i = 1; i < 100; i++)
    if (trained_at(&f, &res, 0, i / 100.)) least = i;
  ck_assert_msg(least > 0 && least <= 50, "%lld of %lld MACs: no share of the rate, or %d %%",
                (long long)res.models[0].macs, (long long)res.macs, least);
  ck_assert_msg(trained_at(&f, &res, 1, 1), "%lld of %lld MACs: not the whole rate",
                (long long)res.models[1].macs, (long long)res.macs);
  tailor_result_free(&res);
  fixture_close(&f);
}
END_TEST

/* ---- A time budget */

/* What is begun is finished, of the highest priority first; a later run goes on to the same bytes as one without a clock. */
START_TEST(test_time_is_used_up)
{
  Fixture f;
  TailorResult res;
  Hash whole[MOST], got[MOST];
  fixture_open(&f);
  f.n = 3;
  f.budget = 1e6; /* plenty, as far as is expected */
  f.asks = 1000;
  finals(&f, whole);
  cache_close(f.cache);
  f.cache = cache_open(arena_printf(f.a, "%s/empty", test_tmp_dir()), NULL, f.d);
  f.asks = 1;
  f.target[1].priority = 1; /* "tight", which starts from the others */
  fixture_run(&f, &res);
  ck_assert_msg(res.v[1].met && res.v[1].delivered && !res.v[1].late, "%s", res.v[1].why);
  ck_assert(hash_equal(res.v[1].final.hash, whole[1]));
  for (int i = 0; i < 3; i++) {
    const bool there = strstr(sb_str(&f.ran), arena_printf(f.a, " %s:retrain", f.target[i].name)) != NULL;
    ck_assert_msg(res.v[i].late == !there && res.v[i].delivered == there, "%s: ran%s", f.target[i].name,
                  sb_str(&f.ran));
    if (there) continue;
    ck_assert_msg(!res.v[i].met && strstr(res.v[i].why, "not begun: the time budget of 277.8 h was used up"),
                  "%s", res.v[i].why);
    ck_assert_ptr_null(res.v[i].final.bytes);
    ck_assert(res.v[i].val_float < 0);
  }
  tailor_result_free(&res);
  f.asks = 0; /* nothing is begun, what there is comes all the same */
  fixture_run(&f, &res);
  ck_assert_msg(res.v[1].met && f.ran.len == 0, "ran%s", sb_str(&f.ran));
  tailor_result_free(&res);
  f.asks = 1000;
  finals(&f, got);
  for (int i = 0; i < 3; i++) ck_assert(hash_equal(got[i], whole[i]));
  fixture_close(&f);
}
END_TEST

/* The first target alone, without its limit of flash, of which graphs are wanted; there is time left whenever that is asked. */
static void open_one_target(Fixture *f) {
  fixture_open(f);
  f->n = 1;
  f->graphs = true;
  f->asks = 1000;
  f->target[0].limits.flash = 0;
}

/* Variants are trained together behind their target's model: too late is also who has that in the cache, and who needs none. */
START_TEST(test_variants_know_the_time)
{
  Fixture f;
  TailorResult res;
  open_one_target(&f);
  f.budget = 1e6;
  fixture_run_and_drop(&f); /* its model alone */
  for (int whole = 0; whole < 2; whole++) {
    f.target[0].widths = 2, f.target[0].narrowest = 0.5;
    if (whole) f.target[0].limits = (TailorLimits){0}; /* the widest is the original */
    f.asks = 0;
    fixture_run(&f, &res);
    ck_assert_msg(res.v[0].late && !res.v[0].delivered && res.v[0].n_widths == 0, "ran%s", sb_str(&f.ran));
    ck_assert_msg(strstr(res.v[0].why, "not begun: the time budget") != NULL, "%s", res.v[0].why);
    ck_assert_msg(!strstr(sb_str(&f.ran), "elastic"), "ran%s", sb_str(&f.ran));
    tailor_result_free(&res);
    f.asks = 1;
    fixture_run(&f, &res);
    ck_assert_msg(res.v[0].delivered && res.v[0].n_widths == 2, "%s", res.v[0].why);
    ck_assert_msg(strstr(sb_str(&f.ran), ":elastic") != NULL, "ran%s", sb_str(&f.ran));
    tailor_result_free(&res);
    f.asks = 0; /* all of it is there */
    fixture_run(&f, &res);
    ck_assert_msg(res.v[0].delivered && !res.v[0].late && f.ran.len == 0, "ran%s", sb_str(&f.ran));
    tailor_result_free(&res);
  }
  fixture_close(&f);
}
END_TEST

/* A target that was begun in time is finished, its tail included, though another process was at work on a step of it when the
 * time was used up. */
START_TEST(test_begun_is_finished)
{
  Fixture f;
  TailorResult res;
  fixture_open(&f);
  f.watch = "tight:finish";
  fixture_run_and_drop(&f);
  f.watch = NULL; /* the last was that of the trained model */
  cache_close(f.cache);
  f.cache = cache_open(arena_printf(f.a, "%s/empty", test_tmp_dir()), NULL, f.d);
  f.target[1].limits.min_accuracy = 1.01;
  f.budget = 1e6;
  f.asks = TARGETS;
  f.when = "tight:retrain";
  f.then = fixture_others_begin;
  fixture_run(&f, &res);
  ck_assert_msg(!f.when && !f.others, "ran%s", sb_str(&f.ran));
  ck_assert_msg(res.v[1].delivered && !res.v[1].late, "%s", res.v[1].why);
  const char *trained = strstr(sb_str(&f.ran), " tight:retrain");
  ck_assert_msg(strstr(trained + 1, " tight:retrain") != NULL, "no tail: ran%s", sb_str(&f.ran));
  tailor_result_free(&res);
  fixture_close(&f);
}
END_TEST

/* Another run, which asks something else of a target of that name. */
static void run_another(Fixture *f) {
  Fixture other;
  Hash got[MOST];
  f->when = NULL;
  fixture_open(&other);
  other.budget = 1e6;
  other.asks = 1000;
  other.target[0].limits.macs = other.target[0].limits.macs * 9 / 10;
  other.target[1].limits.max_drop = 0.99;
  finals(&other, got);
  fixture_close(&other);
}

/* At work on one target, a run keeps no other from what is asked of it elsewhere under the same name. */
START_TEST(test_same_name_other_request)
{
  Fixture f;
  Hash got[MOST];
  fixture_open(&f);
  f.budget = 1e6;
  f.asks = 1000;
  f.when = "loose:retrain";
  f.then = run_another; /* does not end, were it busy */
  finals(&f, got);
  ck_assert_ptr_null(f.when);
  fixture_close(&f);
}
END_TEST

/* A target that wants a tail of its own, and was not begun in time, does not come without it. */
START_TEST(test_tail_is_too_late)
{
  Fixture f;
  TailorResult res;
  fixture_open(&f);
  fixture_run_and_drop(&f);
  f.target[1].limits.min_accuracy = 1.01; /* which no model has */
  f.plan = arena_strdup(f.a, sb_str(&f.lock));
  f.budget = 1e6;
  fixture_run(&f, &res);
  ck_assert_msg(res.v[1].late && !res.v[1].delivered && res.v[0].met, "%s", res.v[1].why);
  ck_assert_msg(strstr(res.v[1].why, "not finished: ") != NULL, "%s", res.v[1].why);
  ck_assert_ptr_null(strstr(sb_str(&f.ran), ":retrain"));
  tailor_result_free(&res);
  fixture_close(&f);
}
END_TEST

/* Lengths are shortened together, and stay as they were planned whatever the budget is later. */
START_TEST(test_lengths_for_a_budget)
{
  Fixture f;
  TailorResult res;
  fixture_open(&f);
  f.sharing = SHARE_NOTHING;
  fixture_run(&f, &res);
  ck_assert_int_eq(res.models[0].images, 512);
  f.budget = 0.7 * res.expected / TAILOR_TRAINING;
  tailor_result_free(&res);
  f.asks = 1000;
  fixture_run(&f, &res);
  ck_assert_msg(res.share < 0.7 && res.share > 0.6 && res.expected <= TAILOR_TRAINING * f.budget, "share %g",
                res.share);
  for (int k = 0; k < res.n_models; k++) ck_assert_int_eq(res.models[k].images, 352); /* of 11 batches */
  ck_assert_msg(strstr(sb_str(&f.lock), "\nshortened 0.6") != NULL, "%s", sb_str(&f.lock));
  ck_assert_msg(strstr(sb_str(&f.said), "lengths are shortened to ") != NULL, "%s", sb_str(&f.said));
  tailor_result_free(&res);
  f.plan = arena_strdup(f.a, sb_str(&f.lock));
  f.budget = 0;
  fixture_run(&f, &res);
  ck_assert_msg(f.ran.len == 0 && tailor_shortened(&res), "ran%s", sb_str(&f.ran));
  ck_assert_double_eq(res.budget, 0);
  ck_assert_double_eq_tol(res.kept, 352 / 512., 1e-9);
  ck_assert_str_eq(sb_str(&f.lock), f.plan);
  tailor_result_free(&res);
  fixture_close(&f);
}
END_TEST

/* Variants are trained together behind their target's model: a part of what the budget is for, of one that fits as it is too. The
 * length stays with the plan, also where there are no models beside. */
START_TEST(test_variants_in_a_budget)
{
  Fixture f;
  TailorResult res;
  open_one_target(&f);
  f.target[0].widths = 2, f.target[0].narrowest = 0.5;
  for (int whole = 0; whole < 2; whole++) {
    if (whole) f.target[0].limits = (TailorLimits){0}; /* the widest is the original */
    f.plan_only = true;
    f.budget = 0;
    f.plan = NULL;
    f.slow = 0;
    fixture_run(&f, &res);
    double models = 0;
    for (int k = 0; k < res.n_models; k++) models += res.models[k].seconds;
    ck_assert_int_eq(res.n_models, !whole);
    ck_assert(res.v[0].joint_seconds > 0 && !res.v[0].joint_there);
    ck_assert_double_eq_tol(res.expected, models + res.v[0].joint_seconds, 1e-12);
    const int64_t images = res.v[0].joint_images;
    f.budget = (models + 0.5 * res.v[0].joint_seconds) / TAILOR_TRAINING; /* enough for the model */
    tailor_result_free(&res);
    fixture_run(&f, &res);
    ck_assert_msg(res.share < 1 && res.expected <= TAILOR_TRAINING * f.budget, "share %g, expected %g of %g",
                  res.share, res.expected, TAILOR_TRAINING * f.budget);
    ck_assert_int_lt(res.v[0].joint_images, images);
    ck_assert(res.kept < 1);
    const int64_t shortened = res.v[0].joint_images;
    tailor_result_free(&res);
    f.plan_only = false;
    fixture_run_and_drop(&f);
    f.plan = arena_strdup(f.a, sb_str(&f.lock));
    f.slow = 3; /* what is known by then decides no more */
    fixture_run(&f, &res);
    ck_assert_msg(f.ran.len == 0 && res.v[0].delivered, "ran%s", sb_str(&f.ran));
    ck_assert_str_eq(sb_str(&f.lock), f.plan);
    tailor_result_free(&res);
    f.plan_only = true;
    fixture_run(&f, &res);
    ck_assert(res.v[0].joint_there && res.v[0].joint_images == shortened);
    tailor_result_free(&res);
  }
  fixture_close(&f);
}
END_TEST

/* What a plan tells of joint trainings: of equal targets one, with the bank that it wants; narrower ones are another request. */
START_TEST(test_variants_are_told)
{
  Fixture f;
  TailorResult res;
  fixture_open(&f);
  f.graphs = f.beside = f.plan_only = true;
  f.views = 2;
  for (int i = 0; i < 2; i++) {
    f.target[i].widths = 2, f.target[i].narrowest = 0.5;
    f.target[i].limits = (TailorLimits){0};
  }
  fixture_run(&f, &res);
  ck_assert_int_eq(res.n_models, 0);
  ck_assert(res.v[0].joint_with == -1 && res.v[1].joint_with == 0);
  ck_assert_double_eq_tol(res.expected, res.v[0].joint_seconds, 1e-12);
  ck_assert_double_eq_tol(res.bank_seconds, 2 * 256 * (1e-5 + 1e-11 * (double)res.macs / 3), 1e-9);
  tailor_result_free(&res);
  f.plan_only = false;
  fixture_run_and_drop(&f);
  f.plan_only = true;
  f.plan = arena_strdup(f.a, sb_str(&f.lock));
  fixture_run(&f, &res);
  ck_assert(res.v[1].joint_there && res.bank_seconds == 0);
  tailor_result_free(&res);
  f.target[1].narrowest = 0.25;
  fixture_run(&f, &res);
  ck_assert_int_eq(res.v[1].joint_with, -1);
  ck_assert_double_eq_tol(res.expected, res.v[0].joint_seconds + res.v[1].joint_seconds, 1e-12);
  ck_assert_double_eq(res.bank_seconds, 0); /* it is there */
  tailor_result_free(&res);
  fixture_close(&f);
}
END_TEST

/* How narrow they are is part of what is asked: a longer training gets a factor of its own. */
START_TEST(test_narrower_variants_in_a_budget)
{
  Fixture f;
  TailorResult res;
  fixture_open(&f);
  f.n = 1;
  f.graphs = f.plan_only = true;
  f.target[0].widths = 2, f.target[0].narrowest = 0.8;
  f.target[0].limits = (TailorLimits){0};
  fixture_run(&f, &res);
  f.budget = 1.1 * res.expected / TAILOR_TRAINING;
  tailor_result_free(&res);
  for (int narrower = 0; narrower < 2; narrower++) {
    if (narrower) f.target[0].narrowest = 0.5;
    fixture_run(&f, &res);
    ck_assert_msg(res.expected <= TAILOR_TRAINING * f.budget && (res.share < 1) == narrower,
                  "share %g, expected %g of %g", res.share, res.expected, TAILOR_TRAINING * f.budget);
    tailor_result_free(&res);
    f.plan = arena_strdup(f.a, sb_str(&f.lock));
  }
  fixture_close(&f);
}
END_TEST

/* Variants alone: the views of their training are the plan's as much as its length, whatever targets with models come later, in
 * another run or in another round, and when these have gone. */
START_TEST(test_variants_keep_their_views)
{
  Fixture f;
  Hash alone[MOST], more[MOST];
  fixture_open(&f);
  f.graphs = f.beside = f.any_views = true;
  f.views = 2; /* of one model; for several the plan finds that no bank pays */
  f.target[0].widths = 2, f.target[0].narrowest = 0.5;
  f.target[0].limits = (TailorLimits){0}; /* the widest is the original */
  f.n = 1;
  finals(&f, alone);
  f.plan = arena_strdup(f.a, sb_str(&f.lock));
  f.n = 3;
  finals(&f, more);
  expect_slots(&f, " shared tight later ");
  ck_assert(hash_equal(alone[0], more[0]));
  const char *one_by_one = arena_strdup(f.a, sb_str(&f.lock));
  f.plan = NULL;
  f.target[1].round = f.target[2].round = 1;
  finals(&f, more);
  ck_assert_msg(f.ran.len == 0, "in a later round: ran%s", sb_str(&f.ran));
  ck_assert_str_eq(sb_str(&f.lock), one_by_one);
  f.target[1].round = f.target[2].round = 0;
  finals(&f, more); /* all planned at once: without a bank */
  ck_assert_ptr_nonnull(strstr(sb_str(&f.ran), " loose:elastic"));
  ck_assert_ptr_nonnull(strstr(sb_str(&f.said), "they run beside their students"));
  f.plan = arena_strdup(f.a, sb_str(&f.lock));
  f.n = 1;
  finals(&f, alone);
  ck_assert_msg(f.ran.len == 0, "without the others: ran%s", sb_str(&f.ran));
  ck_assert(hash_equal(alone[0], more[0]));
  fixture_close(&f);
}
END_TEST

/* That no bank pays is known after the first plan: what teachers take beside their students is in the budget all the same. */
START_TEST(test_budget_with_a_teacher_beside)
{
  Fixture f;
  TailorResult res;
  fixture_open(&f);
  f.plan_only = f.beside = f.any_views = true;
  fixture_run(&f, &res);
  ck_assert_double_gt(res.beside, 0);
  f.budget = 0.9 * res.expected / TAILOR_TRAINING;
  tailor_result_free(&res);
  fixture_run(&f, &res);
  ck_assert_double_gt(res.beside, 0);
  ck_assert_msg(res.share < 1 && res.expected <= TAILOR_TRAINING * f.budget, "share %g, expected %g of %g",
                res.share, res.expected, TAILOR_TRAINING * f.budget);
  tailor_result_free(&res);
  fixture_close(&f);
}
END_TEST

Suite *suite_tailor_plan(void) {
  Suite *s = suite_create("tailor_plan");
  TCase *t = tcase_create("tailor_plan");
  tcase_add_test(t, test_later_requests);
  tcase_add_test(t, test_later_requests_by_table);
  tcase_add_test(t, test_estimates);
  tcase_add_test(t, test_rounds);
  tcase_add_test(t, test_budget_with_a_teacher_beside);
  tcase_add_test(t, test_variants_in_a_budget);
  tcase_add_test(t, test_variants_are_told);
  tcase_add_test(t, test_narrower_variants_in_a_budget);
  tcase_add_test(t, test_variants_keep_their_views);
  tcase_add_test(t, test_locked_widths_are_judged_again);
  tcase_add_test(t, test_one_memory_is_full);
  tcase_add_test(t, test_other_plan);
  tcase_add_test(t, test_elastic_sharing);
  tcase_add_test(t, test_no_sharing);
  tcase_add_test(t, test_rates);
  tcase_add_test(t, test_time_is_used_up);
  tcase_add_test(t, test_variants_know_the_time);
  tcase_add_test(t, test_begun_is_finished);
  tcase_add_test(t, test_same_name_other_request);
  tcase_add_test(t, test_tail_is_too_late);
  tcase_add_test(t, test_lengths_for_a_budget);
  suite_add_tcase(s, t);
  return s;
}
