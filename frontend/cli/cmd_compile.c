/* mistify compile: a model as it is, as C for one target: PREPARE_PASSES, then emission. No retraining, no change of
 * precision. The estimate stands against the board's memory; exit status 2 when it does not fit (the C is written).
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "frontend/cli/cli.h"
#include "frontend/cli/code_form.h"
#include "frontend/cli/drift.h"
#include "frontend/cli/firmware.h"
#include "frontend/cli/folder.h"
#include "frontend/cli/validate.h"
#include "frontend/config/design.h"
#include "ir/base/file.h"

typedef struct CompileOpts {
  CommonOpts common;
  ArgList models;
  const char *target, *board, *name, *out, *rounding, *custom, *input, *optimize, *winograd, *kernels,
      *design, *adapt;
  int64_t ram, hop;
  CodeForm form;
  bool force, share_arena, regions, family, exits, validate, controller;
} CompileOpts;

static const Opt opts[] = {
    {"MODEL", OPT_PARAMS, offsetof(CompileOpts, models), true, NULL,
     "model file (.onnx, .tflite, .ir, .mistify); several for one program"},
    {"--target", OPT_STRING, offsetof(CompileOpts, target), false, "T",
     "target (mistify targets lists them)"},
    {"--board", OPT_STRING, offsetof(CompileOpts, board), false, "B",
     "board instead: its target, flash and RAM"},
    {"-o", OPT_STRING, offsetof(CompileOpts, out), true, "DIR", "folder to write"},
    {"--name", OPT_STRING, offsetof(CompileOpts, name), false, "N",
     "prefix of the C functions (default: from the file's name); A,B of several models"},
    {"--input", OPT_STRING, offsetof(CompileOpts, input), false, "HOW",
     "whole (default), or rows: given row by row as it comes (NAME_push_rows)"},
    {"--regions", OPT_FLAG, offsetof(CompileOpts, regions), false, NULL,
     "with --board: working memory in all its memories, hot values in the fast one (NAME_arena_fast, ...)"},
    {"--hop", OPT_INT, offsetof(CompileOpts, hop), false, "ROWS",
     "with --input rows: windows that overlap, each so many rows behind the one before; what they share is "
     "computed once"},
    {"--ram", OPT_INT, offsetof(CompileOpts, ram), false, "BYTES",
     "within so much RAM: fewest kernel calls, or else patches (default: least RAM)"},
    {"--force", OPT_FLAG, offsetof(CompileOpts, force), false, NULL,
     "write into a folder that holds other files"},
    {"--optimize", OPT_STRING, offsetof(CompileOpts, optimize), false, "HOW",
     "balanced (the default): on Cortex-M a byte of a kernel's code must save a cycle of an inference; size: "
     "a "
     "hundred cycles; speed: the fastest at any size, convolutions of the layers' own shapes"},
    {"--winograd", OPT_STRING, offsetof(CompileOpts, winograd), false, "HOW",
     "on (the default): float 3x3 convolutions by Winograd's method where a target's "
     "kernels have it; off: as sums of products"},
    {"--format", OPT_STRING, offsetof(CompileOpts, form.format), false, "F",
     "single (default): model.c holds all; split: weights.c, kernels/ apart"},
    {"--step", OPT_FLAG, offsetof(CompileOpts, form.step), false, NULL,
     "NAME_step as well: a run in pieces of a layer, or a row each of a chain"},
    {"--weights", OPT_STRING, offsetof(CompileOpts, form.weights), false, "HOW",
     "code (default), or blob: NAME_weights.bin, bound at run time, versioned and "
     "checked (NAME_bind_weights)"},
    {"--weights-section", OPT_STRING, offsetof(CompileOpts, form.section), false, "S",
     "linker section of the weights (default: the compiler's)"},
    {"--weights-align", OPT_INT, offsetof(CompileOpts, form.align), false, "BYTES",
     "alignment of every weight array (default: what kernels want)"},
    {"--design", OPT_STRING, offsetof(CompileOpts, design), false, "FILE",
     "design.yaml: its normalization of a camera's bytes for model_io.h, its training data for --drift"},
    {"--drift", OPT_INT, offsetof(CompileOpts, form.drift), false, "N",
     "NAME_drift_* as well: a monitor that says when inputs and confidence are no longer those of --design's "
     "training data, one false alarm in N inferences (10000)"},
    {"--kernels", OPT_STRING, offsetof(CompileOpts, kernels), false, "HOW",
     "own (default), or shared: DIR/NAME/ for the model, kernels in DIR/kernels/ for "
     "all models of a program (several models: always)"},
    {"--share-arena", OPT_FLAG, offsetof(CompileOpts, share_arena), false, NULL,
     "one arena for all models of the program, as large as the largest wants"},
    {"--family", OPT_FLAG, offsetof(CompileOpts, family), false, NULL,
     "the models are int8 variants of one, widest first, whose weights are slices of the widest one's: one "
     "image for all, NAME_run(ctx, variant)"},
    {"--exits", OPT_FLAG, offsetof(CompileOpts, exits), false, NULL,
     "the model's outputs are exits, the earliest first (pass exits makes them): variants of which each ends "
     "there, "
     "NAME_run(ctx, variant), NAME_continue"},
    {"--validate", OPT_FLAG, offsetof(CompileOpts, validate), false, NULL,
     "with --family or --exits: how often each variant is right on --design's validation split, for "
     "NAME_select"},
    {"--controller", OPT_FLAG, offsetof(CompileOpts, controller), false, NULL,
     "with --family or --exits: NAME_controller_*, which picks a variant from deadline, energy and "
     "confidence"},
    {"--adapt", OPT_STRING, offsetof(CompileOpts, adapt), false, "LAYERS",
     "int8 models: NAME_adapt_step and its kin, which learn on the device: last, bias, scale, adapters or "
     "last-k; with "
     ",memory=SIZE within so much RAM beside inference, with ,k=N at most N layers before the last one, with "
     ",rank=N adapters of that rank (docs/adaptation.md)"},
    ROUNDING_OPT(CompileOpts),
    CUSTOM_OPT(CompileOpts),
    {0}};

/* One model: what it is called, where it goes, what it costs. */
typedef struct Part {
  const char *model, *name, *dir;
  Graph *g; /* prepared */
  Cost cost;
  AdaptSizes adapt; /* of --adapt */
  int64_t macs;     /* of the model as it is: patches repeat some */
} Part;

