/* Worker processes that share the processor's cores: the master and helpers that it forks, all of which run the same
 * program over the same tasks. Each takes what no other is at work on (leases), so that they need no scheduler and no messages:
 *
 *   master  --fork-->  helper 1, 2 ..
 *     |                  |
 *     workers_each: task by task; busy ones are passed over, and tried again     one pool of cores: a step takes one, and
 *     |                  |                                                      more where they are free and of use to it
 *     assemble           _exit
 *     (all is cached)
 *
 * A helper may die at any moment: its cores come back, its leases end, the master makes what it did not. Results are the
 * same bytes at any number of workers and cores.
 */
#ifndef PASSES_STEPS_WORKERS_H
#define PASSES_STEPS_WORKERS_H

#include "passes/steps/steps.h"

enum { WORKERS_MAX = 64 };

/* Of a helper, `worker` from 1 up; its result is the process's: false counts as a failure, which is logged. w: what its
 * StepEnv.workers is to be. It ends without flushing files or calling what is registered for the end of the program. */
typedef bool WorkerMain(void *ctx, int worker, Workers *w);

/* Start workers - 1 helpers, which share `cores` cores with this process; of both at least 1, at most WORKERS_MAX workers. host:
 * for the log; may be NULL.
 *
 * Before that no thread may have been started that is still there (a fork copies the calling thread alone, and locks as
 * they stand): no Session or Threads may be alive; OpenBLAS's own threads end by themselves at a fork. Where other threads
 * run, or the system refuses, there are fewer helpers or none, which is logged. Helpers are killed when the thread that
 * started them ends. What was opened before is shared for free: read data before the fork, not after.
 * NULL: not even memory could be shared; go on without. */
Workers *workers_start(int cores, int workers, WorkerMain *main, void *ctx, const Host *host);
int workers_cores(const Workers *w);
int workers_helpers(const Workers *w); /* that were started */
int workers_current(const Workers *w); /* the calling process: 0 is the master */

/* Wait for the helpers (or, with kill, end them: all is done), log those that crashed. The master alone. */
void workers_finish(Workers *w, bool kill);
/* Steps that helpers ran, after workers_finish, in the order in which they ended; strings are w's. Returns how many did not
 * fit into the log. */
int64_t workers_logs(const Workers *w, void (*fn)(void *ctx, const StepLog *log), void *ctx);
void workers_free(Workers *w); /* NULL is allowed; the master alone */

/* Do all n tasks, as one of several processes that do the same: try each in order, pass over those of which a step is busy
 * (StepEnv.busy of the env that `task` uses is `busy`), sleep a little where all that is left is busy. Tasks are tried again
 * from their beginning: what was done before is in the cache. Returns when all are done in this process's eyes.
 * false: a task failed, or this was cancelled: reported. */
bool workers_each(int n, bool (*task)(void *ctx, int i), void *ctx, bool *busy, const Host *host, Diag *d);

/* -- for steps.c -- */
/* Cores for a step that can use `want`: waits for one, takes more as far as they are free. 0: cancelled. */
int workers_take(Workers *w, int want, const Host *host);
void workers_give(Workers *w);
/* Keep a helper's log where the master finds it. */
void workers_log(Workers *w, const StepLog *log);

/* -- for tests -- */
int workers_in_use(const Workers *w); /* cores, at this moment */
int workers_peak(const Workers *w);   /* the most there ever were */
int64_t workers_pid(const Workers *w, int worker);

#endif
