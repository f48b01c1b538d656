/* Calibrates the cost tables backend/targets/NAME/IDENT.c: what a kernel costs on a target, measured.
 *
 *   make bench-calibrate_costs                                all targets (some minutes)
 *   build/release/bench/calibrate_costs cortex-m4             one target
 *   build/release/bench/calibrate_costs cortex-m4 conv_s8     one kernel of it; the other rows stay
 *   build/release/bench/calibrate_costs sets cortex-m4        only kernels of the target's own sets; the other rows stay
 *
 * For each kernel, models of two such layers in several shapes are emitted, built and run by the harness (two, since a
 * compiler specialises a kernel that is called once); their cycles are counted (harness_verify) and fitted, by least squares of relative errors with coefficients >= 0, to the work of the call
 * (backend/work.c). Code sizes are the linker's: what the layers add to a program that has an anchor (below), less the
 * code of a call; for kernels called once from models of one layer. Layers that need several kernels come after those
 * kernels. Generic kernels are measured first, as by a target that has no others; then those of its own sets, on the
 * shapes that they accept.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/backend.h"
#include "backend/costs.h"
#include "ir/base/file.h"
#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "ir/base/strbuf.h"

enum { MAX_ROWS = 10, MAX_KERNELS = 128, SIZES = 5 };

/* $a .. $e: the sizes; $f: outputs of a window of $d with padding $d/2, stride $e, over $a; $p: $d/2; "@": elements. */
typedef struct Family {
  const char *kernel, *text;
  const int (*sizes)[SIZES];
} Family;

#define X8     "%x = input : i8[1,$a,$a,$b] q(0.05, -3)\n"
#define X32    "%x = input : f32[1,$a,$a,$b]\n"
#define V8     "%x = input : i8[$a,$b] q(0.05, -3)\n"
#define V32    "%x = input : f32[$a,$b]\n"
#define WINDOW "{strides=[$e,$e], pads=[$p,$p,$p,$p], act=relu}"
#define POOL   "{kernel=[$d,$d], strides=[$e,$e], pads=[$p,$p,$p,$p]}"
/* Sizes that a fit is made from, ended by zeros: more rows than features. */
static const int windows[][SIZES] = {{8, 4, 8, 3, 1},
                                     {10, 3, 8, 3, 2},
                                     {6, 16, 16, 3, 1},
                                     {8, 16, 16, 1, 1},
                                     {4, 32, 32, 1, 1},
                                     {5, 8, 4, 5, 1},
                                     {8, 32, 24, 3, 1},
                                     {4, 64, 32, 3, 1},
                                     {12, 8, 8, 3, 1},
                                     {7, 12, 20, 1, 1},
                                     {0}};
static const int channels[][SIZES] = {{8, 8, 0, 3, 1},  {6, 16, 0, 3, 1}, {10, 24, 0, 3, 2},
                                      {7, 4, 0, 5, 1},  {5, 64, 0, 3, 1}, {12, 20, 0, 3, 1},
                                      {9, 40, 0, 3, 2}, {6, 12, 0, 1, 1}, {0}};
static const int pools[][SIZES] = {{8, 8, 0, 3, 2},  {6, 16, 0, 3, 1}, {9, 4, 0, 5, 2},  {5, 64, 0, 5, 5},
                                   {8, 20, 0, 3, 2}, {7, 40, 0, 3, 1}, {6, 12, 0, 1, 1}, {0}};
static const int dense[][SIZES] = {{1, 64, 10},  {1, 16, 32}, {1, 256, 8}, {1, 8, 4}, {4, 32, 12},
                                   {1, 640, 16}, {3, 20, 9},  {2, 100, 6}, {0}};
static const int images[][SIZES] = {{8, 8},  {4, 32},  {6, 16},  {12, 3}, {5, 7},
                                    {3, 48}, {10, 20}, {2, 128}, {0}};