/* What is estimated against what the board has. */
typedef struct Build {
  const CompileOpts *o;
  Machine machine;
  bool shared; /* the folder of several models */
  Part *parts;
  int n;
  Cost cost;        /* of all */
  FamilyCost exits; /* of --exits */
  int n_exits;
  int64_t flash, ram; /* limits; 0: none */
  bool fits;
} Build;

static void print_line(Arena *a, const char *what, int64_t have, int64_t limit) {
  printf("  %-6s %12s bytes", what, cli_count(a, have));
  if (limit) printf("  of %s%s", cli_count(a, limit), have > limit ? "  DOES NOT FIT" : "");
  putchar('\n');
}

static void print_parts(Arena *a, const Build *b) {
  Table t;
  table_begin(&t, a, "<model,<folder,>flash,>RAM,>cycles");
  for (int i = 0; i < b->n; i++) {
    const Part *p = &b->parts[i];
    table_cell(&t, "%s", p->name);
    table_cell(&t, "%s", p->dir);
    table_count(&t, p->cost.flash);
    table_count(&t, p->cost.ram);
    table_count(&t, p->cost.cycles);
  }
  table_print(&t);
  printf("all together, kernels that models share counted for each:\n");
}

/* Flash and RAM of each as it would be alone; cycles with the kernels that the family has. */
static void print_family(Arena *a, const Build *b) {
  Table t;
  table_begin(&t, a, ">variant,<model,>flash alone,>RAM alone,>cycles,>MACs");
  for (int i = 0; i < b->n; i++) {
    const Part *p = &b->parts[i];
    table_cell(&t, "%d", i);
    table_cell(&t, "%s", p->model);
    table_count(&t, p->cost.flash);
    table_count(&t, p->cost.ram);
    table_count(&t, p->cost.cycles);
    table_count(&t, p->cost.macs);
  }
  table_print(&t);
  printf("all in one image, weights once:\n");
}

