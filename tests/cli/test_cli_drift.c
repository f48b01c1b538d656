/* The monitor of drift as users ask for it: `compile --drift`, `code: {drift: N}` in deploy.yaml. */
#include "tests/cli/task.h"
#include "tests/support.h"

Suite *suite_cli_drift(void);

START_TEST(tailor_and_compile)
{
  Arena *a = arena_new();
  task_open_int8(a);
  task_write_deploy(a, "{name: one, target: x86-64, code: {drift: 5000}}");
  task_must(a, "$M tailor $T/deploy.yaml --quiet");
  task_must(a, "grep -q 'int net_drift_output(mistify_drift .d' $T/out/one/model.h");
  task_must(a, "grep -q 'NET_DRIFT_INTERVAL 5000' $T/out/one/model.h");
  task_must(
      a, "gcc -std=c99 -Wall -Wextra -Wpedantic -Werror -ffreestanding -c $T/out/one/model.c -o $T/model.o");
  task_must(
      a, "$M compile $T/out/one/model.mistify --target x86-64 --design $T/design.yaml --drift 5000 -o $T/fw");
  /* The same examples, the same reference. */
  task_must(a, "for f in out/one fw; do grep -A4 'drift_reference = ' $T/$f/model.c | sed "
               "'s/.*_drift/drift/' > $T/$(basename $f).txt; "
               "done; test -s $T/one.txt && cmp $T/one.txt $T/fw.txt");
  task_must(a, "$M verify $T/fw");
  /* The model takes bytes, whatever the design says of the input. */
  task_must(a, "sed 's/type: raw/type: float/' $T/design.yaml > $T/float.yaml && ! cmp -s $T/design.yaml "
               "$T/float.yaml");
  task_must(
      a, "$M compile $T/out/one/model.mistify --target x86-64 --design $T/float.yaml --drift 5000 -o $T/fw2");
  task_must(a, "grep -A4 'drift_reference = ' $T/fw2/model.c | sed 's/.*_drift/drift/' | cmp - $T/one.txt");
  arena_free(a);
}
END_TEST

START_TEST(faults_are_told)
{
  Arena *a = arena_new();
  task_open_int8(a);
  task_want_error(a, "$M compile $T/net.ir --target x86-64 --drift 100 -o $T/x", "want --design too");
  task_want_error(a, "$M compile $T/net.ir --target x86-64 --design $T/design.yaml --drift 100 -o $T/x",
                  "codes of 8 bits");
  task_write_deploy(a, "{name: one, target: x86-64, precision: float32, code: {drift: 5000}}");
  task_want_error(a, "$M tailor $T/deploy.yaml --quiet", "wants precision: int8");
  task_write_deploy(a, "{name: one, target: x86-64, code: {drift: 0}}");
  task_want_error(a, "$M tailor $T/deploy.yaml --quiet", "drift");
  arena_free(a);
}
END_TEST

Suite *suite_cli_drift(void) {
  Suite *s = suite_create("cli_drift");
  TCase *t = tcase_create("drift");
  tcase_set_timeout(t, 120);
  tcase_add_test(t, tailor_and_compile);
  tcase_add_test(t, faults_are_told);
  suite_add_tcase(s, t);
  return s;
}
