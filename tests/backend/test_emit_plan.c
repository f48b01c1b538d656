/* Emitted C of every level of memory plan: the same bytes as reference evaluation, without a warning, under the
 * sanitizers, which see a write or a read outside the arena.
 */
#include <string.h>

#include "frontend/tflite/tflite.h"
#include "tests/backend/emitted.h"
#include "tests/support.h"

Suite *suite_emit_plan(void);

static void check_plan(const Graph *g, const char *name, PlanOptions plan) {
  char dir[600];
  const EmitOptions o = {.name = name, .out_dir = dir, .plan = &plan};
  Diag *d = diag_new();
  snprintf(dir, sizeof dir, "%s/%s-%s%s", test_tmp_dir(), name, plan_level_name(plan.level),
           plan.input_rows ? "-rows" : "");
  ck_assert_msg(emit_c(g, target_find("x86-64"), &o, d), "%s", diag_text(d));
  must_run("cd '%s' && gcc " STRICT
           " -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -c model.c && "
           "gcc -std=c99 -fsanitize=address,undefined selftest.c model.o -o selftest -lm && ./selftest | "
           "grep -q 'vectors 4 passed 4 equal 4'",
           dir);
  diag_free(d);
}

static void check_level(const Graph *g, const char *name, PlanLevel level) {
  check_plan(g, name, (PlanOptions){.level = level});
}

START_TEST(small_nets)
{
  static const char *const nets[] = {small_int8_net, small_float_net};
  Graph *g = graph_of(nets[_i]);
  for (int level = PLAN_LEAST; level <= PLAN_STREAM; level++) check_level(g, "small", (PlanLevel)level);
  check_plan(g, "small", (PlanOptions){.input_rows = true});
  graph_free(g);
}
END_TEST

static const char *const models[] = {"resnet8_int8", "kws_dscnn_int8", "vww_96_int8", "ad01_int8",
                                     "hello_world_int8"};
enum { N_MODELS = sizeof models / sizeof *models };

START_TEST(real_nets)
{
  char rel[200], path[700];
  snprintf(rel, sizeof rel, "data/models/tflite/%s.tflite", models[_i]);
  if (!test_shared_path(path, sizeof path, rel)) return;
  Diag *d = diag_new();
  Graph *g = tflite_import(path, d);
  ck_assert_msg(g != NULL, "%s", diag_text(d));
  check_level(g, models[_i], PLAN_OVERLAP);
  check_level(g, models[_i], PLAN_STREAM);
  if (graph_val(g, g->inputs[0])->shape.rank == 4)
    check_plan(g, models[_i], (PlanOptions){.input_rows = true});
  graph_free(g);
  diag_free(d);
}
END_TEST

Suite *suite_emit_plan(void) {
  Suite *s = suite_create("emit_plan");
  TCase *t = tcase_create("emit_plan");
  tcase_set_timeout(t, 120);
  tcase_add_loop_test(t, small_nets, 0, 2);
  tcase_add_loop_test(t, real_nets, 0, N_MODELS);
  suite_add_tcase(s, t);
  return s;
}
