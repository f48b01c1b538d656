/* Time and memory of importing a large ONNX model, made here: 200 MB of weights, in the model file and beside it.
 *
 *   make bench-import          a table, and bench/results/import.json
 *
 * The model is a stack of Conv (weights to be brought to our order), MatMul ([K,O], to be transposed) and Gemm (as they
 * are). A measurement is a process of its own, this program called with a file: import until the graph is there,
 * then the peak of its resident memory, mapped pages of the file included. Nothing has read the weights by then.
 */
#define _XOPEN_SOURCE 700

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "bench/support.h"
#include "frontend/onnx/onnx.h"
#include "frontend/onnx/writer.h"
#include "ir/base/json.h"
#include "ir/base/rng.h"

enum { CONVS = 6, MATRICES = 19, CHANNELS = 512, WIDTH = 1408, ROUNDS = 9 };

/* -- the model -- */

typedef struct Maker {
  FILE *model, *weights; /* weights: NULL where they are in the model */
  int64_t offset;
  StrBuf graph; /* without weights */
  bool ok;
} Maker;

/* Fill `bytes` bytes of f with numbers that do not compress. */
static bool write_numbers(FILE *f, int64_t bytes) {
  static float block[1 << 14];
  static Rng r;
  if (block[0] == 0) {
    rng_seed(&r, 5, 0);
    for (size_t i = 0; i < sizeof block / sizeof *block; i++) block[i] = rng_normal(&r) * 0.02f;
  }
  for (; bytes > 0; bytes -= (int64_t)sizeof block) {
    size_t n = bytes < (int64_t)sizeof block ? (size_t)bytes : sizeof block;
    if (fwrite(block, 1, n, f) != n) return false;
  }
  return true;
}

static void write_varint(StrBuf *b, uint64_t v) {
  for (; v > 127; v >>= 7) sb_putc(b, (char)(v | 128));
  sb_putc(b, (char)v);
}

static void add_pair(StrBuf *tensor, const char *key, const char *value) {
  StrBuf e = {0};
  pb_str(&e, 1, key);
  pb_str(&e, 2, value);
  pb_message(tensor, 13, &e);
}

/* An initializer: a field of the GraphProto, its raw data written straight to the file. */
static void add_weights(Maker *k, const char *name, const int64_t *dims, int rank, int64_t *graph_bytes,
                        bool write) {
  StrBuf t = {0}, head = {0};
  char text[32];
  int64_t bytes = 4;
  for (int i = 0; i < rank; i++) {
    pb_int(&t, 1, dims[i]);
    bytes *= dims[i];
  }
  pb_int(&t, 2, 1);
  pb_str(&t, 8, name);
  if (k->weights) {
    add_pair(&t, "location", "weights.bin");
    snprintf(text, sizeof text, "%012lld", (long long)k->offset); /* all of one length */
    add_pair(&t, "offset", text);
    pb_int(&t, 14, 1);
  } else {
    write_varint(&t, 9 << 3 | 2);
    write_varint(&t, (uint64_t)bytes);
  }
  write_varint(&head, 5 << 3 | 2);
  write_varint(&head, t.len + (k->weights ? 0 : (uint64_t)bytes));
  *graph_bytes += (int64_t)(head.len + t.len) + (k->weights ? 0 : bytes);
  if (write) {
    k->ok = k->ok && fwrite(head.s, 1, head.len, k->model) == head.len &&
            fwrite(t.s, 1, t.len, k->model) == t.len &&
            write_numbers(k->weights ? k->weights : k->model, bytes);
    k->offset += bytes;
  }
  sb_free(&t);
  sb_free(&head);
}

static void add_node(Maker *k, const char *op, const char *x, const char *w, const char *y, bool trans) {
  StrBuf n = {0};
  pb_str(&n, 1, x);
  if (*w) pb_str(&n, 1, w);
  pb_str(&n, 2, y);
  pb_str(&n, 4, op);
  if (trans) {
    StrBuf a = {0};
    pb_str(&a, 1, "transB");
    pb_int(&a, 3, 1);
    pb_int(&a, 20, 2);
    pb_message(&n, 5, &a);
  }
  pb_message(&k->graph, 1, &n);
}

