/* Custom operators by the command: the example of docs/custom-operators.md as it stands there, C on the host and on a Cortex-M4,
 * a TFLite model, two models of one program, and what is told where something is missing.
 */
#include <stdlib.h>
#include <string.h>

#include "ir/base/blob.h"
#include "ir/base/strbuf.h"
#include "ir/tensor.h"
#include "tests/backend/emitted.h"
#include "tests/frontend/onnx_text.h"
#include "tests/frontend/tflite_text.h"
#include "tests/support.h"

Suite *suite_cli_custom(void);

static char *sh(int want, const char *line) {
  StrBuf cmd = {0};
  char *out = NULL;
  sb_printf(&cmd, "cd '%s' && PATH=\"$(dirname '%s'):$PATH\" && %s", test_tmp_dir(), test_mistify(), line);
  int status = test_run_command(sb_str(&cmd), &out);
  ck_assert_msg(status == want, "%s: status %d, want %d:\n%s", line, status, want, out);
  sb_free(&cmd);
  return out;
}

static void says(int want, const char *line, const char *what) {
  char *out = sh(want, line);
  ck_assert_msg(strstr(out, what) != NULL, "%s: no \"%s\" in:\n%s", line, what, out);
  free(out);
}

static void write(const char *name, const void *bytes, size_t n) {
  char path[700];
  snprintf(path, sizeof path, "%s/%s", test_tmp_dir(), name);
  test_write_file(path, bytes, n);
}

static void write_model(const char *name, Blob *b) {
  write(name, blob_raw(b), blob_size(b));
  blob_unref(b);
}

/* The document's block of that kind, number `which` of them. */
static char *block(const char *doc, const char *kind, int which) {
  char fence[32];
  snprintf(fence, sizeof fence, "```%s\n", kind);
  const char *p = doc;
  for (int i = 0; i <= which; i++) {
    p = strstr(i ? p + 3 : p, fence);
    ck_assert_msg(p != NULL, "docs/custom-operators.md: no block of %s", kind);
  }
  p += strlen(fence);
  const char *end = strstr(p, "```");
  char *text = malloc((size_t)(end - p) + 1);
  memcpy(text, p, (size_t)(end - p));
  text[end - p] = 0;
  return text;
}

static void write_block(const char *doc, const char *kind, int which, const char *name) {
  char *text = block(doc, kind, which);
  write(name, text, strlen(text));
  free(text);
}

/* Files of the document, and a model with nodes of its operator, between convolutions. */
static char *example(void) {
  char *doc = test_read_file("docs/custom-operators.md", NULL);
  ck_assert_ptr_nonnull(doc);
  write_block(doc, "yaml", 0, "custom.yaml");
  write_block(doc, "c", 0, "swish.c");
  write_block(doc, "c", 1, "swish.h");
  write_model("model.onnx",
              onnx_text("input x f32 N,3,8,8\noutput y\ninit w f32 4,3,3,3\ninit v f32 2,4,1,1\n"
                        "node Conv a x,w -> p\nnode Swish@acme s p -> q beta=1.5\nnode Conv b q,v -> r\n"
                        "node Swish@acme t r -> y\n"));
  Shape s = shape_of(4, (int64_t)1, (int64_t)3, (int64_t)8, (int64_t)8);
  Tensor x = tensor_new(DT_F32, &s);
  Diag *d = diag_new();
  char path[700];
  for (int i = 0; i < 192; i++) ((float *)x.data)[i] = (float)(i % 19) / 5 - 2;
  snprintf(path, sizeof path, "%s/x.npy", test_tmp_dir());
  ck_assert_msg(npy_write(path, &x, d), "%s", diag_text(d));
  tensor_free(&x);
  diag_free(d);
  return doc;
}

START_TEST(the_example_of_the_document)
{
  char *doc = example();
  if (have_target(__FILE__, "cortex-m4")) {
    char *script = block(doc, "sh", 0);
    write("run.sh", script, strlen(script));
    says(0, "sh -e run.sh", "4 of 4 self-test vectors pass, 4 equal byte for byte");
    says(0, "ls firmware/custom | tr '\\n' ' '", "mistify_custom.h swish.c swish.h ");
    free(script);
  }
  says(0, "mistify compile model.onnx --target x86-64 --custom custom.yaml -o pc && mistify verify pc",
       "4 equal byte for byte");
  says(0,
       "mistify run model.onnx -i x.npy -o a.npy --custom custom.yaml && mistify run model.onnx -i x.npy -o "
       "b.npy "
       "--custom custom.yaml --target x86-64 && cmp a.npy b.npy && echo same",
       "same");
  free(doc);
}
END_TEST

