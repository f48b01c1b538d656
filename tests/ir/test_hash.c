/* graph_hash hashes meaning: names, locations, unused values and the numbering do not count; every attribute of every
 * operator, every type, every quantization parameter and every byte of a constant does.
 */
#include "ir/base/mem.h"
#include "ir/base/strbuf.h"
#include "ir/graph.h"
#include "tests/ir/samples.h"
#include "tests/support.h"

#include <string.h>

static void assert_same(const Graph *a, const Graph *b, const char *what) {
  ck_assert_msg(hash_equal(graph_hash(a), graph_hash(b)), "%s changes the hash", what);
}

static void assert_differs(const Graph *a, const Graph *b, const char *what) {
  ck_assert_msg(!hash_equal(graph_hash(a), graph_hash(b)), "%s does not change the hash", what);
}

START_TEST(clone_is_equal)
{
  Graph *g = sample_net(), *c = graph_clone(g);
  assert_same(g, c, "cloning");
  graph_free(g);
  graph_free(c);
}
END_TEST

START_TEST(names_and_places_do_not_count)
{
  Graph *g = sample_net(), *c = graph_clone(g);
  c->name = NULL;
  for (ValId v = 1; v < c->n_vals; v++) c->vals[v].name = "other";
  for (NodeId k = 0; k < c->n_nodes; k++)
    c->nodes[k].loc = (Loc){.file = "other.onnx", .line = 3, .pass = "fold"};
  assert_same(g, c, "a name or place");
  graph_free(g);
  graph_free(c);
}
END_TEST

START_TEST(dead_things_do_not_count)
{
  Graph *g = sample_net(), *c = graph_clone(g);
  Diag *d = diag_new();
  const float one = 1;
  Shape s = shape_of(1, (int64_t)1);
  ValId k = graph_const_data(c, NULL, DT_F32, &s, &one);
  ck_assert_uint_ne(graph_node1(c, OP_relu, NULL, k, NULL, NULL, d), NO_VAL);
  assert_same(g, c, "a node that nobody needs");
  graph_free(g);
  graph_free(c);
  diag_free(d);
}
END_TEST

/* The same text with other ids and with its constants elsewhere. */
START_TEST(numbering_does_not_count)
{
  static const char *const texts[2] = {
      "graph\n%x = input : f32[2]\n%a = const : f32[2] {1, 2}\n%b = const : f32[2] {3, 4}\n"
      "%y = Add(%x, %a)\n%z = Mul(%y, %b)\noutput %z\n",
      "graph\n%9 = const : f32[2] {3, 4}\n%x = input : f32[2]\n%unused = const : i8[1] {1}\n"
      "%a = const : f32[2] {1, 2}\n%y = Add(%x, %a)\n%z = Mul(%y, %9)\noutput %z\n"};
  Diag *d = diag_new();
  Graph *g = graph_parse(texts[0], "a", d), *c = graph_parse(texts[1], "b", d);
  ck_assert_msg(g != NULL && c != NULL, "%s", diag_text(d));
  assert_same(g, c, "the order of constants");
  graph_free(g);
  graph_free(c);
  diag_free(d);
}
END_TEST

/* Another value of the attribute, valid or not: the hash does not judge. */
static void change_attr(const AttrDesc *a, void *attrs) {
  char *field = (char *)attrs + a->offset;
  if (a->kind == ATTR_INTS) {
    Ints *v = (void *)field;
    if (v->n > 0)
      v->v[v->n - 1]++;
    else
      v->v[v->n++] = 0;
    return;
  }
  if (a->kind == ATTR_FLTS) {
    Floats *v = (void *)field;
    if (v->n == 0) v->n = 1;
    v->v[v->n - 1] += 1;
    return;
  }
  uint32_t bits;
  memcpy(&bits, field, sizeof bits);
  bits ^= 1; /* the next integer, activation, type; the last bit of a float */
  memcpy(field, &bits, sizeof bits);
}

START_TEST(every_attribute_counts)
{
  Graph *g = sample_graph(&samples[_i]);
  const OpInfo *info = op_info(g->nodes[0].op);
  for (int i = 0; i < info->n_attrs; i++) {
    char what[80];
    Graph *c = graph_clone(g);
    snprintf(what, sizeof what, "%s.%s", info->name, info->attrs[i].name);
    change_attr(&info->attrs[i], c->nodes[0].attrs);
    ck_assert_msg(!op_attrs_equal(g->nodes[0].op, g->nodes[0].attrs, c->nodes[0].attrs), "%s compares equal",
                  what);
    assert_differs(g, c, what);
    graph_free(c);
  }
  graph_free(g);
}
END_TEST

