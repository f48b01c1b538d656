/* deploy.yaml: its keys, the rules among them and between it and the design; see deploy.h.
 *
 * The bounds of a target are its own limits, else its board's memories. Work on a target that cannot be meant
 * (its limit is larger than its board, the design forbids its precision) is refused here, before any work starts.
 */
#include "frontend/config/deploy.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "frontend/config/units.h"
#include "ir/base/file.h"
#include "ir/family.h"

static const char *const precision_names[] = {"int8", "float32", NULL};
static const char *const input_names[] = {"whole", "rows", NULL};
const char *const deploy_formats[] = {"single", "split", NULL};
const char *const deploy_adapts[] = {"none", "last", "bias", "scale", "last-k", "adapters", NULL};
const char *const deploy_weights[] = {"code", "blob", NULL};

typedef struct RawAccuracy {
  double min, drop;
  Loc min_loc, drop_loc;
} RawAccuracy;

typedef struct RawVariants {
  int n;
  double least;
  RawAccuracy accuracy;
} RawVariants;

typedef struct RawTarget {
  const char *name, *board, *target;
  Loc name_loc, board_loc, target_loc, limits_loc, precision_loc, variants_loc;
  RawVariants variants;
  DeployLimits limits;
  RawAccuracy accuracy;
  int precision, input, priority;
  DeployCode code;
  DeployAdapt adapt;
} RawTarget;

typedef struct RawBudget {
  double time;
} RawBudget;

typedef struct RawDeploy {
  const char *design, *cache, *out;
  Loc design_loc;
  uint64_t seed;
  int threads;
  RawBudget budget;
  CfgList targets; /* RawTarget */
} RawDeploy;

static const CfgRow ram_rows[] = {
    {.key = "all",
     CFG_FIELD(DeployRam, all),
     .type = CFG_BYTES,
     CFG_FROM(1),
     CFG_WHERE(DeployRam, all_loc),
     .doc = "of all memories together"},
    {.key = "fast",
     CFG_FIELD(DeployRam, fast),
     .type = CFG_BYTES,
     CFG_FROM(0),
     CFG_WHERE(DeployRam, fast_loc),
     .doc = "in the board's tightly coupled memory, for what is used most; 0: nothing"},
    {.key = "main",
     CFG_FIELD(DeployRam, main),
     .type = CFG_BYTES,
     CFG_FROM(1),
     CFG_WHERE(DeployRam, main_loc),
     .doc = "in the main one"},
    {.key = "external",
     CFG_FIELD(DeployRam, external),
     .type = CFG_BYTES,
     CFG_FROM(0),
     CFG_WHERE(DeployRam, external_loc),
     .doc = "in the one beyond, for what is left; 0: nothing"},
    {0}};
static const Schema ram_schema = {"limit", ram_rows, sizeof(DeployRam)};

static const CfgRow limit_rows[] = {
    {.key = "flash",
     CFG_FIELD(DeployLimits, flash),
     .type = CFG_BYTES,
     CFG_FROM(1),
     CFG_WHERE(DeployLimits, flash_loc),
     .doc = "for weights, tables and code; the board's when left out"},
    {.key = "ram",
     CFG_FIELD(DeployLimits, ram),
     .type = CFG_GROUP,
     .sub = &ram_schema,
     .plain = "all",
     .doc = "for values and scratch, input and output included; the board's when left out"},
    {.key = "macs",
     CFG_FIELD(DeployLimits, macs),
     .type = CFG_AMOUNT,
     CFG_WHERE(DeployLimits, macs_loc),
     .doc = "multiply-accumulates of one inference, or a share of the original's"},
    {.key = "cycles",
     CFG_FIELD(DeployLimits, cycles),
     .type = CFG_COUNT,
     CFG_FROM(1),
     CFG_WHERE(DeployLimits, cycles_loc),
     .doc = "processor cycles of one inference (estimated)"},
    {.key = "latency",
     CFG_FIELD(DeployLimits, latency),
     .type = CFG_SECONDS,
     CFG_ABOVE(0),
     CFG_WHERE(DeployLimits, latency_loc),
     .doc = "time of one inference by the board's clock (estimated)"},
    {.key = "energy",
     CFG_FIELD(DeployLimits, energy),
     .type = CFG_JOULES,
     CFG_ABOVE(0),
     CFG_WHERE(DeployLimits, energy_loc),
     .doc = "of one inference by the board's energy_per_cycle (estimated)"},
    {0}};
