/* The conformance tests of onnx/onnx (../shared) by the engine and by emitted C: as many pass as docs/conformance.tsv
 * says (`make docs` writes it). What does not pass must have a reason.
 */
#include "tests/support.h"

#include <stdlib.h>
#include <string.h>

#include "tests/conformance/conformance.h"

Suite *suite_conformance(void);

enum { TESTS = 653 };

/* The line "all": tests, passed by the engine, passed by emitted C. */
static void read_known(int *engine, int *emitted) {
  int tests = 0;
  char *text = test_read_file("docs/conformance.tsv", NULL);
  const char *all = text ? strstr(text, "\nall\t") : NULL;
  ck_assert_msg(all && sscanf(all, "\nall\t%d\t%d\t%d", &tests, engine, emitted) == 3,
                "docs/conformance.tsv has no line \"all\"");
  free(text);
}

static void check_reasons(const Conformance *c) {
  for (int k = 0; k < c->n; k++) {
    const RunResult *run[] = {&c->results[k].engine, &c->results[k].emitted};
    for (int i = 0; i < 2; i++)
      ck_assert_msg(run[i]->outcome < FAILED || run[i]->why[0], "%s: no reason given", c->results[k].name);
    ck_assert_msg(run[0]->outcome != UNSUPPORTED || strstr(run[0]->why, "error: "), "%s: unsupported: %s",
                  c->results[k].name, run[0]->why);
  }
}

START_TEST(as_many_pass_as_are_known_to)
{
  char archive[1024];
  if (!test_shared_path(archive, sizeof archive, "data/onnx_node_tests/public.tar.xz")) return;
  Conformance c = {.emit = true, .temp = test_tmp_dir()};
  Diag *d = diag_new();
  if (!conformance_add(&c, archive, d)) {
    test_skip("the archive of conformance tests cannot be unpacked (tar with xz)");
  } else {
    ck_assert_msg(conformance_run(&c, d), "%s", diag_text(d));
    Totals engine = conformance_totals(&c, false, NULL), emitted = conformance_totals(&c, true, NULL);
    printf("conformance: %d tests; passed: engine %d, emitted C %d\n", c.n, engine.of[PASSED],
           emitted.of[PASSED]);
    ck_assert_int_eq(c.n, TESTS);
    check_reasons(&c);
    int engine_known = 0, emitted_known = 0;
    read_known(&engine_known, &emitted_known);
    ck_assert_int_ge(engine.of[PASSED], engine_known);
    ck_assert_int_ge(emitted.of[PASSED], emitted_known);
  }
  conformance_free(&c);
  diag_free(d);
}
END_TEST

Suite *suite_conformance(void) {
  Suite *s = suite_create("conformance");
  TCase *t = tcase_create("onnx");
  tcase_add_test(t, as_many_pass_as_are_known_to);
  suite_add_tcase(s, t);
  return s;
}
