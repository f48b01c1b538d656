/* Leases: one holder at a time; a dead one's is taken over at once, another machine's when it is not touched any more;
 * damaged ones expire; of two that take over at once, one does.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ir/base/file.h"
#include "ir/base/strbuf.h"
#include "passes/steps/lease.h"
#include "tests/support.h"

static const Hash KEY = {.hi = 0xab54a98ceb1f0ad2u, .lo = 7};

typedef struct Fixture {
  Arena *a;
  Diag *d;
  StrBuf log;
  Host host;
  Cache *c;
  const char *path; /* of KEY's lease */
} Fixture;

static void keep_line(void *ctx, const char *line) { sb_printf(ctx, "%s\n", line); }

static void begin(Fixture *f, const char *name) {
  *f = (Fixture){.a = arena_new(), .d = diag_new()};
  f->host = (Host){.ctx = &f->log, .log = keep_line, .threads = 1};
  f->c = cache_open(path_join(f->a, test_tmp_dir(), name), &f->host, f->d);
  ck_assert_msg(f->c != NULL, "%s", diag_text(f->d));
  char hex[HASH_HEX];
  hash_hex(KEY, hex);
  f->path = arena_printf(f->a, "%s/lease/%s", cache_dir(f->c), hex);
}

static void end(Fixture *f) {
  cache_close(f->c);
  sb_free(&f->log);
  diag_free(f->d);
  arena_free(f->a);
}

static LeaseState take(Fixture *f, Lease **l) {
  Holder who;
  return lease_take(f->c, KEY, LEASE_BEAT, l, &who);
}

/* Take it and give it back at once. */
static LeaseState try_it(Fixture *f) {
  Lease *l;
  LeaseState s = take(f, &l);
  lease_release(l);
  return s;
}

static void age(const char *path, time_t seconds) {
  struct timespec now, t[2];
  clock_gettime(CLOCK_REALTIME, &now);
  now.tv_sec -= seconds;
  t[0] = t[1] = now;
  ck_assert_int_eq(utimensat(AT_FDCWD, path, t, 0), 0);
}

static void write_holder(Fixture *f, const Holder *h) {
  StrBuf line = {0};
  holder_print(h, &line);
  ck_assert(file_make_dirs(path_dir(f->a, f->path), f->d));
  test_write_file(f->path, line.s, line.len);
  sb_free(&line);
}

/* ---- Holders */

START_TEST(test_holder)
{
  Holder me = holder_self(), other = holder_self(), got;
  ck_assert(!hash_equal(me.nonce, other.nonce));
  ck_assert_int_eq(me.pid, getpid());
  ck_assert_int_eq(holder_state(&me), HOLDER_LIVES);
  StrBuf line = {0};
  holder_print(&me, &line);
  ck_assert(holder_parse(line.s, line.len, &got));
  ck_assert_str_eq(got.host, me.host);
  ck_assert(hash_equal(got.nonce, me.nonce) && hash_equal(got.machine, me.machine));
  ck_assert(got.pid == me.pid && got.started == me.started);
  for (size_t i = 0; i < line.len; i++)
    for (int bit = 0; bit < 8; bit++) {
      line.s[i] = (char)(line.s[i] ^ 1 << bit);
      ck_assert_msg(!holder_parse(line.s, line.len, &got), "bit %d of byte %zu: not noticed", bit, i);
      line.s[i] = (char)(line.s[i] ^ 1 << bit);
    }
  for (size_t n = 0; n < line.len; n++) ck_assert(!holder_parse(line.s, n, &got));
  other.started++;
  ck_assert_int_eq(holder_state(&other), HOLDER_DEAD); /* another process of that number */
  other.machine.lo++;
  ck_assert_int_eq(holder_state(&other), HOLDER_AWAY);
  sb_free(&line);
}
END_TEST

