/* Datasets: opening the splits of a specification, keeping them apart, and their content hash.
 *
 * Two splits overlap when they take the same records of the same file (the same device and inode, or one
 * folder inside the other for image folders). Every pair among train, val and test is checked before anything
 * is read, so that no result is ever computed on examples that were trained on.
 */
#include "runtime/data/dataset.h"

#include "ir/base/mem.h"
#include "runtime/data/source.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

void split_set(Split *s, uint32_t n, const Shape *item, DType t, Blob *xb, Blob *yb) {
  *s = (Split){.n = n, .item = *item, .dtype = t, .xb = xb, .yb = yb};
  s->x = blob_data(xb);
  s->y = yb ? blob_data(yb) : NULL;
}

bool split_range(const SplitSpec *spec, uint64_t have, uint32_t *count, Diag *d) {
  const Loc at = {.file = spec->x};
  FAIL_IF(spec->first >= have, d, &at, "records from %u: the file has %llu", spec->first,
          (unsigned long long)have);
  uint64_t left = have - spec->first;
  FAIL_IF(spec->count > left, d, &at, "records %u to %llu: the file has %llu", spec->first,
          (unsigned long long)spec->first + spec->count - 1, (unsigned long long)have);
  FAIL_IF(left > UINT32_MAX / 2, d, &at, "%llu records: too many", (unsigned long long)left);
  *count = spec->count ? spec->count : (uint32_t)left;
  return true;
}

static bool read_split(const SplitSpec *spec, Split *out, Diag *d) {
  FAIL_IF(!spec->kind || !spec->x, d, NULL, "data: want a kind (npy, cifar, images) and a path");
  if (!strcmp(spec->kind, "npy")) return source_npy(spec, out, d);
  if (!strcmp(spec->kind, "cifar")) return source_cifar(spec, out, d);
  if (!strcmp(spec->kind, "images")) return source_images(spec, out, d);
  return diag_error(d, NULL, "data of kind \"%s\": want npy, cifar or images", spec->kind);
}

bool split_open(const SplitSpec *spec, Split *out, Diag *d) {
  *out = (Split){0};
  TRY(read_split(spec, out, d));
  out->anomaly = spec->anomaly;
  if (spec->unlabelled) {
    blob_unref(out->yb);
    out->y = NULL, out->yb = NULL;
  }
  return true;
}

bool split_has_classes(const Split *s) { return s->y && !s->anomaly; }

void split_close(Split *s) {
  blob_unref(s->xb);
  blob_unref(s->yb);
  *s = (Split){0};
}

Hash split_hash(const Split *s) {
  Hasher *h = hasher_new();
  hasher_u64(h, s->n);
  hasher_str(h, dtype_name(s->dtype));
  hasher_u64(h, (uint64_t)s->item.rank);
  for (int i = 0; i < s->item.rank; i++) hasher_u64(h, (uint64_t)s->item.d[i]);
  if (s->xb) hasher_hash(h, blob_hash(s->xb));
  hasher_u64(h, s->yb != NULL);
  if (s->yb) hasher_hash(h, blob_hash(s->yb));
  if (s->anomaly) hasher_str(h, "anomaly");
  return hasher_done(h);
}

/* -- overlap -- */

/* b names a folder that is a or lies below it: walks up from b by "..", comparing inodes. */
static bool folder_within(const struct stat *a, const char *b) {
  Arena *mem = arena_new();
  char *at = arena_strdup(mem, b);
  bool found = false;
  struct stat here, last = {0};
  for (int depth = 0; depth < 64 && stat(at, &here) == 0; depth++) {
    found = here.st_dev == a->st_dev && here.st_ino == a->st_ino;
    if (found || (depth && here.st_dev == last.st_dev && here.st_ino == last.st_ino)) break;
    last = here;
    at = arena_printf(mem, "%s/..", at);
  }
  arena_free(mem);
  return found;
}

