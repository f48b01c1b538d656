/* ONNX export of every sample of tests/ir/samples.c, and of models with state: what is written reads back as a graph that
 * computes the same, integers and codes to the byte, floats within 1e-6 of the range. */
#include "tests/support.h"

#include <stdio.h>
#include <string.h>

#include "frontend/onnx/onnx.h"
#include "ir/base/rng.h"
#include "ir/eval.h"
#include "tests/frontend/oracle.h"
#include "tests/ir/samples.h"

/* What does not come back, with the report that says so. */
static const struct {
  OpKind op;
  bool reading; /* it is written, and not read */
  const char *why;
} exceptions[] = {
    /* ONNX counts Indices through the batch, whose extent a symbolic one leaves open */
    {OP_max_pool_index, true, "has Indices of"},
    {OP_squared_difference, false, "ONNX has no int8 form of it"},
    {OP_log_softmax, false, "ONNX has no int8 form of it"},
    {OP_l2_normalization, false, "ONNX has no int8 form of it"},
    {OP_resize_bilinear, false, "ONNX has no int8 form of it"},
    {OP_custom, false, "calls the C function sample_mix"},
};

/* Arithmetic on int16 codes is refused. */
static const char int16_codes[] = "codes cannot be written as ONNX";

static const char *exception(OpKind op, bool reading) {
  for (size_t i = 0; i < sizeof exceptions / sizeof exceptions[0]; i++)
    if (exceptions[i].op == op && exceptions[i].reading == reading) return exceptions[i].why;
  return NULL;
}

static void fill(Rng *r, bool places, Tensor *t) {
  for (int64_t i = 0; i < shape_count(&t->shape); i++) {
    if (t->dtype == DT_F32)
      ((float *)t->data)[i] = rng_uniform(r) * 2 - 1;
    else if (t->dtype == DT_F64)
      ((double *)t->data)[i] = (double)rng_uniform(r) * 2 - 1;
    else if (t->dtype == DT_BOOL)
      ((uint8_t *)t->data)[i] = (uint8_t)rng_below(r, 2);
    else if (places && dtype_bits(t->dtype) >= 32)
      dtype_set(t->dtype, t->data, i, (int64_t)rng_below(r, 4) - 2);
    else if (dtype_bits(t->dtype) < 8 && dtype_kind(t->dtype) == 'i')
      dtype_set(t->dtype, t->data, i,
                (int64_t)rng_below(r, 1 << dtype_bits(t->dtype)) - (1 << (dtype_bits(t->dtype) - 1)));
    else
      dtype_set(t->dtype, t->data, i,
                (int64_t)rng_below(r, dtype_bits(t->dtype) < 8 ? 1u << dtype_bits(t->dtype) : 256) -
                    (dtype_kind(t->dtype) == 'i' ? 128 : 0));
  }
}

static void inputs(const Graph *g, bool places, uint64_t seed, Tensor *in) {
  Rng r;
  rng_seed(&r, seed, 1);
  for (uint32_t i = 0; i < g->n_inputs; i++) {
    const Value *v = graph_val(g, g->inputs[i]);
    Shape s = v->shape;
    if (s.rank > 0 && s.d[0] == DIM_BATCH) s.d[0] = 2;
    in[i] = tensor_new(v->dtype, &s);
    fill(&r, places, &in[i]);
  }
}

static void same_outputs(const char *what, const Graph *a, const Graph *b, bool places) {
  Tensor in[8], x[8], y[8];
  ck_assert(a->n_inputs <= 8 && a->n_outputs <= 8 && a->n_inputs == b->n_inputs &&
            a->n_outputs == b->n_outputs);
  for (uint64_t seed = 1; seed <= 2; seed++) {
    inputs(a, places, seed, in);
    oracle_eval(what, a, in, a->n_inputs, x);
    oracle_eval(what, b, in, b->n_inputs, y);
    for (uint32_t i = 0; i < a->n_outputs; i++) oracle_compare(what, &y[i], &x[i], 0, 1e-6);
    oracle_free(in, a->n_inputs);
    oracle_free(x, a->n_outputs);
    oracle_free(y, a->n_outputs);
  }
}

/* Out and in; NULL: one of the exceptions. */
static Graph *round_trip(const char *what, const Graph *g, const char *write, const char *read) {
  char path[1200];
  Diag *d = diag_new();
  snprintf(path, sizeof path, "%s/sample.onnx", test_tmp_dir());
  bool ok = onnx_export(g, path, d);
  ck_assert_msg(ok || (write && strstr(diag_text(d), write)), "%s: not exported:\n%s", what, diag_text(d));
  Graph *back = ok ? onnx_import(path, d) : NULL;
  ck_assert_msg(!ok || back || (read && strstr(diag_text(d), read)), "%s: not read back:\n%s", what,
                diag_text(d));
  diag_free(d);
  return back;
}

