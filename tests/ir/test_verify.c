/* The verifier: each rule is broken once. What a text can express is in tests/golden/verify: NAME.ir, named after the
 * rule, and NAME.err, the whole report. Graphs that no text can express are broken in memory here.
 */
#include "ir/base/mem.h"
#include "ir/graph.h"
#include "tests/ir/samples.h"
#include "tests/support.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER "tests/golden/verify/"

static void check_golden(const char *name) {
  char ir[600], err[600], label[400];
  snprintf(label, sizeof label, "%s.ir", name);
  snprintf(ir, sizeof ir, FOLDER "%s.ir", name);
  snprintf(err, sizeof err, FOLDER "%s.err", name);
  char *text = test_read_file(ir, NULL);
  ck_assert_ptr_nonnull(text);
  Diag *d = diag_new();
  Graph *g = graph_parse(text, label, d);
  ck_assert_msg(g == NULL, "%s is accepted", ir);
  if (test_golden_update()) test_write_file(err, diag_text(d), strlen(diag_text(d)));
  char *want = test_read_file(err, NULL);
  ck_assert_msg(want != NULL, "%s is missing (make golden-update)", err);
  ck_assert_msg(strcmp(diag_text(d), want) == 0, "%s\ngot:\n%swant:\n%s", ir, diag_text(d), want);
  free(want);
  free(text);
  diag_free(d);
}

START_TEST(golden)
{
  DIR *dir = opendir(FOLDER);
  ck_assert_ptr_nonnull(dir);
  int n = 0;
  for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
    size_t len = strlen(e->d_name);
    char name[300];
    if (len < 4 || len >= sizeof name || strcmp(e->d_name + len - 3, ".ir") != 0) continue;
    memcpy(name, e->d_name, len - 3);
    name[len - 3] = '\0';
    check_golden(name);
    n++;
  }
  closedir(dir);
  ck_assert_int_gt(n, 50);
}
END_TEST

/* x [N,2] -> relu "a" -> tanh "b" -> add(b, c) "y"; c is a constant. */
static Graph *chain(void) {
  Graph *g = graph_new("chain");
  Diag *d = diag_new();
  const float one[2] = {1, 1};
  Shape s = shape_of(2, (int64_t)DIM_BATCH, (int64_t)2), sc = shape_of(1, (int64_t)2);
  ValId x = graph_input(g, "x", DT_F32, &s);
  ValId a = graph_node1(g, OP_relu, NULL, x, "a", NULL, d);
  ValId b = graph_node1(g, OP_tanh, NULL, a, "b", NULL, d);
  ValId c = graph_const_data(g, "c", DT_F32, &sc, one);
  graph_output(g, graph_node2(g, OP_add, NULL, b, c, "y", NULL, d));
  ck_assert_msg(graph_verify(g, d), "%s", diag_text(d));
  diag_free(d);
  return g;
}

enum { X = 1, A, B, C, Y };

