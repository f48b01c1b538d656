/* CIFAR binary files: records of 1 label byte and 3072 bytes, three planes (red, green, blue) of 32 x 32.
 * https://www.cs.toronto.edu/~kriz/cifar.html, "Binary version".
 *
 * A path that ends in .xz is read through the program `xz -dc`, started with an argument vector (no shell
 * sees the name); the stream is read only as far as the last record wanted, then closed.
 */
#include "ir/base/mem.h"
#include "runtime/data/source.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIDE = 32, PLANE = SIDE * SIDE, PIXELS = 3 * PLANE, RECORD = 1 + PIXELS };

extern char **environ;

/* Bytes from a file or from xz's output, in order. */
typedef struct Stream {
  int fd;
  pid_t child; /* 0: a plain file */
} Stream;

static bool spawn_xz(const char *path, Stream *s, Diag *d) {
  const Loc at = {.file = path};
  int ends[2];
  FAIL_IF(pipe(ends) != 0, d, &at, "cannot make a pipe: %s", strerror(errno));
  /* Close-on-exec, so that programs started elsewhere do not hold the pipe open. */
  fcntl(ends[0], F_SETFD, FD_CLOEXEC);
  fcntl(ends[1], F_SETFD, FD_CLOEXEC);
  char *copy = mem_strdup(path), xz[] = "xz", opt[] = "-dcqq", end[] = "--";
  char *argv[] = {xz, opt, end, copy, NULL};
  posix_spawn_file_actions_t act;
  posix_spawn_file_actions_init(&act);
  posix_spawn_file_actions_adddup2(&act, ends[1], STDOUT_FILENO);
  int err = posix_spawnp(&s->child, "xz", &act, NULL, argv, environ);
  posix_spawn_file_actions_destroy(&act);
  mem_free(copy);
  close(ends[1]);
  s->fd = ends[0];
  if (!err) return true;
  close(ends[0]);
  s->child = 0;
  diag_error(d, &at, "cannot run xz: %s", strerror(err));
  diag_hint(d, "install xz-utils, or unpack the file first");
  return false;
}

static bool stream_open(const char *path, Stream *s, Diag *d) {
  const Loc at = {.file = path};
  *s = (Stream){.fd = -1};
  struct stat st;
  FAIL_IF(stat(path, &st) != 0, d, &at, "cannot read: %s", strerror(errno));
  FAIL_IF(!S_ISREG(st.st_mode), d, &at, "not a file");
  size_t len = strlen(path);
  if (len > 3 && !strcmp(path + len - 3, ".xz")) return spawn_xz(path, s, d);
  s->fd = open(path, O_RDONLY | O_CLOEXEC);
  FAIL_IF(s->fd < 0, d, &at, "cannot read: %s", strerror(errno));
  return true;
}

/* Up to n bytes; less only at the end. -1: error. */
static ssize_t stream_read(Stream *s, uint8_t *buf, size_t n) {
  size_t got = 0;
  while (got < n) {
    ssize_t r = read(s->fd, buf + got, n - got);
    if (r < 0 && errno == EINTR) continue;
    if (r < 0) return -1;
    if (r == 0) break;
    got += (size_t)r;
  }
  return (ssize_t)got;
}

/* `whole`: the stream was read to its end, so that a failure of xz is one of the data. */
static bool stream_close(Stream *s, const char *path, bool whole, Diag *d) {
  const Loc at = {.file = path};
  close(s->fd);
  if (!s->child) return true;
  if (!whole) kill(s->child, SIGTERM);
  int status = 0;
  while (waitpid(s->child, &status, 0) < 0 && errno == EINTR) {}
  bool failed = whole && !(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  FAIL_IF(failed, d, &at, "xz cannot unpack it");
  return true;
}

/* Planes to pixels. */
static void record_to_hwc(const uint8_t *planes, uint8_t *out) {
  for (int p = 0; p < PLANE; p++)
    for (int c = 0; c < 3; c++) out[3 * p + c] = planes[c * PLANE + p];
}

typedef struct Records {
  uint8_t *x;
  int32_t *y;
  size_t cap_x, cap_y;
  uint64_t seen; /* whole records read, skipped ones too */
  uint32_t n;    /* kept */
  bool ended;    /* the file ended after whole records */
} Records;

static bool read_records(Stream *s, const SplitSpec *spec, Records *r, Diag *d) {
  const Loc at = {.file = spec->x};
  uint64_t until = spec->count ? (uint64_t)spec->first + spec->count : UINT64_MAX;
  uint8_t rec[RECORD];
  while (r->seen < until) {
    ssize_t got = stream_read(s, rec, RECORD);
    FAIL_IF(got < 0, d, &at, "cannot read: %s", strerror(errno));
    if (got == 0) {
      r->ended = true;
      return true;
    }
    FAIL_IF(got != RECORD, d, &at, "ends inside record %llu: want records of %d bytes",
            (unsigned long long)r->seen, RECORD);
    if (r->seen++ < spec->first) continue;
    FAIL_IF(r->n == UINT32_MAX / 2, d, &at, "too many records");
    mem_grow((void **)&r->x, &r->cap_x, (size_t)(r->n + 1) * PIXELS, 1);
    mem_grow((void **)&r->y, &r->cap_y, r->n + 1, sizeof *r->y);
    r->y[r->n] = rec[0];
    record_to_hwc(rec + 1, r->x + (size_t)r->n * PIXELS);
    r->n++;
  }
  return true;
}

bool source_cifar(const SplitSpec *spec, Split *out, Diag *d) {
  Stream s;
  TRY(stream_open(spec->x, &s, d));
  Records r = {0};
  bool ok = read_records(&s, spec, &r, d);
  /* An error report of our own stands; xz is then only cleaned up. */
  if (!stream_close(&s, spec->x, ok && r.ended, d)) ok = false;
  uint32_t n = 0;
  if (ok && r.ended) ok = split_range(spec, r.seen, &n, d);
  if (!ok) {
    mem_free(r.x);
    mem_free(r.y);
    return false;
  }
  Shape item = {.rank = 3, .d = {SIDE, SIDE, 3}};
  split_set(out, r.n, &item, DT_U8, blob_adopt(r.x, (size_t)r.n * PIXELS),
            blob_adopt(r.y, r.n * sizeof *r.y));
  return true;
}
