/* A child process: argv without a shell, output into a file that is read back, a time limit, cancellation. */
#define _GNU_SOURCE /* posix_spawn_file_actions_addchdir_np */
#include "backend/measure/measure.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ir/base/file.h"

extern char **environ;

bool program_exists(const char *name) {
  if (strchr(name, '/')) return access(name, X_OK) == 0;
  const char *path = getenv("PATH");
  Arena *a = arena_new();
  bool found = false;
  while (path && *path && !found) {
    size_t n = strcspn(path, ":");
    found = access(path_join(a, arena_strndup(a, path, n), name), X_OK) == 0;
    path += n + (path[n] == ':');
  }
  arena_free(a);
  return found;
}

static bool spawn(Work *w, const char *const *argv, const char *cwd, const char *log, pid_t *pid) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  posix_spawn_file_actions_addchdir_np(&actions, cwd);
  char *words[MAX_ARGS + 1];
  int n = 0;
  for (; argv[n]; n++) words[n] = arena_strdup(w->arena, argv[n]);
  words[n] = NULL;
  int err = posix_spawnp(pid, argv[0], &actions, NULL, words, environ);
  posix_spawn_file_actions_destroy(&actions);
  FAIL_IF(err, w->diag, NULL, "%s: cannot be started: %s", argv[0], strerror(err));
  return true;
}

static bool cancelled(const Work *w) {
  return w->host && w->host->cancelled && w->host->cancelled(w->host->ctx);
}

static double seconds_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Poll: 1 ms at first, 20 ms later. */
static bool wait_for(Work *w, const char *name, pid_t pid, int seconds, int *status) {
  double start = seconds_now(), elapsed = 0;
  for (;;) {
    pid_t got = waitpid(pid, status, WNOHANG);
    if (got == pid) return true;
    if (got < 0 && errno != EINTR) return diag_error(w->diag, NULL, "%s: %s", name, strerror(errno));
    elapsed = seconds_now() - start;
    if (elapsed > seconds || cancelled(w)) break;
    struct timespec pause = {0, elapsed < 0.2 ? 1000000 : 20000000};
    nanosleep(&pause, NULL);
  }
  kill(pid, SIGKILL);
  while (waitpid(pid, status, 0) < 0 && errno == EINTR) {}
  if (elapsed > seconds) return diag_error(w->diag, NULL, "%s: stopped after %d seconds", name, seconds);
  return diag_error(w->diag, NULL, "%s: cancelled", name);
}

bool process_run(Work *w, const char *const *argv, const char *cwd, int seconds, int *status,
                 const char **output) {
  const char *log = path_join(w->arena, w->tmp, "output.log");
  pid_t pid;
  int raw = 0;
  TRY(spawn(w, argv, cwd, log, &pid));
  TRY(wait_for(w, argv[0], pid, seconds, &raw));
  *output = file_read(w->arena, log, NULL, w->diag);
  if (!*output) return false;
  FAIL_IF(WIFSIGNALED(raw), w->diag, NULL, "%s: ended by signal %d%s%s", argv[0], WTERMSIG(raw),
          **output ? ":\n" : "", *output);
  *status = WEXITSTATUS(raw);
  return true;
}