/* Each breaks one rule. */
static void input_id(Graph *g) { g->nodes[1].in[0] = 99; }
static void output_id(Graph *g) { g->nodes[1].out[0] = 99; }
static void two_definitions(Graph *g) { g->nodes[1].out[0] = A; }
static void arity(Graph *g) { g->nodes[1].n_in = 0; }
static void outputs(Graph *g) { g->nodes[1].n_out = 0; }
static void no_operator(Graph *g) { g->nodes[1].op = OP_COUNT; }
static void no_attributes(Graph *g) { g->nodes[1].attrs = NULL; }
static void left_out(Graph *g) { g->nodes[2].in[0] = NO_VAL; }
static void cycle(Graph *g) { g->nodes[0].in[0] = B; }
static void self_cycle(Graph *g) { g->nodes[0].in[0] = A; }
static void order(Graph *g) {
  Node n = g->nodes[0];
  g->nodes[0] = g->nodes[1];
  g->nodes[1] = n;
  g->vals[A].def = 1;
  g->vals[B].def = 0;
}
static void undefined(Graph *g) { g->nodes[0].in[0] = graph_val_new(g, "ghost", DT_F32, &g->vals[X].shape); }
static void undefined_output(Graph *g) {
  g->outputs[0] = graph_val_new(g, "ghost", DT_F32, &g->vals[X].shape);
}
static void graph_output_id(Graph *g) { g->outputs[0] = 99; }
static void no_output(Graph *g) { g->n_outputs = 0; }
static void graph_input_id(Graph *g) { g->inputs[0] = NO_VAL; }
static void input_twice(Graph *g) { graph_mark_input(g, X); }
static void input_is_computed(Graph *g) { graph_mark_input(g, B); }
static void const_is_input(Graph *g) { graph_mark_input(g, C); }
static void wild_definition(Graph *g) { g->vals[B].def = 77; }
static void stray_definition(Graph *g) {
  ValId v = graph_val_new(g, "stray", DT_F32, &g->vals[X].shape);
  g->vals[v].def = 1;
}
static void const_is_computed(Graph *g) { g->vals[A].blob = blob_new(NULL, 8); }
static void const_bytes(Graph *g) { g->vals[C].shape.d[0] = 3; }
static void const_batch(Graph *g) { g->vals[C].shape.d[0] = DIM_BATCH; }
static void no_type(Graph *g) { g->vals[X].dtype = DT_NONE; }
static void bad_type(Graph *g) { g->vals[X].dtype = DT_COUNT; }
static void rank(Graph *g) { g->vals[X].shape.rank = MAX_RANK + 1; }
static void inner_batch(Graph *g) { g->vals[X].shape.d[1] = DIM_BATCH; }
static void negative_dim(Graph *g) { g->vals[X].shape.d[1] = -5; }
static void stored_shape(Graph *g) { g->vals[B].shape.d[1] = 3; }
static void stored_type(Graph *g) { g->vals[Y].dtype = DT_I32; }
static void bad_act(Graph *g) { ATTRS(&g->nodes[2], add)->act = ACT_COUNT; }
static void quant_count(Graph *g) { g->vals[X].quant.n = -1; }

static const struct {
  void (*damage)(Graph *g);
  const char *want;
} damages[] = {
    {input_id, "chain: node 1 \"b\" (Tanh): error: Tanh: input 0 is value 99 of 6\n"},
    {output_id, "chain: node 1 \"\" (Tanh): error: Tanh: output 0 is value 99 of 6\n"},
    {two_definitions,
     "chain: node 1 \"a\" (Tanh): error: Tanh: output 0 says that another node computes it\n"},
    {arity, "Tanh: has 0 inputs, want 1 to 1\n"},
    {outputs, "Tanh: has 0 outputs, want 1\n"},
    {no_operator, "which does not exist\n"},
    {no_attributes, "Tanh: has no attributes\n"},
    {left_out, "Add: input 0 is left out, but is not optional\n"},
    {cycle, "chain: node 0 \"a\" (Relu): error: Relu: input 0 (\"b\") depends on this node: a cycle\n"},
    {self_cycle, "Relu: input 0 (\"a\") depends on this node: a cycle\n"},
    {order, "Tanh: input 0 (\"a\") is computed later: nodes want topological order\n"},
    {undefined, "Relu: input 0 (\"ghost\") is undefined: no input, no constant, and no node computes it\n"},
    {undefined_output, "chain: \"ghost\": error: graph output 0 is undefined: "},
    {graph_output_id, "chain: error: graph output 0 is value 99 of 6\n"},
    {no_output, "chain: error: the graph has no output\n"},
    {graph_input_id, "chain: error: graph input 0 is value 0 of 6\n"},
    {input_twice, "chain: \"x\": error: a graph input is listed twice\n"},
    {input_is_computed, "chain: \"b\": error: a graph input is a constant or computed by a node\n"},
    {const_is_input, "chain: \"c\": error: a graph input is a constant or computed by a node\n"},
    {wild_definition, "Tanh: output 0 says that another node computes it\n"},
    {stray_definition, "computed by node 1, which does not list it as an output\n"},
    {const_is_computed, "chain: node 0 \"a\" (Relu): error: a constant is computed by a node\n"},
    {const_bytes, "chain: \"c\": error: a constant of 8 bytes, want 12\n"},
    {const_batch, "chain: \"c\": error: a constant has a symbolic batch\n"},
    {no_type, "chain: \"x\": error: a value without element type\n"},
    {bad_type, "chain: \"x\": error: a value without element type\n"},
    {rank, "chain: \"x\": error: 9 dimensions, want 0 to 8\n"},
    {inner_batch, "dimension 1 is the symbolic batch, which is outermost alone\n"},
    {negative_dim, "a dimension is negative, or the shape larger than the IR allows\n"},
    {stored_shape, "chain: node 1 \"b\" (Tanh): error: Tanh: output 0 has shape [N,3], want [N,2]\n"},
    {stored_type, "Add: output 0 is i32, want f32\n"},
    {bad_act, "chain: node 2 \"y\" (Add): error: Add: act is 4, which is no activation\n"},
    {quant_count, "quantized, want i4, i8, u8, i16, i32 or i64\n"},
};

