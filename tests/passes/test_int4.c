/* Weights of 4 bits: which layers have them, that their codes are in range, and that rounding with a view to what a layer
 * reads leaves less error than rounding to the nearest.
 */
#include <cblas.h>
#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "passes/pass.h"
#include "passes/quant_weights.h"
#include "runtime/data/dataset.h"
#include "tests/passes/nets.h"
#include "tests/support.h"

Suite *suite_int4(void);

enum { TAPS = 24, OUTS = 6, N = TAPS + 1, IMAGES = 48 };

/* Sums over inputs that have something in common, as neighbouring pixels have, and a mean of 1. */
static void make_sums(Rng *r, double *h) {
  memset(h, 0, N * N * sizeof *h);
  for (int row = 0; row < 500; row++) {
    double x[N];
    const double common = (double)rng_normal(r);
    for (int i = 0; i < TAPS; i++) x[i] = 1 + common + 0.5 * (double)rng_normal(r);
    x[TAPS] = 1;
    for (int i = 0; i < N * N; i++) h[i] += x[i / N] * x[i % N];
  }
}

static double error_of(const double *h, const double *e) {
  double sum = 0;
  for (int i = 0; i < N * N; i++) sum += h[i] * e[i / N] * e[i % N];
  return sum;
}

START_TEST(rounding)
{
  static double h[N * N];
  float w[OUTS * TAPS], scale[OUTS];
  int8_t q[OUTS * TAPS];
  double bias[OUTS], by_gptq = 0, nearest = 0, plain = 0;
  Rng r;
  rng_seed(&r, 7, (uint64_t)_i);
  make_sums(&r, h);
  for (int i = 0; i < OUTS * TAPS; i++) w[i] = rng_normal(&r);
  memset(w, 0, TAPS * sizeof *w); /* a dead channel */
  memset(scale, 0, sizeof scale);
  gptq_round(h, w, OUTS, TAPS, scale, 7, q, bias);
  ck_assert(scale[0] == 0 && scale_search(w, TAPS, 7) == 0);
  for (int o = 0; o < OUTS; o++) {
    double e[N], f[N], g[N], most = 0;
    for (int i = 0; i < TAPS; i++) most = fmax(most, fabs((double)w[o * TAPS + i]));
    for (int i = 0; i < TAPS; i++) {
      const double v = (double)w[o * TAPS + i], s = o ? (double)scale[o] : 1,
                   u = o ? (double)scale_search(w + o * TAPS, TAPS, 7) : 1, t = most > 0 ? most / 7 : 1;
      ck_assert(q[o * TAPS + i] >= -7 && q[o * TAPS + i] <= 7);
      e[i] = v - s * q[o * TAPS + i];
      f[i] = v - u * fmin(7, fmax(-7, round(v / u)));
      g[i] = v - t * round(v / t);
    }
    e[TAPS] = -bias[o], f[TAPS] = g[TAPS] = 0;
    by_gptq += error_of(h, e), nearest += error_of(h, f), plain += error_of(h, g);
  }
  ck_assert_msg(by_gptq < 0.4 * nearest && by_gptq < 0.4 * plain,
                "errors: %g by GPTQ, %g nearest, %g with the largest's scale", by_gptq, nearest, plain);
}
END_TEST

static Dataset make_data(const Graph *g) {
  const Shape *s = &graph_val(g, g->inputs[0])->shape;
  Dataset ds = {.train = {.n = IMAGES, .dtype = DT_F32, .item = {.rank = s->rank - 1}}};
  for (int i = 1; i < s->rank; i++) ds.train.item.d[i - 1] = s->d[i];
  const size_t n = (size_t)shape_count(&ds.train.item) * IMAGES;
  float *x = mem_array(n, sizeof *x);
  Rng r;
  rng_seed(&r, 5, 1);
  for (size_t i = 0; i < n; i++) x[i] = rng_normal(&r);
  ds.train.xb = blob_adopt(x, n * sizeof *x);
  ds.train.x = x;
  return ds;
}

static Graph *quantized(const Graph *g, const Dataset *ds, const char *params, char *error, size_t n) {
  Diag *d = diag_new();
  const PassCtx ctx = {.params = params, .data = ds};
  Graph *q = pass_find("quantize")->run(g, &ctx, d);
  ck_assert_msg(q == NULL || graph_verify(q, d), "%s", diag_text(d));
  snprintf(error, n, "%s", diag_text(d));
  diag_free(d);
  return q;
}

/* Weights of 4 bits, and layers that could have them. */
static void count(const Graph *q, int *four, int *all) {
  *four = *all = 0;
  for (NodeId k = 0; k < q->n_nodes; k++) {
    const Node *n = &q->nodes[k];
    if (n->op != OP_conv && n->op != OP_fully_connected) continue;
    const Value *w = graph_val(q, n->in[1]);
    const int8_t *code = val_data(q, n->in[1]);
    ++*all;
    *four += w->dtype == DT_I4;
    for (int64_t i = 0; w->dtype == DT_I4 && i < shape_count(&w->shape); i++)
      ck_assert(code[i] >= -7 && code[i] <= 7);
  }
}

START_TEST(layers)
{
  char error[600];
  int four, all;
  Diag *d = diag_new();
  Graph *g = net_residual(1, 3);
  Graph *r = pipeline_run(g, "fold,bnfuse,fuse,fold", &(PassCtx){.params = ""}, &(PipelineOptions){0}, d);
  ck_assert_msg(r != NULL, "%s", diag_text(d));
  Dataset ds = make_data(r);
  static const struct {
    const char *params;
    int kept;
  } rows[] = {{"weights=int4", 2},
              {"weights=int4,int8=none", 0},
              {"weights=int4,int8=last,rounding=nearest", 1},
              {"rounding=gptq", -1}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    Graph *q = quantized(r, &ds, rows[i].params, error, sizeof error);
    ck_assert_msg(q != NULL, "%s: %s", rows[i].params, error);
    count(q, &four, &all);
    ck_assert_int_eq(four, rows[i].kept < 0 ? 0 : all - rows[i].kept);
    graph_free(q);
  }
  ck_assert_ptr_null(quantized(r, &ds, "weights=int4,int8=nobody", error, sizeof error));
  ck_assert_msg(strstr(error, "no layer \"nobody\""), "%s", error);
  ck_assert_ptr_null(quantized(r, &ds, "weights=int2", error, sizeof error));
  ck_assert_msg(strstr(error, "want one of int8, int4"), "%s", error);
  graph_free(r);
  graph_free(g);
  dataset_close(&ds);
  diag_free(d);
}
END_TEST

/* Groups and FullyConnected, and layers whose weights are shared: every construct of the random nets. */
START_TEST(random_nets)
{
  char error[600];
  Graph *g = net_random_plain((uint64_t)_i);
  Dataset ds = make_data(g);
  Graph *q = quantized(g, &ds, "weights=int4,int8=none", error, sizeof error);
  ck_assert_msg(q != NULL, "%s", error);
  int four, all;
  count(q, &four, &all);
  ck_assert_int_eq(four, all);
  graph_free(q);
  graph_free(g);
  dataset_close(&ds);
}
END_TEST

Suite *suite_int4(void) {
  openblas_set_num_threads(1);
  Suite *s = suite_create("int4");
  TCase *t = tcase_create("int4");
  tcase_set_timeout(t, 120);
  tcase_add_loop_test(t, rounding, 0, 4);
  tcase_add_test(t, layers);
  tcase_add_loop_test(t, random_nets, 0, 12);
  suite_add_tcase(s, t);
  return s;
}
