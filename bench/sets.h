/* Kernel sets of one family beside one another: MLPerf Tiny's models, int8 and float32, as generated C compiled and run here
 * and now. A bench/NAME.c says which sets, targets and peer, and calls sets_main: a table, and bench/results/NAME.json.
 *
 * Instructions of one inference. Outputs of int8 models must be the bytes of TensorFlow Lite Micro's reference on every
 * golden input (../shared/data/golden_tflite), those of float models lie within a part of the range of ONNX Runtime's
 * (../shared/data/golden_onnx), or the run fails.
 */
#ifndef BENCH_SETS_H
#define BENCH_SETS_H

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend/backend.h"
#include "bench/support.h"
#include "frontend/onnx/onnx.h"
#include "frontend/tflite/tflite.h"
#include "ir/base/file.h"
#include "ir/base/strbuf.h"
#include "passes/pass.h"

enum { MAX_INPUTS = 4, N_WAYS = 3, N_MODELS = 8 };

typedef struct Model {
  const char *name, *file;
  bool quantized;
} Model;

static const Model models[N_MODELS] = {
    {"IC", "mlperf_ic_resnet8", false},
    {"KWS", "mlperf_kws_dscnn", false},
    {"VWW", "mlperf_vww_mobilenetv1", false},
    {"AD", "mlperf_ad_autoencoder", false},
    {"IC", "resnet8_int8", true},
    {"KWS", "kws_dscnn_int8", true},
    {"VWW", "vww_96_int8", true},
    {"AD", "ad01_int8", true},
};

typedef struct Bench {
  const char *name, *compiler, *machine; /* the last two: commands that print them */
  const char *peer;                      /* whose instructions stand beside */
  double peers[N_MODELS];                /* 0: not known */
  struct {
    const char *name, *target;
    bool generic; /* no other kernels */
    double limit; /* of a float output's difference, parts of the range */
  } ways[N_WAYS];
} Bench;

static const Bench *bench;

/* As mistify compile prepares a model. */
static const char *const prepare = "fold,layout,fold,dce,bnfuse,fuse,fold";

static Diag *diag;

static void must(bool ok) {
  if (ok) return;
  diag_print(diag, stderr);
  exit(1);
}

static const char *shared(char *path, size_t n, const char *rest) {
  snprintf(path, n, "%s/data/%s", bench_shared(), rest);
  return path;
}

static Graph *load(const Model *m) {
  char rest[200], path[600];
  PassCtx ctx = {.params = ""};
  snprintf(rest, sizeof rest, m->quantized ? "models/tflite/%s.tflite" : "models/onnx/%s.onnx", m->file);
  shared(path, sizeof path, rest);
  Graph *g = m->quantized ? tflite_import(path, diag) : onnx_import(path, diag);
  must(g != NULL);
  Graph *prepared = pipeline_run(g, prepare, &ctx, NULL, diag);
  must(prepared != NULL);
  graph_free(g);
  return prepared;
}

/* -- golden outputs -- */

static bool golden(const Model *m, bool is_input, int k, Tensor *out) {
  char rest[200], path[600];
  if (m->quantized)
    snprintf(rest, sizeof rest, "golden_tflite/%s/%s_%d.npy", m->file, is_input ? "in" : "out", k);
  else
    snprintf(rest, sizeof rest, "golden_onnx/%s/%s_%d.npy", m->file, is_input ? "input" : "output", k);
  Diag *quiet = diag_new();
  bool ok = npy_read(shared(path, sizeof path, rest), out, quiet);
  diag_free(quiet);
  return ok;
}

/* Largest difference as a part of the range of `want`. */
static double difference(const Tensor *got, const Tensor *want) {
  const float *g = got->data, *w = want->data;
  size_t n = tensor_bytes(want) / sizeof *w;
  double lo = INFINITY, hi = -INFINITY, worst = 0;
  for (size_t i = 0; i < n; i++) {
    lo = fmin(lo, w[i]);
    hi = fmax(hi, w[i]);
    worst = fmax(worst, isnan(g[i]) ? INFINITY : fabs((double)g[i] - w[i]));
  }
  return hi > lo ? worst / (hi - lo) : worst;
}

/* The largest difference over all golden inputs, of which there are *n; exits where it is too large. */
static double check_golden(const Model *m, const Target *t, const char *dir, const Graph *g, double limit,
                           int *n) {
  Tensor in[MAX_INPUTS], got[MAX_INPUTS], want;
  double worst = 0;
  for (*n = 0; *n < MAX_INPUTS && golden(m, true, *n, &in[*n]);) ++*n;
  if (*n == 0) return 0;
  must(harness_run(dir, t, g, in, *n, got, diag));
  for (int k = 0; k < *n; k++) {
    bool read = golden(m, false, k, &want) && tensor_bytes(&want) == tensor_bytes(&got[k]);
    bool equal = read && memcmp(want.data, got[k].data, tensor_bytes(&want)) == 0;
    double d = !read ? INFINITY : equal ? 0 : m->quantized ? INFINITY : difference(&got[k], &want);
    if (d > limit) {
      fprintf(stderr, "%s: %s on %s: output %d is not the reference's (%g of the range)\n", bench->name,
              m->file, t->name, k, d);
      exit(1);
    }
    worst = fmax(worst, d);
    tensor_free(&want);
    tensor_free(&got[k]);
    tensor_free(&in[k]);
  }
  return worst;
}

