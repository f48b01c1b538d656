/* resolution: graphs for smaller images, data that follow through every pass, what is refused and where. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ir/base/mem.h"
#include "runtime/data/input_map.h"
#include "runtime/data/resize.h"
#include "runtime/engine/divergence.h"
#include "tests/engine/nets.h"
#include "tests/passes/images.h"
#include "tests/passes/nets.h"

Suite *suite_resolution(void);

static int64_t input_side(const Graph *g, int axis) { return graph_val(g, g->inputs[0])->shape.d[axis]; }

/* The whole data set of g's size, resized beforehand. */
static Dataset smaller(const Dataset *ds, int h, int w) {
  const Shape *s = &ds->train.item;
  Dataset out = *ds;
  out.train.item = shape_of(3, (int64_t)h, (int64_t)w, s->d[2]);
  int64_t item = shape_count(&out.train.item), from = shape_count(s);
  Resizer *r = resizer_new((int)s->d[0], (int)s->d[1], h, w);
  float *x = mem_array((size_t)(item * ds->train.n), sizeof *x),
        *scratch = mem_array(resizer_scratch(r, (int)s->d[2]), sizeof *scratch);
  for (uint32_t i = 0; i < ds->train.n; i++)
    resizer_run(r, (const float *)ds->train.x + i * from, x + i * item, (int)s->d[2], scratch);
  out.train.x = x;
  out.train.xb = blob_adopt(x, (size_t)(item * ds->train.n) * sizeof *x);
  out.train.yb = blob_ref(ds->train.yb);
  mem_free(scratch);
  resizer_free(r);
  return out;
}

/* What passes make of a smaller graph on the data as they are is what they make of it on data resized beforehand. */
START_TEST(test_data_follow)
{
  Graph *net = net_residual(2, 3);
  Dataset ds = images_random(net, 64, 5, 1), small = smaller(&ds, 6, 6);
  Graph *g = images_pass(net, NULL, "resolution{size=6}");
  ck_assert(input_side(g, 1) == 6 && input_side(g, 2) == 6 && graph_macs(g) < graph_macs(net));
  ck_assert_int_eq(graph_params(g), graph_params(net));
  static const char *const pipelines[] = {
      "reestimate{images=64}", "distill{images=128,batch=32,bn_images=64,mix=0}",
      "reestimate{images=64},bnfuse,fuse,fold,quantize{images=32}", "depth{blocks=1,images=32,bn_images=32}",
      "lowrank{macs=0.8,images=64,steps=2}"};
  for (size_t i = 0; i < sizeof pipelines / sizeof *pipelines; i++) {
    Graph *a = images_pass(g, &ds, pipelines[i]), *b = images_pass(g, &small, pipelines[i]);
    ck_assert_msg(hash_equal(graph_hash(a), graph_hash(b)), "%s", pipelines[i]);
    Diag *d = diag_new();
    Accuracy x, y;
    ck_assert(graph_accuracy(a, &ds.train, &ds.spec.normalize, 2, NULL, &x, NULL, d) &&
              graph_accuracy(b, &small.train, &ds.spec.normalize, 2, NULL, &y, NULL, d));
    ck_assert_uint_eq(x.correct, y.correct);
    diag_free(d);
    graph_free(a), graph_free(b);
  }
  graph_free(net), graph_free(g);
  images_free(&ds), images_free(&small);
}
END_TEST

/* A teacher of the full size teaches a student of the smaller one, and is what it is compared with; images grow to the
 * student's own size. */
