/* The tables that the build makes: embedded text and source fingerprints are those of the tree we run in, and the
 * helpers that other tests trust. */
#include "tests/support.h"

#include "backend/emit/embedded.h"
#include "ir/base/fingerprint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

START_TEST(embedded_text_is_the_file)
{
  for (size_t i = 0; i < embedded_files_count; i++) {
    const EmbeddedFile *e = &embedded_files[i];
    size_t size = 0;
    char *text = test_read_file(e->path, &size);
    ck_assert_msg(text != NULL, "%s is embedded but not in the tree", e->path);
    ck_assert_msg(size == e->size && memcmp(text, e->text, size) == 0, "%s: embedded text differs", e->path);
    ck_assert_uint_eq(e->text[e->size], 0);
    if (i > 0) ck_assert_msg(strcmp(e[-1].path, e->path) < 0, "%s: not sorted", e->path);
    free(text);
  }
}
END_TEST

START_TEST(fingerprints_are_sha256_of_the_sources)
{
  char cmd[400], want[100], *out;
  ck_assert_uint_gt(source_prints_count, 0);
  for (size_t i = 1; i < source_prints_count; i++)
    ck_assert_msg(strcmp(source_prints[i - 1].path, source_prints[i].path) < 0, "%s: not sorted",
                  source_prints[i].path);
  const SourcePrint *first = &source_prints[0], *last = &source_prints[source_prints_count - 1];
  snprintf(cmd, sizeof cmd, "sha256sum %s %s", first->path, last->path);
  ck_assert_int_eq(test_run_command(cmd, &out), 0);
  snprintf(want, sizeof want, "%s", first->hash);
  ck_assert_msg(strncmp(out, want, 64) == 0, "%s: hash differs", first->path);
  ck_assert_msg(strstr(out, last->hash) != NULL, "%s: hash differs", last->path);
  free(out);
}
END_TEST

START_TEST(commands_give_status_and_output)
{
  char *out;
  ck_assert_int_eq(test_run_command("echo one; echo two >&2; exit 3", &out), 3);
  ck_assert_str_eq(out, "one\ntwo\n");
  free(out);
  ck_assert_int_eq(test_run_command("kill -9 $$", NULL), 137);
}
END_TEST

START_TEST(tmp_dir_is_fresh_and_stays)
{
  char path[4200], *out;
  const char *dir = test_tmp_dir();
  ck_assert_str_eq(dir, test_tmp_dir());
  snprintf(path, sizeof path, "ls -A %s", dir);
  ck_assert_int_eq(test_run_command(path, &out), 0);
  ck_assert_str_eq(out, "");
  free(out);
  snprintf(path, sizeof path, "%s/file", dir);
  test_write_file(path, "a\0b", 3);
  size_t size;
  out = test_read_file(path, &size);
  ck_assert_uint_eq(size, 3);
  ck_assert_mem_eq(out, "a\0b", 4);
  free(out);
}
END_TEST

START_TEST(layer_check_catches_violations)
{
  char *out;
  int status = test_run_command("tests/layers.sh --self-test", &out);
  ck_assert_msg(status == 0, "%s", out);
  free(out);
}
END_TEST

Suite *suite_build(void) {
  Suite *s = suite_create("build");
  TCase *tc = tcase_create("build");
  tcase_add_test(tc, embedded_text_is_the_file);
  tcase_add_test(tc, fingerprints_are_sha256_of_the_sources);
  tcase_add_test(tc, commands_give_status_and_output);
  tcase_add_test(tc, tmp_dir_is_fresh_and_stays);
  tcase_add_test(tc, layer_check_catches_violations);
  suite_add_tcase(s, tc);
  return s;
}
