/* The step cache; see cache.h. One entry is one file, little-endian:
 *
 *   0   "MSTEP01\0"
 *   8   key            hi, lo (u64 each)
 *   24  checksum       hi, lo: XXH3-128 of the whole file with these 16 bytes as zeros
 *   40  file size      u64
 *   48  artifacts      u64
 *   56  kind           32 bytes, NUL-padded
 *   88  table          CACHE_MAX_ARTIFACTS rows of type, flags (1: has bytes), offset, size, hash hi, hash lo
 *   ... artifacts' bytes, each at a multiple of 64, zeros between
 *
 * The checksum covers every byte, so that no flipped bit and no cut goes unnoticed. Reading maps the file; the
 * artifacts are views that keep the map, which an unlink by another process does not disturb.
 */
#include "passes/steps/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ir/base/file.h"
#include "ir/base/mem.h"
#include "ir/base/strbuf.h"

static const char MAGIC[8] = "MSTEP01";

enum {
  AT_KEY = 8,
  AT_SUM = 24,
  AT_SIZE = 40,
  AT_COUNT = 48,
  AT_KIND = 56,
  AT_TABLE = 88,
  ROW = 48,
  HEAD = (AT_TABLE + CACHE_MAX_ARTIFACTS * ROW + 63) / 64 * 64,
  LEFTOVER_SECONDS = 3600
};

struct Cache {
  char *dir;
  const Host *host;
};

Cache *cache_open(const char *dir, const Host *host, Diag *d) {
  if (!file_make_dirs(dir, d)) return NULL;
  if (access(dir, W_OK) != 0) {
    diag_error(d, &(Loc){.file = dir}, "cache folder cannot be written: %s", strerror(errno));
    return NULL;
  }
  Cache *c = mem_zalloc(sizeof *c);
  c->dir = mem_strdup(dir);
  c->host = host;
  return c;
}

void cache_close(Cache *c) {
  if (!c) return;
  mem_free(c->dir);
  mem_free(c);
}

const char *cache_dir(const Cache *c) { return c->dir; }

static const char *entry_path(const Cache *c, Hash key, StrBuf *buf) {
  char hex[HASH_HEX];
  hash_hex(key, hex);
  sb_clear(buf);
  sb_printf(buf, "%s/%.2s/%s", c->dir, hex, hex);
  return sb_str(buf);
}

