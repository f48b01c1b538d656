/* Workers; see workers.h. Everything that they share is one anonymous mapping, made before the fork:
 *
 *   lock    of all below but the log; robust: whoever dies with it leaves words that are consistent at any moment
 *   slots   a worker's process, and the cores that it holds; cores in use are their sum, so that those of a dead worker
 *           come back by a zero in its slot: whoever finds no free core looks who has died
 *   log     records of fixed size; a place is taken by an atomic count, and valid when its flag is set
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "passes/steps/workers.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ir/base/mem.h"
#include "passes/steps/holder.h"

enum { LOGS = 4096 };

typedef struct Slot {
  int64_t pid, started;
  int cores;    /* that it holds */
  bool waiting; /* for one */
} Slot;

typedef struct Record {
  atomic_bool ready;
  char kind[CACHE_KIND_MAX + 1], slot[96];
  StepLog log;
} Record;

typedef struct Shared {
  pthread_mutex_t lock;
  int cores, peak;
  Slot slot[WORKERS_MAX];
  atomic_uint_fast32_t logged; /* places taken, also those beyond the end */
  Record log[LOGS];
} Shared;

struct Workers {
  Shared *s;
  int current, n; /* n: the master and the helpers that were started */
  const Host *host;
};

static void say(const Workers *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(const Workers *w, const char *format, ...) {
  if (!w->host || !w->host->log) return;
  StrBuf line = {0};
  va_list args;
  va_start(args, format);
  sb_vprintf(&line, format, args);
  va_end(args);
  w->host->log(w->host->ctx, sb_str(&line));
  sb_free(&line);
}

static void nap(double seconds) {
  struct timespec t = {.tv_nsec = (long)(seconds * 1e9)};
  nanosleep(&t, NULL);
}

/* ---- Cores */

static void lock(Shared *s) {
  if (pthread_mutex_lock(&s->lock) == EOWNERDEAD) pthread_mutex_consistent(&s->lock);
}

static void unlock(Shared *s) { pthread_mutex_unlock(&s->lock); }

static int in_use(const Shared *s) {
  int n = 0;
  for (int i = 0; i < WORKERS_MAX; i++) n += s->slot[i].cores;
  return n;
}

static void reclaim(Workers *w) {
  Shared *s = w->s;
  lock(s);
  for (int i = 0; i < WORKERS_MAX; i++) {
    Slot *slot = &s->slot[i];
    if ((slot->cores || slot->waiting) && !process_lives(slot->pid, slot->started))
      slot->cores = 0, slot->waiting = false;
  }
  unlock(s);
}

static int fair(const Shared *s, int free) {
  int others = 0;
  for (int i = 0; i < WORKERS_MAX; i++) others += s->slot[i].waiting;
  return (free + others) / (others + 1);
}

/* Of the free cores no more than a fair share, where others wait: two steps on a core each are done sooner than one after the
 * other on two. */
static int take_free(Workers *w, int want) {
  Shared *s = w->s;
  Slot *own = &s->slot[w->current];
  lock(s);
  own->waiting = false;
  int used = in_use(s), free = s->cores - used, share = fair(s, free), n = want < share ? want : share;
  if (n > 0) own->cores += n;
  own->waiting = n <= 0;
  if (n > 0 && used + n > s->peak) s->peak = used + n;
  unlock(s);
  return n > 0 ? n : 0;
}

int workers_take(Workers *w, int want, const Host *host) {
  double pause = 0.001, waited = 0;
  ASSERT(want > 0);
  for (;;) {
    int n = take_free(w, want);
    if (n > 0) return n;
    if (host && host->cancelled && host->cancelled(host->ctx)) {
      workers_give(w);
      return 0;
    }
    nap(pause);
    waited += pause;
    if (pause < 0.02) pause *= 2;
    if (waited < 0.1) continue;
    reclaim(w);
    waited = 0;
  }
}

void workers_give(Workers *w) {
  lock(w->s);
  w->s->slot[w->current].cores = 0;
  w->s->slot[w->current].waiting = false;
  unlock(w->s);
}

int workers_in_use(const Workers *w) {
  lock(w->s);
  int n = in_use(w->s);
  unlock(w->s);
  return n;
}

int workers_peak(const Workers *w) { return w->s->peak; }
int workers_cores(const Workers *w) { return w->s->cores; }
int workers_helpers(const Workers *w) { return w->n - 1; }
int workers_current(const Workers *w) { return w->current; }
int64_t workers_pid(const Workers *w, int worker) { return w->s->slot[worker].pid; }

/* ---- Logs */

void workers_log(Workers *w, const StepLog *log) {
  if (w->current == 0) return; /* the master has its own */
  uint_fast32_t at = atomic_fetch_add(&w->s->logged, 1);
  if (at >= LOGS) return;
  Record *r = &w->s->log[at];
  r->log = *log;
  snprintf(r->kind, sizeof r->kind, "%s", log->kind);
  snprintf(r->slot, sizeof r->slot, "%s", log->slot ? log->slot : "");
  atomic_store(&r->ready, true);
}

int64_t workers_logs(const Workers *w, void (*fn)(void *ctx, const StepLog *log), void *ctx) {
  const uint_fast32_t n = atomic_load(&w->s->logged);
  for (uint_fast32_t i = 0; i < n && i < LOGS; i++) {
    const Record *r = &w->s->log[i];
    if (!atomic_load(&r->ready)) continue; /* its writer died over it */
    StepLog log = r->log;
    log.kind = r->kind;
    log.slot = r->slot;
    fn(ctx, &log);
  }
  return n > LOGS ? (int64_t)(n - LOGS) : 0;
}

/* ---- Starting */

static Shared *share(int cores) {
  Shared *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (s == MAP_FAILED) return NULL;
  pthread_mutexattr_t attr;
  pthread_mutexattr_init(&attr);
  pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
  bool ok = pthread_mutex_init(&s->lock, &attr) == 0;
  pthread_mutexattr_destroy(&attr);
  s->cores = cores;
  if (!ok) munmap(s, sizeof *s);
  return ok ? s : NULL;
}

static void take_slot(Workers *w, int worker) {
  Slot *slot = &w->s->slot[worker];
  w->current = worker;
  slot->pid = getpid();
  slot->started = process_started(slot->pid);
}

/* After a fork, when OpenBLAS's threads have ended. The thread sanitizer has one of its own. */
static bool other_threads(void) {
#if defined(__SANITIZE_THREAD__)
  return false;
#else
  int n = 0;
  DIR *dir = opendir("/proc/self/task");
  for (struct dirent *e; dir && (e = readdir(dir));) n += e->d_name[0] != '.';
  if (dir) closedir(dir);
  return n > 1;
#endif
}

static void helper(Workers *w, int worker, pid_t master, int go, WorkerMain *fn, void *ctx) {
  char c;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != master || read(go, &c, 1) != 1) _exit(0);
  close(go);
  take_slot(w, worker);
  _exit(fn(ctx, worker, w) ? 0 : 1);
}