static const int corners[][SIZES] = {{2, 8}, {1, 32}, {3, 16}, {2, 3}, {4, 24}, {0}};
static const int vectors[][SIZES] = {{1, 40}, {1, 300}, {8, 16}, {20, 10}, {3, 100}, {16, 7}, {0}};

static const Family families[] = {
    {"conv_s8",
     X8 "%w = const : i8[$c,$d,$d,$b] q(0.01, 0) @\n%v = const : i32[$c] q(0.0005, 0) @\n"
        "%y = Conv(%x, %w, %v) " WINDOW " : i8[1,$f,$f,$c] q(0.1, -128)\n",
     windows},
    {"depthwise_s8",
     X8 "%w = const : i8[1,$d,$d,$b] q(0.01, 0) @\n%v = const : i32[$b] q(0.0005, 0) @\n"
        "%y = DepthwiseConv(%x, %w, %v) " WINDOW " : i8[1,$f,$f,$b] q(0.1, -128)\n",
     channels},
    {"fc_s8",
     V8 "%w = const : i8[$c,$b] q(0.01, 0) @\n%v = const : i32[$c] q(0.0005, 0) @\n"
        "%y = FullyConnected(%x, %w, %v) : i8[$a,$c] q(0.1, 0)\n",
     dense},
    {"max_pool_s8", X8 "%y = MaxPool(%x) " POOL " : i8[1,$f,$f,$b] q(0.05, -3)\n", pools},
    {"avg_pool_s8", X8 "%y = AveragePool(%x) " POOL " : i8[1,$f,$f,$b] q(0.05, -3)\n", pools},
    {"mean_s8", X8 "%y = ReduceMean(%x) {axes=[1,2]} : i8[1,1,1,$b] q(0.03, 2)\n", images},
    {"add_s8", X8 "%w = const : i8[1,$a,$a,$b] q(0.04, 0) @\n%y = Add(%x, %w) : i8[1,$a,$a,$b] q(0.07, 2)\n",
     images},
    {"mul_s8", X8 "%w = const : i8[1,$a,$a,$b] q(0.04, 0) @\n%y = Mul(%x, %w) : i8[1,$a,$a,$b] q(0.2, 2)\n",
     images},
    {"max_s8",
     X8 "%w = const : i8[1,$a,$a,$b] q(0.05, -3) @\n%y = Max(%x, %w) : i8[1,$a,$a,$b] q(0.05, -3)\n", images},
    {"min_s8",
     X8 "%w = const : i8[1,$a,$a,$b] q(0.05, -3) @\n%y = Min(%x, %w) : i8[1,$a,$a,$b] q(0.05, -3)\n", images},
    {"lut_s8", V8 "%y = Tanh(%x) : i8[$a,$b] q(0.0078125, 0)\n", vectors},
    {"softmax_s8", V8 "%y = Softmax(%x) : i8[$a,$b] q(0.00390625, -128)\n", vectors},
    {"requantize_s8", V8 "%y = Quantize(%x) : i8[$a,$b] q(0.1, 5)\n", vectors},
    {"quantize_f32_s8", V32 "%y = Quantize(%x) : i8[$a,$b] q(0.01, 5)\n", vectors},
    {"dequantize_s8", V8 "%y = Dequantize(%x) : f32[$a,$b]\n", vectors},
    {"copy", X8 "%y = Transpose(%x) {perm=[0,3,1,2]}\n", images},
    {"fill", X8 "%y = Pad(%x) {pads=[0,9,9,0,0,9,9,0]}\n", corners},
    {"conv_f32",
     X32 "%w = const : f32[$c,$d,$d,$b] @\n%v = const : f32[$c] @\n"
         "%y = Conv(%x, %w, %v) " WINDOW " : f32[1,$f,$f,$c]\n",
     windows},
    {"depthwise_f32",
     X32 "%w = const : f32[1,$d,$d,$b] @\n%v = const : f32[$b] @\n"
         "%y = DepthwiseConv(%x, %w, %v) " WINDOW " : f32[1,$f,$f,$b]\n",
     channels},
    {"fc_f32",
     V32 "%w = const : f32[$c,$b] @\n%v = const : f32[$c] @\n"
         "%y = FullyConnected(%x, %w, %v) : f32[$a,$c]\n",
     dense},
    {"matmul_f32", V32 "%w = input : f32[$b,$c]\n%y = MatMul(%x, %w) : f32[$a,$c]\n", dense},
    {"max_pool_f32", X32 "%y = MaxPool(%x) " POOL " : f32[1,$f,$f,$b]\n", pools},
    {"avg_pool_f32", X32 "%y = AveragePool(%x) " POOL " : f32[1,$f,$f,$b]\n", pools},
    {"mean_f32", X32 "%y = ReduceMean(%x) {axes=[1,2]} : f32[1,1,1,$b]\n", images},
    {"affine_f32",
     X32 "%s = const : f32[$b] @\n%v = const : f32[$b] {$0.5}\n"
         "%y = BatchNormalization(%x, %s, %s, %s, %v) : f32[1,$a,$a,$b]\n",
     images},
    {"add_f32", X32 "%w = const : f32[1,$a,$a,$b] @\n%y = Add(%x, %w)\n", images},
    {"sub_f32", X32 "%w = const : f32[1,$a,$a,$b] @\n%y = Sub(%x, %w)\n", images},
    {"mul_f32", X32 "%w = const : f32[1,$a,$a,$b] @\n%y = Mul(%x, %w)\n", images},
    {"div_f32", X32 "%w = const : f32[1,$a,$a,$b] @\n%y = Div(%x, %w)\n", images},
    {"max_f32", X32 "%w = const : f32[1,$a,$a,$b] @\n%y = Max(%x, %w)\n", images},
    {"min_f32", X32 "%w = const : f32[1,$a,$a,$b] @\n%y = Min(%x, %w)\n", images},
    {"relu_f32", V32 "%y = Relu(%x)\n", vectors},
    {"clip_f32", V32 "%y = Clip(%x) {lo=-0.25, hi=0.5}\n", vectors},
    {"leaky_relu_f32", V32 "%y = LeakyRelu(%x)\n", vectors},
    {"sigmoid_f32", V32 "%y = Sigmoid(%x)\n", vectors},
    {"tanh_f32", V32 "%y = Tanh(%x)\n", vectors},
    {"softmax_f32", V32 "%y = Softmax(%x)\n", vectors},
};
enum { N_FAMILIES = (int)(sizeof families / sizeof *families) };

