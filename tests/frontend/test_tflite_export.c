/* TFLite export: what is written and imported again computes the same bytes: the reference models, samples of the
 * operators, nets of our own quantizer's kind; what cannot be written is reported.
 */
#include "frontend/tflite/tflite.h"
#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "ir/base/strbuf.h"
#include "ir/eval.h"
#include "tests/frontend/oracle.h"
#include "tests/frontend/tflite_text.h"
#include "tests/ir/samples.h"
#include "tests/support.h"

#include <string.h>

Suite *suite_tflite_export(void);

static Graph *written_and_read(const Graph *g, const char *name) {
  Diag *d = diag_new();
  StrBuf file = {0};
  ck_assert_msg(tflite_write(g, &file, d), "%s: %s", name, diag_text(d));
  Blob *b = blob_new(file.s, file.len);
  Graph *back = tflite_import_bytes(b, "again.tflite", d);
  ck_assert_msg(back != NULL, "%s: %s", name, diag_text(d));
  blob_unref(b);
  sb_free(&file);
  diag_free(d);
  return back;
}

static void random_input(const Value *v, Rng *r, unsigned char *p) {
  size_t n = (size_t)shape_count(&v->shape);
  for (size_t i = 0; i < n; i++) {
    float f = rng_normal(r);
    int64_t k = (int64_t)rng_below(r, 256) - 128;
    if (v->dtype == DT_F32)
      memcpy(p + 4 * i, &f, 4);
    else
      memcpy(p + dtype_size(v->dtype) * i, &k, dtype_size(v->dtype));
  }
}

/* Same outputs, byte for byte, on random inputs. */
static void assert_same(const Graph *a, const Graph *b, const char *name) {
  Diag *d = diag_new();
  Evaluator *ea = evaluator_new(a, d), *eb = evaluator_new(b, d);
  ck_assert_msg(ea && eb, "%s: %s", name, diag_text(d));
  ck_assert_uint_eq(a->n_inputs, b->n_inputs);
  ck_assert_uint_eq(a->n_outputs, b->n_outputs);
  Rng r;
  rng_seed(&r, 5, 0);
  for (int round = 0; round < 4; round++) {
    const void *in[16];
    for (uint32_t i = 0; i < a->n_inputs; i++) {
      unsigned char *p = mem_alloc_aligned(val_bytes(a, a->inputs[i]) + 64, 64);
      ck_assert_uint_eq(val_bytes(a, a->inputs[i]), val_bytes(b, b->inputs[i]));
      random_input(graph_val(a, a->inputs[i]), &r, p);
      in[i] = p;
    }
    evaluator_run(ea, in);
    evaluator_run(eb, in);
    for (uint32_t i = 0; i < a->n_outputs; i++) {
      const Value *v = graph_val(a, a->outputs[i]), *w = graph_val(b, b->outputs[i]);
      ck_assert_msg(v->dtype == w->dtype && shape_equal(&v->shape, &w->shape), "%s: output %u", name, i);
      ck_assert_msg(quant_equal(&v->quant, &w->quant), "%s: output %u is quantized differently", name, i);
      ck_assert_msg(memcmp(evaluator_value(ea, a->outputs[i]), evaluator_value(eb, b->outputs[i]),
                           val_bytes(a, a->outputs[i])) == 0,
                    "%s: output %u differs", name, i);
    }
    for (uint32_t i = 0; i < a->n_inputs; i++) {
      void *p;
      memcpy(&p, &in[i], sizeof p);
      mem_free(p);
    }
  }
  evaluator_free(ea);
  evaluator_free(eb);
  diag_free(d);
}

START_TEST(reference_models)
{
  char dir[1024], path[2200];
  if (!test_shared_path(dir, sizeof dir, "data/models/tflite")) return;
  Arena *a = arena_new();
  int models = 0;
  for (char **name = oracle_list(a, dir, ".tflite"); *name; name++, models++) {
    Diag *d = diag_new();
    snprintf(path, sizeof path, "%s/%s.tflite", dir, *name);
    Graph *g = tflite_import(path, d);
    ck_assert_msg(g != NULL, "%s: %s", *name, diag_text(d));
    Graph *back = written_and_read(g, *name);
    assert_same(g, back, *name);
    graph_free(back);
    graph_free(g);
    diag_free(d);
  }
  ck_assert_int_ge(models, 9);
  arena_free(a);
}
END_TEST

