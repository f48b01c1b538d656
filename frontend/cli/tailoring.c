/* What tailor and plan have in common; see tailoring.h. */
#include "frontend/cli/tailoring.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "frontend/cli/code_form.h"
#include "frontend/cli/plan_file.h"
#include "frontend/cli/ranks.h"
#include "frontend/cli/structures.h"
#include "frontend/config/units.h"
#include "ir/base/mem.h"
#include "passes/steps/cache.h"
#include "passes/steps/workers.h"
#include "runtime/data/identity.h"

/* Keep the log of each step for the report; the steps themselves tell the host what they do. */
void tailoring_record(void *ctx, const StepLog *log) {
  Tailoring *r = ctx;
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

static bool is_wanted(const Tailoring *r, const char *name) {
  for (size_t i = 0; i < r->only.n; i++) {
    if (strcmp(r->only.v[i], name) == 0) return true;
  }
  return r->only.n == 0;
}

static bool check_only(const Tailoring *r) {
  for (size_t i = 0; i < r->only.n; i++) {
    bool found = false;
    for (int k = 0; k < r->dep->n_targets; k++) found |= strcmp(r->dep->targets[k].name, r->only.v[i]) == 0;
    FAIL_IF(!found, r->d, NULL, "--only %s: %s has no target of that name", r->only.v[i], r->path);
  }
  return true;
}

/* Does the device hand over stored bytes, so that normalisation goes into the model? */
static bool takes_bytes(const Tailoring *r) { return r->dep->design->input == INPUT_RAW; }

static PlanRegion region_of(const DeployBounds *b, int i) {
  const bool main = strcmp(b->region[i].name, "main") == 0;
  return (PlanRegion){main ? NULL : b->region[i].name, b->region[i].bytes};
}

/* The monitor's reference is of the training data: ",data=..." binds them. */
static bool drift_params(Tailoring *r, const DeployTarget *t, const char **out) {
  char hex[HASH_HEX];
  Hash data;
  *out = "";
  if (!t->code.drift) return true;
  if (t->precision != PRECISION_INT8)
    return diag_error(r->d, &t->loc, "target %s: the monitor of drift (code: drift) wants precision: int8",
                      t->name);
  TRY(dataset_identity(&r->dep->design->data, &data, r->d));
  hash_hex(data, hex);
  *out = arena_printf(r->a, ",data=%s", hex);
  return true;
}

/* Asked once for all targets of one compiler; without firmware, too, so that a run that makes it later has the same keys. */
static const char *compiler_of(const Tailoring *r, const Target *t) {
  for (int i = 0; i < r->n; i++)
    if (strcmp(r->devices[i].target->cc, t->cc) == 0) return r->compilers[i];
  return harness_compiler(t, r->a, r->d);
}

/* As a parameter of what is built: another compiler, another build, and widths that are judged again. */
static const char *compiler_param(Arena *a, const char *compiler) {
  char hex[HASH_HEX];
  hash_hex(hash_bytes(compiler, strlen(compiler)), hex);
  return *compiler ? arena_printf(a, ",cc=%s", hex) : "";
}

_Static_assert((int)DEPLOY_ADAPT_RANK_MAX == (int)DEVICE_ADAPT_RANK_MAX, "what deploy.yaml takes is emitted");

static bool add_target(Tailoring *r, const DeployTarget *t, int round, int64_t macs) {
  Machine m;
  DeployBounds b;
  TRY(cli_machine(r->a, t->target, t->board, &m, r->d));
  DeployBoard board = {0};
  if (m.has_board)
    board = (DeployBoard){m.board.name,     m.board.flash,      m.board.ram,           m.board.fast,
                          m.board.external, board_hz(&m.board), board_joules(&m.board)};
  TRY(deploy_bounds(t, &board, macs, &b, r->d));
  const char *missing = NULL;
  if (!r->graphs && !harness_available(m.target, &missing)) {
    diag_error(r->d, &t->loc, "target %s: %s is not installed", t->name, missing);
    diag_hint(r->d, "scripts/install-deps installs what the targets need");
    return false;
  }
  const DeployCode *c = &t->code;
  const CodeForm form = {.format = deploy_formats[c->format],
                         .weights = deploy_weights[c->weights],
                         .section = c->section,
                         .align = c->align,
                         .step = c->step,
                         .drift = c->drift,
                         .adapt = deploy_adapts[t->adapt.layers],
                         .adapt_memory = t->adapt.memory,
                         .adapt_k = t->adapt.k,
                         .adapt_rank = t->adapt.rank};
  EmitOptions check = {0};
  const char *data;
  TRY(code_form_apply(&form, &check, r->d) && emit_options_check(&check, r->d) && drift_params(r, t, &data));
  FAIL_IF(check.adapt && (t->variants || t->precision != PRECISION_INT8 || t->input == DEPLOY_INPUT_ROWS ||
                          form.step || check.weights == WEIGHTS_BLOB || b.n_regions > 1),
          r->d, &t->loc,
          "target %s: adapt wants int8, a whole input and run (no step), weights in code, one memory, and no "
          "variants",
          t->name);
  if (check.adapt && b.ram) { /* what is left to inference */
    FAIL_IF(t->adapt.memory >= b.ram, r->d, &t->loc,
            "target %s: adapt takes %lld bytes of memory; want less than the %lld there are", t->name,
            (long long)t->adapt.memory, (long long)b.ram);
    b.ram -= t->adapt.memory;
  }
  const bool exits = r->dep->design->exits.n > 0 && t->precision == PRECISION_INT8;
  FAIL_IF(exits && r->dep->design->exits.n >= TAILOR_EXITS, r->d, &t->loc,
          "target %s: the design names %d exits; want %d at most, beside the whole model", t->name,
          r->dep->design->exits.n, TAILOR_EXITS - 1);
  FAIL_IF(exits && t->variants, r->d, &t->loc,
          "target %s: variants and the design's exits do not go together: leave one of both out", t->name);
  FAIL_IF(exits && r->dep->design->depth.max > 0, r->d, &t->loc,
          "target %s: depth may remove the blocks behind which the design's exits end: leave one of both out",
          t->name);
  if (t->variants || exits) {
    const PlanOptions plan = {.n_regions = b.n_regions, .input_rows = t->input == DEPLOY_INPUT_ROWS};
    TRY(emit_family_check(&check, &plan, r->d));
  }
  const double joules = (t->variants || exits) && m.has_board ? board_joules(&m.board) : 0;
  /* Bytes that the model takes as they are need no conversion. */
  const char *pixels = takes_bytes(r) ? "" : code_pixels_params(r->a, &r->dep->design->data.normalize);
  const char *compiler = compiler_of(r, m.target);
  TRY(compiler);
  int i = r->n++;
  r->compilers[i] = compiler;
  Device *dev = &r->devices[i];
  *dev = (Device){.target = m.target,
                  .ram = b.n_regions ? b.ram : t->limits.ram.all,
                  .input_rows = t->input == DEPLOY_INPUT_ROWS,
                  .whole = check.adapt || t->variants || exits,
                  .raw = takes_bytes(r) ? &r->dep->design->data.normalize : NULL};
  for (; dev->n_regions < b.n_regions; dev->n_regions++)
    dev->region[dev->n_regions] = region_of(&b, dev->n_regions);
  r->costs[i] = device_cost_model(&r->devices[i], m.has_board ? &m.board : NULL);
  r->machines[i] = arena_strdup(r->a, m.has_board ? m.board.name : m.target->name);
  r->targets[i] = (TailorTarget){
      .name = t->name,
      .round = round,
      .limits = {.flash = b.flash,
                 .ram = b.ram,
                 .ram_beside = check.adapt && b.ram ? t->adapt.memory : 0,
                 .macs = b.macs,
                 .cycles = b.cycles,
                 .min_accuracy = t->accuracy_min_loc.line ? t->accuracy_min : 0,
                 .max_drop = t->accuracy_drop_loc.line ? t->accuracy_drop : 0},
      .precision = t->precision == PRECISION_INT8 ? DT_I8 : DT_F32,
      .cost = &r->costs[i],
      .priority = t->priority,
      .widths = t->variants,
      .narrowest = t->variants_least,
      .width_min = t->variants_min,
      .width_drop = t->variants_drop,
      .exits = exits ? (int)r->dep->design->exits.n : 0,
      .regions = dev->n_regions ? device_regions : NULL,
      .params = arena_printf(r->a, "target=%s,name=%s,raw=%d,ram=%lld,rows=%d%s%s%s%s%s%s%s", m.target->name,
                             r->dep->design->name, takes_bytes(r), (long long)dev->ram, dev->input_rows,
                             device_region_params(r->a, dev), code_form_params(r->a, &form), data, pixels,
                             joules > 0 ? arena_printf(r->a, ",joules=%.9g", joules) : "",
                             compiler_param(r->a, r->compilers[i]), exits ? ",exits=1" : "")};
  return true;
}

static bool add_targets(Tailoring *r) {
  size_t n = (size_t)r->dep->n_targets;
  r->targets = arena_array(r->a, n, sizeof *r->targets);
  r->costs = arena_array(r->a, n, sizeof *r->costs);
  r->devices = arena_array(r->a, n, sizeof *r->devices);
  r->machines = arena_array(r->a, n, sizeof *r->machines);
  r->compilers = arena_array(r->a, n, sizeof *r->compilers);
  TRY(check_only(r));
  int64_t macs = graph_macs(r->model);
  for (int i = 0, round = 0; i < r->dep->n_targets; i++) {
    const DeployTarget *t = &r->dep->targets[i];
    round +=
        i > 0 && t->file != r->dep->targets[i - 1].file; /* each --add comes later than what is before it */
    if (is_wanted(r, t->name)) TRY(add_target(r, t, round, macs));
  }
  return true;
}

/* ---- The job */

/* "A;B" */
static const char *joined(Arena *a, const CfgList *names) {
  StrBuf b = {0};
  for (int i = 0; i < names->n; i++)
    sb_printf(&b, "%s%s", i ? ";" : "", ((const char *const *)names->items)[i]);
  const char *text = arena_strdup(a, sb_str(&b));
  sb_free(&b);
  return text;
}

const char *tailoring_keep(Arena *a, const Design *design) { return joined(a, &design->prune.keep); }

/* Steps behind this one are of the plan, not for it. */
static void note_planned(void *ctx, const char *plan) {
  Tailoring *r = ctx;
  r->steps.planned = r->steps.n;
  if (r->planned) r->planned(r->ctx, plan);
}

/* Passes from the retrained graph to int8. */
static const char *to_int8(const Tailoring *r, bool equalize, bool int4) {
  const Design *design = r->dep->design;
  const unsigned n = design->data.calibration;
  const bool exits = design->exits.n > 0;
  return arena_printf(r->a, "%sbnfuse,fuse,fold,%s%squantize{images=%u%s}%s",
                      exits ? arena_printf(r->a, "exits{at=%s},", joined(r->a, &design->exits)) : "",
                      equalize ? "equalize," : "", takes_bytes(r) ? "input_raw," : "", n ? n : 512,
                      int4 ? ",weights=int4" : "", exits ? ",exits_join" : "");
}

/* ---- A time budget */

static double clock_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t); /* the same for all processes of a machine */
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool used_up(void *ctx) { return clock_now() >= ((const Tailoring *)ctx)->deadline; }

