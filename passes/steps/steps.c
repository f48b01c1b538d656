/* Running steps; see steps.h.
 *
 *   request --> components: (tag, label, value) --hash--> key --> cache --hit--> names bound again --> outputs
 *                    |                          `--miss--> lease --> cache again --> run --> publish --> outputs
 *                    `--> compared with the record of this step's last key: why it runs again
 *
 * The key is the hash of the component list and of nothing else, and the same list is what the record keeps, so
 * that the reason which the log gives can not differ from what the key saw. The record (DIR/last/HASH, one per
 * step and slot, lines of "label TAB value") serves the log alone: losing it costs an explanation.
 */
#include "passes/steps/steps.h"

#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "ir/base/file.h"
#include "ir/base/strbuf.h"
#include "ir/custom.h"
#include "passes/steps/cache_own.h"
#include "passes/steps/lease.h"
#include "passes/steps/rebind.h"
#include "passes/steps/workers.h"

typedef struct Component {
  const char *tag, *value; /* in the key */
  const char *label;       /* for people */
} Component;

typedef struct Components {
  Arena *a;
  Component *v;
  size_t n, cap;
} Components;

/* ---- The key */

static void add(Components *c, const char *tag, const char *label, const char *value) {
  ASSERT(c->n < c->cap);
  c->v[c->n++] = (Component){.tag = tag, .label = label, .value = value};
}

static bool starts_with(const char *s, const char *prefix) { return strncmp(s, prefix, strlen(prefix)) == 0; }

static bool print_matches(const StepKind *kind, const SourcePrint *print) {
  for (const char *const *prefix = kind->sources; *prefix; prefix++)
    if (starts_with(print->path, *prefix)) return true;
  return false;
}

/* A prefix without a file would leave a step's source out of its key unnoticed. */
static void check_prefixes(const StepEnv *env, const StepKind *kind) {
  for (const char *const *prefix = kind->sources; *prefix; prefix++) {
    size_t i = 0;
    while (i < env->n_prints && !starts_with(env->prints[i].path, *prefix)) i++;
    ASSERT(i < env->n_prints);
  }
}

static void add_sources(Components *c, const StepEnv *env, const StepKind *kind) {
  check_prefixes(env, kind);
  for (size_t i = 0; i < env->n_prints; i++) {
    const SourcePrint *print = &env->prints[i];
    if (!print_matches(kind, print)) continue;
    add(c, arena_printf(c->a, "source %s", print->path), print->path, print->hash);
  }
}

static const char *input_label(Arena *a, const StepRequest *req, int i) {
  if (req->in_names) return req->in_names[i];
  int same = 0;
  for (int k = 0; k < i; k++) same += req->in[k].type == req->in[i].type;
  const char *name = artifact_type_name(req->in[i].type);
  return same ? arena_printf(a, "%s %d", name, same + 1) : name;
}

static void add_inputs(Components *c, const StepRequest *req) {
  for (int i = 0; i < req->n_in; i++) {
    const Artifact *in = &req->in[i];
    char hex[HASH_HEX], bytes[HASH_HEX] = "";
    hash_hex(in->hash, hex);
    if (req->kind->names && in->bytes) hash_hex(blob_hash(in->bytes), bytes);
    add(c, arena_printf(c->a, "input %d", i), input_label(c->a, req, i),
        arena_printf(c->a, "%s %s %s", artifact_type_name(in->type), hex, bytes));
  }
}

static Components components(Arena *a, const StepEnv *env, const StepRequest *req) {
  ASSERT(req->n_in >= 0 && req->n_in <= STEP_MAX_IN);
  Components c = {.a = a, .cap = env->n_prints + (size_t)req->n_in + 4};
  c.v = arena_array(a, c.cap, sizeof *c.v);
  add(&c, "kind", "kind", req->kind->name);
  add_sources(&c, env, req->kind);
  add_inputs(&c, req);
  add(&c, "params", "parameters", req->params ? req->params : "");
  add(&c, "seed", "seed", arena_printf(a, "%" PRIu64, req->seed));
  if (req->kind->numeric) add(&c, "abi", "numeric ABI", env->abi);
  return c;
}

static Hash hash_components(const Components *c) {
  Hasher *h = hasher_new();
  hasher_str(h, "mistify step 1");
  hasher_u64(h, c->n);
  for (size_t i = 0; i < c->n; i++) {
    hasher_str(h, c->v[i].tag);
    hasher_str(h, c->v[i].value);
  }
  return hasher_done(h);
}

Hash step_key(const StepEnv *env, const StepRequest *req) {
  Arena *a = arena_new();
  Components c = components(a, env, req);
  Hash key = hash_components(&c);
  arena_free(a);
  return key;
}

/* ---- The record, and why a step runs again */

