/* mistify tailor: one model to all targets of a deploy.yaml.
 *
 *   deploy.yaml, design.yaml -> checked against the model -> TailorJob -> tailor_run -> OUT/TARGET/, report
 */
#include "frontend/cli/cli.h"
#include "frontend/cli/code_form.h"
#include "frontend/cli/device.h"
#include "frontend/cli/report.h"
#include "frontend/cli/structures.h"
#include "frontend/config/deploy.h"
#include "passes/steps/cache.h"
#include "passes/tailor/tailor.h"
#include "runtime/data/identity.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ir/base/file.h"
#include "ir/base/mem.h"

typedef struct TailorOpts {
  CommonOpts common;
  const char *deploy, *out, *cache;
  ArgList only;
  int64_t threads;
  bool graphs;
  const char *sharing;
} TailorOpts;

static const Opt opts[] = {
    {"DEPLOY", OPT_PARAM, offsetof(TailorOpts, deploy), true, NULL,
     "deploy.yaml: the targets and their limits"},
    {"-o", OPT_STRING, offsetof(TailorOpts, out), false, "DIR",
     "folder of the results (default: deploy.yaml's `out`)"},
    {"--only", OPT_LIST, offsetof(TailorOpts, only), false, "NAME", "these targets alone"},
    {"--cache", OPT_STRING, offsetof(TailorOpts, cache), false, "DIR",
     "folder of the step cache (default: deploy.yaml's `cache`)"},
    {"--graphs", OPT_FLAG, offsetof(TailorOpts, graphs), false, NULL,
     "stop at the finished graphs: nothing is emitted, built or run; limits are judged by estimates"},
    {"--sharing", OPT_STRING, offsetof(TailorOpts, sharing), false, "S",
     "what targets have in common: tree (default), chain, or none"},
    {"-j", OPT_INT, offsetof(TailorOpts, threads), false, "N", "threads (default: one per processor)"},
    {0}};

/* Everything of one run. */
typedef struct Run {
  const TailorOpts *o;
  Arena *a;
  Diag *d;
  const Deploy *dep;
  Graph *model, **teachers;
  Progress progress;
  TailorData data;
  DeviceEnv device;
  TailorTarget *targets;
  CostModel *costs;
  Device *devices;
  const char **machines;
  int n;
  ReportSteps steps;
} Run;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Keep the log of each step for the report; the steps themselves tell the host what they do. */
static void record(void *ctx, const StepLog *log) {
  Run *r = ctx;
  if (r->steps.n == r->steps.cap) {
    size_t cap = r->steps.cap ? 2 * r->steps.cap : 64;
    StepLog *more = arena_array(r->a, cap, sizeof *more);
    if (r->steps.n) memcpy(more, r->steps.v, r->steps.n * sizeof *more);
    r->steps.v = more;
    r->steps.cap = cap;
  }
  StepLog *copy = &r->steps.v[r->steps.n++];
  *copy = *log;
  copy->kind = arena_strdup(r->a, log->kind);
  copy->slot = arena_strdup(r->a, log->slot);
}

/* ---- Targets */

static bool is_wanted(const TailorOpts *o, const char *name) {
  for (size_t i = 0; i < o->only.n; i++) {
    if (strcmp(o->only.v[i], name) == 0) return true;
  }
  return o->only.n == 0;
}

static bool check_only(const Run *r) {
  for (size_t i = 0; i < r->o->only.n; i++) {
    bool found = false;
    for (int k = 0; k < r->dep->n_targets; k++)
      found |= strcmp(r->dep->targets[k].name, r->o->only.v[i]) == 0;
    FAIL_IF(!found, r->d, NULL, "--only %s: %s has no target of that name", r->o->only.v[i], r->o->deploy);
  }
  return true;
}

/* Does the device hand over stored bytes, so that normalisation goes into the model? */
static bool takes_bytes(const Run *r) { return r->dep->design->input == INPUT_RAW; }

