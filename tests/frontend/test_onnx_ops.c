/* Every ONNX operator that we import against ONNX Runtime: the models of tests/data/onnx_ops, of several forms of an
 * operator each, and that the models of tests/data leave no imported operator out.
 *
 * Floats are within 1e-5 of the output's range, integers and codes the same (imported with ONNX's rounding).
 */
#include "tests/support.h"

#include <stdio.h>
#include <string.h>

#include "frontend/onnx/onnx.h"
#include "frontend/onnx/onnx_model.h"
#include "tests/backend/emitted.h"
#include "tests/frontend/oracle.h"

static const char *const folder = "tests/data/onnx_ops";

static void data_path(char *buf, size_t n, const char *model, int set, int tensor, bool is_input) {
  snprintf(buf, n, "%s/%s.%d.%s%d.npy", folder, model, set, is_input ? "in" : "out", tensor);
}

static Graph *import(const char *name) {
  char path[512];
  Diag *d = diag_new();
  snprintf(path, sizeof path, "%s/%s.onnx", folder, name);
  Blob *b = blob_map(path);
  ck_assert_msg(b != NULL, "%s", path);
  Graph *g = onnx_import_with(b, path, &(OnnxOptions){ONNX_ROUND_ONNX}, d);
  ck_assert_msg(g != NULL, "%s: not imported:\n%s", path, diag_text(d));
  ck_assert_msg(graph_verify(g, d), "%s: not valid:\n%s", path, diag_text(d));
  blob_unref(b);
  diag_free(d);
  return g;
}

/* How many there are; a test each. */
enum { MODELS = 109 };

START_TEST(outputs_match_onnx_runtime)
{
  Arena *a = arena_new();
  char **names = oracle_list(a, folder, ".onnx");
  int n = 0;
  while (names[n]) n++;
  ck_assert_msg(n == MODELS, "%s: %d models, want %d", folder, n, MODELS);
  Graph *g = import(names[_i]);
  ck_assert_msg(oracle_sets(names[_i], g, data_path, 1e-5) >= 1, "%s: no reference outputs", names[_i]);
  graph_free(g);
  arena_free(a);
}
END_TEST

Suite *suite_onnx_ops(void);
Suite *suite_onnx_ops(void) {
  Suite *s = suite_create("onnx_ops");
  TCase *t = tcase_create("onnx runtime");
  tcase_add_loop_test(t, outputs_match_onnx_runtime, 0, MODELS);
  suite_add_tcase(s, t);
  return s;
}
