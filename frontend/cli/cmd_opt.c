/* mistify opt: passes over a model, one after the other, with a table of what each did. */
#include "frontend/cli/cli.h"
#include "frontend/cli/device.h"
#include "frontend/cli/plugin.h"
#include "frontend/config/design.h"
#include "frontend/config/passlist.h"
#include "passes/input_raw.h"

#include <stdio.h>
#include <string.h>

#include "ir/base/nearest.h"

typedef struct OptOpts {
  CommonOpts common;
  const char *model, *passes, *pipeline, *design, *out, *dump_after, *target, *board, *custom, *teacher;
  ArgList plugins;
  bool verify_each, no_score;
  int64_t seed, threads;
} OptOpts;

static const Opt opts[] = {
    {"MODEL", OPT_PARAM, offsetof(OptOpts, model), true, NULL, "model file (.onnx, .tflite, .ir, .mistify)"},
    {"--passes", OPT_STRING, offsetof(OptOpts, passes), false, "LIST",
     "names with parameters: \"fold,prune{macs=0.5}\""},
    {"--pipeline", OPT_STRING, offsetof(OptOpts, pipeline), false, "FILE",
     "or a YAML file with the key `passes`: [fold, prune: {macs: 50%}]"},
    {"-o", OPT_STRING, offsetof(OptOpts, out), true, "OUT",
     "file to write: .onnx, .ir (text) or .mistify (binary)"},
    {"--design", OPT_STRING, offsetof(OptOpts, design), false, "FILE",
     "design.yaml: training data for passes that need it, validation data for the table"},
    {"--teacher", OPT_STRING, offsetof(OptOpts, teacher), false, "FILE",
     "a larger model that distill learns from, beside MODEL itself"},
    {"--no-score", OPT_FLAG, offsetof(OptOpts, no_score), false, NULL,
     "do not measure accuracy on the validation split after each pass"},
    PLUGIN_OPT(OptOpts),
    {"--target", OPT_STRING, offsetof(OptOpts, target), false, "T", "target whose costs passes ask for"},
    {"--board", OPT_STRING, offsetof(OptOpts, board), false, "B", "the same of a board"},
    {"--dump-after", OPT_STRING, offsetof(OptOpts, dump_after), false, "PASS",
     "print the text form after this pass, or after \"all\""},
    {"--verify-each", OPT_FLAG, offsetof(OptOpts, verify_each), false, NULL,
     "check the rules of the graph after every pass"},
    {"--seed", OPT_INT, offsetof(OptOpts, seed), false, "N", "seed of passes that draw numbers (default 0)"},
    {"-j", OPT_INT, offsetof(OptOpts, threads), false, "N", "threads (default: one per processor)"},
    CUSTOM_OPT(OptOpts),
    {0}};

/* One line of the table: the graph that a pass left. */
typedef struct Row {
  const char *pass;
  uint32_t nodes;
  int64_t params, macs;
  bool costed, scored; /* whether the fields below are known */
  Cost cost;
  Accuracy accuracy; /* on validation */
  double seconds;
} Row;

enum { MAX_ROWS = 65 };

typedef struct Rows {
  Arena *arena;
  const OptOpts *o;
  const PassCtx *ctx;
  const Design *design; /* NULL: no accuracy */
  const Dataset *data;
  const CostModel *cost; /* the target's, or that of DEFAULT_TARGET */
  DType deployed; /* in which the cost of a float graph is told: DT_I8 when a pass of the list quantizes */
  bool raw;       /* the graph takes bytes */
  bool with_cost, with_score;
  Row v[MAX_ROWS];
  int n;
} Rows;

/* Whose memory plan tells the peak of RAM when no target is named. */
#define DEFAULT_TARGET "cortex-m4"

static bool has_codes(const Graph *g) {
  for (ValId v = 1; v < g->n_vals; v++)
    if (g->vals[v].quant.n > 0) return true;
  return false;
}

/* What cannot be costed or scored as it stands (fake quantization, an operator without a kernel on the target) leaves its
 * cells empty. */
static void measure(const Rows *r, const Graph *g, Row *row) {
  Diag *quiet = diag_new();
  row->costed = r->cost->cost(r->cost->ctx, g, has_codes(g) ? DT_NONE : r->deployed, &row->cost, quiet);
  if (r->data && r->data->val.n > 0 && r->data->val.y && !r->o->no_score) {
    Split val = r->data->val;
    const Normalize nz = r->raw ? input_raw_normalize(g, val.dtype) : r->design->data.normalize;
    row->scored =
        graph_accuracy(g, &val, &nz, r->ctx->host->threads, r->ctx->host, &row->accuracy, NULL, quiet);
  }
  diag_free(quiet);
}

