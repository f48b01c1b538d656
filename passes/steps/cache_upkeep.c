/* What `mistify cache` does with the folder: list, count, shrink, verify, clear. What is found where, and when it is a
 * leftover (of a process that died):
 *
 *   xx/KEY        an entry
 *   lease/KEY     while its holder lives; else a leftover at once
 *   work/KEY      a leftover when its entry is there, or nobody went on with it for a week
 *   runs/NAME     while its process lives; else a leftover at once
 *   times/KEY     as long as its entry is there; then gc removes it
 *   *.tmp.*, *.old.*  a leftover when it is older than an hour
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ir/base/file.h"
#include "ir/base/mem.h"
#include "passes/steps/cache_own.h"
#include "passes/steps/lease.h"

enum { LEFTOVER_SECONDS = 3600, WORK_SECONDS = 7 * 24 * 3600 };

typedef struct Walk {
  Cache *c;
  Arena *a;
  CacheEntry *entries;
  size_t n, cap;
  CacheStats found; /* all but the entries; leftovers: found, or removed where `removes` is set */
  bool removes;
  CachePins pins;
  time_t now;
  StrBuf buf;
} Walk;

typedef struct File {
  const char *path, *name;
  Hash key; /* where the name is one */
  int64_t bytes, age;
  struct timespec used;
} File;

/* ---- One file of each folder */

static void leftover(Walk *w, const File *f, bool old) {
  if (w->removes && (!old || unlink(f->path) != 0)) return;
  w->found.leftovers++;
  w->found.leftover_bytes += f->bytes;
}

static bool has_entry(Walk *w, const File *f) { return file_exists(cache_entry_path(w->c, f->key, &w->buf)); }

static bool is_held(Walk *w, const File *f) {
  Holder who;
  return lease_lives(w->c, cache_key_path(w->c, "lease", f->key, &w->buf), LEASE_EXPIRES, &who);
}

static void visit_entry(Walk *w, const File *f) {
  CacheEntry e = {
      .key = f->key, .bytes = f->bytes, .used = f->used, .pinned = cache_pins_has(&w->pins, f->key)};
  if (!w->removes) cache_read_head(f->path, &e);
  w->found.pinned += e.pinned;
  w->found.pinned_bytes += e.pinned ? e.bytes : 0;
  void *p = w->entries;
  mem_grow(&p, &w->cap, w->n + 1, sizeof e);
  w->entries = p;
  w->entries[w->n++] = e;
}

static void visit_record(Walk *w, const File *f) { (void)w, (void)f; }

static void visit_lease(Walk *w, const File *f) {
  if (is_held(w, f))
    w->found.leases++;
  else
    leftover(w, f, true);
}

static void visit_work(Walk *w, const File *f) {
  if (!is_held(w, f) && (f->age > WORK_SECONDS || has_entry(w, f))) {
    leftover(w, f, true);
    return;
  }
  w->found.work++;
  w->found.work_bytes += f->bytes;
}

static void visit_time(Walk *w, const File *f) {
  if (w->removes && !has_entry(w, f) && unlink(f->path) == 0) return;
  w->found.times++;
}

static void visit_run(Walk *w, const File *f) {
  if (cache_run_lives(w->c, f->path))
    w->found.runs++;
  else
    leftover(w, f, true);
}

typedef struct Folder {
  const char *name;
  bool keys; /* its files are named by keys */
  void (*visit)(Walk *w, const File *f);
} Folder;

static const Folder entries_folder = {"??", true, visit_entry};
static const Folder folders[] = {{"last", true, visit_record},
                                 {"lease", true, visit_lease},
                                 {"work", true, visit_work},
                                 {"times", true, visit_time},
                                 {"runs", false, visit_run}};
enum { N_FOLDERS = sizeof folders / sizeof *folders };

static bool holds_entries(const char *name) {
  return strlen(name) == 2 && strspn(name, "0123456789abcdef") == 2;
}

static const Folder *folder_of(const char *name) {
  if (holds_entries(name)) return &entries_folder;
  for (int i = 0; i < N_FOLDERS; i++)
    if (strcmp(name, folders[i].name) == 0) return &folders[i];
  return NULL;
}

/* ---- Walking */

static DIR *open_folder(const char *path, Diag *d) {
  DIR *dir = opendir(path);
  if (!dir) diag_error(d, &(Loc){.file = path}, "cache folder cannot be read: %s", strerror(errno));
  return dir;
}