static void add_value(Maker *k, uint32_t id, const char *name, const int64_t *dims, int rank) {
  StrBuf info = {0}, type = {0}, tensor = {0}, shape = {0};
  for (int i = 0; i < rank; i++) {
    StrBuf d = {0};
    pb_int(&d, 1, dims[i]);
    pb_message(&shape, 1, &d);
  }
  pb_int(&tensor, 1, 1);
  pb_message(&tensor, 2, &shape);
  pb_message(&type, 1, &tensor);
  pb_str(&info, 1, name);
  pb_message(&info, 2, &type);
  pb_message(&k->graph, id, &info);
}

/* All weights; write: into the file, otherwise only counted into graph_bytes. */
static void all_weights(Maker *k, int64_t *graph_bytes, bool write) {
  const int64_t conv[4] = {CHANNELS, CHANNELS, 3, 3}, wide[2] = {CHANNELS, WIDTH}, square[2] = {WIDTH, WIDTH};
  char name[16];
  for (int i = 0; i < CONVS; i++) {
    snprintf(name, sizeof name, "c%d", i);
    add_weights(k, name, conv, 4, graph_bytes, write);
  }
  for (int i = 0; i < MATRICES; i++) {
    snprintf(name, sizeof name, "m%d", i);
    add_weights(k, name, i ? square : wide, 2, graph_bytes, write);
  }
}

static void all_nodes(Maker *k) {
  char w[16], x[16] = "x", y[16];
  const int64_t in[4] = {1, CHANNELS, 64, 64}, out[2] = {1, WIDTH};
  for (int i = 0; i < CONVS; i++, strcpy(x, y)) {
    snprintf(w, sizeof w, "c%d", i);
    snprintf(y, sizeof y, "x%d", i);
    add_node(k, "Conv", x, w, y, false);
  }
  add_node(k, "GlobalAveragePool", x, "", "p", false);
  add_node(k, "Flatten", "p", "", "f", false);
  strcpy(x, "f");
  for (int i = 0; i < MATRICES; i++, strcpy(x, y)) {
    snprintf(w, sizeof w, "m%d", i);
    snprintf(y, sizeof y, i == MATRICES - 1 ? "y" : "h%d", i);
    add_node(k, i % 2 ? "Gemm" : "MatMul", x, w, y, i % 2);
  }
  add_value(k, 11, "x", in, 4);
  add_value(k, 12, "y", out, 2);
}

/* dir/model.onnx, and dir/weights.bin where asked for. Returns the bytes of both; 0: not written. */
static int64_t make_model(const char *dir, bool beside) {
  char path[2][600];
  snprintf(path[0], sizeof path[0], "%s/model.onnx", dir);
  snprintf(path[1], sizeof path[1], "%s/weights.bin", dir);
  Maker k = {.model = fopen(path[0], "wb"), .weights = beside ? fopen(path[1], "wb") : NULL, .ok = true};
  if (!k.model || (beside && !k.weights)) return 0;
  StrBuf head = {0}, opset = {0};
  all_nodes(&k);
  int64_t bytes = (int64_t)k.graph.len;
  all_weights(&k, &bytes, false);
  pb_int(&head, 1, 8);
  pb_int(&opset, 2, 17);
  pb_message(&head, 8, &opset);
  write_varint(&head, 7 << 3 | 2);
  write_varint(&head, (uint64_t)bytes);
  k.ok = k.ok && fwrite(head.s, 1, head.len, k.model) == head.len &&
         fwrite(k.graph.s, 1, k.graph.len, k.model) == k.graph.len;
  int64_t written = 0;
  if (k.ok) all_weights(&k, &written, true);
  int64_t total = (int64_t)ftell(k.model) + (beside ? k.offset : 0);
  k.ok = fclose(k.model) == 0 && (!beside || fclose(k.weights) == 0) && k.ok;
  sb_free(&head);
  sb_free(&k.graph);
  return k.ok ? total : 0;
}

