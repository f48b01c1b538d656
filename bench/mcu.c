/* Microcontrollers: MLPerf Tiny's int8 models as generated C on every Cortex-M target, compiled and run under QEMU here
 * and now; beside them TensorFlow Lite Micro's figures and our aims.
 *
 *   bench/mcu [layers] [target or model]...      all, or those named; without names writes bench/results/mcu.json
 *
 * `layers` prints each layer's calls, instructions and weighted cycles too, by its number in model.c.
 *
 * Instructions: SysTick under -icount; weighted: documented cycles of each instruction's class by a plugin of QEMU's
 * (backend/harness/weight_plugin.c). Neither knows wait states nor dual issue. Code: by the linker, constants left out;
 * they are reported apart. Stack: painted, net of the test's own. Outputs must be the bytes of TensorFlow Lite Micro's
 * reference on every golden input (../shared/data/golden_tflite), or the run fails. Models: ../shared/data/models/tflite.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend/backend.h"
#include "bench/support.h"
#include "frontend/tflite/tflite.h"
#include "ir/base/file.h"
#include "ir/base/strbuf.h"

enum { N_MODELS = 4, MAX_INPUTS = 4 };

typedef struct Figures {
  double arena, rows, code, stack; /* rows: the arena where the input comes row by row */
} Figures;

typedef struct Model {
  const char *name, *file;
  Figures aim; /* arena, code, stack: of every target */
} Model;

static const Model models[N_MODELS] = {
    {"IC", "resnet8_int8", {20480, 16384, 16384, 512}},
    {"KWS", "kws_dscnn_int8", {6144, 5632, 12288, 512}},
    {"VWW", "vww_96_int8", {34816, 13312, 16384, 512}},
    {"AD", "ad01_int8", {1024, 768, 4096, 256}},
};

/* Millions of instructions: TensorFlow Lite Micro (CMSIS-NN; on the M0 its reference kernels), our aims. */
static const struct {
  const char *target;
  double peer[N_MODELS], aim[N_MODELS];
  double peer_arena[N_MODELS];
} references[] = {
    {"cortex-m4", {29.86, 7.70, 24.10, 0.583}, {15.8, 4.0, 9.5, 0.33}, {54996, 22820, 100708, 2580}},
    {"cortex-m7", {0}, {15.8, 4.0, 9.5, 0.33}, {0}},
    {"cortex-m33", {0}, {0}, {0}},
    {"cortex-m55", {4.91, 1.81, 6.56, 0.150}, {2.6, 1.0, 3.0, 0.07}, {55028, 27348, 100772, 9268}},
    {"cortex-m3", {41.8, 10.5, 32.0, 0.956}, {25, 6.3, 18, 0.55}, {0}},
    {"cortex-m0", {169, 72.0, 164, 3.41}, {50, 12.5, 36, 1.0}, {0}},
};
enum { N_TARGETS = (int)(sizeof references / sizeof *references) };

static Diag *diag;
static bool by_layer;

static void must(bool ok) {
  if (ok) return;
  diag_print(diag, stderr);
  exit(1);
}

static const char *shared(char *path, size_t n, const char *fmt, const char *a, const char *b, int k) {
  size_t at = (size_t)snprintf(path, n, "%s/data/", bench_shared());
  snprintf(path + at, n - at, fmt, a, b, k);
  return path;
}

/* -- golden inputs -- */

static bool golden(const char *model, const char *what, int k, Tensor *out) {
  char path[600];
  Diag *quiet = diag_new();
  bool ok = npy_read(shared(path, sizeof path, "golden_tflite/%s/%s_%d.npy", model, what, k), out, quiet);
  diag_free(quiet);
  return ok;
}

