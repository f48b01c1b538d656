/* See command.h. */
#include "bench/command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ir/base/file.h"
#include "ir/base/fingerprint.h"
#include "ir/base/hash.h"
#include "ir/base/mem.h"
#include "ir/base/strbuf.h"

double wall_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void become(const char *log, char *const *argv) {
  int f = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);
  setpgid(0, 0);
  if (f >= 0) dup2(f, 1), dup2(f, 2);
  execv(argv[0], argv);
  _exit(127);
}

int command_start(const char *const *argv, const char *log) {
  Arena *a = arena_new();
  int n = 0;
  while (argv[n]) n++;
  char **own = arena_array(a, (size_t)n + 1, sizeof *own);
  for (int i = 0; i < n; i++) own[i] = arena_strdup(a, argv[i]);
  own[n] = NULL;
  fflush(stdout);
  const pid_t p = fork();
  if (p == 0) become(log, own);
  if (p > 0) setpgid(p, p);
  arena_free(a);
  return p;
}

int command_wait(int process) {
  int status = 0;
  while (waitpid(process, &status, 0) < 0 && errno == EINTR) {}
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

char *text_filled(Arena *a, const char *text, const char *name, const char *value) {
  StrBuf b = {0};
  for (const char *p; (p = strstr(text, name)); text = p + strlen(name)) {
    sb_write(&b, text, (size_t)(p - text));
    sb_puts(&b, value);
  }
  sb_puts(&b, text);
  char *out = arena_strdup(a, sb_str(&b));
  sb_free(&b);
  return out;
}

double spent_by_children(void) {
  struct rusage u;
  getrusage(RUSAGE_CHILDREN, &u);
  return (double)u.ru_utime.tv_sec + (double)u.ru_stime.tv_sec +
         1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

/* user, nice and system of /proc/stat's first line, in ticks. */
double spent_by_all(void) {
  double user = 0, low = 0, own = 0;
  FILE *f = fopen("/proc/stat", "r");
  if (f && fscanf(f, "cpu %lf %lf %lf", &user, &low, &own) != 3) user = low = own = 0;
  if (f) fclose(f);
  return (user + low + own) / (double)sysconf(_SC_CLK_TCK);
}

const char *sources_print(Arena *a, const char *const *files, const char *more, Diag *d) {
  Hasher *h = hasher_new();
  char hex[HASH_HEX];
  bool ok = true;
  for (size_t i = 0; i < source_prints_count; i++) hasher_str(h, source_prints[i].hash);
  for (; *files; files++) {
    const char *text = file_read(a, *files, NULL, d);
    ok = ok && text;
    if (text) hasher_str(h, text);
  }
  hasher_str(h, more);
  hash_hex(hasher_done(h), hex);
  return ok ? arena_printf(a, "%s\n", hex) : NULL;
}
