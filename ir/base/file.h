/* Files: whole-file reads, writes that appear all at once, folders. Errors go to a Diag with the path. */
#ifndef IR_BASE_FILE_H
#define IR_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "ir/base/arena.h"
#include "ir/base/diag.h"

/* The whole file, NUL-terminated for convenience (the NUL is not counted in *n); arena-owned. NULL: reported. */
char *file_read(Arena *a, const char *path, size_t *n, Diag *d);

/* Write beside `path`, flush to disk, rename over it: afterwards the file is whole or as it was before.
 * Errors (a full disk too) are reported, the partial file removed. */
bool file_write(const char *path, const void *bytes, size_t n, Diag *d);
/* The same without the flush: as it was before or whole for who reads it, but after a power cut perhaps neither. */
bool file_write_quick(const char *path, const void *bytes, size_t n, Diag *d);

bool file_exists(const char *path);
bool file_is_dir(const char *path);
bool file_same(const char *a, const char *b); /* do both paths lead to one file that exists? */
/* mkdir -p */
bool file_make_dirs(const char *path, Diag *d);
/* A new, empty folder in $TMPDIR, or /tmp: the caller's to remove. Arena-owned name; NULL: reported. */
char *file_temp_dir(Arena *a, Diag *d);
/* rm -rf; true when nothing is left (also when nothing was there) */
bool file_remove_tree(const char *path);

/* dir/name, or name when it is absolute or dir is NULL or "" */
char *path_join(Arena *a, const char *dir, const char *name);
/* The folder part of path ("." when it has none). */
char *path_dir(Arena *a, const char *path);
/* The last part of path without folder; points into path. */
const char *path_base(const char *path);
/* The extension with its dot, or "". */
const char *path_ext(const char *path);

#endif