static bool walk_files(Walk *w, const char *path, const Folder *folder, Diag *d) {
  DIR *dir = open_folder(path, d);
  TRY(dir);
  for (struct dirent *e; (e = readdir(dir));) {
    struct stat st;
    File f = {.path = path_join(w->a, path, e->d_name), .name = e->d_name};
    if (lstat(f.path, &st) != 0 || !S_ISREG(st.st_mode)) continue; /* removed meanwhile */
    f.bytes = (int64_t)st.st_size;
    f.used = st.st_mtim;
    f.age = (int64_t)(w->now - st.st_mtime);
    if (strstr(f.name, ".tmp.") || strstr(f.name, ".old."))
      leftover(w, &f, f.age > LEFTOVER_SECONDS);
    else if (!folder->keys || (strlen(f.name) == HASH_HEX - 1 && hash_parse(f.name, &f.key)))
      folder->visit(w, &f);
  }
  closedir(dir);
  return true;
}

static int by_use(const void *a, const void *b) {
  const struct timespec *s = &((const CacheEntry *)a)->used, *t = &((const CacheEntry *)b)->used;
  if (s->tv_sec != t->tv_sec) return s->tv_sec < t->tv_sec ? -1 : 1;
  return (s->tv_nsec > t->tv_nsec) - (s->tv_nsec < t->tv_nsec);
}

/* Entries first: the others' files are looked at in the light of those that are there. */
static bool walk(Walk *w, Cache *c, Diag *d) {
  w->c = c;
  w->a = arena_new();
  w->now = cache_now(c).tv_sec;
  w->pins = cache_pins(c);
  bool ok = true;
  for (int entries = 1; ok && entries >= 0; entries--) {
    DIR *dir = open_folder(c->dir, d);
    ok = dir != NULL;
    for (struct dirent *e; ok && (e = readdir(dir));) {
      const Folder *folder = folder_of(e->d_name);
      const char *path = path_join(w->a, c->dir, e->d_name);
      if (folder && (folder == &entries_folder) == (entries == 1) && file_is_dir(path))
        ok = walk_files(w, path, folder, d);
    }
    if (dir) closedir(dir);
  }
  if (w->n > 1) qsort(w->entries, w->n, sizeof *w->entries, by_use);
  return ok;
}

static void walk_end(Walk *w) {
  cache_pins_free(&w->pins);
  sb_free(&w->buf);
  mem_free(w->entries);
  arena_free(w->a);
}

/* ---- The actions */

bool cache_list(Cache *c, Arena *a, CacheEntry **out, size_t *n, Diag *d) {
  Walk w = {0};
  bool ok = walk(&w, c, d);
  *out = arena_array(a, w.n, sizeof **out);
  if (w.n) memcpy(*out, w.entries, w.n * sizeof **out);
  *n = w.n;
  walk_end(&w);
  return ok;
}

bool cache_stats(Cache *c, CacheStats *out, Diag *d) {
  Walk w = {0};
  bool ok = walk(&w, c, d);
  *out = w.found;
  out->entries = (int64_t)w.n;
  for (size_t i = 0; i < w.n; i++) out->bytes += w.entries[i].bytes;
  walk_end(&w);
  return ok;
}

/* ---- Removing: who pins an entry looks it up behind that. So a pin that is made while we are at it is seen when the entry is
 * set aside already, and it comes back; a pin that is not seen then finds nothing. In batches, so that nothing is away for long.
 */

enum { BATCH = 32 };

static const char *aside(Walk *w, Hash key) {
  cache_entry_path(w->c, key, &w->buf);
  sb_printf(&w->buf, ".old.%ld", (long)getpid());
  return sb_str(&w->buf);
}

static bool set_aside(Walk *w, Hash key) {
  StrBuf from = {0};
  const bool ok = rename(cache_entry_path(w->c, key, &from), aside(w, key)) == 0;
  sb_free(&from);
  return ok;
}

static void put_back(Walk *w, Hash key) {
  StrBuf to = {0};
  cache_entry_path(w->c, key, &to);
  (void)!rename(aside(w, key), sb_str(&to));
  sb_free(&to);
}

static void pins_now(Walk *w) {
  cache_pins_free(&w->pins);
  w->pins = cache_pins(w->c);
}

