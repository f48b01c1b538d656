/* Runs: which entries a process that lives has read or written, so that no other removes them while it may need them again.
 *
 *   DIR/runs/HOST-PID-NONCE   the holder's line (holder.h), then a line for each key, appended
 *
 * A run's file is made when its first key is pinned, and shared with processes that are forked after that: what they
 * append is pinned as long as their parent lives. It is removed at the end; what a killed process leaves pins nothing.
 * Losing a pin costs a step that runs again.
 */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ir/base/file.h"
#include "ir/base/mem.h"
#include "passes/steps/cache_own.h"
#include "passes/steps/lease.h"

enum { RUN_EXPIRES = 600 }; /* seconds; between its steps a run of another machine touches nothing */

struct CacheRun {
  int fd; /* < 0: the folder allows none */
  pid_t owner;
  char *path;
  Hash *seen; /* open addressing, half full at most; zeros: free */
  size_t n, cap;
};

/* ---- Pinning */

static CacheRun *open_run(const Cache *c) {
  CacheRun *r = mem_zalloc(sizeof *r);
  Holder self = holder_self();
  StrBuf text = {0};
  char nonce[HASH_HEX];
  hash_hex(self.nonce, nonce);
  sb_printf(&text, "%s/runs/%s-%" PRId64 "-%.8s", c->dir, self.host, self.pid, nonce);
  for (char *p = text.s + strlen(c->dir) + 6; *p; p++) *p = *p == '/' ? '?' : *p;
  r->path = mem_strdup(sb_str(&text));
  r->owner = getpid();
  cache_make_folder(c, "runs");
  r->fd = open(r->path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
  sb_clear(&text);
  holder_print(&self, &text);
  if (r->fd >= 0 && write(r->fd, text.s, text.len) != (ssize_t)text.len) {
    unlink(r->path);
    close(r->fd);
    r->fd = -1;
  }
  sb_free(&text);
  return r;
}

static Hash *place_of(const CacheRun *r, Hash key) {
  size_t at = (size_t)key.lo & (r->cap - 1);
  while ((r->seen[at].hi | r->seen[at].lo) && !hash_equal(r->seen[at], key)) at = (at + 1) & (r->cap - 1);
  return &r->seen[at];
}

static void grow(CacheRun *r) {
  CacheRun old = *r;
  r->cap = old.cap ? 2 * old.cap : 64;
  r->seen = mem_array(r->cap, sizeof *r->seen);
  for (size_t i = 0; i < old.cap; i++)
    if (old.seen[i].hi | old.seen[i].lo) *place_of(r, old.seen[i]) = old.seen[i];
  mem_free(old.seen);
}

void cache_pin(Cache *c, Hash key) {
  char line[HASH_HEX];
  if (!c->run) c->run = open_run(c);
  CacheRun *r = c->run;
  if (r->fd < 0) return;
  if (2 * (r->n + 1) > r->cap) grow(r);
  Hash *place = place_of(r, key);
  if (hash_equal(*place, key)) return;
  *place = key;
  r->n++;
  hash_hex(key, line);
  line[HASH_HEX - 1] = '\n';
  (void)!write(r->fd, line, sizeof line);
}

void cache_touch(const Cache *c) {
  if (c->run && c->run->fd >= 0) futimens(c->run->fd, NULL);
}

void cache_run_end(Cache *c) {
  CacheRun *r = c->run;
  if (!r) return;
  if (r->fd >= 0) close(r->fd);
  if (r->fd >= 0 && r->owner == getpid()) unlink(r->path);
  mem_free(r->path);
  mem_free(r->seen);
  mem_free(r);
  c->run = NULL;
}

/* ---- What is pinned */

bool cache_run_lives(const Cache *c, const char *path) {
  Holder who;
  return lease_lives(c, path, RUN_EXPIRES, &who);
}

static void add_keys(CachePins *out, size_t *cap, const char *text) {
  for (const char *line = strchr(text, '\n'); line && line[1]; line = strchr(line + 1, '\n')) {
    Hash key;
    if (!hash_parse(line + 1, &key)) continue;
    void *p = out->v;
    mem_grow(&p, cap, out->n + 1, sizeof key);
    out->v = p;
    out->v[out->n++] = key;
  }
}

static int by_key(const void *a, const void *b) {
  const Hash *s = a, *t = b;
  if (s->hi != t->hi) return s->hi < t->hi ? -1 : 1;
  return (s->lo > t->lo) - (s->lo < t->lo);
}

CachePins cache_pins(const Cache *c) {
  CachePins out = {0};
  size_t cap = 0;
  Arena *a = arena_new();
  Diag *quiet = diag_new();
  const char *folder = path_join(a, c->dir, "runs");
  DIR *dir = opendir(folder);
  for (struct dirent *e; dir && (e = readdir(dir));) {
    const char *path = path_join(a, folder, e->d_name);
    if (e->d_name[0] == '.' || !cache_run_lives(c, path)) continue;
    const char *text = file_read(a, path, NULL, quiet);
    if (text) add_keys(&out, &cap, text);
  }
  if (dir) closedir(dir);
  diag_free(quiet);
  arena_free(a);
  if (out.n > 1) qsort(out.v, out.n, sizeof *out.v, by_key);
  return out;
}

bool cache_pins_has(const CachePins *p, Hash key) {
  return p->n && bsearch(&key, p->v, p->n, sizeof key, by_key) != NULL;
}

void cache_pins_free(CachePins *p) {
  mem_free(p->v);
  *p = (CachePins){0};
}
