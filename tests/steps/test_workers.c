/* Workers: each task is done once, in whatever process; never more cores are in use than there are; helpers that die give
 * theirs back and lose nothing; the bytes do not depend on how many there are.
 */
#include <cblas.h>
#include <pthread.h>
#include <signal.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "passes/steps/holder.h"
#include "passes/steps/workers.h"
#include "tests/steps/runs.h"
#include "tests/support.h"

/* What every process does: tasks, each a step that takes its time. */
typedef struct Job {
  Runs f;
  int n;
  bool busy;
  int own;    /* steps that this process ran */
  int helped; /* steps in the log of helpers */
  double seconds;
  int workers; /* a bit for each worker in the log */
} Job;

static void record(void *ctx, const StepLog *log) {
  Job *j = ctx;
  j->own += !log->hit;
}

static void record_helped(void *ctx, const StepLog *log) {
  Job *j = ctx;
  ck_assert_str_eq(log->kind, "slow");
  ck_assert_str_eq(log->slot, "m4");
  ck_assert(!log->hit);
  j->helped++;
  j->seconds += log->seconds;
  j->workers |= 1 << log->worker;
}

static bool task(void *ctx, int i) {
  Job *j = ctx;
  StepRequest r = runs_slow(&j->f, "8");
  r.seed = (uint64_t)i;
  return runs_run(&j->f, &r, NULL, NULL);
}

static bool helper(void *ctx, int worker, Workers *w) {
  Job *j = ctx;
  (void)worker;
  j->f.env.workers = w;
  return workers_each(j->n, task, j, &j->busy, &j->f.host, j->f.d);
}

static void job_begin(Job *j, const char *name, int n) {
  *j = (Job){.n = n};
  runs_begin(&j->f, name);
  j->f.env.busy = &j->busy;
  j->f.env.record = record;
  j->f.env.record_ctx = j;
}

static Workers *start(Job *j, int cores, int workers) {
  Workers *w = workers_start(cores, workers, helper, j, &j->f.host);
  ck_assert_ptr_nonnull(w);
  ck_assert_msg(workers_helpers(w) == workers - 1, "%s", sb_str(&j->f.log));
  j->f.env.workers = w;
  return w;
}

static void finish(Job *j, Workers *w, bool kill) {
  ck_assert_msg(workers_each(j->n, task, j, &j->busy, &j->f.host, j->f.d), "%s", diag_text(j->f.d));
  workers_finish(w, kill);
}

START_TEST(test_tasks_are_shared)
{
  Job j;
  job_begin(&j, "shared", 30);
  Workers *w = start(&j, 2, 4);
  finish(&j, w, false);
  ck_assert_int_eq(workers_logs(w, record_helped, &j), 0);
  ck_assert_int_eq(runs_count(&j.f), 30);
  ck_assert_int_eq(j.own + j.helped, 30);
  ck_assert_int_gt(j.helped, 0);
  ck_assert_msg((j.workers & 1) == 0 && j.seconds >= 0.008 * j.helped, "workers %x, %g s",
                (unsigned)j.workers, j.seconds);
  ck_assert_int_le(workers_peak(w), 2);
  ck_assert_int_eq(workers_in_use(w), 0);
  ck_assert(strstr(sb_str(&j.f.log), "gave up") == NULL);
  workers_free(w);
  runs_end(&j.f);
}
END_TEST

START_TEST(test_one_worker)
{
  Job j;
  job_begin(&j, "alone", 5);
  Workers *w = start(&j, 1, 1);
  finish(&j, w, false);
  ck_assert_int_eq(j.own, 5);
  ck_assert_int_eq(workers_peak(w), 1);
  workers_free(w);
  runs_end(&j.f);
}
END_TEST

/* ---- Cores */

static const Host any_host = {.threads = 1};

static bool takes_all_and_waits(void *ctx, int worker, Workers *w) {
  (void)worker;
  int *taken = ctx;
  *taken = workers_take(w, 8, &any_host);
  pause();
  return true;
}

static int *shared_int(void) {
  char name[700];
  snprintf(name, sizeof name, "%s/shared", test_tmp_dir());
  const int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
  ck_assert(fd >= 0 && unlink(name) == 0 && ftruncate(fd, 4096) == 0);
  void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ck_assert(p != MAP_FAILED);
  close(fd);
  return p;
}

/* Killed with all the cores, and not yet waited for: they come back. */
START_TEST(test_dead_helpers_cores_come_back)
{
  int *taken = shared_int();
  Workers *w = workers_start(3, 2, takes_all_and_waits, taken, NULL);
  while (*(volatile int *)taken == 0) runs_nap(2);
  ck_assert_int_eq(*taken, 3);
  ck_assert_int_eq(workers_in_use(w), 3);
  ck_assert_int_eq(kill((pid_t)workers_pid(w, 1), SIGKILL), 0);
  ck_assert_int_eq(workers_take(w, 2, &any_host), 2);
  ck_assert_int_eq(workers_in_use(w), 2);
  workers_give(w);
  ck_assert_int_eq(workers_peak(w), 3);
  workers_free(w);
}
END_TEST