/* Of entries from *at on, until `more` bytes have gone or the batch is full; returns the bytes that went. */
static int64_t remove_batch(Walk *w, size_t *at, int64_t more, CacheStats *removed) {
  const CacheEntry *batch[BATCH];
  int n = 0;
  int64_t away = 0, gone = 0;
  pins_now(w);
  for (; *at < w->n && n < BATCH && away < more; ++*at) {
    const CacheEntry *e = &w->entries[*at];
    if (cache_pins_has(&w->pins, e->key) || !set_aside(w, e->key)) continue;
    batch[n++] = e;
    away += e->bytes;
  }
  pins_now(w);
  for (int i = 0; i < n; i++) {
    if (cache_pins_has(&w->pins, batch[i]->key)) {
      put_back(w, batch[i]->key);
      continue;
    }
    unlink(aside(w, batch[i]->key));
    unlink(cache_key_path(w->c, "times", batch[i]->key, &w->buf)); /* with what else is there of its key */
    gone += batch[i]->bytes;
    removed->entries++;
  }
  removed->bytes += gone;
  return gone;
}

/* Least recently used first, what is pinned never; returns the bytes that are left. */
static int64_t shrink(Walk *w, int64_t max_bytes, CacheStats *removed) {
  int64_t total = 0;
  for (size_t i = 0; i < w->n; i++) total += w->entries[i].bytes;
  for (size_t at = 0; at < w->n && total > max_bytes;)
    total -= remove_batch(w, &at, total - max_bytes, removed);
  return total;
}

bool cache_gc(Cache *c, int64_t max_bytes, CacheStats *removed, Diag *d) {
  Walk w = {.removes = true};
  bool ok = walk(&w, c, d);
  *removed = (CacheStats){.leftovers = w.found.leftovers, .leftover_bytes = w.found.leftover_bytes};
  shrink(&w, max_bytes, removed);
  walk_end(&w);
  return ok;
}

/* The folder is walked only when the count says that it is full, or that others may have filled it; and then emptied by
 * an eighth more than needed, so that the next put need not walk again. Where what is pinned is more than that, the next
 * eighth is awaited. */
void cache_keep_limit(Cache *c) {
  const int64_t slack = c->limit / 8;
  if (c->limit <= 0) return;
  bool over = c->counted <= c->limit && c->counted + c->since > c->limit;
  if (c->counted >= 0 && !over && c->since <= slack) return;
  Walk w = {.removes = true};
  CacheStats removed = {0};
  Diag *quiet = diag_new();
  int64_t total = 0;
  walk(&w, c, quiet);
  for (size_t i = 0; i < w.n; i++) total += w.entries[i].bytes;
  c->counted = total > c->limit ? shrink(&w, c->limit - slack, &removed) : total;
  c->since = 0;
  if (removed.entries)
    cache_log(c, "cache: over %" PRId64 " bytes: %" PRId64 " entries of %" PRId64 " bytes removed", c->limit,
              removed.entries, removed.bytes);
  walk_end(&w);
  diag_free(quiet);
}

void cache_limit(Cache *c, int64_t bytes) {
  c->limit = bytes;
  c->counted = -1;
  cache_keep_limit(c);
}

bool cache_verify(Cache *c, CacheStats *good, CacheStats *damaged, Diag *d) {
  Walk w = {0};
  bool ok = walk(&w, c, d);
  *good = (CacheStats){0};
  *damaged = (CacheStats){0};
  for (size_t i = 0; i < w.n; i++) {
    Blob *map = cache_map_entry(c, w.entries[i].key, cache_entry_path(c, w.entries[i].key, &w.buf));
    CacheStats *to = map ? good : damaged;
    to->entries++;
    to->bytes += w.entries[i].bytes;
    blob_unref(map);
  }
  walk_end(&w);
  return ok;
}

bool cache_clear(Cache *c, Diag *d) {
  Arena *a = arena_new();
  DIR *dir = open_folder(c->dir, d);
  bool ok = dir != NULL;
  for (struct dirent *e; ok && (e = readdir(dir));) {
    const bool file = strcmp(e->d_name, "clock") == 0 || strncmp(e->d_name, "costs", 5) == 0;
    if (!folder_of(e->d_name) && !file) continue;
    const char *sub = path_join(a, c->dir, e->d_name);
    ok = file_remove_tree(sub);
    if (!ok) diag_error(d, &(Loc){.file = sub}, "cannot be removed: %s", strerror(errno));
  }
  if (dir) closedir(dir);
  arena_free(a);
  return ok;
}
