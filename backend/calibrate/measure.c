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

static bool measure(Calibration *c, const Graph *g, Measured *m) {
  const EmitOptions o = {.name = "m", .out_dir = c->dir};
  bool ok = emit_c(g, c->target, &o, c->diag) && harness_verify(c->dir, c->target, c->host, m, c->diag);
  file_remove_tree(c->dir);
  FAIL_IF(ok && m->cycles < 0, c->diag, NULL, "%s: there is nothing here that counts its instructions",
          c->target->name);
  return ok;
}

static bool measure_text(Calibration *c, const char *text, Measured *m) {
  static const int size[SIZES] = {8, 8, 8, 3, 1};
  Graph *g = layers_make(text, size, NULL, NULL, c->diag);
  bool ok = g && measure(c, g, m);
  graph_free(g);
  return ok;
}

static int32_t positive(int64_t v) { return v > 0 ? (int32_t)v : 0; }

/* -- what is there without kernels -- */

#define FC8(x, y, n) \
  "%w" n " = const : i8[8,8] q(0.01, 0) @\n%" y " = FullyConnected(%" x ", %w" n ") : i8[1,8] q(0.1, 0)\n"

bool measure_base(Calibration *c) {
  Measured m, two, four;
  TRY(measure_text(c, "%x = input : i8[4]\noutput %x\n", &m));
  TRY(measure_text(c, "%a = input : i8[1,8] q(0.05, 0)\n" FC8("a", "b", "1") FC8("b", "c", "2") "output %c\n",
                   &two));
  TRY(measure_text(c,
                   "%a = input : i8[1,8] q(0.05, 0)\n" FC8("a", "b", "1") FC8("b", "c", "2")
                       FC8("c", "d", "3") FC8("d", "e", "4") "output %e\n",
                   &four));
  c->base_code = (int32_t)m.flash_code;
  c->base_ram = m.ram_other;
  c->base_cycles = (double)m.cycles;
  c->code_per_call = positive((four.flash_code - two.flash_code) / 2);
  return true;
}

#define IMAGE8  "%p = input : i8[1,4,4,8] q(0.05, 0)\n"
#define IMAGE32 "%p = input : f32[1,4,4,8]\n"
#define POOLED8 \
  "%u = AveragePool(%p) {kernel=[4,4]} : i8[1,1,1,8] q(0.05, 0)\n%h = Reshape(%u) {shape=[1,8]}\n"
#define POOLED32   "%u = AveragePool(%p) {kernel=[4,4]}\n%h = Reshape(%u) {shape=[1,8]}\n"
#define DENSE8(x)  "%q = const : i8[8,8] q(0.01, 0) @\n%z = FullyConnected(%" x ", %q) : i8[1,8] q(0.1, 0)\n"
#define DENSE32(x) "%q = const : f32[8,8] @\n%z = FullyConnected(%" x ", %q) {act=relu6}\n"