/* Killed, and not yet waited for: dead all the same. */
START_TEST(test_zombie)
{
  pid_t child = fork();
  if (child == 0) pause();
  int64_t started = process_started(child);
  ck_assert_int_gt(started, 0);
  ck_assert(process_lives(child, started));
  kill(child, SIGKILL);
  siginfo_t info;
  ck_assert_int_eq(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
  ck_assert(!process_lives(child, started));
  waitpid(child, NULL, 0);
  ck_assert(!process_lives(child, started));
}
END_TEST

/* ---- Leases */

START_TEST(test_one_at_a_time)
{
  Fixture f;
  begin(&f, "one");
  Lease *l, *second;
  ck_assert_int_eq(take(&f, &l), LEASE_TAKEN);
  Holder who;
  ck_assert_int_eq(lease_take(f.c, KEY, 1, &second, &who), LEASE_BUSY);
  ck_assert_ptr_null(second);
  ck_assert_int_eq(who.pid, getpid());
  ck_assert(lease_lives(f.c, f.path, LEASE_EXPIRES, &who));
  lease_release(l);
  ck_assert(!file_exists(f.path));
  ck_assert_int_eq(try_it(&f), LEASE_TAKEN);
  ck_assert_uint_eq(f.log.len, 0);
  end(&f);
}
END_TEST

START_TEST(test_holder_is_killed)
{
  Fixture f;
  begin(&f, "killed");
  int ready[2];
  ck_assert_int_eq(pipe(ready), 0);
  pid_t child = fork();
  if (child == 0) {
    Lease *l;
    char ok = take(&f, &l) == LEASE_TAKEN;
    if (write(ready[1], &ok, 1) == 1) pause();
    _exit(0);
  }
  char ok = 0;
  ck_assert_int_eq(read(ready[0], &ok, 1), 1);
  ck_assert(ok);
  ck_assert_int_eq(try_it(&f), LEASE_BUSY);
  kill(child, SIGKILL);
  siginfo_t info;
  ck_assert_int_eq(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
  ck_assert_int_eq(try_it(&f), LEASE_TAKEN);
  const char *want = arena_printf(f.a, "cache: process %d on ", (int)child);
  ck_assert_msg(strstr(f.log.s, want) && strstr(f.log.s, "died over step ab54a98c: taken over"), "got %s",
                f.log.s);
  waitpid(child, NULL, 0);
  end(&f);
}
END_TEST

START_TEST(test_another_machine)
{
  Fixture f;
  begin(&f, "away");
  Holder other = holder_self();
  other.machine.hi ^= 1;
  other.pid = 1;
  write_holder(&f, &other);
  ck_assert_int_eq(try_it(&f), LEASE_BUSY);
  age(f.path, LEASE_EXPIRES - 5);
  ck_assert_int_eq(try_it(&f), LEASE_BUSY);
  age(f.path, LEASE_EXPIRES + 5);
  ck_assert_int_eq(try_it(&f), LEASE_TAKEN);
  end(&f);
}
END_TEST

START_TEST(test_damaged)
{
  static const char *const texts[] = {"", "mistify holder 1 ", "nonsense\n"};
  Fixture f;
  begin(&f, "damaged");
  ck_assert_int_eq(try_it(&f), LEASE_TAKEN); /* makes the folder */
  for (int i = 0; i < 3; i++) {
    test_write_file(f.path, texts[i], strlen(texts[i]));
    ck_assert_int_eq(try_it(&f), LEASE_BUSY); /* may be just being written */
    age(f.path, LEASE_UNREADABLE + 2);
    ck_assert_int_eq(try_it(&f), LEASE_TAKEN);
    ck_assert(!file_exists(f.path));
  }
  end(&f);
}
END_TEST

/* Who was thought dead gives nothing back that is another's. */
START_TEST(test_taken_over_meanwhile)
{
  Fixture f;
  begin(&f, "over");
  Lease *l;
  ck_assert_int_eq(take(&f, &l), LEASE_TAKEN);
  ck_assert_int_eq(unlink(f.path), 0);
  Lease *other;
  ck_assert_int_eq(take(&f, &other), LEASE_TAKEN);
  lease_release(l);
  ck_assert(file_exists(f.path));
  lease_release(other);
  ck_assert(!file_exists(f.path));
  end(&f);
}
END_TEST

START_TEST(test_heartbeat)
{
  Fixture f;
  begin(&f, "beat");
  Lease *l;
  Holder who;
  struct stat st;
  ck_assert_int_eq(lease_take(f.c, KEY, 0.02, &l, &who), LEASE_TAKEN);
  age(f.path, 1000);
  for (int i = 0; i < 200; i++) {
    struct timespec t = {.tv_nsec = 10000000};
    nanosleep(&t, NULL);
    ck_assert_int_eq(stat(f.path, &st), 0);
    if (time(NULL) - st.st_mtime < 100) break;
  }
  ck_assert_msg(time(NULL) - st.st_mtime < 100, "not touched in two seconds");
  lease_release(l);
  end(&f);
}
END_TEST

START_TEST(test_no_folder)
{
  Fixture f;
  begin(&f, "none");
  ck_assert(file_remove_tree(cache_dir(f.c)));
  test_write_file(cache_dir(f.c), "in the way", 10);
  ck_assert_int_eq(try_it(&f), LEASE_NONE);
  end(&f);
}
END_TEST

/* Two processes find the same dead lease, again and again: each time one of them takes it. */
START_TEST(test_two_take_over)
{
  enum { ROUNDS = 30 };
  Fixture f;
  begin(&f, "race");
  Holder dead = holder_self();
  dead.started++;
  for (int i = 0; i < ROUNDS; i++) {
    write_holder(&f, &dead);
    int go[2], won = 0;
    ck_assert_int_eq(pipe(go), 0);
    pid_t child[2];
    for (int k = 0; k < 2; k++) {
      child[k] = fork();
      if (child[k] != 0) continue;
      char c;
      Lease *l;
      close(go[1]);
      if (read(go[0], &c, 1) != 0) _exit(2); /* until the parent closes its end */
      _exit(take(&f, &l) == LEASE_TAKEN);    /* and keeps it */
    }
    close(go[0]);
    close(go[1]);
    for (int k = 0; k < 2; k++) {
      int status;
      waitpid(child[k], &status, 0);
      ck_assert(WIFEXITED(status) && WEXITSTATUS(status) < 2);
      won += WEXITSTATUS(status);
    }
    /* The second may come when the first has ended, holding it: dead again, and rightly taken over. */
    ck_assert_int_ge(won, 1);
    ck_assert_int_eq(unlink(f.path), 0);
  }
  CacheStats s;
  ck_assert(cache_stats(f.c, &s, f.d));
  ck_assert_int_eq(s.leftovers, 0);
  end(&f);
}
END_TEST

START_TEST(test_upkeep)
{
  Fixture f;
  begin(&f, "upkeep");
  Lease *l;
  ck_assert_int_eq(take(&f, &l), LEASE_TAKEN);
  Holder dead = holder_self();
  dead.started++;
  const char *live = f.path;
  f.path = arena_printf(f.a, "%s/lease/%032d", cache_dir(f.c), 5);
  write_holder(&f, &dead);
  CacheStats s;
  ck_assert(cache_stats(f.c, &s, f.d));
  ck_assert_int_eq(s.leases, 1);
  ck_assert_int_eq(s.leftovers, 1);
  ck_assert(cache_gc(f.c, 1 << 20, &s, f.d));
  ck_assert_int_eq(s.leftovers, 1);
  ck_assert(!file_exists(f.path) && file_exists(live));
  lease_release(l);
  end(&f);
}
END_TEST

/* Whoever sees a lease sees whose it is. */
START_TEST(test_never_without_its_line)
{
  enum { SEEN = 300, MOST = 2000000 };
  Fixture f;
  begin(&f, "whole");
  pid_t child = fork();
  while (child == 0) try_it(&f);
  int seen = 0;
  for (int i = 0; i < MOST && seen < SEEN; i++) {
    char text[512];
    Holder who;
    int fd = open(f.path, O_RDONLY);
    if (fd < 0) continue;
    const ssize_t n = read(fd, text, sizeof text);
    close(fd);
    seen++;
    if (n < 0 || !holder_parse(text, (size_t)n, &who)) {
      kill(child, SIGKILL);
      ck_abort_msg("seen %d times, and then with %d bytes", seen, (int)n);
    }
  }
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  ck_assert_int_eq(seen, SEEN);
  end(&f);
}
END_TEST

Suite *suite_leases(void);
Suite *suite_leases(void) {
  Suite *s = suite_create("leases");
  TCase *t = tcase_create("leases");
  tcase_add_test(t, test_holder);
  tcase_add_test(t, test_never_without_its_line);
  tcase_add_test(t, test_zombie);
  tcase_add_test(t, test_one_at_a_time);
  tcase_add_test(t, test_holder_is_killed);
  tcase_add_test(t, test_another_machine);
  tcase_add_test(t, test_damaged);
  tcase_add_test(t, test_taken_over_meanwhile);
  tcase_add_test(t, test_heartbeat);
  tcase_add_test(t, test_no_folder);
  tcase_add_test(t, test_two_take_over);
  tcase_add_test(t, test_upkeep);
  suite_add_tcase(s, t);
  return s;
}