START_TEST(test_waiting_for_a_core_ends)
{
  int *taken = shared_int();
  Job j;
  job_begin(&j, "cancelled", 1);
  Workers *w = workers_start(1, 2, takes_all_and_waits, taken, NULL);
  while (*(volatile int *)taken == 0) runs_nap(2);
  j.f.env.workers = w;
  j.f.left = 2;
  j.f.cancel = true;
  ck_assert(!task(&j, 0));
  ck_assert_msg(strstr(diag_text(j.f.d), "cancelled before step slow") != NULL, "got %s", diag_text(j.f.d));
  ck_assert_int_eq(runs_count(&j.f), 0);
  workers_free(w);
  runs_end(&j.f);
}
END_TEST

static bool waits(void *ctx, int worker, Workers *w) {
  (void)ctx, (void)worker, (void)w;
  pause();
  return true;
}

static int given(Runs *f, StepRequest r) {
  StepTime t;
  ck_assert_msg(runs_run(f, &r, NULL, NULL), "%s", diag_text(f->d));
  ck_assert(cache_time(f->c, step_key(&f->env, &r), &t));
  return t.threads;
}

START_TEST(test_threads_of_a_step)
{
  Runs f;
  runs_begin(&f, "threads");
  f.env.workers = workers_start(5, 1, waits, NULL, NULL);
  ck_assert_int_eq(given(&f, runs_slow(&f, "1")), 5);
  ck_assert_int_eq(given(&f, runs_slow_one_core(&f, "1")), 1);
  ck_assert_int_eq(workers_in_use(f.env.workers), 0);
  workers_free(f.env.workers);
  runs_end(&f);
}
END_TEST

/* ---- Helpers that die */

/* A helper kills itself in one of its first steps. */
static bool task_then_die(void *ctx, int i) {
  Job *j = ctx;
  if (j->f.env.workers && workers_current(j->f.env.workers) > 0) {
    j->f.left = 3;
    j->f.kill_self = true;
  }
  return task(ctx, i);
}

static bool dying_helper(void *ctx, int worker, Workers *w) {
  Job *j = ctx;
  (void)worker;
  j->f.env.workers = w;
  return workers_each(j->n, task_then_die, j, &j->busy, &j->f.host, j->f.d);
}

START_TEST(test_helpers_that_die)
{
  Job j;
  job_begin(&j, "die", 12);
  Workers *w = workers_start(2, 3, dying_helper, &j, &j.f.host);
  j.f.env.workers = w;
  finish(&j, w, false);
  CacheStats s;
  ck_assert(cache_stats(j.f.c, &s, j.f.d));
  ck_assert_int_eq(s.entries, 12);
  ck_assert_int_le(workers_peak(w), 2);
  workers_free(w);
  runs_end(&j.f);
}
END_TEST

static bool crashes(void *ctx, int worker, Workers *w) {
  (void)ctx, (void)w;
  if (worker == 1) raise(SIGKILL);
  return worker != 2;
}

START_TEST(test_crashes_are_logged)
{
  Job j;
  job_begin(&j, "crash", 1);
  Workers *w = workers_start(1, 4, crashes, &j, &j.f.host);
  finish(&j, w, false);
  ck_assert_msg(strstr(j.f.log.s, ") was ended by signal 9: what it had begun is done by others") != NULL,
                "got %s", j.f.log.s);
  ck_assert_msg(strstr(j.f.log.s, "worker 2 (process ") && strstr(j.f.log.s, ") gave up: "), "got %s",
                j.f.log.s);
  ck_assert(strstr(j.f.log.s, "worker 3") == NULL);
  workers_free(w);
  runs_end(&j.f);
}
END_TEST

/* The master is killed: its helpers end. */
START_TEST(test_helpers_end_with_their_master)
{
  int *pid = shared_int();
  pid_t master = fork();
  if (master == 0) {
    Workers *w = workers_start(1, 2, waits, NULL, NULL);
    runs_nap(50);
    *pid = (int)workers_pid(w, 1);
    pause();
  }
  while (*(volatile int *)pid == 0) runs_nap(2);
  int64_t started = process_started(*pid);
  ck_assert_int_gt(started, 0);
  kill(master, SIGKILL);
  waitpid(master, NULL, 0);
  for (int i = 0; i < 500 && process_lives(*pid, started); i++) runs_nap(10);
  ck_assert(!process_lives(*pid, started));
}
END_TEST

/* ---- The log's end, other threads, errors */

static bool logs_much(void *ctx, int worker, Workers *w) {
  (void)ctx;
  for (int i = 0; i < 5000; i++)
    workers_log(w, &(StepLog){.kind = "slow", .slot = "m4", .worker = worker, .seconds = 1});
  return true;
}

START_TEST(test_log_is_bounded)
{
  Job j = {0};
  Workers *w = workers_start(1, 2, logs_much, NULL, NULL);
  workers_finish(w, false);
  ck_assert_int_eq(workers_logs(w, record_helped, &j), 5000 - 4096);
  ck_assert_int_eq(j.helped, 4096);
  ck_assert_int_eq(j.workers, 2);
  workers_free(w);
}
END_TEST

