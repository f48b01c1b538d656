/* What the files of the cache share; for passes/steps alone. */
#ifndef PASSES_STEPS_CACHE_OWN_H
#define PASSES_STEPS_CACHE_OWN_H

#include <sys/types.h>

#include "ir/base/strbuf.h"
#include "passes/steps/cache.h"

typedef struct CacheRun CacheRun;

struct Cache {
  char *dir;
  const Host *host;
  CacheRun *run; /* NULL: nothing is pinned yet */
  /* Bytes of entries: the most; there when they were last counted (< 0: not yet); written by this process since. */
  int64_t limit, counted, since;
};

/* -- cache.c -- */
void cache_log(const Cache *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Paths, in buf: of an entry; of the file DIR/folder/KEY. */
const char *cache_entry_path(const Cache *c, Hash key, StrBuf *buf);
const char *cache_key_path(const Cache *c, const char *folder, Hash key, StrBuf *buf);
/* The entry, whole, or NULL: a damaged one is logged and removed. */
Blob *cache_map_entry(Cache *c, Hash key, const char *path);
/* What the head of an entry's file says of it: kind, artifacts. */
void cache_read_head(const char *path, CacheEntry *e);
/* Make DIR/folder; false: it is not there. */
bool cache_make_folder(const Cache *c, const char *folder);
/* Before a key that was not there is looked up again: its folder is opened anew, upon which a network file system asks its server
 * what is in it, instead of remembering what was not. */
void cache_refresh(const Cache *c, Hash key);
/* The time by the clock that dates the folder's files, which may be another machine's. */
struct timespec cache_now(const Cache *c);

/* -- cache_runs.c -- */
typedef struct CachePins {
  Hash *v; /* sorted */
  size_t n;
} CachePins;

/* What the runs that live have pinned. */
CachePins cache_pins(const Cache *c);
bool cache_pins_has(const CachePins *p, Hash key);
void cache_pins_free(CachePins *p);
bool cache_run_lives(const Cache *c, const char *path);
/* This process's run is alive, although it pins nothing new. */
void cache_touch(const Cache *c);
void cache_run_end(Cache *c);

/* -- cache_upkeep.c -- */
/* Over its limit? Then remove what was least recently used and nobody has pinned. */
void cache_keep_limit(Cache *c);

#endif
