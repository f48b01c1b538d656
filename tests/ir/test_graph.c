/* Building, asking, rewriting, and changing the batch of graphs. */
#include "ir/base/strbuf.h"
#include "ir/graph.h"
#include "tests/ir/samples.h"
#include "tests/support.h"

#include <string.h>

static Graph *parse(const char *text) {
  Diag *d = diag_new();
  Graph *g = graph_parse(text, "t.ir", d);
  ck_assert_msg(g != NULL, "%s", diag_text(d));
  diag_free(d);
  return g;
}

static void assert_shape(const Graph *g, ValId v, const char *want) {
  char got[192];
  shape_format(&g->vals[v].shape, got, sizeof got);
  ck_assert_str_eq(got, want);
}

static void assert_text(const Graph *g, const char *want) {
  StrBuf text = {0};
  graph_print(g, &text, SIZE_MAX);
  ck_assert_str_eq(sb_str(&text), want);
  sb_free(&text);
}

START_TEST(build_and_ask)
{
  Graph *g = graph_new("net");
  Diag *d = diag_new();
  const float w[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  Shape sx = shape_of(2, (int64_t)DIM_BATCH, (int64_t)4), sw = shape_of(2, (int64_t)2, (int64_t)4);
  ValId x = graph_input(g, "x", DT_F32, &sx), k = graph_const_data(g, "w", DT_F32, &sw, w);
  ValId y = graph_node2(g, OP_fully_connected, NULL, x, k, "y", NULL, d);
  ValId z = graph_node2(g, OP_add, NULL, y, y, "z", NULL, d);
  graph_output(g, z);
  graph_output(g, y);
  ck_assert_msg(z != NO_VAL && graph_verify(g, d), "%s", diag_text(d));
  assert_shape(g, z, "[N,2]");
  ck_assert_ptr_eq(graph_def(g, y), &g->nodes[0]);
  ck_assert_ptr_null(graph_def(g, x));
  ck_assert(val_is_const(g, k) && !val_is_const(g, x) && !val_is_const(g, NO_VAL));
  ck_assert_mem_eq(val_data(g, k), w, sizeof w);
  ck_assert_uint_eq(val_bytes(g, z), 8); /* the batch counts as 1 */
  ck_assert_int_eq(graph_macs(g), 8);
  ck_assert_int_eq(graph_params(g), 8);
  Arena *a = arena_new();
  const uint32_t *uses = graph_uses(g, a);
  ck_assert_uint_eq(uses[x], 1);
  ck_assert_uint_eq(uses[y], 2); /* one node (that reads it twice) and one output */
  ck_assert_uint_eq(uses[z], 1);
  arena_free(a);
  graph_free(g);
  diag_free(d);
}
END_TEST

START_TEST(failed_node_leaves_nothing)
{
  Graph *g = graph_new("net");
  Diag *d = diag_new();
  const Loc loc = {.file = "m.onnx", .node = 3, .name = "add", .op = "Add"};
  Shape s2 = shape_of(1, (int64_t)2), s3 = shape_of(1, (int64_t)3);
  ValId a = graph_input(g, "a", DT_F32, &s2), b = graph_input(g, "b", DT_F32, &s3);
  ck_assert_uint_eq(graph_node2(g, OP_add, NULL, a, b, "y", &loc, d), NO_VAL);
  ck_assert_str_eq(diag_text(d),
                   "m.onnx: node 3 \"add\" (Add): error: Add: shapes [2] and [3] do not broadcast\n");
  ck_assert_uint_eq(g->n_nodes, 0);
  ck_assert_uint_eq(g->n_vals, 3);
  graph_free(g);
  diag_free(d);
}
END_TEST

static const struct {
  const char *text;
  int64_t macs, params;
} counted[] = {
    {"graph\n%x = input : f32[N,8,8,4]\n%w = input : f32[6,3,3,2]\n%y = Conv(%x, %w) {group=2}\noutput %y\n",
     6 * 6 * 6 * 9 * 2, 0},
    {"graph\n%x = input : f32[1,8,8,2]\n%w = const : f32[1,1,1,4] {1, 2, 3, 4}\n%b = const : f32[4] {1, 2, "
     "3, 4}\n"
     "%y = DepthwiseConv(%x, %w, %b)\n%z = DepthwiseConv(%x, %w, %b)\n%s = Add(%y, %z)\noutput %s\n",
     2 * 8 * 8 * 4, 8},
    {"graph\n%x = input : f32[5,3,4]\n%w = input : f32[4,7]\n%y = MatMul(%x, %w)\noutput %y\n", 5 * 3 * 4 * 7,
     0},
    {"graph\n%x = input : f32[5,4]\n%w = input : f32[7,4]\n%y = FullyConnected(%x, %w)\noutput %y\n",
     5 * 4 * 7, 0},
};

START_TEST(macs_and_params)
{
  Graph *g = parse(counted[_i].text);
  ck_assert_int_eq(graph_macs(g), counted[_i].macs);
  ck_assert_int_eq(graph_params(g), counted[_i].params);
  graph_free(g);
}
END_TEST

START_TEST(rewrite_drops_what_nobody_needs)
{
  Graph *g = parse("graph\n%x = input : f32[N,2]\n%unused = input : f32[3]\n%c = const : f32[2] {1, 2}\n"
                   "%dead = Mul(%x, %c)\n%r = Relu(%x)\n%s = Sigmoid(%r) : f32[N,2] \"s\"\noutput %s\n");
  Diag *d = diag_new();
  Rewrite r;
  rewrite_begin(&r, g, "drop");
  bool ok = true;
  for (uint32_t k = 0; k < g->n_nodes && ok; k++) {
    const Node *n = &g->nodes[k];
    if (n->op == OP_relu)
      r.map[n->out[0]] = rewrite_val(&r, n->in[0]); /* leave the Relu out */
    else
      ok = rewrite_copy(&r, n, d);
  }
  Graph *done = rewrite_end(&r, ok, d);
  ck_assert_msg(done != NULL && graph_verify(done, d), "%s", diag_text(d));
  assert_text(done, "graph\n%1 = input : f32[N,2]\n%2 = input : f32[3]\n%3 = Sigmoid(%1) : f32[N,2] \"s\"\n"
                    "output %3\n");
  ck_assert_uint_eq(done->n_vals, 4);
  graph_free(g);
  graph_free(done);
  diag_free(d);
}
END_TEST

START_TEST(rewrite_copies_everything)
{
  for (int i = 0; i < n_samples; i++) {
    Graph *g = sample_graph(&samples[i]);
    Diag *d = diag_new();
    Rewrite r;
    rewrite_begin(&r, g, NULL);
    bool ok = true;
    for (uint32_t k = 0; k < g->n_nodes && ok; k++) ok = rewrite_copy(&r, &g->nodes[k], d);
    Graph *copy = rewrite_end(&r, ok, d);
    ck_assert_msg(copy != NULL, "%s", diag_text(d));
    StrBuf text = {0};
    graph_print(g, &text, SIZE_MAX);
    assert_text(copy, sb_str(&text));
    sb_free(&text);
    graph_free(copy);
    graph_free(g);
    diag_free(d);
  }
}
END_TEST

START_TEST(failed_rewrite_gives_null)
{
  Graph *g = sample_net();
  Diag *d = diag_new();
  Rewrite r;
  rewrite_begin(&r, g, NULL);
  ck_assert_ptr_null(rewrite_end(&r, false, d));
  graph_free(g);
  diag_free(d);
}
END_TEST

START_TEST(one_output_and_what_it_needs)
{
  static const char text[] =
      "graph\n%1 = input : f32[2] \"x\"\n%2 = Relu(%1) : f32[2]\n%3 = Sigmoid(%2) : f32[2]\n"
      "%4 = Tanh(%2) : f32[2]\noutput %4, %3\n";
  Diag *d = diag_new();
  Graph *g = parse(text);
  for (uint32_t o = 0; o < 2; o++) {
    Graph *one = graph_with_output(g, o);
    ck_assert(graph_verify(one, d) && one->n_outputs == 1 && one->n_nodes == 2 && one->n_inputs == 1);
    ck_assert_int_eq(graph_def(one, one->outputs[0])->op, o ? OP_sigmoid : OP_tanh);
    graph_free(one);
  }
  Graph *first = graph_with_outputs(g, 1), *both = graph_with_outputs(g, 2);
  ck_assert(graph_verify(first, d) && first->n_outputs == 1 && first->n_nodes == 2);
  ck_assert_int_eq(graph_def(first, first->outputs[0])->op, OP_tanh);
  ck_assert(both->n_outputs == 2 && both->n_nodes == 3);
  graph_free(first), graph_free(both);
  ck_assert_uint_eq(g->n_outputs, 2);
  graph_free(g);
  diag_free(d);
}
END_TEST

START_TEST(clone_outlives_its_source)
{
  Graph *g = sample_net(), *c = graph_clone(g);
  StrBuf text = {0};
  graph_print(g, &text, SIZE_MAX);
  ck_assert_uint_eq(c->n_vals, g->n_vals);
  graph_free(g);
  assert_text(c, sb_str(&text));
  graph_free(c);
  sb_free(&text);
}
END_TEST

/* A fixed batch of 1 that Reshape and Slice hold as a number. */
static const char fixed_net[] = "graph\n"
                                "%x = input : f32[1,4,4,2]\n"
                                "%s = Slice(%x) {starts=[0,0,0,0], counts=[1,4,4,1], steps=[1,1,1,1]}\n"
                                "%m = MaxPool(%s) {kernel=[2,2], strides=[2,2]}\n"
                                "%f = Reshape(%m) {shape=[1,4]}\n"
                                "%g = Reshape(%f) {shape=[1,-1]}\n"
                                "%w = const : f32[1,4] {1, 2, 3, 4}\n"
                                "%k = Reshape(%w) {shape=[1,4]}\n"
                                "%a = Mul(%g, %k)\n"
                                "output %a\n";

START_TEST(batch_is_changed)
{
  Graph *g = parse(fixed_net);
  Diag *d = diag_new();
  Graph *sym = graph_with_batch(g, DIM_BATCH, d), *five = graph_with_batch(g, 5, d), *one = NULL;
  ck_assert_msg(sym != NULL && five != NULL, "%s", diag_text(d));
  ck_assert_msg(graph_verify(sym, d) && graph_verify(five, d), "%s", diag_text(d));
  assert_shape(sym, sym->inputs[0], "[N,4,4,2]");
  assert_shape(sym, sym->outputs[0], "[N,4]");
  assert_shape(five, five->inputs[0], "[5,4,4,2]");
  assert_shape(five, five->outputs[0], "[5,4]");
  Graph *seven = graph_with_batch(five, 7, d); /* a batch that is not 1 */
  ck_assert_msg(seven != NULL && graph_verify(seven, d), "%s", diag_text(d));
  assert_shape(seven, seven->outputs[0], "[7,4]");
  one = graph_with_batch(seven, 1, d);
  ck_assert_msg(one != NULL && graph_verify(one, d), "%s", diag_text(d));
  assert_shape(one, one->outputs[0], "[1,4]");
  graph_free(g);
  graph_free(sym);
  graph_free(five);
  graph_free(seven);
  graph_free(one);
  diag_free(d);
}
END_TEST

START_TEST(net_is_bound)
{
  Graph *g = sample_net();
  Diag *d = diag_new();
  Graph *three = graph_with_batch(g, 3, d);
  ck_assert_msg(three != NULL && graph_verify(three, d), "%s", diag_text(d));
  assert_shape(three, three->outputs[0], "[3,3]");
  Graph *back = graph_with_batch(three, DIM_BATCH, d);
  ck_assert_msg(back != NULL, "%s", diag_text(d));
  ck_assert(hash_equal(graph_hash(back), graph_hash(g)));
  graph_free(g);
  graph_free(three);
  graph_free(back);
  diag_free(d);
}
END_TEST

static const struct {
  const char *text, *want;
} mixing[] = {
    {"graph\n%x = input : f32[1,4]\n%y = Softmax(%x) {axis=0}\noutput %y\n", "a sum over axis 0 would mix"},
    {"graph\n%x = input : f32[1,4]\n%y = Transpose(%x) {perm=[1,0]}\noutput %y\n", "output [4,N] would mix"},
    {"graph\n%x = input : f32[1,2,4]\n%y = Reshape(%x) {shape=[2,4]}\noutput %y\n", "Reshape: "},
    {"graph\n%x = input : f32[1,2,4]\n%y = Reshape(%x) {shape=[-1,4]}\noutput %y\n",
     "another number of elements"},
    {"graph\n%x = input : f32[1,4]\n%y = ReduceMean(%x) {axes=[0]}\noutput %y\n",
     "a mean over axis 0 would mix"},
    {"graph\n%x = input : f32[1,4]\n%y = Concat(%x, %x)\noutput %y\n", "joining along axis 0 would mix"},
    {"graph\n%x = input : f32[1,4]\n%y = Pad(%x) {pads=[0,0,1,0]}\noutput %y\n", "padding axis 0 would mix"},
    {"graph\n%x = input : f32[2,4]\n%y = Slice(%x) {starts=[1,0], counts=[1,4], steps=[1,1]}\noutput %y\n",
     "a slice of axis 0 would mix"},
    {"graph\n%x = input : f32[2,4]\n%y = input : f32[3,4]\noutput %x, %y\n", "inputs start with 2 and 3"},
};

START_TEST(mixed_batch_is_refused)
{
  Graph *g = parse(mixing[_i].text);
  Diag *d = diag_new();
  ck_assert_ptr_null(graph_with_batch(g, 5, d));
  ck_assert_int_eq(diag_count(d), 1);
  ck_assert_msg(strstr(diag_text(d), mixing[_i].want) != NULL, "got %swant %s", diag_text(d),
                mixing[_i].want);
  graph_free(g);
  diag_free(d);
}
END_TEST

START_TEST(impossible_batch_is_refused)
{
  Graph *g = parse(fixed_net);
  Diag *d = diag_new();
  ck_assert_ptr_null(graph_with_batch(g, 0, d));
  ck_assert_ptr_nonnull(strstr(diag_text(d), "batch of 0, want 1 to"));
  graph_free(g);
  diag_free(d);
}
END_TEST

START_TEST(quantization_is_handed_on)
{
  Graph *g =
      parse("graph\n%x = input : i8[N,2,2,3] q(0.5, 7)\n%p = MaxPool(%x)\n%r = Relu(%p)\n%c = Clip(%r)\n"
            "%t = Transpose(%c) {perm=[0,3,1,2]}\n%s = Reshape(%t) {shape=[-1,12]}\noutput %s\n");
  const Quant *q = &g->vals[g->outputs[0]].quant;
  ck_assert_int_eq(q->n, 1);
  ck_assert(q->scale[0] == 0.5f && q->zero[0] == 7);
  graph_free(g);
  g = parse("graph\n%w = const : i8[2,1,1,3] q(axis=3, 1 0, 2 0, 3 0) {1, 2, 3, 4, 5, 6}\n"
            "%t = Transpose(%w) {perm=[3,1,2,0]}\n%r = Reshape(%t) {shape=[3,2]}\noutput %r\n");
  q = &g->vals[g->outputs[0]].quant;
  ck_assert_int_eq(q->n, 3);
  ck_assert_int_eq(q->axis, 0);
  graph_free(g);
}
END_TEST

/* A shape that is handed in may be one of the graph's own, which moves when the graph grows. */
START_TEST(shapes_of_the_graph_itself)
{
  Graph *g = graph_new("grows");
  Shape s = shape_of(2, (int64_t)3, (int64_t)5);
  ValId v = graph_input(g, "x", DT_F32, &s);
  for (int i = 0; i < 1000; i++) {
    v = graph_const(g, NULL, DT_I8, &graph_val(g, v)->shape, blob_new(NULL, 15));
    ck_assert(shape_equal(&graph_val(g, v)->shape, &s));
  }
  graph_free(g);
}
END_TEST

Suite *suite_graph(void) {
  Suite *s = suite_create("graph");
  TCase *c = tcase_create("building");
  tcase_add_test(c, build_and_ask);
  tcase_add_test(c, shapes_of_the_graph_itself);
  tcase_add_test(c, failed_node_leaves_nothing);
  tcase_add_loop_test(c, macs_and_params, 0, (int)(sizeof counted / sizeof counted[0]));
  tcase_add_test(c, quantization_is_handed_on);
  suite_add_tcase(s, c);
  c = tcase_create("rewriting");
  tcase_add_test(c, rewrite_drops_what_nobody_needs);
  tcase_add_test(c, rewrite_copies_everything);
  tcase_add_test(c, failed_rewrite_gives_null);
  tcase_add_test(c, one_output_and_what_it_needs);
  tcase_add_test(c, clone_outlives_its_source);
  suite_add_tcase(s, c);
  c = tcase_create("batch");
  tcase_add_test(c, batch_is_changed);
  tcase_add_test(c, net_is_bound);
  tcase_add_loop_test(c, mixed_batch_is_refused, 0, (int)(sizeof mixing / sizeof mixing[0]));
  tcase_add_test(c, impossible_batch_is_refused);
  suite_add_tcase(s, c);
  return s;
}
