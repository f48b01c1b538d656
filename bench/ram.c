/* Working memory of every model, by level of the memory plan, against lower bounds, aims and a peer.
 *
 *   make bench-ram             a table, and bench/results/ram.json; models from ../shared/data/models (or $MISTIFY_SHARED)
 *
 * Bytes of the arena for generic kernels: input, output and scratch included. "rows in": the input given row by row.
 * The lower bound is that of the best level, for the order and the cut into chains that the planner chose. The peer is
 * TensorFlow Lite Micro's arena on a Cortex-M4.
 *
 * Then RAM against instructions from the patch knob, for three models on a Cortex-M4 with its own kernels: the limit is
 * lowered as long as a plan in bands of columns meets it; instructions of an inference counted under QEMU.
 */
#define _XOPEN_SOURCE 700

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "backend/backend.h"
#include "bench/support.h"
#include "frontend/onnx/onnx.h"
#include "frontend/tflite/tflite.h"
#include "ir/base/file.h"
#include "ir/base/json.h"
#include "ir/base/strbuf.h"
#include "passes/pass.h"

enum { MAX_MODELS = 100, MAX_BYTES = 40 << 20 };

static const struct {
  const char *model;
  int64_t aim, aim_rows, peer; /* 0: none */
} known[] = {{"resnet8_int8.tflite", 20480, 16384, 54996},
             {"kws_dscnn_int8.tflite", 6144, 5632, 22820},
             {"vww_96_int8.tflite", 34816, 13312, 100708},
             {"ad01_int8.tflite", 1024, 768, 2580}};

typedef struct Row {
  char name[128];
  int64_t whole, overlap, stream, least, bound, rows; /* bytes; 0: not so */
} Row;

static int64_t arena(const Graph *g, PlanOptions o, int64_t *bound) {
  Calls calls;
  MemoryPlan p;
  Arena *a = arena_new();
  Diag *d = diag_new();
  calls_init(&calls);
  bool ok = graph_lower(g, &calls, d) && plan_memory(g, &calls, &o, a, &p, d);
  int64_t bytes = ok ? p.arena : 0;
  if (ok && bound) *bound = p.lower_bound;
  calls_free(&calls);
  arena_free(a);
  diag_free(d);
  return bytes;
}

/* The model as it is deployed, batch 1. NULL: it cannot be. */
static Graph *prepared(const char *path, Diag *d) {
  const char *dot = strrchr(path, '.');
  Graph *g = strcmp(dot, ".tflite") == 0 ? tflite_import(path, d) : onnx_import(path, d);
  if (!g) return NULL;
  const PassCtx ctx = {.params = ""};
  Graph *p = pipeline_run(g, "fold,layout,fold,dce,bnfuse,fuse,fold", &ctx, NULL, d);
  graph_free(g);
  bool bound = true;
  for (uint32_t i = 0; p && i < p->n_inputs; i++)
    bound &= shape_is_static(&graph_val(p, p->inputs[i])->shape);
  if (!p || bound) return p;
  Graph *one = graph_with_batch(p, 1, d);
  graph_free(p);
  return one;
}

static bool measure(const char *dir, const char *name, Row *r) {
  StrBuf path = {0};
  struct stat st;
  Diag *d = diag_new();
  sb_printf(&path, "%s/%s", dir, name);
  bool small = stat(sb_str(&path), &st) == 0 && st.st_size < MAX_BYTES;
  Graph *g = small ? prepared(sb_str(&path), d) : NULL;
  if (g) {
    snprintf(r->name, sizeof r->name, "%s", name);
    r->whole = arena(g, (PlanOptions){.level = PLAN_WHOLE}, NULL);
    r->overlap = arena(g, (PlanOptions){.level = PLAN_OVERLAP}, NULL);
    r->stream = arena(g, (PlanOptions){.level = PLAN_STREAM}, NULL);
    r->least = arena(g, (PlanOptions){.level = PLAN_LEAST}, &r->bound);
    r->rows = arena(g, (PlanOptions){.input_rows = true}, NULL);
  }
  bool ok = g && r->least > 0;
  graph_free(g);
  diag_free(d);
  sb_free(&path);
  return ok;
}

/* -- the patch knob -- */

static const char *const curves[] = {"tflite/resnet8_int8.tflite", "tflite/resnet8_float.tflite",
                                     "onnx/zoo_mnist_8.onnx"};

static int64_t instructions_of(const Graph *g, const Target *t, const PlanOptions *o) {
  char *dir = bench_temp_dir();
  Diag *d = diag_new();
  Measured m = {.instructions = -1};
  const EmitOptions e = {.name = "model", .out_dir = dir, .plan = o};
  if (!emit_c(g, t, &e, d) || !harness_verify(dir, t, NULL, &m, d) || m.vectors_passed != m.vectors)
    fprintf(stderr, "bench-ram: %s\n", diag_text(d));
  file_remove_tree(dir);
  free(dir);
  diag_free(d);
  return m.instructions;
}

static void knob_result(JsonWriter *w, const char *name, const Cost *c, const char *metric, int64_t value) {
  char text[200];
  snprintf(text, sizeof text, "%s, patches, %lld bytes", name, (long long)c->ram);
  json_object(w);
  json_kstr(w, "case", text);
  json_kstr(w, "metric", metric);
  json_kint(w, "value", value);
  json_kstr(w, "unit", strcmp(metric, "MACs") == 0 ? "MACs" : "instructions");
  json_kstr(w, "better", "lower");
  json_kstr(w, "how", "cortex-m4, its own kernels; self-test passed under QEMU");
  json_end(w);
}

