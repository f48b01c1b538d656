/* The text form: print, parse, print gives the same bytes and the same hash, for every operator of ops.def and for a
 * whole net; what the parser takes and refuses.
 */
#include "ir/base/strbuf.h"
#include "ir/graph.h"
#include "tests/ir/samples.h"
#include "tests/support.h"

#include <string.h>

static void assert_round_trip(const Graph *g) {
  StrBuf first = {0}, second = {0};
  Diag *d = diag_new();
  graph_print(g, &first, SIZE_MAX);
  Graph *back = graph_parse(sb_str(&first), "t.ir", d);
  ck_assert_msg(back != NULL, "%s\nof\n%s", diag_text(d), sb_str(&first));
  graph_print(back, &second, SIZE_MAX);
  ck_assert_str_eq(sb_str(&second), sb_str(&first));
  ck_assert_msg(hash_equal(graph_hash(g), graph_hash(back)), "hash differs:\n%s", sb_str(&first));
  graph_free(back);
  diag_free(d);
  sb_free(&first);
  sb_free(&second);
}

START_TEST(every_operator_has_a_sample)
{
  for (unsigned op = 0; op < OP_COUNT; op++) {
    int n = 0;
    for (int i = 0; i < n_samples; i++) n += samples[i].op == op;
    ck_assert_msg(n > 0, "%s has no row in tests/ir/samples.c", op_info((OpKind)op)->name);
  }
}
END_TEST

START_TEST(operators_round_trip)
{
  Graph *g = sample_graph(&samples[_i]);
  assert_round_trip(g);
  graph_free(g);
}
END_TEST

START_TEST(net_round_trips)
{
  Graph *g = sample_net();
  assert_round_trip(g);
  graph_free(g);
}
END_TEST

START_TEST(names_and_places_survive)
{
  Graph *g = sample_graph(&samples[0]);
  StrBuf text = {0};
  Diag *d = diag_new();
  graph_print(g, &text, SIZE_MAX);
  Graph *back = graph_parse(sb_str(&text), "t.ir", d);
  ck_assert_ptr_nonnull(back);
  const Loc *loc = &back->nodes[0].loc;
  ck_assert_str_eq(loc->file, "model.onnx");
  ck_assert_int_eq(loc->node, 7);
  ck_assert_str_eq(loc->name, "node \"7\"\n");
  ck_assert_str_eq(loc->op, "Conv");
  ck_assert_str_eq(back->vals[back->outputs[0]].name, "y");
  ck_assert_str_eq(back->name, "sample");
  graph_free(g);
  graph_free(back);
  sb_free(&text);
  diag_free(d);
}
END_TEST

START_TEST(nan_bits_survive)
{
  uint32_t bits[3] = {0x7fc00000u, 0xffc12345u, 0x7f800001u};
  Graph *g = graph_new(NULL);
  Shape s = shape_of(1, (int64_t)3);
  ValId c = graph_const_data(g, NULL, DT_F32, &s, bits);
  graph_output(g, c);
  assert_round_trip(g);
  graph_free(g);
}
END_TEST

START_TEST(large_constants_become_hashes)
{
  Graph *g = sample_net();
  StrBuf text = {0};
  Diag *d = diag_new();
  graph_print(g, &text, 3);
  ck_assert_ptr_nonnull(strstr(sb_str(&text), "hash("));
  ck_assert_ptr_nonnull(strstr(sb_str(&text), "{100, -200, 2147483647}"));
  ck_assert_ptr_null(graph_parse(sb_str(&text), "t.ir", d));
  ck_assert_ptr_nonnull(strstr(diag_text(d), "its elements are not in this text"));
  graph_free(g);
  sb_free(&text);
  diag_free(d);
}
END_TEST

/* Every proper prefix of a text is refused or is a graph (where only the outputs are cut), and nothing crashes. */
START_TEST(prefixes_do_not_crash)
{
  Graph *g = sample_net();
  StrBuf text = {0};
  graph_print(g, &text, SIZE_MAX);
  for (size_t n = 0; n < text.len; n++) {
    char saved = text.s[n];
    Diag *d = diag_new();
    text.s[n] = '\0';
    Graph *back = graph_parse(text.s, "t.ir", d);
    ck_assert_msg(back != NULL || diag_count(d) > 0, "refused without a word at %zu", n);
    graph_free(back);
    diag_free(d);
    text.s[n] = saved;
  }
  graph_free(g);
  sb_free(&text);
}
END_TEST

START_TEST(damage_does_not_crash)
{
  static const char junk[] = "%{}[](),=:@\"\\0-9N.#q\n_\x80";
  Graph *g = sample_net();
  StrBuf text = {0};
  graph_print(g, &text, SIZE_MAX);
  for (size_t n = 0; n < text.len; n++) {
    char saved = text.s[n];
    Diag *d = diag_new();
    text.s[n] = junk[(n * 7) % (sizeof junk - 1)];
    Graph *back = graph_parse(text.s, "t.ir", d);
    ck_assert_msg(back != NULL || diag_count(d) > 0, "refused without a word at %zu", n);
    graph_free(back);
    diag_free(d);
    text.s[n] = saved;
  }
  graph_free(g);
  sb_free(&text);
}
END_TEST