static bool add_target(Run *r, const DeployTarget *t, int64_t macs) {
  Machine m;
  DeployBounds b;
  TRY(cli_machine(r->a, t->target, t->board, &m, r->d));
  DeployBoard board = {0};
  if (m.has_board) board = (DeployBoard){m.board.name, m.board.flash, m.board.ram, board_hz(&m.board)};
  TRY(deploy_bounds(r->dep, t, &board, macs, &b, r->d));
  const char *missing = NULL;
  if (!r->o->graphs && !harness_available(m.target, &missing)) {
    diag_error(r->d, &t->loc, "target %s: %s is not installed", t->name, missing);
    diag_hint(r->d, "scripts/install-deps installs what the targets need");
    return false;
  }
  const DeployCode *c = &t->code;
  const CodeForm form = {.format = deploy_formats[c->format],
                         .weights = deploy_weights[c->weights],
                         .section = c->section,
                         .align = c->align,
                         .step = c->step};
  EmitOptions check = {0};
  TRY(code_form_apply(&form, &check, r->d) && emit_options_check(&check, r->d));
  /* Bytes that the model takes as they are need no conversion. */
  const char *pixels = takes_bytes(r) ? "" : code_pixels_params(r->a, &r->dep->design->data.normalize);
  int i = r->n++;
  r->devices[i] = (Device){m.target, t->limits.ram, t->input == DEPLOY_INPUT_ROWS};
  r->costs[i] = device_cost_model(&r->devices[i], m.has_board ? &m.board : NULL);
  r->machines[i] = arena_strdup(r->a, m.has_board ? m.board.name : m.target->name);
  r->targets[i] = (TailorTarget){.name = t->name,
                                 .limits = {.flash = b.flash,
                                            .ram = b.ram,
                                            .macs = b.macs,
                                            .cycles = b.cycles,
                                            .min_accuracy = t->accuracy_min_loc.line ? t->accuracy_min : 0,
                                            .max_drop = t->accuracy_drop_loc.line ? t->accuracy_drop : 0},
                                 .precision = t->precision == PRECISION_INT8 ? DT_I8 : DT_F32,
                                 .cost = &r->costs[i],
                                 .params = arena_printf(r->a, "target=%s,name=%s,raw=%d,ram=%lld,rows=%d%s%s",
                                                        m.target->name, r->dep->design->name, takes_bytes(r),
                                                        (long long)t->limits.ram, r->devices[i].input_rows,
                                                        code_form_params(r->a, &form), pixels)};
  return true;
}

static bool add_targets(Run *r) {
  size_t n = (size_t)r->dep->n_targets;
  r->targets = arena_array(r->a, n, sizeof *r->targets);
  r->costs = arena_array(r->a, n, sizeof *r->costs);
  r->devices = arena_array(r->a, n, sizeof *r->devices);
  r->machines = arena_array(r->a, n, sizeof *r->machines);
  TRY(check_only(r));
  int64_t macs = graph_macs(r->model);
  for (int i = 0; i < r->dep->n_targets; i++) {
    if (is_wanted(r->o, r->dep->targets[i].name)) TRY(add_target(r, &r->dep->targets[i], macs));
  }
  return true;
}

/* ---- The job */

static const char *keep_layers(Run *r) {
  const PruneFreedom *p = &r->dep->design->prune;
  StrBuf b = {0};
  for (int i = 0; i < p->keep.n; i++)
    sb_printf(&b, "%s%s", i ? ";" : "", ((const char *const *)p->keep.items)[i]);
  const char *text = arena_strdup(r->a, sb_str(&b));
  sb_free(&b);
  return text;
}

/* Passes from the retrained graph to int8. */
static const char *to_int8(const Run *r, bool equalize, bool int4) {
  const unsigned n = r->dep->design->data.calibration;
  return arena_printf(r->a, "bnfuse,fuse,fold,%s%squantize{images=%u%s}", equalize ? "equalize," : "",
                      takes_bytes(r) ? "input_raw," : "", n ? n : 512, int4 ? ",weights=int4" : "");
}

static const char *const sharings[] = {[SHARE_NOTHING] = "none", [SHARE_CHAIN] = "chain", [SHARE_TREE] = "tree"};
enum { SHARINGS = sizeof sharings / sizeof *sharings };

static TailorSharing sharing_of(const char *word) {
  int i = 0;
  while (word && i < SHARINGS && strcmp(sharings[i], word) != 0) i++;
  return word && i < SHARINGS ? (TailorSharing)i : SHARE_TREE;
}

