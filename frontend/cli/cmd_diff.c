/* mistify diff: where two computations of a model part. Two graphs, value by value where names agree; or the reference
 * evaluation and the C emitted for a target, after every layer (every value is made an output of the C).
 *
 * Names outlive a change of layout, so a value of rank 4 is also compared as NCHW against NHWC; where both readings
 * have the shape, the nearer one counts. Values are compared as real numbers: quantized ones are dequantized. A value differs when the largest difference
 * exceeds the tolerance times the range of the first one's values; tolerance 0 asks for equal numbers.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "frontend/cli/emitted.h"
#include "ir/base/mem.h"
#include "ir/eval.h"

typedef struct DiffOpts {
  CommonOpts common;
  const char *a, *b, *target, *rounding, *custom;
  ArgList in;
  double tolerance;
  bool all;
} DiffOpts;

static const Opt opts[] = {
    {"A", OPT_PARAM, offsetof(DiffOpts, a), true, NULL, "model file (.onnx, .tflite, .ir, .mistify)"},
    {"B", OPT_PARAM, offsetof(DiffOpts, b), false, NULL, "another one, with the same inputs"},
    {"-i", OPT_LIST, offsetof(DiffOpts, in), true, "IN.npy", "inputs, in the models' order"},
    {"--target", OPT_STRING, offsetof(DiffOpts, target), false, "T",
     "instead of B: A as C emitted for this target"},
    {"--tolerance", OPT_FLOAT, offsetof(DiffOpts, tolerance), false, "X",
     "allowed difference, as a share of the value's range (default 0)"},
    {"--all", OPT_FLAG, offsetof(DiffOpts, all), false, NULL, "list values that agree, too"},
    ROUNDING_OPT(DiffOpts),
    CUSTOM_OPT(DiffOpts),
    {0}};

/* One side of a value. */
typedef struct Side {
  const Value *value;
  Shape shape; /* static */
  const void *data;
} Side;

/* Axis of B for each axis of A: the same layout, A NCHW and B NHWC, the other way round. */
enum { READINGS = 3 };
static const int readings[READINGS][4] = {{0, 1, 2, 3}, {0, 3, 1, 2}, {0, 2, 3, 1}};

typedef struct Compared {
  const char *name;
  const Loc *loc; /* of A's node; NULL: none */
  Shape shape;
  double max, range; /* largest difference; largest minus smallest of A's */
  int64_t first;     /* element that differs; -1: none */
  double x, y;       /* there */
} Compared;

typedef struct Report {
  Arena *arena;
  Compared *v;
  size_t n, cap;
  double tolerance;
  int differ;
} Report;

static double real(const Side *s, int64_t i) {
  return cli_real(s->data, s->value->dtype, &s->shape, &s->value->quant, i);
}

static double distance(double x, double y) {
  if (x == y || (isnan(x) && isnan(y))) return 0;
  double d = fabs(x - y);
  return isnan(d) ? INFINITY : d;
}

static bool reading_fits(const Shape *a, const Shape *b, int reading) {
  if (reading == 0 || a->rank != 4 || b->rank != 4) return reading == 0 && shape_equal(a, b);
  for (int k = 0; k < 4; k++) {
    if (a->d[k] != b->d[readings[reading][k]]) return false;
  }
  return true;
}

/* Element of b for element i of a. */
static int64_t index_in(const Shape *a, const Shape *b, int reading, int64_t i) {
  if (reading == 0) return i;
  int64_t j = 0;
  for (int k = 3; k >= 0; k--) {
    int axis = readings[reading][k];
    j += i % a->d[k] * shape_count_range(b, axis + 1, 4);
    i /= a->d[k];
  }
  return j;
}

static double largest_distance(const Side *a, const Side *b, int reading) {
  double most = 0;
  for (int64_t i = 0, n = shape_count(&a->shape); i < n; i++)
    most = fmax(most, distance(real(a, i), real(b, index_in(&a->shape, &b->shape, reading, i))));
  return most;
}

static double range_of(const Side *a) {
  double lo = INFINITY, hi = -INFINITY;
  for (int64_t i = 0, n = shape_count(&a->shape); i < n; i++) {
    double x = real(a, i);
    if (isfinite(x)) lo = fmin(lo, x), hi = fmax(hi, x);
  }
  return hi > lo ? hi - lo : 0;
}

