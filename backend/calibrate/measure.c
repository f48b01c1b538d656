/* One kernel of a target: models of its layers are emitted, built and run by the harness; their cycles are fitted to the
 * work of the calls, their code is what they add to a program that has an anchor, less the code of a call.
 *
 * Two layers where a kernel is called several times, since a compiler specialises one that is called once. Layers that
 * need several kernels come after those kernels (layers.c).
 */
#include <math.h>
#include <string.h>

#include "backend/calibrate/calibrate.h"
#include "ir/base/file.h"

static bool is_bare(const Calibration *c) { return strcmp(c->target->run, "qemu-m") == 0; }

static bool measure_sizes(Calibration *c, const Graph *g, const PlanOptions *plan, Measured *m) {
  const EmitOptions o = {.name = "m", .out_dir = c->dir, .plan = plan};
  bool ok = emit_c(g, c->target, &o, c->diag) && harness_sizes(c->dir, c->target, c->host, m, c->diag);
  file_remove_tree(c->dir);
  return ok;
}

static bool measure(Calibration *c, const Graph *g, Measured *m) {
  const EmitOptions o = {.name = "m", .out_dir = c->dir};
  bool ok = emit_c(g, c->target, &o, c->diag) && harness_verify(c->dir, c->target, c->host, m, c->diag);
  file_remove_tree(c->dir);
  TRY(ok);
  FAIL_IF(m->cycles < 0, c->diag, NULL, "%s: there is nothing here that counts its instructions",
          c->target->name);
  return true;
}

/* Layer by layer; in `a`. */
static bool measure_layers(Calibration *c, const Graph *g, const PlanOptions *plan, Arena *a, Profile *out) {
  const EmitOptions o = {.name = "m", .out_dir = c->dir, .plan = plan};
  bool ok = emit_c(g, c->target, &o, c->diag) && harness_profile(c->dir, c->target, c->host, a, out, c->diag);
  file_remove_tree(c->dir);
  FAIL_IF(ok && !out->layers, c->diag, NULL, "%s: there is nothing here that counts its instructions",
          c->target->name);
  return ok;
}

static Graph *graph_of(const Calibration *c, const char *text) {
  static const int size[SIZES] = {8, 8, 8, 3, 1}, *const sizes[] = {size};
  return layers_make(text, sizes, 1, NULL, c->diag);
}

static bool measure_text(Calibration *c, const char *text, Measured *m) {
  Graph *g = graph_of(c, text);
  bool ok = g && measure(c, g, m);
  graph_free(g);
  return ok;
}

static int32_t positive(int64_t v) { return v > 0 ? (int32_t)v : 0; }

/* -- what is there without kernels -- */

#define FC8(x, y, n) \
  "%w" n " = const : i8[8,8] q(0.01, 0) @\n%" y " = FullyConnected(%" x ", %w" n ") : i8[1,8] q(0.1, 0)\n"

/* Every call that can row by row. */
static const PlanOptions in_turns = {.level = PLAN_OVERLAP, .turns = true};

#define LINES8(x, y, n) \
  "%w" n " = const : i8[8,8] q(0.01, 0) @\n%" y " = FullyConnected(%" x ", %w" n ") : i8[4,8] q(0.1, 0)\n"

/* Bytes of NAME_run for a layer that is computed row by row, beyond those of a call; of more inputs and outputs. */
static bool measure_turns_and_ios(Calibration *c) {
  static const char chain[] = "%a = input : i8[4,8] q(0.05, 0)\n" LINES8("a", "b", "1") LINES8("b", "c", "2")
      LINES8("c", "d", "3") LINES8("d", "e", "4") "output %e\n";
  static const char ios[] = "%a = input : i8[4]\n%b = input : i8[4]\n%c = input : i8[4]\noutput %a, %b, %c\n";
  Graph *turns = graph_of(c, chain), *three = graph_of(c, ios);
  Measured by_rows, whole, m;
  static const PlanOptions at_once = {.level = PLAN_WHOLE};
  bool ok = turns && three && measure_sizes(c, turns, &in_turns, &by_rows) &&
            measure_sizes(c, turns, &at_once, &whole) && measure_sizes(c, three, NULL, &m);
  graph_free(turns);
  graph_free(three);
  TRY(ok);
  c->code_per_turn = positive((by_rows.flash_code - whole.flash_code) / 4);
  c->code_per_io = positive((m.flash_code - c->base_code) / 2);
  return true;
}