/* Samples that TFLite has: the rest is refused with the operator's name. */
START_TEST(operators)
{
  Graph *sample = sample_graph(&samples[_i]);
  const char *name = op_info(samples[_i].op)->name;
  Diag *d = diag_new();
  StrBuf file = {0};
  Graph *g = sample;
  for (uint32_t i = 0; i < sample->n_inputs; i++)
    if (!shape_is_static(&graph_val(sample, sample->inputs[i])->shape) && g == sample)
      g = graph_with_batch(sample, 1, d);
  ck_assert_msg(g != NULL, "%s", diag_text(d));
  if (tflite_write(g, &file, d)) {
    Blob *b = blob_new(file.s, file.len);
    Graph *back = tflite_import_bytes(b, "again.tflite", d);
    ck_assert_msg(back != NULL, "%s: %s", name, diag_text(d));
    assert_same(g, back, name);
    graph_free(back);
    blob_unref(b);
  } else {
    ck_assert_msg(diag_count(d) > 0, "%s: no report", name);
  }
  sb_free(&file);
  if (g != sample) graph_free(g);
  graph_free(sample);
  diag_free(d);
}
END_TEST

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
    /* int8: a window over the last three inputs, and its mean */
    "graph \"window\"\n"
    "%1 = input : i8[1,2] q(0.5, -3) \"x\"\n"
    "%2 = const : i8[2,2] q(0.5, -3) {-3, -3, 5, -3}\n"
    "%3 = state(%2) : i8[2,2] q(0.5, -3) \"last\"\n"
    "%4 = Concat(%3, %1) : i8[3,2] q(0.5, -3) \"all\"\n"
    "%5 = Slice(%4) {starts=[1,0], counts=[2,2], steps=[1,1]} : i8[2,2] q(0.5, -3) \"rest\"\n"
    "%6 = ReduceMean(%4) {axes=[0]} : i8[1,2] q(0.25, 0) \"mean\"\n"
    "next %3 = %5\n"
    "output %6\n",
    /* a state whose next value is that of a later one */
    "graph \"later\"\n"
    "%1 = input : f32[1,2] \"x\"\n"
    "%2 = const : f32[1,2] {10, 20}\n"
    "%3 = state(%2) : f32[1,2] \"before last\"\n"
    "%4 = state(%2) : f32[1,2] \"last\"\n"
    "%5 = Add(%3, %1) : f32[1,2] \"y\"\n"
    "next %3 = %4\n"
    "next %4 = %1\n"
    "output %5\n",
    /* int16 */
    "graph \"wide\"\n"
    "%1 = input : i16[2,2] q(0.5, 0) \"x\"\n"
    "%2 = const : i16[2,2] q(0.5, 0) {100, -20, 3, 4}\n"
    "%3 = state(%2) : i16[2,2] q(0.5, 0) \"last\"\n"
    "%4 = MatMul(%1, %3) : i16[2,2] q(32, 0) \"product\"\n"
    "%5 = Relu(%4) : i16[2,2] q(32, 0) \"y\"\n"
    "next %3 = %1\n"
    "output %5\n",
    /* bytes without a sign, which importing shifts */
    "graph \"bytes\"\n"
    "%1 = input : f32[1,2] \"x\"\n"
    "%2 = const : u8[1,2] q(0.5, 125) {100, 140}\n"
    "%3 = state(%2) : u8[1,2] q(0.5, 125) \"last\"\n"
    "%4 = Quantize(%3) : i8[1,2] q(0.5, -3) \"codes\"\n"
    "%5 = Dequantize(%4) : f32[1,2] \"numbers\"\n"
    "%6 = Add(%5, %1) : f32[1,2] \"y\"\n"
    "%7 = Quantize(%6) : i8[1,2] q(0.5, -3) \"z\"\n"
    "%8 = Quantize(%7) {to=u8} : u8[1,2] q(0.5, 125) \"bytes\"\n"
    "next %3 = %8\n"
    "output %6\n",
};