/* -- models from templates -- */

/* Elements for the constant whose type stands at the end of `out`: "... f32[2,3]" or "... i8[4] q(...)". */
static void put_elements(StrBuf *out, Rng *r) {
  const char *p = out->s + out->len, *type = NULL;
  while (!type) type = strncmp(--p, "const : ", 8) == 0 ? p + 8 : NULL;
  const char *dims = strchr(type, '[');
  int64_t n = 1;
  for (p = dims; *p != ']'; p += strcspn(p + 1, ",]") + 1) n *= strtoll(p + 1, NULL, 10);
  bool floats = *type == 'f';
  sb_putc(out, '{');
  for (int64_t i = 0; i < n; i++) {
    if (i) sb_putc(out, ',');
    if (floats)
      sb_float(out, rng_normal(r) * 0.5f);
    else
      sb_printf(out, "%d", (int)rng_below(r, 255) - 127);
  }
  sb_putc(out, '}');
}

/* The template with its sizes; values are named %x, or, in the second copy, %x2. */
static void put_template(StrBuf *out, const char *text, const int *size, bool second, Rng *r) {
  for (; *text; text++) {
    if (*text == '@') {
      put_elements(out, r);
    } else if (*text == '%') {
      sb_write(out, text++, 2);
      if (second) sb_putc(out, '2');
    } else if (*text != '$') {
      sb_putc(out, *text);
    } else if (*++text == 'p') {
      sb_printf(out, "%d", size[3] / 2);
    } else if (*text == 'f') {
      sb_printf(out, "%d", (size[0] + size[3] / 2 * 2 - size[3]) / size[4] + 1);
    } else if (*text == '0') { /* "{$0.5}": [$b] times 0.5 */
      for (int i = 0; i < size[1]; i++) sb_puts(out, i ? ",0.5" : "0.5");
      text += 2;
    } else {
      sb_printf(out, "%d", size[*text - 'a']);
    }
  }
}