/* Cycles of NAME_run for a call: what the model takes beyond its layers. */
static bool measure_calls(Calibration *c, const char *text, double cycles) {
  Profile p;
  Arena *a = arena_new();
  Graph *g = graph_of(c, text);
  bool ok = g && measure_layers(c, g, NULL, a, &p);
  for (int i = 0; ok && i < p.n_layers; i++) cycles -= (double)p.layers[i].cycles;
  if (ok) c->cycles_per_call = fmax(0, cycles / p.n_layers);
  graph_free(g);
  arena_free(a);
  return ok;
}

/* The same target, the compiler told some more. */
static Target with_flags(const Calibration *c, Arena *a, const char *flags) {
  Target t = *c->target;
  t.cflags = arena_printf(a, "%s %s", t.cflags, flags);
  return t;
}

static bool sizes_of_text(Calibration *c, const char *text, Measured *m) {
  Graph *g = graph_of(c, text);
  bool ok = g && measure_sizes(c, g, NULL, m);
  graph_free(g);
  return ok;
}

/* The code of a call where the compiler would inline or copy the kernel that is called: told not to. */
static bool measure_plain_calls(Calibration *c, const char *pair, const char *chain) {
  Arena *a = arena_new();
  const Target *t = c->target, plain = with_flags(c, a, "-fno-inline -fno-ipa-cp");
  Measured two, four;
  c->target = &plain;
  bool ok = sizes_of_text(c, pair, &two) && sizes_of_text(c, chain, &four);
  c->target = t;
  arena_free(a);
  if (ok) c->code_per_call = positive((four.flash_code - two.flash_code) / 2);
  return ok;
}

bool measure_base(Calibration *c) {
  static const char chain[] = "%a = input : i8[1,8] q(0.05, 0)\n" FC8("a", "b", "1") FC8("b", "c", "2")
      FC8("c", "d", "3") FC8("d", "e", "4") "output %e\n";
  static const char pair[] =
      "%a = input : i8[1,8] q(0.05, 0)\n" FC8("a", "b", "1") FC8("b", "c", "2") "output %c\n";
  Measured m, two, four;
  TRY(measure_text(c, "%x = input : i8[4]\noutput %x\n", &m));
  TRY(measure_text(c, pair, &two));
  TRY(measure_text(c, chain, &four));
  c->base_code = (int32_t)m.flash_code;
  c->base_ram = m.ram_other;
  c->base_cycles = (double)m.cycles;
  c->code_per_call = positive((four.flash_code - two.flash_code) / 2);
  if (c->copies_most) TRY(measure_plain_calls(c, pair, chain));
  TRY(measure_turns_and_ios(c));
  return measure_calls(c, chain, (double)four.cycles - c->base_cycles);
}

/* Windows of nine: a division that is none by a power of two. */
#define IMAGE8  "%p = input : i8[1,5,5,8] q(0.05, 0)\n"
#define IMAGE32 "%p = input : f32[1,5,5,8]\n"
#define POOLED8                                                                                    \
  "%u = AveragePool(%p) {kernel=[3,3], strides=[3,3]} : i8[1,1,1,8] q(0.05, 0)\n%h = Reshape(%u) " \
  "{shape=[1,8]}\n"
#define POOLED32   "%u = AveragePool(%p) {kernel=[3,3], strides=[3,3]}\n%h = Reshape(%u) {shape=[1,8]}\n"
#define DENSE8(x)  "%q = const : i8[8,8] q(0.01, 0) @\n%z = FullyConnected(%" x ", %q) : i8[1,8] q(0.1, 0)\n"
#define DENSE32(x) "%q = const : f32[8,8] @\n%z = FullyConnected(%" x ", %q) {act=relu6}\n"

static const Anchor new_anchors[N_ANCHORS] = {
    {.text = {IMAGE8 POOLED8 DENSE8("h"), IMAGE32 POOLED32 DENSE32("h")}},
    {.text = {IMAGE8 "%q = const : i8[8,3,3,8] q(0.01, 0) @\n"
                     "%c = Conv(%p, %q) : i8[1,3,3,8] q(0.1, 0)\n"
                     "%z = AveragePool(%c) {kernel=[3,3]} : i8[1,1,1,8] q(0.1, 0)\n",
              IMAGE32 "%q = const : f32[8,3,3,8] @\n%c = Conv(%p, %q) {act=relu6}\n"
                      "%z = AveragePool(%c) {kernel=[3,3]}\n"}},
    {.text = {"%p = input : i8[1,8] q(0.05, 0)\n%u = Softmax(%p) : i8[1,8] q(0.00390625, -128)\n" DENSE8("u"),
              "%p = input : f32[1,8]\n%u = Softmax(%p)\n" DENSE32("u")}},
};

