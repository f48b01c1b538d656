/* Layer-wise reconstruction: least squares by hand and on random systems; weights found again where the true ones exist;
 * ridge; a net whose channels were pruned.
 */
#include <cblas.h>
#include <math.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "runtime/engine/reconstruct.h"
#include "tests/engine/nets.h"
#include "tests/support.h"

enum { N = 70 };

static Dataset make_data(const Graph *g) {
  const Shape *s = &graph_val(g, g->inputs[0])->shape;
  Dataset ds = {.train = {.n = N, .dtype = DT_F32, .item = {.rank = s->rank - 1}}};
  for (int i = 1; i < s->rank; i++) ds.train.item.d[i - 1] = s->d[i];
  size_t n = (size_t)shape_count(&ds.train.item) * N;
  float *x = mem_array(n, sizeof *x);
  Rng r;
  rng_seed(&r, 8, 8);
  for (size_t i = 0; i < n; i++) x[i] = rng_normal(&r);
  ds.train.xb = blob_adopt(x, n * sizeof *x);
  ds.train.x = x;
  return ds;
}

/* -- least squares -- */

START_TEST(a_line)
{
  /* y = 2 x + 1 through (0,1), (1,3), (2,5); unknowns: slope, intercept, and one that is never seen. */
  const double x[] = {0, 0, 1, 1, 0, 1, 2, 0, 1}, y[] = {1, 3, 5};
  double w[3];
  Normal s;
  normal_init(&s, 3, 1);
  normal_add(&s, x, y, 2);
  normal_add(&s, x + 6, y + 2, 1);
  normal_solve(&s, 0, 1, w);
  ck_assert(fabs(w[0] - 2) < 1e-12 && w[1] == 0 && fabs(w[2] - 1) < 1e-12);
  ck_assert(normal_error(&s, w) < 1e-12);
  ck_assert(fabs(normal_error(&s, (double[]){2, 5, 0}) - 3) < 1e-12);
  normal_free(&s);
}
END_TEST

/* The gradient of what is minimised vanishes: A w + ridge mean w = b. */
START_TEST(random_system)
{
  enum { U = 40, M = 3, ROWS = 90 };
  static const double ridges[] = {0, 1e-3, 1};
  double x[ROWS * U], y[ROWS * M], w[U * M], mean = 0, before = INFINITY;
  Rng r;
  rng_seed(&r, 1, 1);
  for (int i = 0; i < ROWS * U; i++) x[i] = (double)rng_normal(&r);
  for (int i = 0; i < ROWS * M; i++) y[i] = (double)rng_normal(&r);
  Normal s;
  normal_init(&s, U, M);
  normal_add(&s, x, y, ROWS);
  for (int i = 0; i < U; i++) mean += s.a[i * U + i] / U;
  for (int k = 0; k < 3; k++) {
    double size = 0;
    normal_solve(&s, ridges[k], 0, w);
    for (int m = 0; m < M; m++)
      for (int i = 0; i < U; i++) {
        double g = ridges[k] * mean * w[i * M + m] - s.b[i * M + m];
        for (int j = 0; j < U; j++) g += s.a[i >= j ? i * U + j : j * U + i] * w[j * M + m];
        ck_assert_msg(fabs(g) < 1e-9, "ridge %g: gradient %g", ridges[k], g);
        size += w[i * M + m] * w[i * M + m];
      }
    ck_assert(size < before); /* ridge shrinks */
    before = size;
  }
  normal_free(&s);
}
END_TEST

/* -- layers -- */

#define W(shape) " = const : f32" shape " {~}\n"

static const char *const layers[] = {
    "%1 = input : f32[N,7,6,3]\n%2" W("[5,3,3,3]") "%3" W(
        "[5]") "%4 = Conv(%1, %2, %3) {strides=[2,1], pads=[1,0,1,1]}\n",
    "%1 = input : f32[N,6,6,4]\n%2" W("[6,3,2,2]") "%4 = Conv(%1, %2) {group=2, dilations=[2,1]}\n",
    "%1 = input : f32[N,6,6,3]\n%2" W("[1,3,3,6]") "%3" W(
        "[6]") "%4 = DepthwiseConv(%1, %2, %3) {pads=[1,1,1,1]}\n",
    "%1 = input : f32[N,9]\n%2" W("[4,9]") "%3" W("[4]") "%4 = FullyConnected(%1, %2, %3)\n",
};

/* The layer at node k with other weights. */
static Graph *spoiled(const Graph *g, NodeId k) {
  Graph *s = graph_clone(g);
  const Node *n = &s->nodes[k];
  for (uint32_t i = 1; i < n->n_in; i++) {
    Value *v = graph_val(s, n->in[i]);
    Blob *zero = blob_adopt(mem_zalloc(val_bytes(s, n->in[i])), val_bytes(s, n->in[i]));
    blob_unref(v->blob);
    v->blob = zero;
  }
  return s;
}

static double distance(const Graph *a, const Graph *b, NodeId k) {
  double most = 0;
  for (uint32_t i = 1; i < a->nodes[k].n_in; i++) {
    const float *x = val_data(a, a->nodes[k].in[i]), *y = val_data(b, b->nodes[k].in[i]);
    for (int64_t e = 0; e < shape_count(&graph_val(a, a->nodes[k].in[i])->shape); e++)
      most = fmax(most, fabs((double)x[e] - (double)y[e]));
  }
  return most;
}