static const Schema limit_schema = {"limit", limit_rows, sizeof(DeployLimits)};

static const CfgRow accuracy_rows[] = {
    {.key = "min",
     CFG_FIELD(RawAccuracy, min),
     .type = CFG_SHARE,
     CFG_WHERE(RawAccuracy, min_loc),
     .doc = "the least accuracy (or AUC) that is acceptable"},
    {.key = "drop",
     CFG_FIELD(RawAccuracy, drop),
     .type = CFG_SHARE,
     CFG_WHERE(RawAccuracy, drop_loc),
     .doc = "instead of min: points that may be lost against the original"},
    {0}};
static const Schema accuracy_schema = {"key", accuracy_rows, sizeof(RawAccuracy)};

static const CfgRow code_rows[] = {
    {.key = "format",
     CFG_FIELD(DeployCode, format),
     .type = CFG_ENUM,
     .names = deploy_formats,
     .otherwise = "single",
     .doc = "single: model.c holds all; split: weights.c, kernels/ apart"},
    {.key = "weights",
     CFG_FIELD(DeployCode, weights),
     .type = CFG_ENUM,
     .names = deploy_weights,
     .otherwise = "code",
     .doc = "blob: NAME_weights.bin, bound at run time, versioned and checked (NAME_bind_weights)"},
    {.key = "weights_section",
     CFG_FIELD(DeployCode, section),
     .type = CFG_STRING,
     .doc = "linker section of the weights; the compiler's when left out"},
    {.key = "weights_align",
     CFG_FIELD(DeployCode, align),
     .type = CFG_BYTES,
     .doc = "alignment of every weight array; what kernels want when left out"},
    {.key = "step",
     CFG_FIELD(DeployCode, step),
     .type = CFG_BOOL,
     .doc = "NAME_step as well: a run in pieces, for cooperative loops and watchdogs"},
    {.key = "drift",
     CFG_FIELD(DeployCode, drift),
     .type = CFG_INT,
     CFG_FROM(1),
     .doc = "NAME_drift_* as well: a monitor that says when inputs and confidence are no longer those of the "
            "training data, with one false alarm in so many inferences (10000)"},
    {0}};
static const CfgRow adapt_rows[] = {
    {.key = "layers",
     CFG_FIELD(DeployAdapt, layers),
     .type = CFG_ENUM,
     .names = deploy_adapts,
     .otherwise = "none",
     .doc = "last: the layer that gives the logits; bias: that, and biases of layers before it; scale: "
            "biases and "
            "multipliers; adapters: biases and low-rank adapters; last-k: biases and weights"},
    {.key = "memory",
     CFG_FIELD(DeployAdapt, memory),
     .type = CFG_BYTES,
     CFG_FROM(1),
     .doc = "RAM for it beside inference, taken off limits: ram; what it takes when left out"},
    {.key = "k",
     CFG_FIELD(DeployAdapt, k),
     .type = CFG_INT,
     CFG_RANGE(1, 1000),
     .doc = "at most so many layers before the last one, the nearest to it; all within reach when left out"},
    {.key = "rank",
     CFG_FIELD(DeployAdapt, rank),
     CFG_WHERE(DeployAdapt, rank_loc),
     .type = CFG_INT,
     CFG_RANGE(1, DEPLOY_ADAPT_RANK_MAX),
     .doc = "of adapters alone; 2 when left out"},
    {0}};
static const Schema adapt_schema = {"key", adapt_rows, sizeof(DeployAdapt)};

static const Schema code_schema = {"key", code_rows, sizeof(DeployCode)};

static const CfgRow variant_rows[] = {{.key = "n",
                                       CFG_FIELD(RawVariants, n),
                                       .type = CFG_INT,
                                       CFG_RANGE(2, FAMILY_MAX),
                                       .required = true,
                                       .doc = "how many, the widest among them"},
                                      {.key = "least",
                                       CFG_FIELD(RawVariants, least),
                                       .type = CFG_SHARE,
                                       .otherwise = "25%",
                                       .doc = "of the widest's multiply-accumulates, for the narrowest"},
                                      {.key = "accuracy",
                                       CFG_FIELD(RawVariants, accuracy),
                                       .type = CFG_GROUP,
                                       .sub = &accuracy_schema,
                                       .plain = "min",
                                       .doc = "what each of the narrower ones must reach; the target's own "
                                              "`accuracy` is the widest's"},
                                      {0}};
