/* A family: N variants of one model in one pair of files (backend/family_calls.c has how they share weights).
 *
 *   model.c   kernels once | constants: the weights once, each variant's biases and multipliers | layers of all variants |
 *             run_0(a) .. run_N-1(a): each variant's plan | NAME_run(ctx, variant)
 *   arena     |.......... the largest plan ..........|       each variant's plan begins where its input lies at the
 *             |   |... a smaller plan ...|                    place of all inputs: NAME_input asks for no variant
 *
 * The joint Emit holds constants and layers of all, numbered on; each variant has its graph, calls and plan. Outputs lie
 * where the variant's plan puts them: the context keeps which ran last.
 */
#include <string.h>

#include "backend/costs.h"
#include "backend/emit/emit.h"
#include "ir/base/mem.h"

typedef struct Members {
  Emit v[EMIT_VARIANTS], joint;
  int n, begun;
} Members;

/* -- what is refused -- */

bool emit_family_check(const EmitOptions *o, const PlanOptions *p, Diag *d) {
  FAIL_IF(o->weights == WEIGHTS_BLOB, d, NULL,
          "weights in a blob: a family's are shared by its variants; want them in the code");
  FAIL_IF(o->adapt, d, NULL, "training on the device (adapt) and a family do not go together");
  FAIL_IF(o->step, d, NULL, "a run in pieces (step) and a family do not go together");
  FAIL_IF(p->input_rows, d, NULL, "an input row by row and a family do not go together");
  FAIL_IF(p->n_regions > 1, d, NULL, "working memory in several regions and a family do not go together");
  return true;
}

bool emit_family_graph(const Graph *g, int v, Diag *d) {
  FAIL_IF(!g->n_outputs, d, NULL, "variant %d has no output; want one at least", v);
  FAIL_IF(g->n_states > 0, d, NULL, "variant %d keeps values from one run to the next: no family can", v);
  for (NodeId i = 0; i < g->n_nodes; i++)
    FAIL_IF(g->nodes[i].op == OP_custom, d, &g->nodes[i].loc,
            "custom operators and a family do not go together");
  return true;
}

static bool same_quant(const Value *a, const Value *b) {
  if (a->quant.n != b->quant.n) return false;
  for (int i = 0; i < a->quant.n; i++)
    if (a->quant.scale[i] != b->quant.scale[i] || a->quant.zero[i] != b->quant.zero[i]) return false;
  return true;
}

bool same_tensors(const Graph *g, const ValId *ids, uint32_t n, const Graph *h, const ValId *other,
                  uint32_t m) {
  bool same = n == m;
  for (uint32_t i = 0; i < n && same; i++) {
    const Value *a = graph_val(g, ids[i]), *b = graph_val(h, other[i]);
    same = a->dtype == b->dtype && shape_equal(&a->shape, &b->shape) && same_quant(a, b);
  }
  return same;
}

static bool check_members(const Members *m, Diag *d) {
  const Graph *g = m->v[0].g;
  for (int v = 0; v < m->n; v++) {
    const Graph *h = m->v[v].g;
    TRY(emit_family_graph(h, v, d));
    FAIL_IF(!same_tensors(g, g->inputs, g->n_inputs, h, h->inputs, h->n_inputs) ||
                !same_tensors(g, g->outputs, g->n_outputs, h, h->outputs, h->n_outputs),
            d, NULL,
            "variant %d has other inputs or outputs than the widest (shape, type, scale or zero point)", v);
  }
  return true;
}

/* -- plans in one arena -- */

static int64_t input_at(const Emit *e, uint32_t i) { return e->plan.offset[e->g->inputs[i]]; }

/* Every variant's input lies at one place: a plan as a whole begins so much later. */
static bool shift_plans(Members *m, Diag *d) {
  int64_t most = 0, arena = 0;
  for (int v = 0; v < m->n && m->v[0].g->n_inputs; v++)
    if (input_at(&m->v[v], 0) > most) most = input_at(&m->v[v], 0);
  for (int v = 0; v < m->n; v++) {
    Emit *e = &m->v[v];
    e->shift = e->g->n_inputs ? most - input_at(e, 0) : 0;
    FAIL_IF(e->plan.align != m->v[0].plan.align, d, NULL, "variant %d has tensors of other alignments", v);
    for (uint32_t i = 1; i < e->g->n_inputs; i++)
      FAIL_IF(input_at(e, i) + e->shift != input_at(&m->v[0], i) + m->v[0].shift, d, NULL,
              "variant %d has its inputs at other places than the widest: want a model of one input", v);
    if (e->plan.arena + e->shift > arena) arena = e->plan.arena + e->shift;
  }
  m->joint.plan.arena = m->joint.plan.regions[0].bytes = arena;
  m->joint.shift = m->v[0].shift;
  return true;
}