static void log_line(const Cache *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void log_line(const Cache *c, const char *fmt, ...) {
  if (!c->host || !c->host->log) return;
  StrBuf line = {0};
  va_list ap;
  va_start(ap, fmt);
  sb_vprintf(&line, fmt, ap);
  va_end(ap);
  c->host->log(c->host->ctx, sb_str(&line));
  sb_free(&line);
}

/* ---- The file's form */

static void set_u64(unsigned char *p, uint64_t v) {
  for (int i = 0; i < 8; i++) p[i] = (unsigned char)(v >> (8 * i));
}

static uint64_t get_u64(const unsigned char *p) {
  uint64_t v = 0;
  for (int i = 7; i >= 0; i--) v = v << 8 | p[i];
  return v;
}

static void set_hash(unsigned char *p, Hash h) {
  set_u64(p, h.hi);
  set_u64(p + 8, h.lo);
}

static Hash get_hash(const unsigned char *p) { return (Hash){.hi = get_u64(p), .lo = get_u64(p + 8)}; }

static Hash checksum(const unsigned char *file, size_t size) {
  static const unsigned char zeros[16];
  Hasher *h = hasher_new();
  hasher_bytes(h, file, AT_SUM);
  hasher_bytes(h, zeros, sizeof zeros);
  hasher_bytes(h, file + AT_SIZE, size - AT_SIZE);
  return hasher_done(h);
}

static size_t padded(size_t n) { return (n + 63) / 64 * 64; }

/* What is wrong with the file, or NULL. */
static const char *damage(const unsigned char *file, size_t size, Hash key) {
  if (size < HEAD) return "cut short";
  if (memcmp(file, MAGIC, sizeof MAGIC) != 0) return "not a cache entry of this version";
  if (get_u64(file + AT_SIZE) != size) return "of a wrong size";
  if (!hash_equal(get_hash(file + AT_SUM), checksum(file, size))) return "wrong checksum";
  if (!hash_equal(get_hash(file + AT_KEY), key)) return "named after another key";
  uint64_t n = get_u64(file + AT_COUNT);
  if (n > CACHE_MAX_ARTIFACTS) return "too many artifacts";
  for (uint64_t i = 0; i < n; i++) {
    const unsigned char *row = file + AT_TABLE + i * ROW;
    uint64_t at = get_u64(row + 16), len = get_u64(row + 24);
    if (at > size || len > size - at) return "artifact beyond the end";
  }
  return NULL;
}

static void set_row(unsigned char *row, const Artifact *art, size_t at) {
  set_u64(row, (uint64_t)art->type);
  set_u64(row + 8, art->bytes ? 1 : 0);
  set_u64(row + 16, at);
  set_u64(row + 24, art->bytes ? blob_size(art->bytes) : 0);
  set_hash(row + 32, art->hash);
}

static unsigned char *entry_bytes(Hash key, const char *kind, const Artifact *art, int n, size_t *size) {
  *size = HEAD;
  for (int i = 0; i < n; i++) *size += art[i].bytes ? padded(blob_size(art[i].bytes)) : 0;
  unsigned char *file = mem_zalloc(*size);
  memcpy(file, MAGIC, sizeof MAGIC);
  set_hash(file + AT_KEY, key);
  set_u64(file + AT_SIZE, *size);
  set_u64(file + AT_COUNT, (uint64_t)n);
  size_t kind_len = strlen(kind);
  memcpy(file + AT_KIND, kind, kind_len < CACHE_KIND_MAX ? kind_len : CACHE_KIND_MAX);
  size_t at = HEAD;
  for (int i = 0; i < n; i++) {
    set_row(file + AT_TABLE + i * ROW, &art[i], at);
    if (!art[i].bytes) continue;
    memcpy(file + at, blob_raw(art[i].bytes), blob_size(art[i].bytes));
    at += padded(blob_size(art[i].bytes));
  }
  set_hash(file + AT_SUM, checksum(file, *size));
  return file;
}

static Artifact entry_artifact(Blob *map, const unsigned char *file, int i) {
  const unsigned char *row = file + AT_TABLE + i * ROW;
  Artifact art = {.type = (ArtifactType)get_u64(row), .hash = get_hash(row + 32)};
  if (get_u64(row + 8)) art.bytes = blob_view(map, file + get_u64(row + 16), get_u64(row + 24));
  return art;
}

/* ---- Look up, publish */

static Blob *map_entry(Cache *c, Hash key, const char *path) {
  Blob *map = blob_map(path);
  if (!map) return NULL;
  const char *why = damage(blob_raw(map), blob_size(map), key);
  if (!why) return map;
  blob_unref(map);
  log_line(c, "cache: entry %s is damaged (%s): removed, its step runs again", path_base(path), why);
  unlink(path);
  return NULL;
}

bool cache_get(Cache *c, Hash key, Artifact *out, int *n) {
  StrBuf buf = {0};
  const char *path = entry_path(c, key, &buf);
  Blob *map = map_entry(c, key, path);
  if (map) {
    const unsigned char *file = blob_raw(map);
    *n = (int)get_u64(file + AT_COUNT);
    for (int i = 0; i < *n; i++) out[i] = entry_artifact(map, file, i);
    utimensat(AT_FDCWD, path, NULL, 0); /* only the order of removal depends on it */
    blob_unref(map);
  }
  sb_free(&buf);
  return map != NULL;
}

bool cache_put(Cache *c, Hash key, const char *kind, const Artifact *art, int n, Diag *d) {
  ASSERT(n >= 0 && n <= CACHE_MAX_ARTIFACTS);
  StrBuf buf = {0};
  const char *path = entry_path(c, key, &buf);
  size_t size;
  unsigned char *file = entry_bytes(key, kind, art, n, &size);
  Arena *a = arena_new();
  bool ok = file_make_dirs(path_dir(a, path), d) && file_write(path, file, size, d);
  if (!ok) diag_hint(d, "%zu bytes were to be kept; `mistify cache gc` makes room", size);
  arena_free(a);
  mem_free(file);
  sb_free(&buf);
  return ok;
}

/* ---- Maintenance */

typedef struct Walk {
  Cache *c;
  Arena *a;
  CacheEntry *entries;
  size_t n, cap;
  CacheStats leftovers; /* found, or removed when remove_before is set */
  time_t remove_before;
} Walk;

static void read_head(const char *path, CacheEntry *e) {
  unsigned char head[HEAD];
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  if (read(fd, head, sizeof head) == (ssize_t)sizeof head && memcmp(head, MAGIC, sizeof MAGIC) == 0) {
    memcpy(e->kind, head + AT_KIND, CACHE_KIND_MAX);
    e->artifacts = (int)(get_u64(head + AT_COUNT) & 0xff);
  }
  close(fd);
}

static void visit(Walk *w, const char *path, const struct stat *st) {
  const char *base = path_base(path);
  CacheEntry e = {.bytes = (int64_t)st->st_size, .used = st->st_mtim};
  if (hash_parse(base, &e.key) && strlen(base) == HASH_HEX - 1) {
    read_head(path, &e);
    void *p = w->entries;
    mem_grow(&p, &w->cap, w->n + 1, sizeof e);
    w->entries = p;
    w->entries[w->n++] = e;
  } else if (strstr(base, ".tmp.") &&
             (!w->remove_before || (st->st_mtime < w->remove_before && unlink(path) == 0))) {
    w->leftovers.leftovers++;
    w->leftovers.leftover_bytes += e.bytes;
  }
}

/* Files of DIR/xx/ and DIR/last/. */
static bool walk_folder(Walk *w, const char *path, int depth, Diag *d) {
  DIR *dir = opendir(path);
  FAIL_IF(!dir, d, &(Loc){.file = path}, "cache folder cannot be read: %s", strerror(errno));
  bool ok = true;
  for (struct dirent *e; ok && (e = readdir(dir));) {
    if (e->d_name[0] == '.') continue;
    const char *sub = path_join(w->a, path, e->d_name);
    struct stat st;
    if (lstat(sub, &st) != 0) continue; /* removed meanwhile */
    bool ours = strlen(e->d_name) == 2 || strcmp(e->d_name, "last") == 0;
    if (S_ISDIR(st.st_mode) && depth == 0 && ours) ok = walk_folder(w, sub, 1, d);
    if (S_ISREG(st.st_mode) && depth == 1) visit(w, sub, &st);
  }
  closedir(dir);
  return ok;
}

static int by_use(const void *a, const void *b) {
  const struct timespec *s = &((const CacheEntry *)a)->used, *t = &((const CacheEntry *)b)->used;
  if (s->tv_sec != t->tv_sec) return s->tv_sec < t->tv_sec ? -1 : 1;
  return (s->tv_nsec > t->tv_nsec) - (s->tv_nsec < t->tv_nsec);
}

static bool walk(Walk *w, Cache *c, Diag *d) {
  w->c = c;
  w->a = arena_new();
  bool ok = walk_folder(w, c->dir, 0, d);
  if (w->n > 1) qsort(w->entries, w->n, sizeof *w->entries, by_use);
  return ok;
}

static void walk_end(Walk *w) {
  mem_free(w->entries);
  arena_free(w->a);
}

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
  *out = w.leftovers;
  out->entries = (int64_t)w.n;
  for (size_t i = 0; i < w.n; i++) out->bytes += w.entries[i].bytes;
  walk_end(&w);
  return ok;
}

