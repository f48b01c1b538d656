/* Runs every suite that the build found (tests/suites.h) in one runner.
 *
 * Each test runs in a forked child.  CK_RUN_SUITE=NAME or CK_RUN_CASE=NAME in the environment chooses some.  Skips are
 * printed and counted; a run of no test at all fails.  The last line is Check's totals.
 */
#include "tests/suites.h"
#include "tests/support.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
  (void)argc;
  setvbuf(stdout, NULL, _IOLBF, 0);
  setenv("CK_DEFAULT_TIMEOUT", "600", 0);
  test_begin(argv[0]);

  SRunner *runner = srunner_create(NULL);
  for (size_t i = 0; i < test_suites_count; i++) srunner_add_suite(runner, test_suites[i]());
  srunner_run_all(runner, CK_NORMAL);

  int ran = srunner_ntests_run(runner), failed = srunner_ntests_failed(runner);
  if (test_print_skips() > 0) srunner_print(runner, CK_MINIMAL);
  if (ran == 0) fprintf(stderr, "check-mistify: no test ran\n");
  srunner_free(runner);
  test_end();
  return ran > 0 && failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
