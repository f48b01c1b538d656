/* What the tests share: where things are, skips that are counted, commands that are run.
 *
 * Check runs each test in a forked child, so a skip is a line appended to a file whose name the runner (tests/main.c)
 * puts into the environment; the runner prints and counts them at the end.
 */
#ifndef TESTS_SUPPORT_H
#define TESTS_SUPPORT_H

#include <check.h>
#include <stdbool.h>
#include <stddef.h>

/* Write the path of REL below the shared folder ($MISTIFY_SHARED, or ../shared) into BUF and return true if it exists.
 * Otherwise record a skip of this test and return false: the test then returns, or goes on with what the clone has. */
#define test_shared_path(buf, n, rel) test_shared_path_at((buf), (n), (rel), __FILE__)
bool test_shared_path_at(char *buf, size_t n, const char *rel, const char *file);

/* Record that this test skips something, and why (one line, printf form). The test must return by itself. */
#define test_skip(...) test_skip_at(__FILE__, __VA_ARGS__)
void test_skip_at(const char *file, const char *why, ...) __attribute__((format(printf, 2, 3)));

/* The mistify binary built beside the runner, and the folder they are in. */
const char *test_mistify(void);
const char *test_build_dir(void);

/* A fresh, empty directory below the build folder, the same one throughout a test; removed when the runner ends. */
const char *test_tmp_dir(void);

/* Run CMD by the shell with no standard input. Returns its exit status (128 + n when signal n ended it, -1 when it could
 * not be started). With OUT, *out is what it wrote to standard output and standard error together, 0-ended; the
 * caller frees it. Without, that output is dropped. */
int test_run_command(const char *cmd, char **out);

/* The whole file, 0-ended (SIZE, if not NULL, does not count that byte), or NULL. The caller frees it. */
char *test_read_file(const char *path, size_t *size);

/* Write SIZE bytes to the file PATH, or fail the test. */
void test_write_file(const char *path, const void *bytes, size_t size);

/* True when golden tests are to rewrite their expected output (`make golden-update`). */
bool test_golden_update(void);

/* For tests/main.c: set up before any suite is made; print the skips and remove the temporary files after. */
void test_begin(const char *argv0);
int test_print_skips(void);
void test_end(void);

#endif
