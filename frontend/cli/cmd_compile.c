/* mistify compile: a model as it is, as C for one target: PREPARE_PASSES, then emission. No retraining, no change of
 * precision. The estimate stands against the board's memory; exit status 2 when it does not fit (the C is written).
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "frontend/cli/cli.h"
#include "ir/base/file.h"

typedef struct CompileOpts {
  CommonOpts common;
  const char *model, *target, *board, *name, *out, *rounding, *input, *optimize, *winograd;
  int64_t ram;
  bool force;
} CompileOpts;

static const Opt opts[] = {{"MODEL", OPT_PARAM, offsetof(CompileOpts, model), true, NULL,
                            "model file (.onnx, .tflite, .ir, .mistify)"},
                           {"--target", OPT_STRING, offsetof(CompileOpts, target), false, "T",
                            "target (mistify targets lists them)"},
                           {"--board", OPT_STRING, offsetof(CompileOpts, board), false, "B",
                            "board instead: its target, flash and RAM"},
                           {"-o", OPT_STRING, offsetof(CompileOpts, out), true, "DIR", "folder to write"},
                           {"--name", OPT_STRING, offsetof(CompileOpts, name), false, "N",
                            "prefix of the C functions (default: from the file's name)"},
                           {"--input", OPT_STRING, offsetof(CompileOpts, input), false, "HOW",
                            "whole (default), or rows: given row by row as it comes (NAME_push_rows)"},
                           {"--ram", OPT_INT, offsetof(CompileOpts, ram), false, "BYTES",
                            "plan for fewest kernel calls within so much RAM (default: least RAM)"},
                           {"--force", OPT_FLAG, offsetof(CompileOpts, force), false, NULL,
                            "write into a folder that holds other files"},
                           {"--optimize", OPT_STRING, offsetof(CompileOpts, optimize), false, "HOW",
                            "size, balanced (the default) or speed: kernels of the layers' own shapes"},
                           {"--winograd", OPT_STRING, offsetof(CompileOpts, winograd), false, "HOW",
                            "on (the default): float 3x3 convolutions by Winograd's method where a target's "
                            "kernels have it; off: as sums of products"},
                           ROUNDING_OPT(CompileOpts),
                           {0}};

static bool is_empty_dir(const char *dir) {
  DIR *h = opendir(dir);
  if (!h) return false;
  int n = 0;
  for (struct dirent *e; (e = readdir(h));) n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
  closedir(h);
  return n == 0;
}

/* Emission leaves a model.json that names its target and the content of the graph. */
static bool is_ours(Arena *a, const char *dir) {
  Diag *quiet = diag_new();
  size_t n;
  const char *path = path_join(a, dir, "model.json"),
             *text = file_exists(path) ? file_read(a, path, &n, quiet) : NULL;
  const Json *j = text ? json_parse(a, text, n, path, quiet) : NULL;
  diag_free(quiet);
  return json_get_str(j, "target", NULL) && json_get_str(j, "content", NULL);
}

static bool check_folder(const CompileOpts *o, Diag *d) {
  if (!file_exists(o->out)) return true;
  FAIL_IF(!file_is_dir(o->out), d, NULL, "%s: is a file; want a folder to write into", o->out);
  Arena *a = arena_new();
  bool ok = o->force || is_empty_dir(o->out) || is_ours(a, o->out);
  arena_free(a);
  if (ok) return true;
  diag_error(d, NULL, "%s: holds files that mistify did not write", o->out);
  diag_hint(d, "name another folder, or give --force to write beside them");
  return false;
}

/* What is estimated against what the board has. */
typedef struct Fit {
  Cost cost;
  int64_t flash, ram; /* limits; 0: none */
  bool fits;
} Fit;

static void print_line(Arena *a, const char *what, int64_t have, int64_t limit) {
  printf("  %-6s %12s bytes", what, cli_count(a, have));
  if (limit) printf("  of %s%s", cli_count(a, limit), have > limit ? "  DOES NOT FIT" : "");
  putchar('\n');
}

static void print_text(Arena *a, const CompileOpts *o, const Machine *m, const Fit *f) {
  printf("%s: C for %s%s%s\n", o->out, m->target->name, m->has_board ? " on " : "",
         m->has_board ? m->board.name : "");
  printf("estimated:\n");
  print_line(a, "flash", f->cost.flash, f->flash);
  print_line(a, "RAM", f->cost.ram, f->ram);
  printf("  %-6s %12s of one inference (%s MACs)\n", "cycles", cli_count(a, f->cost.cycles),
         cli_count(a, f->cost.macs));
  if (!o->common.quiet) printf("mistify verify %s builds and runs it\n", o->out);
}

