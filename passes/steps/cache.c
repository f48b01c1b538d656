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
#include "passes/steps/cache_own.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ir/base/file.h"
#include "ir/base/mem.h"

static const char MAGIC[8] = "MSTEP01";

enum {
  AT_KEY = 8,
  AT_SUM = 24,
  AT_SIZE = 40,
  AT_COUNT = 48,
  AT_KIND = 56,
  AT_TABLE = 88,
  ROW = 48,
  HEAD = (AT_TABLE + CACHE_MAX_ARTIFACTS * ROW + 63) / 64 * 64
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
  c->counted = -1;
  return c;
}

void cache_close(Cache *c) {
  if (!c) return;
  cache_run_end(c);
  mem_free(c->dir);
  mem_free(c);
}

const char *cache_dir(const Cache *c) { return c->dir; }

const char *cache_entry_path(const Cache *c, Hash key, StrBuf *buf) {
  char hex[HASH_HEX];
  hash_hex(key, hex);
  sb_clear(buf);
  sb_printf(buf, "%s/%.2s/%s", c->dir, hex, hex);
  return sb_str(buf);
}

const char *cache_key_path(const Cache *c, const char *folder, Hash key, StrBuf *buf) {
  char hex[HASH_HEX];
  hash_hex(key, hex);
  sb_clear(buf);
  sb_printf(buf, "%s/%s/%s", c->dir, folder, hex);
  return sb_str(buf);
}

bool cache_make_folder(const Cache *c, const char *folder) {
  StrBuf path = {0};
  sb_printf(&path, "%s/%s", c->dir, folder);
  bool ok = mkdir(sb_str(&path), 0777) == 0 || errno == EEXIST;
  sb_free(&path);
  return ok;
}

struct timespec cache_now(const Cache *c) {
  struct timespec now;
  struct stat st;
  StrBuf path = {0};
  sb_printf(&path, "%s/clock", c->dir);
  clock_gettime(CLOCK_REALTIME, &now); /* where the folder does not tell */
  int fd = open(sb_str(&path), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  if (fd >= 0 && futimens(fd, NULL) == 0 && fstat(fd, &st) == 0) now = st.st_mtim;
  if (fd >= 0) close(fd);
  sb_free(&path);
  return now;
}

const char *cache_work(Cache *c, Arena *a, Hash key) {
  StrBuf path = {0};
  cache_make_folder(c, "work"); /* if it cannot be, the step does without */
  const char *copy = arena_strdup(a, cache_key_path(c, "work", key, &path));
  sb_free(&path);
  return copy;
}

void cache_log(const Cache *c, const char *fmt, ...) {
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

Blob *cache_map_entry(Cache *c, Hash key, const char *path) {
  Blob *map = blob_map(path);
  if (!map) return NULL;
  const char *why = damage(blob_raw(map), blob_size(map), key);
  if (!why) return map;
  blob_unref(map);
  cache_log(c, "cache: entry %s is damaged (%s): removed, its step runs again", path_base(path), why);
  unlink(path);
  return NULL;
}

bool cache_get(Cache *c, Hash key, Artifact *out, int *n) {
  StrBuf buf = {0};
  const char *path = cache_entry_path(c, key, &buf);
  Blob *map = cache_map_entry(c, key, path);
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

void cache_refresh(const Cache *c, Hash key) {
  StrBuf buf = {0};
  Arena *a = arena_new();
  DIR *dir = opendir(path_dir(a, cache_entry_path(c, key, &buf)));
  if (dir) closedir(dir);
  arena_free(a);
  sb_free(&buf);
}

bool cache_put(Cache *c, Hash key, const char *kind, const Artifact *art, int n, Diag *d) {
  ASSERT(n >= 0 && n <= CACHE_MAX_ARTIFACTS);
  StrBuf buf = {0};
  const char *path = cache_entry_path(c, key, &buf);
  size_t size;
  unsigned char *file = entry_bytes(key, kind, art, n, &size);
  Arena *a = arena_new();
  bool ok = file_make_dirs(path_dir(a, path), d) && file_write(path, file, size, d);
  if (!ok) diag_hint(d, "%zu bytes were to be kept; `mistify cache gc` makes room", size);
  arena_free(a);
  mem_free(file);
  sb_free(&buf);
  if (ok) c->since += (int64_t)size;
  if (ok) cache_keep_limit(c);
  return ok;
}

void cache_read_head(const char *path, CacheEntry *e) {
  unsigned char head[HEAD];
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  if (read(fd, head, sizeof head) == (ssize_t)sizeof head && memcmp(head, MAGIC, sizeof MAGIC) == 0) {
    memcpy(e->kind, head + AT_KIND, CACHE_KIND_MAX);
    e->artifacts = (int)(get_u64(head + AT_COUNT) & 0xff);
  }
  close(fd);
}