/* Helpers wait for a byte each: whether they may run is known after the first fork. */
static void start_helpers(Workers *w, int workers, WorkerMain *fn, void *ctx) {
  int go[2];
  const pid_t master = getpid();
  if (pipe(go) != 0) return;
  fflush(NULL); /* what is buffered is written once */
  bool alone = false;
  for (int i = 1; i < workers && !alone; i++) {
    pid_t pid = fork();
    if (pid == 0) {
      close(go[1]);
      helper(w, i, master, go[0], fn, ctx);
    }
    if (pid < 0) say(w, "only %d of %d worker processes: %s", w->n, workers, strerror(errno));
    if (pid < 0) break;
    w->s->slot[i].pid = pid;
    w->n++;
    alone = other_threads();
  }
  close(go[0]);
  for (int i = 1; i < w->n && !alone; i++) (void)!write(go[1], "", 1);
  close(go[1]);
  if (!alone) return;
  say(w, "this process works alone: it has threads, beside which others cannot be forked");
  waitpid((pid_t)w->s->slot[1].pid, NULL, 0);
  w->n = 1;
}

Workers *workers_start(int cores, int workers, WorkerMain *fn, void *ctx, const Host *host) {
  ASSERT(cores >= 1 && workers >= 1 && workers <= WORKERS_MAX);
  Shared *s = share(cores);
  if (!s) return NULL;
  Workers *w = mem_zalloc(sizeof *w);
  *w = (Workers){.s = s, .n = 1, .host = host};
  take_slot(w, 0);
  start_helpers(w, workers, fn, ctx);
  return w;
}

/* ---- Ending */

static void tell_end(const Workers *w, int worker, int status, bool killed) {
  const int64_t pid = w->s->slot[worker].pid;
  if (WIFSIGNALED(status) && !(killed && WTERMSIG(status) == SIGKILL))
    say(w, "worker %d (process %" PRId64 ") was ended by signal %d: what it had begun is done by others",
        worker, pid, WTERMSIG(status));
  const bool cancelled = w->host && w->host->cancelled && w->host->cancelled(w->host->ctx);
  if (WIFEXITED(status) && WEXITSTATUS(status) != 0 && !cancelled)
    say(w, "worker %d (process %" PRId64 ") gave up: what it had begun is done by others", worker, pid);
}

void workers_finish(Workers *w, bool end) {
  ASSERT(w->current == 0);
  for (int i = 1; i < w->n && end; i++) kill((pid_t)w->s->slot[i].pid, SIGKILL);
  for (int i = 1; i < w->n; i++) {
    int status;
    pid_t got;
    while ((got = waitpid((pid_t)w->s->slot[i].pid, &status, 0)) < 0 && errno == EINTR) {}
    if (got > 0) tell_end(w, i, status, end);
    w->s->slot[i].cores = 0;
  }
  w->n = 1;
}

void workers_free(Workers *w) {
  if (!w) return;
  if (w->n > 1) workers_finish(w, true);
  munmap(w->s, sizeof *w->s);
  mem_free(w);
}

/* ---- Tasks */

typedef enum Tried { TASK_DONE, TASK_BUSY, TASK_FAILED } Tried;

static Tried try_task(bool (*task)(void *ctx, int i), void *ctx, int i, bool *busy) {
  *busy = false;
  bool ok = task(ctx, i);
  if (*busy) return TASK_BUSY;
  return ok ? TASK_DONE : TASK_FAILED;
}

bool workers_each(int n, bool (*task)(void *ctx, int i), void *ctx, bool *busy, const Host *host, Diag *d) {
  bool *done = mem_array((size_t)n, sizeof *done), ok = true;
  double pause = 0.005;
  for (int left = n; ok && left > 0;) {
    const int before = left;
    for (int i = 0; ok && i < n; i++) {
      if (done[i]) continue;
      Tried t = try_task(task, ctx, i, busy);
      done[i] = t == TASK_DONE;
      left -= done[i];
      ok = t != TASK_FAILED;
    }
    if (!ok || left == 0) break;
    if (host && host->cancelled && host->cancelled(host->ctx))
      ok = diag_error(d, NULL, "cancelled with %d of %d tasks to do", left, n);
    pause = left < before ? 0.005 : pause < 0.05 ? 2 * pause : 0.1;
    nap(pause);
  }
  mem_free(done);
  return ok;
}