static TailorBudget budget_of(Tailoring *r) {
  const double cores = (double)progress_host(&r->progress)->threads * ranks_count();
  return (TailorBudget){
      .seconds = r->dep->time, .at_once = cores / r->rates.threads, .used_up = used_up, .ctx = r};
}

/* The command line's, instead of deploy.yaml's. */
static bool read_time(Tailoring *r) {
  double seconds = 0;
  if (!r->time) return true;
  const char *want = unit_seconds(r->time, &seconds);
  FAIL_IF(want, r->d, NULL, "--time-budget %s: want %s", r->time, want);
  FAIL_IF(!(seconds > 0), r->d, NULL, "--time-budget %s: want more than 0", r->time);
  r->dep->time = seconds;
  return true;
}

/* Lengths are planned by the cores of all ranks, of which each knows its own. */
static bool check_ranks(const Tailoring *r, int64_t threads) {
  if (ranks_count() == 1 || !(r->dep->time > 0) || threads > 0) return true;
  diag_error(r->d, NULL, "a time budget of %d ranks wants the number of cores that each has", ranks_count());
  diag_hint(r->d, "add -j N: all must plan alike, which the machines' own numbers do not see to");
  return false;
}

/* ---- Running */

static bool run_job(Tailoring *r, StepEnv *env, TailorResult *res) {
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
                   .keep = tailoring_keep(r->a, design),
                   .finish_int8 = to_int8(r, equalize, false),
                   .finish_shared = to_int8(r, false, false),
                   .finish_int4 = int4 ? to_int8(r, equalize, true) : NULL,
                   .other_int8 = both ? to_int8(r, true, false) : NULL,
                   .other_int4 = both && int4 ? to_int8(r, true, true) : NULL,
                   .finish_float = takes_bytes(r) ? "bnfuse,fuse,fold,input_raw" : "bnfuse,fuse,fold",
                   .raw_input = takes_bytes(r),
                   .sharing = r->sharing,
                   .per_halving = schedule_lengths.per_halving,
                   .growth = schedule_lengths.growth,
                   .least = schedule_lengths.least,
                   .family = 2,
                   .graphs = r->graphs,
                   .plan = r->plan,
                   .planned = note_planned,
                   .planned_ctx = r,
                   .plan_only = r->plan_only,
                   .image = r->rates.image,
                   .mac = r->rates.mac,
                   .trial = design->retrain.trial,
                   .close = 0.2,
                   .teachers = (const Graph *const *)r->teachers,
                   .n_teachers = design->retrain.teachers.n,
                   .auc = auc,
                   .seed = r->dep->seed,
                   .budget = budget_of(r),
                   .targets = r->targets,
                   .n_targets = r->n,
                   .deploy = &step_deploy,
                   .proof = &step_proof,
                   .env = &r->device,
                   .steps = env,
                   .cache_max = r->cache_max,
                   .host = progress_host(&r->progress)};
  job.variants = cli_structures(r->a, design, job.keep, &job.n_variants);
  train_options_default(&job.retrain);
  if (job.may_retrain) design_train_options(design, &design->retrain, design->data.train.count, &job.retrain);
  job.any_views =
      job.may_retrain && !design->retrain.views_loc.line && job.retrain.mix > 0 && job.retrain.features <= 0;
  TRY(dataset_identity(&design->data, &job.data_identity, r->d));
  TRY(split_identity(&design->data.test, &job.test_identity, r->d));
  bool ok = tailor_run(&job, res, r->d);
  tailor_data_close(&r->data);
  return ok;
}