static bool tailor(Run *r, StepEnv *env, TailorResult *res) {
  const Design *design = r->dep->design;
  const bool auc = design->metric == METRIC_AUC;
  if (design->task == TASK_AUTOENCODER && !auc) {
    diag_error(r->d, NULL, "tailoring is guided by the accuracy of classes: an autoencoder has none");
    diag_hint(
        r->d,
        "one that finds anomalies has an AUC: `metric: auc` in the design, labels 0 and 1 in val, test");
    return false;
  }
  r->data = (TailorData){.spec = &design->data};
  r->device = (DeviceEnv){.data = &r->data};
  const bool equalize = design->equalize == EQUALIZE_YES, both = design->equalize == EQUALIZE_BEST,
             int4 = design->quantize == QUANTIZE_INT4;
  TailorJob job = {.model = r->model,
                   .data = &r->data,
                   .may_prune = design->prune_loc.line > 0,
                   .may_retrain = design->retrain_loc.line > 0,
                   .prune_params =
                       arena_printf(r->a, "by=%s,min=%.6g,least=%d",
                                    design->prune.by == PRUNE_BY_TAYLOR ? "taylor" : "reconstruction",
                                    1 - design->prune.max, design->prune.min_channels),
                   .keep = keep_layers(r),
                   .finish_int8 = to_int8(r, equalize, false),
                   .finish_int4 = int4 ? to_int8(r, equalize, true) : NULL,
                   .other_int8 = both ? to_int8(r, true, false) : NULL,
                   .other_int4 = both && int4 ? to_int8(r, true, true) : NULL,
                   .finish_float = takes_bytes(r) ? "bnfuse,fuse,fold,input_raw" : "bnfuse,fuse,fold",
                   .raw_input = takes_bytes(r),
                   .sharing = sharing_of(r->o->sharing),
                   .per_halving = getenv("T_HALF") ? atof(getenv("T_HALF")) : 1,
                   .least = getenv("T_LEAST") ? atof(getenv("T_LEAST")) : 0.06,
                   .graphs = r->o->graphs,
                   .trial = design->retrain.trial,
                   .close = 0.2,
                   .teachers = (const Graph *const *)r->teachers,
                   .n_teachers = design->retrain.teachers.n,
                   .auc = auc,
                   .seed = r->dep->seed,
                   .targets = r->targets,
                   .n_targets = r->n,
                   .deploy = &step_deploy,
                   .proof = &step_proof,
                   .env = &r->device,
                   .steps = env,
                   .host = progress_host(&r->progress)};
  job.variants = cli_structures(r->a, design, job.keep, &job.n_variants);
  train_options_default(&job.retrain);
  if (job.may_retrain) design_train_options(design, &design->retrain, design->data.train.count, &job.retrain);
  TRY(dataset_identity(&design->data, &job.data_identity, r->d));
  TRY(split_identity(&design->data.test, &job.test_identity, r->d));
  bool ok = tailor_run(&job, res, r->d);
  tailor_data_close(&r->data);
  return ok;
}

/* ---- Results */

static bool write_text(Run *r, const char *out, const char *name, StrBuf *text) {
  bool ok = file_write(path_join(r->a, out, name), sb_str(text), text->len, r->d);
  sb_free(text);
  return ok;
}

static bool write_results(Run *r, const char *out, const Report *report) {
  TRY(file_make_dirs(out, r->d));
  for (int i = 0; i < r->n; i++) {
    const TailorOutcome *o = &report->result->v[i];
    if (!o->delivered) continue;
    char *dir = path_join(r->a, out, r->targets[i].name);
    TRY(r->o->graphs ? file_make_dirs(dir, r->d) : artifact_to_dir(&o->files, dir, r->d));
    Graph *g = artifact_graph(&o->final, r->d);
    TRY(g);
    bool ok = cli_save(g, path_join(r->a, dir, "model.mistify"), r->d);
    graph_free(g);
    TRY(ok);
  }
  StrBuf json = {0}, html = {0};
  report_json(report, &json);
  if (r->o->common.json) fputs(sb_str(&json), stdout);
  report_html(report, &html);
  bool ok = write_text(r, out, "report.json", &json);
  return write_text(r, out, "report.html", &html) && ok;
}

