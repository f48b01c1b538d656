/* Fingerprints of our own sources, for the keys of the step cache: a step's key holds the hashes of the files that
 * compute it, so that editing a pass reruns that pass's steps and no others.  The table is made by the build
 * (scripts/fingerprints.sh), never by hand.
 */
#ifndef IR_BASE_FINGERPRINT_H
#define IR_BASE_FINGERPRINT_H

#include <stddef.h>

typedef struct {
  const char *path; /* relative to the root: "passes/prune.c" */
  const char *hash; /* SHA-256 of the file, 64 lower-case hexadecimal digits */
} SourcePrint;

/* Every .c, .h and .def below ir, passes, backend, runtime and frontend, sorted by path (strcmp order). */
extern const SourcePrint source_prints[];
extern const size_t source_prints_count;

#endif
