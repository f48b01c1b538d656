/* ONNX export: what is written reads back as a graph with the same outputs, interface and shapes, from graphs as
 * imported (NCHW with Transposes), as the layout pass leaves them (NHWC). */
#include "tests/support.h"

#include <stdio.h>
#include <string.h>

#include "frontend/onnx/onnx.h"
#include "ir/base/file.h"
#include "passes/pass.h"
#include "tests/frontend/oracle.h"

static Graph *round_trip(const char *what, const Graph *g, const char *path) {
  Diag *d = diag_new();
  ck_assert_msg(onnx_export(g, path, d), "%s: not exported:\n%s", what, diag_text(d));
  Graph *back = onnx_import(path, d);
  ck_assert_msg(back != NULL, "%s: not read back:\n%s", what, diag_text(d));
  diag_free(d);
  return back;
}

/* No other input has that name: then it is kept. */
static bool unique_input(const Graph *g, const char *name) {
  int n = 0;
  for (uint32_t i = 0; i < g->n_inputs; i++) {
    const char *other = graph_val(g, g->inputs[i])->name;
    n += other && strcmp(other, name) == 0;
  }
  return n == 1;
}

static void same_interface(const char *what, const Graph *a, const Graph *b) {
  ck_assert_msg(a->n_inputs == b->n_inputs && a->n_outputs == b->n_outputs,
                "%s: %u inputs and %u outputs, want %u, %u", what, b->n_inputs, b->n_outputs, a->n_inputs,
                a->n_outputs);
  for (uint32_t i = 0; i < a->n_inputs; i++) {
    const Value *x = graph_val(a, a->inputs[i]), *y = graph_val(b, b->inputs[i]);
    ck_assert_msg(shape_equal(&x->shape, &y->shape), "%s: input %u has another shape", what, i);
    if (x->name && *x->name && unique_input(a, x->name)) ck_assert_str_eq(x->name, y->name);
  }
  for (uint32_t i = 0; i < a->n_outputs; i++) {
    const Value *x = graph_val(a, a->outputs[i]), *y = graph_val(b, b->outputs[i]);
    ck_assert_msg(shape_equal(&x->shape, &y->shape), "%s: output %u has another shape", what, i);
  }
}

/* Same outputs within 1e-6 of the range, on random inputs. */
static void same_outputs(const char *what, const Graph *a, const Graph *b) {
  Tensor in[8], x[8], y[8];
  ck_assert(a->n_inputs <= 8 && a->n_outputs <= 8);
  oracle_random_inputs(a, 7, in);
  oracle_eval(what, a, in, a->n_inputs, x);
  oracle_eval(what, b, in, b->n_inputs, y);
  for (uint32_t i = 0; i < a->n_outputs; i++) oracle_compare(what, &y[i], &x[i], 0, 1e-6);
  oracle_free(in, a->n_inputs);
  oracle_free(x, a->n_outputs);
  oracle_free(y, a->n_outputs);
}

static void check(const char *what, const Graph *g) {
  char path[1200];
  snprintf(path, sizeof path, "%s/export.onnx", test_tmp_dir());
  Graph *back = round_trip(what, g, path);
  same_interface(what, g, back);
  same_outputs(what, g, back);
  graph_free(back);
}

static Graph *import(const char *folder, const char *name) {
  char path[1200];
  Diag *d = diag_new();
  snprintf(path, sizeof path, "%s/%s.onnx", folder, name);
  Graph *g = onnx_import(path, d);
  ck_assert_msg(g != NULL, "%s", diag_text(d));
  diag_free(d);
  return g;
}

static Graph *run_passes(const Graph *g, const char *text) {
  Diag *d = diag_new();
  PassCtx ctx = {.params = ""};
  PipelineOptions opt = {.verify_each = true};
  Graph *out = pipeline_run(g, text, &ctx, &opt, d);
  ck_assert_msg(out != NULL, "%s: %s", text, diag_text(d));
  diag_free(d);
  return out;
}

START_TEST(imported_models_come_back)
{
  Arena *a = arena_new();
  for (char **name = oracle_list(a, "tests/data/onnx", ".onnx"); *name; name++) {
    Graph *g = import("tests/data/onnx", *name);
    check(*name, g);
    graph_free(g);
  }
  arena_free(a);
}
END_TEST

START_TEST(channels_last_models_come_back)
{
  Arena *a = arena_new();
  for (char **name = oracle_list(a, "tests/data/onnx", ".onnx"); *name; name++) {
    Graph *g = import("tests/data/onnx", *name), *nhwc = run_passes(g, "layout");
    check(*name, nhwc);
    graph_free(g);
    graph_free(nhwc);
  }
  arena_free(a);
}
END_TEST