/* One or, with other sizes beside, two copies of a template, each from its own input %x to its own output %y; and, where
 * given, an anchor beside them (below). */
static Graph *make_graph(const char *text, const int *size, const int *second, const char *anchor) {
  StrBuf out = {0};
  Rng r;
  rng_seed(&r, 3, 0);
  sb_puts(&out, "graph\n");
  put_template(&out, text, size, false, &r);
  if (second) put_template(&out, text, second, true, &r);
  if (anchor) put_template(&out, anchor, size, false, &r);
  if (!strstr(text, "output"))
    sb_printf(&out, "output %%y%s%s\n", second ? ", %y2" : "", anchor ? ", %z" : "");
  Diag *d = diag_new();
  Graph *g = graph_parse(sb_str(&out), "template", d);
  if (!g || !graph_verify(g, d)) {
    fprintf(stderr, "%s%s", sb_str(&out), diag_text(d));
    exit(3);
  }
  diag_free(d);
  sb_free(&out);
  return g;
}

static Measured measure(const Graph *g, const Target *t) {
  const char *base = getenv("TMPDIR");
  StrBuf dir = {0};
  sb_printf(&dir, "%s/mistify-calibrate-%s", base ? base : "/tmp", t->name);
  const EmitOptions o = {.name = "m", .out_dir = sb_str(&dir)};
  Measured m;
  Diag *d = diag_new();
  if (!emit_c(g, t, &o, d) || !harness_verify(sb_str(&dir), t, NULL, &m, d)) {
    diag_print(d, stderr);
    exit(1);
  }
  file_remove_tree(sb_str(&dir));
  diag_free(d);
  sb_free(&dir);
  return m;
}

/* -- fitting -- */

typedef struct Sample {
  CallWork work;
  double cycles;
} Sample;

/* A kernel that is called row by row is entered often: what borders cost must not pass for the cost of a call. */
enum { CALL_MOST = 300 };

/* Minimise sum ((x.work - cycles) / cycles)^2, x >= 0, coordinate by coordinate. */
static void fit(const Sample *s, int n, double out[WORK_COUNT]) {
  double x[WORK_COUNT] = {0}, error[MAX_ROWS];
  for (int i = 0; i < n; i++) error[i] = 1;
  for (int round = 0; round < 200000; round++) {
    int f = round % WORK_COUNT;
    double dot = 0, norm = 0;
    for (int i = 0; i < n; i++) {
      double w = s[i].work.v[f] / s[i].cycles;
      dot += w * error[i];
      norm += w * w;
    }
    if (norm == 0) continue;
    double step = dot / norm;
    if (x[f] + step < 0) step = -x[f];
    if (f == WORK_call && x[f] + step > CALL_MOST) step = CALL_MOST - x[f];
    x[f] += step;
    for (int i = 0; i < n; i++) error[i] -= step * s[i].work.v[f] / s[i].cycles;
  }
  for (int f = 0; f < WORK_COUNT; f++) out[f] = x[f] < 1e-3 ? 0 : x[f];
}

static double predict(const double per[WORK_COUNT], const CallWork *w) {
  double sum = 0;
  for (int f = 0; f < WORK_COUNT; f++) sum += per[f] * w->v[f];
  return sum;
}

