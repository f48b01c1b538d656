/* Cross-layer equalisation: random nets compute the same; ranges of channels are alike afterwards; int8 gains where they
 * were not; what clips is left alone, and said.
 */
#include <check.h>
#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "ir/base/strbuf.h"
#include "ir/eval.h"
#include "passes/pass.h"
#include "runtime/data/dataset.h"
#include "tests/passes/images.h"
#include "tests/passes/nets.h"
#include "tests/support.h"

Suite *suite_equalize(void);

enum { IMAGES = 32 };

static void gather(void *ctx, const char *line) { sb_printf(ctx, "%s\n", line); }

static Graph *passes_on(const Graph *g, const Dataset *ds, const char *text, StrBuf *log) {
  Diag *d = diag_new();
  const Host host = {.ctx = log, .log = gather, .threads = 1};
  PassCtx ctx = {.params = "", .data = ds, .host = log ? &host : NULL};
  PipelineOptions opt = {.verify_each = true};
  Graph *out = pipeline_run(g, text, &ctx, &opt, d);
  ck_assert_msg(out != NULL, "%s", diag_text(d));
  diag_free(d);
  return out;
}

static Tensor run(const Graph *g, const Dataset *ds) {
  Diag *d = diag_new();
  Shape s = graph_val(g, g->inputs[0])->shape;
  s.d[0] = IMAGES;
  Tensor x = {DT_F32, s, (void *)(uintptr_t)ds->train.x}, y;
  ck_assert_msg(graph_eval(g, &x, 1, &y, d), "%s", diag_text(d));
  diag_free(d);
  return y;
}

/* Largest difference of the outputs, as a share of the largest output. */
static double difference(const Graph *a, const Graph *b, const Dataset *ds) {
  Tensor y = run(a, ds), z = run(b, ds);
  double most = 1e-9, diff = 0;
  for (int64_t i = 0; i < shape_count(&y.shape); i++) {
    most = fmax(most, fabs((double)((float *)y.data)[i]));
    diff = fmax(diff, fabs((double)((float *)y.data)[i] - (double)((float *)z.data)[i]));
  }
  tensor_free(&y);
  tensor_free(&z);
  return diff / most;
}

START_TEST(random_nets)
{
  for (uint64_t seed = (uint64_t)_i * 10; seed < (uint64_t)_i * 10 + 10; seed++) {
    Graph *g = seed % 2 ? net_random(seed) : net_random_plain(seed);
    Dataset ds = images_random(g, IMAGES, 4, seed);
    Graph *plain = passes_on(g, &ds, "fold,bnfuse,fuse,fold", NULL);
    static const char *const ways[] = {"equalize", "equalize{by=weights}"};
    for (int k = 0; k < 2; k++) {
      Graph *e = passes_on(plain, &ds, ways[k], NULL);
      const double d = difference(plain, e, &ds);
      ck_assert_msg(d < 2e-5, "net %d, %s: outputs differ by %g of the largest", (int)seed, ways[k], d);
      graph_free(e);
    }
    graph_free(plain);
    graph_free(g);
    images_free(&ds);
  }
}
END_TEST

/* Conv -> DepthwiseConv -> mean -> FullyConnected, channels of the first three of wildly different size. */
static Graph *uneven(int32_t act) {
  enum { C = 8 };
  Graph *g = graph_new("uneven");
  Diag *d = diag_new();
  Rng r;
  rng_seed(&r, 4, 4);
  Shape s = {4, {DIM_BATCH, 6, 6, 3}}, cs = {4, {C, 3, 3, 3}}, ds = {4, {1, 3, 3, C}}, fs = {2, {5, C}},
        bs = {1, {C}};
  float w[C * 27], dw[9 * C], f[5 * C], b[C];
  for (int i = 0; i < C * 27; i++) w[i] = rng_normal(&r) * powf(4, (float)(i / 27) - 4);
  for (int i = 0; i < 9 * C; i++) dw[i] = (1 + rng_normal(&r)) * powf(0.5f, (float)(i % C) - 4);
  for (int i = 0; i < 5 * C; i++) f[i] = rng_normal(&r) * powf(0.5f, (float)(i % C) - 4);
  for (int i = 0; i < C; i++) b[i] = 0.1f * powf(4, (float)i - 4);
  conv_attrs ca;
  depthwise_conv_attrs da;
  op_attrs_default(OP_conv, &ca);
  op_attrs_default(OP_depthwise_conv, &da);
  ca.act = act, da.act = ACT_RELU;
  ca.pads = da.pads = (Ints){4, {1, 1, 1, 1}};
  ValId in[3] = {graph_input(g, "x", DT_F32, &s), graph_const_data(g, "w", DT_F32, &cs, w),
                 graph_const_data(g, "b", DT_F32, &bs, b)};
  ValId y = graph_node(g, OP_conv, &ca, in, 3, "first", NULL, d);
  y = graph_node2(g, OP_depthwise_conv, &da, y, graph_const_data(g, "dw", DT_F32, &ds, dw), "second", NULL,
                  d);
  reduce_mean_attrs m = {.axes = {2, {1, 2}}, .keepdims = 0};
  y = graph_node1(g, OP_reduce_mean, &m, y, "mean", NULL, d);
  graph_output(g, graph_node2(g, OP_fully_connected, NULL, y, graph_const_data(g, "f", DT_F32, &fs, f),
                              "last", NULL, d));
  ck_assert_msg(graph_verify(g, d), "%s", diag_text(d));
  diag_free(d);
  return g;
}