/* -- one model -- */

static void put(StrBuf *out, const Model *m, int way, const char *metric, const char *unit, double value,
                double peer, const char *how) {
  if (out->len) sb_puts(out, ",\n");
  sb_printf(out,
            "  {\"case\": \"%s %s %s\", \"metric\": \"%s\", \"value\": %.6g, \"unit\": \"%s\", \"better\": "
            "\"lower\"",
            m->name, m->quantized ? "int8" : "float32", bench->ways[way].name, metric, value, unit);
  if (peer > 0) sb_printf(out, ", \"peer\": \"%s\", \"peer_value\": %.0f", bench->peer, peer);
  sb_printf(out, ", \"how\": \"%s\"}", how);
}

static void run_way(const Model *m, const Graph *g, int way, const char *base, StrBuf *out) {
  static const char *const only_generic[] = {"generic", NULL};
  Target t = *target_find(bench->ways[way].target);
  char dir[700], how[60];
  Measured r;
  int inputs;
  if (bench->ways[way].generic) t.sets = only_generic;
  snprintf(dir, sizeof dir, "%s/%s-%d", base, m->file, way);
  const EmitOptions o = {.name = m->file, .out_dir = dir, .optimize = OPT_SPEED};
  must(emit_c(g, &t, &o, diag) && harness_verify(dir, &t, NULL, &r, diag));
  double worst = check_golden(m, &t, dir, g, bench->ways[way].limit, &inputs);
  printf(" %11lld %7lld", (long long)r.instructions, (long long)r.flash_code);
  put(out, m, way, "instructions", "instructions", (double)r.instructions, bench->peers[m - models],
      r.counted_by);
  put(out, m, way, "code", "bytes", (double)r.flash_code, 0, "linker, constants excluded");
  snprintf(how, sizeof how, "golden_onnx, at most %g", bench->ways[way].limit);
  put(out, m, way, "golden difference", "of the range", worst, 0,
      m->quantized ? "golden_tflite, bytes equal" : how);
  if (way == N_WAYS - 1) printf(" %9d %.1e\n", inputs, worst);
}

static void run_model(const Model *m, const char *base, StrBuf *out) {
  Graph *g = load(m);
  printf("%-4s %-8s", m->name, m->quantized ? "int8" : "float32");
  if (bench->peers[m - models] > 0)
    printf(" %11.0f", bench->peers[m - models]);
  else
    printf(" %11s", "-");
  for (int way = 0; way < N_WAYS; way++) run_way(m, g, way, base, out);
  graph_free(g);
}

static void write_results(const StrBuf *rows) {
  StrBuf b = {0};
  char date[40], compiler[200], machine[200], commit[80], path[80];
  time_t now = time(NULL);
  strftime(date, sizeof date, "%Y-%m-%d", gmtime(&now));
  first_line(bench->compiler, compiler, sizeof compiler);
  first_line(bench->machine, machine, sizeof machine);
  first_line("git rev-parse --short HEAD", commit, sizeof commit);
  sb_printf(&b,
            "{\"benchmark\": \"%s\", \"machine\": \"%s\", \"date\": \"%s\", \"compiler\": \"%s\", "
            "\"commit\": \"%s\",\n",
            bench->name, machine, date, compiler, commit);
  sb_printf(&b, " \"results\": [\n%s\n]}\n", sb_str(rows));
  snprintf(path, sizeof path, "bench/results/%s.json", bench->name);
  must(file_write(path, sb_str(&b), b.len, diag));
  sb_free(&b);
}

/* All models and a result file, or those of one name. */
static int sets_main(const Bench *b, const char *only) {
  char *base = bench_temp_dir();
  StrBuf rows = {0};
  bench = b;
  diag = diag_new();
  setvbuf(stdout, NULL, _IOLBF, 0);
  printf("%-13s %11.11s", "instructions", b->peer);
  for (int way = 0; way < N_WAYS; way++) printf(" %11.11s %7s", b->ways[way].name, "code");
  printf(" %9s %s\n", "inputs", "difference");
  for (int i = 0; i < N_MODELS; i++)
    if (!only || strcmp(only, models[i].name) == 0) run_model(&models[i], base, &rows);
  if (!only) write_results(&rows);
  file_remove_tree(base);
  free(base);
  sb_free(&rows);
  diag_free(diag);
  return 0;
}

#endif
