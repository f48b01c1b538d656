/* mistify opt: passes over a model, one after the other, with a table of what each did. */
#include "frontend/cli/cli.h"
#include "frontend/cli/device.h"
#include "frontend/config/design.h"
#include "passes/pass.h"

#include <stdio.h>
#include <string.h>

#include "ir/base/nearest.h"

typedef struct OptOpts {
  CommonOpts common;
  const char *model, *passes, *design, *out, *dump_after, *target, *board, *custom;
  bool verify_each;
  int64_t seed, threads;
} OptOpts;

static const Opt opts[] = {
    {"MODEL", OPT_PARAM, offsetof(OptOpts, model), true, NULL, "model file (.onnx, .tflite, .ir, .mistify)"},
    {"--passes", OPT_STRING, offsetof(OptOpts, passes), true, "LIST",
     "names with parameters: \"fold,prune{macs=0.5}\""},
    {"-o", OPT_STRING, offsetof(OptOpts, out), true, "OUT",
     "file to write: .onnx, .ir (text) or .mistify (binary)"},
    {"--design", OPT_STRING, offsetof(OptOpts, design), false, "FILE",
     "design.yaml: training data for passes that need it"},
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

typedef struct Row {
  const char *pass;
  uint32_t nodes;
  int64_t params, macs;
  double seconds;
} Row;

typedef struct Rows {
  Arena *arena;
  Row v[65];
  int n;
} Rows;

static void add_row(void *ctx, const char *pass, const Graph *g, double seconds) {
  Rows *r = ctx;
  ASSERT(r->n < 65);
  r->v[r->n++] = (Row){arena_strdup(r->arena, pass), g->n_nodes, graph_params(g), graph_macs(g), seconds};
}

static void print_rows(const Rows *r) {
  Table t;
  table_begin(&t, r->arena, "<pass,>nodes,>params,>MACs,>seconds");
  for (int i = 0; i < r->n; i++) {
    const Row *x = &r->v[i];
    table_cell(&t, "%s", x->pass);
    table_cell(&t, "%u", x->nodes);
    table_cell(&t, "%s", cli_count(r->arena, x->params));
    table_cell(&t, "%s", cli_count(r->arena, x->macs));
    table_cell(&t, "%.3f", x->seconds);
  }
  table_print(&t);
}

static void print_rows_json(const Rows *r, const OptOpts *o) {
  JsonWriter w;
  StrBuf b;
  cli_json_begin(&w, &b);
  json_object(&w);
  json_kstr(&w, "model", o->model);
  json_kstr(&w, "output", o->out);
  json_karray(&w, "passes");
  for (int i = 0; i < r->n; i++) {
    const Row *x = &r->v[i];
    json_object(&w);
    json_kstr(&w, "pass", x->pass);
    json_kint(&w, "nodes", x->nodes);
    json_kint(&w, "params", x->params);
    json_kint(&w, "macs", x->macs);
    json_knum(&w, "seconds", x->seconds);
    json_end(&w);
  }
  json_end(&w);
  json_end(&w);
  cli_json_end(&w, &b);
}

/* A name that no pass of the list has would dump nothing, silently. */
static bool check_dump(const OptOpts *o, Diag *d) {
  if (!o->dump_after || strcmp(o->dump_after, "all") == 0 || pass_find(o->dump_after)) return true;
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

static bool transform(const OptOpts *o, const Graph *g, PassCtx *ctx, Diag *d) {
  Rows rows = {.arena = arena_new()};
  PipelineOptions po = {.verify_each = o->verify_each,
                        .dump_after = o->dump_after,
                        .dump_to = stdout,
                        .after = add_row,
                        .after_ctx = &rows};
  add_row(&rows, "(input)", g, 0);
  Graph *out = pipeline_run(g, o->passes, ctx, &po, d);
  bool ok = out && cli_save(out, o->out, d);
  if (ok && o->common.json) print_rows_json(&rows, o);
  if (ok && !o->common.json && !o->common.quiet) print_rows(&rows);
  graph_free(out);
  arena_free(rows.arena);
  return ok;
}

static bool with_design(const OptOpts *o, const Graph *g, PassCtx *ctx, Diag *d) {
  if (!o->design) return transform(o, g, ctx, d);
  Arena *a = arena_new();
  Dataset ds;
  const Design *design = design_load(a, o->design, d);
  bool ok = design && dataset_open(&design->data, &ds, d);
  if (ok) {
    ctx->data = &ds;
    ok = transform(o, g, ctx, d);
    dataset_close(&ds);
  }
  arena_free(a);
  return ok;
}

static bool optimise(Arena *a, const OptOpts *o, Diag *d) {
  Machine m;
  TRY(cli_machine(a, o->target, o->board, &m, d) && cli_check_save(o->out, d) && check_dump(o, d));
  Graph *g = cli_load_with(o->model, &(LoadOpts){.custom = o->custom}, d);
  TRY(g);
  Progress progress;
  cli_progress(&progress, &o->common, o->threads);
  CostModel cost = {0};
  const Device device = {.target = m.target};
  if (m.target) cost = device_cost_model(&device, m.has_board ? &m.board : NULL);
  PassCtx ctx = {.params = "",
                 .teacher = g,
                 .cost = m.target ? &cost : NULL,
                 .host = progress_host(&progress),
                 .seed = (uint64_t)o->seed};
  bool ok = with_design(o, g, &ctx, d);
  graph_free(g);
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
    "each pass left. Passes that need data (prune, quantize, distill, ...) read the training split of "
    "--design.",
    "  mistify opt model.onnx --passes \"fold,layout,fold,dce,bnfuse,fuse\" -o small.ir\n"
    "  mistify opt model.onnx --passes \"fold,bnfuse\" --dump-after all --verify-each -o m.mistify\n",
    opts,
    sizeof(OptOpts),
    run};
