/* bninsert and reestimate: the same outputs with BatchNormalization put in, and the same weights once it is fused again;
 * statistics that follow the weights.
 */
#include <check.h>
#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "tests/engine/nets.h"
#include "tests/passes/images.h"
#include "tests/passes/nets.h"

Suite *suite_bninsert(void);

/* The same operators with the same constants, but for rounding. */
static void check_same_weights(const Graph *a, const Graph *b) {
  ck_assert_uint_eq(a->n_nodes, b->n_nodes);
  for (NodeId k = 0; k < a->n_nodes; k++) {
    const Node *x = &a->nodes[k], *y = &b->nodes[k];
    ck_assert(x->op == y->op && op_attrs_equal(x->op, x->attrs, y->attrs));
    for (uint32_t i = 1; i < x->n_in; i++) {
      if (x->in[i] == NO_VAL || !val_is_const(a, x->in[i])) continue;
      const float *p = val_data(a, x->in[i]), *q = val_data(b, y->in[i]);
      for (int64_t e = 0; e < shape_count(&graph_val(a, x->in[i])->shape); e++)
        ck_assert_msg(fabsf(p[e] - q[e]) <= 1e-6f * fabsf(p[e]) + 2e-6f, "node %u: %g became %g", k,
                      (double)p[e], (double)q[e]);
    }
  }
}

START_TEST(test_identity)
{
  int put_in = 0;
  for (uint64_t seed = 0; seed < 24; seed++) {
    Graph *raw = seed % 2 ? net_random_plain(seed) : net_random(seed);
    Dataset ds = images_random(raw, 40, 4, seed);
    Graph *g = images_pass(raw, NULL, "bnfuse,fuse,fold");
    Graph *with = images_pass(g, &ds, "bninsert{images=33}");
    put_in += images_count(with, OP_batch_normalization);
    ck_assert_int_ge(images_count(with, OP_batch_normalization), images_count(g, OP_batch_normalization));
    double diff = images_difference(g, with, &ds, 8);
    ck_assert_msg(diff < 1e-5, "seed %d: outputs differ by %g", (int)seed, diff);
    Graph *back = images_pass(with, NULL, "bnfuse,fuse,fold");
    ck_assert(images_difference(g, back, &ds, 8) < 1e-5);
    graph_free(raw), graph_free(g), graph_free(with), graph_free(back);
    images_free(&ds);
  }
  ck_assert_int_gt(put_in, 24);
}
END_TEST

static const char FOLDED[] = ""
                             "%1 = input : f32[N,6,6,3] \"x\"\n"
                             "%2 = const : f32[8,3,3,3] \"w\" {~}\n"
                             "%3 = const : f32[8] \"b\" {~}\n"
                             "%4 = Conv(%1, %2, %3) {pads=[1,1,1,1], act=relu} : f32[N,6,6,8] \"c\"\n"
                             "%5 = const : f32[1,3,3,8] \"dw\" {~}\n"
                             "%6 = DepthwiseConv(%4, %5) {act=relu6} : f32[N,4,4,8] \"d\"\n"
                             "%7 = Reshape(%6) {shape=[-1,128]} : f32[N,128]\n"
                             "%8 = const : f32[10,128] \"fw\" {~}\n"
                             "%9 = const : f32[10] \"fb\" {~}\n"
                             "%10 = FullyConnected(%7, %8, %9) : f32[N,10] \"f\"\n"
                             "%11 = Relu(%10) : f32[N,10]\n"
                             "%12 = const : f32[4,10] \"gw\" {~}\n"
                             "%13 = FullyConnected(%11, %12) : f32[N,4] \"g\"\n"
                             "%14 = Softmax(%13) : f32[N,4]\n"
                             "output %14\n";

