/* Custom operators: the list, import from ONNX and TFLite, what the function is told, layouts and quantization around it, and
 * every refusal. test_cli_custom.c has emission and the commands.
 */
#include <string.h>

#include "backend/emit/emit.h"
#include "frontend/config/custom.h"
#include "frontend/onnx/onnx.h"
#include "frontend/tflite/tflite.h"
#include "ir/base/file.h"
#include "ir/base/strbuf.h"
#include "ir/eval.h"
#include "passes/pass.h"
#include "passes/quantize.h"
#include "tests/frontend/onnx_text.h"
#include "tests/frontend/tflite_text.h"
#include "tests/support.h"

Suite *suite_custom(void);

/* tell_all: what it was told, as numbers. channel: x times the number of its channel, counted from 1, channels being axis 1.
 * halve: of int8, by scale and zero point. */
static const char source[] =
    "#include \"mistify_custom.h\"\n"
    "void tell_all(const mf_custom *op) {\n"
    "  float *y = op->out.data;\n"
    "  int32_t i, n = 0;\n"
    "  y[n++] = (float)op->n_in;\n"
    "  y[n++] = (float)op->in[0].rank;\n"
    "  for (i = 0; i < op->n_ints; i++) y[n++] = (float)op->ints[i];\n"
    "  for (i = 0; i < op->n_floats; i++) y[n++] = op->floats[i];\n"
    "  while (n < mf_tensor_count(&op->out)) y[n++] = -1;\n"
    "}\n"
    "void channel(const mf_custom *op) {\n"
    "  const float *x = op->in[0].data;\n"
    "  float *y = op->out.data;\n"
    "  const int32_t *d = op->in[0].dims, inner = d[2] * d[3];\n"
    "  int32_t i;\n"
    "  for (i = 0; i < d[0] * d[1] * inner; i++) y[i] = x[i] * (float)(i / inner % d[1] + 1);\n"
    "}\n"
    "void halve(const mf_custom *op) {\n"
    "  const mf_tensor *x = &op->in[0];\n"
    "  int8_t *y = op->out.data;\n"
    "  int32_t i;\n"
    "  for (i = 0; i < mf_tensor_count(x); i++) {\n"
    "    const float v = x->scale * (float)(((const int8_t *)x->data)[i] - x->zero) / 2;\n"
    "    y[i] = (int8_t)((int32_t)(v / op->out.scale) + op->out.zero);\n"
    "  }\n"
    "}\n";

#define ENTRY(op, function, more) \
  "operators:\n  - op: " op "\n    function: " function "\n    files: ops.c\n" more

static void write(const char *name, const char *text) {
  char path[700];
  snprintf(path, sizeof path, "%s/%s", test_tmp_dir(), name);
  test_write_file(path, text, strlen(text));
}

/* The list of that text, built; NULL: reported. */
static CustomLibrary *library(const char *yaml, Diag *d) {
  char path[700];
  snprintf(path, sizeof path, "%s/custom.yaml", test_tmp_dir());
  write("custom.yaml", yaml);
  write("ops.c", source);
  CustomLibrary *l = custom_load(path, d);
  if (l && custom_build(l, embedded_text("runtime/kernels/custom.h"), d)) return l;
  custom_unref(l);
  return NULL;
}

static Graph *import(bool tflite, const char *model, const char *yaml, Diag *d) {
  CustomLibrary *l = library(yaml, d);
  if (!l) return NULL;
  Blob *b = tflite ? tflite_text(model) : onnx_text(model);
  Graph *g = tflite ? tflite_import_with(b, "text.tflite", l, d)
                    : onnx_import_with(b, "text.onnx", &(OnnxOptions){.custom = l}, d);
  blob_unref(b);
  custom_unref(l);
  return g;
}

static Graph *imported(bool tflite, const char *model, const char *yaml) {
  Diag *d = diag_new();
  Graph *g = import(tflite, model, yaml, d);
  ck_assert_msg(g != NULL, "%s", diag_text(d));
  diag_free(d);
  return g;
}