START_TEST(test_full_size_teacher)
{
  Graph *net = net_residual(1, 3);
  Dataset ds = images_random(net, 64, 5, 1);
  Graph *g = images_pass(net, &ds, "resolution{share=0.75,steps=2},reestimate{images=64}");
  Graph *taught = images_pass(
      net, &ds, "resolution{size=6x6},distill{images=128,batch=32,bn_images=64,grow=0.5,grow_stages=2}");
  Divergence same, other, learnt;
  Diag *d = diag_new();
  ck_assert_msg(graph_divergence(g, g, &ds, 0, 64, NULL, &same, d) &&
                    graph_divergence(net, g, &ds, 0, 64, NULL, &other, d) &&
                    graph_divergence(net, taught, &ds, 0, 64, NULL, &learnt, d),
                "%s", diag_text(d));
  ck_assert(fabs(same.value) < 1e-9 && other.value > 0.01 && input_side(taught, 1) == 6);
  ck_assert_msg(learnt.value > 0.001 && learnt.value < 10, "%g", learnt.value);
  diag_free(d);
  graph_free(net), graph_free(g), graph_free(taught);
  images_free(&ds);
}
END_TEST

START_TEST(test_limits)
{
  Graph *net = net_residual(1, 3);
  Graph *g = images_pass(net, NULL, "resolution{macs=0.7,steps=2}");
  ck_assert(input_side(g, 1) == 6 && graph_macs(g) * 10 <= graph_macs(net) * 7);
  graph_free(g);
  g = images_pass(net, NULL, "resolution{macs=1}");
  ck_assert(hash_equal(graph_hash(g), graph_hash(net)));
  graph_free(g);
  static const char *const wrong[][2] = {{"resolution{macs=0.1}", "cannot be met: macs"},
                                         {"resolution{params=0.9}", "cannot be met: params"},
                                         {"resolution", "want size, or share, or a limit"},
                                         {"resolution{size=9}", "is larger than the model's 8 x 8"},
                                         {"resolution{size=4x}", "want 24 or 24x32"}};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    const char *said = images_refused(net, NULL, wrong[i][0]);
    ck_assert_msg(strstr(said, wrong[i][1]), "%s: %s", wrong[i][0], said);
  }
  graph_free(net);
}
END_TEST

/* Of an image that is not a square every size that the pass finds is one that data are resized to. */
START_TEST(test_proportions)
{
  static const char *const pipelines[][2] = {
      {"resolution{share=0.95}", "92x61"},         {"resolution{macs=0.95}", "92x61"},
      {"resolution{share=0.55,steps=1}", "53x35"}, {"resolution{share=0.99,steps=36}", "72x48"},
      {"resolution{macs=0.35}", "56x37"},          {"resolution{share=1}", "96x64"}};
  Graph *net = net_parse("%1 = input : f32[N,96,64,3] \"x\"\n%2 = const : f32[5,3,3,3] \"w\" {~}\n"
                         "%3 = Conv(%1, %2) {pads=[1,1,1,1]} : f32[N,96,64,5]\n"
                         "%4 = AveragePool(%3) {kernel=[96,64]} : f32[N,1,1,5]\noutput %4\n",
                         1);
  const Shape item = shape_of(3, (int64_t)96, (int64_t)64, (int64_t)3);
  for (size_t i = 0; i < sizeof pipelines / sizeof *pipelines; i++) {
    Graph *g = images_pass(net, NULL, pipelines[i][0]);
    InputMap map;
    Diag *d = diag_new();
    ck_assert_msg(input_map(&graph_val(g, g->inputs[0])->shape, &item, &map, d), "%s", diag_text(d));
    char size[32];
    snprintf(size, sizeof size, "%dx%d", (int)input_side(g, 1), (int)input_side(g, 2));
    ck_assert_msg(strcmp(size, pipelines[i][1]) == 0, "%s: %s", pipelines[i][0], size);
    diag_free(d);
    graph_free(g);
  }
  graph_free(net);
}
END_TEST

