/* Weights that stay where they are: views of the mapped file, files beside the model, constants computed from large ones
 * that wait until they are read. No time is measured here: bench/import.c does.
 */
#include "tests/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "frontend/onnx/onnx.h"
#include "ir/base/strbuf.h"
#include "tests/frontend/onnx_text.h"
#include "tests/frontend/oracle.h"

Suite *suite_onnx_large(void);

static const Value *value_named(const Graph *g, const char *name) {
  for (ValId v = 1; v < g->n_vals; v++)
    if (g->vals[v].name && strcmp(g->vals[v].name, name) == 0) return &g->vals[v];
  ck_abort_msg("no value %s", name);
  return NULL;
}

START_TEST(raw_data_are_views)
{
  Diag *d = diag_new();
  Blob *file = onnx_text("input x f32 1,300\ninit w f32 300,300\ninit v f32 300,300\noutput y\n"
                         "node Add a x,b -> y\nnode Gemm g x,w -> c transB=1\nnode Gemm h c,v -> b\n");
  Graph *g = onnx_import_bytes(file, "text.onnx", d);
  ck_assert_msg(g != NULL, "%s", diag_text(d));
  ck_assert(blob_is_view_of(value_named(g, "w")->blob, file));
  /* v is wanted transposed: what is made from it is made at its first use, and right. */
  const float *t = NULL;
  for (ValId i = 1; i < g->n_vals; i++) {
    const Value *v = &g->vals[i];
    if (!v->blob || !v->name || strcmp(v->name, "v") != 0) continue;
    ck_assert(!blob_is_view_of(v->blob, file));
    t = val_data(g, i);
  }
  const float *w = val_data(g, (ValId)(value_named(g, "w") - g->vals));
  ck_assert(t && t[1] == w[300] && t[300] == w[1]); /* made up alike */
  graph_free(g);
  blob_unref(file);
  diag_free(d);
}
END_TEST

/* A file cannot make evaluation deep: each constant of this chain is computed from the one before. */
START_TEST(long_chains_of_large_constants)
{
  enum { LINKS = 2001, SIDE = 150 };
  StrBuf text = {0};
  sb_printf(&text, "input x f32 1,%d\ninit c0 f32 %d,%d\noutput y\n", SIDE, SIDE, SIDE);
  for (int i = 0; i < LINKS; i++) sb_printf(&text, "node Transpose t%d c%d -> c%d perm=[1,0]\n", i, i, i + 1);
  sb_printf(&text, "node MatMul m x,c%d -> y\n", LINKS);
  Diag *d = diag_new();
  Graph *g = onnx_text_import(sb_str(&text), d);
  ck_assert_msg(g != NULL, "%s", diag_text(d));
  int weights = 0;
  for (ValId v = 1; v < g->n_vals; v++)
    if (g->vals[v].blob && blob_size(g->vals[v].blob) == SIDE * SIDE * sizeof(float)) {
      ck_assert_int_le(blob_depth(g->vals[v].blob), 17);
      ck_assert_ptr_nonnull(val_data(g, v));
      weights++;
    }
  ck_assert_int_ge(weights, 1);
  graph_free(g);
  diag_free(d);
  sb_free(&text);
}
END_TEST

/* -- files beside the model -- */

/* x [3] + w [3], w in another file. */
static void write_model(const char *path, const char *where) {
  char text[300];
  snprintf(text, sizeof text, "input x f32 3\ninit w f32 3 external:%s\noutput y\nnode Add a x,w -> y\n",
           where);
  Blob *b = onnx_text(text);
  test_write_file(path, blob_raw(b), blob_size(b));
  blob_unref(b);
}

typedef struct Outside {
  const char *where, *want; /* file, offset, length; NULL: it is read */
} Outside;

static const Outside outside[] = {
    {"weights.bin:4:12", NULL},
    {"weights.bin:4", NULL},
    {"sub/weights.bin:4:12", NULL},
    {"./sub/../weights.bin:4:12", "out of the model's folder"},
    {"../outside.bin:4:12", "out of the model's folder"},
    {"/etc/passwd:4:12", "out of the model's folder"},
    {"link.bin:4:12", "outside of the model's folder"},
    {"linked/outside.bin:4:12", "outside of the model's folder"},
    {"inner.bin:4:12", NULL},
    {"missing.bin:4:12", "No such file"},
    {"sub:4:12", "irectory"},
    {"weights.bin:8:12", "is cut off"},
    {"empty.bin:0:12", "which is empty"},
    {"empty.bin:0", "which is empty"},
    {"weights.bin:1000", "is cut off"},
    {"weights.bin:4:8", "has 8 bytes of data; its shape wants 12"},
    {"weights.bin:8", "has 8 bytes of data; its shape wants 12"},
    {"weights.bin:-1:12", "cannot be read"},
    {"weights.bin:99999999999999999999:12", "cannot be read"},
    {":4:12", "cannot be read"},
};

START_TEST(other_files)
{
  const Outside *o = &outside[_i];
  const float w[4] = {-1, 10, 20, 30};
  char dir[700], path[2000];
  snprintf(dir, sizeof dir, "%s/model", test_tmp_dir());
  snprintf(path, sizeof path,
           "mkdir -p '%s/sub' && cd '%s' && ln -s ../outside.bin link.bin && ln -s .. linked && ln -s "
           "weights.bin inner.bin && : > empty.bin",
           dir, dir);
  ck_assert_int_eq(test_run_command(path, NULL), 0);
  static const char *const files[] = {"weights.bin", "sub/weights.bin", "../outside.bin"};
  for (int i = 0; i < 3; i++) {
    snprintf(path, sizeof path, "%s/%s", dir, files[i]);
    test_write_file(path, w, sizeof w);
  }
  snprintf(path, sizeof path, "%s/model.onnx", dir);
  write_model(path, o->where);
  Diag *d = diag_new();
  Graph *g = onnx_import(path, d);
  if (o->want) {
    ck_assert_msg(!g && strstr(diag_text(d), o->want), "%s: want \"%s\" in: %s", o->where, o->want,
                  diag_text(d));
  } else {
    ck_assert_msg(g != NULL, "%s: %s", o->where, diag_text(d));
    Shape s = {1, {3}};
    Tensor x = tensor_new(DT_F32, &s), y;
    oracle_eval("external", g, &x, 1, &y);
    ck_assert(memcmp(y.data, w + 1, 12) == 0);
    tensor_free(&x);
    tensor_free(&y);
  }
  graph_free(g);
  diag_free(d);
}
END_TEST

Suite *suite_onnx_large(void) {
  Suite *s = suite_create("onnx_large");
  TCase *t = tcase_create("large");
  tcase_add_test(t, raw_data_are_views);
  tcase_add_test(t, long_chains_of_large_constants);
  tcase_add_loop_test(t, other_files, 0, (int)(sizeof outside / sizeof outside[0]));
  suite_add_tcase(s, t);
  return s;
}