static void print_json(const CompileOpts *o, const Machine *m, const Fit *f) {
  JsonWriter w;
  StrBuf b;
  cli_json_begin(&w, &b);
  json_object(&w);
  json_kstr(&w, "folder", o->out);
  json_kstr(&w, "target", m->target->name);
  json_kstr(&w, "board", m->has_board ? m->board.name : NULL);
  json_kint(&w, "flash", f->cost.flash);
  json_kint(&w, "flash_weights", f->cost.flash_weights);
  json_kint(&w, "ram", f->cost.ram);
  json_kint(&w, "cycles", f->cost.cycles);
  json_kint(&w, "macs", f->cost.macs);
  json_kint(&w, "params", f->cost.params);
  if (f->flash) json_kint(&w, "flash_limit", f->flash);
  if (f->ram) json_kint(&w, "ram_limit", f->ram);
  json_kbool(&w, "fits", f->fits);
  json_end(&w);
  cli_json_end(&w, &b);
}

static bool by_rows(const CompileOpts *o) { return o->input && strcmp(o->input, "rows") == 0; }

static bool check_input(const CompileOpts *o, Diag *d) {
  FAIL_IF(o->input && !by_rows(o) && strcmp(o->input, "whole") != 0, d, NULL,
          "--input %s: want whole or rows", o->input);
  return true;
}

static bool read_optimize(const char *s, Optimize *out, Diag *d) {
  static const char *const names[] = {
      [OPT_BALANCED] = "balanced", [OPT_SPEED] = "speed", [OPT_SIZE] = "size"};
  for (int i = 0; s && i < 3; i++)
    if (strcmp(s, names[i]) == 0) {
      *out = (Optimize)i;
      return true;
    }
  FAIL_IF(s, d, NULL, "--optimize %s: want size, balanced or speed", s);
  return true;
}

static bool read_winograd(const char *s, Target *t, Diag *d) {
  FAIL_IF(s && strcmp(s, "on") != 0 && strcmp(s, "off") != 0, d, NULL, "--winograd %s: want on or off", s);
  if (s && strcmp(s, "off") == 0) t->without = "_winograd";
  return true;
}

static bool emit(Arena *a, const CompileOpts *o, const Machine *m, Fit *f, Diag *d) {
  Optimize optimize = OPT_BALANCED;
  Target target = *m->target;
  TRY(read_optimize(o->optimize, &optimize, d));
  TRY(read_winograd(o->winograd, &target, d));
  Graph *g = cli_load_rounding(o->model, o->rounding, d);
  if (!g) return false;
  Graph *p = cli_prepare(g, d);
  graph_free(g);
  if (!p) return false;
  const PlanOptions plan = target_plan_within(&target, o->ram, by_rows(o));
  EmitOptions e = {.name = o->name ? o->name : cli_model_name(a, o->model),
                   .out_dir = o->out,
                   .plan = &plan,
                   .optimize = optimize};
  bool ok = backend_cost_planned(p, &target, &plan, &f->cost, d) && emit_c(p, &target, &e, d);
  graph_free(p);
  return ok;
}

static int compile(Arena *a, const CompileOpts *o, Diag *d) {
  Machine m;
  Fit f = {0};
  if (!cli_machine(a, o->target, o->board, &m, d)) return EXIT_USER;
  if (!m.target) {
    diag_error(d, NULL, "mistify compile: neither --target nor --board is given");
    diag_hint(d, "mistify targets and mistify boards list them");
    return EXIT_USER;
  }
  if (!check_input(o, d) || !check_folder(o, d) || !emit(a, o, &m, &f, d)) return EXIT_USER;
  f.flash = m.board.flash;
  f.ram = o->ram ? o->ram : m.board.ram;
  f.fits = (!f.flash || f.cost.flash <= f.flash) && (!f.ram || f.cost.ram <= f.ram);
  if (o->common.json) {
    print_json(o, &m, &f);
  } else {
    print_text(a, o, &m, &f);
  }
  return f.fits ? EXIT_DONE : EXIT_LIMITS;
}

static int run(void *opts_, Diag *d) {
  Arena *a = arena_new();
  int status = compile(a, opts_, d);
  arena_free(a);
  return status;
}

extern const Command cmd_compile;
const Command cmd_compile = {
    "compile",
    "Write a model as plain C for a target, as it is",
    "Writes model.c, model.h, a self-test with reference vectors, CMakeLists.txt and model.json\n"
    "into DIR. The model is neither retrained nor quantized: a float model gives float C, an int8\n"
    "model int8 C. Exit status 2: written, but by the estimate it does not fit the board or --ram.",
    "  mistify compile model.tflite --target cortex-m4 -o out\n"
    "  mistify compile model.onnx --board nucleo-l432kc --name digits -o out\n"
    "  mistify compile model.tflite --target cortex-m4 --input rows -o out\n",
    opts,
    sizeof(CompileOpts),
    run};
