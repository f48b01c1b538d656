/* mistify calibrate: what kernels cost on a target, measured anew for its cost table. */
#include <stdio.h>

#include "frontend/cli/cli.h"
#include "ir/base/file.h"
#include "ir/base/strbuf.h"

typedef struct CalibrateOpts {
  CommonOpts common;
  const char *target, *board, *log, *out;
  ArgList kernels;
  bool sets, cycles;
} CalibrateOpts;

static const Opt opts[] = {
    {"TARGET", OPT_PARAM, offsetof(CalibrateOpts, target), false, NULL, "see mistify targets"},
    {"--kernels", OPT_LIST, offsetof(CalibrateOpts, kernels), false, "K",
     "these kernels alone (\"conv_s8\", or one of them: \"conv_s8__armv7em_family\"); the other rows stay"},
    {"--sets", OPT_FLAG, offsetof(CalibrateOpts, sets), false, NULL,
     "kernels of the target's own sets alone; the rows of generic ones stay"},
    {"--cycles", OPT_FLAG, offsetof(CalibrateOpts, cycles), false, NULL,
     "cycles alone; bytes of code stay, where a kernel has a row"},
    {"--board", OPT_STRING, offsetof(CalibrateOpts, board), false, "B",
     "instead of TARGET: set measurements of this board beside estimates; wants --log"},
    {"--log", OPT_STRING, offsetof(CalibrateOpts, log), false, "FILE",
     "lines \"FOLDER CYCLES\": a folder that mistify wrote, cycles of one inference on the board"},
    {"-o", OPT_STRING, offsetof(CalibrateOpts, out), false, "FILE",
     "write the table, or the board's YAML, there (default: the table to standard output)"},
    {0}};

static bool measured_table(const CalibrateOpts *o, const Target *t, Arena *a, StrBuf *table, double *worst,
                           Diag *d) {
  Progress progress;
  cli_progress(&progress, &o->common, 1);
  const char *tmp = file_temp_dir(a, d);
  if (!tmp) return false;
  const CalibrateOptions c = {.kernels = o->kernels.v,
                              .n_kernels = o->kernels.n,
                              .sets_only = o->sets,
                              .cycles_only = o->cycles,
                              .dir = path_join(a, tmp, "layers"),
                              .host = progress_host(&progress)};
  bool ok = calibrate_target(t, &c, table, worst, d);
  file_remove_tree(tmp);
  return ok;
}

static bool write_table(const CalibrateOpts *o, const StrBuf *table, Diag *d) {
  if (!o->out) return fwrite(sb_str(table), 1, table->len, stdout) == table->len;
  return file_write(o->out, sb_str(table), table->len, d);
}

static void print_json(const CalibrateOpts *o, const StrBuf *table, double worst) {
  JsonWriter w;
  StrBuf b;
  cli_json_begin(&w, &b);
  json_object(&w);
  json_kstr(&w, "target", o->target);
  json_knum(&w, "worst_fit", worst);
  if (o->out)
    json_kstr(&w, "file", o->out);
  else
    json_kstr(&w, "table", sb_str(table));
  json_end(&w);
  cli_json_end(&w, &b);
}

static int run_target(const CalibrateOpts *o, Diag *d) {
  const Target *t = cli_target(o->target, d);
  if (!t) return EXIT_USER;
  Arena *a = arena_new();
  StrBuf table = {0};
  double worst = 0;
  bool ok = measured_table(o, t, a, &table, &worst, d);
  if (ok && (!o->common.json || o->out)) ok = write_table(o, &table, d);
  if (ok && o->common.json) print_json(o, &table, worst);
  if (ok) cli_note(&o->common, "worst fit of cycles: %.1f %% off", 100 * worst);
  sb_free(&table);
  arena_free(a);
  return ok ? EXIT_DONE : EXIT_USER;
}

static int run(void *opts_, Diag *d) {
  const CalibrateOpts *o = opts_;
  if (o->target && !o->board && !o->log) return run_target(o, d);
  if (o->board && o->log && !o->target)
    return cli_board_log(o->board, o->log, o->out, o->common.json, d) ? EXIT_DONE : EXIT_USER;
  diag_error(d, NULL, "calibrate wants a target, or a board and its log");
  diag_hint(d, "mistify calibrate cortex-m4, or mistify calibrate --board B --log FILE");
  return EXIT_USER;
}

extern const Command cmd_calibrate;
const Command cmd_calibrate = {
    "calibrate",
    "Measure what kernels cost on a target, for its cost table",
    "Estimates and the choice between kernels rest on a table per target,\n"
    "backend/targets/NAME/NAME.c. For each kernel, layers of several shapes are emitted, built by\n"
    "the target's compiler and run in its emulator; counts are fitted to the work of the layer.\n"
    "Cycles are instructions weighted by class on Cortex-M, plain instructions elsewhere. Takes\n"
    "some minutes; then build mistify again.\n\n"
    "A real board has wait states, caches, dual issue: with --board and --log its measured cycles are\n"
    "set beside the estimates, and its YAML gets their ratio (cycle_scale), by which times and\n"
    "limits of latency are estimated from then on.",
    "  mistify calibrate cortex-m4 -o backend/targets/cortex-m4/cortex_m4.c\n"
    "  mistify calibrate cortex-m4 --sets --kernels conv_s8\n"
    "  mistify calibrate --board nucleo-l432kc --log cycles.txt -o my-nucleo.yaml\n",
    opts,
    sizeof(CalibrateOpts),
    run};