static void evaluates(const Graph *g, const void *x, Tensor *y) {
  Diag *d = diag_new();
  Tensor in = tensor_new(graph_val(g, g->inputs[0])->dtype, &graph_val(g, g->inputs[0])->shape);
  memcpy(in.data, x, tensor_bytes(&in));
  ck_assert_msg(graph_eval(g, &in, 1, y, d), "%s", diag_text(d));
  tensor_free(&in);
  diag_free(d);
}

/* -- what the function is told -- */

static const struct {
  const char *attributes, *list;
  float want[8];
} told[] = {
    {"axis=3 k=[4,5] alpha=0.5", "    ints: [axis, k]\n    floats: alpha\n", {1, 2, 3, 4, 5, 0.5f, -1, -1}},
    {"axis=3 alpha=0.5",
     "    ints: [k=7, axis]\n    floats: [beta=-2, alpha]\n",
     {1, 2, 7, 3, -2, 0.5f, -1, -1}},
    {"mode=\"fast\" w=[.25,1.5]",
     "    floats: [w]\n    ignore: [mode, other]\n",
     {1, 2, 0.25f, 1.5f, -1, -1, -1, -1}},
    {"axis=3", "    floats: [axis]\n", {1, 2, 3, -1, -1, -1, -1, -1}},
};

START_TEST(attributes_in_their_order)
{
  char model[400], yaml[600];
  const float x[8] = {0};
  Tensor y;
  snprintf(model, sizeof model, "input x f32 2,4\noutput y\nnode Tell@my t x -> y %s\n", told[_i].attributes);
  snprintf(yaml, sizeof yaml, ENTRY("my:Tell", "tell_all", "%s"), told[_i].list);
  Graph *g = imported(false, model, yaml);
  evaluates(g, x, &y);
  for (int i = 0; i < 8; i++)
    ck_assert_msg(((const float *)y.data)[i] == told[_i].want[i], "%d: %g", i,
                  (double)((const float *)y.data)[i]);
  tensor_free(&y);
  graph_free(g);
}
END_TEST

/* An operator of the standard domain, a local function of the file: the list goes before both. */
START_TEST(the_list_goes_first)
{
  static const char *const models[] = {
      "input x f32 2,4\noutput y\nnode Relu t x -> y\n",
      "function my Tell a -> b\nnode Relu r a -> b\nend\ninput x f32 2,4\noutput y\nnode Tell@my t x -> y\n"};
  static const char *const lists[] = {ENTRY("Relu", "tell_all", ""), ENTRY("my:Tell", "tell_all", "")};
  for (int i = 0; i < 2; i++) {
    Graph *g = imported(false, models[i], lists[i]);
    ck_assert_uint_eq(g->n_nodes, 1);
    ck_assert_int_eq(g->nodes[0].op, OP_custom);
    graph_free(g);
  }
}
END_TEST

START_TEST(output_by_the_list)
{
  Graph *g = imported(false, "input x f32 N,4\noutput y\nnode Tell@my t x -> y\n",
                      ENTRY("my:Tell", "tell_all", "    shape: [N, 3]\n    type: i32\n"));
  const Value *y = graph_val(g, g->outputs[0]);
  char shape[64];
  shape_format(&y->shape, shape, sizeof shape);
  ck_assert_str_eq(shape, "[N,3]");
  ck_assert_int_eq(y->dtype, DT_I32);
  graph_free(g);
}
END_TEST

/* -- layouts and quantization -- */

static const char convs[] = "input x f32 1,2,3,3\noutput y\ninit w f32 2,2,1,1 = 1,0,0,1\n"
                            "node Conv a x,w -> p\nnode Channel@my c p -> q\nnode Conv b q,w -> y\n";

