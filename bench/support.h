/* What benchmarks share: a folder to work in, and what a result file says of the machine. */
#ifndef BENCH_SUPPORT_H
#define BENCH_SUPPORT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ir/base/file.h"

/* A new folder (file_temp_dir): the caller's to remove (file_remove_tree) and free. Ends the program without one. */
static inline char *bench_temp_dir(void) {
  Arena *a = arena_new();
  Diag *d = diag_new();
  const char *made = file_temp_dir(a, d);
  if (!made) {
    diag_print(d, stderr);
    exit(1);
  }
  char *dir = strdup(made);
  diag_free(d);
  arena_free(a);
  return dir;
}

/* First line of a command's output; "" where there is none. */
static inline void first_line(const char *command, char *out, int n) {
  FILE *f = popen(command, "r");
  if (!f || !fgets(out, n, f)) out[0] = 0;
  out[strcspn(out, "\n")] = 0;
  if (f) pclose(f);
}

#endif
