/* Progress: see progress.h. Time left is what the share done so far took, extended to the rest. The bar is redrawn
 * at most ten times a second; a log line first wipes it, so that both can share the terminal.
 */
#include "frontend/cli/progress.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "backend/backend.h"

static const double REDRAW_SECONDS = 0.1, PLAIN_SECONDS = 10;

static double now_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* "0:07", "12:31", "1:02:09" */
static void format_time(char *buf, size_t n, double seconds) {
  long s = (long)(seconds + 0.5);
  if (s < 3600)
    snprintf(buf, n, "%ld:%02ld", s / 60, s % 60);
  else
    snprintf(buf, n, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
}

static double clamp(double done) { return done >= 0 ? (done <= 1 ? done : 1) : 0; }

static void format_rest(char *buf, size_t n, double done, double seconds) {
  char spent[32], left[32];
  format_time(spent, sizeof spent, seconds);
  if (done <= 0 || done >= 1) {
    snprintf(buf, n, "%s", spent);
    return;
  }
  format_time(left, sizeof left, seconds * (1 - done) / done);
  snprintf(buf, n, "%s, %s left", spent, left);
}

void progress_format(char *buf, size_t n, const char *what, double done, const char *detail, double seconds) {
  enum { WIDTH = 24 };
  char bar[WIDTH + 1], rest[80];
  done = clamp(done);
  int full = (int)(done * WIDTH);
  memset(bar, ' ', WIDTH);
  memset(bar, '=', (size_t)full);
  if (full < WIDTH) bar[full] = '>';
  bar[WIDTH] = 0;
  format_rest(rest, sizeof rest, done, seconds);
  snprintf(buf, n, "%s [%s] %3d%%%s%s  %s", what, bar, (int)(done * 100), detail && *detail ? "  " : "",
           detail ? detail : "", rest);
}

static void wipe(Progress *p) {
  if (p->drawn) fputs("\r\033[K", p->to);
  p->drawn = false;
}

static void log_line(void *ctx, const char *line) {
  Progress *p = ctx;
  if (p->quiet) return;
  wipe(p);
  fprintf(p->to, "%s\n", line);
  fflush(p->to);
}

static void draw(Progress *p, const char *what, double done, const char *detail, double seconds) {
  char line[200], rest[80];
  if (p->terminal) {
    progress_format(line, sizeof line, what, done, detail, seconds);
    fprintf(p->to, "\r%s\033[K%s", line, done >= 1 ? "\n" : "");
    p->drawn = done < 1;
  } else {
    format_rest(rest, sizeof rest, clamp(done), seconds);
    fprintf(p->to, "%s: %d%%%s%s, %s\n", what, (int)(clamp(done) * 100), detail && *detail ? ", " : "",
            detail ? detail : "", rest);
  }
  fflush(p->to);
}

static void show(void *ctx, const char *what, double done, const char *detail) {
  Progress *p = ctx;
  if (p->quiet) return;
  double now = now_seconds();
  bool fresh = strncmp(p->what, what, sizeof p->what - 1) != 0;
  if (fresh) {
    if (p->drawn) fputc('\n', p->to);
    p->drawn = false;
    snprintf(p->what, sizeof p->what, "%s", what);
    p->start = now;
    p->last = p->terminal ? 0 : now; /* plain lines: nothing yet to say */
  }
  bool over = done >= 1;
  if (!over && now - p->last < (p->terminal ? REDRAW_SECONDS : PLAIN_SECONDS)) return;
  p->last = now;
  draw(p, what, done, detail, now - p->start);
  if (over) p->what[0] = 0;
}

void progress_init(Progress *p, FILE *to, bool quiet, int threads) {
  *p = (Progress){.to = to, .quiet = quiet};
  p->terminal = isatty(fileno(to)) == 1;
  p->host = (Host){.ctx = p,
                   .log = log_line,
                   .progress = show,
                   .threads = threads > 0 ? threads : 1,
                   .kernels = select_host_kernels};
}

const Host *progress_host(const Progress *p) { return &p->host; }
