/* RAM by region: limits of single memories in deploy.yaml, what is put where, and what is said of a memory that is too small. */
#include <stdlib.h>
#include <string.h>

#include "ir/base/file.h"
#include "ir/base/json.h"
#include "tests/cli/task.h"
#include "tests/support.h"

Suite *suite_cli_regions(void);

static const char design[] = "name: net\nfreedom:\n  prune: {min_channels: 1}\n  retrain: {images: 64, "
                             "batch: 16}\ninput: {type: float}\ndata:\n  classes: 4\n",
                  head[] = "design: design.yaml\nseed: 1\ncache: cache\nout: out\ntargets:\n",
                  board[] = "name: own\ntarget: x86-64\nram: 4KiB\nfast: 1KiB\n";

static void open_task(Arena *a, const char *targets) {
  task_open(a);
  task_write_design(a, "design.yaml", design);
  task_write_text(a, "own.yaml", board);
  task_write_text(a, "deploy.yaml", arena_printf(a, "%s%s", head, targets));
}

static const Json *target_of(Arena *a, const char *name) {
  const Json *j = task_json(a, "out/report.json");
  for (const Json *t = json_get(j, "targets")->first; t; t = t->next)
    if (strcmp(json_get_str(t, "target", ""), name) == 0) return t;
  ck_abort_msg("no target %s", name);
  return NULL;
}

/* Bytes (or the limit) of a memory; -1: it is not used. */
static int64_t of_region(const Json *target, const char *region, const char *key) {
  const Json *list = json_get(json_get(target, "measured"), "ram_by_region");
  for (const Json *r = list ? list->first : NULL; r; r = r->next)
    if (strcmp(json_get_str(r, "region", ""), region) == 0) return json_get_int(r, key, -2);
  return -1;
}

/* Built and run: the sum of what lies in the memories is what was linked, each within its limit. */
START_TEST(each_within_its_limit)
{
  Arena *a = arena_new();
  open_task(a, "  - {name: parts, board: own.yaml, limits: {ram: {fast: 100}}}\n"
               "  - {name: plain, board: own.yaml, limits: {ram: 1KiB}}\n"
               "  - {name: none, board: own.yaml, limits: {ram: {fast: 0, main: 600}}}\n");
  task_must(
      a,
      "cd $T && $M tailor deploy.yaml --quiet > text || { cat text; exit 1; }\n"
      "grep -q 'fast [0-9]* of 100, main ' text && grep -q 'fast [0-9]* of 100, main ' out/report.html &&\n"
      "grep -q NET_ARENA_FAST_SIZE out/parts/model.h && ! grep -q FAST out/plain/model.h out/none/model.h");
  const Json *parts = target_of(a, "parts"), *none = target_of(a, "none");
  const int64_t fast = of_region(parts, "fast", "bytes"), main = of_region(parts, "main", "bytes");
  ck_assert_msg(fast > 0 && fast <= 100 && main > 0, "fast %lld main %lld", (long long)fast, (long long)main);
  ck_assert_int_eq(of_region(parts, "main", "limit"), 3072);
  ck_assert_int_eq(fast + main, json_get_int(json_get(parts, "measured"), "ram", 0));
  ck_assert_int_eq(json_get_int(json_get(parts, "limits"), "ram", 0), 3172);
  ck_assert_int_eq(json_get_int(json_get(none, "limits"), "ram", 0), 600);
  ck_assert_int_eq(of_region(target_of(a, "plain"), "main", "bytes"), -1);
  arena_free(a);
}
END_TEST

/* Too small for the original: channels go until each memory holds its part; too small for any: it is named. */
START_TEST(a_memory_that_is_too_small)
{
  Arena *a = arena_new();
  open_task(a, "  - {name: tight, target: x86-64, limits: {ram: {fast: 80, main: 120}}}\n"
               "  - {name: tiny, target: x86-64, limits: {ram: {fast: 64, main: 9}}}\n");
  char *out;
  ck_assert_int_eq(task_shell(a, "cd $T && $M tailor deploy.yaml --graphs --quiet", &out), 2);
  ck_assert_msg(strstr(out, "tiny: no model of this family fits") && strstr(out, "RAM in the main memory ") &&
                    strstr(out, " bytes, limit 9"),
                "%s", out);
  free(out);
  const Json *tight = target_of(a, "tight");
  ck_assert_msg(json_get_bool(tight, "met", false), "%s", json_get_str(tight, "why", ""));
  ck_assert_int_lt(json_get_int(tight, "macs", 1 << 30), 1664);
  ck_assert_int_le(of_region(tight, "main", "bytes"), 120);
  ck_assert_int_le(of_region(tight, "fast", "bytes"), 80);
  arena_free(a);
}
END_TEST

START_TEST(wrong_limits)
{
  Arena *a = arena_new();
  open_task(a, "  - {name: a, board: own.yaml, limits: {ram: {external: 1KiB}}}\n"
               "  - {name: b, board: own.yaml, limits: {ram: {fast: 2KiB}}}\n");
  task_want_error(a, "cd $T && $M plan deploy.yaml --only a",
                  "deploy.yaml:6:47: error: limit \"external\": the board own has no such memory");
  task_want_error(a, "cd $T && $M plan deploy.yaml --only b",
                  "deploy.yaml:7:47: error: limit \"fast\" is more than the board own has (1 KiB)");
  task_must(a, "$M tailor --help | grep -q 'ram: SIZE, or'");
  arena_free(a);
}
END_TEST

Suite *suite_cli_regions(void) {
  Suite *s = suite_create("cli_regions");
  TCase *t = tcase_create("RAM by region");
  tcase_set_timeout(t, 120);
  tcase_add_test(t, each_within_its_limit);
  tcase_add_test(t, a_memory_that_is_too_small);
  tcase_add_test(t, wrong_limits);
  suite_add_tcase(s, t);
  return s;
}