static void *hold(void *lock) {
  pthread_mutex_lock(lock);
  pthread_mutex_unlock(lock);
  return NULL;
}

START_TEST(test_other_threads)
{
#if defined(__SANITIZE_THREAD__)
  test_skip("the thread sanitizer's own thread is not told from others");
#else
  Job j;
  job_begin(&j, "other", 3);
  pthread_t thread;
  pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_lock(&lock);
  ck_assert_int_eq(pthread_create(&thread, NULL, hold, &lock), 0);
  Workers *w = workers_start(2, 3, helper, &j, &j.f.host);
  ck_assert_int_eq(workers_helpers(w), 0);
  ck_assert_msg(strstr(j.f.log.s, "works alone: it has threads") != NULL, "got %s", j.f.log.s);
  pthread_mutex_unlock(&lock);
  pthread_join(thread, NULL);
  finish(&j, w, false);
  ck_assert_int_eq(j.own, 3);
  workers_free(w);
  runs_end(&j.f);
#endif
}
END_TEST

static bool second_fails(void *ctx, int i) {
  Job *j = ctx;
  j->own++;
  return i != 1 || diag_error(j->f.d, NULL, "task %d failed", i);
}

static bool always_busy(void *ctx, int i) {
  Job *j = ctx;
  (void)i;
  j->busy = true;
  return false;
}

START_TEST(test_each_stops)
{
  Job j;
  job_begin(&j, "each", 3);
  ck_assert(!workers_each(3, second_fails, &j, &j.busy, &j.f.host, j.f.d));
  ck_assert_int_eq(j.own, 2);
  ck_assert_int_eq(diag_count(j.f.d), 1);
  j.f.left = 2;
  j.f.cancel = true;
  ck_assert(!workers_each(3, always_busy, &j, &j.busy, &j.f.host, j.f.d));
  ck_assert_msg(strstr(diag_text(j.f.d), "cancelled with 3 of 3 tasks to do") != NULL, "got %s",
                diag_text(j.f.d));
  runs_end(&j.f);
}
END_TEST

/* ---- Bytes */

static bool train_task(void *ctx, int i) {
  Job *j = ctx;
  StepRequest r = runs_train(&j->f);
  r.seed = (uint64_t)i;
  return runs_run(&j->f, &r, NULL, NULL);
}

static bool train_helper(void *ctx, int worker, Workers *w) {
  Job *j = ctx;
  (void)worker;
  j->f.env.workers = w;
  return workers_each(j->n, train_task, j, &j->busy, &j->f.host, j->f.d);
}

START_TEST(test_bytes_at_any_number)
{
  enum { TASKS = 3, FORMS = 4 };
  static const int cores[FORMS] = {1, 2, 2, 3}, workers[FORMS] = {1, 1, 2, 3};
  Hash want[TASKS], got[TASKS];
  for (int k = 0; k < FORMS; k++) {
    Job j;
    char name[32];
    snprintf(name, sizeof name, "bytes%d", k);
    job_begin(&j, name, TASKS);
    runs_train(&j.f); /* data before the fork */
    Workers *w = workers_start(cores[k], workers[k], train_helper, &j, &j.f.host);
    ck_assert_int_eq(workers_helpers(w), workers[k] - 1);
    j.f.env.workers = w;
    ck_assert(workers_each(TASKS, train_task, &j, &j.busy, &j.f.host, j.f.d));
    workers_finish(w, true);
    ck_assert_int_eq(runs_count(&j.f), TASKS);
    for (int i = 0; i < TASKS; i++) {
      StepRequest r = runs_train(&j.f);
      r.seed = (uint64_t)i;
      ck_assert(runs_run(&j.f, &r, k ? &got[i] : &want[i], NULL));
      ck_assert_msg(k == 0 || hash_equal(got[i], want[i]), "task %d: other bytes by %d workers on %d cores",
                    i, workers[k], cores[k]);
    }
    workers_free(w);
    runs_end(&j.f);
  }
}
END_TEST

Suite *suite_workers(void);
Suite *suite_workers(void) {
  openblas_set_num_threads(1);
  Suite *s = suite_create("workers");
  TCase *t = tcase_create("workers");
  tcase_set_timeout(t, 60);
  tcase_add_test(t, test_tasks_are_shared);
  tcase_add_test(t, test_one_worker);
  tcase_add_test(t, test_dead_helpers_cores_come_back);
  tcase_add_test(t, test_waiting_for_a_core_ends);
  tcase_add_test(t, test_threads_of_a_step);
  tcase_add_test(t, test_helpers_that_die);
  tcase_add_test(t, test_crashes_are_logged);
  tcase_add_test(t, test_helpers_end_with_their_master);
  tcase_add_test(t, test_log_is_bounded);
  tcase_add_test(t, test_other_threads);
  tcase_add_test(t, test_each_stops);
  tcase_add_test(t, test_bytes_at_any_number);
  suite_add_tcase(s, t);
  return s;
}
