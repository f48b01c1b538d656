/* Image folders: one folder per class, any number of images in each.
 *
 *   FOLDER/apple/1.png  FOLDER/apple/2.png  FOLDER/pear/a.jpg     classes sorted by name: apple 0, pear 1
 *
 * Examples are ordered class by class and by file name (byte order), so that first and count mean the same on every
 * machine. Names that begin with a dot are left out. Images are resized to the size asked for; 0 takes the first image's.
 */
#include "ir/base/file.h"
#include "ir/base/mem.h"
#include "runtime/data/source.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

typedef struct Names {
  char **v;
  size_t n, cap;
} Names;

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* Names in a folder, sorted; only folders, or only files. */
static bool list_folder(const char *path, bool folders, Arena *a, Names *out, Diag *d) {
  const Loc at = {.file = path};
  DIR *dir = opendir(path);
  FAIL_IF(!dir, d, &at, "cannot read the folder: %s", strerror(errno));
  for (struct dirent *e; (e = readdir(dir));) {
    if (e->d_name[0] == '.') continue;
    if (file_is_dir(path_join(a, path, e->d_name)) != folders) continue;
    mem_grow((void **)&out->v, &out->cap, out->n + 1, sizeof *out->v);
    out->v[out->n++] = arena_strdup(a, e->d_name);
  }
  closedir(dir);
  if (out->n) qsort(out->v, out->n, sizeof *out->v, by_name);
  return true;
}

char **image_classes(const char *folder, Arena *a, int *n, Diag *d) {
  Names c = {0};
  char **out = NULL;
  if (list_folder(folder, true, a, &c, d)) {
    const Loc at = {.file = folder};
    if (c.n == 0 || c.n > INT32_MAX)
      diag_error(d, &at, "no class folders: want one folder of images per class");
    else
      out = arena_dup(a, c.v, c.n * sizeof *c.v);
  }
  *n = (int)c.n;
  mem_free(c.v);
  return out;
}

static bool has_folders(const char *folder, Arena *a) {
  Names c = {0};
  Diag *quiet = diag_new();
  const bool any = list_folder(folder, true, a, &c, quiet) && c.n > 0;
  diag_free(quiet);
  mem_free(c.v);
  return any;
}

/* All files of all classes, in order, with their labels. */
typedef struct Listing {
  char **path;
  int32_t *label;
  size_t n, cap_path, cap_label;
} Listing;

static bool list_images(const SplitSpec *spec, Arena *a, Listing *l, Diag *d) {
  int n_classes = 1;
  /* Without labels images may lie in the folder itself. */
  char *here = arena_strdup(a, "."), **classes = spec->unlabelled && !has_folders(spec->x, a) ? &here : NULL;
  if (!classes) classes = image_classes(spec->x, a, &n_classes, d);
  TRY(classes);
  for (int c = 0; c < n_classes; c++) {
    Names files = {0};
    char *folder = path_join(a, spec->x, classes[c]);
    bool ok = list_folder(folder, false, a, &files, d);
    mem_grow((void **)&l->path, &l->cap_path, l->n + files.n, sizeof *l->path);
    mem_grow((void **)&l->label, &l->cap_label, l->n + files.n, sizeof *l->label);
    for (size_t i = 0; ok && i < files.n; i++) {
      l->path[l->n] = path_join(a, folder, files.v[i]);
      l->label[l->n++] = c;
    }
    mem_free(files.v);
    TRY(ok);
  }
  return true;
}

/* Decode and resize one image. *item is completed by the first one. */
static bool read_image(const char *path, Shape *item, uint8_t **all, uint32_t n, uint32_t i, Diag *d) {
  const Loc at = {.file = path};
  Arena *a = arena_new();
  size_t size;
  char *bytes = file_read(a, path, &size, d);
  int h = 0, w = 0, c = (int)item->d[2];
  const char *why = NULL;
  uint8_t *px = bytes ? image_decode(bytes, size, &h, &w, &c, &why) : NULL;
  arena_free(a);
  if (!bytes) return false;
  FAIL_IF(!px, d, &at, "cannot decode the image: %s", why);
  if (!*all) {
    if (!item->d[0]) item->d[0] = h;
    if (!item->d[1]) item->d[1] = w;
    item->d[2] = c;
    size_t total;
    bool fits = mem_mul((size_t)shape_count(item), n, &total);
    if (!fits) mem_free(px);
    FAIL_IF(!fits, d, &at, "images are too large to be kept in memory");
    *all = mem_alloc(total);
  }
  uint8_t *dst = *all + (size_t)i * (size_t)shape_count(item);
  int dh = (int)item->d[0], dw = (int)item->d[1];
  if (h == dh && w == dw)
    memcpy(dst, px, (size_t)shape_count(item));
  else
    image_resize(px, h, w, dst, dh, dw, c);
  mem_free(px);
  return true;
}

static bool read_listed(const SplitSpec *spec, const Listing *l, Split *out, Diag *d) {
  const Loc at = {.file = spec->x};
  uint32_t n;
  TRY(split_range(spec, l->n, &n, d));
  FAIL_IF(spec->width < 0 || spec->height < 0 || spec->width > 8192 || spec->height > 8192, d, &at,
          "images of %d x %d pixels: want 1 to 8192 (0: as the first image)", spec->width, spec->height);
  FAIL_IF(spec->channels != 0 && spec->channels != 1 && spec->channels != 3, d, &at,
          "images of %d channels: want 1 or 3 (0: as the first image)", spec->channels);
  Shape item = {.rank = 3, .d = {spec->height, spec->width, spec->channels}};
  uint8_t *all = NULL;
  for (uint32_t i = 0; i < n; i++) {
    if (read_image(l->path[spec->first + i], &item, &all, n, i, d)) continue;
    mem_free(all);
    return false;
  }
  split_set(out, n, &item, DT_U8, blob_adopt(all, (size_t)n * (size_t)shape_count(&item)),
            blob_new(l->label + spec->first, n * sizeof *l->label));
  return true;
}

bool source_images(const SplitSpec *spec, Split *out, Diag *d) {
  Arena *a = arena_new();
  Listing l = {0};
  bool ok = list_images(spec, a, &l, d) && read_listed(spec, &l, out, d);
  mem_free(l.path);
  mem_free(l.label);
  arena_free(a);
  return ok;
}
