/* The reducer, by planted bugs: each is a predicate on the graph, and the smallest graph that has it is known. And the
 * command `mistify reduce` on a file, with checks by the shell.
 */
#include <stdlib.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/base/strbuf.h"
#include "ir/reduce.h"
#include "tests/backend/emitted.h"
#include "tests/support.h"

Suite *suite_reduce(void);

/* Convolutions before and behind a pool, in a net with branches and a tail. */
static const char net[] = "graph \"net\"\n"
                          "%x = input : f32[N,16,16,3] \"image\"\n"
                          "%z = input : f32[N,4] \"other\"\n"
                          "%w1 = const : f32[8,3,3,3] @f32:216\n"
                          "%c1 = Conv(%x, %w1) {pads=[1,1,1,1], act=relu}\n"
                          "%s1 = Sigmoid(%c1)\n"
                          "%a1 = Add(%c1, %s1)\n"
                          "%p = MaxPool(%a1) {kernel=[2,2], strides=[2,2]} : f32[N,8,8,8] \"pool\"\n"
                          "%r = Relu(%p)\n"
                          "%t = Tanh(%r)\n"
                          "%w2 = const : f32[4,3,3,8] @f32:288\n"
                          "%b2 = const : f32[4] @f32:4\n"
                          "%c2 = Conv(%t, %w2, %b2) {strides=[2,2], pads=[1,1,1,1]}\n"
                          "%m = ReduceMean(%c2) {axes=[1,2], keepdims=0}\n"
                          "%k = Concat(%m, %z, %m) {axis=1}\n"
                          "%w3 = const : f32[5,12] @f32:60\n"
                          "%f = FullyConnected(%k, %w3)\n"
                          "%y = Softmax(%f)\n"
                          "output %y, %r, %m\n";

static bool *behind(const Graph *g, OpKind op) {
  bool *is = mem_array(g->n_vals, sizeof *is);
  for (uint32_t k = 0; k < g->n_nodes; k++) {
    const Node *n = &g->nodes[k];
    bool any = n->op == op;
    for (uint32_t i = 0; i < n->n_in; i++) any = any || is[n->in[i]];
    is[n->out[0]] = any;
  }
  return is;
}

static bool conv_after_pool(void *ctx, const Graph *g) {
  bool *is = behind(g, OP_max_pool), found = false;
  (void)ctx;
  for (uint32_t k = 0; k < g->n_nodes; k++) found |= g->nodes[k].op == OP_conv && is[g->nodes[k].in[0]];
  mem_free(is);
  return found;
}

/* Three elements or more joined along the last axis. */
static bool wide_concat(void *ctx, const Graph *g) {
  (void)ctx;
  for (uint32_t k = 0; k < g->n_nodes; k++) {
    const Shape *s = &g->vals[g->nodes[k].out[0]].shape;
    if (g->nodes[k].op == OP_concat && s->d[s->rank - 1] >= 3) return true;
  }
  return false;
}

static bool coarse_add(void *ctx, const Graph *g) {
  (void)ctx;
  for (uint32_t k = 0; k < g->n_nodes; k++) {
    const Quant *q = &g->vals[g->nodes[k].out[0]].quant;
    if (g->nodes[k].op == OP_add && q->n == 1 && q->scale[0] > 0.2f) return true;
  }
  return false;
}

static bool strided_conv(void *ctx, const Graph *g) {
  (void)ctx;
  for (uint32_t k = 0; k < g->n_nodes; k++)
    if (g->nodes[k].op == OP_conv && CATTRS(&g->nodes[k], conv)->strides.v[0] == 2) return true;
  return false;
}

static const struct {
  const char *net;
  bool (*fails)(void *ctx, const Graph *g);
  const char *want;
} cases[] = {
    {net, conv_after_pool,
     "graph\n%1 = input : f32[1,1,1,1]\n%2 = MaxPool(%1) : f32[1,1,1,1]\n%3 = const : f32[1,1,1,1] {1}\n"
     "%4 = Conv(%2, %3) : f32[1,1,1,1]\noutput %4\n"},
    {net, wide_concat, "graph\n%1 = input : f32[1,3]\n%2 = Concat(%1) : f32[1,3]\noutput %2\n"},
    {net, strided_conv,
     "graph\n%1 = input : f32[1,1,1,1]\n%2 = const : f32[1,1,1,1] {1}\n"
     "%3 = Conv(%1, %2) {strides=[2,2]} : f32[1,1,1,1]\noutput %3\n"},
    {small_int8_net, coarse_add,
     "graph\n%1 = input : i8[1,1,1,1] q(1, 0)\n%2 = Add(%1, %1) : i8[1,1,1,1] q(1, 0)\noutput %2\n"},
};

static int64_t last_size;

static void note(void *ctx, const Graph *g, const char *step, int64_t checks) {
  (void)ctx;
  ck_assert_ptr_nonnull(step);
  ck_assert_int_gt(checks, 0);
  last_size = g->n_nodes;
}