static const Anchor new_anchors[N_ANCHORS] = {
    {.text = {IMAGE8 POOLED8 DENSE8("h"), IMAGE32 POOLED32 DENSE32("h")}},
    {.text = {IMAGE8 "%q = const : i8[8,3,3,8] q(0.01, 0) @\n"
                     "%c = Conv(%p, %q) : i8[1,2,2,8] q(0.1, 0)\n"
                     "%z = AveragePool(%c) {kernel=[2,2]} : i8[1,1,1,8] q(0.1, 0)\n",
              IMAGE32 "%q = const : f32[8,3,3,8] @\n%c = Conv(%p, %q) {act=relu6}\n"
                      "%z = AveragePool(%c) {kernel=[2,2]}\n"}},
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
  return strstr(kernel, "f32") ? KIND_FLOAT : strstr(kernel, "_s8") ? KIND_INT8 : KIND_OTHER;
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

static const KernelCost *known_in_set(Calibration *c, const char *kernel, const KernelSet *set) {
  for (int i = 0; i < *set->n; i++) {
    const KernelCost *k =
        strcmp(set->kernels[i].name, kernel) == 0 ? known(c, kernel, set->kernels[i].tag) : NULL;
    if (k) return k;
  }
  return NULL;
}

/* The row of the kernel that the target would rather take. */
static int32_t once_of_best(Calibration *c, const char *kernel) {
  for (const char *const *name = c->target->sets; *name; name++)
    for (int i = 0; i < n_kernel_sets; i++) {
      const KernelCost *k =
          strcmp(kernel_sets[i].name, *name) == 0 ? known_in_set(c, kernel, &kernel_sets[i]) : NULL;
      if (k) return k->size.once;
    }
  return 0;
}

void measure_shared(Calibration *c) {
  int32_t *const out[] = {&c->int8_shared, &c->float_shared};
  static const char *const layers[][2] = {{"fc_s8", "avg_pool_s8"}, {"fc_f32", "avg_pool_f32"}};
  for (int k = KIND_INT8; k <= KIND_FLOAT; k++)
    *out[k] = positive(c->anchors[0].alone_code[k] - c->base_code - 2 * c->code_per_call -
                       once_of_best(c, layers[k][0]) - once_of_best(c, layers[k][1]));
}

/* -- layers of one kernel -- */

/* The graph's calls as the target makes them by the order of its sets; costs are what is asked here. */
static bool calls_of(const Calibration *c, const Graph *g, Calls *calls) {
  calls_init(calls);
  return graph_lower(g, calls, c->diag) &&
         select_from(kernel_sets, n_kernel_sets, c->target->sets, NULL, calls, c->diag);
}

/* A model's calls apart: work of the kernel, and cycles and code of the others, which are known. */
typedef struct Parts {
  CallWork work;
  double others;
  int32_t others_code;
  int n_calls;
} Parts;

static bool split_calls(Calibration *c, const Graph *g, const Calls *calls, const char *kernel, Parts *p) {
  *p = (Parts){.n_calls = (int)calls->n};
  for (uint32_t i = 0; i < calls->n; i++) {
    const KernelDef *def = calls->v[i].kernel;
    CallWork w = call_work(g, &calls->v[i]);
    const KernelCost *k = known(c, def->name, def->tag);
    if (strcmp(def->name, kernel) == 0) {
      for (int f = 0; f < WORK_COUNT; f++) p->work.v[f] += w.v[f];
      continue;
    }
    FAIL_IF(!k, c->diag, NULL, "calibrating %s needs %s, which is not calibrated yet", kernel, def->name);
    p->others += kernel_cycles(k, &w);
    p->others_code += calls->n > 2 ? k->size.many : k->size.once;
  }
  return true;
}

static bool split(Calibration *c, const Graph *g, const char *kernel, Parts *p) {
  Calls calls;
  bool ok = calls_of(c, g, &calls) && split_calls(c, g, &calls, kernel, p);
  calls_free(&calls);
  return ok;
}

/* What the alignment of sections leaves is no data of the C library's. */
enum { PADDING = 32 };

typedef struct Added {
  int64_t code;
  int32_t ram;
  double cycles;
  CallWork work;
} Added;

/* What one layer, or two, add to the anchor, or, without it, to a model without layers. */
static bool measure_added(Calibration *c, const Family *f, const int *size, const int *second,
                          const Anchor *anchor, Added *out) {
  const Kind kind = kind_of(f->kernel);
  Parts p;
  Measured m;
  Graph *g = layers_make(f->text, size, second, NULL, c->diag);
  bool ok = g && split(c, g, f->kernel, &p);
  if (ok && anchor) {
    graph_free(g);
    g = layers_make(f->text, size, second, anchor->text[kind], c->diag);
  }
  ok = ok && g && measure(c, g, &m);
  graph_free(g);
  TRY(ok);
  const int64_t base_code = anchor ? anchor->alone_code[kind] : c->base_code;
  *out = (Added){.code = m.flash_code - base_code - (int64_t)c->code_per_call * p.n_calls - p.others_code,
                 .ram = m.ram_other - c->base_ram > PADDING ? positive(m.ram_other - c->base_ram) : 0,
                 .cycles = (double)m.cycles - c->base_cycles - p.others,
                 .work = p.work};
  return true;
}

/* Whether a layer of this size takes the kernel of that set. */
static bool takes(const Calibration *c, const Family *f, const int *size, const char *set) {
  Graph *g = layers_make(f->text, size, NULL, NULL, c->diag);
  Calls calls;
  bool found = false;
  if (g && calls_of(c, g, &calls))
    for (uint32_t i = 0; i < calls.n; i++)
      found |= strcmp(calls.v[i].kernel->name, f->kernel) == 0 && strcmp(calls.v[i].kernel->tag, set) == 0;
  if (g) calls_free(&calls);
  graph_free(g);
  return found;
}

/* The layers' sizes, as rows of the fit. */
typedef struct Rows {
  const int *size[MAX_ROWS];
  int n;
} Rows;

static bool measure_cycles(Calibration *c, const Family *f, const Rows *r, KernelCost *cost, double *worst) {
  Sample s[MAX_ROWS];
  for (int i = 0; i < r->n; i++) { /* without an anchor: its cycles change with what is inlined beside it */
    Added a;
    TRY(measure_added(c, f, r->size[i], r->size[(i + 1) % r->n], NULL, &a));
    s[i] = (Sample){a.work, a.cycles};
    cost->size.ram = a.ram;
  }
  *worst = fit(s, r->n, cost->per);
  return true;
}

enum { CODE_SHAPES = 3 };

static bool measure_code(Calibration *c, const Family *f, const Rows *r, KernelCost *cost) {
  const Anchor *anchor = anchor_of(c, f->kernel);
  int64_t many = 0, once = 0;
  for (int i = 0; i < CODE_SHAPES; i++) {
    Added a;
    TRY(measure_added(c, f, r->size[i], r->size[(i + 1) % r->n], anchor, &a));
    many += a.code;
    TRY(measure_added(c, f, r->size[i], NULL, anchor, &a));
    once += a.code;
  }
  cost->size.many = (int32_t)(many / CODE_SHAPES);
  cost->size.once = (int32_t)(once / CODE_SHAPES);
  return true;
}

static void tell(const Calibration *c, const KernelCost *k, double worst) {
  char line[300];
  if (!c->host || !c->host->log) return;
  snprintf(line, sizeof line, "%s %s %s: code %d, once %d; cycles fit within %.1f %%", c->target->name,
           k->kernel, k->set, (int)k->size.many, (int)k->size.once, 100 * worst);
  c->host->log(c->host->ctx, line);
}

bool measure_kernel(Calibration *c, const Family *f, const char *set) {
  Rows r = {.n = 0};
  KernelCost cost = {.kernel = f->kernel, .set = set};
  double worst;
  for (int i = 0; i < MAX_ROWS && f->sizes[i][0]; i++)
    if (takes(c, f, f->sizes[i], set)) r.size[r.n++] = f->sizes[i];
  if (r.n < CODE_SHAPES) return true;
  TRY(measure_cycles(c, f, &r, &cost, &worst));
  TRY(measure_code(c, f, &r, &cost));
  c->worst = fmax(c->worst, worst);
  tell(c, &cost, worst);
  return put_row(c, &cost);
}