/* -- measuring -- */

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The other role of this program: import, print seconds and kilobytes. */
static int measure(const char *path) {
  Diag *d = diag_new();
  double start = now();
  Graph *g = onnx_import(path, d);
  double time = now() - start;
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  diag_print(d, stderr);
  printf("%.6f %ld %lld\n", time, u.ru_maxrss, g ? (long long)graph_params(g) : 0LL);
  bool ok = g != NULL;
  graph_free(g);
  diag_free(d);
  return ok ? 0 : 1;
}

typedef struct Result {
  double time[ROUNDS], memory[ROUNDS]; /* s, MB */
  long long params;
} Result;

static bool run_once(const char *self, const char *path, Result *r, int round) {
  char cmd[1600];
  long kilobytes;
  snprintf(cmd, sizeof cmd, "'%s' '%s'", self, path);
  FILE *p = popen(cmd, "r");
  bool ok = p && fscanf(p, "%lf %ld %lld", &r->time[round], &kilobytes, &r->params) == 3;
  if (p) ok = pclose(p) == 0 && ok;
  r->memory[round] = ok ? (double)kilobytes / 1024 : 0;
  return ok;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static void print_metric(JsonWriter *w, const char *name, const char *metric, double *v, const char *unit,
                         double aim, const char *how) {
  char text[200];
  qsort(v, ROUNDS, sizeof *v, by_value);
  printf("%-34s %-16s %10.4g %10.4g %-3s  aim: below %g\n", name, metric, v[0], v[ROUNDS / 2], unit, aim);
  snprintf(text, sizeof text, "%s; least of %d processes (median %.4g, most %.4g)", how, ROUNDS,
           v[ROUNDS / 2], v[ROUNDS - 1]);
  json_object(w);
  json_kstr(w, "case", name);
  json_kstr(w, "metric", metric);
  json_knum(w, "value", v[0]);
  json_kstr(w, "unit", unit);
  json_kstr(w, "better", "lower");
  json_knum(w, "aim", aim);
  json_kstr(w, "how", text);
  json_end(w);
}

static bool bench(const char *self, const char *dir, bool beside, JsonWriter *w) {
  char path[700], name[100];
  Result r = {.params = 0};
  int64_t bytes = make_model(dir, beside);
  if (bytes == 0) return false;
  snprintf(path, sizeof path, "%s/model.onnx", dir);
  snprintf(name, sizeof name, "%.0f MB of weights %s", (double)bytes / 1e6,
           beside ? "beside the model" : "in the model");
  for (int i = 0; i < ROUNDS; i++)
    if (!run_once(self, path, &r, i)) return false;
  print_metric(w, name, "time to the graph", r.time, "s", 0.1, "onnx_import, file in the page cache");
  print_metric(w, name, "resident memory", r.memory, "MB", 40,
               "ru_maxrss after onnx_import, pages of the file included");
  return true;
}

int main(int argc, char **argv) {
  if (argc > 1) return measure(argv[1]);
  char *dir = bench_temp_dir();
  StrBuf out = {0};
  JsonWriter w;
  json_begin(&w, &out, true);
  json_object(&w);
  bench_head(&w, "import");
  json_karray(&w, "results");
  printf("%-34s %-16s %10s %10s\n", "", "", "least", "median");
  bool ok = bench(argv[0], dir, false, &w) && bench(argv[0], dir, true, &w);
  json_end(&w);
  json_end(&w);
  if (!file_remove_tree(dir)) ok = false;
  free(dir);
  FILE *f = ok ? fopen("bench/results/import.json", "w") : NULL;
  if (!f || fputs(sb_str(&out), f) < 0 || fclose(f) != 0) {
    fprintf(stderr, "bench-import: not measured, or bench/results/import.json cannot be written\n");
    return 1;
  }
  sb_free(&out);
  return 0;
}
