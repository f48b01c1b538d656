/* What is removed and what is not: a run that lives keeps what it has read and written, whoever shrinks the folder; a limit
 * is kept by every put.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ir/base/file.h"
#include "passes/steps/lease.h"
#include "tests/steps/runs.h"
#include "tests/support.h"

enum { BYTES = 4000 };

static Hash key_of(int i) { return hash_bytes(&i, sizeof i); }

static void put(Runs *f, int i) {
  char bytes[BYTES] = {0};
  Artifact art = artifact_from_bytes(ART_STATS, bytes, sizeof bytes);
  ck_assert_msg(cache_put(f->c, key_of(i), "test", &art, 1, f->d), "%s", diag_text(f->d));
  artifact_unref(&art);
}

static bool have(Runs *f, int i) {
  Artifact out[CACHE_MAX_ARTIFACTS];
  int n = 0;
  if (!cache_get(f->c, key_of(i), out, &n)) return false;
  for (int k = 0; k < n; k++) artifact_unref(&out[k]);
  return true;
}

/* Entry i was last used i seconds after the beginning of time. */
static void set_used(Runs *f, int i) {
  char hex[HASH_HEX];
  hash_hex(key_of(i), hex);
  struct timespec t[2] = {{.tv_sec = 1000 + i}, {.tv_sec = 1000 + i}};
  const char *path = arena_printf(f->a, "%s/%.2s/%s", cache_dir(f->c), hex, hex);
  ck_assert_int_eq(utimensat(AT_FDCWD, path, t, 0), 0);
}

static CacheStats stats(Runs *f) {
  CacheStats s;
  ck_assert_msg(cache_stats(f->c, &s, f->d), "%s", diag_text(f->d));
  return s;
}

/* ---- Pins */

START_TEST(test_pinned_stays)
{
  Runs f;
  CacheStats removed;
  runs_begin(&f, "pinned");
  for (int i = 0; i < 60; i++) put(&f, i);
  for (int i = 0; i < 60; i += 2) cache_pin(f.c, key_of(i)), cache_pin(f.c, key_of(i));
  CacheStats s = stats(&f);
  ck_assert_int_eq(s.entries, 60);
  ck_assert_int_eq(s.pinned, 30);
  ck_assert_int_eq(s.pinned_bytes * 2, s.bytes);
  ck_assert_int_eq(s.runs, 1);
  ck_assert(cache_gc(f.c, 0, &removed, f.d));
  ck_assert_int_eq(removed.entries, 30);
  for (int i = 0; i < 60; i++) ck_assert_int_eq(have(&f, i), i % 2 == 0);
  runs_reopen(&f);
  s = stats(&f);
  ck_assert_int_eq(s.pinned, 0);
  ck_assert_int_eq(s.runs, 0);
  ck_assert(cache_gc(f.c, 0, &removed, f.d));
  ck_assert_int_eq(removed.entries, 30);
  runs_end(&f);
}
END_TEST

/* Of another process, which is killed then. */
START_TEST(test_pins_end_with_their_process)
{
  Runs f;
  CacheStats removed;
  int ready[2];
  char c = 0;
  runs_begin(&f, "process");
  put(&f, 1);
  ck_assert_int_eq(pipe(ready), 0);
  pid_t child = fork();
  if (child == 0) {
    cache_pin(f.c, key_of(1));
    if (write(ready[1], &c, 1) == 1) pause();
    _exit(0);
  }
  ck_assert_int_eq(read(ready[0], &c, 1), 1);
  ck_assert(cache_gc(f.c, 0, &removed, f.d));
  ck_assert_int_eq(removed.entries, 0);
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  ck_assert_int_eq(stats(&f).leftovers, 1);
  ck_assert(cache_gc(f.c, 0, &removed, f.d));
  ck_assert_int_eq(removed.entries, 1);
  ck_assert_int_eq(removed.leftovers, 1);
  ck_assert_int_eq(stats(&f).leftovers, 0);
  runs_end(&f);
}
END_TEST

/* A child that was forked after the first pin pins for its parent, and does not end its run. */
START_TEST(test_children_pin_for_their_parent)
{
  Runs f;
  CacheStats removed;
  runs_begin(&f, "children");
  for (int i = 0; i < 3; i++) put(&f, i);
  cache_pin(f.c, key_of(0));
  pid_t child = fork();
  if (child == 0) {
    cache_pin(f.c, key_of(1));
    cache_close(f.c);
    _exit(0);
  }
  waitpid(child, NULL, 0);
  ck_assert_int_eq(stats(&f).runs, 1);
  ck_assert(cache_gc(f.c, 0, &removed, f.d));
  ck_assert(have(&f, 0) && have(&f, 1) && !have(&f, 2));
  runs_end(&f);
}
END_TEST

