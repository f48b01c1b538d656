/* Weights of 4 bits: which layers have them, that their codes are in range, and that rounding with a view to what a layer
 * reads leaves less error than rounding to the nearest.
 */
#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ir/base/mem.h"
#include "ir/base/rng.h"
#include "ir/base/strbuf.h"
#include "passes/pass.h"
#include "passes/quant_weights.h"
#include "runtime/data/dataset.h"
#include "tests/passes/images.h"
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
  Dataset ds = images_random(r, IMAGES, 4, 5);
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
  ck_assert_msg(strstr(error, "int8=nobody: no layer with weights has this name"), "%s", error);
  const char *second = NULL; /* named layers alone */
  for (NodeId k = 0, seen = 0; k < r->n_nodes && !second; k++)
    if (r->nodes[k].op == OP_conv && ++seen == 2) second = graph_val(r, r->nodes[k].out[0])->name;
  char params[200];
  snprintf(params, sizeof params, "int4=%s", second);
  Graph *one = quantized(r, &ds, params, error, sizeof error);
  ck_assert_msg(one != NULL, "%s", error);
  count(one, &four, &all);
  ck_assert_int_eq(four, 1);
  graph_free(one);
  snprintf(params, sizeof params, "weights=int8,int4=%s", second);
  ck_assert_ptr_null(quantized(r, &ds, params, error, sizeof error));
  ck_assert_msg(strstr(error, "want int4, as int4=... names layers"), "%s", error);
  ck_assert_ptr_null(quantized(r, &ds, "int4=nobody", error, sizeof error));
  ck_assert_msg(strstr(error, "int4=nobody: no layer with weights has this name"), "%s", error);
  ck_assert_ptr_null(quantized(r, &ds, "weights=int2", error, sizeof error));
  ck_assert_msg(strstr(error, "want one of int8, int4"), "%s", error);
  graph_free(r);
  graph_free(g);
  images_free(&ds);
  diag_free(d);
}
END_TEST

/* Groups and FullyConnected, and layers whose weights are shared: every construct of the random nets. */
START_TEST(random_nets)
{
  char error[600];
  Graph *g = net_random_plain((uint64_t)_i);
  Dataset ds = images_random(g, IMAGES, 4, 5);
  Graph *q = quantized(g, &ds, "weights=int4,int8=none", error, sizeof error);
  ck_assert_msg(q != NULL, "%s", error);
  int four, all;
  count(q, &four, &all);
  ck_assert_int_eq(four, all);
  graph_free(q);
  graph_free(g);
  images_free(&ds);
}
END_TEST

/* -- what layers read -- */

enum { H = 7, W = 6, C = 4, KH = 3, KW = 2, INS = 2, CONV_TAPS = KH * KW * INS };

/* Element (y, x, c) of an image, 0 outside. */
static double pixel(const float *image, int y, int x, int c) {
  return y < 0 || y >= H || x < 0 || x >= W ? 0 : (double)image[(y * W + x) * C + c];
}

/* The sums of a convolution in two groups with pads 1 0 1 2, strides 2 1 and dilations 1 2, by definition. */
static void sums_by_hand(const Dataset *ds, int group, int oh, int ow, double *h) {
  enum { T = CONV_TAPS + 1 };
  for (uint32_t i = 0; i < ds->train.n; i++)
    for (int at = 0; at < oh * ow; at++) {
      double row[T];
      for (int t = 0; t < CONV_TAPS; t++)
        row[t] = pixel((const float *)ds->train.x + i * H * W * C, at / ow * 2 + t / (KW * INS) - 1,
                       at % ow + t / INS % KW * 2, group * INS + t % INS);
      row[CONV_TAPS] = 1;
      for (int k = 0; k < T * T; k++) h[k] += row[k / T] * row[k % T];
    }
}

