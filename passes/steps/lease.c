/* Leases; see lease.h.
 *
 *   read it: its holder lives --> busy
 *      |     or is dead      --> rename it away, look what it was, begin again
 *      `--none--> write the holder beside, close, link --made--> beat until released: unlink
 *                                                 `--exists--> begin again
 *
 * A lease is never there without its line: a file that is closed is at the server of a network file system, and link makes it
 * appear whole, or not where another's is.
 *
 * Of several processes that see the same dead lease the first one's rename takes it away. A slower one may take away the
 * new lease instead; it sees that by the text, and puts it back (link, which replaces nothing).
 */
#include "passes/steps/lease.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ir/base/file.h"
#include "ir/base/mem.h"
#include "passes/steps/cache_own.h"

enum { TEXT = 512, TRIES = 20 };

struct Lease {
  const Cache *c;
  char *path;
  int fd; /* open while held, so that no other file can have its number */
  double beat;
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t over;
  bool beating, done;
};

/* ---- The heartbeat: a thread as long as the step runs, so that a fork between steps finds none */

static struct timespec after(double seconds) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  int64_t ns = (int64_t)t.tv_nsec + (int64_t)(seconds * 1e9);
  return (struct timespec){.tv_sec = t.tv_sec + (time_t)(ns / 1000000000),
                           .tv_nsec = (long)(ns % 1000000000)};
}

static void *beat(void *arg) {
  Lease *l = arg;
  pthread_mutex_lock(&l->lock);
  while (!l->done) {
    struct timespec until = after(l->beat);
    if (pthread_cond_timedwait(&l->over, &l->lock, &until) != ETIMEDOUT || l->done) continue;
    futimens(l->fd, NULL);
    cache_touch(l->c);
  }
  pthread_mutex_unlock(&l->lock);
  return NULL;
}

/* Signals stay with the thread that runs the step. */
static void start_beating(Lease *l) {
  pthread_condattr_t attr;
  sigset_t all, before;
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(&l->over, &attr);
  pthread_condattr_destroy(&attr);
  pthread_mutex_init(&l->lock, NULL);
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  l->beating = pthread_create(&l->thread, NULL, beat, l) == 0;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void stop_beating(Lease *l) {
  pthread_mutex_lock(&l->lock);
  l->done = true;
  pthread_cond_signal(&l->over);
  pthread_mutex_unlock(&l->lock);
  if (l->beating) pthread_join(l->thread, NULL);
  pthread_cond_destroy(&l->over);
  pthread_mutex_destroy(&l->lock);
}

/* ---- Who holds it */

typedef struct Seen {
  char text[TEXT];
  size_t n;
  struct timespec touched;
} Seen;

static bool see(const char *path, Seen *out) {
  struct stat st;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  ssize_t n = read(fd, out->text, sizeof out->text);
  bool ok = n >= 0 && fstat(fd, &st) == 0;
  close(fd);
  if (!ok) return false;
  out->n = (size_t)n;
  out->touched = st.st_mtim;
  return true;
}

static bool is_older(const Cache *c, const struct timespec *t, int seconds) {
  return cache_now(c).tv_sec - t->tv_sec > seconds;
}

static bool seen_lives(const Cache *c, const Seen *s, int expires, Holder *other) {
  *other = (Holder){0};
  if (!holder_parse(s->text, s->n, other)) return !is_older(c, &s->touched, LEASE_UNREADABLE);
  HolderState state = holder_state(other);
  if (state == HOLDER_AWAY) return !is_older(c, &s->touched, expires);
  return state == HOLDER_LIVES;
}

bool lease_lives(const Cache *c, const char *path, int expires, Holder *other) {
  Seen s;
  *other = (Holder){0};
  if (!see(path, &s)) return errno != ENOENT; /* what cannot be read may be somebody's */
  return seen_lives(c, &s, expires, other);
}

/* ---- Taking, giving back */

static Lease *own(const Cache *c, const char *path, int fd, double every) {
  Lease *l = mem_zalloc(sizeof *l);
  l->c = c;
  l->path = mem_strdup(path);
  l->fd = fd;
  l->beat = every;
  start_beating(l);
  return l;
}

/* A file with the holder's line, open; < 0: errno says why not. */
static int write_holder(const char *path, const Holder *self) {
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) return fd;
  StrBuf line = {0};
  holder_print(self, &line);
  const bool ok = write(fd, line.s, line.len) == (ssize_t)line.len;
  sb_free(&line);
  if (close(fd) == 0 && ok)
    fd = open(path, O_WRONLY | O_CLOEXEC);
  else
    fd = -1, errno = EIO;
  if (fd < 0) unlink(path);
  return fd;
}