/* Steps pin what they make and what they find. */
START_TEST(test_gc_beside_a_plan)
{
  enum { STEPS = 8 };
  Runs f;
  CacheStats removed;
  runs_begin(&f, "plan");
  StepRequest r = runs_slow(&f, "1");
  for (r.seed = 0; r.seed < STEPS / 2; r.seed++) ck_assert(runs_run(&f, &r, NULL, NULL));
  runs_reopen(&f);
  pid_t collector = fork();
  if (collector == 0) {
    Cache *mine = cache_open(cache_dir(f.c), NULL, f.d);
    for (;;) cache_gc(mine, 0, &removed, f.d);
  }
  for (int round = 0; round < 3; round++)
    for (r.seed = STEPS; r.seed-- > 0;) ck_assert(runs_run(&f, &r, NULL, NULL));
  kill(collector, SIGKILL);
  waitpid(collector, NULL, 0);
  /* Those of the first run may have gone before this one asked for them; what this one used, it used on. */
  ck_assert_msg(runs_count(&f) <= STEPS / 2 + STEPS, "%d runs of %d steps", runs_count(&f), STEPS);
  ck_assert_int_eq(stats(&f).pinned, STEPS);
  runs_end(&f);
}
END_TEST

/* Who waits long for another's step, by asking again and again, still pins what it used. */
START_TEST(test_who_waits_keeps_its_pins)
{
  Runs f;
  Lease *l;
  Holder who;
  bool busy = false;
  runs_begin(&f, "waits");
  const StepRequest r = runs_slow(&f, "1");
  f.env.busy = &busy;
  ck_assert_int_eq(lease_take(f.c, step_key(&f.env, &r), LEASE_BEAT, &l, &who), LEASE_TAKEN);
  ck_assert(!runs_run(&f, &r, NULL, NULL) && busy);
  const char *old = "touch -d '1 hour ago' %s/runs/* && %s", *at = cache_dir(f.c);
  char *out;
  const char *fresh = arena_printf(f.a, "find %s/runs -type f -mmin -10 | grep -q .", at);
  ck_assert_int_ne(test_run_command(arena_printf(f.a, old, at, fresh), &out), 0);
  free(out);
  ck_assert(!runs_run(&f, &r, NULL, NULL));
  ck_assert_int_eq(test_run_command(fresh, &out), 0);
  free(out);
  lease_release(l);
  runs_end(&f);
}
END_TEST

/* ---- The limit */

START_TEST(test_limit)
{
  Runs f;
  runs_begin(&f, "limit");
  put(&f, 0);
  const int64_t one = stats(&f).bytes, limit = 16 * one;
  set_used(&f, 0);
  cache_limit(f.c, limit);
  for (int i = 1; i < 100; i++) {
    put(&f, i);
    set_used(&f, i);
    sb_clear(&f.log);
    CacheStats s = stats(&f);
    ck_assert_msg(s.bytes <= limit, "%lld bytes after put %d, limit %lld", (long long)s.bytes, i,
                  (long long)limit);
    ck_assert(have(&f, i));
    set_used(&f, i);
  }
  ck_assert(have(&f, 99) && have(&f, 90) && !have(&f, 50) && !have(&f, 0));
  runs_end(&f);
}
END_TEST

START_TEST(test_limit_keeps_what_is_pinned)
{
  Runs f;
  runs_begin(&f, "limit-pinned");
  put(&f, 0);
  const int64_t one = stats(&f).bytes;
  cache_limit(f.c, 8 * one);
  for (int i = 0; i < 20; i++) {
    cache_pin(f.c, key_of(i));
    put(&f, i);
  }
  ck_assert_int_eq(stats(&f).entries, 20); /* more than the limit: all of it is needed */
  for (int i = 20; i < 40; i++) put(&f, i);
  for (int i = 0; i < 20; i++) ck_assert_msg(have(&f, i), "entry %d is pinned, and gone", i);
  ck_assert_int_le(stats(&f).entries, 20 + 2);
  ck_assert_msg(strstr(f.log.s, "cache: over ") != NULL, "got %s", f.log.s);
  runs_end(&f);
}
END_TEST

Suite *suite_cache_limit(void);
Suite *suite_cache_limit(void) {
  Suite *s = suite_create("cache_limit");
  TCase *t = tcase_create("cache_limit");
  tcase_add_test(t, test_pinned_stays);
  tcase_add_test(t, test_pins_end_with_their_process);
  tcase_add_test(t, test_children_pin_for_their_parent);
  tcase_add_test(t, test_gc_beside_a_plan);
  tcase_add_test(t, test_who_waits_keeps_its_pins);
  tcase_add_test(t, test_limit);
  tcase_add_test(t, test_limit_keeps_what_is_pinned);
  suite_add_tcase(s, t);
  return s;
}