/* What TensorFlow Lite cannot say is refused, with a reason. */
static const struct {
  const char *text, *say;
} refused[] = {
    {"graph \"g\"\n%1 = input : f32[1,5,5,1] \"x\"\n"
     "%2 = MaxPool(%1) {kernel=[2,2], dilations=[2,2]} : f32[1,3,3,1] \"y\"\noutput %2\n",
     "MaxPool cannot be written as TensorFlow Lite: its windows are dilated"},
    {"graph \"g\"\n%1 = input : f32[1,5,5,1] \"x\"\n"
     "%2 = AveragePool(%1) {kernel=[2,2], dilations=[1,2]} : f32[1,4,3,1] \"y\"\noutput %2\n",
     "AveragePool cannot be written as TensorFlow Lite: its windows are dilated"},
    {"graph \"g\"\n%1 = input : i32[2] \"x\"\n%2 = Relu(%1) : i32[2] \"y\"\noutput %2\n",
     "Relu cannot be written as TensorFlow Lite: it is of i32; there are f32, i8 and i16"},
    {"graph \"g\"\n%1 = input : f32[1,2] \"x\"\n%2 = input : f32[3,2] \"w\"\n"
     "%3 = FullyConnected(%1, %2) : f32[1,3] \"y\"\noutput %3\n",
     "FullyConnected cannot be written as TensorFlow Lite: its weights are computed"},
};

START_TEST(no_such_form)
{
  Diag *d = diag_new();
  StrBuf file = {0};
  Graph *g = graph_parse(refused[_i].text, "refused.ir", d);
  ck_assert_msg(g != NULL, "%s", diag_text(d));
  ck_assert_msg(!tflite_write(g, &file, d) && strstr(diag_text(d), refused[_i].say),
                "want \"%s\", got \"%s\"", refused[_i].say, diag_text(d));
  sb_free(&file);
  graph_free(g);
  diag_free(d);
}
END_TEST

START_TEST(states)
{
  for (size_t i = 0; i < sizeof state_nets / sizeof state_nets[0]; i++) {
    Diag *d = diag_new();
    Graph *g = graph_parse(state_nets[i], "state.ir", d);
    ck_assert_msg(g != NULL, "%s", diag_text(d));
    Graph *back = written_and_read(g, g->name);
    ck_assert_uint_eq(back->n_states, g->n_states);
    assert_same(g, back, g->name);
    graph_free(back);
    graph_free(g);
    diag_free(d);
  }
}
END_TEST

/* Places from the end, which GATHER has not. */
START_TEST(places_from_the_end)
{
  Diag *d = diag_new();
  Graph *g = graph_parse("graph \"g\"\n%1 = input : f32[1,3] \"x\"\n%2 = const : i32[2] {-1, 0}\n"
                         "%3 = Gather(%1, %2) {axis=1} : f32[1,2] \"y\"\noutput %3\n",
                         "end.ir", d);
  ck_assert_msg(g != NULL, "%s", diag_text(d));
  Graph *back = written_and_read(g, "end");
  assert_same(g, back, "end");
  const int32_t *at = val_data(back, back->nodes[0].in[1]);
  ck_assert(at[0] == 2 && at[1] == 0);
  graph_free(back);
  graph_free(g);
  diag_free(d);
}
END_TEST

