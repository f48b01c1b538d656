/* See runs.h. */
#include "tests/steps/runs.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ir/base/file.h"
#include "passes/tailor/kinds.h"
#include "tests/engine/nets.h"
#include "tests/engine/stripes.h"
#include "tests/support.h"

static const SourcePrint prints[] = {{"ir/graph.c", "11"}};
static const char *const sources[] = {"ir/", NULL};

static void keep_line(void *ctx, const char *line) { sb_printf(&((Runs *)ctx)->log, "%s\n", line); }

static bool asked(void *ctx) {
  Runs *f = ctx;
  if (f->left < 0) return false;
  if (f->left-- > 0) return false;
  if (f->kill_self) raise(SIGKILL);
  return f->cancel;
}

void runs_begin(Runs *f, const char *name) {
  *f = (Runs){.a = arena_new(), .d = diag_new(), .left = -1};
  f->host = (Host){.ctx = f, .log = keep_line, .cancelled = asked, .threads = 1};
  f->c = cache_open(path_join(f->a, test_tmp_dir(), name), &f->host, f->d);
  ck_assert_msg(f->c != NULL, "%s", diag_text(f->d));
  f->env = (StepEnv){.cache = f->c, .prints = prints, .n_prints = 1, .abi = "test"};
  f->ran = arena_printf(f->a, "%s/%s.ran", test_tmp_dir(), name);
}

void runs_reopen(Runs *f) {
  const char *dir = arena_strdup(f->a, cache_dir(f->c));
  cache_close(f->c);
  f->c = f->env.cache = cache_open(dir, &f->host, f->d);
  ck_assert_msg(f->c != NULL, "%s", diag_text(f->d));
}

void runs_end(Runs *f) {
  if (f->ds.train.n) dataset_close(&f->ds);
  cache_close(f->c);
  sb_free(&f->log);
  diag_free(f->d);
  arena_free(f->a);
}

void runs_nap(int milliseconds) {
  struct timespec t = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000L};
  nanosleep(&t, NULL);
}

static void count_run(const Runs *f) {
  int fd = open(f->ran, O_WRONLY | O_CREAT | O_APPEND, 0666);
  ck_assert(fd >= 0 && write(fd, "x", 1) == 1);
  close(fd);
}

int runs_count(const Runs *f) {
  struct stat st;
  return stat(f->ran, &st) == 0 ? (int)st.st_size : 0;
}

bool runs_run(Runs *f, const StepRequest *r, Hash *out, StepLog *log) {
  Artifact made[STEP_MAX_OUT];
  int n = 0;
  if (!step_run(&f->env, r, made, &n, log, f->d)) return false;
  if (out) *out = made[0].hash;
  for (int i = 0; i < n; i++) artifact_unref(&made[i]);
  return true;
}

static bool run_slow(const StepCall *c, Artifact *out, int *n_out, Diag *d) {
  (void)d;
  count_run(c->env);
  runs_nap(atoi(c->params));
  out[(*n_out)++] = artifact_from_bytes(ART_PLAN, &c->seed, sizeof c->seed);
  return true;
}
static const StepKind slow = {.name = "slow", .sources = sources, .run = run_slow};
static const StepKind slow_one_core = {
    .name = "slow_one_core", .sources = sources, .one_core = true, .run = run_slow};

StepRequest runs_slow(Runs *f, const char *ms) {
  return (StepRequest){.kind = &slow, .slot = "m4", .params = ms, .seed = 1, .host = &f->host, .env = f};
}

StepRequest runs_slow_one_core(Runs *f, const char *ms) {
  StepRequest r = runs_slow(f, ms);
  r.kind = &slow_one_core;
  return r;
}

static bool run_train(const StepCall *c, Artifact *out, int *n_out, Diag *d) {
  Runs *f = c->env;
  TrainOptions o;
  count_run(f);
  train_options_default(&o);
  o.images = 512 * 3;
  o.batch = 32;
  o.seed = c->seed;
  o.threads = c->host->threads;
  tailor_keep_state(c, &o);
  if (strcmp(c->params, "always") == 0) o.checkpoint_seconds = 0;
  Graph *g = net_parse(stripes_net, 7), *done = train_graph(g, NULL, &f->ds, &o, c->host, NULL, d);
  graph_free(g);
  TRY(done);
  out[(*n_out)++] = artifact_from_graph(done);
  graph_free(done);
  return true;
}
static const StepKind train = {
    .name = "train", .sources = sources, .numeric = true, .seeded = true, .run = run_train};

StepRequest runs_train(Runs *f) {
  if (!f->ds.train.n) f->ds = stripes_data();
  return (StepRequest){
      .kind = &train, .slot = "m4", .params = "always", .seed = 1, .host = &f->host, .env = f};
}