/* The largest weight of channel c: made by the convolution, read by the depthwise one. */
static float most_of(const Graph *g, NodeId k, int64_t c) {
  const Node *n = &g->nodes[k];
  const Value *v = graph_val(g, n->in[1]);
  const float *w = val_data(g, n->in[1]);
  const int64_t count = shape_count(&v->shape), outs = n->op == OP_conv ? v->shape.d[0] : v->shape.d[3];
  float most = 0;
  for (int64_t i = 0; i < count; i++)
    if ((n->op == OP_conv ? i / (count / outs) : i % outs) == c) most = fmaxf(most, fabsf(w[i]));
  return most;
}

START_TEST(ranges_are_alike)
{
  Graph *g = uneven(ACT_RELU), *e = passes_on(g, NULL, "equalize", NULL);
  for (int64_t c = 0; c < 8; c++) {
    const float a = most_of(e, net_find(e, OP_conv, 0), c),
                b = most_of(e, net_find(e, OP_depthwise_conv, 0), c);
    ck_assert_msg(fabsf(a / b - 1) < 0.02f, "channel %d: made by weights of %g, read by weights of %g",
                  (int)c, (double)a, (double)b);
  }
  graph_free(g);
  graph_free(e);
}
END_TEST

/* Signal to noise of int8 against float, dB. */
static double int8_snr(const Graph *g, const Dataset *ds, const char *text) {
  Graph *q = passes_on(g, ds, text, NULL);
  Tensor y = run(g, ds), z = run(q, ds);
  double power = 0, error = 0;
  for (int64_t i = 0; i < shape_count(&y.shape); i++) {
    const double v = (double)((float *)y.data)[i], diff = (double)((float *)z.data)[i] - v;
    power += v * v, error += diff * diff;
  }
  tensor_free(&y);
  tensor_free(&z);
  graph_free(q);
  return 10 * log10(power / error);
}

START_TEST(int8_gains)
{
  Graph *g = uneven(ACT_RELU);
  Dataset ds = images_random(g, IMAGES, 4, 1);
  const double plain = int8_snr(g, &ds, "quantize{io=float,bias=plain}"),
               seen = int8_snr(g, &ds, "equalize,quantize{io=float,bias=plain}"),
               weights = int8_snr(g, &ds, "equalize{by=weights},quantize{io=float,bias=plain}");
  ck_assert_msg(seen > plain + 6 && weights > plain + 6, "%.1f dB, equalised %.1f and, by weights, %.1f",
                plain, seen, weights);
  graph_free(g);
  images_free(&ds);
}
END_TEST

START_TEST(clips_are_left)
{
  Graph *g = uneven(ACT_RELU6);
  StrBuf log = {0};
  Graph *e = passes_on(g, NULL, "equalize", &log);
  ck_assert_msg(strstr(sb_str(&log), "first is left: its activation clips") != NULL, "%s", sb_str(&log));
  ck_assert(most_of(e, net_find(e, OP_conv, 0), 7) == most_of(g, net_find(g, OP_conv, 0), 7));
  sb_free(&log);
  graph_free(g);
  graph_free(e);
}
END_TEST

START_TEST(refused)
{
  Graph *g = uneven(ACT_RELU);
  static const char *const params[] = {"by=guess", "by=activations", "images=0"};
  static const char *const why[] = {"want activations or weights", "needs calibration images", "images=N"};
  for (int i = 0; i < 3; i++) {
    Diag *d = diag_new();
    PassCtx ctx = {.params = params[i]};
    ck_assert(pass_find("equalize")->run(g, &ctx, d) == NULL);
    ck_assert_msg(strstr(diag_text(d), why[i]) != NULL, "%s", diag_text(d));
    diag_free(d);
  }
  graph_free(g);
}
END_TEST

Suite *suite_equalize(void) {
  Suite *s = suite_create("equalize");
  TCase *t = tcase_create("equalize");
  tcase_set_timeout(t, 120);
  tcase_add_loop_test(t, random_nets, 0, 4);
  tcase_add_test(t, ranges_are_alike);
  tcase_add_test(t, int8_gains);
  tcase_add_test(t, clips_are_left);
  tcase_add_test(t, refused);
  suite_add_tcase(s, t);
  return s;
}
