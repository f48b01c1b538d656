/* `mistify plan`: what it says, what it leaves for `tailor`, what it says after a run; and simulated requests. */
#include <stdlib.h>
#include <string.h>

#include "ir/base/file.h"
#include "ir/base/json.h"
#include "tests/cli/task.h"
#include "tests/support.h"

Suite *suite_cli_plan(void);

static const char design[] = "name: net\nfreedom:\n  prune: {min_channels: 1}\n  retrain: {images: 128, "
                             "batch: 16}\ninput: {type: float}\ndata:\n  classes: 4\n",
                  deploy[] = "design: design.yaml\nseed: 1\ncache: cache\nout: out\ntargets:\n"
                             "  - {name: whole, target: x86-64}\n"
                             "  - {name: large, target: x86-64, limits: {macs: 80%}}\n"
                             "  - {name: small, target: x86-64, limits: {macs: 40%}}\n"
                             "  - {name: twin, target: x86-64, limits: {macs: 40%}, precision: float32}\n",
                  more[] = "targets:\n  - {name: middle, target: x86-64, limits: {macs: 60%}}\n",
                  tiny[] = "targets:\n  - {name: tiny, target: x86-64, limits: {macs: 10}}\n";

static void open_task(Arena *a) {
  task_open(a);
  task_write_design(a, "design.yaml", design);
  task_write_text(a, "deploy.yaml", deploy);
  task_write_text(a, "more.yaml", more);
  task_write_text(a, "tiny.yaml", tiny);
}

/* The member of array `key` whose `name` is `value`. */
static const Json *named(const Json *j, const char *key, const char *name, const char *value) {
  for (const Json *m = json_get(j, key) ? json_get(j, key)->first : NULL; m; m = m->next)
    if (strcmp(json_get_str(m, name, ""), value) == 0) return m;
  ck_abort_msg("%s has no %s \"%s\"", key, name, value);
  return NULL;
}

static int64_t images_of(const Json *plan) {
  int64_t n = 0;
  for (const Json *m = json_get(plan, "models")->first; m; m = m->next) n += json_get_int(m, "images", 0);
  return n;
}

static int reused(const Json *plan) {
  int n = 0;
  for (const Json *m = json_get(plan, "models")->first; m; m = m->next)
    n += json_get_bool(m, "trained_already", false);
  return n;
}

START_TEST(planned_then_run)
{
  Arena *a = arena_new();
  open_task(a);
  task_must(a, "cd $T && $M plan deploy.yaml --graphs > text 2> log || { cat text log; exit 1; }\n"
               "grep -q 'whole: the original fits' text && grep -q '^    small .*also for twin' text &&\n"
               "grep -q 'Saving:' text && grep -q 'To come: 2 of 2.*; 3 x score' text && grep -q 'defaults' "
               "text || { cat "
               "text; exit 1; }\n"
               "test -f out/plan.lock && test ! -e out/report.json && ! grep -q 'retrain .*done' log");
  const Json *plan = task_json(a, "out/plan.json");
  ck_assert_str_eq(json_get_str(named(plan, "models", "name", "small"), "parent", ""), "large");
  ck_assert_str_eq(json_get_str(named(plan, "targets", "target", "twin"), "model", ""), "small");
  ck_assert(json_get_bool(named(plan, "targets", "target", "whole"), "met", false));
  ck_assert_int_eq(reused(plan), 0);
  /* tailor goes on from it: nothing before training is done twice, and the plan stays */
  task_must(a, "cd $T && cp out/plan.lock first && $M tailor deploy.yaml --graphs > text 2> log && cmp first "
               "out/plan.lock || { cat text log; exit 1; }\n"
               "! grep -E '^(table|allocate|prepare).*: runs' log && test -f cache/costs &&\n"
               "grep -q '2 of 2 models were trained' text || { cat text log; exit 1; }");
  const Json *report = task_json(a, "out/report.json"), *after = json_get(report, "plan");
  const Json *small = named(after, "models", "name", "small");
  ck_assert(json_get_num(small, "actual_seconds", -1) >= 0);
  ck_assert(json_get_num(small, "estimated_seconds", -1) > 0);
  ck_assert_int_eq(json_get_int(json_get(after, "trained"), "models", -1), 2);
  arena_free(a);
}
END_TEST

