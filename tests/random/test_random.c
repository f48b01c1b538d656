/* Random graphs of every operator: forms, passes, emitted C and the engine against the evaluator (tests/random/random.h).
 * bench/random-graphs does the same for thousands.
 */
#include "tests/random/random.h"
#include "tests/support.h"

Suite *suite_random(void);

/* Graphs, and the flags of the compiler of the emitted program. The sanitizers' compile takes longest. */
static const struct {
  int n;
  const char *flags;
} slices[] = {{60, "-O1 -fsanitize=address,undefined -fno-sanitize-recover=all"}, {140, "-O1"}, {140, "-O2"}};
enum { SLICES = 3 };

START_TEST(every_operator_has_a_generator)
{
  const char *missing = random_missing();
  ck_assert_msg(!missing, "no generator: operator %s wants a row in tests/random/generators.def", missing);
}
END_TEST

START_TEST(random_graphs)
{
  RandomReport r = {0};
  const int n = slices[_i].n;
  random_run(1 + 1000 * (uint64_t)_i, n, test_tmp_dir(), slices[_i].flags, &r);
  ck_assert_msg(r.failed == 0, "%d failed:\n%s", r.failed, sb_str(&r.why));
  ck_assert_int_eq(r.graphs, n);
  ck_assert_int_gt(r.int8, n / 5);
  ck_assert_int_gt(r.engine, n / 3);
  for (int op = 0; op < OP_COUNT && n > OP_COUNT; op++)
    ck_assert_msg(r.counts.made[op] > 0, "no node of %s was made (%lld refused; the last: %s)",
                  op_info((OpKind)op)->name, (long long)r.counts.refused[op], r.counts.reason[op]);
  random_report_free(&r);
}
END_TEST

Suite *suite_random(void) {
  Suite *s = suite_create("random");
  TCase *t = tcase_create("random");
  tcase_add_test(t, every_operator_has_a_generator);
  tcase_add_loop_test(t, random_graphs, 0, SLICES);
  suite_add_tcase(s, t);
  return s;
}
