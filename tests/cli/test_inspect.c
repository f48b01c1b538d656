/* mistify inspect: a long model on one screen, boards that it fits, a model that cannot be imported. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ir/base/json.h"
#include "ir/base/strbuf.h"
#include "tests/frontend/onnx_text.h"
#include "tests/support.h"

Suite *suite_inspect(void);

enum { SCREEN = 50, LONG = 90 };

/* What `mistify inspect MODEL ARGS` prints; its status must be `want`. The caller frees it. */
static char *inspect(int want, const char *model, const char *args) {
  char cmd[2000], *out = NULL;
  snprintf(cmd, sizeof cmd, "%s inspect '%s/%s' %s", test_mistify(), test_tmp_dir(), model, args);
  int status = test_run_command(cmd, &out);
  ck_assert_msg(status == want, "%s: status %d:\n%s", cmd, status, out);
  return out;
}

static void write_model(const char *name, const char *text) {
  char path[1200];
  Blob *b = onnx_text(text);
  snprintf(path, sizeof path, "%s/%s", test_tmp_dir(), name);
  test_write_file(path, blob_raw(b), blob_size(b));
  blob_unref(b);
}

static int lines(const char *s) {
  int n = 0;
  for (; *s; s++) n += *s == '\n';
  return n;
}

static void has(const char *text, const char *part) {
  ck_assert_msg(strstr(text, part) != NULL, "want \"%s\" in:\n%s", part, text);
}

/* A Conv, and many layers that are next to nothing beside it. */
static void write_long_model(void) {
  StrBuf text = {0};
  sb_puts(&text, "input x f32 1,3,16,16\ninit w f32 8,3,3,3\noutput y\nnode Conv heavy x,w -> a0\n");
  for (int i = 0; i < LONG; i++) sb_printf(&text, "node Sigmoid s%d a%d -> a%d\n", i, i, i + 1);
  sb_printf(&text, "node Tanh last a%d -> y\n", LONG);
  write_model("long.onnx", text.s);
  sb_free(&text);
}

START_TEST(a_long_model_on_one_screen)
{
  write_long_model();
  char *few = inspect(0, "long.onnx", ""), *all = inspect(0, "long.onnx", "--all"),
       *json = inspect(0, "long.onnx", "--json");
  ck_assert_msg(lines(few) <= SCREEN, "%d lines:\n%s", lines(few), few);
  has(few, "heavy");
  has(few, "Sigmoid x");
  has(few, " layers)");
  has(few, "RAM peak");
  has(few, "fits");
  ck_assert_int_ge(lines(all), LONG + 2);
  ck_assert_ptr_null(strstr(all, " layers)"));
  Arena *a = arena_new();
  Diag *d = diag_new();
  const Json *j = json_parse(a, json, strlen(json), "inspect", d);
  ck_assert_msg(j != NULL, "%s", diag_text(d));
  ck_assert_uint_ge(json_get(j, "layers")->n, LONG + 2);
  ck_assert(json_get_bool(j, "complete", false));
  ck_assert_uint_ge(json_get(j, "boards")->n, 4);
  diag_free(d);
  arena_free(a);
  free(few);
  free(all);
  free(json);
}
END_TEST

START_TEST(what_does_not_fit_is_said)
{
  write_model("large.onnx", "input x f32 1,400\ninit w f32 400,400\noutput y\nnode Gemm g x,w -> y\n");
  char *out = inspect(0, "large.onnx", "--board frdm-kl27z");
  has(out, "of 65,536");
  has(out, "too small: flash");
  ck_assert_ptr_null(strstr(out, "microbit"));
  free(out);
}
END_TEST

START_TEST(a_model_that_cannot_be_imported)
{
  write_model("part.onnx",
              "input x f32 1,3,8,8\ninit w f32 4,3,3,3\noutput y\noutput z\nnode Conv front x,w -> a\n"
              "node Frob f a -> b\nnode Relu r b -> y\nnode Knit k a -> z\nnode Relu other a -> c\n");
  char *out = inspect(1, "part.onnx", ""), *json = inspect(1, "part.onnx", "--json 2>/dev/null");
  has(out, "front");
  has(out, "of the part that could be read");
  has(out, "operator Frob (opset 13) is not supported");
  has(out, "operator Knit (opset 13) is not supported");
  Arena *a = arena_new();
  Diag *d = diag_new();
  const Json *j = json_parse(a, json, strlen(json), "inspect", d);
  ck_assert_msg(j != NULL, "%s", diag_text(d));
  ck_assert(!json_get_bool(j, "complete", true));
  ck_assert_uint_eq(json_get(j, "problems")->n, 2);
  ck_assert_uint_ge(json_get(j, "layers")->n, 1);
  diag_free(d);
  arena_free(a);
  free(out);
  free(json);
}
END_TEST

/* Groups of channels, and of the layers that keep theirs the reason. */
START_TEST(channels_and_reasons)
{
  write_model("channels.onnx",
              "input x f32 1,3,8,8\ninit w f32 6,3,3,3\ninit v f32 4,6,1,1\ninit u f32 5,4,1,1\noutput z\n"
              "node Conv first x,w -> a\nnode Relu r a -> b\nnode Conv second b,v -> c\n"
              "node Softmax soft c -> e axis=1\nnode Conv third e,u -> z\n");
  char *out = inspect(0, "channels.onnx", "--channels");
  has(out, "group 0 \"first\": 6 units of first\n");
  has(out, "layer \"second\": 4 of 4 channels stay: Softmax \"soft\" mixes channels\n");
  has(out, "layer \"third\": 5 of 5 channels stay: they are the graph's output\n");
  ck_assert_int_eq(lines(out), 3);
  free(out);
  out = inspect(0, "channels.onnx", "--channels --json");
  Arena *a = arena_new();
  Diag *d = diag_new();
  const Json *j = json_parse(a, out, strlen(out), "inspect", d);
  ck_assert_msg(j != NULL, "%s", diag_text(d));
  ck_assert_uint_eq(json_get(j, "groups")->n, 1);
  ck_assert_uint_eq(json_get(j, "layers")->n, 3);
  diag_free(d);
  arena_free(a);
  free(out);
}
END_TEST

Suite *suite_inspect(void) {
  Suite *s = suite_create("inspect");
  TCase *t = tcase_create("inspect");
  tcase_add_test(t, a_long_model_on_one_screen);
  tcase_add_test(t, what_does_not_fit_is_said);
  tcase_add_test(t, a_model_that_cannot_be_imported);
  tcase_add_test(t, channels_and_reasons);
  suite_add_tcase(s, t);
  return s;
}