START_TEST(true_weights_are_found)
{
  char text[1000];
  snprintf(text, sizeof text, "%s%%5 = Tanh(%%4)\noutput %%5\n", layers[_i]);
  Graph *g = net_parse(text, 3), *zero = spoiled(g, 0), *got[2];
  Dataset ds = make_data(g);
  Diag *d = diag_new();
  ReconstructOptions o = {.images = N};
  for (int threads = 1; threads <= 2; threads++) {
    Host host = {.threads = threads};
    ReconstructResult res;
    got[threads - 1] = reconstruct_layer(g, g->nodes[0].out[0], zero, 0, NULL, &ds, &o, &host, &res, d);
    ck_assert_msg(got[threads - 1] != NULL, "%s", diag_text(d));
    ck_assert(res.before > 0.01 && res.after < 1e-10 * res.before);
  }
  ck_assert_msg(distance(got[0], g, 0) < 1e-5, "weights are off by %g", distance(got[0], g, 0));
  ck_assert(distance(got[0], got[1], 0) == 0);
  graph_free(got[0]);
  graph_free(got[1]);
  graph_free(zero);
  graph_free(g);
  dataset_close(&ds);
  diag_free(d);
}
END_TEST

static void put_data(Graph *g, ValId v, const float *x, size_t bytes) {
  blob_unref(graph_val(g, v)->blob);
  graph_val(g, v)->blob = blob_new(x, bytes);
}

/* Pruned by hand: of the first layer's 8 channels 5 are left, of the second's 4 the last 3. */
START_TEST(after_pruning)
{
  static const int32_t left[] = {0, 2, 3, 6, 7}, outs[] = {1, 2, 3};
  Graph *g = net_parse(
      "%1 = input : f32[N,6,6,2]\n%2" W("[8,3,3,2]") "%3 = Conv(%1, %2) {pads=[1,1,1,1]}\n"
                                                     "%4 = Relu(%3)\n%5" W("[4,3,3,8]") "%6" W(
                                                         "[4]") "%7 = Conv(%4, %5, %6)\noutput %7\n",
      5);
  Graph *p = net_parse(
      "%1 = input : f32[N,6,6,2]\n%2" W("[5,3,3,2]") "%3 = Conv(%1, %2) {pads=[1,1,1,1]}\n"
                                                     "%4 = Relu(%3)\n%5" W("[3,3,3,5]") "%6" W(
                                                         "[3]") "%7 = Conv(%4, %5, %6)\noutput %7\n",
      5);
  const float *w1 = val_data(g, g->nodes[0].in[1]), *w2 = val_data(g, g->nodes[2].in[1]),
              *b = val_data(g, g->nodes[2].in[2]);
  float v1[5 * 18], v2[3 * 9 * 5], v3[3];
  for (int o = 0; o < 5; o++) memcpy(v1 + o * 18, w1 + left[o] * 18, 18 * sizeof(float));
  for (int o = 0; o < 3; o++) {
    v3[o] = b[outs[o]];
    for (int t = 0; t < 9; t++)
      for (int i = 0; i < 5; i++) v2[(o * 9 + t) * 5 + i] = w2[(outs[o] * 9 + t) * 8 + left[i]];
  }
  put_data(p, p->nodes[0].in[1], v1, sizeof v1);
  put_data(p, p->nodes[2].in[1], v2, sizeof v2);
  put_data(p, p->nodes[2].in[2], v3, sizeof v3);
  Dataset ds = make_data(g);
  Diag *d = diag_new();
  double last = 0;
  static const double ridges[] = {0, 1e-3, 1e-2};
  for (int k = 0; k < 3; k++) {
    ReconstructOptions o = {.images = 64, .ridge = ridges[k]};
    ReconstructResult res;
    Graph *r = reconstruct_layer(g, g->nodes[2].out[0], p, 2, outs, &ds, &o, NULL, &res, d);
    ck_assert_msg(r != NULL, "%s", diag_text(d));
    ck_assert_msg(res.after < 0.7 * res.before, "ridge %g: %g before, %g after", ridges[k], res.before,
                  res.after);
    ck_assert(res.after >= last && res.rows == 64 * 16);
    last = res.after;
    graph_free(r);
  }
  graph_free(p);
  graph_free(g);
  dataset_close(&ds);
  diag_free(d);
}
END_TEST

static void refused(const char *text, NodeId k, const char *want) {
  Graph *g = net_parse(text, 1);
  Dataset ds = make_data(g);
  Diag *d = diag_new();
  ReconstructOptions o = {.images = 8};
  ck_assert_ptr_null(reconstruct_layer(g, g->nodes[k].out[0], g, k, NULL, &ds, &o, NULL, NULL, d));
  ck_assert_msg(strstr(diag_text(d), want), "%s", diag_text(d));
  graph_free(g);
  dataset_close(&ds);
  diag_free(d);
}

START_TEST(what_is_refused)
{
  refused("%1 = input : f32[N,4]\n%2 = Relu(%1)\noutput %2", 0, "want Conv");
  refused("%1 = input : f32[N,4]\n%2" W("[3,4]") "%3 = FullyConnected(%1, %2) {act=relu}\noutput %3", 0,
          "fused activation");
  refused("%1 = input : f32[N,4]\n%2" W(
              "[4,4]") "%3 = FullyConnected(%1, %2)\n%4 = FullyConnected(%3, %2)\noutput %4",
          1, "others read");
}
END_TEST

Suite *suite_reconstruct(void);

Suite *suite_reconstruct(void) {
  openblas_set_num_threads(1);
  Suite *s = suite_create("reconstruct");
  TCase *t = tcase_create("reconstruct");
  tcase_add_test(t, a_line);
  tcase_add_test(t, random_system);
  tcase_add_loop_test(t, true_weights_are_found, 0, sizeof layers / sizeof *layers);
  tcase_add_test(t, after_pruning);
  tcase_add_test(t, what_is_refused);
  suite_add_tcase(s, t);
  return s;
}
