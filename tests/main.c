/* Runs every suite that the build found (tests/suites.h), as many at once as there are processors.
 *
 * A suite has a process of its own, whose output is printed when it ends; each test runs in a forked child of that.
 *   CK_RUN_SUITE=NAME, CK_RUN_CASE=NAME   some of them, in this process
 *   MISTIFY_TEST_JOBS=N                   so many suites at once
 *   MISTIFY_TEST_WITHOUT="NAME NAME"      all but these, which are printed and counted as skipped
 * A run of no test at all fails. The last line is Check's totals.
 */
#define _DEFAULT_SOURCE
#include "tests/suites.h"
#include "tests/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef struct Totals {
  int ran, failures, errors;
} Totals;

typedef struct Job {
  pid_t pid; /* 0: none */
  size_t suite;
  FILE *out;
  double began;
} Job;

enum { MAX_JOBS = 64 };

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Frees the runner. */
static Totals run(SRunner *runner) {
  srunner_run_all(runner, CK_NORMAL);
  Totals t = {.ran = srunner_ntests_run(runner)};
  int failed = srunner_ntests_failed(runner);
  TestResult **bad = srunner_failures(runner);
  for (int i = 0; i < failed; i++) t.errors += tr_rtype(bad[i]) == CK_ERROR;
  free(bad);
  t.failures = failed - t.errors;
  srunner_free(runner);
  return t;
}

static Totals run_here(void) {
  SRunner *runner = srunner_create(NULL);
  for (size_t i = 0; i < test_suites_count; i++) srunner_add_suite(runner, test_suites[i].make());
  return run(runner);
}

/* ---- Suites in processes of their own; totals[suite] is memory that both sides share */

static void job_start(Job *j, size_t suite, Totals *totals) {
  *j = (Job){.suite = suite, .out = tmpfile(), .began = seconds()};
  fflush(NULL);
  j->pid = j->out ? fork() : -1;
  if (j->pid < 0) {
    perror("check-mistify");
    exit(EXIT_FAILURE);
  }
  if (j->pid > 0) return;
  dup2(fileno(j->out), STDOUT_FILENO);
  dup2(fileno(j->out), STDERR_FILENO);
  totals[suite] = run(srunner_create(test_suites[suite].make()));
  fflush(NULL);
  _exit(EXIT_SUCCESS);
}

static void job_end(Job *j, int status, Totals *t) {
  char block[4096];
  size_t n;
  rewind(j->out);
  while ((n = fread(block, 1, sizeof block, j->out)) > 0) fwrite(block, 1, n, stdout);
  fclose(j->out);
  if (status != 0) {
    printf("suite %s ended with status %d\n", test_suites[j->suite].name, status);
    t->errors++;
  }
  printf("%.1f s\n", seconds() - j->began);
  fflush(stdout);
  j->pid = 0;
}

static void wait_one(Job *jobs, int n_jobs, Totals *totals) {
  int status = 0;
  pid_t pid = wait(&status);
  for (int i = 0; i < n_jobs; i++)
    if (jobs[i].pid == pid) job_end(&jobs[i], status, &totals[jobs[i].suite]);
}

static Job *free_job(Job *jobs, int n_jobs, Totals *totals) {
  for (;;) {
    for (int i = 0; i < n_jobs; i++)
      if (!jobs[i].pid) return &jobs[i];
    wait_one(jobs, n_jobs, totals);
  }
}

static bool any_job(const Job *jobs, int n_jobs) {
  for (int i = 0; i < n_jobs; i++)
    if (jobs[i].pid) return true;
  return false;
}

/* Is NAME a word of the list? */
static bool left_out(const char *list, const char *name) {
  size_t n = strlen(name);
  for (const char *at = list; at && (at = strstr(at, name)); at += n)
    if ((at == list || at[-1] == ' ') && (at[n] == ' ' || at[n] == 0)) return true;
  return false;
}

static int job_count(void) {
  const char *text = getenv("MISTIFY_TEST_JOBS");
  long n = text ? strtol(text, NULL, 10) : sysconf(_SC_NPROCESSORS_ONLN);
  return n < 1 ? 1 : n > MAX_JOBS ? MAX_JOBS : (int)n;
}

static Totals run_jobs(void) {
  size_t size = test_suites_count * sizeof(Totals);
  Totals *totals = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), sum = {0};
  if (totals == MAP_FAILED) {
    perror("check-mistify");
    exit(EXIT_FAILURE);
  }
  Job jobs[MAX_JOBS] = {{0}};
  int n_jobs = job_count();
  for (size_t i = 0; i < test_suites_count; i++) {
    if (left_out(getenv("MISTIFY_TEST_WITHOUT"), test_suites[i].name))
      test_skip_at(test_suites[i].name, "left out of this run: MISTIFY_TEST_WITHOUT");
    else
      job_start(free_job(jobs, n_jobs, totals), i, totals);
  }
  while (any_job(jobs, n_jobs)) wait_one(jobs, n_jobs, totals);
  for (size_t i = 0; i < test_suites_count; i++) {
    sum.ran += totals[i].ran;
    sum.failures += totals[i].failures;
    sum.errors += totals[i].errors;
  }
  munmap(totals, size);
  test_print_skips();
  int failed = sum.failures + sum.errors;
  printf("%d%%: Checks: %d, Failures: %d, Errors: %d\n", sum.ran ? (sum.ran - failed) * 100 / sum.ran : 0,
         sum.ran, sum.failures, sum.errors);
  return sum;
}

int main(int argc, char **argv) {
  (void)argc;
  setvbuf(stdout, NULL, _IOLBF, 0);
  setenv("CK_DEFAULT_TIMEOUT", "600", 0);
  test_begin(argv[0]);
  bool some = getenv("CK_RUN_SUITE") || getenv("CK_RUN_CASE") || getenv("CK_FORK");
  Totals t = some ? run_here() : run_jobs();
  if (some) test_print_skips();
  test_end();
  if (t.ran == 0) fprintf(stderr, "check-mistify: no test ran\n");
  return t.ran > 0 && t.failures + t.errors == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