static void add_row(void *ctx, const char *pass, const Graph *g, double seconds) {
  Rows *r = ctx;
  ASSERT(r->n < MAX_ROWS);
  Row *row = &r->v[r->n++];
  *row = (Row){arena_strdup(r->arena, pass), g->n_nodes, graph_params(g), graph_macs(g), .seconds = seconds};
  r->raw = r->raw || strcmp(pass, "input_raw") == 0;
  measure(r, g, row);
  r->with_cost = r->with_cost || row->costed;
  r->with_score = r->with_score || row->scored;
}

static const char *score_name(const Rows *r, const char *auc, const char *accuracy) {
  return r->design && r->design->metric == METRIC_AUC ? auc : accuracy;
}

static void print_rows(const Rows *r) {
  const bool target = r->o->target || r->o->board;
  Table t;
  table_begin(&t, r->arena,
              arena_printf(r->arena, "<pass,>nodes,>params,>MACs%s%s%s,>seconds",
                           r->with_cost ? ",>peak RAM" : "", r->with_cost && target ? ",>flash,>cycles" : "",
                           r->with_score ? score_name(r, ",>AUC", ",>accuracy") : ""));
  for (int i = 0; i < r->n; i++) {
    const Row *x = &r->v[i];
    table_cell(&t, "%s", x->pass);
    table_cell(&t, "%u", x->nodes);
    table_cell(&t, "%s", cli_count(r->arena, x->params));
    table_cell(&t, "%s", cli_count(r->arena, x->macs));
    if (r->with_cost) table_cell(&t, "%s", cli_count(r->arena, x->costed ? x->cost.ram : -1));
    if (r->with_cost && target) {
      table_cell(&t, "%s", cli_count(r->arena, x->costed ? x->cost.flash : -1));
      table_cell(&t, "%s", cli_count(r->arena, x->costed ? x->cost.cycles : -1));
    }
    if (r->with_score)
      table_cell(&t, "%s", x->scored ? arena_printf(r->arena, "%.2f %%", 100 * x->accuracy.top1) : "-");
    table_cell(&t, "%.3f", x->seconds);
  }
  table_print(&t);
}

static void row_json(JsonWriter *w, const Rows *r, const Row *x) {
  json_object(w);
  json_kstr(w, "pass", x->pass);
  json_kint(w, "nodes", x->nodes);
  json_kint(w, "params", x->params);
  json_kint(w, "macs", x->macs);
  if (x->costed) {
    json_kint(w, "ram", x->cost.ram);
    if (r->o->target || r->o->board) {
      json_kint(w, "flash", x->cost.flash);
      json_kint(w, "cycles", x->cost.cycles);
    }
  }
  if (x->scored) {
    json_knum(w, score_name(r, "auc", "accuracy"), x->accuracy.top1);
    json_kint(w, "examples", x->accuracy.n);
  }
  json_knum(w, "seconds", x->seconds);
  json_end(w);
}

static void print_rows_json(const Rows *r) {
  JsonWriter w;
  StrBuf b;
  cli_json_begin(&w, &b);
  json_object(&w);
  json_kstr(&w, "model", r->o->model);
  json_kstr(&w, "output", r->o->out);
  json_karray(&w, "passes");
  for (int i = 0; i < r->n; i++) row_json(&w, r, &r->v[i]);
  json_end(&w);
  json_end(&w);
  cli_json_end(&w, &b);
}

/* A name that no pass of the list has would dump nothing, silently. */
static bool check_dump(const OptOpts *o, const PassList *extra, Diag *d) {
  if (!o->dump_after || strcmp(o->dump_after, "all") == 0 || pass_find(o->dump_after)) return true;
  for (size_t i = 0; i < o->plugins.n; i++)
    for (int k = 0; k < extra[i].n; k++)
      if (strcmp(extra[i].v[k].name, o->dump_after) == 0) return true;
  const char *names[130];
  int n = 0;
  for (; n < n_passes && n < 128; n++) names[n] = passes[n].name;
  names[n++] = "all";
  names[n] = NULL;
  diag_error(d, NULL, "--dump-after %s: there is no such pass", o->dump_after);
  const char *near = name_nearest(o->dump_after, names);
  if (near) diag_hint(d, "did you mean %s?", near);
  return false;
}

/* What opt was asked to do. */
typedef struct Work {
  const OptOpts *o;
  const Graph *g;
  PassCtx ctx;
  PassText passes;
  const PassList *extra;
  const CostModel *cost; /* for the table */
  const Design *design;
} Work;

/* Is one of the passes `quantize`? */
static bool quantizes(const char *text) {
  for (const char *p = text; *p;) {
    while (*p == ' ') p++;
    const size_t n = strcspn(p, "{, ");
    if (n == 8 && strncmp(p, "quantize", n) == 0) return true;
    p += n;
    if (*p == '{') p += strcspn(p, "}");
    p += strcspn(p, ",");
    p += *p == ',';
  }
  return false;
}