static int finish(Run *r, const TailorResult *res, double seconds) {
  const char *out = r->o->out ? r->o->out : r->dep->out;
  Report report = {.model = r->dep->design->model,
                   .deploy = r->o->deploy,
                   .result = res,
                   .machines = r->machines,
                   .steps = &r->steps,
                   .seconds = seconds};
  if (!write_results(r, out, &report)) return EXIT_USER;
  if (!r->o->common.json) {
    report_table(&report, r->a);
    printf("C, self-tests and models: %s/TARGET/   report: %s/report.html, %s/report.json   %.1f s\n", out,
           out, out, seconds);
  }
  int status = EXIT_DONE;
  for (int i = 0; i < res->n; i++) {
    if (!res->v[i].met) status = EXIT_LIMITS;
  }
  return status;
}

/* Models that retraining follows beside the original. */
static bool load_teachers(Run *r) {
  const Design *design = r->dep->design;
  const CfgList *list = &design->retrain.teachers;
  r->teachers = arena_array(r->a, (size_t)list->n + 1, sizeof *r->teachers);
  for (int i = 0; i < list->n; i++) {
    const char *path = ((const char *const *)list->items)[i];
    r->teachers[i] = cli_load_with(path, &(LoadOpts){.custom = design->custom}, r->d);
    TRY(r->teachers[i] && design_check_teacher(design, &design->retrain, i, r->teachers[i], r->d));
  }
  return true;
}

static int run_with_cache(Run *r) {
  double start = now();
  Cache *cache = cache_open(r->o->cache ? r->o->cache : r->dep->cache, progress_host(&r->progress), r->d);
  if (!cache) return EXIT_USER;
  StepEnv env = step_env(r->a, cache);
  env.record = record;
  env.record_ctx = r;
  TailorResult res;
  bool ok = tailor(r, &env, &res);
  int status = ok ? finish(r, &res, now() - start) : cli_interrupted() ? EXIT_INTERRUPTED : EXIT_USER;
  if (ok) tailor_result_free(&res);
  cache_close(cache);
  return status;
}

static int run(void *opts_, Diag *d) {
  Run r = {.o = opts_, .a = arena_new(), .d = d};
  int status = EXIT_USER;
  r.dep = deploy_load(r.a, r.o->deploy, d);
  if (r.dep) r.model = cli_load_with(r.dep->design->model, &(LoadOpts){.custom = r.dep->design->custom}, d);
  if (r.model && design_check_model(r.dep->design, r.model, d) && load_teachers(&r) && add_targets(&r)) {
    cli_progress(&r.progress, &r.o->common, r.o->threads ? r.o->threads : r.dep->threads);
    status = run_with_cache(&r);
  }
  for (int i = 0; r.teachers && i < r.dep->design->retrain.teachers.n; i++) graph_free(r.teachers[i]);
  graph_free(r.model);
  arena_free(r.a);
  return status;
}

void cli_tailor_keys(void) {
  StrBuf keys = {0};
  config_print_help(&deploy_schema, &keys);
  printf("\nkeys of deploy.yaml:\n%s", sb_str(&keys));
  sb_clear(&keys);
  config_print_help(&design_schema, &keys);
  printf("\nkeys of design.yaml, which it names:\n%s", sb_str(&keys));
  sb_free(&keys);
}

extern const Command cmd_tailor;
const Command cmd_tailor = {
    "tailor",
    "Make firmware of one model for every target of a deploy.yaml, each under its own limits",
    "For each target the widths that meet its flash, RAM, MAC or cycle limits are found, the model is "
    "retrained with the\n"
    "original as its teacher, quantized, emitted as C, built by the target's compiler, run and measured. "
    "What targets\n"
    "have in common is done once; every step is cached by content, so that a run that was stopped goes on "
    "where it was,\n"
    "and a second run repeats only what changed. The test split is read at the very end, for the figures "
    "printed.\n"
    "Exit status 2: a target's limits could not be met (the report says which, why, and the nearest that can "
    "be).",
    "  mistify tailor deploy.yaml\n"
    "  mistify tailor deploy.yaml -o firmware --only m4 m0\n",
    opts,
    sizeof(TailorOpts),
    run};
