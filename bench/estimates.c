/* Estimates before flashing, against what linker and emulator say: flash, RAM and cycles of every model on every target.
 *
 *   bench/estimates [target or model file]...      all, or those named; writes bench/results/estimates.json
 *
 * The C of each model is emitted and its hash kept with what was measured: C that has not changed since is not measured
 * again, its estimates are anew. Models whose estimates are equal to the byte and the cycle (the same net with other
 * weights) are measured once. Results of targets and models that are not named stay.
 *
 * Code as `mistify compile` writes it. Flash and RAM: the linker's (harness_verify). Cycles: on bare Cortex-M weighted by
 * instruction class, elsewhere instructions. A model that the emulated machine has no room for is left
 * out, and printed. Models: ../shared/data/models (or $MISTIFY_SHARED).
 */
#define _XOPEN_SOURCE 700

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend/backend.h"
#include "bench/support.h"
#include "frontend/onnx/onnx.h"
#include "frontend/tflite/tflite.h"
#include "ir/base/file.h"
#include "ir/base/hash.h"
#include "ir/base/json.h"
#include "ir/base/mem.h"
#include "ir/base/strbuf.h"
#include "passes/pass.h"

enum { MAX_MODELS = 100, N_METRICS = 3 };
static const char *const metrics[N_METRICS] = {"flash", "RAM", "cycles"};
static const char *const units[N_METRICS] = {"bytes", "bytes", "cycles"};

/* Relative errors of a target's estimates. */
typedef struct Errors {
  double sum[N_METRICS], worst[N_METRICS];
  char worst_model[N_METRICS][128];
  int n;
} Errors;

/* What was measured, of one model on one target. */
typedef struct Row {
  char model[128], target[40], how[160], code[HASH_HEX];
  double estimate[N_METRICS], measured[N_METRICS];
} Row;

enum { MAX_RESULTS = 4000 };
typedef struct Results {
  Row *v;
  int n;
} Results;

/* -- models -- */

typedef struct Models {
  char path[MAX_MODELS][700];
  int n;
} Models;

static const char *base_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

static int by_name(const void *a, const void *b) { return strcmp(base_name(a), base_name(b)); }

static void find_models(Models *m) {
  static const char *const kinds[] = {"tflite", "onnx"};
  for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
    char dir[400];
    snprintf(dir, sizeof dir, "%s/data/models/%s", bench_shared(), kinds[k]);
    DIR *h = opendir(dir);
    for (struct dirent *e; h && (e = readdir(h)) && m->n < MAX_MODELS;) {
      const char *dot = strrchr(e->d_name, '.');
      if (dot && strcmp(dot + 1, kinds[k]) == 0)
        snprintf(m->path[m->n++], sizeof m->path[0], "%s/%s", dir, e->d_name);
    }
    if (h) closedir(h);
  }
  qsort(m->path, (size_t)m->n, sizeof m->path[0], by_name);
}

/* As `mistify compile` prepares it, batch 1. */
static Graph *prepared(const char *path, Diag *d) {
  const char *dot = strrchr(path, '.');
  Graph *g = strcmp(dot, ".tflite") == 0 ? tflite_import(path, d) : onnx_import(path, d);
  if (!g) return NULL;
  const PassCtx ctx = {.params = ""};
  Graph *p = pipeline_run(g, "fold,layout,fold,dce,bnfuse,fuse,fold", &ctx, NULL, d);
  graph_free(g);
  return p;
}

/* -- results -- */

static const char path_out[] = "bench/results/estimates.json";

static void begin(JsonWriter *w, StrBuf *text) {
  char date[32];
  time_t now = time(NULL);
  strftime(date, sizeof date, "%Y-%m-%d", gmtime(&now));
  json_begin(w, text, true);
  json_object(w);
  json_kstr(w, "benchmark", "estimates");
  json_kstr(w, "date", date);
  json_karray(w, "results");
}

static void put(JsonWriter *w, const Row *r, int metric) {
  json_object(w);
  json_kstr(w, "case", r->model);
  json_kstr(w, "target", r->target);
  json_kstr(w, "metric", metrics[metric]);
  json_knum(w, "value", 100 * (r->estimate[metric] / r->measured[metric] - 1));
  json_kstr(w, "unit", "percent off");
  json_kstr(w, "better", "lower");
  json_knum(w, "estimate", r->estimate[metric]);
  json_knum(w, "measured", r->measured[metric]);
  json_kstr(w, "measured_unit", units[metric]);
  json_kstr(w, "how", metric < 2 ? "linker" : r->how);
  json_kstr(w, "code", r->code);
  json_end(w);
}

