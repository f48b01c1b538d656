/* ONNX export of int8 graphs in Quantize/Dequantize form: what is written reads back as int8 operators again, with the same
 * bytes: single operators, the quantizer's graphs, TFLite's models, and an ONNX model with ONNX's rounding.
 */
#include "tests/support.h"

#include <stdio.h>
#include <string.h>

#include "frontend/onnx/onnx.h"
#include "frontend/tflite/tflite.h"
#include "ir/base/rng.h"
#include "ir/base/strbuf.h"
#include "passes/quantize.h"
#include "tests/frontend/oracle.h"
#include "tests/passes/nets.h"

static void random_bytes(const Graph *g, uint64_t seed, Tensor *in) {
  Rng r;
  rng_seed(&r, seed, 0);
  for (uint32_t i = 0; i < g->n_inputs; i++) {
    const Value *v = graph_val(g, g->inputs[i]);
    Shape s = v->shape;
    if (s.rank > 0 && s.d[0] == DIM_BATCH) s.d[0] = 2;
    in[i] = tensor_new(v->dtype, &s);
    for (int64_t k = 0; k < shape_count(&s); k++) {
      if (v->dtype == DT_F32)
        ((float *)in[i].data)[k] = rng_uniform(&r) * 4 - 2;
      else
        ((uint8_t *)in[i].data)[k] = (uint8_t)rng_below(&r, 256);
    }
  }
}

static void same_bytes(const char *what, const Graph *a, const Graph *b) {
  Tensor in[8], x[8], y[8];
  ck_assert(a->n_inputs <= 8 && a->n_outputs <= 8 && a->n_inputs == b->n_inputs &&
            a->n_outputs == b->n_outputs);
  for (uint64_t seed = 1; seed < 4; seed++) {
    random_bytes(a, seed, in);
    oracle_eval(what, a, in, a->n_inputs, x);
    oracle_eval(what, b, in, b->n_inputs, y);
    for (uint32_t i = 0; i < a->n_outputs; i++) oracle_compare(what, &y[i], &x[i], 0, 0);
    oracle_free(in, a->n_inputs);
    oracle_free(x, a->n_outputs);
    oracle_free(y, a->n_outputs);
  }
}

static uint32_t count_ops(const Graph *g, OpKind op) {
  uint32_t n = 0;
  for (uint32_t k = 0; k < g->n_nodes; k++) n += g->nodes[k].op == op;
  return n;
}

static void check(const char *what, const Graph *g) {
  char path[1200];
  Diag *d = diag_new();
  snprintf(path, sizeof path, "%s/export_int8.onnx", test_tmp_dir());
  ck_assert_msg(onnx_export(g, path, d), "%s: not exported:\n%s", what, diag_text(d));
  Graph *back = onnx_import(path, d);
  ck_assert_msg(back != NULL, "%s: not read back:\n%s", what, diag_text(d));
  same_bytes(what, g, back);
  ck_assert_msg(count_ops(back, OP_dequantize) <= count_ops(g, OP_dequantize) &&
                    count_ops(back, OP_conv) == count_ops(g, OP_conv),
                "%s: is not int8 again", what);
  graph_free(back);
  diag_free(d);
}

static Graph *nominal(Graph *g) {
  Diag *d = diag_new();
  Graph *q = quantize_nominal(g, d);
  ck_assert_msg(q != NULL, "%s", diag_text(d));
  diag_free(d);
  graph_free(g);
  return q;
}

START_TEST(graphs_of_the_quantizer)
{
  char what[60];
  for (uint64_t seed = 1; seed <= 20; seed++) {
    Graph *g = nominal(net_random_plain(seed));
    snprintf(what, sizeof what, "random net %d", (int)seed);
    check(what, g);
    graph_free(g);
  }
  Graph *g = nominal(net_residual(2, 5));
  check("residual net", g);
  graph_free(g);
}
END_TEST

START_TEST(models_of_tflite)
{
  char dir[1024], path[2200];
  if (!test_shared_path(dir, sizeof dir, "data/models/tflite")) return;
  Arena *a = arena_new();
  for (char **name = oracle_list(a, dir, "_int8.tflite"); *name; name++) {
    Diag *d = diag_new();
    snprintf(path, sizeof path, "%s/%s_int8.tflite", dir, *name);
    Graph *g = tflite_import(path, d);
    ck_assert_msg(g != NULL, "%s", diag_text(d));
    check(*name, g);
    graph_free(g);
    diag_free(d);
  }
  arena_free(a);
}
END_TEST

