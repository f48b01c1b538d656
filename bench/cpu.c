/* PCs: float and int8 models as generated C for x86-64 with AVX2, compiled and run here and now; beside them the best
 * peers' figures and our aims.
 *
 *   bench/cpu [model]...      all, or those named; writes bench/results/cpu.json
 *
 * Time: the least of many runs of one inference, one thread, microseconds. Instructions: callgrind's count. Outputs must
 * be the bytes of TensorFlow Lite Micro's (../shared/data/golden_tflite), floats within 1e-4 of the range of ONNX Runtime's
 * (golden_onnx), or the run fails; models quantized in ONNX round otherwise and are not compared here. The peers' times
 * were taken on another machine of this kind (../shared/TARGETS.md): they are not of this run.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend/backend.h"
#include "frontend/onnx/onnx.h"
#include "frontend/tflite/tflite.h"
#include "ir/base/file.h"
#include "ir/base/strbuf.h"

enum { MAX_INPUTS = 4 };

typedef struct Model {
  const char *name, *kind, *file; /* kind: onnx, tflite */
  double onnx_runtime, best, aim; /* microseconds; 0: not known */
  double onnx_instructions;       /* millions */
  const char *best_peer;
} Model;

static const Model models[] = {
    {"IC float", "onnx", "mlperf_ic_resnet8", 347, 244, 225, 3.32, "ncnn"},
    {"KWS float", "onnx", "mlperf_kws_dscnn", 85, 76, 68, 0.99, "XNNPACK"},
    {"VWW float", "onnx", "mlperf_vww_mobilenetv1", 309, 229, 205, 3.60, "XNNPACK"},
    {"AD float", "onnx", "mlperf_ad_autoencoder", 27.5, 17.4, 15, 0.144, "onnx2c"},
    {"wake word float", "onnx", "mlperf_sww_1dcnn_bn", 27.3, 24.9, 22, 0.264, "XNNPACK"},
    {"ResNet-20 float", "onnx", "resnet20_cifar10_bn", 1054, 651, 590, 10.1, "ncnn"},
    {"ResNet-56 float", "onnx", "resnet56_cifar10_bn", 3284, 3087, 2000, 29.3, "XNNPACK"},
    {"slim-320 float", "onnx", "version-slim-320_simplified", 6583, 0, 0, 0, ""},
    {"IC int8", "tflite", "resnet8_int8", 249, 249, 190, 3.11, "ONNX Runtime"},
    {"KWS int8", "tflite", "kws_dscnn_int8", 90.5, 90.5, 62, 1.15, "ONNX Runtime"},
    {"VWW int8", "tflite", "vww_96_int8", 395, 311, 200, 5.02, "XNNPACK"},
    {"AD int8", "tflite", "ad01_int8", 15.3, 8.0, 6.5, 0.144, "XNNPACK"},
    {"IC int8 QDQ", "onnx", "kaijiang_ic_int8_qdq", 0, 0, 0, 0, ""},
    {"KWS int8 QDQ", "onnx", "kaijiang_kws_int8_qdq", 0, 0, 0, 0, ""},
};
enum { N_MODELS = (int)(sizeof models / sizeof *models) };

static const char target_name[] = "x86-64-v3";
static Diag *diag;

static void must(bool ok) {
  if (ok) return;
  diag_print(diag, stderr);
  exit(1);
}

static const char *shared(char *path, size_t n, const char *folder, const Model *m, const char *rest) {
  const char *root = getenv("MISTIFY_SHARED");
  snprintf(path, n, "%s/data/%s%s/%s%s", root && *root ? root : "../shared", folder, m->kind, m->file, rest);
  return path;
}

/* -- golden outputs -- */

static bool golden(const Model *m, bool input, int k, Tensor *out) {
  char path[600], rest[60];
  bool tflite = strcmp(m->kind, "tflite") == 0;
  snprintf(rest, sizeof rest, "/%s_%d.npy", input ? tflite ? "in" : "input" : tflite ? "out" : "output", k);
  Diag *quiet = diag_new();
  bool ok = npy_read(shared(path, sizeof path, "golden_", m, rest), out, quiet);
  diag_free(quiet);
  return ok;
}

