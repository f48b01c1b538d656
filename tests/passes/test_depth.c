/* depth: a block that adds next to nothing is found and goes first; the graph without it is x behind x; what is no block. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ir/base/mem.h"
#include "tests/engine/nets.h"
#include "tests/passes/images.h"
#include "tests/passes/nets.h"

Suite *suite_depth(void);

static NodeId find_add(const Graph *g, int k) { return net_find(g, OP_add, k); }

/* g with scale and bias of the BatchNormalization before Add k times `factor`. */
static Graph *weakened(const Graph *g, int k, float factor) {
  Diag *d = diag_new();
  Rewrite r;
  const Node *add = &g->nodes[find_add(g, k)], *bn = graph_def(g, add->in[0]);
  if (bn->op != OP_batch_normalization) bn = graph_def(g, add->in[1]);
  ck_assert(bn->op == OP_batch_normalization);
  rewrite_begin(&r, g, NULL);
  for (int i = 1; i < 3; i++) {
    const Value *v = graph_val(g, bn->in[i]);
    int64_t n = shape_count(&v->shape);
    float *x = mem_array((size_t)n, sizeof *x);
    for (int64_t e = 0; e < n; e++) x[e] = factor * ((const float *)val_data(g, bn->in[i]))[e];
    r.map[bn->in[i]] = graph_const_data(r.to, v->name, DT_F32, &v->shape, x);
    mem_free(x);
  }
  bool ok = true;
  for (NodeId i = 0; ok && i < g->n_nodes; i++) ok = rewrite_copy(&r, &g->nodes[i], d);
  diag_free(d);
  return rewrite_end(&r, ok, NULL);
}

/* Two blocks a stage: one of each pair leaves the shape as it is, of the first both. */
START_TEST(test_weak_block_goes)
{
  Graph *net = net_residual(2, 4);
  Dataset ds = images_random(net, 64, 5, 3);
  int adds = images_count(net, OP_add);
  for (int k = 0; k < 2; k++) {
    Graph *weak = weakened(net, k, 1e-3f), *g = images_pass(weak, &ds, "reestimate{images=64}"),
          *out = images_pass(g, &ds, "depth{blocks=1,images=64,bn_images=64}");
    ck_assert_int_eq(images_count(out, OP_add), adds - 1);
    ck_assert_int_eq(images_count(out, OP_conv), images_count(g, OP_conv) - 2);
    double diff = images_difference(g, out, &ds, 32);
    ck_assert_msg(diff < 0.01, "block %d: outputs differ by %g", k, diff);
    graph_free(weak), graph_free(g), graph_free(out);
  }
  graph_free(net);
  images_free(&ds);
}
END_TEST

START_TEST(test_limits_and_training)
{
  Graph *net = net_residual(2, 4), *g = images_pass(net, NULL, "bnfuse,fuse");
  Dataset ds = images_random(g, 64, 5, 3);
  Graph *out =
      images_pass(g, &ds, "bninsert,depth{macs=0.75,images=64,bn_images=64},distill{images=64,batch=32}");
  ck_assert(graph_macs(out) * 4 <= graph_macs(g) * 3 && images_count(out, OP_add) < images_count(g, OP_add));
  const char *said = images_refused(g, &ds, "depth{blocks=50,images=16}");
  ck_assert_msg(strstr(said, "50 blocks to drop, but there are 4"), "%s", said);
  said = images_refused(g, &ds, "depth{macs=0.01,images=16}");
  ck_assert_msg(strstr(said, "cannot be met: macs"), "%s", said);
  said = images_refused(g, &ds, "depth");
  ck_assert_msg(strstr(said, "want blocks=N, or a limit"), "%s", said);
  graph_free(net), graph_free(g), graph_free(out);
  images_free(&ds);
}
END_TEST

/* Fused activations stay; sums of two branches, and with something that does not come from x, are no blocks. */
START_TEST(test_what_is_a_block)
{
  Graph *g = net_parse("%1 = input : f32[N,4,4,6] \"x\"\n"
                       "%2 = const : f32[6,1,1,6] \"v\" {~}\n"
                       "%3 = const : f32[6,3,3,6] \"w\" {~}\n"
                       "%4 = Conv(%1, %2) : f32[N,4,4,6]\n"
                       "%5 = Conv(%4, %3) {pads=[1,1,1,1], act=relu} : f32[N,4,4,6] \"kept\"\n"
                       "%6 = Add(%5, %4) {act=relu6} : f32[N,4,4,6] \"block\"\n"
                       "%7 = Conv(%6, %2) : f32[N,4,4,6]\n"
                       "%8 = Conv(%6, %3) {pads=[1,1,1,1]} : f32[N,4,4,6]\n"
                       "%9 = Add(%7, %8) : f32[N,4,4,6] \"branches\"\n"
                       "%10 = ReduceMean(%9) {axes=[1,2], keepdims=0} : f32[N,6]\n"
                       "output %10\n",
                       5),
        *want = net_parse("%1 = input : f32[N,4,4,6] \"x\"\n"
                          "%2 = const : f32[6,1,1,6] \"v\" {~}\n"
                          "%3 = const : f32[6,3,3,6] \"w\" {~}\n"
                          "%4 = Conv(%1, %2) : f32[N,4,4,6]\n"
                          "%6 = Clip(%4) {lo=0, hi=6} : f32[N,4,4,6]\n"
                          "%7 = Conv(%6, %2) : f32[N,4,4,6]\n"
                          "%8 = Conv(%6, %3) {pads=[1,1,1,1]} : f32[N,4,4,6]\n"
                          "%9 = Add(%7, %8) : f32[N,4,4,6]\n"
                          "%10 = ReduceMean(%9) {axes=[1,2], keepdims=0} : f32[N,6]\n"
                          "output %10\n",
                          5);
  Dataset ds = images_random(g, 16, 6, 3);
  Graph *out = images_pass(g, &ds, "depth{blocks=1,images=16}");
  ck_assert(hash_equal(graph_hash(out), graph_hash(want)));
  ck_assert(strstr(images_refused(g, &ds, "depth{blocks=2,images=16}"), "but there are 1") != NULL);
  ck_assert(strstr(images_refused(g, &ds, "depth{blocks=1,images=16,keep=kept}"), "but there are 0") != NULL);
  graph_free(g), graph_free(want), graph_free(out);
  images_free(&ds);
}
END_TEST

Suite *suite_depth(void) {
  Suite *s = suite_create("depth");
  TCase *t = tcase_create("depth");
  tcase_add_test(t, test_weak_block_goes);
  tcase_add_test(t, test_limits_and_training);
  tcase_add_test(t, test_what_is_a_block);
  tcase_set_timeout(t, 120);
  suite_add_tcase(s, t);
  return s;
}