/* The lease's file, made now, open; < 0: errno is EEXIST where there is one. */
static int make(const char *path) {
  struct stat st;
  char nonce[HASH_HEX];
  StrBuf beside = {0};
  const Holder self = holder_self();
  hash_hex(self.nonce, nonce);
  sb_printf(&beside, "%s.tmp.%s", path, nonce);
  int fd = write_holder(sb_str(&beside), &self);
  if (fd >= 0) {
    /* An answer that was lost may be of a link that was made. */
    const bool linked = link(sb_str(&beside), path) == 0 || (fstat(fd, &st) == 0 && st.st_nlink == 2);
    const int why = errno;
    unlink(sb_str(&beside));
    if (!linked) close(fd), fd = -1;
    errno = why;
  }
  sb_free(&beside);
  return fd;
}

/* false: it cannot be moved. */
static bool take_away(const Cache *c, const char *path, const Seen *dead, const Holder *holder) {
  char nonce[HASH_HEX];
  StrBuf aside = {0};
  Seen got;
  hash_hex(holder_self().nonce, nonce);
  sb_printf(&aside, "%s.old.%s", path, nonce);
  bool moved = rename(path, sb_str(&aside)) == 0, gone = !moved && errno == ENOENT;
  if (moved) {
    bool same = see(sb_str(&aside), &got) && got.n == dead->n && memcmp(got.text, dead->text, got.n) == 0;
    if (!same && link(sb_str(&aside), path) != 0)
      cache_log(c, "cache: step %.8s may run twice", path_base(path)); /* somebody made another already */
    if (same && holder->pid)
      cache_log(c, "cache: process %" PRId64 " on %s died over step %.8s: taken over", holder->pid,
                holder->host, path_base(path));
    unlink(sb_str(&aside));
  }
  sb_free(&aside);
  return moved || gone;
}

/* One try: true when *state is known. */
static bool try_take(Cache *c, const char *path, double every, LeaseState *state, Lease **out,
                     Holder *other) {
  Seen s;
  *state = LEASE_NONE;
  if (see(path, &s)) {
    if (!seen_lives(c, &s, LEASE_EXPIRES, other)) return !take_away(c, path, &s, other);
    *state = LEASE_BUSY;
    return true;
  }
  if (errno != ENOENT) return true;
  int fd = make(path);
  if (fd >= 0) {
    *out = own(c, path, fd, every);
    *state = LEASE_TAKEN;
    return true;
  }
  if (errno == ENOENT) return !cache_make_folder(c, "lease");
  return errno != EEXIST; /* made meanwhile */
}

LeaseState lease_take(Cache *c, Hash key, double every, Lease **out, Holder *other) {
  StrBuf buf = {0};
  LeaseState state = LEASE_NONE;
  const char *path = cache_key_path(c, "lease", key, &buf);
  *out = NULL;
  *other = (Holder){0};
  int tries = 0;
  while (tries < TRIES && !try_take(c, path, every, &state, out, other)) tries++;
  sb_free(&buf);
  return state;
}

void lease_release(Lease *l) {
  struct stat mine, there;
  if (!l) return;
  stop_beating(l);
  if (fstat(l->fd, &mine) == 0 && stat(l->path, &there) == 0 && mine.st_ino == there.st_ino &&
      mine.st_dev == there.st_dev)
    unlink(l->path);
  close(l->fd);
  mem_free(l->path);
  mem_free(l);
}
