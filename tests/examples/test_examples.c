/* The examples' data programs: the same bytes twice, other bytes by another seed, a longer run begins with the shorter one,
 * nothing shared by two splits. They are built by `make test`; the speech needs espeak-ng. */
#include <stdlib.h>
#include <string.h>

#include "ir/base/file.h"
#include "ir/tensor.h"
#include "tests/support.h"

Suite *suite_examples(void);

static const char *const splits[] = {"train", "val", "test"};

/* Run a program of an example with these options into the folder `to` of this test; false: it is not built. */
static bool make_data(Arena *a, const char *example, const char *to, const char *options) {
  char *tool = arena_printf(a, "%s/examples/%s/make_data", test_build_dir(), example), *out;
  if (!file_exists(tool)) {
    test_skip("%s is not built (make test builds it)", tool);
    return false;
  }
  int status =
      test_run_command(arena_printf(a, "'%s' --out '%s/%s' %s", tool, test_tmp_dir(), to, options), &out);
  ck_assert_msg(status == 0, "%s: status %d:\n%s", tool, status, out);
  free(out);
  return true;
}

static Tensor array(Arena *a, const char *folder, const char *split, const char *what) {
  Tensor t;
  Diag *d = diag_new();
  char *path = path_join(a, test_tmp_dir(), arena_printf(a, "%s/%s_%s.npy", folder, split, what));
  ck_assert_msg(npy_read(path, &t, d), "%s", diag_text(d));
  diag_free(d);
  return t;
}

/* Arrays of two folders: equal in their first n examples? */
static bool same(Arena *a, const char *f, const char *g, const char *split, const char *what, size_t n) {
  Tensor x = array(a, f, split, what), y = array(a, g, split, what);
  size_t bytes = tensor_bytes(&x) / (size_t)x.shape.d[0] * n;
  bool equal = memcmp(x.data, y.data, bytes) == 0;
  tensor_free(&x);
  tensor_free(&y);
  return equal;
}

static void check_bytes(Arena *a) {
  for (int s = 0; s < 3; s++) {
    ck_assert_msg(same(a, "one", "two", splits[s], "x", 12), "%s_x differs", splits[s]);
    ck_assert_msg(same(a, "one", "two", splits[s], "y", 12), "%s_y differs", splits[s]);
    ck_assert_msg(same(a, "one", "long", splits[s], "x", 12), "%s_x: a longer run begins otherwise",
                  splits[s]);
    ck_assert_msg(!same(a, "one", "seed", splits[s], "x", 12), "%s_x: another seed is the same", splits[s]);
  }
}

/* No number of one split's `what` (a machine, a voice) is in another's. */
static void check_apart(Arena *a, const char *folder, const char *what) {
  for (int s = 0; s < 3; s++)
    for (int o = 0; o < s; o++) {
      Tensor x = array(a, folder, splits[s], what), y = array(a, folder, splits[o], what);
      for (int64_t i = 0; i < x.shape.d[0]; i++)
        for (int64_t k = 0; k < y.shape.d[0]; k++)
          ck_assert_msg(((int32_t *)x.data)[i] != ((int32_t *)y.data)[k], "%s %d is in %s and in %s", what,
                        ((int32_t *)x.data)[i], splits[s], splits[o]);
      tensor_free(&x);
      tensor_free(&y);
    }
}

static bool make_all(Arena *a, const char *example) {
  return make_data(a, example, "one", "--count 12") && make_data(a, example, "two", "--count 12") &&
         make_data(a, example, "long", "--count 36") && make_data(a, example, "seed", "--count 12 --seed 2");
}

START_TEST(bearings)
{
  Arena *a = arena_new();
  if (make_all(a, "03-bearing-monitor")) {
    check_bytes(a);
    check_apart(a, "long", "machine");
    Tensor y = array(a, "one", "train", "y"), z = array(a, "one", "test", "y");
    for (int i = 0; i < 12; i++) ck_assert(((int32_t *)y.data)[i] == 0 && ((int32_t *)z.data)[i] == i % 2);
    tensor_free(&y);
    tensor_free(&z);
  }
  arena_free(a);
}
END_TEST

START_TEST(speech)
{
  Arena *a = arena_new();
  if (test_run_command("espeak-ng --version", NULL) != 0)
    test_skip("espeak-ng is not installed (scripts/install-deps demo-02)");
  else if (make_all(a, "02-keyword-spotter")) {
    check_bytes(a);
    check_apart(a, "long", "voice");
    Tensor y = array(a, "one", "val", "y");
    for (int i = 0; i < 12; i++) ck_assert_int_eq(((int32_t *)y.data)[i], i);
    tensor_free(&y);
  }
  arena_free(a);
}
END_TEST

Suite *suite_examples(void) {
  Suite *s = suite_create("examples");
  TCase *t = tcase_create("examples");
  tcase_set_timeout(t, 120);
  tcase_add_test(t, bearings);
  tcase_add_test(t, speech);
  suite_add_tcase(s, t);
  return s;
}
