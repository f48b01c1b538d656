/* Child processes: their output, folder, status; programs that are not there; none outlives who started it. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "backend/measure/measure.h"
#include "ir/base/file.h"
#include "passes/steps/holder.h"
#include "tests/support.h"

Suite *suite_process(void);

typedef struct Fixture {
  Work w;
  const char *log;
} Fixture;

static void begin(Fixture *f) {
  *f = (Fixture){.w = {.tmp = test_tmp_dir(), .arena = arena_new(), .diag = diag_new()}};
}

static void end(Fixture *f) {
  diag_free(f->w.diag);
  arena_free(f->w.arena);
}

static bool shell(Fixture *f, const char *line, int *status, const char **output) {
  const char *const argv[] = {"sh", "-c", line, NULL};
  return process_run(&f->w, argv, f->w.tmp, 60, status, output);
}

START_TEST(test_runs)
{
  Fixture f;
  int status = -1;
  const char *output;
  begin(&f);
  ck_assert(shell(&f, "pwd; echo said >&2; cat; exit 3", &status, &output));
  ck_assert_int_eq(status, 3);
  ck_assert_str_eq(output, arena_printf(f.w.arena, "%s\nsaid\n", f.w.tmp));
  ck_assert(!shell(&f, "kill -TERM $$", &status, &output));
  ck_assert_ptr_nonnull(strstr(diag_text(f.w.diag), "ended by signal 15"));
  end(&f);
}
END_TEST

START_TEST(test_cannot_be_started)
{
  Fixture f;
  int status;
  const char *output, *const argv[] = {"no-such-program", NULL}, *const sh[] = {"sh", "-c", "true", NULL};
  begin(&f);
  ck_assert(!process_run(&f.w, argv, f.w.tmp, 60, &status, &output));
  ck_assert_ptr_nonnull(strstr(diag_text(f.w.diag), "no-such-program: cannot be started: No such file"));
  ck_assert(!process_run(&f.w, sh, "/no/such/folder", 60, &status, &output));
  end(&f);
}
END_TEST

START_TEST(test_does_not_outlive_who_started_it)
{
  Fixture f;
  begin(&f);
  const char *path = path_join(f.w.arena, f.w.tmp, "pid");
  const pid_t helper = fork();
  if (helper == 0) {
    int status;
    const char *output;
    shell(&f, "echo $$ > part && mv part pid && exec sleep 60", &status, &output);
    _exit(0);
  }
  const struct timespec nap = {.tv_nsec = 5000000};
  for (int i = 0; i < 2000 && !file_exists(path); i++) nanosleep(&nap, NULL);
  char *text = file_read(f.w.arena, path, NULL, f.w.diag);
  ck_assert_msg(text != NULL, "%s", diag_text(f.w.diag));
  const int64_t pid = strtoll(text, NULL, 10), started = process_started(pid);
  ck_assert(pid > 0 && process_lives(pid, started));
  kill(helper, SIGKILL);
  waitpid(helper, NULL, 0);
  for (int i = 0; i < 1000 && process_lives(pid, started); i++) nanosleep(&nap, NULL);
  const bool lives = process_lives(pid, started);
  if (lives) kill((pid_t)pid, SIGKILL);
  ck_assert_msg(!lives, "process %lld lives on", (long long)pid);
  end(&f);
}
END_TEST

/* Started without standard files (a service, `<&-`): the child has its own all the same, and failures are told. */
START_TEST(test_without_standard_files)
{
  Fixture f;
  begin(&f);
  const pid_t helper = fork();
  if (helper == 0) {
    int status = -1;
    const char *output = "", *const argv[] = {"no-such-program", NULL};
    for (int fd = 0; fd < 3; fd++) close(fd);
    if (!shell(&f, "cat && echo said && echo more >&2", &status, &output) || status != 0) _exit(2);
    if (strcmp(output, "said\nmore\n") != 0) _exit(3);
    if (process_run(&f.w, argv, f.w.tmp, 60, &status, &output)) _exit(4);
    _exit(strstr(diag_text(f.w.diag), "cannot be started: No such file") ? 0 : 5);
  }
  int got;
  ck_assert_int_eq(waitpid(helper, &got, 0), helper);
  ck_assert_msg(WIFEXITED(got) && WEXITSTATUS(got) == 0, "status %x", (unsigned)got);
  end(&f);
}
END_TEST

/* Handlers of ours are not the child's: one that ran before exec would run in our memory. What is ignored stays ignored. */
static void on_signal(int sig) { (void)sig; }

START_TEST(test_signals)
{
  Fixture f;
  int status = -1;
  const char *output;
  begin(&f);
  ck_assert(signal(SIGTERM, on_signal) != SIG_ERR && signal(SIGINT, SIG_IGN) != SIG_ERR);
  ck_assert(shell(&f, "kill -INT $$; exit 3", &status, &output));
  ck_assert_int_eq(status, 3);
  ck_assert(!shell(&f, "kill -TERM $$; exit 3", &status, &output));
  ck_assert_ptr_nonnull(strstr(diag_text(f.w.diag), "ended by signal 15"));
  struct sigaction now;
  ck_assert(sigaction(SIGTERM, NULL, &now) == 0 && now.sa_handler == on_signal);
  end(&f);
}
END_TEST

Suite *suite_process(void) {
  Suite *s = suite_create("process");
  TCase *t = tcase_create("process");
  tcase_add_test(t, test_runs);
  tcase_add_test(t, test_cannot_be_started);
  tcase_add_test(t, test_without_standard_files);
  tcase_add_test(t, test_signals);
  tcase_add_test(t, test_does_not_outlive_who_started_it);
  suite_add_tcase(s, t);
  return s;
}
