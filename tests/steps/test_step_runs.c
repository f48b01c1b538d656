/* Steps that several processes want, that are killed in the middle, and whose files are damaged: no step runs twice, and the
 * bytes are those of a run that nobody disturbed.
 */
#include <cblas.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ir/base/file.h"
#include "ir/base/strbuf.h"
#include "passes/steps/lease.h"
#include "passes/steps/steps.h"
#include "passes/tailor/kinds.h"
#include "tests/engine/nets.h"
#include "tests/engine/stripes.h"
#include "tests/steps/runs.h"
#include "tests/support.h"

START_TEST(test_no_step_twice)
{
  enum { CHILDREN = 3, STEPS = 12 };
  Runs f;
  runs_begin(&f, "twice");
  pid_t child[CHILDREN];
  for (int i = 0; i < CHILDREN; i++) {
    child[i] = fork();
    if (child[i] == 0) {
      StepRequest r = runs_slow(&f, "15");
      bool ok = true;
      for (r.seed = 0; r.seed < STEPS; r.seed++) ok = runs_run(&f, &r, NULL, NULL) && ok;
      cache_close(f.c);
      _exit(ok && diag_text(f.d)[0] == 0 ? 0 : 1);
    }
  }
  for (int i = 0; i < CHILDREN; i++) {
    int status;
    waitpid(child[i], &status, 0);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  ck_assert_int_eq(runs_count(&f), STEPS);
  CacheStats s;
  ck_assert(cache_stats(f.c, &s, f.d));
  ck_assert_int_eq(s.entries, STEPS);
  ck_assert_int_eq(s.leases, 0);
  ck_assert_int_eq(s.leftovers, 0);
  ck_assert_int_eq(s.times, STEPS);
  runs_end(&f);
}
END_TEST

/* A child that runs the request; the parent goes on when the step has begun. */
static pid_t run_elsewhere(Runs *f, const StepRequest *r) {
  int before = runs_count(f);
  pid_t child = fork();
  if (child == 0) _exit(runs_run(f, r, NULL, NULL) ? 0 : 1);
  while (runs_count(f) == before) runs_nap(2);
  return child;
}

START_TEST(test_busy)
{
  Runs f;
  runs_begin(&f, "busy");
  StepRequest r = runs_slow(&f, "300");
  bool busy = false;
  StepLog log;
  pid_t child = run_elsewhere(&f, &r);
  f.env.busy = &busy;
  ck_assert(!runs_run(&f, &r, NULL, &log));
  ck_assert(busy);
  ck_assert_str_eq(diag_text(f.d), "");
  r.seed = 2; /* another is free */
  r.params = "1";
  busy = false;
  ck_assert(runs_run(&f, &r, NULL, &log) && !busy);
  waitpid(child, NULL, 0);
  r = runs_slow(&f, "300");
  ck_assert(runs_run(&f, &r, NULL, &log) && log.hit && !busy);
  ck_assert_int_eq(runs_count(&f), 2);
  runs_end(&f);
}
END_TEST

START_TEST(test_waits)
{
  Runs f;
  runs_begin(&f, "waits");
  StepRequest r = runs_slow(&f, "1300");
  StepLog log;
  pid_t child = run_elsewhere(&f, &r);
  f.left = 3;
  f.cancel = true;
  ck_assert(!runs_run(&f, &r, NULL, &log));
  ck_assert_msg(strstr(diag_text(f.d), "cancelled while waiting for step slow") != NULL, "got %s",
                diag_text(f.d));
  f.left = -1;
  ck_assert(runs_run(&f, &r, NULL, &log));
  ck_assert(log.hit && log.waited > 0.5 && log.seconds < log.waited);
  const char *line = arena_printf(f.a, "slow m4: waits for process %d on ", (int)child);
  ck_assert_msg(strstr(f.log.s, line) != NULL, "want %s in %s", line, f.log.s);
  waitpid(child, NULL, 0);
  ck_assert_int_eq(runs_count(&f), 1);
  runs_end(&f);
}
END_TEST

/* ---- Times */

START_TEST(test_times)
{
  Runs f;
  runs_begin(&f, "times");
  StepRequest r = runs_slow(&f, "20");
  Hash key = step_key(&f.env, &r);
  StepTime t, *all;
  size_t n;
  ck_assert(!cache_time(f.c, key, &t));
  ck_assert(runs_run(&f, &r, NULL, NULL));
  ck_assert(cache_time(f.c, key, &t));
  ck_assert_str_eq(t.kind, "slow");
  ck_assert(hash_equal(t.key, key));
  ck_assert_msg(t.seconds >= 0.02 && t.processor >= 0 && t.processor < t.seconds,
                "%g s, %g s of the processor", t.seconds, t.processor);
  ck_assert_int_eq(t.threads, 1);
  r.seed = 2;
  ck_assert(runs_run(&f, &r, NULL, NULL));
  ck_assert(cache_times(f.c, f.a, &all, &n, f.d));
  ck_assert_uint_eq(n, 2);
  CacheStats s;
  runs_reopen(&f);
  ck_assert(cache_gc(f.c, 0, &s, f.d));
  ck_assert_int_eq(s.entries, 2);
  ck_assert(cache_times(f.c, f.a, &all, &n, f.d));
  ck_assert_uint_eq(n, 0);
  runs_end(&f);
}
END_TEST

START_TEST(test_damaged_time)
{
  Runs f;
  runs_begin(&f, "damaged-time");
  StepRequest r = runs_slow(&f, "1");
  ck_assert(runs_run(&f, &r, NULL, NULL));
  char hex[HASH_HEX];
  Hash key = step_key(&f.env, &r);
  hash_hex(key, hex);
  const char *path = arena_printf(f.a, "%s/times/%s", cache_dir(f.c), hex);
  size_t n;
  StepTime t;
  char *text = test_read_file(path, &n);
  ck_assert_ptr_nonnull(text);
  for (size_t i = 0; i < n; i++) {
    text[i] ^= 4;
    test_write_file(path, text, n);
    ck_assert_msg(!cache_time(f.c, key, &t), "byte %zu: not noticed", i);
    text[i] ^= 4;
    test_write_file(path, text, i);
    ck_assert_msg(!cache_time(f.c, key, &t), "cut at %zu: not noticed", i);
  }
  free(text);
  runs_end(&f);
}
END_TEST

/* ---- Training, which is killed */

/* What a run without a cache gives. */
static Hash undisturbed(Runs *f, const StepRequest *r) {
  StepEnv kept = f->env;
  Hash h;
  f->env.cache = NULL;
  ck_assert_msg(runs_run(f, r, &h, NULL), "%s", diag_text(f->d));
  f->env = kept;
  return h;
}

/* A child that is killed at its n-th question whether to stop. */
static void run_killed(Runs *f, const StepRequest *r, int n) {
  pid_t child = fork();
  if (child == 0) {
    f->left = n;
    f->kill_self = true;
    runs_run(f, r, NULL, NULL);
    _exit(0);
  }
  int status;
  waitpid(child, &status, 0);
  ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "the child ended by itself");
}