static bool remove_entry(const Cache *c, const CacheEntry *e) {
  StrBuf buf = {0};
  bool gone = unlink(entry_path(c, e->key, &buf)) == 0;
  sb_free(&buf);
  return gone;
}

bool cache_gc(Cache *c, int64_t max_bytes, CacheStats *removed, Diag *d) {
  Walk w = {.remove_before = time(NULL) - LEFTOVER_SECONDS};
  bool ok = walk(&w, c, d);
  *removed = w.leftovers;
  int64_t total = 0;
  for (size_t i = 0; i < w.n; i++) total += w.entries[i].bytes;
  for (size_t i = 0; i < w.n && total > max_bytes; i++) {
    if (!remove_entry(c, &w.entries[i])) continue;
    total -= w.entries[i].bytes;
    removed->entries++;
    removed->bytes += w.entries[i].bytes;
  }
  walk_end(&w);
  return ok;
}

bool cache_verify(Cache *c, CacheStats *good, CacheStats *damaged, Diag *d) {
  Walk w = {0};
  bool ok = walk(&w, c, d);
  *good = (CacheStats){0};
  *damaged = (CacheStats){0};
  StrBuf buf = {0};
  for (size_t i = 0; i < w.n; i++) {
    Blob *map = map_entry(c, w.entries[i].key, entry_path(c, w.entries[i].key, &buf));
    CacheStats *to = map ? good : damaged;
    to->entries++;
    to->bytes += w.entries[i].bytes;
    blob_unref(map);
  }
  sb_free(&buf);
  walk_end(&w);
  return ok;
}

bool cache_clear(Cache *c, Diag *d) {
  Arena *a = arena_new();
  DIR *dir = opendir(c->dir);
  bool ok = dir != NULL;
  if (!ok) diag_error(d, &(Loc){.file = c->dir}, "cache folder cannot be read: %s", strerror(errno));
  for (struct dirent *e; ok && (e = readdir(dir));) {
    bool entry = strlen(e->d_name) == 2 && strspn(e->d_name, "0123456789abcdef") == 2;
    if (!entry && strcmp(e->d_name, "last") != 0) continue;
    const char *sub = path_join(a, c->dir, e->d_name);
    ok = file_remove_tree(sub);
    if (!ok) diag_error(d, &(Loc){.file = sub}, "cannot be removed: %s", strerror(errno));
  }
  if (dir) closedir(dir);
  arena_free(a);
  return ok;
}