static const Schema variant_schema = {"key", variant_rows, sizeof(RawVariants)};

#define DESIGNERS "the model's designer decides this: it stands in design.yaml"
#define FOREIGN(name) \
  { .key = name, .type = CFG_FOREIGN, .doc = DESIGNERS }
#define DESIGNERS_KEYS                                                                          \
  FOREIGN("model"), FOREIGN("data"), FOREIGN("freedom"), FOREIGN("prune"), FOREIGN("quantize"), \
      FOREIGN("retrain")
/* The list of targets, of the struct `raw`. */
#define TARGETS_ROW(raw)                                                                                  \
  {                                                                                                       \
    .key = "targets", CFG_FIELD(raw, targets), .type = CFG_GROUPS, .sub = &target_schema, .min_items = 1, \
    .max_items = 1000, .required = true, .doc = "what to make the model for"                              \
  }
static const CfgRow target_rows[] = {
    {.key = "name",
     CFG_FIELD(RawTarget, name),
     .type = CFG_STRING,
     CFG_WHERE(RawTarget, name_loc),
     .required = true,
     .doc = "of your choice; names the folder of its results"},
    {.key = "board",
     CFG_FIELD(RawTarget, board),
     .type = CFG_STRING,
     CFG_WHERE(RawTarget, board_loc),
     .doc = "a board (`mistify boards`), or the path of a board's .yaml file"},
    {.key = "target",
     CFG_FIELD(RawTarget, target),
     .type = CFG_STRING,
     CFG_WHERE(RawTarget, target_loc),
     .doc = "instead of board: a target (`mistify targets`)"},
    {.key = "limits",
     CFG_FIELD(RawTarget, limits),
     .type = CFG_GROUP,
     .sub = &limit_schema,
     CFG_WHERE(RawTarget, limits_loc),
     .doc = "what the model may use"},
    {.key = "accuracy",
     CFG_FIELD(RawTarget, accuracy),
     .type = CFG_GROUP,
     .sub = &accuracy_schema,
     .doc = "what it must reach; as good as it gets when left out"},
    {.key = "precision",
     CFG_FIELD(RawTarget, precision),
     .type = CFG_ENUM,
     .names = precision_names,
     CFG_WHERE(RawTarget, precision_loc),
     .otherwise = "int8",
     .doc = "of the values on the device"},
    {.key = "input_by",
     CFG_FIELD(RawTarget, input),
     .type = CFG_ENUM,
     .names = input_names,
     .otherwise = "whole",
     .doc = "rows: given row by row as it comes, with less RAM (NAME_push_rows)"},
    {.key = "code",
     CFG_FIELD(RawTarget, code),
     .type = CFG_GROUP,
     .sub = &code_schema,
     .doc = "the form of the C that is written"},
    {.key = "variants",
     CFG_FIELD(RawTarget, variants),
     .type = CFG_GROUP,
     .sub = &variant_schema,
     .plain = "n",
     CFG_WHERE(RawTarget, variants_loc),
     .doc = "so many models in one image that share their weights, from the widest that the limits allow to "
            "narrower ones"},
    {.key = "adapt",
     CFG_FIELD(RawTarget, adapt),
     .type = CFG_GROUP,
     .sub = &adapt_schema,
     .plain = "layers",
     .doc = "what learns on the device (NAME_adapt_step); nothing when left out"},
    {.key = "priority",
     CFG_FIELD(RawTarget, priority),
     .type = CFG_INT,
     CFG_RANGE(-1000, 1000),
     .otherwise = "0",
     .doc = "those of a higher one are worked on first, where time is limited"},
    DESIGNERS_KEYS,
    {0}};
static const Schema target_schema = {"key", target_rows, sizeof(RawTarget)};

static const CfgRow budget_rows[] = {
    {.key = "time",
     CFG_FIELD(RawBudget, time),
     .type = CFG_SECONDS,
     CFG_ABOVE(0),
     .doc = "by the clock; training is shortened to suit, and what is not begun by then is left"},
    {0}};