static const char *work_path(Runs *f, const StepRequest *r) {
  return cache_work(f->c, f->a, step_key(&f->env, r));
}

START_TEST(test_killed_training_goes_on)
{
  Runs f;
  runs_begin(&f, "killed");
  StepRequest r = runs_train(&f);
  Hash want = undisturbed(&f, &r), got;
  run_killed(&f, &r, 20);
  ck_assert(file_exists(work_path(&f, &r)));
  CacheStats s;
  ck_assert(cache_stats(f.c, &s, f.d));
  ck_assert_int_eq(s.work, 1);
  ck_assert_int_gt(s.work_bytes, 1000);
  run_killed(&f, &r, 11);
  sb_clear(&f.log);
  ck_assert_msg(runs_run(&f, &r, &got, NULL), "%s", diag_text(f.d));
  ck_assert(hash_equal(got, want));
  /* One question is the step's own, before it begins: 20 - 1 + 11 - 1 steps were done. */
  ck_assert_msg(strstr(f.log.s, "going on behind 928 of 1536 images") != NULL, "got %s", f.log.s);
  ck_assert_msg(strstr(f.log.s, "died over step") != NULL, "got %s", f.log.s);
  ck_assert(!file_exists(work_path(&f, &r)));
  ck_assert(cache_stats(f.c, &s, f.d));
  ck_assert_int_eq(s.work, 0);
  ck_assert_int_eq(s.times, 0); /* nobody knows what it takes as a whole */
  ck_assert_int_eq(s.leases, 0);
  ck_assert_int_eq(s.leftovers, 2); /* what the two had pinned */
  runs_end(&f);
}
END_TEST

