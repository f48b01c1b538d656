/* JSON: what the writer writes, the reader reads back; the grammar exactly; no cut or flipped byte does harm. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "ir/base/json.h"
#include "tests/support.h"

static const Json *parse(Arena *a, const char *text, Diag *d) {
  return json_parse(a, text, strlen(text), "t.json", d);
}

static void write_sample(StrBuf *b, bool pretty) {
  JsonWriter w;
  json_begin(&w, b, pretty);
  json_object(&w);
  json_kstr(&w, "name", "a \"b\"\n\x01\\ \xc3\xa4");
  json_kstr(&w, "none", NULL);
  json_kint(&w, "least", INT64_MIN);
  json_knum(&w, "tenth", 0.1);
  json_knum(&w, "not", NAN);
  json_kbool(&w, "yes", true);
  json_karray(&w, "list");
  json_int(&w, 1);
  json_object(&w);
  json_end(&w);
  json_array(&w);
  json_end(&w);
  json_end(&w);
  ck_assert(!json_finished(&w));
  json_end(&w);
  ck_assert(json_finished(&w));
}

START_TEST(test_text)
{
  StrBuf b = {0};
  write_sample(&b, false);
  ck_assert_str_eq(
      b.s, "{\"name\": \"a \\\"b\\\"\\u000a\\u0001\\\\ \xc3\xa4\", \"none\": null, \"least\": "
           "-9223372036854775808, \"tenth\": 0.1, \"not\": null, \"yes\": true, \"list\": [1, {}, []]}");
  sb_clear(&b);
  JsonWriter w;
  json_begin(&w, &b, true);
  json_object(&w);
  json_karray(&w, "v");
  json_int(&w, 1);
  json_int(&w, 2);
  json_end(&w);
  json_kobject(&w, "o");
  json_end(&w);
  json_end(&w);
  ck_assert_str_eq(b.s, "{\n  \"v\": [\n    1,\n    2\n  ],\n  \"o\": {}\n}\n");
  sb_free(&b);
}
END_TEST

START_TEST(test_read_back)
{
  for (int pretty = 0; pretty < 2; pretty++) {
    Arena *a = arena_new();
    Diag *d = diag_new();
    StrBuf b = {0};
    write_sample(&b, pretty);
    const Json *v = json_parse(a, b.s, b.len, "t.json", d);
    ck_assert_msg(v != NULL, "%s", diag_text(d));
    ck_assert_str_eq(json_get_str(v, "name", ""), "a \"b\"\n\x01\\ \xc3\xa4");
    ck_assert_int_eq(json_get(v, "none")->type, JSON_NULL);
    ck_assert_int_eq(json_get_int(v, "least", 0), INT64_MIN);
    ck_assert_double_eq(json_get_num(v, "tenth", 0), 0.1);
    ck_assert(json_get_bool(v, "yes", false));
    ck_assert_uint_eq(json_get(v, "list")->n, 3);
    ck_assert_int_eq(json_at(json_get(v, "list"), 2)->type, JSON_ARRAY);
    ck_assert_ptr_null(json_at(json_get(v, "list"), 3));
    ck_assert_ptr_null(json_get(json_get(v, "nothing"), "x"));
    ck_assert_int_eq(json_get_int(v, "tenth", 7), 7); /* of another type */
    ck_assert_str_eq(json_get_str(v, "least", "other"), "other");
    sb_free(&b);
    diag_free(d);
    arena_free(a);
  }
}
END_TEST

START_TEST(test_numbers)
{
  static const double values[] = {0,      1, -1, 0.1, 1e300, -2.5e-300, DBL_MIN, DBL_MAX, 123456789.123456789,
                                  1.0 / 3};
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
    Arena *a = arena_new();
    Diag *d = diag_new();
    StrBuf b = {0};
    JsonWriter w;
    json_begin(&w, &b, false);
    json_num(&w, values[i]);
    const Json *v = json_parse(a, b.s, b.len, "t.json", d);
    ck_assert_msg(v && v->number == values[i], "%s: read as %.17g, written from %.17g", b.s,
                  v ? v->number : NAN, values[i]);
    sb_free(&b);
    diag_free(d);
    arena_free(a);
  }
}
END_TEST