START_TEST(what_is_there_and_what_joins)
{
  Arena *a = arena_new();
  open_task(a);
  task_must(
      a,
      "cd $T && $M tailor deploy.yaml --graphs --quiet > text && $M plan deploy.yaml --graphs --quiet "
      "> text && grep -q 'To come: 0 of 2' text && grep -c 'planned before, trained already' text | grep -qx "
      "2 || { cat text; exit 1; }");
  task_must(
      a, "cd $T && $M plan deploy.yaml --add more.yaml --graphs --quiet > text && grep -q 'To come: 1 of 3' "
         "text && grep -q 'frozen in the earlier plan' text || { cat text; exit 1; }");
  const Json *plan = task_json(a, "out/plan.json");
  ck_assert_int_eq(reused(plan), 2);
  ck_assert_str_eq(json_get_str(named(plan, "models", "name", "middle"), "parent", ""), "large");
  /* another folder of results: a new plan, by what was measured */
  task_must(
      a,
      "cd $T && $M plan deploy.yaml --graphs --quiet -o other > text && grep -q 'from 2 trainings' text || "
      "{ cat text; exit 1; }");
  arena_free(a);
}
END_TEST

/* As little time as there can be: the plan shortens, tailor begins nothing and says so; what was finished stays delivered. */
START_TEST(a_time_budget)
{
  Arena *a = arena_new();
  open_task(a);
  task_must(
      a, "cd $T && $M plan deploy.yaml --graphs --quiet -o long > text &&\n"
         "$M plan deploy.yaml --graphs --quiet --time-budget 1ms -o short > text &&\n"
         "grep -q 'Time budget: 0.001 s' text && grep -q 'more than there is:' text || { cat text; exit 1; "
         "}");
  const Json *plan = task_json(a, "short/plan.json"), *time = json_get(plan, "budget");
  ck_assert_double_eq(json_get_num(time, "seconds", -1), 0.001);
  ck_assert_int_eq(json_get_int(named(plan, "models", "name", "small"), "images", 0), 16);
  const double kept = (double)images_of(plan) / (double)images_of(task_json(a, "long/plan.json"));
  const char *told =
      arena_printf(a, "shortened to %.0f %% of their lengths, for a time budget of 0.001 s", 100 * kept);
  ck_assert_double_eq_tol(json_get_num(time, "lengths_shortened_to", -1), kept, 1e-9);
  char *out;
  ck_assert_int_eq(
      task_shell(a, "cd $T && $M tailor deploy.yaml --graphs --quiet --time-budget 1ms -o short -j 2", &out),
      2);
  ck_assert_msg(strstr(out, "small: not begun: the time budget of 0.001 s was used up") &&
                    strstr(out, "NO TIME"),
                "%s", out);
  free(out);
  const Json *report = task_json(a, "short/report.json"),
             *small = named(report, "targets", "target", "small");
  ck_assert(json_get_bool(small, "out_of_time", false) && !json_get_bool(small, "delivered", true));
  ck_assert(json_get_bool(named(report, "targets", "target", "whole"), "delivered", false));
  task_must(
      a, "cd $T && grep -q 'not begun: the time budget' short/report.html && test ! -e short/small &&\n"
         "test -e short/whole/model.mistify && $M tailor deploy.yaml --graphs --quiet -o short > text &&\n"
         "$M tailor deploy.yaml --graphs --quiet --time-budget 1h -o short > text || { cat text; exit 1; }");
  task_must(a, arena_printf(a, "cd $T && grep '%s' text || { cat text; exit 1; }", told));
  /* lengths are those of the plan; what they are compared with is this run's */
  task_must(a,
            arena_printf(a,
                         "cd $T && $M plan deploy.yaml --graphs --quiet --time-budget 1h -o short > text &&\n"
                         "grep 'Time budget: 1 h' text && grep '%s' text && ! grep 'more than there is' text "
                         "|| { cat text; exit 1; }",
                         told));
  arena_free(a);
}
END_TEST

