/* Identity of data: see identity.h. Files are mapped and hashed as they lie; names of files do not count, except
 * below an image folder, where the sub-folder is the class.
 */
#include "runtime/data/identity.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ir/base/file.h"

static bool hash_file(Hasher *h, const char *path, Diag *d) {
  Blob *b = blob_map(path);
  FAIL_IF(!b, d, &(Loc){.file = path}, "cannot be read: %s", strerror(errno));
  hasher_hash(h, blob_hash(b));
  blob_unref(b);
  return true;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* The names in a folder, sorted, without hidden ones. */
static bool list_folder(Arena *a, const char *path, char ***names, size_t *n, Diag *d) {
  DIR *dir = opendir(path);
  FAIL_IF(!dir, d, &(Loc){.file = path}, "cannot be read: %s", strerror(errno));
  size_t cap = 64;
  *n = 0;
  *names = arena_array(a, cap, sizeof **names);
  for (struct dirent *e; (e = readdir(dir));) {
    if (e->d_name[0] == '.') continue;
    if (*n == cap) {
      char **more = arena_array(a, cap * 2, sizeof *more);
      memcpy(more, *names, cap * sizeof *more);
      *names = more;
      cap *= 2;
    }
    (*names)[(*n)++] = arena_strdup(a, e->d_name);
  }
  closedir(dir);
  qsort(*names, *n, sizeof **names, by_name);
  return true;
}

/* One folder per class, images in it. */
static bool hash_images(Hasher *h, const char *path, Diag *d) {
  Arena *a = arena_new();
  char **classes;
  size_t n_classes;
  bool ok = list_folder(a, path, &classes, &n_classes, d);
  for (size_t c = 0; ok && c < n_classes; c++) {
    char *folder = path_join(a, path, classes[c]), **files;
    size_t n_files;
    if (!file_is_dir(folder)) continue;
    ok = list_folder(a, folder, &files, &n_files, d);
    for (size_t i = 0; ok && i < n_files; i++) {
      char *file = path_join(a, folder, files[i]);
      if (file_is_dir(file)) continue;
      hasher_str(h, classes[c]);
      hasher_str(h, files[i]);
      ok = hash_file(h, file, d);
    }
  }
  arena_free(a);
  return ok;
}

static bool add_split(Hasher *h, const SplitSpec *s, Diag *d) {
  hasher_str(h, s->kind);
  if (!s->kind) return true;
  hasher_u64(h, s->first);
  hasher_u64(h, s->count);
  hasher_u64(h, (uint64_t)s->width);
  hasher_u64(h, (uint64_t)s->height);
  hasher_u64(h, (uint64_t)s->channels);
  if (s->anomaly) hasher_str(h, "anomaly");
  if (s->unlabelled) hasher_str(h, "unlabelled");
  FAIL_IF(!s->x, d, NULL, "data: a split of kind %s has no path", s->kind);
  if (strcmp(s->kind, "images") == 0) return hash_images(h, s->x, d);
  TRY(hash_file(h, s->x, d));
  return !s->y || hash_file(h, s->y, d);
}

bool split_identity(const SplitSpec *spec, Hash *out, Diag *d) {
  Hasher *h = hasher_new();
  bool ok = add_split(h, spec, d);
  *out = hasher_done(h);
  return ok;
}

bool dataset_identity(const DataSpec *spec, Hash *out, Diag *d) {
  Hasher *h = hasher_new();
  bool ok = add_split(h, &spec->train, d) && add_split(h, &spec->val, d);
  hasher_u64(h, (uint64_t)spec->normalize.n);
  hasher_bytes(h, spec->normalize.scale, sizeof spec->normalize.scale);
  hasher_bytes(h, spec->normalize.offset, sizeof spec->normalize.offset);
  hasher_u64(h, (uint64_t)spec->classes);
  augment_hash(h, &spec->augment);
  hasher_u64(h, spec->calibration);
  *out = hasher_done(h);
  return ok;
}
