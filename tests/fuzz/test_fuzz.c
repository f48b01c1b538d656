/* The corpus of the fuzzers (`make fuzz`), replayed: every file of corpus/NAME through fuzz_NAME. A finding of a fuzzer
 * becomes a file there once it is mended.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/fuzz/targets.h"
#include "tests/support.h"

Suite *suite_fuzz(void);

static const struct {
  const char *name;
  FuzzFn *fn;
} targets[] = {
#define FUZZ(name, max, doc) {#name, fuzz_##name},
#include "tests/fuzz/targets.def"
#undef FUZZ
};

static void replay(FuzzFn *fn, const char *dir, const char *file) {
  char path[1000];
  size_t n = 0;
  snprintf(path, sizeof path, "%s/%s", dir, file);
  char *bytes = test_read_file(path, &n);
  ck_assert_msg(bytes != NULL, "%s: cannot be read", path);
  /* Without the byte that test_read_file appends, so that a read past the end is seen. */
  uint8_t *exact = malloc(n ? n : 1);
  ck_assert(exact != NULL);
  for (size_t i = 0; i < n; i++) exact[i] = (uint8_t)bytes[i];
  free(bytes);
  fn(exact, n);
  free(exact);
}

START_TEST(corpus)
{
  char dir[200];
  snprintf(dir, sizeof dir, "tests/fuzz/corpus/%s", targets[_i].name);
  DIR *d = opendir(dir);
  ck_assert_msg(d != NULL, "%s: want a folder of inputs", dir);
  int files = 0;
  for (struct dirent *e; (e = readdir(d));)
    if (e->d_name[0] != '.') replay(targets[_i].fn, dir, e->d_name), files++;
  closedir(d);
  ck_assert_msg(files > 0, "%s: no inputs", dir);
}
END_TEST

Suite *suite_fuzz(void) {
  Suite *s = suite_create("fuzz");
  TCase *t = tcase_create("fuzz");
  tcase_add_loop_test(t, corpus, 0, (int)(sizeof targets / sizeof *targets));
  suite_add_tcase(s, t);
  return s;
}
