/* `mistify inspect` for people: one screen for a model of any length.
 *
 *   inputs, outputs
 *   layers: those with the most MACs and parameters; runs of others as one row each
 *   sums, RAM with the layer at its peak, estimates by target, boards: fits or not
 */
#include <stdio.h>
#include <string.h>

#include "frontend/cli/inspect.h"
#include "ir/base/mem.h"

enum { MAX_ROWS = 26, NAME_WIDTH = 28, RUN_WIDTH = 44 };

/* The end of a long name tells more than its beginning. */
static const char *shorten(Arena *a, const char *s, size_t max) {
  size_t n = strlen(s);
  return n <= max ? s : arena_printf(a, "..%s", s + n - (max - 2));
}

static void print_values(Arena *a, const Graph *g, const char *what, const ValId *ids, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) {
    const Value *v = graph_val(g, ids[i]);
    printf("  %-7s %s  %s %s", what, v->name ? v->name : "(no name)", dtype_name(v->dtype),
           cli_shape(a, &v->shape));
    if (v->quant.n == 1) printf("  real = %g * (q - %d)", (double)v->quant.scale[0], (int)v->quant.zero[0]);
    putchar('\n');
  }
}

/* -- which layers get a row of their own -- */

/* The share that the layer has of all parameters or MACs, whichever is larger. */
static double *weigh(const Graph *g) {
  double *w = mem_array((size_t)g->n_nodes + 1, sizeof *w), macs = (double)graph_macs(g) + 1,
         params = (double)graph_params(g) + 1;
  for (uint32_t i = 0; i < g->n_nodes; i++) {
    const Node *n = &g->nodes[i];
    double a = (double)node_macs(g, n) / macs, b = (double)inspect_params(g, n) / params;
    w[i] = a > b ? a : b;
    if (i == 0 || i == g->n_nodes - 1) w[i] = 2;
  }
  return w;
}

static uint32_t run_end(const bool *own, uint32_t n, uint32_t i) {
  while (i < n && !own[i]) i++;
  return i;
}

static int count_rows(const bool *own, uint32_t n) {
  int rows = 0;
  for (uint32_t i = 0; i < n; rows++) i = own[i] ? i + 1 : run_end(own, n, i);
  return rows;
}

/* The layer without a row that should have one next: no lighter than a fraction of the mean, and amid a long run of such, so that a net of many equal
 * blocks is shown all along. n: none. */
static uint32_t next_choice(const double *w, const bool *own, uint32_t n) {
  uint32_t best = n;
  double most = 0;
  for (uint32_t i = 0; i < n;) {
    uint32_t end = run_end(own, n, i);
    for (uint32_t k = i; k < end; k++) {
      double middle = (double)(k - i < end - 1 - k ? k - i : end - 1 - k);
      if (w[k] * n < 0.3) continue;
      double score = w[k] >= 2 ? 1e9 : w[k] * ((double)(end - i) + middle);
      if (score <= most) continue;
      most = score;
      best = k;
    }
    i = end + (end < n);
  }
  return best;
}

/* Layers with a row of their own, while all rows fit the screen. */
static bool *choose(const Inspected *x, bool all) {
  const Graph *g = x->shown;
  const uint32_t n = g->n_nodes;
  bool *own = mem_array((size_t)n + 1, sizeof *own);
  for (uint32_t i = 0; i < n; i++) own[i] = all || n <= MAX_ROWS;
  if (all || n <= MAX_ROWS) return own;
  double *w = weigh(g);
  if (x->peak != NO_NODE && x->peak < n) w[x->peak] = 2;
  for (uint32_t k; (k = next_choice(w, own, n)) < n;) {
    own[k] = true;
    if (count_rows(own, n) <= MAX_ROWS) continue;
    own[k] = false;
    break;
  }
  mem_free(w);
  return own;
}

/* -- rows -- */

/* "Reshape x4, Mul, Concat x2": operators of layers from..to-1 in the order of their number. */
static const char *operators_of(Arena *a, const Graph *g, uint32_t from, uint32_t to) {
  static int count[OP_COUNT];
  char text[RUN_WIDTH + 4];
  size_t at = 0;
  memset(count, 0, sizeof count);
  for (uint32_t i = from; i < to; i++) count[g->nodes[i].op]++;
  for (;;) {
    int best = 0;
    for (int op = 1; op < OP_COUNT; op++)
      if (count[op] > count[best]) best = op;
    if (count[best] == 0) break;
    char one[64];
    snprintf(one, sizeof one, count[best] > 1 ? "%s%s x%d" : "%s%s", at ? ", " : "",
             op_info((OpKind)best)->name, count[best]);
    if (at + strlen(one) > RUN_WIDTH - 4) {
      snprintf(text + at, sizeof text - at, ", ..");
      at += 4;
      break;
    }
    at += (size_t)snprintf(text + at, sizeof text - at, "%s", one);
    count[best] = 0;
  }
  return arena_strndup(a, text, at);
}

static void run_row(Table *t, Arena *a, const Graph *g, uint32_t from, uint32_t to) {
  int64_t params = 0, macs = 0, bytes = 0;
  for (uint32_t i = from; i < to; i++) {
    const Node *n = &g->nodes[i];
    int64_t b = (int64_t)val_bytes(g, n->out[0]);
    params += inspect_params(g, n);
    macs += node_macs(g, n);
    if (b > bytes) bytes = b;
  }
  table_cell(t, "%u..%u", from, to - 1);
  table_cell(t, "(%u layers)", to - from);
  table_cell(t, "%s", operators_of(a, g, from, to));
  table_cell(t, "%s", "");
  table_count(t, params);
  table_count(t, macs);
  table_count(t, bytes);
  table_cell(t, "%s", "");
}

