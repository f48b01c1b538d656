/* The files of an emitted folder, collected as text and published together.
 *
 * The folder is written beside its final place and renamed; into a folder that exists, each file is replaced by a
 * rename. Files that models share ("../kernels/X.c") come first: named by their content, they are right whoever
 * writes them, and left behind they do no harm.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backend/emit/emit.h"
#include "ir/base/file.h"
#include "ir/base/mem.h"

StrBuf *files_add(OutFiles *f, const char *name) {
  mem_grow((void **)&f->v, &f->cap, (size_t)f->n + 1, sizeof *f->v);
  f->v[f->n] = (OutFile){.name = name};
  return &f->v[f->n++].text;
}

void files_free(OutFiles *f) {
  for (int i = 0; i < f->n; i++) sb_free(&f->v[i].text);
  mem_free(f->v);
  *f = (OutFiles){0};
}

static bool is_shared(const OutFile *f) { return strncmp(f->name, "../", 3) == 0; }

static bool write_one(Arena *a, const char *dir, const OutFile *f, Diag *d) {
  const char *path = path_join(a, dir, f->name);
  return file_make_dirs(path_dir(a, path), d) && file_write(path, sb_str(&f->text), f->text.len, d);
}

/* "fw/kernels/x.c" for "../kernels/x.c" of the folder fw/net, which need not be there yet. */
static bool write_shared(Arena *a, const char *dir, const OutFiles *f, Diag *d) {
  const char *parent = path_dir(a, dir);
  for (int i = 0; i < f->n; i++) {
    OutFile shared = f->v[i];
    if (!is_shared(&shared)) continue;
    shared.name += 3;
    TRY(write_one(a, parent, &shared, d));
  }
  return true;
}

static bool write_own(Arena *a, const char *tmp, const OutFiles *f, Diag *d) {
  TRY(file_make_dirs(tmp, d));
  for (int i = 0; i < f->n; i++)
    if (!is_shared(&f->v[i])) TRY(write_one(a, tmp, &f->v[i], d));
  return true;
}

static bool rename_into(Arena *a, const char *tmp, const char *dir, const OutFiles *f, Diag *d) {
  if (!file_is_dir(dir)) {
    FAIL_IF(rename(tmp, dir) != 0, d, NULL, "%s: cannot be made: %s", dir, strerror(errno));
    return true;
  }
  for (int i = 0; i < f->n; i++) {
    if (is_shared(&f->v[i])) continue;
    const char *to = path_join(a, dir, f->v[i].name);
    TRY(file_make_dirs(path_dir(a, to), d));
    FAIL_IF(rename(path_join(a, tmp, f->v[i].name), to) != 0, d, NULL, "%s: cannot be written: %s", to,
            strerror(errno));
  }
  return true;
}

bool files_publish(Arena *a, const char *dir, const OutFiles *f, Diag *d) {
  size_t n = strlen(dir);
  while (n > 1 && dir[n - 1] == '/') n--;
  const char *clean = arena_strndup(a, dir, n);
  const char *tmp = arena_printf(a, "%s.tmp.%ld", clean, (long)getpid());
  bool ok = file_make_dirs(path_dir(a, clean), d) && write_own(a, tmp, f, d) &&
            write_shared(a, clean, f, d) && rename_into(a, tmp, clean, f, d);
  file_remove_tree(tmp);
  return ok;
}