/* -- constants and layers of all -- */

static bool collect(Members *m, Diag *d) {
  Emit *j = &m->joint;
  uint32_t n = 0, at = 0;
  for (int v = 0; v < m->n; v++) n += m->v[v].calls.n;
  KernelCall *calls = arena_array(j->arena, (size_t)n + 1, sizeof *calls);
  j->names = arena_array(j->arena, (size_t)n + 1, sizeof *j->names);
  for (int v = 0; v < m->n; v++) {
    Emit *e = &m->v[v];
    e->first_layer = at;
    collect_constants(e, &j->pool, (int)at);
    for (uint32_t i = 0; i < e->g->n_outputs; i++)
      FAIL_IF(e->out_const[i] >= 0, d, NULL, "output %u of variant %d is a constant: no family's is", i, v);
    for (uint32_t c = 0; c < e->calls.n; c++) {
      calls[at + c] = e->calls.v[c];
      j->names[at + c] = e->names[c];
    }
    at += e->calls.n;
  }
  j->calls = (Calls){.v = calls, .n = n};
  j->out_const = m->v[0].out_const;
  return true;
}

static bool lower_all(Members *m, Diag *d) {
  const Graph *g[EMIT_VARIANTS];
  Calls *calls[EMIT_VARIANTS];
  bool *shared;
  for (int v = 0; v < m->n; v++) {
    Emit *e = &m->v[v];
    g[v] = e->g;
    calls[v] = &e->calls;
    e->plan_options = e->opt->plan ? *e->opt->plan : target_plan(e->target);
    e->plan_options.whole = true; /* variants have the same layers */
    TRY(emit_family_check(e->opt, &e->plan_options, d) && graph_lower(e->g, &e->calls, d));
  }
  TRY(family_share(g, calls, m->n, &shared, d) && family_select(g, m->v[0].target, calls, m->n, shared, d));
  for (int v = 0; v < m->n; v++) {
    Emit *e = &m->v[v];
    TRY(plan_memory(e->g, &e->calls, &e->plan_options, e->arena, &e->plan, d));
  }
  return true;
}

static bool prepare(Members *m, const FamilyMember *members, Diag *d) {
  Emit *j = &m->joint;
  TRY(check_members(m, d) && lower_all(m, d));
  j->plan = m->v[0].plan;
  j->plan_options = m->v[0].plan_options;
  j->members = members;
  TRY(shift_plans(m, d) && collect(m, d));
  j->variants = m->v;
  j->n_variants = m->n;
  blob_layout(j);
  for (int v = 0; v < m->n; v++) {
    m->v[v].joint = j;
    m->v[v].blob.fingerprint = j->blob.fingerprint;
  }
  need_device(j, "runtime/device/variant.c", "mistify_select");
  return need_control(j);
}

/* The widest as who describes them all. */
static Emit face_of(const Emit *j) {
  Emit e = j->variants[0];
  e.variants = j->variants;
  e.n_variants = j->n_variants;
  e.members = j->members;
  e.plan.arena = j->plan.arena;
  e.plan.regions[0].bytes = j->plan.regions[0].bytes;
  return e;
}

bool print_family_files(Emit *j, FamilyCost *cost) {
  OutFiles f = {0};
  Emit face = face_of(j);
  bool ok = add_kernel_files(j, &f) && print_model_c(j, files_add(&f, "model.c"));
  if (ok && j->opt->weights != WEIGHTS_IN_CODE) print_weights_c(j, files_add(&f, "weights.c"));
  ok = ok && print_other_files(&face, &f) &&
       (!j->opt->out_dir || files_publish(j->arena, j->opt->out_dir, &f, j->diag));
  files_free(&f);
  if (ok && cost) family_estimate(&face, cost);
  return ok;
}