static void print_exits(Arena *a, const Build *b) {
  Table t;
  table_begin(&t, a, ">variant,>cycles,>of all");
  for (int i = 0; i < b->n_exits; i++) {
    table_cell(&t, "%d", i);
    table_count(&t, b->exits.cycles[i]);
    table_cell(&t, "%.1f %%", 100.0 * (double)b->exits.cycles[i] / (double)b->exits.cycles[0]);
  }
  table_print(&t);
}

/* What learns, what it takes, and what does not learn for which reason. */
static void print_adaptation(Arena *a, const Build *b, int i) {
  const AdaptSizes *s = &b->parts[i].adapt;
  const char *name = b->parts[i].name;
  printf("%s adapts (%s): of the RAM %s bytes of state and %s more of arena; biases%s of %d of %d layers",
         name, device_adapt_name(s->form), cli_count(a, s->state), cli_count(a, s->arena),
         s->form == DEVICE_ADAPT_SCALE ? " and multipliers" : "", s->biases, s->layers);
  if (s->form == DEVICE_ADAPT_LAST_K) printf(", weights of %d of these", s->learning);
  if (s->rank && s->adapters == s->biases) printf(", adapters of rank %d behind these", s->rank);
  if (s->rank && s->adapters < s->biases)
    printf(", adapters of rank %d behind %d of these (the others are too wide)", s->rank, s->adapters);
  printf("\n");
  if (s->narrow)
    printf("%s: fewer channels than the rank in %d of these layers: it is more than they need\n", name,
           s->narrow);
  printf("%s: once a state is bound a run takes about %s instructions more than the cycles above\n", name,
         cli_count(a, s->learned));
  if (s->turns)
    printf("%s: layers go row by row for it, which the cycles above count, with a state or without\n", name);
  if (s->biases && s->biases < s->layers)
    printf("%s: %d layers, the nearest to the input, stay as they are, by memory or k\n", name,
           s->layers - s->biases);
  if (s->beyond)
    printf("%s: its way back ends at kernel %s: %d layers before it stay as they are\n", name, s->ends,
           s->beyond);
}

static void print_text(Arena *a, const Build *b) {
  const Machine *m = &b->machine;
  printf("%s: C for %s%s%s\n", b->o->out, m->target->name, m->has_board ? " on " : "",
         m->has_board ? m->board.name : "");
  printf("estimated:\n");
  if (b->n > 1 && !b->o->family) print_parts(a, b);
  if (b->o->family) print_family(a, b);
  if (b->o->exits) print_exits(a, b);
  print_line(a, "flash", b->cost.flash, b->flash);
  print_line(a, "RAM", b->cost.ram, b->ram);
  if (b->n == 1 || b->o->family)
    printf("  %-6s %12s of one inference%s (%s MACs)\n", "cycles", cli_count(a, b->cost.cycles),
           b->o->family  ? " of the widest"
           : b->o->exits ? " to the end"
                         : "",
           cli_count(a, b->cost.macs));
  for (int i = 0; i < b->n; i++) {
    const Part *p = &b->parts[i];
    if (p->cost.macs != p->macs)
      printf("%s in patches, to stay within its RAM: some layers in bands of columns (%+.1f %% MACs)\n",
             p->name, 100.0 * (double)(p->cost.macs - p->macs) / (double)p->macs);
  }
  for (int i = 0; i < b->n; i++) {
    if (b->parts[i].adapt.state) print_adaptation(a, b, i);
  }
  for (int i = 0; i < (b->o->family ? 1 : b->n) && !b->o->common.quiet; i++)
    printf("mistify verify %s builds and runs it\n", b->parts[i].dir);
}

static void json_cost(JsonWriter *w, const Cost *c) {
  json_kint(w, "flash", c->flash);
  json_kint(w, "flash_weights", c->flash_weights);
  json_kint(w, "ram", c->ram);
  json_kint(w, "cycles", c->cycles);
  json_kint(w, "macs", c->macs);
  json_kint(w, "params", c->params);
}