static void add(Report *r, const Compared *c) {
  void *p = r->v;
  mem_grow(&p, &r->cap, r->n + 1, sizeof *r->v);
  r->v = p;
  r->v[r->n++] = *c;
  r->differ += c->first >= 0;
}

/* Equal counts of elements; shapes that no reading fits are compared in order. */
static void compare(Report *r, const Loc *loc, const Side *a, const Side *b) {
  Compared c = {
      .name = a->value->name ? a->value->name : "(no name)", .loc = loc, .shape = a->shape, .first = -1};
  int best = 0;
  bool any = false;
  for (int k = 0; k < READINGS; k++) {
    if (!reading_fits(&a->shape, &b->shape, k)) continue;
    double most = largest_distance(a, b, k);
    if (!any || most < c.max) c.max = most, best = k;
    any = true;
  }
  if (!any) c.max = largest_distance(a, b, 0);
  c.range = range_of(a);
  double limit = r->tolerance * c.range;
  for (int64_t i = 0, n = shape_count(&a->shape); i < n && c.max > limit && c.first < 0; i++) {
    c.x = real(a, i);
    c.y = real(b, index_in(&a->shape, &b->shape, best, i));
    if (distance(c.x, c.y) > limit) c.first = i;
  }
  add(r, &c);
}

/* -- two graphs -- */

static Graph *bind(const Graph *g, const Tensor *in, Diag *d) {
  for (uint32_t i = 0; i < g->n_inputs; i++) {
    if (!shape_is_static(&graph_val(g, g->inputs[i])->shape)) return graph_with_batch(g, in[i].shape.d[0], d);
  }
  return graph_clone(g);
}

static void run_on(Evaluator *e, const Tensor *in, uint32_t n) {
  const void **p = mem_array(n, sizeof *p);
  for (uint32_t i = 0; i < n; i++) p[i] = in[i].data;
  evaluator_run(e, p);
  mem_free(p);
}

static Side side_of(const Graph *g, const Evaluator *e, ValId v) {
  return (Side){graph_val(g, v), graph_val(g, v)->shape, evaluator_value(e, v)};
}

static bool same_shape(const Shape *a, const Shape *b) {
  for (int k = 0; k < READINGS; k++) {
    if (reading_fits(a, b, k)) return true;
  }
  return false;
}

/* B's computed value of that name, and its shape in some layout; NO_VAL: none. */
static ValId counterpart(const Graph *b, const Value *v) {
  for (ValId k = 1; v->name && k < b->n_vals; k++) {
    const Value *w = graph_val(b, k);
    if (graph_def(b, k) && w->name && strcmp(w->name, v->name) == 0 && same_shape(&v->shape, &w->shape))
      return k;
  }
  return NO_VAL;
}

static bool is_output(const Graph *g, ValId v) {
  for (uint32_t i = 0; i < g->n_outputs; i++) {
    if (g->outputs[i] == v) return true;
  }
  return false;
}

static bool compare_outputs(Report *r, const Graph *a, const Evaluator *ea, const Graph *b,
                            const Evaluator *eb, Diag *d) {
  for (uint32_t i = 0; i < a->n_outputs; i++) {
    Side x = side_of(a, ea, a->outputs[i]), y = side_of(b, eb, b->outputs[i]);
    FAIL_IF(shape_count(&x.shape) != shape_count(&y.shape), d, NULL,
            "output %u: %s in the first model, %s in the second", i, cli_shape(r->arena, &x.shape),
            cli_shape(r->arena, &y.shape));
    const Node *n = graph_def(a, a->outputs[i]);
    compare(r, n ? &n->loc : NULL, &x, &y);
  }
  return true;
}

static bool compare_values(Report *r, const Graph *a, const Evaluator *ea, const Graph *b,
                           const Evaluator *eb, Diag *d) {
  FAIL_IF(a->n_outputs != b->n_outputs, d, NULL, "the first model has %u outputs, the second %u",
          a->n_outputs, b->n_outputs);
  for (uint32_t i = 0; i < a->n_nodes; i++) {
    ValId v = a->nodes[i].out[0], w = is_output(a, v) ? NO_VAL : counterpart(b, graph_val(a, v));
    if (w == NO_VAL) continue;
    Side x = side_of(a, ea, v), y = side_of(b, eb, w);
    compare(r, &a->nodes[i].loc, &x, &y);
  }
  return compare_outputs(r, a, ea, b, eb, d);
}

