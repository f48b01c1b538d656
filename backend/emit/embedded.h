/* Files that the binary carries as text, so that it emits and measures without its source tree: the kernels and device
 * code that ship in generated code, the emulator harness, the boards, the report's templates.  The table is made by
 * the build (scripts/embed.sh).
 */
#ifndef BACKEND_EMIT_EMBEDDED_H
#define BACKEND_EMIT_EMBEDDED_H

#include <stddef.h>

typedef struct {
  const char *path;          /* relative to the root: "runtime/kernels/generic/conv2d.c" */
  const unsigned char *text; /* the file's bytes, and one 0 after them that SIZE does not count */
  size_t size;
} EmbeddedFile;

/* Sorted by path (strcmp order). */
extern const EmbeddedFile embedded_files[];
extern const size_t embedded_files_count;

#endif