START_TEST(test_weights_come_back)
{
  Graph *raw = net_parse(FOLDED, 3), *g = images_pass(raw, NULL, "fuse");
  Dataset ds = images_random(g, 64, 4, 1);
  Graph *with = images_pass(g, &ds, "bninsert"), *all = images_pass(g, &ds, "bninsert{last=1}");
  ck_assert_int_eq(images_count(with, OP_batch_normalization), 3);
  ck_assert_int_eq(images_count(all, OP_batch_normalization), 4);
  ck_assert_int_eq(images_count(with, OP_relu), 2);
  ck_assert_int_eq(images_count(with, OP_clip), 1);
  const float *w = val_data(all, all->nodes[net_find(all, OP_conv, 0)].in[1]);
  for (int o = 0; o < 8; o++) {
    double norm = 0;
    for (int i = 0; i < 27; i++) norm += (double)w[o * 27 + i] * (double)w[o * 27 + i];
    ck_assert_msg(norm >= 1 && norm < 4, "channel %d: square sum of weights %g", o, norm);
  }
  Graph *back = images_pass(all, NULL, "bnfuse,fuse");
  ck_assert_int_eq(images_count(back, OP_batch_normalization), 0);
  Graph *twice = images_pass(all, &ds, "bninsert{last=1}");
  ck_assert(hash_equal(graph_hash(twice), graph_hash(all)));
  check_same_weights(g, back);
  graph_free(raw), graph_free(g), graph_free(with), graph_free(all), graph_free(back), graph_free(twice);
  images_free(&ds);
}
END_TEST

/* The same graph with the k-th convolution's weights times `factor`. */
static Graph *scaled(const Graph *g, int k, float factor) {
  Diag *d = diag_new();
  Rewrite r;
  ValId w = g->nodes[net_find(g, OP_conv, k)].in[1];
  int64_t n = shape_count(&graph_val(g, w)->shape);
  float *x = mem_array((size_t)n, sizeof *x);
  for (int64_t i = 0; i < n; i++) x[i] = factor * ((const float *)val_data(g, w))[i];
  rewrite_begin(&r, g, NULL);
  r.map[w] = graph_const_data(r.to, "w", DT_F32, &graph_val(g, w)->shape, x);
  for (NodeId i = 0; i < g->n_nodes; i++) ck_assert(rewrite_copy(&r, &g->nodes[i], d));
  mem_free(x);
  diag_free(d);
  return rewrite_end(&r, true, NULL);
}

/* Weights three times as large change nothing behind statistics that follow; training moves what was put in. */
START_TEST(test_reestimate)
{
  Graph *raw = net_residual(1, 5), *g = images_pass(raw, NULL, "bnfuse,fuse");
  Dataset ds = images_random(g, 96, 5, 2);
  Graph *with = images_pass(g, &ds, "bninsert{images=96}"), *large = scaled(with, 2, 3);
  Graph *same = images_pass(with, &ds, "reestimate{images=96}"),
        *again = images_pass(large, &ds, "reestimate{images=96}");
  ck_assert(images_difference(with, large, &ds, 16) > 0.05);
  ck_assert_msg(images_difference(with, same, &ds, 16) < 1e-2, "%g", images_difference(with, same, &ds, 16));
  ck_assert_msg(images_difference(same, again, &ds, 16) < 1e-3, "%g",
                images_difference(same, again, &ds, 16));
  Graph *trained = images_pass(with, &ds, "distill{images=192,batch=32,lr=0.01,bn_images=96}");
  ck_assert(images_difference(with, trained, &ds, 16) > 1e-4);
  ck_assert(strstr(images_refused(g, &ds, "reestimate{images=0}"), "want a number") != NULL);
  ck_assert(strstr(images_refused(g, NULL, "bninsert"), "needs training data") != NULL);
  graph_free(raw), graph_free(g), graph_free(with), graph_free(large), graph_free(same), graph_free(again);
  graph_free(trained);
  images_free(&ds);
}
END_TEST

Suite *suite_bninsert(void) {
  Suite *s = suite_create("bninsert");
  TCase *t = tcase_create("bninsert");
  tcase_add_test(t, test_identity);
  tcase_add_test(t, test_weights_come_back);
  tcase_add_test(t, test_reestimate);
  tcase_set_timeout(t, 120);
  suite_add_tcase(s, t);
  return s;
}
