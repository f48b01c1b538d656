/* The ledger and its counter; see ledger.h. Hashes are content hashes, not signatures: they find accidents, copies of old
 * states and edits by hand, not somebody who computes them anew. Order of a spending: ledger, then counter, each flushed;
 * a crash in between leaves a ledger one line ahead of its counter, which is allowed and mended at the next opening. A new
 * ledger has a counter of 0 lines before it is there; such a counter alone is what a crash left of a beginning.
 */
#define _XOPEN_SOURCE 700 /* realpath */
#include "passes/adapt/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "ir/base/file.h"
#include "ir/base/mem.h"

static const char HEAD[] = "mistify-ledger 1 ", COUNTER[] = "mistify-counter 1 ";
enum { LINE_MOST = 512 };

struct Ledger {
  Arena *a;
  const char *path, *counter;
  int lock;
  char site[HASH_HEX];
  double budget, delta;
  StrBuf text; /* the whole ledger */
  int lines;   /* with the head */
  Hash last;   /* of the last line */
  RdpCurve curve;
};

/* -- places -- */

static const char *state_folder(Arena *a, const LedgerWhere *where) {
  const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
  if (where->counter) return where->counter;
  if (state && *state) return path_join(a, state, "mistify");
  return home && *home ? path_join(a, home, ".local/state/mistify") : NULL;
}

/* The ledger's place as one name, whichever way it was named: that of its folder, links followed. */
static const char *place(Arena *a, const char *path, Diag *d) {
  char *real = realpath(path_dir(a, path), NULL);
  const Loc at = {.file = path};
  if (!real) {
    diag_error(d, &at, "the ledger's folder: %s", strerror(errno));
    return NULL;
  }
  const char *whole = path_join(a, real, path_base(path));
  char hex[HASH_HEX];
  hash_hex(hash_bytes(whole, strlen(whole)), hex);
  mem_free(real);
  return arena_strdup(a, hex);
}

static bool find_places(Ledger *l, const LedgerWhere *where, Diag *d) {
  const char *folder = state_folder(l->a, where), *name = place(l->a, where->path, d);
  TRY(name);
  FAIL_IF(!folder, d, NULL, "no place for the ledger's counter: neither XDG_STATE_HOME nor HOME is set");
  TRY(file_make_dirs(folder, d));
  l->path = arena_strdup(l->a, where->path);
  l->counter = path_join(l->a, folder, arena_printf(l->a, "%s.counter", name));
  FAIL_IF(file_same(path_dir(l->a, l->path), folder), d, NULL,
          "%s: ledger and counter want two folders, so that what brings back the one does not bring back the "
          "other",
          folder);
  return true;
}

/* Held until the process ends or closes it. */
static bool take_lock(Ledger *l, Diag *d) {
  const char *path = arena_printf(l->a, "%s.lock", l->counter);
  const Loc at = {.file = path};
  struct flock f = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  l->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  FAIL_IF(l->lock < 0, d, &at, "%s", strerror(errno));
  FAIL_IF(fcntl(l->lock, F_SETLK, &f) != 0, d, &at, "another run is at work with this ledger");
  return true;
}

/* -- lines -- */

static Hash chain(Hash last, const char *line, size_t n) {
  Hasher *h = hasher_new();
  hasher_hash(h, last);
  hasher_bytes(h, line, n);
  return hasher_done(h);
}

/* Append a line, which has no end yet. */
static void append(Ledger *l, const char *line) {
  char hex[HASH_HEX];
  l->last = chain(l->last, line, strlen(line));
  hash_hex(l->last, hex);
  sb_printf(&l->text, "%s %s\n", line, hex);
  l->lines++;
}

static bool number(const char **p, double *out) {
  char *end;
  *out = strtod(*p, &end);
  const bool ok = end != *p && (*end == ' ' || !*end) && isfinite(*out);
  *p = end + (*end == ' ');
  return ok;
}

