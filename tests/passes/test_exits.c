/* exits: heads that answer as the model does, the model as it was; one scale for the outputs in int8. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "runtime/engine/head.h"
#include "tests/engine/nets.h"
#include "tests/passes/images.h"
#include "tests/support.h"

Suite *suite_exits(void);

/* A head for a teacher that is linear itself, but noisy: found again. */
START_TEST(a_linear_teacher_is_found_again)
{
  enum { ROWS = 400, CHANNELS = 12, CLASSES = 5 };
  float *x = mem_array(ROWS * CHANNELS, sizeof *x), *z = mem_array(ROWS * CLASSES, sizeof *z),
        w[CLASSES * CHANNELS], b[CLASSES], own[CLASSES * CHANNELS], own_b[CLASSES], y[CLASSES];
  Rng r;
  rng_seed(&r, 5, 0);
  for (int i = 0; i < CLASSES * CHANNELS; i++) w[i] = rng_normal(&r);
  for (int i = 0; i < CLASSES; i++) b[i] = rng_normal(&r);
  for (int i = 0; i < ROWS; i++) {
    for (int c = 0; c < CHANNELS; c++) x[i * CHANNELS + c] = 3 + (float)(c + 1) * rng_normal(&r);
    head_answer(x + i * CHANNELS, CHANNELS, w, b, CLASSES, z + i * CLASSES);
  }
  HeadOptions o;
  head_options_default(&o);
  head_fit(x, ROWS, CHANNELS, z, NULL, CLASSES, &o, own, own_b);
  int same = 0;
  for (int i = 0; i < ROWS; i++) {
    int best = 0, want = 0;
    head_answer(x + i * CHANNELS, CHANNELS, own, own_b, CLASSES, y);
    for (int k = 1; k < CLASSES; k++) {
      if (y[k] > y[best]) best = k;
      if (z[i * CLASSES + k] > z[i * CLASSES + want]) want = k;
    }
    same += best == want;
  }
  ck_assert_int_ge(same, ROWS * 98 / 100);
  mem_free(x);
  mem_free(z);
}
END_TEST

static const char text[] =
    "%1 = input : f32[N,8,8,3] \"x\"\n"
    "%2 = const : f32[8,3,3,3] {~}\n"
    "%3 = Conv(%1, %2) {pads=[1,1,1,1], act=relu} : f32[N,8,8,8] \"early\"\n"
    "%4 = const : f32[16,3,3,8] {~}\n"
    "%5 = Conv(%3, %4) {pads=[1,1,1,1], strides=[2,2], act=relu} : f32[N,4,4,16] \"late\"\n"
    "%6 = const : f32[16,3,3,16] {~}\n"
    "%7 = Conv(%5, %6) {pads=[1,1,1,1], act=relu}\n"
    "%8 = ReduceMean(%7) {axes=[1,2], keepdims=0}\n"
    "%9 = const : f32[4,16] {~}\n"
    "%10 = FullyConnected(%8, %9) : f32[N,4] \"logits\"\n"
    "output %10\n";

START_TEST(heads_and_model)
{
  Graph *net = net_parse(text, 3);
  Dataset ds = images_random(net, 512, 4, 3);
  Graph *trained = images_pass(net, &ds, "distill{images=2048,batch=32,mix=0,lr=0.05}");
  Graph *g = images_pass(trained, &ds, "exits{at=late;early,images=512,epochs=20}");
  ck_assert_uint_eq(g->n_outputs, 3);
  ck_assert_str_eq(graph_val(g, g->outputs[0])->name, "exit0");
  ck_assert_str_eq(graph_val(g, g->outputs[2])->name, "logits");
  ck_assert_int_eq(shape_count(&graph_val(g, graph_def(g, g->outputs[0])->in[1])->shape),
                   4 * 8); /* early first */
  /* right on its own data: the model, then the exits */
  Accuracy whole, exit;
  Diag *d = diag_new();
  ck_assert(graph_accuracy(g, &ds.train, &ds.spec.normalize, 1, NULL, &whole, NULL, d));
  ck_assert_msg(whole.top1 > 0.6, "the model learned %g", whole.top1);
  for (uint32_t o = 0; o < 2; o++) {
    Graph *only = graph_clone(g);
    only->outputs[0] = only->outputs[o];
    only->n_outputs = 1;
    Graph *cut = images_pass(only, NULL, "dce");
    ck_assert(graph_macs(cut) < graph_macs(trained));
    ck_assert(graph_accuracy(cut, &ds.train, &ds.spec.normalize, 1, NULL, &exit, NULL, d));
    ck_assert_msg(exit.top1 > 0.4, "exit %u is right by %g", o, exit.top1);
    graph_free(cut);
    graph_free(only);
  }
  /* the model as it was */
  Graph *rest = graph_clone(g);
  rest->outputs[0] = rest->outputs[2];
  rest->n_outputs = 1;
  Graph *same = images_pass(rest, NULL, "dce");
  Hash a = graph_hash(same), b = graph_hash(trained);
  ck_assert(memcmp(&a, &b, sizeof a) == 0);
  /* int8 */
  Graph *q = images_pass(g, &ds, "quantize{images=64},exits_join");
  for (uint32_t o = 1; o < 3; o++) {
    const Value *x = graph_val(q, q->outputs[0]), *y = graph_val(q, q->outputs[o]);
    ck_assert(y->dtype == DT_I8 && x->quant.scale[0] == y->quant.scale[0] &&
              x->quant.zero[0] == y->quant.zero[0]);
  }
  diag_free(d);
  graph_free(net), graph_free(trained), graph_free(g), graph_free(rest), graph_free(same), graph_free(q);
  images_free(&ds);
}
END_TEST

START_TEST(what_is_refused)
{
  Graph *net = net_parse(text, 3);
  Dataset ds = images_random(net, 64, 4, 3);
  ck_assert(strstr(images_refused(net, &ds, "exits"), "want at=VALUE"));
  ck_assert(strstr(images_refused(net, &ds, "exits{at=nowhere}"), "no layer gives \"nowhere\""));
  ck_assert(strstr(images_refused(net, &ds, "exits{at=early;early}"), "named twice"));
  ck_assert(strstr(images_refused(net, &ds, "exits{at=logits}"), "before the model's output"));
  ck_assert(strstr(images_refused(net, &ds, "exits{at=early,mix=2}"), "mix=0 to 1"));
  ck_assert(
      strstr(images_refused(net, &ds, "exits{at=early},exits{at=late}"), "2 outputs; want one of each"));
  Graph *same = images_pass(net, NULL, "exits_join"); /* floats stay as they are */
  Hash a = graph_hash(net), b = graph_hash(same);
  ck_assert(memcmp(&a, &b, sizeof a) == 0);
  graph_free(same);
  graph_free(net);
  images_free(&ds);
}
END_TEST

Suite *suite_exits(void) {
  Suite *s = suite_create("exits");
  TCase *t = tcase_create("exits");
  tcase_set_timeout(t, 60);
  tcase_add_test(t, a_linear_teacher_is_found_again);
  tcase_add_test(t, heads_and_model);
  tcase_add_test(t, what_is_refused);
  suite_add_tcase(s, t);
  return s;
}