static void json_adaptation(JsonWriter *w, const AdaptSizes *s) {
  if (!s->state) return;
  json_kobject(w, "adapt");
  json_kint(w, "state", s->state);
  json_kint(w, "arena", s->arena);
  json_kint(w, "biases", s->biases);
  json_kint(w, "layers", s->layers);
  json_kstr(w, "form", device_adapt_name(s->form));
  json_kint(w, "weights", s->learning);
  json_kint(w, "rank", s->rank);
  json_kint(w, "adapters", s->adapters);
  json_kbool(w, "row_by_row", s->turns);
  json_kint(w, "learned_instructions", s->learned);
  json_end(w);
}

static void json_parts(JsonWriter *w, const Build *b) {
  json_karray(w, "models");
  for (int i = 0; i < b->n; i++) {
    json_object(w);
    json_kstr(w, "name", b->parts[i].name);
    json_kstr(w, "folder", b->parts[i].dir);
    json_cost(w, &b->parts[i].cost);
    json_adaptation(w, &b->parts[i].adapt);
    json_end(w);
  }
  json_end(w);
}

static void print_json(const Build *b) {
  JsonWriter w;
  StrBuf text;
  cli_json_begin(&w, &text);
  json_object(&w);
  json_kstr(&w, "folder", b->o->out);
  json_kstr(&w, "target", b->machine.target->name);
  json_kstr(&w, "board", b->machine.has_board ? b->machine.board.name : NULL);
  json_cost(&w, &b->cost);
  if (b->flash) json_kint(&w, "flash_limit", b->flash);
  if (b->ram) json_kint(&w, "ram_limit", b->ram);
  json_kbool(&w, "fits", b->fits);
  if (b->n == 1) json_adaptation(&w, &b->parts[0].adapt);
  if (b->shared || b->o->family) json_parts(&w, b);
  json_end(&w);
  cli_json_end(&w, &text);
}

static bool by_rows(const CompileOpts *o) { return o->input && strcmp(o->input, "rows") == 0; }

