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
  Graph *g = onnx_import_with(b, path, &(OnnxOptions){.rounding = ONNX_ROUND_ONNX}, d);
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

/* The self-test compares with the evaluation. */
START_TEST(emitted_c_is_the_same)
{
  Arena *a = arena_new();
  const char *name = oracle_list(a, folder, ".onnx")[_i];
  Graph *g = import(name);
  const char *dir = emit_to_tmp(g, "x86-64", name);
  must_run("cd '%s' && gcc -std=c99 -O0 selftest.c model.c -o selftest -lm && ./selftest", dir);
  graph_free(g);
  arena_free(a);
}
END_TEST

/* -- no operator is left out -- */

typedef struct Row {
  const char *domain, *op;
  bool found;
} Row;

#define YES(NAME, X, KIND) {"", #NAME, false},
#define MS(NAME, X, KIND)  {"com.microsoft", #NAME, false},
#define NO(NAME, ADVICE)
static Row rows[] = {
#include "frontend/onnx/ops.def"
};
#undef YES
#undef MS
#undef NO

static void find_operators(Arena *a, const char *path) {
  Diag *d = diag_new();
  OxModel m = {.bytes = blob_map(path), .path = path, .arena = a, .d = d};
  ck_assert_msg(m.bytes && ox_read(&m), "%s:\n%s", path, diag_text(d));
  for (uint32_t k = 0; k < m.n_nodes; k++) {
    const char *domain = m.nodes[k].domain ? m.nodes[k].domain : "";
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
      rows[i].found |= strcmp(rows[i].op, m.nodes[k].op) == 0 && strcmp(rows[i].domain, domain) == 0;
  }
  ox_free(&m);
  blob_unref(m.bytes);
  diag_free(d);
}

START_TEST(every_imported_operator_is_in_a_model)
{
  static const char *const folders[] = {"tests/data/onnx", "tests/data/onnx_quant", "tests/data/onnx_ops"};
  Arena *a = arena_new();
  for (int i = 0; i < 3; i++)
    for (char **name = oracle_list(a, folders[i], ".onnx"); *name; name++) {
      char path[512];
      snprintf(path, sizeof path, "%s/%s.onnx", folders[i], *name);
      find_operators(a, path);
    }
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    ck_assert_msg(rows[i].found,
                  "%s%s%s is imported, but no model of tests/data has it: add one to scripts/make-test-data",
                  rows[i].domain, rows[i].domain[0] ? "." : "", rows[i].op);
  arena_free(a);
}
END_TEST

Suite *suite_onnx_ops(void);
Suite *suite_onnx_ops(void) {
  Suite *s = suite_create("onnx_ops");
  TCase *t = tcase_create("onnx runtime");
  tcase_add_loop_test(t, outputs_match_onnx_runtime, 0, MODELS);
  tcase_add_loop_test(t, emitted_c_is_the_same, 0, MODELS);
  tcase_add_test(t, every_imported_operator_is_in_a_model);
  suite_add_tcase(s, t);
  return s;
}