/* A model, bound to its inputs' batch and run. */
typedef struct Ran {
  Graph *file, *bound;
  Tensor *in;
  Evaluator *eval;
} Ran;

static bool ran_open(const char *path, const DiffOpts *o, Ran *m, Diag *d) {
  *m = (Ran){.file = cli_load_with(path, &(LoadOpts){o->rounding, o->custom}, d)};
  if (!m->file) return false;
  Tensor *in = mem_array(m->file->n_inputs, sizeof *in);
  if (!cli_read_inputs(m->file, path, &o->in, &o->common, in, d)) {
    mem_free(in);
    return false;
  }
  m->in = in;
  m->bound = bind(m->file, m->in, d);
  m->eval = m->bound ? evaluator_new(m->bound, d) : NULL;
  if (!m->eval) return false;
  run_on(m->eval, m->in, m->bound->n_inputs);
  return true;
}

static void ran_close(Ran *m) {
  evaluator_free(m->eval);
  if (m->in) cli_free_tensors(m->in, m->file->n_inputs);
  mem_free(m->in);
  graph_free(m->bound);
  graph_free(m->file);
}

static bool diff_graphs(const DiffOpts *o, Report *r, Ran *a, Ran *b, Diag *d) {
  return ran_open(o->a, o, a, d) && ran_open(o->b, o, b, d) &&
         compare_values(r, a->bound, a->eval, b->bound, b->eval, d);
}

/* -- evaluation and emitted C -- */

/* The deployed graph with every computed value among its outputs, the real ones last. */
static Graph *with_all_outputs(const Graph *g) {
  Graph *all = graph_clone(g);
  all->n_outputs = 0;
  for (uint32_t i = 0; i < g->n_nodes; i++) {
    if (!is_output(g, g->nodes[i].out[0])) graph_output(all, g->nodes[i].out[0]);
  }
  for (uint32_t i = 0; i < g->n_outputs; i++) graph_output(all, g->outputs[i]);
  return all;
}

static bool compare_emitted(Report *r, const Graph *g, const Target *t, const Tensor *in, Diag *d) {
  Evaluator *e = evaluator_new(g, d);
  Emitted c;
  if (!e || !emitted_open(g, t, true, &c, d)) {
    evaluator_free(e);
    return false;
  }
  Tensor *out = mem_array(g->n_outputs, sizeof *out);
  run_on(e, in, g->n_inputs);
  bool ok = emitted_run(&c, in, 1, out, d);
  for (uint32_t i = 0; ok && i < g->n_outputs; i++) {
    Side x = side_of(g, e, g->outputs[i]), y = {x.value, x.shape, out[i].data};
    const Node *n = graph_def(g, g->outputs[i]);
    compare(r, n ? &n->loc : NULL, &x, &y);
  }
  cli_free_tensors(out, g->n_outputs);
  mem_free(out);
  emitted_close(&c);
  evaluator_free(e);
  return ok;
}

static Graph *deployed(const Graph *file, Diag *d) {
  Graph *p = cli_prepare(file, d), *one = p ? cli_batch_1(p, d) : NULL;
  Graph *all = one ? with_all_outputs(one) : NULL;
  graph_free(p);
  graph_free(one);
  return all;
}

static bool diff_target(const DiffOpts *o, const Target *t, Report *r, Ran *a, Graph **all, Diag *d) {
  a->file = cli_load_with(o->a, &(LoadOpts){o->rounding, o->custom}, d);
  TRY(a->file);
  *all = deployed(a->file, d);
  TRY(*all);
  a->in = mem_array(a->file->n_inputs, sizeof *a->in);
  if (!cli_read_inputs(*all, o->a, &o->in, &o->common, a->in, d)) {
    mem_free(a->in);
    a->in = NULL;
    return false;
  }
  return compare_emitted(r, *all, t, a->in, d);
}

/* -- results -- */

/* "[0,3,1,2]" of a flat index. */
static const char *index_text(Arena *a, const Shape *s, int64_t i) {
  Shape at = *s;
  for (int k = s->rank - 1; k >= 0; k--) {
    at.d[k] = i % s->d[k];
    i /= s->d[k];
  }
  return cli_shape(a, &at);
}

