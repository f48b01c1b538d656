/* Early exits: one model with several outputs of one form, each of them a variant that ends there.
 *
 *   input - part 0 - + - part 1 - + - part 2            variant 0 is parts 0 to 2, variant 1 parts 0 and 1, variant 2 part 0:
 *                    | head 0     | head 1              a part has what its exit needs beyond the parts before, its head too
 *                output 0     output 1     output 2
 *
 *   NAME_run(ctx, variant)        from the input on
 *   NAME_continue(ctx, variant)   from where the last run of this input ended: what has run does not run again
 *
 * There is one plan, in which outputs live to the end and no group of layers lies in two parts (PlanOptions.part). Each
 * variant is an Emit with the first calls and nodes of the whole one, so that all that speaks of families (family_c.c)
 * speaks of them too.
 */
#include <string.h>

#include "backend/emit/emit.h"
#include "ir/base/mem.h"

typedef struct Exits {
  Emit v[EMIT_VARIANTS], joint;
  Graph *graph[EMIT_VARIANTS]; /* of v: the whole graph's first nodes */
  int n;
} Exits;

/* -- parts -- */

/* part[node]: the first output that needs it; n_outputs: none does. */
static void find_parts(const Graph *g, uint32_t *part) {
  for (NodeId k = 0; k < g->n_nodes; k++) part[k] = g->n_outputs;
  for (uint32_t o = g->n_outputs; o-- > 0;) {
    const NodeId last = graph_val(g, g->outputs[o])->def;
    if (last != NO_NODE) part[last] = o;
  }
  for (NodeId k = g->n_nodes; k-- > 0;)
    for (uint32_t i = 0; i < g->nodes[k].n_in; i++) {
      const ValId in = g->nodes[k].in[i];
      const NodeId def = in == NO_VAL ? NO_NODE : graph_val(g, in)->def;
      if (def != NO_NODE && part[k] < part[def]) part[def] = part[k];
    }
}

/* The same graph, its nodes in the order of the parts. */
static Graph *in_order(const Graph *g, Diag *d) {
  uint32_t *part = mem_array((size_t)g->n_nodes + 1, sizeof *part);
  Rewrite r;
  bool ok = true;
  find_parts(g, part);
  rewrite_begin(&r, g, NULL);
  for (uint32_t p = 0; p < g->n_outputs; p++)
    for (NodeId k = 0; k < g->n_nodes && ok; k++)
      if (part[k] == p) ok = rewrite_copy(&r, &g->nodes[k], d);
  mem_free(part);
  return rewrite_end(&r, ok, d);
}

static bool check_outputs(const Graph *g, Diag *d) {
  FAIL_IF(g->n_outputs < 2 || g->n_outputs > EMIT_VARIANTS, d, NULL,
          "exits: the model has %u output%s; want 2 to %d, the earliest exit first", g->n_outputs,
          g->n_outputs == 1 ? "" : "s", EMIT_VARIANTS);
  for (uint32_t o = 1; o < g->n_outputs; o++) {
    if (same_tensors(g, &g->outputs[0], 1, g, &g->outputs[o], 1)) continue;
    diag_error(d, NULL, "exits: output %u is not of the form of output 0 (shape, type, scale or zero point)",
               o);
    diag_hint(d, "pass exits_join gives the outputs of an int8 model one scale");
    return false;
  }
  return true;
}

/* Each exit has something to do beyond the ones before. */
static bool check_parts(const Graph *g, const uint32_t *part, Diag *d) {
  for (uint32_t o = 0; o < g->n_outputs; o++) {
    NodeId k = 0;
    while (k < g->n_nodes && part[k] != o) k++;
    FAIL_IF(k == g->n_nodes, d, NULL, "exits: output %u needs nothing that the outputs before it do not", o);
  }
  return true;
}

/* -- one plan -- */

static bool lower_and_plan(Emit *e) {
  uint32_t *part = arena_array(e->arena, (size_t)e->g->n_nodes + 1, sizeof *part);
  e->plan_options = e->opt->plan ? *e->opt->plan : target_plan(e->target);
  e->plan_options.whole = true; /* layers in bands would lie in several parts */
  find_parts(e->g, part);
  TRY(emit_family_check(e->opt, &e->plan_options, e->diag) && check_parts(e->g, part, e->diag));
  TRY(graph_lower(e->g, &e->calls, e->diag) && select_kernels(e->g, e->target, &e->calls, e->diag));
  int32_t *of_call = arena_array(e->arena, (size_t)e->calls.n + 1, sizeof *of_call);
  for (uint32_t c = 0; c < e->calls.n; c++) {
    of_call[c] = (int32_t)part[e->calls.v[c].node];
    ASSERT(c == 0 || of_call[c] >= of_call[c - 1]);
  }
  e->plan_options.part = of_call;
  return plan_memory(e->g, &e->calls, &e->plan_options, e->arena, &e->plan, e->diag);
}