/* The same by Ctrl-C, which keeps what was done although no minute has passed. */
START_TEST(test_cancelled_training_goes_on)
{
  Runs f;
  runs_begin(&f, "cancelled");
  StepRequest r = runs_train(&f);
  r.params = "";
  Hash want = undisturbed(&f, &r), got;
  f.left = 17;
  f.cancel = true;
  ck_assert(!runs_run(&f, &r, NULL, NULL));
  ck_assert_msg(strstr(diag_text(f.d), "training was cancelled behind 512 of 1536") != NULL, "got %s",
                diag_text(f.d));
  diag_clear(f.d);
  f.left = -1;
  ck_assert(runs_run(&f, &r, &got, NULL));
  ck_assert_msg(strstr(f.log.s, "going on behind 512 of") != NULL, "got %s", f.log.s);
  ck_assert(hash_equal(got, want));
  runs_end(&f);
}
END_TEST

/* Epochs of milliseconds: nothing is written but the entry. */
START_TEST(test_short_training_keeps_nothing)
{
  Runs f;
  runs_begin(&f, "short");
  StepRequest r = runs_train(&f);
  r.params = "";
  run_killed(&f, &r, 40); /* in its third epoch */
  ck_assert(!file_exists(work_path(&f, &r)));
  runs_end(&f);
}
END_TEST

START_TEST(test_damaged_state)
{
  Runs f;
  runs_begin(&f, "damaged-work");
  StepRequest r = runs_train(&f);
  Hash want = undisturbed(&f, &r), got;
  run_killed(&f, &r, 20);
  size_t n;
  char *good = test_read_file(work_path(&f, &r), &n);
  for (int k = 0; k < 6; k++) {
    sb_clear(&f.log);
    StepRequest other = r;
    other.seed = k == 5 ? 2 : 1; /* the last one: the state of another step */
    size_t at = (size_t)k * (n - 1) / 4, size = k == 4 ? n / 2 : n;
    if (k < 4) good[at] ^= 1;
    test_write_file(work_path(&f, &other), good, size);
    if (k < 4) good[at] ^= 1;
    ck_assert_msg(runs_run(&f, &other, &got, NULL), "%s", diag_text(f.d));
    ck_assert_msg(strstr(f.log.s, "training begins anew, its state is removed: ") != NULL, "got %s", f.log.s);
    ck_assert(k == 5 || hash_equal(got, want));
    CacheStats s;
    runs_reopen(&f);
    ck_assert(cache_gc(f.c, 0, &s, f.d));
  }
  free(good);
  /* A folder in its place: the training does without. */
  ck_assert(file_make_dirs(path_join(f.a, work_path(&f, &r), "x"), f.d));
  ck_assert(runs_run(&f, &r, &got, NULL) && hash_equal(got, want));
  ck_assert_msg(strstr(f.log.s, "training goes on without a checkpoint") != NULL, "got %s", f.log.s);
  runs_end(&f);
}
END_TEST

/* The kinds of tailoring: cancelled in the middle, they go on. */
START_TEST(test_retrain_keeps_its_state)
{
  Runs f;
  runs_begin(&f, "retrain");
  runs_train(&f);
  TailorData data = {.ds = f.ds, .open = true};
  TailorStepEnv env = {.data = &data};
  StepEnv real = step_env(f.a, f.c);
  f.env.prints = real.prints;
  f.env.n_prints = real.n_prints;
  Graph *g = net_parse(stripes_net, 7);
  Artifact model = artifact_from_graph(g), all = {0}, nothing = artifact_from_hash(ART_DATA, (Hash){1, 2});
  ck_assert_msg(tailor_plan_all(g, "", &all, f.d), "%s", diag_text(f.d));
  Artifact in[] = {model, all, all, model, nothing, model}, wide[] = {model, nothing, all, model};
  StepRequest r[] = {{.kind = &step_retrain, .in = in, .n_in = 6},
                     {.kind = &step_elastic, .in = wide, .n_in = 4}};
  for (int k = 0; k < 2; k++) {
    Hash got;
    r[k].params = "images=1024,batch=32,lr=0.01";
    r[k].seed = 1;
    r[k].host = &f.host;
    r[k].env = &env;
    f.left = 20;
    f.cancel = true;
    ck_assert(!runs_run(&f, &r[k], NULL, NULL));
    ck_assert_msg(strstr(diag_text(f.d), "training was cancelled behind ") != NULL, "got %s", diag_text(f.d));
    diag_clear(f.d);
    f.left = -1;
    sb_clear(&f.log);
    ck_assert_msg(runs_run(&f, &r[k], &got, NULL), "%s", diag_text(f.d));
    ck_assert_msg(strstr(f.log.s, "going on behind ") != NULL, "got %s", f.log.s);
    ck_assert(hash_equal(got, undisturbed(&f, &r[k])));
  }
  artifact_unref(&all);
  artifact_unref(&model);
  graph_free(g);
  runs_end(&f);
}
END_TEST

