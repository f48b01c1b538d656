/* Running a step: its key is computed from everything that its result depends on; what was made before under the
 * same key is taken from the cache; what was not is run and published (decision 5).
 *
 *   key = H(kind, fingerprints of its sources, content of inputs, parameters, seed, numeric ABI)
 *
 * The environment is handed in, never global: a test may simulate an edited source or another machine.
 */
#ifndef PASSES_STEPS_STEPS_H
#define PASSES_STEPS_STEPS_H

#include "ir/base/fingerprint.h"
#include "passes/steps/artifact.h"
#include "passes/steps/cache.h"

enum { STEP_MAX_IN = 16 };

typedef struct StepLog {
  const char *kind, *slot; /* of the request */
  Hash key;
  bool hit;
  double seconds; /* that it ran; a hit: that it took to get it */
  double waited;  /* before that, for another process that ran the same step */
  int worker;     /* which process (passes/steps/workers.h): 0 is the master, or the only one */
  char why[240];  /* a miss: "first time", "parameters changed (macs=0.5, was macs=0.4)"; a hit: "" */
} StepLog;

typedef struct Workers Workers; /* passes/steps/workers.h */

typedef struct StepEnv {
  Cache *cache; /* NULL: nothing is kept or looked up */
  const SourcePrint *prints;
  size_t n_prints;
  const char *abi; /* what numeric steps depend on beside their inputs */
  /* What happens when another process runs a step at this moment (its lease: passes/steps/lease.h). NULL: step_run waits
   * until it is done. Else step_run sets *busy (and never clears it) and returns false at once, with nothing reported: the
   * caller does something else and asks again. */
  bool *busy;
  /* What is not in the cache is not run: step_run returns false, with nothing reported; *busy is set where another process
   * runs it. */
  bool only_look;
  /* Processes that share cores: a step that runs (no hit) waits for one, and has as many as are free and of use to it as
   * its host->threads. NULL: host's threads. */
  Workers *workers;
  /* After each step; may be NULL. */
  void (*record)(void *ctx, const StepLog *log);
  void *record_ctx;
} StepEnv;

/* This program's sources and this machine's numeric ABI. The strings live as long as the program or `a`. */
StepEnv step_env(Arena *a, Cache *cache);

/* Instruction set, C library, OpenBLAS version and core: where training gives the same bytes. In `a`. */
const char *numeric_abi(Arena *a);

typedef struct StepRequest {
  const StepKind *kind;
  const char *slot; /* whose step it is ("m4"): a label for logs, not part of the key */
  const Artifact *in;
  int n_in;                    /* at most STEP_MAX_IN */
  const char *const *in_names; /* n_in words for logs ("teacher", "board"); NULL: by type */
  const char *params;          /* canonical text; NULL counts as "" */
  uint64_t seed;
  const Host *host;
  void *env; /* StepCall.env */
} StepRequest;

Hash step_key(const StepEnv *env, const StepRequest *req);

/* Run, or take from the cache. out: STEP_MAX_OUT places; *n_out references of the caller's. log may be NULL.
 * On a hit, graphs carry the names and locations of this request's inputs, whoever made the entry.
 * A result that cannot be kept (a full disk) is a warning: it is there, and will be made again next time.
 * With a cache, one process at a time runs a step; others wait for it, or go on (StepEnv.busy). A step that was killed
 * finds what it kept in StepCall.work when it runs again.
 * false: reported (the step failed, or was cancelled) and nothing is kept; or *busy is set. */
bool step_run(const StepEnv *env, const StepRequest *req, Artifact *out, int *n_out, StepLog *log, Diag *d);

#endif
