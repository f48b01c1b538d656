/* A small thread pool: one job at a time, cut into units that threads claim in turn.
 *
 * Results may not depend on which thread runs a unit: callers give each unit its own output and sum in unit order.
 */
#ifndef RUNTIME_ENGINE_THREADS_H
#define RUNTIME_ENGINE_THREADS_H

typedef struct Threads Threads;

/* `threads` >= 1, the caller's included: threads - 1 are started. Where the system refuses one, fewer are used. */
Threads *threads_new(int threads);
void threads_free(Threads *p); /* NULL is allowed */

/* Number of threads; thread numbers below are 0 (the caller) .. threads_count - 1. */
int threads_count(const Threads *p);

typedef void ThreadsFn(void *ctx, int unit, int thread);
/* Run fn for units 0 .. units-1 (at most 65535) on all threads; returns when all are done. Not reentrant. */
void threads_run(Threads *p, ThreadsFn *fn, void *ctx, int units);

#endif
