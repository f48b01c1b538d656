/* mistify inspect: what is in a model, layer by layer, and what it would cost on targets.
 *
 * The layers are those that are deployed (after PREPARE_PASSES), or with --raw those of the file. RAM is the memory
 * plan's, for generic kernels; flash and cycles are the cost model's estimates per target.
 */
#include <stdio.h>
#include <string.h>

#include "frontend/cli/cli.h"
#include "ir/base/file.h"

typedef struct InspectOpts {
  CommonOpts common;
  const char *model, *target, *board;
  bool ir, raw;
} InspectOpts;

static const Opt opts[] = {
    {"MODEL", OPT_PARAM, offsetof(InspectOpts, model), true, NULL,
     "model file (.onnx, .tflite, .ir, .mistify)"},
    {"--target", OPT_STRING, offsetof(InspectOpts, target), false, "T", "estimate for this target alone"},
    {"--board", OPT_STRING, offsetof(InspectOpts, board), false, "B",
     "estimate for this board, against its memory"},
    {"--raw", OPT_FLAG, offsetof(InspectOpts, raw), false, NULL,
     "list the layers of the file, not those deployed"},
    {"--ir", OPT_FLAG, offsetof(InspectOpts, ir), false, NULL, "print the model's text form instead"},
    {0}};

/* What one target makes of the model. */
typedef struct Estimate {
  const Target *target;
  bool ok;
  Cost cost;
  const char *why; /* !ok: the first line of the reason */
} Estimate;

typedef struct Inspected {
  Arena *arena;
  const char *path;
  Graph *file, *shown, *deployed; /* deployed: batch 1; NULL when it cannot be prepared */
  bool planned;
  MemoryPlan plan;
  Estimate *estimates;
  int n_estimates;
  const char *why; /* !planned: the reason */
} Inspected;

static const char *first_line(Arena *a, const Diag *d) {
  const char *s = diag_text(d);
  return arena_strndup(a, s, strcspn(s, "\n"));
}

static bool plan(Inspected *x, Diag *d) {
  Calls calls;
  calls_init(&calls);
  bool ok = graph_lower(x->deployed, &calls, d) && plan_memory(x->deployed, &calls, x->arena, &x->plan, d);
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
  x->planned = x->deployed && plan(x, d);
  if (!x->planned) x->why = first_line(x->arena, d);
  if (x->planned) estimate_all(x, only);
  x->shown = !raw && prepared ? graph_clone(prepared) : graph_clone(x->file);
  graph_free(prepared);
  diag_free(d);
}

/* -- figures of one node -- */

static int64_t node_params(const Graph *g, const Node *n) {
  int64_t sum = 0;
  for (uint32_t i = 0; i < n->n_in; i++) {
    if (val_is_const(g, n->in[i])) sum += shape_count(&graph_val(g, n->in[i])->shape);
  }
  return sum;
}

static const char *node_name(const Graph *g, const Node *n) {
  if (n->loc.name && n->loc.name[0]) return n->loc.name;
  const char *name = graph_val(g, n->out[0])->name;
  return name ? name : "";
}

/* The end of a long name tells more than its beginning. */
static const char *shorten(Arena *a, const char *s, size_t max) {
  size_t n = strlen(s);
  return n <= max ? s : arena_printf(a, "..%s", s + n - (max - 2));
}

/* -- text -- */

static void print_values(Arena *a, const Graph *g, const char *what, const ValId *ids, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) {
    const Value *v = graph_val(g, ids[i]);
    printf("  %-7s %s  %s %s", what, v->name ? v->name : "(no name)", dtype_name(v->dtype),
           cli_shape(a, &v->shape));
    if (v->quant.n == 1) printf("  real = %g * (q - %d)", (double)v->quant.scale[0], (int)v->quant.zero[0]);
    putchar('\n');
  }
}

static void print_layers(Arena *a, const Graph *g) {
  Table t;
  table_begin(&t, a, ">#,<operator,<name,<output,>params,>MACs,>bytes");
  for (uint32_t i = 0; i < g->n_nodes; i++) {
    const Node *n = &g->nodes[i];
    table_cell(&t, "%u", i);
    table_cell(&t, "%s", op_info(n->op)->name);
    table_cell(&t, "%s", shorten(a, node_name(g, n), 28));
    table_cell(&t, "%s", cli_shape(a, &graph_val(g, n->out[0])->shape));
    table_count(&t, node_params(g, n));
    table_count(&t, node_macs(g, n));
    table_count(&t, (int64_t)val_bytes(g, n->out[0]));
  }
  table_print(&t);
}

static void print_estimates(const Inspected *x, const Machine *m) {
  Arena *a = x->arena;
  Table t;
  table_begin(&t, a, "<target,>flash,>of it weights,>RAM,>cycles,<");
  for (int i = 0; i < x->n_estimates; i++) {
    const Estimate *e = &x->estimates[i];
    table_cell(&t, "%s", e->target->name);
    table_count(&t, e->ok ? e->cost.flash : 0);
    table_count(&t, e->ok ? e->cost.flash_weights : 0);
    table_count(&t, e->ok ? e->cost.ram : 0);
    table_count(&t, e->ok ? e->cost.cycles : 0);
    table_cell(&t, "%s", e->ok ? "" : e->why);
  }
  printf("\nEstimates (bytes; cycles of one inference):\n");
  table_print(&t);
  if (!m->has_board || !x->estimates[0].ok) return;
  const Cost *c = &x->estimates[0].cost;
  printf("Board %s: flash %s of %s, RAM %s of %s bytes\n", m->board.name, cli_count(a, c->flash),
         cli_count(a, m->board.flash), cli_count(a, c->ram), cli_count(a, m->board.ram));
  if (m->board.clock_hz > 0)
    printf("  about %.3g ms at %g MHz\n", 1e3 * (double)c->cycles / m->board.clock_hz,
           m->board.clock_hz / 1e6);
}