static const char *record_path(Arena *a, const StepEnv *env, const StepRequest *req) {
  Hasher *h = hasher_new();
  char hex[HASH_HEX];
  hasher_str(h, req->kind->name);
  hasher_str(h, req->slot);
  hash_hex(hasher_done(h), hex);
  return arena_printf(a, "%s/last/%s", cache_dir(env->cache), hex);
}

/* One line's worth of a value: itself when short and plain, else its hash. */
static const char *brief(Arena *a, const char *value) {
  bool plain = strlen(value) <= 80;
  for (const char *p = value; *p; p++) plain = plain && (unsigned char)*p >= 0x20;
  if (plain) return value;
  char hex[HASH_HEX];
  hash_hex(hash_bytes(value, strlen(value)), hex);
  return arena_printf(a, "#%s", hex);
}

static char *read_record(Arena *a, const char *path) {
  Diag *d = diag_new();
  size_t n;
  char *text = file_exists(path) ? file_read(a, path, &n, d) : NULL;
  diag_free(d);
  return text;
}

static void write_record(const char *path, const Components *c) {
  StrBuf text = {0};
  Diag *d = diag_new(); /* only the explanation of a later run depends on it */
  for (size_t i = 0; i < c->n; i++) sb_printf(&text, "%s\t%s\n", c->v[i].label, brief(c->a, c->v[i].value));
  const char *was = read_record(c->a, path);
  if (!was || strcmp(was, text.s) != 0) {
    if (file_make_dirs(path_dir(c->a, path), d)) file_write_quick(path, text.s, text.len, d);
  }
  diag_free(d);
  sb_free(&text);
}

/* The value that the record has under label, cut out of `record`; NULL: none. */
static const char *recorded(Arena *a, const char *record, const char *label) {
  size_t len = strlen(label);
  for (const char *line = record; *line;) {
    size_t n = strcspn(line, "\n");
    if (n > len && memcmp(line, label, len) == 0 && line[len] == '\t')
      return arena_strndup(a, line + len + 1, n - len - 1);
    line += n + (line[n] == '\n');
  }
  return NULL;
}

static void describe_change(StrBuf *out, const Component *c, const char *now, const char *was) {
  bool shown = strcmp(c->tag, "params") == 0 || strcmp(c->tag, "seed") == 0;
  bool plural = strcmp(c->tag, "params") == 0;
  if (!was)
    sb_printf(out, "%s %s new", c->label, plural ? "are" : "is");
  else if (shown && now[0] != '#' && was[0] != '#')
    sb_printf(out, "%s changed (\"%s\", was \"%s\")", c->label, now, was);
  else
    sb_printf(out, "%s changed", c->label);
}

/* Labels of the record that the components lack: files or inputs that went away. */
static int gone(const Components *c, const char *record, StrBuf *out, int found) {
  for (const char *line = record; *line;) {
    size_t n = strcspn(line, "\n"), len = strcspn(line, "\t\n"), i = 0;
    while (i < c->n && (strlen(c->v[i].label) != len || memcmp(c->v[i].label, line, len) != 0)) i++;
    if (i == c->n && found++ < 3) sb_printf(out, "%s%.*s is gone", out->len ? ", " : "", (int)len, line);
    line += n + (line[n] == '\n');
  }
  return found;
}

static void explain(const Components *c, const char *record, StrBuf *out) {
  if (!record) {
    sb_puts(out, "first time");
    return;
  }
  int found = 0;
  for (size_t i = 0; i < c->n; i++) {
    const char *was = recorded(c->a, record, c->v[i].label), *now = brief(c->a, c->v[i].value);
    if (was && strcmp(was, now) == 0) continue;
    if (found++ >= 3) continue;
    if (out->len) sb_puts(out, ", ");
    describe_change(out, &c->v[i], now, was);
  }
  found = gone(c, record, out, found);
  if (found > 3) sb_printf(out, " and %d more", found - 3);
  if (found == 0) sb_puts(out, "its entry is gone from the cache");
}

/* ---- Running */

typedef struct Run {
  const StepEnv *env;
  const StepRequest *req;
  Components parts;
  Arena *a;
  Hash key;
  const char *record, *work; /* paths; NULL without a cache */
  StepLog log;
  Diag *d;
} Run;

