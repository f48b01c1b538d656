/* PCs: float and int8 models as generated C for x86-64 with AVX2, compiled and run here and now, in turns with ONNX
 * Runtime; beside them the best figures of other peers and our aims.
 *
 *   make bench-cpu                      all models, and bench/results/cpu.json
 *   build/release/bench/cpu "IC int8"   those named
 *
 * Time of one inference, one thread, microseconds: least and median of many, taken in rounds: some of ours, some of ONNX
 * Runtime's, and so on. ONNX Runtime is onnxruntime-node, called from node (cpu_onnxruntime.js); what the call itself takes
 * is measured by an identity model of the same input in the same rounds, printed, and taken off. npm puts it into a folder
 * of the user's cache, outside the tree; where there is none the column is empty. int8 models of TensorFlow Lite, and those
 * that are made int8 here (mistify opt, quantize), it gets as mistify export writes them, in QDQ form. Instructions:
 * callgrind's count, where it is installed.
 * Outputs must be the bytes of TensorFlow Lite Micro's (../shared/data/golden_tflite), floats within 1e-4 of the range of
 * ONNX Runtime's (golden_onnx; 1e-3 where a layer is computed by Winograd's method), or the run fails; models quantized in
 * ONNX round otherwise and are not compared here. Best of other peers and ONNX Runtime's instructions:
 * ../shared/TARGETS.md, from another machine, without AVX-512.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "backend/backend.h"
#include "bench/support.h"
#include "frontend/onnx/onnx.h"
#include "frontend/tflite/tflite.h"
#include "ir/base/file.h"
#include "ir/base/strbuf.h"

enum { MAX_INPUTS = 4, MAX_OUTPUTS = 2, ROUNDS = 40, MAX_TIMES = 200000 };

typedef struct Model {
  const char *name, *kind, *file; /* kind: onnx, tflite, or quantized: onnx, made int8 here */
  double best, aim;               /* microseconds; 0: not known */
  double onnx_instructions;       /* millions */
  const char *best_peer;
} Model;

static const Model models[] = {
    {"IC float", "onnx", "mlperf_ic_resnet8", 244, 225, 3.32, "ncnn"},
    {"KWS float", "onnx", "mlperf_kws_dscnn", 76, 68, 0.99, "XNNPACK"},
    {"VWW float", "onnx", "mlperf_vww_mobilenetv1", 229, 205, 3.60, "XNNPACK"},
    {"AD float", "onnx", "mlperf_ad_autoencoder", 17.4, 15, 0.144, "onnx2c"},
    {"wake word float", "onnx", "mlperf_sww_1dcnn_bn", 24.9, 22, 0.264, "XNNPACK"},
    {"ResNet-20 float", "onnx", "resnet20_cifar10_bn", 651, 590, 10.1, "ncnn"},
    {"ResNet-56 float", "onnx", "resnet56_cifar10_bn", 3087, 2000, 29.3, "XNNPACK"},
    {"slim-320 float", "onnx", "version-slim-320_simplified", 6583, 0, 0, "ONNX Runtime"},
    {"IC int8", "tflite", "resnet8_int8", 249, 190, 3.11, "ONNX Runtime"},
    {"KWS int8", "tflite", "kws_dscnn_int8", 90.5, 62, 1.15, "ONNX Runtime"},
    {"VWW int8", "tflite", "vww_96_int8", 311, 200, 5.02, "XNNPACK"},
    {"AD int8", "tflite", "ad01_int8", 8.0, 6.5, 0.144, "XNNPACK"},
    {"ResNet-20 int8", "quantized", "resnet20_cifar10_bn", 612, 500, 8.11, "ncnn"},
    {"ResNet-56 int8", "quantized", "resnet56_cifar10_bn", 1892, 1500, 23.4, "ONNX Runtime"},
    {"IC int8 QDQ", "onnx", "kaijiang_ic_int8_qdq", 0, 0, 0, ""},
    {"KWS int8 QDQ", "onnx", "kaijiang_kws_int8_qdq", 0, 0, 0, ""},
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
  snprintf(path, n, "%s/data/%s%s/%s%s", bench_shared(), folder, m->kind, m->file, rest);
  return path;
}

/* -- golden outputs -- */

