/* mistify cache: what the folder of finished steps holds, and its upkeep. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "frontend/cli/cli.h"
#include "frontend/config/units.h"
#include "ir/base/file.h"
#include "ir/base/nearest.h"
#include "passes/steps/cache.h"

typedef struct CacheOpts {
  CommonOpts common;
  const char *action, *dir, *max;
} CacheOpts;

static const Opt opts[] = {
    {"ACTION", OPT_PARAM, offsetof(CacheOpts, action), true, NULL, "stats, ls, gc, verify or clear"},
    {"--cache", OPT_STRING, offsetof(CacheOpts, dir), false, "DIR", "the cache's folder (default .mistify)"},
    {"--max", OPT_STRING, offsetof(CacheOpts, max), false, "SIZE", "gc: largest size to keep, such as 2GiB"},
    {0}};

static const char *size_text(Arena *a, int64_t bytes) {
  char text[64];
  unit_format_bytes(bytes, text, sizeof text);
  return arena_strdup(a, text);
}

/* {"entries": ..., "bytes": ...} under `key` */
static void json_stats(JsonWriter *w, const char *key, const CacheStats *s) {
  json_kobject(w, key);
  json_kint(w, "entries", s->entries);
  json_kint(w, "bytes", s->bytes);
  json_kint(w, "leftovers", s->leftovers);
  json_kint(w, "leftover_bytes", s->leftover_bytes);
  json_end(w);
}

static void print_json(const CacheOpts *o, const char *key, const CacheStats *a, const char *key2,
                       const CacheStats *b) {
  JsonWriter w;
  StrBuf t;
  cli_json_begin(&w, &t);
  json_object(&w);
  json_kstr(&w, "cache", o->dir);
  json_stats(&w, key, a);
  if (key2) json_stats(&w, key2, b);
  json_end(&w);
  cli_json_end(&w, &t);
}

/* -- actions: true when done; *status is EXIT_DONE -- */

typedef struct Job {
  const CacheOpts *o;
  Cache *cache;
  Arena *arena;
  int status;
} Job;

/* What steps took when they were run, together. */
static bool total_times(Job *j, double *seconds, double *processor, Diag *d) {
  StepTime *v;
  size_t n;
  TRY(cache_times(j->cache, j->arena, &v, &n, d));
  *seconds = *processor = 0;
  for (size_t i = 0; i < n; i++) {
    *seconds += v[i].seconds;
    *processor += v[i].processor;
  }
  return true;
}

static void stats_json(const Job *j, const CacheStats *s, double seconds, double processor) {
  JsonWriter w;
  StrBuf t;
  cli_json_begin(&w, &t);
  json_object(&w);
  json_kstr(&w, "cache", j->o->dir);
  json_stats(&w, "holds", s);
  json_kobject(&w, "in_use");
  json_kint(&w, "runs", s->runs);
  json_kint(&w, "entries", s->pinned);
  json_kint(&w, "bytes", s->pinned_bytes);
  json_kint(&w, "steps_running", s->leases);
  json_end(&w);
  json_kobject(&w, "unfinished");
  json_kint(&w, "steps", s->work);
  json_kint(&w, "bytes", s->work_bytes);
  json_end(&w);
  json_kobject(&w, "times");
  json_kint(&w, "steps", s->times);
  json_knum(&w, "seconds", seconds);
  json_knum(&w, "processor_seconds", processor);
  json_end(&w);
  json_end(&w);
  cli_json_end(&w, &t);
}

static void stats_text(const Job *j, const CacheStats *s, double seconds, double processor) {
  Arena *a = j->arena;
  printf("%s: %lld entries, %s\n", j->o->dir, (long long)s->entries, size_text(a, s->bytes));
  if (s->runs)
    printf("in use: %lld of them, %s, by %lld process(es), which run %lld step(s) now (gc leaves them)\n",
           (long long)s->pinned, size_text(a, s->pinned_bytes), (long long)s->runs, (long long)s->leases);
  if (s->work)
    printf("state of %lld step(s) not yet done, %s: the next run goes on from it\n", (long long)s->work,
           size_text(a, s->work_bytes));
  if (s->times)
    printf("times of %lld step(s) are known: %.1f s, %.1f s of processors\n", (long long)s->times, seconds,
           processor);
  if (s->leftovers)
    printf("and %lld file(s) of processes that ended over them, %s (gc removes them)\n",
           (long long)s->leftovers, size_text(a, s->leftover_bytes));
}

static bool act_stats(Job *j, Diag *d) {
  CacheStats s;
  double seconds, processor;
  TRY(cache_stats(j->cache, &s, d) && total_times(j, &seconds, &processor, d));
  if (j->o->common.json)
    stats_json(j, &s, seconds, processor);
  else
    stats_text(j, &s, seconds, processor);
  return true;
}

static const char *time_text(Arena *a, const struct timespec *t) {
  char text[40];
  struct tm tm;
  time_t s = t->tv_sec;
  if (!localtime_r(&s, &tm) || !strftime(text, sizeof text, "%Y-%m-%d %H:%M", &tm)) return "";
  return arena_strdup(a, text);
}

