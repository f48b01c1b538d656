/* Weights that an ONNX model keeps in files beside it, mapped.
 *
 *   external_data 13: key 1, value 2    "location" a path below the model's folder, "offset", "length" (bytes, decimal)
 *
 * A model from somebody else must not make us read files elsewhere: the path, with links followed, has to stay inside
 * the model's folder. Source: ONNX, "External Data".
 */
#define _XOPEN_SOURCE 700 /* realpath */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/onnx/onnx_model.h"
#include "ir/base/file.h"
#include "ir/base/mem.h"

typedef struct Entry {
  WireBytes location;
  uint64_t offset, length;
  bool has_length, bad;
} Entry;

/* A decimal number; false: it is none, or too large. */
static bool decimal(WireBytes s, uint64_t *out) {
  *out = 0;
  if (s.n == 0 || s.n > 18) return false;
  for (size_t i = 0; i < s.n; i++) {
    if (s.p[i] < '0' || s.p[i] > '9') return false;
    *out = *out * 10 + (uint64_t)(s.p[i] - '0');
  }
  return true;
}

static void read_pair(OxModel *m, WireBytes body, Entry *e) {
  WireBytes key = {NULL, 0}, value = {NULL, 0};
  WireField f;
  while (wire_next(&m->w, &body, &f)) {
    if (f.id == 1 && wire_is(&m->w, &f, WIRE_BYTES)) key = f.bytes;
    if (f.id == 2 && wire_is(&m->w, &f, WIRE_BYTES)) value = f.bytes;
  }
  if (wire_str_is(key, "location")) e->location = value;
  if (wire_str_is(key, "offset")) e->bad = !decimal(value, &e->offset) || e->bad;
  if (wire_str_is(key, "length")) {
    e->bad = !decimal(value, &e->length) || e->bad;
    e->has_length = true;
  }
}

/* No absolute path, no "..", no control character. */
static bool stays_below(const char *path) {
  if (!*path || *path == '/' || strchr(path, '\\')) return false;
  for (const char *p = path; *p; p++)
    if ((unsigned char)*p < 32 || *p == 127) return false;
  for (const char *p = path; *p; p += strcspn(p, "/"), p += *p == '/') {
    if (p[0] == '.' && p[1] == '.' && (p[2] == '/' || !p[2])) return false;
  }
  return true;
}

/* The path with links followed, in the arena; NULL where that leads out of the folder (*why) or nowhere. */
static char *real_path(OxModel *m, const char *location, const char **why) {
  char *dir = path_dir(m->arena, m->path);
  char *root = realpath(dir, NULL), *file = realpath(path_join(m->arena, dir, location), NULL), *found = NULL;
  *why = strerror(errno);
  if (root && file) {
    size_t n = strlen(root);
    if (n > 0 && root[n - 1] == '/') n--;
    bool inside = strncmp(root, file, n) == 0 && file[n] == '/';
    *why = "it is outside of the model's folder";
    if (inside) found = arena_strdup(m->arena, file);
  }
  mem_free(root);
  mem_free(file);
  return found;
}

static Blob *open_file(OxModel *m, const char *location, const char **why) {
  for (size_t i = 0; i < m->n_files; i++)
    if (strcmp(m->files[i].location, location) == 0) return m->files[i].bytes;
  *why = "the path leads out of the model's folder";
  char *path = stays_below(location) ? real_path(m, location, why) : NULL;
  Blob *bytes = path ? blob_map(path) : NULL;
  if (path && !bytes) *why = strerror(errno);
  if (!bytes) return NULL;
  void *files = m->files;
  mem_grow(&files, &m->cap_files, m->n_files + 1, sizeof *m->files);
  m->files = files;
  m->files[m->n_files++] = (OxFile){location, bytes};
  return bytes;
}

bool ox_external(OxModel *m, WireBytes info, const char *name, const Loc *loc, WireBytes *bytes, Blob **keep,
                 bool *open) {
  Entry e = {.bad = false};
  WireField f;
  while (wire_next(&m->w, &info, &f))
    if (f.id == 13 && wire_is(&m->w, &f, WIRE_BYTES)) read_pair(m, f.bytes, &e);
  if (m->w.what) return ox_corrupt(m);
  FAIL_IF(e.location.n == 0 || e.bad || memchr(e.location.p, 0, e.location.n), m->d, loc,
          "constant \"%s\" is kept in another file, but its location, offset or length cannot be read", name);
  const char *location = arena_strndup(m->arena, (const char *)e.location.p, e.location.n), *why = "";
  *keep = open_file(m, location, &why);
  if (!*keep) {
    diag_error(m->d, loc, "constant \"%s\" is kept in the file \"%.200s\", which cannot be used: %s", name,
               location, why);
    diag_hint(m->d, "keep the file with the weights beside the model");
    return false;
  }
  size_t size = blob_size(*keep);
  const bool nothing = e.has_length && e.length == 0 && e.offset == 0; /* of a constant without elements */
  FAIL_IF(size == 0 && !nothing, m->d, loc, "constant \"%s\" is kept in the file \"%.200s\", which is empty",
          name, location);
  FAIL_IF(e.offset > size || (e.has_length && e.length > size - e.offset), m->d, loc,
          "constant \"%s\" lies at byte %" PRIu64
          " of \"%.200s\"%s, which has %zu bytes: the file is cut off",
          name, e.offset, location, e.has_length ? " and is longer than the rest" : "", size);
  *open = !e.has_length;
  *bytes = (WireBytes){(const uint8_t *)blob_raw(*keep) + e.offset,
                       e.has_length ? (size_t)e.length : size - (size_t)e.offset};
  return true;
}