static int count_op(const Graph *g, OpKind op) {
  int n = 0;
  for (uint32_t k = 0; k < g->n_nodes; k++) n += g->nodes[k].op == op;
  return n;
}

/* A chain of convolutions is written without a Transpose in between: reading it back adds two per window operator,
 * one each way, and no more. */
START_TEST(chains_are_written_without_transposes)
{
  char path[1200];
  Graph *g = import("tests/data/onnx", "net_residual"), *nhwc = run_passes(g, "layout");
  snprintf(path, sizeof path, "%s/chain.onnx", test_tmp_dir());
  Graph *back = round_trip("net_residual", nhwc, path);
  int windows = count_op(back, OP_conv) + count_op(back, OP_depthwise_conv) + count_op(back, OP_max_pool) +
                count_op(back, OP_average_pool);
  ck_assert_int_gt(windows, 4);
  ck_assert_int_le(count_op(back, OP_transpose), 2 * windows + 1);
  graph_free(g);
  graph_free(nhwc);
  graph_free(back);
}
END_TEST

START_TEST(fused_activations_are_written_out)
{
  Graph *g = graph_new("acts");
  Diag *d = diag_new();
  static const float w[4 * 3 * 3 * 2] = {0.5f, -0.25f, 1}, bias[4] = {1, -1, 2, 0};
  ValId x = graph_input(g, "x", DT_F32, &(Shape){4, {DIM_BATCH, 6, 6, 2}});
  ValId wv = graph_const_data(g, "w", DT_F32, &(Shape){4, {4, 3, 3, 2}}, w);
  ValId bv = graph_const_data(g, "b", DT_F32, &(Shape){1, {4}}, bias);
  for (int32_t act = 0; act < ACT_COUNT; act++) {
    conv_attrs c;
    op_attrs_default(OP_conv, &c);
    c.act = act;
    ValId in[3] = {x, wv, bv};
    ValId y = graph_node(g, OP_conv, &c, in, 3, "y", NULL, d);
    add_attrs a = {.act = act};
    graph_output(g, graph_node2(g, OP_add, &a, y, y, "sum", NULL, d));
  }
  ck_assert_msg(diag_count(d) == 0, "%s", diag_text(d));
  check("fused activations", g);
  diag_free(d);
  graph_free(g);
}
END_TEST

/* Inputs and constants that are outputs, one value as two outputs, values without names or with one and the same. */
START_TEST(odd_interfaces_come_back)
{
  Graph *g = graph_new("odd");
  Diag *d = diag_new();
  static const float c[3] = {1, 2, 3};
  ValId x = graph_input(g, "same", DT_F32, &(Shape){2, {DIM_BATCH, 3}});
  ValId k = graph_const_data(g, "same", DT_F32, &(Shape){1, {3}}, c);
  ValId y = graph_node2(g, OP_add, NULL, x, k, NULL, NULL, d);
  ValId z = graph_node2(g, OP_mul, NULL, y, k, "same", NULL, d);
  graph_output(g, z);
  graph_output(g, z);
  graph_output(g, x);
  graph_output(g, y);
  ck_assert_msg(diag_count(d) == 0, "%s", diag_text(d));
  check("odd interfaces", g);
  diag_free(d);
  graph_free(g);
}
END_TEST

START_TEST(unwritable_places_are_reported)
{
  Graph *g = import("tests/data/onnx", "relu");
  Diag *d = diag_new();
  ck_assert(!onnx_export(g, "/no/such/folder/x.onnx", d));
  ck_assert_msg(strstr(diag_text(d), "/no/such/folder/x.onnx"), "%s", diag_text(d));
  diag_free(d);
  graph_free(g);
}
END_TEST