START_TEST(the_layout_is_the_files)
{
  Graph *g = imported(false, convs, ENTRY("my:Channel", "channel", ""));
  Diag *d = diag_new();
  PassCtx ctx = {.params = ""};
  Graph *p = pipeline_run(g, "fold,layout,fold,dce,bnfuse,fuse,fold", &ctx, NULL, d);
  ck_assert_msg(p != NULL, "%s", diag_text(d));
  float x[18];
  Tensor y, z;
  for (int i = 0; i < 18; i++) x[i] = (float)(i + 1);
  evaluates(g, x, &y);
  evaluates(p, x, &z);
  for (int i = 0; i < 18; i++) {
    ck_assert(((const float *)y.data)[i] == x[i] * (float)(i / 9 + 1));
    ck_assert(((const float *)z.data)[i] == ((const float *)y.data)[i]);
  }
  tensor_free(&y);
  tensor_free(&z);
  graph_free(p);
  graph_free(g);
  diag_free(d);
}
END_TEST

/* It stays in float32 between Dequantize and Quantize. */
START_TEST(quantized_around_it)
{
  Graph *g = imported(false, convs, ENTRY("my:Channel", "channel", ""));
  Diag *d = diag_new();
  PassCtx ctx = {.params = ""};
  Graph *p = pipeline_run(g, "fold,layout,fold,dce,bnfuse,fuse,fold", &ctx, NULL, d);
  Graph *q = p ? quantize_nominal(p, d) : NULL;
  ck_assert_msg(q != NULL, "%s", diag_text(d));
  bool seen = false;
  for (uint32_t k = 0; k < q->n_nodes; k++) {
    if (q->nodes[k].op != OP_custom) continue;
    seen = true;
    ck_assert_int_eq(graph_val(q, q->nodes[k].in[0])->dtype, DT_F32);
    ck_assert_int_eq(graph_val(q, q->nodes[k].out[0])->dtype, DT_F32);
  }
  ck_assert(seen);
  const float x[18] = {0};
  Tensor y;
  evaluates(q, x, &y);
  tensor_free(&y);
  graph_free(q);
  graph_free(p);
  graph_free(g);
  diag_free(d);
}
END_TEST

START_TEST(int8_of_tflite)
{
  Graph *g = imported(true,
                      "tensor x i8 1,4 q=0.5:-2\ntensor y i8 1,4 q=0.25:3\nop CUSTOM:Halve x -> y\ninput x\n"
                      "output y\n",
                      ENTRY("Halve", "halve", ""));
  const int8_t x[4] = {-2, 6, -10, 0}; /* 0, 4, -4, 1 */
  const int8_t want[4] = {3, 11, -5, 5};
  Tensor y;
  evaluates(g, x, &y);
  ck_assert_mem_eq(y.data, want, sizeof want);
  tensor_free(&y);
  graph_free(g);
}
END_TEST

/* The file's shape, where the list gives none. */
START_TEST(shape_of_tflite)
{
  Graph *g = imported(true, "tensor x f32 2,4\ntensor y f32 3,1\nop CUSTOM:Tell x -> y\ninput x\noutput y\n",
                      ENTRY("Tell", "tell_all", "    ints: [a=5]\n"));
  const float x[8] = {0}, want[3] = {1, 2, 5};
  Tensor y;
  evaluates(g, x, &y);
  ck_assert_mem_eq(y.data, want, sizeof want);
  tensor_free(&y);
  graph_free(g);
}
END_TEST

/* -- forms -- */