START_TEST(planted_bugs)
{
  Graph *g = graph_of(cases[_i].net);
  const ReduceOptions o = {.fails = cases[_i].fails, .progress = note};
  int64_t checks = 0;
  ck_assert(cases[_i].fails(NULL, g));
  Graph *small = graph_reduce(g, &o, &checks);
  StrBuf text = {0};
  graph_print(small, &text, SIZE_MAX);
  ck_assert_str_eq(sb_str(&text), cases[_i].want);
  ck_assert_int_eq(last_size, small->n_nodes);
  ck_assert_int_lt(checks, 400);
  sb_free(&text);
  graph_free(small);
  graph_free(g);
}
END_TEST

static bool never(void *ctx, const Graph *g) {
  ++*(int *)ctx;
  ck_assert(g->n_outputs > 0);
  return false;
}

/* Nothing smaller fails: the graph comes back; and no more checks than were asked for. */
START_TEST(nothing_to_gain)
{
  Graph *g = graph_of(net);
  int calls = 0;
  int64_t checks;
  ReduceOptions o = {.fails = never, .ctx = &calls};
  Graph *same = graph_reduce(g, &o, &checks);
  ck_assert(hash_equal(graph_hash(g), graph_hash(same)));
  ck_assert_int_eq(calls, checks);
  graph_free(same);
  o.max_checks = 7;
  same = graph_reduce(g, &o, &checks);
  ck_assert_int_eq(checks, 7);
  graph_free(same);
  graph_free(g);
}
END_TEST

/* -- the command -- */

static const char has_both[] = "#!/bin/sh\n# Ends with 7 where a Conv stands behind a MaxPool.\n"
                               "awk '/= MaxPool\\(/ { seen = 1 } /= Conv\\(/ && seen { bad = 1 }\n"
                               "  END { exit bad ? 7 : 0 }' \"$1\"\n";

static int reduce_command(const char *args, char **out) {
  char cmd[2000];
  snprintf(cmd, sizeof cmd, "cd '%s' && '%s' reduce %s", test_tmp_dir(), test_mistify(), args);
  return test_run_command(cmd, out);
}

static void write_model(void) {
  char path[700];
  StrBuf text = {0};
  Graph *g = graph_of(net);
  graph_print(g, &text, SIZE_MAX);
  snprintf(path, sizeof path, "%s/net.ir", test_tmp_dir());
  test_write_file(path, text.s, text.len);
  snprintf(path, sizeof path, "%s/check.sh", test_tmp_dir());
  test_write_file(path, has_both, sizeof has_both - 1);
  sb_free(&text);
  graph_free(g);
}

START_TEST(command)
{
  char path[700], *out = NULL;
  write_model();
  ck_assert_msg(reduce_command("net.ir --check 'sh check.sh {}' -o small.ir", &out) == 0, "%s", out);
  ck_assert_ptr_nonnull(strstr(out, "the command ends with status 7"));
  ck_assert_ptr_nonnull(strstr(out, "small.ir: 2 nodes of 11"));
  free(out);
  snprintf(path, sizeof path, "%s/small.ir", test_tmp_dir());
  char *text = test_read_file(path, NULL);
  ck_assert_msg(text && strcmp(text, cases[0].want) == 0, "%s", text);
  free(text);
}
END_TEST

static const struct {
  const char *args, *want;
  int status;
} faults[] = {
    {"net.ir --check true -o small.ir", "the command succeeds on net.ir", 1},
    {"net.ir --check ./missing -o small.ir", "cannot be run", 1},
    {"net.ir --check false -o small.png", "in which form", 1},
    {"none.ir --check false -o small.ir", "none.ir", 1},
    {"net.ir -o small.ir", "--check", 1},
    {"net.ir --check 'sleep 100; : {}' --timeout 1 --max-checks 2 -o small.ir", "ends with status 124", 0},
    {"net.ir --check 'kill -SEGV $$; : {}' --max-checks 3 -o small.ir --quiet", "", 0},
    {"--help", "mistify compile {} --target", 0},
};

/* A path of more than one word is one word of the command. */
START_TEST(command_with_blanks)
{
  char cmd[2000], *out = NULL;
  write_model();
  snprintf(cmd, sizeof cmd,
           "cd '%s' && mkdir \"it's a\" && TMPDIR=\"$PWD/it's a\" '%s' reduce net.ir --check 'test -f {} && "
           "exit 5' "
           "--max-checks 2 -o small.ir",
           test_tmp_dir(), test_mistify());
  ck_assert_msg(test_run_command(cmd, &out) == 0 && strstr(out, "ends with status 5"), "%s", out);
  free(out);
}
END_TEST

START_TEST(command_faults)
{
  char *out = NULL;
  write_model();
  int status = reduce_command(faults[_i].args, &out);
  ck_assert_msg(status == faults[_i].status && strstr(out, faults[_i].want), "status %d, %s: %s", status,
                faults[_i].args, out);
  free(out);
}
END_TEST

Suite *suite_reduce(void) {
  Suite *s = suite_create("reduce");
  TCase *t = tcase_create("reduce");
  tcase_add_loop_test(t, planted_bugs, 0, (int)(sizeof cases / sizeof *cases));
  tcase_add_test(t, nothing_to_gain);
  tcase_add_test(t, command);
  tcase_add_test(t, command_with_blanks);
  tcase_add_loop_test(t, command_faults, 0, (int)(sizeof faults / sizeof *faults));
  suite_add_tcase(s, t);
  return s;
}
