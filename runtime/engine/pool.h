/* A small thread pool: one job at a time, cut into units that threads claim in turn.
 *
 * Results may not depend on which thread runs a unit: callers give each unit its own output and sum in unit order.
 */
#ifndef RUNTIME_ENGINE_POOL_H
#define RUNTIME_ENGINE_POOL_H

typedef struct Pool Pool;

/* `threads` >= 1, the caller's included: threads - 1 are started. Where the system refuses one, fewer are used. */
Pool *pool_new(int threads);
void pool_free(Pool *p); /* NULL is allowed */

/* Number of threads; thread numbers below are 0 (the caller) .. pool_threads - 1. */
int pool_threads(const Pool *p);

typedef void PoolFn(void *ctx, int unit, int thread);
/* Run fn for units 0 .. units-1 (at most 65535) on all threads; returns when all are done. Not reentrant. */
void pool_run(Pool *p, PoolFn *fn, void *ctx, int units);

#endif
