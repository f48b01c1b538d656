/* Cost of a graph on a target, before any C is compiled: flash, RAM, cycles.
 *
 *   flash    constants (exactly: equal ones once, as emission does) + params structs + code by the target's table
 *   ram      the memory plan's arena, the context, what the C library keeps for the kernels
 *   cycles   by the target's table: linear in the work of each call (backend/work.c)
 *
 * A kernel without a row in the table is estimated by `unknown`, below: right within a small factor only.
 */
#include "backend/backend.h"

#include <string.h>

#include "backend/costs.h"
#include "backend/emit/emit.h"

static const KernelCost unknown = {"", "", {400, 200, 0, 0, 0}, {100, 20, 20, 20, 10}};

/* Sums of rows cost what the pool does whose form they are. */
static const char *costed_as(const char *kernel) {
  static const char *const forms[][2] = {{"avg_rows_s8", "avg_pool_s8"},
                                         {"avg_rows_f32", "avg_pool_f32"},
                                         {"mean_rows_s8", "mean_s8"},
                                         {"mean_rows_f32", "mean_f32"}};
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
    if (strcmp(kernel, forms[i][0]) == 0) return forms[i][1];
  return kernel;
}

static const KernelCost *find_cost(const TargetCosts *t, const char *name, const char *tag, size_t n) {
  for (int i = 0; i < t->n_kernels; i++)
    if (strcmp(t->kernels[i].kernel, name) == 0 && strlen(t->kernels[i].set) == n &&
        memcmp(t->kernels[i].set, tag, n) == 0)
      return &t->kernels[i];
  return NULL;
}

/* A family's kernel without a row costs about what the plain one does. */
const KernelCost *kernel_cost(const TargetCosts *t, const KernelDef *k) {
  const char *name = costed_as(k->name), *family = strstr(k->tag, "_family");
  const KernelCost *own = find_cost(t, name, k->tag, strlen(k->tag));
  return own || !family ? own : find_cost(t, name, k->tag, (size_t)(family - k->tag));
}

static const KernelCost *cost_of(const TargetCosts *t, const KernelDef *k) {
  const KernelCost *known = kernel_cost(t, k);
  return known ? known : &unknown;
}

double kernel_cycles(const KernelCost *cost, const CallWork *w) {
  double sum = 0;
  for (int f = 0; f < WORK_COUNT; f++) sum += w->v[f] * cost->per[f];
  return sum;
}

int64_t params_bytes(const ParamsDesc *desc, int32_t pointer) {
  int64_t sum = 0;
  for (int i = 0; i < desc->n_fields; i++) {
    bool scalar = desc->fields[i].kind == FIELD_I32 || desc->fields[i].kind == FIELD_F32;
    sum += scalar ? 4 * (int64_t)desc->fields[i].count : pointer;
  }
  return (sum + pointer - 1) / pointer * pointer;
}

static bool is_float(const KernelDef *k) { return strstr(k->name, "f32") || strstr(k->name, "dequantize"); }
static bool is_int8(const KernelDef *k) { return !is_float(k) && strstr(k->name, "_s8"); }

static int calls_of(const Calls *calls, const KernelDef *k, uint32_t end) {
  int n = 0;
  for (uint32_t c = 0; c < end; c++) n += calls->v[c].kernel == k;
  return n;
}

/* Constants of the calls, equal ones once. */
static int64_t constant_bytes(const Graph *g, const Calls *calls) {
  ConstPool pool = {0};
  for (uint32_t c = 0; c < calls->n; c++) pool_add_call(&pool, g, &calls->v[c], (int)c, NULL);
  const int64_t bytes = pool_bytes(&pool);
  pool_free(&pool);
  return bytes;
}

/* Params of a kernel that is called once become part of its code. */
static int64_t all_params_bytes(const Calls *calls, const TargetCosts *t) {
  int64_t sum = 0;
  for (uint32_t c = 0; c < calls->n; c++)
    if (calls_of(calls, calls->v[c].kernel, calls->n) > 1)
      sum += params_bytes(calls->v[c].kernel->params, t->pointer);
  return sum;
}

/* Code of the kernels; copies: as if the compiler makes one for each call where it would. */
static int64_t kernels_bytes(const Calls *calls, const TargetCosts *t, bool copies) {
  int64_t sum = 0;
  for (uint32_t c = 0; c < calls->n; c++) {
    const KernelDef *k = calls->v[c].kernel;
    const SizeCost *size = &cost_of(t, k)->size;
    if (calls_of(calls, k, c) > 0) continue;
    const int n = calls_of(calls, k, calls->n);
    sum += n == 1 ? size->once : copies && size->copy ? n * (int64_t)size->copy : size->many;
  }
  return sum;
}

static int32_t most(int32_t a, int32_t b) { return a > b ? a : b; }