static void add_error(Errors *e, int metric, double error, const char *model) {
  e->sum[metric] += fabs(error);
  if (e->n && fabs(error) < fabs(e->worst[metric])) return;
  e->worst[metric] = error;
  snprintf(e->worst_model[metric], sizeof e->worst_model[metric], "%s", model);
}

static Errors errors_of(const Results *all, const char *target) {
  Errors e = {.n = 0};
  for (int i = 0; i < all->n; i++) {
    const Row *r = &all->v[i];
    if (strcmp(r->target, target) != 0) continue;
    for (int m = 0; m < N_METRICS; m++) add_error(&e, m, r->estimate[m] / r->measured[m] - 1, r->model);
    e.n++;
  }
  return e;
}

static const char *str_of(const Json *j, const char *key) { return json_get_str(j, key, ""); }

/* The last run's. */
static void read_results(Results *all) {
  Arena *a = arena_new();
  Diag *d = diag_new();
  size_t n;
  const char *text = file_exists(path_out) ? file_read(a, path_out, &n, d) : NULL;
  const Json *j = text ? json_parse(a, text, n, path_out, d) : NULL, *list = json_get(j, "results");
  for (uint32_t i = 0; list && i + 2 < list->n && all->n < MAX_RESULTS; i += N_METRICS) {
    Row *r = &all->v[all->n++];
    snprintf(r->model, sizeof r->model, "%s", str_of(json_at(list, i), "case"));
    snprintf(r->target, sizeof r->target, "%s", str_of(json_at(list, i), "target"));
    snprintf(r->how, sizeof r->how, "%s", str_of(json_at(list, i + 2), "how"));
    snprintf(r->code, sizeof r->code, "%s", str_of(json_at(list, i), "code"));
    for (uint32_t m = 0; m < N_METRICS; m++) {
      r->estimate[m] = json_get_num(json_at(list, i + m), "estimate", 0);
      r->measured[m] = json_get_num(json_at(list, i + m), "measured", 0);
    }
  }
  diag_free(d);
  arena_free(a);
}

static Row *find_row(const Results *all, const Row *like) {
  for (int i = 0; i < all->n; i++)
    if (strcmp(all->v[i].target, like->target) == 0 && strcmp(all->v[i].model, like->model) == 0)
      return &all->v[i];
  return NULL;
}

static void put_row(Results *all, const Row *r) {
  Row *old = find_row(all, r);
  if (old)
    *old = *r;
  else if (all->n < MAX_RESULTS)
    all->v[all->n++] = *r;
}

static bool write_results(const Results *all, Diag *d) {
  StrBuf text = {0};
  JsonWriter w;
  begin(&w, &text);
  for (int t = 0; t < n_targets; t++)
    for (int i = 0; i < all->n; i++)
      for (int m = 0; m < N_METRICS && strcmp(all->v[i].target, targets[t].name) == 0; m++)
        put(&w, &all->v[i], m);
  json_end(&w);
  json_karray(&w, "summary");
  for (int t = 0; t < n_targets; t++) {
    const Errors e = errors_of(all, targets[t].name);
    for (int m = 0; m < N_METRICS && e.n; m++) {
      json_object(&w);
      json_kstr(&w, "target", targets[t].name);
      json_kstr(&w, "metric", metrics[m]);
      json_knum(&w, "models", e.n);
      json_knum(&w, "mean_percent", 100 * e.sum[m] / e.n);
      json_knum(&w, "worst_percent", 100 * e.worst[m]);
      json_kstr(&w, "worst_model", e.worst_model[m]);
      json_end(&w);
    }
  }
  json_end(&w);
  json_end(&w);
  bool ok = file_write(path_out, sb_str(&text), text.len, d);
  sb_free(&text);
  return ok;
}

/* -- one model on one target -- */

static bool hash_code(const char *dir, Row *r, Diag *d) {
  Arena *a = arena_new();
  size_t n;
  const char *text = file_read(a, path_join(a, dir, "model.c"), &n, d);
  if (text) hash_hex(hash_bytes(text, n), r->code);
  arena_free(a);
  return text != NULL;
}

static bool measured(const Target *t, const char *dir, Row *r, Diag *d) {
  Measured m;
  TRY(harness_verify(dir, t, NULL, &m, d));
  snprintf(r->how, sizeof r->how, "%s", m.weighed_by);
  r->measured[0] = (double)m.flash;
  r->measured[1] = (double)(m.ram_arena + m.ram_other);
  r->measured[2] = (double)m.cycles;
  return true;
}

