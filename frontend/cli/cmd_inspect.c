/* mistify inspect: what is in a model, layer by layer, and what it would cost on targets.
 *
 * The layers are those that are deployed (after PREPARE_PASSES), or with --raw those of the file. RAM is the memory
 * plan's, for generic kernels; flash and cycles are the cost model's estimates per target.
 */
#include <stdio.h>
#include <string.h>

#include "frontend/cli/inspect.h"
#include "ir/base/file.h"

typedef struct InspectOpts {
  CommonOpts common;
  const char *model, *target, *board, *custom;
  bool ir, raw, all, plan, channels;
} InspectOpts;

static const Opt opts[] = {
    {"MODEL", OPT_PARAM, offsetof(InspectOpts, model), true, NULL,
     "model file (.onnx, .tflite, .ir, .mistify)"},
    {"--target", OPT_STRING, offsetof(InspectOpts, target), false, "T", "estimate for this target alone"},
    {"--board", OPT_STRING, offsetof(InspectOpts, board), false, "B",
     "estimate for this board, against its memory"},
    {"--raw", OPT_FLAG, offsetof(InspectOpts, raw), false, NULL,
     "list the layers of the file, not those deployed"},
    {"--all", OPT_FLAG, offsetof(InspectOpts, all), false, NULL,
     "a row for every layer, however many there are"},
    {"--plan", OPT_FLAG, offsetof(InspectOpts, plan), false, NULL,
     "print the memory plan too: which bytes hold what, from which call to which"},
    {"--channels", OPT_FLAG, offsetof(InspectOpts, channels), false, NULL,
     "print instead which channels go together when it is pruned, and which layers cannot be, and why"},
    {"--ir", OPT_FLAG, offsetof(InspectOpts, ir), false, NULL, "print the model's text form instead"},
    CUSTOM_OPT(InspectOpts),
    {0}};

static const char *first_line(Arena *a, const Diag *d) {
  const char *s = diag_text(d);
  return arena_strndup(a, s, strcspn(s, "\n"));
}

/* The call during which the most bytes are held, values in the same storage counted once. */
static NodeId peak_node(const Inspected *x, const Calls *calls) {
  int64_t most = -1;
  NodeId peak = NO_NODE;
  for (int32_t c = 0; c < (int32_t)calls->n; c++) {
    int64_t end = 0, begin = INT64_MAX;
    for (int i = 0; i < x->plan.n_items; i++) {
      const PlanItem *p = &x->plan.items[i];
      if (c < p->first || c > p->last || p->offset < 0) continue;
      if (p->offset + p->size > end) end = p->offset + p->size;
      if (p->offset < begin) begin = p->offset;
    }
    if (end - begin <= most) continue;
    most = end - begin;
    peak = calls->v[c].node;
  }
  return peak;
}

/* The target's plan, or without a target the one that needs least RAM. */
static bool plan(Inspected *x, const Target *t, Diag *d) {
  Calls calls;
  PlanOptions o = t ? target_plan(t) : (PlanOptions){.level = PLAN_LEAST};
  calls_init(&calls);
  bool ok = graph_lower(x->deployed, &calls, d) && (!t || select_kernels(x->deployed, t, &calls, d)) &&
            plan_memory(x->deployed, &calls, &o, x->arena, &x->plan, d);
  StrBuf text = {0};
  if (ok) plan_print(x->deployed, &calls, &x->plan, &text);
  x->plan_text = arena_strdup(x->arena, sb_str(&text));
  sb_free(&text);
  if (ok) x->peak = peak_node(x, &calls);
  calls_free(&calls);
  return ok;
}

static void estimate(Inspected *x, const Target *t, Estimate *e) {
  Diag *d = diag_new();
  e->target = t;
  e->ok = backend_cost(x->deployed, t, &e->cost, d);
  if (!e->ok) e->why = first_line(x->arena, d);
  diag_free(d);
}

static void estimate_all(Inspected *x, const Target *only) {
  x->n_estimates = only ? 1 : n_targets;
  x->estimates = arena_array(x->arena, (size_t)x->n_estimates, sizeof *x->estimates);
  for (int i = 0; i < x->n_estimates; i++) estimate(x, only ? only : &targets[i], &x->estimates[i]);
}

/* A model that cannot be lowered can still be looked at. */
static void analyse(Inspected *x, const Target *only, bool raw) {
  Diag *d = diag_new();
  Graph *prepared = cli_prepare(x->file, d);
  if (prepared) x->deployed = cli_batch_1(prepared, d);
  x->planned = x->deployed && plan(x, only, d);
  if (!x->planned) x->why = first_line(x->arena, d);
  if (x->planned) estimate_all(x, only);
  if (raw || (x->deployed && prepared->n_nodes != x->deployed->n_nodes)) x->peak = NO_NODE;
  x->shown = !raw && prepared ? graph_clone(prepared) : graph_clone(x->file);
  graph_free(prepared);
  diag_free(d);
}

