/* Artifacts; see artifact.h. A folder is packed as
 *
 *   "MFILES1\0"  u64 count  { u64 name length, u64 size, name, bytes } * count      little-endian, names sorted
 *
 * and unpacked with every length checked and every name refused that would leave the folder.
 */
#include "passes/steps/artifact.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "ir/base/file.h"
#include "ir/custom.h"
#include "ir/base/mem.h"
#include "ir/base/strbuf.h"

static const char FILES_MAGIC[8] = "MFILES1";

enum { MAX_FOLDER_DEPTH = 16 };

const char *artifact_type_name(ArtifactType t) {
  switch (t) {
  case ART_GRAPH: return "graph";
  case ART_STATS: return "statistics";
  case ART_LOGITS: return "logits";
  case ART_SENSITIVITY: return "sensitivity";
  case ART_CHECKPOINT: return "checkpoint";
  case ART_PLAN: return "plan";
  case ART_MEASURE: return "measurement";
  case ART_DATA: return "data";
  case ART_FILES: return "files";
  }
  return "artifact";
}

Artifact artifact_from_graph(const Graph *g) {
  StrBuf text = {0};
  graph_serialize(g, &text);
  Artifact art = {.type = ART_GRAPH,
                  .bytes = blob_new(text.s, text.len),
                  .hash = graph_hash(g),
                  .custom = custom_ref(g->custom)};
  sb_free(&text);
  return art;
}

Graph *artifact_graph(const Artifact *art, Diag *d) {
  if (art->type == ART_GRAPH && art->bytes) {
    Graph *g = graph_deserialize(art->bytes, "step", d);
    if (g) custom_attach(g, art->custom);
    return g;
  }
  diag_error(d, NULL, "want a graph, got %s", artifact_type_name(art->type));
  return NULL;
}

Artifact artifact_from_blob(ArtifactType t, Blob *bytes) {
  ASSERT(t != ART_GRAPH);
  return (Artifact){.type = t, .bytes = bytes, .hash = blob_hash(bytes)};
}

Artifact artifact_from_bytes(ArtifactType t, const void *bytes, size_t n) {
  return artifact_from_blob(t, blob_new(bytes, n));
}

Artifact artifact_from_hash(ArtifactType t, Hash content) { return (Artifact){.type = t, .hash = content}; }

Artifact artifact_ref(const Artifact *art) {
  Artifact copy = *art;
  blob_ref(copy.bytes);
  custom_ref(copy.custom);
  return copy;
}

void artifact_unref(Artifact *art) {
  blob_unref(art->bytes);
  custom_unref(art->custom);
  *art = (Artifact){0};
}

/* ---- Folders */

typedef struct Names {
  Arena *a;
  char **v; /* paths relative to the folder */
  size_t n, cap;
} Names;

