/* Estimates before flashing, against what linker and emulator say: flash, RAM and cycles of every model on every target.
 *
 *   bench/estimates [target or model file]...      all, or those named; writes bench/results/estimates.json
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
  const char *root = getenv("MISTIFY_SHARED");
  for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
    char dir[400];
    snprintf(dir, sizeof dir, "%s/data/models/%s", root && *root ? root : "../shared", kinds[k]);
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

/* -- one model on one target -- */

static void put(JsonWriter *w, const char *model, const char *target, int metric, double estimate,
                double measured, const char *how) {
  json_object(w);
  json_kstr(w, "case", model);
  json_kstr(w, "target", target);
  json_kstr(w, "metric", metrics[metric]);
  json_knum(w, "value", 100 * (estimate / measured - 1));
  json_kstr(w, "unit", "percent off");
  json_kstr(w, "better", "lower");
  json_knum(w, "estimate", estimate);
  json_knum(w, "measured", measured);
  json_kstr(w, "measured_unit", units[metric]);
  json_kstr(w, "how", how);
  json_end(w);
}

static void add_error(Errors *e, int metric, double error, const char *model) {
  e->sum[metric] += fabs(error);
  if (fabs(error) < fabs(e->worst[metric])) return;
  e->worst[metric] = error;
  snprintf(e->worst_model[metric], sizeof e->worst_model[metric], "%s", model);
}

static bool measured(const Graph *g, const Target *t, const char *dir, Cost *cost, double got[N_METRICS],
                     const char **how, Diag *d) {
  const EmitOptions o = {.name = "m", .out_dir = dir};
  Measured m;
  TRY(backend_cost(g, t, cost, d));
  TRY(emit_c(g, t, &o, d));
  TRY(harness_verify(dir, t, NULL, &m, d));
  *how = m.weighed_by;
  got[0] = (double)m.flash;
  got[1] = (double)(m.ram_arena + m.ram_other);
  got[2] = (double)m.cycles;
  return true;
}

static void run_case(const Graph *g, const char *model, const Target *t, const char *base, Errors *e,
                     JsonWriter *w) {
  StrBuf dir = {0};
  Cost cost;
  double got[N_METRICS];
  const char *how;
  Diag *d = diag_new();
  sb_printf(&dir, "%s/%s-%s", base, model, t->name);
  if (!measured(g, t, sb_str(&dir), &cost, got, &how, d)) {
    printf("%-16s %-40s left out: %.110s\n", t->name, model, diag_text(d));
  } else {
    const double estimate[N_METRICS] = {(double)cost.flash, (double)cost.ram, (double)cost.cycles};
    printf("%-16s %-40s", t->name, model);
    for (int i = 0; i < N_METRICS; i++) {
      printf(" %12.0f %+6.1f %%", got[i], 100 * (estimate[i] / got[i] - 1));
      put(w, model, t->name, i, estimate[i], got[i], i < 2 ? "linker" : how);
      add_error(e, i, estimate[i] / got[i] - 1, model);
    }
    printf("\n");
    e->n++;
  }
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

static void print_errors(const Errors *errors) {
  printf("\n%-16s %7s", "target", "models");
  for (int i = 0; i < N_METRICS; i++) printf("  %6s mean, worst %%", metrics[i]);
  printf("\n");
  for (int t = 0; t < n_targets; t++) {
    const Errors *e = &errors[t];
    if (!e->n) continue;
    printf("%-16s %7d", targets[t].name, e->n);
    for (int i = 0; i < N_METRICS; i++) printf("  %10.1f %+10.1f", 100 * e->sum[i] / e->n, 100 * e->worst[i]);
    printf("\n");
  }
}

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

int main(int argc, char **argv) {
  static Models models;
  char *base = bench_temp_dir("estimates");
  Errors *errors = mem_zalloc((size_t)n_targets * sizeof *errors);
  StrBuf text = {0};
  JsonWriter w;
  Diag *d = diag_new();
  setvbuf(stdout, NULL, _IOLBF, 0);
  find_models(&models);
  begin(&w, &text);
  printf("%-16s %-40s %12s %8s %12s %8s %12s %8s\n", "target", "model", "flash", "est.", "RAM", "est.",
         "cycles", "est.");
  for (int i = 0; i < models.n; i++) {
    const char *model = base_name(models.path[i]);
    Graph *g = prepared(models.path[i], d);
    if (!g) diag_print(d, stderr);
    for (int t = 0; g && t < n_targets; t++)
      if (wanted(argc, argv, targets[t].name, model)) run_case(g, model, &targets[t], base, &errors[t], &w);
    graph_free(g);
  }
  print_errors(errors);
  json_end(&w);
  json_end(&w);
  bool ok = argc > 1 || file_write("bench/results/estimates.json", sb_str(&text), text.len, d);
  if (!ok) diag_print(d, stderr);
  file_remove_tree(base);
  free(base);
  diag_free(d);
  sb_free(&text);
  mem_free(errors);
  return ok ? 0 : 1;
}