/* A helper's program: the same run, in silence; what it makes is in the cache. */
static bool help(void *ctx, int worker, Workers *w) {
  (void)worker;
  Tailoring *r = ctx;
  TailorResult res;
  r->progress.quiet = true;
  r->planned = NULL;
  Cache *cache = cache_open(r->cache, NULL, r->d);
  TRY(cache);
  StepEnv env = step_env(r->a, cache);
  env.workers = w;
  const bool ok = run_job(r, &env, &res);
  if (ok) tailor_result_free(&res);
  cache_close(cache);
  return ok;
}

/* What a helper ran was a hit here. */
static void record_helped(void *ctx, const StepLog *log) {
  Tailoring *r = ctx;
  for (size_t i = 0; i < r->steps.n; i++) {
    StepLog *s = &r->steps.v[i];
    if (!s->hit || !hash_equal(s->key, log->key)) continue;
    s->hit = false;
    s->seconds = log->seconds;
    s->worker = log->worker;
    memcpy(s->why, log->why, sizeof s->why);
    return;
  }
  tailoring_record(r, log);
}

bool tailoring_run(Tailoring *r, const char *folder, TailorResult *res) {
  const Host *host = progress_host(&r->progress);
  const int workers = host->threads < r->n ? host->threads : r->n;
  r->cache = folder;
  r->deadline = clock_now() + r->dep->time;
  r->rates = rates_known(folder); /* once: the same for all */
  Workers *w =
      workers > 1 ? workers_start(host->threads, workers < WORKERS_MAX ? workers : WORKERS_MAX, help, r, host)
                  : NULL;
  Cache *cache = cache_open(folder, host, r->d);
  bool ok = cache != NULL;
  if (ok) {
    StepEnv env = step_env(r->a, cache);
    env.record = tailoring_record;
    env.record_ctx = r;
    env.workers = w;
    ok = run_job(r, &env, res);
  }
  if (w) {
    workers_finish(w, !ok); /* when all is done, they see so by themselves */
    workers_logs(w, record_helped, r);
    workers_free(w);
  }
  if (ok && r->planned && !r->plan_only) rates_keep(cache, res, &r->steps, r->d);
  cache_close(cache);
  return ok;
}