static void print_text(const Inspected *x, const Machine *m) {
  Arena *a = x->arena;
  const Graph *g = x->shown;
  printf("%s\n", x->path);
  print_values(a, x->file, "input", x->file->inputs, x->file->n_inputs);
  print_values(a, x->file, "output", x->file->outputs, x->file->n_outputs);
  putchar('\n');
  print_layers(a, g);
  printf("\n%u layers, %s parameters, %s MACs\n", g->n_nodes, cli_count(a, graph_params(g)),
         cli_count(a, graph_macs(g)));
  if (!x->planned) {
    printf("cannot be compiled: %s\n", x->why);
    return;
  }
  printf("RAM for values: %s bytes at the peak (lower bound of whole tensors: %s)\n",
         cli_count(a, x->plan.arena), cli_count(a, x->plan.lower_bound));
  print_estimates(x, m);
}

/* -- JSON -- */

static void json_values(JsonWriter *w, const Graph *g, const char *key, const ValId *ids, uint32_t n) {
  json_karray(w, key);
  for (uint32_t i = 0; i < n; i++) {
    const Value *v = graph_val(g, ids[i]);
    json_object(w);
    json_kstr(w, "name", v->name);
    json_kstr(w, "dtype", dtype_name(v->dtype));
    json_shape(w, "shape", &v->shape);
    if (v->quant.n == 1) {
      json_knum(w, "scale", (double)v->quant.scale[0]);
      json_kint(w, "zero", v->quant.zero[0]);
    }
    json_end(w);
  }
  json_end(w);
}

static void json_layers(JsonWriter *w, const Graph *g) {
  json_karray(w, "layers");
  for (uint32_t i = 0; i < g->n_nodes; i++) {
    const Node *n = &g->nodes[i];
    json_object(w);
    json_kstr(w, "op", op_info(n->op)->name);
    json_kstr(w, "name", node_name(g, n));
    json_shape(w, "shape", &graph_val(g, n->out[0])->shape);
    json_kstr(w, "dtype", dtype_name(graph_val(g, n->out[0])->dtype));
    json_kint(w, "params", node_params(g, n));
    json_kint(w, "macs", node_macs(g, n));
    json_kint(w, "bytes", (int64_t)val_bytes(g, n->out[0]));
    json_end(w);
  }
  json_end(w);
}

static void json_estimates(JsonWriter *w, const Inspected *x) {
  json_karray(w, "estimates");
  for (int i = 0; i < x->n_estimates; i++) {
    const Estimate *e = &x->estimates[i];
    json_object(w);
    json_kstr(w, "target", e->target->name);
    if (e->ok) {
      json_kint(w, "flash", e->cost.flash);
      json_kint(w, "flash_weights", e->cost.flash_weights);
      json_kint(w, "ram", e->cost.ram);
      json_kint(w, "cycles", e->cost.cycles);
    } else {
      json_kstr(w, "unsupported", e->why);
    }
    json_end(w);
  }
  json_end(w);
}

static void print_json(const Inspected *x) {
  JsonWriter w;
  StrBuf b;
  cli_json_begin(&w, &b);
  json_object(&w);
  json_kstr(&w, "model", x->path);
  json_values(&w, x->file, "inputs", x->file->inputs, x->file->n_inputs);
  json_values(&w, x->file, "outputs", x->file->outputs, x->file->n_outputs);
  json_layers(&w, x->shown);
  json_kint(&w, "params", graph_params(x->shown));
  json_kint(&w, "macs", graph_macs(x->shown));
  if (x->planned) {
    json_kint(&w, "ram", x->plan.arena);
    json_kint(&w, "ram_lower_bound", x->plan.lower_bound);
    json_estimates(&w, x);
  } else {
    json_kstr(&w, "unsupported", x->why);
  }
  json_end(&w);
  cli_json_end(&w, &b);
}

static int run(void *opts_, Diag *d) {
  const InspectOpts *o = opts_;
  Inspected x = {.arena = arena_new(), .path = o->model};
  Machine m;
  bool ok = cli_machine(x.arena, o->target, o->board, &m, d) && (x.file = cli_load(o->model, d)) != NULL;
  if (ok && o->ir) {
    StrBuf text = {0};
    graph_print(x.file, &text, 16);
    fputs(sb_str(&text), stdout);
    sb_free(&text);
  } else if (ok) {
    analyse(&x, m.target, o->raw);
    if (o->common.json) {
      print_json(&x);
    } else {
      print_text(&x, &m);
    }
  }
  graph_free(x.file);
  graph_free(x.shown);
  graph_free(x.deployed);
  arena_free(x.arena);
  return ok ? EXIT_DONE : EXIT_USER;
}

extern const Command cmd_inspect;
const Command cmd_inspect = {"inspect",
                             "Show a model's layers, sizes and work, and what it would cost on each target",
                             "Lists the layers as they are deployed (constants folded, layouts settled, "
                             "activations fused), the RAM that a\n"
                             "memory plan needs, and estimates of flash and cycles. A line says so where a "
                             "target cannot take the model.",
                             "  mistify inspect model.onnx\n"
                             "  mistify inspect model.tflite --board nucleo-l432kc\n"
                             "  mistify inspect model.onnx --ir | less\n",
                             opts,
                             sizeof(InspectOpts),
                             run};