static bool close_enough(const Tensor *got, const Tensor *want) {
  if (got->dtype != want->dtype || tensor_bytes(got) != tensor_bytes(want)) return false;
  if (got->dtype != DT_F32) return memcmp(got->data, want->data, tensor_bytes(got)) == 0;
  const float *a = got->data, *b = want->data;
  float least = b[0], most = b[0];
  int64_t n = shape_count(&want->shape);
  for (int64_t i = 0; i < n; i++) {
    least = fminf(least, b[i]);
    most = fmaxf(most, b[i]);
  }
  for (int64_t i = 0; i < n; i++)
    if (!(fabsf(a[i] - b[i]) <= 1e-4f * (most - least))) return false;
  return true;
}

/* Returns the number of inputs compared. */
static int check_golden(const Model *m, const Target *t, const char *dir, const Graph *g) {
  Tensor in[MAX_INPUTS], got[MAX_INPUTS * 4], want;
  int n = 0;
  if (g->n_inputs != 1 || strstr(m->file, "_qdq")) return 0;
  while (n < MAX_INPUTS && golden(m, true, n, &in[n])) n++;
  if (n == 0 || g->n_outputs != 1) return 0;
  must(harness_run(dir, t, g, in, n, got, diag));
  for (int k = 0; k < n; k++) {
    if (!golden(m, false, k, &want) || !close_enough(&got[k], &want)) {
      fprintf(stderr, "cpu: %s: output %d is not the reference's\n", m->name, k);
      exit(1);
    }
    tensor_free(&want);
    tensor_free(&got[k]);
    tensor_free(&in[k]);
  }
  return n;
}

/* -- time -- */

static const char timer[] = "#include \"model.h\"\n"
                            "#include <stdio.h>\n"
                            "#include <time.h>\n"
                            "static union { unsigned char bytes[NET_ARENA_SIZE]; double align[8]; } memory;\n"
                            "static double now(void) {\n"
                            "  struct timespec t;\n"
                            "  clock_gettime(CLOCK_MONOTONIC, &t);\n"
                            "  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;\n"
                            "}\n"
                            "int main(void) {\n"
                            "  net_context c;\n"
                            "  double best = 1e30, begin = now(), a, b = 0;\n"
                            "  if (net_init(&c, memory.bytes, sizeof memory.bytes)) return 1;\n"
                            "  while (b - begin < 3e5) {\n"
                            "    a = now();\n"
                            "    net_run(&c);\n"
                            "    b = now();\n"
                            "    if (b - a < best) best = b - a;\n"
                            "  }\n"
                            "  printf(\"%.3f\\n\", best);\n"
                            "  return 0;\n"
                            "}\n";

/* First line of a command's output. */
static void first_line(const char *command, char *out, int n) {
  FILE *f = popen(command, "r");
  if (!f || !fgets(out, n, f)) out[0] = 0;
  out[strcspn(out, "\n")] = 0;
  if (f) pclose(f);
}

static double microseconds(const Target *t, const char *dir) {
  char command[2000], out[100];
  snprintf(command, sizeof command, "%s/time.c", dir);
  must(file_write(command, timer, strlen(timer), diag));
  snprintf(command, sizeof command, "cd %s && %s %s -std=gnu11 -o time time.c model.c -lm && ./time", dir,
           t->cc, t->cflags);
  first_line(command, out, sizeof out);
  return atof(out);
}

/* -- results -- */

static void put(StrBuf *out, const Model *m, const char *metric, const char *unit, double value, double peer,
                const char *peer_name, double aim, const char *how) {
  if (out->len) sb_puts(out, ",\n");
  sb_printf(out, "  {\"case\": \"%s\", \"metric\": \"%s\", \"value\": %.6g, \"unit\": \"%s\"", m->name,
            metric, value, unit);
  if (peer > 0)
    sb_printf(out, ", \"better\": \"lower\", \"peer\": \"%s\", \"peer_value\": %.6g", peer_name, peer);
  if (aim > 0) sb_printf(out, ", \"aim\": %.6g", aim);
  sb_printf(out, ", \"how\": \"%s\"}", how);
}

