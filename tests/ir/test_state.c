/* Models with state: text form, copies, hash, rules, evaluation step by step. */
#include "ir/base/strbuf.h"
#include "ir/eval.h"
#include "tests/support.h"

#include <string.h>

Suite *suite_state(void);

/* A running sum, and what it was one and two steps before. */
static const char sum_net[] = "graph \"sum\"\n"
                              "%1 = input : f32[1,2] \"x\"\n"
                              "%2 = const : f32[1,2] {10, 20}\n"
                              "%3 = state(%2) : f32[1,2] \"sum\"\n"
                              "%4 = const : f32[1,2] {0, 0}\n"
                              "%5 = state(%4) : f32[1,2] \"before\"\n"
                              "%6 = state(%4) : f32[1,2] \"before that\"\n"
                              "%7 = Add(%3, %1) : f32[1,2] \"y\"\n"
                              "%8 = Add(%7, %6) : f32[1,2] \"z\"\n"
                              "next %3 = %7\n"
                              "next %5 = %3\n"
                              "next %6 = %5\n"
                              "output %7, %8\n";

static Graph *parse(const char *text) {
  Diag *d = diag_new();
  Graph *g = graph_parse(text, "t.ir", d);
  ck_assert_msg(g != NULL, "%s", diag_text(d));
  diag_free(d);
  return g;
}

START_TEST(text_copies_hash)
{
  Graph *g = parse(sum_net);
  StrBuf text = {0}, again = {0}, bytes = {0};
  graph_print(g, &text, SIZE_MAX);
  ck_assert_str_eq(sb_str(&text), sum_net);
  Graph *copy = graph_clone(g);
  graph_print(copy, &again, SIZE_MAX);
  ck_assert_str_eq(sb_str(&again), sum_net);
  ck_assert(hash_equal(graph_hash(g), graph_hash(copy)));
  graph_serialize(g, &bytes);
  Diag *d = diag_new();
  Blob *b = blob_new(bytes.s, bytes.len);
  Graph *back = graph_deserialize(b, "t", d);
  ck_assert_msg(back != NULL, "%s", diag_text(d));
  ck_assert(hash_equal(graph_hash(g), graph_hash(back)));
  back->states[1].next = back->states[0].next;
  ck_assert(!hash_equal(graph_hash(g), graph_hash(back)));
  Rewrite r;
  rewrite_begin(&r, g, "test");
  bool ok = true;
  for (uint32_t k = 0; k < g->n_nodes; k++) ok = ok && rewrite_copy(&r, &g->nodes[k], d);
  Graph *rewritten = rewrite_end(&r, ok, d);
  ck_assert_msg(rewritten != NULL && graph_verify(rewritten, d), "%s", diag_text(d));
  ck_assert(hash_equal(graph_hash(g), graph_hash(rewritten)));
  ck_assert_ptr_null(graph_with_batch(g, 4, d));
  blob_unref(b);
  graph_free(rewritten);
  graph_free(back);
  graph_free(copy);
  graph_free(g);
  diag_free(d);
  sb_free(&text);
  sb_free(&again);
  sb_free(&bytes);
}
END_TEST

/* Sums 11 23, 13 27, 16 32; z adds what the sum was two steps before (its initial 10 20 from the third step on). */
START_TEST(steps)
{
  static const float x[3][2] = {{1, 3}, {2, 4}, {3, 5}};
  static const float y[3][2] = {{11, 23}, {13, 27}, {16, 32}}, z[3][2] = {{11, 23}, {13, 27}, {26, 52}};
  Graph *g = parse(sum_net);
  Diag *d = diag_new();
  Evaluator *e = evaluator_new(g, d);
  ck_assert_ptr_nonnull(e);
  for (int round = 0; round < 2; round++) {
    for (int t = 0; t < 3; t++) {
      evaluator_run(e, (const void *const[]){x[t]});
      ck_assert_mem_eq(evaluator_value(e, g->outputs[0]), y[t], sizeof y[t]);
      ck_assert_mem_eq(evaluator_value(e, g->outputs[1]), z[t], sizeof z[t]);
    }
    evaluator_reset(e);
  }
  evaluator_free(e);
  graph_free(g);
  diag_free(d);
}
END_TEST

typedef struct Bad {
  const char *text, *want;
} Bad;

static const Bad bad[] = {
    {"%c = const : f32[1] {0} %s = state(%c) : f32[1] output %s", "lacks its value, its next"},
    {"%c = const : f32[1] {0} %s = state(%c) : f32[2] next %s = %s output %s", "want one type and shape"},
    {"%c = const : f32[1] {0} %x = input : f32[2] %s = state(%c) : f32[1] next %s = %x output %s",
     "want one element type and one fixed shape"},
    {"%x = input : f32[1] %s = state(%x) : f32[1] next %s = %x output %s", "begins as a constant"},
    {"%x = input : f32[N,1] %c = const : f32[1] {0} %s = state(%c) : f32[1] next %s = %s output %s, %x",
     "symbolic batch"},
    {"%x = input : f32[1] next %x = %x output %x", "want a state"},
    {"%c = const : f32[1] {0} %s = state(%c) : f32[1] next %s = %s next %s = %s output %s", "said twice"},
    {"%c = const : i8[1] q(1, 0) {0} %x = input : i8[1] q(2, 0) %s = state(%c) : i8[1] q(1, 0) next %s = %x "
     "output %s",
     "quantized differently"},
};

START_TEST(rules)
{
  StrBuf text = {0};
  Diag *d = diag_new();
  sb_printf(&text, "graph\n%s", bad[_i].text);
  Graph *g = graph_parse(sb_str(&text), "t.ir", d);
  ck_assert_msg(g == NULL, "%s: accepted", bad[_i].text);
  ck_assert_msg(strstr(diag_text(d), bad[_i].want) != NULL, "%s: %s", bad[_i].text, diag_text(d));
  sb_free(&text);
  diag_free(d);
}
END_TEST

Suite *suite_state(void) {
  Suite *s = suite_create("state");
  TCase *t = tcase_create("state");
  tcase_add_test(t, text_copies_hash);
  tcase_add_test(t, steps);
  tcase_add_loop_test(t, rules, 0, (int)(sizeof bad / sizeof bad[0]));
  suite_add_tcase(s, t);
  return s;
}