/* Output (or input) j of case k. */
static bool golden(const Model *m, bool input, int k, int j, int n, Tensor *out) {
  char path[600], rest[60], last[20] = "";
  bool tflite = strcmp(m->kind, "tflite") == 0;
  if (n > 1) snprintf(last, sizeof last, "_%d", j);
  snprintf(rest, sizeof rest, "/%s_%d%s.npy",
           input    ? tflite ? "in" : "input"
           : tflite ? "out"
                    : "output",
           k, last);
  Diag *quiet = diag_new();
  bool ok = npy_read(shared(path, sizeof path, "golden_", m, rest), out, quiet);
  diag_free(quiet);
  return ok;
}

/* The largest difference by the range; 1 where integers differ at all. */
static double difference(const Tensor *got, const Tensor *want) {
  if (got->dtype != want->dtype || tensor_bytes(got) != tensor_bytes(want)) return 1;
  if (got->dtype != DT_F32) return memcmp(got->data, want->data, tensor_bytes(got)) != 0;
  const float *a = got->data, *b = want->data;
  float least = b[0], most = b[0];
  double worst = 0;
  int64_t n = shape_count(&want->shape);
  for (int64_t i = 0; i < n; i++) {
    least = fminf(least, b[i]);
    most = fmaxf(most, b[i]);
  }
  for (int64_t i = 0; i < n; i++)
    if (!(fabsf(a[i] - b[i]) <= worst * (most - least))) worst = fabsf(a[i] - b[i]) / (most - least);
  return worst;
}

static bool uses_winograd(const char *dir) {
  char command[800];
  snprintf(command, sizeof command, "grep -q 'conv_f32__[a-z0-9]*_winograd(' %s/model.c", dir);
  return system(command) == 0;
}

typedef struct Golden {
  int inputs; /* compared */
  double worst, limit;
} Golden;

static Golden check_golden(const Model *m, const Target *t, const char *dir, const Graph *g) {
  Tensor in[MAX_INPUTS], got[MAX_INPUTS * MAX_OUTPUTS], want;
  Golden r = {0, 0, uses_winograd(dir) ? 1e-3 : 1e-4};
  int n = 0, outs = (int)g->n_outputs;
  if (g->n_inputs != 1 || outs > MAX_OUTPUTS || strstr(m->file, "_qdq")) return r;
  while (n < MAX_INPUTS && golden(m, true, n, 0, 1, &in[n])) n++;
  if (n == 0) return r;
  must(harness_run(dir, t, g, in, n, got, diag));
  for (int k = 0; k < n * outs; k++) {
    double d = golden(m, false, k / outs, k % outs, outs, &want) ? difference(&got[k], &want) : 1;
    if (!(d <= r.limit)) {
      fprintf(stderr, "cpu: %s: output %d is not the reference's: off by %g of the range\n", m->name, k, d);
      exit(1);
    }
    r.worst = fmax(r.worst, d);
    tensor_free(&want);
    tensor_free(&got[k]);
  }
  for (int k = 0; k < n; k++) tensor_free(&in[k]);
  r.inputs = n;
  return r;
}

/* -- time -- */

/* As cpu_onnxruntime.js: "run N" is answered by N times. The input is written anew before each. */
static const char timer[] =
    "#include \"model.h\"\n"
    "#include <stdio.h>\n"
    "#include <string.h>\n"
    "#include <time.h>\n"
    "static union { unsigned char bytes[NET_ARENA_SIZE]; double align[8]; } memory;\n"
    "static NET_INPUT0_TYPE input[NET_INPUT0_COUNT];\n"
    "static double took[1 << 20];\n"
    "static double now(void) {\n"
    "  struct timespec t;\n"
    "  clock_gettime(CLOCK_MONOTONIC, &t);\n"
    "  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;\n"
    "}\n"
    "int main(void) {\n"
    "  net_context c;\n"
    "  int i, n;\n"
    "  if (net_init(&c, memory.bytes, sizeof memory.bytes)) return 1;\n"
    "  for (i = 0; i < NET_INPUT0_COUNT; i++)\n"
    "    input[i] = (NET_INPUT0_TYPE)(i * 7919LL % 1000 / (sizeof *input == 1 ? 10 : 1000.0));\n"
    "  while (scanf(\" run %d\", &n) == 1) {\n"
    "    for (i = 0; i < n; i++) {\n"
    "      double begin;\n"
    "      memcpy(net_input(&c, 0), input, NET_INPUT0_BYTES);\n"
    "      begin = now();\n"
    "      net_run(&c);\n"
    "      took[i] = now() - begin;\n"
    "    }\n"
    "    for (i = 0; i < n; i++) printf(\"%.3f \", took[i]);\n"
    "    puts(\"\");\n"
    "    fflush(stdout);\n"
    "  }\n"
    "  return 0;\n"
    "}\n";