static const Schema budget_schema = {"key", budget_rows, sizeof(RawBudget)};

static const CfgRow deploy_rows[] = {
    {.key = "design",
     CFG_FIELD(RawDeploy, design),
     .type = CFG_PATH,
     .path = CFG_FILE,
     CFG_WHERE(RawDeploy, design_loc),
     .required = true,
     .doc = "the design.yaml of the model's designer"},
    {.key = "seed",
     CFG_FIELD(RawDeploy, seed),
     .type = CFG_INT,
     CFG_FROM(0),
     .otherwise = "1",
     .doc = "of everything random: equal seeds give equal results"},
    {.key = "cache",
     CFG_FIELD(RawDeploy, cache),
     .type = CFG_PATH,
     .otherwise = ".mistify",
     .doc = "folder for finished steps, so that none is done twice"},
    {.key = "out",
     CFG_FIELD(RawDeploy, out),
     .type = CFG_PATH,
     .otherwise = "out",
     .doc = "folder for the results, one folder in it per target"},
    {.key = "threads",
     CFG_FIELD(RawDeploy, threads),
     .type = CFG_INT,
     CFG_RANGE(0, 1024),
     .otherwise = "0",
     .doc = "0: as many as there are processors; results do not depend on it, a plan for a time budget does"},
    {.key = "budget",
     CFG_FIELD(RawDeploy, budget),
     .type = CFG_GROUP,
     .sub = &budget_schema,
     .doc = "what the whole run may take"},
    TARGETS_ROW(RawDeploy),
    DESIGNERS_KEYS,
    FOREIGN("name"),
    FOREIGN("task"),
    FOREIGN("metric"),
    FOREIGN("input"),
    FOREIGN("train"),
    {0}};
const Schema deploy_schema = {"key", deploy_rows, sizeof(RawDeploy)};

typedef struct RawRequest {
  const char *design;
  Loc design_loc;
  CfgList targets; /* RawTarget */
} RawRequest;

static const CfgRow request_rows[] = {
    {.key = "design",
     CFG_FIELD(RawRequest, design),
     .type = CFG_PATH,
     .path = CFG_FILE,
     CFG_WHERE(RawRequest, design_loc),
     .doc = "that of the deploy.yaml to which these requests are added; may be left out"},
    TARGETS_ROW(RawRequest),
    DESIGNERS_KEYS,
    {0}};
const Schema request_schema = {"key", request_rows, sizeof(RawRequest)};

/* ---- Rules among the keys */

static bool check_name(const Deploy *dep, int i, Diag *d) {
  const DeployTarget *t = &dep->targets[i];
  for (int k = 0; k < i; k++) {
    if (strcmp(dep->targets[k].name, t->name) != 0) continue;
    yaml_error(t->file, &t->name_loc, d, "a second target named \"%s\"", t->name);
    diag_hint(d, "the first is on line %d of %s; each needs a name of its own", dep->targets[k].name_loc.line,
              path_base(dep->targets[k].file->path));
    return false;
  }
  bool ok = isalnum((unsigned char)t->name[0]) && strlen(t->name) <= 64;
  for (const char *p = t->name; *p; p++) ok = ok && (isalnum((unsigned char)*p) || strchr("._-", *p));
  if (ok) return true;
  yaml_error(t->file, &t->name_loc, d, "target name \"%.64s\": want letters, digits, \".\", \"_\" and \"-\"",
             t->name);
  diag_hint(d, "it becomes the name of a folder");
  return false;
}

static bool check_device(Arena *a, DeployTarget *t, Diag *d) {
  if (!t->board == !t->target) {
    yaml_error(t->file, t->board ? &t->target_loc : &t->name_loc, d,
               t->board ? "target \"%s\" has both board and target"
                        : "target \"%s\" has neither board nor target",
               t->name);
    diag_hint(d, t->board ? "keep one: a board knows its target"
                          : "`mistify boards` and `mistify targets` list them");
    return false;
  }
  const char *ext = t->board ? path_ext(t->board) : "";
  if (strcmp(ext, ".yaml") != 0 && strcmp(ext, ".yml") != 0) return true;
  const char *dir = strcmp(t->file->dir, ".") == 0 ? NULL : t->file->dir;
  t->board = path_join(a, dir, t->board);
  if (file_exists(t->board) && !file_is_dir(t->board)) return true;
  yaml_error(t->file, &t->board_loc, d, "board file %s does not exist", t->board);
  diag_hint(d, "paths start at the folder of %s; `mistify boards` lists the shipped boards",
            path_base(t->file->path));
  return false;
}