/* The command itself, with all that it does to a model before it writes C. */
static void compile(const char *model, const char *dir) {
  char command[1500];
  snprintf(command, sizeof command,
           "build/release/mistify compile --quiet %s --target %s --name net -o %s >/dev/null", model,
           target_name, dir);
  if (system(command) == 0) return;
  fprintf(stderr, "cpu: failed: %s\n", command);
  exit(1);
}

static void cell(double v, const char *fmt) {
  if (v > 0)
    printf(fmt, v);
  else
    printf(" %9s", "-");
}

static void run_case(const Model *m, const char *base, StrBuf *out) {
  const Target *t = target_find(target_name);
  bool tflite = strcmp(m->kind, "tflite") == 0;
  char path[600], dir[700];
  Measured r;
  shared(path, sizeof path, "models/", m, tflite ? ".tflite" : ".onnx");
  Graph *g = tflite ? tflite_import(path, diag) : onnx_import(path, diag);
  must(g != NULL);
  snprintf(dir, sizeof dir, "%s/%s", base, m->file);
  compile(path, dir);
  must(harness_verify(dir, t, NULL, &r, diag));
  int inputs = check_golden(m, t, dir, g);
  double us = microseconds(t, dir);
  printf("%-16s", m->name);
  cell(us, " %9.1f");
  cell(m->onnx_runtime, " %9.1f");
  cell(m->best, " %9.1f");
  cell(m->aim, " %9.1f");
  cell((double)r.instructions / 1e6, " %9.3f");
  cell(m->onnx_instructions, " %9.3f");
  printf(" %9lld  %d\n", (long long)r.ram_arena, inputs);
  put(out, m, "time", "microseconds", us, m->best, m->best_peer, m->aim,
      "least of 0.3 s of runs, one thread");
  put(out, m, "instructions", "instructions", (double)r.instructions, m->onnx_instructions * 1e6,
      "ONNX Runtime", 0, r.counted_by);
  put(out, m, "arena", "bytes", (double)r.ram_arena, 0, "", 0, "memory plan");
  put(out, m, "golden inputs", tflite ? "byte-equal" : "within 1e-4 of the range", inputs, 0, "", 0,
      tflite ? "golden_tflite" : "golden_onnx");
  graph_free(g);
}

static void write_results(const StrBuf *rows) {
  StrBuf b = {0};
  char date[40], compiler[200], commit[80], cpu[200];
  time_t now = time(NULL);
  strftime(date, sizeof date, "%Y-%m-%d", gmtime(&now));
  first_line("gcc --version", compiler, sizeof compiler);
  first_line("git rev-parse --short HEAD", commit, sizeof commit);
  first_line("grep -m1 'model name' /proc/cpuinfo | cut -d: -f2 | sed 's/^ *//'", cpu, sizeof cpu);
  sb_printf(&b,
            "{\"benchmark\": \"cpu\", \"machine\": \"%s\", \"date\": \"%s\", \"compiler\": \"%s\", "
            "\"commit\": \"%s\", \"note\": \"peers' figures are not of this run\",\n",
            cpu, date, compiler, commit);
  sb_printf(&b, " \"results\": [\n%s\n]}\n", sb_str(rows));
  must(file_write("bench/results/cpu.json", sb_str(&b), b.len, diag));
  sb_free(&b);
}

static bool wanted(int argc, char **argv, const Model *m) {
  bool found = argc < 2;
  for (int i = 1; i < argc; i++) found |= strcmp(argv[i], m->name) == 0;
  return found;
}

int main(int argc, char **argv) {
  char base[] = "/tmp/mistify-cpu-XXXXXX";
  StrBuf rows = {0};
  diag = diag_new();
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (!mkdtemp(base)) return 1;
  printf("%-16s %9s %9s %9s %9s %9s %9s %9s  %s\n", "model", "us", "ORT", "best", "aim", "M instr.", "ORT",
         "arena", "golden inputs");
  for (int i = 0; i < N_MODELS; i++)
    if (wanted(argc, argv, &models[i])) run_case(&models[i], base, &rows);
  if (argc < 2) write_results(&rows);
  file_remove_tree(base);
  sb_free(&rows);
  diag_free(diag);
  return 0;
}