START_TEST(forms_hold_no_code)
{
  const char *list = ENTRY("my:Tell", "tell_all", "    floats: [a=0.1]\n");
  Graph *g = imported(false, "input x f32 2,4\noutput y\nnode Tell@my t x -> y\n", list);
  Diag *d = diag_new();
  StrBuf text = {0};
  graph_print(g, &text, SIZE_MAX);
  ck_assert_msg(strstr(sb_str(&text), "Custom(%1) {function=tell_all, code=[") != NULL, "%s", sb_str(&text));
  Graph *back = graph_parse(sb_str(&text), "back.ir", d);
  ck_assert_msg(back && hash_equal(graph_hash(back), graph_hash(g)), "%s", diag_text(d));
  ck_assert(!evaluator_new(back, d));
  ck_assert_msg(strstr(diag_text(d), "calls the C function tell_all, which is not given") != NULL, "%s",
                diag_text(d));
  custom_attach(back, g->custom);
  Evaluator *e = evaluator_new(back, d);
  ck_assert(e != NULL);
  evaluator_free(e);
  /* the same function of another source */
  diag_clear(d);
  write("custom.yaml", list);
  write("ops.c", "#include \"mistify_custom.h\"\nvoid tell_all(const mf_custom *op) { (void)op; }\n");
  char path[700];
  snprintf(path, sizeof path, "%s/custom.yaml", test_tmp_dir());
  CustomLibrary *other = custom_load(path, d);
  ck_assert_msg(other && custom_build(other, embedded_text("runtime/kernels/custom.h"), d), "%s",
                diag_text(d));
  custom_attach(back, other);
  custom_unref(other);
  ck_assert(!evaluator_new(back, d));
  ck_assert_msg(strstr(diag_text(d), "whose source is another one now") != NULL, "%s", diag_text(d));
  sb_free(&text);
  graph_free(back);
  graph_free(g);
  diag_free(d);
}
END_TEST

/* -- refusals -- */

#define TELL "input x f32 2,4\noutput y\nnode Tell@my t x -> y axis=1\n"
#define LITE "tensor x f32 2,4\ntensor y f32 3,1\nop CUSTOM:Tell x -> y\ninput x\noutput y\n"

static const struct {
  const char *name;
  bool tflite;
  const char *model, *list, *why;
} refused[] = {
    {"an attribute that nobody reads", false, TELL, ENTRY("my:Tell", "tell_all", ""),
     "has the attribute \"axis\", which the function tell_all is not given"},
    {"an attribute that is not there", false, TELL, ENTRY("my:Tell", "tell_all", "    ints: [axis, k]\n"),
     "has no attribute \"k\", which the function tell_all is given"},
    {"a fraction", false, "input x f32 2\noutput y\nnode Tell@my t x -> y a=0.5\n",
     ENTRY("my:Tell", "tell_all", "    ints: a\n"), "attribute \"a\" is 0.5; the function takes an integer"},
    {"a string", false, "input x f32 2\noutput y\nnode Tell@my t x -> y a=\"z\"\n",
     ENTRY("my:Tell", "tell_all", "    floats: a\n"), "attribute \"a\" is string; want float"},
    {"too many inputs", false, "input x f32 2\noutput y\nnode Tell@my t x,x,x,x,x,x,x -> y\n",
     ENTRY("my:Tell", "tell_all", ""), "has 7 inputs; a custom operator has at most 6"},
    {"a second output", false, "input x f32 2\noutput y\noutput z\nnode Tell@my t x -> y,z\n",
     ENTRY("my:Tell", "tell_all", ""), "output 1 (\"z\") is used; supported is output 0 alone"},
    {"half floats", false, "input x f16 2\noutput y\nnode Tell@my t x -> y\n",
     ENTRY("my:Tell", "tell_all", ""), "Custom: input 0 has f16 elements"},
    {"a batch that gets lost", false, "input x f32 N,2\noutput y\nnode Tell@my t x -> y\n",
     ENTRY("my:Tell", "tell_all", "    shape: [4]\n"), "batch"},
    {"an operator that is not listed", false, "input x f32 2\noutput y\nnode Other@my t x -> y\n",
     ENTRY("my:Tell", "tell_all", ""), "--custom FILE.yaml"},
    {"options of TFLite", true, LITE, ENTRY("Tell", "tell_all", "    ints: [k]\n"), "give its value in"},
    {"another shape than TFLite's", true, LITE, ENTRY("Tell", "tell_all", "    shape: [2, 2]\n"),
     "computes f32[2,2]; the file says that \"y\" is f32[3,1]"},
    {"bytes of TFLite", true,
     "tensor x u8 4 q=1:128\ntensor y u8 4 q=1:128\nop CUSTOM:Tell x -> y\ninput x\noutput y\n",
     ENTRY("Tell", "tell_all", ""), "works on UINT8 elements"},
    {"a custom code that is not listed", true, LITE, ENTRY("Other", "tell_all", ""), "--custom FILE.yaml"},
    {"a function that no source has", false, TELL, ENTRY("my:Tell", "tell", ""),
     "no source of my:Tell defines the function tell"},
    {"a name that is none", false, TELL, ENTRY("my:Tell", "tell-all", ""), "want a C identifier"},
    {"a missing file", false, TELL, "operators:\n  - {op: my:Tell, function: f, files: none.c}\n", "none.c"},
    {"no source", false, TELL, "operators:\n  - {op: my:Tell, function: f, files: custom.yaml}\n",
     "want a source (.c) or a header (.h)"},
    {"an entry twice", false, TELL,
     ENTRY("my:Tell", "tell_all", "  - {op: my:Tell, function: f, files: ops.c}\n"), "is listed twice"},
    {"a type that is none", false, TELL, ENTRY("my:Tell", "tell_all", "    type: float\n"),
     "is no element type"},
    {"an extent that is none", false, TELL, ENTRY("my:Tell", "tell_all", "    shape: [2, N]\n"),
     "want an extent"},
    {"a value that is none", false, TELL, ENTRY("my:Tell", "tell_all", "    ints: [a=1.5]\n"),
     "NAME=INTEGER"},
    {"a key that is none", false, TELL, ENTRY("my:Tell", "tell_all", "    float: a\n"), "unknown key"},
};

