/* The step cache: a folder that keeps what steps made, by the key of everything that made it. In it:
 *
 *   ab/abcdef...  one file per key: head, checksum, the step's kind and artifacts (layout: cache.c)
 *   last/...      per step and slot, what its last key was made of (passes/steps/steps.c)
 *   lease/KEY     who runs that step at this moment (passes/steps/lease.h)
 *   work/KEY      the state of a step that takes long, until its entry is there: killed, it goes on from it
 *   times/KEY     what it took: no part of the entry, whose bytes are the same each time
 *   runs/...      what a process that lives has read or written (passes/steps/cache_runs.c)
 *   costs         what trainings took: tailoring's (passes/tailor/costs.h)
 *   clock         touched to learn the folder's time
 *
 * Entries appear whole or not at all (written beside, renamed) and never change. Several processes and machines
 * may use one folder: who makes the same key makes the same bytes. A damaged entry counts as absent: it is
 * logged, removed and made again. The least recently used go first when the folder is shrunk; what a run has used stays
 * as long as its process lives.
 */
#ifndef PASSES_STEPS_CACHE_H
#define PASSES_STEPS_CACHE_H

#include <time.h>

#include "ir/step.h"

enum { CACHE_MAX_ARTIFACTS = STEP_MAX_OUT + 1, CACHE_KIND_MAX = 31 };

typedef struct Cache Cache;

/* Make the folder where needed. host: for the log of damaged entries; may be NULL, must outlive the cache.
 * NULL: reported. */
Cache *cache_open(const char *dir, const Host *host, Diag *d);
void cache_close(Cache *c); /* NULL is allowed; artifacts that came from it stay valid */
const char *cache_dir(const Cache *c);

/* Look up a key. true: *n artifacts in out (at most CACHE_MAX_ARTIFACTS), references of the caller's, their bytes
 * views of the mapped file; the entry counts as used now. false: not there, or damaged and now removed. */
bool cache_get(Cache *c, Hash key, Artifact *out, int *n);

/* Publish. kind: the step's name (at most CACHE_KIND_MAX bytes are kept). Replaces an entry of the same key.
 * A full disk is reported and leaves nothing behind. */
bool cache_put(Cache *c, Hash key, const char *kind, const Artifact *art, int n, Diag *d);

/* At most so many bytes of entries, now and after each put; 0, as at first: as many as there are. What is beyond it goes, the
 * least recently used first, but nothing that a run has pinned: then there are more. Several processes count each for itself,
 * so that for a while there may be an eighth more by each. */
void cache_limit(Cache *c, int64_t bytes);
/* Nobody removes entry `key`, there or to come, while this process lives and the cache is open. Steps pin what they use.
 * Processes that are forked after the first pin pin for this one. */
void cache_pin(Cache *c, Hash key);

/* Where step `key` may keep its state while it runs; in `a`. Whoever publishes the entry removes it. */
const char *cache_work(Cache *c, Arena *a, Hash key);

/* -- cache_times.c: what steps took -- */
typedef struct StepTime {
  Hash key;
  char kind[CACHE_KIND_MAX + 1];
  double seconds, processor; /* wall clock; processor seconds of the process and the programs it ran */
  int threads;               /* that it was given */
} StepTime;

/* Kept as well as can be: there is no error. */
void cache_put_time(Cache *c, const StepTime *t);
/* What step `key` took when it last ran; false: not known. */
bool cache_time(const Cache *c, Hash key, StepTime *out);
/* All that are known, in no order; in `a`. */
bool cache_times(const Cache *c, Arena *a, StepTime **out, size_t *n, Diag *d);

/* -- cache_upkeep.c: for `mistify cache` -- */
typedef struct CacheEntry {
  Hash key;
  char kind[CACHE_KIND_MAX + 1]; /* "" when the head is damaged */
  int artifacts;
  int64_t bytes;
  struct timespec used; /* last written or read */
  bool pinned;          /* by a run */
} CacheEntry;

typedef struct CacheStats {
  int64_t entries, bytes;
  int64_t leftovers,
      leftover_bytes;       /* temporary files, leases and state of processes that died (or still write) */
  int64_t work, work_bytes; /* state of steps that run, or will go on */
  int64_t pinned, pinned_bytes; /* entries that a run has used */
  int64_t runs;                 /* processes that have pinned some */
  int64_t leases, times;        /* steps that run at this moment; those whose times are known */
} CacheStats;

/* All entries, least recently used first; in `a`. */
bool cache_list(Cache *c, Arena *a, CacheEntry **out, size_t *n, Diag *d);
bool cache_stats(Cache *c, CacheStats *out, Diag *d);
/* Remove leftovers (temporary files when they are older than an hour) and times of entries that are gone, then the least
 * recently used entries that no run has pinned until at most max_bytes remain. */
bool cache_gc(Cache *c, int64_t max_bytes, CacheStats *removed, Diag *d);
/* Read every entry; remove and log the damaged ones. */
bool cache_verify(Cache *c, CacheStats *good, CacheStats *damaged, Diag *d);
/* Remove everything that is ours; the folder itself stays. */
bool cache_clear(Cache *c, Diag *d);

#endif
