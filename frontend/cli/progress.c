/* Host for the command; see progress.h.
 *
 *   terminal:  "training  [########............]  41%  loss 1.32, 512 images/s"   redrawn at most 10 times a second
 *   otherwise: "training 41% (loss 1.32)"   a line at most every 10 seconds, and one at the end
 *
 * A log line that comes while a bar is shown clears the bar first; the bar comes back with the next progress.
 */
#include "frontend/cli/progress.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ir/base/mem.h"

enum { BAR = 20 };

typedef struct Shown {
  Host host;
  pthread_mutex_t lock;
  bool terminal, drawn; /* drawn: the cursor stands behind a bar */
  double last;          /* when something was shown */
  double start;         /* of the work that is under way */
  char what[64];        /* "" : nothing is under way */
} Shown;

static volatile sig_atomic_t interrupted; /* set by the signal handler: there is no other way to hear of it */

static void on_interrupt(int sig) {
  interrupted = 1;
  signal(sig, SIG_DFL);
}

void cli_catch_interrupt(void) {
  struct sigaction a = {.sa_handler = on_interrupt};
  sigemptyset(&a.sa_mask);
  a.sa_flags = SA_RESTART;
  sigaction(SIGINT, &a, NULL);
  sigaction(SIGTERM, &a, NULL);
}

bool cli_interrupted(void) { return interrupted != 0; }

int cli_processors(void) {
  long n = sysconf(_SC_NPROCESSORS_ONLN);
  return n < 1 ? 1 : n > 256 ? 256 : (int)n;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void clear_bar(Shown *s) {
  if (s->drawn) fputs("\r\033[K", stderr);
  s->drawn = false;
}

static void draw(Shown *s, double done, const char *detail) {
  char bar[BAR + 1];
  int full = (int)(done * BAR);
  memset(bar, '.', BAR);
  memset(bar, '#', (size_t)full);
  bar[BAR] = 0;
  fprintf(stderr, "\r\033[K%-20s [%s] %3d%%  %.40s", s->what, bar, (int)(done * 100), detail);
  s->drawn = true;
}

static void say(const Shown *s, double done, double seconds, const char *detail) {
  if (done >= 1) {
    fprintf(stderr, "%s: done in %.1f s%s%s\n", s->what, seconds, detail[0] ? ", " : "", detail);
  } else {
    fprintf(stderr, "%s: %d%%%s%s\n", s->what, (int)(done * 100), detail[0] ? ", " : "", detail);
  }
}

static void show(Shown *s, const char *what, double done, const char *detail) {
  double t = now();
  if (strncmp(s->what, what, sizeof s->what - 1) != 0) {
    snprintf(s->what, sizeof s->what, "%s", what);
    s->start = s->last = t;
  }
  bool end = done >= 1;
  if (!end && t - s->last < (s->terminal ? 0.1 : 10)) return;
  s->last = t;
  if (end) {
    clear_bar(s);
    /* What took no time to speak of is not worth a line. */
    if (t - s->start >= 0.5) say(s, 1, t - s->start, detail);
    s->what[0] = 0;
  } else if (s->terminal) {
    draw(s, done < 0 ? 0 : done, detail);
  } else {
    say(s, done, t - s->start, detail);
  }
  fflush(stderr);
}

static void on_progress(void *ctx, const char *what, double done, const char *detail) {
  Shown *s = ctx;
  pthread_mutex_lock(&s->lock);
  show(s, what, done, detail ? detail : "");
  pthread_mutex_unlock(&s->lock);
}

static void on_log(void *ctx, const char *line) {
  Shown *s = ctx;
  pthread_mutex_lock(&s->lock);
  clear_bar(s);
  fprintf(stderr, "%s\n", line);
  pthread_mutex_unlock(&s->lock);
}

static bool on_cancelled(void *ctx) {
  (void)ctx;
  return interrupted != 0;
}

Host *cli_host(bool quiet, int threads) {
  Shown *s = mem_zalloc(sizeof *s);
  pthread_mutex_init(&s->lock, NULL);
  s->terminal = isatty(STDERR_FILENO) == 1;
  s->host.ctx = s;
  s->host.threads = threads > 0 ? threads : cli_processors();
  s->host.cancelled = on_cancelled;
  if (!quiet) {
    s->host.log = on_log;
    s->host.progress = on_progress;
  }
  return &s->host;
}

void cli_host_free(Host *h) {
  if (!h) return;
  Shown *s = h->ctx;
  clear_bar(s);
  pthread_mutex_destroy(&s->lock);
  mem_free(s);
}