START_TEST(refusals)
{
  Diag *d = diag_new();
  Graph *g = import(refused[_i].tflite, refused[_i].model, refused[_i].list, d);
  ck_assert_msg(g == NULL, "%s: taken", refused[_i].name);
  ck_assert_msg(strstr(diag_text(d), refused[_i].why) != NULL, "%s: no \"%s\" in:\n%s", refused[_i].name,
                refused[_i].why, diag_text(d));
  diag_free(d);
}
END_TEST

/* A function of another form is the compiler's to refuse, not a run's. */
START_TEST(another_prototype)
{
  Diag *d = diag_new();
  char path[700];
  snprintf(path, sizeof path, "%s/custom.yaml", test_tmp_dir());
  write("custom.yaml", ENTRY("my:Tell", "tell_all", ""));
  write("ops.c", "int tell_all(float *x) { return x[0] > 0; }\n");
  CustomLibrary *l = custom_load(path, d);
  ck_assert_msg(l != NULL, "%s", diag_text(d));
  ck_assert(!custom_build(l, embedded_text("runtime/kernels/custom.h"), d));
  ck_assert_msg(strstr(diag_text(d), "do not compile") && strstr(diag_text(d), "tell_all"), "%s",
                diag_text(d));
  custom_unref(l);
  diag_free(d);
}
END_TEST

#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))

Suite *suite_custom(void) {
  Suite *s = suite_create("custom");
  TCase *t = tcase_create("custom operators");
  tcase_set_timeout(t, 60);
  tcase_add_loop_test(t, attributes_in_their_order, 0, COUNT(told));
  tcase_add_test(t, the_list_goes_first);
  tcase_add_test(t, output_by_the_list);
  tcase_add_test(t, the_layout_is_the_files);
  tcase_add_test(t, quantized_around_it);
  tcase_add_test(t, int8_of_tflite);
  tcase_add_test(t, shape_of_tflite);
  tcase_add_test(t, forms_hold_no_code);
  tcase_add_loop_test(t, refusals, 0, COUNT(refused));
  tcase_add_test(t, another_prototype);
  suite_add_tcase(s, t);
  return s;
}
