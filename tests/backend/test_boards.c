/* Boards: the shipped ones load, users' files are read, and each mistake is told with its line and column. */
#include "backend/backend.h"

#include <string.h>

#include "tests/support.h"

Suite *suite_boards(void);

START_TEST(shipped_boards_load)
{
  Arena *a = arena_new();
  Diag *d = diag_new();
  const char **names = board_names(a);
  int n = 0;
  for (; names[n]; n++) {
    Board b;
    ck_assert_msg(board_load(a, names[n], &b, d), "%s: %s", names[n], diag_text(d));
    ck_assert_str_eq(b.name, names[n]);
    ck_assert_ptr_nonnull(target_find(b.target));
    ck_assert_msg(*b.doc, "%s has no doc", b.name);
  }
  ck_assert_int_ge(n, 5);
  Board b;
  ck_assert(board_load(a, "nucleo-l432kc", &b, d));
  ck_assert_str_eq(b.target, "cortex-m4");
  ck_assert_int_eq(b.flash, 256 * 1024);
  ck_assert_int_eq(b.ram, 64 * 1024);
  ck_assert(b.clock_hz == 80e6);
  ck_assert(board_hz(&b) == 80e6);
  diag_free(d);
  arena_free(a);
}
END_TEST

START_TEST(a_users_file)
{
  static const char text[] = "# mine\nname: mine\ntarget: cortex-m0\nram: 2 kB\nclock: 1.5GHz\nflash: "
                             "1000\ncycle_scale: 1.5\nenergy_per_cycle: 0.1nJ\n";
  char path[600];
  snprintf(path, sizeof path, "%s/mine.yaml", test_tmp_dir());
  test_write_file(path, text, sizeof text - 1);
  Arena *a = arena_new();
  Diag *d = diag_new();
  Board b;
  ck_assert_msg(board_load(a, path, &b, d), "%s", diag_text(d));
  ck_assert_str_eq(b.name, "mine");
  ck_assert_str_eq(b.doc, "");
  ck_assert_int_eq(b.ram, 2000);
  ck_assert_int_eq(b.flash, 1000);
  ck_assert(b.clock_hz == 1.5e9);
  ck_assert_double_eq_tol(board_joules(&b), 1.5e-10, 1e-18);
  ck_assert(board_hz(&b) == 1e9);
  ck_assert(!board_load(a, "/nowhere/x.yaml", &b, d));
  ck_assert(strstr(diag_text(d), "/nowhere/x.yaml"));
  diag_clear(d);
  ck_assert(!board_load(a, "no-such-board", &b, d));
  ck_assert_msg(strstr(diag_text(d), "microbit") != NULL, "the shipped boards are named: %s", diag_text(d));
  diag_free(d);
  arena_free(a);
}
END_TEST

static const struct {
  const char *text, *want; /* what the message must hold */
} mistakes[] = {
    {"name: x\ntarget: cortex-m4\nflahs: 1\n", "b.yaml:3:1"},
    {"name: x\ntarget: cortex-m4\nflahs: 1\n", "unknown key \"flahs\""},
    {"name: x\ntarget: cortex-m4\nram: 1KiB\nram: 2KiB\n", "b.yaml:4:1"},
    {"name: x\ntarget: cortex-m4\nram: 1KiB\nram: 2KiB\n", "second time"},
    {"name: x\ntarget: cortex-m7000\n", "b.yaml:2:9"},
    {"name: x\ntarget: cortex-m7000\n", "targets are: x86-64"},
    {"name: x\ntarget: cortex-m4\nflash: 64 KB or so\n", "b.yaml:3:8"},
    {"name: x\ntarget: cortex-m4\nflash: -1\n", "want a size"},
    {"name: x\ntarget: cortex-m4\nflash: 0\n", "want a size"},
    {"name: x\ntarget: cortex-m4\nflash: 1.5\n", "whole bytes"},
    {"name: x\ntarget: cortex-m4\nflash: 1e99\n", "want a size"},
    {"name: x\ntarget: cortex-m4\nclock: fast\n", "b.yaml:3:8"},
    {"name: x\ntarget: cortex-m4\nram: [1, 2]\n", "want a plain value"},
    {"name: x\ntarget: cortex-m4\n? [a]\n: 1\n", "want a key"},
    {"- name: x\n", "want a mapping"},
    {"", "want a board"},
    {"target: cortex-m4\n", "needs a \"name\""},
    {"name: x\n", "needs a \"target\""},
    {"name: \"x\ntarget: cortex-m4\n", "b.yaml:"},
    {"name: x\ntarget: cortex-m4\n---\nname: y\n", "one board a file"},
};

START_TEST(mistakes_are_located)
{
  Arena *a = arena_new();
  Diag *d = diag_new();
  Board b;
  const char *text = mistakes[_i].text;
  ck_assert_msg(!board_parse(a, text, strlen(text), "b.yaml", &b, d), "accepted:\n%s", text);
  ck_assert_int_eq(diag_count(d), 1);
  ck_assert_msg(strstr(diag_text(d), mistakes[_i].want) != NULL, "want \"%s\" in: %s", mistakes[_i].want,
                diag_text(d));
  diag_free(d);
  arena_free(a);
}
END_TEST

START_TEST(the_line_is_shown)
{
  static const char text[] = "name: x\ntarget: cortex-m4\nflahs: 1\n";
  Arena *a = arena_new();
  Diag *d = diag_new();
  Board b;
  ck_assert(!board_parse(a, text, strlen(text), "b.yaml", &b, d));
  ck_assert_msg(strstr(diag_text(d), "flahs: 1\n") && strchr(diag_text(d), '^'), "%s", diag_text(d));
  diag_free(d);
  arena_free(a);
}
END_TEST

Suite *suite_boards(void) {
  Suite *s = suite_create("boards");
  TCase *t = tcase_create("boards");
  tcase_add_test(t, shipped_boards_load);
  tcase_add_test(t, a_users_file);
  tcase_add_loop_test(t, mistakes_are_located, 0, (int)(sizeof mistakes / sizeof *mistakes));
  tcase_add_test(t, the_line_is_shown);
  suite_add_tcase(s, t);
  return s;
}