static bool same_source(const SplitSpec *a, const SplitSpec *b) {
  struct stat sa, sb;
  if (!a->x || !b->x || stat(a->x, &sa) != 0 || stat(b->x, &sb) != 0) return false;
  return sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

static bool nested_folders(const SplitSpec *a, const SplitSpec *b) {
  struct stat sa, sb;
  if (!a->x || !b->x || stat(a->x, &sa) != 0 || stat(b->x, &sb) != 0) return false;
  if (!S_ISDIR(sa.st_mode) || !S_ISDIR(sb.st_mode)) return false;
  return folder_within(&sa, b->x) || folder_within(&sb, a->x);
}

static uint64_t spec_end(const SplitSpec *s) { return s->count ? (uint64_t)s->first + s->count : UINT64_MAX; }

static bool check_apart(const SplitSpec *a, const char *a_name, const SplitSpec *b, const char *b_name,
                        Diag *d) {
  if (!a->kind || !b->kind) return true;
  const Loc at = {.file = b->x};
  if (!same_source(a, b)) {
    FAIL_IF(nested_folders(a, b), d, &at, "%s and %s overlap: one folder lies inside the other (%s)", a_name,
            b_name, a->x);
    return true;
  }
  if (a->first >= spec_end(b) || b->first >= spec_end(a)) return true;
  diag_error(d, &at, "%s and %s overlap: both take record %u of this file", a_name, b_name,
             a->first > b->first ? a->first : b->first);
  diag_hint(d, "give each split its own `first` and `count` (count 0 takes all records from `first`)");
  return false;
}

static bool check_splits(const DataSpec *spec, Diag *d) {
  TRY(check_apart(&spec->train, "train", &spec->val, "val", d));
  TRY(check_apart(&spec->train, "train", &spec->test, "test", d));
  return check_apart(&spec->val, "val", &spec->test, "test", d);
}

/* -- checks after reading -- */

static bool check_labels(const DataSpec *spec, const SplitSpec *from, const Split *s, Diag *d) {
  if (!s->y || spec->classes <= 0) return true;
  const Loc at = {.file = from->y ? from->y : from->x};
  for (uint32_t i = 0; i < s->n; i++)
    FAIL_IF(s->y[i] < 0 || s->y[i] >= spec->classes, d, &at, "label %d of example %u: want 0 to %d", s->y[i],
            from->first + i, spec->classes - 1);
  return true;
}

static bool check_normalize(const DataSpec *spec, const SplitSpec *from, const Split *s, Diag *d) {
  const Loc at = {.file = from->x};
  int64_t c = s->item.d[s->item.rank - 1];
  FAIL_IF(spec->normalize.n > 1 && spec->normalize.n != c, d, &at,
          "normalization of %d channels: the examples have %lld", spec->normalize.n, (long long)c);
  return true;
}

/* Folders of both splits must name the same classes, or labels would mean different things. */
static bool check_classes(const SplitSpec *a, const SplitSpec *b, Diag *d) {
  if (!a->kind || !b->kind || strcmp(a->kind, "images") || strcmp(b->kind, "images")) return true;
  const Loc at = {.file = b->x};
  Arena *mem = arena_new();
  int na = 0, nb = 0;
  char **ca = image_classes(a->x, mem, &na, d), **cb = ca ? image_classes(b->x, mem, &nb, d) : NULL;
  bool ok = cb != NULL;
  if (ok && na != nb) ok = diag_error(d, &at, "%d class folders: %s has %d", nb, a->x, na);
  for (int i = 0; ok && i < na; i++)
    if (strcmp(ca[i], cb[i]))
      ok = diag_error(d, &at, "class folder \"%s\": %s has \"%s\" there", cb[i], a->x, ca[i]);
  arena_free(mem);
  return ok;
}

static bool open_checked(const DataSpec *spec, const SplitSpec *from, Split *out, Diag *d) {
  TRY(split_open(from, out, d));
  if (check_labels(spec, from, out, d) && check_normalize(spec, from, out, d)) return true;
  split_close(out);
  return false;
}

/* -- opening -- */

static Hash dataset_hash(const Dataset *ds) {
  const DataSpec *s = &ds->spec;
  Hasher *h = hasher_new();
  hasher_hash(h, split_hash(&ds->train));
  hasher_hash(h, split_hash(&ds->val));
  hasher_u64(h, (uint64_t)s->normalize.n);
  size_t n = (size_t)s->normalize.n;
  hasher_bytes(h, s->normalize.scale, n * sizeof(float));
  hasher_bytes(h, s->normalize.offset, n * sizeof(float));
  hasher_u64(h, (uint64_t)s->classes);
  augment_hash(h, &s->augment);
  hasher_u64(h, s->calibration);
  return hasher_done(h);
}

static bool check_spec(const DataSpec *spec, Diag *d) {
  FAIL_IF(spec->normalize.n < 0 || spec->normalize.n > DATA_MAX_CHANNELS, d, NULL,
          "normalization of %d channels: want 0 to %d", spec->normalize.n, DATA_MAX_CHANNELS);
  FAIL_IF(spec->augment.crop < 0, d, NULL, "crop of %d pixels: want 0 or more", spec->augment.crop);
  TRY(check_splits(spec, d));
  TRY(check_classes(&spec->train, &spec->val, d));
  TRY(check_classes(&spec->train, &spec->test, d));
  return check_classes(&spec->val, &spec->test, d);
}

static bool check_same_item(const Dataset *ds, Diag *d) {
  const Split *t = &ds->train, *v = &ds->val;
  if (!t->n || !v->n) return true;
  const Loc at = {.file = ds->spec.val.x};
  char want[96], got[96];
  shape_format(&t->item, want, sizeof want);
  shape_format(&v->item, got, sizeof got);
  FAIL_IF(!shape_equal(&t->item, &v->item) || t->dtype != v->dtype, d, &at,
          "examples of %s %s: those of the training split are %s %s", dtype_name(v->dtype), got,
          dtype_name(t->dtype), want);
  return true;
}

bool dataset_open(const DataSpec *spec, Dataset *out, Diag *d) {
  *out = (Dataset){.spec = *spec};
  TRY(check_spec(spec, d));
  bool ok = !spec->train.kind || open_checked(spec, &spec->train, &out->train, d);
  ok = ok && (!spec->val.kind || open_checked(spec, &spec->val, &out->val, d));
  ok = ok && check_same_item(out, d);
  const Loc at = {.file = spec->train.x};
  if (ok && out->train.n < spec->calibration)
    ok = diag_error(d, &at, "%u calibration examples: the training split has %u", spec->calibration,
                    out->train.n);
  if (!ok) {
    dataset_close(out);
    return false;
  }
  out->hash = dataset_hash(out);
  return true;
}

void dataset_close(Dataset *ds) {
  split_close(&ds->train);
  split_close(&ds->val);
}

bool dataset_open_test(const DataSpec *spec, Split *out, Diag *d) {
  *out = (Split){0};
  FAIL_IF(!spec->test.kind, d, NULL, "data: there is no test split");
  TRY(check_spec(spec, d));
  return open_checked(spec, &spec->test, out, d);
}