static bool check_accuracy(const YamlFile *file, const RawAccuracy *x, Diag *d) {
  if (!x->min_loc.line || !x->drop_loc.line) return true;
  yaml_error(file, &x->drop_loc, d, "accuracy wants min or drop, not both");
  diag_hint(d, "min: an absolute floor; drop: points below the original");
  return false;
}

static bool check_freedom(const Deploy *dep, const DeployTarget *t, Diag *d) {
  if (t->precision != PRECISION_INT8 || dep->design->quantize != QUANTIZE_NONE) return true;
  const Loc *at = t->precision_loc.line ? &t->precision_loc : &t->name_loc;
  yaml_error(t->file, at, d, "target \"%s\" is int8, which the design does not allow (%s:%d, quantize: none)",
             t->name, dep->design->file->path, dep->design->quantize_loc.line);
  diag_hint(d, "write \"precision: float32\", or ask the designer");
  return false;
}

static bool check_adapt(const DeployTarget *t, Diag *d) {
  const char *layers = deploy_adapts[t->adapt.layers];
  if (!t->adapt.rank_loc.line || strcmp(layers, "adapters") == 0) return true;
  yaml_error(t->file, &t->adapt.rank_loc, d,
             "target \"%s\": rank is of adapters, and layers of `adapt` is %s", t->name, layers);
  diag_hint(d, "write `layers: adapters`, or leave rank out");
  return false;
}

/* What a target with variants cannot be; NULL: nothing is in their way. */
static const char *against_variants(const Design *design, const DeployTarget *t, const char **hint) {
  const DeployRam *ram = &t->limits.ram;
  *hint = "leave one of both out";
  if (t->precision != PRECISION_INT8) return "variants share int8 weights, and this target is float32";
  if (t->input == DEPLOY_INPUT_ROWS)
    return "variants take their input whole, and this target takes it row by row";
  if (t->code.weights || t->code.step) return "variants are code as a whole: no `weights: blob`, no `step`";
  if (ram->fast_loc.line || ram->main_loc.line || ram->external_loc.line)
    return "variants share one arena, which lies in one memory";
  *hint = "25% is the default";
  if (!(t->variants_least > 0 && t->variants_least < 1))
    return "least of variants: want more than 0 % and less than 100 %";
  *hint = "its designer may add `prune: {}` and `retrain: {}` to its freedom";
  if (!design->prune_loc.line || !design->retrain_loc.line)
    return "variants are pruned and trained together, which the design does not allow";
  *hint = "compose it of standard operators";
  if (design->custom) return "variants cannot have custom operators, and the design's model has";
  return NULL;
}

static bool check_variants(const Deploy *dep, const DeployTarget *t, Diag *d) {
  const char *hint = NULL, *why = t->variants_loc.line ? against_variants(dep->design, t, &hint) : NULL;
  if (!why) return true;
  yaml_error(t->file, &t->variants_loc, d, "target \"%s\": %s", t->name, why);
  diag_hint(d, "%s", hint);
  return false;
}

static DeployTarget target_of(const RawTarget *raw, const YamlFile *file, Loc loc) {
  const RawAccuracy *floors = &raw->variants.accuracy;
  return (DeployTarget){.file = file,
                        .name = raw->name,
                        .board = raw->board,
                        .target = raw->target,
                        .loc = loc,
                        .board_loc = raw->board_loc,
                        .target_loc = raw->target_loc,
                        .name_loc = raw->name_loc,
                        .limits = raw->limits,
                        .limits_loc = raw->limits_loc,
                        .accuracy_min = raw->accuracy.min,
                        .accuracy_drop = raw->accuracy.drop,
                        .accuracy_min_loc = raw->accuracy.min_loc,
                        .accuracy_drop_loc = raw->accuracy.drop_loc,
                        .precision = (DeployPrecision)raw->precision,
                        .precision_loc = raw->precision_loc,
                        .input = (DeployInput)raw->input,
                        .code = raw->code,
                        .variants = raw->variants_loc.line ? raw->variants.n : 0,
                        .variants_least = raw->variants.least,
                        .variants_min = floors->min_loc.line ? floors->min : 0,
                        .variants_drop = floors->drop_loc.line ? floors->drop : 0,
                        .variants_loc = raw->variants_loc,
                        .adapt = raw->adapt,
                        .priority = raw->priority};
}