static const struct {
  const char *text, *want;
} refused[] = {
    {"grph", "t.ir:1:1: error: want \"graph\", got grph\n  grph\n  ^\n"},
    {"graph\n%1 = input : f33[1]\n", "t.ir:2:14: error: want an element type (f32, i8, ...), got f33"},
    {"graph\n%1 = input : f32[2,N]\n", "t.ir:2:20: error: N, the symbolic batch, is outermost alone"},
    {"graph\n%1 = input : f32[1,1,1,1,1,1,1,1,1]\n", "more than 8 dimensions"},
    {"graph\n%1 = input : f32[2147483647,2147483647,9]\n", "larger than the IR allows"},
    {"graph\n%1 = const : f32[2147483647] {0}\n", "there is not enough text"},
    {"graph\n%1 = const : i8[2] {1, 128}\n", "t.ir:2:24: error: element 1 of 2 is no i8"},
    {"graph\n%1 = const : i8[2] {1, 2, 3}\n", "t.ir:2:25: error: want '}' after 2 element(s), got ,"},
    {"graph\n%1 = const : i8[3] {1, 2}\n", "2 element(s), want 3"},
    {"graph\n%1 = const : i8[3] {1, 2 3}\n", "2 element(s), want 3"},
    {"graph\n%1 = const : f32[1] {1x}\n", "element 0 of 1 is no f32"},
    {"graph\n%1 = const : bool[1] {2}\n", "element 0 of 1 is no bool"},
    {"graph\n%1 = const : f32[1] {0x1ffffffff}\n", "element 0 of 1 is no f32"},
    {"graph\n%1 = const : f32[N] {1}\n", "a constant has no symbolic batch"},
    {"graph\n%1 = const : f32[1] @0\n", "the constant's bytes are in another file"},
    {"graph\n%1 = input : f32[1]\n%1 = input : f32[1]\n", "t.ir:3:1: error: %1 is defined twice"},
    {"graph\n%1 = input : f32[1]\n%2 = Rleu(%1)\n", "t.ir:3:6: error: Rleu is no operator"},
    {"graph\n%1 = input : f32[1]\n%2 = Relu(%1, %1)\n", "Relu: has 2 input(s), want 1\n"},
    {"graph\n%1 = input : f32[1]\n%2 = Add(%1, _)\n", "Add: input 1 is left out, but is not optional"},
    {"graph\n%1 = input : f32[1]\n%2 = Clip(%1) {low=3}\n",
     "Clip has no attribute low\n  %2 = Clip(%1) {low=3}\n"},
    {"graph\n%1 = input : f32[1]\n%2 = Clip(%1) {lo=a}\n", "a is no value of lo (lower limit)"},
    {"graph\n%1 = input : f32[1]\n%2 = Clip(%1) {lo=1, lo=2}\n", "lo is given twice"},
    {"graph\n%1 = input : f32[1]\n%2 = Relu(%3)\n%3 = Relu(%2)\noutput %3\n",
     "t.ir:3:11: error: %3 is used before it is defined, on line 4"},
    {"graph\n%1 = input : f32[1] \"x\n", "the string does not end on its line"},
    {"graph\n%1 = input : f32[1] \"\\q\"\n", "unknown escape"},
    {"graph\n%1 = input : i8[2] q(axis=0, 0.1 0)\n", "want 2 scales, one for each slice, got 1"},
    {"graph\n%1 = input : f32[1]\noutput %1\n%2 = Relu(%1)\n", "want the end of the text after the outputs"},
};

START_TEST(parser_refuses)
{
  Diag *d = diag_new();
  ck_assert_ptr_null(graph_parse(refused[_i].text, "t.ir", d));
  ck_assert_int_eq(diag_count(d), 1);
  ck_assert_msg(strstr(diag_text(d), refused[_i].want) != NULL, "got:\n%swant:\n%s", diag_text(d),
                refused[_i].want);
  diag_free(d);
}
END_TEST

START_TEST(operator_documentation_has_every_row)
{
  StrBuf text = {0};
  ops_print_markdown(&text);
  for (unsigned op = 0; op < OP_COUNT; op++) {
    const OpInfo *info = op_info((OpKind)op);
    char head[64];
    snprintf(head, sizeof head, "\n### %s\n", info->name);
    const char *at = strstr(sb_str(&text), head);
    ck_assert_msg(at != NULL, "%s is missing", info->name);
    for (int i = 0; i < info->n_attrs; i++) {
      snprintf(head, sizeof head, "\n| `%s` |", info->attrs[i].name);
      ck_assert_msg(strstr(at, head) != NULL, "%s: %s is missing", info->name, info->attrs[i].name);
    }
  }
  sb_free(&text);
}
END_TEST

Suite *suite_text(void) {
  Suite *s = suite_create("text");
  TCase *c = tcase_create("round trip");
  tcase_add_test(c, every_operator_has_a_sample);
  tcase_add_loop_test(c, operators_round_trip, 0, n_samples);
  tcase_add_test(c, net_round_trips);
  tcase_add_test(c, names_and_places_survive);
  tcase_add_test(c, nan_bits_survive);
  tcase_add_test(c, large_constants_become_hashes);
  suite_add_tcase(s, c);
  c = tcase_create("refusals");
  tcase_add_test(c, prefixes_do_not_crash);
  tcase_add_test(c, damage_does_not_crash);
  tcase_add_loop_test(c, parser_refuses, 0, (int)(sizeof refused / sizeof refused[0]));
  tcase_add_test(c, operator_documentation_has_every_row);
  suite_add_tcase(s, c);
  return s;
}