static void print_values(const Report *r, bool all) {
  Table t;
  table_begin(&t, r->arena, "<value,<shape,>max difference,>of range,<first at,>A,>B");
  for (size_t i = 0; i < r->n; i++) {
    const Compared *c = &r->v[i];
    if (!all && c->first < 0) continue;
    table_cell(&t, "%s", c->name);
    table_cell(&t, "%s", cli_shape(r->arena, &c->shape));
    table_cell(&t, "%.3g", c->max);
    table_cell(&t, "%s", c->range > 0 ? arena_printf(r->arena, "%.2g", c->max / c->range) : "");
    table_cell(&t, "%s", c->first < 0 ? "" : index_text(r->arena, &c->shape, c->first));
    table_cell(&t, "%s", c->first < 0 ? "" : arena_printf(r->arena, "%.9g", c->x));
    table_cell(&t, "%s", c->first < 0 ? "" : arena_printf(r->arena, "%.9g", c->y));
  }
  if (t.n) table_print(&t);
}

static void print_text(const Report *r, bool all) {
  print_values(r, all);
  const Compared *first = NULL;
  for (size_t i = 0; i < r->n && !first; i++) first = r->v[i].first >= 0 ? &r->v[i] : NULL;
  if (!first && r->tolerance > 0)
    printf("%zu values compared: none differs by more than %g of its range\n", r->n, r->tolerance);
  if (!first && r->tolerance == 0) printf("%zu values compared: all are equal\n", r->n);
  if (!first) return;
  char where[400] = "";
  if (first->loc) loc_format(first->loc, where, sizeof where);
  printf("\n%d of %zu values differ; the first is \"%s\" at %s: %.9g and %.9g\n", r->differ, r->n,
         first->name, index_text(r->arena, &first->shape, first->first), first->x, first->y);
  if (where[0]) printf("  computed by %s\n", where);
}

static void print_json(const Report *r) {
  JsonWriter w;
  StrBuf b;
  cli_json_begin(&w, &b);
  json_object(&w);
  json_kint(&w, "differ", r->differ);
  json_knum(&w, "tolerance", r->tolerance);
  json_karray(&w, "values");
  for (size_t i = 0; i < r->n; i++) {
    const Compared *c = &r->v[i];
    json_object(&w);
    json_kstr(&w, "name", c->name);
    json_shape(&w, "shape", &c->shape);
    json_knum(&w, "max_difference", c->max);
    json_knum(&w, "range", c->range);
    json_kbool(&w, "differs", c->first >= 0);
    if (c->first >= 0) {
      json_kint(&w, "first", c->first);
      json_knum(&w, "a", c->x);
      json_knum(&w, "b", c->y);
    }
    json_end(&w);
  }
  json_end(&w);
  json_end(&w);
  cli_json_end(&w, &b);
}

static int run(void *opts_, Diag *d) {
  const DiffOpts *o = opts_;
  const Target *t = NULL;
  if (!o->b == !o->target) {
    diag_error(d, NULL, "mistify diff: give a second model or --target T, %s",
               o->b ? "not both" : "one of them");
    return EXIT_USER;
  }
  if (o->target && !(t = cli_target(o->target, d))) return EXIT_USER;
  Report r = {.arena = arena_new(), .tolerance = o->tolerance};
  Ran a = {0}, b = {0};
  Graph *all = NULL;
  bool ok = t ? diff_target(o, t, &r, &a, &all, d) : diff_graphs(o, &r, &a, &b, d);
  if (ok && o->common.json) print_json(&r);
  if (ok && !o->common.json) print_text(&r, o->all);
  int status = !ok ? EXIT_USER : r.differ ? EXIT_LIMITS : EXIT_DONE;
  mem_free(r.v);
  ran_close(&a);
  ran_close(&b);
  graph_free(all);
  arena_free(r.arena);
  return status;
}

extern const Command cmd_diff;
const Command cmd_diff = {"diff",
                          "Find the first value on which two models, or a model and its C, differ",
                          "Values of two models are matched by name and shape, outputs by their order. With "
                          "--target, A is compared with\n"
                          "its own emitted C after every layer. Exit status 2: something differs.",
                          "  mistify diff model.onnx optimised.ir -i in.npy --tolerance 1e-5\n"
                          "  mistify diff model.tflite -i in.npy --target cortex-m4\n",
                          opts,
                          sizeof(DiffOpts),
                          run};