/* A program that answers commands line by line. */
typedef struct Server {
  FILE *to, *from;
  pid_t pid;
} Server;

static Server server_start(const char *file, const char *argument, const char *second) {
  int to[2], from[2];
  if (pipe(to) || pipe(from)) exit(3);
  Server s = {.pid = fork()};
  if (s.pid == 0) {
    dup2(to[0], 0);
    dup2(from[1], 1);
    close(to[1]);
    close(from[0]);
    execlp(file, file, argument, second, (char *)NULL);
    _exit(127);
  }
  close(to[0]);
  close(from[1]);
  s.to = fdopen(to[1], "w");
  s.from = fdopen(from[0], "r");
  return s;
}

static void server_end(Server *s) {
  if (!s->to) return;
  fclose(s->to);
  fclose(s->from);
  waitpid(s->pid, NULL, 0);
  s->to = NULL;
}

static void server_say(Server *s, const char *command) {
  fprintf(s->to, "%s\n", command);
  fflush(s->to);
}

typedef struct Times {
  double *v;
  int n, batch; /* batch: inferences in a round */
} Times;

static void times_take(Server *s, const char *command, int n, Times *t) {
  char line[60];
  snprintf(line, sizeof line, "%s %d", command, n);
  server_say(s, line);
  for (int i = 0; i < n; i++) {
    double v;
    if (fscanf(s->from, "%lf", &v) != 1) {
      fprintf(stderr, "cpu: no times from a program that was to be measured\n");
      exit(1);
    }
    if (t->n < MAX_TIMES) t->v[t->n++] = v;
  }
}