static int64_t code_bytes(const Graph *g, const Calls *calls, int turns, const TargetCosts *t) {
  int64_t sum = t->base_code + (int64_t)t->code_per_call * calls->n + (int64_t)t->code_per_turn * turns;
  int32_t floats = 0, int8s = 0; /* what is shared: of all kernels about what the one with most brings */
  for (uint32_t c = 0; c < calls->n; c++) {
    const KernelDef *k = calls->v[c].kernel;
    const int32_t shared = cost_of(t, k)->size.shared;
    if (is_float(k)) floats = most(floats, most(shared, t->float_shared));
    if (is_int8(k)) int8s = most(int8s, most(shared, t->int8_shared));
  }
  sum += (int64_t)t->code_per_io * ((int64_t)g->n_inputs + g->n_outputs - 2) / 2;
  const int64_t copies = kernels_bytes(calls, t, true);
  sum += copies <= t->copies_most ? copies : kernels_bytes(calls, t, false);
  return sum + floats + int8s;
}

/* Sections end at a multiple of the largest element's size, two pointers. */
static int64_t sections_end(int64_t bytes, const TargetCosts *t) {
  const int64_t align = 2 * (int64_t)t->pointer;
  return (bytes + align - 1) / align * align;
}

/* Data of the C library. */
static int32_t library_ram(const Calls *calls, const TargetCosts *t) {
  int32_t most = 0;
  for (uint32_t c = 0; c < calls->n; c++) {
    int32_t ram = cost_of(t, calls->v[c].kernel)->size.ram;
    if (ram > most) most = ram;
  }
  return most;
}

/* A layer that is computed row by row is as many calls. */
double call_cycles(const TargetCosts *t, const Graph *g, const KernelCall *k, bool by_rows) {
  CallWork w = call_work(g, k, by_rows);
  return kernel_cycles(cost_of(t, k->kernel), &w) + t->cycles_per_call * w.v[WORK_call];
}

static void region_bytes(const MemoryPlan *plan, int64_t ram, PlanRegion have[PLAN_REGIONS_MAX]) {
  for (int r = 0; r < plan->n_regions; r++) {
    have[r] = plan->regions[r];
    if (!have[r].name) have[r].bytes += ram - plan->arena;
  }
}

int plan_turns(const Calls *calls, const MemoryPlan *plan) {
  int n = 0;
  for (uint32_t c = 0; c < calls->n; c++) n += plan->stage[c].step > 0;
  return n;
}

void cost_flash(const Graph *g, const Calls *calls, int64_t constants, int turns, const TargetCosts *t,
                Cost *out) {
  out->flash_weights = constants + all_params_bytes(calls, t);
  out->flash = out->flash_weights + code_bytes(g, calls, turns, t);
}

int64_t cost_ram(const Calls *calls, int64_t arena, int64_t context, const TargetCosts *t) {
  return sections_end(arena + context + library_ram(calls, t), t);
}

double plan_cycles(const TargetCosts *t, const Graph *g, const Calls *calls, const MemoryPlan *plan) {
  double cycles = t->base_cycles;
  for (uint32_t c = 0; c < calls->n; c++) cycles += call_cycles(t, g, &calls->v[c], plan->stage[c].step > 0);
  return cycles;
}

static bool cost_bound(const Graph *g, const Target *t, const PlanOptions *o, Calls *calls, Arena *a,
                       Cost *out, PlanRegion *have, Diag *d) {
  MemoryPlan plan;
  TRY(graph_lower(g, calls, d));
  TRY(select_kernels(g, t, calls, d));
  TRY(plan_memory(g, calls, o, a, &plan, d));
  cost_flash(g, calls, constant_bytes(g, calls), plan_turns(calls, &plan), t->costs, out);
  out->ram =
      cost_ram(calls, plan.arena, t->costs->pointer + (plan.input_rows ? 4 : 0) /* counts rows */, t->costs);
  if (have) region_bytes(&plan, out->ram, have);
  out->macs = graph_macs(g);
  out->params = graph_params(g);
  out->cycles = (int64_t)(plan_cycles(t->costs, g, calls, &plan) + 0.5);
  return true;
}

bool backend_cost_regions(const Graph *g, const Target *t, const PlanOptions *plan, Cost *out,
                          PlanRegion have[PLAN_REGIONS_MAX], Diag *d) {
  PlanOptions o = plan ? *plan : target_plan(t);
  *out = (Cost){0};
  Graph *bound = bind_batch(g, d);
  if (!bound) return false;
  Graph *patched = plan_patches(bound, t, &o);
  if (patched) {
    graph_free(bound);
    bound = patched;
  }
  Arena *a = arena_new();
  Calls calls;
  calls_init(&calls);
  bool ok = cost_bound(bound, t, &o, &calls, a, out, have, d);
  calls_free(&calls);
  arena_free(a);
  graph_free(bound);
  return ok;
}

bool backend_cost_planned(const Graph *g, const Target *t, const PlanOptions *plan, Cost *out, Diag *d) {
  return backend_cost_regions(g, t, plan, out, NULL, d);
}

bool backend_cost(const Graph *g, const Target *t, Cost *out, Diag *d) {
  return backend_cost_planned(g, t, NULL, out, d);
}