/* What kernels of a family share (helpers, division, the compiler's run time) is measured by an anchor, a net of two
 * layers that brings most of it: a kernel's code is what its layer adds to a program that has the anchor. The first
 * anchor serves all kernels but its own two, which have the others. */
typedef enum Kind { INT8, FLOAT, OTHER } Kind;
enum { N_ANCHORS = 3 };
typedef struct Anchor {
  const char *text[2]; /* by Kind */
  Measured alone[2];
} Anchor;

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

/* By name, as backend/cost.c. */
static Kind kind_of(const char *kernel) {
  return strstr(kernel, "f32") ? FLOAT : strstr(kernel, "_s8") ? INT8 : OTHER;
}

typedef struct Table {
  const Target *target; /* in the first pass one that has the generic set alone */
  KernelCost cost[MAX_KERNELS];
  int n;
  int32_t base_code, code_per_call;
  int32_t int8_shared, float_shared;
  double base_cycles;
  int64_t base_ram; /* data of a model without layers */
  Anchor anchors[N_ANCHORS];
  double worst; /* relative error of any fit */
} Table;

/* NULL: the kernel has none. */
static const Anchor *anchor_of(const Table *t, const char *kernel) {
  if (kind_of(kernel) == OTHER) return NULL;
  return &t->anchors[strncmp(kernel, "fc_", 3) == 0 ? 1 : strncmp(kernel, "avg_pool_", 9) == 0 ? 2 : 0];
}

static const KernelCost *known(const Table *t, const char *kernel, const char *tag) {
  for (int i = 0; i < t->n; i++)
    if (strcmp(t->cost[i].kernel, kernel) == 0 && strcmp(t->cost[i].set, tag) == 0) return &t->cost[i];
  return NULL;
}

/* The row of the kernel that the target would rather take. */
static const KernelCost *known_best(const Table *t, const char *kernel) {
  const KernelCost *best = known(t, kernel, "generic");
  for (int i = 0; i < t->n; i++)
    if (strcmp(t->cost[i].kernel, kernel) == 0 && strcmp(t->cost[i].set, t->target->sets[0]) == 0)
      best = &t->cost[i];
  return best;
}

/* The graph's calls as the target makes them. */
static void calls_of(const Graph *g, const Target *t, Calls *calls) {
  Diag *d = diag_new();
  calls_init(calls);
  if (!graph_lower(g, calls, d) || !select_from(kernel_sets, n_kernel_sets, t->sets, NULL, calls, d)) {
    diag_print(d, stderr);
    exit(3);
  }
  diag_free(d);
}

/* Split a model's calls: work of `kernel`, and cycles and code of the others, which are known. */
static void split(const Table *t, const Graph *g, const char *kernel, CallWork *work, double *others,
                  int32_t *code, int *n_calls) {
  Calls calls;
  calls_of(g, t->target, &calls);
  *work = (CallWork){{0}};
  *others = 0;
  *code = 0;
  *n_calls = (int)calls.n;
  for (uint32_t c = 0; c < calls.n; c++) {
    CallWork w = call_work(g, &calls.v[c]);
    const char *name = calls.v[c].kernel->name;
    const KernelCost *k = known(t, name, calls.v[c].kernel->tag);
    if (strcmp(name, kernel) == 0) {
      for (int f = 0; f < WORK_COUNT; f++) work->v[f] += w.v[f];
    } else if (k) {
      *others += predict(k->per, &w);
      *code += calls.n > 2 ? k->size.many : k->size.once;
    } else {
      fprintf(stderr, "calibrate_costs: %s needs %s, which comes later\n", kernel, name);
      exit(3);
    }
  }
  calls_free(&calls);
}

/* -- code sizes -- */

static Measured measure_text(const Target *t, const char *text) {
  static const int size[SIZES] = {8, 8, 8, 3, 1};
  Graph *g = make_graph(text, size, NULL, NULL);
  Measured m = measure(g, t);
  graph_free(g);
  return m;
}