bool emit_family(const FamilyMember *members, int n, const Target *t, const EmitOptions *o, FamilyCost *cost,
                 Diag *d) {
  FAIL_IF(n < 1 || n > EMIT_VARIANTS, d, NULL, "%d variants: want 1 to %d", n, EMIT_VARIANTS);
  Members *m = mem_array(1, sizeof *m);
  *m = (Members){.n = n};
  bool ok = emit_begin(&m->joint, members[0].g, t, o, d);
  calls_free(&m->joint.calls); /* it has those of the others */
  for (; ok && m->begun < n; m->begun += ok) ok = emit_begin(&m->v[m->begun], members[m->begun].g, t, o, d);
  ok = ok && prepare(m, members, d) && print_family_files(&m->joint, cost);
  for (int v = 0; v < m->begun; v++) emit_end(&m->v[v]);
  if (m->joint.arena) { /* not emit_end: its calls lie in the arena */
    pool_free(&m->joint.pool);
    arena_free(m->joint.arena);
    graph_free(m->joint.bound);
  }
  mem_free(m);
  return ok;
}

/* -- C -- */

static int64_t cycles_of(const Emit *e, int v) {
  const Emit *own = &e->variants[v];
  if (e->members[v].cycles > 0) return e->members[v].cycles;
  return (int64_t)(plan_cycles(own->target->costs, own->g, &own->calls, &own->plan) + 0.5);
}

static int64_t nanojoules_of(const Emit *e, int v) {
  if (e->members[v].nanojoules > 0) return e->members[v].nanojoules;
  return (int64_t)((double)cycles_of(e, v) * e->opt->joules_per_cycle * 1e9 + 0.5);
}

static void print_u32(int64_t v, StrBuf *out) {
  sb_printf(out, "%lluu",
            (unsigned long long)(v > (int64_t)UINT32_MAX ? (int64_t)UINT32_MAX
                                 : v < 0                 ? 0
                                                         : v));
}

void print_variants(const Emit *e, StrBuf *out) {
  const char *n = e->opt->name;
  bool measured = true;
  for (int v = 0; v < e->n_variants; v++) measured = measured && e->members[v].cycles > 0;
  sb_printf(out,
            "\n/* Cycles %s, bytes of arena, nanojoules, parts per million that are right; 0: unknown. */\n",
            measured ? "as measured" : "as estimated");
  sb_printf(out, "const mistify_variant %s_variants[%s_VARIANTS] = {\n", n, e->upper);
  for (int v = 0; v < e->n_variants; v++) {
    const int64_t row[] = {cycles_of(e, v), e->variants[v].plan.arena + e->variants[v].shift,
                           nanojoules_of(e, v), e->members[v].accuracy_ppm};
    sb_puts(out, "    {");
    for (int i = 0; i < 4; i++) {
      if (i) sb_puts(out, ", ");
      print_u32(row[i], out);
    }
    sb_puts(out, v + 1 < e->n_variants ? "},\n" : "}};\n");
  }
}

static void print_runs(const Emit *e, StrBuf *out) {
  const char *n = e->opt->name;
  for (int v = 0; v < e->n_variants; v++) {
    sb_printf(out, "static void run_%d(unsigned char *a) {\n  (void)a;\n", v);
    print_groups(&e->variants[v], 0, out);
    sb_puts(out, "}\n\n");
  }
  sb_printf(out, "void %s_run(%s_context *ctx, int variant) {\n  switch (variant) {\n", n, n);
  for (int v = 0; v < e->n_variants; v++) {
    sb_printf(out, "  case %d: run_%d(ctx->arena", v, v);
    if (e->variants[v].shift) sb_printf(out, " + %lld", (long long)e->variants[v].shift);
    sb_puts(out, "); break;\n");
  }
  sb_puts(out, "  default: return;\n  }\n  ctx->variant = variant;\n}\n");
}

void print_family_run(const Emit *e, StrBuf *out) {
  if (e->exits)
    print_exits_run(e, out);
  else
    print_runs(e, out);
  print_template(e,
                 "\nint @_select(const mistify_budget *budget) {\n"
                 "  return (int)mistify_select(@_variants, @U_VARIANTS, budget);\n}\n",
                 out);
}

void print_family_output(const Emit *e, StrBuf *out) {
  const char *n = e->opt->name;
  sb_printf(out, "const void *%s_output(const %s_context *ctx, int i) {\n", n, n);
  sb_printf(out, "  static const uint32_t place[%s_VARIANTS][%s_OUTPUTS] = {", e->upper, e->upper);
  for (int v = 0; v < e->n_variants; v++) {
    const Emit *own = &e->variants[v];
    sb_puts(out, v ? ", {" : "{");
    for (uint32_t i = 0; i < own->g->n_outputs; i++)
      sb_printf(out, "%s%lld", i ? ", " : "", (long long)(own->plan.offset[own->g->outputs[i]] + own->shift));
    sb_putc(out, '}');
  }
  sb_printf(out, "};\n  return i >= 0 && i < %s_OUTPUTS ? ctx->arena + place[ctx->variant][i] : NULL;\n}\n\n",
            e->upper);
}