/* What ONNX has in a later opset alone, or says by other operators. */
START_TEST(other_forms)
{
  static const char dilated[] = "graph \"g\"\n%1 = input : f32[1,5,5,1] \"x\"\n"
                                "%2 = AveragePool(%1) {kernel=[2,2], dilations=[2,2]} : f32[1,3,3,1] \"y\"\n"
                                "output %2\n";
  static const char floor_mod[] = "graph \"g\"\n%1 = input : f32[6] \"x\"\n%2 = input : f32[6] \"d\"\n"
                                  "%3 = Mod(%1, %2) : f32[6] \"y\"\noutput %3\n";
  const float x[6] = {5, -5, 5, -5, 6, -0.5f}, by[6] = {3, 3, -3, -3, -3, 8},
              want[6] = {2, 1, -1, -2, 0, 7.5f};
  char path[1200];
  Diag *d = diag_new();
  snprintf(path, sizeof path, "%s/other.onnx", test_tmp_dir());
  Graph *g = graph_parse(dilated, "dilated.ir", d);
  ck_assert_msg(g != NULL, "%s", diag_text(d));
  Graph *back = round_trip("dilated", g, path);
  size_t n;
  Arena *a = arena_new();
  const char *file = file_read(a, path, &n, d);
  ck_assert(file && n > 6 && memcmp(file + n - 6, "\x42\x04\x0a\x00\x10\x13", 6) == 0); /* opset 19 */
  arena_free(a);
  graph_free(back);
  graph_free(g);
  g = graph_parse(floor_mod, "mod.ir", d);
  ck_assert_msg(g != NULL, "%s", diag_text(d));
  back = round_trip("mod", g, path);
  for (uint32_t i = 0; i < back->n_nodes; i++)
    ck_assert(back->nodes[i].op != OP_mod || CATTRS(&back->nodes[i], mod)->fmod == 1);
  Tensor in[2] = {tensor_new(DT_F32, &(Shape){1, {6}}), tensor_new(DT_F32, &(Shape){1, {6}})}, y[1];
  memcpy(in[0].data, x, sizeof x);
  memcpy(in[1].data, by, sizeof by);
  oracle_eval("mod", back, in, 2, y);
  ck_assert_int_eq(memcmp(y[0].data, want, sizeof want), 0);
  oracle_free(in, 2);
  oracle_free(y, 1);
  graph_free(back);
  graph_free(g);
  diag_free(d);
}
END_TEST

/* Cells with the batch in front, symbolic, come back without Transposes; the last state is the file's Y_h: no Concat. */
START_TEST(batch_first_cells_come_back)
{
  static const char *const forms[] = {
      "%3 = Gru(%1, %2) {hidden=2, batch_first=1, linear_before_reset=1}\n%4 = Slice(%3) {starts=[0,4,0], "
      "counts=[-1,1,2], steps=[1,1,1]}\n%5 = Reshape(%4) {shape=[-1,2]}\noutput %5\n",
      "%3 = Gru(%1, %2) {hidden=2, batch_first=1, reverse=1}\n%4 = Slice(%3) {starts=[0,0,0], "
      "counts=[-1,4,2], steps=[1,1,1]}\noutput %4\n",
      "%3 = Gru(%1, %2) {hidden=2, batch_first=1}\noutput %3\n"};
  for (int i = 0; i < 3; i++) {
    Arena *a = arena_new();
    Diag *d = diag_new();
    char *text = arena_printf(a,
                              "graph \"g\"\n%%1 = input : f32[N,4,6] \"x\"\n%%2 = const : f32[6,2] "
                              "{1,2,3,-4,5,-6,7,8,-1,2,3,4}\n%s",
                              forms[i]);
    Graph *g = graph_parse(text, "gru.ir", d);
    ck_assert_msg(g != NULL, "%s", diag_text(d));
    Graph *back = round_trip("gru", g, path_join(a, test_tmp_dir(), "gru.onnx"));
    ck_assert(count_op(back, OP_transpose) == 0 && (i > 0 || count_op(back, OP_concat) == 0));
    same_interface("gru", g, back);
    Graph *one = graph_with_batch(g, 2, d), *two = graph_with_batch(back, 2, d);
    ck_assert_msg(one && two, "%s", diag_text(d));
    same_outputs("gru", one, two);
    graph_free(one);
    graph_free(two);
    graph_free(back);
    graph_free(g);
    diag_free(d);
    arena_free(a);
  }
}
END_TEST

START_TEST(real_models_come_back)
{
  static const char *const names[] = {"resnet20_cifar10_dynbatch_bn", "mlperf_kws_dscnn_bn",
                                      "mlperf_vww_mobilenetv1", "mlperf_ad_autoencoder",
                                      "mlperf_sww_1dcnn_bn"};
  char folder[1024];
  if (!test_shared_path(folder, sizeof folder, "data/models/onnx")) return;
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    Graph *g = import(folder, names[i]), *nhwc = run_passes(g, "fold,bnfuse,layout,fuse");
    check(names[i], g);
    check(names[i], nhwc);
    graph_free(g);
    graph_free(nhwc);
  }
}
END_TEST

Suite *suite_export(void);
Suite *suite_export(void) {
  Suite *s = suite_create("export");
  TCase *t = tcase_create("round trip");
  tcase_add_test(t, imported_models_come_back);
  tcase_add_test(t, channels_last_models_come_back);
  tcase_add_test(t, chains_are_written_without_transposes);
  tcase_add_test(t, fused_activations_are_written_out);
  tcase_add_test(t, odd_interfaces_come_back);
  tcase_add_test(t, unwritable_places_are_reported);
  tcase_add_test(t, other_forms);
  tcase_add_test(t, batch_first_cells_come_back);
  tcase_add_test(t, real_models_come_back);
  suite_add_tcase(s, t);
  return s;
}