#define FC8(x, y, n) \
  "%w" n " = const : i8[8,8] q(0.01, 0) @\n%" y " = FullyConnected(%" x ", %w" n ") : i8[1,8] q(0.1, 0)\n"

static int32_t positive(int64_t v) { return v > 0 ? (int32_t)v : 0; }

static void measure_base(Table *t) {
  const Target *target = t->target;
  Measured m = measure_text(target, "%x = input : i8[4]\noutput %x\n");
  t->base_code = (int32_t)m.flash_code;
  t->base_cycles = (double)m.cycles;
  m = measure_text(target,
                   "%a = input : i8[1,8] q(0.05, 0)\n" FC8("a", "b", "1") FC8("b", "c", "2") "output %c\n");
  int64_t two = m.flash_code;
  m = measure_text(target, "%a = input : i8[1,8] q(0.05, 0)\n" FC8("a", "b", "1") FC8("b", "c", "2")
                               FC8("c", "d", "3") FC8("d", "e", "4") "output %e\n");
  t->code_per_call = positive((m.flash_code - two) / 2);
}

static void measure_anchors(Table *t) {
  for (int i = 0; i < N_ANCHORS; i++) {
    t->anchors[i] = new_anchors[i];
    for (int k = INT8; k <= FLOAT; k++) {
      char text[500];
      snprintf(text, sizeof text, "%soutput %%z\n", new_anchors[i].text[k]);
      t->anchors[i].alone[k] = measure_text(t->target, text);
    }
  }
}

/* -- one kernel -- */

typedef struct Added {
  int64_t code;
  int32_t ram;
  double cycles;
  CallWork work;
} Added;

/* What one layer, or two, add to the anchor, or, without it, to a model without layers. */
static Added measure_added(const Table *t, const Family *f, int first, int second, const Anchor *anchor) {
  const Kind kind = kind_of(f->kernel);
  const int *other = second < 0 ? NULL : f->sizes[second];
  double others;
  int32_t others_code;
  int n_calls;
  Added a;
  Graph *g = make_graph(f->text, f->sizes[first], other, NULL);
  split(t, g, f->kernel, &a.work, &others, &others_code, &n_calls);
  if (anchor) {
    graph_free(g);
    g = make_graph(f->text, f->sizes[first], other, anchor->text[kind]);
  }
  Measured m = measure(g, t->target);
  graph_free(g);
  const int64_t base_code = anchor ? anchor->alone[kind].flash_code : t->base_code;
  a.ram = positive(m.ram_other - t->base_ram);
  a.code = m.flash_code - base_code - (int64_t)t->code_per_call * n_calls - others_code;
  a.cycles = (double)m.cycles - t->base_cycles - others;
  return a;
}

/* Whether a layer of this size gets the kernel of that tag. */
static bool gets(const Target *t, const Family *f, const int *size, const char *tag) {
  Graph *g = make_graph(f->text, size, NULL, NULL);
  Calls calls;
  bool found = false;
  calls_of(g, t, &calls);
  for (uint32_t c = 0; c < calls.n; c++)
    found |= strcmp(calls.v[c].kernel->name, f->kernel) == 0 && strcmp(calls.v[c].kernel->tag, tag) == 0;
  calls_free(&calls);
  graph_free(g);
  return found;
}

static void put_row(Table *t, const KernelCost *cost) {
  int row = 0;
  while (row < t->n && (strcmp(t->cost[row].kernel, cost->kernel) || strcmp(t->cost[row].set, cost->set)))
    row++;
  if (row == MAX_KERNELS) exit(3);
  t->cost[row] = *cost;
  if (row == t->n) t->n++;
}