START_TEST(damage_in_memory)
{
  Graph *g = chain();
  Diag *d = diag_new();
  damages[_i].damage(g);
  ck_assert(!graph_verify(g, d));
  ck_assert_msg(strstr(diag_text(d), damages[_i].want) != NULL, "got:\n%swant:\n%s", diag_text(d),
                damages[_i].want);
  graph_free(g);
  diag_free(d);
}
END_TEST

START_TEST(errors_are_collected)
{
  Graph *g = graph_new("many");
  Diag *d = diag_new();
  Shape s = shape_of(1, (int64_t)4);
  ValId x = graph_input(g, "x", DT_F32, &s);
  for (int i = 0; i < 30; i++) graph_output(g, graph_node1(g, OP_relu, NULL, x, "y", NULL, d));
  ck_assert(graph_verify(g, d));
  for (int i = 0; i < 3; i++) g->vals[g->outputs[i]].shape.d[0] = 5;
  ck_assert(!graph_verify(g, d));
  ck_assert_int_eq(diag_count(d), 3);
  for (uint32_t i = 0; i < g->n_outputs; i++) g->vals[g->outputs[i]].shape.d[0] = 5;
  diag_clear(d);
  ck_assert(!graph_verify(g, d));
  int lines = 0;
  for (const char *p = diag_text(d); (p = strchr(p, '\n')) != NULL; p++) lines++;
  ck_assert_int_eq(lines, DIAG_MAX);
  graph_free(g);
  diag_free(d);
}
END_TEST

START_TEST(verify_changes_nothing)
{
  Graph *g = sample_net();
  Diag *d = diag_new();
  Hash before = graph_hash(g);
  g->vals[g->outputs[0]].shape.d[1] = 9; /* wrong: must stay so */
  ck_assert(!graph_verify(g, d));
  ck_assert_int_eq(g->vals[g->outputs[0]].shape.d[1], 9);
  g->vals[g->outputs[0]].shape.d[1] = 3;
  diag_clear(d);
  ck_assert_msg(graph_verify(g, d), "%s", diag_text(d));
  ck_assert(hash_equal(before, graph_hash(g)));
  graph_free(g);
  diag_free(d);
}
END_TEST

Suite *suite_verify(void) {
  Suite *s = suite_create("verify");
  TCase *c = tcase_create("rules");
  tcase_add_test(c, golden);
  tcase_add_loop_test(c, damage_in_memory, 0, (int)(sizeof damages / sizeof damages[0]));
  tcase_add_test(c, errors_are_collected);
  tcase_add_test(c, verify_changes_nothing);
  suite_add_tcase(s, c);
  return s;
}