bool measure_anchors(Calibration *c) {
  for (int i = 0; i < N_ANCHORS; i++) {
    c->anchors[i] = new_anchors[i];
    for (int k = KIND_INT8; k <= KIND_FLOAT; k++) {
      char text[500];
      Measured m;
      snprintf(text, sizeof text, "%soutput %%z\n", new_anchors[i].text[k]);
      TRY(measure_text(c, text, &m));
      c->anchors[i].alone_code[k] = m.flash_code;
    }
  }
  return true;
}

/* By name, as backend/cost.c. */
static Kind kind_of(const char *kernel) {
  if (strstr(kernel, "f32") || strstr(kernel, "dequantize")) return KIND_FLOAT;
  return strstr(kernel, "_s8") ? KIND_INT8 : KIND_OTHER;
}

/* NULL: the kernel has none. */
static const Anchor *anchor_of(const Calibration *c, const char *kernel) {
  if (kind_of(kernel) == KIND_OTHER) return NULL;
  return &c->anchors[strncmp(kernel, "fc_", 3) == 0 ? 1 : strncmp(kernel, "avg_pool_", 9) == 0 ? 2 : 0];
}

/* -- rows known so far -- */

static KernelCost *known(Calibration *c, const char *kernel, const char *set) {
  for (int i = 0; i < c->n; i++)
    if (strcmp(c->cost[i].kernel, kernel) == 0 && strcmp(c->cost[i].set, set) == 0) return &c->cost[i];
  return NULL;
}

static bool put_row(Calibration *c, const KernelCost *cost) {
  KernelCost *row = known(c, cost->kernel, cost->set);
  FAIL_IF(!row && c->n == MAX_KERNELS, c->diag, NULL, "more than %d kernels", MAX_KERNELS);
  if (!row) row = &c->cost[c->n++];
  *row = *cost;
  return true;
}

/* -- layers of one kernel -- */

/* The graph's calls as the target makes them, and their plan. */
static bool calls_of(const Calibration *c, const Graph *g, const PlanOptions *plan, Arena *a, Calls *calls,
                     MemoryPlan *m) {
  const PlanOptions o = plan ? *plan : target_plan(c->target);
  calls_init(calls);
  if (graph_lower(g, calls, c->diag) && select_kernels(g, c->target, calls, c->diag) &&
      plan_memory(g, calls, &o, a, m, c->diag))
    return true;
  calls_free(calls);
  return false;
}

/* Selection by a table that prefers the kernel with this tag to others of its name. */
static void steer(Calibration *c, const Target *t, const char *kernel, const char *tag) {
  int n = 0;
  for (int i = 0; i < n_kernel_sets; i++)
    for (int k = 0; k < *kernel_sets[i].n; k++) {
      const KernelDef *def = &kernel_sets[i].kernels[k];
      if (strcmp(def->name, kernel) != 0 || n == MAX_VARIANTS) continue;
      c->steer_row[n++] = (KernelCost){
          .kernel = def->name, .set = def->tag, .per = {[WORK_call] = strcmp(def->tag, tag) == 0 ? 1 : 1e6}};
    }
  c->steer =
      (TargetCosts){.origin = "", .pointer = t->costs->pointer, .kernels = c->steer_row, .n_kernels = n};
  c->steered = *t;
  c->steered.costs = &c->steer;
  c->steered.families = strstr(tag, "_family") != NULL;
}

/* A model's calls beside those of the kernel: their code, which is known. */
typedef struct Parts {
  int32_t others_code;
  int n_calls;
  int64_t arena;
} Parts;

static bool split_calls(Calibration *c, const Calls *calls, const char *kernel, Parts *p) {
  *p = (Parts){.n_calls = (int)calls->n};
  for (uint32_t i = 0; i < calls->n; i++) {
    const KernelDef *def = calls->v[i].kernel;
    const KernelCost *k = known(c, def->name, def->tag);
    if (strcmp(def->name, kernel) == 0) continue;
    FAIL_IF(!k, c->diag, NULL, "calibrating %s needs %s, which is not calibrated yet", kernel, def->name);
    p->others_code += calls->n > 2 ? k->size.many : k->size.once;
  }
  return true;
}

