/* The thread pool. A job is published as one 64-bit ticket:
 *
 *   | generation 32 | units 16 | next 16 |      a thread claims unit `next` by compare-and-swap of ticket + 1
 *
 * A claim that succeeds proves that the job is still in flight (the owner waits for every claimed unit), so fn and
 * ctx may be read after it; a thread that wakes late finds no unit left and goes back to waiting: the owner never waits
 * for a thread that has nothing to do. Waiting is a short spin (jobs follow each other within microseconds), then a
 * condition variable. Workers are pinned one to a CPU when the pool has as many threads as the process has CPUs.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* sched_setaffinity */
#endif
#include "runtime/engine/threads.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>

#include "ir/base/diag.h"
#include "ir/base/mem.h"

enum { SPIN = 4000, MAX_UNITS = 65535 };

typedef struct Worker {
  Threads *pool;
  pthread_t thread;
  int index, cpu; /* cpu < 0: not pinned */
} Worker;

struct Threads {
  int threads;
  Worker *workers; /* threads - 1 */
  ThreadsFn *fn;
  void *ctx;
  _Atomic uint64_t ticket;
  _Atomic int finished; /* units of this job */
  _Atomic int sleeping, owner_waits;
  _Atomic bool stop;
  pthread_mutex_t lock;
  pthread_cond_t wake, done;
};

static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static int ticket_units(uint64_t t) { return (int)(t >> 16 & 0xffff); }
static int ticket_next(uint64_t t) { return (int)(t & 0xffff); }

/* Run units until none is left. */
static void work(Threads *p, int thread) {
  uint64_t t = atomic_load(&p->ticket);
  while (ticket_next(t) < ticket_units(t)) {
    if (!atomic_compare_exchange_weak(&p->ticket, &t, t + 1)) continue;
    int units = ticket_units(t);
    p->fn(p->ctx, ticket_next(t), thread);
    if (atomic_fetch_add(&p->finished, 1) + 1 == units && atomic_load(&p->owner_waits)) {
      pthread_mutex_lock(&p->lock);
      pthread_cond_signal(&p->done);
      pthread_mutex_unlock(&p->lock);
    }
    t = atomic_load(&p->ticket);
  }
}

static bool has_work(Threads *p) {
  uint64_t t = atomic_load(&p->ticket);
  return ticket_next(t) < ticket_units(t) || atomic_load(&p->stop);
}

static void await_work(Threads *p) {
  for (int i = 0; i < SPIN; i++) {
    if (has_work(p)) return;
    relax();
  }
  pthread_mutex_lock(&p->lock);
  atomic_fetch_add(&p->sleeping, 1);
  while (!has_work(p)) pthread_cond_wait(&p->wake, &p->lock);
  atomic_fetch_sub(&p->sleeping, 1);
  pthread_mutex_unlock(&p->lock);
}

static void pin(int cpu) {
#ifdef __linux__
  if (cpu < 0) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET((unsigned)cpu, &set);
  sched_setaffinity(0, sizeof set, &set); /* a refusal costs speed, nothing else */
#else
  (void)cpu;
#endif
}

static void *worker_main(void *arg) {
  Worker *w = arg;
  pin(w->cpu);
  while (!atomic_load(&w->pool->stop)) {
    await_work(w->pool);
    work(w->pool, w->index);
  }
  return NULL;
}

/* The CPU for thread i, or -1 where threads are fewer than CPUs (the system then places them better). */
static int cpu_for(int i, int threads) {
#ifdef __linux__
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0 || CPU_COUNT(&set) != threads) return -1;
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
    if (CPU_ISSET((unsigned)cpu, &set) && i-- == 0) return cpu;
#else
  (void)i, (void)threads;
#endif
  return -1;
}

Threads *threads_new(int threads) {
  ASSERT(threads >= 1);
  Threads *p = mem_zalloc(sizeof *p);
  pthread_mutex_init(&p->lock, NULL);
  pthread_cond_init(&p->wake, NULL);
  pthread_cond_init(&p->done, NULL);
  p->workers = mem_array((size_t)threads, sizeof *p->workers);
  for (p->threads = 1; p->threads < threads; p->threads++) {
    Worker *w = &p->workers[p->threads - 1];
    *w = (Worker){.pool = p, .index = p->threads, .cpu = cpu_for(p->threads, threads)};
    if (pthread_create(&w->thread, NULL, worker_main, w) != 0) break;
  }
  return p;
}

void threads_free(Threads *p) {
  if (!p) return;
  pthread_mutex_lock(&p->lock);
  atomic_store(&p->stop, true);
  pthread_cond_broadcast(&p->wake);
  pthread_mutex_unlock(&p->lock);
  for (int i = 0; i < p->threads - 1; i++) pthread_join(p->workers[i].thread, NULL);
  pthread_mutex_destroy(&p->lock);
  pthread_cond_destroy(&p->wake);
  pthread_cond_destroy(&p->done);
  mem_free(p->workers);
  mem_free(p);
}

int threads_count(const Threads *p) { return p->threads; }

static void await_units(Threads *p, int units) {
  for (int i = 0; i < SPIN; i++) {
    if (atomic_load(&p->finished) == units) return;
    relax();
  }
  pthread_mutex_lock(&p->lock);
  atomic_store(&p->owner_waits, 1);
  while (atomic_load(&p->finished) != units) pthread_cond_wait(&p->done, &p->lock);
  atomic_store(&p->owner_waits, 0);
  pthread_mutex_unlock(&p->lock);
}

void threads_run(Threads *p, ThreadsFn *fn, void *ctx, int units) {
  ASSERT(units >= 0 && units <= MAX_UNITS);
  if (p->threads == 1 || units <= 1) {
    for (int i = 0; i < units; i++) fn(ctx, i, 0);
    return;
  }
  p->fn = fn;
  p->ctx = ctx;
  atomic_store(&p->finished, 0);
  uint64_t generation = (atomic_load(&p->ticket) >> 32) + 1;
  atomic_store(&p->ticket, generation << 32 | (uint64_t)units << 16);
  if (atomic_load(&p->sleeping)) {
    pthread_mutex_lock(&p->lock);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
  }
  work(p, 0);
  await_units(p, units);
}