/* ---- Words */

static const char *const sharings[] = {
    [SHARE_NOTHING] = "none", [SHARE_CHAIN] = "chain", [SHARE_TREE] = "tree", [SHARE_ELASTIC] = "elastic"};
enum { SHARINGS = sizeof sharings / sizeof *sharings };

const char *tailoring_sharing_name(TailorSharing s) { return sharings[s]; }

void tailoring_json_ways(JsonWriter *w, const TailorResult *r) {
  json_kobject(w, "ways");
  for (int i = 0; i <= SHARE_TREE; i++) {
    json_kobject(w, tailoring_sharing_name((TailorSharing)i));
    json_kint(w, "images", r->ways[i].images);
    json_knum(w, "estimated_seconds", r->ways[i].seconds);
    json_end(w);
  }
  json_end(w);
}

void tailoring_json_budget(JsonWriter *w, const TailorResult *r) {
  if (!(r->budget > 0) && !tailor_shortened(r)) return;
  json_kobject(w, "budget");
  if (r->budget > 0) {
    json_knum(w, "seconds", r->budget);
    json_knum(w, "for_training", TAILOR_TRAINING * r->budget);
  }
  json_knum(w, "trainings_at_once", r->at_once);
  json_knum(w, "lengths_shortened_to", r->kept);
  if (tailor_shortened(r)) json_knum(w, "shortened_for_seconds", r->shortened_for);
  json_knum(w, "expected_training_seconds", r->expected);
  json_end(w);
}