static bool split(Calibration *c, const Graph *g, const char *kernel, Parts *p) {
  Calls calls;
  MemoryPlan m;
  Arena *a = arena_new();
  bool ok = calls_of(c, g, NULL, a, &calls, &m);
  if (ok) {
    ok = split_calls(c, &calls, kernel, p);
    p->arena = m.arena;
    calls_free(&calls);
  }
  arena_free(a);
  return ok;
}

/* What the alignment of sections leaves is no data of the C library's. */
enum { PADDING = 32 };

typedef struct Added {
  int64_t code;
  int32_t ram;
} Added;

/* What one layer, or two, add to the anchor, or, without it, to a model without layers. */
static bool measure_added(Calibration *c, const Family *f, const int *const *sizes, int n,
                          const Anchor *anchor, Added *out) {
  const Kind kind = kind_of(f->kernel);
  Parts p = {0}, all;
  Measured m;
  Graph *g = layers_make(f->text, sizes, n, NULL, c->diag);
  bool ok = g && split(c, g, f->kernel, &p);
  all = p;
  if (ok && anchor) {
    graph_free(g);
    g = layers_make(f->text, sizes, n, anchor->text[kind], c->diag);
    Calls calls;
    MemoryPlan plan;
    Arena *a = arena_new();
    ok = g && calls_of(c, g, NULL, a, &calls, &plan);
    if (ok) {
      all.arena = plan.arena;
      calls_free(&calls);
    }
    arena_free(a);
  }
  ok = ok && measure_sizes(c, g, NULL, &m);
  graph_free(g);
  TRY(ok);
  const int64_t base_code =
      (anchor ? anchor->alone_code[kind] : c->base_code) + (int64_t)c->code_per_io * (anchor ? n : n - 1);
  const int64_t ram = m.ram_other - c->base_ram - all.arena;
  *out = (Added){.code = m.flash_code - base_code - (int64_t)c->code_per_call * p.n_calls - p.others_code,
                 .ram = ram > PADDING ? positive(ram) : 0};
  return true;
}

/* Whether a layer of this size takes the kernel of that tag. */
static bool takes(const Calibration *c, const Family *f, const int *size, const char *tag) {
  Graph *g = layers_make(f->text, &size, 1, NULL, c->diag);
  Calls calls;
  MemoryPlan m;
  Arena *a = arena_new();
  bool found = false;
  if (g && calls_of(c, g, NULL, a, &calls, &m)) {
    for (uint32_t i = 0; i < calls.n; i++)
      found |= strcmp(calls.v[i].kernel->name, f->kernel) == 0 && strcmp(calls.v[i].kernel->tag, tag) == 0;
    calls_free(&calls);
  }
  graph_free(g);
  arena_free(a);
  return found;
}

/* The layers' sizes, as rows of the fit. */
typedef struct Rows {
  const int *size[MAX_ROWS + 1]; /* the first again, behind the last */
  int n;
} Rows;

typedef struct Samples {
  Sample v[MAX_SAMPLES];
  int n;
} Samples;

/* All layers in one model, each by its marks. */
static bool sample_layers(Calibration *c, const Family *f, const Rows *r, const PlanOptions *plan, bool turns,
                          Samples *s) {
  Arena *a = arena_new();
  Graph *g = layers_make(f->text, r->size, r->n, NULL, c->diag);
  Calls calls;
  MemoryPlan m;
  Profile p;
  bool ok = g && calls_of(c, g, plan, a, &calls, &m);
  if (ok) {
    ok = measure_layers(c, g, plan, a, &p);
    for (uint32_t i = 0; ok && i < calls.n && s->n < MAX_SAMPLES; i++)
      if (strcmp(calls.v[i].kernel->name, f->kernel) == 0 && turns == (m.stage[i].step > 0))
        s->v[s->n++] = (Sample){call_work(g, &calls.v[i], turns), (double)p.layers[i].cycles};
    calls_free(&calls);
  }
  graph_free(g);
  arena_free(a);
  return ok;
}

