/* What benchmarks share: a folder to work in, and what a result file says of the machine. */
#ifndef BENCH_SUPPORT_H
#define BENCH_SUPPORT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A new folder /tmp/mistify-NAME-...: the caller's to remove (file_remove_tree) and free. Ends the program without one. */
static inline char *bench_temp_dir(const char *name) {
  char *dir = NULL;
  char path[200];
  snprintf(path, sizeof path, "/tmp/mistify-%s-XXXXXX", name); /* mkdtemp fills in the X's */
  dir = mkdtemp(path);
  dir = dir ? strdup(dir) : NULL;
  if (dir) return dir;
  perror("a folder in /tmp");
  exit(1);
}

/* First line of a command's output; "" where there is none. */
static inline void first_line(const char *command, char *out, int n) {
  FILE *f = popen(command, "r");
  if (!f || !fgets(out, n, f)) out[0] = 0;
  out[strcspn(out, "\n")] = 0;
  if (f) pclose(f);
}

#endif