bool tailoring_sharing(const char *word, TailorSharing *out, Diag *d) {
  *out = SHARE_TREE;
  if (!word) return true;
  for (int i = 0; i < SHARINGS; i++) {
    if (strcmp(sharings[i], word) != 0) continue;
    *out = (TailorSharing)i;
    return true;
  }
  diag_error(d, NULL, "--sharing %s: want tree, chain, elastic or none", word);
  diag_hint(d, "tree is the default; the others are there for comparison");
  return false;
}

bool tailoring_cache_max(const char *size, int64_t *out, Diag *d) {
  *out = 0;
  if (!size) return true;
  const char *want = unit_bytes(size, out);
  FAIL_IF(want, d, NULL, "--cache-max %s: want %s", size, want);
  FAIL_IF(*out < 1, d, NULL, "--cache-max %s: want 1 or more", size);
  return true;
}

/* ---- Opening */

/* Models that retraining follows beside the original. */
static bool load_teachers(Tailoring *r) {
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

bool tailoring_open(Tailoring *r, const char *path, const CommonOpts *common, int64_t threads) {
  r->path = path;
  r->dep = deploy_load_with(r->a, path, r->design, r->d);
  TRY(r->dep && read_time(r) && check_ranks(r, threads ? threads : r->dep->threads));
  for (size_t i = 0; i < r->add.n; i++) TRY(deploy_add(r->a, r->dep, r->add.v[i], r->d));
  r->model = cli_load_with(r->dep->design->model, &(LoadOpts){.custom = r->dep->design->custom}, r->d);
  TRY(r->model && design_check_model(r->dep->design, r->model, r->d) && load_teachers(r) && add_targets(r));
  cli_progress(&r->progress, common, threads ? threads : r->dep->threads);
  return true;
}

void tailoring_close(Tailoring *r) {
  for (int i = 0; r->teachers && i < r->dep->design->retrain.teachers.n; i++) graph_free(r->teachers[i]);
  graph_free(r->model);
}