/* SVDF and UNIDIRECTIONAL_SEQUENCE_LSTM keep their states themselves, float and int8. */
START_TEST(cells_come_back)
{
  static const char *const texts[] = {
      "tensor x f32 1,1\ntensor f f32 1,1 = 2\ntensor t f32 1,2 = 1,10\ntensor b f32 1 = 0.5\n"
      "tensor s f32 1,2 variable\ntensor y f32 1,1\nop SVDF x,f,t,b,s -> y 0:i32=1\ninput x\noutput y\n",
      "tensor x i8 1,1 q=1:0\ntensor f i8 1,1 q=1:0 = 2\ntensor t i16 1,2 q=0.125:0 = 1,10\ntensor b i32 1 = "
      "16\n"
      "tensor s i16 1,2 q=0.5:0 variable\ntensor y i8 1,1 q=1:-3\nop SVDF x,f,t,b,s -> y 0:i32=1 1:u8=1\n"
      "input x\noutput y\n",
      "tensor x f32 1,3,1\ntensor w f32 1,1 = 0.5\ntensor z f32 1 = 0.25\ntensor h f32 1,1 variable\n"
      "tensor c f32 1,1 variable\ntensor y f32 1,3,1\n"
      "op UNIDIRECTIONAL_SEQUENCE_LSTM x,w,w,w,w,w,w,w,w,,,,z,z,z,z,,,h,c,,,, -> y 0:u8=4\ninput x\noutput "
      "y\n",
      "tensor x i8 1,3,1 q=0.01:3\ntensor w i8 1,1 q=0.01:0 = 50\ntensor z i32 1 = 0\n"
      "tensor h i8 1,1 q=0.0078125:0 variable\ntensor c i16 1,1 q=0.00048828125:0 variable\n"
      "tensor y i8 1,3,1 q=0.0078125:0\n"
      "op UNIDIRECTIONAL_SEQUENCE_LSTM x,w,w,w,w,w,w,w,w,,,,z,z,z,z,,,h,c,,,, -> y 0:u8=4\ninput x\noutput "
      "y\n"};
  for (int i = 0; i < 4; i++) {
    Diag *d = diag_new();
    Graph *g = tflite_text_import(texts[i], d);
    ck_assert_msg(g != NULL, "%s", diag_text(d));
    Graph *back = written_and_read(g, "cell");
    ck_assert_uint_eq(back->n_nodes, g->n_nodes);
    ck_assert_int_eq(back->nodes[0].op, i < 2 ? OP_svdf_state : OP_seq_lstm);
    assert_same(g, back, "cell");
    graph_free(back);
    graph_free(g);
    diag_free(d);
  }
}
END_TEST

/* Pads that are neither SAME nor VALID, per-channel weights, a requantization: int8 throughout. */
START_TEST(int8_net)
{
  Graph *g = graph_new("n");
  Diag *d = diag_new();
  const float sx = 0.05f, sw[3] = {0.01f, 0.02f, 0.03f}, sy = 0.1f, sz = 0.2f;
  const int32_t zx = -3, zero[3] = {0}, zy = 5;
  int8_t w[3 * 3 * 3 * 2];
  const int32_t bias[3] = {100, -200, 300};
  for (size_t i = 0; i < sizeof w; i++) w[i] = (int8_t)(i * 37);
  Shape s = shape_of(4, (int64_t)1, (int64_t)6, (int64_t)6, (int64_t)2),
        sws = shape_of(4, (int64_t)3, (int64_t)3, (int64_t)3, (int64_t)2), sb = shape_of(1, (int64_t)3);
  ValId in[3] = {graph_input(g, "x", DT_I8, &s), graph_const_data(g, "w", DT_I8, &sws, w),
                 graph_const_data(g, "b", DT_I32, &sb, bias)};
  graph_set_quant(g, in[0], 1, 0, &sx, &zx);
  graph_set_quant(g, in[1], 3, 0, sw, zero);
  conv_attrs a;
  op_attrs_default(OP_conv, &a);
  a.pads = (Ints){4, {2, 1, 0, 2}};
  a.act = ACT_RELU6;
  ValId y = graph_node(g, OP_conv, &a, in, 3, "y", NULL, d);
  ck_assert_msg(y != NO_VAL, "%s", diag_text(d));
  graph_set_quant(g, y, 1, 0, &sy, &zy);
  ValId z = graph_node1(g, OP_quantize, &(quantize_attrs){.to = DT_I8}, y, "z", NULL, d);
  ck_assert_msg(z != NO_VAL, "%s", diag_text(d));
  graph_set_quant(g, z, 1, 0, &sz, &zx);
  graph_output(g, z);
  graph_output(g, y);
  Graph *back = written_and_read(g, "int8 net");
  assert_same(g, back, "int8 net");
  graph_free(back);
  graph_free(g);
  diag_free(d);
}
END_TEST

Suite *suite_tflite_export(void) {
  Suite *s = suite_create("tflite_export");
  TCase *t = tcase_create("export");
  tcase_add_test(t, reference_models);
  tcase_add_test(t, states);
  tcase_add_loop_test(t, no_such_form, 0, (int)(sizeof refused / sizeof refused[0]));
  tcase_add_test(t, places_from_the_end);
  tcase_add_test(t, cells_come_back);
  tcase_add_test(t, int8_net);
  tcase_add_loop_test(t, operators, 0, n_samples);
  suite_add_tcase(s, t);
  return s;
}