static bool check_input(const CompileOpts *o, Diag *d) {
  FAIL_IF(o->input && !by_rows(o) && strcmp(o->input, "whole") != 0, d, NULL,
          "--input %s: want whole or rows", o->input);
  FAIL_IF(o->form.drift && !o->design, d, NULL,
          "--drift: want --design too: what is usual is taken from its training data");
  FAIL_IF(o->form.drift < 0, d, NULL, "--drift %lld: want inferences, 1 or more", (long long)o->form.drift);
  FAIL_IF(o->hop && (!by_rows(o) || o->hop < 1 || o->hop > INT32_MAX), d, NULL,
          "--hop %lld: want 1 or more, and --input rows", (long long)o->hop);
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

/* -- names and folders -- */

/* Number i of the names in "A,B"; NULL: there are fewer. */
static const char *name_at(Arena *a, const char *names, size_t i) {
  for (; names && i > 0; i--) {
    names = strchr(names, ',');
    if (names) names++;
  }
  return names ? arena_strndup(a, names, strcspn(names, ",")) : NULL;
}

static bool check_names(const Build *b, Diag *d) {
  for (int i = 0; i < b->n; i++)
    for (int k = 0; k < i; k++)
      if (strcasecmp(b->parts[i].name, b->parts[k].name) == 0) {
        diag_error(d, NULL, "%s and %s: would both be called %s", b->parts[k].model, b->parts[i].model,
                   b->parts[i].name);
        diag_hint(d, "give the models names: --name A,B");
        return false;
      }
  return true;
}

static bool read_kernels(const CompileOpts *o, bool *shared, Diag *d) {
  const char *s = o->kernels;
  FAIL_IF(s && strcmp(s, "own") != 0 && strcmp(s, "shared") != 0, d, NULL, "--kernels %s: want own or shared",
          s);
  *shared = (o->models.n > 1 && !o->family) || o->share_arena || (s && strcmp(s, "shared") == 0);
  FAIL_IF(s && *shared && strcmp(s, "own") == 0, d, NULL,
          "--kernels own: several models of one program share their kernels");
  return true;
}

static bool name_parts(Arena *a, Build *b, Diag *d) {
  const CompileOpts *o = b->o;
  b->n = (int)o->models.n;
  b->parts = arena_array(a, o->models.n, sizeof *b->parts);
  FAIL_IF(name_at(a, o->name, o->family ? 1 : o->models.n), d, NULL, "--name %s: more names than models",
          o->name);
  for (int i = 0; i < b->n; i++) {
    Part *p = &b->parts[i];
    p->model = o->models.v[i];
    p->name = name_at(a, o->name, (size_t)i);
    if (!p->name) p->name = cli_model_name(a, p->model);
    if (o->family) p->name = b->parts[0].name;
    p->dir = b->shared ? path_join(a, o->out, p->name) : o->out;
  }
  return o->family || check_names(b, d);
}

static bool check_folders(Arena *a, const Build *b, Diag *d) {
  const bool force = b->o->force;
  if (b->shared) TRY(folder_check(b->o->out, force, firmware_is(a, b->o->out), d));
  for (int i = 0; i < b->n; i++)
    TRY(folder_check(b->parts[i].dir, force, folder_is_emitted(a, b->parts[i].dir), d));
  return true;
}

/* -- the work -- */

static bool load(const CompileOpts *o, Part *p, Diag *d) {
  Graph *g = cli_load_with(p->model, &(LoadOpts){o->rounding, o->custom}, d);
  if (!g) return false;
  p->g = cli_prepare(g, d);
  graph_free(g);
  return p->g != NULL;
}

/* What the monitor of drift compares with. */
static bool read_drift(const CompileOpts *o, const Graph *g, EmitOptions *e, DriftReference *out, Diag *d) {
  Arena *a = arena_new();
  const Design *design = o->form.drift ? design_load(a, o->design, d) : NULL;
  const bool ok =
      !o->form.drift || (design && cli_drift_design(g, &design->data, by_rows(o), o->form.drift, out, d));
  if (design) e->drift = out;
  arena_free(a);
  return ok;
}

/* How often each variant is right, where that is asked, of an image that can be emitted: an evaluation takes a while. */
static bool read_accuracy(const CompileOpts *o, FamilyMember *m, int n, const Target *t, EmitOptions e,
                          Diag *d) {
  if (!o->validate) return true;
  FAIL_IF(!o->design, d, NULL, "--validate wants --design, whose validation split it reads");
  e.out_dir = NULL;
  TRY(o->exits ? emit_exits(m[0].g, NULL, t, &e, NULL, d) : emit_family(m, n, t, &e, NULL, d));
  return cli_validate_asked(m, n, o->exits, o->design, &o->common, d);
}

static bool emit_variants(Build *b, const Target *t, EmitOptions e, Diag *d) {
  FamilyMember m[EMIT_VARIANTS] = {{0}};
  FamilyCost cost;
  FAIL_IF(b->n > EMIT_VARIANTS, d, NULL, "--family: %d models; want at most %d", b->n, EMIT_VARIANTS);
  for (int i = 0; i < b->n; i++) m[i].g = b->parts[i].g;
  e.name = b->parts[0].name;
  e.out_dir = b->parts[0].dir;
  DriftReference drift;
  TRY(read_drift(b->o, b->parts[0].g, &e, &drift, d) && read_accuracy(b->o, m, b->n, t, e, d) &&
      emit_family(m, b->n, t, &e, &cost, d));
  b->cost = cost.image;
  for (int i = 0; i < b->n; i++) b->parts[i].cost.cycles = cost.cycles[i];
  return true;
}

/* The outputs of one model. */
static bool emit_one_with_exits(Build *b, const Target *t, EmitOptions e, Diag *d) {
  FAIL_IF(b->n != 1, d, NULL, "--exits: %d models; want one, whose outputs are the exits", b->n);
  const Graph *g = b->parts[0].g;
  FamilyMember m[EMIT_VARIANTS] = {{.g = g}};
  e.name = b->parts[0].name;
  e.out_dir = b->parts[0].dir;
  DriftReference drift;
  TRY(read_drift(b->o, g, &e, &drift, d) && read_accuracy(b->o, m, (int)g->n_outputs, t, e, d) &&
      emit_exits(g, m, t, &e, &b->exits, d));
  b->cost = b->exits.image;
  b->n_exits = (int)b->parts[0].g->n_outputs;
  return true;
}

/* All models are read and planned before the first is written. */
static bool emit_parts(Build *b, const Target *t, EmitOptions e, Diag *d) {
  PlanOptions within;
  for (int i = 0; i < b->n; i++) {
    Part *p = &b->parts[i];
    TRY(load(b->o, p, d) && backend_cost_planned(p->g, t, e.plan, &p->cost, d));
    p->macs = graph_macs(p->g);
  }
  if (b->n == 1 && !b->o->family && !b->o->ram && b->machine.board.ram && !b->machine.board.external &&
      b->parts->cost.ram > b->machine.board.ram) {
    within = target_plan_within(t, b->machine.board.ram, by_rows(b->o)); /* it may do in patches */
    within.hop = (int32_t)b->o->hop;
    within.whole = e.plan->whole;
    memcpy(within.region, e.plan->region, sizeof within.region);
    within.n_regions = e.plan->n_regions;
    e.plan = &within;
    TRY(backend_cost_planned(b->parts->g, t, e.plan, &b->parts->cost, d));
  }
  if (b->o->family) return emit_variants(b, t, e, d);
  if (b->o->exits) return emit_one_with_exits(b, t, e, d);
  for (int i = 0; i < b->n; i++) {
    DriftReference drift;
    e.name = b->parts[i].name;
    e.out_dir = b->parts[i].dir;
    TRY(read_drift(b->o, b->parts[i].g, &e, &drift, d));
    e.adapt_sizes = &b->parts[i].adapt;
    TRY(emit_c(b->parts[i].g, t, &e, d));
    b->parts[i].cost.ram += b->parts[i].adapt.state + b->parts[i].adapt.arena;
    if (b->parts[i].adapt.state) b->parts[i].cost.cycles = b->parts[i].adapt.cycles;
  }
  return true;
}

/* The designer's normalization of bytes. */
static bool read_pixels(Arena *a, const CompileOpts *o, EmitOptions *e, Diag *d) {
  if (!o->design) return true;
  const Design *design = design_load(a, o->design, d);
  if (!design) return false;
  code_pixels(&design->data.normalize, e);
  return true;
}

static bool emit(Arena *a, Build *b, Diag *d) {
  const CompileOpts *o = b->o;
  Optimize optimize = OPT_BALANCED;
  Target target = *b->machine.target;
  TRY(read_optimize(o->optimize, &optimize, d));
  target.optimize = optimize;
  TRY(read_winograd(o->winograd, &target, d));
  PlanOptions plan = target_plan_within(&target, o->ram, by_rows(o));
  plan.hop = (int32_t)o->hop;
  plan.whole = o->adapt || o->family || o->exits;
  if (o->regions) plan.n_regions = board_regions(&b->machine.board, plan.region);
  FAIL_IF(o->regions && !plan.n_regions, d, NULL,
          "--regions: want a --board with a \"fast\" or \"external\" memory (mistify boards)");
  EmitOptions e = {.plan = &plan,
                   .optimize = optimize,
                   .kernels = b->shared ? "../kernels" : NULL,
                   .controller = o->controller,
                   .joules_per_cycle = b->machine.has_board ? board_joules(&b->machine.board) : 0,
                   .share_arena = o->share_arena};
  CodeForm form = o->form;
  TRY(code_form_adapt(a, o->adapt, &form, d));
  FAIL_IF(o->adapt && o->family, d, NULL, "--adapt and --family do not go together yet");
  FAIL_IF(o->adapt && o->exits, d, NULL, "--adapt and --exits do not go together yet");
  FAIL_IF(o->family && o->exits, d, NULL, "--family and --exits do not go together yet");
  FAIL_IF(o->validate && !o->family && !o->exits, d, NULL, "--validate wants --family or --exits");
  bool ok = code_form_apply(&form, &e, d) && read_pixels(a, o, &e, d) && emit_parts(b, &target, e, d);
  for (int i = 0; i < b->n; i++) graph_free(b->parts[i].g);
  return ok && (!b->shared || firmware_write(a, o->out, d));
}

/* Models take turns on a shared arena; otherwise each has its own. What they learned is each one's own. */
static void add_up(Build *b) {
  int64_t states = 0;
  if (b->o->family || b->o->exits) return; /* emission has told */
  for (int i = 0; i < b->n; i++) {
    const Cost *c = &b->parts[i].cost;
    b->cost.flash += c->flash;
    b->cost.flash_weights += c->flash_weights;
    b->cost.cycles += c->cycles;
    b->cost.macs += c->macs;
    b->cost.params += c->params;
    const int64_t state = b->parts[i].adapt.state;
    states += state;
    if (!b->o->share_arena)
      b->cost.ram += c->ram - state;
    else if (c->ram - state > b->cost.ram)
      b->cost.ram = c->ram - state;
  }
  b->cost.ram += states;
}

static int compile(Arena *a, const CompileOpts *o, Diag *d) {
  Build b = {.o = o};
  if (!cli_machine(a, o->target, o->board, &b.machine, d)) return EXIT_USER;
  if (!b.machine.target) {
    diag_error(d, NULL, "mistify compile: neither --target nor --board is given");
    diag_hint(d, "mistify targets and mistify boards list them");
    return EXIT_USER;
  }
  if (!check_input(o, d) || !read_kernels(o, &b.shared, d) || !name_parts(a, &b, d) ||
      !check_folders(a, &b, d) || !emit(a, &b, d))
    return EXIT_USER;
  add_up(&b);
  b.flash = b.machine.board.flash;
  b.ram = o->ram ? o->ram : b.machine.board.ram + (o->regions ? b.machine.board.external : 0);
  b.fits = (!b.flash || b.cost.flash <= b.flash) && (!b.ram || b.cost.ram <= b.ram);
  if (o->common.json) {
    print_json(&b);
  } else {
    print_text(a, &b);
  }
  return b.fits ? EXIT_DONE : EXIT_LIMITS;
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
    "Writes model.c, model.h, model_io.h (conversions), a self-test with reference vectors, CMakeLists.txt "
    "and model.json\n"
    "into DIR. The model is neither retrained nor quantized: a float model gives float C, an int8\n"
    "model int8 C. Exit status 2: written, but by the estimate it does not fit the board or --ram.\n"
    "Several models, compiled together or with --kernels shared one after another, become one\n"
    "program: DIR/NAME/ for each, DIR/kernels/, DIR/models.h. With --family they are variants of one model\n"
    "that share weights: one model.c, NAME_run(ctx, variant), NAME_select(&budget). With --exits they are "
    "the\n"
    "outputs of one model, and NAME_continue(ctx, variant) goes on from one exit to the next.",
    "  mistify compile model.tflite --target cortex-m4 -o out\n"
    "  mistify compile model.onnx --board nucleo-l432kc --name digits -o out\n"
    "  mistify compile model.tflite --target cortex-m4 --input rows -o out\n"
    "  mistify compile wake-word.mistify --target cortex-m4 --input rows --hop 1 -o out\n"
    "  mistify compile wake.tflite words.tflite --target cortex-m4 --share-arena -o firmware\n"
    "  mistify compile model.onnx --target cortex-m4 --weights blob --step -o out\n"
    "  mistify compile out/m4/model.mistify --target cortex-m4 --design design.yaml --drift 10000 -o fw\n"
    "  mistify compile wide.mistify middle.mistify narrow.mistify --family --name digits --target cortex-m4 "
    "-o out\n"
    "  mistify compile model.tflite --board nucleo-f767zi --adapt bias,memory=64KiB -o out\n",
    opts,
    sizeof(CompileOpts),
    run};