/* SITE BUDGET DELTA */
static bool read_head(Ledger *l, const char *p) {
  Hash site;
  if (strncmp(p, HEAD, sizeof HEAD - 1) != 0) return false;
  p += sizeof HEAD - 1;
  if (!hash_parse(p, &site) || p[HASH_HEX - 1] != ' ') return false;
  memcpy(l->site, p, HASH_HEX - 1);
  p += HASH_HEX;
  return number(&p, &l->budget) && number(&p, &l->delta) && !*p && l->budget > 0 && l->delta > 0 &&
         l->delta < 1;
}

/* NUMBER WHAT MODEL RATE NOISE STEPS */
static bool read_run(Ledger *l, const char *p) {
  double index, rate, noise, steps;
  if (!number(&p, &index) || index != l->lines) return false;
  for (int words = 0; words < 2; words++) {
    p = strchr(p, ' ');
    if (!p) return false;
    p++;
  }
  if (!number(&p, &rate) || !number(&p, &noise) || !number(&p, &steps) || *p) return false;
  if (!(rate > 0 && rate <= 1) || !(noise > 0) || !(steps >= 1 && steps < 1e15)) return false;
  rdp_add(&l->curve, rate, noise, (int64_t)steps);
  return true;
}

/* One line with its hash; *at moves behind it. */
static bool read_line(Ledger *l, const char **at) {
  const char *end = strchr(*at, '\n');
  char line[LINE_MOST];
  if (!end || end - *at < HASH_HEX || end - *at >= LINE_MOST) return false;
  const size_t n = (size_t)(end - *at) - HASH_HEX;
  Hash said;
  memcpy(line, *at, n);
  line[n] = 0;
  if ((*at)[n] != ' ' || !hash_parse(*at + n + 1, &said) || !hash_equal(said, chain(l->last, line, n)))
    return false;
  if (!(l->lines ? read_run(l, line) : read_head(l, line))) return false;
  l->last = said;
  l->lines++;
  *at = end + 1;
  return true;
}

typedef struct Counted {
  char site[HASH_HEX];
  int64_t lines;
  Hash last;
} Counted;

/* SITE LINES HASH, and nothing behind it. */
static bool parse_counter(const char *text, size_t n, Counted *c) {
  const char *p = text + sizeof COUNTER - 1;
  char *end;
  Hash site;
  if (memchr(text, 0, n) || strncmp(text, COUNTER, sizeof COUNTER - 1) != 0 || !hash_parse(p, &site))
    return false;
  memcpy(c->site, p, HASH_HEX - 1);
  c->site[HASH_HEX - 1] = 0;
  p += HASH_HEX - 1;
  c->lines = *p == ' ' ? strtoll(p, &end, 10) : -1;
  return c->lines >= 0 && *end == ' ' && hash_parse(end + 1, &c->last) && strcmp(end + HASH_HEX, "\n") == 0;
}

static bool read_counter(const Ledger *l, Counted *c, Diag *d) {
  const Loc at = {.file = l->counter};
  size_t n = 0;
  const char *text = file_read(l->a, l->counter, &n, d);
  TRY(text);
  FAIL_IF(!parse_counter(text, n, c), d, &at, "no counter of a ledger, or it is damaged");
  return true;
}

static bool write_counter(const Ledger *l, Diag *d) {
  char hex[HASH_HEX];
  hash_hex(l->last, hex);
  const char *text = arena_printf(l->a, "%s%s %d %s\n", COUNTER, l->site, l->lines, hex);
  return file_write(l->counter, text, strlen(text), d);
}

/* -- opening -- */

static bool refused(const Ledger *l, Diag *d, const char *why) {
  const Loc at = {.file = l->path};
  diag_error(d, &at, "%s", why);
  diag_hint(d,
            "what was spent cannot be known from it: bring back its latest state; docs/privacy.md says more");
  return false;
}