/* Byte-equal outputs; returns the number of inputs. */
static int check_golden(const Model *m, const Target *t, const char *dir, const Graph *g) {
  Tensor in[MAX_INPUTS], got[MAX_INPUTS], want;
  int n = 0;
  while (n < MAX_INPUTS && golden(m->file, "in", n, &in[n])) n++;
  if (n == 0) return 0;
  must(harness_run(dir, t, g, in, n, got, diag));
  for (int k = 0; k < n; k++) {
    if (!golden(m->file, "out", k, &want) || tensor_bytes(&want) != tensor_bytes(&got[k]) ||
        memcmp(want.data, got[k].data, tensor_bytes(&want)) != 0) {
      fprintf(stderr, "mcu: %s on %s: output %d is not the reference's\n", m->name, t->name, k);
      exit(1);
    }
    tensor_free(&want);
    tensor_free(&got[k]);
    tensor_free(&in[k]);
  }
  return n;
}

/* -- results -- */

static void put(StrBuf *out, const Model *m, const char *target, const char *metric, const char *unit,
                double value, double peer, double aim, const char *how) {
  if (out->len) sb_puts(out, ",\n");
  sb_printf(
      out,
      "  {\"case\": \"%s %s\", \"metric\": \"%s\", \"value\": %.0f, \"unit\": \"%s\", \"better\": \"lower\"",
      m->name, target, metric, value, unit);
  if (peer > 0) sb_printf(out, ", \"peer\": \"TensorFlow Lite Micro\", \"peer_value\": %.0f", peer);
  if (aim > 0) sb_printf(out, ", \"aim\": %.0f", aim);
  sb_printf(out, ", \"how\": \"%s\"}", how);
}

static void line(const Model *m, const char *target, const Measured *r, int64_t rows, int inputs, int ref,
                 int i) {
  double aim = references[ref].aim[i] * 1e6, peer = references[ref].peer[i] * 1e6;
  printf("%-11s %-4s %10lld %10lld", target, m->name, (long long)r->instructions, (long long)r->cycles);
  if (peer > 0)
    printf(" %10.0f", peer);
  else
    printf(" %10s", "-");
  if (aim > 0)
    printf(" %10.0f %s", aim, (double)r->instructions <= aim ? "met " : "over");
  else
    printf(" %10s     ", "-");
  printf(" %7lld %6.0f %7lld %6.0f %7lld %6.0f %7lld %5lld %4.0f  %d\n", (long long)r->ram_arena,
         m->aim.arena, (long long)rows, m->aim.rows, (long long)r->flash_code, m->aim.code,
         (long long)r->flash_weights, (long long)r->stack, m->aim.stack, inputs);
}

/* The arena where the input comes row by row (NAME_push_rows), as built and verified; a model whose input has no rows: as
 * it is. */
static int64_t arena_by_rows(const Graph *g, const Target *t, const char *name, const char *base,
                             int64_t whole) {
  const PlanOptions plan = target_plan_within(t, 0, true);
  Measured r;
  char dir[700];
  if (plan_input_rows(&graph_val(g, g->inputs[0])->shape) == 0) return whole;
  snprintf(dir, sizeof dir, "%s/%s-%s-rows", base, name, t->name);
  const EmitOptions o = {.name = name, .out_dir = dir, .optimize = OPT_SPEED, .plan = &plan};
  must(emit_c(g, t, &o, diag) && harness_verify(dir, t, NULL, &r, diag));
  return r.ram_arena;
}

static void print_layers(const char *dir, const Target *t) {
  Arena *a = arena_new();
  Profile p;
  must(harness_profile(dir, t, NULL, a, &p, diag));
  for (int i = 0; p.layers && i < p.n_layers; i++)
    printf("%11s %4d %10lld %10lld   %lld calls\n", "layer", i, (long long)p.layers[i].instructions,
           (long long)p.layers[i].cycles, (long long)p.layers[i].calls);
  arena_free(a);
}