static void list_json(const CacheEntry *v, size_t n) {
  JsonWriter w;
  StrBuf t;
  char hex[HASH_HEX];
  cli_json_begin(&w, &t);
  json_array(&w);
  for (size_t i = 0; i < n; i++) {
    hash_hex(v[i].key, hex);
    json_object(&w);
    json_kstr(&w, "key", hex);
    json_kstr(&w, "step", v[i].kind);
    json_kint(&w, "artifacts", v[i].artifacts);
    json_kint(&w, "bytes", v[i].bytes);
    json_kint(&w, "used", (int64_t)v[i].used.tv_sec);
    json_end(&w);
  }
  json_end(&w);
  cli_json_end(&w, &t);
}

static bool act_ls(Job *j, Diag *d) {
  CacheEntry *v;
  size_t n;
  TRY(cache_list(j->cache, j->arena, &v, &n, d));
  if (j->o->common.json) {
    list_json(v, n);
    return true;
  }
  Table t;
  char hex[HASH_HEX];
  table_begin(&t, j->arena, "<last used,<step,>artifacts,>bytes,<key");
  for (size_t i = 0; i < n; i++) {
    hash_hex(v[i].key, hex);
    table_cell(&t, "%s", time_text(j->arena, &v[i].used));
    table_cell(&t, "%s", v[i].kind[0] ? v[i].kind : "(damaged)");
    table_cell(&t, "%d", v[i].artifacts);
    table_count(&t, v[i].bytes);
    table_cell(&t, "%s", hex);
  }
  table_print(&t);
  return true;
}

static bool act_gc(Job *j, Diag *d) {
  int64_t max;
  FAIL_IF(!j->o->max, d, NULL, "mistify cache gc: --max SIZE is missing: the largest size to keep");
  const char *want = unit_bytes(j->o->max, &max);
  FAIL_IF(want, d, NULL, "--max %s: want %s", j->o->max, want);
  FAIL_IF(max < 0, d, NULL, "--max %s: want 0 or more", j->o->max);
  CacheStats removed;
  TRY(cache_gc(j->cache, max, &removed, d));
  if (j->o->common.json) {
    print_json(j->o, "removed", &removed, NULL, NULL);
  } else {
    printf("removed %lld entries, %s, and %lld unfinished files\n", (long long)removed.entries,
           size_text(j->arena, removed.bytes), (long long)removed.leftovers);
  }
  return true;
}

static bool act_verify(Job *j, Diag *d) {
  CacheStats good, damaged;
  TRY(cache_verify(j->cache, &good, &damaged, d));
  if (j->o->common.json) {
    print_json(j->o, "good", &good, "damaged", &damaged);
  } else {
    printf("%lld entries are whole, %lld were damaged and are removed\n", (long long)good.entries,
           (long long)damaged.entries);
  }
  if (damaged.entries) j->status = EXIT_LIMITS;
  return true;
}

static bool act_clear(Job *j, Diag *d) {
  TRY(cache_clear(j->cache, d));
  cli_note(&j->o->common, "%s: empty now", j->o->dir);
  return true;
}

static const struct Action {
  const char *name;
  bool (*run)(Job *j, Diag *d);
} actions[] = {
    {"stats", act_stats}, {"ls", act_ls}, {"gc", act_gc}, {"verify", act_verify}, {"clear", act_clear}};
enum { N_ACTIONS = sizeof actions / sizeof actions[0] };

static const struct Action *find(const char *name, Diag *d) {
  const char *names[N_ACTIONS + 1] = {0};
  for (int i = 0; i < N_ACTIONS; i++) {
    if (strcmp(actions[i].name, name) == 0) return &actions[i];
    names[i] = actions[i].name;
  }
  const char *near = name_nearest(name, names);
  diag_error(d, NULL, "mistify cache: \"%s\": want stats, ls, gc, verify or clear", name);
  if (near) diag_hint(d, "did you mean %s?", near);
  return NULL;
}

static int run(void *opts_, Diag *d) {
  CacheOpts *o = opts_;
  const struct Action *action = find(o->action, d);
  if (!action) return EXIT_USER;
  if (!o->dir) o->dir = ".mistify";
  if (!file_is_dir(o->dir)) {
    diag_error(d, NULL, "%s: there is no such folder", o->dir);
    diag_hint(d, "name the cache's folder: --cache DIR (`cache:` in deploy.yaml)");
    return EXIT_USER;
  }
  Progress progress;
  cli_progress(&progress, &o->common, 1);
  Job j = {.o = o, .arena = arena_new(), .status = EXIT_DONE};
  j.cache = cache_open(o->dir, progress_host(&progress), d);
  bool ok = j.cache && action->run(&j, d);
  cache_close(j.cache);
  arena_free(j.arena);
  return ok ? j.status : EXIT_USER;
}

extern const Command cmd_cache;
const Command cmd_cache = {
    "cache",
    "Show, check, shrink or empty the cache of finished steps",
    "stats: how many steps are kept, and their size; what runs use at this moment; how long steps took.\n"
    "ls: each entry, least recently used first.  gc: remove what was least recently used until --max SIZE is "
    "kept,\n"
    "but nothing that a run which goes on has used.  verify: read all, remove what is damaged (exit status 2 "
    "if\n"
    "there was any).  clear: remove all.\n"
    "Several runs, on several machines too, may share a folder: none repeats what another runs at this "
    "moment.",
    "  mistify cache stats\n"
    "  mistify cache gc --max 2GiB --cache /var/cache/mistify\n",
    opts,
    sizeof(CacheOpts),
    run};
