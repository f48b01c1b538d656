/* A child process: argv without a shell, output into a file that is read back, a time limit, cancellation. It does not outlive
 * us: the kernel kills it when the thread that started it ends, as that of a worker process which is killed. Sources: prctl(2),
 * vfork(2); posix_spawn has no such attribute, and fork would stop the threads of OpenBLAS.
 */
#define _GNU_SOURCE /* vfork, pipe2 */
#include "backend/measure/measure.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ir/base/file.h"

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

typedef struct Start {
  char *const *argv;
  const char *cwd, *log;
  pid_t parent;
  int failed; /* a pipe: errno, where argv cannot be run */
  sigset_t mask;
} Start;

/* Where fd is closed here, open may return it: dup2 onto itself would leave it to be closed. */
static bool replace_fd(const char *path, int flags, int fd) {
  const int from = open(path, flags | O_CLOEXEC, 0600);
  if (from == fd) return fcntl(fd, F_SETFD, 0) == 0;
  return from >= 0 && dup2(from, fd) == fd;
}

/* Handlers would run in the memory of the parent: from here on there are none. What is ignored stays so. */
static void drop_handlers(void) {
  static const int caught[] = {SIGINT, SIGTERM};
  const struct sigaction none = {.sa_handler = SIG_DFL};
  for (size_t i = 0; i < sizeof caught / sizeof *caught; i++) {
    struct sigaction now;
    if (sigaction(caught[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN) sigaction(caught[i], &none, NULL);
  }
}

/* In the child, which has the parent's memory until it runs argv: writes nothing but its own locals. */
static void become(const Start *s) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != s->parent) _exit(1);
  drop_handlers();
  if (replace_fd("/dev/null", O_RDONLY, 0) && replace_fd(s->log, O_WRONLY | O_CREAT | O_TRUNC, 1) &&
      dup2(1, 2) == 2 && chdir(s->cwd) == 0 && sigprocmask(SIG_SETMASK, &s->mask, NULL) == 0)
    execvp(s->argv[0], s->argv);
  const int why = errno;
  (void)!write(s->failed, &why, sizeof why);
  _exit(127);
}

static __attribute__((noinline)) pid_t start(const Start *s) {
  const pid_t pid = vfork();
  if (pid == 0) become(s);
  return pid;
}

/* Neither end is one that the child replaces. */
static bool open_pipe(int ends[2]) {
  if (pipe2(ends, O_CLOEXEC) != 0) return false;
  for (int i = 0; i < 2; i++) {
    if (ends[i] > 2) continue;
    const int above = fcntl(ends[i], F_DUPFD_CLOEXEC, 3), why = errno;
    close(ends[i]);
    ends[i] = above;
    if (above >= 0) continue;
    close(ends[1 - i]);
    errno = why;
    return false;
  }
  return true;
}

/* 0, or why it cannot be started. Signals wait until the child has no handlers. */
static int start_child(Start *s, pid_t *pid) {
  int ends[2], why = 0;
  sigset_t all;
  if (!open_pipe(ends)) return errno;
  s->parent = getpid();
  s->failed = ends[1];
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &s->mask);
  *pid = start(s);
  if (*pid < 0) why = errno;
  pthread_sigmask(SIG_SETMASK, &s->mask, NULL);
  close(ends[1]);
  if (*pid > 0 && read(ends[0], &why, sizeof why) == (ssize_t)sizeof why) waitpid(*pid, NULL, 0);
  close(ends[0]);
  return why;
}

static bool spawn(Work *w, const char *const *argv, const char *cwd, const char *log, pid_t *pid) {
  char *words[MAX_ARGS + 1];
  int n = 0;
  for (; argv[n]; n++) words[n] = arena_strdup(w->arena, argv[n]);
  words[n] = NULL;
  Start s = {.argv = words, .cwd = cwd, .log = log};
  const int why = start_child(&s, pid);
  FAIL_IF(why, w->diag, NULL, "%s: cannot be started: %s", argv[0], strerror(why));
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