/* ---- A flipped bit in each file of the cache in turn */

typedef struct Files {
  const char *path[64];
  int n;
} Files;

static void list_files(Runs *f, const char *folder, Files *out) {
  DIR *dir = opendir(folder);
  ck_assert_ptr_nonnull(dir);
  for (struct dirent *e; (e = readdir(dir));) {
    if (e->d_name[0] == '.') continue;
    const char *path = path_join(f->a, folder, e->d_name);
    if (file_is_dir(path)) {
      list_files(f, path, out);
    } else {
      ck_assert_int_lt(out->n, 64);
      out->path[out->n++] = path;
    }
  }
  closedir(dir);
}

/* The training, made once more from what is there; and a step that is there. */
static void run_both(Runs *f, Hash out[2]) {
  StepRequest first = runs_slow(f, "1"), second = runs_train(f);
  ck_assert_msg(runs_run(f, &first, &out[0], NULL) && runs_run(f, &second, &out[1], NULL), "%s",
                diag_text(f->d));
}

START_TEST(test_flipped_bit_in_each_file)
{
  Runs f;
  runs_begin(&f, "flips");
  StepRequest first = runs_slow(&f, "1"), second = runs_train(&f);
  Hash want[2], got[2];
  ck_assert(runs_run(&f, &first, &want[0], NULL));
  want[1] = undisturbed(&f, &second);
  run_killed(&f, &second, 30); /* leaves its lease and its state */
  const char *dir = cache_dir(f.c), *saved = arena_printf(f.a, "%s.saved", dir);
  ck_assert_int_eq(test_run_command(arena_printf(f.a, "cp -a %s %s", dir, saved), NULL), 0);
  Files files = {0};
  list_files(&f, dir, &files);
  int folders = 0;
  for (int i = 0; i < files.n; i++) {
    static const char *const names[] = {"work/", "lease/", "times/", "last/", "runs/"};
    int k = 0;
    while (k < 5 && strncmp(files.path[i] + strlen(dir) + 1, names[k], strlen(names[k])) != 0) k++;
    folders |= 1 << k;
    size_t n;
    char *bytes = test_read_file(files.path[i], &n);
    if (n) bytes[n / 2] = (char)(bytes[n / 2] ^ 1);
    test_write_file(files.path[i], bytes, n);
    free(bytes);
    /* A damaged lease could be one that is just being written: it ends when it is a little older. */
    struct timespec t[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
    ck_assert_int_eq(utimensat(AT_FDCWD, files.path[i], t, 0), 0);
    run_both(&f, got);
    ck_assert_msg(hash_equal(got[0], want[0]) && hash_equal(got[1], want[1]),
                  "other bytes after a flip in %s", files.path[i]);
    ck_assert_str_eq(diag_text(f.d), "");
    ck_assert_int_eq(test_run_command(arena_printf(f.a, "rm -r %s && cp -a %s %s", dir, saved, dir), NULL),
                     0);
  }
  ck_assert_int_eq(folders, 63);
  runs_end(&f);
}
END_TEST

Suite *suite_step_runs(void);
Suite *suite_step_runs(void) {
  openblas_set_num_threads(1);
  Suite *s = suite_create("step_runs");
  TCase *t = tcase_create("processes"), *k = tcase_create("state");
  tcase_add_test(t, test_no_step_twice);
  tcase_add_test(t, test_busy);
  tcase_add_test(t, test_waits);
  tcase_add_test(t, test_times);
  tcase_add_test(t, test_damaged_time);
  suite_add_tcase(s, t);
  tcase_set_timeout(k, 60);
  tcase_add_test(k, test_killed_training_goes_on);
  tcase_add_test(k, test_cancelled_training_goes_on);
  tcase_add_test(k, test_short_training_keeps_nothing);
  tcase_add_test(k, test_damaged_state);
  tcase_add_test(k, test_retrain_keeps_its_state);
  tcase_add_test(k, test_flipped_bit_in_each_file);
  suite_add_tcase(s, k);
  return s;
}