static void run_case(const Model *m, int i, int ref, const char *base, StrBuf *out) {
  const char *name = references[ref].target;
  const Target *t = target_find(name);
  char path[600], dir[700];
  Measured r;
  Graph *g = tflite_import(shared(path, sizeof path, "models/tflite/%s.tflite", m->file, "", 0), diag);
  must(g != NULL);
  snprintf(dir, sizeof dir, "%s/%s-%s", base, m->file, name);
  const EmitOptions o = {.name = m->file, .out_dir = dir, .optimize = OPT_SPEED};
  must(emit_c(g, t, &o, diag) && harness_verify(dir, t, NULL, &r, diag));
  int inputs = check_golden(m, t, dir, g);
  int64_t rows = arena_by_rows(g, t, m->file, base, r.ram_arena);
  line(m, name, &r, rows, inputs, ref, i);
  if (by_layer) print_layers(dir, t);
  put(out, m, name, "instructions", "instructions", (double)r.instructions, references[ref].peer[i] * 1e6,
      references[ref].aim[i] * 1e6, r.counted_by);
  put(out, m, name, "weighted", "cycles", (double)r.cycles, 0, 0, r.weighed_by);
  put(out, m, name, "arena", "bytes", (double)r.ram_arena, references[ref].peer_arena[i], m->aim.arena,
      "memory plan");
  put(out, m, name, "arena, input by rows", "bytes", (double)rows, 0, m->aim.rows, "memory plan");
  put(out, m, name, "code", "bytes", (double)r.flash_code, 0, m->aim.code, "linker, constants excluded");
  put(out, m, name, "constants", "bytes", (double)r.flash_weights, 0, 0, "linker");
  put(out, m, name, "stack", "bytes", (double)r.stack, 0, m->aim.stack,
      "painted, below the caller of NAME_run");
  put(out, m, name, "golden inputs", "byte-equal", inputs, 0, 0, "golden_tflite");
  graph_free(g);
}

static void write_results(const StrBuf *rows) {
  StrBuf b = {0};
  char date[40], compiler[200], qemu[200], commit[80], cpu[200];
  time_t now = time(NULL);
  strftime(date, sizeof date, "%Y-%m-%d", gmtime(&now));
  first_line("arm-none-eabi-gcc --version", compiler, sizeof compiler);
  first_line("qemu-system-arm --version", qemu, sizeof qemu);
  first_line("git rev-parse --short HEAD", commit, sizeof commit);
  first_line("uname -m", cpu, sizeof cpu);
  sb_printf(&b,
            "{\"benchmark\": \"mcu\", \"machine\": \"%s, %s\", \"date\": \"%s\", \"compiler\": \"%s\", "
            "\"commit\": \"%s\",\n",
            cpu, qemu, date, compiler, commit);
  sb_printf(&b, " \"results\": [\n%s\n]}\n", sb_str(rows));
  must(file_write("bench/results/mcu.json", sb_str(&b), b.len, diag));
  sb_free(&b);
}

static bool wanted(int argc, char **argv, const char *target, const Model *m) {
  bool found = argc < 2;
  for (int i = 1; i < argc; i++) found |= strcmp(argv[i], target) == 0 || strcmp(argv[i], m->name) == 0;
  return found;
}

int main(int argc, char **argv) {
  char *base = bench_temp_dir();
  StrBuf rows = {0};
  diag = diag_new();
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (argc > 1 && strcmp(argv[1], "layers") == 0) {
    by_layer = true;
    argv++;
    argc--;
  }
  printf("%-11s %-4s %10s %10s %10s %10s      %7s %6s %7s %6s %7s %6s %7s %5s %4s  %s\n", "target", "net",
         "instr.", "weighted", "TFLM", "aim", "arena", "aim", "by rows", "aim", "code", "aim", "consts",
         "stack", "aim", "golden inputs equal");
  for (int t = 0; t < N_TARGETS; t++)
    for (int i = 0; i < N_MODELS; i++)
      if (wanted(argc, argv, references[t].target, &models[i])) run_case(&models[i], i, t, base, &rows);
  if (argc < 2) write_results(&rows);
  file_remove_tree(base);
  free(base);
  sb_free(&rows);
  diag_free(diag);
  return 0;
}