START_TEST(each_sample_comes_back)
{
  int back = 0, missing = 0;
  for (int i = 0; i < n_samples; i++) {
    const OpInfo *info = op_info(samples[i].op);
    char what[200];
    snprintf(what, sizeof what, "%s %s %s", info->name, samples[i].inputs, samples[i].attrs);
    Graph *g = sample_graph(&samples[i]);
    const bool wide = strstr(samples[i].inputs, "i16") || strstr(samples[i].attrs, "to=i16");
    const char *refused = wide ? int16_codes : exception(samples[i].op, false);
    Graph *b = round_trip(what, g, refused, exception(samples[i].op, true));
    missing += refused && b == NULL;
    if (b) same_outputs(what, g, b, (info->traits & T_MOVE) != 0);
    back += b != NULL;
    graph_free(b);
    graph_free(g);
  }
  ck_assert_int_ge(back, n_samples - 1 - missing);
}
END_TEST

/* -- state -- */

static void same_steps(const char *what, const Graph *a, const Graph *b) {
  Diag *d = diag_new();
  ck_assert_uint_eq(a->n_states, b->n_states);
  Evaluator *x = evaluator_new(a, d), *y = evaluator_new(b, d);
  ck_assert_msg(x && y, "%s: %s", what, diag_text(d));
  Tensor in[8];
  for (uint64_t step = 1; step <= 4; step++) {
    const void *data[8];
    inputs(a, false, step, in);
    for (uint32_t i = 0; i < a->n_inputs; i++) data[i] = in[i].data;
    evaluator_run(x, data);
    evaluator_run(y, data);
    for (uint32_t i = 0; i < a->n_outputs; i++)
      ck_assert_mem_eq(evaluator_value(x, a->outputs[i]), evaluator_value(y, b->outputs[i]),
                       val_bytes(a, a->outputs[i]));
    oracle_free(in, a->n_inputs);
  }
  evaluator_free(x);
  evaluator_free(y);
  diag_free(d);
}

static const char *const state_nets[] = {
    "graph \"sum\"\n"
    "%1 = input : f32[1,2] \"x\"\n"
    "%2 = const : f32[1,2] {10, 20}\n"
    "%3 = state(%2) : f32[1,2] \"sum\"\n"
    "%4 = const : f32[1,2] {0, 0}\n"
    "%5 = state(%4) : f32[1,2] \"before\"\n"
    "%6 = state(%4) : f32[1,2] \"before\\x0athat\"\n"
    "%7 = Add(%3, %1) : f32[1,2] \"y\"\n"
    "%8 = Add(%7, %6) : f32[1,2] \"z\"\n"
    "next %3 = %7\n"
    "next %5 = %3\n"
    "next %6 = %5\n"
    "output %7, %8\n",
    /* codes: a window over the last three inputs, and its mean */
    "graph \"window\"\n"
    "%1 = input : i8[1,2] q(0.5, -3) \"x\"\n"
    "%2 = const : i8[2,2] q(0.5, -3) {-3, -3, 5, -3}\n"
    "%3 = state(%2) : i8[2,2] q(0.5, -3) \"last\"\n"
    "%4 = Concat(%3, %1) : i8[3,2] q(0.5, -3) \"all\"\n"
    "%5 = Slice(%4) {starts=[1,0], counts=[2,2], steps=[1,1]} : i8[2,2] q(0.5, -3) \"rest\"\n"
    "%6 = ReduceMean(%4) {axes=[0]} : i8[1,2] q(0.25, 0) \"mean\"\n"
    "next %3 = %5\n"
    "output %6\n",
};

START_TEST(states_come_back)
{
  for (size_t i = 0; i < sizeof state_nets / sizeof state_nets[0]; i++) {
    Diag *d = diag_new();
    Graph *g = graph_parse(state_nets[i], "state.ir", d);
    ck_assert_msg(g != NULL, "%s", diag_text(d));
    Graph *b = round_trip(g->name, g, NULL, NULL);
    same_steps(g->name, g, b);
    ck_assert_str_eq(graph_val(g, g->states[0].now)->name, graph_val(b, b->states[0].now)->name);
    graph_free(b);
    graph_free(g);
    diag_free(d);
  }
}
END_TEST

Suite *suite_export_samples(void);
Suite *suite_export_samples(void) {
  Suite *s = suite_create("export_samples");
  TCase *t = tcase_create("round trip");
  tcase_add_test(t, each_sample_comes_back);
  tcase_add_test(t, states_come_back);
  suite_add_tcase(s, t);
  return s;
}