static void curve(JsonWriter *w, const char *dir, const char *name) {
  enum { POINTS = 8 };
  const Target *t = target_find("cortex-m4");
  StrBuf path = {0};
  Diag *d = diag_new();
  const char *missing;
  Cost c;
  sb_printf(&path, "%s/%s", dir, name);
  Graph *g = prepared(sb_str(&path), d);
  PlanOptions o = target_plan(t);
  for (int i = 0; g && i < POINTS && backend_cost_planned(g, t, &o, &c, d); i++) {
    int64_t n = harness_available(t, &missing) ? instructions_of(g, t, &o) : -1;
    printf("%-42s %10lld bytes %12lld MACs %12lld instructions\n", name, (long long)c.ram, (long long)c.macs,
           (long long)n);
    knob_result(w, name, &c, "MACs", c.macs);
    if (n > 0) knob_result(w, name, &c, "instructions", n);
    const int64_t limit = c.ram * 98 / 100;
    o = target_plan_within(t, limit, false);
    if (!backend_cost_planned(g, t, &o, &c, d) || c.ram > limit) break;
  }
  graph_free(g);
  diag_free(d);
  sb_free(&path);
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const Row *)a)->name, ((const Row *)b)->name);
}

static int measure_all(const char *dir, Row *rows, int n) {
  DIR *h = opendir(dir);
  const int first = n;
  for (struct dirent *e; h && (e = readdir(h)) && n < MAX_MODELS;) {
    const char *dot = strrchr(e->d_name, '.');
    if (dot && (strcmp(dot, ".tflite") == 0 || strcmp(dot, ".onnx") == 0))
      n += measure(dir, e->d_name, &rows[n]);
  }
  if (h) closedir(h);
  qsort(rows + first, (size_t)(n - first), sizeof *rows, by_name);
  return n;
}

static void result(JsonWriter *w, const Row *r, const char *metric, int64_t value, int64_t aim,
                   int64_t peer) {
  json_object(w);
  json_kstr(w, "case", r->name);
  json_kstr(w, "metric", metric);
  json_kint(w, "value", value);
  json_kstr(w, "unit", "bytes");
  json_kstr(w, "better", "lower");
  if (peer) {
    json_kstr(w, "peer", "TensorFlow Lite Micro, Cortex-M4");
    json_kint(w, "peer_value", peer);
  }
  if (aim) json_kint(w, "aim", aim);
  json_kstr(w, "how", "the memory plan's arena, generic kernels");
  json_end(w);
}

static void report(JsonWriter *w, const Row *r) {
  int64_t aim = 0, aim_rows = 0, peer = 0;
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (strcmp(known[i].model, r->name) == 0)
      aim = known[i].aim, aim_rows = known[i].aim_rows, peer = known[i].peer;
  printf("%-42s %10lld %10lld %10lld %10lld %10lld", r->name, (long long)r->whole, (long long)r->overlap,
         (long long)r->stream, (long long)r->least, (long long)r->bound);
  printf(r->rows ? " %10lld" : "          -", (long long)r->rows);
  if (aim) printf("   aims %lld, %lld; TFLM %lld", (long long)aim, (long long)aim_rows, (long long)peer);
  printf("\n");
  result(w, r, "arena", r->least, aim, peer);
  result(w, r, "lower bound", r->bound, 0, 0);
  result(w, r, "arena, whole tensors", r->whole, 0, 0);
  if (r->rows) result(w, r, "arena, input by rows", r->rows, aim_rows, peer);
}

static bool save(JsonWriter *w, StrBuf *text) {
  json_end(w);
  json_end(w);
  FILE *f = fopen("bench/results/ram.json", "w");
  bool ok = f && fputs(sb_str(text), f) >= 0 && fputc('\n', f) >= 0;
  if (f && fclose(f) != 0) ok = false;
  return ok;
}

int main(void) {
  static Row rows[MAX_MODELS];
  char dir[600], date[32];
  int n = 0;
  time_t now = time(NULL);
  snprintf(dir, sizeof dir, "%s/data/models/tflite", bench_shared());
  n = measure_all(dir, rows, n);
  snprintf(dir, sizeof dir, "%s/data/models/onnx", bench_shared());
  n = measure_all(dir, rows, n);
  StrBuf text = {0};
  JsonWriter w;
  strftime(date, sizeof date, "%Y-%m-%d", gmtime(&now));
  json_begin(&w, &text, true);
  json_object(&w);
  json_kstr(&w, "date", date);
  json_karray(&w, "results");
  printf("%-42s %10s %10s %10s %10s %10s %10s\n", "bytes", "whole", "overlap", "rows", "least", "bound",
         "rows in");
  for (int i = 0; i < n; i++) report(&w, &rows[i]);
  snprintf(dir, sizeof dir, "%s/data/models", bench_shared());
  for (size_t i = 0; i < sizeof curves / sizeof *curves; i++) curve(&w, dir, curves[i]);
  bool ok = save(&w, &text) && n > 0;
  sb_free(&text);
  if (!ok) fprintf(stderr, "bench-ram: no models, or bench/results/ram.json cannot be written\n");
  return ok ? 0 : 1;
}
