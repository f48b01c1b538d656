/* Small steps for tests of processes that share a cache: one that takes its time, and a training. */
#ifndef TESTS_STEPS_RUNS_H
#define TESTS_STEPS_RUNS_H

#include "ir/base/strbuf.h"
#include "passes/steps/steps.h"
#include "runtime/engine/engine.h"

/* A cache of its own below the test's folder, and an environment; a Host's ctx. */
typedef struct Runs {
  Arena *a;
  Diag *d;
  StrBuf log;
  Host host;              /* log and cancelled are these: */
  int left;               /* >= 0: the host is asked so many times whether to stop, until ... */
  bool kill_self, cancel; /* ... this process kills itself, or it is */
  StepEnv env;
  Cache *c;
  const char *ran; /* a file: one byte for each run of a step, in any process */
  Dataset ds;      /* stripes */
} Runs;

void runs_begin(Runs *f, const char *name);
void runs_end(Runs *f);
/* Close the cache, so that nothing is pinned, and open it again. */
void runs_reopen(Runs *f);
void runs_nap(int milliseconds);
/* Runs of steps so far. */
int runs_count(const Runs *f);

/* Take `ms` milliseconds and make the seed; one that says so in its kind needs one core alone. */
StepRequest runs_slow(Runs *f, const char *ms);
StepRequest runs_slow_one_core(Runs *f, const char *ms);
/* Train the stripes net for three epochs of 16 steps; with params "always" its state is kept after every step. */
StepRequest runs_train(Runs *f);

/* step_run; *out: the hash of the first artifact. out and log may be NULL. */
bool runs_run(Runs *f, const StepRequest *r, Hash *out, StepLog *log);

#endif