/* -- model.json -- */

/* Which variants use constant `index`: a bit each. */
static unsigned users_of(const Emit *e, int index) {
  unsigned users = 0;
  for (int v = 0; v < e->n_variants; v++) {
    const Emit *own = &e->variants[v];
    for (uint32_t c = 0; c < own->calls.n; c++) {
      const KernelCall *k = &own->calls.v[c];
      for (int i = 0; i < k->n_consts; i++)
        if (own->names[c].field[i] == index) users |= 1u << v;
      for (int i = 0; i < k->n_in; i++)
        if (own->names[c].in[i] == index) users |= 1u << v;
    }
  }
  return users;
}

/* Bytes of constants: [v] those of variant v alone, [n_variants] of several. */
static void constant_bytes(const Emit *e, int64_t bytes[EMIT_VARIANTS + 1]) {
  const ConstPool *p = &e->variants[0].joint->pool;
  memset(bytes, 0, (EMIT_VARIANTS + 1) * sizeof *bytes);
  for (int i = 0; i < p->n; i++) {
    const unsigned users = users_of(e, i);
    int owner = e->n_variants;
    for (int v = 0; v < e->n_variants; v++)
      if (users == 1u << v) owner = v;
    bytes[owner] += p->v[i].count * (int64_t)dtype_size(p->v[i].dtype);
  }
}

static int64_t layer_bytes(const Emit *e) {
  int64_t sum = 0;
  for (uint32_t c = 0; c < e->calls.n; c++)
    sum += params_bytes(e->calls.v[c].kernel->params, e->target->costs->pointer);
  return sum;
}

void json_variants(const Emit *e, StrBuf *out) {
  int64_t bytes[EMIT_VARIANTS + 1];
  constant_bytes(e, bytes);
  sb_printf(out, "  \"shared_constants\": %lld,\n  \"variants\": [", (long long)bytes[e->n_variants]);
  for (int v = 0; v < e->n_variants; v++) {
    const Emit *own = &e->variants[v];
    sb_printf(out, "%s\n    {\"macs\": %lld, \"params\": %lld, \"cycles\": %lld, \"cycles_measured\": %s, ",
              v ? "," : "", (long long)graph_macs(own->g), (long long)graph_params(own->g),
              (long long)cycles_of(e, v), e->members[v].cycles > 0 ? "true" : "false");
    sb_printf(out, "\"arena\": %lld, \"nanojoules\": %lld, \"accuracy_ppm\": %lld, ",
              (long long)own->plan.arena, (long long)nanojoules_of(e, v),
              (long long)e->members[v].accuracy_ppm);
    sb_printf(out, "\"layers\": %u, \"own_constants\": %lld, \"own_params\": %lld}", own->calls.n,
              (long long)bytes[v], (long long)(e->exits ? 0 : layer_bytes(own)));
  }
  sb_puts(out, "\n  ],\n");
}

void family_estimate(const Emit *e, FamilyCost *out) {
  const Emit *j = e->variants[0].joint;
  const TargetCosts *costs = e->target->costs;
  int turns = 0;
  for (int v = 0; v < e->n_variants; v++) {
    if (!e->exits || v == 0) turns += plan_turns(&e->variants[v].calls, &e->variants[v].plan);
    out->cycles[v] = cycles_of(e, v);
  }
  Cost *all = &out->image;
  *all = (Cost){.macs = graph_macs(e->g), .params = graph_params(e->g), .cycles = out->cycles[0]};
  cost_flash(e->g, &j->calls, pool_bytes(&j->pool), turns, costs, all);
  const int64_t context = costs->pointer + (e->exits ? 8 : 4); /* the arena, who ran last */
  all->ram = cost_ram(&j->calls, e->plan.arena, context, costs);
}

/* Every variant after every other, and after itself: 0 | 0 1 | 0 2 | 1 | 1 2 | 2, again from the beginning. */
const uint8_t *family_sequence(const Emit *e, int *n) {
  const int k = e->n_variants;
  uint8_t *order = arena_array(e->arena, (size_t)(k * k), 1);
  *n = 0;
  for (int i = 0; i < k; i++) {
    order[(*n)++] = (uint8_t)i;
    for (int j = i + 1; j < k; j++) {
      order[(*n)++] = (uint8_t)i;
      order[(*n)++] = (uint8_t)j;
    }
  }
  ASSERT(*n == k * k);
  return order;
}