START_TEST(sums)
{
  enum { T = CONV_TAPS + 1 };
  Graph *g = graph_new("conv");
  Diag *d = diag_new();
  Shape s = {4, {DIM_BATCH, H, W, C}}, ws = {4, {6, KH, KW, INS}};
  const float w[6 * CONV_TAPS] = {1};
  conv_attrs a;
  op_attrs_default(OP_conv, &a);
  a.group = 2, a.pads = (Ints){4, {1, 0, 1, 2}}, a.strides = (Ints){2, {2, 1}},
  a.dilations = (Ints){2, {1, 2}};
  const ValId y = graph_node2(g, OP_conv, &a, graph_input(g, "x", DT_F32, &s),
                              graph_const_data(g, "w", DT_F32, &ws, w), "y", NULL, d);
  graph_output(g, y);
  ck_assert_msg(graph_verify(g, d), "%s", diag_text(d));
  Dataset ds = images_random(g, IMAGES, 4, 5);
  Gram m = {0};
  ck_assert_msg(gram_collect(g, (bool[]){true}, &ds, IMAGES, NULL, &m, d), "%s", diag_text(d));
  ck_assert(m.groups == 2 && m.n == T);
  const Shape *out = &graph_val(g, y)->shape;
  for (int group = 0; group < 2; group++) {
    double want[T * T] = {0};
    sums_by_hand(&ds, group, (int)out->d[1], (int)out->d[2], want);
    for (int k = 0; k < T * T; k++)
      ck_assert_msg(fabs(m.h[group][k] - want[k]) < 1e-6, "group %d, %d %d: %g, want %g", group, k / T, k % T,
                    m.h[group][k], want[k]);
  }
  gram_free(&m);
  graph_free(g);
  images_free(&ds);
  diag_free(d);
}
END_TEST

/* The whole way, from a graph to codes: less error of the outputs than by rounding to the nearest. */
START_TEST(better_than_nearest)
{
  char error[600];
  double gptq = 0, nearest = 0;
  for (uint64_t seed = 0; seed < 20; seed++) {
    Graph *g = net_random_plain(seed);
    Dataset ds = images_random(g, 128, 4, seed);
    Graph *a = quantized(g, &ds, "weights=int4,int8=none,io=float", error, sizeof error),
          *b = quantized(g, &ds, "weights=int4,int8=none,io=float,rounding=nearest", error, sizeof error);
    ck_assert_msg(a && b, "%s", error);
    gptq += images_difference(g, a, &ds, 128), nearest += images_difference(g, b, &ds, 128);
    graph_free(a), graph_free(b), graph_free(g);
    images_free(&ds);
  }
  ck_assert_msg(gptq < 0.8 * nearest, "error %.4f of the outputs, %.4f by the nearest", gptq / 20,
                nearest / 20);
}
END_TEST

static void gather(void *ctx, const char *line) { sb_printf(ctx, "%s\n", line); }

/* x [1, rows, c] -> Reshape [rows, c] -> FullyConnected, which the engine does not run; c = 2401 has too large a matrix. */
START_TEST(not_for_the_engine)
{
  const int64_t c = _i ? 2401 : 8, n = 3;
  Graph *g = graph_new("rows");
  Diag *d = diag_new();
  Shape s = {3, {1, 2, c}}, ws = {2, {n, c}};
  float *w = mem_array((size_t)(n * c), sizeof *w);
  for (int64_t i = 0; i < n * c; i++) w[i] = (float)(i * 37 % 23) - 11;
  const reshape_attrs r = {.shape = {2, {2, (int32_t)c}}};
  graph_output(g, graph_node2(g, OP_fully_connected, NULL,
                              graph_node1(g, OP_reshape, &r, graph_input(g, "x", DT_F32, &s), "r", NULL, d),
                              graph_const_data(g, "w", DT_F32, &ws, w), "big", NULL, d));
  ck_assert_msg(graph_verify(g, d), "%s", diag_text(d));
  Dataset ds = images_random(g, IMAGES, 4, 5);
  StrBuf log = {0};
  const Host host = {.ctx = &log, .log = gather, .threads = 1};
  const PassCtx ctx = {.params = "weights=int4,int8=none", .data = &ds, .host = &host};
  Graph *q = pass_find("quantize")->run(g, &ctx, d);
  ck_assert_msg(q != NULL, "%s", diag_text(d));
  ck_assert_msg(!_i == !strstr(sb_str(&log), "big: 2401 weights a channel"), "%s", sb_str(&log));
  graph_free(q);
  graph_free(g);
  images_free(&ds);
  sb_free(&log);
  mem_free(w);
  diag_free(d);
}
END_TEST

Suite *suite_int4(void) {
  openblas_set_num_threads(1);
  Suite *s = suite_create("int4");
  TCase *t = tcase_create("int4");
  tcase_set_timeout(t, 120);
  tcase_add_loop_test(t, rounding, 0, 4);
  tcase_add_test(t, sums);
  tcase_add_test(t, layers);
  tcase_add_loop_test(t, random_nets, 0, 12);
  tcase_add_test(t, better_than_nearest);
  tcase_add_loop_test(t, not_for_the_engine, 0, 2);
  suite_add_tcase(s, t);
  return s;
}