static bool begin(Ledger *l, double budget, double delta, Diag *d) {
  Hash site;
  Counted c = {.lines = 0};
  TRY(!file_exists(l->counter) || read_counter(l, &c, d));
  if (c.lines != 0) return refused(l, d, "the ledger is gone, but its counter is there");
  FAIL_IF(!(budget > 0), d, NULL, "%s: a new ledger wants a budget (--budget EPSILON)", l->path);
  FAIL_IF(!(delta > 0 && delta < 1), d, NULL, "%s: a new ledger wants a delta", l->path);
  FAIL_IF(getrandom(&site, sizeof site, 0) != sizeof site, d, NULL, "the random generator does not answer");
  hash_hex(site, l->site);
  l->budget = budget, l->delta = delta;
  TRY(write_counter(l, d));
  append(l, arena_printf(l->a, "%s%s %.17g %.17g", HEAD, l->site, budget, delta));
  return file_write(l->path, l->text.s, l->text.len, d) && write_counter(l, d);
}

/* The hash of line `want` when reading has got there. */
static bool read_lines(Ledger *l, const char *text, const Counted *c, bool *counted) {
  const char *at = text;
  while (*at) {
    if (!read_line(l, &at)) return false;
    *counted |= l->lines == c->lines && hash_equal(l->last, c->last);
  }
  return l->lines > 0;
}

/* The ledger's text, to its end. */
static bool take_text(Ledger *l, const char *text, size_t n, const Counted *c, bool *counted, Diag *d) {
  const bool whole = memchr(text, 0, n) == NULL; /* what stands behind a zero byte would be dropped unread */
  if (!whole || !read_lines(l, text, c, counted))
    return refused(l, d, "the ledger is damaged, or was edited");
  sb_puts(&l->text, text);
  return true;
}

static bool resume(Ledger *l, double budget, double delta, Diag *d) {
  Counted c = {.lines = -1};
  size_t n = 0;
  const char *text = file_read(l->a, l->path, &n, d);
  TRY(text);
  if (!file_exists(l->counter)) {
    refused(l, d, "the counter of this ledger is gone, or the ledger was moved");
    diag_hint(d, "it would be %s", l->counter);
    return false;
  }
  TRY(read_counter(l, &c, d));
  bool counted = c.lines == 0;
  TRY(take_text(l, text, n, &c, &counted, d));
  if (strcmp(l->site, c.site) != 0) return refused(l, d, "the ledger is not the one that its counter counts");
  if (l->lines < c.lines) return refused(l, d, "the ledger was rolled back: its counter knows of later runs");
  if (l->lines > c.lines + 1)
    return refused(l, d, "the counter was rolled back: it knows of fewer runs than a crash loses");
  if (!counted) return refused(l, d, "the ledger tells other runs than its counter counted");
  FAIL_IF(budget > 0 && budget != l->budget, d, NULL, "%s: its budget is epsilon %g, and stays so", l->path,
          l->budget);
  FAIL_IF(delta > 0 && delta != l->delta, d, NULL, "%s: its delta is %g, and stays so", l->path, l->delta);
  return l->lines == c.lines || write_counter(l, d);
}

bool ledger_delta_fits(double delta, uint64_t records, Diag *d) {
  const double most = records ? 0.1 / (double)records : 1;
  FAIL_IF(delta > most * (1 + 1e-9), d, NULL, "delta %g is more than 1 / (10 n) = %g for %" PRIu64 " records",
          delta, most, records);
  return true;
}

static bool open_it(Ledger *l, const LedgerWhere *where, double budget, double delta, uint64_t records,
                    Diag *d) {
  TRY(find_places(l, where, d) && take_lock(l, d));
  const double most = records ? 0.1 / (double)records : 1;
  if (delta == 0 && !file_exists(l->path)) delta = most;
  TRY(file_exists(l->path) ? resume(l, budget, delta, d) : begin(l, budget, delta, d));
  return ledger_delta_fits(l->delta, records, d);
}

static Ledger *new_ledger(void) {
  Ledger *l = mem_zalloc(sizeof *l);
  l->a = arena_new();
  l->lock = -1;
  return l;
}

Ledger *ledger_open(const LedgerWhere *where, double budget, double delta, uint64_t records, Diag *d) {
  Ledger *l = new_ledger();
  /* Before anything is created: a delta that will be refused begins no ledger. */
  const bool ok = ledger_delta_fits(delta, records, d);
  if (ok && open_it(l, where, budget, delta, records, d)) return l;
  ledger_close(l);
  return NULL;
}