/* -- figures of one node -- */

int64_t inspect_params(const Graph *g, const Node *n) {
  int64_t sum = 0;
  for (uint32_t i = 0; i < n->n_in; i++) {
    if (val_is_const(g, n->in[i])) sum += shape_count(&graph_val(g, n->in[i])->shape);
  }
  return sum;
}

const char *inspect_name(const Graph *g, const Node *n) {
  if (n->loc.name && n->loc.name[0]) return n->loc.name;
  const char *name = graph_val(g, n->out[0])->name;
  return name ? name : "";
}

/* The part as it would be deployed, where it can be prepared; no estimate, which would be too low. */
static void show_part(Inspected *x, bool raw) {
  Diag *d = diag_new();
  Graph *prepared = raw ? NULL : cli_prepare(x->file, d);
  x->shown = prepared ? prepared : graph_clone(x->file);
  diag_free(d);
}

/* The model, or (a part) what can be read of one that cannot be imported; d then says why not. */
static bool load(Inspected *x, Diag *d) {
  x->file = cli_load_with(x->path, &(LoadOpts){.custom = x->custom}, d);
  if (x->file) return true;
  Diag *again = diag_new();
  x->file = cli_load_part(x->path, &(LoadOpts){.custom = x->custom}, again);
  x->part = true;
  x->problems = arena_strdup(x->arena, diag_text(d));
  diag_free(again);
  return x->file != NULL;
}

/* -- boards -- */

const Estimate *inspect_estimate(const Inspected *x, const char *target) {
  for (int i = 0; i < x->n_estimates; i++)
    if (strcmp(x->estimates[i].target->name, target) == 0) return &x->estimates[i];
  return NULL;
}

bool inspect_fits(const Estimate *e, const Board *b, const char **why) {
  bool flash = b->flash > 0 && e->cost.flash > b->flash, ram = b->ram > 0 && e->cost.ram > b->ram;
  *why = flash && ram ? "flash, RAM" : flash ? "flash" : ram ? "RAM" : "";
  return !flash && !ram;
}

/* The board asked for, or all shipped ones. */
static void find_boards(Inspected *x, const Machine *m) {
  const char **names = board_names(x->arena);
  int n = 0;
  while (names[n]) n++;
  x->boards = arena_array(x->arena, (size_t)n + 1, sizeof *x->boards);
  if (m->has_board) {
    x->boards[x->n_boards++] = m->board;
    return;
  }
  Diag *d = diag_new();
  for (int i = 0; i < n; i++) x->n_boards += board_load(x->arena, names[i], &x->boards[x->n_boards], d);
  diag_free(d);
}

static int run(void *opts_, Diag *d) {
  const InspectOpts *o = opts_;
  Inspected x = {.arena = arena_new(),
                 .path = o->model,
                 .custom = o->custom,
                 .peak = NO_NODE,
                 .problems = "",
                 .show_plan = o->plan};
  Machine m;
  bool ok = cli_machine(x.arena, o->target, o->board, &m, d) && load(&x, d), whole = ok && !x.part;
  if (ok && o->ir) {
    StrBuf text = {0};
    graph_print(x.file, &text, 16);
    fputs(sb_str(&text), stdout);
    sb_free(&text);
  } else if (whole && o->channels) {
    whole = inspect_channels(x.file, o->common.json, d);
  } else if (ok) {
    if (x.part)
      show_part(&x, o->raw);
    else
      analyse(&x, m.target, o->raw);
    find_boards(&x, &m);
    if (o->common.json)
      inspect_json(&x);
    else
      inspect_text(&x, o->all);
  }
  graph_free(x.file);
  graph_free(x.shown);
  graph_free(x.deployed);
  arena_free(x.arena);
  return whole ? EXIT_DONE : EXIT_USER;
}

extern const Command cmd_inspect;
const Command cmd_inspect = {
    "inspect",
    "Show a model's layers, sizes and work, and what it would cost on each target",
    "Lists the layers as they are deployed (constants folded, layouts settled, "
    "activations fused), the RAM that a\n"
    "memory plan needs, estimates of flash and cycles, and the boards that it fits. Of a long model "
    "the layers that\nmatter have rows of their own. Of a model that cannot be imported "
    "the part that can be read is shown, and all\nthat is unsupported.",
    "  mistify inspect model.onnx\n"
    "  mistify inspect model.tflite --board nucleo-l432kc\n"
    "  mistify inspect model.onnx --channels\n"
    "  mistify inspect model.onnx --ir | less\n",
    opts,
    sizeof(InspectOpts),
    run};