static double now_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Of this process and of the programs that it ran and that ended. */
static double processor_seconds(void) {
  static const int whose[] = {RUSAGE_SELF, RUSAGE_CHILDREN};
  double sum = 0;
  for (int i = 0; i < 2; i++) {
    struct rusage u;
    if (getrusage(whose[i], &u) != 0) continue;
    sum += (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
  }
  return sum;
}

static void say(const Run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(const Run *r, const char *fmt, ...) {
  const Host *host = r->req->host;
  if (!host || !host->log) return;
  StrBuf line = {0};
  sb_printf(&line, "%s%s%s: ", r->req->kind->name, r->req->slot ? " " : "", r->req->slot ? r->req->slot : "");
  va_list ap;
  va_start(ap, fmt);
  sb_vprintf(&line, fmt, ap);
  va_end(ap);
  host->log(host->ctx, sb_str(&line));
  sb_free(&line);
}

static void release(Artifact *art, int n) {
  for (int i = 0; i < n; i++) artifact_unref(&art[i]);
}

/* Graphs of the cache are bound to the custom operators of the step's own input: their source is in the graphs' hashes. */
static void keep_custom(const StepRequest *req, Artifact *out, int n) {
  struct CustomLibrary *custom = NULL;
  for (int i = 0; i < req->n_in && !custom; i++) custom = req->in[i].custom;
  for (int i = 0; i < n; i++)
    if (out[i].type == ART_GRAPH && !out[i].custom) out[i].custom = custom_ref(custom);
}

/* -1: reported; 0: a miss; 1: a hit. */
static int look_up(Run *r, Artifact *out, int *n_out) {
  Artifact found[CACHE_MAX_ARTIFACTS];
  int n = 0;
  if (!r->env->cache || !cache_get(r->env->cache, r->key, found, &n)) return 0;
  if (n < 1) return 0;
  n--; /* the last one is the table of names */
  bool ok = names_rebind(&found[n], r->req->in, r->req->n_in, found, n, r->d);
  artifact_unref(&found[n]);
  if (!ok) release(found, n);
  if (!ok) return -1;
  keep_custom(r->req, found, n);
  for (int i = 0; i < n; i++) out[i] = found[i];
  *n_out = n;
  return 1;
}

static void published(const Run *r) {
  unlink(r->work);
  write_record(r->record, &r->parts);
}

static void publish(Run *r, const Artifact *out, int n_out) {
  Artifact all[CACHE_MAX_ARTIFACTS];
  Diag *d = diag_new();
  for (int i = 0; i < n_out; i++) all[i] = out[i];
  all[n_out] = (Artifact){0};
  if (!names_of(r->req->in, r->req->n_in, &all[n_out], d) ||
      !cache_put(r->env->cache, r->key, r->req->kind->name, all, n_out + 1, d))
    diag_warn(r->d, NULL, "the result of step %s is not kept, the step will run again next time: %s",
              r->req->kind->name, diag_text(d));
  else
    published(r);
  artifact_unref(&all[n_out]);
  diag_free(d);
}

static bool cancelled(const Run *r) {
  const Host *h = r->req->host;
  return h && h->cancelled && h->cancelled(h->ctx);
}

static bool run_kind(Run *r, const Host *host, Artifact *out, int *n_out) {
  const StepRequest *q = r->req;
  FAIL_IF(cancelled(r), r->d, NULL, "cancelled before step %s", q->kind->name);
  StepCall call = {.in = q->in,
                   .n_in = q->n_in,
                   .params = q->params ? q->params : "",
                   .seed = q->seed,
                   .host = host,
                   .work = r->work,
                   .env = q->env};
  for (int i = 0; i < STEP_MAX_OUT; i++) out[i] = (Artifact){0};
  *n_out = 0;
  if (!q->kind->run(&call, out, n_out, r->d)) {
    release(out, STEP_MAX_OUT);
    ASSERT(diag_count(r->d) > 0);
    return false;
  }
  ASSERT(*n_out > 0 && *n_out <= STEP_MAX_OUT);
  return true;
}

/* Run it on the cores that it gets, by the clock. */
static bool run_on_cores(Run *r, StepTime *time, Artifact *out, int *n_out) {
  Workers *w = r->env->workers;
  Host host = r->req->host ? *r->req->host : (Host){.threads = 1};
  if (w) {
    host.threads = workers_take(w, r->req->kind->one_core ? 1 : workers_cores(w), &host);
    FAIL_IF(host.threads == 0, r->d, NULL, "cancelled before step %s", r->req->kind->name);
  }
  time->threads = host.threads;
  const double start = now_seconds(), processor = processor_seconds();
  const bool ok = run_kind(r, w ? &host : r->req->host, out, n_out);
  time->seconds = now_seconds() - start;
  time->processor = processor_seconds() - processor;
  if (w) workers_give(w);
  return ok;
}

static bool miss(Run *r, Artifact *out, int *n_out) {
  StrBuf why = {0};
  bool first = !r->record;
  if (r->record) {
    char *record = read_record(r->a, r->record);
    first = !record;
    explain(&r->parts, record, &why);
  }
  snprintf(r->log.why, sizeof r->log.why, "%s", sb_str(&why));
  sb_free(&why);
  if (first)
    say(r, "runs");
  else
    say(r, "again, because %s", r->log.why);
  if (r->env->cache) r->work = cache_work(r->env->cache, r->a, r->key);
  StepTime time = {.key = r->key};
  const bool goes_on = r->work && file_exists(r->work); /* then the time is that of a part */
  TRY(run_on_cores(r, &time, out, n_out));
  r->log.seconds = time.seconds;
  say(r, "done in %.1f s", r->log.seconds);
  if (!r->env->cache) return true;
  snprintf(time.kind, sizeof time.kind, "%s", r->req->kind->name);
  if (!goes_on) cache_put_time(r->env->cache, &time);
  publish(r, out, *n_out);
  return true;
}

/* ---- Others that run the same step */

static void pause_for(double seconds) {
  struct timespec t = {.tv_sec = 0, .tv_nsec = (long)(seconds * 1e9)};
  nanosleep(&t, NULL);
}

/* -1: reported, or busy; 0: it is ours to run (*lease; NULL where there can be none); 1: a hit. */
static int wait_or_take(Run *r, Lease **lease, Artifact *out, int *n_out) {
  const double start = now_seconds(), tell_after = 1;
  double pause = 0.005, touched = 0;
  bool told = false;
  *lease = NULL;
  for (;;) {
    Holder who;
    LeaseState state = lease_take(r->env->cache, r->key, LEASE_BEAT, lease, &who);
    if (state == LEASE_TAKEN) cache_refresh(r->env->cache, r->key);
    int found = state == LEASE_NONE ? 0 : look_up(r, out, n_out); /* it may just have been published */
    if (state != LEASE_BUSY || found != 0) return found;
    if (r->env->busy) {
      cache_touch(
          r->env->cache); /* who asks again and again lives, also where nothing new is pinned for long */
      *r->env->busy = true;
      return -1;
    }
    if (cancelled(r)) {
      diag_error(r->d, NULL, "cancelled while waiting for step %s", r->req->kind->name);
      return -1;
    }
    r->log.waited = now_seconds() - start;
    if (!told && r->log.waited > tell_after && who.pid) {
      say(r, "waits for process %" PRId64 " on %s, which runs it", who.pid, who.host);
      told = true;
    }
    if (r->log.waited - touched > LEASE_BEAT) {
      cache_touch(r->env->cache);
      touched = r->log.waited;
    }
    pause_for(pause);
    pause = pause < 0.05 ? 2 * pause : 0.1;
  }
}

/* Who only looks is told of a step that somebody runs; -1: there is nothing, 1: a hit, just published. */
static int not_there(Run *r, Artifact *out, int *n_out) {
  StrBuf path = {0};
  Holder who;
  const bool runs =
      r->env->busy && r->env->cache &&
      lease_lives(r->env->cache, cache_key_path(r->env->cache, "lease", r->key, &path), LEASE_EXPIRES, &who);
  sb_free(&path);
  if (runs) *r->env->busy = true;
  return !runs && look_up(r, out, n_out) > 0 ? 1 : -1;
}

/* -1: reported, or busy; 0: it was run; 1: a hit. */
static int run_or_wait(Run *r, Artifact *out, int *n_out) {
  Lease *lease = NULL;
  int found = r->env->cache ? wait_or_take(r, &lease, out, n_out) : 0;
  if (found == 0 && !miss(r, out, n_out)) found = -1;
  lease_release(lease);
  return found;
}

bool step_run(const StepEnv *env, const StepRequest *req, Artifact *out, int *n_out, StepLog *log, Diag *d) {
  Run r = {.env = env, .req = req, .a = arena_new(), .d = d};
  double start = now_seconds();
  r.parts = components(r.a, env, req);
  r.key = hash_components(&r.parts);
  if (env->cache) r.record = record_path(r.a, env, req);
  r.log = (StepLog){.kind = req->kind->name, .slot = req->slot, .key = r.key};
  if (env->workers) r.log.worker = workers_current(env->workers);
  if (env->cache) cache_pin(env->cache, r.key); /* before it is looked at: from then on it stays */
  int found = look_up(&r, out, n_out);
  if (found == 0) found = env->only_look ? not_there(&r, out, n_out) : run_or_wait(&r, out, n_out);
  if (found > 0) {
    r.log.hit = true;
    r.log.seconds = now_seconds() - start - r.log.waited;
    say(&r, "taken from the cache");
    write_record(r.record, &r.parts);
  }
  if (found == 0 && env->workers) workers_log(env->workers, &r.log);
  if (found >= 0 && env->record) env->record(env->record_ctx, &r.log);
  if (log) *log = r.log;
  arena_free(r.a);
  return found >= 0;
}