/* The family's kernel of that tag, on the sizes that get it; nothing where fewer than three do. */
static void calibrate(Table *t, const Family *f, const char *tag) {
  enum { CODE_SHAPES = 3 };
  Sample s[MAX_ROWS];
  int at[MAX_ROWS], rows = 0;
  for (int n = 0; n < MAX_ROWS && f->sizes[n][0]; n++)
    if (gets(t->target, f, f->sizes[n], tag)) at[rows++] = n;
  if (rows < CODE_SHAPES) return;
  KernelCost cost = {.kernel = f->kernel, .set = tag};
  const Anchor *anchor = anchor_of(t, f->kernel);
  int64_t many = 0, once = 0;
  int32_t ram = 0;
  for (int n = 0; n < rows; n++) { /* an anchor's cycles change with what is inlined beside it */
    Added a = measure_added(t, f, at[n], at[(n + 1) % rows], NULL);
    s[n] = (Sample){a.work, a.cycles};
    ram = a.ram;
  }
  for (int n = 0; n < CODE_SHAPES; n++) {
    many += measure_added(t, f, at[n], at[(n + 1) % rows], anchor).code;
    once += measure_added(t, f, at[n], -1, anchor).code;
  }
  cost.size = (SizeCost){(int32_t)(many / CODE_SHAPES), (int32_t)(once / CODE_SHAPES), ram};
  fit(s, rows, cost.per);
  double worst = 0;
  for (int i = 0; i < rows; i++) worst = fmax(worst, fabs(predict(cost.per, &s[i].work) / s[i].cycles - 1));
  t->worst = fmax(t->worst, worst);
  put_row(t, &cost);
  printf("%-10s %-16s %-8s code %5d, once %5d  fit within %4.1f %%:", t->target->name, f->kernel, tag,
         (int)cost.size.many, (int)cost.size.once, 100 * worst);
  for (int w = 0; w < WORK_COUNT; w++) printf(" %.3g", cost.per[w]);
  printf("\n");
}

/* The first anchor's code beyond its kernels' own: what the first kernel of a family brings for all. */
static int32_t shared_code(const Table *t, Kind kind, const char *fc, const char *pool) {
  return positive(t->anchors[0].alone[kind].flash_code - t->base_code - 2 * t->code_per_call -
                  known_best(t, fc)->size.once - known_best(t, pool)->size.once);
}

/* -- the table as C -- */

static const char *ident_of(Arena *a, const char *name) {
  char *s = arena_strdup(a, name);
  for (char *p = s; *p; p++)
    if (*p == '-') *p = '_';
  return s;
}

static void print_table(const Table *t, const char *ident, StrBuf *b) {
  const TargetCosts *old = t->target->costs;
  sb_printf(b, "/* What kernels cost on %s: written by bench/calibrate_costs.c, not by hand. */\n",
            t->target->name);
  sb_puts(b, "#include \"backend/costs.h\"\n\n");
  sb_printf(b, "extern const TargetCosts costs_%s;\n\n", ident);
  sb_puts(b, "/* kernel, set, bytes of code where called several times and once, of data, cycles per call, "
             "row, output, "
             "tap, MAC, rest */\n");
  sb_puts(b, "static const KernelCost kernels[] = {\n");
  for (int i = 0; i < t->n; i++) {
    const KernelCost *k = &t->cost[i];
    sb_printf(b, "    {\"%s\", \"%s\", {%d, %d, %d}, {", k->kernel, k->set, (int)k->size.many,
              (int)k->size.once, (int)k->size.ram);
    for (int f = 0; f < WORK_COUNT; f++) sb_printf(b, "%s%.4g", f ? ", " : "", k->per[f]);
    sb_puts(b, "}},\n");
  }
  sb_printf(b, "};\n\nconst TargetCosts costs_%s = {\n", ident);
  sb_printf(b, "    .origin = \"%s %s\",\n", t->target->cc, t->target->cflags);
  sb_printf(b, "    .pointer = %d,\n    .base_code = %d,\n    .code_per_call = %d,\n", (int)old->pointer,
            (int)t->base_code, (int)t->code_per_call);
  sb_printf(b, "    .int8_shared = %d,\n    .float_shared = %d,\n", (int)t->int8_shared,
            (int)t->float_shared);
  sb_printf(b, "    .base_cycles = %.0f,\n", t->base_cycles);
  sb_puts(b, "    .kernels = kernels,\n    .n_kernels = sizeof kernels / sizeof *kernels,\n};\n");
}