/* --add means the same whether or not, and by which command, the others were planned before. */
START_TEST(added_is_added)
{
  Arena *a = arena_new();
  open_task(a);
  task_write_text(a, "big.yaml", "targets:\n  - {name: big, target: x86-64, limits: {macs: 90%}}\n");
  task_must(
      a,
      "cd $T && $M plan deploy.yaml --graphs --quiet -o two > text && $M plan deploy.yaml --add big.yaml "
      "--graphs --quiet -o two > text && $M plan deploy.yaml --add big.yaml --graphs --quiet -o one > text\n"
      "! grep -q 'planned before' text && cmp one/plan.lock two/plan.lock || { cat text; exit 1; }\n"
      "$M plan deploy.yaml --add big.yaml tiny.yaml --graphs --quiet -o three > text; test $? -eq 2 &&\n"
      "cmp one/plan.lock three/plan.lock &&\n"
      "$M tailor deploy.yaml --add big.yaml --graphs --quiet > text && cmp one/plan.lock out/plan.lock");
  arena_free(a);
}
END_TEST

/* Another plan's entries go, also those that were used later; this one's stay, although they are more than the limit. */
START_TEST(cache_keeps_to_its_size)
{
  Arena *a = arena_new();
  open_task(a);
  task_must(
      a, "cd $T && $M tailor deploy.yaml --graphs --quiet > text && keys() { $M cache ls --cache cache | awk "
         "'{print $NF}' | sort; }\nkeys > own &&\n"
         "sed s/seed:.1/seed:\\ 2/ deploy.yaml > other.yaml &&\n"
         "$M tailor other.yaml -o other --graphs --quiet > text && keys > both\n"
         "test $(wc -l < both) -gt $(wc -l < own)");
  task_must(a, "cd $T && keys() { $M cache ls --cache cache | awk '{print $NF}' | sort; }\n"
               "$M tailor deploy.yaml --graphs --cache-max 1 > text 2> log || { cat text log; exit 1; }\n"
               "! grep -E ': (runs|again)' log || exit 1\n"
               "grep -q '0 of 2 models were trained, 2 taken from the cache' text || { cat text; exit 1; }\n"
               "keys > left && test $(wc -l < left) -gt 10 && test -z \"$(comm -13 own left)\" || { cat log; "
               "exit 1; }\n"
               "$M tailor deploy.yaml --graphs > text 2> log && ! grep -E ': (runs|again)' log || exit 1\n"
               "$M tailor other.yaml -j 1 -o other --graphs > text 2> log && grep -q ': again' log");
  task_want_error(a, "cd $T && $M tailor deploy.yaml --cache-max some", "--cache-max some: want");
  task_want_error(a, "cd $T && $M plan deploy.yaml --cache-max 0", "want 1 or more");
  arena_free(a);
}
END_TEST

/* A tail of a member sees other images than the elastic model did, and is no training that the plan estimated. */
START_TEST(tails_of_an_elastic_model)
{
  Arena *a = arena_new();
  open_task(a);
  task_must(
      a,
      "cd $T && { grep -v -e whole -e twin deploy.yaml; echo '  - {name: best, target: x86-64, limits: "
      "{macs: 60%}, accuracy: {min: 100%}}'; } > floor.yaml\n"
      "$M tailor floor.yaml -j 1 --graphs --sharing elastic > text 2> log; test $? -eq 2 && grep -q 'retrain "
      "best.*done' log && grep -q 'best: .* tail of 128 images behind the 256' log || { cat text log; "
      "exit 1; }\n"
      "! grep -q images cache/costs && grep -q ' 0 of . models were trained' text || { cat text "
      "cache/costs; exit 1; }");
  arena_free(a);
}
END_TEST

START_TEST(limits_that_nothing_meets)
{
  Arena *a = arena_new();
  open_task(a);
  char *out;
  ck_assert_int_eq(
      task_shell(a, "cd $T && $M plan deploy.yaml --add tiny.yaml --graphs --quiet --json", &out), 2);
  ck_assert_msg(strstr(out, "\"tiny\"") && strstr(out, "no model of this family fits"), "%s", out);
  free(out);
  const Json *plan = task_json(a, "out/plan.json");
  ck_assert(!json_get_bool(named(plan, "targets", "target", "tiny"), "met", true));
  ck_assert(json_get_bool(named(plan, "targets", "target", "small"), "met", false));
  arena_free(a);
}
END_TEST

