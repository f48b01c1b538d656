/* Holders; see holder.h. The line:
 *
 *   mistify holder 1 HOST MACHINE PID STARTED NONCE SUM
 *
 * SUM is the hash of all before it. Sources: proc(5) for /proc/PID/stat (field 3: state, field 22: start time) and
 * /proc/sys/kernel/random/boot_id; namespaces(7) for /proc/self/ns/pid.
 */
#include "passes/steps/holder.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

static const char HEAD[] = "mistify holder 1 ";

/* The beginning of a small file, 0-ended; its length, 0 when there is none. */
static size_t read_some(const char *path, char *buf, size_t n) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t k = fd >= 0 ? read(fd, buf, n - 1) : 0;
  if (fd >= 0) close(fd);
  buf[k > 0 ? k : 0] = 0;
  return k > 0 ? (size_t)k : 0;
}

int64_t process_started(int64_t pid) {
  char path[64], text[1024];
  snprintf(path, sizeof path, "/proc/%" PRId64 "/stat", pid);
  if (read_some(path, text, sizeof text) == 0) {
    bool gone = kill((pid_t)pid, 0) != 0 && errno == ESRCH;
    return gone ? -1 : 0; /* no /proc here */
  }
  const char *p = strrchr(text, ')'); /* the name may hold anything */
  char state = 0;
  long long started = 0;
  if (!p || sscanf(p + 1, " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %lld",
                   &state, &started) != 2)
    return 0;
  return state == 'Z' || state == 'X' ? -1 : started;
}

bool process_lives(int64_t pid, int64_t started) {
  int64_t now = process_started(pid);
  return now >= 0 && (now == 0 || started == 0 || now == started);
}

static Hash this_machine(void) {
  char boot[64], space[64];
  size_t n = read_some("/proc/sys/kernel/random/boot_id", boot, sizeof boot);
  ssize_t k = readlink("/proc/self/ns/pid", space, sizeof space);
  Hasher *h = hasher_new();
  hasher_bytes(h, boot, n);
  hasher_bytes(h, space, k > 0 ? (size_t)k : 0);
  if (n == 0) { /* the name alone has to do */
    char name[256] = "";
    gethostname(name, sizeof name - 1);
    hasher_str(h, name);
  }
  return hasher_done(h);
}

static Hash random_hash(void) {
  Hash h = {0};
  if (getrandom(&h, sizeof h, GRND_NONBLOCK) == sizeof h) return h;
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (Hash){.hi = (uint64_t)t.tv_sec << 32 | (uint64_t)t.tv_nsec, .lo = (uint64_t)getpid()};
}

Holder holder_self(void) {
  Holder h = {.machine = this_machine(), .pid = getpid(), .nonce = random_hash()};
  char name[256] = "";
  gethostname(name, sizeof name - 1);
  size_t n = 0;
  for (const char *p = name; *p && n + 1 < sizeof h.host; p++) h.host[n++] = *p > ' ' && *p < 127 ? *p : '?';
  if (n == 0) h.host[0] = '?';
  int64_t started = process_started(h.pid);
  h.started = started > 0 ? started : 0;
  return h;
}

void holder_print(const Holder *h, StrBuf *out) {
  char machine[HASH_HEX], nonce[HASH_HEX], sum[HASH_HEX];
  size_t from = out->len;
  hash_hex(h->machine, machine);
  hash_hex(h->nonce, nonce);
  sb_printf(out, "%s%s %s %" PRId64 " %" PRId64 " %s ", HEAD, h->host, machine, h->pid, h->started, nonce);
  hash_hex(hash_bytes(out->s + from, out->len - from), sum);
  sb_printf(out, "%s\n", sum);
}

bool holder_parse(const char *text, size_t n, Holder *out) {
  const size_t tail = HASH_HEX; /* the sum and its line end */
  char line[512], machine[HASH_HEX + 1], nonce[HASH_HEX + 1];
  const char *end = memchr(text, '\n', n);
  size_t len = end ? (size_t)(end - text) + 1 : 0;
  Hash sum;
  if (len <= tail || len >= sizeof line || memcmp(text, HEAD, strlen(HEAD)) != 0) return false;
  memcpy(line, text, len);
  line[len] = 0;
  if (!hash_parse(line + len - tail, &sum) || !hash_equal(sum, hash_bytes(line, len - tail))) return false;
  *out = (Holder){0};
  return sscanf(line + strlen(HEAD), "%64s %33s %" SCNd64 " %" SCNd64 " %33s", out->host, machine, &out->pid,
                &out->started, nonce) == 5 &&
         hash_parse(machine, &out->machine) && hash_parse(nonce, &out->nonce);
}

HolderState holder_state(const Holder *h) {
  if (!hash_equal(h->machine, this_machine())) return HOLDER_AWAY;
  return process_lives(h->pid, h->started) ? HOLDER_LIVES : HOLDER_DEAD;
}