static bool transform(const Work *w, Diag *d) {
  Rows rows = {.arena = arena_new(),
               .o = w->o,
               .ctx = &w->ctx,
               .design = w->design,
               .data = w->ctx.data,
               .cost = w->cost,
               .deployed = quantizes(w->passes.text) ? DT_I8 : DT_F32};
  PipelineOptions po = {.extra = w->extra,
                        .n_extra = (int)w->o->plugins.n,
                        .locs = w->passes.locs,
                        .verify_each = w->o->verify_each,
                        .dump_after = w->o->dump_after,
                        .dump_to = stdout,
                        .after = add_row,
                        .after_ctx = &rows};
  add_row(&rows, "(input)", w->g, 0);
  Graph *out = pipeline_run(w->g, w->passes.text, &w->ctx, &po, d);
  bool ok = out && cli_save(out, w->o->out, d);
  if (ok && w->o->common.json) print_rows_json(&rows);
  if (ok && !w->o->common.json && !w->o->common.quiet) print_rows(&rows);
  graph_free(out);
  arena_free(rows.arena);
  return ok;
}

static bool with_design(Work *w, Diag *d) {
  if (!w->o->design) return transform(w, d);
  Arena *a = arena_new();
  Dataset ds;
  w->design = design_load(a, w->o->design, d);
  bool ok = w->design && dataset_open(&w->design->data, &ds, d);
  if (ok) {
    w->ctx.data = &ds;
    ok = transform(w, d);
    dataset_close(&ds);
  }
  arena_free(a);
  return ok;
}

static bool read_passes(Arena *a, const OptOpts *o, PassText *out, Diag *d) {
  FAIL_IF(!o->passes == !o->pipeline, d, NULL, "want one of --passes LIST and --pipeline FILE");
  if (o->pipeline) return passlist_load(a, o->pipeline, out, d);
  *out = (PassText){.text = o->passes};
  return true;
}

static bool optimise(Arena *a, const OptOpts *o, Diag *d) {
  Machine m;
  Work w = {.o = o};
  TRY(read_passes(a, o, &w.passes, d) && plugins_open(a, &o->plugins, &w.extra, d));
  TRY(cli_machine(a, o->target, o->board, &m, d) && cli_check_save(o->out, d) && check_dump(o, w.extra, d));
  Graph *g = cli_load_with(o->model, &(LoadOpts){.custom = o->custom}, d), *larger = NULL;
  if (g && o->teacher && !(larger = cli_load_with(o->teacher, &(LoadOpts){.custom = o->custom}, d))) {
    graph_free(g);
    return false;
  }
  TRY(g);
  Progress progress;
  cli_progress(&progress, &o->common, o->threads);
  const Device device = {.target = m.target ? m.target : target_find(DEFAULT_TARGET)};
  const CostModel cost = device_cost_model(&device, m.target && m.has_board ? &m.board : NULL);
  w.g = g;
  w.cost = &cost;
  w.ctx = (PassCtx){.params = "",
                    .teacher = g,
                    .larger = larger,
                    .cost = m.target ? &cost : NULL,
                    .host = progress_host(&progress),
                    .seed = (uint64_t)o->seed};
  bool ok = with_design(&w, d);
  graph_free(g);
  graph_free(larger);
  return ok;
}

static int run(void *opts_, Diag *d) {
  Arena *a = arena_new();
  bool ok = optimise(a, opts_, d);
  arena_free(a);
  return ok ? EXIT_DONE : EXIT_USER;
}

extern const Command cmd_opt;
const Command cmd_opt = {
    "opt",
    "Run passes over a model, and write what comes out",
    "LIST is names with a comma in between, parameters in braces; `mistify passes` lists them. The table "
    "says what\n"
    "each pass left: size, peak RAM of the memory plan (on a " DEFAULT_TARGET
    " where no target is named; also flash and\n"
    "cycles where one is), accuracy on the validation split of --design. A float graph before `quantize` is "
    "costed as\n"
    "int8. Passes that need data (prune, quantize, distill, ...) read the training split.",
    "  mistify opt model.onnx --passes \"fold,layout,fold,dce,bnfuse,fuse\" -o small.ir\n"
    "  mistify opt model.onnx --passes \"fold,bnfuse\" --dump-after all --verify-each -o m.mistify\n"
    "  mistify opt model.onnx --pipeline passes.yaml --design design.yaml --board nucleo-l432kc -o "
    "small.mistify\n"
    "  mistify opt model.onnx --plugin ./mine.so --passes \"fold,mine{share=0.3}\" -o m.ir\n",
    opts,
    sizeof(OptOpts),
    run};