static void layer_row(Table *t, const Inspected *x, uint32_t i) {
  const Graph *g = x->shown;
  const Node *n = &g->nodes[i];
  table_cell(t, "%u", i);
  table_cell(t, "%s", op_info(n->op)->name);
  table_cell(t, "%s", shorten(x->arena, inspect_name(g, n), NAME_WIDTH));
  table_cell(t, "%s", cli_shape(x->arena, &graph_val(g, n->out[0])->shape));
  table_count(t, inspect_params(g, n));
  table_count(t, node_macs(g, n));
  table_count(t, (int64_t)val_bytes(g, n->out[0]));
  table_cell(t, "%s", i == x->peak ? "<- RAM peak" : "");
}

static void print_layers(const Inspected *x, bool all) {
  const Graph *g = x->shown;
  bool *own = choose(x, all);
  Table t;
  table_begin(&t, x->arena, ">#,<operator,<name,<output,>params,>MACs,>bytes,<");
  for (uint32_t i = 0; i < g->n_nodes;) {
    uint32_t end = own[i] ? i + 1 : run_end(own, g->n_nodes, i);
    if (end == i + 1)
      layer_row(&t, x, i);
    else
      run_row(&t, x->arena, g, i, end);
    i = end;
  }
  table_print(&t);
  mem_free(own);
}

/* -- sums, targets, boards -- */

static void print_sums(const Inspected *x) {
  Arena *a = x->arena;
  const Graph *g = x->shown;
  printf("\n%u layers%s, %s parameters, %s MACs\n", g->n_nodes,
         x->part ? " (of the part that could be read)" : "", cli_count(a, graph_params(g)),
         cli_count(a, graph_macs(g)));
  if (!x->planned) {
    if (!x->part) printf("cannot be compiled: %s\n", x->why);
    return;
  }
  printf("RAM for values: %s bytes (plan: %s; lower bound: %s)\n", cli_count(a, x->plan.arena),
         plan_level_name(x->plan.level), cli_count(a, x->plan.lower_bound));
}

static void print_estimates(const Inspected *x) {
  Table t;
  table_begin(&t, x->arena, "<target,>flash,>of it weights,>RAM,>cycles,<");
  for (int i = 0; i < x->n_estimates; i++) {
    const Estimate *e = &x->estimates[i];
    table_cell(&t, "%s", e->target->name);
    table_count(&t, e->ok ? e->cost.flash : 0);
    table_count(&t, e->ok ? e->cost.flash_weights : 0);
    table_count(&t, e->ok ? e->cost.ram : 0);
    table_count(&t, e->ok ? e->cost.cycles : 0);
    table_cell(&t, "%s%s", e->ok ? "" : "does not run: ", e->ok ? "" : e->why);
  }
  printf("\nEstimates (bytes; cycles of one inference):\n");
  table_print(&t);
}

static void of_total(Table *t, Arena *a, int64_t used, int64_t total) {
  if (total > 0)
    table_cell(t, "%s of %s", cli_count(a, used), cli_count(a, total));
  else
    table_cell(t, "%s", cli_count(a, used));
}

static void time_cell(Table *t, double seconds) {
  if (seconds <= 0)
    table_cell(t, "%s", "");
  else if (seconds < 1)
    table_cell(t, "%.3g ms", 1e3 * seconds);
  else
    table_cell(t, seconds < 100 ? "%.3g s" : "%.0f s", seconds);
}

static void board_row(Table *t, Arena *a, const Estimate *e, const Board *b) {
  const char *why = "";
  table_cell(t, "%s", b->name);
  table_cell(t, "%s", b->target);
  of_total(t, a, e->cost.flash, b->flash);
  of_total(t, a, e->cost.ram, b->ram);
  time_cell(t, board_hz(b) > 0 ? (double)e->cost.cycles / board_hz(b) : 0);
  bool fits = inspect_fits(e, b, &why);
  table_cell(t, "%s%s", fits ? "fits" : "too small: ", why);
}

static void print_boards(const Inspected *x) {
  Table t;
  int rows = 0;
  table_begin(&t, x->arena, "<board,<target,>flash,>RAM,>time,<");
  for (int i = 0; i < x->n_boards; i++) {
    const Estimate *e = inspect_estimate(x, x->boards[i].target);
    if (!e || !e->ok) continue;
    board_row(&t, x->arena, e, &x->boards[i]);
    rows++;
  }
  if (rows == 0) return;
  printf("\nBoards:\n");
  table_print(&t);
}

void inspect_text(const Inspected *x, bool all) {
  printf("%s\n", x->path);
  print_values(x->arena, x->file, "input", x->file->inputs, x->file->n_inputs);
  if (!x->part) print_values(x->arena, x->file, "output", x->file->outputs, x->file->n_outputs);
  putchar('\n');
  print_layers(x, all);
  print_sums(x);
  if (!x->planned) return;
  print_estimates(x);
  print_boards(x);
  if (x->show_plan) printf("\nMemory plan:\n%s", x->plan_text);
}
