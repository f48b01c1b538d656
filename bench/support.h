/* What benchmarks share: a folder to work in, and what a result file says of the machine. */
#ifndef BENCH_SUPPORT_H
#define BENCH_SUPPORT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ir/base/file.h"
#include "ir/base/json.h"

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

/* The head of a result file: which benchmark, on what, when, of which commit. */
static inline void bench_head(JsonWriter *w, const char *name) {
  static const char *const what[][2] = {
      {"machine", "sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1"},
      {"date", "date -u +%F"},
      {"compiler", "${CC:-gcc} --version | head -1"},
      {"commit", "git rev-parse --short HEAD"},
  };
  char text[160];
  json_kstr(w, "benchmark", name);
  for (size_t i = 0; i < sizeof what / sizeof *what; i++) {
    first_line(what[i][1], text, sizeof text);
    json_kstr(w, what[i][0], text);
  }
}

/* The folder of models and data that are not the project's: $MISTIFY_SHARED, or ../shared. */
static inline const char *bench_shared(void) {
  const char *root = getenv("MISTIFY_SHARED");
  return root && *root ? root : "../shared";
}

#endif
