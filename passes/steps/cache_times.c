/* What steps took, for those who plan the next run: DIR/times/KEY, a few lines of text with their checksum. They are no
 * part of the entries: equal keys give equal bytes, and no two runs take equal times. Losing one costs an estimate.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ir/base/file.h"
#include "ir/base/mem.h"
#include "passes/steps/cache_own.h"

static const char FORMAT[] = "mistify time 1\nkind %s\nseconds %.6f\nprocessor %.6f\nthreads %d\n";

void cache_put_time(Cache *c, const StepTime *t) {
  StrBuf text = {0}, path = {0};
  Diag *d = diag_new();
  char sum[HASH_HEX];
  sb_printf(&text, FORMAT, t->kind, t->seconds, t->processor, t->threads);
  hash_hex(hash_bytes(text.s, text.len), sum);
  sb_printf(&text, "%s\n", sum);
  cache_make_folder(c, "times");
  file_write_quick(cache_key_path(c, "times", t->key, &path), text.s, text.len, d);
  diag_free(d);
  sb_free(&path);
  sb_free(&text);
}

static bool parse(const char *text, size_t n, StepTime *out) {
  char kind[CACHE_KIND_MAX + 1];
  Hash sum;
  if (n < HASH_HEX || text[n - 1] != '\n' || !hash_parse(text + n - HASH_HEX, &sum)) return false;
  if (!hash_equal(sum, hash_bytes(text, n - HASH_HEX))) return false;
  if (sscanf(text, "mistify time 1 kind %31s seconds %lf processor %lf threads %d", kind, &out->seconds,
             &out->processor, &out->threads) != 4)
    return false;
  memcpy(out->kind, kind, sizeof kind);
  return true;
}

static bool read_time(const char *path, Hash key, StepTime *out) {
  Arena *a = arena_new();
  Diag *d = diag_new();
  size_t n;
  *out = (StepTime){.key = key};
  const char *text = file_exists(path) ? file_read(a, path, &n, d) : NULL;
  bool ok = text && parse(text, n, out);
  diag_free(d);
  arena_free(a);
  return ok;
}

bool cache_time(const Cache *c, Hash key, StepTime *out) {
  StrBuf path = {0};
  bool ok = read_time(cache_key_path(c, "times", key, &path), key, out);
  sb_free(&path);
  return ok;
}

bool cache_times(const Cache *c, Arena *a, StepTime **out, size_t *n, Diag *d) {
  void *v = NULL;
  size_t cap = 0, count = 0;
  const char *folder = path_join(a, c->dir, "times");
  DIR *dir = opendir(folder);
  FAIL_IF(!dir && errno != ENOENT, d, &(Loc){.file = folder}, "cannot be read: %s", strerror(errno));
  for (struct dirent *e; dir && (e = readdir(dir));) {
    StepTime t;
    Hash key;
    if (strlen(e->d_name) != HASH_HEX - 1 || !hash_parse(e->d_name, &key)) continue;
    if (!cache_time(c, key, &t)) continue;
    mem_grow(&v, &cap, count + 1, sizeof t);
    ((StepTime *)v)[count++] = t;
  }
  if (dir) closedir(dir);
  *out = arena_array(a, count, sizeof **out);
  if (count) memcpy(*out, v, count * sizeof **out);
  *n = count;
  mem_free(v);
  return true;
}