/* The forms of code: kernels apart, weights in a blob, steps. */
START_TEST(forms_of_code)
{
  free(example());
  says(0,
       "mistify compile model.onnx --target x86-64 --custom custom.yaml --weights blob --step -o b && "
       "mistify verify b",
       "4 equal byte for byte");
  says(0,
       "mistify compile model.onnx --target x86-64 --custom custom.yaml --format split -o s && mistify "
       "verify s",
       "4 equal byte for byte");
}
END_TEST

START_TEST(models_of_one_program)
{
  free(example());
  says(0,
       "mistify compile model.onnx model.onnx --name a,b --target x86-64 --custom custom.yaml -o fw && "
       "mistify verify fw/b",
       "4 equal byte for byte");
  says(0,
       "grep -c custom/swish.c fw/CMakeLists.txt && test -f fw/custom/mistify_custom.h && test ! -d "
       "fw/a/custom",
       "1");
}
END_TEST

START_TEST(an_int8_model_of_tflite)
{
  static const char code[] =
      "#include \"mistify_custom.h\"\n"
      "void flip(const mf_custom *op) {\n"
      "  const int8_t *x = op->in[0].data;\n"
      "  int8_t *y = op->out.data;\n"
      "  int32_t i, n = mf_tensor_count(&op->out);\n"
      "  for (i = 0; i < n; i++) y[i] = (int8_t)(op->in[0].zero - x[n - 1 - i] + op->out.zero);\n"
      "}\n",
                    list[] = "operators:\n  - {op: Flip, function: flip, files: flip.c, scratch: 64}\n";
  write("flip.c", code, sizeof code - 1);
  write("list.yaml", list, sizeof list - 1);
  write_model("m.tflite",
              tflite_text("tensor x i8 1,16 q=0.5:-2\ntensor y i8 1,16 q=0.5:4\ntensor z i8 1,16 q=0.5:4\n"
                          "op CUSTOM:Flip x -> y\nop RELU y -> z\ninput x\noutput z\n"));
  says(1, "mistify inspect m.tflite --json > /dev/null; mistify compile m.tflite --target x86-64 -o no",
       "--custom FILE.yaml");
  says(0, "mistify inspect m.tflite --custom list.yaml", "Custom");
  if (have_target(__FILE__, "cortex-m4"))
    says(0, "mistify compile m.tflite --target cortex-m4 --custom list.yaml -o m4 && mistify verify m4",
         "4 equal byte for byte");
}
END_TEST

START_TEST(what_is_missing_is_told)
{
  free(example());
  says(1, "mistify compile model.onnx --target x86-64 -o no", "give a C function for it: --custom FILE.yaml");
  says(1, "mistify export model.onnx --custom custom.yaml -o out.onnx", "calls the C function acme_swish");
  says(1, "mistify export model.onnx --custom custom.yaml -o out.tflite", "Custom");
  says(0, "mistify export model.onnx --custom custom.yaml -o out.mistify && mistify inspect out.mistify",
       "Custom");
  says(1, "mistify compile out.mistify --target x86-64 -o no",
       "give the list that names it: --custom FILE.yaml");
  says(0, "mistify compile out.mistify --custom custom.yaml --target x86-64 -o yes && mistify verify yes",
       "4 equal byte for byte");
  says(1, "echo '/* */' >> swish.h && mistify compile out.mistify --custom custom.yaml --target x86-64 -o no",
       "whose source is another one now");
  says(1, "sed -i s/acme_swish/other/ swish.c && mistify inspect model.onnx --custom custom.yaml",
       "no source of acme:Swish defines the function acme_swish");
  /* a firmware whose source went */
  says(1, "rm yes/custom/swish.c && mistify verify yes", "swish.c");
  says(1, "echo '#include \"swish.h\"' > yes/custom/swish.c && mistify verify yes",
       "undefined reference to `acme_swish'");
}
END_TEST

Suite *suite_cli_custom(void) {
  Suite *s = suite_create("cli_custom");
  TCase *t = tcase_create("custom operators by the command");
  tcase_set_timeout(t, 180);
  tcase_add_test(t, the_example_of_the_document);
  tcase_add_test(t, forms_of_code);
  tcase_add_test(t, models_of_one_program);
  tcase_add_test(t, an_int8_model_of_tflite);
  tcase_add_test(t, what_is_missing_is_told);
  suite_add_tcase(s, t);
  return s;
}
