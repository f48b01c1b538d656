/* Checkpoints: a run that is killed at any step and goes on gives the bytes of one that was not; what is refused; a full
 * disk leaves the last one whole. A step allocates nothing.
 */
#include <cblas.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ir/base/file.h"
#include "ir/base/mem.h"
#include "runtime/engine/engine.h"
#include "tests/engine/nets.h"
#include "tests/engine/stripes.h"
#include "tests/support.h"

Suite *suite_checkpoint(void);

typedef struct Run {
  Dataset ds;
  Graph *g, *teacher;
  TrainOptions o;
  char checkpoint[512], log[512];
} Run;

/* Everything that has state: AdamW, an average, running statistics, a teacher, growing images, mixing. */
static void run_open(Run *r) {
  *r = (Run){.ds = stripes_data(), .g = net_parse(stripes_net, 7), .teacher = net_parse(stripes_net, 3)};
  snprintf(r->checkpoint, sizeof r->checkpoint, "%s/run.ckpt", test_tmp_dir());
  snprintf(r->log, sizeof r->log, "%s/run.jsonl", test_tmp_dir());
  train_options_default(&r->o);
  r->o.images = 512 * 2 + 200;
  r->o.batch = 32;
  r->o.optimizer = OPTIMIZER_ADAMW;
  r->o.lr = 1e-2f;
  r->o.average = 0.9f;
  r->o.bn_images = 100;
  r->o.mix = 0.5f;
  r->o.grow = 0.5f;
  r->o.grow_stages = 3;
  r->o.augment = (Augment){.flip = true, .crop = 1, .mixup = 0.3f, .noise = 0.1f, .cutout = 3};
}

static void run_close(Run *r) {
  graph_free(r->g);
  graph_free(r->teacher);
  dataset_close(&r->ds);
}

static Hash run_hash(Run *r, const Host *host) {
  Diag *d = diag_new();
  Graph *out = train_graph(r->g, r->teacher, &r->ds, &r->o, host, NULL, d);
  if (!out) ck_abort_msg("%s", diag_text(d));
  Hash h = graph_hash(out);
  graph_free(out);
  diag_free(d);
  return h;
}

/* Ends the process the hard way at its n-th step. */
static bool kill_at(void *ctx) {
  int *left = ctx;
  if ((*left)-- == 0) raise(SIGKILL);
  return false;
}

/* A child that trains and is killed at its step `steps`. */
static void run_killed(Run *r, int steps) {
  pid_t child = fork();
  ck_assert_int_ge(child, 0);
  if (child == 0) {
    Host host = {.ctx = &steps, .cancelled = kill_at, .threads = 1};
    run_hash(r, &host);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "the child ended by itself (status %d)",
                status);
}

static int count_lines(const char *path) {
  char *text = test_read_file(path, NULL);
  int n = 0;
  for (const char *p = text; p && *p; p++) n += *p == '\n';
  free(text);
  return n;
}

START_TEST(killed_runs_go_on_to_the_same_bytes)
{
  Run r;
  run_open(&r);
  Hash want = run_hash(&r, NULL);
  r.o.checkpoint_path = r.checkpoint;
  r.o.log_path = r.log;
  r.o.checkpoint_seconds = 0; /* every step */
  const int kills[] = {3, 14, 9,
                       1}; /* in all stages, within epochs; the last one before any further step ends */
  for (int i = 0; i < 4; i++) {
    r.o.threads = 1 + i % 2;
    run_killed(&r, kills[i]);
  }
  r.o.threads = 2;
  Hash got = run_hash(&r, NULL);
  ck_assert_msg(hash_equal(got, want), "a run killed four times gives other bytes");
  ck_assert_int_eq(count_lines(r.log), 3); /* one per epoch, none twice */
  r.o.threads = 1;
  got = run_hash(&r, NULL); /* finished: nothing is left to do */
  ck_assert_msg(hash_equal(got, want), "a finished run's checkpoint gives other bytes");
  run_close(&r);
}
END_TEST

START_TEST(checkpoints_between_epochs)
{
  Run r;
  run_open(&r);
  r.o.grow = 0;
  r.o.augment.mixup = 0;
  r.o.views = 2;
  r.o.optimizer = OPTIMIZER_SGD;
  Hash want = run_hash(&r, NULL);
  r.o.checkpoint_path = r.checkpoint;
  r.o.checkpoint_seconds = 1e9; /* after epochs alone */
  run_killed(&r, 16 + 35);      /* the bank asks, too, whether it is to stop: 16 batches of 64 */
  ck_assert(file_exists(r.checkpoint));
  Hash got = run_hash(&r, NULL);
  ck_assert_msg(hash_equal(got, want), "a run killed in its third epoch gives other bytes");
  run_close(&r);
}
END_TEST