START_TEST(test_accepted)
{
  static const char *const texts[] = {" 1 ",  "-0",   "1.5e+3",    "\"\\ud83d\\ude00\\/\"",
                                      "[\n]", "null", "{\"\": 0}", "1E2"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    Arena *a = arena_new();
    Diag *d = diag_new();
    ck_assert_msg(parse(a, texts[i], d) != NULL, "%s: %s", texts[i], diag_text(d));
    diag_free(d);
    arena_free(a);
  }
  Arena *a = arena_new();
  Diag *d = diag_new();
  ck_assert_str_eq(parse(a, "\"\\ud83d\\ude00\\u00e4\\u20ac\"", d)->str,
                   "\xf0\x9f\x98\x80\xc3\xa4\xe2\x82\xac");
  diag_free(d);
  arena_free(a);
}
END_TEST

START_TEST(test_refused)
{
  static const char *const texts[] = {
      "",          " ",           "01",          "1.",          ".5",       "+1",         "1e",  "nan",
      "[1,]",      "[1 2]",       "{\"a\" 1}",   "{a: 1}",      "{\"a\":}", "{\"a\":1,}", "\"",  "\"\\x\"",
      "\"\\u12\"", "\"\\ud800\"", "\"\\udc00\"", "\"\\u0000\"", "\"\n\"",   "tru",        "1 2", "1e999",
      "[",         "{",           "{\"a\"",      "\"\\",        "// x\n1"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    Arena *a = arena_new();
    Diag *d = diag_new();
    ck_assert_msg(parse(a, texts[i], d) == NULL, "accepted: %s", texts[i]);
    ck_assert_int_eq(diag_count(d), 1);
    diag_free(d);
    arena_free(a);
  }
}
END_TEST

START_TEST(test_position)
{
  Arena *a = arena_new();
  Diag *d = diag_new();
  ck_assert_ptr_null(parse(a, "{\n  \"a\": 1,\n  \"b\": oops\n}\n", d));
  ck_assert_str_eq(diag_text(d), "t.json:3:8: error: not JSON: want a value\n    \"b\": oops\n         ^\n");
  diag_free(d);
  arena_free(a);
}
END_TEST

START_TEST(test_depth)
{
  for (int depth = JSON_MAX_DEPTH - 1; depth <= JSON_MAX_DEPTH + 1; depth++) {
    Arena *a = arena_new();
    Diag *d = diag_new();
    StrBuf b = {0};
    for (int i = 0; i < depth; i++) sb_putc(&b, '[');
    for (int i = 0; i < depth; i++) sb_putc(&b, ']');
    ck_assert_int_eq(json_parse(a, b.s, b.len, "t.json", d) != NULL, depth <= JSON_MAX_DEPTH);
    sb_free(&b);
    diag_free(d);
    arena_free(a);
  }
}
END_TEST

/* Cuts and flips of a text that holds everything: read or refused with one message (sanitizers watch). */
START_TEST(test_cuts_and_flips)
{
  StrBuf b = {0};
  write_sample(&b, true);
  for (size_t n = 0; n < b.len; n++)
    for (int bit = -1; bit < 8; bit++) {
      Arena *a = arena_new();
      Diag *d = diag_new();
      char *copy = arena_dup(a, b.s, b.len);
      if (bit >= 0) copy[n] = (char)(copy[n] ^ (1 << bit));
      char *end = bit < 0 ? arena_dup(a, copy, n + 1) : copy; /* a cut in memory of its own */
      const Json *v = json_parse(a, end, bit < 0 ? n : b.len, "t.json", d);
      ck_assert_msg((v != NULL) == (diag_count(d) == 0), "at %zu, bit %d: %d messages", n, bit,
                    diag_count(d));
      diag_free(d);
      arena_free(a);
    }
  sb_free(&b);
}
END_TEST

Suite *suite_json(void) {
  Suite *s = suite_create("json");
  TCase *t = tcase_create("json");
  tcase_add_test(t, test_text);
  tcase_add_test(t, test_read_back);
  tcase_add_test(t, test_numbers);
  tcase_add_test(t, test_accepted);
  tcase_add_test(t, test_refused);
  tcase_add_test(t, test_position);
  tcase_add_test(t, test_depth);
  tcase_add_test(t, test_cuts_and_flips);
  suite_add_tcase(s, t);
  return s;
}