START_TEST(wrong_use)
{
  Arena *a = arena_new();
  open_task(a);
  task_want_error(a, "$M plan", "DEPLOY is missing");
  task_want_error(a, "cd $T && $M plan deploy.yaml --arriving", "--arriving goes with --simulate");
  task_want_error(a, "cd $T && $M plan deploy.yaml --simulate 5 --only small", "do not go with it");
  task_want_error(a, "cd $T && $M plan deploy.yaml --time-budget 30", "want a time with its unit");
  task_want_error(a, "cd $T && $M plan deploy.yaml --time-budget 0s", "want more than 0");
  task_want_error(a, "$M plan --simulate 5 --time-budget 1h", "does not go with");
  task_want_error(a, "cd $T && OMPI_COMM_WORLD_SIZE=2 $M plan deploy.yaml --time-budget 1h",
                  "a time budget of 2 ranks wants the number of cores");
  task_want_error(a, "$M plan --simulate 1000000", "want at most 100000");
  task_want_error(a, "cd $T && $M plan deploy.yaml --sharing some", "want tree, chain, elastic or none");
  task_must(a, "$M plan --help | grep -q 'joint ancestor'");
  arena_free(a);
}
END_TEST

/* ---- Simulated requests */

static const Json *simulate(Arena *a, const char *options) {
  task_must(a, arena_printf(a, "cd $T && $M plan %s --json > sim.json", options));
  return task_json(a, "sim.json");
}

static double training(const Json *j, const char *way) {
  return json_get_num(json_get(json_get(j, "together"), way), "training_seconds", -1);
}

START_TEST(ten_thousand_together)
{
  Arena *a = arena_new();
  const Json *j = simulate(a, "--simulate 10000");
  ck_assert_int_eq(json_get_int(j, "requests", 0), 10000);
  ck_assert(training(j, "tree") > 0 && training(j, "tree") < training(j, "chain"));
  ck_assert(training(j, "chain") < training(j, "none"));
  ck_assert(json_get_num(j, "peak_memory_bytes", 2e9) < 1e9);
  ck_assert_int_gt(json_get_int(json_get(json_get(j, "together"), "tree"), "joint", 0), 0);
  arena_free(a);
}
END_TEST

START_TEST(one_by_one)
{
  Arena *a = arena_new();
  const Json *j = simulate(a, "--simulate 300 --arriving --seed 3");
  const Json *one = json_get(j, "arriving"), *cost = json_get(j, "training_seconds_of_one");
  double sum = 0;
  int n = 0;
  for (const Json *v = json_get(j, "arrivals")->first; v; v = v->next, n++)
    sum += json_get_num(v, "training_seconds", -1);
  ck_assert_int_eq(n, 300);
  const double all = json_get_num(one, "training_seconds", -1);
  ck_assert_double_eq_tol(sum, all, 1e-6 * all);
  ck_assert_double_eq_tol(json_get_num(cost, "mean", -1), all / 300, 1e-6 * all);
  ck_assert(json_get_num(cost, "p50", -1) <= json_get_num(cost, "p95", -2));
  /* who cannot look ahead pays for it, and still less than without sharing */
  ck_assert(all > training(j, "tree") && all < training(j, "none"));
  arena_free(a);
}
END_TEST

START_TEST(of_a_model)
{
  Arena *a = arena_new();
  open_task(a);
  const Json *j = simulate(a, "deploy.yaml --simulate 50");
  ck_assert_int_eq(json_get_int(j, "units", 0), 8);
  ck_assert_int_eq(json_get_int(j, "full_retraining_images", 0), 128);
  ck_assert_int_le(json_get_int(json_get(json_get(j, "together"), "tree"), "models", 99), 8);
  arena_free(a);
}
END_TEST

Suite *suite_cli_plan(void) {
  Suite *s = suite_create("cli_plan");
  TCase *t = tcase_create("plan by the command");
  tcase_set_timeout(t, 120);
  tcase_add_test(t, planned_then_run);
  tcase_add_test(t, what_is_there_and_what_joins);
  tcase_add_test(t, a_time_budget);
  tcase_add_test(t, added_is_added);
  tcase_add_test(t, cache_keeps_to_its_size);
  tcase_add_test(t, tails_of_an_elastic_model);
  tcase_add_test(t, limits_that_nothing_meets);
  tcase_add_test(t, wrong_use);
  tcase_add_test(t, ten_thousand_together);
  tcase_add_test(t, one_by_one);
  tcase_add_test(t, of_a_model);
  suite_add_tcase(s, t);
  return s;
}
