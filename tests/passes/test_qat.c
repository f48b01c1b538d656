/* qat: the graph with FakeQuants, in float32, against the int8 graph that quantize makes of it: code for code, before and
 * after training; in a net with every kind of operator, in residual ones, in ResNet-8.
 */
#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/onnx/onnx.h"
#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "ir/eval.h"
#include "passes/pass.h"
#include "runtime/engine/engine.h"
#include "tests/passes/nets.h"
#include "tests/support.h"

Suite *suite_qat(void);

enum { IMAGES = 96, CLASSES = 5 };

/* Normally distributed images; the label is the brightest of the first channels' sums. */
static Dataset make_data(const Graph *g, uint64_t seed) {
  const Shape *s = &graph_val(g, g->inputs[0])->shape;
  Dataset ds = {.train = {.n = IMAGES, .dtype = DT_F32, .item = {.rank = s->rank - 1}}};
  for (int i = 1; i < s->rank; i++) ds.train.item.d[i - 1] = s->d[i];
  size_t item = (size_t)shape_count(&ds.train.item);
  float *x = mem_array(item * IMAGES, sizeof *x);
  int32_t *y = mem_array(IMAGES, sizeof *y);
  Rng r;
  rng_seed(&r, seed, 11);
  for (size_t i = 0; i < item * IMAGES; i++) x[i] = rng_normal(&r);
  for (int i = 0; i < IMAGES; i++) {
    y[i] = i % CLASSES;
    for (size_t k = (size_t)y[i]; k < item; k += CLASSES) x[(size_t)i * item + k] += 1;
  }
  ds.train.xb = blob_adopt(x, item * IMAGES * sizeof *x);
  ds.train.yb = blob_adopt(y, IMAGES * sizeof *y);
  ds.train.x = x;
  ds.train.y = y;
  return ds;
}

static Graph *passes_on(const Graph *g, const Dataset *ds, const char *text) {
  Diag *d = diag_new();
  PassCtx ctx = {.params = "", .data = ds};
  PipelineOptions opt = {.verify_each = true};
  Graph *q = pipeline_run(g, text, &ctx, &opt, d);
  ck_assert_msg(q != NULL, "%s", diag_text(d));
  diag_free(d);
  return q;
}

typedef struct Score {
  int64_t n, off; /* output codes; those that differ */
  long worst;
} Score;

/* The simulation's outputs on some images against the codes of the int8 graph. */
static Score compare(const Graph *sim, const Graph *q, const Dataset *ds) {
  enum { N = 16 };
  Diag *d = diag_new();
  Graph *one = graph_with_batch(q, 1, d);
  Evaluator *e = one ? evaluator_new(one, d) : NULL;
  SessionOptions so = {.batch = N, .threads = 1, .keep = true};
  Session *s = e ? session_new(sim, &so, d) : NULL;
  ck_assert_msg(s != NULL, "%s", diag_text(d));
  const Value *in = graph_val(one, one->inputs[0]), *out = graph_val(one, one->outputs[0]);
  int64_t item = shape_count(&ds->train.item), outs = shape_count(&out->shape);
  session_forward(s, ds->train.x, N, false);
  const float *z = session_activation(s, sim->outputs[0]);
  int8_t *codes = mem_alloc((size_t)item);
  Score score = {N * outs, 0, 0};
  for (int i = 0; i < N; i++) {
    const float *x = (const float *)ds->train.x + i * item;
    for (int64_t k = 0; k < item; k++) {
      float v = roundf(x[k] / in->quant.scale[0]) + (float)in->quant.zero[0];
      codes[k] = (int8_t)fminf(127, fmaxf(-128, v));
    }
    evaluator_run(e, (const void *const[]){codes});
    const int8_t *got = evaluator_value(e, one->outputs[0]);
    for (int64_t k = 0; k < outs; k++) {
      long code = lrint((double)z[i * outs + k] / (double)out->quant.scale[0]) + out->quant.zero[0],
           by = labs(code - got[k]);
      score.off += by != 0;
      if (by > score.worst) score.worst = by;
    }
  }
  mem_free(codes);
  session_free(s);
  evaluator_free(e);
  graph_free(one);
  diag_free(d);
  return score;
}

