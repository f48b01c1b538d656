/* The counter of bench/effort.c: tokens and decisions by hand, and what must not count. */
#include <string.h>

#include "bench/effort_count.h"
#include "tests/support.h"
#include "tests/suites.h"

typedef struct Case {
  Language l;
  const char *text, *tokens; /* joined by | */
  int decisions;
} Case;

static const Case cases[] = {
    {LANG_C, "x += a[i] << 2; /* y */ // z\n", "x|+=|a|[|i|]|<<|2|;", 0},
    {LANG_C, "f(\"-O2 -g\", 'c', \"\", \"a\\\"b\");", "f|(|-O2|-g|,|c|,|\"|,|a\\\"b|)|;", 0},
    {LANG_C, "1e-5f + 0x1e-1 - .5", "1e-5f|+|0x1e|-|1|-|.5", 0},
    {LANG_C, "p->q /* decision: loops, tile */;", "p|->|q|;", 2},
    {LANG_C, "/* never closed", "", 0},
    {LANG_PYTHON, "\"\"\"What a module\ndoes.\"\"\"\nx **= 2 # why\n", "x|**=|2", 0},
    {LANG_PYTHON, "x = \"\"\"a b\"\"\"", "x|=|\"|a|b|\"", 0},
    {LANG_PYTHON, "lr=.1,  # decision: rate\nf(w=3)  # decision: a, b, c\n", "lr|=|.1|,|f|(|w|=|3|)", 4},
    {LANG_PYTHON, "a // b != 'x # y'", "a|//|b|!=|x|#|y", 0},
    {LANG_YAML, "seed: 1  # of chance\na: [x, 'y z']\n", "seed|:|1|a|:|[|x|,|y|z|]", 1},
    {LANG_YAML, "- name: nrf52840-dk\n  x: data/a_x.npy # here\n", "-|name|:|nrf52840-dk|x|:|data/a_x.npy",
     0},
    {LANG_YAML, "retrain: {epochs: 4, lr: 0.05}\nlimits: {macs: 60%}\n",
     "retrain|:|{|epochs|:|4|,|lr|:|0.05|}|limits|:|{|macs|:|60%|}", 2},
    {LANG_YAML, "prune: {max: 0.9}\naugment: {crop: 1}\naccuracy: {min: 75%}",
     "prune|:|{|max|:|0.9|}|augment|:|{|crop|:|1|}|accuracy|:|{|min|:|75%|}", 2},
    {LANG_SHELL, "make x; ./run -o 'a b' a#b > out # so\n", "make|x|;|./run|-o|a|b|a#b|>|out", 0},
};
enum { CASES = sizeof cases / sizeof *cases };

static const char *joined(Arena *a, const Tokens *t) {
  const char *all = "";
  for (int i = 0; i < t->n; i++) all = arena_printf(a, "%s%s%s", all, i ? "|" : "", t->text[i]);
  return all;
}

START_TEST(test_tokens_by_hand)
{
  Arena *a = arena_new();
  const Case *c = &cases[_i];
  const Tokens t = effort_tokens(a, c->l, c->text);
  ck_assert_str_eq(joined(a, &t), c->tokens);
  ck_assert_int_eq(t.decisions, c->decisions);
  arena_free(a);
}
END_TEST

/* Comments, blanks and empty lines between tokens change nothing. */
START_TEST(test_padding_counts_nothing)
{
  static const char *const tight[] = {"int a=b+1;", "a=b+1", "a: {b: 1}", "a b"};
  static const char *const padded[] = {"/* x */ int\n\n a = b // y\n + 1 ;\n", "# x\n\na  = b +  1  # y\n",
                                       "# x\na:   {b:  1}   # y\n\n", "  a   b  # y\n"};
  Arena *a = arena_new();
  for (int l = LANG_C; l <= LANG_SHELL; l++) {
    const Tokens x = effort_tokens(a, (Language)l, tight[l]), y = effort_tokens(a, (Language)l, padded[l]);
    ck_assert_str_eq(joined(a, &x), joined(a, &y));
  }
  arena_free(a);
}
END_TEST

static int difference(Arena *a, const char *from, const char *to) {
  const Tokens x = effort_tokens(a, LANG_PYTHON, from), y = effort_tokens(a, LANG_PYTHON, to);
  return effort_difference(&x, &y);
}

START_TEST(test_difference_is_what_is_typed_anew)
{
  Arena *a = arena_new();
  ck_assert_int_eq(difference(a, "", "f(x)"), 4);
  ck_assert_int_eq(difference(a, "f(x)", "f(x)"), 0);
  ck_assert_int_eq(difference(a, "f(x)", ""), 0);
  ck_assert_int_eq(difference(a, "f(a=1, b=2)", "f(a=3, b=2)"), 1);
  ck_assert_int_eq(difference(a, "f(a=1, b=2)", "f(b=2, c=4)"), 4); /* `, c=4`, the rest of `a=1, ` goes */
  ck_assert_int_eq(difference(a, "a b c d", "d c b a"), 3);
  arena_free(a);
}
END_TEST

START_TEST(test_new_decisions_are_of_changed_lines)
{
  static const char before[] = "w=1  # decision: a, b\nlr=2  # decision: rate\n";
  ck_assert_int_eq(effort_new_decisions(before, before), 0);
  ck_assert_int_eq(effort_new_decisions(before, "w=3  # decision: a, b\nlr=2  # decision: rate\n"), 2);
  ck_assert_int_eq(effort_new_decisions(before, "w=1  # decision: a, b\nlr=3  # decision: rate"), 1);
  ck_assert_int_eq(effort_new_decisions("", before), 3);
}
END_TEST

START_TEST(test_languages)
{
  ck_assert_int_eq(effort_language("a/port.py"), LANG_PYTHON);
  ck_assert_int_eq(effort_language("deploy-1.yaml"), LANG_YAML);
  ck_assert_int_eq(effort_language("x.y/net.c"), LANG_C);
  ck_assert_int_eq(effort_language("mps2.ld"), LANG_C);
  ck_assert_int_eq(effort_language("run.sh"), LANG_SHELL);
}
END_TEST

Suite *suite_effort(void) {
  Suite *s = suite_create("effort");
  TCase *tc = tcase_create("effort");
  tcase_add_loop_test(tc, test_tokens_by_hand, 0, CASES);
  tcase_add_test(tc, test_padding_counts_nothing);
  tcase_add_test(tc, test_difference_is_what_is_typed_anew);
  tcase_add_test(tc, test_new_decisions_are_of_changed_lines);
  tcase_add_test(tc, test_languages);
  suite_add_tcase(s, tc);
  return s;
}