/* The file says how it rounds. */
START_TEST(rounding_is_kept)
{
  static const OnnxRounding kinds[] = {ONNX_ROUND_AUTO, ONNX_ROUND_TFLITE, ONNX_ROUND_ONNX};
  char path[1024];
  if (!test_shared_path(path, sizeof path, "data/models/onnx/kaijiang_kws_int8_qdq.onnx")) return;
  Diag *d = diag_new();
  Blob *b = blob_map(path);
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
    Graph *g = onnx_import_with(b, path, &(OnnxOptions){.rounding = kinds[i]}, d);
    ck_assert_msg(g != NULL, "%s", diag_text(d));
    check("keyword spotting", g);
    graph_free(g);
  }
  blob_unref(b);
  diag_free(d);
}
END_TEST

/* An int8 Softmax's factor before exp goes into the scale of its input, where that is exact. */
START_TEST(factor_of_softmax)
{
  static const char *const betas[] = {"0.5", "4", "0.3"};
  for (int i = 0; i < 3; i++) {
    char text[400], path[1200];
    snprintf(text, sizeof text,
             "graph \"softmax\"\n"
             "%%1 = input : i8[2,6] q(0.1, -3) \"x\"\n"
             "%%2 = Softmax(%%1) {beta=%s} : i8[2,6] q(0.00390625, -128) \"y\"\n"
             "output %%2\n",
             betas[i]);
    Diag *d = diag_new();
    Graph *g = graph_parse(text, "softmax.ir", d);
    ck_assert_msg(g != NULL, "%s", diag_text(d));
    snprintf(path, sizeof path, "%s/softmax.onnx", test_tmp_dir());
    if (i < 2)
      check(betas[i], g);
    else
      ck_assert(!onnx_export(g, path, d) && strstr(diag_text(d), "no exact scale"));
    graph_free(g);
    diag_free(d);
  }
}
END_TEST

/* A file says once how all its operators round. */
START_TEST(mixed_rounding_is_refused)
{
  static const char *const texts[] = {"graph \"mixed\"\n"
                                      "%1 = input : i8[1,2] q(0.5, -3) \"x\"\n"
                                      "%2 = const : i8[2,2] q(0.25, 0) {1, 2, 3, 4}\n"
                                      "%3 = FullyConnected(%1, %2) : i8[1,2] q(0.5, -3)\n"
                                      "%4 = FullyConnected(%3, %2) {rounding=1} : i8[1,2] q(0.5, -3)\n"
                                      "output %4\n",
                                      "graph \"mixed\"\n"
                                      "%1 = input : f32[1,2] \"x\"\n"
                                      "%2 = Quantize(%1) {rounding=1} : i8[1,2] q(0.5, -3)\n"
                                      "%3 = const : i8[2,2] q(0.25, 0) {1, 2, 3, 4}\n"
                                      "%4 = FullyConnected(%2, %3) : i8[1,2] q(0.5, -3)\n"
                                      "output %4\n",
                                      "graph \"mixed\"\n"
                                      "%1 = input : f32[1,2] \"x\"\n"
                                      "%2 = Quantize(%1) {rounding=1} : i8[1,2] q(0.5, -3)\n"
                                      "%3 = Quantize(%1) : i8[1,2] q(0.5, -3)\n"
                                      "output %2, %3\n"};
  char path[1200];
  snprintf(path, sizeof path, "%s/mixed.onnx", test_tmp_dir());
  for (int i = 0; i < 3; i++) {
    Diag *d = diag_new();
    Graph *g = graph_parse(texts[i], "mixed.ir", d);
    ck_assert_msg(g != NULL, "%s", diag_text(d));
    ck_assert_msg(!onnx_export(g, path, d), "text %d is written", i);
    ck_assert_msg(strstr(diag_text(d), "rounds otherwise"), "%s", diag_text(d));
    graph_free(g);
    diag_free(d);
  }
}
END_TEST

Suite *suite_export_int8(void);
Suite *suite_export_int8(void) {
  Suite *s = suite_create("export_int8");
  TCase *t = tcase_create("round trip");
  tcase_add_test(t, graphs_of_the_quantizer);
  tcase_add_test(t, models_of_tflite);
  tcase_add_test(t, rounding_is_kept);
  tcase_add_test(t, mixed_rounding_is_refused);
  tcase_add_test(t, factor_of_softmax);
  suite_add_tcase(s, t);
  return s;
}