static void write_table(const Table *t) {
  Arena *a = arena_new();
  Diag *d = diag_new();
  const char *ident = ident_of(a, t->target->name);
  const char *path = arena_printf(a, "backend/targets/%s/%s.c", t->target->name, ident);
  StrBuf b = {0};
  print_table(t, ident, &b);
  if (!file_write(path, sb_str(&b), b.len, d))
    diag_print(d, stderr);
  else
    printf("%s: worst fit %.1f %%\n", path, 100 * t->worst);
  sb_free(&b);
  diag_free(d);
  arena_free(a);
}

static void take_table(Table *t) {
  const TargetCosts *old = t->target->costs;
  t->base_code = old->base_code;
  t->code_per_call = old->code_per_call;
  t->base_cycles = old->base_cycles;
  for (int i = 0; i < old->n_kernels; i++) t->cost[t->n++] = old->kernels[i];
}

static bool named(char **names, int n, const char *name) {
  for (int i = 0; i < n; i++)
    if (strcmp(names[i], name) == 0) return true;
  return false;
}

/* All families, or those named, in the kernels of one set. */
static void calibrate_set(Table *t, const char *set, char **kernels, int n_kernels) {
  measure_anchors(t);
  for (int i = 0; i < N_FAMILIES; i++)
    if (!n_kernels || named(kernels, n_kernels, families[i].kernel)) calibrate(t, &families[i], set);
}

static void calibrate_target(const Target *target, bool own_only, char **kernels, int n_kernels) {
  static const char *const generic[] = {"generic", NULL};
  const char *missing;
  if (!harness_available(target, &missing)) {
    printf("%s: skipped, %s is not installed\n", target->name, missing);
    return;
  }
  Target alone = *target;
  alone.sets = generic;
  Table t = {.target = &alone};
  if (n_kernels || own_only)
    take_table(&t);
  else
    measure_base(&t);
  if (t.base_cycles < 0) {
    printf("%s: skipped, there is no instruction counter\n", target->name);
    return;
  }
  t.base_ram = measure_text(&alone, "%x = input : i8[4]\noutput %x\n").ram_other;
  if (!own_only) calibrate_set(&t, "generic", kernels, n_kernels);
  t.target = target;
  for (const char *const *set = target->sets; strcmp(*set, "generic") != 0; set++)
    calibrate_set(&t, *set, kernels, n_kernels);
  t.int8_shared = shared_code(&t, INT8, "fc_s8", "avg_pool_s8");
  t.float_shared = shared_code(&t, FLOAT, "fc_f32", "avg_pool_f32");
  write_table(&t);
}

/* Arguments: "sets", then targets, then kernels; each may be left out. */
int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  bool own_only = argc > 1 && strcmp(argv[1], "sets") == 0;
  int first_target = own_only ? 2 : 1, first_kernel = first_target;
  while (first_kernel < argc && target_find(argv[first_kernel])) first_kernel++;
  for (int i = first_kernel; i < argc; i++) {
    bool known_name = false;
    for (int k = 0; k < N_FAMILIES; k++) known_name |= strcmp(argv[i], families[k].kernel) == 0;
    if (known_name) continue;
    fprintf(stderr, "calibrate_costs: \"%s\" is no target and no kernel that is calibrated\n", argv[i]);
    return 1;
  }
  for (int i = 0; i < n_targets; i++)
    if (first_kernel == first_target ||
        named(argv + first_target, first_kernel - first_target, targets[i].name))
      calibrate_target(&targets[i], own_only, argv + first_kernel, argc - first_kernel);
  return 0;
}
