/* YAML files as located trees: what is read, where it stands, and what is refused. Refusals with their messages are
 * golden (tests/golden/config/yaml-*.yaml, test_schema.c); here: positions, bounds, and that no cut of a file crashes.
 */
#include <string.h>

#include "frontend/config/yaml.h"
#include "ir/base/strbuf.h"
#include "tests/support.h"

static const YamlFile *parse(Arena *a, const char *text, Diag *d) {
  return yaml_parse_text(a, text, strlen(text), "dir/t.yaml", d);
}

START_TEST(test_positions)
{
  Arena *a = arena_new();
  Diag *d = diag_new();
  const YamlFile *f =
      parse(a, "a: 1\nlist:\n  - x\n  - {k: \"v w\", m: [1, 2]}\ntext: |\n  two\n  lines\n", d);
  ck_assert_msg(f != NULL, "%s", diag_text(d));
  ck_assert_str_eq(f->dir, "dir");
  ck_assert_int_eq(f->root->type, YAML_MAPPING);
  ck_assert_uint_eq(f->root->n, 3);
  const Yaml *v = yaml_get(f->root, "a");
  ck_assert_str_eq(v->text, "1");
  ck_assert(!v->quoted);
  ck_assert_int_eq(v->key_loc.line, 1);
  ck_assert_int_eq(v->key_loc.col, 1);
  ck_assert_int_eq(v->loc.col, 4);
  const Yaml *list = yaml_get(f->root, "list");
  ck_assert_int_eq(list->type, YAML_LIST);
  ck_assert_uint_eq(list->n, 2);
  const Yaml *item = list->first->next, *k = yaml_get(item, "k"), *m = yaml_get(item, "m");
  ck_assert_int_eq(item->loc.line, 4);
  ck_assert_int_eq(item->loc.col, 5);
  ck_assert_str_eq(k->text, "v w");
  ck_assert(k->quoted);
  ck_assert_int_eq(m->first->next->loc.col, 23);
  ck_assert_str_eq(m->first->next->text, "2");
  ck_assert_str_eq(yaml_get(f->root, "text")->text, "two\nlines\n");
  ck_assert_ptr_null(yaml_get(f->root, "b"));
  ck_assert_ptr_null(yaml_get(list, "b"));
  diag_free(d);
  arena_free(a);
}
END_TEST

/* Every prefix of a file is read or refused with one message, and nothing else happens (sanitizers watch). */
START_TEST(test_every_cut)
{
  const char *text =
      "model: \"a b\"\nlist: [1, {k: v}, 'q']\ngroup:\n  - name: x\n    deep: {a: [b]}\nlast: |\n  t\n";
  for (size_t n = 0; n <= strlen(text); n++) {
    Arena *a = arena_new();
    Diag *d = diag_new();
    char *copy = arena_strndup(a, text, n);
    const YamlFile *f = yaml_parse_text(a, copy, n, "cut.yaml", d);
    ck_assert_msg((f != NULL) == (diag_count(d) == 0), "cut at %zu: %d messages", n, diag_count(d));
    diag_free(d);
    arena_free(a);
  }
}
END_TEST

/* Every byte of a file replaced by each of some that matter to YAML. */
START_TEST(test_every_byte)
{
  const char *text = "model: \"a b\"\nlist: [1, {k: v}]\ngroup:\n  - name: x\n";
  const char other[] = {'\0', '\t', '\n', ' ', '"', '&', '*', ':',
                        '[',  '{',  '}',  '-', '!', '%', '|', (char)0xff};
  int refused = 0;
  for (size_t i = 0; i < strlen(text); i++)
    for (size_t k = 0; k < sizeof other; k++) {
      Arena *a = arena_new();
      Diag *d = diag_new();
      char *copy = arena_strdup(a, text);
      copy[i] = other[k];
      const YamlFile *f = yaml_parse_text(a, copy, strlen(text), "byte.yaml", d);
      ck_assert_msg((f != NULL) == (diag_count(d) == 0), "byte %zu as 0x%02x: %d messages", i,
                    (unsigned char)other[k], diag_count(d));
      refused += f == NULL;
      diag_free(d);
      arena_free(a);
    }
  ck_assert_int_gt(refused, 100);
}
END_TEST

static void refuse(const char *text, size_t n, const char *part) {
  Arena *a = arena_new();
  Diag *d = diag_new();
  ck_assert_msg(yaml_parse_text(a, text, n, "big.yaml", d) == NULL, "not refused: %s", part);
  ck_assert_msg(strstr(diag_text(d), part) != NULL, "got %s, want %s", diag_text(d), part);
  diag_free(d);
  arena_free(a);
}

START_TEST(test_bounds)
{
  StrBuf text = {0};
  for (int i = 0; i <= YAML_MAX_KEYS; i++) sb_printf(&text, "k%d: 1\n", i);
  refuse(text.s, text.len, "too many keys");
  sb_clear(&text);
  sb_puts(&text, "a:\n");
  for (int i = 0; i <= YAML_MAX_NODES; i++) sb_puts(&text, "- 1\n");
  refuse(text.s, text.len, "too many values");
  sb_clear(&text);
  for (int i = 0; i < 100000; i++) sb_putc(&text, '[');
  refuse(text.s, text.len, "nested too deeply");
  sb_clear(&text);
  sb_puts(&text, "a: \"");
  for (int i = 0; i < YAML_MAX_BYTES; i++) sb_putc(&text, 'x');
  sb_puts(&text, "\"\n");
  refuse(text.s, text.len, "too large");
  sb_free(&text);
}
END_TEST

START_TEST(test_files)
{
  Arena *a = arena_new();
  Diag *d = diag_new();
  ck_assert_ptr_null(yaml_load(a, "tests/nowhere.yaml", d));
  ck_assert_msg(strstr(diag_text(d), "tests/nowhere.yaml: error: cannot be read") != NULL, "got %s",
                diag_text(d));
  diag_clear(d);
  ck_assert_ptr_null(yaml_load(a, "tests", d));
  ck_assert_msg(strstr(diag_text(d), "not a regular file") != NULL, "got %s", diag_text(d));
  diag_free(d);
  arena_free(a);
}
END_TEST

Suite *suite_yaml(void) {
  Suite *s = suite_create("yaml");
  TCase *t = tcase_create("yaml");
  tcase_add_test(t, test_positions);
  tcase_add_test(t, test_every_cut);
  tcase_add_test(t, test_every_byte);
  tcase_add_test(t, test_bounds);
  tcase_add_test(t, test_files);
  suite_add_tcase(s, t);
  return s;
}