/* The first calls and nodes: those of the parts up to output `o`. */
static Graph *until(const Graph *g, uint32_t o) {
  Graph *to = graph_clone(g);
  uint32_t *part = mem_array((size_t)g->n_nodes + 1, sizeof *part);
  find_parts(g, part);
  while (part[to->n_nodes - 1] > o) to->n_nodes--;
  to->outputs[0] = to->outputs[o];
  to->n_outputs = 1;
  mem_free(part);
  return to;
}

static void make_variant(Exits *x, int v) {
  const Emit *j = &x->joint;
  const uint32_t o = (uint32_t)(x->n - 1 - v);
  Emit *e = &x->v[v];
  *e = *j;
  e->g = x->graph[v] = until(j->g, o);
  e->joint = j;
  e->out_const = &j->out_const[o];
  while (e->plan_options.part[e->calls.n - 1] > (int32_t)o) e->calls.n--;
  while (e->plan.groups[e->plan.n_groups - 1].first >= (int32_t)e->calls.n) e->plan.n_groups--;
}

static bool prepare(Exits *x, const FamilyMember *members) {
  Emit *j = &x->joint;
  TRY(check_outputs(j->g, j->diag) && emit_family_graph(j->g, 0, j->diag) && lower_and_plan(j));
  collect_constants(j, &j->pool, 0);
  for (uint32_t i = 0; i < j->g->n_outputs; i++)
    FAIL_IF(j->out_const[i] >= 0, j->diag, NULL, "exits: output %u is a constant", i);
  blob_layout(j);
  j->exits = true;
  need_device(j, "runtime/device/variant.c", "mistify_select");
  TRY(need_control(j));
  for (int v = 0; v < x->n; v++) make_variant(x, v);
  j->g = x->v[0].g; /* the same, with one output */
  j->variants = x->v;
  j->n_variants = x->n;
  j->members = members;
  return true;
}

bool emit_exits(const Graph *g, const FamilyMember *members, const Target *t, const EmitOptions *o,
                FamilyCost *cost, Diag *d) {
  static const FamilyMember unknown[EMIT_VARIANTS];
  Exits *x = mem_array(1, sizeof *x);
  Graph *ordered = in_order(g, d);
  x->n = ordered ? (int)ordered->n_outputs : 0;
  bool ok = ordered && emit_begin(&x->joint, ordered, t, o, d);
  if (ok) {
    ok = prepare(x, members ? members : unknown) && print_family_files(&x->joint, cost);
    emit_end(&x->joint);
  }
  for (int v = 0; v < x->n && v < EMIT_VARIANTS; v++) graph_free(x->graph[v]);
  graph_free(ordered);
  mem_free(x);
  return ok;
}

/* -- C -- */

static void print_exit_part(const Emit *e, int part, StrBuf *out) {
  sb_printf(out, "static void part_%d(unsigned char *a) {\n  (void)a;\n", part);
  for (int i = 0; i < e->plan.n_groups; i++)
    if (e->plan_options.part[e->plan.groups[i].first] == part) print_group(e, &e->plan.groups[i], out);
  sb_puts(out, "}\n\n");
}

void print_exits_run(const Emit *e, StrBuf *out) {
  for (int p = 0; p < e->n_variants; p++) print_exit_part(e, p, out);
  print_template(e, "void @_continue(@_context *ctx, int variant) {\n", out);
  print_template(e,
                 "  const int32_t parts = @U_VARIANTS - variant;\n"
                 "  if (variant < 0 || variant >= @U_VARIANTS) return;\n",
                 out);
  for (int p = 0; p < e->n_variants; p++)
    sb_printf(out, "  if (ctx->parts < %d && parts > %d) part_%d(ctx->arena);\n", p + 1, p, p);
  print_template(e,
                 "  if (ctx->parts < parts) ctx->parts = parts;\n  ctx->variant = variant;\n}\n\n"
                 "void @_run(@_context *ctx, int variant) {\n"
                 "  if (variant < 0 || variant >= @U_VARIANTS) return;\n"
                 "  ctx->parts = 0;\n  @_continue(ctx, variant);\n}\n",
                 out);
}