static bool measure_cycles(Calibration *c, const Family *f, const Rows *r, KernelCost *cost, double *worst) {
  static const PlanOptions whole = {.level = PLAN_WHOLE};
  Samples s = {.n = 0};
  TRY(sample_layers(c, f, r, &whole, false, &s));
  if (is_bare(c)) TRY(sample_layers(c, f, r, &in_turns, true, &s));
  *worst = fit(s.v, s.n, cost->per);
  return true;
}

enum { CODE_SHAPES = 2, LEAST_SHAPES = 3 };

typedef struct Code {
  int64_t once, many, beside; /* beside: what a pair brings where nothing of its family is there yet */
} Code;

/* Means over shapes, of layers alone and in pairs. */
static bool mean_code(Calibration *c, const Family *f, const Rows *r, Code *out, KernelCost *cost) {
  const Anchor *anchor = anchor_of(c, f->kernel);
  const int n = c->copies_most ? 1 : CODE_SHAPES, first = c->copies_most ? r->n / 2 : 0;
  Added one, two, alone;
  *out = (Code){0, 0, 0};
  for (int i = first; i < first + n; i++) {
    TRY(measure_added(c, f, &r->size[i], 2, anchor, &two) &&
        measure_added(c, f, &r->size[i], 1, anchor, &one));
    out->many += two.code;
    out->once += one.code;
    cost->size.ram = two.ram;
  }
  out->many /= n;
  out->once /= n;
  if (!anchor) return true;
  TRY(measure_added(c, f, &r->size[first + n - 1], 2, NULL, &alone));
  out->beside = alone.code - two.code;
  return true;
}

/* Where the compiler copies kernels, what one is that it does not copy. */
static bool shared_code(Calibration *c, const Family *f, const Rows *r, int64_t *out) {
  Arena *a = arena_new();
  const Target *t = c->target, plain = with_flags(c, a, "-fno-ipa-cp-clone");
  Added added;
  c->target = &plain;
  bool ok = measure_added(c, f, &r->size[r->n / 2], 2, anchor_of(c, f->kernel), &added);
  c->target = t;
  arena_free(a);
  *out = ok ? added.code : 0;
  return ok;
}

static bool measure_code(Calibration *c, const Family *f, const Rows *r, KernelCost *cost) {
  Code code;
  int64_t shared;
  TRY(mean_code(c, f, r, &code, cost));
  cost->size.many = (int32_t)code.many;
  cost->size.once = (int32_t)code.once;
  cost->size.shared = positive(code.beside);
  if (!c->copies_most) return true;
  TRY(shared_code(c, f, r, &shared));
  if (code.many / 2 < shared) cost->size.copy = (int32_t)(code.many / 2);
  if (shared > code.many / 2) cost->size.many = (int32_t)shared;
  if (code.many > shared * 9 / 10 && code.once * 2 < code.many * 2 / 3)
    cost->size.copy = 0; /* shared by the two */
  return true;
}

static void tell(const Calibration *c, const KernelCost *k, double worst) {
  char line[300];
  if (!c->host || !c->host->log) return;
  snprintf(line, sizeof line, "%s %s %s: code %d, once %d; cycles fit within %.1f %%", c->target->name,
           k->kernel, k->set, (int)k->size.many, (int)k->size.once, 100 * worst);
  c->host->log(c->host->ctx, line);
}

static bool measure_rows(Calibration *c, const Family *f, const char *tag) {
  Rows r = {.n = 0};
  KernelCost cost = {.kernel = f->kernel, .set = tag};
  double worst;
  for (int i = 0; i < MAX_ROWS && f->sizes[i][0]; i++)
    if (takes(c, f, f->sizes[i], tag)) r.size[r.n++] = f->sizes[i];
  if (r.n < LEAST_SHAPES) return true;
  r.size[r.n] = r.size[0];
  const KernelCost *old = known(c, f->kernel, tag);
  TRY(measure_cycles(c, f, &r, &cost, &worst));
  if (c->cycles_only && old)
    cost.size = old->size;
  else
    TRY(measure_code(c, f, &r, &cost));
  c->worst = fmax(c->worst, worst);
  tell(c, &cost, worst);
  return put_row(c, &cost);
}

bool measure_kernel(Calibration *c, const Family *f, const char *tag) {
  const Target *t = c->target;
  steer(c, t, f->kernel, tag);
  c->target = &c->steered;
  bool ok = measure_rows(c, f, tag);
  c->target = t;
  return ok;
}