/* Targets of `file`, behind those that there are. */
static bool bind_targets(Deploy *dep, const YamlFile *file, const CfgList *list, Arena *a, Diag *d) {
  bool ok = true;
  DeployTarget *all = arena_array(a, (size_t)(dep->n_targets + list->n), sizeof *all);
  if (dep->n_targets) memcpy(all, dep->targets, (size_t)dep->n_targets * sizeof *all);
  dep->targets = all;
  for (int i = 0; i < list->n; i++) {
    DeployTarget *t = &dep->targets[dep->n_targets++];
    const RawTarget *raw = (const RawTarget *)list->items + i;
    *t = target_of(raw, file, list->locs[i]);
    ok = check_name(dep, dep->n_targets - 1, d) && ok;
    ok = check_device(a, t, d) && ok;
    ok = check_adapt(t, d) && ok;
    ok = check_accuracy(file, &raw->accuracy, d) && ok;
    ok = check_accuracy(file, &raw->variants.accuracy, d) && ok;
    ok = (!dep->design || (check_freedom(dep, t, d) && check_variants(dep, t, d))) && ok;
  }
  return ok && dep->design;
}

Deploy *deploy_load_with(Arena *a, const char *path, const char *design, Diag *d) {
  Deploy *dep = arena_alloc(a, sizeof *dep);
  RawDeploy raw;
  dep->file = yaml_load(a, path, d);
  if (!dep->file || !config_bind(dep->file, dep->file->root, &deploy_schema, &raw, a, d)) return NULL;
  dep->design_loc = raw.design_loc;
  dep->seed = raw.seed;
  dep->threads = raw.threads;
  dep->time = raw.budget.time;
  dep->cache = raw.cache;
  dep->out = raw.out;
  dep->design = design_load(a, design ? design : raw.design, d);
  return bind_targets(dep, dep->file, &raw.targets, a, d) ? dep : NULL;
}

Deploy *deploy_load(Arena *a, const char *path, Diag *d) { return deploy_load_with(a, path, NULL, d); }

bool deploy_add(Arena *a, Deploy *dep, const char *path, Diag *d) {
  RawRequest raw;
  const YamlFile *file = yaml_load(a, path, d);
  TRY(file && config_bind(file, file->root, &request_schema, &raw, a, d));
  if (raw.design && !file_same(raw.design, dep->design->file->path)) {
    yaml_error(file, &raw.design_loc, d, "another design than that of %s", dep->file->path);
    diag_hint(d, "requests of one run are of one design; leave the key out, or run tailor for each design");
    return false;
  }
  return bind_targets(dep, file, &raw.targets, a, d);
}

/* ---- Bounds */

static bool memory_bound(const DeployTarget *t, const char *what, int64_t limit, const Loc *loc,
                         const char *board, int64_t of_board, int64_t *out, Diag *d) {
  *out = limit ? limit : of_board;
  if (!limit || !of_board || limit <= of_board) return true;
  char size[64];
  unit_format_bytes(of_board, size, sizeof size);
  yaml_error(t->file, loc, d, "limit \"%s\" is more than the board %s has (%s)", what, board, size);
  diag_hint(d, "leave the limit away to use all that the board has");
  return false;
}

/* ---- RAM by region */

/* The bytes of one memory that may be used: the limit, else all that the board has of it. Of a target, whose memories are
 * not known, what is given. */
