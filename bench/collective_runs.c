/* See collective_runs.h.
 *
 *   FOLDER/sources            what made everything in it
 *   FOLDER/design-LENGTH.yaml from the task's design
 *   FOLDER/deploy-KEY.yaml    its targets
 *   FOLDER/runs/KEY/          log, cache/, out/, and last of all `done`: seconds
 *
 * A run that was stopped begins anew, with an empty cache: its time would mean nothing otherwise.
 */
#include "bench/collective_runs.h"

#include <errno.h>

#define COMMAND "build/release/mistify"

const char *runs_path(const Setting *s, const char *key, const char *file) {
  return arena_printf(s->a, "%s/runs/%s/%s", s->folder, key, file);
}

static void must_write(const Setting *s, const char *path, const char *text) {
  bench_must(s->b, file_write(path, text, strlen(text), s->b->d));
}

static void must_system(const Setting *s, const char *command) {
  if (system(command) != 0) bench_must(s->b, diag_error(s->b->d, NULL, "%s: failed", command));
}

/* -- the folder -- */

static const char *sources(const Setting *s) {
  const char *const files[] = {s->task->design, "bench/collective/targets.def", "bench/collective/seeds.h",
                               s->task->cloud, NULL};
  const char *print = sources_print(s->a, files, s->length, s->b->d);
  bench_must(s->b, print != NULL);
  return print;
}

/* The command must be of the sources that this program was built from: make bench-collective sees to it. */
static void open_folder(const Setting *s) {
  const char *path = arena_printf(s->a, "%s/sources", s->folder), *mine = sources(s);
  if (file_exists(path)) {
    const char *theirs = file_read(s->a, path, NULL, s->b->d);
    bench_must(s->b, theirs != NULL);
    if (strcmp(theirs, mine) == 0) return;
    if (!s->data.quick) {
      diag_error(s->b->d, NULL, "collective: the runs in %s are of other sources, requests, design or epochs",
                 s->folder);
      diag_hint(s->b->d, "remove the folder, or keep it under another name");
      bench_must(s->b, false);
    }
    file_remove_tree(arena_printf(s->a, "%s/runs", s->folder));
  }
  bench_must(s->b, file_make_dirs(arena_printf(s->a, "%s/runs", s->folder), s->b->d));
  must_write(s, path, mine);
}

void runs_open(Setting *s) {
  if (!file_exists(COMMAND)) bench_must(s->b, diag_error(s->b->d, NULL, "no " COMMAND ": make builds it"));
  open_folder(s);
  s->task->make(s->b, s->a, &s->data);
}

/* -- what a run reads -- */

static const char *design_name(const Setting *s, const char *length) {
  char *name = arena_printf(s->a, "design-%s.yaml", length);
  for (char *p = name; *p; p++)
    if (*p == ':' || *p == ' ') *p = '-';
  return name;
}

static const char *with_images(const Setting *s, const char *text, const char *name, int n) {
  return text_filled(s->a, text, name, arena_printf(s->a, "%d", n));
}

static void write_design(const Setting *s, const char *length) {
  const char *text = file_read(s->a, s->task->design, NULL, s->b->d);
  bench_must(s->b, text != NULL);
  text = text_filled(s->a, text, "@LENGTH@", length);
  text = text_filled(s->a, text, "@DATA@", s->data.dir);
  text = text_filled(s->a, text, "@SHARED@", task_shared());
  text = with_images(s, text, "@TRAIN@", s->data.images.train);
  text = with_images(s, text, "@VAL@", s->data.images.val);
  text = with_images(s, text, "@STAND_IN@", s->data.images.stand_in);
  text = with_images(s, text, "@CALIBRATION@", s->data.images.calibration);
  must_write(s, arena_printf(s->a, "%s/%s", s->folder, design_name(s, length)), text);
}

static void put_limit(StrBuf *b, const char *key, long long limit, bool tighter, const char **comma) {
  if (!limit) return;
  sb_printf(b, "%s%s: %lld", *comma, key, tighter ? limit * 9 / 10 : limit);
  *comma = ", ";
}

static void put_request(const Setting *s, StrBuf *b, int i, bool tighter) {
  const Request *q = &s->requests[i];
  const char *comma = "";
  sb_printf(b, "  - name: t%02d\n    board: %s\n    limits: {", i, q->board);
  put_limit(b, "macs", q->macs, tighter, &comma);
  put_limit(b, "flash", q->flash, tighter, &comma);
  put_limit(b, "ram", q->ram, tighter, &comma);
  put_limit(b, "cycles", q->cycles, tighter, &comma);
  sb_puts(b, "}\n");
}