static bool collect(Names *names, const char *root, const char *sub, int depth, Diag *d) {
  const char *path = path_join(names->a, root, sub);
  FAIL_IF(depth > MAX_FOLDER_DEPTH, d, &(Loc){.file = path}, "folders nested too deeply");
  DIR *dir = opendir(path);
  FAIL_IF(!dir, d, &(Loc){.file = path}, "folder cannot be read: %s", strerror(errno));
  bool ok = true;
  for (struct dirent *e; ok && (e = readdir(dir));) {
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
    char *rel = path_join(names->a, sub, e->d_name);
    struct stat st;
    const char *full = path_join(names->a, root, rel);
    if (lstat(full, &st) != 0) continue;
    if (S_ISDIR(st.st_mode)) ok = collect(names, root, rel, depth + 1, d);
    if (!S_ISREG(st.st_mode)) continue;
    void *p = names->v;
    mem_grow(&p, &names->cap, names->n + 1, sizeof *names->v);
    names->v = p;
    names->v[names->n++] = rel;
  }
  closedir(dir);
  return ok;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void put_u64(StrBuf *out, uint64_t v) {
  for (int i = 0; i < 8; i++) sb_putc(out, (char)(unsigned char)(v >> (8 * i)));
}

static bool pack(Names *names, const char *dir, StrBuf *out, Diag *d) {
  sb_write(out, FILES_MAGIC, sizeof FILES_MAGIC);
  put_u64(out, names->n);
  for (size_t i = 0; i < names->n; i++) {
    size_t size = 0;
    const char *bytes = file_read(names->a, path_join(names->a, dir, names->v[i]), &size, d);
    TRY(bytes != NULL);
    put_u64(out, strlen(names->v[i]));
    put_u64(out, size);
    sb_puts(out, names->v[i]);
    sb_write(out, bytes, size);
  }
  return true;
}

bool artifact_from_dir(const char *dir, Artifact *out, Diag *d) {
  Names names = {.a = arena_new()};
  StrBuf packed = {0};
  bool ok = collect(&names, dir, "", 0, d);
  if (ok && names.n > 1) qsort(names.v, names.n, sizeof *names.v, by_name);
  ok = ok && pack(&names, dir, &packed, d);
  if (ok) *out = artifact_from_bytes(ART_FILES, packed.s, packed.len);
  sb_free(&packed);
  mem_free(names.v);
  arena_free(names.a);
  return ok;
}

typedef struct Unpack {
  const unsigned char *at, *end;
} Unpack;

static bool get_u64(Unpack *u, uint64_t *v) {
  if (u->end - u->at < 8) return false;
  *v = 0;
  for (int i = 7; i >= 0; i--) *v = *v << 8 | u->at[i];
  u->at += 8;
  return true;
}

static bool get_bytes(Unpack *u, uint64_t n, const void **p) {
  if ((uint64_t)(u->end - u->at) < n) return false;
  *p = u->at;
  u->at += n;
  return true;
}

/* Relative, without "..", so that it stays below the folder. */
static bool safe_name(const char *name) {
  if (!*name || *name == '/') return false;
  for (const char *p = name; p; p = strchr(p, '/')) {
    if (*p == '/') p++;
    size_t n = strcspn(p, "/");
    if (n == 0 || (n == 1 && *p == '.') || (n == 2 && memcmp(p, "..", 2) == 0)) return false;
  }
  return true;
}

static bool unpack_one(Unpack *u, Arena *a, const char *dir, Diag *d) {
  uint64_t name_len, size;
  const void *name, *bytes;
  FAIL_IF(!get_u64(u, &name_len) || !get_u64(u, &size) || !get_bytes(u, name_len, &name) ||
              !get_bytes(u, size, &bytes),
          d, NULL, "packed files end too early");
  const char *rel = arena_strndup(a, name, name_len);
  FAIL_IF(strlen(rel) != name_len || !safe_name(rel), d, NULL,
          "packed files: the name \"%s\" leaves the folder", rel);
  const char *path = path_join(a, dir, rel);
  TRY(file_make_dirs(path_dir(a, path), d));
  return file_write(path, bytes, size, d);
}

bool artifact_to_dir(const Artifact *art, const char *dir, Diag *d) {
  FAIL_IF(art->type != ART_FILES || !art->bytes, d, NULL, "want files, got %s",
          artifact_type_name(art->type));
  Unpack u = {.at = blob_raw(art->bytes)};
  u.end = u.at + blob_size(art->bytes);
  const void *magic;
  uint64_t count;
  FAIL_IF(!get_bytes(&u, sizeof FILES_MAGIC, &magic) || memcmp(magic, FILES_MAGIC, sizeof FILES_MAGIC) != 0 ||
              !get_u64(&u, &count),
          d, NULL, "packed files have a wrong head");
  Arena *a = arena_new();
  bool ok = file_make_dirs(dir, d);
  while (ok && count-- > 0) ok = unpack_one(&u, a, dir, d);
  arena_free(a);
  return ok;
}
