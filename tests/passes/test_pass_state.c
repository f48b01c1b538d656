/* Passes on models with state: layout and the int8 form compute what the original does, step after step. */
#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "ir/eval.h"
#include "runtime/data/dataset.h"
#include "passes/pass.h"
#include "tests/support.h"

enum { STEPS = 128 };

static Graph *parse(const char *text) {
  Diag *d = diag_new();
  Graph *g = graph_parse(text, "t.ir", d);
  ck_assert_msg(g != NULL, "%s", diag_text(d));
  diag_free(d);
  return g;
}

static Graph *run_passes(const Graph *g, const char *text, const Dataset *ds, const char *why) {
  Diag *d = diag_new();
  PassCtx ctx = {.params = "", .data = ds};
  PipelineOptions opt = {.verify_each = true};
  Graph *out = pipeline_run(g, text, &ctx, &opt, d);
  ck_assert_msg(why ? !out && strstr(diag_text(d), why) : out != NULL, "%s: %s", text, diag_text(d));
  diag_free(d);
  return out;
}

/* A sequence of STEPS inputs of n elements. */
static Dataset sequence(int64_t n) {
  Dataset ds = {.train = {.n = STEPS, .dtype = DT_F32, .item = {1, {n}}}};
  const size_t count = (size_t)n * STEPS;
  float *x = mem_alloc(count * sizeof *x);
  Rng r;
  rng_seed(&r, 5, 0);
  for (size_t i = 0; i < count; i++) x[i] = rng_normal(&r);
  ds.train.xb = blob_adopt(x, count * sizeof *x);
  ds.train.x = blob_data(ds.train.xb);
  return ds;
}

static double decoded(const Graph *g, const Evaluator *e, ValId v, int64_t i) {
  const Value *x = graph_val(g, v);
  const void *p = evaluator_value(e, v);
  if (x->dtype == DT_F32) return (double)((const float *)p)[i];
  return (double)x->quant.scale[0] * (((const int8_t *)p)[i] - x->quant.zero[0]);
}

/* The input as the graph takes it: float32, or codes. */
static void encode(const Value *v, const float *x, int64_t n, void *to) {
  for (int64_t i = 0; i < n; i++) {
    if (v->dtype == DT_F32)
      ((float *)to)[i] = x[i];
    else
      ((int8_t *)to)[i] =
          (int8_t)fmin(127, fmax(-128, round((double)(x[i] / v->quant.scale[0])) + v->quant.zero[0]));
  }
}

/* Signal to noise of the first output over all steps, in dB; infinite: they are equal. */
static double agreement(const Graph *a, const Graph *b, const Dataset *ds) {
  Diag *d = diag_new();
  Evaluator *x = evaluator_new(a, d), *y = evaluator_new(b, d);
  ck_assert_msg(x && y, "%s", diag_text(d));
  const int64_t n = ds->train.item.d[0], outs = shape_count(&graph_val(a, a->outputs[0])->shape);
  double signal = 0, noise = 0;
  for (uint32_t t = 0; t < STEPS; t++) {
    float in[16], code[16];
    encode(graph_val(a, a->inputs[0]), (const float *)ds->train.x + t * n, n, in);
    encode(graph_val(b, b->inputs[0]), (const float *)ds->train.x + t * n, n, code);
    evaluator_run(x, (const void *[]){in});
    evaluator_run(y, (const void *[]){code});
    for (int64_t i = 0; i < outs; i++) {
      const double want = decoded(a, x, a->outputs[0], i), got = decoded(b, y, b->outputs[0], i);
      signal += want * want;
      noise += (got - want) * (got - want);
    }
  }
  evaluator_free(x);
  evaluator_free(y);
  diag_free(d);
  return 10 * log10(signal / noise);
}

/* The last three inputs as a window for a product, and a cell whose state is bounded by a Tanh. */
static const char stream[] = "graph \"stream\"\n"
                             "%x = input : f32[1,3] \"x\"\n"
                             "%z = const : f32[2,3] {0, 0, 0, 0, 0, 0.5}\n"
                             "%s = state(%z) : f32[2,3] \"last\"\n"
                             "%a = Concat(%s, %x) : f32[3,3] \"all\"\n"
                             "%n = Slice(%a) {starts=[1,0], counts=[2,3], steps=[1,1]} : f32[2,3] \"rest\"\n"
                             "%r = Reshape(%a) {shape=[1,9]}\n"
                             "%w = const : f32[2,9] {0.5, 0.2, -0.3, 0.1, 0.7, -0.2, 0.4, 0.1, -0.6, -0.4, "
                             "0.3, 0.2, 0.5, -0.1, 0.6, 0.1, 0.2, "
                             "0.3}\n"
                             "%f = FullyConnected(%r, %w) : f32[1,2] \"product\"\n"
                             "%i = const : f32[1,2] {0, 0}\n"
                             "%h = state(%i) : f32[1,2] \"h\"\n"
                             "%c = Concat(%f, %h) {axis=1} : f32[1,4]\n"
                             "%u = const : f32[2,4] {0.6, -0.4, 0.5, 0.3, 0.2, 0.7, -0.6, 0.4}\n"
                             "%g = FullyConnected(%c, %u) : f32[1,2] \"cell\"\n"
                             "%t = Tanh(%g) : f32[1,2] \"y\"\n"
                             "next %s = %n\n"
                             "next %h = %t\n"
                             "output %t\n";