/* NCHW at the border, pools that span everything, a classifier that sees the size. */
START_TEST(test_what_sees_the_size)
{
  static const char HEAD[] = "%1 = input : f32[N,3,8,12] \"x\"\n"
                             "%2 = Transpose(%1) {perm=[0,2,3,1]} : f32[N,8,12,3]\n"
                             "%3 = const : f32[4,3,3,3] \"w\" {~}\n"
                             "%4 = Conv(%2, %3) {strides=[2,2], pads=[1,1,1,1]} : f32[N,4,6,4] \"c\" "
                             "loc(\"m\", 1, \"c\", \"Conv\")\n";
  char text[1200];
  snprintf(text, sizeof text,
           "%s%%5 = AveragePool(%%4) {kernel=[4,6]} : f32[N,1,1,4]\n%%6 = Reshape(%%5) {shape=[-1,4]} : "
           "f32[N,4]\noutput %%6\n",
           HEAD);
  Graph *pooled = net_parse(text, 1);
  snprintf(text, sizeof text,
           "%s%%5 = Reshape(%%4) {shape=[-1,96]} : f32[N,96]\n%%6 = const : f32[5,96] \"f\" {~}\n"
           "%%7 = FullyConnected(%%5, %%6) : f32[N,5] \"y\" loc(\"m\", 3, \"fc\", \"Gemm\")\noutput %%7\n",
           HEAD);
  Graph *flat = net_parse(text, 1);
  Graph *g = images_pass(pooled, NULL, "resolution{size=4x6}");
  ck_assert(input_side(g, 2) == 4 && input_side(g, 3) == 6);
  Dataset ds = {.train = {.n = 1, .dtype = DT_F32, .item = shape_of(3, (int64_t)8, (int64_t)12, (int64_t)3)}};
  InputMap map;
  Diag *d = diag_new();
  ck_assert(input_map(&graph_val(g, g->inputs[0])->shape, &ds.train.item, &map, d) && map.to_chw &&
            map.h == 4);
  float x[288], y[72], scratch[72];
  for (int i = 0; i < 288; i++) x[i] = (float)i;
  ds.train.x = x;
  input_item(&map, &ds.train, NULL, NULL, 0, y, scratch);
  /* channel 1, row 2, column 3: rows 4, 5 and columns 6, 7 */
  ck_assert(fabsf(y[(1 * 4 + 2) * 6 + 3] - (float)(((4 + 5) * 12 / 2.0 + (6 + 7) / 2.0) * 3 + 1)) < 1e-3f);
  const char *said = images_refused(flat, NULL, "resolution{size=4x6}");
  ck_assert_msg(strstr(said, "global pool"), "%s", said);
  diag_free(d);
  graph_free(pooled), graph_free(flat), graph_free(g);
}
END_TEST

/* Other proportions, other channels and larger inputs are mistakes, not sizes. */
START_TEST(test_rule)
{
  static const struct {
    int64_t h, w, c;
    bool resized;
  } cases[] = {{24, 24, 3, true},  {16, 16, 3, true},  {31, 32, 3, false},
               {24, 20, 3, false}, {32, 32, 3, false}, {40, 40, 3, false},
               {24, 24, 1, false}, {16, 32, 3, false}, {1, 1, 3, true}};
  const Shape item = shape_of(3, (int64_t)32, (int64_t)32, (int64_t)3);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    Shape in = shape_of(4, (int64_t)DIM_BATCH, cases[i].h, cases[i].w, cases[i].c);
    int64_t h = 0, w = 0;
    ck_assert_msg(input_resized(&in, &item, &h, &w) == cases[i].resized, "case %d", (int)i);
    if (cases[i].resized) ck_assert(h == cases[i].h && w == cases[i].w);
  }
}
END_TEST

Suite *suite_resolution(void) {
  Suite *s = suite_create("resolution");
  TCase *t = tcase_create("resolution");
  tcase_add_test(t, test_data_follow);
  tcase_add_test(t, test_full_size_teacher);
  tcase_add_test(t, test_limits);
  tcase_add_test(t, test_proportions);
  tcase_add_test(t, test_what_sees_the_size);
  tcase_add_test(t, test_rule);
  tcase_set_timeout(t, 120);
  suite_add_tcase(s, t);
  return s;
}