static int by_size(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

typedef struct Taken {
  double least, median;
} Taken;

static Taken taken(Times *t) {
  qsort(t->v, (size_t)t->n, sizeof *t->v, by_size);
  return t->n ? (Taken){t->v[0], t->v[t->n / 2]} : (Taken){0, 0};
}

/* As many inferences as 8 ms hold. */
static void warm_up(Server *s, const char *command, Times *t) {
  times_take(s, command, 20, t);
  double least = taken(t).least;
  t->batch = least > 8000 ? 1 : (int)(8000 / (least + 0.01));
  t->batch = t->batch > MAX_TIMES / ROUNDS ? MAX_TIMES / ROUNDS : t->batch;
  t->n = 0;
}

typedef struct Race {
  Taken ours, theirs, call; /* theirs: 0 where there is no ONNX Runtime */
} Race;

static Race race(Server *ours, Server *theirs) {
  static double room[3][MAX_TIMES];
  Times t[3] = {{.v = room[0]}, {.v = room[1]}, {.v = room[2]}};
  warm_up(ours, "run", &t[0]);
  if (theirs->to) {
    warm_up(theirs, "run", &t[1]);
    warm_up(theirs, "call", &t[2]);
  }
  for (int r = 0; r < ROUNDS; r++) {
    times_take(ours, "run", t[0].batch, &t[0]);
    if (!theirs->to) continue;
    times_take(theirs, "run", t[1].batch, &t[1]);
    times_take(theirs, "call", t[2].batch / 2 + 1, &t[2]);
  }
  Race result = {taken(&t[0]), taken(&t[1]), taken(&t[2])};
  result.theirs.least -= result.call.least;
  result.theirs.median -= result.call.median;
  return result;
}

static Server start_ours(const Target *t, const char *dir) {
  char command[2000];
  snprintf(command, sizeof command, "%s/time.c", dir);
  must(file_write(command, timer, strlen(timer), diag));
  snprintf(command, sizeof command, "cd %s && %s %s -std=gnu11 -o time time.c model.c -lm", dir, t->cc,
           t->cflags);
  if (system(command) != 0) exit(1);
  snprintf(command, sizeof command, "%s/time", dir);
  return server_start(command, NULL, NULL);
}

/* -- ONNX Runtime -- */

typedef struct Peer {
  Server server;
  char version[40], program[200]; /* "" where there is none */
} Peer;

/* Installed once, in the user's cache. */
static void peer_start(Peer *p) {
  static const char setup[] =
      "f=${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}}; f=${f:-/tmp}/mistify/onnxruntime-node; "
      "[ -d $f/node_modules/onnxruntime-node ] || { command -v npm && mkdir -p $f && cd $f && "
      "npm install --silent --ignore-scripts --no-audit --no-fund --prefix $f onnxruntime-node; } >/dev/null "
      "2>&1; "
      "command -v node >/dev/null && [ -d $f/node_modules/onnxruntime-node ] && echo $f";
  char folder[600];
  first_line(setup, folder, sizeof folder);
  *p = (Peer){0};
  if (*folder)
    p->server = server_start("node", "bench/cpu_onnxruntime.js", folder);
  else
    printf("ONNX Runtime: skipped, neither installed nor to be had by npm\n");
}

/* False: it could not. */
static bool peer_load(Peer *p, const char *model) {
  char command[900], answer[400];
  if (!p->server.to) return false;
  snprintf(command, sizeof command, "load %s", model);
  server_say(&p->server, command);
  if (fscanf(p->server.from, " %399[^\n]", answer) != 1) {
    printf("ONNX Runtime: skipped, onnxruntime-node does not start\n");
    server_end(&p->server);
    return false;
  }
  if (strncmp(answer, "ok ", 3) == 0)
    snprintf(p->version, sizeof p->version, "%.30s", answer + 3);
  else
    printf("ONNX Runtime: %s: %s\n", model, answer);
  return strncmp(answer, "ok ", 3) == 0;
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

static void run_or_die(const char *command) {
  if (system(command) == 0) return;
  fprintf(stderr, "cpu: failed: %s\n", command);
  exit(1);
}

/* The command itself, with all that it does to a model before it writes C. */
static void compile(const char *model, const char *dir) {
  char command[2000];
  snprintf(command, sizeof command,
           "build/release/mistify compile --quiet %s --target %s --name net -o %s >/dev/null", model,
           target_name, dir);
  run_or_die(command);
}

static void cell(double v, const char *fmt) {
  if (v > 0)
    printf(fmt, v);
  else
    printf(" %8s", "-");
}

/* What mistify export writes keeps TensorFlow Lite's rounding, and is not always what ONNX Runtime puts together. */
static const char exported[] = "; the peer's model as mistify export writes it, not all of which it fuses";

static void put_case(const Model *m, const Measured *r, const Race *t, const Peer *peer, const Golden *gold,
                     StrBuf *out) {
  char name[60], how[300];
  snprintf(name, sizeof name, "ONNX Runtime %s", peer->version);
  snprintf(how, sizeof how, "one thread; in turns with the peer, less %.1f for its call from node%s",
           t->call.least, strcmp(m->kind, "onnx") == 0 ? "" : exported);
  put(out, m, "time", "microseconds", t->ours.least, t->theirs.least, name, m->aim, how);
  snprintf(how, sizeof how, "median; the peer's less %.1f for its call from node", t->call.median);
  put(out, m, "median time", "microseconds", t->ours.median, t->theirs.median, name, 0, how);
  put(out, m, "time beside others", "microseconds", t->ours.least, m->best, m->best_peer, m->aim,
      "the peer's on another machine");
  snprintf(how, sizeof how, "%s%s", r->counted_by ? r->counted_by : "",
           m->onnx_instructions > 0 ? "; the peer's on another machine" : "");
  if (r->instructions > 0)
    put(out, m, "instructions", "instructions", (double)r->instructions, m->onnx_instructions * 1e6,
        "ONNX Runtime", 0, how);
  put(out, m, "arena", "bytes", (double)r->ram_arena, 0, "", 0, "memory plan");
  bool tflite = strcmp(m->kind, "tflite") == 0;
  if (gold->inputs)
    put(out, m, "golden inputs", "", gold->inputs, 0, "", 0,
        tflite ? "byte-equal to golden_tflite" : "golden_onnx");
  if (!tflite && gold->inputs)
    put(out, m, "largest difference", "of the range", gold->worst, 0, "", gold->limit, "golden_onnx");
}

static void print_case(const Model *m, const Measured *r, const Race *t, const Golden *gold) {
  printf("%-16s", m->name);
  cell(t->ours.least, " %8.1f");
  cell(t->theirs.least, " %8.1f");
  cell(m->aim, " %8.1f");
  cell(m->best, " %8.1f");
  cell(t->ours.median, " %8.1f");
  cell(t->theirs.median, " %8.1f");
  cell(t->call.least, " %6.1f");
  cell((double)r->instructions / 1e6, " %8.3f");
  cell(m->onnx_instructions, " %8.3f");
  printf(" %8lld  %d %.1e\n", (long long)r->ram_arena, gold->inputs, gold->worst);
}

/* The model's file, and the one that ONNX Runtime gets. False, and said, where it is not to be had. */
static bool find_model(const Model *m, const char *dir, char *path, char *for_peer, size_t n) {
  char command[2600];
  const bool tflite = strcmp(m->kind, "tflite") == 0, quantized = strcmp(m->kind, "quantized") == 0;
  Model file = *m;
  if (quantized) file.kind = "onnx";
  shared(path, n, "models/", &file, tflite ? ".tflite" : ".onnx");
  snprintf(for_peer, n, "%s", path);
  if (access(path, R_OK) != 0) {
    printf("%-16s skipped: no %s\n", m->name, path);
    return false;
  }
  if (quantized) {
    char made[720];
    snprintf(made, sizeof made, "%s.mistify", dir);
    snprintf(
        command, sizeof command,
        "build/release/mistify opt --quiet %s --passes '%s' --design bench/resnet20-cifar/design.yaml -o %s "
        ">/dev/null 2>&1",
        path, "fold,layout,fold,dce,bnfuse,fuse,fold,quantize{images=64}", made);
    if (system(command) != 0) {
      printf("%-16s skipped: not quantized, there are no pictures to calibrate it\n", m->name);
      return false;
    }
    snprintf(path, n, "%s", made);
  }
  if (tflite || quantized) {
    snprintf(for_peer, n, "%s.onnx", dir);
    snprintf(command, sizeof command, "build/release/mistify export --quiet %s -o %s", path, for_peer);
    run_or_die(command);
  }
  return true;
}

static Golden golden_of(const Model *m, const Target *t, const char *dir, const char *path) {
  Golden none = {0};
  if (strcmp(m->kind, "quantized") == 0) return none;
  Graph *g = strcmp(m->kind, "tflite") == 0 ? tflite_import(path, diag) : onnx_import(path, diag);
  must(g != NULL);
  Golden gold = check_golden(m, t, dir, g);
  graph_free(g);
  return gold;
}

static void run_case(const Model *m, const char *base, Peer *peer, StrBuf *out) {
  const Target *t = target_find(target_name);
  char path[800], dir[700], for_peer[800];
  Measured r;
  snprintf(dir, sizeof dir, "%s/%s%s", base, m->file, strcmp(m->kind, "quantized") == 0 ? "_int8" : "");
  if (!find_model(m, dir, path, for_peer, sizeof path)) return;
  compile(path, dir);
  must(harness_verify(dir, t, NULL, &r, diag));
  Golden gold = golden_of(m, t, dir, path);
  Server ours = start_ours(t, dir), none = {0};
  Race times = race(&ours, peer_load(peer, for_peer) ? &peer->server : &none);
  server_end(&ours);
  print_case(m, &r, &times, &gold);
  put_case(m, &r, &times, peer, &gold, out);
}

static void write_results(const StrBuf *rows, const Peer *peer) {
  StrBuf b = {0};
  char date[40], compiler[200], commit[80], cpu[200], sets[200];
  time_t now = time(NULL);
  strftime(date, sizeof date, "%Y-%m-%d", gmtime(&now));
  first_line("gcc --version", compiler, sizeof compiler);
  first_line("git rev-parse --short HEAD", commit, sizeof commit);
  first_line("grep -m1 'model name' /proc/cpuinfo | cut -d: -f2 | sed 's/^ *//'", cpu, sizeof cpu);
  first_line("grep -m1 flags /proc/cpuinfo | grep -oE '(avx2|fma|avx512f|avx_vnni|avx512_vnni|amx_int8)( "
             "|$)' | tr -d '\\n'",
             sets, sizeof sets);
  sb_printf(&b,
            "{\"benchmark\": \"cpu\", \"machine\": \"%s\", \"date\": \"%s\", \"compiler\": \"%s\", "
            "\"commit\": \"%s\", \"note\": \"ours: AVX2 and FMA; ONNX Runtime %s takes what the machine has: "
            "%s\",\n",
            cpu, date, compiler, commit, *peer->version ? peer->version : "(absent)", sets);
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
  char *base = bench_temp_dir();
  StrBuf rows = {0};
  Peer peer;
  diag = diag_new();
  setvbuf(stdout, NULL, _IOLBF, 0);
  peer_start(&peer);
  printf("%-16s %8s %8s %8s %8s %8s %8s %6s %8s %8s %8s  %s\n", "model", "us", "ORT", "aim", "others",
         "median", "ORT", "call", "M instr.", "ORT", "arena", "golden inputs, worst");
  for (int i = 0; i < N_MODELS; i++)
    if (wanted(argc, argv, &models[i])) run_case(&models[i], base, &peer, &rows);
  if (argc < 2) write_results(&rows, &peer);
  server_end(&peer.server);
  file_remove_tree(base);
  free(base);
  sb_free(&rows);
  diag_free(diag);
  return 0;
}