START_TEST(quantize_keeps_state)
{
  Graph *g = parse(stream);
  Dataset ds = sequence(3);
  Graph *q = run_passes(g, "fold,fuse,quantize", &ds, NULL);
  ck_assert_uint_eq(q->n_states, 2);
  for (uint32_t i = 0; i < q->n_states; i++) ck_assert_int_eq(graph_val(q, q->states[i].now)->dtype, DT_I8);
  ck_assert(graph_val(q, q->states[1].now)->quant.scale[0] == 1.0f / 128);
  const double db = agreement(g, q, &ds);
  ck_assert_msg(db > 30, "%.1f dB", db);
  graph_free(q);
  graph_free(g);
  blob_unref(ds.train.xb);
}
END_TEST

/* What only float operators touch stays float32. */
START_TEST(float_state_stays)
{
  Graph *g = parse("graph \"t\" %x = input : f32[1,3] \"x\" %z = const : f32[1,3] {1, 1, 1} %s = state(%z) : "
                   "f32[1,3] \"s\""
                   "%e = Exp(%x) : f32[1,3] %m = const : f32[1,3] {4, 4, 4} %q = Div(%e, %m) : f32[1,3]"
                   "%p = Pow(%s, %q) : f32[1,3] %w = const : f32[2,3] {1, 2, 3, 4, 5, 6}"
                   "%y = FullyConnected(%x, %w) : f32[1,2] next %s = %p output %y, %p");
  Dataset ds = sequence(3);
  Graph *q = run_passes(g, "quantize{io=float}", &ds, NULL);
  ck_assert_int_eq(graph_val(q, q->states[0].now)->dtype, DT_F32);
  const double db = agreement(g, q, &ds);
  ck_assert_msg(db > 30, "%.1f dB", db);
  graph_free(q);
  graph_free(g);
  blob_unref(ds.train.xb);
}
END_TEST

/* A state between Transposes: they cancel around the operators, and the state keeps its axes. */
START_TEST(layout_keeps_state)
{
  Graph *g = parse("graph \"t\" %x = input : f32[1,3] \"x\" %v = Reshape(%x) {shape=[1,3,1,1]} : f32[1,3,1,1]"
                   "%z = const : f32[1,3,2,1] {1, 2, 3, 4, 5, 6} %s = state(%z) : f32[1,3,2,1] \"s\""
                   "%c = Concat(%s, %v) {axis=2} : f32[1,3,3,1]"
                   "%n = Slice(%c) {starts=[0,0,1,0], counts=[1,3,2,1], steps=[1,1,1,1]} : f32[1,3,2,1]"
                   "%t = Transpose(%c) {perm=[0,2,3,1]} : f32[1,3,1,3]"
                   "%w = const : f32[2,3,1,3] {1, 2, 3, 4, 5, 6, 7, 8, 9, 1, -2, 3, -4, 5, -6, 7, -8, 9}"
                   "%k = Conv(%t, %w) : f32[1,1,1,2] %b = Transpose(%k) {perm=[0,3,1,2]} : f32[1,2,1,1] \"y\""
                   "next %s = %n output %b");
  Dataset ds = sequence(3);
  Graph *l = run_passes(g, "layout,fold,dce", NULL, NULL);
  ck_assert(isinf(agreement(g, l, &ds)));
  ck_assert_uint_eq(l->n_states, 1);
  graph_free(run_passes(g, "lowrank{macs=0.5}", NULL, "retrain the model"));
  graph_free(l);
  graph_free(g);
  blob_unref(ds.train.xb);
}
END_TEST

/* A sum that is kept from step to step loses channels with the layer that adds to it. */
START_TEST(prune_cuts_state)
{
  Graph *g = parse(
      "graph \"t\" %x = input : f32[1,2] \"x\" %w = const : f32[4,2] {1, 2, 0.01, 0.02, 3, -1, 0.02, -0.01}"
      "%z = const : f32[1,4] {1, 2, 3, 4} %s = state(%z) : f32[1,4] \"s\""
      "%h = FullyConnected(%x, %w) : f32[1,4] %n = Add(%h, %s) : f32[1,4]"
      "%v = const : f32[2,4] {1, 1, -1, 1, 2, 1, 1, 1} %y = FullyConnected(%n, %v) : f32[1,2] \"y\""
      "next %s = %n output %y");
  Graph *p = run_passes(g, "prune{params=0.5,by=l2,least=1}", NULL, NULL);
  const GraphState *s = &p->states[0];
  ck_assert_uint_eq(p->n_states, 1);
  ck_assert_int_eq(graph_val(p, s->now)->shape.d[1], 2);
  const float *init = val_data(p, s->init);
  ck_assert(init[0] == 1 && init[1] == 3);
  graph_free(p);
  graph_free(g);
}
END_TEST

Suite *suite_pass_state(void);
Suite *suite_pass_state(void) {
  Suite *s = suite_create("pass_state");
  TCase *t = tcase_create("state");
  tcase_add_test(t, quantize_keeps_state);
  tcase_add_test(t, float_state_stays);
  tcase_add_test(t, layout_keeps_state);
  tcase_add_test(t, prune_cuts_state);
  suite_add_tcase(s, t);
  return s;
}