static void want_refused(Run *r, const char *why) {
  Diag *d = diag_new();
  ck_assert_ptr_null(train_graph(r->g, r->teacher, &r->ds, &r->o, NULL, NULL, d));
  ck_assert_msg(strstr(diag_text(d), why) != NULL, "want \"%s\" in: %s", why, diag_text(d));
  diag_free(d);
}

START_TEST(other_runs_checkpoints_are_refused)
{
  Run r;
  run_open(&r);
  r.o.images = 64;
  r.o.checkpoint_path = r.checkpoint;
  run_hash(&r, NULL);
  r.o.lr = 0.5f;
  want_refused(&r, "made with \"lr=0.00999999978\", this one has \"lr=0.5\"");
  r.o.lr = 1e-2f;
  r.o.seed = 2;
  want_refused(&r, "made with \"seed=1\", this one has \"seed=2\"");
  r.o.seed = 1;
  r.o.abi = "another processor";
  want_refused(&r, "this one has \"machine: another processor\"");
  r.o.abi = NULL;
  graph_free(r.teacher);
  r.teacher = net_parse(stripes_net, 4);
  want_refused(&r, "teacher 1");
  size_t n;
  char *bytes = test_read_file(r.checkpoint, &n);
  bytes[n / 2] ^= 1;
  test_write_file(r.checkpoint, bytes, n);
  want_refused(&r, "damaged");
  test_write_file(r.checkpoint, bytes, 10);
  want_refused(&r, "damaged");
  free(bytes);
  run_close(&r);
}
END_TEST

START_TEST(full_disk_leaves_the_last_one_whole)
{
  Run r;
  run_open(&r);
  r.o.checkpoint_path = r.checkpoint;
  r.o.checkpoint_seconds = 0;
  run_killed(&r, 20);
  size_t n, after;
  char *before = test_read_file(r.checkpoint, &n);
  struct rlimit all, small;
  ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &all), 0);
  small = (struct rlimit){.rlim_cur = n / 2, .rlim_max = all.rlim_max};
  signal(SIGXFSZ, SIG_IGN);
  ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
  want_refused(&r, "cannot be written");
  ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &all), 0);
  char *now = test_read_file(r.checkpoint, &after);
  ck_assert_msg(after == n && memcmp(before, now, n) == 0, "the checkpoint changed");
  free(before);
  free(now);
  r.o.checkpoint_path = NULL;
  Hash want = run_hash(&r, NULL);
  r.o.checkpoint_path = r.checkpoint;
  Hash got = run_hash(&r, NULL);
  ck_assert_msg(hash_equal(got, want), "the run that goes on gives other bytes");
  run_close(&r);
}
END_TEST

/* -- allocations -- */

static void want_no_allocations(Run *r, const char *what) {
  AllocationWatch w = {0};
  Host host = {.ctx = &w, .cancelled = watch_allocations, .threads = 2};
  run_hash(r, &host);
  ck_assert_int_gt(w.steps, 8);
  ck_assert_msg(w.allocating == 0, "%s: %d of %d steps allocate", what, w.allocating, w.steps);
}

START_TEST(a_step_allocates_nothing)
{
  Run r;
  run_open(&r);
  r.o.threads = 2;
  r.o.grow = 0;
  r.o.average = 0; /* its statistics are estimated after the run */
  r.o.log_path = r.log;
  want_no_allocations(&r, "AdamW, teacher, mixed examples");
  const FeaturePair pair = {"before", "before"};
  r.o.features = 1;
  r.o.pairs = &pair;
  r.o.n_pairs = 1;
  r.o.optimizer = OPTIMIZER_SGD;
  r.o.clip = 1;
  want_no_allocations(&r, "SGD, features");
  r.o.features = 0;
  r.o.augment.mixup = 0;
  r.o.fixed_statistics = true;
  r.o.clip_each = 1;
  want_no_allocations(&r, "clipped examples");
  run_close(&r);
}
END_TEST

Suite *suite_checkpoint(void) {
  openblas_set_num_threads(1);
  Suite *s = suite_create("checkpoint");
  TCase *t = tcase_create("checkpoint");
  tcase_set_timeout(t, 300);
  tcase_add_test(t, killed_runs_go_on_to_the_same_bytes);
  tcase_add_test(t, checkpoints_between_epochs);
  tcase_add_test(t, other_runs_checkpoints_are_refused);
  tcase_add_test(t, full_disk_leaves_the_last_one_whole);
  tcase_add_test(t, a_step_allocates_nothing);
  suite_add_tcase(s, t);
  return s;
}
