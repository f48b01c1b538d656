/* Designer and user do not meet: any design goes with any deployment of the same task, neither file is edited for the other, and
 * neither can name what belongs to the other. And: the same bytes at any number of worker processes.
 */
#include <stdlib.h>
#include <string.h>

#include "frontend/config/deploy.h"
#include "frontend/config/design.h"
#include "tests/cli/task.h"
#include "tests/support.h"

Suite *suite_decoupling(void);

static const char *const designs[] = {
    "name: plain\nfreedom: {quantize: int8}\ninput: {type: float}\ndata:\n  classes: 4\n",
    "name: free\nfreedom:\n  prune: {min_channels: 1}\n  retrain: {images: 128, batch: 16}\ninput: {type: "
    "float}\n"
    "data:\n  classes: 4\n",
    "name: careful\nfreedom:\n  prune: {by: taylor, max: 60%, min_channels: 1}\n  retrain: {images: 64, "
    "batch: 16, lr: "
    "0.02}\ninput: {type: float}\ndata:\n  classes: 4\n"};
static const char *const targets[] = {
    "  - {name: pc, target: x86-64, precision: float32}\n",
    "  - {name: m4, target: cortex-m4}\n  - {name: half, target: cortex-m4, limits: {macs: 60%}}\n",
    "  - {name: board, board: nucleo-l432kc, limits: {flash: 96KiB, ram: 32KiB}, accuracy: {drop: 60%}}\n",
    "  - {name: a64, target: aarch64, limits: {macs: 80%}}\n  - {name: m0, target: cortex-m0}\n"};
enum { DESIGNS = sizeof designs / sizeof *designs, DEPLOYS = sizeof targets / sizeof *targets };

/* Twelve runs of three designs and four deployments, as they stand. A design without freedom to prune misses limits: status 2. */
START_TEST(any_design_with_any_deployment)
{
  Arena *a = arena_new();
  task_open(a);
  for (int i = 0; i < DESIGNS; i++) task_write_design(a, arena_printf(a, "design%d.yaml", i), designs[i]);
  for (int k = 0; k < DEPLOYS; k++)
    task_write_text(a, arena_printf(a, "deploy%d.yaml", k),
                    arena_printf(a, "design: design0.yaml\ncache: cache\ntargets:\n%s", targets[k]));
  task_must(a, "cd $T && cat design?.yaml deploy?.yaml > before");
  for (int i = 0; i < DESIGNS; i++)
    for (int k = 0; k < DEPLOYS; k++)
      task_must(a, arena_printf(
                       a,
                       "cd $T && s=0; $M tailor deploy%d.yaml --design design%d.yaml -o out%d%d --graphs "
                       "--quiet > log 2>&1 || s=$?; test $s = 0 || { test $s = 2 && test %d = 0; } || { cat "
                       "log; exit 1; }; test -s out%d%d/report.json",
                       k, i, i, k, i, i, k));
  task_must(a, "cd $T && cat design?.yaml deploy?.yaml | cmp - before");
  arena_free(a);
}
END_TEST

/* Every key of one file that the other may not have is refused there with whose it is. */
static void expect_foreign(const Schema *schema, const char *const *keys, size_t n) {
  for (size_t i = 0; i < n; i++) {
    const CfgRow *row = schema->rows;
    while (row->key && strcmp(row->key, keys[i]) != 0) row++;
    ck_assert_msg(row->key && row->type == CFG_FOREIGN && row->doc, "%s is not told whose it is", keys[i]);
  }
}

START_TEST(neither_names_what_is_the_others)
{
  static const char *const of_design[] = {"model", "data", "freedom", "prune", "quantize", "retrain"},
                           *const of_deploy[] = {"targets", "limits", "board", "target"};
  expect_foreign(&deploy_schema, of_design, sizeof of_design / sizeof *of_design);
  expect_foreign(&request_schema, of_design, sizeof of_design / sizeof *of_design);
  expect_foreign(&design_schema, of_deploy, sizeof of_deploy / sizeof *of_deploy);
}
END_TEST

START_TEST(same_bytes_at_any_number_of_workers)
{
  Arena *a = arena_new();
  task_open(a);
  task_write_design(a, "design.yaml", designs[1]);
  task_write_text(a, "deploy.yaml",
                  "design: design.yaml\ntargets:\n  - {name: large, target: x86-64, limits: {macs: 80%}}\n"
                  "  - {name: middle, target: x86-64, limits: {macs: 60%}}\n"
                  "  - {name: small, target: x86-64, limits: {macs: 40%}}\n");
  task_must(
      a,
      "cd $T && for j in 1 2 4; do $M tailor deploy.yaml --graphs --quiet -j $j --cache c$j -o o$j > log "
      "2>&1 "
      "|| { cat log; exit 1; }; done; for t in large middle small; do cmp o1/$t/model.mistify "
      "o2/$t/model.mistify && cmp o1/$t/model.mistify o4/$t/model.mistify || exit 1; done; cmp o1/plan.lock "
      "o4/plan.lock");
  arena_free(a);
}
END_TEST

/* One target alone leaves the plan of all as it was. */
START_TEST(one_target_leaves_the_plan)
{
  Arena *a = arena_new();
  task_open(a);
  task_write_design(a, "design.yaml", designs[1]);
  task_write_text(a, "deploy.yaml",
                  "design: design.yaml\ncache: c\nout: o\ntargets:\n"
                  "  - {name: large, target: x86-64, limits: {macs: 80%}}\n"
                  "  - {name: small, target: x86-64, limits: {macs: 40%}}\n");
  task_must(a, "cd $T && $M tailor deploy.yaml --graphs --quiet > log && cp o/plan.lock first && "
               "$M tailor deploy.yaml --graphs --quiet --only small > log && cmp first o/plan.lock && "
               "$M tailor deploy.yaml --graphs > /dev/null 2> log && ! grep -q 'retrain .*runs' log");
  arena_free(a);
}
END_TEST

Suite *suite_decoupling(void) {
  Suite *s = suite_create("decoupling");
  TCase *t = tcase_create("decoupling");
  tcase_set_timeout(t, 120);
  tcase_add_test(t, any_design_with_any_deployment);
  tcase_add_test(t, neither_names_what_is_the_others);
  tcase_add_test(t, same_bytes_at_any_number_of_workers);
  tcase_add_test(t, one_target_leaves_the_plan);
  suite_add_tcase(s, t);
  return s;
}