/* Beside the design, whatever the run: models keep the path by which they were read. */
static const char *deploy_path(const Setting *s, const Job *j, const char *what) {
  return arena_printf(s->a, "%s/%s-%s.yaml", s->folder, what, j->key);
}

static void write_requests(const Setting *s, const Job *j) {
  StrBuf b = {0};
  sb_printf(&b, "design: %s\nseed: 1\ntargets:\n", design_name(s, j->length));
  for (int i = 0; i < j->n; i++) put_request(s, &b, j->targets[i], j->targets[i] == j->tightened);
  must_write(s, deploy_path(s, j, "deploy"), sb_str(&b));
  sb_clear(&b);
  sb_puts(&b, "targets:\n");
  put_request(s, &b, ADDED_TARGET, false);
  if (j->add) must_write(s, deploy_path(s, j, "add"), sb_str(&b));
  sb_free(&b);
}

void runs_prepare(Setting *s, const Job *j) {
  const char *here = runs_path(s, j->key, "");
  if (!file_remove_tree(here)) bench_must(s->b, diag_error(s->b->d, NULL, "%s: cannot be emptied", here));
  bench_must(s->b, file_make_dirs(here, s->b->d));
  if (j->from)
    must_system(s, arena_printf(s->a, "cp -a %s %s %s && sync", runs_path(s, j->from, "out"),
                                runs_path(s, j->from, "cache"), here));
  write_design(s, j->length);
  write_requests(s, j);
}

/* -- running -- */

int runs_start(const Setting *s, const Job *j) {
  const char *argv[16] = {COMMAND,
                          "tailor",
                          deploy_path(s, j, "deploy"),
                          "--quiet",
                          "--cache",
                          runs_path(s, j->key, "cache"),
                          "-o",
                          runs_path(s, j->key, "out"),
                          "--sharing",
                          j->sharing};
  int n = 10;
  if (!j->firmware) argv[n++] = "--graphs";
  if (j->add) argv[n++] = "--add", argv[n++] = deploy_path(s, j, "add");
  argv[n] = NULL;
  const int p = command_start(argv, runs_path(s, j->key, "log"));
  if (p < 0) bench_must(s->b, diag_error(s->b->d, NULL, "fork: %s", strerror(errno)));
  return p;
}

static const Json *read_report(const Setting *s, const char *path) {
  size_t n = 0;
  const char *text = file_read(s->a, path, &n, s->b->d);
  bench_must(s->b, text != NULL);
  const Json *report = json_parse(s->a, text, n, path, s->b->d);
  bench_must(s->b, report != NULL);
  return report;
}

static double run_timed(Setting *s, const Job *j) {
  runs_prepare(s, j);
  const double start = wall_now();
  const int status = command_wait(runs_start(s, j));
  const double seconds = wall_now() - start;
  if (status != 0 && status != 2) /* 2: a limit is out of reach */
    bench_must(s->b, diag_error(s->b->d, NULL, "run %s: status %d; see %s", j->key, status,
                                runs_path(s, j->key, "log")));
  if (!j->keep) file_remove_tree(runs_path(s, j->key, "cache"));
  must_write(s, runs_path(s, j->key, "done"), arena_printf(s->a, "%.3f\n", seconds));
  return seconds;
}

/* What is left by what was done, each run weighed by its expected length. */
static void tell(Setting *s, const Job *j, double seconds) {
  const char *key = arena_printf(s->a, " %s ", j->key);
  if (strstr(sb_str(&s->told), key)) return;
  sb_puts(&s->told, key);
  s->weight_done += j->weight, s->seconds_done += seconds;
  if (s->weight_left > j->weight) s->weight_left -= j->weight;
  printf("  run %-24s %8.1f s; about %.0f min left\n", j->key, seconds,
         s->weight_left * s->seconds_done / (s->weight_done > 0 ? s->weight_done : 1) / 60);
  fflush(stdout);
}

Ran runs_do(Setting *s, const Job *j) {
  const char *done = runs_path(s, j->key, "done"), *text;
  Ran r = {.out = runs_path(s, j->key, "out")};
  if (file_exists(done)) {
    text = file_read(s->a, done, NULL, s->b->d);
    bench_must(s->b, text != NULL);
    r.seconds = strtod(text, NULL);
  } else {
    r.seconds = run_timed(s, j);
  }
  tell(s, j, r.seconds);
  r.report = read_report(s, path_join(s->a, r.out, "report.json"));
  return r;
}