START_TEST(operators_differ)
{
  for (int i = 0; i < n_samples; i++) {
    Graph *a = sample_graph(&samples[i]);
    for (int k = 0; k < i; k++) {
      Graph *b = sample_graph(&samples[k]);
      assert_differs(a, b, op_info(samples[i].op)->name);
      graph_free(b);
    }
    graph_free(a);
  }
}
END_TEST

START_TEST(every_constant_byte_counts)
{
  Graph *g = sample_net();
  for (uint32_t k = 0; k < g->n_nodes; k++) {
    for (uint32_t i = 0; i < g->nodes[k].n_in; i++) {
      ValId v = g->nodes[k].in[i];
      if (!val_is_const(g, v)) continue;
      for (size_t at = 0; at < val_bytes(g, v); at++) {
        Graph *c = graph_clone(g);
        unsigned char *bytes = mem_alloc(val_bytes(g, v));
        memcpy(bytes, val_data(g, v), val_bytes(g, v));
        bytes[at] ^= 1;
        blob_unref(c->vals[v].blob);
        c->vals[v].blob = blob_adopt(bytes, val_bytes(g, v));
        assert_differs(g, c, "a constant's byte");
        graph_free(c);
      }
    }
  }
  graph_free(g);
}
END_TEST

static Quant other_quant(Graph *g, const Quant *q, int part, int i) {
  Graph *t = g;
  float *scale = arena_dup(t->arena, q->scale, (size_t)q->n * sizeof *scale);
  int32_t *zero = arena_dup(t->arena, q->zero, (size_t)q->n * sizeof *zero);
  if (part == 0)
    scale[i] *= 1.0000001f;
  else
    zero[i]++;
  return (Quant){q->n, q->axis, scale, zero};
}

START_TEST(types_and_quantization_count)
{
  Graph *g = sample_net();
  for (ValId v = 1; v < g->n_vals; v++) {
    if (g->vals[v].dtype == DT_F32 && val_is_const(g, v)) continue; /* the unused one */
    Graph *c = graph_clone(g);
    c->vals[v].shape.d[0] = 77;
    assert_differs(g, c, "a dimension");
    graph_free(c);
    c = graph_clone(g);
    c->vals[v].dtype = DT_U8;
    assert_differs(g, c, "an element type");
    graph_free(c);
    for (int i = 0; i < g->vals[v].quant.n * 2; i++) {
      c = graph_clone(g);
      c->vals[v].quant = other_quant(c, &g->vals[v].quant, i % 2, i / 2);
      assert_differs(g, c, i % 2 ? "a zero point" : "a scale");
      graph_free(c);
    }
    if (g->vals[v].quant.n > 1) {
      c = graph_clone(g);
      c->vals[v].quant.axis = 1;
      assert_differs(g, c, "the quantization axis");
      graph_free(c);
    }
  }
  graph_free(g);
}
END_TEST

START_TEST(wiring_counts)
{
  Graph *g = sample_net(), *c = graph_clone(g);
  c->outputs[0] = g->outputs[1];
  c->outputs[1] = g->outputs[0];
  assert_differs(g, c, "the order of outputs");
  graph_free(c);
  for (NodeId k = 0; k < g->n_nodes; k++) {
    if (g->nodes[k].n_in < 2) continue;
    c = graph_clone(g);
    c->nodes[k].in[0] = g->nodes[k].in[1];
    c->nodes[k].in[1] = g->nodes[k].in[0];
    assert_differs(g, c, "the order of inputs");
    graph_free(c);
  }
  graph_free(g);
}
END_TEST

Suite *suite_hash(void) {
  Suite *s = suite_create("hash");
  TCase *c = tcase_create("meaning alone");
  tcase_add_test(c, clone_is_equal);
  tcase_add_test(c, names_and_places_do_not_count);
  tcase_add_test(c, dead_things_do_not_count);
  tcase_add_test(c, numbering_does_not_count);
  suite_add_tcase(s, c);
  c = tcase_create("all of the meaning");
  tcase_add_loop_test(c, every_attribute_counts, 0, n_samples);
  tcase_add_test(c, operators_differ);
  tcase_add_test(c, every_constant_byte_counts);
  tcase_add_test(c, types_and_quantization_count);
  tcase_add_test(c, wiring_counts);
  suite_add_tcase(s, c);
  return s;
}
