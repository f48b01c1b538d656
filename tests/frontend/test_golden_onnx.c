/* ONNX import against ONNX Runtime: the real models of ../shared, within 1e-4 of the output's range. */
#include "tests/support.h"

#include <stdio.h>
#include <string.h>

#include "frontend/onnx/onnx.h"
#include "ir/base/file.h"
#include "tests/frontend/oracle.h"

static char golden_dir[1024], model_dir[1024];

/* A model of several inputs numbers them: input_SET_I.npy; a model of one: input_SET.npy. */
static void golden_path(char *buf, size_t n, const char *model, int set, int tensor, bool is_input) {
  const char *kind = is_input ? "input" : "output";
  snprintf(buf, n, "%s/%s/%s_%d_%d.npy", golden_dir, model, kind, set, tensor);
  if (tensor == 0 && !file_exists(buf)) snprintf(buf, n, "%s/%s/%s_%d.npy", golden_dir, model, kind, set);
}

/* All that this part must import; others are tried, and skipped visibly where an operator is not supported yet. */
static bool required(const char *name) {
  return strncmp(name, "mlperf_", 7) == 0 || strncmp(name, "resnet", 6) == 0;
}

static void check_model(const char *name) {
  char path[2200];
  Diag *d = diag_new();
  snprintf(path, sizeof path, "%s/%s.onnx", model_dir, name);
  Graph *g = onnx_import(path, d);
  if (!g && !required(name)) {
    test_skip("%.*s", (int)strcspn(diag_text(d), "\n"), diag_text(d));
  } else {
    ck_assert_msg(g != NULL, "%s: not imported:\n%s", name, diag_text(d));
    int sets = oracle_sets(name, g, golden_path, 1e-4);
    ck_assert_msg(sets >= 4, "%s: %d sets of reference outputs, want 4 or more", name, sets);
  }
  graph_free(g);
  diag_free(d);
}

static void check_where(const char *prefix, bool match) {
  if (!test_shared_path(golden_dir, sizeof golden_dir, "data/golden_onnx")) return;
  if (!test_shared_path(model_dir, sizeof model_dir, "data/models/onnx")) return;
  Arena *a = arena_new();
  int models = 0;
  for (char **name = oracle_list(a, golden_dir, ""); *name; name++) {
    if ((*name)[0] == '.' || (strncmp(*name, prefix, strlen(prefix)) == 0) != match) continue;
    check_model(*name);
    models++;
  }
  ck_assert_int_gt(models, 0);
  arena_free(a);
}

START_TEST(resnets_match)
{ check_where("resnet", true); }
END_TEST
START_TEST(other_models_match)
{ check_where("resnet", false); }
END_TEST

Suite *suite_golden_onnx(void);
Suite *suite_golden_onnx(void) {
  Suite *s = suite_create("golden_onnx");
  TCase *t = tcase_create("models");
  tcase_add_test(t, resnets_match);
  tcase_add_test(t, other_models_match);
  suite_add_tcase(s, t);
  return s;
}