void ledger_close(Ledger *l) {
  if (!l) return;
  if (l->lock >= 0) close(l->lock);
  sb_free(&l->text);
  arena_free(l->a);
  mem_free(l);
}

/* -- asking and spending -- */

const RdpCurve *ledger_curve(const Ledger *l) { return &l->curve; }
double ledger_budget(const Ledger *l) { return l->budget; }
double ledger_delta(const Ledger *l) { return l->delta; }
double ledger_epsilon(const Ledger *l) { return rdp_epsilon(&l->curve, l->delta, RDP_TIGHT, NULL); }
int ledger_runs(const Ledger *l) { return l->lines - 1; }

bool ledger_knows(const Ledger *l, Hash model, Diag *d) {
  char hex[HASH_HEX], word[HASH_HEX + 2];
  hash_hex(model, hex);
  snprintf(word, sizeof word, " %s ", hex); /* hashes of lines end them */
  if (l->lines < 2 || strstr(sb_str(&l->text), word)) return true;
  diag_error(d, NULL, "no earlier run of %s was of this model: it may have learnt the data openly", l->path);
  diag_hint(
      d, "--independent says that it holds nothing of the local data but what this ledger's files gave away");
  return false;
}

bool ledger_spend(Ledger *l, const LedgerRun *run, double *after, Diag *d) {
  FAIL_IF(!(run->rate > 0 && run->rate <= 1) || !(run->noise > 0) || run->steps < 1, d, NULL,
          "a run of rate %g, noise %g, %" PRId64 " steps promises nothing", run->rate, run->noise,
          run->steps);
  TRY(run->independent || ledger_knows(l, run->model, d));
  RdpCurve with = l->curve;
  rdp_add(&with, run->rate, run->noise, run->steps);
  *after = rdp_epsilon(&with, l->delta, RDP_TIGHT, NULL);
  if (!(*after <= l->budget)) {
    diag_error(d, NULL,
               "this run would exceed the budget: epsilon %.4g of %.4g is spent, with it %.4g at delta %.3g",
               ledger_epsilon(l), l->budget, *after, l->delta);
    diag_hint(d, "nothing was read or emitted; fewer steps, a lower rate or more noise cost less");
    return false;
  }
  char model[HASH_HEX];
  hash_hex(run->model, model);
  const size_t before = l->text.len;
  const Hash last = l->last;
  append(l, arena_printf(l->a, "%d %s %s %.17g %.17g %" PRId64, l->lines, run->what, model, run->rate,
                         run->noise, run->steps));
  if (!file_write(l->path, l->text.s, l->text.len, d) || !write_counter(l, d)) {
    l->text.len = before, l->text.s[before] = 0, l->last = last, l->lines--;
    return false;
  }
  l->curve = with;
  return true;
}

/* -- texts alone -- */

Ledger *ledger_parse(const char *text, size_t n, const char *path, Diag *d) {
  Ledger *l = new_ledger();
  const Counted none = {.lines = 0};
  bool counted = false;
  l->path = arena_strdup(l->a, path);
  if (take_text(l, arena_strndup(l->a, text, n), n, &none, &counted, d)) return l;
  ledger_close(l);
  return NULL;
}

bool ledger_parse_counter(const char *text, size_t n, int64_t *lines) {
  Arena *a = arena_new();
  Counted c = {.lines = -1};
  const bool ok = parse_counter(arena_strndup(a, text, n), n, &c);
  *lines = c.lines;
  arena_free(a);
  return ok;
}

void ledger_seal(const char *lines, StrBuf *out) {
  Ledger *l = new_ledger();
  for (const char *p = lines; *p;) {
    const size_t n = strcspn(p, "\n");
    append(l, arena_strndup(l->a, p, n));
    p += n + (p[n] == '\n');
  }
  sb_write(out, sb_str(&l->text), l->text.len);
  ledger_close(l);
}