/* Whether every operator's kernel rounds as a FakeQuant can: tables, averages and Sub do not. */
static bool rounds_alike(const Graph *g) {
  static const OpKind exact[] = {OP_conv,
                                 OP_depthwise_conv,
                                 OP_fully_connected,
                                 OP_mul,
                                 OP_relu,
                                 OP_max_pool,
                                 OP_reduce_mean,
                                 OP_reshape,
                                 OP_transpose,
                                 OP_pad,
                                 OP_slice,
                                 OP_concat,
                                 OP_max,
                                 OP_min};
  for (NodeId i = 0; i < g->n_nodes; i++) {
    const Node *n = &g->nodes[i];
    const Shape *y = &graph_val(g, n->out[0])->shape;
    bool ok = n->op == OP_add && shape_equal(&graph_val(g, n->in[0])->shape, y) &&
              shape_equal(&graph_val(g, n->in[1])->shape, y);
    for (size_t k = 0; k < sizeof exact / sizeof *exact; k++) ok = ok || n->op == exact[k];
    if (!ok) return false;
  }
  return true;
}

static bool has_int4(const Graph *g) {
  for (ValId v = 1; v < g->n_vals; v++)
    if (graph_val(g, v)->dtype == DT_I4) return true;
  return false;
}

/* g, float and prepared: simulated, trained a little, made int8 (or with weights of 4 bits, but for the last layer's). */
static void check_net(const Graph *g, const char *name, bool train, bool int4) {
  Dataset ds = make_data(g, 3);
  Graph *sim = passes_on(g, &ds, int4 ? "qat{images=64,weights=int4,int8=last}" : "qat{images=64}");
  Diag *d = diag_new();
  for (int round = 0; round < (train ? 2 : 1); round++) {
    Graph *q = passes_on(sim, &ds, "quantize");
    Score s = compare(sim, q, &ds);
    ck_assert(has_int4(q) == int4);
    ck_assert_msg(s.off == 0 || (!rounds_alike(g) && s.worst <= 3),
                  "%s, round %d: %lld of %lld output codes differ, by up to %ld", name, round,
                  (long long)s.off, (long long)s.n, s.worst);
    graph_free(q);
    if (round || !train) break;
    TrainOptions o;
    train_options_default(&o);
    o.epochs = 2, o.batch = 16, o.threads = 2, o.lr = 0.01f;
    TrainResult result;
    Graph *trained = train_graph(sim, NULL, &ds, &o, NULL, &result, d);
    ck_assert_msg(trained != NULL, "%s: %s", name, diag_text(d));
    ck_assert(result.loss - result.loss == 0);
    graph_free(sim);
    sim = trained;
  }
  graph_free(sim);
  dataset_close(&ds);
  diag_free(d);
}

START_TEST(residual)
{
  Graph *g = net_residual(1 + _i % 2, (uint64_t)_i / 2), *r = passes_on(g, NULL, "fold,bnfuse,fuse,fold");
  check_net(r, "residual", true, _i % 4 > 1);
  graph_free(r);
  graph_free(g);
}
END_TEST

START_TEST(random_net)
{
  Graph *g = net_random_plain((uint64_t)_i), *r = passes_on(g, NULL, "fold,bnfuse,fuse,fold");
  check_net(r, "random", false, false);
  graph_free(r);
  graph_free(g);
}
END_TEST

START_TEST(resnet8)
{
  char path[512];
  if (!test_shared_path(path, sizeof path, "data/models/onnx/mlperf_ic_resnet8_logits_dynbatch.onnx")) return;
  Diag *d = diag_new();
  Graph *g = onnx_import(path, d);
  ck_assert_msg(g != NULL, "%s", diag_text(d));
  Graph *r = passes_on(g, NULL, "fold,layout,fold,dce,bnfuse,fuse,fold");
  check_net(r, "ResNet-8", false, _i == 1);
  graph_free(r);
  graph_free(g);
  diag_free(d);
}
END_TEST

Suite *suite_qat(void) {
  openblas_set_num_threads(1);
  Suite *s = suite_create("qat");
  TCase *t = tcase_create("qat");
  tcase_set_timeout(t, 120);
  tcase_add_loop_test(t, residual, 0, 8);
  tcase_add_loop_test(t, random_net, 0, 12);
  tcase_add_loop_test(t, resnet8, 0, 2);
  suite_add_tcase(s, t);
  return s;
}
