/* ONNX import against ONNX Runtime: the small models of tests/data/onnx, every operator and chain that we support,
 * and the names of the interface. */
#include "tests/support.h"

#include <stdio.h>
#include <string.h>

#include "frontend/onnx/onnx.h"
#include "tests/frontend/oracle.h"

static const char *const folder = "tests/data/onnx";

static void data_path(char *buf, size_t n, const char *model, int set, int tensor, bool is_input) {
  snprintf(buf, n, "%s/%s.%d.%s%d.npy", folder, model, set, is_input ? "in" : "out", tensor);
}

static Graph *import(const char *name) {
  char path[512];
  Diag *d = diag_new();
  snprintf(path, sizeof path, "%s/%s.onnx", folder, name);
  Graph *g = onnx_import(path, d);
  ck_assert_msg(g != NULL, "%s: not imported:\n%s", path, diag_text(d));
  ck_assert_msg(graph_verify(g, d), "%s: not valid:\n%s", path, diag_text(d));
  diag_free(d);
  return g;
}

START_TEST(small_models_match_onnx_runtime)
{
  Arena *a = arena_new();
  int models = 0;
  for (char **name = oracle_list(a, folder, ".onnx"); *name; name++, models++) {
    Graph *g = import(*name);
    int sets = oracle_sets(*name, g, data_path, 1e-5);
    ck_assert_msg(sets >= 1, "%s: no reference outputs", *name);
    graph_free(g);
  }
  ck_assert_int_ge(models, 60);
  arena_free(a);
}
END_TEST

/* Shape arithmetic leaves nothing behind: no constant of integers, no node but the ones on the way of the data. */
START_TEST(constant_chains_are_folded)
{
  Arena *a = arena_new();
  for (char **name = oracle_list(a, folder, ".onnx"); *name; name++) {
    if (strncmp(*name, "chain_", 6) != 0 && strncmp(*name, "net_", 4) != 0) continue;
    Graph *g = import(*name);
    for (ValId v = 1; v < g->n_vals; v++)
      ck_assert_msg(!val_is_const(g, v) || g->vals[v].dtype == DT_F32, "%s: constant \"%s\" of %s is left",
                    *name, g->vals[v].name ? g->vals[v].name : "", dtype_name(g->vals[v].dtype));
    graph_free(g);
  }
  arena_free(a);
}
END_TEST

START_TEST(nodes_say_where_they_come_from)
{
  Graph *g = import("net_residual");
  ck_assert_uint_gt(g->n_nodes, 0);
  for (uint32_t k = 0; k < g->n_nodes; k++) {
    const Loc *loc = &g->nodes[k].loc;
    ck_assert_str_eq(loc->file, "tests/data/onnx/net_residual.onnx");
    ck_assert_msg(loc->name && loc->name[0] && loc->op && loc->op[0], "node %u has no name or operator", k);
  }
  graph_free(g);
}
END_TEST

START_TEST(the_interface_keeps_its_names)
{
  Graph *g = import("add_two_inputs");
  ck_assert_uint_eq(g->n_inputs, 2);
  ck_assert_uint_eq(g->n_outputs, 1);
  for (uint32_t i = 0; i < 2; i++) ck_assert(g->vals[g->inputs[i]].name && g->vals[g->inputs[i]].name[0]);
  graph_free(g);
  g = import("two_outputs");
  ck_assert_uint_eq(g->n_outputs, 2);
  ck_assert_str_ne(g->vals[g->outputs[0]].name, g->vals[g->outputs[1]].name);
  graph_free(g);
}
END_TEST

/* The same bytes give the same graph, whatever the name they are under. */
START_TEST(import_is_deterministic)
{
  Graph *a = import("net_depthwise"), *b = import("net_depthwise");
  ck_assert(hash_equal(graph_hash(a), graph_hash(b)));
  graph_free(a);
  graph_free(b);
}
END_TEST

Suite *suite_onnx(void);
Suite *suite_onnx(void) {
  Suite *s = suite_create("onnx");
  TCase *t = tcase_create("import");
  tcase_add_test(t, small_models_match_onnx_runtime);
  tcase_add_test(t, constant_chains_are_folded);
  tcase_add_test(t, nodes_say_where_they_come_from);
  tcase_add_test(t, the_interface_keeps_its_names);
  tcase_add_test(t, import_is_deterministic);
  suite_add_tcase(s, t);
  return s;
}