static bool region_bound(const DeployTarget *t, const char *what, int64_t limit, const Loc *loc,
                         const DeployBoard *board, int64_t of_board, int64_t *out, Diag *d) {
  *out = loc->line ? limit : of_board;
  if (!loc->line || !limit || !board->ram) return true;
  if (of_board) return memory_bound(t, what, limit, loc, board->name, of_board, out, d);
  yaml_error(t->file, loc, d, "limit \"%s\": the board %s has no such memory", what, board->name);
  diag_hint(d, "it has%s main%s; memories are `fast` and `external` in a board's YAML file",
            board->fast ? " fast and" : "", board->external ? " and external" : "");
  return false;
}

static void add_region(DeployBounds *out, const char *name, int64_t bytes) {
  out->region[out->n_regions].name = name;
  out->region[out->n_regions++].bytes = bytes;
}

/* Who asks for one memory has them all used, each within its bound; their sum bounds the whole. */
static bool ram_bounds(const DeployTarget *t, const DeployBoard *board, DeployBounds *out, Diag *d) {
  const DeployRam *l = &t->limits.ram;
  const bool apart = l->fast_loc.line || l->main_loc.line || l->external_loc.line;
  int64_t fast, main, external;
  const int64_t whole = apart && board->ram ? board->ram + board->external : board->ram;
  bool ok = memory_bound(t, "ram", l->all, &l->all_loc, board->name, whole, &out->ram, d);
  if (!apart) return ok;
  ok = region_bound(t, "fast", l->fast, &l->fast_loc, board, board->fast, &fast, d) && ok;
  ok = region_bound(t, "main", l->main, &l->main_loc, board, board->ram - board->fast, &main, d) && ok;
  ok = region_bound(t, "external", l->external, &l->external_loc, board, board->external, &external, d) && ok;
  if (l->external && !main && !board->ram) {
    yaml_error(t->file, &l->external_loc, d,
               "limit \"external\" of a target without a board wants \"main\" too");
    diag_hint(d, "nobody knows when the main memory is full: add main: SIZE, or name a board");
    return false;
  }
  if (fast) add_region(out, "fast", fast);
  add_region(out, "main", main);
  if (external) add_region(out, "external", external);
  const int64_t sum = main ? fast + main + external : 0;
  if (sum && (!l->all || sum < l->all)) out->ram = sum;
  return ok;
}

static void fewer_cycles(double cycles, int64_t *out) {
  const int64_t most = cycles >= 1 ? (int64_t)floor(cycles) : 1;
  if (!*out || most < *out) *out = most;
}

/* Cycles within the limits of cycles, latency and energy: the fewest. */
static bool cycle_bound(const DeployTarget *t, const DeployBoard *board, int64_t *out, Diag *d) {
  const DeployLimits *l = &t->limits;
  *out = l->cycles;
  if (l->latency_loc.line && board->hz <= 0) {
    yaml_error(t->file, &l->latency_loc, d, "a latency wants a board whose clock is known");
    diag_hint(d, board->name ? "give its YAML file a clock, or write a limit of cycles"
                             : "name a board instead of a target, or write a limit of cycles");
    return false;
  }
  if (l->energy_loc.line && board->joules <= 0) {
    yaml_error(t->file, &l->energy_loc, d, "an energy wants a board whose joules per cycle are known");
    diag_hint(
        d,
        "write a board's YAML file with energy_per_cycle (its data sheet's uA/MHz x V is pJ), or a limit of "
        "cycles");
    return false;
  }
  if (l->latency_loc.line) fewer_cycles(l->latency * board->hz, out);
  if (l->energy_loc.line) fewer_cycles(l->energy / board->joules, out);
  return true;
}

bool deploy_bounds(const DeployTarget *t, const DeployBoard *board, int64_t original_macs, DeployBounds *out,
                   Diag *d) {
  const DeployLimits *l = &t->limits;
  *out = (DeployBounds){0};
  bool ok = memory_bound(t, "flash", l->flash, &l->flash_loc, board->name, board->flash, &out->flash, d);
  ok = ram_bounds(t, board, out, d) && ok;
  ok = cycle_bound(t, board, &out->cycles, d) && ok;
  out->macs = (int64_t)(l->macs.share ? floor(l->macs.value * (double)original_macs) : l->macs.value);
  return ok;
}

double deploy_floor(const DeployTarget *t, double original) {
  if (t->accuracy_min_loc.line > 0) return t->accuracy_min;
  if (t->accuracy_drop_loc.line > 0) return fmax(0, original - t->accuracy_drop);
  return 0;
}