/* The same code, or the same net, measured before. */
static const Row *known_of(const Results *all, const Results *now, const Row *r) {
  const Row *old = find_row(all, r);
  if (old && strcmp(old->code, r->code) == 0) return old;
  for (int i = 0; i < now->n; i++)
    if (strcmp(now->v[i].target, r->target) == 0 &&
        memcmp(now->v[i].estimate, r->estimate, sizeof r->estimate) == 0)
      return &now->v[i];
  return NULL;
}

static bool fill_row(const Graph *g, const Target *t, const char *dir, const Results *all, const Results *now,
                     Row *r, Diag *d) {
  const EmitOptions o = {.name = "m", .out_dir = dir};
  Cost cost;
  TRY(backend_cost(g, t, &cost, d) && emit_c(g, t, &o, d) && hash_code(dir, r, d));
  r->estimate[0] = (double)cost.flash;
  r->estimate[1] = (double)cost.ram;
  r->estimate[2] = (double)cost.cycles;
  const Row *known = known_of(all, now, r);
  if (!known) return measured(t, dir, r, d);
  memcpy(r->measured, known->measured, sizeof r->measured);
  memcpy(r->how, known->how, sizeof r->how);
  return true;
}

/* all: of former runs too; now: of this one. */
static void run_case(const Graph *g, const char *model, const Target *t, const char *base, Results *all,
                     Results *now) {
  StrBuf dir = {0};
  Row r = {.how = ""};
  Diag *d = diag_new();
  sb_printf(&dir, "%s/%s-%s", base, model, t->name);
  snprintf(r.model, sizeof r.model, "%s", model);
  snprintf(r.target, sizeof r.target, "%s", t->name);
  bool ok = fill_row(g, t, sb_str(&dir), all, now, &r, d);
  printf("%-16s %-40s", t->name, model);
  if (!ok) printf(" left out: %.110s", diag_text(d));
  for (int i = 0; ok && i < N_METRICS; i++)
    printf(" %12.0f %+6.1f %%", r.measured[i], 100 * (r.estimate[i] / r.measured[i] - 1));
  printf("\n");
  if (ok) put_row(all, &r);
  if (ok) put_row(now, &r);
  file_remove_tree(sb_str(&dir));
  diag_free(d);
  sb_free(&dir);
}

static bool wanted(int argc, char **argv, const char *target, const char *model) {
  bool any_target = true, any_model = true, target_named = false, model_named = false;
  for (int i = 1; i < argc; i++) {
    bool is_target = target_find(argv[i]) != NULL;
    any_target &= !is_target;
    any_model &= is_target;
    target_named |= strcmp(argv[i], target) == 0;
    model_named |= strcmp(argv[i], model) == 0;
  }
  return (any_target || target_named) && (any_model || model_named);
}

static void print_errors(const Results *all) {
  printf("\n%-16s %7s", "target", "models");
  for (int i = 0; i < N_METRICS; i++) printf("  %6s mean, worst %%", metrics[i]);
  printf("\n");
  for (int t = 0; t < n_targets; t++) {
    const Errors e = errors_of(all, targets[t].name);
    if (!e.n) continue;
    printf("%-16s %7d", targets[t].name, e.n);
    for (int i = 0; i < N_METRICS; i++) printf("  %10.1f %+10.1f", 100 * e.sum[i] / e.n, 100 * e.worst[i]);
    printf("\n");
  }
}

int main(int argc, char **argv) {
  static Models models;
  char *base = bench_temp_dir();
  Results all = {.v = mem_array(MAX_RESULTS, sizeof *all.v)},
          now = {.v = mem_array(MAX_RESULTS, sizeof *now.v)};
  Diag *d = diag_new();
  bool ok = true;
  setvbuf(stdout, NULL, _IOLBF, 0);
  find_models(&models);
  read_results(&all);
  printf("%-16s %-40s %12s %8s %12s %8s %12s %8s\n", "target", "model", "flash", "est.", "RAM", "est.",
         "cycles", "est.");
  for (int i = 0; i < models.n; i++) {
    const char *model = base_name(models.path[i]);
    Graph *g = prepared(models.path[i], d);
    if (!g) diag_print(d, stderr);
    for (int t = 0; g && t < n_targets; t++)
      if (wanted(argc, argv, targets[t].name, model)) run_case(g, model, &targets[t], base, &all, &now);
    graph_free(g);
    ok &= write_results(&all, d);
  }
  print_errors(&now);
  if (!ok) diag_print(d, stderr);
  file_remove_tree(base);
  free(base);
  diag_free(d);
  mem_free(all.v);
  mem_free(now.v);
  return ok ? 0 : 1;
}
