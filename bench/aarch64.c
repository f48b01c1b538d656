/* AArch64: MLPerf Tiny's models, int8 and float32, as generated C compiled and run under qemu-user here and now: by the
 * NEON kernels with and without dot product, and by the generic kernels.
 *
 *   make bench-aarch64      a table, and bench/results/aarch64.json
 *   build/release/bench/aarch64 IC      one model
 *
 * Instructions of one inference: a plugin of QEMU's (backend/harness/count_plugin.c). Outputs of int8 models must be the
 * bytes of TensorFlow Lite Micro's reference on every golden input (../shared/data/golden_tflite), those of float models
 * lie within 1e-4 of the range of ONNX Runtime's (../shared/data/golden_onnx), or the run fails. Peer: onnx2c, gcc -O3, its
 * figures from ../shared/TARGETS.md.
 */
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

enum { MAX_INPUTS = 4, N_WAYS = 3 };

typedef struct Model {
  const char *name, *file;
  bool quantized;
  double onnx2c; /* instructions; 0: not known */
} Model;

static const Model models[] = {
    {"IC", "mlperf_ic_resnet8", false, 105.0e6},
    {"KWS", "mlperf_kws_dscnn", false, 7.94e6},
    {"VWW", "mlperf_vww_mobilenetv1", false, 21.3e6},
    {"AD", "mlperf_ad_autoencoder", false, 0.873e6},
    {"IC", "resnet8_int8", true, 0},
    {"KWS", "kws_dscnn_int8", true, 0},
    {"VWW", "vww_96_int8", true, 0},
    {"AD", "ad01_int8", true, 0},
};
enum { N_MODELS = (int)(sizeof models / sizeof *models) };

static const struct {
  const char *name, *target;
  bool generic; /* no other kernels */
} ways[N_WAYS] = {{"generic", "aarch64", true},
                  {"neon", "aarch64", false},
                  {"neon, dot product", "aarch64-dotprod", false}};

/* As mistify compile prepares a model. */
static const char *const prepare = "fold,layout,fold,dce,bnfuse,fuse,fold";

static Diag *diag;

static void must(bool ok) {
  if (ok) return;
  diag_print(diag, stderr);
  exit(1);
}

static const char *shared(char *path, size_t n, const char *rest) {
  const char *root = getenv("MISTIFY_SHARED");
  snprintf(path, n, "%s/data/%s", root && *root ? root : "../shared", rest);
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
static double check_golden(const Model *m, const Target *t, const char *dir, const Graph *g, int *n) {
  Tensor in[MAX_INPUTS], got[MAX_INPUTS], want;
  double worst = 0;
  for (*n = 0; *n < MAX_INPUTS && golden(m, true, *n, &in[*n]);) ++*n;
  if (*n == 0) return 0;
  must(harness_run(dir, t, g, in, *n, got, diag));
  for (int k = 0; k < *n; k++) {
    bool read = golden(m, false, k, &want) && tensor_bytes(&want) == tensor_bytes(&got[k]);
    bool equal = read && memcmp(want.data, got[k].data, tensor_bytes(&want)) == 0;
    double d = !read ? INFINITY : equal ? 0 : m->quantized ? INFINITY : difference(&got[k], &want);
    if (d > 1e-4) {
      fprintf(stderr, "aarch64: %s on %s: output %d is not the reference's (%g of the range)\n", m->file,
              t->name, k, d);
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
            m->name, m->quantized ? "int8" : "float32", ways[way].name, metric, value, unit);
  if (peer > 0) sb_printf(out, ", \"peer\": \"onnx2c, gcc -O3\", \"peer_value\": %.0f", peer);
  sb_printf(out, ", \"how\": \"%s\"}", how);
}

static void run_way(const Model *m, const Graph *g, int way, const char *base, StrBuf *out) {
  static const char *const only_generic[] = {"generic", NULL};
  Target t = *target_find(ways[way].target);
  char dir[700];
  Measured r;
  int inputs;
  if (ways[way].generic) t.sets = only_generic;
  snprintf(dir, sizeof dir, "%s/%s-%d", base, m->file, way);
  const EmitOptions o = {.name = m->file, .out_dir = dir, .optimize = OPT_SPEED};
  must(emit_c(g, &t, &o, diag) && harness_verify(dir, &t, NULL, &r, diag));
  double worst = check_golden(m, &t, dir, g, &inputs);
  printf(" %11lld %7lld", (long long)r.instructions, (long long)r.flash_code);
  put(out, m, way, "instructions", "instructions", (double)r.instructions, m->onnx2c, r.counted_by);
  put(out, m, way, "code", "bytes", (double)r.flash_code, 0, "linker, constants excluded");
  put(out, m, way, "golden difference", "of the range", worst, 0,
      m->quantized ? "golden_tflite, bytes equal" : "golden_onnx, at most 1e-4");
  if (way == N_WAYS - 1) printf(" %9d %.1e\n", inputs, worst);
}

static void run_model(const Model *m, const char *base, StrBuf *out) {
  Graph *g = load(m);
  printf("%-4s %-8s", m->name, m->quantized ? "int8" : "float32");
  if (m->onnx2c > 0)
    printf(" %11.0f", m->onnx2c);
  else
    printf(" %11s", "-");
  for (int way = 0; way < N_WAYS; way++) run_way(m, g, way, base, out);
  graph_free(g);
}

static void write_results(const StrBuf *rows) {
  StrBuf b = {0};
  char date[40], compiler[200], qemu[200], commit[80], cpu[200];
  time_t now = time(NULL);
  strftime(date, sizeof date, "%Y-%m-%d", gmtime(&now));
  first_line("aarch64-linux-gnu-gcc --version", compiler, sizeof compiler);
  first_line("qemu-aarch64 --version", qemu, sizeof qemu);
  first_line("git rev-parse --short HEAD", commit, sizeof commit);
  first_line("uname -m", cpu, sizeof cpu);
  sb_printf(&b,
            "{\"benchmark\": \"aarch64\", \"machine\": \"%s, %s\", \"date\": \"%s\", \"compiler\": \"%s\", "
            "\"commit\": \"%s\",\n",
            cpu, qemu, date, compiler, commit);
  sb_printf(&b, " \"results\": [\n%s\n]}\n", sb_str(rows));
  must(file_write("bench/results/aarch64.json", sb_str(&b), b.len, diag));
  sb_free(&b);
}

int main(int argc, char **argv) {
  char *base = bench_temp_dir("aarch64");
  StrBuf rows = {0};
  diag = diag_new();
  setvbuf(stdout, NULL, _IOLBF, 0);
  printf("%-13s %11s %11s %7s %11s %7s %11s %7s %9s %s\n", "instructions", "onnx2c", "generic", "code",
         "neon", "code", "dotprod", "code", "inputs", "difference");
  for (int i = 0; i < N_MODELS; i++)
    if (argc < 2 || strcmp(argv[1], models[i].name) == 0) run_model(&models[i], base, &rows);
  if (argc < 2) write_results(&rows);
  file_remove_tree(base);
  free(base);
  sb_free(&rows);
  diag_free(diag);
  return 0;
}
